/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Compiled scripts, kept in memory: a bounded cache that every change of an owner's scripts empties of his. That an owner has none is known here too, since
 * most have none and are asked for with every message.
 */
#include <stdio.h>
#include <stdlib.h>
#include "filter.h"

struct programs {
	pthread_mutex_t lock;
	size_t limit, n, mask;
	struct compiled **buckets, *newest, *oldest;
	uint64_t changes;			/* so that a reader never keeps what was replaced while he read it */
};

struct programs *programs_new(size_t limit)
{
	struct programs *all = pb_alloc(sizeof *all);
	size_t buckets = 16;

	while (buckets < limit)
		buckets *= 2;
	all->limit = limit;
	all->mask = buckets - 1;
	all->buckets = pb_alloc(buckets * sizeof(struct compiled *));
	pthread_mutex_init(&all->lock, NULL);
	return all;
}

void compiled_release(struct compiled *c)
{
	if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	for (size_t i = 0; i < c->n; i++)
		sieve_program_free(c->list[i]);
	free(c);
}

void programs_free(struct programs *all)
{
	if (!all)
		return;
	for (struct compiled *c = all->oldest, *next; c; c = next) {
		next = c->older;
		compiled_release(c);
	}
	pthread_mutex_destroy(&all->lock);
	free(all->buckets);
	free(all);
}

/* ---- the cache, under its lock; "older" leads from the oldest to the newest ---- */

static struct compiled **find(struct programs *all, struct pb_str key, uint64_t hash)
{
	struct compiled **at = &all->buckets[hash & all->mask];

	while (*at && ((*at)->hash != hash || !pb_str_eq(pb_str((*at)->key, (*at)->key_len), key)))
		at = &(*at)->next;
	return at;
}

static void unlink_one(struct programs *all, struct compiled *c)
{
	struct compiled **at = find(all, pb_str(c->key, c->key_len), c->hash);

	*at = c->next;
	all->n--;
	compiled_release(c);
}

/* Second chance: what was used since the hand passed is spared. */
static void evict(struct programs *all)
{
	while (all->n > all->limit) {
		struct compiled *c = all->oldest;

		all->oldest = c->older;
		if (!all->oldest)
			all->newest = NULL;
		if (!c->used) {
			unlink_one(all, c);
			continue;
		}
		c->used = false;
		c->older = NULL;
		*(all->newest ? &all->newest->older : &all->oldest) = c;
		all->newest = c;
	}
}

static void keep(struct programs *all, struct compiled *c)
{
	struct compiled **at = find(all, pb_str(c->key, c->key_len), c->hash);

	if (*at)
		return;		/* somebody else was first */
	*at = c;
	*(all->newest ? &all->newest->older : &all->oldest) = c;
	all->newest = c;
	all->n++;
	atomic_fetch_add(&c->refs, 1);
	evict(all);
}

static bool belongs_to(const struct compiled *c, struct pb_str owner)
{
	return pb_str_starts(pb_str(c->key, c->key_len), owner) && (c->key_len == owner.len || c->key[owner.len] == '\0');
}

void programs_forget(struct filter *f, struct pb_str owner)
{
	struct programs *all = f->programs;
	struct compiled **end = &all->oldest, *last = NULL;

	pthread_mutex_lock(&all->lock);
	all->changes++;
	for (struct compiled *c; (c = *end) != NULL;) {
		if (belongs_to(c, owner)) {
			*end = c->older;
			unlink_one(all, c);
		} else {
			last = c;
			end = &c->older;
		}
	}
	all->newest = last;
	pthread_mutex_unlock(&all->lock);
}

/* ---- making one ---- */

static struct compiled *compiled_new(struct pb_str key)
{
	struct compiled *c = pb_alloc(sizeof *c + key.len);

	atomic_init(&c->refs, 1);
	c->hash = pb_str_hash(key);
	c->key_len = key.len;
	memcpy(c->key, key.ptr, key.len);
	return c;
}

static void add_program(struct filter *f, struct compiled *c, struct pb_str owner, const char *what, struct pb_str text)
{
	struct pb_error wrong = { 0 };

	if (script_compile(f, owner, text, &c->list[c->n], &wrong) == 0) {
		c->n++;
		return;
	}
	c->broken = true;
	snprintf(c->fault, sizeof c->fault, "%s: %s", what, wrong.text);
}

