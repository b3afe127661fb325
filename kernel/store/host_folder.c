/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * host_folder_*: opening, status, views, and the two ways in: append (a client waits for it) and deliver (the item's settling does).
 * Leaves changes of what is there to folder_store.c, folder_remove.c and folder_copy.c, and names to host_tree.c.
 */
#include <stdlib.h>
#include "kernel/clock/clock.h"
#include "kernel/store/spool.h"
#include "kernel/store/folder.h"

int host_folder_open(struct pb_mailbox *mb, struct pb_str in, struct pb_folder **ret, struct pb_error *err)
{
	struct account *a = mb->account;
	char room[FOLDER_NAME_MAX];
	struct pb_folder *handle;
	struct folder *f;
	struct pb_str name;
	struct entry *e;
	int rc = name_canonical(in, room, &name, err);

	if (rc)
		return rc == PB_EINVALID ? pb_fail(err, PB_ENOTFOUND, "no such folder: no name") : rc;
	pthread_mutex_lock(&a->lock);
	e = account_find(a, name);
	if (!e || e->attributes & PB_FOLDER_NOSELECT)
		rc = pb_fail(err, PB_ENOTFOUND, "no folder '%.*s'", PB_FMT(name));
	else
		rc = folder_get(a, e, &f, err);
	pthread_mutex_unlock(&a->lock);
	if (rc)
		return rc;
	handle = pb_alloc(sizeof *handle);
	handle->handle.ops = mb->handle.ops;
	handle->host = mb->host;
	handle->f = f;
	*ret = handle;
	return 0;
}

void host_folder_close(struct pb_folder *handle)
{
	folder_release(handle->f);
	free(handle);
}

bool host_folder_exists(struct pb_folder *handle)
{
	return !atomic_load(&handle->f->deleted);
}

int host_folder_status(struct pb_folder *handle, struct pb_folder_status *ret, struct pb_error *err)
{
	struct folder *f = handle->f;
	const struct folder_head *h;
	engine_ticket ticket;
	bool claimed;
	int rc = folder_lock(f, err);

	if (rc)
		return rc;
	folder_promote(f);
	h = &f->durable->head;
	ticket = f->durable->ticket;
	/* A claim takes all messages that there are, and nobody waits until it is durable. */
	claimed = f->newest->head.first_recent > h->first_recent;
	*ret = (struct pb_folder_status){ .uidvalidity = h->uidvalidity, .uidnext = h->uidnext, .messages = h->messages, .unseen = h->unseen,
					  .recent = claimed ? 0 : h->recent, .deleted = h->deleted, .modseq = h->modseq, .bytes = h->bytes };
	pthread_mutex_unlock(&f->lock);
	/* Only the first picture of a folder can be ahead: that of a folder which was made a moment ago. */
	return folder_wait(f, ticket, err);
}

int host_folder_claim_recent(struct pb_folder *handle, uint32_t *ret_first_recent, struct pb_error *err)
{
	struct folder *f = handle->f;
	struct engine_batch b = { 0 };
	struct pb_view *v;
	uint32_t first;
	int rc = folder_lock(f, err);

	if (rc)
		return rc;
	first = f->newest->head.first_recent;
	if (first < f->newest->head.uidnext) {
		v = folder_next(f);
		v->serial = f->newest->serial;
		v->head.first_recent = v->head.uidnext;
		v->head.recent = 0;
		rc = folder_apply(f, v, &b, err);
	}
	pthread_mutex_unlock(&f->lock);
	if (!rc)
		*ret_first_recent = first;
	return rc;
}

/* ---- views ---- */

int host_folder_view(struct pb_folder *handle, struct pb_view **ret, struct pb_error *err)
{
	struct folder *f = handle->f;
	int rc = handle->host->rights & RIGHT_MAIL_READ ? 0 : host_may(handle->host, RIGHT_MAIL_READ, err);

	while (!rc) {
		engine_ticket ticket;

		rc = folder_lock_rows(f, err);
		if (rc)
			break;
		folder_promote(f);
		/* Rows that were just loaded may be ahead of what is durable: there is no older picture with rows to show. */
		ticket = f->durable->rows.table ? f->durable->ticket : f->newest->ticket;
		if (f->durable->rows.table && ticket <= engine_durable(f->m->engine)) {
			*ret = f->durable;
			view_ref(*ret);
			pthread_mutex_unlock(&f->lock);
			mailstore_trim(f->m);
			return 0;
		}
		pthread_mutex_unlock(&f->lock);
		rc = engine_wait(f->m->engine, ticket, err);
	}
	return rc;
}

bool host_folder_is_newer(struct pb_folder *handle, const struct pb_view *v)
{
	struct folder *f = handle->f;
	bool newer;

	if (atomic_load_explicit(&f->serial, memory_order_acquire) == v->serial)
		return false;
	if (atomic_load_explicit(&f->ticket, memory_order_acquire) <= engine_durable(f->m->engine))
		return true;
	/* Something is on its way: whether an older change has arrived takes the lock to tell. */
	pthread_mutex_lock(&f->lock);
	folder_promote(f);
	newer = f->durable->serial > v->serial;
	pthread_mutex_unlock(&f->lock);
	return newer;
}

/* ---- in ---- */

void host_folder_limit(struct pb_folder *handle, uint64_t bytes)
{
	atomic_store(&handle->limit, bytes);
}

static int check_limit(struct pb_folder *handle, uint64_t more, struct pb_error *err)
{
	uint64_t limit = atomic_load_explicit(&handle->limit, memory_order_relaxed), bytes;

	if (!limit)
		return 0;
	pthread_mutex_lock(&handle->f->lock);
	bytes = handle->f->newest->head.bytes;
	pthread_mutex_unlock(&handle->f->lock);
	return bytes + more > limit ? pb_fail(err, PB_EQUOTA, "the folder is over its limit") : 0;
}

static int fill(struct pb_folder *handle, struct insert *one, const struct pb_append *how, struct pb_error *err)
{
	struct folder *f = handle->f;
	int rc;

	if (how->token.len > TOKEN_MAX)
		return pb_fail(err, PB_EINVALID, "a token has at most %d bytes", TOKEN_MAX);
	/* Keyword bits come from folder_keyword; one that does not exist would get a meaning later. */
	if (how->flags & ~(uint64_t)SYSTEM_FLAGS) {
		unsigned n;

		pthread_mutex_lock(&f->lock);
		n = f->newest->keywords ? f->newest->keywords->n : 0;
		pthread_mutex_unlock(&f->lock);
		if (how->flags & ~(SYSTEM_FLAGS | (n ? (UINT64_MAX >> (64 - n)) << PB_KEYWORD_FIRST : 0)))
			return pb_fail(err, PB_EINVALID, "flags %#llx of which some are unknown here", (unsigned long long)how->flags);
	}
	one->flags = how->flags;
	one->date = how->date ? how->date : clock_now(f->m->clock);
	one->token = how->token;
	rc = how->over_quota ? 0 : check_limit(handle, one->body.size + one->head.len, err);
	return rc ? rc : quota_take(f->account, 1, one->body.size + one->head.len, how->over_quota, how->usage, err);
}

/* What does not fit now may have been put in before there was no room: a delivery that a crash cut off behind it comes again. */
static bool is_there(struct folder *f, struct insert *one, const struct pb_append *how, engine_ticket *ret_ticket)
{
	struct account *a = f->account;

	if (!how->token.len || folder_recall(f, one, ret_ticket, NULL) || !one->known)
		return false;
	if (how->usage)
		*how->usage = (struct pb_usage){ atomic_load(&a->messages), atomic_load(&a->bytes), atomic_load(&a->quota_messages), atomic_load(&a->quota_bytes) };
	return true;
}

static int insert(struct pb_folder *handle, struct insert *one, const struct pb_append *how, engine_ticket *ret_ticket, struct pb_error *err)
{
	static const struct pb_append plain;
	struct folder *f = handle->f;
	uint64_t size = one->body.size + one->head.len;
	int rc;

	how = how ? how : &plain;
	rc = fill(handle, one, how, err);
	if (rc == PB_EQUOTA && is_there(f, one, how, ret_ticket))
		return 0;
	if (rc)
		return rc;
	rc = folder_insert_one(f, one, ret_ticket, err);
	if (rc || one->known)
		quota_give(f->account, 1, size);
	if (one->known && how->usage) {
		how->usage->messages--;
		how->usage->bytes -= size;
	}
	return rc;
}

int host_folder_append(struct pb_folder *handle, struct pb_spool *spool, const struct pb_append *how, uint32_t *ret_uid, uint32_t *ret_uidvalidity,
		       struct pb_error *err)
{
	struct folder *f = handle->f;
	struct insert one = { 0 };
	engine_ticket ticket;
	int rc = handle->host->rights & RIGHT_MAIL_WRITE ? 0 : host_may(handle->host, RIGHT_MAIL_WRITE, err);

	if (rc) {
		pb_spool_discard(spool);
		return rc;
	}
	rc = spool_seal(spool, f->m->engine, &one.body, err);
	if (rc)
		return rc;
	rc = insert(handle, &one, how, &ticket, err);
	if (rc || one.known)
		engine_body_discard(f->m->engine, &one.body);
	if (!rc)
		rc = folder_wait(f, ticket, err);
	if (rc)
		return rc;
	if (ret_uid)
		*ret_uid = one.uid;
	if (ret_uidvalidity)
		*ret_uidvalidity = f->uidvalidity;
	return 0;
}

int host_folder_deliver(struct pb_folder *handle, struct pb_body *body, struct pb_str head, const struct pb_append *how, uint32_t *ret_uid, struct pb_error *err)
{
	struct insert one = { .body = *body_id(body), .head = head };
	engine_ticket ticket;
	int rc = handle->host->rights & RIGHT_MAIL_WRITE ? 0 : host_may(handle->host, RIGHT_MAIL_WRITE, err);

	if (rc)
		return rc;
	if (head.len > HEAD_MAX)
		return pb_fail(err, PB_ETOOBIG, "%zu bytes to put before a body; %d at most", head.len, HEAD_MAX);
	rc = insert(handle, &one, how, &ticket, err);
	if (!rc && ret_uid)
		*ret_uid = one.uid;
	return rc;
}
