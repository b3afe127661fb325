/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of agent_cleanup share. When a message came into a folder is not written in its row; so for each folder that has a rule the table "ages" notes,
 * day by day, which UID was next: what is below the number of a day was there on that day.
 *	<mailbox id> NUL <folder> NUL <day, 4 bytes> = UIDVALIDITY, next UID (4 bytes each)
 */
#ifndef AGENT_CLEANUP_H
#define AGENT_CLEANUP_H

#include <postbus/bus.h>
#include <postbus/mailbox.h>
#include <postbus/plugin.h>
#include <postbus/table.h>

struct cleanup {
	struct pb_host *host;
	struct pb_table *ages;
};

struct swept {
	int64_t mailboxes, messages, forgotten;	/* looked at; expunged by age; days of deleted messages that went for good */
};

/* ---- ages.c ---- */

int64_t today_of(struct cleanup *c);
/* Note how far a folder has come today. */
int age_note(struct cleanup *c, struct pb_str mailbox, struct pb_str folder, uint32_t uidvalidity, uint32_t uidnext, struct pb_error *err);
/* The UID below which all have been there for these days; 0: none that is known. Older notes are removed. */
int age_limit(struct cleanup *c, struct pb_str mailbox, struct pb_str folder, uint32_t uidvalidity, int64_t days, uint32_t *ret, struct pb_error *err);

/* ---- sweep.c ---- */

/* All mailboxes by their settings. Faults of single ones are logged. */
void sweep_all(struct cleanup *c, struct swept *ret);

/* ---- deleted.c ---- */

/* Folders' names; begins with an arena. */
struct names {
	struct pb_arena *arena;
	struct pb_str *list;
	size_t n, cap;
};

struct pb_str names_add(struct names *all, struct pb_str name);
void names_free(struct names *all);

/* Days of a mailbox's deleted messages that are older than this go for good; gives how many. */
int64_t deleted_forget(struct cleanup *c, struct pb_str mailbox, int64_t days);

#define UNUSED __attribute__((unused))
#define METHOD(name) int method_##name(void *self, const struct pb_caller *who, UNUSED const json_t *params, json_t **ret_result, struct pb_error *err)
METHOD(cleanup_run);
METHOD(deleted_list);
METHOD(deleted_restore);

#endif
