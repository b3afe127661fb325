/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Items in hand: what plugins read of them and say about their recipients. What follows from it is settle.c's business. */
#include <stdio.h>
#include <stdlib.h>
#include "kernel/clock/clock.h"
#include "kernel/log/log.h"
#include "kernel/queue/private.h"
#include "kernel/store/spool.h"
#include "kernel/store/mailstore.h"
#include "kernel/store/timeline.h"

/* ---- life ---- */

static int read_recipients(struct pb_item *item, struct pb_error *err)
{
	int64_t now = clock_now(item->q->kernel->clock);

	item->n = item->row.nrcpts;
	item->to = pb_alloc(item->n * (sizeof *item->to + sizeof *item->env_rcpts));
	item->env_rcpts = (struct pb_rcpt **)(void *)(item->to + item->n);
	if (now < item->entry->due)
		now = item->entry->due;
	for (size_t i = 0; i < item->n; i++) {
		struct pb_recipient *to = &item->to[i];

		to->handle = item->handle;
		to->item = item;
		if (row_rcpt_get(&item->row, &to->was, err))
			return err->code;
		to->in_hand = to->was.due <= now;
		if (to->in_hand)
			item->env_rcpts[item->env.nrcpts++] = &to->was.rcpt;
	}
	return 0;
}

int item_open(struct queue *q, struct consumer *c, struct entry *e, struct pb_item **ret, struct pb_error *err)
{
	struct pb_item *item = pb_alloc(sizeof *item);
	struct key key;
	int rc = 0;

	item->handle.ops = c->host->handle.ops;
	item->q = q;
	item->consumer = c;
	item->entry = e;
	item->last_sent = &item->sent;
	item->last_reentry = &item->reentries;
	if (!e->blob.len) {
		key_row(&key, e->state, pb_str(e->lane->name, e->lane->len), e->due, e->id, e->sub);
		rc = engine_get(q->kernel->engine, shard_entity(&q->shards[e->shard]), key_str(&key), &e->blob, err);
	}
	if (!rc)
		rc = item_decode(&item->row, pb_buf_str(&e->blob), err);
	if (!rc) {
		item->env = item->row.env;
		item->env.nrcpts = 0;
		rc = read_recipients(item, err);
		item->env.rcpts = item->env_rcpts;
	}
	if (!rc) {
		item->leased = item->row.body;
		item->body = body_new(item->handle.ops, q->kernel->engine, &item->row.body, PB_NOSTR, err);
		rc = item->body ? 0 : err->code;
	}
	if (rc) {
		item_free(item);
		return rc;
	}
	*ret = item;
	return 0;
}

void item_free(struct pb_item *item)
{
	for (struct reentry *r = item->reentries; r; r = r->next)
		pb_envelope_free(r->env);
	pb_body_release(item->body);
	for (struct new_body *n = item->bodies; n; n = n->next)
		pb_body_release(n->before);
	row_free(&item->row);
	pb_arena_free(item->arena);
	free(item->to);
	free(item);
}

static struct pb_arena *arena_of(struct pb_item *item)
{
	if (!item->arena)
		item->arena = pb_arena_new();
	return item->arena;
}

struct pb_str item_keep(struct pb_item *item, struct pb_str text)
{
	return text.len ? pb_arena_str(arena_of(item), pb_str_head(text, REPLY_MAX)) : PB_NOSTR;
}

/* ---- reading ---- */

const char *host_item_id(const struct pb_item *item)
{
	return item->entry->id;
}

enum pb_item_kind host_item_kind(const struct pb_item *item)
{
	return item->row.kind;
}

const char *host_item_lane(const struct pb_item *item)
{
	return item->entry->lane->name;
}

const char *host_item_destination(const struct pb_item *item)
{
	return item->row.destination;
}

const struct pb_envelope *host_item_envelope(const struct pb_item *item)
{
	return &item->env;
}

struct pb_body *host_item_body(struct pb_item *item)
{
	return item->body;
}

unsigned host_item_attempts(const struct pb_item *item)
{
	return item->row.attempts;
}

int64_t host_item_expires(const struct pb_item *item)
{
	return item->row.env.received + item->consumer->expire;
}

void host_item_note_text(struct pb_item *item, const char *what, const char *text)
{
	timeline_text(queue_timeline(item->q), item->entry->id, item->consumer->host->name, what, text);
}

