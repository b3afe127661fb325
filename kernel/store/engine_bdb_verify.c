/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Verification: reads every row, every reference and every body that a row names, and tells what does not fit, in words. Mends nothing.
 */
#include "kernel/store/engine_bdb.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct verify {
	struct bdb *bdb;
	void (*tell)(void *arg, const char *finding);
	void *arg;
	uint64_t records, findings;
};

static void found(struct verify *v, const char *fmt, ...) PB_PRINTF(2, 3);

static void found(struct verify *v, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	v->findings++;
	if (v->tell)
		v->tell(v->arg, text);
}

/* ---- references and bodies ---- */

int bdb_refs_page(struct bdb *b, char kind, uint32_t segment, uint64_t offset, struct ref_at *list, size_t room, size_t *ret_n)
{
	unsigned char key[REF_KEY], value[REF_ROW_MAX];
	DBC *c;
	size_t n = 0;
	int r = b->refs->cursor(b->refs, NULL, &c, DB_READ_COMMITTED);

	if (r)
		return r;
	ref_key_make(key, kind, segment, offset);
	DBT k = bdb_into(key, sizeof(key)), v = bdb_into(value, sizeof(value));
	k.size = sizeof(key);
	for (uint32_t step = DB_SET_RANGE; n < room; step = DB_NEXT) {
		struct ref_at *at = &list[n];

		r = c->get(c, &k, &v, step);
		if (r == DB_LOCK_DEADLOCK && step == DB_SET_RANGE)
			continue;
		if (r || k.size != REF_KEY || key[0] != (unsigned char)kind)
			break;
		at->segment = (uint32_t)key[1] << 24 | key[2] << 16 | key[3] << 8 | key[4];
		at->offset = 0;
		for (int i = 0; i < 8; i++)
			at->offset = at->offset << 8 | key[5 + i];
		at->len = v.size < sizeof(at->value) ? v.size : sizeof(at->value);
		memcpy(at->value, value, at->len);
		n++;
	}
	int r2 = c->close(c);
	/* What a deadlock cut short is read from there on by the next call. */
	if (r == DB_NOTFOUND || (r == DB_LOCK_DEADLOCK && n))
		r = 0;
	*ret_n = n;
	return r ? r : r2;
}

/* Is this still what the database says? What was read a moment ago may have been removed or moved since. */
static bool still(struct bdb *b, char kind, const struct ref_at *at)
{
	unsigned char key[REF_KEY];
	PB_AUTOBUF(value);

	ref_key_make(key, kind, at->segment, at->offset);
	return bdb_fetch(b->refs, NULL, key, sizeof(key), &value, 0) == 0 && pb_str_eq(pb_buf_str(&value), pb_str((const char *)at->value, at->len));
}

static const char *body_fault(struct bdb *b, const struct ref_at *at, const struct ref_row *row)
{
	struct segment *g = segments_pin(&b->segments, row->moved ? row->now.segment : at->segment);
	uint64_t offset = row->moved ? row->now.offset : at->offset;
	struct record record;
	const char *map, *fault = NULL;

	if (!g)
		return "its segment is missing";
	if (g->damaged)
		fault = "its segment's header is damaged";
	else if (segment_map(&b->segments, g, &map, NULL))
		fault = "its segment cannot be read";
	else if (!record_at(map, g->size, g->number, offset, &record))
		fault = "its record's header fails its check";
	else if (record.size != row->size || (row->moved && record.random != row->now.random))
		fault = "its record is another's";
	else if (!record_body_good(map, &record))
		fault = "its bytes fail their check";
	segment_unpin(&b->segments, g);
	return fault;
}

static void verify_ref(struct verify *v, const struct ref_at *at)
{
	struct ref_row row;
	const char *fault;

	v->records++;
	if (!ref_row_unpack(&row, at->value, at->len) || row.count == 0)
		fault = "its reference row is malformed";
	else
		fault = body_fault(v->bdb, at, &row);
	if (fault && still(v->bdb, 'b', at))
		found(v, "body at segment %" PRIu32 ", offset %" PRIu64 ": %s", at->segment, at->offset, fault);
	if (fault || !row.moved)
		return;
	struct ref_at back = { .segment = row.now.segment, .offset = row.now.offset, .len = 12 };
	le32_put(back.value, at->segment);
	le64_put(back.value + 4, at->offset);
	if (!still(v->bdb, 'm', &back) && still(v->bdb, 'b', at))
		found(v, "body at segment %" PRIu32 ", offset %" PRIu64 " was moved, but its new place does not say so", at->segment, at->offset);
}

