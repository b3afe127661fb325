/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading rows: heads, single rows, pages, names of entities, and the keys that they lie under. Reads take page locks for moments only and copy what
 * they give, so nobody holds up a writer while it talks to a client. Writing is engine_bdb_apply.c's.
 */
#include "kernel/store/engine_bdb.h"

#include <stdlib.h>

/* ---- keys ---- */

/* A NUL in a name becomes 00 FF, so that the 00 and the kind after the name sort before it, and names sort as bytes. */
void row_key_make(struct row_key *k, struct pb_str entity, enum row_kind kind, struct pb_str key)
{
	unsigned char *at = k->bytes;

	for (size_t i = 0; i < entity.len; i++) {
		*at++ = entity.ptr[i];
		if (!entity.ptr[i])
			*at++ = 0xff;
	}
	*at++ = 0;
	*at++ = kind;
	if (key.len)
		memcpy(at, key.ptr, key.len);
	k->len = at - k->bytes + key.len;
}

size_t row_key_entity(struct pb_str key, char *name, size_t *ret_len)
{
	size_t n = 0;

	for (size_t i = 0; i + 1 < key.len; i++) {
		if (!key.ptr[i] && (unsigned char)key.ptr[i + 1] != 0xff) {
			*ret_len = n;
			return i + 1;
		}
		if (n == 64)
			break;
		name[n++] = key.ptr[i];
		if (!key.ptr[i])
			i++;
	}
	return 0;
}

void ref_key_make(unsigned char *key, char kind, uint32_t segment, uint64_t offset)
{
	key[0] = kind;
	for (int i = 0; i < 4; i++)
		key[1 + i] = segment >> (24 - 8 * i);
	for (int i = 0; i < 8; i++)
		key[5 + i] = offset >> (56 - 8 * i);
}

size_t ref_row_pack(const struct ref_row *r, unsigned char *bytes)
{
	bytes[0] = STORE_FORMAT;
	bytes[1] = r->moved;
	bytes[2] = bytes[3] = 0;
	le32_put(bytes + 4, r->count);
	le64_put(bytes + 8, r->size);
	if (!r->moved)
		return 16;
	le32_put(bytes + 16, r->now.segment);
	le32_put(bytes + 20, r->now.random);
	le64_put(bytes + 24, r->now.offset);
	le32_put(bytes + 32, r->now.facts_offset);
	le32_put(bytes + 36, r->now.facts_len);
	return 40;
}

bool ref_row_unpack(struct ref_row *r, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;

	if (len < 16 || p[0] != STORE_FORMAT || len != (p[1] ? 40u : 16u))
		return false;
	*r = (struct ref_row) { .count = le32_get(p + 4), .size = le64_get(p + 8), .moved = p[1] };
	if (r->moved)
		r->now = (struct body_id) { .segment = le32_get(p + 16), .random = le32_get(p + 20), .offset = le64_get(p + 24),
			.facts_offset = le32_get(p + 32), .facts_len = le32_get(p + 36), .size = r->size };
	return true;
}

/* ---- single rows ---- */

int bdb_fetch(DB *db, DB_TXN *txn, const void *key, size_t len, struct pb_buf *value, uint32_t flags)
{
	DBT k = bdb_dbt(key, len);

	pb_buf_reset(value);
	pb_buf_reserve(value, 512);
	for (;;) {
		DBT v = bdb_into(value->ptr, value->cap - 1);
		int r = db->get(db, txn, &k, &v, flags);

		if (r == DB_BUFFER_SMALL) {
			pb_buf_reserve(value, v.size);
			continue;
		}
		/* Without a transaction a reader that came into a deadlock has lost nothing. */
		if (r == DB_LOCK_DEADLOCK && !txn)
			continue;
		if (r)
			return r;
		value->len = v.size;
		value->ptr[v.size] = 0;
		return 0;
	}
}

int bdb_head(struct engine *e, struct pb_str entity, uint64_t *ret_version, struct pb_buf *header, struct pb_error *err)
{
	struct bdb *b = bdb_of(e);
	PB_AUTOBUF(own);
	struct pb_buf *buf = header ? header : &own;
	struct row_key key;

	row_key_make(&key, entity, ROW_HEADER, PB_NOSTR);
	int r = bdb_fetch(b->rows, NULL, key.bytes, key.len, buf, 0);
	if (r == DB_NOTFOUND) {
		pb_buf_reset(buf);
		*ret_version = 0;
		return 0;
	}
	if (r)
		return bdb_fail(b, err, r, "reading the head of %.*s", PB_FMT(entity));
	if (buf->len < HEADER_FIXED || buf->ptr[0] != STORE_FORMAT)
		return pb_fail(err, PB_ECORRUPT, "the head of %.*s is malformed", PB_FMT(entity));
	*ret_version = le64_get(buf->ptr + 1);
	pb_buf_cut(buf, HEADER_FIXED);
	return 0;
}

int bdb_get(struct engine *e, struct pb_str entity, struct pb_str key, struct pb_buf *value, struct pb_error *err)
{
	struct bdb *b = bdb_of(e);
	struct row_key k;

	row_key_make(&k, entity, ROW_ROW, key);
	int r = bdb_fetch(b->rows, NULL, k.bytes, k.len, value, 0);
	if (r == DB_NOTFOUND)
		return pb_fail(err, PB_ENOTFOUND, "no such row in %.*s", PB_FMT(entity));
	return r ? bdb_fail(b, err, r, "reading a row of %.*s", PB_FMT(entity)) : 0;
}

/* ---- pages ---- */

struct range {
	struct pb_str from, to;		/* from <= key < to, whole keys of rows.db */
	size_t skip;			/* bytes of the key that are not the caller's */
	size_t limit;
	struct engine_page *page;
};

