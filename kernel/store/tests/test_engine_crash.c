/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Crashes: a child process writes and tells which writes it may count on, and dies. Then the parent opens what is left and holds the engine to its rules:
 * what was told is there, the state is a prefix of the batches, every body is whole. Deaths are kill -9, and power cuts by tests/crash/powercut_shim.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "kernel/store/segment.h"
#include "kernel/store/tests/scratch.h"

enum { THREADS = 4, KEEP = 12, KILLS = 6, CUTS = 20, MANY = 30, LARGE = 11, JOURNAL_MOST = 9 << 20, BASE = 4096, BASE_AGAIN = 2048 };

/* ---- the child ---- */

struct told {
	uint32_t thread, n;
};

static struct engine *engine;
static bool hasty;		/* checkpoints all the time, small log files, bodies that are too large for the journal */
static bool roomy;		/* the journal holds frames of several hundred KiB */

static const struct engine_options *options(const char *dir, bool unsafe)
{
	static struct engine_options o;

	o = (struct engine_options) { .dir = dir, .segment_bytes = 128 << 10, .log_bytes = 512 << 10, .cache_bytes = 256 << 10, .journal_bytes = 256 << 10, .unsafe_ack = unsafe };
	if (hasty)
		o.log_bytes = 16 << 10;
	if (roomy)
		o.journal_bytes = o.log_bytes = 8 << 20;
	return &o;
}

/* The body of a thread's n-th write: anyone can make it again. */
static void make_body(struct pb_buf *out, uint32_t thread, uint32_t n)
{
	uint32_t x = thread * 7919 + n * 104729 + 1;
	uint32_t size = hasty ? 17000 + x % 23000 : x % 5 ? x % 3000 : x % 40000;

	pb_buf_reset(out);
	pb_buf_addf(out, "%u/%u ", thread, n);
	for (uint32_t i = 0; i < size; i++) {
		x = x * 1664525 + 1013904223;
		pb_buf_addc(out, n % 2 ? 'a' + (x >> 30) : x >> 24);	/* every second one packs */
	}
}

static void row_key(char key[16], uint32_t n)
{
	snprintf(key, 16, "%08u", n);
}

/*
 * Write n of a thread: a body and its row into entity a, in another batch a second reference to it into entity b. Each keeps KEEP rows, and the header
 * holds the count of writes.
 */
static int write_one(uint32_t thread, uint32_t n, struct pb_buf *body, struct pb_error *err)
{
	static _Thread_local struct body_id ids[KEEP];
	char key[16], old[16], entity[16], header[16];
	engine_ticket ticket;

	make_body(body, thread, n);
	struct pb_str part = pb_buf_str(body);
	struct body_id gone = ids[n % KEEP], *id = &ids[n % KEEP];
	int r = engine_body_write(engine, &part, 1, PB_STR("facts"), id, err);
	row_key(key, n);
	row_key(old, n >= KEEP ? n - KEEP : 0);
	snprintf(header, sizeof(header), "%u", n + 1);
	struct pb_str head = pb_strz(header), remove = pb_strz(old);
	struct engine_row row = { pb_strz(key), pb_str((char *)id, sizeof(*id)) };
	for (char which = 'a'; !r && which <= 'b'; which++) {
		struct engine_batch b = { .expect = n, .header = &head, .put = &row, .nput = 1, .ref = id, .nref = 1, .remove = &remove, .nremove = n >= KEEP,
			.unref = &gone, .nunref = n >= KEEP };

		snprintf(entity, sizeof(entity), "%c%u", which, thread);
		b.entity = pb_strz(entity);
		r = engine_apply(engine, &b, NULL, &ticket, err);
	}
	/* Now and then nobody waits. */
	return r ? r : n % 3 == 0 ? 0 : engine_wait(engine, ticket, err);
}

/* Rows enough to overflow the cache, so that pages go to the disk at any time and not at checkpoints only. */
static int write_pad(uint32_t thread, uint32_t n, struct pb_error *err)
{
	static const char pad[3000];
	char entity[16], key[16];
	struct pb_str header = pb_strz(key);
	struct engine_row row = { pb_strz(key), pb_str(pad, n * 37 % sizeof(pad)) };
	struct engine_batch b = { .expect = ENGINE_ANY, .header = &header, .put = &row, .nput = 1 };

	snprintf(entity, sizeof(entity), "pad%u", thread);
	snprintf(key, sizeof(key), "%u", n * 7 % 200);
	b.entity = pb_strz(entity);
	row.key = header = pb_strz(key);
	return engine_apply(engine, &b, NULL, NULL, err);
}

