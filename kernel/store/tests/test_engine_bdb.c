/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The engine on Berkeley DB at moments that nobody meets by chance: a checkpoint that ends while a flush is on its way, a body that is still being written when its
 * segment is copied, a commit that fails, a journal with a hole. The test reaches inside to hold things there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "kernel/store/engine_bdb.h"
#include "kernel/store/tests/scratch.h"

enum { SEGMENT = 128 << 10, LARGE = 400000, ROW = 1000, FIRST = 300, MORE = 400 };

static struct engine *engine;
static struct pb_error err;
static struct scratch scratch;

static void row_key(char key[16], unsigned n)
{
	snprintf(key, 16, "%08u", n);
}

static engine_ticket put(const char *entity, unsigned n, const struct body_id *ref)
{
	static const char value[ROW] = "value";
	char key[16];
	engine_ticket ticket;

	row_key(key, n);
	struct engine_row row = { pb_strz(key), pb_str(value, sizeof(value)) };
	struct engine_batch b = { .entity = pb_strz(entity), .expect = ENGINE_ANY, .put = &row, .nput = 1, .ref = ref, .nref = ref != NULL };
	if (engine_apply(engine, &b, NULL, &ticket, &err))
		abort();
	return ticket;
}

static bool is_there(const char *entity, unsigned n)
{
	char key[16];
	PB_AUTOBUF(value);

	row_key(key, n);
	return engine_get(engine, pb_strz(entity), pb_strz(key), &value, &err) == 0;
}

/* ---- a checkpoint that ends while a flush is on its way ---- */

static atomic_bool held, inside, ended;
static _Atomic(pthread_t) at_it;
static sem_t let_go;

/* The journal's flush: done, but not over. */
static int slow_flush(int fd)
{
	int r = fdatasync(fd);

	if (atomic_load(&held)) {
		atomic_store(&at_it, pthread_self());
		atomic_store(&inside, true);
		while (sem_wait(&let_go))
			;
	}
	return r;
}

static void *wait_main(void *arg)
{
	struct pb_error own;

	engine_wait(engine, (engine_ticket)(uintptr_t)arg, &own);
	return NULL;
}

static void *checkpoint_main(void *arg)
{
	struct pb_error own;

	(void)arg;
	engine_checkpoint(engine, &own);
	atomic_store(&ended, true);
	return NULL;
}

/* Does somebody wait who has no ticket: a page, or the removal of log files? */
static bool any_lsn_waits(void)
{
	struct committer *c = &bdb_of(engine)->committer;
	bool any = false;

	pthread_mutex_lock(&c->lock);
	for (struct waiter *w = c->waiters; w; w = w->next)
		any |= !w->ticket;
	pthread_mutex_unlock(&c->lock);
	return any;
}

static uint64_t last_checkpoint(void)
{
	DB_ENV *env = bdb_of(engine)->env;
	DB_TXN_STAT *stat;

	if (env->txn_stat(env, &stat, 0))
		abort();
	uint64_t last = (uint64_t)stat->st_last_ckp.file << 32 | stat->st_last_ckp.offset;
	free(stat);
	return last;
}

static struct engine_options small_logs(bool slow)
{
	return (struct engine_options) { .dir = scratch.dir, .log_bytes = 256 << 10, .segment_bytes = 4 << 20, .flush = slow ? slow_flush : NULL };
}

/* The checkpoint waits for the flush of a page, and is written while the next flush holds a large body that its segment may not have. Then death. */
static void child(int tell)
{
	static char large[LARGE];
	struct engine_options o = small_logs(true);
	struct pb_str part = pb_str(large, sizeof(large));
	pthread_t threads[3];
	struct body_id id;
	engine_ticket ticket = 0;

	sem_init(&let_go, 0, 0);
	memset(large, 'B', sizeof(large));
	if (engine_bdb_open(&o, &engine, &err))
		abort();
	for (unsigned n = 0; n < FIRST; n++) {
		put("a", n, NULL);
		put("m", n, NULL);
		ticket = put("z", n, NULL);
	}
	engine_wait(engine, ticket, &err);
	engine_checkpoint(engine, &err);
	for (unsigned n = 0; n < MORE; n++)
		ticket = put("a", FIRST + n, NULL);
	engine_wait(engine, ticket, &err);

	uint64_t before = last_checkpoint();
	atomic_store(&held, true);
	pthread_create(&threads[0], NULL, wait_main, (void *)(uintptr_t)put("a", FIRST + MORE, NULL));
	while (!atomic_load(&inside))
		sched_yield();
	pthread_create(&threads[1], NULL, checkpoint_main, NULL);
	while (!any_lsn_waits())
		sched_yield();
	if (engine_body_write(engine, &part, 1, PB_NOSTR, &id, &err))
		abort();
	pthread_create(&threads[2], NULL, wait_main, (void *)(uintptr_t)put("z", FIRST, &id));
	atomic_store(&inside, false);
	sem_post(&let_go);
	while (!atomic_load(&inside) || last_checkpoint() == before)
		sched_yield();
	/* Its end, or that it waits for this flush, or that it makes it. */
	while (!atomic_load(&ended) && !any_lsn_waits() && !pthread_equal(atomic_load(&at_it), threads[1]))
		sched_yield();
	if (write(tell, &id, sizeof(id)) != sizeof(id))
		abort();
	kill(getpid(), SIGKILL);
}

