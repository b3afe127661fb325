/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * New rows in a folder: one batch for as many as come together, each under its token.
 * Leaves where the bodies come from, and waiting for the flush, to the callers.
 */
#include <stdlib.h>
#include "kernel/store/folder.h"
#include "kernel/store/pack.h"

enum { TOGETHER_MAX = 64, PRUNE_MAX = 256, TOKEN_VERSION = 1 };

/* The arrays of one batch, in one piece of memory. */
struct plan {
	struct engine_row *put;
	struct pb_str *absent;
	struct body_id *ref;
	size_t nput, nabsent, nref;
	char *at;			/* where the next key or value goes */
	uint32_t bucket;
};

static struct pb_str token_key(char **at, uint32_t bucket, struct pb_str token)
{
	char *key = *at;

	row_key(key, 't', bucket);
	memcpy(key + 5, token.ptr, token.len);
	*at += 5 + token.len;
	return pb_str(key, 5 + token.len);
}

static void *plan_make(struct plan *p, struct insert *const *list, size_t n, const struct insert_extra *extra)
{
	size_t nextra = extra ? extra->nput : 0, bytes = 0;
	char *memory;

	for (size_t i = 0; i < n; i++)
		bytes += 5 + ROW_BEFORE_HEAD + list[i]->head.len + (list[i]->token.len ? 2 * (5 + list[i]->token.len) + 5 : 0);
	memory = pb_realloc(NULL, (2 * n + nextra + 1) * sizeof p->put[0] + (2 * n + 1) * sizeof p->absent[0] + (n + 1) * sizeof p->ref[0] + bytes);
	p->put = (void *)memory;
	p->absent = (void *)(p->put + 2 * n + nextra + 1);
	p->ref = (void *)(p->absent + 2 * n + 1);
	p->at = (void *)(p->ref + n + 1);
	return memory;
}

static void plan_row(struct plan *p, struct insert *one, uint64_t modseq)
{
	char *key = p->at, *value = key + 5;
	size_t len = row_encode(value, &one->body, one->head, one->date, modseq, one->flags);

	row_key(key, 'u', one->uid);
	p->put[p->nput++] = (struct engine_row){ pb_str(key, 5), pb_str(value, len) };
	p->ref[p->nref++] = one->body;
	p->at = value + len;
	if (!one->token.len)
		return;
	p->absent[p->nabsent++] = token_key(&p->at, p->bucket, one->token);
	p->absent[p->nabsent++] = token_key(&p->at, p->bucket - 1, one->token);
	value = p->at;
	*value = TOKEN_VERSION;
	pack_be32(value + 1, one->uid);
	p->at += 5;
	p->put[p->nput++] = (struct engine_row){ p->absent[p->nabsent - 2], pb_str(value, 5) };
}

/* The same token twice in one batch: the guards would not see each other. */
static struct insert *twin(struct insert *const *list, size_t n, const struct insert *one)
{
	for (size_t i = 0; one->token.len && i < n; i++) {
		if (!list[i]->known && pb_str_eq(list[i]->token, one->token))
			return list[i];
	}
	return NULL;
}

static int numbers(struct folder *f, struct pb_view *v, struct insert *const *list, size_t n, bool any_tokens, struct pb_error *err)
{
	struct folder_head *h = &v->head;

	if (n >= UINT32_MAX - h->uidnext)
		return pb_fail(err, PB_EFULL, "folder %u of mailbox %s has used up its UIDs", f->number, f->account->id);
	h->modseq++;
	for (size_t i = 0; i < n; i++) {
		struct insert *one = list[i], *same = any_tokens ? twin(list, i, one) : NULL;

		if (same) {
			one->known = true;
			one->uid = same->uid;
		}
		if (one->known)
			continue;
		one->uid = h->uidnext++;
		h->messages++;
		h->recent++;
		h->unseen += !(one->flags & PB_SEEN);
		h->deleted += !!(one->flags & PB_DELETED);
		h->bytes += one->body.size + one->head.len;
	}
	return 0;
}

/* Which tokens were there already: marks them, and says whether there was one. */
static int find_known(struct folder *f, struct insert *const *list, size_t n, uint32_t bucket, bool *ret_any, struct pb_error *err)
{
	PB_AUTOBUF(value);
	char room[5 + TOKEN_MAX];

	*ret_any = false;
	for (size_t i = 0; i < n; i++) {
		for (uint32_t back = 0; list[i]->token.len && !list[i]->known && back < 2; back++) {
			char *at = room;
			int rc = engine_get(f->m->engine, folder_entity(f), token_key(&at, bucket - back, list[i]->token), &value, err);

			if (rc == PB_ENOTFOUND)
				continue;
			if (rc)
				return rc;
			if (value.len != 5 || value.ptr[0] != TOKEN_VERSION)
				return pb_fail(err, PB_ECORRUPT, "a delivery token has an unknown form");
			list[i]->known = true;
			list[i]->uid = unpack_be32(value.ptr + 1);
			*ret_any = true;
		}
	}
	return 0;
}

int folder_recall(struct folder *f, struct insert *one, engine_ticket *ret_ticket, struct pb_error *err)
{
	uint32_t bucket;
	bool any;
	int rc;

	pthread_mutex_lock(&f->lock);
	rc = tokens_bucket(f->m, &bucket, err);
	if (!rc)
		rc = find_known(f, &one, 1, bucket, &any, err);
	*ret_ticket = f->newest->ticket;
	pthread_mutex_unlock(&f->lock);
	return rc;
}

