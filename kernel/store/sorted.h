/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A sorted map in memory, from bytes to bytes or to a pointer: a skip list. What the memory engine keeps its rows in.
 * Not thread-safe; whoever owns it holds a lock.
 */
#ifndef KERNEL_STORE_SORTED_H
#define KERNEL_STORE_SORTED_H

#include <postbus/str.h>

enum { SORTED_LEVELS = 20 };

struct sorted_node {
	struct pb_str key, value;	/* copies owned by the node */
	void *data;			/* the owner's */
	int height;
	struct sorted_node *next[];
};

struct sorted {
	struct sorted_node *head[SORTED_LEVELS];
	size_t n;
	uint32_t seed;
};

/* Zeroed memory is an empty map. */
/* The first node with a key that is at least this; NULL: none. */
struct sorted_node *sorted_at(const struct sorted *s, struct pb_str key);
struct sorted_node *sorted_find(const struct sorted *s, struct pb_str key);
/* Insert or replace the value; gives the node (data kept where it was there). */
struct sorted_node *sorted_put(struct sorted *s, struct pb_str key, struct pb_str value);
/* False: was not there. */
bool sorted_remove(struct sorted *s, struct pb_str key);
void sorted_clear(struct sorted *s);

#endif
