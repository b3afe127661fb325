/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * COPY and MOVE: new rows at the destination that name the same bodies, then, for MOVE, the removal at the source.
 *
 * No batch spans two folders. A move leaves a mark at the destination, in the batch of the new rows, that names what is still to go
 * at the source; the mark goes last. A crash in between is finished when the mailbox is opened next: the message is never doubled.
 */
#include <stdlib.h>
#include "kernel/store/folder.h"
#include "kernel/store/pack.h"

enum { MARK_VERSION = 1, MARK_FIXED = 5 };

struct copying {
	struct folder *from, *to;
	struct pb_arena *arena;
	struct insert *rows;
	struct insert **list;
	uint32_t *indexes;			/* in from, ascending */
	size_t n;
	uint64_t bytes, used_flags;
	unsigned bits[64];			/* keyword bits of from, in to; 0: it has no room */
	struct insert_extra extra;
	struct engine_row put[2];
	char mark_key[9];
	bool move, marked;
	uint64_t limit;				/* of the bytes in to; 0: none */
};

static void find_rows(struct copying *c, const uint32_t *uids, size_t n, uint32_t *ret_uids)
{
	const struct row_set *rows = &c->from->newest->rows;

	for (size_t i = 0; i < n; i++) {
		uint32_t index = row_set_at_least(rows, uids[i]);
		const struct pb_row *row = index < rows->n ? row_set_row(rows, index) : NULL;
		const struct where *w;

		if (ret_uids)
			ret_uids[i] = 0;
		if (!row || row->uid != uids[i])
			continue;
		w = row_set_where(rows, index);
		c->rows[c->n] = (struct insert){ .body = w->body, .head = pb_str(w->head, w->head_len), .flags = row->flags, .date = row->date };
		c->list[c->n] = &c->rows[c->n];
		c->indexes[c->n] = index;
		c->bytes += w->body.size + w->head_len;
		c->used_flags |= row->flags;
		c->n++;
	}
}

/* Keywords go along by name; new ones are written in the same batch. */
static void map_keywords(struct copying *c)
{
	const struct keywords *from = c->from->newest->keywords;
	struct keywords *to = c->to->newest->keywords, *made = NULL;

	if (c->from == c->to) {
		for (unsigned bit = PB_KEYWORD_FIRST; bit < 64; bit++)
			c->bits[bit] = bit;
		return;
	}
	for (unsigned i = 0; from && i < from->n; i++) {
		int at;

		if (!(c->used_flags >> (PB_KEYWORD_FIRST + i) & 1))
			continue;
		at = keywords_find(made ? made : to, from->names[i]);
		if (at < 0 && (made ? made->n : to ? to->n : 0) < PB_KEYWORDS_MAX) {
			struct keywords *with = keywords_with(made ? made : to, from->names[i]);

			keywords_release(made);
			made = with;
			at = (int)made->n - 1;
		}
		c->bits[PB_KEYWORD_FIRST + i] = at < 0 ? 0 : PB_KEYWORD_FIRST + (unsigned)at;
	}
	if (made) {
		c->put[c->extra.nput++] = (struct engine_row){ PB_STR("k"), pb_buf_str(&made->bytes) };
		c->extra.keywords = made;
	}
}

static void map_flags(struct copying *c)
{
	if (!(c->used_flags >> PB_KEYWORD_FIRST) || c->from == c->to)
		return;
	for (size_t i = 0; i < c->n; i++) {
		uint64_t old = c->rows[i].flags, now = old & SYSTEM_FLAGS;

		for (unsigned bit = PB_KEYWORD_FIRST; bit < 64; bit++) {
			if (old >> bit & 1 && c->bits[bit])
				now |= UINT64_C(1) << c->bits[bit];
		}
		c->rows[i].flags = now;
	}
}