/* What a power cut does to a segment that was not flushed. */
static void lose(const struct body_id *id)
{
	static const char zeros[LARGE];
	char path[320];

	snprintf(path, sizeof(path), "%s/seg/%08u.seg", scratch.dir, id->segment);
	int fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, zeros, sizeof(zeros), id->offset + RECORD_HEADER), sizeof(zeros));
	close(fd);
}

static void a_checkpoint_that_a_start_cuts_off_took_no_log_files_with_it(void **state)
{
	(void)state;
	struct engine_options o = small_logs(false);
	struct engine_stats stats;
	struct body_id id;
	int pipes[2], status;

	assert_int_equal(pipe(pipes), 0);
	pid_t pid = fork();
	if (pid == 0) {
		child(pipes[1]);
		_exit(1);
	}
	close(pipes[1]);
	assert_int_equal(read(pipes[0], &id, sizeof(id)), sizeof(id));
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	lose(&id);
	if (engine_bdb_open(&o, &engine, &err))
		fail_msg("%s", err.text);
	engine_stats(engine, &stats);
	assert_non_null(strstr(stats.notice, "the log was cut"));
	for (unsigned n = 0; n < FIRST; n++)
		assert_true(is_there("a", n) && is_there("m", n) && is_there("z", n));
	for (unsigned n = FIRST; n < FIRST + MORE; n++)
		assert_true(is_there("a", n));
	assert_false(is_there("z", FIRST));
	engine_close(engine);
}

/* ---- a body that is still being written when its segment is copied ---- */

static void a_full_segment_is_copied_again_when_its_last_body_is_there(void **state)
{
	(void)state;
	static char bytes[SEGMENT - SEGMENT_HEADER - RECORD_HEADER];
	char store[280], copy[280];
	const struct engine_options o = { .dir = store, .segment_bytes = SEGMENT }, of_copy = { .dir = copy, .segment_bytes = SEGMENT };
	struct pb_str part = pb_str(bytes, sizeof(bytes));
	struct engine_body *body;
	struct segment *g;
	struct body_id id;

	memset(bytes, 'x', sizeof(bytes));
	snprintf(store, sizeof(store), "%s/store", scratch.dir);
	snprintf(copy, sizeof(copy), "%s/copy", scratch.dir);
	assert_int_equal(engine_bdb_open(&o, &engine, &err), 0);
	struct bdb *b = bdb_of(engine);
	assert_int_equal(segment_take(&b->segments, sizeof(bytes), 0, &g, &id, &err), 0);
	assert_int_equal(g->used, g->size);
	assert_int_equal(engine_backup(engine, copy, &err), 0);
	assert_int_equal(segment_write(&b->segments, g, &id, pb_crc32c(0, bytes, sizeof(bytes)), &part, 1, &err), 0);
	bdb_set_fresh(b, &id, true);
	segment_unpin(&b->segments, g);
	assert_int_equal(engine_wait(engine, put("a", 1, &id), &err), 0);
	assert_int_equal(engine_backup(engine, copy, &err), 0);
	engine_close(engine);

	assert_int_equal(engine_bdb_open(&of_copy, &engine, &err), 0);
	assert_true(is_there("a", 1));
	if (engine_body_open(engine, &id, &body, &err))
		fail_msg("%s", err.text);
	assert_true(pb_str_eq(engine_body_bytes(body), part));
	engine_body_close(body);
	engine_close(engine);
}

/* ---- a commit that fails ---- */

static int (*real_begin)(DB_ENV *env, DB_TXN *parent, DB_TXN **ret, u_int32_t flags);
static bool armed;
static pthread_t flusher;
static engine_ticket flushed;

