/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Rows: read through a cache that is bounded and told of every change, changed by batches whose guards are what was read.
 * What stands in a row is its readers' affair.
 */
#include <stdlib.h>
#include "directory.h"

#define SHARDS 16
#define KEY_MAX 512

/* Second chance: a hand goes round the rows in the order they came and spares those that were used since it passed. */
struct shard {
	pthread_mutex_t lock;
	struct row **buckets;
	struct row *newest, *oldest;
	size_t n;
	uint64_t changes;		/* counts invalidations, so that a reader never keeps what was replaced while he read it */
};

struct cache {
	size_t limit, mask;		/* of one shard */
	struct shard shards[SHARDS];
};

struct cache *cache_new(size_t entries)
{
	struct cache *c = pb_alloc(sizeof *c);
	size_t buckets = 16;

	c->limit = entries / SHARDS + 1;
	while (buckets < c->limit)
		buckets *= 2;
	c->mask = buckets - 1;
	for (int i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&c->shards[i].lock, NULL);
		c->shards[i].buckets = pb_alloc(buckets * sizeof(struct row *));
	}
	return c;
}

void row_release(struct row *r)
{
	if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
		return;
	json_decref(r->value);
	free(r);
}

void cache_free(struct cache *c)
{
	if (!c)
		return;
	for (int i = 0; i < SHARDS; i++) {
		for (struct row *r = c->shards[i].oldest, *next; r; r = next) {
			next = r->older;
			row_release(r);
		}
		free(c->shards[i].buckets);
		pthread_mutex_destroy(&c->shards[i].lock);
	}
	free(c);
}

static struct row **find_slot(struct cache *c, struct shard *s, struct pb_str key, uint64_t hash)
{
	struct row **at = &s->buckets[(hash >> 8) & c->mask];

	while (*at && ((*at)->hash != hash || !pb_str_eq(pb_str((*at)->key, (*at)->nkey), key)))
		at = &(*at)->next;
	return at;
}

/* A row that was invalidated stays in the order of eviction, under no bucket, until the hand reaches it: its hash is then 0 and nkey 0. */
static void unlink_row(struct row **at)
{
	struct row *r = *at;

	*at = r->next;
	r->next = NULL;
	r->nkey = 0;
	r->used = false;
}

static void evict(struct cache *c, struct shard *s)
{
	while (s->n > c->limit) {
		struct row *r = s->oldest;

		s->oldest = r->older;
		r->older = NULL;
		if (!s->oldest)
			s->newest = NULL;
		if (r->used && r->nkey) {
			r->used = false;
			if (s->newest)
				s->newest->older = r;
			else
				s->oldest = r;
			s->newest = r;
			continue;
		}
		if (r->nkey)
			unlink_row(find_slot(c, s, pb_str(r->key, r->nkey), r->hash));
		s->n--;
		row_release(r);
	}
}

static struct row *cache_take(struct cache *c, struct pb_str key, uint64_t hash, uint64_t *ret_changes)
{
	struct shard *s = &c->shards[hash % SHARDS];
	struct row *r;

	pthread_mutex_lock(&s->lock);
	r = *find_slot(c, s, key, hash);
	if (r) {
		r->used = true;
		atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
	}
	*ret_changes = s->changes;
	pthread_mutex_unlock(&s->lock);
	return r;
}

static void cache_offer(struct cache *c, struct row *r, uint64_t changes)
{
	struct shard *s = &c->shards[r->hash % SHARDS];
	struct row **at;

	pthread_mutex_lock(&s->lock);
	at = find_slot(c, s, pb_str(r->key, r->nkey), r->hash);
	if (!*at && s->changes == changes) {
		*at = r;
		atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
		if (s->newest)
			s->newest->older = r;
		else
			s->oldest = r;
		s->newest = r;
		s->n++;
		evict(c, s);
	}
	pthread_mutex_unlock(&s->lock);
}

static void cache_forget(struct cache *c, struct pb_str key)
{
	uint64_t hash = pb_str_hash(key);
	struct shard *s = &c->shards[hash % SHARDS];
	struct row **at;

	pthread_mutex_lock(&s->lock);
	s->changes++;
	at = find_slot(c, s, key, hash);
	if (*at)
		unlink_row(at);
	pthread_mutex_unlock(&s->lock);
}

