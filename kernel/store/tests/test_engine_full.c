/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A disk that fills at once, so that no look at its room helps, and the log itself meets the end: a small file system of the test's own, and somebody else's file on it.
 * Nothing that was acknowledged may be lost then, and no page may be on the disk whose log is not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>

#include "kernel/store/tests/scratch.h"

#ifdef PB_SANITIZED
/* Berkeley DB forgets some of its own when a recovery fails for want of room. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:__os_malloc\n";
}
#endif

enum { BEFORE = 500, MOST = 20000 };

static struct scratch scratch;
static char store[300], ballast[300];
static struct pb_error err;

static uint64_t lots(const char *dir)
{
	(void)dir;
	return 1ull << 40;
}

static int open_store(struct engine **ret, bool sees)
{
	const struct engine_options o = { .dir = store, .segment_bytes = 128 << 10, .log_bytes = 512 << 10, .cache_bytes = 4 << 20, .journal_bytes = 1 << 20, .room = sees ? NULL : lots };

	return engine_bdb_open(&o, ret, &err);
}

static void fill(void)
{
	static const char block[64 << 10] = "x";
	int fd = open(ballast, O_WRONLY | O_CREAT | O_APPEND, 0600);

	for (size_t n = sizeof(block); n;)
		if (write(fd, block, n) <= 0)
			n /= 2;
	close(fd);
}

static int put(struct engine *e, unsigned n)
{
	static const char value[300] = "value";
	char key[16];
	engine_ticket ticket;

	snprintf(key, sizeof(key), "%08u", n);
	struct engine_row row = { pb_strz(key), pb_str(value, sizeof(value)) };
	struct engine_batch b = { .entity = PB_STR("x"), .expect = ENGINE_ANY, .put = &row, .nput = 1 };
	int r = engine_apply(e, &b, NULL, &ticket, &err);
	return r ? r : engine_wait(e, ticket, &err);
}

static void hear(void *arg, const char *finding)
{
	(void)arg;
	print_message("%s\n", finding);
}

/* All that was acknowledged, and an index that is whole. */
static void check(struct engine *e, unsigned acknowledged)
{
	uint64_t records, findings;
	char key[16];

	for (unsigned n = 0; n < acknowledged; n++) {
		PB_AUTOBUF(value);

		snprintf(key, sizeof(key), "%08u", n);
		assert_int_equal(engine_get(e, PB_STR("x"), pb_strz(key), &value, &err), 0);
	}
	assert_int_equal(engine_verify(e, hear, NULL, &records, &findings, &err), 0);
	assert_int_equal(findings, 0);
}

static unsigned write_until_it_fails(struct engine *e)
{
	struct engine_stats stats;
	unsigned n = 0;

	while (n < MOST && put(e, n) == 0)
		if (++n == BEFORE)
			fill();
	assert_true(n >= BEFORE && n < MOST);
	engine_stats(e, &stats);
	assert_true(stats.failed);
	assert_non_null(strstr(stats.why, "No space left"));
	return n;
}

static void the_log_meets_the_end_of_the_disk(void **state)
{
	(void)state;
	struct engine *e;

	assert_int_equal(open_store(&e, false), 0);
	unsigned acknowledged = write_until_it_fails(e);
	assert_int_equal(put(e, acknowledged), PB_EINTERNAL);
	engine_close(e);
	if (open_store(&e, false) == 0)			/* for want of room it may fail, and must do no harm */
		engine_close(e);
	unlink(ballast);
	assert_int_equal(open_store(&e, false), 0);
	check(e, acknowledged);
	for (unsigned n = acknowledged; n < acknowledged + 2 * BEFORE; n++)
		assert_int_equal(put(e, n), 0);
	check(e, acknowledged + 2 * BEFORE);
	engine_close(e);
}

/* The start has the reserve to recover with, so that what is there can be read, and removed. */
static void a_start_on_a_full_disk_recovers(void **state)
{
	(void)state;
	struct engine *e;

	assert_int_equal(open_store(&e, false), 0);
	unsigned acknowledged = write_until_it_fails(e);
	engine_close(e);
	assert_int_equal(open_store(&e, true), 0);
	check(e, acknowledged);
	assert_int_equal(put(e, acknowledged), PB_EFULL);
	const struct pb_str gone = PB_STR("00000000");
	struct engine_batch b = { .entity = PB_STR("x"), .expect = ENGINE_ANY, .remove = &gone, .nremove = 1 };
	engine_ticket ticket;
	assert_int_equal(engine_apply(e, &b, NULL, &ticket, &err), 0);
	assert_int_equal(engine_wait(e, ticket, &err), 0);
	unlink(ballast);
	int r;
	while ((r = put(e, 0)) == PB_EFULL)
		usleep(1000);
	assert_int_equal(r, 0);
	check(e, acknowledged);
	engine_close(e);
}

/* The log's buffer holds all that was written since the start; that it cannot be written at the end may not cost the journal, which has it. */
static void an_orderly_end_on_a_full_disk_loses_nothing(void **state)
{
	(void)state;
	const struct engine_options o = { .dir = store, .segment_bytes = 1 << 20, .log_bytes = 8 << 20, .cache_bytes = 4 << 20, .room = lots };
	struct engine *e;

	assert_int_equal(engine_bdb_open(&o, &e, &err), 0);
	for (unsigned n = 0; n < 4 * BEFORE; n++)
		assert_int_equal(put(e, n), 0);
	fill();
	engine_close(e);
	unlink(ballast);
	assert_int_equal(engine_bdb_open(&o, &e, &err), 0);
	check(e, 4 * BEFORE);
	engine_close(e);
}

static int setup(void **state)
{
	(void)state;
	scratch_make(&scratch);
	snprintf(store, sizeof(store), "%s/store", scratch.dir);
	snprintf(ballast, sizeof(ballast), "%s/ballast", scratch.dir);
	return mount("tmpfs", scratch.dir, "tmpfs", 0, "size=24m,mode=700") ? -1 : 0;
}

static int setup_larger(void **state)
{
	return setup(state) || mount("tmpfs", scratch.dir, "tmpfs", MS_REMOUNT, "size=96m,mode=700") ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	umount2(scratch.dir, MNT_DETACH);
	scratch_remove(&scratch);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_log_meets_the_end_of_the_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(a_start_on_a_full_disk_recovers, setup, teardown),
		cmocka_unit_test_setup_teardown(an_orderly_end_on_a_full_disk_loses_nothing, setup_larger, teardown),
	};

	int refused = setup(NULL) ? errno : 0;
	teardown(NULL);
	if (refused) {
		fprintf(stderr, "a file system cannot be mounted here: %s\n", strerror(refused));
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
