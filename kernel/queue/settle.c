/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Settling: what a plugin said of an item becomes one batch, which takes its row away and writes what remains, what follows and what is reported. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "kernel/clock/clock.h"
#include "kernel/log/log.h"
#include "kernel/queue/private.h"
#include "kernel/store/timeline.h"

enum { PAUSE_MS = 200 };

int64_t settle_due(const struct consumer *c, unsigned attempts, int64_t now)
{
	const struct ladder *l = atomic_load(&c->ladder);

	return now + l->seconds[attempts < l->n ? attempts : l->n - 1] * PB_SECOND;
}

/* Failures that say nothing about the message: the house is not in order, so the item is not to blame. */
static bool is_transient(int code)
{
	return code == PB_EUNAVAILABLE || code == PB_EBUSY || code == PB_ETIMEOUT || code == PB_EFULL || code == PB_ECLOSED;
}

static int64_t failure_due(const struct consumer *c, unsigned errors, int64_t now)
{
	const struct ladder *l = atomic_load(&c->ladder);
	int64_t pause = PB_SECOND << (2 * (errors < 8 ? errors : 8)), longest = l->seconds[l->n - 1] * PB_SECOND;

	return now + (pause < longest ? pause : longest);
}

static void expire(struct pb_recipient *to)
{
	struct pb_item *item = to->item;
	PB_AUTOBUF(text);

	pb_buf_addz(&text, "554 5.4.7 delivery time expired");
	if (to->was.reason.len && to->was.remote.len)
		pb_buf_addf(&text, "; %.*s said last: %.*s", PB_FMT(to->was.remote), PB_FMT(to->was.reason));
	else if (to->was.reason.len)
		pb_buf_addf(&text, "; last: %.*s", PB_FMT(to->was.reason));
	to->was.reason = item_keep(item, pb_buf_str(&text));
	to->was.remote = PB_NOSTR;		/* these are our words */
	to->outcome = FAILED;
	timeline_add(queue_timeline(item->q), item->entry->id, item->consumer->host->name, "expired", "to=<%.*s> %s", PB_FMT(to->was.rcpt.address),
		     pb_buf_z(&text));
	metric_add(item->q->failed, 1);
}

/* When is a recipient tried again that was not settled for good? */
static void decide(struct pb_recipient *to, int failure, int64_t now)
{
	struct pb_item *item = to->item;
	const struct consumer *c = item->consumer;
	int64_t expires = host_item_expires(item), due = to->outcome == RETRY ? to->was.due : 0;

	to->was.tried = now;
	if (item->row.kind == PB_ITEM_MESSAGE && now >= expires) {
		expire(to);
		return;
	}
	if (due == 0)
		due = failure && to->outcome == TODO ? failure_due(c, item->row.errors, now) : settle_due(c, to->was.attempts, now);
	if (due < now + PB_SECOND)
		due = now + PB_SECOND;
	if (item->row.kind == PB_ITEM_MESSAGE && due > expires)
		due = expires;
	to->was.attempts++;
	to->was.due = due;
	to->outcome = RETRY;
	timeline_add(queue_timeline(item->q), item->entry->id, c->host->name, "retry", "to=<%.*s> due=%lld%s%.*s %.*s", PB_FMT(to->was.rcpt.address),
		     (long long)due, to->was.remote.len ? " remote=" : "", PB_FMT(to->was.remote), PB_FMT(to->was.reason));
}

/* ---- the batch ---- */

static void send_group(struct pb_item *item, struct batch *b, struct sent *first)
{
	struct row head = { .kind = PB_ITEM_MESSAGE, .destination = first->destination.ptr, .destination_len = first->destination.len, .body = item->row.body };
	struct rows_writer w;

	rows_begin(&w, b, first->lane, STATE_ACTIVE, item->entry->id, &head, &item->env, queue_id_time(pb_strz(item->entry->id)));
	for (struct sent *s = first; s; s = s->next) {
		struct rcpt_state to = { .rcpt = s->to->was.rcpt };

		if (s->done || s->lane != first->lane || !pb_str_eq(s->destination, first->destination))
			continue;
		s->done = true;
		to.rcpt.target = s->target;
		rows_add(&w, &to);
	}
	rows_end(&w, NULL);
}

