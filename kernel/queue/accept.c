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
	PB_AUTOBUF(text);
	size_t i = 0;

	do {
		struct pb_str line;

		pb_buf_reset(&text);
		pb_buf_addf(&text, "from=<%.*s> size=%llu", PB_FMT(pb_str_head(env->sender, 600)), (unsigned long long)size);
		if (env->client.len && i == 0)
			pb_buf_addf(&text, " client=%.*s", PB_FMT(pb_str_head(env->client, 64)));
		if (env->user.len && i == 0)
			pb_buf_addf(&text, " user=%.*s", PB_FMT(pb_str_head(env->user, 400)));
		for (; i < env->nrcpts && text.len < TEXT_MAX - 330; i++) {
			pb_buf_addz(&text, " to=<");
			pb_buf_addstr(&text, pb_str_head(env->rcpts[i]->address, 400));
			pb_buf_addc(&text, '>');
		}
		line = pb_buf_str(&text);
		timeline_join(queue_timeline(q), id, who, "accepted", &line, 1);
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

/* An arrival between its change of the store and the flush that makes it durable. */
struct coming {
	struct batch b;
	engine_ticket ticket;
	char id[PB_ID_MAX];
	uint64_t size;
	struct pb_envelope env;		/* dated */
	bool known;			/* its name is: it adds nothing */
	int rc;
	struct pb_error err;
};

/* Into the lane; what it takes to be durable is c->ticket. */
static void apply(struct queue *q, struct pb_host *host, struct coming *c, bool named, const struct body_id *body)
{
	char name[LANE_MAX + 16];
	struct lane *lane;

	snprintf(name, sizeof name, "%s.inbound", host->name);
	pthread_mutex_lock(&q->lock);
	lane = lane_get(q, pb_strz(name));
	pthread_mutex_unlock(&q->lock);
	c->rc = lane ? accept_rows(&c->b, lane, c->id, body, &c->env, &c->err) : pb_fail(&c->err, PB_EINVALID, "'%s' cannot be the name of a lane", name);
	if (!c->rc && named)
		batch_name(&c->b, c->id, clock_now(q->kernel->clock));
	if (!c->rc)
		c->rc = batch_apply(&c->b, &c->ticket, &c->err);
	if (!c->rc)
		return;
	engine_body_discard(q->kernel->engine, body);
	c->known = c->rc == PB_ECONFLICT && named;
}

/* The first half: takes the spool over. */
static void come(struct queue *q, struct pb_host *host, const struct pb_envelope *env, struct pb_spool *spool, struct coming *c)
{
	bool named = spool_is_named(spool);
	struct body_id body;

	memcpy(c->id, pb_spool_id(spool), sizeof c->id);
	batch_init(&c->b, q, queue_shard_of(c->id));
	c->env = *env;
	if (!c->env.received)
		c->env.received = clock_now(q->kernel->clock);
	c->rc = host_may(host, RIGHT_QUEUE_ACCEPT, &c->err);
	if (!c->rc && env->nrcpts == 0)
		c->rc = pb_fail(&c->err, PB_EINVALID, "a message without recipients");
	if (c->rc) {
		pb_spool_discard(spool);
		return;
	}
	c->rc = spool_seal(spool, q->kernel->engine, &body, &c->err);
	if (!c->rc) {
		c->size = body.size;
		apply(q, host, c, named, &body);
	}
}

/* The second half: waits until it is durable, and lets it go on. */
static void arrive(struct queue *q, struct pb_host *host, struct coming *c)
{
	if (c->known) {
		c->rc = accept_again(q, c->b.shard, c->id, &c->err);
	} else if (!c->rc) {
		c->rc = engine_wait(q->kernel->engine, c->ticket, &c->err);
		if (c->rc)
			forget_rows(q, &c->b);
	}
	if (!c->rc && !c->known) {
		accept_note(q, host->name, c->id, &c->env, c->size);
		metric_add(q->accepted, 1);
		pthread_mutex_lock(&q->lock);
		batch_publish(&c->b, c->env.received);
		dispatch_wake_unlock(q);
	}
	batch_free(&c->b);
}

int host_queue_accept(struct pb_host *host, const struct pb_envelope *env, struct pb_spool *spool, char *ret_id, struct pb_error *err)
{
	struct queue *q = host->kernel->queue;
	struct coming c = { 0 };

	come(q, host, env, spool, &c);
	arrive(q, host, &c);
	if (c.rc) {
		if (err)
			*err = c.err;
		return c.rc;
	}
	memcpy(ret_id, c.id, sizeof c.id);
	return 0;
}

/* All of them change the store before the first is waited for, so that one flush makes them durable. */
void host_queue_accept_many(struct pb_host *host, struct pb_arrival *list, size_t n)
{
	struct queue *q = host->kernel->queue;
	struct coming *all = pb_alloc(n * sizeof *all);

	for (size_t i = 0; i < n; i++) {
		come(q, host, list[i].env, list[i].spool, &all[i]);
		list[i].spool = NULL;
	}
	for (size_t i = 0; i < n; i++) {
		arrive(q, host, &all[i]);
		list[i].known = all[i].known;
		list[i].rc = all[i].rc;
		if (all[i].rc)
			list[i].error = all[i].err;
		else
			memcpy(list[i].id, all[i].id, sizeof all[i].id);
	}
	free(all);
}
