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

/* Visit what params name: "id", or all of "lane", "sender", "recipient" (at least one of these). visit may change the rows; an error of its ends the walk. */
int found_each(struct queue *q, const json_t *params, int (*visit)(void *arg, const struct found *f), void *arg, struct pb_error *err);

#endif
