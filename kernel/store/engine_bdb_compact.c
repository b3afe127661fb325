/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Compaction: copies the live bodies of a segment that is mostly dead to the active one and removes it. A moved body keeps its id; its reference row
 * says where it lies now.
 */
#include "kernel/store/engine_bdb.h"

#include <inttypes.h>
#include <stdlib.h>

enum { PAGE = 256 };

/* Rows of one segment only, of a kind. */
static int page_of(struct bdb *b, char kind, const struct segment *g, uint64_t from, struct ref_at *list, size_t *ret_n)
{
	int r = bdb_refs_page(b, kind, g->number, from, list, PAGE, ret_n);

	for (size_t i = 0; !r && i < *ret_n; i++)
		if (list[i].segment != g->number)
			*ret_n = i;
	return r;
}

struct body_at {
	struct body_id id;		/* segment and offset: what rows say */
	struct body_id place;		/* where it lies */
};

/* The id of the body that was moved to this place, and all that is known of its place. */
static bool moved_here(struct bdb *b, const struct ref_at *at, struct body_at *ret)
{
	unsigned char key[REF_KEY];
	PB_AUTOBUF(value);
	struct ref_row row;

	if (at->len != 12)
		return false;
	ret->id = (struct body_id) { .segment = le32_get(at->value), .offset = le64_get(at->value + 4) };
	ref_key_make(key, 'b', ret->id.segment, ret->id.offset);
	if (bdb_fetch(b->refs, NULL, key, sizeof(key), &value, 0) || !ref_row_unpack(&row, value.ptr, value.len) || !row.moved)
		return false;
	ret->place = row.now;
	return row.now.segment == at->segment && row.now.offset == at->offset;
}

/* Calls each for every body that lies in the segment and is named by rows; stops at what is not 0. */
static int each_live(struct bdb *b, struct segment *g, int (*each)(void *arg, const struct body_at *body), void *arg)
{
	struct ref_at *list = pb_alloc(PAGE * sizeof(*list));
	int r = 0;

	for (const char *kind = "bm"; *kind && !r; kind++) {
		uint64_t from = 0;
		size_t n;

		do {
			r = page_of(b, *kind, g, from, list, &n);
			for (size_t i = 0; !r && i < n; i++) {
				struct body_at body;
				struct ref_row row;

				from = list[i].offset + 1;
				if (*kind == 'm') {
					if (moved_here(b, &list[i], &body))
						r = each(arg, &body);
				} else if (ref_row_unpack(&row, list[i].value, list[i].len) && !row.moved) {
					body.id = (struct body_id) { .segment = g->number, .offset = list[i].offset, .size = row.size };
					body.place = body.id;
					r = each(arg, &body);
				}
			}
		} while (!r && n);
	}
	free(list);
	return r;
}

static int count_one(void *arg, const struct body_at *body)
{
	*(uint64_t *)arg += record_room(body->place.size);
	return 0;
}

/* After a start nobody knows how much of a segment is dead: ask the reference rows once. */
static int count_dead(struct bdb *b, struct segment *g)
{
	uint64_t live = 0;
	int r = each_live(b, g, count_one, &live);

	if (r)
		return r;
	atomic_store(&g->dead, g->size - SEGMENT_HEADER > live ? g->size - SEGMENT_HEADER - live : 0);
	atomic_store(&g->counted, true);
	return 0;
}

/* ---- moving ---- */

struct move {
	struct bdb *bdb;
	struct segment *from;
	const char *map;
	bool stuck;			/* a body cannot be moved, so the segment stays */
	struct pb_error *err;
	/* of one body */
	struct body_at body;
	struct body_id to;
	bool gone;
};

/* The body's row says the new place, if it still says the old one. */
static int move_work(struct bdb *b, DB_TXN *txn, void *arg, struct pb_error *err)
{
	struct move *m = arg;
	unsigned char key[REF_KEY], place[REF_KEY], value[REF_ROW_MAX], back[12];
	PB_AUTOBUF(buf);
	struct ref_row row;
	DB_LSN lsn;

	(void)err;
	m->gone = true;
	ref_key_make(key, 'b', m->body.id.segment, m->body.id.offset);
	int r = bdb_fetch(b->refs, txn, key, sizeof(key), &buf, DB_RMW);
	if (r)
		return r == DB_NOTFOUND ? 0 : r;
	if (!ref_row_unpack(&row, buf.ptr, buf.len) || row.size != m->to.size
	    || (row.moved ? row.now.segment != m->from->number || row.now.offset != m->body.place.offset : m->body.id.segment != m->from->number))
		return 0;
	bool was_moved = row.moved;
	row.moved = true;
	row.now = m->to;
	DBT k = bdb_dbt(key, sizeof(key)), v = bdb_dbt(value, ref_row_pack(&row, value));
	r = b->refs->put(b->refs, txn, &k, &v, 0);
	if (!r) {
		ref_key_make(place, 'm', m->to.segment, m->to.offset);
		le32_put(back, m->body.id.segment);
		le64_put(back + 4, m->body.id.offset);
		k = bdb_dbt(place, sizeof(place));
		v = bdb_dbt(back, sizeof(back));
		r = b->refs->put(b->refs, txn, &k, &v, 0);
	}
	if (!r && was_moved) {
		ref_key_make(place, 'm', m->from->number, m->body.place.offset);
		k = bdb_dbt(place, sizeof(place));
		r = b->refs->del(b->refs, txn, &k, 0);
		r = r == DB_NOTFOUND ? 0 : r;
	}
	if (!r) {
		pb_buf_reset(&buf);
		bdb_mark_add(&buf, &m->to);
		DBT mark = bdb_dbt(buf.ptr, buf.len);
		r = b->env->log_put(b->env, &lsn, &mark, 0);
	}
	m->gone = false;
	return r;
}

