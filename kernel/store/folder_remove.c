/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Removing rows: expunge, tombstones for those who come back later, the source's end of a move, the purge of a deleted folder.
 * Leaves the bodies to the engine, which frees what no row names.
 */
#include <stdlib.h>
#include "kernel/store/folder.h"
#include "kernel/store/pack.h"

enum { TOMBSTONES_PRUNE = 512, PURGE_STEP = 1000 };

/* One batch that removes rows. */
struct removal {
	struct pb_arena *arena;
	struct pb_str *keys;
	struct body_id *bodies;
	uint32_t *uids;
	size_t nkeys, n;
	struct engine_row tombstone;
};

/* A picture's flag blocks that have no row any more. */
static void dead_blocks(struct removal *r, const struct row_set *now)
{
	for (size_t i = 0; i < r->n; i++) {
		uint32_t block = flag_block_of(r->uids[i]), index;

		if (i + 1 < r->n && flag_block_of(r->uids[i + 1]) == block)
			continue;
		index = row_set_at_least(now, block << FLAG_BLOCK_BITS);
		/* The last block may still get rows, but then its runs name none of them. */
		if (index == now->n || flag_block_of(row_set_row(now, index)->uid) != block)
			r->keys[r->nkeys++] = number_key('b', block, r->arena);
	}
}

/* Too many are remembered: the oldest go, and the header says up to where. */
static int forget_some(struct folder *f, struct pb_view *v, struct removal *r, struct pb_error *err)
{
	struct engine_page page = ENGINE_PAGE;
	int rc = engine_scan(f->m->engine, folder_entity(f), PB_STR("x"), PB_STR("y"), TOMBSTONES_PRUNE, &page, err);

	for (size_t i = 0; !rc && i < page.n; i++) {
		r->keys[r->nkeys++] = pb_arena_str(r->arena, page.rows[i].key);
		if (page.rows[i].key.len == 9)
			v->head.forgotten = unpack_be64(page.rows[i].key.ptr + 1);
		v->head.tombstones--;
	}
	engine_page_free(&page);
	return rc;
}

static void tombstone(struct folder *f, struct pb_view *v, struct removal *r)
{
	char *key = pb_arena_alloc(r->arena, 9);
	PB_AUTOBUF(runs);

	(void)f;
	*key = 'x';
	pack_be64(key + 1, v->head.modseq);
	uid_runs_encode(r->uids, r->n, &runs);
	r->tombstone = (struct engine_row){ pb_str(key, 9), pb_arena_str(r->arena, pb_buf_str(&runs)) };
	v->head.tombstones++;
}

static void removal_fill(struct removal *r, const struct row_set *rows, const uint32_t *indexes, size_t n, struct pb_view *v)
{
	r->arena = pb_arena_new();
	r->keys = pb_arena_alloc(r->arena, (3 * n + TOMBSTONES_PRUNE) * sizeof r->keys[0]);
	r->bodies = pb_arena_alloc(r->arena, n * sizeof r->bodies[0]);
	r->uids = pb_arena_alloc(r->arena, n * sizeof r->uids[0]);
	for (size_t i = 0; i < n; i++) {
		const struct pb_row *row = row_set_row(rows, indexes[i]);
		const struct where *w = row_set_where(rows, indexes[i]);

		r->keys[r->nkeys++] = number_key('u', row->uid, r->arena);
		if (i == 0 || image_block_of(row->uid) != image_block_of(r->uids[i - 1]))
			r->keys[r->nkeys++] = number_key('i', image_block_of(row->uid), r->arena);
		r->bodies[i] = w->body;
		r->uids[i] = row->uid;
		v->head.messages--;
		v->head.unseen -= !(row->flags & PB_SEEN);
		v->head.deleted -= !!(row->flags & PB_DELETED);
		v->head.recent -= row->uid >= v->head.first_recent;
		v->head.bytes -= w->body.size + w->head_len;
	}
	r->n = n;
}

int folder_remove(struct folder *f, const uint32_t *indexes, size_t n, struct pb_error *err)
{
	struct pb_view *v;
	struct removal r = { 0 };
	struct engine_batch b = { 0 };
	uint64_t bytes;
	int rc = 0;

	if (!n)
		return 0;
	v = folder_next(f);
	v->head.modseq++;
	removal_fill(&r, &f->newest->rows, indexes, n, v);
	bytes = f->newest->head.bytes - v->head.bytes;
	row_set_release(&v->rows);
	row_set_without(&v->rows, &f->newest->rows, indexes, n);
	dead_blocks(&r, &v->rows);
	if (v->head.tombstones >= TOMBSTONES_MAX)
		rc = forget_some(f, v, &r, err);
	if (!rc) {
		tombstone(f, v, &r);
		b = (struct engine_batch){ .put = &r.tombstone, .nput = 1, .remove = r.keys, .nremove = r.nkeys, .unref = r.bodies, .nunref = n };
		rc = folder_apply(f, v, &b, err);
	} else {
		view_release(v);
	}
	if (!rc)
		quota_give(f->account, n, bytes);
	else if (rc == PB_ECONFLICT)
		folder_reload(f, NULL);
	pb_arena_free(r.arena);
	return rc;
}