static int parse_value(struct pb_str key, struct pb_str bytes, json_t **ret, struct pb_error *err)
{
	json_error_t where;
	json_t *value = json_loadb(bytes.ptr, bytes.len, 0, &where);

	if (!json_is_object(value)) {
		json_decref(value);
		return pb_fail(err, PB_ECORRUPT, "the directory's row '%.*s' cannot be read: %s", PB_FMT(key), where.text);
	}
	*ret = value;
	return 0;
}

static bool make_key(char room[static KEY_MAX], char kind, struct pb_str a, struct pb_str b, struct pb_str *ret)
{
	*ret = pb_str(room, 2 + a.len + (b.ptr ? 1 + b.len : 0));
	if (a.len > KEY_MAX || b.len > KEY_MAX || ret->len > KEY_MAX)
		return false;
	room[0] = kind;
	room[1] = '/';
	memcpy(room + 2, a.ptr, a.len);
	if (b.ptr) {
		room[2 + a.len] = '/';
		memcpy(room + 3 + a.len, b.ptr, b.len);
	}
	return true;
}

static struct row *row_new(struct pb_str key, uint64_t hash, json_t *value)
{
	struct row *r = pb_alloc(sizeof *r + key.len);

	atomic_init(&r->refs, 1);
	r->value = value;
	r->hash = hash;
	r->nkey = (uint16_t)key.len;
	memcpy(r->key, key.ptr, key.len);
	return r;
}

int row_read(struct directory *d, char kind, struct pb_str a, struct pb_str b, struct row **ret, struct pb_error *err)
{
	char room[KEY_MAX];
	struct pb_str key;
	PB_AUTOBUF(bytes);
	json_t *value = NULL;
	uint64_t hash, changes;
	struct row *r;
	int rc;

	if (!make_key(room, kind, a, b, &key))
		return pb_fail(err, PB_EINVALID, "the name is too long");
	hash = pb_str_hash(key);
	r = cache_take(d->cache, key, hash, &changes);
	if (!r) {
		rc = pb_table_get(d->table, key, &bytes, err);
		if (!rc)
			rc = parse_value(key, pb_buf_str(&bytes), &value, err);
		if (rc && rc != PB_ENOTFOUND)
			return rc;
		r = row_new(key, hash, value);
		cache_offer(d->cache, r, changes);
	}
	*ret = r;
	return 0;
}

/* ---- answers: rows of kinds that no table has ---- */

json_t *answer_take(struct directory *d, char kind, struct pb_str name, unsigned long long *ret_made)
{
	char room[KEY_MAX];
	struct pb_str key;
	json_t *answer = NULL;
	uint64_t changes;
	struct row *r;

	*ret_made = atomic_load(&d->changes);
	if (!make_key(room, kind, name, PB_NOSTR, &key))
		return NULL;
	r = cache_take(d->cache, key, pb_str_hash(key), &changes);
	if (r && r->made == *ret_made)
		answer = json_incref(r->value);
	row_release(r);
	return answer;
}

void answer_offer(struct directory *d, char kind, struct pb_str name, unsigned long long made, json_t *answer)
{
	char room[KEY_MAX];
	struct pb_str key;
	uint64_t hash, changes;
	struct row *r;

	if (made != atomic_load(&d->changes) || !make_key(room, kind, name, PB_NOSTR, &key))
		return;
	hash = pb_str_hash(key);
	cache_forget(d->cache, key);
	row_release(cache_take(d->cache, key, hash, &changes));
	r = row_new(key, hash, json_incref(answer));
	r->made = made;
	cache_offer(d->cache, r, changes);
	row_release(r);
}

/* ---- transactions ---- */

struct pb_str tx_key(struct tx *tx, const char *kind, struct pb_str a, struct pb_str b, struct pb_str c)
{
	PB_AUTOBUF(key);

	pb_buf_addz(&key, kind);
	pb_buf_addc(&key, '/');
	pb_buf_addstr(&key, a);
	if (b.ptr) {
		pb_buf_addc(&key, '/');
		pb_buf_addstr(&key, b);
	}
	if (c.ptr) {
		pb_buf_addc(&key, '/');
		pb_buf_addstr(&key, c);
	}
	return pb_arena_str(tx->arena, pb_buf_str(&key));
}

static struct tx_row *tx_find(struct tx *tx, struct pb_str key)
{
	for (size_t i = 0; i < tx->n; i++)
		if (pb_str_eq(tx->rows[i].key, key))
			return &tx->rows[i];
	return NULL;
}

