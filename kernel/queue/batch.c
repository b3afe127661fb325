/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Batches: one change of one shard, with its references, counters and entries. Leaves what is to change to those who settle. */
#include <stdlib.h>
#include "kernel/clock/clock.h"
#include "kernel/queue/private.h"
#include "kernel/store/timeline.h"

#define GROW(array, n, cap) \
	do { \
		if ((n) == (cap)) { \
			(cap) = (cap) ? (cap) * 2 : 4; \
			(array) = pb_realloc((array), (cap) * sizeof *(array)); \
		} \
	} while (0)

void batch_init(struct batch *b, struct queue *q, unsigned shard)
{
	memset(b, 0, sizeof *b);
	b->q = q;
	b->shard = shard;
	b->last = &b->rows;
}

static struct key *new_key(struct batch *b)
{
	if (!b->arena)
		b->arena = pb_arena_new();
	return pb_arena_alloc(b->arena, sizeof(struct key));
}

static void add_put(struct batch *b, const struct key *key, struct pb_str value)
{
	GROW(b->put, b->nput, b->cput);
	b->put[b->nput++] = (struct engine_row){ key_str(key), value };
}

static void add_remove(struct batch *b, const struct key *key)
{
	GROW(b->remove, b->nremove, b->cremove);
	b->remove[b->nremove++] = key_str(key);
}

static void count(struct batch *b, struct lane *lane, enum count what, int n)
{
	size_t i;

	for (i = 0; i < b->ndeltas && b->deltas[i].lane != lane; i++)
		;
	if (i == b->ndeltas) {
		GROW(b->deltas, b->ndeltas, b->cdeltas);
		b->deltas[b->ndeltas++] = (struct lane_count){ .lane = lane };
	}
	b->deltas[i].n[what] += n;
}

struct entry *batch_row(struct batch *b, struct lane *lane, enum state state, int64_t due, const char *id, uint64_t sub)
{
	struct entry *e = lane_entry_new(lane, b->shard, state, due, id, sub);

	*b->last = e;
	b->last = &e->next;
	return e;
}

void batch_gone(struct batch *b, struct lane *lane, enum state state, int64_t due, const char *id, uint64_t sub)
{
	enum count what = count_of(state, due, id);
	struct key *key = new_key(b);

	key_row(key, state, pb_str(lane->name, lane->len), due, id, sub);
	add_remove(b, key);
	if (what != COUNT_FRESH) {
		key = new_key(b);
		key_index(key, id, sub);
		add_remove(b, key);
	}
	count(b, lane, what, -1);
}

void batch_ref(struct batch *b, const struct body_id *body)
{
	GROW(b->ref, b->nref, b->cref);
	b->ref[b->nref++] = *body;
}

void batch_unref(struct batch *b, const struct body_id *body)
{
	for (size_t i = b->nref; i-- > 0;)
		if (memcmp(&b->ref[i], body, sizeof *body) == 0) {
			b->ref[i] = b->ref[--b->nref];
			return;
		}
	GROW(b->unref, b->nunref, b->cunref);
	b->unref[b->nunref++] = *body;
}

bool batch_refers(const struct batch *b, const struct body_id *body)
{
	for (size_t i = 0; i < b->nref; i++)
		if (memcmp(&b->ref[i], body, sizeof *body) == 0)
			return true;
	return false;
}

void batch_name(struct batch *b, const char *id, int64_t now)
{
	struct key *name = new_key(b), *by_time = new_key(b);
	uint64_t big = __builtin_bswap64((uint64_t)now);
	size_t len = strlen(id);

	name->bytes[0] = 't';
	memcpy(name->bytes + 1, id, len);
	name->len = (uint8_t)(1 + len);
	by_time->bytes[0] = 'u';
	memcpy(by_time->bytes + 1, &big, 8);
	memcpy(by_time->bytes + 9, id, len);
	by_time->len = (uint8_t)(9 + len);
	add_put(b, name, pb_str(by_time->bytes, by_time->len));
	add_put(b, by_time, PB_NOSTR);
	GROW(b->absent, b->nabsent, b->cabsent);
	b->absent[b->nabsent++] = key_str(name);
}

static void put_rows(struct batch *b)
{
	for (struct entry *e = b->rows; e; e = e->next) {
		enum count what = count_of(e->state, e->due, e->id);
		struct key *key = new_key(b), *index;

		key_row(key, e->state, pb_str(e->lane->name, e->lane->len), e->due, e->id, e->sub);
		add_put(b, key, pb_buf_str(&e->blob));
		if (what != COUNT_FRESH) {
			index = new_key(b);
			key_index(index, e->id, e->sub);
			add_put(b, index, key_str(key));
		}
		count(b, e->lane, what, 1);
	}
}

/* A row that is moved keeps its index key: it is put, so it must not be removed. */
static void drop_overwritten(struct batch *b)
{
	for (size_t i = 0; i < b->nremove; i++)
		for (size_t k = 0; k < b->nput; k++)
			if (pb_str_eq(b->remove[i], b->put[k].key)) {
				b->remove[i--] = b->remove[--b->nremove];
				break;
			}
}

