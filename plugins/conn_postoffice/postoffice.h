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
#include <postbus/table.h>
#include "srs.h"

struct inboxes;
struct events;

struct postoffice {
	struct pb_host *host;
	struct events *events;			/* programs that hear of deliveries (event.h) */
	char secret[SRS_SECRET];
	struct pb_table *replies;		/* who had an automatic answer */
	struct pb_table *senders;		/* those that have no room in a rewritten address (srs.h) */
	struct inboxes *inboxes;
};

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

/* ---- a delivery to a mailbox: what is decided, then done ---- */

enum { PLACES_MAX = 32 };

/* A folder that gets a copy. */
struct place {
	struct pb_str folder;			/* empty: INBOX */
	struct pb_str id;			/* RFC 9042: tried first; empty: none */
	unsigned special_use;			/* PB_FOLDER_*, tried next; 0: none */
	bool create;				/* where there is none; else INBOX gets it */
	const json_t *flags;			/* to set, or NULL */
	bool is_public;				/* a public folder of the mailbox's post office */
	bool kept;				/* where keep puts it: a redirection of the mailbox's settings may stand for it */
	unsigned version;			/* what the message is there */
};

struct delivery {
	struct postoffice *po;
	struct pb_item *item;
	struct pb_recipient *to;
	const json_t *mailbox;			/* directory.mailbox */
	struct pb_str id, address;		/* of the mailbox */
	struct pb_verdict verdict;
	json_t *filtered;			/* filter.run, or NULL */
	struct pb_subject about;		/* of filter.run: versions of the message (RFC 5293 6) */
	unsigned version;			/* the one that is kept; 0: as it came */
	struct pb_spool *changed;		/* the version at hand; NULL: as it came */
	struct pb_buf head;			/* Return-Path and what else stands before a copy */
	struct pb_str token;			/* that a copy is known by; empty: the message's id */
	size_t nfiled;				/* copies of what was sent (file_copy) */
	/* decided */
	bool junk;				/* what would go to INBOX goes to the junk folder */
	struct place places[PLACES_MAX];
	size_t nplaces;
	const json_t *sends[PLACES_MAX];	/* redirect, vacation, notify: actions that send something */
	size_t nsends;
	char reply[400];			/* refused: what the sender hears; empty: not */
	bool elsewhere;				/* it went to a public folder instead of being kept */
	const json_t *quarantine;		/* it is held back: the action, or NULL */
	const char *dropped;			/* why nothing is left, where there is no copy */
};

/* Run the filters of post office and mailbox, and take down what they want (filter.c). PB_EUNAVAILABLE and its like: later. */
int filter_delivery(struct delivery *d, struct pb_error *err);
/* This version is at hand from now on; what an answer's entry says (filter.c). */
void take_version(struct delivery *d, unsigned version);
unsigned version_of(const json_t *entry);
/* PB_FOLDER_* by its name, as in "\\Sent"; 0: none (filter.c). */
unsigned special_use_of(struct pb_str name);
/* Put a copy into a folder, once however often it is tried (place.c). */
int place_copy(struct delivery *d, const struct place *place, uint32_t *ret_uid, struct pb_error *err);
/* An automatic answer to the sender (autoreply.c). */
struct answer {
	struct pb_str subject, from, text, html, handle;	/* subject, from: empty is what is usual */
	bool is_entity;				/* text is a MIME entity */
	const json_t *fcc;			/* the action that says where a copy of it goes, or NULL */
	const json_t *addresses;		/* more of the mailbox's own, or NULL */
	int64_t seconds;			/* that this sender gets no other with this handle */
};
/* Sends it, unless RFC 3834 forbids it or he had one. 0 in all these cases. */
int answer_sender(struct delivery *d, const struct answer *a, struct pb_error *err);
/* RFC 5435 and 5436: a notification by mail (notify.c). */
int send_notify(struct delivery *d, const json_t *a, struct pb_error *err);
/* A message of this server's own, under the null sender; it enters once however often the delivery is tried. what tells its kind from others. */
/* What an action gives as From, if its script may: a user's only where it is an address of his, as when he sends mail himself. Empty: the mailbox's own. */
struct pb_str from_of(struct delivery *d, const json_t *action);
int send_written(struct delivery *d, const char *what, struct pb_str to, struct pb_str bytes, struct pb_error *err);
/* RFC 8580: a copy of what was sent, where the action wants one; it is there once however often the delivery is tried. */
void file_copy(struct delivery *d, const json_t *action, struct pb_str bytes);
/* Do what sends something, in the settling of the item (send.c). */
int send_all(struct delivery *d, struct pb_error *err);

/* Send item's message on to these addresses, in from's name (a mailbox id or "group/..."); policy as for rewrite_sender. */
int send_on(struct postoffice *po, struct pb_item *item, struct pb_recipient *to, struct pb_str from, const json_t *policy, const json_t *addresses, struct pb_error *err);
/* A foreign sender becomes one of ours where the message leaves the house, so that SPF holds, unless policy (NULL: that of to's domain) says otherwise. */
int rewrite_sender(struct postoffice *po, struct pb_recipient *to, const json_t *policy, struct pb_str next, struct pb_envelope *env, struct pb_error *err);
int method_srs_encode(void *self, const struct pb_caller *who, const json_t *params, json_t **ret_result, struct pb_error *err);
/* Senders that are kept: what a rewritten address stands for, and away with those whose addresses are good no more (senders.c). */
int sender_rewrite(struct postoffice *po, struct pb_str sender, struct pb_str domain, struct pb_buf *out, struct pb_error *err);
int sender_decode(struct postoffice *po, struct pb_str local, struct pb_buf *out, struct pb_error *err);
void senders_forget(struct postoffice *po);

/* ---- who may write (receive.c) ---- */

/* Does the recipient's target take mail from this sender? False: settled. */
bool may_come_in(struct postoffice *po, struct pb_item *item, struct pb_recipient *to);
/* A copy for the archive of a post office (agent_mta): always taken, into the INBOX, and the post office's filters have no say in it. */
bool is_archive_copy(struct pb_item *item);
/* The same for a mailbox that is known already. */
bool mailbox_is_open(struct postoffice *po, struct pb_item *item, struct pb_recipient *to, const json_t *mailbox);

/* ---- quotas (quota.c) ---- */

/* A folder of this mailbox, opened for a delivery: what the setting quota_folders says about its name holds from now on. */
void quota_bind(const json_t *mailbox, struct pb_folder *folder, struct pb_str name);
/* From how much to how much a mailbox grew, by something that has this name. */
struct quota_step {
	uint64_t messages_before, bytes_before, messages, bytes;
	struct pb_str token;
};
/* Its owner gets a notice where that passes one of the levels of the setting quota_warn. */
void quota_stepped(struct postoffice *po, const json_t *mailbox, const struct quota_step *step);
/* The same for a copy of so many bytes. */
void quota_delivered(struct delivery *d, const struct pb_usage *usage, uint64_t bytes);
/* The method. */
int quota_notify(void *self, const struct pb_caller *who, const json_t *params, json_t **ret_result, struct pb_error *err);
/* Settle what does not fit, as the setting quota_full says. */
void settle_full(struct delivery *d);

/* The same piece by piece: the item's envelope without recipients, as it is sent on in from's name; and a recipient of it, who stands for to. */
struct pb_envelope *sent_on_envelope(struct pb_item *item, struct pb_str from);
struct pb_rcpt *sent_on_rcpt(struct pb_envelope *env, struct pb_recipient *to, struct pb_str address);
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
