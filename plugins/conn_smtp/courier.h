/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One delivery in hand: the item, its recipients and where each of them stands. */
#ifndef CONN_SMTP_COURIER_H
#define CONN_SMTP_COURIER_H

#include "downgrade.h"
#include "peer.h"

enum standing {
	WAITING,	/* to be tried at this host */
	ACCEPTED,	/* its RCPT was taken in the transaction under way */
	ELSEWHERE,	/* not again at this host, but at the next */
	LATER,		/* not again in this attempt */
	SETTLED		/* the queue knows */
};

struct job {
	struct pb_recipient *to;
	const struct pb_rcpt *rcpt;
	enum standing standing;
	struct outcome *why;		/* what was said last, where it is still to be tried; owned */
};

struct delivery {
	struct smtp *smtp;
	const struct settings *set;
	struct pb_item *item;
	const struct pb_envelope *env;
	struct pb_str body;
	bool body_8bit, header_utf8, long_lines;
	struct pb_buf facts;		/* of body as it is sent; made where it has to be converted */
	bool converted;			/* for the peer in hand: to what, and how long it is then */
	unsigned conversion;
	uint64_t wire_size;
	bool verp;			/* each recipient has a reverse-path of its own, and so a transaction */
	bool track;			/* successes are told to the sender by this host (a hook at report.due), so no other is asked for them */
	struct pb_str front;		/* whole lines to send before the body: signatures over the message as it is, so not where it is converted */
	struct job *jobs;
	size_t njobs;
};

/* deliver.c */
int deliver(void *self, struct pb_item *item, struct pb_error *err);
/* Remember why a recipient is still to be tried. */
void job_defer(struct job *job, const struct outcome *why, enum standing standing);
void job_fail(struct delivery *d, struct job *job, const char *remote, const char *reply);
void job_deliver(struct delivery *d, struct job *job, const struct peer *p, const char *reply);

/* send.c */
enum sent {
	SENT_OK,	/* the link can be used again */
	SENT_CLOSE,	/* it cannot; what was said is in the jobs */
	SENT_STALE	/* the link was dead before a word was said about this message */
};
/* A transaction for the first waiting recipients, at most batch_max of them, and for those behind them as long as each asks for its message. */
enum sent send_batch(struct delivery *d, struct peer *p);

/* limits.c */
/* Can this peer take this message at all? Fails the recipients for which it cannot, in words of our own. */
void check_limits(struct delivery *d, const struct peer *p);
/* The address as this peer can take it. False: it cannot. */
bool wire_address(struct pb_buf *out, struct pb_str address, const struct peer *p);
bool is_ascii(struct pb_str s);

#endif
