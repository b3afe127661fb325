/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The care of a store on disk: compaction, backup, verification, damage, newer formats, a full disk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "kernel/store/tests/scratch.h"

enum { SEGMENT = 64 << 10, BODY = 5000 };

static struct scratch scratch, other;
static struct engine *engine;
static struct pb_error error;
static _Atomic uint64_t room;

#define OK(call) do { int r_ = (call); if (r_) fail_msg("%s: %s: %s", #call, pb_code_name(r_), error.text); } while (0)

static uint64_t room_now(const char *dir)
{
	(void)dir;
	return atomic_load(&room);
}

static atomic_bool flush_fails;
static atomic_int flushes_failed;

static int flush_now(int fd)
{
	if (!atomic_load(&flush_fails))
		return fdatasync(fd);
	atomic_fetch_add(&flushes_failed, 1);
	errno = EIO;
	return -1;
}

static int open_at(const char *dir, struct engine **ret)
{
	struct engine_options o = { .dir = dir, .segment_bytes = SEGMENT, .log_bytes = 512 << 10, .cache_bytes = 1 << 20, .room = room_now, .flush = flush_now };

	return engine_bdb_open(&o, ret, &error);
}

static int setup(void **state)
{
	(void)state;
	atomic_store(&room, 1ull << 40);
	scratch_make(&scratch);
	scratch_make(&other);
	OK(open_at(scratch.dir, &engine));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	engine_close(engine);
	engine = NULL;
	scratch_remove(&scratch);
	scratch_remove(&other);
	return 0;
}

static void text_of(unsigned n, char *text)
{
	for (int i = 0; i < BODY; i++)
		text[i] = 'a' + (n * 31 + i * (n + 7)) % 26;
}

/* A body and the row that names it, in entity "e" under its number. */
static int add(unsigned n, struct body_id *ret)
{
	char text[BODY], key[16];
	struct pb_str part = pb_str(text, BODY);
	int r;

	text_of(n, text);
	snprintf(key, sizeof(key), "%06u", n);
	r = engine_body_write(engine, &part, 1, pb_strz(key), ret, &error);
	if (r)
		return r;
	struct engine_row row = { pb_strz(key), pb_str((char *)ret, sizeof(*ret)) };
	struct engine_batch b = { .entity = PB_STR("e"), .expect = ENGINE_ANY, .put = &row, .nput = 1, .ref = ret, .nref = 1 };
	return engine_apply(engine, &b, NULL, NULL, &error);
}

static int del(unsigned n, const struct body_id *id)
{
	char key[16];

	snprintf(key, sizeof(key), "%06u", n);
	struct pb_str name = pb_strz(key);
	struct engine_batch b = { .entity = PB_STR("e"), .expect = ENGINE_ANY, .remove = &name, .nremove = 1, .unref = id, .nunref = 1 };
	return engine_apply(engine, &b, NULL, NULL, &error);
}

static void body_is(struct engine *e, const struct body_id *id, unsigned n)
{
	struct engine_body *body;
	char text[BODY], key[16];
	PB_AUTOBUF(facts);

	text_of(n, text);
	OK(engine_body_open(e, id, &body, &error));
	assert_true(pb_str_eq(engine_body_bytes(body), pb_str(text, BODY)));
	engine_body_close(body);
	snprintf(key, sizeof(key), "%06u", n);
	OK(engine_body_facts(e, id, &facts, &error));
	assert_string_equal(pb_buf_z(&facts), key);
}

static void flush(void)
{
	struct engine_batch b = { .entity = PB_STR("tick"), .expect = ENGINE_ANY };
	engine_ticket ticket;

	OK(engine_apply(engine, &b, NULL, &ticket, &error));
	OK(engine_wait(engine, ticket, &error));
}

static void compact_all(void)
{
	bool more = true;

	/* A segment is left alone until its last write was flushed and nobody holds it. */
	flush();
	for (int rounds = 0; rounds < 2; rounds++, more = true)
		while (more)
			OK(engine_compact(engine, &more, &error));
}

static char heard[1000];

static void hear(void *arg, const char *finding)
{
	(void)arg;
	snprintf(heard + strlen(heard), sizeof(heard) - strlen(heard), "%s\n", finding);
}

static uint64_t verify(struct engine *e)
{
	uint64_t records, findings;

	*heard = 0;
	OK(engine_verify(e, hear, NULL, &records, &findings, &error));
	assert_true(records > 0);
	return findings;
}

