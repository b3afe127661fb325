/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Another server at the end of a link: what it can do, and how it is met. And the links that wait for the next message. */
#ifndef CONN_SMTP_PEER_H
#define CONN_SMTP_PEER_H

#include <postbus/link.h>
#include "answer.h"
#include "route.h"

struct peer {
	struct pb_link *link;
	char *key;			/* what must be equal to use it again */
	char *name, *address;
	bool pipelining, eightbit, smtputf8, dsn, starttls, size, auth_plain, auth_login;
	uint64_t size_max;		/* 0: no limit was announced */
	bool tls;
	bool dirty;			/* a transaction was left open: RSET before the next */
	unsigned used;			/* transactions so far */
	int64_t since;			/* idle since, in ticks */
	struct peer *next;
};

/* What one EHLO line announces. Pure. */
void peer_capability(struct peer *p, struct pb_str line);

/* Connect, greeting, EHLO or HELO, TLS, login. NULL: *why (permanent only where the server itself said so). */
struct peer *peer_open(struct smtp *smtp, const struct settings *set, const struct target *t, struct outcome *why);
/* Reads one reply. False: *why tells what was lost; the link is of no use any more. doing: "waiting for the greeting". */
bool peer_answer(struct peer *p, struct answer *a, const char *doing, struct outcome *why);
/* Says QUIT where polite; NULL is fine. */
void peer_close(struct peer *p, bool polite);

struct links *links_new(void);
/* An open, silent link to this target, or NULL. */
struct peer *links_take(struct links *links, struct smtp *smtp, const struct settings *set, const struct target *t);
/* Keep it for the next message to t, or close it. */
void links_give(struct links *links, struct smtp *smtp, const struct settings *set, const struct target *t, struct peer *p);
/* Close what has waited too long; all: everything, and from now on nothing is kept. */
void links_sweep(struct links *links, struct smtp *smtp, bool all);
void links_free(struct links *links);		/* NULL is fine */

#endif
