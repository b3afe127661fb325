/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The room's inside: what sessions, listeners and attachments are, and who may touch what when.
 *
 * A session is owned by one worker or by nobody. Its slot holds one atomic word: the generation of the session in it, whether it is PARKED,
 * and what has happened since somebody last looked (GOT_ bits). Input, notices, timeouts and drains all do the same thing, session_signal():
 * set their bit, and whoever finds PARKED and takes it off owns the session from then on. An owner parks by putting PARKED on in an exchange that
 * fails when any bit is set, so nothing that happens in between is lost. Slots are never freed and generations never come back soon, so an epoll
 * event or a timer that comes late finds another generation and does nothing.
 *
 * Fields of a session belong to its owner, except where they say otherwise.
 */
#ifndef KERNEL_SESSION_INTERNAL_H
#define KERNEL_SESSION_INTERNAL_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include "kernel/clock/clock.h"
#include "kernel/host.h"
#include "kernel/log/log.h"
#include "kernel/session/desk.h"
#include "kernel/session/frame.h"
#include "kernel/session/pool.h"
#include "kernel/session/sessions.h"
#include "kernel/session/timers.h"
#include "kernel/session/wire.h"

/* ---- slots: slot.c ---- */

enum {	/* the lower half of a slot's word */
	SLOT_LIVE = 1, SLOT_PARKED = 2,
	WANT_NOTICE = 4,	/* parked, and a notice shall wake it */
	GOT_INPUT = 8, GOT_NOTICE = 16, GOT_TIMEOUT = 32, GOT_BYE = 64,
	GOT_ANY = GOT_INPUT | GOT_NOTICE | GOT_TIMEOUT | GOT_BYE
};

struct slot {
	_Atomic uint64_t word;		/* generation << 32 | bits */
	struct pb_session *session;
};

enum { SLOT_CHUNK = 1024, SLOT_CHUNKS = 1024, SLOT_INDEX_BITS = 20, KEY_KIND_SHIFT = 60 };

/* Epoll keys: kind in the top four bits; 0 is the pool's own. */
enum key_kind { KEY_POOL, KEY_TIMERS, KEY_LISTENER, KEY_SESSION };

struct slots {
	pthread_mutex_t lock;
	_Atomic(struct slot *) chunks[SLOT_CHUNKS];
	uint32_t made, nfree, free_cap;
	uint32_t *free;
};

void slots_open(struct slots *sl);
void slots_close(struct slots *sl);
/* The key of a new slot, owned (not parked) by the caller; 0 when there are a million already. */
uint64_t slot_take(struct slots *sl, struct pb_session *s);
void slot_give(struct slots *sl, uint64_t key);
/* Sets got. Gives the session when this call took it out of PARKED: the caller owns it now. NULL: it is gone, or its owner will see the bit. */
struct pb_session *slot_signal(struct slots *sl, uint64_t key, uint32_t got);
/* By the owner: takes and clears the GOT_ bits; parks unless there are any. */
uint32_t slot_got(struct slots *sl, uint64_t key);
bool slot_park(struct slots *sl, uint64_t key, bool want_notice);
bool slot_is_parked(struct slots *sl, uint64_t key);

/* ---- sources.c: connections per source ---- */

struct source;
struct sources {
	pthread_mutex_t lock;
	struct source **table;
	size_t size, used;
};
void sources_open(struct sources *so);
void sources_close(struct sources *so);
/* Counts one more from there, unless there are max already. IPv6 counts by /64. */
bool source_enter(struct sources *so, const struct in6_addr *from, unsigned max);
void source_leave(struct sources *so, const struct in6_addr *from);

/* ---- certificates: tls.c ---- */

struct certificates;
struct certificates *certificates_ref(struct certificates *c);
void certificates_release(struct certificates *c);
/* A server session with these; NULL with a log line when GnuTLS cannot. */
gnutls_session_t tls_server(struct sessions *ss, struct certificates *c);
struct trust;
struct tls_shared {
	pthread_mutex_t lock;
	struct certificates *certificates;	/* NULL: none yet */
	gnutls_datum_t ticket_key;
	gnutls_priority_t priority;
	struct trust *trusts;			/* link_tls.c: loaded CA files */
};
int tls_open(struct tls_shared *t, struct pb_error *err);
void tls_close(struct tls_shared *t);
struct certificates *tls_certificates(struct sessions *ss);	/* a reference, or NULL */
bool tls_has_certificates(struct sessions *ss);
void trusts_free(struct trust *t);

/* ---- the room ---- */