static void send_all(struct pb_item *item, struct batch *b)
{
	for (struct sent *s = item->sent; s; s = s->next)
		s->done = false;
	for (struct sent *s = item->sent; s; s = s->next)
		if (!s->done)
			send_group(item, b, s);
}

static bool is_known(struct queue *q, unsigned shard, const char *id)
{
	PB_AUTOBUF(value);
	char name[1 + PB_ID_MAX];
	struct pb_str key = { name, (size_t)snprintf(name, sizeof name, "t%s", id) };

	return engine_get(q->kernel->engine, shard_entity(&q->shards[shard]), key, &value, NULL) == 0;
}

/* A failed stage will be done again, and with it its successors; but not those made for recipients that are settled now. */
static int reenter_all(struct pb_item *item, struct batch *b, bool failed, struct pb_error *err)
{
	struct queue *q = item->q;
	char name[LANE_MAX + 16];
	struct lane *lane;
	int rc = 0;

	if (!item->reentries)
		return 0;
	snprintf(name, sizeof name, "%s.inbound", item->consumer->host->name);
	pthread_mutex_lock(&q->lock);
	lane = lane_get(q, pb_strz(name));
	pthread_mutex_unlock(&q->lock);
	for (struct reentry *r = item->reentries; r && !rc; r = r->next) {
		r->dropped = !lane || (failed && item->settled <= r->settled) || (r->named && is_known(q, b->shard, r->id));
		if (r->dropped)
			continue;
		rc = accept_rows(b, lane, r->id, &r->body, r->env, err);
		if (r->named)
			batch_name(b, r->id, clock_now(q->kernel->clock));
	}
	return rc;
}

static void remaining_rows(struct pb_item *item, struct batch *b, bool failed, bool poison)
{
	struct entry *e = item->entry;
	struct row head = item->row;
	struct rows_writer w;
	bool dead = failed && poison && item->row.errors + 1 >= item->consumer->poison;
	enum state state = dead ? STATE_DEAD : item->want == WANT_HOLD ? STATE_HELD : STATE_ACTIVE;
	int64_t now = clock_now(item->q->kernel->clock);

	head.attempts++;
	head.errors = failed && poison ? head.errors + 1 : failed ? head.errors : 0;
	rows_begin(&w, b, e->lane, state, e->id, &head, &item->env, state != STATE_ACTIVE || item->want == WANT_RETRY ? now : INT64_MIN);
	for (size_t i = 0; i < item->n && item->want != WANT_DELETE; i++) {
		struct pb_recipient *to = &item->to[i];

		if (to->in_hand && to->outcome != RETRY)
			continue;
		if (item->want == WANT_RETRY)
			row_turn_now(&to->was);
		rows_add(&w, &to->was);
	}
	rows_end(&w, NULL);
	item->died = dead && w.n > 0;
}

static int build(struct pb_item *item, struct batch *b, int failure, struct pb_error *err)
{
	struct entry *e = entry_base(item->entry);

	remaining_rows(item, b, failure != 0, !is_transient(failure));
	send_all(item, b);
	report_build(item, b);
	if (reenter_all(item, b, failure != 0, err))
		return err->code;
	batch_gone(b, e->lane, e->state, e->due, e->id, e->sub);
	batch_unref(b, &item->leased);
	return 0;
}

/* An administrator may ask for something while the item is in hand, until it is settled. */
static void take_want(struct queue *q, struct pb_item *item)
{
	pthread_mutex_lock(&q->lock);
	item->want = entry_base(item->entry)->want;
	entry_base(item->entry)->asked = true;
	pthread_mutex_unlock(&q->lock);
}