static uint64_t segments(void)
{
	struct engine_stats stats;

	engine_stats(engine, &stats);
	return stats.segments;
}

static void reopen(void)
{
	engine_close(engine);
	engine = NULL;
	OK(open_at(scratch.dir, &engine));
}

/* ---- compaction ---- */

enum { MANY = 120 };

static void compaction_keeps_what_lives_and_its_ids(void **state)
{
	(void)state;
	struct body_id id[MANY];
	struct engine_body *held;
	char text[BODY];

	for (unsigned n = 0; n < MANY; n++)
		OK(add(n, &id[n]));
	OK(engine_body_open(engine, &id[3], &held, &error));
	for (unsigned n = 0; n < MANY; n++)
		if (n % 6)
			OK(del(n, &id[n]));
	uint64_t before = segments();
	compact_all();
	assert_true(segments() <= before / 3);
	for (unsigned n = 0; n < MANY; n += 6)
		body_is(engine, &id[n], n);
	/* A body that is open stays as it was, whatever became of its segment. */
	text_of(3, text);
	assert_true(pb_str_eq(engine_body_bytes(held), pb_str(text, BODY)));
	engine_body_close(held);
	if (verify(engine))
		fail_msg("%s", heard);
	/* Moved bodies move again, are shared and die like others. */
	struct engine_batch share = { .entity = PB_STR("copy"), .expect = ENGINE_ANY, .ref = &id[0], .nref = 1 };
	OK(engine_apply(engine, &share, NULL, NULL, &error));
	struct body_id more[MANY];
	for (unsigned n = 0; n < MANY; n++)
		OK(add(1000 + n, &more[n]));
	for (unsigned n = 0; n < MANY; n++)
		OK(del(1000 + n, &more[n]));
	for (unsigned n = 0; n < MANY; n += 6)
		if (n % 12)
			OK(del(n, &id[n]));
	compact_all();
	OK(del(0, &id[0]));
	reopen();
	compact_all();
	for (unsigned n = 0; n < MANY; n += 12)
		body_is(engine, &id[n], n);
	if (verify(engine))
		fail_msg("%s", heard);
	assert_in_range(segments(), 1, 4);
}

static void a_segment_with_a_body_that_waits_for_its_row_stays(void **state)
{
	(void)state;
	struct body_id id[MANY], waiting;
	struct pb_str part = PB_STR("waiting");

	OK(engine_body_write(engine, &part, 1, PB_NOSTR, &waiting, &error));
	for (unsigned n = 0; n < MANY; n++)
		OK(add(n, &id[n]));
	for (unsigned n = 0; n < MANY; n++)
		OK(del(n, &id[n]));
	compact_all();
	struct engine_body *body;
	OK(engine_body_open(engine, &waiting, &body, &error));
	engine_body_close(body);
	engine_body_discard(engine, &waiting);
	compact_all();
	assert_int_equal(engine_body_open(engine, &waiting, &body, &error), PB_ENOTFOUND);
}

static void what_nobody_named_is_reclaimed_after_a_start(void **state)
{
	(void)state;
	struct body_id id;
	struct pb_str part;
	char text[BODY];

	text_of(1, text);
	part = pb_str(text, BODY);
	for (int i = 0; i < MANY; i++)
		OK(engine_body_write(engine, &part, 1, PB_NOSTR, &id, &error));
	assert_true(segments() > 5);
	reopen();
	compact_all();
	assert_in_range(segments(), 1, 2);
}

/* ---- backup ---- */

static void backup_is_good(unsigned n, const struct body_id *id)
{
	struct engine *copy;

	OK(open_at(other.dir, &copy));
	if (verify(copy))
		fail_msg("%s", heard);
	for (unsigned i = 0; i < n; i++)
		body_is(copy, &id[i], i);
	engine_close(copy);
}

static void a_backup_is_a_store_and_the_next_copies_what_is_new(void **state)
{
	(void)state;
	struct body_id id[MANY];
	struct stat before, after;
	char path[512];

	for (unsigned n = 0; n < MANY / 2; n++)
		OK(add(n, &id[n]));
	OK(engine_backup(engine, other.dir, &error));
	snprintf(path, sizeof(path), "%s/seg/00000001.seg", other.dir);
	assert_int_equal(stat(path, &before), 0);
	for (unsigned n = MANY / 2; n < MANY; n++)
		OK(add(n, &id[n]));
	OK(engine_backup(engine, other.dir, &error));
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	backup_is_good(MANY, id);
}

