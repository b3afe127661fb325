/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Workers, listeners and sessions. Listeners are bound before privileges go, or by a new configuration, and outlive the plugins behind them.
 */
#ifndef KERNEL_SESSION_SESSIONS_H
#define KERNEL_SESSION_SESSIONS_H

#include <jansson.h>
#include "kernel/kernel.h"
#include <postbus/session.h>

struct sessions;
struct listener;
struct attachment;

struct sessions_options {
	unsigned workers_min, workers_max;	/* 0: 2, 256 */
	unsigned connections_max;		/* 0: 20,000 */
	unsigned per_source_max;		/* 0: 100; loopback is not counted unless count_loopback */
	bool count_loopback;
	unsigned per_user_max;			/* sessions of one login with one plugin; over it: PB_BYE_OVERLOAD after the login's answer. 0: no limit. Loopback as above */
	int64_t deadline;			/* microseconds a command may wait for input in all; 0: 5 minutes */
	unsigned rate_min;			/* bytes a second a body must come or go with after a grace of 10 s; 0: 64 */
	/* The "connect" hook: on a worker, before the greeting, when the peer is known; non-zero: PB_BYE_REFUSED. May be NULL.
	 * Code, not configuration: sessions_reconfigure leaves it as it is. */
	int (*connected)(void *arg, struct pb_session *s);
	void *connected_arg;
};
int sessions_open(struct kernel *kernel, const struct sessions_options *o, struct sessions **ret, struct pb_error *err);
int sessions_reconfigure(struct sessions *ss, const struct sessions_options *o, struct pb_error *err);

/* Certificates: the first is the default, the others are chosen by SNI from their names. Loading again replaces all for new connections; an error leaves the old ones. */
struct certificate_files {
	const char *cert, *key;			/* PEM paths */
};
int sessions_certificates(struct sessions *ss, const struct certificate_files *files, size_t n, struct pb_error *err);
/* One pair, read and thrown away: does it fit? */
int certificate_check(const struct certificate_files *files, struct pb_error *err);
/* 192.0.2.0/24, 2001:db8::/32, or one address. */
bool network_is_valid(const char *text);

enum listener_tls { LISTENER_CLEAR, LISTENER_STARTTLS, LISTENER_IMPLICIT };

struct listener_options {
	const char *plugin, *name, *protocol;	/* "conn_smtp", "submission", "smtp" */
	const char *address;			/* numeric, or "/path" */
	uint16_t port;				/* 0: any free one */
	enum listener_tls tls;
	const char *const *proxies;		/* networks whose PROXY header is believed (and required); NULL: none */
	unsigned connections_max;		/* of this listener; 0: no own limit */
	bool waits;				/* bound, but accepting only after listener_begin */
	struct listener *heir_of;		/* goes on with the socket of this one, which is to be closed after listener_begin; waits too. NULL: a new socket */
};
int listener_bind(struct sessions *ss, const struct listener_options *o, struct listener **ret, struct pb_error *err);
void listener_begin(struct listener *l);
uint16_t listener_port(const struct listener *l);
/* Give the port, one that was asked for by number, free to another address of this process, and take it back: an open socket needs no right to listen again.
 * Who waits in its backlog is cut. */
void listener_rest(struct listener *l);
void listener_resume(struct listener *l);
/* Nobody new is accepted; sessions that came by it go on. */
void listener_close(struct listener *l);

/* A plugin serves: its listeners (bound under its name) accept from now on; connections that came before wait in the backlog. */
int sessions_attach(struct sessions *ss, struct pb_host *host, const struct pb_protocol *const *protocols, struct attachment **ret, struct pb_error *err);
/* Stop accepting, say goodbye to parked sessions, wait for busy ones (at most timeout microseconds), then cut them. After 0 a is gone. PB_ETIMEOUT: cut off,
 * some still run the plugin's code, which must not go away before they end; ask again then. */
int sessions_detach(struct attachment *a, int64_t timeout);

/* Other rooms' work on the same pool. PB_EBUSY when more than 1,000 jobs wait. */
int sessions_work(struct sessions *ss, void (*job)(void *arg), void *arg, struct pb_error *err);
/* Call again every `every` microseconds on a worker until cancelled. Cancelling waits for a running call, at most timeout microseconds: after 0 it is gone;
 * PB_ETIMEOUT: it runs still, for the last time; ask again. */
struct repeat;
struct repeat *sessions_repeat(struct sessions *ss, int64_t every, void (*job)(void *arg), void *arg);
void sessions_repeat_every(struct repeat *r, int64_t every);		/* the next call comes so much later than now */
int sessions_repeat_cancel(struct repeat *r, int64_t timeout);

/* A ready-made connection over an open socket, which is taken over: the testkit's door. listener: pb_session_listener; the protocol of that name, else the first. */
int sessions_adopt(struct attachment *a, int fd, const char *listener, enum listener_tls tls, const char *peer, struct pb_error *err);
/* What is due by the clock, happens: for tests, after a manual clock was turned. With the system's clock it happens by itself. */
void sessions_kick(struct sessions *ss);
/* A new array of objects: id, plugin, listener, peer, since, tls, idle, commands, user. */
void sessions_list(struct sessions *ss, json_t **ret);
void sessions_close(struct sessions *ss);

#endif