/* What a reload changes while sessions read it. */
struct limits {
	atomic_uint workers_max, connections_max, per_source_max, per_user_max, rate_min;
	atomic_bool count_loopback;
	_Atomic int64_t deadline;
};

/* revoke.c: the mailboxes whose sessions were ended last. */
enum { REVOKED_KEPT = 64 };
struct revocations {
	_Atomic uint64_t count;
	uint64_t mailboxes[REVOKED_KEPT];	/* ss->lock; hashes, by count */
};

struct sessions {
	struct kernel *kernel;
	struct clock *clock;
	struct log *log;
	struct pool *pool;
	struct timers timers;
	struct slots slots;
	struct sources sources, users;		/* users: a hash of plugin and login in place of an address */
	struct tls_shared tls;
	struct limits limits;
	int (*connected)(void *arg, struct pb_session *s);
	void *connected_arg;
	pthread_mutex_t lock;			/* of what follows, and of listeners' attachments */
	struct listener **listeners;		/* index is the epoll key; NULL: closed, free for the next */
	size_t nlisteners;
	struct low_port *low_ports;
	struct attachment *attachments;
	struct revocations revoked;
	atomic_uint open, jobs;
	_Atomic uint64_t last_id;
	struct metric *opened, *refused, *open_now, *handshakes_failed;
};

struct network {
	struct in6_addr address;
	unsigned bits;
};

struct listener {
	struct sessions *ss;
	size_t index;				/* SIZE_MAX: made for an adopted connection, never bound */
	atomic_uint refs, open;
	char *plugin, *name, *protocol, *address;
	bool wildcard;				/* the local address has to be asked for */
	enum listener_tls tls;
	unsigned connections_max;
	struct network *proxies;
	size_t nproxies;
	uint16_t port;
	pthread_mutex_t accepting;		/* fd is not closed meanwhile */
	int fd;
	bool waits;				/* ss->lock; until listener_begin nobody serves it */
	struct listener *heir_of;		/* its socket is this one's too, until listener_begin */
	bool left_path;				/* a heir has the socket, and a Unix socket's path */
	struct attachment *attachment;		/* ss->lock; NULL: paused */
	const struct pb_protocol *serves;	/* ss->lock */
	struct timer retry;			/* no descriptors left: look again */
};

/*
 * Ports below 1024 that were closed by a daemon that is not root and so, most likely, could not open them again: bound still, but nobody listens, so that
 * connections are refused. They are kept until the daemon ends; another program may listen there meanwhile if it is root and asks for it (SO_REUSEADDR).
 */
struct low_port {
	struct low_port *next;
	char *address;
	uint16_t port;
	int fd;
};

/* Closes a socket of this address, or keeps it, if its port could not be opened again. */
void low_port_leave(struct sessions *ss, const char *address, uint16_t port, int fd);
/* One that was kept, not listening; -1: there is none. */
int low_port_take(struct sessions *ss, const char *address, uint16_t port);
/* Keeps one that does not listen. */
void low_port_keep(struct sessions *ss, const char *address, uint16_t port, int fd);
void low_ports_free(struct sessions *ss);

void listener_ref(struct listener *l);
void listener_release(struct listener *l);
void listener_event(struct sessions *ss, size_t index, struct desk *desk);
/* ss->lock held. Accepting goes on (at != NULL) or pauses; one that waits is passed over. */
void listener_serve(struct listener *l, struct attachment *at, const struct pb_protocol *protocol);
bool network_parse(const char *text, struct network *ret);
bool network_has(const struct network *n, size_t count, const struct in6_addr *address);

struct attachment {
	struct sessions *ss;
	struct pb_host *host;
	struct pb_protocol *protocols;		/* copies: a plugin built for an older SDK has shorter ones */
	size_t nprotocols;
	struct attachment *next;		/* ss->lock */
	atomic_bool draining;
	pthread_mutex_t lock;			/* of what follows */
	pthread_cond_t gone;
	struct pb_session *sessions;
	unsigned open;
};

/* NULL: it does not serve that one. */
const struct pb_protocol *attachment_serves(const struct attachment *at, const char *protocol);
/* False when it is draining. */
bool attachment_enter(struct attachment *at, struct pb_session *s);
void attachment_leave(struct attachment *at, struct pb_session *s);

enum phase {
	PHASE_PROXY,		/* a PROXY header is awaited */
	PHASE_ADMIT,		/* who it is, is known: limits, the connect hook */
	PHASE_TLS_FIRST,	/* handshake of an implicit listener; the greeting follows */
	PHASE_TLS,		/* handshake after STARTTLS */
	PHASE_GREET,
	PHASE_COMMANDS
};

