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
 *	- the row of a hop that is settled waits some milliseconds for a batch of its shard that takes it along, still in hand: most often the next
 *	  message's. Where none comes a worker without work sees to it.
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
	return !item->want && !item->reentries && !item->entry->under && !item->bodies && all_sent(item);
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

/* ---- rows that go later ---- */

bool hop_end(struct queue *q, struct entry *e, const struct body_id *body)
{
	struct shard *s = &q->shards[e->shard];
	struct entry *row = e->under;
	bool room;

	if (!row)
		return false;
	pthread_mutex_lock(&s->lock);
	room = s->nlater < LATER_MAX;
	if (room) {
		s->later[s->nlater].row = row;
		s->later[s->nlater++].body = *body;
		atomic_fetch_add(&q->later, 1);
		pthread_mutex_lock(&q->lock);
		row->over = NULL;
		entry_part(q, e);
		pthread_mutex_unlock(&q->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return room;
}

size_t hop_collect(struct batch *b, struct entry *ret[LATER_MAX])
{
	struct shard *s = &b->q->shards[b->shard];

	for (size_t i = 0; i < s->nlater; i++) {
		struct entry *row = s->later[i].row;

		batch_gone(b, row->lane, row->state, row->due, row->id, row->sub);
		batch_unref(b, &s->later[i].body);
		ret[i] = row;
	}
	return s->nlater;
}

void hop_gone(struct queue *q, struct entry *const *rows, size_t n)
{
	pthread_mutex_lock(&q->lock);
	for (size_t i = 0; i < n; i++)
		entry_finish(q, rows[i]);
	pthread_mutex_unlock(&q->lock);
	atomic_fetch_sub(&q->later, (unsigned)n);
}

void hop_sweep(struct queue *q)
{
	struct pb_error err = { 0 };

	for (unsigned i = 0; i < SHARDS && atomic_load(&q->later); i++) {
		struct batch b;
		bool some;

		pthread_mutex_lock(&q->shards[i].lock);
		some = q->shards[i].nlater > 0;
		pthread_mutex_unlock(&q->shards[i].lock);
		if (!some)
			continue;
		batch_init(&b, q, i);
		if (batch_apply(&b, NULL, &err))
			log_line(q->kernel->log, PB_ERROR, NULL, "queue.settle", "shard=%u error=%s", i, pb_logq(pb_strz(err.text)));
		batch_free(&b);
	}
}