static int verify_refs(struct verify *v)
{
	enum { MANY = 256 };
	struct ref_at *list = pb_alloc(MANY * sizeof(*list));
	uint32_t segment = 0;
	uint64_t offset = 0;
	size_t n;
	int r;

	do {
		r = bdb_refs_page(v->bdb, 'b', segment, offset, list, MANY, &n);
		for (size_t i = 0; !r && i < n; i++)
			verify_ref(v, &list[i]);
		if (n) {
			segment = list[n - 1].segment;
			offset = list[n - 1].offset + 1;
		}
	} while (!r && n);
	free(list);
	return r;
}

/* ---- rows ---- */

static void verify_row(struct verify *v, struct pb_str key, struct pb_str value, struct pb_buf *entity)
{
	char name[64];
	size_t len, at = row_key_entity(key, name, &len);

	v->records++;
	if (!at) {
		found(v, "a row's key is malformed");
		return;
	}
	if (key.ptr[at] == ROW_HEADER) {
		if (value.len < HEADER_FIXED || value.ptr[0] != STORE_FORMAT)
			found(v, "the head of entity %.*s is malformed", (int)len, name);
		pb_buf_reset(entity);
		pb_buf_add(entity, name, len);
	} else if (!pb_str_eq(pb_buf_str(entity), pb_str(name, len))) {
		/* The head sorts before the rows; if it came or went while we read, it is there now or the rows are gone. */
		uint64_t version = 0;

		if (!bdb_head(&v->bdb->base, pb_str(name, len), &version, NULL, NULL) && version == 0)
			found(v, "entity %.*s has rows but no head (it may have been left half dropped)", (int)len, name);
		pb_buf_reset(entity);
		pb_buf_add(entity, name, len);
	}
}

/* In pieces, each copied out, so that no lock is held for long. */
static int verify_rows(struct verify *v)
{
	enum { ROOM = 4 << 20 };
	PB_AUTOBUF(bulk);
	PB_AUTOBUF(entity);
	PB_AUTOBUF(from);
	int r = 0;

	pb_buf_reserve(&bulk, ROOM);
	pb_buf_reserve(&from, ROW_KEY_MAX);
	for (bool more = true; more && !r;) {
		DBT key = bdb_dbt(from.ptr, from.len), value = bdb_into(bulk.ptr, ROOM);
		DBC *c;

		r = v->bdb->rows->cursor(v->bdb->rows, NULL, &c, DB_READ_COMMITTED);
		if (r)
			break;
		r = c->get(c, &key, &value, DB_SET_RANGE | DB_MULTIPLE_KEY);
		int r2 = c->close(c);
		more = r == 0 || r == DB_LOCK_DEADLOCK;
		if (r == DB_NOTFOUND || r == DB_LOCK_DEADLOCK) {
			r = r2;
			continue;
		}
		void *at;
		unsigned char *k, *d, *last = NULL;
		size_t klen, dlen, last_len = 0;

		for (DB_MULTIPLE_INIT(at, &value); !r;) {
			DB_MULTIPLE_KEY_NEXT(at, &value, k, klen, d, dlen);
			if (!at)
				break;
			verify_row(v, pb_str((char *)k, klen), pb_str((char *)d, dlen), &entity);
			last = k;
			last_len = klen;
		}
		if (last) {
			pb_buf_reset(&from);
			pb_buf_add(&from, last, last_len);
			pb_buf_addc(&from, 0);
		}
	}
	return r;
}

int bdb_verify(struct engine *e, void (*tell)(void *arg, const char *finding), void *arg, uint64_t *ret_records, uint64_t *ret_findings, struct pb_error *err)
{
	struct bdb *b = bdb_of(e);
	struct verify v = { .bdb = b, .tell = tell, .arg = arg };

	pthread_mutex_lock(&b->care);
	int r = verify_rows(&v);
	if (!r)
		r = verify_refs(&v);
	pthread_mutex_unlock(&b->care);
	if (r == DB_CHKSUM_FAIL || r == DB_PAGE_NOTFOUND || r == DB_RUNRECOVERY)
		found(&v, "the index cannot be read on: %s; restore a backup", db_strerror(r));
	else if (r)
		return bdb_fail(b, err, r, "verifying");
	*ret_records = v.records;
	*ret_findings = v.findings;
	return 0;
}
