/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Accepting: a spool becomes a body, its envelope a row in the connector's inbound lane; one flush makes both durable. */
#include <stdio.h>
#include <stdlib.h>
#include "kernel/clock/clock.h"
#include "kernel/log/log.h"
#include "kernel/queue/private.h"
#include "kernel/store/spool.h"
#include "kernel/store/timeline.h"

enum { TEXT_MAX = 1900 };

int accept_rows(struct batch *b, struct lane *lane, const char *id, const struct body_id *body, const struct pb_envelope *env, struct pb_error *err)
{
	struct row head = { .kind = PB_ITEM_MESSAGE, .destination = "", .body = *body };
	struct rows_writer w;

	rows_begin(&w, b, lane, STATE_ACTIVE, id, &head, env, queue_id_time(pb_strz(id)));
	for (size_t i = 0; i < env->nrcpts; i++)
		rows_add(&w, &(struct rcpt_state){ .rcpt = *env->rcpts[i] });
	return rows_end(&w, err);
}

/* As many lines as the recipients need; a search by recipient looks at these. */
void accept_note(struct queue *q, const char *who, const char *id, const struct pb_envelope *env, uint64_t size)
{
	char room[TEXT_MAX + 1100];
	size_t i = 0;

	do {
		int n = snprintf(room, sizeof room, "from=<%.*s> size=%llu", PB_FMT(pb_str_head(env->sender, 600)), (unsigned long long)size);

		if (env->client.len && i == 0)
			n += snprintf(room + n, sizeof room - (size_t)n, " client=%.*s", PB_FMT(pb_str_head(env->client, 64)));
		if (env->user.len && i == 0)
			n += snprintf(room + n, sizeof room - (size_t)n, " user=%.*s", PB_FMT(pb_str_head(env->user, 400)));
		for (; i < env->nrcpts && n < TEXT_MAX - 330; i++)
			n += snprintf(room + n, sizeof room - (size_t)n, " to=<%.*s>", PB_FMT(pb_str_head(env->rcpts[i]->address, 400)));
		timeline_put(queue_timeline(q), id, who, "accepted", pb_str(room, (size_t)n));
	} while (i < env->nrcpts);
}

/* Known already: what made it known has to be durable before anybody is told. */
static int accept_again(struct queue *q, unsigned shard, const char *id, struct pb_error *err)
{
	PB_AUTOBUF(value);
	char name[1 + PB_ID_MAX];
	struct pb_str key = { name, (size_t)snprintf(name, sizeof name, "t%s", id) };
	struct engine_row row = { .key = key };
	struct engine_batch same = { .entity = shard_entity(&q->shards[shard]), .expect = ENGINE_ANY, .put = &row, .nput = 1 };
	engine_ticket ticket;
	int rc = engine_get(q->kernel->engine, same.entity, key, &value, err);

	row.value = pb_buf_str(&value);
	if (!rc)
		rc = engine_apply(q->kernel->engine, &same, NULL, &ticket, err);
	return rc ? rc : engine_wait(q->kernel->engine, ticket, err);
}

static void forget_rows(struct queue *q, struct batch *b)
{
	pthread_mutex_lock(&q->lock);
	for (struct entry *e = b->rows; e; e = e->next)
		entry_remove(q, e);
	pthread_mutex_unlock(&q->lock);
}

static int accept_body(struct queue *q, struct pb_host *host, const struct pb_envelope *env, const char *id, bool named, const struct body_id *body,
		       struct pb_error *err)
{
	char name[LANE_MAX + 16];
	struct lane *lane;
	struct batch b;
	engine_ticket ticket;
	int rc;

	batch_init(&b, q, queue_shard_of(id));
	snprintf(name, sizeof name, "%s.inbound", host->name);
	pthread_mutex_lock(&q->lock);
	lane = lane_get(q, pb_strz(name));
	pthread_mutex_unlock(&q->lock);
	rc = lane ? accept_rows(&b, lane, id, body, env, err) : pb_fail(err, PB_EINVALID, "'%s' cannot be the name of a lane", name);
	if (!rc && named)
		batch_name(&b, id, clock_now(q->kernel->clock));
	if (!rc)
		rc = batch_apply(&b, &ticket, err);
	if (rc) {
		engine_body_discard(q->kernel->engine, body);
		if (rc == PB_ECONFLICT && named)
			rc = accept_again(q, b.shard, id, err);
		batch_free(&b);
		return rc;
	}
	rc = engine_wait(q->kernel->engine, ticket, err);
	if (rc) {
		forget_rows(q, &b);
	} else {
		accept_note(q, host->name, id, env, body->size);
		metric_add(q->accepted, 1);
		pthread_mutex_lock(&q->lock);
		batch_publish(&b, env->received);
		dispatch_wake(q);
		pthread_mutex_unlock(&q->lock);
	}
	batch_free(&b);
	return rc;
}

int host_queue_accept(struct pb_host *host, const struct pb_envelope *env, struct pb_spool *spool, char *ret_id, struct pb_error *err)
{
	struct queue *q = host->kernel->queue;
	struct pb_envelope dated = *env;
	char id[PB_ID_MAX];
	bool named = spool_is_named(spool);
	struct body_id body;
	int rc = host_may(host, RIGHT_QUEUE_ACCEPT, err);

	memcpy(id, pb_spool_id(spool), sizeof id);
	if (!rc && env->nrcpts == 0)
		rc = pb_fail(err, PB_EINVALID, "a message without recipients");
	if (rc) {
		pb_spool_discard(spool);
		return rc;
	}
	if (!dated.received)
		dated.received = clock_now(host->kernel->clock);
	rc = spool_seal(spool, host->kernel->engine, &body, err);
	if (!rc)
		rc = accept_body(q, host, &dated, id, named, &body, err);
	if (!rc)
		memcpy(ret_id, id, sizeof id);
	return rc;
}