static void *flush_main(void *arg)
{
	(void)arg;
	struct pb_error own;
	engine_wait(engine, flushed, &own);
	atomic_store(&ended, true);
	return NULL;
}

/* While it fails, somebody else makes a flush: it takes what was journaled as soon as this is over. */
static int failing_commit(DB_TXN *txn, u_int32_t flags)
{
	struct committer *c = &bdb_of(engine)->committer;

	(void)flags;
	assert_int_equal(pthread_create(&flusher, NULL, flush_main, NULL), 0);
	for (bool flushing = false; !flushing && !atomic_load(&ended); sched_yield()) {
		pthread_mutex_lock(&c->lock);
		flushing = c->flushing;
		pthread_mutex_unlock(&c->lock);
	}
	txn->abort(txn);
	return EIO;
}

static int begin(DB_ENV *env, DB_TXN *parent, DB_TXN **ret, u_int32_t flags)
{
	int r = real_begin(env, parent, ret, flags);

	if (!r && armed)
		(*ret)->commit = failing_commit;
	return r;
}

static void what_was_not_committed_does_not_come_back(void **state)
{
	(void)state;
	const struct engine_options o = { .dir = scratch.dir };
	struct engine_row row = { PB_STR("00000002"), PB_STR("value") };
	struct engine_batch b = { .entity = PB_STR("a"), .expect = ENGINE_ANY, .put = &row, .nput = 1 };

	atomic_store(&ended, false);
	assert_int_equal(engine_bdb_open(&o, &engine, &err), 0);
	assert_int_equal(engine_wait(engine, put("a", 0, NULL), &err), 0);
	DB_ENV *env = bdb_of(engine)->env;
	real_begin = env->txn_begin;
	env->txn_begin = begin;
	flushed = put("b", 1, NULL);
	armed = true;
	assert_int_not_equal(engine_apply(engine, &b, NULL, NULL, &err), 0);
	armed = false;
	pthread_join(flusher, NULL);
	engine_close(engine);

	assert_int_equal(engine_bdb_open(&o, &engine, &err), 0);
	assert_true(is_there("a", 0));
	assert_false(is_there("a", 2));
	engine_close(engine);
}

/* ---- a journal with a hole ---- */

/* The flush of another file keeps what is written into blocks that are there; those of a hole only the journal's own does. */
static void a_journal_with_a_hole_is_flushed_itself(void **state)
{
	(void)state;
	const struct engine_options o = { .dir = scratch.dir };
	char path[300];

	assert_int_equal(engine_bdb_open(&o, &engine, &err), 0);
	assert_int_equal(engine_wait(engine, put("a", 1, NULL), &err), 0);
	bool elsewhere = bdb_of(engine)->journal.rest_fd >= 0;
	engine_close(engine);
	if (!elsewhere)
		skip();			/* another file system, or an older kernel */
	snprintf(path, sizeof(path), "%s/journal", scratch.dir);
	int fd = open(path, O_RDWR);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1 << 20, 8192), 0);
	close(fd);
	assert_int_equal(engine_bdb_open(&o, &engine, &err), 0);
	assert_int_equal(bdb_of(engine)->journal.rest_fd, -1);
	assert_int_equal(engine_wait(engine, put("a", 2, NULL), &err), 0);
	engine_close(engine);
	assert_int_equal(engine_bdb_open(&o, &engine, &err), 0);
	assert_true(is_there("a", 1) && is_there("a", 2));
	engine_close(engine);
}

/* ---- what a flush writes ---- */

/* How many files of the block of inodes that `st` lies in are held by mappings. */
static int neighbours_of(const struct stat *st)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[4096];
	int n = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof line, maps)) {
		unsigned long ino;
		if (sscanf(line, "%*s %*s %*s %*s %lu", &ino) == 1 && ino != st->st_ino && (ino - 1) / 16 == (st->st_ino - 1) / 16)
			n++;
	}
	fclose(maps);
	return n;
}

/*
 * ext4 without a journal writes an inode's block with its file's flush: nobody else's inode may lie in it. Whether a whole block is to be had is up to who else makes
 * files meanwhile, so there are a few attempts.
 */
