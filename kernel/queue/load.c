/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Loading: a pass goes through the rows of a lane that are due, page by page, and makes entries of those that are not in memory yet. What is due
 * up to scanned_to stands in memory, or its due time is at or after dropped_from; so a pass begins at the smaller of both and ends at now.
 */
#include <stdlib.h>
#include "kernel/clock/clock.h"
#include "kernel/log/log.h"
#include "kernel/queue/private.h"

enum { PAGE = 256, LOW = 1024, HIGH = 8192 - PAGE, REST_US = 20000, NAMES_KEPT_HOURS = 24 };

static bool wants_pass(const struct lane *lane, int64_t now)
{
	return lane->consumer && !lane->passing && lane->count < LOW &&
	       (lane->next_due <= now || (lane->dropped_from != INT64_MAX && (lane->full || lane->hungry)));
}

static bool wants_page(const struct lane *lane)
{
	return lane->consumer && lane->passing && (lane->paused ? lane->count < LOW : lane->count < HIGH);
}

static void begin_pass(struct lane *lane, int64_t now)
{
	int64_t from = lane->scanned_to + 1 < lane->dropped_from ? lane->scanned_to + 1 : lane->dropped_from;

	for (unsigned s = 0; s < SHARDS; s++)
		key_from(&lane->cursor[s], STATE_ACTIVE, pb_str(lane->name, lane->len), from);
	for (size_t i = 0; i < lane->buckets; i++)
		for (struct dest *d = lane->dests[i]; d; d = d->hash_next)
			d->dropped = false;
	lane->passing = true;
	lane->paused = lane->full = lane->hungry = false;
	lane->done = 0;
	lane->turn = 0;
	lane->pass_to = now;
	lane->dropped_from = INT64_MAX;
	lane->next_due = INT64_MAX;
}

/* Entries of a page; the shard's lock is held, so the rows are as they are. Gives how many did not stay in memory. */
static size_t take_page(struct queue *q, struct lane *lane, unsigned shard, const struct engine_page *page)
{
	size_t before = lane->count, fresh = 0;

	for (size_t i = 0; i < page->n; i++) {
		char id[PB_ID_MAX];
		struct pb_str name;
		enum state state;
		struct entry *e;
		int64_t due;
		uint64_t sub;

		if (!key_parse(page->rows[i].key, &state, &name, &due, id, &sub) || entry_find(q, id, sub))
			continue;
		e = lane_entry_new(lane, shard, state, due, id, sub);
		pb_buf_addstr(&e->blob, page->rows[i].value);
		entry_add(q, e);
		entry_publish(q, e);
		fresh++;
	}
	return fresh - (lane->count - before);
}

/* The first row behind the pass says when the next one is worth while. */
static void peek(struct queue *q, struct lane *lane, unsigned shard, struct engine_page *page)
{
	struct key from, to;
	char id[PB_ID_MAX];
	struct pb_str name;
	enum state state;
	int64_t due = lane->pass_to + PB_MINUTE;	/* where the store cannot be read now */
	uint64_t sub;

	key_from(&from, STATE_ACTIVE, pb_str(lane->name, lane->len), lane->pass_to + 1);
	key_from(&to, STATE_ACTIVE, pb_str(lane->name, lane->len), INT64_MAX);
	if (engine_scan(q->kernel->engine, shard_entity(&q->shards[shard]), key_str(&from), key_str(&to), 1, page, NULL) == 0 &&
	    (page->n == 0 || !key_parse(page->rows[0].key, &state, &name, &due, id, &sub)))
		return;
	pthread_mutex_lock(&q->lock);
	if (due < lane->next_due)
		lane->next_due = due;
	pthread_mutex_unlock(&q->lock);
}

static void end_page(struct lane *lane, unsigned shard, struct engine_page *page, size_t lost)
{
	if (page->more && page->n) {
		struct pb_str last = page->rows[page->n - 1].key;

		lane->cursor[shard].len = (uint8_t)(last.len + 1);
		memcpy(lane->cursor[shard].bytes, last.ptr, last.len);
		lane->cursor[shard].bytes[last.len] = '\0';
	} else {
		lane->done |= 1u << shard;
	}
	lane->paused = lane->count >= HIGH;
	lane->rest = lost > PAGE / 2;
	if (lane->done == (1u << SHARDS) - 1) {
		lane->passing = false;
		lane->scanned_to = lane->pass_to;
	}
}

