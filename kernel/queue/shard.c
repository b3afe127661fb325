/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shards: how many items stand in which lane, kept in the header of each and changed by the batch that changes the rows. */
#include <stdio.h>
#include <stdlib.h>
#include "kernel/queue/private.h"

enum { HEADER_VERSION = 1 };

enum count count_of(enum state state, int64_t due, const char *id)
{
	if (state == STATE_HELD)
		return COUNT_HELD;
	if (state == STATE_DEAD)
		return COUNT_DEAD;
	return due == queue_id_time(pb_strz(id)) ? COUNT_FRESH : COUNT_DEFERRED;
}

void shard_count(struct shard *s, const struct lane_count *delta, size_t n, int sign)
{
	for (size_t i = 0; i < n; i++) {
		size_t at = delta[i].lane->index;

		if (at >= s->ncounts) {
			s->counts = pb_realloc(s->counts, (at + 1) * sizeof *s->counts);
			memset(s->counts + s->ncounts, 0, (at + 1 - s->ncounts) * sizeof *s->counts);
			s->ncounts = at + 1;
		}
		s->counts[at].lane = delta[i].lane;
		for (int c = 0; c < COUNTS; c++)
			s->counts[at].n[c] += sign * delta[i].n[c];
	}
}

static void put64(struct pb_buf *out, int64_t n)
{
	pb_buf_add(out, &n, sizeof n);
}

/* Fixed widths: from batch to batch few bytes of it change, and the engine's log holds only those. */
void shard_header(struct shard *s)
{
	pb_buf_reset(&s->header);
	pb_buf_addc(&s->header, HEADER_VERSION);
	for (size_t i = 0; i < s->ncounts; i++) {
		const struct lane_count *c = &s->counts[i];

		if (!c->lane)
			continue;
		pb_buf_addc(&s->header, (char)c->lane->len);
		pb_buf_add(&s->header, c->lane->name, c->lane->len);
		for (int k = 0; k < COUNTS; k++)
			put64(&s->header, c->n[k]);
	}
}

int shard_open(struct queue *q, unsigned n, struct pb_error *err)
{
	struct shard *s = &q->shards[n];
	PB_AUTOBUF(header);
	uint64_t version;
	struct pb_str in;

	pthread_mutex_init(&s->lock, NULL);
	snprintf(s->name, sizeof s->name, "q/%u", n);
	if (engine_head(q->kernel->engine, shard_entity(s), &version, &header, err))
		return pb_because(err, "queue shard %s", s->name);
	if (header.len == 0)
		return 0;
	if (header.ptr[0] != HEADER_VERSION)
		return pb_fail(err, PB_ECORRUPT, "queue shard %s has a header of version %d: written by a newer release", s->name, header.ptr[0]);
	for (in = pb_str_skip(pb_buf_str(&header), 1); in.len > 0;) {
		size_t len = (unsigned char)in.ptr[0], whole = 1 + len + COUNTS * sizeof(int64_t);
		struct lane_count c = { .lane = NULL };

		if (len > LANE_MAX || in.len < whole)
			return pb_fail(err, PB_ECORRUPT, "queue shard %s: its header is damaged", s->name);
		memcpy(c.n, in.ptr + 1 + len, sizeof c.n);
		c.lane = lane_get(q, pb_str(in.ptr + 1, len));
		if (!c.lane)
			return pb_fail(err, PB_ECORRUPT, "queue shard %s: its header names no lane", s->name);
		shard_count(s, &c, 1, 1);
		in = pb_str_skip(in, whole);
	}
	return 0;
}

void shard_close(struct shard *s)
{
	free(s->counts);
	pb_buf_free(&s->header);
	pthread_mutex_destroy(&s->lock);
}
