/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lanes: durable queues of items with leases, retry times, hold, per-recipient reasons, dead letters. An item is at one place at any time:
 * it moves by one batch that settles it and writes its successors, or stays in hand where it is until its delivery in the house is settled (hop.c).
 */
#ifndef KERNEL_QUEUE_QUEUE_H
#define KERNEL_QUEUE_QUEUE_H

#include <jansson.h>
#include "kernel/kernel.h"
#include "kernel/store/engine.h"
#include <postbus/queue.h>

struct queue;
struct consumer;

/* Uses clock, log, engine, timeline of the kernel. Reads no items yet. */
int queue_open(struct kernel *kernel, struct queue **ret, struct pb_error *err);

/* Who works on lanes. One that is detached leaves its items in the lanes. */
struct consumer_options {
	struct pb_host *host;
	const char *const *lanes;	/* "conn_smtp.outgoing", or "*.inbound"; NULL-terminated */
	int (*work)(void *self, struct pb_item *item, struct pb_error *err);	/* deliver or process */
	unsigned workers;		/* at once over all; 0: 8 */
	unsigned per_destination;	/* at once for one destination; 0: no limit */
	const uint32_t *ladder;		/* seconds between attempts; the last repeats */
	size_t nladder;
	uint32_t expire_seconds, delay_notice_seconds;	/* 0: 5 days; 4 hours */
	unsigned poison_attempts;	/* stage errors before an item is a dead letter; 0: 10 */
	bool flush;			/* what it delivers cannot be done again unseen: settled deliveries are flushed before the lease ends */
};
int queue_attach(struct queue *q, const struct consumer_options *o, struct consumer **ret, struct pb_error *err);
/* Other numbers for one that works: workers, per_destination, ladder, expiry and notice of o; what is in hand is settled by them already. */
void queue_retune(struct consumer *c, const struct consumer_options *o);
/* No new items; waits for those in hand, at most timeout microseconds. PB_ETIMEOUT: some work still runs; what it settles counts, and its host
 * must not go away before it ends; ask again then. After 0 c is gone. */
int queue_detach(struct consumer *c, int64_t timeout);

/* Administration; all results are JSON as the methods queue.* of kernel.json describe them. */
int queue_list(struct queue *q, const json_t *params, json_t **ret, struct pb_error *err);	/* lane, sender, recipient, state, limit, after */
int queue_show(struct queue *q, const char *id, json_t **ret, struct pb_error *err);
int queue_hold(struct queue *q, const json_t *params, json_t **ret, struct pb_error *err);	/* id, or lane/sender/recipient: as list */
int queue_release(struct queue *q, const json_t *params, json_t **ret, struct pb_error *err);
int queue_retry(struct queue *q, const json_t *params, json_t **ret, struct pb_error *err);
int queue_delete(struct queue *q, const json_t *params, json_t **ret, struct pb_error *err);
int queue_counts(struct queue *q, json_t **ret, struct pb_error *err);				/* per lane: ready, deferred, held, leased, dead; note: nobody serves what waits */

/* The end is near: who is killed from now on was too slow, which says nothing about what is in hand. */
void queue_ending(struct queue *q);
/* Look at the clock again, which a test has turned by hand. */
void queue_poke(struct queue *q);
void queue_close(struct queue *q);

#endif
