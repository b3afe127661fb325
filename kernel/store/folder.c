/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A folder in memory: its header, the chain of its pictures up to what is durable, its watchers.
 * Leaves loading rows to folder_load.c and changing them to folder_insert.c, folder_store.c and folder_remove.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include "kernel/store/folder.h"
#include "kernel/store/pack.h"

enum { HEAD_VERSION = 1 };

/* ---- header ---- */

size_t folder_head_encode(const struct folder_head *h, char *out)
{
	const uint32_t small[] = { h->uidvalidity, h->uidnext, h->messages, h->unseen, h->deleted, h->recent, h->first_recent, h->tombstones, h->moves,
				   h->token_bucket };
	char *p = out;

	*p++ = HEAD_VERSION;
	for (size_t i = 0; i < sizeof small / sizeof small[0]; i++)
		p = pack_be32(p, small[i]);
	p = pack_be64(p, h->modseq);
	p = pack_be64(p, h->bytes);
	p = pack_be64(p, h->forgotten);
	*p++ = (char)h->keywords;
	return (size_t)(p - out);
}

int folder_head_decode(struct pb_str bytes, struct folder_head *ret, struct pb_error *err)
{
	uint32_t *const small[] = { &ret->uidvalidity, &ret->uidnext, &ret->messages, &ret->unseen, &ret->deleted, &ret->recent, &ret->first_recent,
				    &ret->tombstones, &ret->moves, &ret->token_bucket };
	const char *p = bytes.ptr;

	if (bytes.len < FOLDER_HEAD_SIZE || *p++ != HEAD_VERSION)
		return pb_fail(err, PB_ECORRUPT, "a folder's header has an unknown form");
	for (size_t i = 0; i < sizeof small / sizeof small[0]; i++, p += 4)
		*small[i] = unpack_be32(p);
	ret->modseq = unpack_be64(p);
	ret->bytes = unpack_be64(p + 8);
	ret->forgotten = unpack_be64(p + 16);
	ret->keywords = (uint8_t)p[24];
	return 0;
}

int folder_head_read(struct engine *e, struct pb_str entity, uint32_t uidvalidity, uint64_t *ret_version, struct folder_head *ret, struct pb_error *err)
{
	PB_AUTOBUF(header);
	int rc = engine_head(e, entity, ret_version, &header, err);

	if (rc)
		return rc;
	if (*ret_version)
		return folder_head_decode(pb_buf_str(&header), ret, err);
	*ret = (struct folder_head){ .uidvalidity = uidvalidity, .uidnext = 1, .first_recent = 1, .modseq = 1 };
	return 0;
}

struct pb_str folder_entity_name(const struct account *a, uint32_t number, char *room)
{
	int n = snprintf(room, ENTITY_MAX, "f/%s/%u", a->id, number);

	return pb_str(room, (size_t)n);
}

/* ---- memory ---- */

static void list_add(struct folder *f)
{
	struct mailstore *m = f->m;

	pthread_mutex_lock(&m->lock);
	f->account->refs++;
	f->older = m->youngest;
	if (m->youngest)
		m->youngest->younger = f;
	else
		m->oldest = f;
	m->youngest = f;
	pthread_mutex_unlock(&m->lock);
}

static void list_remove(struct folder *f)
{
	struct mailstore *m = f->m;

	pthread_mutex_lock(&m->lock);
	*(f->older ? &f->older->younger : &m->oldest) = f->younger;
	*(f->younger ? &f->younger->older : &m->youngest) = f->older;
	pthread_mutex_unlock(&m->lock);
}

void folder_charge(struct folder *f)
{
	int64_t now = (int64_t)sizeof *f + (int64_t)sizeof(struct pb_view);

	if (f->newest->rows.table)
		now += (int64_t)f->newest->rows.n * (int64_t)(sizeof(struct pb_row) + sizeof(struct where)) + f->head_bytes;
	atomic_fetch_add_explicit(&f->m->bytes, now - f->charge, memory_order_relaxed);
	f->charge = now;
}

static void folder_free(struct folder *f)
{
	struct account *a = f->account;

	list_remove(f);
	atomic_fetch_sub_explicit(&f->m->bytes, f->charge, memory_order_relaxed);
	for (struct pb_view *v = f->durable, *next; v; v = next) {
		next = v->next;
		view_release(v);
	}
	free(f->late);
	pb_buf_free(&f->late_heads);
	pthread_mutex_destroy(&f->lock);
	pthread_mutex_destroy(&f->waiting_lock);
	pthread_mutex_destroy(&f->watch_lock);
	pthread_cond_destroy(&f->idle);
	free(f);
	account_release(a);
}

void folder_release(struct folder *f)
{
	if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1)
		folder_free(f);
}