static int tell_fd;

static void *child_thread(void *arg)
{
	struct told told = { .thread = (uintptr_t)arg };
	struct pb_error err = { 0 };
	PB_AUTOBUF(body);

	for (; (hasty || !write_pad(told.thread, told.n, &err)) && !write_one(told.thread, told.n, &body, &err); told.n++) {
		if (told.n % 3 != 0 && write(tell_fd, &told, sizeof(told)) != sizeof(told))
			break;
		if (told.thread == 0 && (hasty || told.n % 50 == 49) && engine_checkpoint(engine, &err))
			break;
		bool more;
		if (told.thread == 1 && told.n % 20 == 19 && engine_compact(engine, &more, &err))
			break;
	}
	fprintf(stderr, "%s\n", err.text);
	exit(3);
}

static int child(const char *dir, bool unsafe)
{
	struct pb_error err;
	pthread_t threads[THREADS];

	tell_fd = STDOUT_FILENO;
	if (engine_bdb_open(options(dir, unsafe), &engine, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 2;
	}
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, child_thread, (void *)i);
	pthread_join(threads[0], NULL);
	return 1;
}

/* One batch with two bodies, acknowledged; then death at once. Its flush is the last one, and nothing in the log says that it ended. */
static int child_pair(const char *dir, bool large)
{
	static const char zeros[50000];
	struct body_id ids[2];
	struct engine_row rows[2];
	struct pb_error err;
	engine_ticket ticket;
	PB_AUTOBUF(body);

	if (engine_bdb_open(options(dir, false), &engine, &err))
		return 2;
	for (uint32_t n = 0; n < 2; n++) {
		make_body(&body, n + 1, 77);
		struct pb_str parts[2] = { pb_buf_str(&body), pb_str(zeros, large ? sizeof(zeros) : 0) };

		if (engine_body_write(engine, parts, 2, PB_NOSTR, &ids[n], &err))
			return 2;
		rows[n] = (struct engine_row) { pb_str(n ? "second" : "first", n ? 6 : 5), pb_str((char *)&ids[n], sizeof(ids[n])) };
	}
	struct engine_batch b = { .entity = PB_STR("pair"), .expect = 0, .put = rows, .nput = 2, .ref = ids, .nref = 2 };
	if (engine_apply(engine, &b, NULL, &ticket, &err) || engine_wait(engine, ticket, &err))
		return 2;
	kill(getpid(), SIGKILL);
	return 0;
}

static void many_key(char key[24], unsigned n)
{
	snprintf(key, 24, "row %03u of many", n);
}

static void large_value(struct pb_buf *out, unsigned n)
{
	uint32_t x = n + 1;

	pb_buf_reset(out);
	for (unsigned size = n % 3 ? 100 + n : 90000 * n; out->len < size;) {
		x = x * 1664525 + 1013904223;
		pb_buf_addc(out, x >> 24);
	}
}

/* A frame for each batch, and nothing of them in the log's files. With room for them, frames of all sizes, one behind the other. */
static int child_rows(const char *dir, const char *entity, unsigned rows)
{
	struct pb_error err;
	engine_ticket ticket;
	PB_AUTOBUF(large);
	char key[24];

	if (engine_bdb_open(options(dir, false), &engine, &err))
		return 2;
	for (unsigned n = 0; n < rows; n++) {
		many_key(key, n);
		large_value(&large, n);
		struct engine_row row = { pb_strz(key), roomy ? pb_buf_str(&large) : PB_STR("value") };
		struct engine_batch b = { .entity = pb_strz(entity), .expect = n, .put = &row, .nput = 1 };

		if (engine_apply(engine, &b, NULL, &ticket, &err) || engine_wait(engine, ticket, &err))
			return 2;
	}
	kill(getpid(), SIGKILL);
	return 0;
}

/* ---- the parent ---- */

struct outcome {
	uint32_t told[THREADS];		/* writes that must be there */
	unsigned messages;
	int status;
};

/* Runs a child until it dies; kills it after this many messages (0: it dies by itself). */
static struct outcome run_child(const char *dir, const char *how, unsigned kill_after, long cut_at, unsigned seed)
{
	struct outcome o = { 0 };
	char at[32], seeds[32];
	int pipes[2];

