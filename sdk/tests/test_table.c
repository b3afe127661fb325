/* SPDX-License-Identifier: Apache-2.0 */
/* What libpostbus makes of the operations of a table, on a host that has nothing but one small table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "sdk/src/host_ops.h"

enum { ROWS = 2500, KEY = 8 };

struct pb_table {
	struct pb_handle handle;
	char keys[ROWS][KEY];		/* ascending */
	size_t n, scans, batches;
	size_t bad_scan, bad_batch;	/* the one that fails, from 1; 0: none */
	const char *comes;		/* a row that somebody writes behind the first batch */
};

static void put(struct pb_table *t, const char *key)
{
	size_t at = 0;

	while (at < t->n && strcmp(t->keys[at], key) < 0)
		at++;
	memmove(t->keys[at + 1], t->keys[at], (t->n++ - at) * KEY);
	snprintf(t->keys[at], KEY, "%s", key);
}

static int scan(struct pb_table *t, struct pb_str from, struct pb_str to, size_t limit, bool (*visit)(void *arg, struct pb_str key, struct pb_str value), void *arg,
		struct pb_error *err)
{
	limit = limit && limit < 1000 ? limit : 1000;
	if (++t->scans == t->bad_scan)
		return pb_fail(err, PB_EUNAVAILABLE, "no table");
	for (size_t i = 0; i < t->n && limit; i++) {
		struct pb_str key = pb_strz(t->keys[i]);

		if (pb_str_cmp(key, from) < 0 || (to.len && pb_str_cmp(key, to) >= 0))
			continue;
		limit--;
		if (!visit(arg, key, PB_STR("value")))
			break;
	}
	return 0;
}

static int apply(struct pb_table *t, const struct pb_change *changes, size_t n, struct pb_error *err)
{
	if (++t->batches == t->bad_batch)
		return pb_fail(err, PB_EFULL, "no room");
	assert_true(n > 0 && n <= 10000);
	for (size_t i = 0; i < n; i++) {
		size_t at = 0;

		assert_int_equal(changes[i].kind, PB_DELETE);
		while (at < t->n && !pb_str_eq(changes[i].key, pb_strz(t->keys[at])))
			at++;
		assert_true(at < t->n);
		memmove(t->keys[at], t->keys[at + 1], (--t->n - at) * KEY);
	}
	if (t->comes && t->batches == 1)
		put(t, t->comes);
	return 0;
}

static const struct pb_host_ops ops = { .table_scan = scan, .table_apply = apply };

/* a/0000 and so on, with a row before and one behind them. */
static struct pb_table *table_with(size_t n)
{
	struct pb_table *t = pb_alloc(sizeof *t);
	char key[KEY + 16];

	t->handle.ops = &ops;
	put(t, "a");
	for (size_t i = 0; i < n; i++) {
		snprintf(key, sizeof key, "a/%04u", (unsigned)i % 10000);
		put(t, key);
	}
	put(t, "a0");
	return t;
}

static void a_range_is_cleared(void **state)
{
	static const struct {
		const char *name;
		size_t rows, bad_scan, bad_batch;
		const char *comes;
		int want;
		size_t want_left, want_batches;
	} cases[] = {
		{ "none", 0, 0, 0, NULL, 0, 0, 0 },
		{ "one", 1, 0, 0, NULL, 0, 0, 1 },
		{ "exactly a page", 1000, 0, 0, NULL, 0, 0, 1 },
		{ "a page and one", 1001, 0, 0, NULL, 0, 0, 2 },
		{ "more than two pages", 2100, 0, 0, NULL, 0, 0, 3 },
		{ "a row that comes before those that are left", 1500, 0, 0, "a/!", 0, 0, 2 },
		{ "a row that comes when all seemed done", 5, 0, 0, "a/!", 0, 0, 2 },
		{ "a row that comes beside the range", 5, 0, 0, "a1", 0, 0, 1 },
		{ "nothing can be read", 5, 1, 0, NULL, PB_EUNAVAILABLE, 5, 0 },
		{ "nothing more can be read", 1500, 2, 0, NULL, PB_EUNAVAILABLE, 500, 1 },
		{ "nothing can be written", 5, 0, 1, NULL, PB_EFULL, 5, 1 },
		{ "nothing more can be written", 1500, 0, 2, NULL, PB_EFULL, 500, 2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pb_table *t = table_with(cases[i].rows);
		struct pb_error err = { 0 };
		size_t beside = 2 + (cases[i].comes && !strcmp(cases[i].comes, "a1"));
		int rc;

		t->bad_scan = cases[i].bad_scan;
		t->bad_batch = cases[i].bad_batch;
		t->comes = cases[i].comes;
		rc = pb_table_clear(t, PB_STR("a/"), PB_STR("a0"), &err);
		if (rc != cases[i].want || err.code != cases[i].want || t->n != cases[i].want_left + beside || t->batches != cases[i].want_batches)
			fail_msg("%s: %d, %zu rows left, %zu batches", cases[i].name, rc, t->n, t->batches);
		assert_string_equal(t->keys[0], "a");
		free(t);
	}
}

static void without_bounds_all_is_cleared(void **state)
{
	struct pb_table *t = table_with(1200);
	struct pb_error err;

	(void)state;
	assert_int_equal(pb_table_clear(t, PB_STR("a0"), PB_NOSTR, &err), 0);
	assert_int_equal(t->n, 1201);
	assert_int_equal(pb_table_clear(t, PB_NOSTR, PB_STR("a/"), &err), 0);
	assert_int_equal(t->n, 1200);
	assert_int_equal(pb_table_clear(t, PB_NOSTR, PB_NOSTR, &err), 0);
	assert_int_equal(t->n, 0);
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_range_is_cleared),
		cmocka_unit_test(without_bounds_all_is_cleared),
	};

	return cmocka_run_group_tests_name("tables", tests, NULL, NULL);
}
