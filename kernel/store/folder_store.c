/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Changing flags: any number of rows in one batch of a few flag blocks. And the names of keywords.
 * Leaves rows themselves untouched: in the engine a message's row is written once.
 */
#include <stdlib.h>
#include "kernel/store/folder.h"

bool uids_ascend(const uint32_t *uids, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		if (uids[i] <= uids[i - 1])
			return false;
	}
	return true;
}

struct storing {
	struct pb_view *v;		/* to be */
	struct row_edit edit;
	enum pb_store_mode mode;
	uint64_t flags, unchanged_since;
	uint32_t *modified;
	size_t nmodified;
	uint32_t *blocks;		/* touched, ascending */
	size_t nblocks;
};

static uint64_t new_flags(const struct storing *s, uint64_t old)
{
	switch (s->mode) {
	case PB_FLAGS_ADD:
		return old | s->flags;
	case PB_FLAGS_REMOVE:
		return old & ~s->flags;
	case PB_FLAGS_SET:
		break;
	}
	return s->flags;
}

static void change_row(struct storing *s, const struct pb_row *old, uint32_t index)
{
	uint64_t flags = new_flags(s, old->flags);
	struct pb_row *row;

	if (s->unchanged_since && old->modseq > s->unchanged_since) {
		if (s->modified)
			s->modified[s->nmodified] = old->uid;
		s->nmodified++;
		return;
	}
	if (flags == old->flags)
		return;
	s->v->head.unseen += (uint32_t)!(flags & PB_SEEN) - (uint32_t)!(old->flags & PB_SEEN);
	s->v->head.deleted += (uint32_t)!!(flags & PB_DELETED) - (uint32_t)!!(old->flags & PB_DELETED);
	row = row_edit_row(&s->edit, index);
	row->flags = flags;
	row->modseq = s->v->head.modseq;
	if (!s->nblocks || s->blocks[s->nblocks - 1] != flag_block_of(row->uid))
		s->blocks[s->nblocks++] = flag_block_of(row->uid);
}

static void change_rows(struct storing *s, const struct row_set *rows, const uint32_t *uids, size_t n)
{
	const struct pb_row *row = NULL;
	uint32_t index = 0, many = 0;

	for (size_t i = 0; i < n; i++) {
		/* Neighbours are asked for one after the other, as a rule. */
		if (!many || row->uid != uids[i]) {
			index = row_set_at_least(rows, uids[i]);
			if (index == rows->n)
				break;
			row = row_set_run(rows, index, &many);
		}
		if (row->uid != uids[i])
			continue;
		change_row(s, row++, index++);
		many--;
	}
}

/* The blocks as rows of a batch; keys and values lie in bytes. */
static struct engine_row *block_rows(const struct storing *s, struct pb_arena *arena)
{
	struct engine_row *put = pb_arena_alloc(arena, s->nblocks * sizeof put[0]);
	PB_AUTOBUF(value);

	for (size_t i = 0; i < s->nblocks; i++) {
		pb_buf_reset(&value);
		flag_block_encode(&s->edit.set, s->blocks[i], &value);
		put[i] = (struct engine_row){ number_key('b', s->blocks[i], arena), pb_arena_str(arena, pb_buf_str(&value)) };
	}
	return put;
}

static int store_locked(struct folder *f, struct storing *s, const uint32_t *uids, size_t n, struct pb_error *err)
{
	struct engine_batch b = { 0 };
	struct pb_arena *arena;
	struct pb_view *v = folder_next(f);
	int rc = 0;

	s->v = v;
	v->head.modseq++;
	row_edit_begin(&s->edit, &f->newest->rows);
	change_rows(s, &f->newest->rows, uids, n);
	if (!s->nblocks) {
		row_edit_drop(&s->edit);
		view_release(v);
		return 0;
	}
	arena = pb_arena_new();
	b.put = block_rows(s, arena);
	b.nput = s->nblocks;
	row_set_release(&v->rows);
	v->rows = s->edit.set;
	rc = folder_apply(f, v, &b, err);
	pb_arena_free(arena);
	return rc;
}