	assert_int_equal(pipe(pipes), 0);
	snprintf(at, sizeof(at), "%ld", cut_at);
	snprintf(seeds, sizeof(seeds), "%u", seed);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(pipes[1], STDOUT_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		if (cut_at) {
			setenv("LD_PRELOAD", BUILDDIR "/.libs/powercut_shim.so", 1);
			setenv("POWERCUT_DIR", dir, 1);
			setenv("POWERCUT_AT", at, 1);
			setenv("POWERCUT_SEED", seeds, 1);
			if (hasty)
				setenv("POWERCUT_REMOVALS", "1", 1);
		}
		execl("/proc/self/exe", "test_engine_crash", "child", dir, how, (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	close(pipes[1]);
	struct told told;
	while (read(pipes[0], &told, sizeof(told)) == sizeof(told)) {
		o.told[told.thread] = told.n + 1;
		if (++o.messages == kill_after)
			kill(pid, SIGKILL);
	}
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &o.status, 0), pid);
	return o;
}

static char complaint[512];

static bool complain(const char *fmt, ...) PB_PRINTF(1, 2);

static bool complain(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(complaint, sizeof(complaint), fmt, ap);
	va_end(ap);
	return false;
}

static bool row_good(struct engine *e, uint32_t thread, uint32_t n, const struct engine_row *row)
{
	struct engine_body *body;
	struct body_id id;
	struct pb_error err;
	char key[16];
	PB_AUTOBUF(want);

	row_key(key, n);
	if (!pb_str_eq(row->key, pb_strz(key)) || row->value.len != sizeof(id))
		return complain("row %u of thread %u is not there", n, thread);
	memcpy(&id, row->value.ptr, sizeof(id));
	if (engine_body_open(e, &id, &body, &err))
		return complain("body %u of thread %u: %s", n, thread, err.text);
	make_body(&want, thread, n);
	bool same = pb_str_eq(engine_body_bytes(body), pb_buf_str(&want));
	engine_body_close(body);
	return same || complain("body %u of thread %u is another", n, thread);
}

/* An entity has as many writes as its header and version say, the last KEEP of them as rows. */
static bool entity_good(struct engine *e, char which, uint32_t thread, uint32_t *ret_n)
{
	struct engine_page page = ENGINE_PAGE;
	struct pb_error err;
	char entity[16];
	uint64_t version;
	PB_AUTOBUF(header);

	snprintf(entity, sizeof(entity), "%c%u", which, thread);
	if (engine_head(e, pb_strz(entity), &version, &header, &err) || engine_scan(e, pb_strz(entity), PB_NOSTR, PB_NOSTR, 100, &page, &err))
		return complain("%s: %s", entity, err.text);
	uint32_t n = version;
	bool good = version == strtoul(pb_buf_z(&header), NULL, 10) && page.n == (n < KEEP ? n : KEEP);
	if (!good)
		complain("%s has version %" PRIu64 ", header %s, %zu rows", entity, version, pb_buf_z(&header), page.n);
	for (size_t i = 0; good && i < page.n; i++)
		good = row_good(e, thread, n - page.n + i, &page.rows[i]);
	engine_page_free(&page);
	*ret_n = n;
	return good;
}

static void hear(void *arg, const char *finding)
{
	(void)arg;
	complain("verify: %s", finding);
}

static bool store_good(const char *dir, const struct outcome *o)
{
	struct engine *e;
	struct pb_error err;
	uint64_t records, findings = 0;
	bool good = true;

	if (engine_bdb_open(options(dir, false), &e, &err))
		return complain("opening: %s", err.text);
	for (uint32_t t = 0; good && t < THREADS; t++) {
		uint32_t a = 0, b = 0;

		good = entity_good(e, 'a', t, &a) && entity_good(e, 'b', t, &b);
		if (good && a != b && a != b + 1)
			good = complain("thread %u: %u writes in a, %u in b: not a prefix", t, a, b);
		if (good && b < o->told[t])
			good = complain("thread %u: %u writes are there, %u were acknowledged", t, b, o->told[t]);
	}
	if (good && engine_verify(e, hear, NULL, &records, &findings, &err))
		good = complain("verifying: %s", err.text);
	engine_close(e);
	return good && findings == 0;
}

static void what_was_acknowledged_survives_kill_9(void **state)
{
	(void)state;
	struct scratch s;

	for (unsigned i = 0; i < KILLS; i++) {
		scratch_make(&s);
		struct outcome o = run_child(s.dir, "safe", 20 + i * 57, 0, 0);
		assert_true(WIFSIGNALED(o.status) && WTERMSIG(o.status) == SIGKILL);
		if (!store_good(s.dir, &o))
			fail_msg("kill %u in %s: %s", i, s.dir, complaint);
		scratch_remove(&s);
	}
}

/* Cuts come early and late: the first ones meet a store that is being made. Or they follow the removal of a file. */
static long cut_of(unsigned round)
{
	if (hasty)
		return 2 + round;
	return round < 6 ? 3 + round * 11 : 100 + round * 97;
}

static bool no_shim(void)
{
#ifdef PB_SANITIZED
	return true;
#else
	return access(BUILDDIR "/.libs/powercut_shim.so", R_OK) != 0;
#endif
}

static void survive_cuts(const char *how)
{
	const char *seed = getenv("POWERCUT_SEED");
	unsigned first = seed ? strtoul(seed, NULL, 10) : 1, acknowledged = 0;
	struct scratch s;

	if (no_shim())
		skip();
	for (unsigned i = 0; i < CUTS; i++) {
		scratch_make(&s);
		struct outcome o = run_child(s.dir, how, 0, cut_of(i), first + i);
		if (!WIFSIGNALED(o.status) || WTERMSIG(o.status) != SIGKILL)
			fail_msg("cut %u in %s: the child ended with status %x", i, s.dir, o.status);
		if (!store_good(s.dir, &o))
			fail_msg("cut %u, seed %u, in %s: %s", i, first + i, s.dir, complaint);
		acknowledged += o.messages;
		scratch_remove(&s);
	}
	/* A test of nothing would pass too. */
	assert_true(acknowledged > 100);
}

static void what_was_acknowledged_survives_a_power_cut(void **state)
{
	(void)state;
	survive_cuts("safe");
}

/* A start may cut the log before the last checkpoint, and then needs what the one before it needs. */
static void checkpoints_at_any_time_survive_a_power_cut(void **state)
{
	(void)state;
	hasty = true;
	survive_cuts("hasty");
}

static int slow_down(void **state)
{
	(void)state;
	hasty = false;
	return 0;
}

static void acknowledging_before_the_flush_is_caught(void **state)
{
	(void)state;
	struct scratch s;
	bool caught = false;

	if (no_shim())
		skip();
	for (unsigned i = 6; i < 2 * CUTS && !caught; i++) {
		scratch_make(&s);
		struct outcome o = run_child(s.dir, "unsafe", 0, cut_of(i), i);
		caught = !store_good(s.dir, &o) && strstr(complaint, "acknowledged");
		scratch_remove(&s);
	}
	assert_true(caught);
}

static size_t read_file(const char *dir, const char *name, char *all)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_RDONLY);
	ssize_t n = pread(fd, all, JOURNAL_MOST, 0);
	close(fd);
	assert_true(n > 0);
	return n;
}