static int move_one(void *arg, const struct body_at *body)
{
	struct move *m = arg;
	struct bdb *b = m->bdb;
	struct record record;
	struct pb_error own;
	PB_AUTOBUF(facts);

	if (!record_at(m->map, m->from->size, m->from->number, body->place.offset, &record) || record.size != body->place.size
	    || !record_body_good(m->map, &record)) {
		m->stuck = true;
		return 0;
	}
	struct body_id from = { .segment = record.segment, .random = record.random, .offset = record.offset, .size = record.size,
		.facts_offset = record.facts_offset, .facts_len = record.facts_len };
	if (segment_read_facts(&b->segments, m->from, &from, &facts, NULL))
		pb_buf_reset(&facts);
	struct pb_str bytes = pb_str(m->map + record.offset + RECORD_HEADER, record.size);
	int r = bdb_body_write(&b->base, &bytes, 1, pb_buf_str(&facts), &m->to, m->err);
	if (r)
		return BDB_REFUSED;
	m->body = *body;
	r = bdb_transact(b, move_work, m, NULL, NULL, m->err ? m->err : &own);
	if (r || m->gone)
		bdb_body_discard(&b->base, &m->to);
	else
		bdb_set_fresh(b, &m->to, false);
	return r ? BDB_REFUSED : 0;
}

/* Bodies that were written and wait for their first row: they have no reference that could be found. */
static bool has_fresh(struct segment *g)
{
	_Atomic uint8_t *bits = atomic_load(&g->fresh);

	for (uint64_t i = 0; bits && i <= g->size / RECORD_ALIGN / 8; i++)
		if (atomic_load_explicit(&bits[i], memory_order_relaxed))
			return true;
	return false;
}

static int compact_one(struct bdb *b, struct segment *g, struct pb_error *err)
{
	struct move m = { .bdb = b, .from = g, .err = err };
	int r = segment_map(&b->segments, g, &m.map, err);

	if (r)
		return r;
	r = each_live(b, g, move_one, &m);
	if (r == BDB_REFUSED)
		return err ? err->code : PB_EINTERNAL;
	if (r)
		return bdb_fail(b, err, r, "compacting segment %" PRIu32, g->number);
	if (m.stuck) {
		/* Verification tells of the body; here the segment is only left alone. */
		atomic_store(&g->dead, 0);
		return 0;
	}
	/* The old place goes when the new one and the rows that say so are on the disk: also those that somebody else removed a moment ago. */
	r = bdb_settle(b, err);
	if (!r)
		segments_remove(&b->segments, g);
	return r;
}

int bdb_compact(struct engine *e, bool *ret_more, struct pb_error *err)
{
	struct bdb *b = bdb_of(e);
	bool more = true;
	int r = bdb_failed(b, err);

	if (r)
		return r;
	pthread_mutex_lock(&b->care);
	/* What is in the journal only keeps its segment from being looked at. */
	if (!b->compact_next)
		r = bdb_settle(b, err);
	struct segment *g = r ? NULL : segments_next(&b->segments, b->compact_next);
	for (; g; g = segments_next(&b->segments, b->compact_next)) {
		b->compact_next = g->number + 1;
		bool candidate = !g->damaged && !segments_is_writing(&b->segments, g) && !has_fresh(g);
		bool counted = candidate && !atomic_load(&g->counted);
		if (counted) {
			r = count_dead(b, g);
			r = r ? bdb_fail(b, err, r, "counting what lives in segment %" PRIu32, g->number) : 0;
		}
		bool worth = candidate && !r && atomic_load(&g->dead) > (g->size - SEGMENT_HEADER) / 2;
		if (worth)
			r = compact_one(b, g, err);
		segment_unpin(&b->segments, g);
		if (r || worth || counted)
			break;
	}
	if (!g) {
		b->compact_next = 0;
		more = false;
	}
	pthread_mutex_unlock(&b->care);
	if (!r)
		*ret_more = more;
	return r;
}