/* The item was in hand and what was said of it is true, so a store that takes no writes now is asked again until it does. */
static int commit(struct pb_item *item, struct batch *b, int failure, engine_ticket *ret_ticket, struct pb_error *err)
{
	struct queue *q = item->q;
	bool told = false;

	for (;;) {
		int rc;

		batch_init(b, q, item->entry->shard);
		rc = build(item, b, failure, err);
		if (!rc)
			rc = batch_apply(b, ret_ticket, err);
		if (!rc)
			return 0;
		batch_free(b);
		if (!told)
			log_line(q->kernel->log, PB_ERROR, NULL, "queue.settle", "id=%s lane=%s error=%s", item->entry->id, item->entry->lane->name,
				 pb_logq(pb_strz(err->text)));
		told = true;
		if (atomic_load(&q->stopping))
			return rc;
		usleep(PAUSE_MS * 1000);
	}
}

/* Bodies that were set, and that nothing refers to in the end. */
static void discard_bodies(struct pb_item *item, const struct batch *b)
{
	for (struct new_body *n = item->bodies; n; n = n->next)
		if (!batch_refers(b, &n->id))
			engine_body_discard(item->q->kernel->engine, &n->id);
}

static void tell(struct pb_item *item, const struct pb_error *failure)
{
	struct queue *q = item->q;
	const char *who = item->consumer->host->name;

	if (failure->code) {
		timeline_add(queue_timeline(q), item->entry->id, who, item->died ? "dead" : "error", "lane=%s %s", item->entry->lane->name, failure->text);
		log_line(q->kernel->log, item->died ? PB_ERROR : PB_WARNING, NULL, item->died ? "queue.dead" : "queue.error", "id=%s lane=%s plugin=%s error=%s",
			 item->entry->id, item->entry->lane->name, who, pb_logq(pb_strz(failure->text)));
	}
	if (item->died)
		metric_add(q->dead, 1);
	if (item->want == WANT_HOLD)
		timeline_text(queue_timeline(q), item->entry->id, "kernel", "held", item->entry->lane->name);
	if (item->want == WANT_DELETE)
		timeline_text(queue_timeline(q), item->entry->id, "kernel", "deleted", item->entry->lane->name);
	for (struct reentry *r = item->reentries; r; r = r->next)
		if (r->injected && r->dropped)
			engine_body_discard(q->kernel->engine, &r->body);
		else if (r->injected)
			accept_note(q, who, r->id, r->env, r->body.size);
}

static bool settled_for_good(const struct pb_item *item)
{
	for (size_t i = 0; i < item->n; i++)
		if (is_served(item->to[i].outcome))
			return true;
	return false;
}

/* Without a batch, where nothing has to be written yet. */
static struct lane *go_on(struct pb_item *item, int64_t now)
{
	struct lane *lane;
	struct batch b;

	batch_init(&b, item->q, item->entry->shard);
	send_all(item, &b);
	lane = hop_begin(item->q, &b, item->entry, now);
	batch_free(&b);
	return lane;
}

/* Settled, and nothing follows from it. */
static bool is_over(const struct pb_item *item)
{
	for (size_t i = 0; i < item->n; i++)
		if (!item->to[i].in_hand || item->to[i].outcome == RETRY || item->to[i].report >= 0)
			return false;
	return !item->want && !item->sent && !item->reentries && !item->bodies;
}

/* Ends the lease in every case but that of a hop. */
static struct lane *settle_item(struct pb_item *item, struct pb_error *failure)
{
	struct queue *q = item->q;
	struct entry *e = item->entry;
	int64_t now = clock_now(q->kernel->clock);
	struct pb_error err = { 0 };
	engine_ticket ticket = 0;
	struct lane *first = NULL;
	struct batch b;

