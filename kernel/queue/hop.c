/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Hops: what an agent sends on as one item to a courier of this house needs no row of its own. The successor (over) stands in memory alone, on the row
 * of the item that it follows (under), whose lease goes on until the successor is settled; that batch takes the row away. So at any moment
 *
 *	- the item is where its row is: in the inbound lane, in hand. Counts, lists and drains see it there;
 *	- a crash loses the hop and nothing else: the row is routed again. What was delivered already is known by its token;
 *	- a hop that nobody works on can be undone, since nothing of it was written: that is how an administrator gets the item, and what is left of
 *	  a courier that goes away. While it is worked on, an administrator's wish is noted with the row, and kept when it is settled;
 *	- what remains after the first attempt, or waits for seconds, gets a row like everything else.
 *
 * Couriers whose deliveries leave the house (flush) get rows at once: what they do cannot be done again unseen, and may take minutes.
 */
#include "kernel/clock/clock.h"
#include "kernel/log/log.h"
#include "kernel/queue/private.h"

enum { WAITING_MAX = 64, WAIT_SECONDS = 2 };

static bool all_sent(const struct pb_item *item)
{
	for (size_t i = 0; i < item->n; i++)
		if (!item->to[i].in_hand || item->to[i].outcome != SENT)
			return false;
	return true;
}

/* Somebody is there to work on it, soon. */
static bool takes_hops(const struct lane *lane, const struct entry *from)
{
	return lane->consumer && !lane->consumer->flush && lane != from->lane && lane->count < WAITING_MAX;
}

bool hop_fits(const struct pb_item *item)
{
	return !item->want && !item->reentries && !item->entry->under && all_sent(item);
}

struct lane *hop_begin(struct queue *q, struct batch *b, struct entry *from, int64_t now)
{
	struct entry *e = b->rows;
	struct lane *lane = e && !e->next ? e->lane : NULL;

	if (!lane)
		return NULL;
	pthread_mutex_lock(&q->lock);
	if (!takes_hops(lane, from)) {
		pthread_mutex_unlock(&q->lock);
		return NULL;
	}
	b->rows = NULL;
	e->under = from;
	e->since = now;
	from->over = e;
	from->asked = false;
	e->hop_next = q->hops;
	e->hop_at = &q->hops;
	if (q->hops)
		q->hops->hop_at = &e->hop_next;
	q->hops = e;
	entry_add(q, e);
	entry_publish(q, e);
	pthread_mutex_unlock(&q->lock);
	return lane;
}

void hop_taken(struct entry *e)
{
	if (!e->hop_at)
		return;
	*e->hop_at = e->hop_next;
	if (e->hop_next)
		e->hop_next->hop_at = e->hop_at;
	e->hop_next = NULL;
	e->hop_at = NULL;
}

void hop_undo(struct queue *q, struct entry *e)
{
	e->under->over = NULL;
	entry_remove(q, e);
	entry_free(q, e);
}

/* It waits for long: from now on it has a row. The reference to the body goes on from the old row to the new one. */
static void write_one(struct queue *q, struct entry *e, int64_t now)
{
	struct entry *from = e->under, *fresh;
	struct pb_error err = { 0 };
	struct batch b;
	int rc;

	batch_init(&b, q, e->shard);
	fresh = batch_row(&b, e->lane, STATE_ACTIVE, e->due, e->id, queue_sub(q));
	fresh->blob = e->blob;
	e->blob = (struct pb_buf)PB_BUF;
	batch_gone(&b, from->lane, from->state, from->due, from->id, from->sub);
	rc = batch_apply(&b, NULL, &err);
	if (rc)
		log_line(q->kernel->log, PB_ERROR, NULL, "queue.hop", "id=%s lane=%s error=%s", e->id, e->lane->name, pb_logq(pb_strz(err.text)));
	pthread_mutex_lock(&q->lock);
	if (rc)
		lane_look_again(from->lane, from->due, now + PB_MINUTE);
	else
		batch_publish(&b, now);
	entry_finish(q, e);
	pthread_mutex_unlock(&q->lock);
	batch_free(&b);
}

void hop_write_late(struct queue *q, int64_t now)
{
	pthread_mutex_lock(&q->lock);
	for (struct entry *e = q->hops, *next; e; e = next) {
		next = e->hop_next;
		if (now - e->since < WAIT_SECONDS * PB_SECOND)
			continue;
		entry_unlink(q, e);
		e->place = LEASED;
		e->under->asked = true;
		pthread_mutex_unlock(&q->lock);
		write_one(q, e, now);
		pthread_mutex_lock(&q->lock);
		next = q->hops;
	}
	pthread_mutex_unlock(&q->lock);
}
