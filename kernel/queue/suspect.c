/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Suspects: items that were in hand when the daemon crashed, one row each in the store, so that the count survives starts. One that is worked on to the end
 * is a suspect no more, whatever came of it. So who was merely in hand beside the culprit is cleared by the next attempt, which is made alone: no two suspects
 * are in hand at a time. Only what takes the daemon with it at every attempt reaches the limit.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "kernel/clock/clock.h"
#include "kernel/log/log.h"
#include "kernel/queue/inhand.h"
#include "kernel/store/timeline.h"

enum { SUSPECTS_MAX = 2048, KEPT_DAYS = 7, BUSY_MS = 200 };

#define ENTITY PB_STR("q/suspects")

static bool same(const struct hand_key *a, const struct hand_key *b)
{
	return a->destination == b->destination && strcmp(a->id, b->id) == 0 && strcmp(a->lane, b->lane) == 0;
}

/* ---- as rows ---- */

struct row_text {
	char key[LANE_MAX + PB_ID_MAX + 16], value[128];
};

static struct engine_row pack(const struct suspect *s, struct row_text *text)
{
	int key = snprintf(text->key, sizeof text->key, "%s %s %08" PRIx32, s->key.lane, s->key.id, s->key.destination);
	int value = snprintf(text->value, sizeof text->value, "1 %u %" PRId64 " %s", s->crashes, s->last, s->plugin);

	return (struct engine_row){ pb_str(text->key, (size_t)key), pb_str(text->value, (size_t)value) };
}

static bool unpack(struct suspect *ret, const struct engine_row *row)
{
	char key[LANE_MAX + PB_ID_MAX + 16], value[128];
	struct suspect s = { .crashes = 0 };

	if (row->key.len >= sizeof key || row->value.len >= sizeof value)
		return false;
	memcpy(key, row->key.ptr, row->key.len);
	memcpy(value, row->value.ptr, row->value.len);
	key[row->key.len] = value[row->value.len] = '\0';
	if (sscanf(key, "%63s %31s %8" SCNx32, s.key.lane, s.key.id, &s.key.destination) != 3 ||
	    sscanf(value, "1 %u %" SCNd64 " %63s", &s.crashes, &s.last, s.plugin) != 3)
		return false;
	*ret = s;
	return true;
}

static void forget_row(struct queue *q, const struct hand_key *key)
{
	const struct suspect s = { .key = *key };
	struct pb_error err = { 0 };
	struct row_text text;
	struct pb_str remove = pack(&s, &text).key;
	struct engine_batch b = { .entity = ENTITY, .expect = ENGINE_ANY, .remove = &remove, .nremove = 1 };

	if (engine_apply(q->kernel->engine, &b, NULL, NULL, &err))
		log_line(q->kernel->log, PB_ERROR, NULL, "queue.suspect", "id=%s error=%s", key->id, pb_logq(pb_strz(err.text)));
}

/* ---- a start ---- */

static struct suspect *find(struct inhand *h, const struct hand_key *key)
{
	for (size_t i = 0; i < atomic_load(&h->n); i++)
		if (same(&h->suspects[i].key, key))
			return &h->suspects[i];
	return NULL;
}

static void set_pause(const struct inhand *h, struct suspect *s)
{
	unsigned doublings = 2 * (s->crashes - 1);
	int64_t pause = h->pause << (doublings < 12 ? doublings : 12);

	s->until = s->crashes >= h->limit ? 0 : s->last + (pause < PB_HOUR ? pause : PB_HOUR);
}

static int load(struct queue *q, struct pb_error *err)
{
	struct inhand *h = q->inhand;
	struct engine_page page = ENGINE_PAGE;
	int64_t oldest = clock_now(q->kernel->clock) - KEPT_DAYS * PB_DAY;
	int rc = engine_scan(q->kernel->engine, ENTITY, PB_NOSTR, PB_NOSTR, SUSPECTS_MAX, &page, err);

	h->suspects = pb_alloc((HANDS + SUSPECTS_MAX) * sizeof *h->suspects);
	for (size_t i = 0; !rc && i < page.n; i++) {
		struct suspect s;

		if (!unpack(&s, &page.rows[i]) || s.crashes == 0)
			continue;
		if (s.last < oldest) {		/* deleted meanwhile, or sent another way */
			forget_row(q, &s.key);
			continue;
		}
		set_pause(h, &s);
		h->suspects[atomic_fetch_add(&h->n, 1)] = s;
	}
	engine_page_free(&page);
	return rc;
}

static void tell(struct queue *q, const struct suspect *s)
{
	const struct inhand *h = q->inhand;

	log_line(q->kernel->log, PB_WARNING, NULL, "queue.suspect", "id=%s lane=%s plugin=%s crashes=%u limit=%u", s->key.id, s->key.lane, s->plugin, s->crashes, h->limit);
	timeline_add(queue_timeline(q), s->key.id, s->plugin, "crash", "lane=%s the daemon ended while this was in hand: %u of %u", s->key.lane, s->crashes, h->limit);
	metric_add(h->crashes, 1);
}

