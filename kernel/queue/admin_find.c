/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Administration that finds: items by an id, or by a walk over all rows with a filter. A walk reads page by page without any lock, so it is of no single
 * moment; what is asked for by its id is.
 */
#include <stdlib.h>
#include "kernel/queue/admin.h"

enum { PAGE = 256 };

struct pb_str found_param(const json_t *params, const char *key)
{
	const json_t *v = json_object_get(params, key);

	return pb_str(json_string_value(v), json_string_length(v));
}

struct found_filter found_filter(const json_t *params)
{
	return (struct found_filter){ found_param(params, "lane"), found_param(params, "sender"), found_param(params, "recipient") };
}

static bool rcpts_have(struct row *row, struct pb_str address)
{
	struct rcpt_state to;

	for (size_t i = 0; i < row->nrcpts && row_rcpt_get(row, &to, NULL) == 0; i++)
		if (pb_str_ieq(to.rcpt.address, address))
			return true;
	return false;
}

static bool fits(const struct found_filter *filter, const struct found *f)
{
	struct row row;
	bool fit;

	if (filter->lane.len && !pb_str_eq(filter->lane, pb_str(f->lane->name, f->lane->len)))
		return false;
	if (!filter->sender.len && !filter->recipient.len)
		return true;
	if (item_decode(&row, f->value, NULL))
		return false;
	fit = !filter->sender.len || pb_str_ieq(filter->sender, row.env.sender) || (pb_str_eq(filter->sender, PB_STR("<>")) && !row.env.sender.len);
	fit = fit && (!filter->recipient.len || rcpts_have(&row, filter->recipient));
	row_free(&row);
	return fit;
}

static bool to_found(struct queue *q, unsigned shard, const struct engine_row *row, struct found *ret)
{
	struct pb_str lane;

	if (!key_parse(row->key, &ret->state, &lane, &ret->due, ret->id, &ret->sub))
		return false;
	pthread_mutex_lock(&q->lock);
	ret->lane = lane_get(q, lane);
	pthread_mutex_unlock(&q->lock);
	ret->shard = shard;
	ret->value = row->value;
	return ret->lane != NULL;
}

int found_walk(struct queue *q, unsigned shard, enum state state, struct pb_str after, const struct found_filter *filter,
	       int (*visit)(void *arg, const struct found *f), void *arg, struct pb_error *err)
{
	struct engine_page page = ENGINE_PAGE;
	struct key from = { .len = 1, .bytes = { (char)state } }, to = { .len = 1, .bytes = { (char)(state + 1) } };
	int rc = 0;

	if (filter->lane.len && filter->lane.len <= LANE_MAX) {
		key_from(&from, state, filter->lane, 0);
		key_from(&to, state, filter->lane, INT64_MAX);
	}
	if (after.len && after.len < KEY_MAX && pb_str_cmp(after, key_str(&from)) >= 0) {
		memcpy(from.bytes, after.ptr, after.len);
		from.bytes[after.len] = '\0';
		from.len = (uint8_t)(after.len + 1);
	}
	do {
		rc = engine_scan(q->kernel->engine, shard_entity(&q->shards[shard]), key_str(&from), key_str(&to), PAGE, &page, err);
		for (size_t i = 0; !rc && i < page.n; i++) {
			struct found f;

			if (to_found(q, shard, &page.rows[i], &f) && fits(filter, &f))
				rc = visit(arg, &f);
			from.len = (uint8_t)(page.rows[i].key.len + 1);
			memcpy(from.bytes, page.rows[i].key.ptr, page.rows[i].key.len);
			from.bytes[from.len - 1] = '\0';
		}
	} while (!rc && page.more && page.n);
	engine_page_free(&page);
	return rc;
}

/* ---- by its id ---- */

/* The names of its rows that are moved or old. */
static void index_range(struct key *from, struct key *to, const char *id)
{
	key_index(from, id, 0);
	key_index(to, id, UINT64_MAX);
}

/* Its fresh rows in a lane: they lie where its id says. */
static void fresh_range(struct key *from, struct key *to, const struct lane *lane, const char *id)
{
	const int64_t since = queue_id_time(pb_strz(id));

	key_row(from, STATE_ACTIVE, pb_str(lane->name, lane->len), since, id, 0);
	key_row(to, STATE_ACTIVE, pb_str(lane->name, lane->len), since, id, UINT64_MAX);
}

/* Rows of one message in one shard, copied. */
struct picture {
	struct engine_row *rows;	/* owned, with what they point to */
	size_t n, room;
};

static void picture_add(struct picture *p, struct pb_str key, struct pb_str value)
{
	if (p->n == p->room) {
		p->room = p->room ? p->room * 2 : 8;
		p->rows = pb_realloc(p->rows, p->room * sizeof *p->rows);
	}
	p->rows[p->n++] = (struct engine_row){ .key = pb_str(pb_str_dup(key), key.len), .value = pb_str(pb_str_dup(value), value.len) };
}

static void picture_free(struct picture *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free((char *)p->rows[i].key.ptr);
		free((char *)p->rows[i].value.ptr);
	}
	free(p->rows);
}

