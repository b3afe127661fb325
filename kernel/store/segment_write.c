/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writing segments: files made ahead with all their blocks or used again, room taken at the end of the active one, records and facts written to it.
 * Making it durable is segment_flush.c's.
 */
#include "kernel/store/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FACTS_OPEN_MAX 256

/* ---- making ---- */

/* The file of a segment that is gone: one that was made whole waits to be used again, because blocks that were written before flush faster. */
void segment_file_away(struct segments *s, struct segment *g)
{
	char name[32], spare[32];

	segment_name(g->number, "facts", name);
	unlinkat(s->dirfd, name, 0);
	segment_name(g->number, "seg", name);
	pthread_mutex_lock(&s->lock);
	int slot = -1;
	for (int i = 0; i < SPARES_MAX && g->size == s->segment_bytes && !g->damaged; i++)
		if (!s->spares[i])
			slot = i;
	if (slot >= 0) {
		snprintf(spare, sizeof(spare), "spare.%" PRIu32, ++s->next_spare);
		if (renameat(s->dirfd, name, s->dirfd, spare) == 0)
			s->spares[slot] = s->next_spare;
		else
			slot = -1;
	}
	pthread_mutex_unlock(&s->lock);
	if (slot < 0)
		unlinkat(s->dirfd, name, 0);
}

/* A spare of the right size under the new name, or -1. Callers hold s->lock. */
static int reuse_spare(struct segments *s, uint64_t size, const char *name, const unsigned char *header)
{
	for (int i = 0; i < SPARES_MAX && size == s->segment_bytes; i++) {
		char spare[32];

		if (!s->spares[i])
			continue;
		snprintf(spare, sizeof(spare), "spare.%" PRIu32, s->spares[i]);
		s->spares[i] = 0;
		int fd = openat(s->dirfd, spare, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && pwrite(fd, header, SEGMENT_HEADER, 0) == SEGMENT_HEADER && renameat(s->dirfd, spare, s->dirfd, name) == 0)
			return fd;
		if (fd >= 0)
			close(fd);
		unlinkat(s->dirfd, spare, 0);
	}
	return -1;
}