	take_want(q, item);
	for (size_t i = 0; i < item->n; i++)
		if (item->to[i].in_hand && (item->to[i].outcome == TODO || item->to[i].outcome == RETRY))
			decide(&item->to[i], failure->code, now);
	if (!failure->code && hop_fits(item) && (first = go_on(item, now)) != NULL)
		return first;
	report_decide(item, now);
	if (!failure->code && is_over(item) && hop_end(q, e, &item->row.body))
		return NULL;
	if (commit(item, &b, failure->code, &ticket, &err)) {
		pthread_mutex_lock(&q->lock);
		entry_finish(q, e);
		pthread_mutex_unlock(&q->lock);
		return NULL;
	}
	discard_bodies(item, &b);
	if (item->before)
		served_forget(item);
	tell(item, failure);
	if (item->consumer->flush && settled_for_good(item) && engine_wait(q->kernel->engine, ticket, &err))
		log_line(q->kernel->log, PB_ERROR, NULL, "queue.flush", "id=%s error=%s", e->id, pb_logq(pb_strz(err.text)));
	pthread_mutex_lock(&q->lock);
	first = batch_publish(&b, now);
	entry_finish(q, e);
	pthread_mutex_unlock(&q->lock);
	batch_free(&b);
	return first;
}

/* ---- what cannot even be opened ---- */

int item_bury(struct queue *q, struct entry *e, const struct pb_error *why)
{
	struct pb_error err = { 0 };
	struct entry *grave, *row = entry_base(e);
	struct batch b;
	int rc;

	log_line(q->kernel->log, PB_ERROR, NULL, "queue.dead", "id=%s lane=%s error=%s", e->id, e->lane->name, pb_logq(pb_strz(why->text)));
	timeline_add(queue_timeline(q), e->id, "kernel", "dead", "lane=%s %s", e->lane->name, why->text);
	batch_init(&b, q, e->shard);
	grave = batch_row(&b, e->lane, STATE_DEAD, clock_now(q->kernel->clock), e->id, e->sub);
	pb_buf_addstr(&grave->blob, pb_buf_str(&e->blob));
	batch_gone(&b, row->lane, row->state, row->due, row->id, row->sub);
	rc = batch_apply(&b, NULL, &err);
	if (rc)
		log_line(q->kernel->log, PB_ERROR, NULL, "queue.dead", "id=%s error=%s", e->id, pb_logq(pb_strz(err.text)));
	else
		metric_add(q->dead, 1);
	batch_free(&b);
	return rc;
}

static struct lane *not_opened(struct queue *q, struct entry *e, const struct pb_error *err)
{
	bool later = err->code != PB_ENOTFOUND && err->code != PB_ECORRUPT;

	if (e->blob.len && !later)
		item_bury(q, e, err);
	else if (later)
		log_line(q->kernel->log, PB_ERROR, NULL, "queue.read", "id=%s lane=%s error=%s", e->id, e->lane->name, pb_logq(pb_strz(err->text)));
	pthread_mutex_lock(&q->lock);
	if (later)
		lane_look_again(entry_base(e)->lane, entry_base(e)->due, clock_now(q->kernel->clock) + PB_MINUTE);
	entry_finish(q, e);
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

struct lane *item_run(struct queue *q, struct consumer *c, struct entry *e)
{
	struct pb_error err = { 0 };
	struct pb_item *item;
	struct lane *first;

	if (item_open(q, c, e, &item, &err))
		return not_opened(q, e, &err);
	if (!inhand_begin(q, item)) {
		item_free(item);
		return NULL;
	}
	served_apply(item);
	if (c->is_courier)
		timeline_add(queue_timeline(q), e->id, c->host->name, "attempt", "lane=%s number=%u%s%s", e->lane->name, item->row.attempts + 1,
			     *item->row.destination ? " destination=" : "", item->row.destination);
	if ((item->before && !item->env.nrcpts) || c->work(c->host->self, item, &err) == 0)
		err.code = 0;
	else if (!err.code)
		pb_fail(&err, PB_EINTERNAL, "it failed without a reason");
	first = settle_item(item, &err);
	item_free(item);
	inhand_end(q);
	return first;
}
