/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lanes in memory: entries that wait, by destination, so that none starves another, and bulk after all else. What does not fit stays in the store. */
#include <stdlib.h>
#include "kernel/queue/private.h"

enum { WINDOW = 8192, DEST_WINDOW = 2048, DEST_LOW = 256, LOW = 1024, BLOBS_MAX = 64 * 1024 * 1024, BULK_TURN = 8 };

/* ---- lanes ---- */

static bool name_is_good(struct pb_str name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!pb_is_alnum(name.ptr[i]) && !strchr("._-", name.ptr[i]))
			return false;
	return name.len > 0 && name.len <= LANE_MAX;
}

bool lane_takes(const struct consumer *c, const struct lane *lane)
{
	for (char **pattern = c->lanes; *pattern; pattern++) {
		size_t len = strlen(*pattern);

		if (**pattern == '*' ? len - 1 <= lane->len && strcmp(lane->name + lane->len - (len - 1), *pattern + 1) == 0
				     : strcmp(lane->name, *pattern) == 0)
			return true;
	}
	return false;
}

/* What stands in the store is looked at from the beginning. */
void lane_bind(struct queue *q, struct lane *lane)
{
	struct consumer *c;

	for (c = q->consumers; c && (c->detached || !lane_takes(c, lane)); c = c->next)
		;
	lane->consumer = c;
	lane->scanned_to = -1;
	lane->next_due = 0;
	lane->dropped_from = INT64_MAX;
	lane->passing = lane->paused = lane->full = lane->hungry = false;
}

struct lane *lane_get(struct queue *q, struct pb_str name)
{
	struct lane *lane;

	for (size_t i = 0; i < q->nlanes; i++)
		if (q->lanes[i]->len == name.len && memcmp(q->lanes[i]->name, name.ptr, name.len) == 0)
			return q->lanes[i];
	if (!name_is_good(name))
		return NULL;
	lane = pb_alloc(sizeof *lane);
	memcpy(lane->name, name.ptr, name.len);
	lane->len = name.len;
	lane->index = q->nlanes;
	lane->buckets = 16;
	lane->dests = pb_alloc(lane->buckets * sizeof *lane->dests);
	q->lanes = pb_realloc(q->lanes, (q->nlanes + 1) * sizeof *q->lanes);
	q->lanes[q->nlanes++] = lane;
	lane_bind(q, lane);
	return lane;
}

/* ---- destinations ---- */

static void dests_grow(struct lane *lane)
{
	size_t buckets = lane->buckets * 4;
	struct dest **table = pb_alloc(buckets * sizeof *table);

	for (size_t i = 0; i < lane->buckets; i++)
		for (struct dest *d = lane->dests[i], *next; d; d = next) {
			next = d->hash_next;
			d->hash_next = table[d->hash & (buckets - 1)];
			table[d->hash & (buckets - 1)] = d;
		}
	free(lane->dests);
	lane->dests = table;
	lane->buckets = buckets;
}

static struct dest *dest_get(struct lane *lane, struct pb_str name)
{
	uint32_t hash = name.len ? (uint32_t)pb_str_hash(name) : 0;
	struct dest *d;

	for (d = lane->dests[hash & (lane->buckets - 1)]; d; d = d->hash_next)
		if (d->hash == hash && strlen(d->name) == name.len && memcmp(d->name, name.ptr, name.len) == 0)
			return d;
	if (lane->ndests >= lane->buckets)
		dests_grow(lane);
	d = pb_alloc(sizeof *d + name.len + 1);
	if (name.len)
		memcpy(d->name, name.ptr, name.len);
	d->hash = hash;
	d->hash_next = lane->dests[hash & (lane->buckets - 1)];
	lane->dests[hash & (lane->buckets - 1)] = d;
	lane->ndests++;
	return d;
}

static bool dest_may_run(const struct lane *lane, const struct dest *d)
{
	return !lane->consumer || !lane->consumer->per_destination || !*d->name || d->running < lane->consumer->per_destination;
}

static void dest_unlink(struct lane *lane, struct dest *d)
{
	struct dest **at = &lane->first_runnable[d->linked_bulk], *before = NULL;

	if (!d->linked)
		return;
	for (; *at != d; at = &(*at)->next_runnable)
		before = *at;
	*at = d->next_runnable;
	if (lane->last_runnable[d->linked_bulk] == d)
		lane->last_runnable[d->linked_bulk] = before;
	d->linked = false;
}