/* Rows that are moved or old name themselves in the index; a fresh one can only be where its id says. Callers hold the shard's lock. */
static int picture_take(struct queue *q, unsigned shard, const char *id, struct picture *ret, struct pb_error *err)
{
	struct pb_str entity = shard_entity(&q->shards[shard]);
	struct engine_page page = ENGINE_PAGE;
	struct key from, to;
	PB_AUTOBUF(value);
	size_t nlanes;
	int rc;

	pthread_mutex_lock(&q->lock);	/* a lane is there before its first row */
	nlanes = q->nlanes;
	pthread_mutex_unlock(&q->lock);
	index_range(&from, &to, id);
	rc = engine_scan(q->kernel->engine, entity, key_str(&from), key_str(&to), 1000, &page, err);
	for (size_t i = 0; i < page.n && !rc; i++) {
		int missing = engine_get(q->kernel->engine, entity, page.rows[i].value, &value, err);

		if (!missing)
			picture_add(ret, page.rows[i].value, pb_buf_str(&value));
		else if (missing != PB_ENOTFOUND)
			rc = missing;
	}
	for (size_t l = 0; l < nlanes && !rc; l++) {
		struct lane *lane;

		pthread_mutex_lock(&q->lock);
		lane = q->lanes[l];
		pthread_mutex_unlock(&q->lock);
		fresh_range(&from, &to, lane, id);
		rc = engine_scan(q->kernel->engine, entity, key_str(&from), key_str(&to), 1000, &page, err);
		for (size_t i = 0; i < page.n && !rc; i++)
			picture_add(ret, page.rows[i].key, page.rows[i].value);
	}
	engine_page_free(&page);
	return rc;
}

/* Under the shard's lock nothing of the message moves, so what is queued is met, wherever it is on its way to. Visitors take that lock themselves. */
int found_by_id(struct queue *q, const char *id, int (*visit)(void *arg, const struct found *f), void *arg, struct pb_error *err)
{
	int rc = 0;

	for (unsigned s = 0; s < SHARDS && !rc; s++) {
		struct picture seen = { 0 };

		pthread_mutex_lock(&q->shards[s].lock);
		rc = picture_take(q, s, id, &seen, err);
		pthread_mutex_unlock(&q->shards[s].lock);
		for (size_t i = 0; i < seen.n && !rc; i++) {
			struct found f;

			if (to_found(q, s, &seen.rows[i], &f))
				rc = visit(arg, &f);
		}
		picture_free(&seen);
	}
	return rc;
}

/* Under the shard's lock nothing of the message moves: what is in no lane that has rows, and not in the index, is nowhere. */
static int is_pending(struct queue *q, struct shard *s, const char *id, struct engine_page *page, bool *ret, struct pb_error *err)
{
	struct key from, to;
	int rc;

	index_range(&from, &to, id);
	rc = engine_scan(q->kernel->engine, shard_entity(s), key_str(&from), key_str(&to), 1, page, err);
	*ret = !rc && page->n;
	for (size_t l = 0; l < s->ncounts && !rc && !*ret; l++) {
		const struct lane *lane = s->counts[l].lane;

		if (!lane || s->counts[l].n[COUNT_FRESH] <= 0)
			continue;
		fresh_range(&from, &to, lane, id);
		rc = engine_scan(q->kernel->engine, shard_entity(s), key_str(&from), key_str(&to), 1, page, err);
		*ret = !rc && page->n;
	}
	return rc;
}

int host_queue_pending(struct pb_host *host, const char *const *ids, size_t n, bool *ret_pending, struct pb_error *err)
{
	struct queue *q = host->kernel->queue;
	struct engine_page page = ENGINE_PAGE;
	int rc = host_may(host, RIGHT_QUEUE_ACCEPT, err);

	for (size_t i = 0; i < n && !rc; i++) {
		struct shard *s;

		if (!queue_id_valid(pb_strz(ids[i]))) {
			rc = pb_fail(err, PB_EINVALID, "'%.64s' is no queue id", ids[i]);
			break;
		}
		s = &q->shards[queue_shard_of(ids[i])];
		pthread_mutex_lock(&s->lock);
		rc = is_pending(q, s, ids[i], &page, &ret_pending[i], err);
		pthread_mutex_unlock(&s->lock);
	}
	engine_page_free(&page);
	return rc;
}

/* ---- by what it is ---- */

int found_lane_check(struct queue *q, struct pb_str name, struct pb_error *err)
{
	bool there = !name.len;

	pthread_mutex_lock(&q->lock);
	for (size_t i = 0; i < q->nlanes && !there; i++)
		there = pb_str_eq(pb_str(q->lanes[i]->name, q->lanes[i]->len), name);
	pthread_mutex_unlock(&q->lock);
	return there ? 0 : pb_fail(err, PB_ENOTFOUND, "no lane '%.*s'", PB_FMT(pb_str_head(name, 64)));
}

int found_each(struct queue *q, const json_t *params, int (*visit)(void *arg, const struct found *f), void *arg, struct pb_error *err)
{
	struct found_filter filter = found_filter(params);
	struct pb_str id = found_param(params, "id");
	int rc = 0;

	if (id.len)
		return queue_id_valid(id) ? found_by_id(q, id.ptr, visit, arg, err) : pb_fail(err, PB_EINVALID, "'%.*s' is no queue id", PB_FMT(pb_str_head(id, 64)));
	if (!filter.lane.len && !filter.sender.len && !filter.recipient.len)
		return pb_fail(err, PB_EINVALID, "name an id, a lane, a sender or a recipient");
	rc = found_lane_check(q, filter.lane, err);
	for (unsigned s = 0; s < SHARDS && !rc; s++) {
		rc = found_walk(q, s, STATE_ACTIVE, PB_NOSTR, &filter, visit, arg, err);
		rc = rc ? rc : found_walk(q, s, STATE_HELD, PB_NOSTR, &filter, visit, arg, err);
		rc = rc ? rc : found_walk(q, s, STATE_DEAD, PB_NOSTR, &filter, visit, arg, err);
	}
	return rc;
}
