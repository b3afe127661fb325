/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The conformance suite: every rule of engine.h that can be seen from outside, run against each engine. Crashes are test_engine_crash's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernel/store/tests/scratch.h"

static bool memory;
static bool deadlocks;
static struct scratch scratch;
static struct engine *engine;
static struct pb_error error;

#define OK(call) do { int r_ = (call); if (r_) fail_msg("%s: %s: %s", #call, pb_code_name(r_), error.text); } while (0)

static void open_engine(void)
{
	struct engine_options o = { .dir = scratch.dir, .segment_bytes = 256 << 10, .log_bytes = 1 << 20, .cache_bytes = 4 << 20, .deadlock_first = deadlocks };

	OK((memory ? engine_memory_open : engine_bdb_open)(&o, &engine, &error));
}

static int setup(void **state)
{
	(void)state;
	scratch_make(&scratch);
	open_engine();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	engine_close(engine);
	scratch_remove(&scratch);
	return 0;
}

static int put(const char *entity, const char *key, const char *value)
{
	struct engine_row row = { pb_strz(key), pb_strz(value) };
	struct engine_batch b = { .entity = pb_strz(entity), .expect = ENGINE_ANY, .put = &row, .nput = 1 };
	engine_ticket ticket;
	int r = engine_apply(engine, &b, NULL, &ticket, &error);

	return r ? r : engine_wait(engine, ticket, &error);
}

static void row_is(const char *entity, const char *key, const char *want)
{
	PB_AUTOBUF(value);
	int r = engine_get(engine, pb_strz(entity), pb_strz(key), &value, &error);

	if (!want) {
		assert_int_equal(r, PB_ENOTFOUND);
		return;
	}
	OK(r);
	assert_string_equal(pb_buf_z(&value), want);
}

static void a_batch_is_seen_at_once_and_counts_the_version(void **state)
{
	(void)state;
	uint64_t version = 7;
	engine_ticket first, second;
	struct pb_str header = PB_STR("head one");
	struct engine_row rows[] = { { PB_STR("a"), PB_STR("1") }, { PB_STR("b"), PB_STR("") } };
	struct engine_batch b = { .entity = PB_STR("folder"), .expect = 0, .header = &header, .put = rows, .nput = 2 };
	PB_AUTOBUF(got);

	OK(engine_head(engine, PB_STR("folder"), &version, &got, &error));
	assert_int_equal(version, 0);
	OK(engine_apply(engine, &b, &version, &first, &error));
	assert_int_equal(version, 1);
	row_is("folder", "a", "1");
	row_is("folder", "b", "");
	row_is("folder", "c", NULL);
	row_is("other", "a", NULL);
	b = (struct engine_batch) { .entity = PB_STR("folder"), .expect = 1 };
	OK(engine_apply(engine, &b, &version, &second, &error));
	assert_int_equal(version, 2);
	assert_true(second > first);
	OK(engine_head(engine, PB_STR("folder"), &version, &got, &error));
	assert_int_equal(version, 2);
	assert_string_equal(pb_buf_z(&got), "head one");
	OK(engine_wait(engine, second, &error));
	assert_true(engine_durable(engine) >= second);
}

