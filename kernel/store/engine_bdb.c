/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The engine on Berkeley DB and segment files: opening, closing, and the table of its operations. Each operation lives in the engine_bdb_* file of its kind.
 */
#include "kernel/store/engine_bdb.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the directory ---- */

static int make_dir(const char *dir, const char *below, struct pb_error *err)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s%s", dir, below);
	if (mkdir(path, 0700) && errno != EEXIST)
		return pb_fail_errno(err, errno, "making %s", path);
	return 0;
}

/* The store's name and format: written last when a store is made, so without it there is nothing yet. */
static int format_read(struct bdb *b, bool *ret_made, struct pb_error *err)
{
	char path[4096], text[64] = "";
	unsigned format;

	snprintf(path, sizeof(path), "%s/FORMAT", b->dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		*ret_made = false;
		return 0;
	}
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	int errnum = errno;
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return pb_fail_errno(err, errnum, "reading %s", path);
	if (sscanf(text, "postbus store %u", &format) != 1)
		return pb_fail(err, PB_ECORRUPT, "%s does not say that this is a store of Postbus", path);
	if (format > STORE_FORMAT)
		return pb_fail(err, PB_EINVALID, "the store in %s has format %u, and this program knows formats up to %d: use the newer program; nothing was changed",
			b->dir, format, STORE_FORMAT);
	*ret_made = true;
	return 0;
}

static int format_write(struct bdb *b, struct pb_error *err)
{
	char path[4096], fresh[4096 + 4], text[64];

	snprintf(path, sizeof(path), "%s/FORMAT", b->dir);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	uint64_t identity;
	pb_random(&identity, sizeof(identity));
	int n = snprintf(text, sizeof(text), "postbus store %d %016" PRIx64 "\n", STORE_FORMAT, identity);
	int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool good = fd >= 0 && write(fd, text, n) == n && fsync(fd) == 0;
	if (fd >= 0)
		good &= close(fd) == 0;
	good = good && rename(fresh, path) == 0;
	int dir = good ? open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	good = good && dir >= 0 && fsync(dir) == 0;
	int errnum = errno;
	if (dir >= 0)
		close(dir);
	return good ? 0 : pb_fail_errno(err, errnum, "writing %s", path);
}

/* A store without FORMAT: the leavings of a first start that did not end, or something that is not ours. */
static int clear_unmade(struct bdb *b, struct pb_error *err)
{
	uint64_t count;

	/* Bodies are only written to a store that was made. */
	for (uint32_t n = segments_last(&b->segments, &count); n; n--) {
		struct segment *g = segments_pin(&b->segments, n);
		struct record record;
		const char *map;

		if (!g)
			continue;
		bool body = !g->damaged && segment_map(&b->segments, g, &map, NULL) == 0 && record_at(map, g->size, n, SEGMENT_HEADER, &record);
		segment_unpin(&b->segments, g);
		if (body)
			return pb_fail(err, PB_ECORRUPT, "%s holds segments with bodies but no file FORMAT: it is not taken for a new store, nothing was changed", b->dir);
	}
	DIR *d = fdopendir(dup(b->db_dir));
	if (!d)
		return pb_fail_errno(err, errno, "reading %s/db", b->dir);
	rewinddir(d);
	for (struct dirent *at; (at = readdir(d));)
		if (at->d_name[0] != '.')
			unlinkat(b->db_dir, at->d_name, 0);
	closedir(d);
	char path[4096];
	snprintf(path, sizeof(path), "%s/journal", b->dir);
	if (unlink(path) && errno != ENOENT)
		return pb_fail_errno(err, errno, "removing %s", path);
	return 0;
}

/* ---- opening ---- */

static int open_journal(struct bdb *b, const struct engine_options *o, struct pb_error *err)
{
	int fd = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return pb_fail_errno(err, errno, "opening %s", b->dir);
	int r = journal_open(&b->journal, fd, b->dir, o->journal_bytes ? o->journal_bytes : 8 << 20, b->flush, err);
	close(fd);
	b->segments.news_max = b->journal.half / 4;
	if (!r) {
		bdb_durable_open(b);
		r = bdb_durable_check(b, err);
	}
	return r ? r : bdb_journal_bodies(b, err);
}

