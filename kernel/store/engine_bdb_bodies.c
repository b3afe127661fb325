/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bodies of the engine on Berkeley DB: written to segments, found again by their id even after compaction moved them. Their reference rows are
 * engine_bdb_apply.c's, the files segment.c's.
 */
#include "kernel/store/engine_bdb.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

struct bdb_body {
	struct engine_body base;
	struct bdb *bdb;
	struct segment *segment;
};

/* ---- writing ---- */

/* Common to both ways of writing: room, and what is known of a body that is written. */
static int begin(struct bdb *b, uint64_t size, struct pb_str facts, struct segment **ret, struct body_id *ret_id, struct pb_error *err)
{
	int r = bdb_failed(b, err);

	if (r)
		return r;
	if (!bdb_has_room(b))
		return pb_fail(err, PB_EFULL, "the disk of %s is full", b->dir);
	return segment_take(&b->segments, size, facts.len, ret, ret_id, err);
}

static int end(struct bdb *b, struct segment *g, struct body_id *id, struct pb_str facts, int r)
{
	if (r) {
		segment_give_back(&b->segments, g, id);
	} else {
		/* Facts are a cache: a body without them is complete. */
		if (facts.len && segment_write_facts(&b->segments, g, id, facts, NULL))
			id->facts_len = 0;
		segment_bit_set(g, &g->checked, id->offset, true);
		segment_bit_set(g, &g->fresh, id->offset, true);
		atomic_fetch_add(&b->segments.bodies, 1);
		atomic_fetch_add(&b->segments.body_bytes, id->size);
		atomic_fetch_add(&b->segments.bytes_written, record_room(id->size) + facts.len);
	}
	segment_unpin(&b->segments, g);
	return r;
}

int bdb_body_write(struct engine *e, const struct pb_str *parts, size_t nparts, struct pb_str facts, struct body_id *ret, struct pb_error *err)
{
	struct bdb *b = bdb_of(e);
	struct segment *g;
	struct body_id id;
	uint64_t size = 0;
	uint32_t crc = 0;

	for (size_t i = 0; i < nparts; i++) {
		if (parts[i].len)
			crc = pb_crc32c(crc, parts[i].ptr, parts[i].len);
		size += parts[i].len;
	}
	int r = begin(b, size, facts, &g, &id, err);
	if (r)
		return r;
	r = end(b, g, &id, facts, segment_write(&b->segments, g, &id, crc, parts, nparts, err));
	if (!r)
		*ret = id;
	return r;
}