static void dest_link(struct lane *lane, struct dest *d)
{
	bool bulk = !d->last_personal;

	if (d->linked && d->linked_bulk && !bulk)
		dest_unlink(lane, d);
	if (d->linked || !d->head || !dest_may_run(lane, d))
		return;
	d->linked = true;
	d->linked_bulk = bulk;
	d->next_runnable = NULL;
	if (lane->first_runnable[bulk])
		lane->last_runnable[bulk]->next_runnable = d;
	else
		lane->first_runnable[bulk] = d;
	lane->last_runnable[bulk] = d;
}

void lane_limits_changed(struct lane *lane)
{
	for (size_t i = 0; i < lane->buckets; i++)
		for (struct dest *d = lane->dests[i]; d; d = d->hash_next) {
			dest_unlink(lane, d);
			dest_link(lane, d);
		}
}

/* The one without a name stays: it is that of all local mail. */
static void dest_drop(struct lane *lane, struct dest *d)
{
	struct dest **at = &lane->dests[d->hash & (lane->buckets - 1)];

	if (d->count || d->running || !*d->name)
		return;
	dest_unlink(lane, d);
	while (*at != d)
		at = &(*at)->hash_next;
	*at = d->hash_next;
	lane->ndests--;
	free(d);
}

/* ---- entries ---- */

struct entry *lane_entry_new(struct lane *lane, unsigned shard, enum state state, int64_t due, const char *id, uint64_t sub)
{
	struct entry *e = pb_alloc(sizeof *e);

	e->lane = lane;
	e->shard = (uint8_t)shard;
	e->state = state;
	e->due = due;
	e->sub = sub;
	memcpy(e->id, id, strnlen(id, PB_ID_MAX - 1));
	return e;
}

void entry_free(struct queue *q, struct entry *e)
{
	(void)q;
	pb_buf_free(&e->blob);
	free(e);
}

static void table_grow(struct queue *q)
{
	size_t buckets = q->buckets ? q->buckets * 4 : 1024;
	struct entry **table = pb_alloc(buckets * sizeof *table);

	for (size_t i = 0; i < q->buckets; i++)
		for (struct entry *e = q->table[i], *next; e; e = next) {
			next = e->hash_next;
			e->hash_next = table[e->sub & (buckets - 1)];
			table[e->sub & (buckets - 1)] = e;
		}
	free(q->table);
	q->table = table;
	q->buckets = buckets;
}

/* Subs count on from a random number: they are their own hash. */
struct entry *entry_find(struct queue *q, const char *id, uint64_t sub)
{
	struct entry *e = q->buckets ? q->table[sub & (q->buckets - 1)] : NULL;

	while (e && (e->sub != sub || strcmp(e->id, id) != 0))
		e = e->hash_next;
	return e;
}

void entry_add(struct queue *q, struct entry *e)
{
	if (q->nentries >= q->buckets)
		table_grow(q);
	e->hash_next = q->table[e->sub & (q->buckets - 1)];
	q->table[e->sub & (q->buckets - 1)] = e;
	q->nentries++;
}

void entry_remove(struct queue *q, struct entry *e)
{
	struct entry **at = &q->table[e->sub & (q->buckets - 1)];

	while (*at != e)
		at = &(*at)->hash_next;
	*at = e->hash_next;
	q->nentries--;
}

bool entry_is_deferred(const struct entry *e)
{
	return count_of(e->state, e->due, e->id) == COUNT_DEFERRED;
}

static void drop(struct queue *q, struct entry *e)
{
	if (e->due < e->lane->dropped_from)
		e->lane->dropped_from = e->due;
	entry_remove(q, e);
	entry_free(q, e);
}

/* Behind those that came before it; what is not bulk before all that is. */
static void dest_put(struct dest *d, struct entry *e)
{
	struct entry **at = e->bulk ? (d->tail ? &d->tail->next : &d->head) : d->last_personal ? &d->last_personal->next : &d->head;

	e->next = *at;
	*at = e;
	if (!e->next)
		d->tail = e;
	if (!e->bulk)
		d->last_personal = e;
}

