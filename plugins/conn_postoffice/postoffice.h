/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of conn_postoffice share. Who is who stays the directory's affair, how messages are kept the store's.
 *
 * What it sends on keeps its id, so that a message stays one copy in each mailbox whatever ways lead there. The note "redirected" in the envelope
 * lists the mailboxes and groups that sent it on.
 */
#ifndef CONN_POSTOFFICE_H
#define CONN_POSTOFFICE_H

#include <postbus/bus.h>
#include <postbus/mailbox.h>
#include <postbus/plugin.h>
#include <postbus/queue.h>

struct inboxes;

struct postoffice {
	struct pb_host *host;
	struct inboxes *inboxes;
	struct pb_str junk;
};

static inline struct pb_str text_of(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_string(v) ? pb_str(json_string_value(v), json_string_length(v)) : PB_NOSTR;
}

/* ---- open folders (inboxes.c) ---- */

struct inbox;

/* At most so many INBOXes stay open. */
struct inboxes *inboxes_new(struct pb_host *host, size_t limit);
void inboxes_free(struct inboxes *all);
/* The open INBOX of a mailbox; shared, give it back. PB_ENOTFOUND. */
int inboxes_get(struct inboxes *all, struct pb_str mailbox, struct inbox **ret, struct pb_error *err);
struct pb_folder *inbox_folder(struct inbox *box);
void inboxes_put(struct inboxes *all, struct inbox *box);
/* It turned out to be gone: nobody gets this handle again. */
void inboxes_drop(struct inboxes *all, struct inbox *box);

/* ---- one recipient each (mailbox.c, group.c, redirect.c); every one of them settles ---- */

void deliver_mailbox(struct postoffice *po, struct pb_item *item, struct pb_recipient *to, struct pb_str id);
void deliver_group(struct postoffice *po, struct pb_item *item, struct pb_recipient *to, struct pb_str target);
void deliver_redirect(struct postoffice *po, struct pb_item *item, struct pb_recipient *to, struct pb_str address);

/* Send item's message on to these addresses, in from's name (a mailbox id or "group/..."). */
int send_on(struct pb_item *item, struct pb_recipient *to, struct pb_str from, const json_t *addresses, struct pb_error *err);
/* Has it been sent on from here before? */
bool was_sent_on(struct pb_item *item, struct pb_str from);
/* Settle with what a failed step means: a fault of ours is tried again, with these words in the log. */
void settle_fault(struct postoffice *po, struct pb_recipient *to, const char *doing, const struct pb_error *err);

/* ---- expansion (expand.c), over any directory ---- */

struct resolver {
	/* As directory.resolve and directory.members answer; *ret: a new reference. */
	int (*resolve)(void *arg, struct pb_str address, json_t **ret, struct pb_error *err);
	int (*members)(void *arg, struct pb_str target, json_t **ret, struct pb_error *err);
	void *arg;
};

struct expansion {
	json_t *addresses;	/* who gets it in the end, each mailbox and each address once */
	json_t *skipped;	/* members that lead nowhere: "bob@example.org: no such address" */
};

#define EXPANSION { NULL, NULL }

/* All members of a group, through groups in it. PB_ETOOBIG over max addresses; PB_ENOTFOUND: the group itself is gone; any other error: try again later. */
int expand_group(const struct resolver *r, struct pb_str target, size_t max, struct expansion *ret, struct pb_error *err);
void expansion_clear(struct expansion *e);

#endif
