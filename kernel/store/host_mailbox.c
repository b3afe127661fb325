/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * host_mailbox_*: mailboxes as plugins see them; opened, made, removed, locked, measured.
 * Leaves their folders to host_tree.c and host_folder.c.
 */
#include <stdlib.h>
#include "kernel/store/folder.h"

int host_mailbox_open(struct pb_host *host, struct pb_str id, struct pb_mailbox **ret, struct pb_error *err)
{
	struct mailstore *m = host->kernel->mailstore;
	struct account *a;
	struct pb_mailbox *mb;
	int rc = host->rights & RIGHT_MAIL_WRITE ? 0 : host_may(host, RIGHT_MAIL_READ, err);

	if (rc)
		return rc;
	atomic_store_explicit(&m->ops, host->handle.ops, memory_order_relaxed);
	rc = account_get(m, id, false, &a, err);
	if (rc)
		return rc;
	mb = pb_alloc(sizeof *mb);
	mb->handle.ops = host->handle.ops;
	mb->host = host;
	mb->account = a;
	*ret = mb;
	return 0;
}

static void unlock_all(struct pb_mailbox *mb, const char *name)
{
	struct account *a = mb->account;

	pthread_mutex_lock(&a->lock);
	for (struct holder **p = &a->holders, *h; (h = *p) != NULL;) {
		if (h->by == mb && (!name || !strcmp(h->name, name))) {
			*p = h->next;
			free(h);
		} else {
			p = &h->next;
		}
	}
	pthread_mutex_unlock(&a->lock);
}

void host_mailbox_close(struct pb_mailbox *mb)
{
	unlock_all(mb, NULL);
	account_release(mb->account);
	free(mb);
}

int host_mailbox_lock(struct pb_mailbox *mb, const char *name, struct pb_error *err)
{
	struct account *a = mb->account;
	size_t len = strlen(name) + 1;
	struct holder *h;

	pthread_mutex_lock(&a->lock);
	for (h = a->holders; h && strcmp(h->name, name); h = h->next)
		;
	if (!h) {
		h = pb_alloc(sizeof *h + len);
		h->by = mb;
		memcpy(h->name, name, len);
		h->next = a->holders;
		a->holders = h;
		h = NULL;
	}
	pthread_mutex_unlock(&a->lock);
	return h && h->by != mb ? pb_fail(err, PB_EBUSY, "the mailbox is in use by another session") : 0;
}

void host_mailbox_unlock(struct pb_mailbox *mb, const char *name)
{
	unlock_all(mb, name);
}

int host_mailbox_usage(struct pb_mailbox *mb, uint64_t *ret_messages, uint64_t *ret_bytes, struct pb_error *err)
{
	(void)err;
	*ret_messages = atomic_load(&mb->account->messages);
	*ret_bytes = atomic_load(&mb->account->bytes);
	return 0;
}

int host_mailbox_set_quota(struct pb_mailbox *mb, uint64_t messages, uint64_t bytes, struct pb_error *err)
{
	struct account *a = mb->account;
	uint64_t old_messages, old_bytes;
	engine_ticket ticket;
	int rc = host_may(mb->host, RIGHT_MAIL_WRITE, err);

	if (rc)
		return rc;
	pthread_mutex_lock(&a->lock);
	old_messages = atomic_exchange(&a->quota_messages, messages);
	old_bytes = atomic_exchange(&a->quota_bytes, bytes);
	if (old_messages != messages || old_bytes != bytes)
		rc = account_apply(a, NULL, 0, NULL, 0, err);
	if (rc) {
		atomic_store(&a->quota_messages, old_messages);
		atomic_store(&a->quota_bytes, old_bytes);
	}
	ticket = a->ticket;
	pthread_mutex_unlock(&a->lock);
	return rc ? rc : engine_wait(a->m->engine, ticket, err);
}

/* ---- making and removing ---- */

static const struct {
	const char *name;
	unsigned use;
} standard[] = {
	{ "INBOX", 0 },
	{ "Archive", PB_FOLDER_ARCHIVE },
	{ "Drafts", PB_FOLDER_DRAFTS },
	{ "Junk", PB_FOLDER_JUNK },
	{ "Sent", PB_FOLDER_SENT },
	{ "Trash", PB_FOLDER_TRASH },
};

enum { STANDARD = sizeof standard / sizeof standard[0] };

/* Account lock. */
static int create_locked(struct account *a, struct pb_error *err)
{
	struct pb_arena *arena = pb_arena_new();
	struct engine_row put[2 * STANDARD];
	struct entry *made[STANDARD];
	int rc;

	for (size_t i = 0; i < STANDARD; i++) {
		struct pb_str name = pb_strz(standard[i].name);
		char *key = pb_arena_printf(arena, "s%s", standard[i].name);

		made[i] = entry_new(name, a->next_number++, account_uidvalidity(a), standard[i].use);
		put[2 * i] = entry_row(made[i], arena);
		put[2 * i + 1] = (struct engine_row){ pb_strz(key), PB_STR("\1") };
	}
	a->destroyed = false;
	rc = account_apply(a, put, 2 * STANDARD, NULL, 0, err);
	for (size_t i = 0; i < STANDARD; i++) {
		struct pb_str name = pb_strz(standard[i].name);
		size_t at;

		if (rc) {
			free(made[i]);
			continue;
		}
		account_insert(a, made[i]);
		account_subscribed(a, name, &at);
		a->subs = pb_realloc(a->subs, (a->nsubs + 1) * sizeof a->subs[0]);
		memmove(a->subs + at + 1, a->subs + at, (a->nsubs - at) * sizeof a->subs[0]);
		a->subs[at] = pb_str_dup(name);
		a->nsubs++;
	}
	pb_arena_free(arena);
	return rc;
}