static void mark(struct copying *c)
{
	PB_AUTOBUF(value);
	uint32_t *uids = pb_arena_alloc(c->arena, (c->n + 1) * sizeof uids[0]);

	for (size_t i = 0; i < c->n; i++)
		uids[i] = row_set_row(&c->from->newest->rows, c->indexes[i])->uid;
	pb_buf_addc(&value, MARK_VERSION);
	pb_buf_reserve(&value, 4);
	pack_be32(value.ptr + value.len, c->from->number);
	value.len += 4;
	uid_runs_encode(uids, c->n, &value);
	c->mark_key[0] = 'm';
	pack_be64(c->mark_key + 1, c->to->newest->head.modseq + 1);
	c->put[c->extra.nput++] = (struct engine_row){ pb_str(c->mark_key, 9), pb_arena_str(c->arena, pb_buf_str(&value)) };
	c->extra.move = true;
	c->marked = true;
}

int folder_move_done(struct folder *f, const char *key, struct pb_error *err)
{
	struct pb_view *v = folder_next(f);
	struct pb_str remove = pb_str(key, 9);
	struct engine_batch b = { .remove = &remove, .nremove = 1 };

	v->serial = f->newest->serial;
	v->head.moves--;
	return folder_apply(f, v, &b, err);
}

/* Both folders are locked. */
static int copy_locked(struct copying *c, struct pb_error *err)
{
	bool same_account = c->from->account == c->to->account;
	int rc = 0;

	if (c->limit && !(c->move && c->from == c->to) && c->to->newest->head.bytes + c->bytes > c->limit)
		return pb_fail(err, PB_EQUOTA, "the folder is over its limit");
	rc = quota_take(c->to->account, c->n, c->bytes, c->move && same_account, NULL, err);
	if (rc)
		return rc;
	map_keywords(c);
	map_flags(c);
	/* Between mailboxes there is no mark: a crash in between leaves a message in both, never in none. */
	if (c->move && same_account)
		mark(c);
	c->extra.put = c->put;
	rc = folder_insert(c->to, c->list, c->n, &c->extra, err);
	if (rc) {
		keywords_release(c->extra.keywords);
		quota_give(c->to->account, c->n, c->bytes);
		return rc;
	}
	if (!c->move)
		return 0;
	rc = folder_remove(c->from, c->indexes, c->n, err);
	/* The mark goes without being waited for: what it says is true and done. */
	if (!rc && c->marked)
		folder_move_done(c->to, c->mark_key, NULL);
	return rc;
}

static void copy_answer(struct copying *c, const uint32_t *uids, size_t n, const uint32_t *from_uids, uint32_t *ret_uids)
{
	for (size_t i = 0, at = 0; ret_uids && i < n && at < c->n; i++) {
		if (uids[i] == from_uids[at])
			ret_uids[i] = c->rows[at++].uid;
	}
}

static int may(struct pb_folder *from, struct pb_folder *to, bool move, struct pb_error *err)
{
	int rc = host_may(to->host, RIGHT_MAIL_WRITE, err);

	return rc ? rc : host_may(from->host, move ? RIGHT_MAIL_WRITE : RIGHT_MAIL_READ, err);
}

int host_folder_copy(struct pb_folder *from, const uint32_t *uids, size_t n, struct pb_folder *to, bool move, uint32_t *ret_uids, uint32_t *ret_uidvalidity,
		     struct pb_error *err)
{
	struct copying c = { .from = from->f, .to = to->f, .move = move, .limit = atomic_load(&to->limit) };
	engine_ticket ticket;
	uint32_t *from_uids;
	int rc = may(from, to, move, err);

