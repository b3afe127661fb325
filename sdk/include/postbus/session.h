/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Line protocols: a table of commands, run by the kernel's session framework.
 *
 * A session between commands is parked: a small struct, no thread. When whole lines are there, a worker runs the commands one after
 * the other, as plain blocking code. The framework owns framing, TLS, deadlines, minimum rates, limits, overload, shutdown.
 * Output is buffered and sent before parking; errors of streams are sticky: loops need no error branches, the framework closes.
 */
#ifndef POSTBUS_SESSION_H
#define POSTBUS_SESSION_H

#include <postbus/plugin.h>
#include <postbus/bus.h>
#include <postbus/queue.h>
#include <postbus/mailbox.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pb_session;

/* What a command gives back. */
enum { PB_NEXT = 0, PB_CLOSE = 1, PB_PARKED = 2 /* only through pb_park */ };

enum {	/* command flags */
	PB_BEFORE_TLS = 1,	/* refused once TLS is on (STARTTLS) */
	PB_NEEDS_TLS = 2,	/* refused in the clear */
	PB_ALONE = 4,		/* must be the last of a pipelined group: more input behind it is a protocol error (RFC 2920 3.1) */
	PB_NEEDS_USER = 8	/* refused before pb_session_login */
};

struct pb_command {
	const char *name;	/* upper case; matched in any case; NULL ends the table */
	int (*run)(struct pb_session *s, struct pb_str args);	/* args: behind the verb and one blank, without line end */
	unsigned allowed;	/* the states in which it may come: bits of the protocol's own */
	unsigned flags;
};

enum pb_refusal {
	PB_REFUSE_UNKNOWN,	/* no such command */
	PB_REFUSE_STATE,	/* not allowed now */
	PB_REFUSE_TLS_NEEDED, PB_REFUSE_TLS_ON, PB_REFUSE_USER_NEEDED,
	PB_REFUSE_NOT_LAST,	/* input pipelined behind a PB_ALONE command */
	PB_REFUSE_TOO_LONG,	/* the line was over line_max: args is its beginning; the rest was thrown away */
	PB_REFUSE_FRAMING	/* bare CR, bare LF or NUL where the protocol forbids them */
};

enum pb_goodbye {
	PB_BYE_SHUTDOWN,	/* the server stops, or the plugin is drained */
	PB_BYE_IDLE,		/* the idle time is over */
	PB_BYE_SLOW,		/* a deadline or minimum rate was missed inside a command */
	PB_BYE_ERRORS,		/* too many bad commands */
	PB_BYE_OVERLOAD,	/* over a connection limit: said instead of the greeting */
	PB_BYE_REFUSED,		/* a "connect" hook rejected the peer: said instead of the greeting */
	PB_BYE_REVOKED		/* the login does not hold any more: pb_sessions_end */
};

enum { PB_LF_OK = 1 /* a bare LF ends a command line too (never inside message data) */, PB_NUL_OK = 2 };	/* framing */

struct pb_protocol {
	uint32_t size;			/* sizeof this struct where built */
	const char *name;		/* matches "protocol" of the manifest's "listens" entries */
	const struct pb_command *commands;
	size_t session_size;		/* the protocol's own bytes per session, zeroed: pb_session_data */
	unsigned first_state;
	unsigned framing;
	uint32_t line_max;		/* longest command line with its line end */
	uint32_t idle_seconds;		/* parked without input: PB_BYE_IDLE; pb_session_idle changes it */
	uint32_t errors_max;		/* so many bad commands one after the other, or 20 times as many in all: PB_BYE_ERRORS; 0: 10 */