static int begin_journal(struct bdb *b, struct pb_error *err)
{
	int errnum = journal_begin(&b->journal);
	struct stat journal, segments;

	b->one_flush = journal_is_in_place(&b->journal) && fstat(b->journal.fd, &journal) == 0 && fstat(b->segments.dirfd, &segments) == 0 &&
		       journal.st_dev == segments.st_dev;
	return errnum ? pb_fail_errno(err, errnum, "beginning %s/journal", b->dir) : 0;
}

static int start(struct bdb *b, const struct engine_options *o, struct pb_error *err)
{
	char path[4096];
	bool made = false;
	int r = make_dir(b->dir, "", err);

	if (!r)
		r = format_read(b, &made, err);
	if (!r)
		r = make_dir(b->dir, "/db", err);
	if (!r)
		r = make_dir(b->dir, "/seg", err);
	if (r)
		return r;
	snprintf(path, sizeof(path), "%s/db", b->dir);
	b->db_dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->db_dir < 0)
		return pb_fail_errno(err, errno, "opening %s", path);
	snprintf(path, sizeof(path), "%s/seg", b->dir);
	/* An index that is lost is not replaced by an empty one. */
	if (made && (faccessat(b->db_dir, "rows.db", F_OK, 0) || faccessat(b->db_dir, "refs.db", F_OK, 0)))
		return pb_fail(err, PB_ECORRUPT, "%s/db has lost its rows.db or refs.db: restore a backup; nothing was changed", b->dir);
	r = segments_open(&b->segments, path, o->segment_bytes ? o->segment_bytes : 64 << 20, err);
	if (!r && !made)
		r = clear_unmade(b, err);
	if (!r)
		r = open_journal(b, o, err);
	if (!r)
		r = bdb_log_recover(b, err);
	/* What is read from here on may be in the system's memory only, and a batch must not become more durable than its bodies. */
	if (!r)
		r = segments_sync_from(&b->segments, b->sync_from, err);
	if (!r)
		r = bdb_env_open(b, err);
	/* From here on pages wait for the log, and once batches come from outside for the journal too. */
	atomic_store(&b->committer.durable_lsn, UINT64_MAX);
	if (!r)
		bdb_hook_add(b);
	if (!r)
		r = bdb_journal_batches(b, err);
	if (!r)
		r = bdb_bodies_resume(b, err);
	if (!r)
		r = begin_journal(b, err);
	if (!r && !made)
		r = format_write(b, err);
	if (!r)
		r = bdb_committer_start(b, err);
	if (!r) {
		b->served = true;
		bdb_log_trim(b);
		r = bdb_keeper_start(b, err);
	}
	return r;
}

/* Where all is well the index is closed and lies durably on the disk; with the segments nothing is left that the journal would be needed for. Where it is not
 * (a full disk), the journal stays as it is, and the next start applies it. */
static void close_journal(struct bdb *b, bool closed)
{
	size_t n;

	if (closed && b->served && !atomic_load(&b->committer.failed) && !segments_flush(&b->segments, fdatasync, &n) && !fsync(b->db_dir))
		journal_move_base(&b->journal, journal_place(&b->journal, true));
	journal_close(&b->journal);
}

/* Also for an engine that did not come to its end of opening. */
static void bdb_close(struct engine *e)
{
	struct bdb *b = bdb_of(e);

	bdb_keeper_stop(b);
	/* The last flush makes all tickets durable; then pages wait for the log only. After a failure the hook holds back to the end what the journal lacks. */
	bdb_committer_stop(b);
	if (!atomic_load(&b->committer.failed))
		atomic_store(&b->committer.durable_lsn, UINT64_MAX);
	bool closed = bdb_env_close(b) == 0;
	bdb_hook_remove(b);
	close_journal(b, closed);
	bdb_durable_close(b);
	segments_close(&b->segments);
	if (b->db_dir >= 0)
		close(b->db_dir);
	for (int i = 0; i < STRIPES; i++)
		pthread_mutex_destroy(&b->stripes[i]);
	bdb_heads_free(b);
	pthread_mutex_destroy(&b->care);
	pthread_mutex_destroy(&b->db_error_lock);
	pthread_mutex_destroy(&b->reserve_lock);
	pthread_mutex_destroy(&b->order);
	pthread_mutex_destroy(&b->home_lock);
	pthread_mutex_destroy(&b->log_files);
	pthread_mutex_destroy(&b->keeper_lock);
	pthread_cond_destroy(&b->keeper_work);
	free(b->dir);
	free(b);
}

