/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a crash left of the log: read from its end back to the last flush that is known to have ended, test the bodies that later batches brought, and cut the
 * log before the first batch whose body did not reach the disk. What stays is a prefix of the batches; Berkeley DB's own recovery then runs on it, and what was
 * cut and had been acknowledged is applied again from the journal.
 */
#include "kernel/store/engine_bdb.h"

#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOG_HEAD = 16, MARK_BODY = 24, FLUSH_RECORD = 28 };	/* of our records: what Berkeley DB wants in front */

static uint32_t type_of(const DBT *record)
{
	uint32_t type = 0;

	if (record->size >= LOG_HEAD)
		memcpy(&type, record->data, sizeof(type));
	return type;
}

bool bdb_body_whole(struct bdb *b, const struct body_id *id)
{
	struct segment *g = segments_pin(&b->segments, id->segment);
	struct record r;
	const char *map;

	if (!g)
		return false;
	bool whole = !g->damaged && segment_map(&b->segments, g, &map, NULL) == 0 && record_at(map, g->size, g->number, id->offset, &r) && r.random == id->random &&
		     r.size == id->size && record_body_good(map, &r);
	segment_unpin(&b->segments, g);
	return whole;
}

/* Did every body that this mark names reach its segment whole? */
static bool mark_good(struct bdb *b, const DBT *record)
{
	const char *at = (const char *)record->data + LOG_HEAD;
	bool good = (record->size - LOG_HEAD) % MARK_BODY == 0;

	for (size_t left = record->size - LOG_HEAD; good && left; left -= MARK_BODY, at += MARK_BODY) {
		struct body_id id = { .segment = le32_get(at), .random = le32_get(at + 4), .offset = le64_get(at + 8), .size = le64_get(at + 16) };

		good = bdb_body_whole(b, &id);
	}
	return good;
}

/* The log's last flush record says up to where everything was durable; 0 where there is none. */
static int last_flush(struct bdb *b, DB_LOGC *c, DB_LSN *ret)
{
	DBT record = { .flags = DB_DBT_REALLOC };
	DB_LSN lsn;
	int r;

	*ret = (DB_LSN) { 0, 0 };
	for (r = c->get(c, &lsn, &record, DB_LAST); !r; r = c->get(c, &lsn, &record, DB_PREV))
		if (type_of(&record) == LOG_FLUSH && record.size >= FLUSH_RECORD) {
			uint64_t durable = le64_get((char *)record.data + LOG_HEAD);

			*ret = (DB_LSN) { durable >> 32, (uint32_t)durable };
			b->sync_from = le32_get((char *)record.data + LOG_HEAD + 8);
			break;
		}
	free(record.data);
	return r == DB_NOTFOUND ? 0 : r;
}

/* From there on: the first mark that is not good. *ret stays as it is where all are. */
static int first_broken(struct bdb *b, DB_LOGC *c, DB_LSN from, DB_LSN *ret, bool *ret_broken)
{
	DBT record = { .flags = DB_DBT_REALLOC };
	DB_LSN lsn = from;
	int r = from.file ? c->get(c, &lsn, &record, DB_SET) : DB_NOTFOUND;

	/* In a store that an earlier program wrote, the file it lay in may be gone. */
	if (r)
		r = c->get(c, &lsn, &record, DB_FIRST);
	*ret_broken = false;
	for (; !r; r = c->get(c, &lsn, &record, DB_NEXT))
		if (type_of(&record) == LOG_MARK && !mark_good(b, &record)) {
			*ret = lsn;
			*ret_broken = true;
			break;
		}
	free(record.data);
	return r == DB_NOTFOUND ? 0 : r;
}

/* Where the log ends as far as its checks say, and before which record it is to be cut. */
static int find_end(struct bdb *b, const char *home, DB_LSN *ret, bool *ret_broken)
{
	DB_ENV *env;
	DB_LOGC *c = NULL;
	DB_LOG_STAT *stat = NULL;
	DB_LSN durable;
	int r = db_env_create(&env, 0);

	if (r)
		return r;
	env->set_errfile(env, NULL);
	env->set_errcall(env, NULL);
	/* An environment of nothing but the log, in memory: it writes nothing. */
	r = env->open(env, home, DB_CREATE | DB_PRIVATE | DB_INIT_LOG, 0600);
	if (!r)
		r = env->log_stat(env, &stat, 0);
	if (!r) {
		*ret = (DB_LSN) { stat->st_cur_file, stat->st_cur_offset };
		r = env->log_cursor(env, &c, 0);
	}
	if (!r)
		r = last_flush(b, c, &durable);
	if (!r)
		r = first_broken(b, c, durable, ret, ret_broken);
	if (c)
		c->close(c, 0);
	free(stat);
	int r2 = env->close(env, 0);
	return r ? r : r2;
}

/* ---- log files ---- */