	int (*greet)(struct pb_session *s);	/* connection is there (and TLS, if implicit); a state's first words */
	/* Optional: find verb and args of a line (IMAP: skip the tag). Non-zero: the line was answered or is malformed (the framework
	 * counts nothing); PB_CLOSE: and the session ends. */
	int (*split)(struct pb_session *s, struct pb_str line, struct pb_str *ret_verb, struct pb_str *ret_args);
	/* Answer a line that runs no command; the framework counted an error already. Gives PB_NEXT or PB_CLOSE. */
	int (*refuse)(struct pb_session *s, enum pb_refusal why, struct pb_str verb, struct pb_str args);
	void (*goodbye)(struct pb_session *s, enum pb_goodbye why);	/* last words; the framework closes */
	void (*secured)(struct pb_session *s);	/* STARTTLS is done: forget what was learnt in the clear; may be NULL */
	void (*closed)(struct pb_session *s);	/* free what session data owns; called once, in every case; no output */
	/* Optional: called before each command on a worker (after split): non-zero answers instead of the command; PB_CLOSE: and the session ends. */
	int (*before)(struct pb_session *s, struct pb_str verb);
};

/* ---- what a session knows ---- */

/* The plugin's own data of this session (session_size bytes of its protocol), and the surroundings it works in. */
void *pb_session_data(struct pb_session *s);
void *pb_session_self(struct pb_session *s);			/* the plugin's self */
struct pb_host *pb_session_host(struct pb_session *s);
struct pb_arena *pb_session_arena(struct pb_session *s);	/* reset after each command */
unsigned pb_session_state(struct pb_session *s);
void pb_session_set_state(struct pb_session *s, unsigned state);
const char *pb_session_listener(struct pb_session *s);		/* name of the manifest's "listens" entry: "submission" */
struct pb_str pb_session_peer(struct pb_session *s);		/* "192.0.2.1", "2001:db8::1"; behind PROXY: the real client */
struct pb_str pb_session_local(struct pb_session *s);		/* address it connected to */
uint16_t pb_session_peer_port(struct pb_session *s);
bool pb_session_is_tls(struct pb_session *s);
struct pb_str pb_session_tls_info(struct pb_session *s);	/* "TLS1.3 AES-256-GCM X25519", empty in the clear */
/* Appends what ties a login to this connection: type "tls-exporter" (RFC 9266), "tls-server-end-point" or "tls-unique" (RFC 5929; TLS 1.2 with an extended master
 * secret alone). PB_EUNAVAILABLE: in the clear, no such type, or not with this connection. */
int pb_session_channel_binding(struct pb_session *s, struct pb_str type, struct pb_buf *out, struct pb_error *err);
bool pb_session_can_tls(struct pb_session *s);			/* a certificate is there and TLS is not on yet: announce STARTTLS */
uint64_t pb_session_id(struct pb_session *s);
bool pb_session_has_input(struct pb_session *s);		/* more pipelined input is buffered */

/* Who logged in. */
struct pb_user {
	struct pb_str address;		/* login in address form */
	struct pb_str mailbox;		/* mailbox id */
	struct pb_str postoffice;
	enum pb_role role;
};

void pb_session_login(struct pb_session *s, const struct pb_user *user);	/* copied; counted against "per_user" limits and logged */
const struct pb_user *pb_session_user(struct pb_session *s);	/* NULL before login */
void pb_session_logout(struct pb_session *s);			/* nobody is logged in any more, and counts no longer; nothing where nobody was. The state is the caller's */

/* Count a bad command (the framework does for refusals); more than once in a command counts once, and a command that counts none begins anew.
 * At errors_max the session ends with PB_BYE_ERRORS after this command. */
void pb_session_error(struct pb_session *s);
/* The same against a limit of the caller's: true when this was the max-th one after the other, or the 20 * max-th in all. Then say so, and PB_CLOSE. */
bool pb_session_error_over(struct pb_session *s, unsigned max);
/* End all sessions of a mailbox, of every plugin, with PB_BYE_REVOKED: parked ones at once, busy ones behind the command that they run (for them
 * pb_session_is_dead says yes from now on), and who is just logging in as well. Right: session.end. */