static void bdb_stats(struct engine *e, struct engine_stats *ret)
{
	struct bdb *b = bdb_of(e);
	struct committer *c = &b->committer;
	DB_LOG_STAT *stat = NULL;

	pthread_mutex_lock(&c->lock);
	ret->flushes = c->flushes;
	snprintf(ret->why, sizeof(ret->why), "%s", c->why);
	pthread_mutex_unlock(&c->lock);
	ret->tickets = atomic_load(&c->issued);
	ret->bodies = atomic_load(&b->segments.bodies);
	ret->body_bytes = atomic_load(&b->segments.body_bytes);
	ret->bytes_written = atomic_load(&b->segments.bytes_written);
	segments_last(&b->segments, &ret->segments);
	ret->dead_bytes = segments_dead(&b->segments);
	pthread_mutex_lock(&b->journal.lock);
	ret->journal_bytes = b->journal.written;
	pthread_mutex_unlock(&b->journal.lock);
	ret->bytes_written += ret->journal_bytes;
	if (b->env->log_stat(b->env, &stat, 0) == 0) {
		ret->log_bytes = ((uint64_t)stat->st_w_mbytes << 20) + stat->st_w_bytes;
		ret->bytes_written += ret->log_bytes;
		free(stat);
	}
	ret->failed = atomic_load(&c->failed);
	ret->readonly = ret->failed || atomic_load(&b->full);
	snprintf(ret->notice, sizeof(ret->notice), "%s", b->notice);
}

static const struct engine_ops bdb_ops = {
	.name = "bdb",
	.apply = bdb_apply, .wait = bdb_wait, .durable = bdb_durable, .when_durable = bdb_when_durable,
	.head = bdb_head, .get = bdb_get, .scan = bdb_scan, .entities = bdb_entities,
	.body_write = bdb_body_write, .body_write_fd = bdb_body_write_fd, .body_discard = bdb_body_discard,
	.body_open = bdb_body_open, .body_close = bdb_body_close, .body_facts = bdb_body_facts,
	.drop = bdb_drop, .checkpoint = bdb_checkpoint, .backup = bdb_backup, .verify = bdb_verify, .compact = bdb_compact,
	.stats = bdb_stats, .close = bdb_close,
};

int engine_bdb_open(const struct engine_options *o, struct engine **ret, struct pb_error *err)
{
	struct bdb *b = pb_alloc(sizeof(*b));

	b->base.ops = &bdb_ops;
	b->dir = pb_str_dup(pb_strz(o->dir));
	b->db_dir = -1;
	b->segments.dirfd = -1;
	b->journal.fd = -1;
	b->flush = o->flush ? o->flush : fdatasync;
	b->cache_bytes = o->cache_bytes ? o->cache_bytes : 64 << 20;
	b->log_bytes = o->log_bytes ? o->log_bytes : 16 << 20;
	b->unsafe_ack = o->unsafe_ack;
	b->deadlock_first = o->deadlock_first;
	b->room = o->room;
	for (int i = 0; i < STRIPES; i++)
		pthread_mutex_init(&b->stripes[i], NULL);
	pthread_mutex_init(&b->care, NULL);
	pthread_mutex_init(&b->db_error_lock, NULL);
	pthread_mutex_init(&b->reserve_lock, NULL);
	pthread_mutex_init(&b->order, NULL);
	pthread_mutex_init(&b->home_lock, NULL);
	pthread_mutex_init(&b->log_files, NULL);
	pthread_mutex_init(&b->keeper_lock, NULL);
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&b->keeper_work, &attr);
	pthread_condattr_destroy(&attr);
	int r = start(b, o, err);
	if (r) {
		bdb_close(&b->base);
		return r;
	}
	*ret = &b->base;
	return 0;
}
