/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A remote mailbox, whatever protocol it speaks. A session goes: open (greeting, TLS, login), list, any number of bodies and heads, remove, close.
 * Bodies are asked for ahead and read in the same order, so that a round trip is waited for once and not for each message.
 *
 * An error of PB_ENOTFOUND from body or head is about this one message; all others end the session.
 */
#ifndef CONN_POPRETR_REMOTE_H
#define CONN_POPRETR_REMOTE_H

#include <postbus/secret.h>
#include <postbus/str.h>
#include "channel.h"

enum { LISTED_MAX = 2000000, UID_MAX = 1024, REPLY_TEXT = 200 };

struct listed {
	uint32_t number;		/* what the server calls it in this session */
	uint32_t uid_at, uid_len;	/* in the listing's uids; 0 bytes: it has none */
	uint64_t size;			/* as the server says, which need not be so */
};

struct listing {
	struct listed *list;
	size_t n, room;
	struct pb_buf uids;
	bool has_uids;			/* the server has any */
	bool is_rest;			/* only what is new since `from` is listed */
};

static inline struct pb_str listed_uid(const struct listing *l, const struct listed *one)
{
	return pb_str(l->uids.ptr + one->uid_at, one->uid_len);
}
void listing_free(struct listing *l);
struct listed *listing_add(struct listing *l, uint32_t number);

/* How to log in; what is not used is empty. */
struct login {
	struct pb_str user, password;
	struct pb_str token;		/* OAuth 2.0 access token */
	struct pb_str auth;		/* auto, user, apop, plain, scram, oauthbearer, xoauth2 */
	struct pb_str host;
	uint16_t port;
};

struct remote;

struct remote_ops {
	/* Greeting, and TLS by starttls (NULL: not wanted), and login. PB_EDENIED: the credentials are wrong; PB_EBUSY: not now. */
	int (*open)(struct remote *r, const struct login *login, struct pb_error *err);
	int (*list)(struct remote *r, struct listing *ret, struct pb_error *err);
	void (*ask_body)(struct remote *r, const struct listing *l, const struct listed *one);
	void (*ask_head)(struct remote *r, const struct listing *l, const struct listed *one);
	/* The answer to the oldest question. */
	int (*body)(struct remote *r, struct sink *sink, struct pb_error *err);
	int (*head)(struct remote *r, struct sink *sink, struct pb_error *err);
	/* All of them or an error; *ret_gone: how many the server agreed to remove. */
	int (*remove)(struct remote *r, const struct listing *l, const struct listed *const *list, size_t n, size_t *ret_gone, struct pb_error *err);
	/* Says goodbye; only now POP3 removes anything. */
	int (*close)(struct remote *r, struct pb_error *err);
	/* Waits to be told of new mail: begins, and (once the channel has something to read) ends. */
	int (*idle)(struct remote *r, struct pb_error *err);
	int (*wake)(struct remote *r, bool *ret_news, struct pb_error *err);
	void (*free)(struct remote *r);
};

struct remote {
	const struct remote_ops *ops;
	struct channel *channel;
	bool implicit_tls;			/* it is there already */
	int (*starttls)(void *arg, struct pb_error *err);
	void *arg;
	bool slow;				/* this server was caught at not bearing questions ahead: one at a time */
	unsigned ahead;				/* questions that may be open at once */
	char said[REPLY_TEXT];			/* the last refusal, in the server's words */
	char method[24];			/* how it logged in */
	bool can_head;				/* heads alone can be asked for */
	bool can_idle;
};

struct remote *pop3_new(struct channel *c);
struct remote *imap_new(struct channel *c, struct pb_str folder);

/* A server's words as they may go into a log or a table: printable, short. */
void keep_words(char *out, size_t size, struct pb_str words);

#endif
