/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Backup while serving: the index by Berkeley DB's own hot backup, then the segments that it can name. The copy is a store; opening it runs recovery.
 * Segments that an earlier backup holds whole are not copied again.
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

/* ---- files ---- */

static int copy_bytes(int from, int to, uint64_t size)
{
	enum { CHUNK = 1 << 20 };
	PB_AUTOBUF(chunk);

	pb_buf_reserve(&chunk, CHUNK);
	for (uint64_t at = 0; at < size;) {
		uint64_t left = size - at;
		ssize_t n = pread(from, chunk.ptr, left < CHUNK ? left : CHUNK, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? errno : EIO;
		for (ssize_t wrote = 0; wrote < n;) {
			ssize_t w = pwrite(to, chunk.ptr + wrote, n - wrote, at + wrote);

			if (w < 0 && errno == EINTR)
				continue;
			if (w <= 0)
				return w ? errno : ENOSPC;
			wrote += w;
		}
		at += n;
	}
	return 0;
}

/* Under another name first: a file under its own name is whole. The copy is made so long, and holds so many bytes. */
static int copy_file(int from_dir, int to_dir, const char *name, uint64_t length, uint64_t bytes, struct pb_error *err)
{
	char fresh[64];
	int errnum = 0;

	snprintf(fresh, sizeof(fresh), "new-%s", name);
	int from = openat(from_dir, name, O_RDONLY | O_CLOEXEC);
	int to = from >= 0 ? openat(to_dir, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
	if (from < 0 || to < 0)
		errnum = errno;
	if (!errnum)
		errnum = copy_bytes(from, to, bytes);
	if (!errnum && length > bytes && ftruncate(to, length))
		errnum = errno;
	if (!errnum && fdatasync(to))
		errnum = errno;
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	if (!errnum && renameat(to_dir, fresh, to_dir, name))
		errnum = errno;
	return errnum ? pb_fail_errno(err, errnum, "copying %s", name) : 0;
}

static void remove_dir(const char *path)
{
	DIR *d = opendir(path);

	if (!d)
		return;
	for (struct dirent *at; (at = readdir(d));)
		if (strcmp(at->d_name, ".") && strcmp(at->d_name, ".."))
			unlinkat(dirfd(d), at->d_name, 0);
	closedir(d);
	rmdir(path);
}

static int sync_dir(const char *path, struct pb_error *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int errnum = fd < 0 || fsync(fd) ? errno : 0;

	if (fd >= 0)
		close(fd);
	return errnum ? pb_fail_errno(err, errnum, "flushing %s", path) : 0;
}

/* ---- whose backup ---- */

static int read_text(const char *dir, const char *name, char *text, size_t room)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, room - 1) : -1;
	int errnum = errno;
	if (fd >= 0)
		close(fd);
	text[n < 0 ? 0 : n] = 0;
	return n < 0 ? errnum : 0;
}

static int write_text(const char *dir, const char *name, const char *text, struct pb_error *err)
{
	char path[4096], fresh[4096 + 8];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && fsync(fd) == 0;
	int errnum = errno;
	if (fd >= 0)
		close(fd);
	if (good && rename(fresh, path)) {
		good = false;
		errnum = errno;
	}
	return good ? sync_dir(dir, err) : pb_fail_errno(err, errnum, "writing %s", path);
}

/* The directory is empty, or BACKUP says that it is this store's. */
static int claim(struct bdb *b, const char *dir, const char *identity, struct pb_error *err)
{
	char there[128];

	if (mkdir(dir, 0700) && errno != EEXIST)
		return pb_fail_errno(err, errno, "making %s", dir);
	int errnum = read_text(dir, "BACKUP", there, sizeof(there));
	if (!errnum)
		return strcmp(there, identity) ? pb_fail(err, PB_EINVALID, "%s holds a backup of another store than %s", dir, b->dir) : 0;
	if (errnum != ENOENT)
		return pb_fail_errno(err, errnum, "reading %s/BACKUP", dir);
	DIR *d = opendir(dir);
	bool empty = d;
	for (struct dirent *at; d && (at = readdir(d));)
		empty &= at->d_name[0] == '.';
	if (d)
		closedir(d);
	if (!empty)
		return pb_fail(err, PB_EINVALID, "%s is neither empty nor an earlier backup", dir);
	return write_text(dir, "BACKUP", identity, err);
}

/* ---- segments ---- */

static uint64_t size_in(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, 0) ? UINT64_MAX : (uint64_t)st.st_size;
}