static uint32_t log_number(const char *name)
{
	uint32_t n;
	int end = 0;

	return sscanf(name, "log.%10" SCNu32 "%n", &n, &end) == 1 && end == 14 && !name[end] ? n : 0;
}

/* 0: there is none. */
static uint32_t newest_log(struct bdb *b)
{
	DIR *d = fdopendir(dup(b->db_dir));
	uint32_t newest = 0;

	if (!d)
		return 0;
	rewinddir(d);
	for (struct dirent *at; (at = readdir(d));) {
		uint32_t n = log_number(at->d_name);

		if (n > newest)
			newest = n;
	}
	closedir(d);
	return newest;
}

static void log_name(uint32_t number, char ret[32])
{
	snprintf(ret, 32, "log.%010" PRIu32, number);
}

/* One at a time for good, so that none that stays, or comes back after a power cut, has a gap before it. */
static int remove_log(struct bdb *b, const char *name)
{
	return (unlinkat(b->db_dir, name, 0) && errno != ENOENT) || fsync(b->db_dir) ? errno : 0;
}

/* Nothing behind the end may ever be taken for a record again. */
static int cut(struct bdb *b, DB_LSN end)
{
	char name[32];
	struct stat st;

	for (uint32_t newest; (newest = newest_log(b)) > end.file;) {
		log_name(newest, name);
		int errnum = remove_log(b, name);
		if (errnum)
			return errnum;
	}
	log_name(end.file, name);
	int fd = openat(b->db_dir, name, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : errno;
	int errnum = fstat(fd, &st) || (st.st_size > end.offset && ftruncate(fd, end.offset)) || fdatasync(fd) ? errno : 0;
	close(fd);
	return errnum;
}

/* A log file that was made just before the power went may have no readable beginning; then nothing in it was ever flushed. It is set aside, not removed. */
static bool set_aside(struct bdb *b)
{
	uint32_t newest = newest_log(b);
	char name[32], aside[48];

	if (newest < 2)
		return false;
	log_name(newest, name);
	snprintf(aside, sizeof(aside), "damaged-%s", name);
	if (renameat(b->db_dir, name, b->db_dir, aside))
		return false;
	snprintf(b->notice, sizeof(b->notice), "the newest log file had no readable beginning and was set aside as %s", aside);
	return true;
}

int bdb_log_recover(struct bdb *b, struct pb_error *err)
{
	char home[4096];
	DB_LSN end = { 0, 0 };
	bool broken = false;

	if (!newest_log(b))
		return 0;
	snprintf(home, sizeof(home), "%s/db", b->dir);
	int r = find_end(b, home, &end, &broken);
	if (r && set_aside(b))
		r = find_end(b, home, &end, &broken);
	if (r)
		return bdb_fail(b, err, r, "reading the log");
	if (!end.file)
		return 0;
	if (broken && !*b->notice)
		snprintf(b->notice, sizeof(b->notice), "the log was cut at %" PRIu32 "/%" PRIu32 ": bodies of later batches, none of them acknowledged, did not reach the disk",
			end.file, end.offset);
	r = cut(b, end);
	return r ? pb_fail_errno(err, r, "cutting the log of %s", b->dir) : 0;
}

/* ---- what no start needs ---- */

/* Its record's place; 0: there is none, or nobody knows. */
static uint64_t last_checkpoint(struct bdb *b)
{
	DB_TXN_STAT *stat;

	if (b->env->txn_stat(b->env, &stat, 0))
		return 0;
	uint64_t last = (uint64_t)stat->st_last_ckp.file << 32 | stat->st_last_ckp.offset;
	free(stat);
	return last;
}

/* Has a flush ended that began after the last checkpoint, and does the log on the disk say so? Then no start cuts the log before that checkpoint's record. */
static bool checkpoint_is_kept(struct bdb *b)
{
	uint64_t last = last_checkpoint(b);

	if (!last || bdb_wait_lsn(b, last))
		return false;
	int r = bdb_flush_log(b);
	if (r) {
		char why[160];

		snprintf(why, sizeof(why), "flushing the log of %s: %s", b->dir, db_strerror(r));
		bdb_set_failed(b, why);
	}
	return !r;
}

/* From the oldest on. */
static bool remove_logs(struct bdb *b, char **names)
{
	for (; *names; names++)
		if (remove_log(b, *names))
			return false;
	return true;
}

/* Berkeley DB would remove them itself as soon as a checkpoint is written. But a start that cuts the log before that checkpoint recovers from the one before it. */
void bdb_log_trim(struct bdb *b)
{
	char **names = NULL;

	if (pthread_mutex_trylock(&b->log_files))
		return;
	uint64_t last = last_checkpoint(b);
	/* The checkpoint that makes them needless is the last one that is known once they are listed, or an earlier one. */
	if (last != b->trimmed && b->env->log_archive(b->env, &names, 0) == 0 && (!names || (checkpoint_is_kept(b) && remove_logs(b, names))))
		b->trimmed = last;
	free(names);
	pthread_mutex_unlock(&b->log_files);
}
