/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The queue's life: opening reads four counters' rows and no items. */
#include <stdlib.h>
#include "kernel/log/log.h"
#include "kernel/queue/private.h"

unsigned queue_sequence(struct queue *q)
{
	return atomic_fetch_add_explicit(&q->sequence, 1, memory_order_relaxed);
}

uint64_t queue_sub(struct queue *q)
{
	return atomic_fetch_add_explicit(&q->next_sub, 1, memory_order_relaxed);
}

unsigned queue_shard_of(const char *id)
{
	return pb_crc32c(0, id, strlen(id)) % SHARDS;
}

struct timeline *queue_timeline(struct queue *q)
{
	return q->kernel->timeline;
}

static struct metric *counter(struct queue *q, const char *name, const char *help)
{
	return metric_declare(q->kernel->log, METRIC_COUNTER, name, NULL, help);
}

int queue_open(struct kernel *kernel, struct queue **ret, struct pb_error *err)
{
	struct queue *q = pb_alloc(sizeof *q);
	uint64_t first;
	int rc = 0;

	q->kernel = kernel;
	pthread_mutex_init(&q->lock, NULL);
	pb_random(&first, sizeof first);
	atomic_init(&q->next_sub, first);
	q->accepted = counter(q, "queue_accepted_total", "Messages accepted.");
	q->delivered = counter(q, "queue_delivered_total", "Recipients delivered to.");
	q->relayed = counter(q, "queue_relayed_total", "Recipients handed to hosts that know no DSN.");
	q->retried = counter(q, "queue_retried_total", "Attempts that ended with a retry.");
	q->failed = counter(q, "queue_failed_total", "Recipients that failed for good.");
	q->dead = counter(q, "queue_dead_total", "Items that became dead letters.");
	for (unsigned s = 0; s < SHARDS; s++) {
		int one = shard_open(q, s, rc ? NULL : err);

		rc = rc ? rc : one;
	}
	if (!rc)
		rc = inhand_open(q, err);
	if (!rc)
		rc = dispatch_start(q, err);
	if (rc) {
		queue_close(q);
		return rc;
	}
	*ret = q;
	return 0;
}

void queue_close(struct queue *q)
{
	if (!q)
		return;
	if (q->timer_runs)
		dispatch_stop(q);
	hop_sweep(q);
	for (unsigned s = 0; s < SHARDS; s++)
		for (size_t i = 0; i < q->shards[s].nlater; i++)	/* the store took no writes: they are there at the next start */
			entry_finish(q, q->shards[s].later[i].row);
	inhand_close(q);
	for (size_t i = 0; i < q->nlanes; i++)
		lane_clear(q, q->lanes[i]);
	for (size_t i = 0; i < q->nlanes; i++)
		lane_free(q->lanes[i]);
	for (unsigned s = 0; s < SHARDS; s++)
		shard_close(&q->shards[s]);
	free(q->lanes);
	free(q->table);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

void queue_ending(struct queue *q)
{
	inhand_ending(q);
}

void queue_poke(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	dispatch_poke(q);
	pthread_mutex_unlock(&q->lock);
}