static int flags_check(struct folder *f, uint64_t flags, struct pb_error *err)
{
	unsigned n = f->newest->keywords ? f->newest->keywords->n : 0;
	uint64_t known = SYSTEM_FLAGS | (n ? (UINT64_MAX >> (64 - n)) << PB_KEYWORD_FIRST : 0);

	return flags & ~known ? pb_fail(err, PB_EINVALID, "flags %#llx of which some are unknown here", (unsigned long long)flags) : 0;
}

int host_folder_store(struct pb_folder *handle, const uint32_t *uids, size_t n, enum pb_store_mode mode, uint64_t flags, uint64_t unchanged_since,
		      uint32_t *ret_modified, size_t *ret_nmodified, struct pb_error *err)
{
	struct folder *f = handle->f;
	struct storing s = { .mode = mode, .flags = flags, .unchanged_since = unchanged_since, .modified = ret_modified };
	engine_ticket ticket;
	int rc = host_may(handle->host, RIGHT_MAIL_WRITE, err);

	if (rc)
		return rc;
	if (!uids_ascend(uids, n))
		return pb_fail(err, PB_EINVALID, "UIDs that do not ascend");
	rc = folder_lock_rows(f, err);
	if (rc)
		return rc;
	s.blocks = pb_alloc((n + 1) * sizeof s.blocks[0]);
	rc = flags_check(f, flags, err);
	if (!rc)
		rc = store_locked(f, &s, uids, n, err);
	if (rc == PB_ECONFLICT)
		folder_reload(f, NULL);
	ticket = f->newest->ticket;
	folder_unlock_changed(f);
	free(s.blocks);
	if (!rc)
		rc = folder_wait(f, ticket, err);
	if (!rc && ret_nmodified)
		*ret_nmodified = s.nmodified;
	return rc;
}

/* ---- keywords ---- */

static bool is_atom(struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] <= ' ' || s.ptr[i] > '~' || strchr("(){%*\"\\]", s.ptr[i]))
			return false;
	}
	return s.len && s.len <= KEYWORD_MAX;
}

static int keyword_make(struct folder *f, struct pb_str name, struct pb_error *err)
{
	struct pb_view *v;
	struct engine_row row;
	struct engine_batch b = { .put = &row, .nput = 1 };
	struct keywords *with;
	int rc;

	if (f->newest->keywords && f->newest->keywords->n == PB_KEYWORDS_MAX)
		return pb_fail(err, PB_EQUOTA, "the folder has %d keywords already", PB_KEYWORDS_MAX);
	v = folder_next(f);
	with = keywords_with(v->keywords, name);
	row = (struct engine_row){ PB_STR("k"), pb_buf_str(&with->bytes) };
	keywords_release(v->keywords);
	v->keywords = with;
	v->head.keywords = (uint8_t)with->n;
	rc = folder_apply(f, v, &b, err);
	if (rc == PB_ECONFLICT)
		folder_reload(f, NULL);
	return rc;
}

int host_folder_keyword(struct pb_folder *handle, struct pb_str name, bool make, unsigned *ret_bit, struct pb_error *err)
{
	struct folder *f = handle->f;
	int at, rc = make ? host_may(handle->host, RIGHT_MAIL_WRITE, err) : 0;

	if (rc)
		return rc;
	if (!is_atom(name))
		return pb_fail(err, PB_EINVALID, "a keyword is an atom of at most %d characters", KEYWORD_MAX);
	rc = folder_lock(f, err);
	if (rc)
		return rc;
	at = keywords_find(f->newest->keywords, name);
	if (at < 0) {
		rc = make ? keyword_make(f, name, err) : pb_fail(err, PB_ENOTFOUND, "no keyword '%.*s'", PB_FMT(name));
		at = keywords_find(f->newest->keywords, name);
	}
	folder_unlock_changed(f);
	/* Nothing waits: what uses the keyword is a later ticket, and no client sees it before. */
	if (!rc)
		*ret_bit = PB_KEYWORD_FIRST + (unsigned)at;
	return rc;
}