static void a_guard_that_does_not_hold_writes_nothing(void **state)
{
	(void)state;
	OK(put("e", "a", "1"));
	struct engine_row row = { PB_STR("x"), PB_STR("new") }, equal = { PB_STR("a"), PB_STR("2") };
	struct pb_str there = PB_STR("a"), header = PB_STR("h"), missing = PB_STR("nope");
	struct engine_batch version = { .entity = PB_STR("e"), .expect = 5, .put = &row, .nput = 1, .header = &header };
	struct engine_batch absent = { .entity = PB_STR("e"), .expect = ENGINE_ANY, .absent = &there, .nabsent = 1, .put = &row, .nput = 1, .header = &header };
	struct engine_batch unequal = { .entity = PB_STR("e"), .expect = ENGINE_ANY, .equal = &equal, .nequal = 1, .put = &row, .nput = 1, .header = &header };
	struct engine_batch none = { .entity = PB_STR("e"), .expect = 0, .put = &row, .nput = 1 };
	struct engine_batch *all[] = { &version, &absent, &unequal, &none };
	PB_AUTOBUF(got);
	uint64_t v;

	for (size_t i = 0; i < 4; i++)
		assert_int_equal(engine_apply(engine, all[i], &v, NULL, &error), PB_ECONFLICT);
	equal.key = missing;
	assert_int_equal(engine_apply(engine, &unequal, &v, NULL, NULL), PB_ECONFLICT);
	row_is("e", "x", NULL);
	OK(engine_head(engine, PB_STR("e"), &v, &got, &error));
	assert_int_equal(v, 1);
	assert_int_equal(got.len, 0);
	equal = (struct engine_row) { PB_STR("a"), PB_STR("1") };
	unequal.absent = &missing;
	unequal.nabsent = 1;
	unequal.expect = 1;
	OK(engine_apply(engine, &unequal, &v, NULL, &error));
	row_is("e", "x", "new");
}

static void a_row_that_must_not_be_there_may_be_put_by_the_same_batch(void **state)
{
	(void)state;
	OK(put("e", "there", "1"));
	struct engine_row rows[] = { { PB_STR("before"), PB_STR("2") }, { PB_STR("there"), PB_STR("2") }, { PB_STR("behind"), PB_STR("2") } };
	struct engine_batch b = { .entity = PB_STR("e"), .expect = ENGINE_ANY, .absent = &rows[1].key, .nabsent = 1, .put = rows, .nput = 3 };
	uint64_t version;

	assert_int_equal(engine_apply(engine, &b, &version, NULL, &error), PB_ECONFLICT);
	row_is("e", "before", NULL);
	row_is("e", "there", "1");
	b.remove = &rows[1].key;	/* the guard is about what was before */
	b.nremove = 1;
	assert_int_equal(engine_apply(engine, &b, &version, NULL, &error), PB_ECONFLICT);
	row_is("e", "there", "1");
	b.absent = &rows[0].key;
	OK(engine_apply(engine, &b, &version, NULL, &error));
	assert_int_equal(version, 2);
	row_is("e", "before", "2");
	row_is("e", "there", "2");
	assert_int_equal(engine_apply(engine, &b, &version, NULL, &error), PB_ECONFLICT);
}

static void removals_come_before_puts(void **state)
{
	(void)state;
	OK(put("e", "a", "old"));
	OK(put("e", "b", "old"));
	struct engine_row row = { PB_STR("a"), PB_STR("new") };
	struct pb_str gone[] = { PB_STR("a"), PB_STR("b"), PB_STR("never") };
	struct engine_batch b = { .entity = PB_STR("e"), .expect = 2, .put = &row, .nput = 1, .remove = gone, .nremove = 3 };

	OK(engine_apply(engine, &b, NULL, NULL, &error));
	row_is("e", "a", "new");
	row_is("e", "b", NULL);
}

static void limits_are_told(void **state)
{
	(void)state;
	char *big = calloc(1, 2 << 20);
	struct engine_row row = { pb_str(big, 1025), PB_STR("") };
	struct engine_batch b = { .entity = PB_STR("e"), .expect = ENGINE_ANY, .put = &row, .nput = 1 };

	assert_int_equal(engine_apply(engine, &b, NULL, NULL, &error), PB_ETOOBIG);
	row = (struct engine_row) { PB_STR("k"), pb_str(big, (1 << 20) + 1) };
	assert_int_equal(engine_apply(engine, &b, NULL, NULL, &error), PB_ETOOBIG);
	row = (struct engine_row) { pb_str(big, 1024), pb_str(big, 1 << 20) };
	OK(engine_apply(engine, &b, NULL, NULL, &error));
	PB_AUTOBUF(value);
	OK(engine_get(engine, PB_STR("e"), row.key, &value, &error));
	assert_int_equal(value.len, 1 << 20);
	b.entity = PB_NOSTR;
	assert_int_equal(engine_apply(engine, &b, NULL, NULL, &error), PB_EINVALID);
	b.entity = pb_str(big, 65);
	assert_int_equal(engine_apply(engine, &b, NULL, NULL, &error), PB_EINVALID);
	free(big);
}

