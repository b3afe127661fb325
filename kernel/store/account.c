/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Accounts: the record of a mailbox in memory and in the engine; folder list, subscriptions, counters, quota, usage.
 * Leaves what may be asked of it to host_mailbox.c and host_tree.c.
 */
#include <stdlib.h>
#include "kernel/clock/clock.h"
#include "kernel/log/log.h"
#include "kernel/store/folder.h"
#include "kernel/store/pack.h"

enum { HEADER_VERSION = 1, HEADER_SIZE = 1 + 1 + 4 + 4 + 8 + 8, ENTRY_VERSION = 1, ENTRY_FIXED = 1 + 4 + 4 };
enum { HEADER_DESTROYED = 1 };

struct pb_str account_entity(const struct account *a, char *room)
{
	size_t len = strlen(a->id);

	memcpy(room, "m/", 2);
	memcpy(room + 2, a->id, len);
	return pb_str(room, len + 2);
}

/* ---- the list in memory ---- */

static size_t entry_at(struct account *a, struct pb_str name, bool *ret_is)
{
	size_t low = 0, high = a->nentries;

	*ret_is = false;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = name_compare(pb_str(a->entries[mid]->name, a->entries[mid]->len), name);

		if (!c) {
			*ret_is = true;
			return mid;
		}
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct entry *account_find(struct account *a, struct pb_str name)
{
	bool is;
	size_t at = entry_at(a, name, &is);

	return is ? a->entries[at] : NULL;
}

struct entry *entry_new(struct pb_str name, uint32_t number, uint32_t uidvalidity, unsigned attributes)
{
	struct entry *e = pb_alloc(sizeof *e + name.len + 1);

	e->number = number;
	e->uidvalidity = uidvalidity;
	e->attributes = attributes;
	e->len = name.len;
	memcpy(e->name, name.ptr, name.len);
	return e;
}

void account_insert(struct account *a, struct entry *e)
{
	bool is;
	size_t at = entry_at(a, pb_str(e->name, e->len), &is);

	a->entries = pb_realloc(a->entries, (a->nentries + 1) * sizeof a->entries[0]);
	memmove(a->entries + at + 1, a->entries + at, (a->nentries - at) * sizeof a->entries[0]);
	a->entries[at] = e;
	a->nentries++;
}

void account_remove(struct account *a, struct entry *e)
{
	for (size_t i = 0; i < a->nentries; i++) {
		if (a->entries[i] != e)
			continue;
		a->nentries--;
		memmove(a->entries + i, a->entries + i + 1, (a->nentries - i) * sizeof a->entries[0]);
		return;
	}
}

bool account_subscribed(struct account *a, struct pb_str name, size_t *ret_at)
{
	size_t low = 0, high = a->nsubs;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = name_compare(pb_strz(a->subs[mid]), name);

		if (!c) {
			*ret_at = mid;
			return true;
		}
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*ret_at = low;
	return false;
}

uint32_t account_uidvalidity(struct account *a)
{
	int64_t now = clock_now(a->m->clock) / PB_SECOND;

	/* Seconds, so that a mailbox destroyed and made again does not repeat them either; and never twice the same. */
	if (now > a->last_uidvalidity && now <= UINT32_MAX)
		a->last_uidvalidity = (uint32_t)now;
	else
		a->last_uidvalidity++;
	return a->last_uidvalidity;
}

/* ---- the record ---- */

static struct pb_str header_encode(const struct account *a, char *room)
{
	char *p = room;

	*p++ = HEADER_VERSION;
	*p++ = a->destroyed ? HEADER_DESTROYED : 0;
	p = pack_be32(p, a->next_number);
	p = pack_be32(p, a->last_uidvalidity);
	p = pack_be64(p, atomic_load(&a->quota_messages));
	p = pack_be64(p, atomic_load(&a->quota_bytes));
	return pb_str(room, (size_t)(p - room));
}

static int header_decode(struct account *a, struct pb_str s, struct pb_error *err)
{
	if (s.len < HEADER_SIZE || s.ptr[0] != HEADER_VERSION)
		return pb_fail(err, PB_ECORRUPT, "the record of mailbox %s has an unknown form", a->id);
	a->destroyed = s.ptr[1] & HEADER_DESTROYED;
	a->next_number = unpack_be32(s.ptr + 2);
	a->last_uidvalidity = unpack_be32(s.ptr + 6);
	atomic_store(&a->quota_messages, unpack_be64(s.ptr + 10));
	atomic_store(&a->quota_bytes, unpack_be64(s.ptr + 18));
	return 0;
}

int account_apply(struct account *a, const struct engine_row *put, size_t nput, const struct pb_str *remove, size_t nremove, struct pb_error *err)
{
	char entity[ENTITY_MAX], room[HEADER_SIZE];
	struct pb_str header = header_encode(a, room);
	struct engine_batch b = { .entity = account_entity(a, entity), .expect = a->version, .header = &header,
				  .put = put, .nput = nput, .remove = remove, .nremove = nremove };
	uint64_t version;
	engine_ticket ticket;

	if (engine_apply(a->m->engine, &b, &version, &ticket, err))
		return pb_because(err, "while changing mailbox %s", a->id);
	a->version = version;
	a->ticket = ticket;
	a->exists = true;
	return 0;
}

struct pb_str number_key(char kind, uint32_t number, struct pb_arena *arena)
{
	char *key = pb_arena_alloc(arena, 5);

	row_key(key, kind, number);
	return pb_str(key, 5);
}

struct engine_row entry_row(const struct entry *e, struct pb_arena *arena)
{
	char *value = pb_arena_alloc(arena, ENTRY_FIXED + e->len), *p = value;

	*p++ = ENTRY_VERSION;
	p = pack_be32(p, e->attributes);
	p = pack_be32(p, e->uidvalidity);
	memcpy(p, e->name, e->len);
	return (struct engine_row){ number_key('d', e->number, arena), pb_str(value, ENTRY_FIXED + e->len) };
}

/* ---- loading ---- */

struct garbage {
	uint32_t *numbers;
	size_t n;
};

static int row_take(struct account *a, const struct engine_row *row, struct garbage *g, struct pb_error *err)
{
	struct pb_str name = pb_str_skip(row->key, 1), value = row->value;

	if (row->key.len == 5 && row->key.ptr[0] == 'd' && value.len > ENTRY_FIXED && value.ptr[0] == ENTRY_VERSION) {
		struct entry *e = entry_new(pb_str_skip(value, ENTRY_FIXED), unpack_be32(row->key.ptr + 1), unpack_be32(value.ptr + 5),
					    unpack_be32(value.ptr + 1));

		account_insert(a, e);
		return 0;
	}
	if (row->key.len > 1 && row->key.ptr[0] == 's') {
		size_t at;

		if (!account_subscribed(a, name, &at)) {
			a->subs = pb_realloc(a->subs, (a->nsubs + 1) * sizeof a->subs[0]);
			memmove(a->subs + at + 1, a->subs + at, (a->nsubs - at) * sizeof a->subs[0]);
			a->subs[at] = pb_str_dup(name);
			a->nsubs++;
		}
		return 0;
	}
	if (row->key.len == 5 && row->key.ptr[0] == 'g') {
		g->numbers = pb_realloc(g->numbers, (g->n + 1) * sizeof g->numbers[0]);
		g->numbers[g->n++] = unpack_be32(row->key.ptr + 1);
		return 0;
	}
	if (row->key.len > 5 && row->key.ptr[0] == 'a') {
		atomic_fetch_add(&a->annotations, 1);
		return 0;
	}
	return pb_fail(err, PB_ECORRUPT, "the record of mailbox %s has a row of an unknown form", a->id);
}

static int rows_load(struct account *a, struct garbage *g, struct pb_error *err)
{
	struct engine_page page = ENGINE_PAGE;
	PB_AUTOBUF(from);
	char entity[ENTITY_MAX];
	int rc;

	do {
		rc = engine_scan(a->m->engine, account_entity(a, entity), pb_buf_str(&from), PB_NOSTR, 1000, &page, err);
		for (size_t i = 0; !rc && i < page.n; i++)
			rc = row_take(a, &page.rows[i], g, err);
		if (!rc && page.n) {
			pb_buf_reset(&from);
			pb_buf_addstr(&from, page.rows[page.n - 1].key);
			pb_buf_addc(&from, '\0');
		}
	} while (!rc && page.more && page.n);
	engine_page_free(&page);
	return rc;
}

static int finish_moves(struct account *a, struct entry *e, struct pb_error *err)
{
	struct folder *f;
	int rc;

	pthread_mutex_lock(&a->lock);
	rc = folder_get(a, e, &f, err);
	pthread_mutex_unlock(&a->lock);
	if (rc)
		return rc;
	rc = folder_finish_moves(f, err);
	folder_release(f);
	return rc;
}

/* Usage is what the folders' headers say: nothing can drift. Moves that a crash cut are finished when all is counted. */
static int usage_load(struct account *a, struct pb_error *err)
{
	bool *moves = pb_alloc(a->nentries + 1);
	int rc = 0;

	for (size_t i = 0; i < a->nentries && !rc; i++) {
		const struct entry *e = a->entries[i];
		struct folder_head head;
		char entity[ENTITY_MAX];
		uint64_t version;

		if (e->attributes & PB_FOLDER_NOSELECT)
			continue;
		rc = folder_head_read(a->m->engine, folder_entity_name(a, e->number, entity), e->uidvalidity, &version, &head, err);
		/* One damaged header closes one folder, which says so when it is opened; the others are served. */
		if (rc == PB_ECORRUPT) {
			log_line(a->m->log, PB_ERROR, NULL, "folder.header_damaged", "mailbox=%s folder=%u", a->id, e->number);
			rc = 0;
			continue;
		}
		if (rc) {
			pb_because(err, "in folder %u of mailbox %s", e->number, a->id);
			break;
		}
		atomic_fetch_add(&a->messages, head.messages);
		atomic_fetch_add(&a->bytes, head.bytes);
		moves[i] = head.moves;
	}
	for (size_t i = 0; i < a->nentries && !rc; i++) {
		if (moves[i])
			rc = finish_moves(a, a->entries[i], err);
	}
	free(moves);
	return rc;
}

static int account_load(struct account *a, struct pb_error *err)
{
	PB_AUTOBUF(header);
	struct garbage g = { 0 };
	char entity[ENTITY_MAX];
	int rc = engine_head(a->m->engine, account_entity(a, entity), &a->version, &header, err);

	if (rc || !a->version)
		return rc;
	a->exists = true;
	rc = header_decode(a, pb_buf_str(&header), err);
	if (!rc)
		rc = rows_load(a, &g, err);
	if (!rc)
		rc = usage_load(a, err);
	for (size_t i = 0; !rc && i < g.n; i++)
		rc = account_purge(a, g.numbers[i], err);
	free(g.numbers);
	return rc;
}

/* ---- the table of accounts ---- */

static void account_free(struct account *a)
{
	for (size_t i = 0; i < a->nentries; i++)
		free(a->entries[i]);
	for (size_t i = 0; i < a->nsubs; i++)
		free(a->subs[i]);
	free(a->entries);
	free(a->subs);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

static void table_grow(struct mailstore *m)
{
	size_t n = m->nbuckets * 4;
	struct account **buckets = pb_alloc(n * sizeof buckets[0]);

	for (size_t i = 0; i < m->nbuckets; i++) {
		for (struct account *a = m->buckets[i], *next; a; a = next) {
			next = a->next;
			a->next = buckets[a->hash % n];
			buckets[a->hash % n] = a;
		}
	}
	free(m->buckets);
	m->buckets = buckets;
	m->nbuckets = n;
}

static struct account *table_find(struct mailstore *m, struct pb_str id, uint64_t hash)
{
	for (struct account *a = m->buckets[hash % m->nbuckets]; a; a = a->next) {
		if (a->hash == hash && pb_str_eq(pb_strz(a->id), id))
			return a;
	}
	return NULL;
}

static struct account *table_add(struct mailstore *m, struct pb_str id, uint64_t hash)
{
	struct account *a = pb_alloc(sizeof *a);

	a->m = m;
	a->hash = hash;
	a->next_number = 1;
	memcpy(a->id, id.ptr, id.len);
	pthread_mutex_init(&a->lock, NULL);
	if (++m->naccounts > m->nbuckets)
		table_grow(m);
	a->next = m->buckets[hash % m->nbuckets];
	m->buckets[hash % m->nbuckets] = a;
	return a;
}

void account_release(struct account *a)
{
	struct mailstore *m = a->m;
	bool last;

	pthread_mutex_lock(&m->lock);
	last = --a->refs == 0;
	if (last) {
		struct account **p = &m->buckets[a->hash % m->nbuckets];

		while (*p != a)
			p = &(*p)->next;
		*p = a->next;
		m->naccounts--;
	}
	pthread_mutex_unlock(&m->lock);
	if (last)
		account_free(a);
}

static int id_check(struct pb_str id, struct pb_error *err)
{
	if (!id.len || id.len > MAILBOX_ID_MAX)
		return pb_fail(err, PB_EINVALID, "a mailbox id has 1 to %d characters", MAILBOX_ID_MAX);
	for (size_t i = 0; i < id.len; i++) {
		if (!pb_is_alnum((unsigned char)id.ptr[i]) && id.ptr[i] != '-' && id.ptr[i] != '_')
			return pb_fail(err, PB_EINVALID, "a mailbox id has letters, digits, - and _ only");
	}
	return 0;
}

int account_get(struct mailstore *m, struct pb_str id, bool make, struct account **ret, struct pb_error *err)
{
	uint64_t hash = pb_str_hash(id);
	struct account *a;
	int rc = id_check(id, err);

	if (rc)
		return rc;
	pthread_mutex_lock(&m->lock);
	a = table_find(m, id, hash);
	if (a) {
		a->refs++;
		while (!a->state)
			pthread_cond_wait(&m->loaded, &m->lock);
		pthread_mutex_unlock(&m->lock);
	} else {
		a = table_add(m, id, hash);
		a->refs++;
		pthread_mutex_unlock(&m->lock);
		rc = account_load(a, &a->problem);
		pthread_mutex_lock(&m->lock);
		a->state = rc ? rc : 1;
		pthread_cond_broadcast(&m->loaded);
		pthread_mutex_unlock(&m->lock);
	}
	rc = a->state < 0 ? a->state : 0;
	if (rc && err)
		*err = a->problem;
	if (!rc && !make) {
		pthread_mutex_lock(&a->lock);
		if (!a->exists || a->destroyed)
			rc = pb_fail(err, PB_ENOTFOUND, "no mailbox '%s'", a->id);
		pthread_mutex_unlock(&a->lock);
	}
	if (rc)
		account_release(a);
	else
		*ret = a;
	return rc;
}

/* ---- quota ---- */

int quota_take(struct account *a, uint64_t messages, uint64_t bytes, bool over, struct pb_usage *ret_usage, struct pb_error *err)
{
	uint64_t max_messages = atomic_load(&a->quota_messages), max_bytes = atomic_load(&a->quota_bytes);
	uint64_t now_messages = atomic_fetch_add(&a->messages, messages) + messages;
	uint64_t now_bytes = atomic_fetch_add(&a->bytes, bytes) + bytes;

	if (ret_usage)
		*ret_usage = (struct pb_usage){ now_messages, now_bytes, max_messages, max_bytes };
	if (over || ((!max_messages || now_messages <= max_messages) && (!max_bytes || now_bytes <= max_bytes)))
		return 0;
	quota_give(a, messages, bytes);
	return pb_fail(err, PB_EQUOTA, "mailbox is over its quota");
}

void quota_give(struct account *a, uint64_t messages, uint64_t bytes)
{
	atomic_fetch_sub(&a->messages, messages);
	atomic_fetch_sub(&a->bytes, bytes);
}