void entry_publish(struct queue *q, struct entry *e)
{
	struct lane *lane = e->lane;
	struct dest *d;

	if (!lane->consumer || lane->count >= WINDOW) {
		lane->full = true;
		drop(q, e);
		return;
	}
	d = dest_get(lane, row_destination(pb_buf_str(&e->blob)));
	if (d->count >= DEST_WINDOW && *d->name) {
		d->dropped = true;
		drop(q, e);
		return;
	}
	e->bulk = row_is_bulk(pb_buf_str(&e->blob));
	if (q->blob_bytes + e->blob.len > BLOBS_MAX && !e->under)
		pb_buf_free(&e->blob);
	q->blob_bytes += e->blob.len;
	e->dest = d;
	e->place = READY;
	dest_put(d, e);
	d->count++;
	lane->count++;
	q->ready++;
	if (entry_is_deferred(e))
		lane->deferred_here++;
	dest_link(lane, d);
}

/* Out of the counts of what waits. */
static void taken(struct queue *q, struct entry *e)
{
	struct dest *d = e->dest;

	hop_taken(e);
	if (!d->head)
		d->tail = NULL;
	d->count--;
	e->lane->count--;
	q->ready--;
	q->blob_bytes -= e->blob.len;
	if (d->dropped && d->count < DEST_LOW)
		e->lane->hungry = true;
	if ((e->lane->paused || e->lane->full || e->lane->hungry) && e->lane->count < LOW)
		dispatch_poke(q);
}

struct entry *lane_pick(struct queue *q, struct lane *lane)
{
	/* Each eighth turn is bulk's where both wait, so that it goes on. */
	bool bulk = !lane->first_runnable[0] || (lane->first_runnable[1] && ++lane->picks % BULK_TURN == 0);
	struct dest *d = lane->first_runnable[bulk];
	struct entry *e;

	if (!d)
		return NULL;
	e = d->head;
	d->head = e->next;
	if (d->last_personal == e)
		d->last_personal = NULL;
	e->next = NULL;
	taken(q, e);
	e->place = LEASED;
	d->running++;
	lane->leased += !e->under;	/* a hop is in hand where it comes from */
	dest_unlink(lane, d);
	dest_link(lane, d);		/* at the end: the others first */
	return e;
}

void entry_unlink(struct queue *q, struct entry *e)
{
	struct dest *d = e->dest;
	struct entry **at = &d->head, *before = NULL;

	for (; *at != e; at = &(*at)->next)
		before = *at;
	*at = e->next;
	if (d->tail == e)
		d->tail = before;
	if (d->last_personal == e)
		d->last_personal = before;
	e->next = NULL;
	taken(q, e);
	if (entry_is_deferred(e))
		e->lane->deferred_here--;
	e->dest = NULL;
	if (!d->head)
		dest_unlink(e->lane, d);
	dest_drop(e->lane, d);
}

void entry_finish(struct queue *q, struct entry *e)
{
	if (e->under)
		entry_part(q, e->under);
	entry_part(q, e);
}

void entry_part(struct queue *q, struct entry *e)
{
	struct lane *lane = e->lane;
	struct dest *d = e->dest;

	if (d) {
		d->running--;
		lane->leased -= !e->under;
		if (entry_is_deferred(e))
			lane->deferred_here--;
		dest_link(lane, d);
		dest_drop(lane, d);
	}
	entry_remove(q, e);
	entry_free(q, e);
}

/* One that waits. What a hop came from has to go its way again. */
static void forget(struct queue *q, struct entry *e)
{
	if (e->under) {
		lane_look_again(e->under->lane, e->under->due, 0);
		entry_finish(q, e->under);
	}
	entry_remove(q, e);
	entry_free(q, e);
}

void lane_clear(struct queue *q, struct lane *lane)
{
	lane->epoch++;
	for (size_t i = 0; i < lane->buckets; i++)
		for (struct dest *d = lane->dests[i], *next; d; d = next) {
			next = d->hash_next;
			while (d->head) {
				struct entry *e = d->head;

				d->head = e->next;
				d->last_personal = NULL;
				taken(q, e);
				if (entry_is_deferred(e))
					lane->deferred_here--;
				forget(q, e);
			}
			dest_unlink(lane, d);
			dest_drop(lane, d);
		}
}

void lane_look_again(struct lane *lane, int64_t due, int64_t when)
{
	if (due < lane->dropped_from)
		lane->dropped_from = due;
	if (when < lane->next_due)
		lane->next_due = when;
}

void lane_free(struct lane *lane)
{
	for (size_t i = 0; i < lane->buckets; i++)
		for (struct dest *d = lane->dests[i], *next; d; d = next) {
			next = d->hash_next;
			free(d);
		}
	free(lane->dests);
	free(lane);
}