static int make_file(struct segments *s, uint64_t size, const char *name, const unsigned char *header)
{
	int fd = reuse_spare(s, size, name, header);

	if (fd >= 0)
		return fd;
	fd = openat(s->dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	/* All blocks now: a full disk is met here and not in the middle of a body, and a flush later changes no size. */
	int errnum = posix_fallocate(fd, 0, size);
	if (errnum == EOPNOTSUPP || errnum == EINVAL)
		errnum = ftruncate(fd, size) ? errno : 0;
	if (!errnum && pwrite(fd, header, SEGMENT_HEADER, 0) != SEGMENT_HEADER)
		errnum = errno;
	if (!errnum)
		return fd;
	close(fd);
	unlinkat(s->dirfd, name, 0);
	errno = errnum;
	return -1;
}

/* An empty segment in the table, open for writing. Callers hold s->lock. */
static int segment_make(struct segments *s, uint64_t size, struct segment **ret, struct pb_error *err)
{
	unsigned char header[SEGMENT_HEADER];
	uint32_t number = s->next_number;
	char name[32];

	segment_name(number, "seg", name);
	segment_header_pack(header, number);
	int fd = make_file(s, size, name, header);
	if (fd < 0)
		return pb_fail_errno(err, errno, "making segment %s/%s", s->dir, name);
	if (fdatasync(fd) || fsync(s->dirfd)) {
		int errnum = errno;

		close(fd);
		unlinkat(s->dirfd, name, 0);
		return pb_fail_errno(err, errnum, "flushing new segment %s/%s", s->dir, name);
	}
	struct segment *g = segment_new(number, size);
	g->fd = fd;
	g->used = SEGMENT_HEADER;
	atomic_store(&g->counted, true);
	s->next_number++;
	segments_put(s, number, g);
	g->next_writing = s->writing;
	s->writing = g;
	*ret = g;
	return 0;
}

int segments_resume(struct segments *s, uint32_t number, uint64_t used, struct pb_error *err)
{
	int r = 0;

	pthread_mutex_lock(&s->lock);
	struct segment *g = number && number < s->room ? s->table[number] : NULL;
	char name[32];
	struct stat st;

	segment_name(number, "seg", name);
	if (g && !g->damaged && g->size == s->segment_bytes && used < g->size && (g->fd = openat(s->dirfd, name, O_RDWR | O_CLOEXEC)) >= 0) {
		g->used = used;
		segment_name(number, "facts", name);
		g->facts_used = fstatat(s->dirfd, name, &st, 0) == 0 ? st.st_size : 0;
		g->next_writing = s->writing;
		s->writing = s->active = g;
	} else {
		r = segment_make(s, s->segment_bytes, &s->active, err);
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

int segments_prepare(struct segments *s, struct pb_error *err)
{
	int r = 0;

	pthread_mutex_lock(&s->lock);
	if (!s->prepared && s->active->used > s->active->size / 2)
		r = segment_make(s, s->segment_bytes, &s->prepared, err);
	pthread_mutex_unlock(&s->lock);
	return r;
}

/* ---- writing ---- */

static int write_all(int fd, struct iovec *iov, int n, uint64_t at)
{
	while (n) {
		ssize_t wrote = pwritev(fd, iov, n, at);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote < 0)
			return errno;
		if (wrote == 0)
			return ENOSPC;
		at += wrote;
		while (n && (size_t)wrote >= iov->iov_len) {
			wrote -= iov->iov_len;
			iov++;
			n--;
		}
		if (n) {
			iov->iov_base = (char *)iov->iov_base + wrote;
			iov->iov_len -= wrote;
		}
	}
	return 0;
}

static uint32_t fresh_random(struct segments *s)
{
	uint64_t x = s->seed + (atomic_fetch_add(&s->counter, 1) + 1) * 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* The segment that a record of this room goes to. Callers hold s->lock. */
static int segment_for(struct segments *s, uint64_t room, size_t facts_len, struct segment **ret, struct pb_error *err)
{
	if (room > s->segment_bytes - SEGMENT_HEADER)
		return segment_make(s, (SEGMENT_HEADER + room + 4095) / 4096 * 4096, ret, err);
	struct segment *g = s->active;
	if (!g || g->size - g->used < room || g->facts_used + FACTS_HEADER + facts_len > UINT32_MAX) {
		if (s->prepared) {
			s->active = s->prepared;
			s->prepared = NULL;
		} else {
			struct segment *fresh;
			int r = segment_make(s, s->segment_bytes, &fresh, err);

			if (r)
				return r;
			s->active = fresh;
		}
	}
	*ret = s->active;
	return 0;
}

int segment_take(struct segments *s, uint64_t size, size_t facts_len, struct segment **ret, struct body_id *ret_id, struct pb_error *err)
{
	struct segment *g = NULL;
	uint64_t room = record_room(size);

	pthread_mutex_lock(&s->lock);
	int r = segment_for(s, room, facts_len, &g, err);
	if (!r) {
		*ret_id = (struct body_id) { .segment = g->number, .random = fresh_random(s), .offset = g->used, .facts_offset = g->facts_used,
			.facts_len = facts_len, .size = size };
		g->used += room;
		if (facts_len)
			g->facts_used += FACTS_HEADER + facts_len;
		atomic_fetch_add(&g->pins, 1);
		*ret = g;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

enum { IOV = 64 };

int segment_write(struct segments *s, struct segment *g, const struct body_id *id, uint32_t crc, const struct pb_str *parts, size_t nparts, struct pb_error *err)
{
	struct record record = { .size = id->size, .offset = id->offset, .segment = id->segment, .random = id->random, .body_crc = crc,
		.facts_offset = id->facts_offset, .facts_len = id->facts_len };
	unsigned char header[RECORD_HEADER];
	struct iovec iov[IOV] = { { header, RECORD_HEADER } };
	uint64_t at = id->offset;
	size_t i = 0;
	int n = 1, errnum = 0;

	record_pack(header, &record);
	do {
		uint64_t bytes = at == id->offset ? RECORD_HEADER : 0;

		for (; i < nparts && n < IOV; i++)
			if (parts[i].len) {
				iov[n++] = (struct iovec) { (void *)parts[i].ptr, parts[i].len };
				bytes += parts[i].len;
			}
		errnum = write_all(g->fd, iov, n, at);
		at += bytes;
		n = 0;
	} while (!errnum && i < nparts);
	if (errnum)
		return pb_fail_errno(err, errnum, "writing a body of %" PRIu64 " bytes to segment %" PRIu32, id->size, g->number);
	segment_written(s, g, id->offset, RECORD_HEADER + id->size);
	return 0;
}

/* Opens the facts file once. A transient one is the caller's to close. */
static int facts_fd(struct segments *s, struct segment *g, bool *ret_transient)
{
	char name[32];

	*ret_transient = false;
	pthread_mutex_lock(&g->lock);
	int fd = g->facts_fd;
	if (fd < 0) {
		segment_name(g->number, "facts", name);
		fd = openat(s->dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd >= 0 && atomic_fetch_add(&s->facts_open, 1) >= FACTS_OPEN_MAX) {
			atomic_fetch_sub(&s->facts_open, 1);
			*ret_transient = true;
		} else if (fd >= 0) {
			g->facts_fd = fd;
		}
	}
	pthread_mutex_unlock(&g->lock);
	return fd;
}

int segment_write_facts(struct segments *s, struct segment *g, const struct body_id *id, struct pb_str facts, struct pb_error *err)
{
	unsigned char header[FACTS_HEADER];
	struct iovec iov[] = { { header, sizeof(header) }, { (void *)facts.ptr, facts.len } };
	bool transient;
	int fd = facts_fd(s, g, &transient);

	if (fd < 0)
		return pb_fail_errno(err, errno, "opening the facts of segment %" PRIu32, g->number);
	le32_put(header, FACTS_MAGIC);
	le32_put(header + 4, id->random);
	le32_put(header + 8, facts.len);
	le32_put(header + 12, pb_crc32c(0, facts.ptr, facts.len));
	int errnum = write_all(fd, iov, 2, id->facts_offset);
	if (transient)
		close(fd);
	return errnum ? pb_fail_errno(err, errnum, "writing facts beside segment %" PRIu32, g->number) : 0;
}

void segment_give_back(struct segments *s, struct segment *g, const struct body_id *id)
{
	uint64_t room = record_room(id->size);

	pthread_mutex_lock(&s->lock);
	if (g->used == id->offset + room && g->fd >= 0)
		g->used = id->offset;
	else
		atomic_fetch_add(&g->dead, room);
	pthread_mutex_unlock(&s->lock);
}

void segment_drop(struct segment *g, const struct body_id *id)
{
	atomic_fetch_add(&g->dead, record_room(id->size));
}
