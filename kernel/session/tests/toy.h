/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A toy plugin with a toy protocol on the real session room, and a blocking client: what the tests of this room share. */
#ifndef TESTS_SESSION_TOY_H
#define TESTS_SESSION_TOY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <semaphore.h>
#include "kernel/session/internal.h"
#include "kernel/session/link.h"

/*
 * Its commands: ECHO text, DATA (dot-terminated; answers size and hash), BYTES n (a literal), LINE (reads one more), WAIT ms (parks for a line, a
 * notice or that long), DEAF (a notice only), PAUSE ms, HOLD (blocks until the test posts toy.go), BODY n, DOT lines, STARTTLS (alone), UPGRADE (STARTTLS that is not alone),
 * PEER, TLS, LOGIN name, STATE n, SECRET (needs TLS), MINE (needs a user), LAST (alone), BAD (counts an error), WORSE (the same, at most 3), END mailbox, LATE name (END m1, then LOGIN), BIG n (writes n bytes), QUIT.
 */
struct toy {
	struct kernel kernel;
	struct sessions *ss;
	struct pb_host host;
	struct attachment *at;
	struct listener *listener;
	struct pb_protocol protocol;
	const struct pb_protocol *protocols[2];
	sem_t go, holding;
	atomic_int closed, opened, byes[8];
	struct pb_buf spool;	/* what the last DATA wrote */
	struct pb_str body;	/* what BODY and DOT send */
	struct pb_str body_head;
	atomic_int body_refs;
	pthread_mutex_t lock;
	struct pb_buf log;
	bool refuse_all;	/* the connect hook */
};

extern struct toy toy;

/* o may be NULL; clock NULL: the system's. */
void toy_open(const struct sessions_options *o, struct clock *clock);
void toy_close(void);
void toy_attach(void);
void toy_reattach(void);	/* after toy.protocol was changed */
/* A listener on 127.0.0.1 for the toy; its port. */
uint16_t toy_listen(enum listener_tls tls, const char *const *proxies, unsigned max);
/* A session over a socketpair (clear or with STARTTLS); gives the client's end. The greeting was not read. */
int toy_talk(enum listener_tls tls);
int toy_connect(uint16_t port);
void toy_notice(void);	/* everybody who watches */
unsigned toy_watchers(void);
bool toy_logged(const char *text);
void toy_await_closed(int n);	/* so many are gone, with their counts and log lines; no connection is being made meanwhile */
void toy_await_parked(unsigned n);

/* The client's side: fail the test when it does not come within 20 seconds. */
void send_all(int fd, const void *ptr, size_t len);
void send_text(int fd, const char *text);
void expect(int fd, const char *text);
void expect_bytes(int fd, const void *ptr, size_t len);
void expect_eof(int fd);

/* Certificates, made when the test runs: a CA, and leaves signed by it, in a temporary folder. */
void make_certificate(const char *dir, const char *file, const char *name, bool is_ca, const char *ca_file);

#endif
