/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The skip list behind the memory engine. Locks and meaning are its owner's.
 */
#include "kernel/store/sorted.h"

#include <stdlib.h>

/* Fills before[] with the last node below key at each level (NULL: the list's head). */
static struct sorted_node *descend(const struct sorted *s, struct pb_str key, struct sorted_node **before)
{
	struct sorted_node *at = NULL;

	for (int level = SORTED_LEVELS - 1; level >= 0; level--) {
		struct sorted_node *next = at ? at->next[level] : s->head[level];

		while (next && pb_str_cmp(next->key, key) < 0) {
			at = next;
			next = at->next[level];
		}
		if (before)
			before[level] = at;
	}
	return at;
}

struct sorted_node *sorted_at(const struct sorted *s, struct pb_str key)
{
	struct sorted_node *below = descend(s, key, NULL);

	return below ? below->next[0] : s->head[0];
}

struct sorted_node *sorted_find(const struct sorted *s, struct pb_str key)
{
	struct sorted_node *n = sorted_at(s, key);

	return n && pb_str_eq(n->key, key) ? n : NULL;
}

static struct pb_str copy(struct pb_str s)
{
	return pb_str(pb_str_dup(s), s.len);
}

static int height(struct sorted *s)
{
	int h = 1;

	/* A fixed sequence is enough: rows come from our own code, and a bad order only costs time. */
	s->seed = s->seed * 1664525u + 1013904223u;
	for (uint32_t bits = s->seed >> 8; h < SORTED_LEVELS && (bits & 3) == 0; bits >>= 2)
		h++;
	return h;
}

struct sorted_node *sorted_put(struct sorted *s, struct pb_str key, struct pb_str value)
{
	struct sorted_node *before[SORTED_LEVELS];
	struct sorted_node *below = descend(s, key, before);
	struct sorted_node *n = below ? below->next[0] : s->head[0];

	if (n && pb_str_eq(n->key, key)) {
		struct pb_str fresh = copy(value);

		free((void *)n->value.ptr);
		n->value = fresh;
		return n;
	}
	int h = height(s);
	struct sorted_node *fresh = pb_alloc(sizeof(*fresh) + h * sizeof(fresh->next[0]));

	fresh->key = copy(key);
	fresh->value = copy(value);
	fresh->height = h;
	for (int level = 0; level < h; level++) {
		struct sorted_node **link = before[level] ? &before[level]->next[level] : &s->head[level];

		fresh->next[level] = *link;
		*link = fresh;
	}
	s->n++;
	return fresh;
}

static void node_free(struct sorted_node *n)
{
	free((void *)n->key.ptr);
	free((void *)n->value.ptr);
	free(n);
}

bool sorted_remove(struct sorted *s, struct pb_str key)
{
	struct sorted_node *before[SORTED_LEVELS];
	struct sorted_node *below = descend(s, key, before);
	struct sorted_node *n = below ? below->next[0] : s->head[0];

	if (!n || !pb_str_eq(n->key, key))
		return false;
	for (int level = 0; level < n->height; level++)
		*(before[level] ? &before[level]->next[level] : &s->head[level]) = n->next[level];
	s->n--;
	node_free(n);
	return true;
}

void sorted_clear(struct sorted *s)
{
	for (struct sorted_node *n = s->head[0], *next; n; n = next) {
		next = n->next[0];
		node_free(n);
	}
	*s = (struct sorted) { .seed = s->seed };
}