static void the_file_that_is_flushed_shares_its_inodes_block_with_no_file_of_others(void **state)
{
	(void)state;
	const struct engine_options o = { .dir = scratch.dir };
	struct stat own, other;
	char path[4096];
	int neighbours = 0;

	for (int i = 0; i < 20 && neighbours < 15; i++) {
		if (i)
			engine_close(engine);
		assert_int_equal(engine_bdb_open(&o, &engine, &err), 0);
		int fd = bdb_of(engine)->journal.rest_fd;
		if (fd < 0) {
			engine_close(engine);
			skip();
		}
		assert_int_equal(fstat(fd, &own), 0);
		neighbours = neighbours_of(&own);
	}
	for (int i = 0; i < 64; i++) {
		snprintf(path, sizeof path, "%s/other%d", scratch.dir, i);
		int made = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		assert_int_equal(fstat(made, &other), 0);
		close(made);
		if (neighbours == 15)
			assert_int_not_equal((own.st_ino - 1) / 16, (other.st_ino - 1) / 16);
	}
	engine_close(engine);
	if (neighbours < 15)
		skip();			/* a file system without a whole block */
}

static atomic_int nflushes;

static int count_flush(int fd)
{
	atomic_fetch_add(&nflushes, 1);
	return fdatasync(fd);
}

/* In their segment, whose flush keeps the frame too. */
static void bodies_that_come_together_are_written_once_and_take_one_flush_as_a_lone_one_does(void **state)
{
	(void)state;
	enum { BODIES = 8 };
	const struct engine_options o = { .dir = scratch.dir, .flush = count_flush };
	static const char text[4096] = "a body";
	struct pb_str part = pb_str(text, sizeof text);
	struct engine_row rows[BODIES];
	struct body_id ids[BODIES];
	struct engine_stats before, after;
	char keys[BODIES][16];
	engine_ticket ticket;

	assert_int_equal(engine_bdb_open(&o, &engine, &err), 0);
	if (!bdb_of(engine)->one_flush) {
		engine_close(engine);
		skip();
	}
	for (int i = 0; i < BODIES; i++) {
		assert_int_equal(engine_body_write(engine, &part, 1, PB_NOSTR, &ids[i], &err), 0);
		snprintf(keys[i], sizeof keys[i], "row%d", i);
		rows[i] = (struct engine_row) { pb_strz(keys[i]), pb_str((char *)&ids[i], sizeof ids[i]) };
	}
	struct engine_batch b = { .entity = PB_STR("a"), .expect = ENGINE_ANY, .put = rows, .nput = BODIES, .ref = ids, .nref = BODIES };
	engine_stats(engine, &before);
	int flushed_before = atomic_load(&nflushes);
	assert_int_equal(engine_apply(engine, &b, NULL, &ticket, &err), 0);
	assert_int_equal(engine_wait(engine, ticket, &err), 0);
	assert_int_equal(atomic_load(&nflushes) - flushed_before, 1);
	engine_stats(engine, &after);
	assert_true(after.journal_bytes - before.journal_bytes < sizeof text);
	/* A lone one goes into the frame, packed where that is shorter. */
	for (int packs = 0; packs < 2; packs++) {
		static unsigned char noise[4096];

		part = pb_str(packs ? text : (char *)noise, sizeof text);
		pb_random(noise, sizeof noise);
		flushed_before = atomic_load(&nflushes);
		engine_stats(engine, &before);
		assert_int_equal(engine_body_write(engine, &part, 1, PB_NOSTR, &ids[0], &err), 0);
		b = (struct engine_batch) { .entity = PB_STR("a"), .expect = ENGINE_ANY, .put = rows, .nput = 1, .ref = ids, .nref = 1 };
		assert_int_equal(engine_apply(engine, &b, NULL, &ticket, &err), 0);
		assert_int_equal(engine_wait(engine, ticket, &err), 0);
		assert_int_equal(atomic_load(&nflushes) - flushed_before, 1);
		engine_stats(engine, &after);
		assert_true(packs ? after.journal_bytes - before.journal_bytes < 2048 : after.journal_bytes - before.journal_bytes > sizeof text);
	}
	engine_close(engine);
}

static int setup(void **state)
{
	(void)state;
	scratch_make(&scratch);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	scratch_remove(&scratch);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_checkpoint_that_a_start_cuts_off_took_no_log_files_with_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_segment_is_copied_again_when_its_last_body_is_there, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_not_committed_does_not_come_back, setup, teardown),
		cmocka_unit_test_setup_teardown(a_journal_with_a_hole_is_flushed_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(the_file_that_is_flushed_shares_its_inodes_block_with_no_file_of_others, setup, teardown),
		cmocka_unit_test_setup_teardown(bodies_that_come_together_are_written_once_and_take_one_flush_as_a_lone_one_does, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
