/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * host_folder_list, _create, _delete, _rename, _subscribe: the tree of names, each change one batch on the account.
 * Leaves what is in a folder to host_folder.c.
 */
#include <stdlib.h>
#include "kernel/store/folder.h"

/* A batch on the account while it is put together. */
struct plan {
	struct account *a;
	struct pb_arena *arena;
	struct engine_row *put;
	struct pb_str *remove;
	size_t nput, nremove;
};

static struct pb_str entry_name(const struct entry *e)
{
	return pb_str(e->name, e->len);
}

/* Account lock; room for so many rows of each kind. */
static struct plan plan_begin(struct account *a, size_t rows)
{
	struct plan p = { .a = a, .arena = pb_arena_new() };

	p.put = pb_arena_alloc(p.arena, rows * sizeof p.put[0]);
	p.remove = pb_arena_alloc(p.arena, rows * sizeof p.remove[0]);
	return p;
}

/* Gives the ticket to wait for, when it went well. */
static int plan_apply(struct plan *p, engine_ticket *ret_ticket, struct pb_error *err)
{
	int rc = account_apply(p->a, p->put, p->nput, p->remove, p->nremove, err);

	pb_arena_free(p->arena);
	if (!rc)
		*ret_ticket = p->a->ticket;
	return rc;
}

/* ---- list ---- */

static unsigned attributes_of(struct account *a, size_t i)
{
	const struct entry *e = a->entries[i];
	unsigned attributes = e->attributes;
	size_t at;

	/* "/" sorts first: a child, if there is one, is the next. */
	if (i + 1 < a->nentries && name_is_below(entry_name(a->entries[i + 1]), entry_name(e)))
		attributes |= PB_FOLDER_CHILDREN;
	if (account_subscribed(a, entry_name(e), &at))
		attributes |= PB_FOLDER_SUBSCRIBED;
	return attributes;
}

static size_t list_copy(struct account *a, struct pb_arena *arena, struct pb_folder_info **ret)
{
	struct pb_folder_info *list = pb_arena_alloc(arena, (a->nentries + a->nsubs + 1) * sizeof list[0]);
	size_t n = 0, i = 0, s = 0;

	while (i < a->nentries || s < a->nsubs) {
		struct pb_str sub = s < a->nsubs ? pb_strz(a->subs[s]) : PB_NOSTR;
		int c = i == a->nentries ? 1 : s == a->nsubs ? -1 : name_compare(entry_name(a->entries[i]), sub);

		if (c > 0) {
			list[n++] = (struct pb_folder_info){ pb_arena_str(arena, sub), PB_FOLDER_SUBSCRIBED | PB_FOLDER_NONEXISTENT | PB_FOLDER_NOSELECT, 0 };
			s++;
			continue;
		}
		list[n++] = (struct pb_folder_info){ pb_arena_str(arena, entry_name(a->entries[i])), attributes_of(a, i), a->entries[i]->uidvalidity };
		i++;
		s += c == 0;
	}
	*ret = list;
	return n;
}

int host_folder_list(struct pb_mailbox *mb, bool (*visit)(void *arg, const struct pb_folder_info *info), void *arg, struct pb_error *err)
{
	struct pb_arena *arena = pb_arena_new();
	struct pb_folder_info *list;
	size_t n;

	(void)err;
	pthread_mutex_lock(&mb->account->lock);
	n = list_copy(mb->account, arena, &list);
	pthread_mutex_unlock(&mb->account->lock);
	for (size_t i = 0; i < n && visit(arg, &list[i]); i++)
		;
	pb_arena_free(arena);
	return 0;
}

/* ---- create ---- */

static void create_one(struct plan *p, struct pb_str name, unsigned use, struct entry **made, size_t *nmade)
{
	struct entry *e = entry_new(name, p->a->next_number++, account_uidvalidity(p->a), use);

	p->put[p->nput++] = entry_row(e, p->arena);
	made[(*nmade)++] = e;
}

/* The parents of name that are missing. */
static void create_parents(struct plan *p, struct pb_str name, struct entry **made, size_t *nmade)
{
	for (size_t i = 1; i < name.len; i++) {
		if (name.ptr[i] == '/' && !account_find(p->a, pb_str_head(name, i)))
			create_one(p, pb_str_head(name, i), 0, made, nmade);
	}
}

