/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the tests of this room share: a DNS of some records, and memory for one test. */
#ifndef MAILAUTH_TESTS_WORLD_H
#define MAILAUTH_TESTS_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "mailauth/auth.h"

struct entry { const char *name, *type, *record; };	/* record NULL: no answer */
struct world { const struct entry *list; size_t n; unsigned asked; };

static int query(void *arg, const char *type, struct pb_str name, struct pb_arena *arena, struct pb_str **ret, size_t *ret_n)
{
	struct world *w = arg;
	bool there = false;

	w->asked++;
	*ret = pb_arena_alloc(arena, (w->n + 1) * sizeof **ret);
	*ret_n = 0;
	for (size_t i = 0; i < w->n; i++) {
		if (!pb_str_ieq(name, pb_strz(w->list[i].name)))
			continue;
		there = true;
		if (strcmp(w->list[i].type, type))
			continue;
		if (!w->list[i].record)
			return PB_EUNAVAILABLE;
		(*ret)[(*ret_n)++] = pb_strz(w->list[i].record);
	}
	return there ? 0 : PB_ENOTFOUND;
}

#define WORLD(list) { (list), sizeof(list) / sizeof *(list), 0 }

static struct pb_arena *arena;

static int begin(void **state)
{
	(void)state;
	arena = pb_arena_new();
	return 0;
}

static int end(void **state)
{
	(void)state;
	pb_arena_free(arena);
	return 0;
}

static inline void reads(struct auth_message *m, struct pb_str text)
{
	assert_int_equal(auth_message_read(arena, PB_NOSTR, text, m, NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

#endif
