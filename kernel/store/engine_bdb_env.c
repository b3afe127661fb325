/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The Berkeley DB environment: its settings, the start, checkpoints, room on the disk, and the rule that no page gets ahead of the flush.
 * What a crash left of the log is engine_bdb_recover.c's.
 */
#include "kernel/store/engine_bdb.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

/* The log is written when its buffer is full, before pages that need it, and when the journal is brought home. */
enum { LOG_BUFFER = 4 << 20, CHECKPOINT_KIB = 48 << 10, CHECKPOINT_MINUTES = 1, KEEPER_SECONDS = 1 };

int bdb_fail(struct bdb *b, struct pb_error *err, int r, const char *fmt, ...)
{
	char what[160];
	va_list ap;
	int code;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	switch (r) {
	case DB_NOTFOUND:
		code = PB_ENOTFOUND;
		break;
	case DB_LOCK_DEADLOCK:
	case DB_LOCK_NOTGRANTED:
		code = PB_EBUSY;
		break;
	case DB_PAGE_NOTFOUND:
	case DB_CHKSUM_FAIL:
	case DB_VERIFY_BAD:
		code = PB_ECORRUPT;
		break;
	case ENOSPC:
	case EDQUOT:
		code = PB_EFULL;
		break;
	default:
		code = PB_EINTERNAL;
	}
	pthread_mutex_lock(&b->db_error_lock);
	int ret = pb_fail(err, code, "%s in %s: %s%s%s", what, b->dir, db_strerror(r), *b->db_error ? "; " : "", b->db_error);
	*b->db_error = 0;
	pthread_mutex_unlock(&b->db_error_lock);
	if (r == DB_RUNRECOVERY && b->committer.running)
		bdb_set_failed(b, err ? err->text : what);
	return ret;
}

static void db_says(const DB_ENV *env, const char *prefix, const char *message)
{
	struct bdb *b = env->app_private;

	(void)prefix;
	pthread_mutex_lock(&b->db_error_lock);
	/* The first words are about the cause, the later ones about what came of it. */
	if (!*b->db_error)
		snprintf(b->db_error, sizeof(b->db_error), "%s", message);
	pthread_mutex_unlock(&b->db_error_lock);
}

/* Our own records in the log are not for Berkeley DB's recovery. */
static int skip_record(DB_ENV *env, DBT *record, DB_LSN *lsn, db_recops op)
{
	(void)env;
	(void)record;
	(void)lsn;
	(void)op;
	return 0;
}

/* ---- pages behind the flush ---- */

static pthread_rwlock_t hooked_lock = PTHREAD_RWLOCK_INITIALIZER;
static struct bdb *hooked;

/* After a refusal Berkeley DB tries the same bytes again with write(), which nothing guards: so its descriptor loses the right to write. */
static void take_right_to_write(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int only = open(path, O_RDONLY | O_CLOEXEC);
	if (only < 0 || dup3(only, fd, O_CLOEXEC) < 0)
		abort();	/* a start recovers from anything but that page on the disk */
	close(only);
}

/* A page's first eight bytes are the LSN of its last change. Journal and log must hold all up to there: a page on the disk whose batch is cut off the log by
 * the next start could not be taken back. Berkeley DB flushed the log before, or failed to and writes the page nevertheless when it is closed. */
static bool may_be_written(struct bdb *b, const void *page)
{
	uint32_t words[2];

	memcpy(words, page, sizeof(words));
	DB_LSN lsn = { words[0], words[1] };
	/* No file: a page that no record is about. */
	if (!lsn.file)
		return true;
	return bdb_wait_lsn(b, (uint64_t)lsn.file << 32 | lsn.offset) == 0 && b->env->log_flush(b->env, &lsn) == 0 && bdb_keep_log(b, lsn.file) == 0;
}

static ssize_t guarded_pwrite(int fd, const void *bytes, size_t n, off_t at)
{
	struct stat st;
	struct bdb *b;

	if (n < sizeof(DB_LSN) || fstat(fd, &st))
		return pwrite(fd, bytes, n, at);
	pthread_rwlock_rdlock(&hooked_lock);
	for (b = hooked; b; b = b->next)
		if ((b->files[0].device == st.st_dev && b->files[0].inode == st.st_ino) || (b->files[1].device == st.st_dev && b->files[1].inode == st.st_ino))
			break;
	pthread_rwlock_unlock(&hooked_lock);
	/* An engine that is being closed writes its pages before it leaves the list, so it is still there. */
	if (b && !may_be_written(b, bytes)) {
		take_right_to_write(fd);
		errno = EIO;
		return -1;
	}
	return pwrite(fd, bytes, n, at);
}

static void set_hook(void)
{
	db_env_set_func_pwrite(guarded_pwrite);
}