/* True: the page has all that it takes. */
static bool add(struct range *g, struct pb_str key, struct pb_str value)
{
	if (g->page->n < g->limit && engine_page_add(g->page, pb_str_skip(key, g->skip), value))
		return false;
	g->page->more = true;
	return true;
}

enum { BULK_FIRST = 16 << 10, BULK_MAX = 4 << 20 };

/* Many rows a call, but few pages: a call reads on behind the range until its buffer is full. One that holds a single value grows with it. */
static int read_range(struct bdb *b, struct range *g)
{
	PB_AUTOBUF(bulk);
	size_t room = BULK_FIRST;
	DBC *c;
	int r = b->rows->cursor(b->rows, NULL, &c, DB_READ_COMMITTED);

	if (r)
		return r;
	DBT k = bdb_dbt(g->from.ptr, g->from.len);
	uint32_t step = DB_SET_RANGE;
	for (bool done = false; !done;) {
		pb_buf_reset(&bulk);
		pb_buf_reserve(&bulk, room);
		DBT v = bdb_into(bulk.ptr, room);

		r = c->get(c, &k, &v, step | DB_MULTIPLE_KEY);
		if (r == DB_BUFFER_SMALL && room < BULK_MAX) {
			room = v.size > room * 2 ? (v.size + 4095) / 4096 * 4096 : room * 2;
			continue;
		}
		if (r)
			break;
		void *at;
		unsigned char *key, *value;
		size_t klen, vlen;

		for (DB_MULTIPLE_INIT(at, &v); !done;) {
			DB_MULTIPLE_KEY_NEXT(at, &v, key, klen, value, vlen);
			if (!at)
				break;
			struct pb_str name = pb_str((char *)key, klen);

			done = pb_str_cmp(name, g->to) >= 0 || add(g, name, pb_str((char *)value, vlen));
		}
		step = DB_NEXT;
	}
	int r2 = c->close(c);
	return r && r != DB_NOTFOUND ? r : r2;
}

static int page_once(struct bdb *b, struct pb_str entity, struct range *g, bool *ret_torn, struct pb_error *err)
{
	uint64_t before, after;
	int r;

	do {
		engine_page_begin(g->page);
		r = bdb_head(&b->base, entity, &before, NULL, err);
		if (r)
			return r;
		r = before == 0 ? 0 : read_range(b, g);
	} while (r == DB_LOCK_DEADLOCK);
	if (r)
		return bdb_fail(b, err, r, "reading rows of %.*s", PB_FMT(entity));
	r = before ? bdb_head(&b->base, entity, &after, NULL, err) : 0;
	*ret_torn = !r && before && after != before;
	g->page->version = before;
	return r;
}

int bdb_scan(struct engine *e, struct pb_str entity, struct pb_str from, struct pb_str to, size_t limit, struct engine_page *page,
	struct pb_error *err)
{
	struct bdb *b = bdb_of(e);
	struct row_key first, end;
	bool torn = true;
	int r = 0;

	row_key_make(&first, entity, ROW_ROW, from);
	row_key_make(&end, entity, to.len ? ROW_ROW : ROW_END, to);
	struct range g = { .from = pb_str((char *)first.bytes, first.len), .to = pb_str((char *)end.bytes, end.len), .limit = limit, .page = page };
	g.skip = first.len - from.len;
	/* A page is of one version: if a batch came between, read again; if that goes on, keep batches out for once. */
	for (int tries = 0; torn && !r && tries < 3; tries++)
		r = page_once(b, entity, &g, &torn, err);
	if (torn && !r) {
		pthread_mutex_t *stripe = bdb_stripe(b, entity);

		pthread_mutex_lock(stripe);
		r = page_once(b, entity, &g, &torn, err);
		pthread_mutex_unlock(stripe);
	}
	engine_page_end(page);
	return r;
}

int bdb_entities(struct engine *e, struct pb_str prefix, struct pb_str after, size_t limit, struct engine_page *page, struct pb_error *err)
{
	struct bdb *b = bdb_of(e);
	bool skip = pb_str_cmp(after, prefix) >= 0 && after.len;
	struct row_key key;
	DBC *c;

	engine_page_begin(page);
	int r = b->rows->cursor(b->rows, NULL, &c, DB_READ_COMMITTED);
	if (r)
		return bdb_fail(b, err, r, "listing entities");
	/* From name to name: behind the rows of one is the head of the next. The first key is a prefix's, so without the end mark. */
	row_key_make(&key, skip ? after : prefix, ROW_END, PB_NOSTR);
	if (!skip)
		key.len -= 2;
	for (;;) {
		char name[64];
		size_t len;
		DBT k = bdb_into(key.bytes, sizeof(key.bytes)), v = bdb_into(NULL, 0);

		k.size = key.len;
		v.flags |= DB_DBT_PARTIAL;
		r = c->get(c, &k, &v, DB_SET_RANGE);
		if (r == DB_LOCK_DEADLOCK)
			continue;
		if (r || !row_key_entity(pb_str((char *)key.bytes, k.size), name, &len))
			break;
		struct pb_str found = pb_str(name, len);
		if (!pb_str_starts(found, prefix))
			break;
		if (page->n >= limit || !engine_page_add(page, found, PB_NOSTR)) {
			page->more = true;
			break;
		}
		row_key_make(&key, found, ROW_END, PB_NOSTR);
	}
	int r2 = c->close(c);
	engine_page_end(page);
	r = r && r != DB_NOTFOUND ? r : r2;
	return r ? bdb_fail(b, err, r, "listing entities") : 0;
}