/* Durable before anything is worked on again: the next crash may come at once. */
static int write_left(struct queue *q, const struct suspect *left, size_t n, struct pb_error *err)
{
	struct engine_row *rows = pb_alloc(n * sizeof *rows);
	struct row_text *texts = pb_alloc(n * sizeof *texts);
	struct engine_batch b = { .entity = ENTITY, .expect = ENGINE_ANY, .put = rows, .nput = n };
	engine_ticket ticket;
	int rc;

	for (size_t i = 0; i < n; i++)
		rows[i] = pack(find(q->inhand, &left[i].key), &texts[i]);
	rc = engine_apply(q->kernel->engine, &b, NULL, &ticket, err);
	if (!rc)
		rc = engine_wait(q->kernel->engine, ticket, err);
	free(rows);
	free(texts);
	return rc;
}

int suspects_open(struct queue *q, struct pb_error *err)
{
	struct inhand *h = q->inhand;
	struct pb_error why = { 0 };
	struct suspect *left, *s;
	size_t n;

	if (load(q, err))
		return err->code;
	left = pb_alloc(HANDS * sizeof *left);
	n = inhand_left(h, left, HANDS);
	for (size_t i = 0; i < n; i++) {
		s = find(h, &left[i].key);
		if (!s) {
			s = &h->suspects[atomic_fetch_add(&h->n, 1)];
			s->key = left[i].key;
		}
		memcpy(s->plugin, left[i].plugin, sizeof s->plugin);
		s->crashes++;
		s->last = clock_now(q->kernel->clock);
		set_pause(h, s);
		tell(q, s);
	}
	/* On a full disk the count is this start's only: no reason not to start. */
	if (n && write_left(q, left, n, &why))
		log_line(q->kernel->log, PB_ERROR, NULL, "queue.suspect", "error=%s", pb_logq(pb_strz(why.text)));
	free(left);
	return 0;
}

void suspects_close(struct inhand *h)
{
	free(h->suspects);
}

/* ---- while it runs ---- */

bool suspect_is(struct inhand *h, const char *id)
{
	bool found = false;

	if (atomic_load_explicit(&h->n, memory_order_relaxed) == 0)
		return false;
	pthread_mutex_lock(&h->lock);
	for (size_t i = 0; !found && i < atomic_load(&h->n); i++)
		found = strcmp(h->suspects[i].key.id, id) == 0;
	pthread_mutex_unlock(&h->lock);
	return found;
}

static void put_off(struct queue *q, struct entry *e, int64_t when)
{
	struct entry *row = entry_base(e);

	pthread_mutex_lock(&q->lock);
	lane_look_again(row->lane, row->due, when);
	entry_finish(q, e);
	dispatch_poke(q);
	pthread_mutex_unlock(&q->lock);
}

static void drop(struct queue *q, const struct hand_key *key)
{
	struct inhand *h = q->inhand;
	struct suspect *s;

	pthread_mutex_lock(&h->lock);
	s = find(h, key);
	if (s)
		*s = h->suspects[atomic_fetch_sub(&h->n, 1) - 1];
	pthread_mutex_unlock(&h->lock);
	if (s)
		forget_row(q, key);
}

/* Its count begins anew, so that whoever releases it gets the same patience. */
static void put_aside(struct queue *q, struct entry *e, const struct suspect *s)
{
	struct pb_error why = { 0 };

	pb_fail(&why, PB_EINTERNAL, "%s did not survive it: the daemon ended %u times in a row while it was in hand", s->plugin, s->crashes);
	if (item_bury(q, e, &why)) {
		put_off(q, e, clock_now(q->kernel->clock) + PB_MINUTE);
		return;
	}
	drop(q, &s->key);
	metric_add(q->inhand->poison, 1);
	pthread_mutex_lock(&q->lock);
	entry_finish(q, e);
	pthread_mutex_unlock(&q->lock);
}

bool suspect_begin(struct queue *q, struct entry *e, const struct hand_key *key)
{
	struct inhand *h = q->inhand;
	int64_t now = clock_now(q->kernel->clock), when = 0;
	struct suspect poison = { .crashes = 0 };

	pthread_mutex_lock(&h->lock);
	for (size_t i = 0; i < atomic_load(&h->n); i++) {
		const struct suspect *s = &h->suspects[i];

		if (same(&s->key, key) && s->crashes >= h->limit)
			poison = *s;
		if (strcmp(s->key.id, key->id) == 0 && s->until > when)
			when = s->until;
	}
	if (when <= now)
		when = h->busy ? now + BUSY_MS * PB_SECOND / 1000 : 0;
	if (!when && !poison.crashes)
		h->busy = true;
	pthread_mutex_unlock(&h->lock);
	if (poison.crashes)
		put_aside(q, e, &poison);
	else if (when)
		put_off(q, e, when);
	return !poison.crashes && !when;
}

void suspect_end(struct queue *q, const struct hand_key *key)
{
	struct inhand *h = q->inhand;

	pthread_mutex_lock(&h->lock);
	h->busy = false;
	pthread_mutex_unlock(&h->lock);
	drop(q, key);
}