static int create_locked(struct account *a, struct pb_str name, unsigned use, engine_ticket *ret_ticket, struct pb_error *err)
{
	struct entry *made[FOLDER_DEPTH_MAX + 1], *old = account_find(a, name);
	size_t nmade = 0;
	struct plan p;
	int rc;

	if (old && !(old->attributes & PB_FOLDER_NOSELECT))
		return pb_fail(err, PB_EEXISTS, "folder '%.*s' is there already", PB_FMT(name));
	if (a->nentries + FOLDER_DEPTH_MAX > FOLDERS_MAX)
		return pb_fail(err, PB_EQUOTA, "a mailbox has at most %d folders", FOLDERS_MAX);
	p = plan_begin(a, FOLDER_DEPTH_MAX + 2);
	create_parents(&p, name, made, &nmade);
	create_one(&p, name, use, made, &nmade);
	if (old)
		p.remove[p.nremove++] = number_key('d', old->number, p.arena);
	rc = plan_apply(&p, ret_ticket, err);
	if (!rc && old) {
		account_remove(a, old);
		free(old);
	}
	for (size_t i = 0; i < nmade; i++) {
		if (rc)
			free(made[i]);
		else
			account_insert(a, made[i]);
	}
	return rc;
}

static int begin(struct pb_mailbox *mb, struct pb_str in, char *room, struct pb_str *ret_name, struct pb_error *err)
{
	int rc = host_may(mb->host, RIGHT_MAIL_WRITE, err);

	if (!rc)
		rc = name_canonical(in, room, ret_name, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&mb->account->lock);
	if (mb->account->exists && !mb->account->destroyed)
		return 0;
	pthread_mutex_unlock(&mb->account->lock);
	return pb_fail(err, PB_ENOTFOUND, "the mailbox was removed");
}

int host_folder_create(struct pb_mailbox *mb, struct pb_str in, unsigned special_use, struct pb_error *err)
{
	char room[FOLDER_NAME_MAX];
	engine_ticket ticket = 0;
	struct pb_str name;
	int rc;

	if (special_use & ~(unsigned)SPECIAL_USES)
		return pb_fail(err, PB_EINVALID, "attributes %#x that are no special use", special_use);
	rc = begin(mb, in, room, &name, err);
	if (rc)
		return rc;
	rc = create_locked(mb->account, name, special_use, &ticket, err);
	pthread_mutex_unlock(&mb->account->lock);
	return rc ? rc : engine_wait(mb->account->m->engine, ticket, err);
}

/* ---- delete ---- */

/* What is in it becomes garbage; the name stays as \Noselect where it has children. */
static int delete_locked(struct account *a, struct entry *e, engine_ticket *ret_ticket, struct folder **ret_gone, struct pb_error *err)
{
	bool children = false;
	struct entry *stays = NULL;
	struct folder_head head;
	char entity[ENTITY_MAX];
	uint64_t version;
	struct plan p;
	int rc;

	for (size_t i = 0; i + 1 < a->nentries; i++)
		children |= a->entries[i] == e && name_is_below(entry_name(a->entries[i + 1]), entry_name(e));
	p = plan_begin(a, 3);
	p.remove[p.nremove++] = number_key('d', e->number, p.arena);
	p.put[p.nput++] = (struct engine_row){ number_key('g', e->number, p.arena), PB_STR("\1") };
	if (children) {
		stays = entry_new(entry_name(e), a->next_number++, account_uidvalidity(a), PB_FOLDER_NOSELECT);
		p.put[p.nput++] = entry_row(stays, p.arena);
	}
	rc = plan_apply(&p, ret_ticket, err);
	if (rc) {
		free(stays);
		return rc;
	}
	*ret_gone = folder_forget(e);
	/* Nobody writes to it any more: what it counted is not in use. */
	if (!folder_head_read(a->m->engine, folder_entity_name(a, e->number, entity), e->uidvalidity, &version, &head, NULL))
		quota_give(a, head.messages, head.bytes);
	account_remove(a, e);
	free(e);
	if (stays)
		account_insert(a, stays);
	return 0;
}

int host_folder_delete(struct pb_mailbox *mb, struct pb_str in, struct pb_error *err)
{
	struct account *a = mb->account;
	char room[FOLDER_NAME_MAX];
	engine_ticket ticket = 0;
	struct folder *gone = NULL;
	struct pb_str name;
	struct entry *e;
	uint32_t number = 0;
	int rc = begin(mb, in, room, &name, err);

	if (rc)
		return rc;
	e = account_find(a, name);
	if (!e || e->attributes & PB_FOLDER_NOSELECT)
		rc = pb_fail(err, PB_ENOTFOUND, "no folder '%.*s'", PB_FMT(name));
	else if (pb_str_eq(name, PB_STR("INBOX")))
		rc = pb_fail(err, PB_EDENIED, "INBOX cannot be deleted");
	else {
		number = e->number;
		rc = delete_locked(a, e, &ticket, &gone, err);
	}
	pthread_mutex_unlock(&a->lock);
	folder_forgotten(gone);
	if (!rc)
		rc = engine_wait(a->m->engine, ticket, err);
	/* Its messages go now; a failure leaves them for the next opening of the mailbox. */
	if (!rc)
		account_purge(a, number, NULL);
	return rc;
}

