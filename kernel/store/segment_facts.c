/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading the facts that lie beside a segment, through a mapping that grows with the file: listing a folder reads thousands of them, and a system call for
 * each would cost more than all else. Writing them is segment_write.c's.
 */
#include "kernel/store/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Others may still read through an older one, so all stay until the segment goes; each is twice as large as what the file was. */
struct facts_map {
	const char *ptr;
	size_t room;			/* mapped; what is behind the file's end becomes readable as it grows */
	_Atomic size_t have;		/* bytes that the file has for sure: touching what it has not would be a signal */
	struct facts_map *older;
};

enum { ROOM_MIN = 1 << 20 };

/* Called with g->lock. Gives NULL and errno. */
static struct facts_map *map_more(struct segments *s, struct segment *g, uint64_t end)
{
	struct facts_map *m = atomic_load(&g->facts_map);
	char path[PATH_MAX];
	struct stat st;
	int fd;

	segment_path(s, g->number, "facts", path, sizeof path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) || (uint64_t)st.st_size < end) {
		close(fd);
		errno = ENODATA;
		return NULL;
	}
	if (!m || (size_t)st.st_size > m->room) {
		size_t room = (size_t)st.st_size < ROOM_MIN / 2 ? ROOM_MIN : 2 * (size_t)st.st_size;
		void *ptr = mmap(NULL, room, PROT_READ, MAP_SHARED, fd, 0);
		int errnum = errno;

		if (ptr == MAP_FAILED) {
			close(fd);
			errno = errnum;
			return NULL;
		}
		struct facts_map *more = pb_alloc(sizeof *more);

		*more = (struct facts_map){ .ptr = ptr, .room = room, .older = m };
		m = more;
	}
	close(fd);
	atomic_store(&m->have, (size_t)st.st_size);
	atomic_store(&g->facts_map, m);
	return m;
}

int segment_read_facts(struct segments *s, struct segment *g, const struct body_id *id, struct pb_buf *out, struct pb_error *err)
{
	struct facts_map *m = atomic_load_explicit(&g->facts_map, memory_order_acquire);
	uint64_t end = (uint64_t)id->facts_offset + FACTS_HEADER + id->facts_len;
	const unsigned char *header;
	const char *facts;

	if (!id->facts_len)
		return pb_fail(err, PB_ENOTFOUND, "the body has no facts");
	if (!m || end > atomic_load_explicit(&m->have, memory_order_relaxed)) {
		int errnum;

		pthread_mutex_lock(&g->lock);
		m = map_more(s, g, end);
		errnum = errno;
		pthread_mutex_unlock(&g->lock);
		if (!m)
			return errnum == ENOENT || errnum == ENODATA ? pb_fail(err, PB_ENOTFOUND, "the facts of segment %" PRIu32 " are not there", g->number) :
								       pb_fail_errno(err, errnum, "reading the facts of segment %" PRIu32, g->number);
	}
	header = (const unsigned char *)m->ptr + id->facts_offset;
	facts = (const char *)header + FACTS_HEADER;
	if (le32_get(header) != FACTS_MAGIC || le32_get(header + 4) != id->random || le32_get(header + 8) != id->facts_len ||
	    le32_get(header + 12) != pb_crc32c(0, facts, id->facts_len))
		return pb_fail(err, PB_ECORRUPT, "the facts of a body in segment %" PRIu32 " fail their check", g->number);
	pb_buf_add(out, facts, id->facts_len);
	return 0;
}

void segment_facts_unmap(struct segment *g)
{
	for (struct facts_map *m = atomic_load(&g->facts_map), *older; m; m = older) {
		older = m->older;
		munmap((void *)(uintptr_t)m->ptr, m->room);
		free(m);
	}
}