static int identify(struct bdb *b, const char *name, int i)
{
	struct stat st;

	if (fstatat(b->db_dir, name, &st, 0))
		return errno;
	b->files[i].device = st.st_dev;
	b->files[i].inode = st.st_ino;
	return 0;
}

void bdb_hook_add(struct bdb *b)
{
	pthread_rwlock_wrlock(&hooked_lock);
	b->next = hooked;
	hooked = b;
	pthread_rwlock_unlock(&hooked_lock);
}

void bdb_hook_remove(struct bdb *b)
{
	pthread_rwlock_wrlock(&hooked_lock);
	for (struct bdb **at = &hooked; *at; at = &(*at)->next)
		if (*at == b) {
			*at = b->next;
			break;
		}
	pthread_rwlock_unlock(&hooked_lock);
}

/* ---- opening ---- */

static int settings(struct bdb *b)
{
	DB_ENV *env = b->env;
	int r = env->set_cachesize(env, b->cache_bytes >> 30, b->cache_bytes & ((1 << 30) - 1), 1);

	env->app_private = b;
	env->set_errcall(env, db_says);
	r = r ? r : env->set_app_dispatch(env, skip_record);
	r = r ? r : env->set_lg_bsize(env, LOG_BUFFER < b->log_bytes ? LOG_BUFFER : b->log_bytes);
	r = r ? r : env->set_lg_max(env, b->log_bytes);
	r = r ? r : env->set_flags(env, DB_TXN_NOSYNC, 1);
	r = r ? r : env->set_lk_detect(env, DB_LOCK_MINWRITE);
	r = r ? r : env->set_lk_max_locks(env, 200000);
	r = r ? r : env->set_lk_max_objects(env, 200000);
	r = r ? r : env->set_lk_tablesize(env, 16381);	/* not a place for each that may be held: all are made at each start */
	r = r ? r : env->set_lk_max_lockers(env, 10000);
	r = r ? r : env->set_tx_max(env, 4096);
	return r;
}

static int open_db(struct bdb *b, const char *name, DB **ret)
{
	int r = db_create(ret, b->env, 0);

	if (r)
		return r;
	DB *db = *ret;
	r = db->set_pagesize(db, 4096);
	r = r ? r : db->set_flags(db, DB_CHKSUM);
	return r ? r : db->open(db, NULL, name, NULL, DB_BTREE, DB_CREATE | DB_THREAD | DB_AUTO_COMMIT, 0600);
}