static int first_view(struct folder *f, engine_ticket ticket, struct pb_error *err)
{
	struct pb_view *v = view_new(f->m);
	PB_AUTOBUF(names);
	int rc = folder_head_read(f->m->engine, folder_entity(f), f->uidvalidity, &f->version, &v->head, err);

	if (!rc && v->head.keywords) {
		rc = engine_get(f->m->engine, folder_entity(f), PB_STR("k"), &names, err);
		if (!rc)
			rc = keywords_decode(pb_buf_str(&names), &v->keywords, err);
	}
	if (rc) {
		view_release(v);
		return pb_because(err, "in folder %u of mailbox %s", f->number, f->account->id);
	}
	v->serial = 1;
	v->ticket = ticket;
	f->durable = f->newest = v;
	atomic_store(&f->serial, v->serial);
	atomic_store(&f->ticket, v->ticket);
	return 0;
}

int folder_get(struct account *a, struct entry *e, struct folder **ret, struct pb_error *err)
{
	struct folder *f = e->live;
	int rc;

	if (f) {
		atomic_fetch_add(&f->refs, 1);
		atomic_store_explicit(&f->touched, true, memory_order_relaxed);
		*ret = f;
		return 0;
	}
	f = pb_alloc(sizeof *f);
	f->account = a;
	f->m = a->m;
	f->number = e->number;
	f->uidvalidity = e->uidvalidity;
	f->entity_len = folder_entity_name(a, e->number, f->entity).len;
	/* What it shows is durable once the list that names it is. */
	rc = first_view(f, a->ticket, err);
	if (rc) {
		free(f);
		return rc;
	}
	pthread_mutex_init(&f->lock, NULL);
	pthread_mutex_init(&f->waiting_lock, NULL);
	pthread_mutex_init(&f->watch_lock, NULL);
	pthread_cond_init(&f->idle, NULL);
	f->waiting_end = &f->waiting;
	atomic_store(&f->refs, 2);
	atomic_store(&f->touched, true);
	folder_charge(f);
	list_add(f);
	e->live = f;
	*ret = f;
	return 0;
}

struct folder *folder_forget(struct entry *e)
{
	struct folder *f = e->live;

	if (!f)
		return NULL;
	e->live = NULL;
	pthread_mutex_lock(&f->lock);
	atomic_store(&f->deleted, true);
	/* Whoever watches it has to learn that it is gone, once that is durable. */
	if (f->account->ticket > atomic_load(&f->ticket))
		atomic_store(&f->ticket, f->account->ticket);
	atomic_fetch_add(&f->serial, 1);
	pthread_mutex_unlock(&f->lock);
	return f;
}

/* Where somebody refers to the folder: its rows may go, if no change is on its way. */
static void rows_evict(struct folder *f)
{
	pthread_mutex_lock(&f->lock);
	folder_promote(f);
	if (!f->loading && f->durable == f->newest && f->newest->rows.table) {
		struct pb_view *v = folder_next(f);

		v->serial = f->newest->serial;
		v->ticket = f->newest->ticket;
		row_set_release(&v->rows);
		view_release(f->newest);
		f->durable = f->newest = v;
		f->head_bytes = 0;
		folder_charge(f);
	}
	pthread_mutex_unlock(&f->lock);
}

void folder_evict(struct account *a, uint32_t number)
{
	struct folder *f = NULL;

	pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < a->nentries && !f; i++) {
		if (a->entries[i]->number != number)
			continue;
		f = a->entries[i]->live;
		if (!f)
			break;
		if (atomic_load(&f->refs) == 1 && atomic_load(&f->ticket) <= engine_durable(f->m->engine))
			a->entries[i]->live = NULL;	/* the entry's reference is ours now */
		else
			atomic_fetch_add(&f->refs, 1);
		if (a->entries[i]->live)
			rows_evict(f);
	}
	pthread_mutex_unlock(&a->lock);
	if (f)
		folder_release(f);
}

/* ---- locks ---- */

int folder_lock(struct folder *f, struct pb_error *err)
{
	pthread_mutex_lock(&f->lock);
	if (!atomic_load_explicit(&f->deleted, memory_order_relaxed))
		return 0;
	pthread_mutex_unlock(&f->lock);
	return pb_fail(err, PB_ENOTFOUND, "the folder was deleted");
}

int folder_lock_pair(struct folder *a, bool a_rows, struct folder *b, struct pb_error *err)
{
	struct folder *first = a, *second = b;
	int rc;

	if (a == b)
		return a_rows ? folder_lock_rows(a, err) : folder_lock(a, err);
	if (a->account == b->account ? a->number > b->number : strcmp(a->account->id, b->account->id) > 0) {
		first = b;
		second = a;
	}
	for (;;) {
		/* Rows are loaded with nothing else locked, since loading lets go of its lock. */
		if (a_rows) {
			rc = folder_lock_rows(a, err);
			if (rc)
				return rc;
			pthread_mutex_unlock(&a->lock);
		}
		rc = folder_lock(first, err);
		if (rc)
			return rc;
		rc = folder_lock(second, err);
		if (rc) {
			pthread_mutex_unlock(&first->lock);
			return rc;
		}
		if (!a_rows || a->newest->rows.table)
			return 0;
		folder_unlock_pair(a, b);
	}
}

void folder_unlock_pair(struct folder *a, struct folder *b)
{
	pthread_mutex_unlock(&a->lock);
	if (a != b)
		pthread_mutex_unlock(&b->lock);
}

