/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of this plugin share: the plugin's config, a session's own bytes, replies, and the way a command ends.
 */
#ifndef SVC_IMAP_IMAP_H
#define SVC_IMAP_IMAP_H

#include <stdatomic.h>
#include <postbus/login.h>
#include "parse.h"
#include "set.h"

/* States: bits of pb_command.allowed. */
enum { IMAP_NOT_AUTH = 1, IMAP_AUTH = 2, IMAP_SELECTED = 4, IMAP_ANY = 7 };

enum { IMAP_LINE_MAX = 65536 };		/* a command line; what literals add is the config's "command_max" */

/* The plugin: its config as numbers, read with each reconfigure while sessions are at work. */
struct imap_plugin {
	struct pb_host *host;
	struct pb_login_settings login;
	_Atomic uint32_t keepalive_seconds, nesting_max;
	_Atomic uint64_t append_max, command_max;
	_Atomic bool filter_events, expunge_discarded;
	_Atomic uint32_t events_max, event_workers;
	struct events *events;		/* event.h */
};

/* pb_session_data of every session. A session in IDLE is this and nothing else, so it stays below 100 bytes; what is rare hangs behind a pointer. */
struct imap {
	struct pb_mailbox *mailbox;	/* since login */
	struct pb_folder *folder;	/* selected */
	struct pb_view *view;		/* what the client was told of it */
	struct recent *recent;		/* UIDs that are \Recent in this session (view.c); NULL: none */
	const char *tag;		/* of the command at hand, in the command's arena */
	uint32_t tag_len;
	uint16_t logins_failed;
	bool readonly;
	uint64_t keywords_known;	/* bits of keywords the client was told of (FLAGS response) */
	char *waiting;			/* a command that sleeps: its tag, NUL, what else it must remember, NUL; malloced */
	union {
		int64_t deadline;		/* of that IDLE, ticks */
		struct pb_exchange *exchange;	/* AUTHENTICATE is at work: nobody is logged in, and nothing idles */
	};
};

static inline struct imap *imap_of(struct pb_session *s)
{
	return pb_session_data(s);
}

static inline const struct imap_plugin *imap_plugin_of(struct pb_session *s)
{
	return pb_session_self(s);
}

static inline const struct pb_login_settings *imap_login_of(struct pb_session *s)
{
	return &imap_plugin_of(s)->login;
}

/* ---- filed.c ---- */

/* These messages (UIDs in to, 0 for none) came there from from: told to whom it may concern, where one of the two is the junk folder. */
void filed_tell(struct pb_session *s, struct pb_folder *from, struct pb_folder *to, const uint32_t *uids, size_t n);

/* ---- reply.c: tagged ends. All give what a command gives ---- */

int imap_ok(struct pb_session *s, const char *text);
int imap_no(struct pb_session *s, const char *text);
/* Malformed: counted, and the session ends after a configured number. */
int imap_count_error(struct pb_session *s);
int imap_bad(struct pb_session *s, const char *text);
/* A store error, as NO with its response code (RFC 5530); what is nobody's fault outside is logged. what: "FETCH" */
int imap_failed(struct pb_session *s, const char *what, const struct pb_error *err);
/* The untagged form: why a part of a command went wrong. */
void imap_warn(struct pb_session *s, const char *what, const struct pb_error *err);
/* OK after telling what changed in the selected folder. expunge: EXPUNGE may be told now (not in FETCH, STORE, SEARCH). */
int imap_done(struct pb_session *s, bool expunge, const char *text);
/* "[CODE] " or "": what a code is called on the wire. */
const char *imap_code(int code);
void imap_put_capability(struct pb_session *s);
/* A string as the client may read it: quoted where it can be, else a literal; nil: "NIL" for an empty ptr. */
void imap_put_string(struct pb_session *s, struct pb_str v);
void imap_put_mailbox(struct pb_session *s, struct pb_str name);	/* UTF-8 to an astring of modified UTF-7 */

/* ---- command.c: a whole command with its literals ---- */

/* Reads what literals add to args; *ret is one stretch (args itself when there are none). PB_OK; PB_EINVALID: answered with BAD already;
 * PB_ECLOSED: the stream is dead. return *ret_result from the command in both cases. */
