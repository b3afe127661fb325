/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Administration that changes items: hold, release, retry, delete. Finding them is admin_find.c's business, showing admin_list.c's. */
#include <stdlib.h>
#include "kernel/clock/clock.h"
#include "kernel/log/log.h"
#include "kernel/queue/admin.h"
#include "kernel/store/timeline.h"

enum act { ACT_HOLD, ACT_RELEASE, ACT_RETRY, ACT_DELETE };

static const char *const words[] = { "held", "released", "retry", "deleted" };

/* What an act applies to. A retry makes an item fresh, so a walk over a lane that grows by it comes to its end. */
static bool act_fits(enum act act, bool named, const struct found *f)
{
	switch (act) {
	case ACT_HOLD:
		return f->state == STATE_ACTIVE;
	case ACT_RELEASE:
		return f->state != STATE_ACTIVE;
	case ACT_RETRY:
		return count_of(f->state, f->due, f->id) == COUNT_DEFERRED || (named && f->state == STATE_DEAD);
	case ACT_DELETE:
		return true;
	}
	return false;
}

/* Take the lease of what a row stands for, so that nobody else does anything with it. NULL: it is in hand, and the wish was noted with it. */
static struct entry *claim(struct queue *q, enum act act, const struct found *f, bool *ret_noted)
{
	static const enum want wants[] = { WANT_HOLD, WANT_NOTHING, WANT_RETRY, WANT_DELETE };
	struct entry *e;

	*ret_noted = false;
	pthread_mutex_lock(&q->lock);
	e = entry_find(q, f->id, f->sub);
	if (e && e->over && e->over->place == READY) {
		entry_unlink(q, e->over);
		hop_undo(q, e->over);
	} else if (e && e->place == READY) {
		entry_unlink(q, e);
		e->place = LEASED;
	} else if (e) {
		if (!e->asked && e->place == LEASED && !e->administered) {
			e->want = wants[act];
			*ret_noted = true;
		}
		e = NULL;
	} else {
		e = lane_entry_new(f->lane, f->shard, f->state, f->due, f->id, f->sub);
		e->place = LEASED;
		entry_add(q, e);
	}
	if (e)
		e->administered = true;
	pthread_mutex_unlock(&q->lock);
	return e;
}

/* The same item elsewhere: another key, and for release and retry every recipient's turn. */
static int move_row(struct batch *b, const struct entry *e, enum act act, struct row *row, struct pb_error *err)
{
	int64_t now = clock_now(b->q->kernel->clock);
	struct rows_writer w;
	struct rcpt_state to;

	if (act != ACT_HOLD)
		row->errors = 0;
	rows_begin(&w, b, e->lane, act == ACT_HOLD ? STATE_HELD : STATE_ACTIVE, e->id, row, &row->env, act == ACT_HOLD ? now : queue_id_time(pb_strz(e->id)));
	for (size_t i = 0; i < row->nrcpts; i++) {
		if (row_rcpt_get(row, &to, err))
			return err->code;
		if (act != ACT_HOLD)
			row_turn_now(&to);
		rows_add(&w, &to);
	}
	return rows_end(&w, err);
}

static int change(struct queue *q, struct entry *e, enum act act, struct pb_error *err)
{
	PB_AUTOBUF(value);
	engine_ticket ticket = 0;
	struct row row;
	struct batch b;
	struct key key;
	int rc;

	key_row(&key, e->state, pb_str(e->lane->name, e->lane->len), e->due, e->id, e->sub);
	if (engine_get(q->kernel->engine, shard_entity(&q->shards[e->shard]), key_str(&key), &value, err) || item_decode(&row, pb_buf_str(&value), err))
		return err->code;
	batch_init(&b, q, e->shard);
	rc = act == ACT_DELETE ? 0 : move_row(&b, e, act, &row, err);
	if (!rc) {
		batch_gone(&b, e->lane, e->state, e->due, e->id, e->sub);
		batch_unref(&b, &row.body);
		rc = batch_apply(&b, &ticket, err);
	}
	/* A dead letter may take the daemon with it at once: then it is known that it was let go. */
	if (!rc && e->state == STATE_DEAD)
		rc = engine_wait(q->kernel->engine, ticket, err);
	if (!rc) {
		timeline_text(queue_timeline(q), e->id, "kernel", words[act], e->lane->name);
		pthread_mutex_lock(&q->lock);
		batch_publish(&b, clock_now(q->kernel->clock));
		dispatch_wake(q);
		pthread_mutex_unlock(&q->lock);
	}
	row_free(&row);
	batch_free(&b);
	return rc;
}

struct acting {
	struct queue *q;
	enum act act;
	bool named;			/* by its id, not met on a walk */
	size_t done;
	struct pb_error *err;
};

/* PB_ENOTFOUND: it was settled meanwhile, which is as good. */
static int act_on(void *arg, const struct found *f)
{
	struct acting *a = arg;
	struct entry *e;
	bool noted;
	int rc;

	if (!act_fits(a->act, a->named, f))
		return 0;
	e = claim(a->q, a->act, f, &noted);
	a->done += noted;
	if (!e)
		return 0;
	rc = change(a->q, e, a->act, a->err);
	pthread_mutex_lock(&a->q->lock);
	if (rc && rc != PB_ENOTFOUND)
		lane_look_again(e->lane, e->due, 0);
	entry_finish(a->q, e);
	pthread_mutex_unlock(&a->q->lock);
	a->done += rc == 0;
	return rc == PB_ENOTFOUND ? 0 : rc;
}

static int act_all(struct queue *q, const json_t *params, enum act act, json_t **ret, struct pb_error *err)
{
	struct acting a = { .q = q, .act = act, .named = json_object_get(params, "id") != NULL, .err = err };
	int rc = found_each(q, params, act_on, &a, err);

	if (rc)
		return rc;
	if (json_object_get(params, "id") && a.done == 0)
		return pb_fail(err, PB_ENOTFOUND, "nothing of '%s' can be %s", json_string_value(json_object_get(params, "id")), act == ACT_RETRY ? "retried" : words[act]);
	*ret = json_pack("{s:I}", "items", (json_int_t)a.done);
	return 0;
}

int queue_hold(struct queue *q, const json_t *params, json_t **ret, struct pb_error *err)
{
	return act_all(q, params, ACT_HOLD, ret, err);
}

int queue_release(struct queue *q, const json_t *params, json_t **ret, struct pb_error *err)
{
	return act_all(q, params, ACT_RELEASE, ret, err);
}

int queue_retry(struct queue *q, const json_t *params, json_t **ret, struct pb_error *err)
{
	return act_all(q, params, ACT_RETRY, ret, err);
}

int queue_delete(struct queue *q, const json_t *params, json_t **ret, struct pb_error *err)
{
	return act_all(q, params, ACT_DELETE, ret, err);
}