int pb_sessions_end(struct pb_host *host, struct pb_str mailbox, struct pb_error *err);
void pb_session_idle(struct pb_session *s, uint32_t seconds);
/* One line about this session, with plugin, session, peer and user before it. */
void pb_session_log(struct pb_session *s, enum pb_level level, const char *event, const char *fmt, ...) PB_PRINTF(4, 5);

/* ---- output: buffered, sent when the buffer is full and before the session parks ---- */

/* Append bytes, a C string, or formatted text to the output. Errors stick: after a lost connection these do nothing. */
void pb_put(struct pb_session *s, const void *ptr, size_t len);
void pb_putz(struct pb_session *s, const char *z);
void pb_putf(struct pb_session *s, const char *fmt, ...) PB_PRINTF(2, 3);
static inline void pb_putstr(struct pb_session *s, struct pb_str v) { pb_put(s, v.ptr, v.len); }
/* Where many small pieces are written: room for n bytes (n at most 16 KiB) to fill directly, then pb_put_done with what was used. NULL when the stream has failed. */
char *pb_put_room(struct pb_session *s, size_t n);
void pb_put_done(struct pb_session *s, size_t used);
/* len bytes of a body from off on, without copying where possible; off counts from the head, if it has one. */
void pb_put_body(struct pb_session *s, struct pb_body *body, uint64_t off, uint64_t len);
/* A body in dot-stuffed form with its final dot (RFC 5321, 1939); lines: header and so many lines of text, or -1 for all. */
void pb_put_body_dot(struct pb_session *s, struct pb_body *body, int64_t lines);
void pb_flush(struct pb_session *s);
/* The stream is dead: output goes nowhere; or the session ends behind this command (pb_sessions_end). Loops over much may ask now and then. */
bool pb_session_is_dead(struct pb_session *s);

/* ---- input inside a command: blocking, under the framework's deadline and minimum rate. A code other than 0: return PB_CLOSE soon; the framework knows why ---- */

/* The next line without its end, as framed by the protocol; valid until the next read. PB_ETOOBIG: over max (thrown away to its end). */
int pb_read_line(struct pb_session *s, size_t max, struct pb_str *ret_line);
/* Exactly n bytes, appended. Cap n first. */
int pb_read_buf(struct pb_session *s, struct pb_buf *buf, size_t n);
/* Exactly n bytes into the spool (NULL: thrown away). BDAT, literals. */
int pb_read_spool(struct pb_session *s, struct pb_spool *spool, uint64_t n);
/* Message data up to <CRLF>.<CRLF>, unstuffed, into the spool (NULL: thrown away). Bare CR, bare LF and NUL never end it: the rest of the data is
 * read to its strict end and PB_EINVALID is given. A spool error does not stop the reading. */
int pb_read_dot(struct pb_session *s, struct pb_spool *spool);

/* ---- waiting for the user: return pb_park(...) from a command ---- */

enum pb_wake { PB_WAKE_LINE = 1, PB_WAKE_NOTICE = 2, PB_WAKE_TIMEOUT = 4 };

/* The session goes to sleep. woken runs on a worker: with a whole line (LINE), when a watched folder has something newer (NOTICE), or after timeout
 * microseconds (TIMEOUT; always possible). It gives what a command gives: PB_NEXT goes back to the command table. wakes: LINE, NOTICE or both. */
int pb_park(struct pb_session *s, int (*woken)(struct pb_session *s, enum pb_wake why, struct pb_str line), unsigned wakes, int64_t timeout);
/* Which folder gives NOTICEs to this session (NULL: none). The session holds no reference: unwatch before closing the folder. */
void pb_session_watch(struct pb_session *s, struct pb_folder *folder);
/* After this command's output: negotiate TLS (server side); plaintext pipelined behind it is refused. protocol->secured follows. */
int pb_starttls(struct pb_session *s);

#ifdef __cplusplus
}
#endif
#endif