int host_mailbox_create(struct pb_host *host, struct pb_str id, struct pb_error *err)
{
	struct mailstore *m = host->kernel->mailstore;
	engine_ticket ticket = 0;
	struct account *a;
	int rc = host_may(host, RIGHT_MAIL_WRITE, err);

	if (!rc)
		rc = account_get(m, id, true, &a, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&a->lock);
	if (a->destroyed)
		rc = pb_fail(err, PB_EBUSY, "mailbox '%s' is being removed", a->id);
	else if (a->exists)
		rc = pb_fail(err, PB_EEXISTS, "mailbox '%s' is there already", a->id);
	else
		rc = create_locked(a, err);
	ticket = a->ticket;
	pthread_mutex_unlock(&a->lock);
	if (!rc)
		rc = engine_wait(m->engine, ticket, err);
	account_release(a);
	return rc;
}

struct destroyed {
	uint32_t *numbers;		/* of the folders */
	struct folder **gone;		/* those in memory, or NULL */
	size_t n;
};

/* All folders become garbage in one batch; from then on the mailbox is not found. Account lock. */
static int destroy_locked(struct account *a, struct destroyed *ret, struct pb_error *err)
{
	struct pb_arena *arena = pb_arena_new();
	struct engine_row *put = pb_arena_alloc(arena, (a->nentries + 1) * sizeof put[0]);
	struct pb_str *remove = pb_arena_alloc(arena, (a->nentries + a->nsubs + 1) * sizeof remove[0]);
	uint32_t *numbers = ret->numbers = pb_alloc((a->nentries + 1) * sizeof numbers[0]);
	size_t n = 0, nremove = 0;
	int rc;

	for (size_t i = 0; i < a->nentries; i++) {
		numbers[n] = a->entries[i]->number;
		put[n] = (struct engine_row){ number_key('g', numbers[n], arena), PB_STR("\1") };
		n++;
		remove[nremove++] = number_key('d', a->entries[i]->number, arena);
	}
	for (size_t i = 0; i < a->nsubs; i++)
		remove[nremove++] = pb_strz(pb_arena_printf(arena, "s%s", a->subs[i]));
	a->destroyed = true;
	rc = account_apply(a, put, n, remove, nremove, err);
	pb_arena_free(arena);
	if (rc) {
		a->destroyed = false;
		return rc;
	}
	ret->gone = pb_alloc((n + 1) * sizeof ret->gone[0]);
	ret->n = n;
	for (size_t i = 0; i < a->nentries; i++) {
		ret->gone[i] = folder_forget(a->entries[i]);
		free(a->entries[i]);
	}
	for (size_t i = 0; i < a->nsubs; i++)
		free(a->subs[i]);
	a->nentries = a->nsubs = 0;
	return 0;
}

static int destroy_rest(struct account *a, const uint32_t *numbers, size_t n, struct pb_error *err)
{
	char room[ENTITY_MAX];
	int rc = 0;

	for (size_t i = 0; i < n && !rc; i++)
		rc = account_purge(a, numbers[i], err);
	if (rc)
		return rc;
	pthread_mutex_lock(&a->lock);
	rc = engine_drop(a->m->engine, account_entity(a, room), err);
	if (!rc) {
		/* As one that was never made, but for the counter: UIDVALIDITY must not come back within a second. */
		a->exists = a->destroyed = false;
		a->version = 0;
		atomic_store(&a->annotations, 0);
		atomic_store(&a->quota_messages, 0);
		atomic_store(&a->quota_bytes, 0);
		atomic_store(&a->messages, 0);
		atomic_store(&a->bytes, 0);
	}
	pthread_mutex_unlock(&a->lock);
	return rc;
}

int host_mailbox_destroy(struct pb_host *host, struct pb_str id, struct pb_error *err)
{
	struct mailstore *m = host->kernel->mailstore;
	struct account *a;
	struct destroyed d = { 0 };
	engine_ticket ticket;
	int rc = host_may(host, RIGHT_MAIL_WRITE, err);

	if (!rc)
		rc = account_get(m, id, true, &a, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&a->lock);
	/* One whose removal a crash cut is removed again: its garbage went when it was loaded. */
	if (!a->exists)
		rc = pb_fail(err, PB_ENOTFOUND, "no mailbox '%s'", a->id);
	else if (!a->destroyed)
		rc = destroy_locked(a, &d, err);
	ticket = a->ticket;
	pthread_mutex_unlock(&a->lock);
	for (size_t i = 0; i < d.n; i++)
		folder_forgotten(d.gone[i]);
	if (!rc)
		rc = engine_wait(m->engine, ticket, err);
	if (!rc)
		rc = destroy_rest(a, d.numbers, d.n, err);
	free(d.numbers);
	free(d.gone);
	account_release(a);
	return rc;
}