static void a_backup_forgets_what_the_store_forgot(void **state)
{
	(void)state;
	struct body_id id[MANY];
	char path[512];

	for (unsigned n = 0; n < MANY; n++)
		OK(add(n, &id[n]));
	OK(engine_backup(engine, other.dir, &error));
	for (unsigned n = 5; n < MANY; n++)
		OK(del(n, &id[n]));
	compact_all();
	OK(engine_backup(engine, other.dir, &error));
	snprintf(path, sizeof(path), "%s/seg/00000001.seg", other.dir);
	assert_int_not_equal(access(path, F_OK), 0);
	backup_is_good(5, id);
}

static void a_backup_goes_nowhere_else(void **state)
{
	(void)state;
	char path[512];
	struct scratch third;

	snprintf(path, sizeof(path), "%s/letter", other.dir);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(engine_backup(engine, other.dir, &error), PB_EINVALID);
	assert_non_null(strstr(error.text, "neither empty"));
	unlink(path);
	OK(engine_backup(engine, other.dir, &error));
	scratch_make(&third);
	engine_close(engine);
	OK(open_at(third.dir, &engine));
	assert_int_equal(engine_backup(engine, other.dir, &error), PB_EINVALID);
	assert_non_null(strstr(error.text, "another store"));
	scratch_remove(&third);
}

/* ---- damage ---- */