static int copy_segment(struct bdb *b, struct segment *g, int to, struct pb_error *err)
{
	struct segments *s = &b->segments;
	char name[32];
	int r = 0;

	/* One that is still written to is copied as far as it goes, and again the next time because its copy is not as long as the whole. One that is full is: its last
	 * record may not be there yet, so the copy is a byte longer. */
	pthread_mutex_lock(&s->lock);
	bool written = g->fd >= 0;
	uint64_t bytes = written && g->used < g->size ? g->used : g->size;
	pthread_mutex_unlock(&s->lock);
	snprintf(name, sizeof(name), "%08" PRIu32 ".seg", g->number);
	bool fresh = written || size_in(to, name) != g->size;
	if (fresh)
		r = copy_file(s->dirfd, to, name, bytes + (written && bytes == g->size), bytes, err);
	snprintf(name, sizeof(name), "%08" PRIu32 ".facts", g->number);
	uint64_t facts = size_in(s->dirfd, name);
	if (!r && facts != UINT64_MAX && (fresh || size_in(to, name) != facts))
		r = copy_file(s->dirfd, to, name, facts, facts, err);
	return r;
}

static int copy_segments(struct bdb *b, const char *dir, struct pb_error *err)
{
	struct segment *g;
	int r = 0;
	int to = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (to < 0)
		return pb_fail_errno(err, errno, "opening %s", dir);
	for (uint32_t number = 1; !r && (g = segments_next(&b->segments, number)); number = g->number + 1) {
		r = copy_segment(b, g, to, err);
		segment_unpin(&b->segments, g);
	}
	if (!r && fsync(to))
		r = pb_fail_errno(err, errno, "flushing %s", dir);
	close(to);
	return r;
}

/* Segments that compaction removed since: the index that named them is replaced by now. */
static void forget_segments(struct bdb *b, const char *dir)
{
	DIR *d = opendir(dir);

	for (struct dirent *at; d && (at = readdir(d));) {
		uint32_t number;
		struct segment *g;

		if (sscanf(at->d_name, "%8" SCNu32 ".", &number) != 1)
			continue;
		g = segments_pin(&b->segments, number);
		if (g)
			segment_unpin(&b->segments, g);
		else
			unlinkat(dirfd(d), at->d_name, 0);
	}
	if (d)
		closedir(d);
}

/* ---- all ---- */

static int backup(struct bdb *b, const char *dir, struct pb_error *err)
{
	char db[4096], fresh[4096], old[4096], seg[4096], identity[128];
	int errnum = read_text(b->dir, "FORMAT", identity, sizeof(identity));

	if (errnum)
		return pb_fail_errno(err, errnum, "reading %s/FORMAT", b->dir);
	int r = claim(b, dir, identity, err);
	if (r)
		return r;
	snprintf(db, sizeof(db), "%s/db", dir);
	snprintf(fresh, sizeof(fresh), "%s/db.new", dir);
	snprintf(old, sizeof(old), "%s/db.old", dir);
	snprintf(seg, sizeof(seg), "%s/seg", dir);
	remove_dir(fresh);
	if ((mkdir(seg, 0700) && errno != EEXIST) || mkdir(fresh, 0700))
		return pb_fail_errno(err, errno, "making directories in %s", dir);
	/* The index first: whatever it names is in the segments that are copied after it. */
	pthread_mutex_lock(&b->log_files);
	int code = b->env->backup(b->env, fresh, 0);
	pthread_mutex_unlock(&b->log_files);
	if (code)
		return bdb_fail(b, err, code, "backing the index up to %s", fresh);
	r = copy_segments(b, seg, err);
	if (!r)
		r = sync_dir(fresh, err);
	if (r)
		return r;
	remove_dir(old);
	if ((rename(db, old) && errno != ENOENT) || rename(fresh, db))
		return pb_fail_errno(err, errno, "putting the new index in place in %s", dir);
	r = write_text(dir, "FORMAT", identity, err);
	if (r)
		return r;
	remove_dir(old);
	forget_segments(b, seg);
	return 0;
}

int bdb_backup(struct engine *e, const char *dir, struct pb_error *err)
{
	struct bdb *b = bdb_of(e);
	int r = bdb_failed(b, err);

	if (r)
		return r;
	/* Compaction would remove segments that the copied index names. */
	pthread_mutex_lock(&b->care);
	r = bdb_settle(b, err);
	if (!r)
		r = backup(b, dir, err);
	pthread_mutex_unlock(&b->care);
	return r ? pb_because(err, "backup") : 0;
}