/* ---- rename ---- */

static struct pb_str renamed(const struct entry *e, struct pb_str from, struct pb_str to, struct pb_arena *arena)
{
	char *name = pb_arena_alloc(arena, to.len + e->len - from.len + 1);

	memcpy(name, to.ptr, to.len);
	memcpy(name + to.len, e->name + from.len, e->len - from.len);
	return pb_str(name, to.len + e->len - from.len);
}

struct renaming {
	struct entry **old, **now;
	size_t n;
};

static int rename_check(struct account *a, const struct renaming *r, struct pb_error *err)
{
	char room[FOLDER_NAME_MAX];
	struct pb_str name;

	for (size_t i = 0; i < r->n; i++) {
		int rc = name_canonical(entry_name(r->now[i]), room, &name, err);

		if (rc)
			return rc;
		if (account_find(a, name))
			return pb_fail(err, PB_EEXISTS, "folder '%.*s' is there already", PB_FMT(name));
	}
	return 0;
}

/* Old names go, new ones come; the folders in memory stay what they are. */
static void rename_done(struct account *a, struct renaming *r)
{
	for (size_t i = 0; i < r->n; i++) {
		r->now[i]->live = r->old[i]->live;
		account_remove(a, r->old[i]);
		free(r->old[i]);
	}
	for (size_t i = 0; i < r->n; i++)
		account_insert(a, r->now[i]);
}

static int rename_locked(struct account *a, struct pb_str from, struct pb_str to, engine_ticket *ret_ticket, struct pb_error *err)
{
	struct plan p = plan_begin(a, a->nentries + FOLDER_DEPTH_MAX + 1);
	struct renaming r = { 0 };
	struct entry *made[FOLDER_DEPTH_MAX + 1];
	size_t nmade = 0;
	int rc;

	r.old = pb_arena_alloc(p.arena, (a->nentries + 1) * sizeof r.old[0]);
	r.now = pb_arena_alloc(p.arena, (a->nentries + 1) * sizeof r.now[0]);
	for (size_t i = 0; i < a->nentries; i++) {
		struct entry *e = a->entries[i];

		if (!pb_str_eq(entry_name(e), from) && !name_is_below(entry_name(e), from))
			continue;
		r.old[r.n] = e;
		r.now[r.n++] = entry_new(renamed(e, from, to, p.arena), e->number, e->uidvalidity, e->attributes);
	}
	rc = rename_check(a, &r, err);
	if (rc) {
		pb_arena_free(p.arena);
	} else {
		struct pb_arena *names = pb_arena_new();
		struct entry **old = pb_arena_alloc(names, (r.n + 1) * sizeof old[0]), **now = pb_arena_alloc(names, (r.n + 1) * sizeof now[0]);

		memcpy(old, r.old, r.n * sizeof old[0]);
		memcpy(now, r.now, r.n * sizeof now[0]);
		r.old = old;
		r.now = now;
		for (size_t i = 0; i < r.n; i++)
			p.put[p.nput++] = entry_row(r.now[i], p.arena);
		create_parents(&p, to, made, &nmade);
		rc = plan_apply(&p, ret_ticket, err);
		if (!rc)
			rename_done(a, &r);
		for (size_t i = 0; i < nmade; i++)
			rc ? free(made[i]) : account_insert(a, made[i]);
		for (size_t i = 0; rc && i < r.n; i++)
			free(r.now[i]);
		pb_arena_free(names);
		return rc;
	}
	return rc;
}

/* Every message of INBOX moves to a new folder; INBOX stays, and what is below it too. */
static int rename_inbox(struct pb_mailbox *mb, struct pb_str to, struct pb_error *err)
{
	struct pb_folder *from = NULL, *there = NULL;
	struct pb_view *view = NULL;
	uint32_t *uids = NULL, n = 0;
	int rc = host_folder_create(mb, to, 0, err);

	if (rc)
		return rc;
	rc = host_folder_open(mb, PB_STR("INBOX"), &from, err);
	if (!rc)
		rc = host_folder_open(mb, to, &there, err);
	if (!rc)
		rc = host_folder_view(from, &view, err);
	if (!rc) {
		n = host_view_count(view);
		uids = pb_alloc((n + 1) * sizeof uids[0]);
		for (uint32_t i = 0; i < n; i++)
			uids[i] = host_view_row(view, i + 1)->uid;
		rc = host_folder_copy(from, uids, n, there, true, NULL, NULL, err);
	}
	free(uids);
	if (view)
		host_view_release(view);
	if (from)
		host_folder_close(from);
	if (there)
		host_folder_close(there);
	return rc;
}