/* Tokens of buckets that nobody asks for any more. A failure costs nothing: it is done again. */
static void prune_tokens(struct folder *f, uint32_t bucket)
{
	struct engine_page page = ENGINE_PAGE;
	struct pb_view *v;
	char from[5], to[5];
	struct pb_str *keys;
	struct engine_batch b = { 0 };

	row_key(from, 't', 0);
	row_key(to, 't', bucket - 1);
	if (engine_scan(f->m->engine, folder_entity(f), pb_str(from, 5), pb_str(to, 5), PRUNE_MAX, &page, NULL)) {
		engine_page_free(&page);
		return;
	}
	v = folder_next(f);
	v->serial = f->newest->serial;
	if (!page.more)
		v->head.token_bucket = bucket - 1;
	keys = pb_alloc((page.n + 1) * sizeof keys[0]);
	for (size_t i = 0; i < page.n; i++)
		keys[i] = page.rows[i].key;
	b.remove = keys;
	b.nremove = page.n;
	folder_apply(f, v, &b, NULL);
	free(keys);
	engine_page_free(&page);
}

static int insert_once(struct folder *f, struct insert *const *list, size_t n, const struct insert_extra *extra, uint32_t bucket, bool any_tokens,
		       struct pb_error *err)
{
	struct pb_view *v = folder_next(f);
	struct plan p = { .bucket = bucket };
	struct engine_batch b;
	void *memory;
	int rc = numbers(f, v, list, n, any_tokens, err);

	if (rc) {
		view_release(v);
		return rc;
	}
	if (any_tokens && !v->head.token_bucket)
		v->head.token_bucket = bucket;
	memory = plan_make(&p, list, n, extra);
	for (size_t i = 0; i < n; i++) {
		if (!list[i]->known)
			plan_row(&p, list[i], v->head.modseq);
	}
	for (size_t i = 0; extra && i < extra->nput; i++)
		p.put[p.nput++] = extra->put[i];
	if (extra && extra->move)
		v->head.moves++;
	if (extra && extra->keywords)
		v->head.keywords = (uint8_t)extra->keywords->n;
	b = (struct engine_batch){ .absent = p.absent, .nabsent = p.nabsent, .put = p.put, .nput = p.nput, .ref = p.ref, .nref = p.nref };
	rc = p.nref ? folder_apply(f, v, &b, err) : (view_release(v), 0);
	free(memory);
	if (rc || !p.nref)
		return rc;
	if (extra && extra->keywords) {
		keywords_release(v->keywords);
		v->keywords = extra->keywords;
	}
	for (size_t i = 0; i < n; i++) {
		struct pb_row row;

		if (list[i]->known)
			continue;
		row_fill(&row, list[i]->uid, &list[i]->body, list[i]->head.len, list[i]->date, v->head.modseq, list[i]->flags);
		folder_row_added(f, v, &row, &list[i]->body, list[i]->head);
	}
	return 0;
}

int folder_insert(struct folder *f, struct insert *const *list, size_t n, const struct insert_extra *extra, struct pb_error *err)
{
	bool any_tokens = false, any_known;
	uint32_t bucket = 0;
	int rc = 0;

	for (size_t i = 0; i < n; i++)
		any_tokens |= list[i]->token.len != 0;
	if (any_tokens && (rc = tokens_bucket(f->m, &bucket, err)))
		return rc;
	rc = PB_ECONFLICT;
	for (unsigned attempt = 0; rc == PB_ECONFLICT && attempt < 4; attempt++) {
		rc = insert_once(f, list, n, extra, bucket, any_tokens, err);
		if (rc != PB_ECONFLICT)
			break;
		/* What the attempt marked as a twin may be no twin of what is left. */
		for (size_t i = 0; i < n; i++)
			list[i]->known = false;
		rc = find_known(f, list, n, bucket, &any_known, err);
		if (!rc && !any_known)
			rc = folder_reload(f, err);
		if (!rc)
			rc = PB_ECONFLICT;
	}
	if (!rc && any_tokens && f->newest->head.token_bucket && f->newest->head.token_bucket < bucket - 1)
		prune_tokens(f, bucket);
	return rc;
}

/* Whoever has the folder's lock applies all that wait; those find their own done when they get it. Folder lock. */
static void apply_waiting(struct folder *f)
{
	struct insert *list[TOGETHER_MAX];
	struct pb_error err;
	size_t n = 0;
	int rc;

	pthread_mutex_lock(&f->waiting_lock);
	while (f->waiting && n < TOGETHER_MAX) {
		list[n++] = f->waiting;
		f->waiting = f->waiting->next;
	}
	if (!f->waiting)
		f->waiting_end = &f->waiting;
	pthread_mutex_unlock(&f->waiting_lock);
	if (!n)
		return;
	rc = atomic_load(&f->deleted) ? pb_fail(&err, PB_ENOTFOUND, "the folder was deleted") : folder_insert(f, list, n, NULL, &err);
	for (size_t i = 0; i < n; i++) {
		/* Together they failed: each gets its own answer, and one that cannot be does not stop the others. */
		if (rc && n > 1 && rc != PB_ENOTFOUND) {
			list[i]->known = false;
			list[i]->code = folder_insert(f, &list[i], 1, NULL, list[i]->err);
		} else {
			list[i]->code = rc;
			if (rc && list[i]->err)
				*list[i]->err = err;
		}
		list[i]->done = true;
	}
}

int folder_insert_one(struct folder *f, struct insert *one, engine_ticket *ret_ticket, struct pb_error *err)
{
	one->err = err;
	one->next = NULL;
	pthread_mutex_lock(&f->waiting_lock);
	*f->waiting_end = one;
	f->waiting_end = &one->next;
	pthread_mutex_unlock(&f->waiting_lock);
	pthread_mutex_lock(&f->lock);
	while (!one->done)
		apply_waiting(f);
	*ret_ticket = f->newest->ticket;
	folder_unlock_changed(f);
	return one->code;
}