/* The header is written last, because it holds the check of what is read on the way. */
static int copy_in(struct segments *s, struct segment *g, const struct body_id *id, int fd, struct pb_error *err)
{
	enum { CHUNK = 256 << 10 };
	PB_AUTOBUF(chunk);
	uint32_t crc = 0;

	pb_buf_reserve(&chunk, CHUNK);
	for (uint64_t done = 0; done < id->size;) {
		uint64_t left = id->size - done;
		ssize_t n = pread(fd, chunk.ptr, left < CHUNK ? left : CHUNK, done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return pb_fail_errno(err, errno, "reading a body");
		if (n == 0)
			return pb_fail(err, PB_ECORRUPT, "a body ended after %" PRIu64 " bytes of %" PRIu64, done, id->size);
		crc = pb_crc32c(crc, chunk.ptr, n);
		for (ssize_t wrote = 0; wrote < n;) {
			ssize_t w = pwrite(g->fd, chunk.ptr + wrote, n - wrote, id->offset + RECORD_HEADER + done + wrote);

			if (w < 0 && errno == EINTR)
				continue;
			if (w <= 0)
				return pb_fail_errno(err, w ? errno : ENOSPC, "writing a body of %" PRIu64 " bytes to segment %" PRIu32, id->size, g->number);
			wrote += w;
		}
		done += n;
	}
	return segment_write(s, g, id, crc, NULL, 0, err);
}

int bdb_body_write_fd(struct engine *e, int fd, uint64_t size, struct pb_str facts, struct body_id *ret, struct pb_error *err)
{
	struct bdb *b = bdb_of(e);
	struct segment *g;
	struct body_id id;
	int r = begin(b, size, facts, &g, &id, err);

	if (r)
		return r;
	r = end(b, g, &id, facts, copy_in(&b->segments, g, &id, fd, err));
	if (!r)
		*ret = id;
	return r;
}

void bdb_body_discard(struct engine *e, const struct body_id *id)
{
	struct bdb *b = bdb_of(e);
	struct segment *g = segments_pin(&b->segments, id->segment);

	if (!g)
		return;
	/* Only what no row ever named: the bit says so. */
	if (id->offset < g->size && segment_bit(&g->fresh, id->offset)) {
		segment_bit_set(g, &g->fresh, id->offset, false);
		segment_bit_set(g, &g->checked, id->offset, false);
		segment_drop(g, id);
	}
	segment_unpin(&b->segments, g);
}

/* ---- reading ---- */

/* Where a body lies that is not where its id says: compaction moved it. */
static int find_moved(struct bdb *b, const struct body_id *id, struct body_id *ret, struct pb_error *err)
{
	unsigned char key[REF_KEY];
	PB_AUTOBUF(value);
	struct ref_row row;

	ref_key_make(key, 'b', id->segment, id->offset);
	int r = bdb_fetch(b->refs, NULL, key, sizeof(key), &value, 0);
	if (r && r != DB_NOTFOUND)
		return bdb_fail(b, err, r, "looking for a body");
	if (r)
		return pb_fail(err, PB_ENOTFOUND, "no such body any more (segment %" PRIu32 ", offset %" PRIu64 ")", id->segment, id->offset);
	/* Compaction takes a segment away when no row names a place in it as it stands: somebody else took this one. */
	if (!ref_row_unpack(&row, value.ptr, value.len) || !row.moved)
		return pb_fail(err, PB_ECORRUPT, "segment %" PRIu32 ", which holds the body at %" PRIu64 ", is missing", id->segment, id->offset);
	*ret = row.now;
	return 0;
}

static int pin(struct bdb *b, const struct body_id *id, struct segment **ret, struct body_id *ret_place, struct pb_error *err)
{
	*ret_place = *id;
	/* Compaction may move it again between the look and the pin. */
	for (int tries = 0; tries < 8; tries++) {
		*ret = segments_pin(&b->segments, ret_place->segment);
		if (*ret)
			return 0;
		int r = find_moved(b, id, ret_place, err);
		if (r)
			return r;
	}
	return pb_fail(err, PB_ENOTFOUND, "segment %" PRIu32 " is missing", ret_place->segment);
}

static int check(struct bdb *b, struct segment *g, const struct body_id *at, struct pb_str *ret, struct pb_error *err)
{
	const char *map;
	struct record record;

	if (g->damaged)
		return pb_fail(err, PB_ECORRUPT, "segment %" PRIu32 " has a damaged header", g->number);
	int r = segment_map(&b->segments, g, &map, err);
	if (r)
		return r;
	if (!record_at(map, g->size, g->number, at->offset, &record))
		return pb_fail(err, PB_ECORRUPT, "the record of a body fails its check (segment %" PRIu32 ", offset %" PRIu64 ")", g->number, at->offset);
	if (record.random != at->random || record.size != at->size)
		return pb_fail(err, PB_ENOTFOUND, "no such body any more (segment %" PRIu32 ", offset %" PRIu64 ")", g->number, at->offset);
	if (!segment_bit(&g->checked, at->offset)) {
		if (!record_body_good(map, &record))
			return pb_fail(err, PB_ECORRUPT, "a body fails its check (segment %" PRIu32 ", offset %" PRIu64 ", %" PRIu64 " bytes)", g->number,
				at->offset, at->size);
		segment_bit_set(g, &g->checked, at->offset, true);
	}
	*ret = pb_str(map + at->offset + RECORD_HEADER, record.size);
	return 0;
}

int bdb_body_open(struct engine *e, const struct body_id *id, struct engine_body **ret, struct pb_error *err)
{
	struct bdb *b = bdb_of(e);
	struct body_id at;
	struct segment *g;
	struct pb_str bytes;
	int r = pin(b, id, &g, &at, err);

	if (r)
		return r;
	r = check(b, g, &at, &bytes, err);
	if (r) {
		segment_unpin(&b->segments, g);
		return r;
	}
	struct bdb_body *body = pb_alloc(sizeof(*body));
	*body = (struct bdb_body) { { e->ops, bytes }, b, g };
	*ret = &body->base;
	return 0;
}

void bdb_body_close(struct engine_body *body)
{
	struct bdb_body *open = (struct bdb_body *)body;

	segment_unpin(&open->bdb->segments, open->segment);
	free(open);
}

int bdb_body_facts(struct engine *e, const struct body_id *id, struct pb_buf *out, struct pb_error *err)
{
	struct bdb *b = bdb_of(e);
	struct body_id at;
	struct segment *g;
	int r = pin(b, id, &g, &at, err);

	if (r)
		return r;
	r = segment_read_facts(&b->segments, g, &at, out, err);
	segment_unpin(&b->segments, g);
	return r;
}

/* ---- start ---- */

/* The last place of this segment that a row names, of those of one kind; 0: none. */
static int last_named(struct bdb *b, char kind, uint32_t segment, uint64_t *ret)
{
	unsigned char key[REF_KEY], none[REF_ROW_MAX];
	DBC *c;
	int r = b->refs->cursor(b->refs, NULL, &c, 0);

	if (r)
		return r;
	ref_key_make(key, kind, segment, UINT64_MAX);
	DBT k = bdb_into(key, sizeof(key)), v = bdb_into(none, sizeof(none));
	k.size = sizeof(key);
	r = c->get(c, &k, &v, DB_SET_RANGE);
	r = c->get(c, &k, &v, r ? DB_LAST : DB_PREV);
	*ret = 0;
	if (!r && k.size == REF_KEY && key[0] == (unsigned char)kind && (uint32_t)(key[1] << 24 | key[2] << 16 | key[3] << 8 | key[4]) == segment)
		for (int i = 0; i < 8; i++)
			*ret = *ret << 8 | key[5 + i];
	c->close(c);
	return r == DB_NOTFOUND ? 0 : r;
}

/* Where to write on in a segment: behind whatever a row names and behind every whole record that follows. Those that no row names are dead room. */
static int resume_at(struct bdb *b, struct segment *g, uint64_t *ret, struct pb_error *err)
{
	uint64_t own = 0, moved = 0;
	struct record record;
	const char *map;
	int r = last_named(b, 'b', g->number, &own);

	if (!r)
		r = last_named(b, 'm', g->number, &moved);
	if (r)
		return bdb_fail(b, err, r, "looking for the end of segment %" PRIu32, g->number);
	uint64_t last = own > moved ? own : moved;
	r = g->damaged ? PB_ECORRUPT : segment_map(&b->segments, g, &map, err);
	if (r) {
		*ret = last ? g->size : 0;
		return 0;
	}
	*ret = SEGMENT_HEADER;
	if (last && !record_at(map, g->size, g->number, last, &record))
		*ret = g->size;			/* a named body is damaged: leave the rest alone */
	else if (last)
		*ret = last + record_room(record.size);
	*ret = segment_walk(map, g->size, g->number, *ret, NULL, NULL);
	return 0;
}

/* A number is never used again while a body keeps its id of a segment that is gone. */
static int skip_named(struct bdb *b)
{
	struct ref_at at;
	uint32_t from = b->segments.next_number;
	size_t n;
	int r;

	while (!(r = bdb_refs_page(b, 'b', from, 0, &at, 1, &n)) && n)
		b->segments.next_number = from = at.segment + 1;
	return r;
}

int bdb_bodies_resume(struct bdb *b, struct pb_error *err)
{
	uint64_t count;
	uint32_t number = segments_last(&b->segments, &count);
	int named = skip_named(b);

	if (named)
		return bdb_fail(b, err, named, "looking for the last segment that is named");

	/* From the newest down to the first that holds anything: empty ones were made ahead. */
	for (; number; number--) {
		struct segment *g = segments_pin(&b->segments, number);
		uint64_t at = 0;

		if (!g)
			continue;
		int r = resume_at(b, g, &at, err);
		if (!r && at <= SEGMENT_HEADER && number > 1)
			segments_remove(&b->segments, g);
		segment_unpin(&b->segments, g);
		if (r)
			return r;
		if (at > SEGMENT_HEADER || number == 1)
			return segments_resume(&b->segments, at ? number : 0, at, err);
	}
	return segments_resume(&b->segments, 0, 0, err);
}