static void damage_at(const char *dir, const char *name, off_t at)
{
	char path[512], byte;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_RDWR);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

/* A byte of this file, from here on where it has these bytes. */
static void damage(const char *dir, const char *name, struct pb_str bytes)
{
	static char all[JOURNAL_MOST];
	char *at = memmem(all, read_file(dir, name, all), bytes.ptr, bytes.len);

	assert_non_null(at);
	damage_at(dir, name, at - all);
}

static void damage_first(const char *dir, const char *name)
{
	PB_AUTOBUF(body);

	make_body(&body, 1, 77);
	damage(dir, name, pb_buf_str(&body));
}

static int open_row(const char *key, struct engine_body **ret)
{
	struct pb_error err;
	struct body_id id;
	PB_AUTOBUF(value);
	int r = engine_get(engine, PB_STR("pair"), pb_strz(key), &value, &err);

	if (r)
		return r;
	assert_int_equal(value.len, sizeof(id));
	memcpy(&id, value.ptr, sizeof(id));
	return engine_body_open(engine, &id, ret, &err);
}

static void both_are_there(const char *dir)
{
	static const char *const keys[] = { "first", "second" };
	struct engine_body *body;
	struct pb_error err;
	PB_AUTOBUF(want);

	assert_int_equal(engine_bdb_open(options(dir, false), &engine, &err), 0);
	for (uint32_t n = 0; n < 2; n++) {
		assert_int_equal(open_row(keys[n], &body), 0);
		make_body(&want, n + 1, 77);
		assert_true(pb_str_eq(engine_body_bytes(body), pb_buf_str(&want)));
		engine_body_close(body);
	}
	engine_close(engine);
}