/* ---- pages ---- */

static void fill(const char *entity, int n)
{
	struct engine_row rows[100];
	char keys[100][16], values[100][16];

	for (int i = 0; i < n;) {
		struct engine_batch b = { .entity = pb_strz(entity), .expect = ENGINE_ANY, .put = rows };

		for (; i < n && b.nput < 100; i++, b.nput++) {
			snprintf(keys[b.nput], 16, "k%05d", i);
			snprintf(values[b.nput], 16, "v%d", i);
			rows[b.nput] = (struct engine_row) { pb_strz(keys[b.nput]), pb_strz(values[b.nput]) };
		}
		OK(engine_apply(engine, &b, NULL, NULL, &error));
	}
}

static void a_scan_gives_a_range_in_order(void **state)
{
	(void)state;
	struct engine_page page = ENGINE_PAGE;

	fill("d", 10);
	fill("e", 1000);
	fill("f", 10);
	OK(engine_scan(engine, PB_STR("e"), PB_STR("k00100"), PB_STR("k00200"), 1000, &page, &error));
	assert_int_equal(page.n, 100);
	assert_false(page.more);
	assert_int_equal(page.version, 10);
	for (int i = 0; i < 100; i++) {
		char key[16], value[16];

		snprintf(key, 16, "k%05d", 100 + i);
		snprintf(value, 16, "v%d", 100 + i);
		assert_true(pb_str_eq(page.rows[i].key, pb_strz(key)) && pb_str_eq(page.rows[i].value, pb_strz(value)));
	}
	OK(engine_scan(engine, PB_STR("e"), PB_NOSTR, PB_NOSTR, 1000, &page, &error));
	assert_int_equal(page.n, 1000);
	assert_false(page.more);
	OK(engine_scan(engine, PB_STR("e"), PB_NOSTR, PB_NOSTR, 999, &page, &error));
	assert_int_equal(page.n, 999);
	assert_true(page.more);
	OK(engine_scan(engine, PB_STR("e"), PB_STR("k00100"), PB_STR("k00200"), 7, &page, &error));
	assert_int_equal(page.n, 7);
	assert_true(page.more);
	assert_true(pb_str_eq(page.rows[0].key, PB_STR("k00100")) && pb_str_eq(page.rows[6].key, PB_STR("k00106")));
	OK(engine_scan(engine, PB_STR("e"), PB_STR("k00998"), PB_NOSTR, 7, &page, &error));
	assert_int_equal(page.n, 2);
	assert_false(page.more);
	OK(engine_scan(engine, PB_STR("e"), PB_NOSTR, PB_STR("k00000"), 7, &page, &error));
	assert_int_equal(page.n, 0);
	OK(engine_scan(engine, PB_STR("none"), PB_NOSTR, PB_NOSTR, 7, &page, &error));
	assert_int_equal(page.n, 0);
	assert_int_equal(page.version, 0);
	engine_page_free(&page);
}

