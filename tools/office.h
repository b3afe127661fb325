/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A post office of MailEnable between its reading (import_mailenable.c) and its making here (import_office.c). */
#ifndef TOOLS_OFFICE_H
#define TOOLS_OFFICE_H

#include <limits.h>
#include "tools/import.h"

struct mailenable {
	struct feed *feed;
	char config[PATH_MAX], offices[PATH_MAX];
	json_t *map, *auth, *domains;	/* rows of the whole server */
};

/* One post office. */
struct office {
	struct mailenable *me;
	const char *name;
	char dir[PATH_MAX];		/* of its own configuration */
	json_t *domains;		/* list of names; the first one is the main one */
	json_t *mailboxes;		/* name as MailEnable has it, in lower case: { address, aliases } and what its table says */
	json_t *groups, *lists;		/* the same: { address, members, senders }, and of a list the row of its table */
};

static inline const char *text_at(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* A member by a name in any case of letters. */
json_t *get_lower(const json_t *o, struct pb_str key);
/* Does this destination lead to the post office? */
bool is_here(const struct office *o, const char *destination, struct pb_str *ret_type, struct pb_str *ret_name);
/* The mailbox, group or list that it leads to, or NULL. */
json_t *thing_at(const struct office *o, const char *destination);
static inline bool is_mailbox(const json_t *thing)
{
	return json_object_get(thing, "aliases") != NULL;
}
/* The address and domain that a row of the address map is about; false where it is about no mail. */
bool source_of(const json_t *row, struct pb_str *ret_address, struct pb_str *ret_domain);
/* Where a mailbox's mail lies; false where it has none. */
bool mailroot_of(const struct office *o, const json_t *box, char *ret, size_t room);
/* The tables of groups and lists (import_groups.c). */
void read_groups(struct office *o);
void read_lists(struct office *o);
/* The rows of the first of these files that is there. An empty list where none is. */
json_t *read_table(const char *dir, const char *const *names, const char *const *columns);
/* Everything but the mail. */
int office_make(struct office *o, struct pb_error *err);
/* Adds whom a member's row names to a list of addresses. */
void add_member(const struct office *o, json_t *list, const json_t *row);
int make_group(struct office *o, const json_t *group, const char *note, struct pb_error *err);
/* The mailing lists (import_office_list.c). */
int make_lists(struct office *o, struct pb_error *err);

#endif