static void damage_after_a_death_is_mended_from_the_journal(void **state)
{
	(void)state;
	struct scratch s;

	scratch_make(&s);
	struct outcome o = run_child(s.dir, "pair", 0, 0, 0);
	assert_true(WIFSIGNALED(o.status));
	damage_first(s.dir, "seg/00000001.seg");
	both_are_there(s.dir);
	scratch_remove(&s);
}

static void set_note(const char *dir, const uint64_t *words)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/durable", dir);
	assert_int_equal(unlink(path), 0);
	int fd = words ? open(path, O_WRONLY | O_CREAT, 0600) : -1;
	if (words) {
		assert_int_equal(write(fd, words, 2 * sizeof(*words)), 2 * sizeof(*words));
		close(fd);
	}
}

/* The start says what is wrong and what to do, and changes nothing. */
static void is_refused(const char *dir, const char *advice)
{
	static char before[JOURNAL_MOST], after[JOURNAL_MOST];
	struct pb_error err;
	size_t n = read_file(dir, "journal", before);

	assert_int_equal(engine_bdb_open(options(dir, false), &engine, &err), PB_ECORRUPT);
	assert_non_null(strstr(err.text, dir));
	assert_non_null(strstr(err.text, "/journal is damaged"));
	assert_non_null(strstr(err.text, advice));
	assert_int_equal(read_file(dir, "journal", after), n);
	assert_memory_equal(before, after, n);
}

/* So many of the rows are there, and the last ones are not. */
static void many_are_there(const char *dir, unsigned want, const char *notice)
{
	struct engine_stats stats;
	struct pb_error err;
	char key[24];

	assert_int_equal(engine_bdb_open(options(dir, false), &engine, &err), 0);
	for (unsigned n = 0; n < MANY; n++) {
		PB_AUTOBUF(value);

		many_key(key, n);
		assert_int_equal(engine_get(engine, PB_STR("many"), pb_strz(key), &value, &err), n < want ? 0 : PB_ENOTFOUND);
	}
	engine_stats(engine, &stats);
	assert_true(*notice ? strstr(stats.notice, notice) != NULL : !*stats.notice);
	engine_close(engine);
}

static void frames_of_all_sizes_are_found(void **state)
{
	(void)state;
	struct pb_error err;
	struct scratch s;
	PB_AUTOBUF(want);
	char key[24];

	scratch_make(&s);
	assert_true(WIFSIGNALED(run_child(s.dir, "large", 0, 0, 0).status));
	roomy = true;
	assert_int_equal(engine_bdb_open(options(s.dir, false), &engine, &err), 0);
	for (unsigned n = 0; n < LARGE; n++) {
		PB_AUTOBUF(value);

		many_key(key, n);
		assert_int_equal(engine_get(engine, PB_STR("large"), pb_strz(key), &value, &err), 0);
		large_value(&want, n);
		assert_true(pb_str_eq(pb_buf_str(&value), pb_buf_str(&want)));
	}
	engine_close(engine);
	roomy = false;
	scratch_remove(&s);
}

static const uint64_t of_another_life[2] = { 77, ~77ull ^ 0x506f737462757301 };

/* The note knows that the last frame was whole. Without it nobody could tell it from one that a power cut tore. */
static void a_last_frame_that_is_damaged_is_told_by_its_note(void **state)
{
	(void)state;
	struct scratch s;

	scratch_make(&s);
	run_child(s.dir, "many", 0, 0, 0);
	damage(s.dir, "journal", PB_STR("row 029"));
	is_refused(s.dir, "move the file durable");
	set_note(s.dir, NULL);
	many_are_there(s.dir, MANY - 1, "");
	scratch_remove(&s);
}

static void a_torn_last_frame_ends_the_journal(void **state)
{
	(void)state;
	struct scratch s;

	scratch_make(&s);
	run_child(s.dir, "many", 0, 0, 0);
	damage(s.dir, "journal", PB_STR("row 029"));
	set_note(s.dir, of_another_life);
	many_are_there(s.dir, MANY - 1, "");
	scratch_remove(&s);
}

