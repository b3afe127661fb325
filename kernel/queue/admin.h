/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finding items for administration: by id, or by a walk over all rows with a filter. */
#ifndef KERNEL_QUEUE_ADMIN_H
#define KERNEL_QUEUE_ADMIN_H

#include "kernel/queue/private.h"

/* A row that fits. What points is valid during the visit only. */
struct found {
	struct lane *lane;
	unsigned shard;
	enum state state;
	char id[PB_ID_MAX];
	uint64_t sub;
	int64_t due;
	struct pb_str value;
};

/* Empty: not asked for. */
struct found_filter {
	struct pb_str lane, sender, recipient;
};

/* A string of params; empty where it is not there. */
struct pb_str found_param(const json_t *params, const char *key);
struct found_filter found_filter(const json_t *params);
/* A filter by a lane that is not there is a slip of the pen, not an empty answer: PB_ENOTFOUND. */
int found_lane_check(struct queue *q, struct pb_str name, struct pb_error *err);

/* Each visits rows until visit gives something other than 0, which is given back. visit may change the rows. */
/* All rows of a shard in a state behind the key after, with a filter. */
int found_walk(struct queue *q, unsigned shard, enum state state, struct pb_str after, const struct found_filter *filter,
	       int (*visit)(void *arg, const struct found *f), void *arg, struct pb_error *err);
/* What is queued of a message. */
int found_by_id(struct queue *q, const char *id, int (*visit)(void *arg, const struct found *f), void *arg, struct pb_error *err);
/* What params name: "id", or all of "lane", "sender", "recipient" (at least one of these). */
int found_each(struct queue *q, const json_t *params, int (*visit)(void *arg, const struct found *f), void *arg, struct pb_error *err);

#endif