	if (rc)
		return rc;
	if (!uids_ascend(uids, n))
		return pb_fail(err, PB_EINVALID, "UIDs that do not ascend");
	rc = folder_lock_pair(c.from, true, c.to, err);
	if (rc)
		return rc;
	c.arena = pb_arena_new();
	c.rows = pb_arena_alloc(c.arena, (n + 1) * sizeof c.rows[0]);
	c.list = pb_arena_alloc(c.arena, (n + 1) * sizeof c.list[0]);
	c.indexes = pb_arena_alloc(c.arena, (n + 1) * sizeof c.indexes[0]);
	from_uids = pb_arena_alloc(c.arena, (n + 1) * sizeof from_uids[0]);
	find_rows(&c, uids, n, ret_uids);
	for (size_t i = 0; i < c.n; i++)
		from_uids[i] = row_set_row(&c.from->newest->rows, c.indexes[i])->uid;
	if (c.n)
		rc = copy_locked(&c, err);
	ticket = c.from->newest->ticket > c.to->newest->ticket ? c.from->newest->ticket : c.to->newest->ticket;
	if (ret_uidvalidity && !rc)
		*ret_uidvalidity = c.to->newest->head.uidvalidity;
	folder_unlock_pair_changed(c.from, c.to);
	if (!rc)
		rc = folder_wait(c.to, ticket, err);
	if (!rc)
		copy_answer(&c, uids, n, from_uids, ret_uids);
	pb_arena_free(c.arena);
	return rc;
}

/* ---- after a crash ---- */

struct collected {
	const struct row_set *rows;
	uint32_t *indexes;
	size_t n, room;
};

static bool collect(void *arg, uint32_t uid)
{
	struct collected *c = arg;
	uint32_t index = row_set_at_least(c->rows, uid);

	if (index == c->rows->n || row_set_row(c->rows, index)->uid != uid)
		return index < c->rows->n;
	if (c->n == c->room) {
		c->room = c->room ? c->room * 2 : 64;
		c->indexes = pb_realloc(c->indexes, c->room * sizeof c->indexes[0]);
	}
	c->indexes[c->n++] = index;
	return true;
}

static int finish_source(struct folder *from, struct pb_str runs, struct pb_error *err)
{
	struct collected c = { 0 };
	int rc = folder_lock_rows(from, err);

	if (rc)
		return rc;
	c.rows = &from->newest->rows;
	rc = uid_runs_decode(runs, collect, &c, err);
	if (!rc)
		rc = folder_remove(from, c.indexes, c.n, err);
	folder_unlock_changed(from);
	free(c.indexes);
	return rc;
}

static int finish_move(struct folder *f, const struct engine_row *row, struct pb_error *err)
{
	struct account *a = f->account;
	struct folder *from = NULL;
	uint32_t number;
	int rc = 0;

	if (row->key.len != 9 || row->value.len < MARK_FIXED || row->value.ptr[0] != MARK_VERSION)
		return pb_fail(err, PB_ECORRUPT, "the mark of a move has an unknown form");
	number = unpack_be32(row->value.ptr + 1);
	pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < a->nentries && !rc; i++) {
		if (a->entries[i]->number == number && !(a->entries[i]->attributes & PB_FOLDER_NOSELECT))
			rc = folder_get(a, a->entries[i], &from, err);
	}
	pthread_mutex_unlock(&a->lock);
	if (!rc && from)
		rc = finish_source(from, pb_str_skip(row->value, MARK_FIXED), err);
	if (from)
		folder_release(from);
	if (rc)
		return rc;
	rc = folder_lock(f, err);
	if (!rc) {
		rc = folder_move_done(f, row->key.ptr, err);
		folder_unlock_changed(f);
	}
	return rc;
}

int folder_finish_moves(struct folder *f, struct pb_error *err)
{
	struct engine_page page = ENGINE_PAGE;
	int rc;

	do {
		rc = engine_scan(f->m->engine, folder_entity(f), PB_STR("m"), PB_STR("n"), 100, &page, err);
		for (size_t i = 0; !rc && i < page.n; i++)
			rc = finish_move(f, &page.rows[i], err);
	} while (!rc && page.more && page.n);
	engine_page_free(&page);
	return rc ? pb_because(err, "while finishing a move in mailbox %s", f->account->id) : 0;
}