/* One page of one shard: the engine's error puts the rest of the pass off. */
static void load_page(struct queue *q, struct lane *lane, struct engine_page *page)
{
	struct pb_error err = { 0 };
	unsigned shard = lane->turn;
	struct shard *s;
	struct key to;
	uint64_t epoch;
	int rc;

	while (lane->done & 1u << shard)
		shard = (shard + 1) % SHARDS;
	lane->turn = (shard + 1) % SHARDS;
	s = &q->shards[shard];
	epoch = lane->epoch;
	key_from(&to, STATE_ACTIVE, pb_str(lane->name, lane->len), lane->pass_to + 1);
	struct key from = lane->cursor[shard];
	pthread_mutex_unlock(&q->lock);
	pthread_mutex_lock(&s->lock);
	rc = engine_scan(q->kernel->engine, shard_entity(s), key_str(&from), key_str(&to), PAGE, page, &err);
	pthread_mutex_lock(&q->lock);
	if (epoch == lane->epoch && rc == 0) {
		end_page(lane, shard, page, take_page(q, lane, shard, page));
	} else if (epoch == lane->epoch) {
		lane->passing = false;
		lane_look_again(lane, 0, clock_now(q->kernel->clock) + PB_MINUTE);
		log_line(q->kernel->log, PB_ERROR, NULL, "queue.read", "lane=%s error=%s", lane->name, pb_logq(pb_strz(err.text)));
	}
	pthread_mutex_unlock(&q->lock);
	pthread_mutex_unlock(&s->lock);
	if (rc == 0 && (lane->done & 1u << shard))
		peek(q, lane, shard, page);
	pthread_mutex_lock(&q->lock);
}

bool load_step(struct queue *q, int64_t now)
{
	struct engine_page page = ENGINE_PAGE;
	bool more = false;

	pthread_mutex_lock(&q->lock);
	for (size_t i = 0; i < q->nlanes && !q->closing; i++) {
		struct lane *lane = q->lanes[i];

		if (wants_pass(lane, now))
			begin_pass(lane, now);
		lane->rest = false;
		for (unsigned pages = 0; pages < 2 * SHARDS && wants_page(lane) && !lane->rest; pages++)
			load_page(q, lane, &page);
		dispatch_wake(q);
		more = more || (wants_page(lane) && !lane->rest) || wants_pass(lane, now);
	}
	pthread_mutex_unlock(&q->lock);
	engine_page_free(&page);
	return more;
}

int64_t load_next(struct queue *q, int64_t now)
{
	int64_t next = INT64_MAX;

	for (size_t i = 0; i < q->nlanes; i++) {
		const struct lane *lane = q->lanes[i];

		if (wants_page(lane) && now + REST_US < next)
			next = now + REST_US;
		if (lane->consumer && !lane->passing && lane->count < LOW && lane->next_due < next)
			next = lane->next_due;
	}
	return next;
}

/* ---- named ids ---- */

static bool forget_page(struct queue *q, unsigned shard, const struct engine_page *page)
{
	struct pb_str *keys = pb_alloc((2 * page->n + 1) * sizeof *keys);
	char (*names)[1 + PB_ID_MAX] = pb_alloc((page->n + 1) * sizeof *names);
	struct engine_batch b = { .entity = shard_entity(&q->shards[shard]), .expect = ENGINE_ANY, .remove = keys };
	int rc;

	for (size_t i = 0; i < page->n; i++) {
		struct pb_str id = pb_str_skip(page->rows[i].key, 9);

		keys[b.nremove++] = page->rows[i].key;
		if (id.len >= PB_ID_MAX)
			continue;
		names[i][0] = 't';
		memcpy(names[i] + 1, id.ptr, id.len);
		keys[b.nremove++] = pb_str(names[i], 1 + id.len);
	}
	rc = engine_apply(q->kernel->engine, &b, NULL, NULL, NULL);
	free(keys);
	free(names);
	return rc == 0;
}

void names_forget(struct queue *q, int64_t now)
{
	struct engine_page page = ENGINE_PAGE;
	int64_t before = now - NAMES_KEPT_HOURS * PB_HOUR;
	uint64_t big = __builtin_bswap64((uint64_t)(before > 0 ? before : 0));
	char to[9] = "u";

	memcpy(to + 1, &big, sizeof big);
	for (unsigned s = 0; s < SHARDS; s++)
		do
			if (engine_scan(q->kernel->engine, shard_entity(&q->shards[s]), PB_STR("u"), pb_str(to, sizeof to), PAGE, &page, NULL))
				break;
		while (page.n && forget_page(q, s, &page) && page.more);
	engine_page_free(&page);
}