struct pb_session {
	struct pb_handle handle;		/* first */
	struct job job;				/* claimed, and waits for a worker */
	struct timer timer;
	uint64_t key;				/* slot and generation */
	struct attachment *attachment;
	const struct pb_protocol *protocol;
	struct listener *listener;
	struct pb_session *next, **prev;	/* attachment->lock */
	struct wire wire;
	struct desk *desk;			/* NULL while parked */
	char *saved;				/* input that waited here while parked */
	uint32_t nsaved;
	uint32_t state, idle_seconds;
	uint16_t errors;			/* one after the other */
	uint16_t peer_port;
	uint32_t errors_all;
	uint8_t phase;
	uint8_t wakes;				/* of woken */
	uint8_t refuse;				/* enum: why it is admitted only to be sent away; 0: it is welcome */
	uint8_t framing_skip;			/* the rest of a bad line is thrown away */
	bool in_epoll, counted, source_counted, noticed, starttls, leaving, lost, too_slow, too_many_errors, inward, tls_want_write, greeted, half_closed, user_counted, over_user, erred;
	atomic_bool revoked;
	char *names;				/* peer, NUL, local, NUL; replaced under attachment->lock */
	uint8_t npeer, nlocal;
	_Atomic uint32_t commands;
	uint64_t revocations;			/* how many there had been when this command began */
	struct in6_addr source;
	struct in6_addr user_key;
	struct pb_user *user;			/* set under attachment->lock */
	char *tls_info;				/* set under attachment->lock */
	struct certificates *certificates;
	int (*woken)(struct pb_session *s, enum pb_wake why, struct pb_str line);
	int64_t wake_due;			/* 0: none; the idle time holds */
	int64_t active;				/* ticks at the end of the last command */
	int64_t opened;				/* clock_now */
	struct watcher *watcher;
	uint64_t id;
	_Alignas(max_align_t) char data[];	/* the protocol's own */
};

#define SS(s) ((s)->attachment->ss)

/* ---- session.c: life ---- */

/* Takes fd over; starts it on this desk, or on another worker where desk is NULL. Counts total and listener. */
void session_open(struct listener *l, struct attachment *at, const struct pb_protocol *protocol, int fd, const struct sockaddr_storage *peer, const char *peer_name,
		  struct desk *desk);
/* By the owner: works until there is nothing to do, then parks or ends it. */
void session_run(struct pb_session *s, struct desk *desk);
void session_signal(struct sessions *ss, uint64_t key, uint32_t got);
void session_event(struct sessions *ss, uint64_t key, struct desk *desk);
/* The words that open its log lines. */
void session_where(const struct pb_session *s, struct pb_buf *out);
void session_set_names(struct pb_session *s, const char *peer, const char *local);
void address_text(const struct in6_addr *a, char *out, size_t size);

/* ---- commands.c ---- */

enum step { STEP_PARK, STEP_CLOSE, STEP_ON };
enum step session_serve(struct pb_session *s);
void session_bye(struct pb_session *s, enum pb_goodbye why);
/* So many bad commands one after the other, or ERRORS_ALL times as many in all: nobody makes up for them by good ones without end. */
enum { ERRORS_ALL = 20 };
static inline bool session_has_erred(const struct pb_session *s, unsigned max)
{
	return s->errors >= max || s->errors_all / ERRORS_ALL >= max;
}

/* ---- revoke.c ---- */

/* It has logged in: was the mailbox revoked while the command was running that found the login good? */
void session_check_revoked(struct pb_session *s);

/* ---- enter.c: what comes before the first command; each gives STEP_ON when the phase is over ---- */

enum step enter_proxy(struct pb_session *s);
enum step enter_admit(struct pb_session *s);
enum step enter_tls(struct pb_session *s);
int64_t enter_patience(const struct pb_session *s);	/* microseconds a phase before the greeting may take */
bool enter_from_loopback(const struct pb_session *s);

/* ---- input.c, output.c ---- */

/* What is there now, without waiting; 0 bytes is fine. Sets lost at the end of the connection. */
int input_fill(struct pb_session *s, size_t *ret_n);
void input_save(struct pb_session *s);
void input_restore(struct pb_session *s);
void input_make_room(struct pb_session *s, size_t want);
bool output_flush(struct pb_session *s);		/* false: the stream is dead */
void output_try(struct pb_session *s);			/* as much as goes without waiting */
/* Waits for the socket, under the deadline (lines) or the rate (bodies). 0, or the code: PB_ETIMEOUT, PB_ECLOSED. */
int session_wait(struct pb_session *s, short events, bool body);
void session_begin_command(struct pb_session *s, struct pb_str verb);

#endif
