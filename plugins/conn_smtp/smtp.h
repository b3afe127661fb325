/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of this connector share: its settings, an inbound conversation, and the functions each file gives to the others.
 * The courier's own side (peers, routes, cached links) is in courier.h.
 */
#ifndef CONN_SMTP_SMTP_H
#define CONN_SMTP_SMTP_H

#include <pthread.h>
#include <postbus/address.h>
#include <postbus/bus.h>
#include <postbus/queue.h>
#include <postbus/sasl.h>
#include <postbus/session.h>
#include "mailproto/network.h"
#include "mailproto/params.h"

#define CHUNK_DRAIN_MAX 4	/* refused chunks of up to this many times the size limit are read and thrown away; larger ones end the session */

enum { CONNECTED = 1, GREETED = 2, MAIL = 4, CHUNKS = 8, ANY = CONNECTED | GREETED | MAIL | CHUNKS };

enum tls_policy { TLS_NONE, TLS_MAY, TLS_ENCRYPT, TLS_VERIFY };

/* Read from the config once, immutable, shared by the sessions and deliveries that began under it. */
struct settings {
	_Atomic unsigned refs;
	char *hostname, *banner, *postmaster;
	uint64_t size_max;
	size_t header_max;
	unsigned recipients_max, messages_max, errors_max, refusals_max, logins_max, hops_max;
	bool auth_on_smtp, check_from;
	struct networks relays;
	/* the courier's */
	json_t *routes;			/* domain: "host:port"; owned */
	char *smart_host, *smart_user, *smart_password, *bind, *trust;
	enum tls_policy tls, smart_tls;
	uint16_t port;
	unsigned hosts_max, batch_max, idle_seconds, reuse_max;
	int64_t connect_timeout, greeting_timeout, command_timeout, data_timeout, block_timeout, dot_timeout;
};

struct links;

struct smtp {
	struct pb_host *host;
	struct settings *settings;	/* the current ones; under lock */
	pthread_mutex_t lock;
	struct links *links;		/* idle links to other servers */
	struct pb_table *sent;		/* by logins whose hourly number is limited (rate.h) */
};

/* PB_EINVALID when a value is wrong in a way that the manifest cannot say. */
int settings_read(struct pb_host *host, struct settings **ret, struct pb_error *err);
struct settings *settings_get(struct smtp *smtp);			/* a reference: settings_put */
void settings_put(struct settings *set);				/* NULL is fine */

/* One inbound connection: the protocol's session data. */
struct conversation {
	struct settings *set;
	struct pb_envelope *env;
	struct pb_spool *spool;		/* BDAT: the chunks so far */
	int chunk_error;		/* BDAT: why they are thrown away, or 0 */
	struct pb_exchange *exchange;	/* AUTH is at work */
	json_t *headers;		/* of verdicts in this transaction: array of "Name: value", or NULL */
	json_t *early_headers;		/* of verdicts at connect and helo, for every message of the session */
	size_t connect_headers;		/* how many of them are of connect: a new EHLO forgets the others */
	json_t *policy;			/* the settings of the login, in this transaction; NULL: nobody logged in */
	json_t *notes;			/* of verdicts at connect and helo: object, or NULL */
	char helo[HELO_MAX + 1];
	bool submission, relay, esmtp, discard;
	unsigned refusals, logins, messages;
};

/* reply.c */
#define SAY(s, text) pb_put((s), text "\r\n", sizeof(text "\r\n") - 1)
int say(struct pb_session *s, const char *line);			/* a whole line without its end; gives PB_NEXT */
int fault(struct pb_session *s, const char *line);			/* the same for the client's mistakes: counted, and the last one ends the session */
int say_failure(struct pb_session *s, const struct pb_error *err);	/* our own troubles: 452, 451 */
int refuse(struct pb_session *s, enum pb_refusal why, struct pb_str verb, struct pb_str args);
void goodbye(struct pb_session *s, enum pb_goodbye why);

/* ask.c */
/* Asks the hooks at a point. False: the verdict was answered, *ret_next is what the command gives back. */
bool ask(struct pb_session *s, const char *point, struct pb_str id, struct pb_str recipient, int *ret_next);

/* transaction.c */
void transaction_reset(struct pb_session *s);

/* allowed.c: 0: mail may come from this address by the directory's word; PB_EDENIED: it may not; else: it could not be asked */
int belongs_to_login(struct pb_session *s, struct pb_str address, struct pb_error *err);
/* What the settings of the login and of the recipient allow. False: answered, *ret_next */
bool allowed_mail(struct pb_session *s, uint64_t size, int *ret_next);
bool allowed_size(struct pb_session *s, uint64_t size, int *ret_next);
bool allowed_rcpt(struct pb_session *s, struct pb_str address, bool local, int *ret_next);
/* *ret: whether who lives at this route takes mail from this sender. */
bool is_taken_from(struct pb_session *s, const json_t *route, bool *ret, int *ret_next);
bool allowed_message(struct pb_session *s, int *ret_next);

/* the commands */
int greet(struct pb_session *s);
void secured(struct pb_session *s);
void closed(struct pb_session *s);
int cmd_ehlo(struct pb_session *s, struct pb_str args);
int cmd_helo(struct pb_session *s, struct pb_str args);
int cmd_starttls(struct pb_session *s, struct pb_str args);
int cmd_noop(struct pb_session *s, struct pb_str args);
int cmd_rset(struct pb_session *s, struct pb_str args);
int cmd_quit(struct pb_session *s, struct pb_str args);
int cmd_help(struct pb_session *s, struct pb_str args);
int cmd_vrfy(struct pb_session *s, struct pb_str args);
int cmd_expn(struct pb_session *s, struct pb_str args);
int cmd_auth(struct pb_session *s, struct pb_str args);
int cmd_mail(struct pb_session *s, struct pb_str args);
int cmd_rcpt(struct pb_session *s, struct pb_str args);
int cmd_data(struct pb_session *s, struct pb_str args);
int cmd_bdat(struct pb_session *s, struct pb_str args);

/* submit.c: what a message needs before it may be queued */
/* Begin a spool with our Received field on top. */
int spool_begin(struct pb_session *s, struct pb_spool **ret, struct pb_error *err);
/* Judge and complete the spool: header size, loops, From, missing fields, verdict headers. False: answered, *ret_next; the spool may have been exchanged for another. */
bool complete(struct pb_session *s, struct pb_spool **spool, int *ret_next);

#endif