static void a_page_holds_about_a_megabyte(void **state)
{
	(void)state;
	struct engine_page page = ENGINE_PAGE;
	char *big = malloc(300 << 10);
	int seen = 0;

	memset(big, 'x', 300 << 10);
	for (int i = 0; i < 9; i++) {
		char key[2] = { '0' + i, 0 };
		struct engine_row row = { pb_strz(key), pb_str(big, 300 << 10) };
		struct engine_batch b = { .entity = PB_STR("big"), .expect = ENGINE_ANY, .put = &row, .nput = 1 };

		OK(engine_apply(engine, &b, NULL, NULL, &error));
	}
	PB_AUTOBUF(from);
	do {
		OK(engine_scan(engine, PB_STR("big"), pb_buf_str(&from), PB_NOSTR, 100, &page, &error));
		assert_in_range(page.n, 1, 3);
		for (size_t i = 0; i < page.n; i++)
			assert_int_equal(page.rows[i].key.ptr[0], '0' + seen++);
		pb_buf_reset(&from);
		pb_buf_addstr(&from, page.rows[page.n - 1].key);
		pb_buf_addc(&from, 0);
	} while (page.more);
	assert_int_equal(seen, 9);
	engine_page_free(&page);
	free(big);
}

static void entities_are_listed_by_prefix_in_byte_order(void **state)
{
	(void)state;
	struct engine_page page = ENGINE_PAGE;
	struct pb_str names[] = { PB_STR("a"), PB_STR("box/1"), PB_STR("box/1\0x"), PB_STR("box/10"), PB_STR("box/2"), PB_STR("boy"), PB_STR("\0") };

	for (size_t i = 0; i < 7; i++) {
		struct engine_row row = { PB_STR("k"), PB_STR("v") };
		struct engine_batch b = { .entity = names[i], .expect = 0, .put = &row, .nput = 1 };

		OK(engine_apply(engine, &b, NULL, NULL, &error));
	}
	OK(engine_entities(engine, PB_STR("box/"), PB_NOSTR, 100, &page, &error));
	assert_int_equal(page.n, 4);
	for (int i = 0; i < 4; i++)
		assert_true(pb_str_eq(page.rows[i].key, names[i + 1]));
	OK(engine_entities(engine, PB_STR("box/"), PB_STR("box/1"), 2, &page, &error));
	assert_int_equal(page.n, 2);
	assert_true(page.more);
	assert_true(pb_str_eq(page.rows[0].key, names[2]));
	OK(engine_entities(engine, PB_NOSTR, PB_NOSTR, 100, &page, &error));
	assert_int_equal(page.n, 7);
	assert_true(pb_str_eq(page.rows[0].key, names[6]));
	OK(engine_entities(engine, PB_STR("z"), PB_NOSTR, 100, &page, &error));
	assert_int_equal(page.n, 0);
	engine_page_free(&page);
}

static void a_dropped_entity_is_as_if_it_never_was(void **state)
{
	(void)state;
	uint64_t version;
	struct engine_page page = ENGINE_PAGE;

	fill("e", 2500);
	fill("e2", 3);
	OK(engine_drop(engine, PB_STR("e"), &error));
	OK(engine_head(engine, PB_STR("e"), &version, NULL, &error));
	assert_int_equal(version, 0);
	OK(engine_scan(engine, PB_STR("e2"), PB_NOSTR, PB_NOSTR, 10, &page, &error));
	assert_int_equal(page.n, 3);
	OK(put("e", "again", "1"));
	OK(engine_scan(engine, PB_STR("e"), PB_NOSTR, PB_NOSTR, 10, &page, &error));
	assert_int_equal(page.n, 1);
	assert_int_equal(page.version, 1);
	engine_page_free(&page);
}

/* ---- bodies ---- */

static struct body_id write_body(const char *text, const char *facts)
{
	struct pb_str parts[] = { pb_str(text, 1), PB_NOSTR, pb_strz(text + 1) };
	struct body_id id;

	OK(engine_body_write(engine, parts, 3, pb_strz(facts), &id, &error));
	assert_int_equal(id.size, strlen(text));
	return id;
}