void host_queue_note_text(struct pb_host *host, const char *id, const char *what, const char *text)
{
	if (host_may(host, RIGHT_QUEUE_ACCEPT, NULL) == 0)
		timeline_text(host->kernel->timeline, id, host->name, what, text);
}

struct pb_recipient *host_item_next(struct pb_item *item)
{
	while (item->at < item->n) {
		struct pb_recipient *to = &item->to[item->at++];

		if (to->in_hand && to->outcome == TODO)
			return to;
	}
	return NULL;
}

void host_item_rewind(struct pb_item *item)
{
	item->at = 0;
}

const struct pb_rcpt *host_recipient_rcpt(const struct pb_recipient *to)
{
	return &to->was.rcpt;
}

struct pb_str host_recipient_reason(const struct pb_recipient *to)
{
	return to->was.reason;
}

struct pb_str host_recipient_remote(const struct pb_recipient *to)
{
	return to->was.remote;
}

int64_t host_recipient_tried(const struct pb_recipient *to)
{
	return to->was.tried;
}

/* ---- settling: the first word counts ---- */

static bool settle(struct pb_recipient *to, enum outcome outcome, struct pb_str remote, const char *reply, const char *word)
{
	struct pb_item *item = to->item;

	if (to->outcome != TODO || !to->in_hand)
		return false;
	to->outcome = outcome;
	if (to->fact && is_served(outcome))
		atomic_fetch_or_explicit(to->fact, outcome, memory_order_relaxed);
	item->settled++;
	to->was.tried = clock_now(item->q->kernel->clock);
	if ((outcome != DELIVERED && outcome != RELAYED && outcome != FORWARDED && outcome != DROPPED) || (to->was.rcpt.notify & PB_NOTIFY_SUCCESS)) {
		to->was.reason = item_keep(item, pb_strz(reply));
		to->was.remote = item_keep(item, remote);
	}
	if (word)
		timeline_join(queue_timeline(item->q), item->entry->id, item->consumer->host->name, word,
			      (const struct pb_str[]){ PB_STR("to=<"), to->was.rcpt.address, PB_STR(">"), remote.len ? PB_STR(" remote=") : PB_NOSTR, remote, PB_STR(" "),
						       pb_strz(reply) },
			      7);
	return true;
}

void host_delivered(struct pb_recipient *to, struct pb_str remote, const char *reply)
{
	if (settle(to, DELIVERED, remote, reply, "delivered"))
		metric_add(to->item->q->delivered, 1);
}

void host_relayed(struct pb_recipient *to, struct pb_str remote, const char *reply)
{
	if (settle(to, RELAYED, remote, reply, "relayed"))
		metric_add(to->item->q->relayed, 1);
}

void host_forwarded(struct pb_recipient *to, struct pb_str remote, const char *reply)
{
	if (settle(to, FORWARDED, remote, reply, "delivered"))
		metric_add(to->item->q->delivered, 1);
}

void host_retry(struct pb_recipient *to, int64_t due, struct pb_str remote, const char *reply)
{
	if (settle(to, RETRY, remote, reply, NULL)) {
		to->was.due = due;
		metric_add(to->item->q->retried, 1);
	}
}

void host_failed(struct pb_recipient *to, struct pb_str remote, const char *reply)
{
	if (settle(to, FAILED, remote, reply, "failed"))
		metric_add(to->item->q->failed, 1);
}

void host_dropped(struct pb_recipient *to, const char *why)
{
	settle(to, DROPPED, PB_NOSTR, why, "dropped");
}

/* ---- successors ---- */

/* Most often that of the recipient before. */
static struct lane *lane_of(const struct pb_item *item, const char *connector)
{
	static const char suffix[] = ".outgoing";
	struct lane *lane = item->newest ? item->newest->lane : NULL;
	size_t len = strnlen(connector, LANE_MAX);
	char name[LANE_MAX + sizeof suffix];

	if (lane && lane->len == len + sizeof suffix - 1 && memcmp(lane->name, connector, len) == 0)
		return lane;
	memcpy(name, connector, len);
	memcpy(name + len, suffix, sizeof suffix);
	pthread_mutex_lock(&item->q->lock);
	lane = lane_get(item->q, pb_strz(name));
	pthread_mutex_unlock(&item->q->lock);
	return lane;
}