/* ---- pictures ---- */

void folder_promote(struct folder *f)
{
	engine_ticket durable;

	if (f->durable == f->newest)
		return;
	durable = engine_durable(f->m->engine);
	while (f->durable->next && f->durable->next->ticket <= durable) {
		struct pb_view *old = f->durable;

		f->durable = old->next;
		view_release(old);
	}
}

struct pb_view *folder_next(struct folder *f)
{
	struct pb_view *v = view_new(f->m), *from = f->newest;

	v->serial = from->serial + 1;
	v->head = from->head;
	v->keywords = from->keywords;
	if (v->keywords)
		atomic_fetch_add_explicit(&v->keywords->refs, 1, memory_order_relaxed);
	row_set_ref(&v->rows, &from->rows);
	return v;
}

int folder_apply(struct folder *f, struct pb_view *v, struct engine_batch *b, struct pb_error *err)
{
	char room[FOLDER_HEAD_SIZE];
	struct pb_str header = pb_str(room, folder_head_encode(&v->head, room));
	int rc;

	b->entity = folder_entity(f);
	b->expect = f->version;
	b->header = &header;
	rc = engine_apply(f->m->engine, b, &f->version, &v->ticket, err);
	if (rc) {
		view_release(v);
		return rc;
	}
	f->newest->next = v;
	f->newest = v;
	atomic_store_explicit(&f->ticket, v->ticket, memory_order_release);
	atomic_store_explicit(&f->serial, v->serial, memory_order_release);
	folder_promote(f);
	return 0;
}

int folder_reload(struct folder *f, struct pb_error *err)
{
	struct pb_view *v = folder_next(f);
	int rc = folder_head_read(f->m->engine, folder_entity(f), f->uidvalidity, &f->version, &v->head, err);

	if (rc) {
		view_release(v);
		return rc;
	}
	v->ticket = f->newest->ticket;
	row_set_release(&v->rows);
	f->newest->next = v;
	f->newest = v;
	atomic_store(&f->serial, v->serial);
	return 0;
}

int folder_wait(struct folder *f, engine_ticket ticket, struct pb_error *err)
{
	if (ticket <= engine_durable(f->m->engine))
		return 0;
	return engine_wait(f->m->engine, ticket, err);
}

/* ---- watchers ---- */

static void arm(struct folder *f);

static void tell_watchers(void *arg)
{
	struct folder *f = arg;
	engine_ticket seen;

	atomic_store(&f->armed, false);
	seen = atomic_load(&f->ticket);
	pthread_mutex_lock(&f->watch_lock);
	for (struct watcher *w = f->watchers; w; w = w->next)
		w->hint(w->arg);
	pthread_mutex_unlock(&f->watch_lock);
	/* A change that came while the engine's call was on its way relied on it. */
	if (seen > engine_durable(f->m->engine))
		arm(f);
	folder_release(f);
}

static void arm(struct folder *f)
{
	if (atomic_exchange(&f->armed, true))
		return;
	atomic_fetch_add(&f->refs, 1);
	engine_when_durable(f->m->engine, atomic_load(&f->ticket), tell_watchers, f);
}

void folder_forgotten(struct folder *f)
{
	if (!f)
		return;
	if (atomic_load(&f->nwatchers))
		arm(f);
	folder_release(f);
}

/* After the unlocking: both take locks that are outside the folder's. */
static void changed(struct folder *f)
{
	if (atomic_load_explicit(&f->nwatchers, memory_order_relaxed))
		arm(f);
	mailstore_trim(f->m);
}

void folder_unlock_changed(struct folder *f)
{
	folder_charge(f);
	pthread_mutex_unlock(&f->lock);
	changed(f);
}

void folder_unlock_pair_changed(struct folder *a, struct folder *b)
{
	folder_charge(a);
	folder_charge(b);
	folder_unlock_pair(a, b);
	changed(a);
	if (a != b)
		changed(b);
}

struct watcher *folder_watch(struct pb_folder *handle, void (*hint)(void *arg), void *arg)
{
	struct watcher *w = pb_alloc(sizeof *w);
	struct folder *f = handle->f;

	*w = (struct watcher){ .f = f, .hint = hint, .arg = arg };
	atomic_fetch_add(&f->refs, 1);
	pthread_mutex_lock(&f->watch_lock);
	w->next = f->watchers;
	f->watchers = w;
	pthread_mutex_unlock(&f->watch_lock);
	atomic_fetch_add(&f->nwatchers, 1);
	/* A change that is applied but not durable yet did not know of this watcher. */
	if (atomic_load(&f->ticket) > engine_durable(f->m->engine))
		arm(f);
	return w;
}

void folder_unwatch(struct watcher *w)
{
	struct watcher **p;
	struct folder *f;

	if (!w)
		return;
	f = w->f;
	pthread_mutex_lock(&f->watch_lock);
	for (p = &f->watchers; *p != w; p = &(*p)->next)
		;
	*p = w->next;
	pthread_mutex_unlock(&f->watch_lock);
	atomic_fetch_sub(&f->nwatchers, 1);
	free(w);
	folder_release(f);
}