/* What the cache has room for comes in now, in large pieces, instead of page by page when somebody waits for it. Only a hint. */
static void read_ahead(struct bdb *b, const char *name)
{
	int fd = openat(b->db_dir, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	posix_fadvise(fd, 0, (off_t)b->cache_bytes, POSIX_FADV_WILLNEED);
	close(fd);
}

int bdb_env_open(struct bdb *b, struct pb_error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	char home[4096];

	pthread_once(&once, set_hook);
	snprintf(home, sizeof(home), "%s/reserve", b->dir);
	b->reserve = access(home, F_OK) == 0;
	bdb_has_room(b);			/* recovery writes too: on a full disk it gets the reserve */
	snprintf(home, sizeof(home), "%s/db", b->dir);
	int r = db_env_create(&b->env, 0);
	if (r) {
		b->env = NULL;
		return bdb_fail(b, err, r, "making an environment");
	}
	read_ahead(b, "rows.db");
	read_ahead(b, "refs.db");
	r = settings(b);
	if (!r)
		r = b->env->open(b->env, home, DB_CREATE | DB_PRIVATE | DB_THREAD | DB_RECOVER | DB_INIT_LOCK | DB_INIT_LOG | DB_INIT_MPOOL | DB_INIT_TXN, 0600);
	if (!r)
		r = open_db(b, "rows.db", &b->rows);
	if (!r)
		r = open_db(b, "refs.db", &b->refs);
	if (!r)
		r = identify(b, "rows.db", 0);
	if (!r)
		r = identify(b, "refs.db", 1);
	if (!r)
		r = b->env->txn_checkpoint(b->env, 0, 0, DB_FORCE);
	if (!r && fsync(b->db_dir))
		r = errno;
	return r ? bdb_fail(b, err, r, "opening") : 0;
}

int bdb_env_close(struct bdb *b)
{
	bool healthy = !atomic_load(&b->committer.failed);
	int r = 0, one;

	/* The log first, by a call that says whether it came to the disk: what follows writes pages. */
	if (b->env && b->rows && b->refs && healthy)
		r = b->env->log_flush(b->env, NULL);
	if (b->env && b->rows && b->refs && healthy && !r)
		r = b->env->txn_checkpoint(b->env, 0, 0, 0);
	healthy = healthy && !r;
	if (b->refs) {
		one = b->refs->close(b->refs, healthy ? 0 : DB_NOSYNC);
		r = r ? r : one;
	}
	if (b->rows) {
		one = b->rows->close(b->rows, healthy ? 0 : DB_NOSYNC);
		r = r ? r : one;
	}
	if (b->env) {
		one = b->env->close(b->env, 0);
		r = r ? r : one;
	}
	b->env = NULL;
	return r;
}

/* ---- care while it runs ---- */

int bdb_checkpoint(struct engine *e, struct pb_error *err)
{
	struct bdb *b = bdb_of(e);
	int r = bdb_failed(b, err);

	if (r)
		return r;
	r = b->env->txn_checkpoint(b->env, 0, 0, 0);
	if (r)
		return bdb_fail(b, err, r, "writing a checkpoint");
	bdb_log_trim(b);
	return bdb_failed(b, err);
}

static void *keeper_main(void *arg)
{
	struct bdb *b = arg;

	pthread_mutex_lock(&b->keeper_lock);
	while (!b->keeper_stop) {
		struct timespec due;

		clock_gettime(CLOCK_MONOTONIC, &due);
		due.tv_sec += KEEPER_SECONDS;
		if (!journal_is_behind(&b->journal) || atomic_load(&b->committer.failed))
			pthread_cond_timedwait(&b->keeper_work, &b->keeper_lock, &due);
		if (b->keeper_stop)
			break;
		pthread_mutex_unlock(&b->keeper_lock);
		/* Errors come back at whoever needs the segment or the log next; a full disk may have room again by then. */
		if (!atomic_load(&b->committer.failed)) {
			bdb_has_room(b);
			if (!atomic_load(&b->full))
				segments_prepare(&b->segments, NULL);
			bdb_bring_home(b, false);
			/* On a full disk removals live on log files that a checkpoint lets go. */
			int r = b->env->txn_checkpoint(b->env, atomic_load(&b->full) ? b->log_bytes >> 11 : CHECKPOINT_KIB, CHECKPOINT_MINUTES, 0);
			if (r == DB_RUNRECOVERY)
				bdb_set_failed(b, db_strerror(r));
			if (!r)
				bdb_log_trim(b);
		}
		pthread_mutex_lock(&b->keeper_lock);
	}
	pthread_mutex_unlock(&b->keeper_lock);
	return NULL;
}

int bdb_keeper_start(struct bdb *b, struct pb_error *err)
{
	int errnum = pthread_create(&b->keeper, NULL, keeper_main, b);
	b->keeper_running = !errnum;
	return errnum ? pb_fail_errno(err, errnum, "starting the keeper of %s", b->dir) : 0;
}

void bdb_keeper_stop(struct bdb *b)
{
	if (!b->keeper_running)
		return;
	pthread_mutex_lock(&b->keeper_lock);
	b->keeper_stop = true;
	pthread_cond_signal(&b->keeper_work);
	pthread_mutex_unlock(&b->keeper_lock);
	pthread_join(b->keeper, NULL);
	b->keeper_running = false;
}

/* ---- room ---- */

enum { ROOM_EVERY_MS = 100 };

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static uint64_t free_bytes(struct bdb *b)
{
	struct statvfs st;

	if (b->room)
		return b->room(b->dir);
	return statvfs(b->dir, &st) ? UINT64_MAX : (uint64_t)st.f_bavail * st.f_frsize;
}

/* The reserve is what removals, checkpoints and log files live on when others filled the disk. Callers hold reserve_lock. */
static void reserve_set(struct bdb *b, bool on)
{
	char path[4096];

	if (b->reserve == on)
		return;
	snprintf(path, sizeof(path), "%s/reserve", b->dir);
	if (on) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

		on = fd >= 0 && posix_fallocate(fd, 0, 2 * b->log_bytes) == 0;
		if (fd >= 0)
			close(fd);
	}
	if (!on)
		unlink(path);
	b->reserve = on;
}

bool bdb_has_room(struct bdb *b)
{
	uint64_t now = now_ms(), checked = atomic_load(&b->room_checked);

	if (now - checked < ROOM_EVERY_MS && checked)
		return !atomic_load(&b->full);
	if (!atomic_compare_exchange_strong(&b->room_checked, &checked, now))
		return !atomic_load(&b->full);
	/* Below four log files nothing is taken any more; below one the reserve is given up. To take again there must be room for the reserve besides. */
	uint64_t room = free_bytes(b), low = 4 * b->log_bytes;
	pthread_mutex_lock(&b->reserve_lock);
	if (room < b->log_bytes)
		reserve_set(b, false);
	else if (room > low + 3 * b->log_bytes)
		reserve_set(b, true);
	atomic_store(&b->full, room < low || (atomic_load(&b->full) && room < low + b->log_bytes));
	pthread_mutex_unlock(&b->reserve_lock);
	return !atomic_load(&b->full);
}