void host_item_send(struct pb_item *item, struct pb_recipient *to, const char *connector, struct pb_str destination, struct pb_str target)
{
	struct queue *q = item->q;
	struct lane *lane = lane_of(item, connector);
	struct sent *s;

	if (!lane || (to->outcome != TODO && to->outcome != SENT)) {
		log_line(q->kernel->log, PB_ERROR, NULL, "queue.send", "id=%s plugin=%s connector=%s error=%s", item->entry->id, item->consumer->host->name,
			 pb_logq(pb_strz(connector)), lane ? "settled" : "name");
		return;
	}
	s = pb_arena_alloc(arena_of(item), sizeof *s);
	s->to = to;
	s->lane = lane;
	s->destination = pb_arena_str(item->arena, pb_str_head(destination, 255));
	s->target = pb_arena_str(item->arena, target);
	*item->last_sent = s;
	item->last_sent = &s->next;
	item->newest = s;
	if (to->outcome == TODO)
		settle(to, SENT, PB_NOSTR, NULL, NULL);
	timeline_join(queue_timeline(q), item->entry->id, item->consumer->host->name, "routed",
		      (const struct pb_str[]){ PB_STR("to=<"), to->was.rcpt.address, PB_STR("> lane="), pb_str(lane->name, lane->len), PB_STR(" target="), target,
					       destination.len ? PB_STR(" destination=") : PB_NOSTR, s->destination },
		      8);
}

static struct reentry *reenter(struct pb_item *item, const struct pb_envelope *env, const char *id)
{
	struct reentry *r = pb_arena_alloc(arena_of(item), sizeof *r);

	memcpy(r->id, id, strnlen(id, PB_ID_MAX - 1));
	r->settled = item->settled;
	r->env = pb_envelope_dup(env, true);
	if (!r->env->received)
		r->env->received = clock_now(item->q->kernel->clock);
	*item->last_reentry = r;
	item->last_reentry = &r->next;
	return r;
}

int host_item_redirect(struct pb_item *item, const struct pb_envelope *env, struct pb_error *err)
{
	json_int_t hops = json_integer_value(json_object_get(item->env.notes, "hops"));
	struct reentry *r;

	if (env->nrcpts == 0)
		return pb_fail(err, PB_EINVALID, "a redirection without recipients");
	r = reenter(item, env, item->entry->id);
	r->body = item->row.body;
	json_object_set_new(r->env->notes, "hops", json_integer(hops + 1));
	json_object_set_new(r->env->notes, "entered", json_integer(clock_now(item->q->kernel->clock)));
	for (size_t i = 0; i < env->nrcpts; i++)
		timeline_add(queue_timeline(item->q), item->entry->id, item->consumer->host->name, "redirected", "to=<%.*s>", PB_FMT(env->rcpts[i]->address));
	return 0;
}

int host_item_inject(struct pb_item *item, const struct pb_envelope *env, struct pb_spool *spool, struct pb_error *err)
{
	struct body_id body;
	char id[PB_ID_MAX];
	bool named = spool_is_named(spool);
	struct reentry *r;

	memcpy(id, pb_spool_id(spool), sizeof id);
	if (env->nrcpts == 0) {
		pb_spool_discard(spool);
		return pb_fail(err, PB_EINVALID, "a message without recipients");
	}
	if (spool_seal(spool, item->q->kernel->engine, &body, err))
		return err->code;
	r = reenter(item, env, id);
	r->body = body;
	r->named = named;
	r->injected = true;
	timeline_add(queue_timeline(item->q), item->entry->id, item->consumer->host->name, "injected", "id=%s", id);
	return 0;
}

int host_item_set_body(struct pb_item *item, struct pb_spool *spool, struct pb_error *err)
{
	struct new_body *n;
	struct body_id body;

	if (item->sent) {
		pb_spool_discard(spool);
		return pb_fail(err, PB_EINVALID, "a body is set before its item is sent on");
	}
	if (spool_seal(spool, item->q->kernel->engine, &body, err))
		return err->code;
	n = pb_arena_alloc(arena_of(item), sizeof *n);
	n->next = item->bodies;
	n->id = body;
	n->before = item->body;
	item->bodies = n;
	item->row.body = body;
	item->body = body_new(item->handle.ops, item->q->kernel->engine, &body, PB_NOSTR, err);
	timeline_add(queue_timeline(item->q), item->entry->id, item->consumer->host->name, "changed", "size=%llu", (unsigned long long)body.size);
	return 0;
}

void host_item_set_priority(struct pb_item *item, int priority)
{
	item->env.priority = priority < -9 ? -9 : priority > 9 ? 9 : priority;
}