static int name_body(const char *entity, const struct body_id *id, bool on)
{
	struct engine_row row = { PB_STR("body"), pb_str((const char *)id, sizeof(*id)) };
	struct pb_str key = PB_STR("body");
	struct engine_batch b = { .entity = pb_strz(entity), .expect = ENGINE_ANY };

	if (on) {
		b.put = &row;
		b.nput = 1;
		b.ref = id;
		b.nref = 1;
	} else {
		b.remove = &key;
		b.nremove = 1;
		b.unref = id;
		b.nunref = 1;
	}
	return engine_apply(engine, &b, NULL, NULL, &error);
}

static void body_is(const struct body_id *id, const char *want)
{
	struct engine_body *body;

	OK(engine_body_open(engine, id, &body, &error));
	assert_true(pb_str_eq(engine_body_bytes(body), pb_strz(want)));
	engine_body_close(body);
}

static void a_body_is_read_as_it_was_written(void **state)
{
	(void)state;
	struct body_id id = write_body("hello, body", "the facts"), plain = write_body("x", "");
	PB_AUTOBUF(facts);

	body_is(&id, "hello, body");
	OK(name_body("e", &id, true));
	body_is(&id, "hello, body");
	pb_buf_addz(&facts, "> ");
	OK(engine_body_facts(engine, &id, &facts, &error));
	assert_string_equal(pb_buf_z(&facts), "> the facts");
	assert_int_equal(engine_body_facts(engine, &plain, &facts, &error), PB_ENOTFOUND);
	struct pb_str nothing = PB_NOSTR;
	struct body_id empty;
	OK(engine_body_write(engine, &nothing, 1, PB_NOSTR, &empty, &error));
	body_is(&empty, "");
	engine_body_close(NULL);
}

static void a_body_comes_from_a_file_too(void **state)
{
	(void)state;
	FILE *f = tmpfile();
	struct body_id id;
	struct engine_body *body;

	for (int i = 0; i < 100000; i++)
		fprintf(f, "line %d\r\n", i);
	fflush(f);
	long size = ftell(f);
	OK(engine_body_write_fd(engine, fileno(f), size, PB_STR("f"), &id, &error));
	OK(engine_body_open(engine, &id, &body, &error));
	assert_int_equal(engine_body_bytes(body).len, size);
	assert_memory_equal(engine_body_bytes(body).ptr, "line 0\r\nline 1\r\n", 16);
	assert_memory_equal(engine_body_bytes(body).ptr + size - 12, "line 99999\r\n", 12);
	engine_body_close(body);
	assert_int_equal(engine_body_write_fd(engine, fileno(f), size + 1, PB_NOSTR, &id, &error), PB_ECORRUPT);
	fclose(f);
}

static void an_id_that_is_stale_finds_nothing(void **state)
{
	(void)state;
	struct body_id id = write_body("one", ""), other = id;
	struct engine_body *body;

	other.random++;
	assert_int_equal(engine_body_open(engine, &other, &body, &error), PB_ENOTFOUND);
	other = id;
	other.segment += 1000;
	assert_int_equal(engine_body_open(engine, &other, &body, &error), PB_ENOTFOUND);
	assert_int_equal(name_body("e", &other, true), PB_ENOTFOUND);
	row_is("e", "body", NULL);
	engine_body_discard(engine, &id);
	assert_int_equal(name_body("e", &id, true), PB_ENOTFOUND);
}

static void a_body_lives_until_its_last_row(void **state)
{
	(void)state;
	struct body_id id = write_body("shared", ""), twice[] = { id, id };
	struct engine_body *held;

	OK(name_body("a", &id, true));
	struct engine_batch b = { .entity = PB_STR("b"), .expect = ENGINE_ANY, .ref = twice, .nref = 2 };
	OK(engine_apply(engine, &b, NULL, NULL, &error));
	OK(name_body("a", &id, false));
	OK(name_body("b", &id, false));
	body_is(&id, "shared");
	/* One row and one more in the same batch: the count does not touch zero. */
	struct engine_batch swap = { .entity = PB_STR("b"), .expect = ENGINE_ANY, .ref = &id, .nref = 1, .unref = &id, .nunref = 1 };
	OK(engine_apply(engine, &swap, NULL, NULL, &error));
	OK(engine_body_open(engine, &id, &held, &error));
	OK(name_body("b", &id, false));
	assert_true(pb_str_eq(engine_body_bytes(held), PB_STR("shared")));
	engine_body_close(held);
	assert_int_equal(name_body("c", &id, true), PB_ENOTFOUND);
	OK(name_body("b", &id, false));
}