int imap_gather(struct pb_session *s, struct pb_str args, struct pb_str *ret, int *ret_result);
/* Same, up to a literal that would be the second one (APPEND): *ret_literal tells whether one follows, its size and whether "+ " is waited for. */
struct literal {
	uint64_t size;
	bool there, sync;
};
int imap_gather_append(struct pb_session *s, struct pb_str args, struct pb_str *ret, struct literal *ret_literal, int *ret_result);
/* A line that will not be run may end in a literal that comes anyway: throw it away, bounded. False: it was too much, BYE was said; close. */
bool imap_discard_literals(struct pb_session *s, struct pb_str line);

/* ---- commands ---- */

int imap_capability(struct pb_session *s, struct pb_str args);
int imap_noop(struct pb_session *s, struct pb_str args);
int imap_logout(struct pb_session *s, struct pb_str args);
int imap_id(struct pb_session *s, struct pb_str args);
int imap_starttls(struct pb_session *s, struct pb_str args);
int imap_login(struct pb_session *s, struct pb_str args);
int imap_authenticate(struct pb_session *s, struct pb_str args);
int imap_enable(struct pb_session *s, struct pb_str args);
int imap_namespace(struct pb_session *s, struct pb_str args);
int imap_select(struct pb_session *s, struct pb_str args);
int imap_examine(struct pb_session *s, struct pb_str args);
int imap_create(struct pb_session *s, struct pb_str args);
int imap_delete(struct pb_session *s, struct pb_str args);
int imap_rename(struct pb_session *s, struct pb_str args);
int imap_subscribe(struct pb_session *s, struct pb_str args);
int imap_unsubscribe(struct pb_session *s, struct pb_str args);
int imap_list(struct pb_session *s, struct pb_str args);
int imap_lsub(struct pb_session *s, struct pb_str args);
int imap_status(struct pb_session *s, struct pb_str args);
int imap_append(struct pb_session *s, struct pb_str args);
int imap_getmetadata(struct pb_session *s, struct pb_str args);
int imap_setmetadata(struct pb_session *s, struct pb_str args);
int imap_idle(struct pb_session *s, struct pb_str args);
int imap_check(struct pb_session *s, struct pb_str args);
int imap_close(struct pb_session *s, struct pb_str args);
int imap_unselect(struct pb_session *s, struct pb_str args);
int imap_expunge(struct pb_session *s, struct pb_str args);
int imap_search(struct pb_session *s, struct pb_str args);
int imap_fetch(struct pb_session *s, struct pb_str args);
int imap_store(struct pb_session *s, struct pb_str args);
int imap_copy(struct pb_session *s, struct pb_str args);
int imap_move(struct pb_session *s, struct pb_str args);
int imap_uid(struct pb_session *s, struct pb_str args);

int imap_uid_expunge(struct pb_session *s, struct pb_str args);
int imap_run_search(struct pb_session *s, struct pb_str args, bool uid);
int imap_run_fetch(struct pb_session *s, struct pb_str args, bool uid);
int imap_run_store(struct pb_session *s, struct pb_str args, bool uid);
int imap_run_copy(struct pb_session *s, struct pb_str args, bool uid, bool move);

/* The sleeping command's tag is the current one again (false: there is none); and forget it. */
bool imap_wake(struct pb_session *s);
void imap_wait_end(struct pb_session *s);
/* Keep the current tag, and extra behind it, over a sleep. */
void imap_wait(struct pb_session *s, struct pb_str extra);
struct pb_str imap_wait_extra(struct pb_session *s);
/* The command takes nothing: 0, or it was answered with BAD (*ret_result). */
int imap_no_args(struct pb_session *s, struct pb_str args, int *ret_result);

/* ---- annotations.c: methods ---- */

int annotation_set(void *self, const struct pb_caller *who, const json_t *params, json_t **ret_result, struct pb_error *err);
int annotation_list(void *self, const struct pb_caller *who, const json_t *params, json_t **ret_result, struct pb_error *err);

/* Leave the selected folder without a word; the state becomes IMAP_AUTH. */
void imap_deselect(struct pb_session *s);

#endif