static void flip(const char *name, off_t at)
{
	char path[512], byte;

	snprintf(path, sizeof(path), "%s/%s", scratch.dir, name);
	int fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x40;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void damage_is_told_and_the_rest_stays_usable(void **state)
{
	(void)state;
	struct body_id id[MANY];
	struct engine_body *body;
	char path[512];

	for (unsigned n = 0; n < MANY; n++)
		OK(add(n, &id[n]));
	engine_close(engine);
	flip("seg/00000001.seg", id[1].offset + 1000);	/* a body */
	flip("seg/00000001.seg", id[2].offset + 20);	/* a record's header */
	flip("seg/00000002.seg", 9);			/* a segment's header */
	snprintf(path, sizeof(path), "%s/seg/00000003.seg", scratch.dir);
	assert_int_equal(unlink(path), 0);
	OK(open_at(scratch.dir, &engine));
	unsigned corrupt = 0;
	for (unsigned n = 0; n < MANY; n++) {
		int r = engine_body_open(engine, &id[n], &body, &error);

		corrupt += r == PB_ECORRUPT;
		if (!r)
			engine_body_close(body);
		if (id[n].segment == 3) {
			assert_int_equal(r, PB_ECORRUPT);
			assert_non_null(strstr(error.text, "segment 3"));
			assert_non_null(strstr(error.text, "is missing"));
		} else if (id[n].segment == 2 || n == 1 || n == 2) {
			assert_int_equal(r, PB_ECORRUPT);
		} else {
			assert_int_equal(r, 0);
		}
	}
	assert_int_equal(verify(engine), corrupt);
	compact_all();
	assert_int_equal(verify(engine), corrupt);
	struct body_id fresh;
	OK(add(999, &fresh));
	body_is(engine, &fresh, 999);
}

static void facts_that_are_damaged_cost_only_facts(void **state)
{
	(void)state;
	struct body_id id;
	struct engine_body *body;
	PB_AUTOBUF(facts);

	OK(add(1, &id));
	flip("seg/00000001.facts", id.facts_offset + 17);
	assert_int_equal(engine_body_facts(engine, &id, &facts, &error), PB_ECORRUPT);
	assert_int_equal(facts.len, 0);
	OK(engine_body_open(engine, &id, &body, &error));
	engine_body_close(body);
}

static void a_newer_format_is_refused_untouched(void **state)
{
	(void)state;
	char path[512];
	struct body_id id;
	struct engine *e;

	OK(add(1, &id));
	engine_close(engine);
	engine = NULL;
	snprintf(path, sizeof(path), "%s/FORMAT", scratch.dir);
	FILE *f = fopen(path, "r+");
	char line[64] = "", was[64];
	assert_non_null(fgets(line, sizeof(line), f));
	strncpy(was, line, sizeof(was));
	char *digit = strstr(line, "store 1");
	assert_non_null(digit);
	digit[6] = '9';
	rewind(f);
	fputs(line, f);
	fflush(f);
	assert_int_equal(open_at(scratch.dir, &e), PB_EINVALID);
	assert_non_null(strstr(error.text, "format 9"));
	rewind(f);
	fputs(was, f);
	fclose(f);
	OK(open_at(scratch.dir, &engine));
	body_is(engine, &id, 1);
}

static void a_lost_index_is_not_made_anew(void **state)
{
	(void)state;
	char path[512];
	struct engine *e;

	engine_close(engine);
	engine = NULL;
	snprintf(path, sizeof(path), "%s/db/rows.db", scratch.dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(open_at(scratch.dir, &e), PB_ECORRUPT);
	assert_non_null(strstr(error.text, "lost its rows.db"));
}

/* ---- a full disk ---- */

static void a_full_disk_refuses_what_grows_and_comes_back(void **state)
{
	(void)state;
	struct body_id id[4], more;
	struct engine_stats stats;
	struct engine_row row = { PB_STR("k"), PB_STR("v") };
	struct engine_batch grow = { .entity = PB_STR("x"), .expect = ENGINE_ANY, .put = &row, .nput = 1 };

	for (unsigned n = 0; n < 4; n++)
		OK(add(n, &id[n]));
	atomic_store(&room, 100 << 10);
	/* The engine looks every now and then. */
	do
		engine_stats(engine, &stats);
	while (!stats.readonly && usleep(1000) == 0);
	assert_int_equal(add(9, &more), PB_EFULL);
	assert_int_equal(engine_apply(engine, &grow, NULL, NULL, &error), PB_EFULL);
	assert_non_null(strstr(error.text, "full"));
	body_is(engine, &id[0], 0);
	OK(del(0, &id[0]));
	OK(del(1, &id[1]));
	atomic_store(&room, 1ull << 40);
	int r;
	while ((r = add(9, &more)) == PB_EFULL)
		usleep(1000);
	OK(r);
	OK(engine_apply(engine, &grow, NULL, NULL, &error));
	body_is(engine, &more, 9);
	body_is(engine, &id[2], 2);
}

/* ---- a disk that fails ---- */

static void a_failed_flush_acknowledges_nothing_and_is_not_tried_again(void **state)
{
	(void)state;
	struct body_id id[3], more;
	engine_ticket ticket;
	struct engine_batch b = { .entity = PB_STR("x"), .expect = ENGINE_ANY };
	struct engine_stats stats;

	OK(add(0, &id[0]));
	flush();
	atomic_store(&flush_fails, true);
	OK(engine_apply(engine, &b, NULL, &ticket, &error));
	assert_int_equal(engine_wait(engine, ticket, &error), PB_EINTERNAL);
	assert_non_null(strstr(error.text, "until it is opened again"));
	assert_true(engine_durable(engine) < ticket);
	int failed = atomic_load(&flushes_failed);
	assert_true(failed > 0);
	assert_int_equal(engine_wait(engine, ticket, &error), PB_EINTERNAL);
	assert_int_equal(engine_apply(engine, &b, NULL, NULL, &error), PB_EINTERNAL);
	assert_int_equal(add(1, &more), PB_EINTERNAL);
	engine_stats(engine, &stats);
	assert_true(stats.readonly);
	body_is(engine, &id[0], 0);
	assert_int_equal(atomic_load(&flushes_failed), failed);
	atomic_store(&flush_fails, false);
	reopen();
	body_is(engine, &id[0], 0);
	OK(add(2, &id[2]));
	flush();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(compaction_keeps_what_lives_and_its_ids, setup, teardown),
		cmocka_unit_test_setup_teardown(a_segment_with_a_body_that_waits_for_its_row_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(what_nobody_named_is_reclaimed_after_a_start, setup, teardown),
		cmocka_unit_test_setup_teardown(a_backup_is_a_store_and_the_next_copies_what_is_new, setup, teardown),
		cmocka_unit_test_setup_teardown(a_backup_forgets_what_the_store_forgot, setup, teardown),
		cmocka_unit_test_setup_teardown(a_backup_goes_nowhere_else, setup, teardown),
		cmocka_unit_test_setup_teardown(damage_is_told_and_the_rest_stays_usable, setup, teardown),
		cmocka_unit_test_setup_teardown(facts_that_are_damaged_cost_only_facts, setup, teardown),
		cmocka_unit_test_setup_teardown(a_newer_format_is_refused_untouched, setup, teardown),
		cmocka_unit_test_setup_teardown(a_lost_index_is_not_made_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_disk_refuses_what_grows_and_comes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failed_flush_acknowledges_nothing_and_is_not_tried_again, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