static struct tx_row *tx_add(struct tx *tx, struct pb_str key)
{
	if (tx->n == tx->cap) {
		tx->cap = tx->cap ? 2 * tx->cap : 16;
		tx->rows = pb_realloc(tx->rows, tx->cap * sizeof *tx->rows);
	}
	tx->rows[tx->n] = (struct tx_row){ .key = pb_arena_str(tx->arena, key) };
	return &tx->rows[tx->n++];
}

int tx_get(struct tx *tx, struct pb_str key, json_t **ret, struct pb_error *err)
{
	struct tx_row *row = tx_find(tx, key);
	PB_AUTOBUF(bytes);
	json_t *value = NULL;
	int rc;

	if (!row) {
		if (key.len > KEY_MAX)
			return pb_fail(err, PB_EINVALID, "the name is too long");
		rc = pb_table_get(tx->d->table, key, &bytes, err);
		if (!rc)
			rc = parse_value(key, pb_buf_str(&bytes), &value, err);
		if (rc && rc != PB_ENOTFOUND)
			return rc;
		row = tx_add(tx, key);
		row->value = value;
		if (!rc)
			row->old = pb_arena_str(tx->arena, pb_buf_str(&bytes));
	}
	*ret = row->value;
	return 0;
}

void tx_put(struct tx *tx, struct pb_str key, json_t *value)
{
	struct tx_row *row = tx_find(tx, key);

	if (!row) {
		row = tx_add(tx, key);
		row->blind = true;
	}
	if (row->value != value)
		json_decref(row->value);
	row->value = value;
	row->changed = true;
}

void tx_delete(struct tx *tx, struct pb_str key)
{
	tx_put(tx, key, NULL);
}

static int tx_commit(struct tx *tx, struct pb_error *err)
{
	struct pb_change *changes = pb_arena_alloc(tx->arena, (2 * tx->n + 1) * sizeof *changes);
	size_t n = 0;
	bool writes = false;
	int rc;

	for (size_t i = 0; i < tx->n; i++)
		if (!tx->rows[i].blind)
			changes[n++] = (struct pb_change){ tx->rows[i].old.ptr ? PB_EQUAL : PB_ABSENT, tx->rows[i].key, tx->rows[i].old };
	for (size_t i = 0; i < tx->n; i++) {
		struct tx_row *row = &tx->rows[i];
		char *dump;

		if (!row->changed)
			continue;
		writes = true;
		if (!row->value) {
			changes[n++] = (struct pb_change){ PB_DELETE, row->key, PB_NOSTR };
			continue;
		}
		dump = json_dumps(row->value, JSON_COMPACT);
		if (!dump || strlen(dump) > 1000000) {
			free(dump);
			return pb_fail(err, PB_ETOOBIG, "what would be kept as '%.*s' is larger than a megabyte", PB_FMT(row->key));
		}
		changes[n++] = (struct pb_change){ PB_PUT, row->key, pb_arena_str(tx->arena, pb_strz(dump)) };
		free(dump);
	}
	if (!writes)
		return 0;
	rc = pb_table_apply(tx->d->table, changes, n, err);
	/* After an error that leaves open what was written, what is in memory may be wrong as well. */
	if (rc == PB_ECONFLICT)
		return rc;
	for (size_t i = 0; i < tx->n; i++)
		if (tx->rows[i].changed)
			cache_forget(tx->d->cache, tx->rows[i].key);
	atomic_fetch_add(&tx->d->changes, 1);
	return rc;
}

static void tx_clear(struct tx *tx)
{
	for (size_t i = 0; i < tx->n; i++)
		json_decref(tx->rows[i].value);
	free(tx->rows);
	pb_arena_free(tx->arena);
}

int command_run(struct command *c, int (*step)(struct command *c, struct tx *tx, struct pb_error *err), struct pb_error *err)
{
	int rc = PB_ECONFLICT;

	for (int i = 0; i < 16 && rc == PB_ECONFLICT; i++) {
		struct tx tx = { .d = c->d, .arena = pb_arena_new() };

		json_decref(c->result);
		c->result = NULL;
		rc = step(c, &tx, err);
		if (!rc && !tx.dry)
			rc = tx_commit(&tx, err);
		tx_clear(&tx);
	}
	if (rc) {
		json_decref(c->result);
		c->result = NULL;
	}
	return rc == PB_ECONFLICT ? pb_fail(err, PB_EBUSY, "others are changing the same thing; try again") : rc;
}
