/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The memory engine with flushes that the test decides: what is applied is seen by writers, but durable only when it is let go. */
#include "kernel/store/tests/mailfix.h"
#include <pthread.h>
#include <stdlib.h>
#include "kernel/store/engine_ops.h"

struct pending {
	struct pending *next;
	void (*then)(void *arg);
	void *arg;
};

struct slow {
	struct engine base;
	struct engine *real;
	pthread_mutex_t lock;
	pthread_cond_t moved;
	engine_ticket durable;
	uint64_t applies;
	bool hold;
	int fail_after;
	struct pending *pending;
};

static struct slow *of(struct engine *e)
{
	return (struct slow *)e;
}

/* Lock held on entry, free on return. */
static void let_go(struct slow *s)
{
	struct pending *list = s->pending;

	s->durable = engine_durable(s->real);
	s->pending = NULL;
	pthread_cond_broadcast(&s->moved);
	pthread_mutex_unlock(&s->lock);
	for (struct pending *next; list; list = next) {
		next = list->next;
		list->then(list->arg);
		free(list);
	}
}

static int apply(struct engine *e, const struct engine_batch *b, uint64_t *ret_version, engine_ticket *ret_ticket, struct pb_error *err)
{
	struct slow *s = of(e);
	engine_ticket ticket = 0;
	int rc;

	pthread_mutex_lock(&s->lock);
	if (!s->fail_after) {
		pthread_mutex_unlock(&s->lock);
		return pb_fail(err, PB_EUNAVAILABLE, "the test lets nothing through");
	}
	if (s->fail_after > 0)
		s->fail_after--;
	rc = s->real->ops->apply(s->real, b, ret_version, &ticket, err);
	s->applies++;
	if (!rc && ret_ticket)
		*ret_ticket = ticket;
	if (s->hold)
		pthread_mutex_unlock(&s->lock);
	else
		let_go(s);
	return rc;
}

static int wait_for(struct engine *e, engine_ticket ticket, struct pb_error *err)
{
	struct slow *s = of(e);

	(void)err;
	pthread_mutex_lock(&s->lock);
	while (s->durable < ticket)
		pthread_cond_wait(&s->moved, &s->lock);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

static engine_ticket durable(struct engine *e)
{
	struct slow *s = of(e);
	engine_ticket t;

	pthread_mutex_lock(&s->lock);
	t = s->durable;
	pthread_mutex_unlock(&s->lock);
	return t;
}

static void when_durable(struct engine *e, engine_ticket ticket, void (*then)(void *arg), void *arg)
{
	struct slow *s = of(e);
	struct pending *p;

	pthread_mutex_lock(&s->lock);
	if (ticket <= s->durable) {
		pthread_mutex_unlock(&s->lock);
		then(arg);
		return;
	}
	p = pb_alloc(sizeof *p);
	*p = (struct pending){ s->pending, then, arg };
	s->pending = p;
	pthread_mutex_unlock(&s->lock);
}

#define REAL (of(e)->real)

static int head(struct engine *e, struct pb_str entity, uint64_t *ret_version, struct pb_buf *header, struct pb_error *err)
{
	return REAL->ops->head(REAL, entity, ret_version, header, err);
}

static int get(struct engine *e, struct pb_str entity, struct pb_str key, struct pb_buf *value, struct pb_error *err)
{
	return REAL->ops->get(REAL, entity, key, value, err);
}

static int scan(struct engine *e, struct pb_str entity, struct pb_str from, struct pb_str to, size_t limit, struct engine_page *page,
		struct pb_error *err)
{
	return REAL->ops->scan(REAL, entity, from, to, limit, page, err);
}

static int body_write(struct engine *e, const struct pb_str *parts, size_t nparts, struct pb_str facts, struct body_id *ret, struct pb_error *err)
{
	return REAL->ops->body_write(REAL, parts, nparts, facts, ret, err);
}

static void body_discard(struct engine *e, const struct body_id *id)
{
	REAL->ops->body_discard(REAL, id);
}

static int body_open(struct engine *e, const struct body_id *id, struct engine_body **ret, struct pb_error *err)
{
	return REAL->ops->body_open(REAL, id, ret, err);
}

static int body_facts(struct engine *e, const struct body_id *id, struct pb_buf *out, struct pb_error *err)
{
	return REAL->ops->body_facts(REAL, id, out, err);
}

static int drop(struct engine *e, struct pb_str entity, struct pb_error *err)
{
	return REAL->ops->drop(REAL, entity, err);
}

static int entities(struct engine *e, struct pb_str prefix, struct pb_str after, size_t limit, struct engine_page *page, struct pb_error *err)
{
	return REAL->ops->entities(REAL, prefix, after, limit, page, err);
}

static void close_both(struct engine *e)
{
	struct slow *s = of(e);

	engine_close(s->real);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->moved);
	free(s);
}

static const struct engine_ops slow_ops = {
	.name = "slow", .apply = apply, .wait = wait_for, .durable = durable, .when_durable = when_durable, .head = head, .get = get, .scan = scan,
	.body_write = body_write, .body_discard = body_discard, .body_open = body_open, .body_facts = body_facts, .drop = drop, .entities = entities,
	.close = close_both,
};

struct engine *slow_engine(void)
{
	struct slow *s = pb_alloc(sizeof *s);
	struct engine_options o = { 0 };
	struct pb_error err;

	assert_int_equal(engine_memory_open(&o, &s->real, &err), 0);
	s->base.ops = &slow_ops;
	s->fail_after = -1;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->moved, NULL);
	return &s->base;
}

void slow_hold(struct engine *e, bool hold)
{
	struct slow *s = of(e);

	pthread_mutex_lock(&s->lock);
	s->hold = hold;
	if (hold)
		pthread_mutex_unlock(&s->lock);
	else
		let_go(s);
}

void slow_fail_after(struct engine *e, int n)
{
	of(e)->fail_after = n;
}

uint64_t slow_applies(struct engine *e)
{
	return of(e)->applies;
}
