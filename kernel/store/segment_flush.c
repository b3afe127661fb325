/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Making segments durable, and laying out their blocks ahead so that this is cheap. Where a block was written and flushed before, writing to it again changes no
 * metadata: it is enough that the device has the bytes when the flush of the log makes it keep them. What may become durable when is the committer's.
 */
#include "kernel/store/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* ---- flushing ---- */

enum { FLUSH_AT_ONCE = 64 };

int segments_flush(struct segments *s)
{
	struct segment *list[FLUSH_AT_ONCE];
	int errnum = 0;
	bool more;

	do {
		size_t n = 0;

		more = false;
		pthread_mutex_lock(&s->lock);
		for (struct segment *g = s->writing; g && !more; g = g->next_writing)
			if (atomic_load(&g->dirty)) {
				more = n == FLUSH_AT_ONCE;
				if (more)
					break;
				/* Before the flush: a write that ends while it runs counts for the next one. */
				atomic_store(&g->dirty, false);
				atomic_store(&g->rough, false);
				atomic_fetch_add(&g->pins, 1);
				list[n++] = g;
			}
		pthread_mutex_unlock(&s->lock);
		for (size_t i = 0; i < n; i++) {
			if (!errnum && fdatasync(list[i]->fd))
				errnum = errno;
			segment_unpin(s, list[i]);
		}
	} while (more && !errnum);

	/* Those that nobody writes to any more need no descriptor. */
	pthread_mutex_lock(&s->lock);
	for (struct segment **at = &s->writing; *at;) {
		struct segment *g = *at;

		if (g == s->active || g == s->prepared || atomic_load(&g->pins) != 1 || atomic_load(&g->dirty)) {
			at = &g->next_writing;
			continue;
		}
		*at = g->next_writing;
		close(g->fd);
		g->fd = -1;
	}
	pthread_mutex_unlock(&s->lock);
	return errnum;
}

/* The mark of a rough write comes first, see segments_write_back. */
void segment_written(struct segment *g, uint64_t offset, uint64_t room)
{
	uint64_t to = atomic_load(&g->laid_to), from = atomic_load(&g->laid_from);

	if (offset < from || offset + room > to)
		atomic_store(&g->rough, true);
	atomic_store(&g->dirty, true);
}

int segments_write_back(struct segments *s, bool *ret_rough)
{
	struct segment *list[FLUSH_AT_ONCE];
	uint64_t ends[FLUSH_AT_ONCE];
	int errnum = 0;
	size_t n = 0;

	pthread_mutex_lock(&s->lock);
	for (struct segment *g = s->writing; g; g = g->next_writing) {
		if (!atomic_load(&g->dirty))
			continue;
		/* Cleared before rough is looked at: who marks the one and then the other meanwhile is seen now or at the next flush. */
		atomic_store(&g->dirty, false);
		if (atomic_load(&g->rough) || n == FLUSH_AT_ONCE) {
			atomic_store(&g->rough, true);
			atomic_store(&g->dirty, true);
			*ret_rough = true;
			continue;
		}
		atomic_fetch_add(&g->pins, 1);
		ends[n] = g->used;
		list[n++] = g;
	}
	pthread_mutex_unlock(&s->lock);
	for (size_t i = 0; i < n; i++) {
		if (!errnum && sync_file_range(list[i]->fd, 0, ends[i], SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER))
			errnum = errno;
		segment_unpin(s, list[i]);
	}
	return errnum;
}

/* ---- laying out ---- */

enum { LAYOUT_BLOCK = 4096, ZEROS = 64 << 10, LAYOUT_STEP = 1 << 20, LAYOUT_MAX = 8 << 20 };

void segments_layout_decide(struct segments *s, int log_dir)
{
	struct stat mine, log;
	struct statfs fs;

	/* ext4 overwrites in place, always; elsewhere a shared or compressed block may be written to a new place. */
	s->lays_out = fstatfs(s->dirfd, &fs) == 0 && fs.f_type == EXT4_SUPER_MAGIC && fstat(s->dirfd, &mine) == 0 && fstat(log_dir, &log) == 0 &&
		      mine.st_dev == log.st_dev;
}

/* As much ahead as was written since the start: who writes little has no use for it. Callers hold s->lock. */
static uint64_t layout_goal(struct segments *s)
{
	uint64_t ahead = atomic_load(&s->bytes_written) / LAYOUT_BLOCK * LAYOUT_BLOCK, goal;

	if (!s->lays_out || !s->active || s->active->laying_to)
		return 0;
	goal = s->active->used + (ahead < LAYOUT_MAX ? ahead : LAYOUT_MAX);
	return goal < s->active->size ? goal : s->active->size;
}

void segments_note_use(struct segments *s)
{
	uint64_t goal = layout_goal(s), used = s->active->used, laid = atomic_load(&s->active->laid_to);

	if (goal > used && laid < goal && laid < used + (goal - used) / 2 && !atomic_load(&s->layout_wanted))
		atomic_store(&s->layout_wanted, true);
}

/* Where the next step begins: behind what others took meanwhile. Nobody takes room in it until it ends. Callers hold s->lock. */
static uint64_t begin_step(struct segment *g, uint64_t *at, uint64_t goal, uint64_t *from)
{
	uint64_t used = (g->used + LAYOUT_BLOCK - 1) / LAYOUT_BLOCK * LAYOUT_BLOCK;

	if (*at < used)
		*from = *at = used;
	if (*at >= goal)
		return 0;
	g->laying_from = *at;
	g->laying_to = goal - *at < LAYOUT_STEP ? goal : *at + LAYOUT_STEP;
	return g->laying_to - g->laying_from;
}

static bool write_zeros(int fd, uint64_t at, uint64_t len)
{
	static const char zeros[ZEROS];

	while (len) {
		ssize_t n = pwrite(fd, zeros, len < sizeof(zeros) ? len : sizeof(zeros), at);

		if (n <= 0)
			return false;
		at += n;
		len -= n;
	}
	return true;
}

int segments_lay_out(struct segments *s)
{
	uint64_t goal, at, from, len;
	bool good = true;
	int errnum = 0;

	pthread_mutex_lock(&s->lock);
	atomic_store(&s->layout_wanted, false);
	goal = layout_goal(s);
	struct segment *g = s->active;
	if (!goal || g->fd < 0) {
		pthread_mutex_unlock(&s->lock);
		return 0;
	}
	atomic_fetch_add(&g->pins, 1);
	from = at = atomic_load(&g->laid_to);
	while (good && (len = begin_step(g, &at, goal, &from)) > 0) {
		pthread_mutex_unlock(&s->lock);
		good = write_zeros(g->fd, at, len);
		pthread_mutex_lock(&s->lock);
		g->laying_from = g->laying_to = 0;
		pthread_cond_broadcast(&s->laid);
		if (good)
			at += len;
	}
	pthread_mutex_unlock(&s->lock);
	if (at > from && fdatasync(g->fd)) {
		errnum = errno;
	} else if (at > from) {
		if (from != atomic_load(&g->laid_to))
			atomic_store(&g->laid_from, from);
		atomic_store(&g->laid_to, at);
	}
	segment_unpin(s, g);
	return errnum;
}