int batch_apply(struct batch *b, engine_ticket *ret_ticket, struct pb_error *err)
{
	struct queue *q = b->q;
	struct shard *s = &q->shards[b->shard];
	struct entry *swept[LATER_MAX];
	size_t nswept;
	struct pb_str header;
	struct engine_batch eb = { .entity = shard_entity(s), .expect = ENGINE_ANY, .header = &header };
	int rc;

	if (b->rows) {
		pthread_mutex_lock(&q->lock);
		for (struct entry *e = b->rows; e; e = e->next)
			if (e->state == STATE_ACTIVE)
				entry_add(q, e);
		pthread_mutex_unlock(&q->lock);
	}
	put_rows(b);
	drop_overwritten(b);
	pthread_mutex_lock(&s->lock);
	nswept = hop_collect(b, swept);
	eb.absent = b->absent;
	eb.nabsent = b->nabsent;
	eb.put = b->put;
	eb.nput = b->nput;
	eb.remove = b->remove;
	eb.nremove = b->nremove;
	eb.ref = b->ref;
	eb.nref = b->nref;
	eb.unref = b->unref;
	eb.nunref = b->nunref;
	shard_count(s, b->deltas, b->ndeltas, 1);
	shard_header(s);
	header = pb_buf_str(&s->header);
	rc = engine_apply(q->kernel->engine, &eb, NULL, ret_ticket, err);
	if (rc)
		shard_count(s, b->deltas, b->ndeltas, -1);
	else
		s->nlater = 0;
	pthread_mutex_unlock(&s->lock);
	if (!rc && nswept)
		hop_gone(q, swept, nswept);
	if (rc && b->rows) {
		pthread_mutex_lock(&q->lock);
		for (struct entry *e = b->rows; e; e = e->next)
			if (e->state == STATE_ACTIVE)
				entry_remove(q, e);
		pthread_mutex_unlock(&q->lock);
	}
	return rc;
}

struct lane *batch_publish(struct batch *b, int64_t now)
{
	struct lane *first = NULL;

	for (struct entry *e = b->rows, *next; e; e = next) {
		next = e->next;
		e->next = NULL;
		if (e->state == STATE_ACTIVE && (e->due <= now || !entry_is_deferred(e))) {
			if (!e->lane->consumer && b->q->consumers)
				timeline_text(queue_timeline(b->q), e->id, "kernel", "waits", LANE_UNSERVED);
			if (e->lane->consumer && !first)
				first = e->lane;
			entry_publish(b->q, e);
			continue;
		}
		if (e->state == STATE_ACTIVE) {
			lane_look_again(e->lane, e->due, e->due);	/* a pass may have gone by while this batch was made */
			entry_remove(b->q, e);
		}
		entry_free(b->q, e);
	}
	b->rows = NULL;
	return first;
}

void batch_free(struct batch *b)
{
	for (struct entry *e = b->rows, *next; e; e = next) {
		next = e->next;
		pb_buf_free(&e->blob);
		free(e);
	}
	pb_arena_free(b->arena);
	free(b->put);
	free(b->remove);
	free(b->absent);
	free(b->ref);
	free(b->unref);
	free(b->deltas);
}

/* ---- rows for recipients ---- */

void rows_begin(struct rows_writer *w, struct batch *b, struct lane *lane, enum state state, const char *id, const struct row *head,
		const struct pb_envelope *env, int64_t due)
{
	*w = (struct rows_writer){ .b = b, .lane = lane, .state = state, .id = id, .head = head, .env = env, .due = due };
}

static void end_row(struct rows_writer *w)
{
	if (!w->e)
		return;
	row_end(&w->e->blob, w->n);
	if (w->due == INT64_MIN)
		w->e->due = w->first;
	batch_ref(w->b, &w->head->body);
	w->e = NULL;
}

void rows_add(struct rows_writer *w, const struct rcpt_state *to)
{
	if (w->e && (w->n == ROW_RCPTS || w->e->blob.len > ROW_BYTES))
		end_row(w);
	if (!w->e) {
		w->e = batch_row(w->b, w->lane, w->state, w->due, w->id, queue_sub(w->b->q));
		w->n = 0;
		w->first = INT64_MAX;
		row_begin(&w->e->blob, w->head, w->env);
	}
	row_rcpt_put(&w->e->blob, to);
	if (to->due < w->first)
		w->first = to->due;
	w->n++;
}

int rows_end(struct rows_writer *w, struct pb_error *err)
{
	end_row(w);
	for (struct entry *e = w->b->rows; e; e = e->next)
		if (e->blob.len > 1000 * 1000)
			return pb_fail(err, PB_ETOOBIG, "envelope and notes of %s take %zu bytes", w->id, e->blob.len);
	return 0;
}
