/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * IMAP events that scripts run on (RFC 6785): what a client did to messages of a folder that has a script. The event is durable before the command is answered; the
 * scripts run behind it on workers of the kernel, one event of a mailbox after the other, and where the daemon ended in between, after the next start.
 */
#ifndef SVC_IMAP_EVENT_H
#define SVC_IMAP_EVENT_H

#include <postbus/table.h>
#include "imap.h"

enum event_cause { EVENT_APPEND, EVENT_COPY, EVENT_FLAG };

/* A message, and which of its flags (bits of its folder) changed. */
struct event_message {
	uint32_t uid;
	uint64_t changed;
};

enum { EVENT_MESSAGES = 4000, EVENT_TOKEN = 24 };	/* messages of one event at most: more are several */

struct event {
	struct event *next;
	enum event_cause cause;
	char *mailbox, *folder, *script, *address, *postoffice;		/* folder: its id, that a rename leaves as it is */
	struct event_message *messages;
	size_t n, at;			/* how many, and the next one */
	bool busy;			/* a worker has it */
	uint64_t number;		/* of its rows */
	char token[EVENT_TOKEN + 1];	/* no other event's, ever: what is done for it is done once */
	json_t *decided;		/* what the script wants for messages[at], durable; NULL: it has not run */
};

void event_free(struct event *e);

struct events;

struct events *events_new(struct imap_plugin *plugin);
/* Takes up what waited when the daemon ended. */
int events_start(struct events *all, struct pb_error *err);
/* What still waits is left to the next start. NULL is fine. */
void events_free(struct events *all);
/* Now and then: goes on with what nobody works at, because filters were not there. */
void events_tick(struct events *all);
/* Reads the config that is no number. */
void events_configure(struct events *all);
/* No event is begun any more. */
void events_stop(struct events *all);

/* Does anything have to be told? Cheap where the mailbox has no annotations. */
bool event_is_wanted(struct pb_session *s);
/* In a session, when it is done: uids[i] in folder (0 is passed over). APPEND, COPY. */
void event_arrived(struct pb_session *s, enum event_cause cause, struct pb_str folder, const uint32_t *uids, size_t n);
/* The same for flags of messages in the selected folder: before they were as the session's view has them. */
void event_flags(struct pb_session *s, const uint32_t *uids, size_t n, enum pb_store_mode mode, uint64_t flags);
/* " IMAPSIEVE=sieve://host", where scripts run. */
void event_put_capability(struct pb_session *s);

/* ---- event_rows.c: events on disk ---- */

struct event_rows;

int event_rows_open(struct pb_host *host, struct event_rows **ret, struct pb_error *err);
void event_rows_close(struct event_rows *rows);		/* NULL is fine */
/* All that are there, in their order. */
int event_rows_load(struct event_rows *rows, void (*put)(void *arg, struct event *e), void *arg, struct pb_error *err);
/* Durable when it returns 0: all of the list, or none. Gives them their numbers and tokens in any case. */
int event_rows_add(struct event_rows *rows, struct event *list, size_t n, struct pb_error *err);
/* Durable: so far it is done, and what is decided for the next message. */
int event_rows_mark(struct event_rows *rows, const struct event *e, struct pb_error *err);
int event_rows_remove(struct event_rows *rows, const struct event *e, struct pb_error *err);

/* ---- event_run.c: one message ---- */

/* Runs the event's script on its next message, makes what it wants durable, and does it; or does what was decided before. A message that is gone, or a script that
 * is, is nothing. False: nobody runs scripts now, and nothing was done. */
bool event_run(struct imap_plugin *plugin, struct event_rows *rows, struct event *e);

#endif
