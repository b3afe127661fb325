/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * INBOXes that stay open, so that a delivery is one call. Bounded: the one that was not used for longest is closed.
 */
#include <pthread.h>
#include <stdlib.h>
#include "postoffice.h"

#define SHARDS 16
#define BUCKETS 256

struct inbox {
	struct inbox *next;			/* in its bucket */
	struct inbox *older, *newer;		/* in the order of use */
	struct pb_folder *folder;
	uint64_t hash;
	unsigned refs;				/* users, and one of the table's */
	bool listed;
	size_t len;
	char id[];
};

struct shard {
	pthread_mutex_t lock;
	struct inbox *buckets[BUCKETS], *oldest, *newest;
	size_t n;
};

struct inboxes {
	struct pb_host *host;
	size_t limit;				/* of one shard */
	struct shard shards[SHARDS];
};

struct inboxes *inboxes_new(struct pb_host *host, size_t limit)
{
	struct inboxes *all = pb_alloc(sizeof *all);

	all->host = host;
	all->limit = limit / SHARDS + 1;
	for (int i = 0; i < SHARDS; i++)
		pthread_mutex_init(&all->shards[i].lock, NULL);
	return all;
}

static void close_box(struct inbox *box)
{
	pb_folder_close(box->folder);
	free(box);
}

void inboxes_free(struct inboxes *all)
{
	if (!all)
		return;
	for (int i = 0; i < SHARDS; i++) {
		for (struct inbox *box = all->shards[i].oldest, *next; box; box = next) {
			next = box->newer;
			close_box(box);
		}
		pthread_mutex_destroy(&all->shards[i].lock);
	}
	free(all);
}

static struct inbox **find_slot(struct shard *s, uint64_t hash, struct pb_str id)
{
	struct inbox **at = &s->buckets[(hash >> 8) % BUCKETS];

	while (*at && ((*at)->hash != hash || !pb_str_eq(pb_str((*at)->id, (*at)->len), id)))
		at = &(*at)->next;
	return at;
}

static void order_remove(struct shard *s, struct inbox *box)
{
	*(box->older ? &box->older->newer : &s->oldest) = box->newer;
	*(box->newer ? &box->newer->older : &s->newest) = box->older;
}

static void order_add(struct shard *s, struct inbox *box)
{
	box->newer = NULL;
	box->older = s->newest;
	*(s->newest ? &s->newest->newer : &s->oldest) = box;
	s->newest = box;
}

/* Out of the table; gives it when it is to be closed now. */
static struct inbox *unlist(struct shard *s, struct inbox *box)
{
	*find_slot(s, box->hash, pb_str(box->id, box->len)) = box->next;
	order_remove(s, box);
	box->listed = false;
	s->n--;
	return --box->refs ? NULL : box;
}

static int open_box(struct inboxes *all, struct pb_str id, uint64_t hash, struct inbox **ret, struct pb_error *err)
{
	struct pb_mailbox *mb;
	struct pb_folder *folder;
	struct inbox *box;
	int rc = pb_mailbox_open(all->host, id, &mb, err);

	if (rc)
		return rc;
	rc = pb_folder_open(mb, PB_STR("INBOX"), &folder, err);
	pb_mailbox_close(mb);
	if (rc)
		return rc;
	box = pb_alloc(sizeof *box + id.len);
	box->folder = folder;
	box->hash = hash;
	box->len = id.len;
	memcpy(box->id, id.ptr, id.len);
	*ret = box;
	return 0;
}

int inboxes_get(struct inboxes *all, struct pb_str mailbox, struct inbox **ret, struct pb_error *err)
{
	uint64_t hash = pb_str_hash(mailbox);
	struct shard *s = &all->shards[hash % SHARDS];
	struct inbox *box, *fresh = NULL, *evicted = NULL, **slot;
	int rc;

	pthread_mutex_lock(&s->lock);
	box = *find_slot(s, hash, mailbox);
	if (!box) {
		pthread_mutex_unlock(&s->lock);
		rc = open_box(all, mailbox, hash, &fresh, err);
		if (rc)
			return rc;
		pthread_mutex_lock(&s->lock);
		slot = find_slot(s, hash, mailbox);
		box = *slot;
		if (!box) {
			box = fresh;
			fresh = NULL;
			*slot = box;
			box->refs = 1;
			box->listed = true;
			order_add(s, box);
			if (++s->n > all->limit)
				evicted = unlist(s, s->oldest);
		}
	}
	box->refs++;
	if (box->listed && box->newer) {
		order_remove(s, box);
		order_add(s, box);
	}
	pthread_mutex_unlock(&s->lock);
	if (fresh)
		close_box(fresh);
	if (evicted)
		close_box(evicted);
	*ret = box;
	return 0;
}

struct pb_folder *inbox_folder(struct inbox *box)
{
	return box->folder;
}

void inboxes_put(struct inboxes *all, struct inbox *box)
{
	struct shard *s = &all->shards[box->hash % SHARDS];
	bool last;

	pthread_mutex_lock(&s->lock);
	last = --box->refs == 0;
	pthread_mutex_unlock(&s->lock);
	if (last)
		close_box(box);
}

void inboxes_drop(struct inboxes *all, struct inbox *box)
{
	struct shard *s = &all->shards[box->hash % SHARDS];
	bool last = false;

	pthread_mutex_lock(&s->lock);
	if (box->listed)
		unlist(s, box);		/* the caller's reference stays */
	last = --box->refs == 0;
	pthread_mutex_unlock(&s->lock);
	if (last)
		close_box(box);
}