static void a_refused_batch_leaves_references_alone(void **state)
{
	(void)state;
	struct body_id id = write_body("kept", ""), gone = write_body("gone", "");
	struct body_id both[2];

	OK(name_body("a", &gone, true));
	OK(name_body("a", &gone, false));
	both[0] = id;
	both[1] = gone;
	struct engine_batch b = { .entity = PB_STR("b"), .expect = ENGINE_ANY, .ref = both, .nref = 2 };
	assert_int_equal(engine_apply(engine, &b, NULL, NULL, &error), PB_ENOTFOUND);
	OK(name_body("b", &id, true));
	OK(name_body("b", &id, false));
	assert_int_equal(name_body("b", &id, true), PB_ENOTFOUND);
}

/* ---- tickets ---- */

static void count(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

static void who_asks_is_told_when_it_is_durable(void **state)
{
	(void)state;
	static atomic_int told;
	struct engine_batch b = { .entity = PB_STR("e"), .expect = ENGINE_ANY };
	engine_ticket ticket;

	atomic_store(&told, 0);
	for (int i = 0; i < 5; i++) {
		OK(engine_apply(engine, &b, NULL, &ticket, &error));
		engine_when_durable(engine, ticket, count, &told);
	}
	/* Nobody waits for it: it must come by itself. */
	while (atomic_load(&told) < 5)
		usleep(1000);
	assert_true(engine_durable(engine) >= ticket);
	engine_when_durable(engine, ticket, count, &told);
	assert_int_equal(atomic_load(&told), 6);
}

enum { WRITERS = 8, EACH = 60 };

static void *writer(void *arg)
{
	char entity[16], text[32];
	struct pb_error e;

	for (int i = 0; i < EACH; i++) {
		snprintf(text, sizeof(text), "%d of %d", i, (int)(intptr_t)arg);
		struct pb_str part = pb_strz(text);
		struct body_id id;
		struct engine_row row = { pb_strz(text), pb_str((char *)&id, sizeof(id)) };
		engine_ticket ticket;

		snprintf(entity, sizeof(entity), "shared%d", i % 3);
		if (engine_body_write(engine, &part, 1, part, &id, &e))
			return (void *)1;
		struct engine_batch b = { .entity = pb_strz(entity), .expect = ENGINE_ANY, .absent = &part, .nabsent = 1, .put = &row, .nput = 1, .ref = &id, .nref = 1 };
		if (engine_apply(engine, &b, NULL, &ticket, &e) || engine_wait(engine, ticket, &e))
			return (void *)1;
		struct engine_page page = ENGINE_PAGE;
		if (engine_scan(engine, pb_strz(entity), PB_NOSTR, PB_NOSTR, 1000, &page, &e))
			return (void *)1;
		/* One row a batch: a page of version n has exactly n rows. */
		bool whole = page.version == page.n;
		engine_page_free(&page);
		if (!whole)
			return (void *)2;
	}
	return NULL;
}

static void many_threads_lose_nothing_and_see_whole_versions(void **state)
{
	(void)state;
	pthread_t threads[WRITERS];
	struct engine_page page = ENGINE_PAGE;
	size_t rows = 0;

	for (intptr_t i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, writer, (void *)i), 0);
	for (int i = 0; i < WRITERS; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	for (int i = 0; i < 3; i++) {
		char entity[24];

		snprintf(entity, sizeof(entity), "shared%d", i);
		OK(engine_scan(engine, pb_strz(entity), PB_NOSTR, PB_NOSTR, 1000, &page, &error));
		rows += page.n;
		for (size_t j = 0; j < page.n; j++) {
			struct body_id id;
			struct engine_body *body;

			memcpy(&id, page.rows[j].value.ptr, sizeof(id));
			OK(engine_body_open(engine, &id, &body, &error));
			assert_true(pb_str_eq(engine_body_bytes(body), page.rows[j].key));
			engine_body_close(body);
		}
	}
	assert_int_equal(rows, WRITERS * EACH);
	engine_page_free(&page);
}

static void all_is_there_after_closing(void **state)
{
	(void)state;
	if (memory)
		return;
	struct body_id first = write_body("first body", "facts"), never = write_body("never named", "");
	struct engine_body *body;

	OK(name_body("e", &first, true));
	OK(put("e", "a", "1"));
	for (int round = 0; round < 3; round++) {
		engine_close(engine);
		open_engine();
		row_is("e", "a", "1");
		body_is(&first, "first body");
		struct body_id more = write_body("after the start", "");
		assert_int_not_equal(more.offset, first.offset);
		OK(name_body("f", &more, true));
		body_is(&more, "after the start");
		body_is(&first, "first body");
	}
	(void)body;
	assert_int_equal(name_body("e", &never, true), PB_ENOTFOUND);
	PB_AUTOBUF(facts);
	OK(engine_body_facts(engine, &first, &facts, &error));
	assert_string_equal(pb_buf_z(&facts), "facts");
	struct engine_stats stats;
	engine_stats(engine, &stats);
	assert_int_equal(stats.segments, 1);
	assert_string_equal(stats.notice, "");
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup_teardown(a_batch_is_seen_at_once_and_counts_the_version, setup, teardown),
	cmocka_unit_test_setup_teardown(a_guard_that_does_not_hold_writes_nothing, setup, teardown),
	cmocka_unit_test_setup_teardown(removals_come_before_puts, setup, teardown),
	cmocka_unit_test_setup_teardown(limits_are_told, setup, teardown),
	cmocka_unit_test_setup_teardown(a_scan_gives_a_range_in_order, setup, teardown),
	cmocka_unit_test_setup_teardown(a_page_holds_about_a_megabyte, setup, teardown),
	cmocka_unit_test_setup_teardown(entities_are_listed_by_prefix_in_byte_order, setup, teardown),
	cmocka_unit_test_setup_teardown(a_row_that_must_not_be_there_may_be_put_by_the_same_batch, setup, teardown),
	cmocka_unit_test_setup_teardown(a_dropped_entity_is_as_if_it_never_was, setup, teardown),
	cmocka_unit_test_setup_teardown(a_body_is_read_as_it_was_written, setup, teardown),
	cmocka_unit_test_setup_teardown(a_body_comes_from_a_file_too, setup, teardown),
	cmocka_unit_test_setup_teardown(an_id_that_is_stale_finds_nothing, setup, teardown),
	cmocka_unit_test_setup_teardown(a_body_lives_until_its_last_row, setup, teardown),
	cmocka_unit_test_setup_teardown(a_refused_batch_leaves_references_alone, setup, teardown),
	cmocka_unit_test_setup_teardown(who_asks_is_told_when_it_is_durable, setup, teardown),
	cmocka_unit_test_setup_teardown(many_threads_lose_nothing_and_see_whole_versions, setup, teardown),
	cmocka_unit_test_setup_teardown(all_is_there_after_closing, setup, teardown),
};

int main(void)
{
	int failed = 0;

	memory = true;
	failed += cmocka_run_group_tests_name("the memory engine", tests, NULL, NULL);
	memory = false;
	failed += cmocka_run_group_tests_name("the engine on Berkeley DB", tests, NULL, NULL);
	deadlocks = true;
	failed += cmocka_run_group_tests_name("the engine on Berkeley DB, each batch deadlocking once", tests, NULL, NULL);
	return failed;
}