static int add_rules(struct filter *f, struct compiled *c, struct pb_str owner, struct pb_error *err)
{
	PB_AUTOBUF(key);
	PB_AUTOBUF(row);
	PB_AUTOBUF(text);
	int rc;

	owner_row(&key, owner, 'r', PB_NOSTR);
	rc = pb_table_get(f->scripts, pb_buf_str(&key), &row, err);
	if (!rc)
		rc = rules_script(pb_buf_str(&row), &text, err);
	if (!rc && text.len)
		add_program(f, c, owner, "the rules", pb_buf_str(&text));
	c->rules = c->n > 0;
	return rc == PB_ENOTFOUND ? 0 : rc;
}

static int add_active(struct filter *f, struct compiled *c, struct pb_str owner, struct pb_error *err)
{
	PB_AUTOBUF(key);
	PB_AUTOBUF(name);
	PB_AUTOBUF(text);
	char what[100];
	int rc;

	owner_row(&key, owner, 'a', PB_NOSTR);
	rc = pb_table_get(f->scripts, pb_buf_str(&key), &name, err);
	if (!rc) {
		owner_row(&key, owner, 's', pb_buf_str(&name));
		rc = pb_table_get(f->scripts, pb_buf_str(&key), &text, err);
	}
	if (!rc) {
		snprintf(what, sizeof what, "the script '%.*s'", PB_FMT(pb_str_head(pb_buf_str(&name), 80)));
		add_program(f, c, owner, what, pb_buf_str(&text));
	}
	return rc == PB_ENOTFOUND ? 0 : rc;
}

static int make_all(struct filter *f, struct compiled *c, struct pb_error *err)
{
	struct pb_str owner = pb_str(c->key, c->key_len);
	int rc = add_rules(f, c, owner, err);

	return rc ? rc : add_active(f, c, owner, err);
}

static int make_named(struct filter *f, struct compiled *c, struct pb_error *err)
{
	size_t owner_len = strlen(c->key);
	struct pb_str owner = pb_str(c->key, owner_len), name = pb_str(c->key + owner_len + 1, c->key_len - owner_len - 1);
	PB_AUTOBUF(key);
	PB_AUTOBUF(text);
	int rc;

	owner_row(&key, owner, 's', name);
	rc = pb_table_get(f->scripts, pb_buf_str(&key), &text, err);
	if (!rc)
		add_program(f, c, owner, "an included script", pb_buf_str(&text));
	return rc == PB_ENOTFOUND ? 0 : rc;
}

static int get(struct filter *f, struct pb_str key, int (*make)(struct filter *f, struct compiled *c, struct pb_error *err), struct compiled **ret, struct pb_error *err)
{
	struct programs *all = f->programs;
	uint64_t hash = pb_str_hash(key), changes;
	struct compiled *c;
	int rc;

	pthread_mutex_lock(&all->lock);
	c = *find(all, key, hash);
	changes = all->changes;
	if (c) {
		c->used = true;
		atomic_fetch_add(&c->refs, 1);
	}
	pthread_mutex_unlock(&all->lock);
	if (c) {
		*ret = c;
		return 0;
	}
	c = compiled_new(key);
	rc = make(f, c, err);
	if (rc) {
		compiled_release(c);
		return rc;
	}
	pthread_mutex_lock(&all->lock);
	if (changes == all->changes)
		keep(all, c);
	pthread_mutex_unlock(&all->lock);
	*ret = c;
	return 0;
}

int programs_get(struct filter *f, struct pb_str owner, struct compiled **ret, struct pb_error *err)
{
	return get(f, owner, make_all, ret, err);
}

int programs_named(struct filter *f, struct pb_str owner, struct pb_str name, struct compiled **ret, struct pb_error *err)
{
	PB_AUTOBUF(key);

	pb_buf_addstr(&key, owner);
	pb_buf_addc(&key, '\0');
	pb_buf_addstr(&key, name);
	return get(f, pb_buf_str(&key), make_named, ret, err);
}