int host_folder_expunge(struct pb_folder *handle, const uint32_t *uids, size_t n, bool only_deleted, struct pb_error *err)
{
	struct folder *f = handle->f;
	const struct row_set *rows;
	engine_ticket ticket;
	uint32_t *indexes;
	size_t found = 0;
	int rc = host_may(handle->host, RIGHT_MAIL_WRITE, err);

	if (rc)
		return rc;
	if (!uids_ascend(uids, n))
		return pb_fail(err, PB_EINVALID, "UIDs that do not ascend");
	rc = folder_lock_rows(f, err);
	if (rc)
		return rc;
	rows = &f->newest->rows;
	indexes = pb_alloc((n + 1) * sizeof indexes[0]);
	for (size_t i = 0; i < n; i++) {
		uint32_t index = row_set_at_least(rows, uids[i]);
		const struct pb_row *row = index < rows->n ? row_set_row(rows, index) : NULL;

		if (row && row->uid == uids[i] && (!only_deleted || row->flags & PB_DELETED))
			indexes[found++] = index;
	}
	rc = folder_remove(f, indexes, found, err);
	ticket = f->newest->ticket;
	folder_unlock_changed(f);
	free(indexes);
	return rc ? rc : folder_wait(f, ticket, err);
}

/* ---- what was expunged ---- */

struct vanishing {
	uint32_t from, *uids;
	size_t max, n;
};

static int by_uid(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Keeps the smallest max, in a list of twice that size that is sorted and cut when it is full. */
static bool vanish(void *arg, uint32_t uid)
{
	struct vanishing *v = arg;

	if (uid < v->from)
		return true;
	if (v->n == 2 * v->max) {
		qsort(v->uids, v->n, sizeof v->uids[0], by_uid);
		v->n = v->max;
	}
	v->uids[v->n++] = uid;
	return true;
}

static int vanished_scan(struct folder *f, uint64_t since, uint64_t until, struct vanishing *v, struct pb_error *err)
{
	struct engine_page page = ENGINE_PAGE;
	char from[9] = "x", to[9] = "x";
	int rc;

	pack_be64(from + 1, since + 1);
	pack_be64(to + 1, until + 1);
	do {
		rc = engine_scan(f->m->engine, folder_entity(f), pb_str(from, 9), pb_str(to, 9), 1000, &page, err);
		for (size_t i = 0; !rc && i < page.n; i++) {
			rc = uid_runs_decode(page.rows[i].value, vanish, v, err);
			if (page.rows[i].key.len == 9)
				pack_be64(from + 1, unpack_be64(page.rows[i].key.ptr + 1) + 1);
		}
	} while (!rc && page.more && page.n);
	engine_page_free(&page);
	return rc;
}

int host_folder_vanished(struct pb_folder *handle, uint64_t since, uint32_t from_uid, uint32_t *ret_uids, size_t max, size_t *ret_n, struct pb_error *err)
{
	struct folder *f = handle->f;
	struct vanishing v = { .from = from_uid, .max = max };
	uint64_t until;
	int rc = folder_lock(f, err);

	if (rc)
		return rc;
	folder_promote(f);
	until = f->durable->head.modseq;
	if (since < f->newest->head.forgotten)
		rc = pb_fail(err, PB_ENOTFOUND, "expunges up to MODSEQ %llu are forgotten", (unsigned long long)f->newest->head.forgotten);
	pthread_mutex_unlock(&f->lock);
	if (rc)
		return rc;
	v.uids = pb_alloc((2 * max + 1) * sizeof v.uids[0]);
	if (max && since < until)
		rc = vanished_scan(f, since, until, &v, err);
	if (!rc) {
		qsort(v.uids, v.n, sizeof v.uids[0], by_uid);
		*ret_n = v.n < max ? v.n : max;
		memcpy(ret_uids, v.uids, *ret_n * sizeof v.uids[0]);
	}
	free(v.uids);
	return rc;
}

/* ---- purging ---- */

static int purge_page(struct account *a, struct pb_str entity, struct engine_page *page, struct pb_error *err)
{
	struct pb_str *keys = pb_alloc((page->n + 1) * sizeof keys[0]);
	struct body_id *bodies = pb_alloc((page->n + 1) * sizeof bodies[0]);
	struct engine_batch b = { .entity = entity, .expect = ENGINE_ANY, .remove = keys, .nremove = page->n, .unref = bodies };
	int rc;

	for (size_t i = 0; i < page->n; i++) {
		struct pb_row row;
		struct pb_str head;

		keys[i] = page->rows[i].key;
		if (!row_decode(page->rows[i].key, page->rows[i].value, &row, &bodies[b.nunref], &head, NULL))
			b.nunref++;
	}
	rc = engine_apply(a->m->engine, &b, NULL, NULL, err);
	free(keys);
	free(bodies);
	return rc;
}

int account_purge(struct account *a, uint32_t number, struct pb_error *err)
{
	struct engine_page page = ENGINE_PAGE;
	struct pb_arena *arena;
	char room[ENTITY_MAX];
	struct pb_str entity = folder_entity_name(a, number, room), *keys;
	size_t n;
	int rc;

	do {
		rc = engine_scan(a->m->engine, entity, PB_STR("u"), PB_STR("v"), PURGE_STEP, &page, err);
		if (!rc && page.n)
			rc = purge_page(a, entity, &page, err);
	} while (!rc && page.n);
	engine_page_free(&page);
	if (!rc)
		rc = engine_drop(a->m->engine, entity, err);
	if (rc)
		return pb_because(err, "while removing the messages of folder %u of mailbox %s", number, a->id);
	arena = pb_arena_new();
	pthread_mutex_lock(&a->lock);
	rc = annotation_keys(a, number, arena, &keys, &n, err);
	if (!rc) {
		keys[n] = number_key('g', number, arena);
		rc = account_apply(a, NULL, 0, keys, n + 1, err);
	}
	if (!rc)
		atomic_fetch_sub(&a->annotations, (uint32_t)n);
	pthread_mutex_unlock(&a->lock);
	pb_arena_free(arena);
	return rc;
}
