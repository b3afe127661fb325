/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One session with a remote mailbox: what is there (plan.c), what of it is taken (take.c), and what may be removed there (settle.c).
 *
 * A message goes through these moments, each durable before the next:
 *	1. its remote id, its header and a hash of all of it are noted as pending (seen.c)
 *	2. it is in our queue, under an id that is made of the account and its remote id: taken twice, it is there once
 *	3. it is known as taken
 *	4. nothing of it is in the queue any more: it was delivered, or failed.c knows that it was not
 *	5. it is removed there, if the account wants that
 * Where its remote id is another the next time, it goes on under its token: the id under which it came first.
 */
#ifndef CONN_POPRETR_FETCH_H
#define CONN_POPRETR_FETCH_H

#include "popretr.h"

/* A message of the listing, and what it is known as. */
struct mail {
	const struct listed *one;
	unsigned char uid[UID_HASH], head[HEAD_HASH];
	unsigned char token[UID_HASH];	/* what the queue knows it by: its uid, or the one under which it came first */
	bool named;			/* uid is set; else the whole message has to be read to know it */
	bool has_head;
	bool doubled;			/* its id stands for others too: the head is part of the name */
	bool wanted;
	uint8_t attempt;		/* of delivering it */
	const json_t *failed;		/* it was here, and could not be delivered */
};

struct fetch {
	struct run *run;
	struct listing listing;
	struct seen seen;
	json_t *failed;			/* failed_load */
	struct mail *mails;		/* as listed */
	struct gone {
		unsigned char hash[HEAD_HASH];	/* of its header; of what is pending, of all of it */
		uint32_t at;		/* in seen.list */
	} *gone;			/* taken before or on its way then, and not listed now, by hash */
	size_t ngone;
	size_t nbig, nroom;		/* too large; for which the mailbox has no room */
	size_t nbroken, nremoved;	/* which the server does not give; which it is to remove */
	uint64_t room;			/* bytes that the mailbox may still get; UINT64_MAX: no limit */
	int64_t began;			/* microseconds since 1970 */
};

/* Bytes that a message may have; 0: any. */
uint64_t plan_limit(const struct run *run);
int plan_make(struct fetch *f, struct pb_error *err);
enum { RENAMED = 2 };			/* entries that say that a message goes under another id */
/* The same message as one that was taken under another id. What has to be written down of that is appended to out. */
bool plan_is_renamed(struct fetch *f, struct mail *m, struct seen_entry *out, size_t *n);
/* The same as one that was on its way under another id; text: hash of all of it. NULL: there is none. */
struct seen_entry *plan_pending(struct fetch *f, const unsigned char *text);
/* It is known as e: sets what the queue knows it by, and which attempt this is. False: it is here already, or is not to be tried again now. */
bool plan_take_up(struct fetch *f, struct mail *m, const struct seen_entry *e);
/* SHA-256 of a header without the empty line behind it, as far as it is kept. */
void plan_head(struct pb_str message, unsigned char *out);
/* What a message is known by whose id stands for several, or is missing. */
void plan_name(const struct fetch *f, struct mail *m);

/* Everything that is wanted. *ret_broken: the connection ended inside a message, and others may be had in another session. */
int take_all(struct fetch *f, bool *ret_broken, struct pb_error *err);
/* Remove there what is due. */
int settle_all(struct fetch *f, struct pb_error *err);
/* Queue id of a message. */
void token_id(struct fetch *f, const unsigned char *name, unsigned attempt, char *ret_id);
void token_of(const struct fetch *f, const unsigned char *name, unsigned attempt, struct pb_buf *out);

#endif