int host_folder_rename(struct pb_mailbox *mb, struct pb_str from_in, struct pb_str to_in, struct pb_error *err)
{
	struct account *a = mb->account;
	char from_room[FOLDER_NAME_MAX], to_room[FOLDER_NAME_MAX];
	struct pb_str from, to;
	engine_ticket ticket = 0;
	int rc = name_canonical(to_in, to_room, &to, err);

	if (!rc)
		rc = begin(mb, from_in, from_room, &from, err);
	if (rc)
		return rc;
	if (!account_find(a, from))
		rc = pb_fail(err, PB_ENOTFOUND, "no folder '%.*s'", PB_FMT(from));
	else if (account_find(a, to))
		rc = pb_fail(err, PB_EEXISTS, "folder '%.*s' is there already", PB_FMT(to));
	else if (name_is_below(to, from) && !pb_str_eq(from, PB_STR("INBOX")))
		rc = pb_fail(err, PB_EINVALID, "a folder cannot go below itself");
	else if (!pb_str_eq(from, PB_STR("INBOX")))
		rc = rename_locked(a, from, to, &ticket, err);
	pthread_mutex_unlock(&a->lock);
	if (rc)
		return rc;
	if (pb_str_eq(from, PB_STR("INBOX")))
		return rename_inbox(mb, to, err);
	return engine_wait(a->m->engine, ticket, err);
}

/* ---- subscriptions: a list of names, whether or not there are such folders ---- */

static int subscribe_locked(struct account *a, struct pb_str name, bool on, engine_ticket *ret_ticket, struct pb_error *err)
{
	struct plan p;
	struct pb_str key;
	size_t at;
	bool is = account_subscribed(a, name, &at);
	int rc;

	if (is == on) {
		*ret_ticket = a->ticket;
		return 0;
	}
	if (on && a->nsubs >= FOLDERS_MAX)
		return pb_fail(err, PB_EQUOTA, "a mailbox has at most %d subscriptions", FOLDERS_MAX);
	p = plan_begin(a, 1);
	key = pb_strz(pb_arena_printf(p.arena, "s%.*s", PB_FMT(name)));
	if (on)
		p.put[p.nput++] = (struct engine_row){ key, PB_STR("\1") };
	else
		p.remove[p.nremove++] = key;
	rc = plan_apply(&p, ret_ticket, err);
	if (rc)
		return rc;
	if (on) {
		a->subs = pb_realloc(a->subs, (a->nsubs + 1) * sizeof a->subs[0]);
		memmove(a->subs + at + 1, a->subs + at, (a->nsubs++ - at) * sizeof a->subs[0]);
		a->subs[at] = pb_str_dup(name);
	} else {
		free(a->subs[at]);
		memmove(a->subs + at, a->subs + at + 1, (--a->nsubs - at) * sizeof a->subs[0]);
	}
	return 0;
}

int host_folder_subscribe(struct pb_mailbox *mb, struct pb_str in, bool on, struct pb_error *err)
{
	char room[FOLDER_NAME_MAX];
	engine_ticket ticket = 0;
	struct pb_str name;
	int rc = begin(mb, in, room, &name, err);

	if (rc)
		return rc;
	rc = subscribe_locked(mb->account, name, on, &ticket, err);
	pthread_mutex_unlock(&mb->account->lock);
	return rc ? rc : engine_wait(mb->account->m->engine, ticket, err);
}

/* ---- which one is it ---- */

int host_folder_whose(struct pb_folder *handle, struct pb_buf *mailbox, struct pb_buf *name, unsigned *ret_attributes, struct pb_error *err)
{
	struct account *a = handle->f->account;
	const struct entry *found = NULL;

	pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < a->nentries && !found; i++)
		if (a->entries[i]->number == handle->f->number)
			found = a->entries[i];
	if (found) {
		pb_buf_addz(mailbox, a->id);
		pb_buf_addstr(name, entry_name(found));
		if (ret_attributes)
			*ret_attributes = found->attributes;
	}
	pthread_mutex_unlock(&a->lock);
	return found ? 0 : pb_fail(err, PB_ENOTFOUND, "the folder was deleted");
}