/* Frames behind it say that it was whole, whatever the note says. */
static void an_early_frame_that_is_damaged_is_told(void **state)
{
	(void)state;
	struct scratch s;

	for (unsigned i = 0; i < 2; i++) {
		scratch_make(&s);
		run_child(s.dir, "many", 0, 0, 0);
		damage(s.dir, "journal", PB_STR("row 007"));
		if (i)
			set_note(s.dir, of_another_life);
		is_refused(s.dir, "move the file durable");
		is_refused(s.dir, i ? "frames 8 to 29 " : "frames 8 to 30 ");
		set_note(s.dir, NULL);
		many_are_there(s.dir, 7, "left out");
		many_are_there(s.dir, 7, "");
		scratch_remove(&s);
	}
}

static off_t newer_base(const char *dir)
{
	static char all[JOURNAL_MOST];

	read_file(dir, "journal", all);
	return le64_get(all + BASE + 20) > le64_get(all + 20) ? BASE : 0;
}

static void a_damaged_beginning_is_mended_or_told(void **state)
{
	(void)state;
	struct scratch s;

	scratch_make(&s);
	run_child(s.dir, "many", 0, 0, 0);
	damage_at(s.dir, "journal", newer_base(s.dir) + 40);
	many_are_there(s.dir, MANY, "");
	scratch_remove(&s);

	scratch_make(&s);
	run_child(s.dir, "many", 0, 0, 0);
	damage_at(s.dir, "journal", newer_base(s.dir) + 40);
	damage_at(s.dir, "journal", newer_base(s.dir) + BASE_AGAIN + 40);
	is_refused(s.dir, "move it away");
	char path[512];
	snprintf(path, sizeof(path), "%s/journal", s.dir);
	assert_int_equal(unlink(path), 0);
	many_are_there(s.dir, 0, "");
	scratch_remove(&s);
}

/* Bodies that are too large for the journal: what the last frame says of them may be more than the disk has, unless the note knows that its flush had ended. A note that
 * may be old, is not there, or is of another life of the journal counts nothing. */
static void without_its_note_the_last_flush_is_doubted(void **state)
{
	(void)state;
	struct engine_body *body;
	struct pb_error err;
	struct scratch s;

	for (unsigned i = 0; i < 3; i++) {
		scratch_make(&s);
		run_child(s.dir, "large-pair", 0, 0, 0);
		damage_first(s.dir, "seg/00000001.seg");
		if (i)
			set_note(s.dir, i == 1 ? NULL : of_another_life);
		assert_int_equal(engine_bdb_open(options(s.dir, false), &engine, &err), 0);
		assert_int_equal(open_row("first", &body), i ? PB_ENOTFOUND : PB_ECORRUPT);
		assert_int_equal(open_row("second", &body), i ? PB_ENOTFOUND : 0);
		if (!i)
			engine_body_close(body);
		engine_close(engine);
		scratch_remove(&s);
	}
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "child") && strstr(argv[3], "pair"))
		return child_pair(argv[2], *argv[3] == 'l');
	if (argc == 4 && !strcmp(argv[1], "child") && !strcmp(argv[3], "many"))
		return child_rows(argv[2], "many", MANY);
	roomy = argc == 4 && !strcmp(argv[3], "large");
	if (roomy)
		return child_rows(argv[2], "large", LARGE);
	hasty = argc == 4 && !strcmp(argv[3], "hasty");
	if (argc == 4 && !strcmp(argv[1], "child"))
		return child(argv[2], !strcmp(argv[3], "unsafe"));
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_acknowledged_survives_kill_9),
		cmocka_unit_test(what_was_acknowledged_survives_a_power_cut),
		cmocka_unit_test_teardown(checkpoints_at_any_time_survive_a_power_cut, slow_down),
		cmocka_unit_test(acknowledging_before_the_flush_is_caught),
		cmocka_unit_test(damage_after_a_death_is_mended_from_the_journal),
		cmocka_unit_test(frames_of_all_sizes_are_found),
		cmocka_unit_test(a_last_frame_that_is_damaged_is_told_by_its_note),
		cmocka_unit_test(a_torn_last_frame_ends_the_journal),
		cmocka_unit_test(an_early_frame_that_is_damaged_is_told),
		cmocka_unit_test(a_damaged_beginning_is_mended_or_told),
		cmocka_unit_test(without_its_note_the_last_flush_is_doubted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
