/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Segment files: the table of them, opening and closing, and the mapping that they are read through. Making and writing them is segment_write.c's, which
 * bytes in them are a record segment_record.c's, and which records live is the engine's.
 */
#include "kernel/store/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void segment_name(uint32_t number, const char *suffix, char ret[32])
{
	snprintf(ret, 32, "%08" PRIu32 ".%s", number, suffix);
}

void segment_path(const struct segments *s, uint32_t number, const char *suffix, char *ret, size_t room)
{
	snprintf(ret, room, "%s/%08" PRIu32 ".%s", s->dir, number, suffix);
}

/* ---- the table ---- */

void segments_put(struct segments *s, uint32_t number, struct segment *g)
{
	if (number >= s->room) {
		size_t room = s->room ? s->room * 2 : 64;

		while (room <= number)
			room *= 2;
		s->table = pb_realloc(s->table, room * sizeof(*s->table));
		memset(s->table + s->room, 0, (room - s->room) * sizeof(*s->table));
		s->room = room;
	}
	s->table[number] = g;
}

struct segment *segment_new(uint32_t number, uint64_t size)
{
	struct segment *g = pb_alloc(sizeof(*g));

	g->number = number;
	g->size = size;
	g->fd = g->facts_fd = -1;
	atomic_store(&g->pins, 1);
	pthread_mutex_init(&g->lock, NULL);
	return g;
}

struct segment *segments_pin(struct segments *s, uint32_t number)
{
	pthread_mutex_lock(&s->lock);
	struct segment *g = number < s->room ? s->table[number] : NULL;
	if (g)
		atomic_fetch_add(&g->pins, 1);
	pthread_mutex_unlock(&s->lock);
	return g;
}

struct segment *segments_next(struct segments *s, uint32_t number)
{
	struct segment *g = NULL;

	pthread_mutex_lock(&s->lock);
	for (size_t i = number; i < s->room && !g; i++)
		g = s->table[i];
	if (g)
		atomic_fetch_add(&g->pins, 1);
	pthread_mutex_unlock(&s->lock);
	return g;
}

static void segment_free(struct segments *s, struct segment *g)
{
	if (atomic_load(&g->map))
		munmap(atomic_load(&g->map), g->size);
	segment_facts_unmap(g);
	if (g->fd >= 0)
		close(g->fd);
	if (g->facts_fd >= 0) {
		close(g->facts_fd);
		atomic_fetch_sub(&s->facts_open, 1);
	}
	if (atomic_load(&g->removed))
		segment_file_away(s, g);
	free(atomic_load(&g->checked));
	free(atomic_load(&g->fresh));
	pthread_mutex_destroy(&g->lock);
	free(g);
}

void segment_unpin(struct segments *s, struct segment *g)
{
	if (atomic_fetch_sub(&g->pins, 1) == 1)
		segment_free(s, g);
}

void segments_remove(struct segments *s, struct segment *g)
{
	pthread_mutex_lock(&s->lock);
	s->table[g->number] = NULL;
	for (struct segment **at = &s->writing; *at; at = &(*at)->next_writing)
		if (*at == g) {
			*at = g->next_writing;
			break;
		}
	atomic_store(&g->removed, true);
	pthread_mutex_unlock(&s->lock);
	segment_unpin(s, g);
}

/* ---- opening ---- */

static int read_one(struct segments *s, const char *name, uint32_t number, struct pb_error *err)
{
	unsigned char header[SEGMENT_HEADER];
	struct stat st;
	uint32_t named = 0;
	int fd = openat(s->dirfd, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return pb_fail_errno(err, errno, "opening segment %s/%s", s->dir, name);
	ssize_t n = pread(fd, header, sizeof(header), 0);
	bool have_size = fstat(fd, &st) == 0;
	close(fd);
	if (n < 0 || !have_size)
		return pb_fail_errno(err, errno, "reading segment %s/%s", s->dir, name);
	int r = segment_header_unpack(header, n, &named, err);
	if (r == PB_EINVALID)
		return pb_because(err, "segment %s/%s", s->dir, name);
	struct segment *g = segment_new(number, st.st_size);
	/* A header that cannot be read costs this segment only: its bodies are told of as corrupt. */
	g->damaged = r || named != number;
	g->used = g->size;
	segments_put(s, number, g);
	if (number >= s->next_number)
		s->next_number = number + 1;
	return 0;
}

int segments_open(struct segments *s, const char *dir, uint64_t segment_bytes, struct pb_error *err)
{
	*s = (struct segments) { .dir = pb_str_dup(pb_strz(dir)), .next_number = 1, .segment_bytes = (segment_bytes + 4095) / 4096 * 4096 };
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->flush_lock, NULL);
	pthread_mutex_init(&s->news_lock, NULL);
	pb_random(&s->seed, sizeof(s->seed));
	s->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = s->dirfd >= 0 ? opendir(dir) : NULL;
	if (!d)
		return pb_fail_errno(err, errno, "opening %s", dir);
	int r = 0;
	for (struct dirent *at; !r && (at = readdir(d));) {
		uint32_t number;
		int end = 0;

		if (sscanf(at->d_name, "%8" SCNu32 ".seg%n", &number, &end) == 1 && end && !at->d_name[end] && number) {
			r = read_one(s, at->d_name, number, err);
		} else if (sscanf(at->d_name, "spare.%8" SCNu32 "%n", &number, &end) == 1 && end && !at->d_name[end]) {
			/* Its size may be another's configuration: start with none. */
			unlinkat(s->dirfd, at->d_name, 0);
		}
	}
	closedir(d);
	return r;
}

void segments_close(struct segments *s)
{
	if (!s->dir)
		return;
	for (size_t i = 0; i < s->nnews; i++)
		segment_unpin(s, s->news[i].segment);
	free(s->news);
	/* What was made ahead and never used would only be read at the next start. */
	if (s->prepared)
		segments_remove(s, s->prepared);
	for (size_t i = 0; i < s->room; i++)
		if (s->table[i])
			segment_unpin(s, s->table[i]);
	for (int i = 0; i < SPARES_MAX; i++)
		if (s->spares[i]) {
			char name[32];

			snprintf(name, sizeof(name), "spare.%" PRIu32, s->spares[i]);
			unlinkat(s->dirfd, name, 0);
		}
	if (s->dirfd >= 0)
		close(s->dirfd);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->flush_lock);
	pthread_mutex_destroy(&s->news_lock);
	free(s->table);
	free(s->dir);
	s->dir = NULL;
}

int segments_sync_from(struct segments *s, uint32_t number, struct pb_error *err)
{
	int r = 0;

	for (size_t i = number; i < s->room && !r; i++) {
		char name[32];

		if (!s->table[i])
			continue;
		segment_name(i, "seg", name);
		int fd = openat(s->dirfd, name, O_RDWR | O_CLOEXEC);
		if (fd < 0 || fdatasync(fd))
			r = pb_fail_errno(err, errno, "flushing segment %s/%s", s->dir, name);
		if (fd >= 0)
			close(fd);
	}
	if (!r && fsync(s->dirfd))
		r = pb_fail_errno(err, errno, "flushing %s", s->dir);
	return r;
}

/* ---- asking ---- */

uint32_t segments_last(struct segments *s, uint64_t *ret_count)
{
	uint32_t last = 0;

	*ret_count = 0;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->room; i++)
		if (s->table[i]) {
			last = i;
			++*ret_count;
		}
	pthread_mutex_unlock(&s->lock);
	return last;
}

uint64_t segments_dead(struct segments *s)
{
	uint64_t dead = 0;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->room; i++)
		if (s->table[i])
			dead += atomic_load(&s->table[i]->dead);
	pthread_mutex_unlock(&s->lock);
	return dead;
}

bool segments_is_writing(struct segments *s, const struct segment *g)
{
	pthread_mutex_lock(&s->lock);
	bool writing = g->fd >= 0;
	pthread_mutex_unlock(&s->lock);
	return writing;
}

uint32_t segments_lowest_writing(struct segments *s)
{
	pthread_mutex_lock(&s->lock);
	uint32_t lowest = s->next_number;
	for (struct segment *g = s->writing; g; g = g->next_writing)
		if (g->number < lowest)
			lowest = g->number;
	pthread_mutex_unlock(&s->lock);
	return lowest;
}

/* ---- reading ---- */

int segment_map(struct segments *s, struct segment *g, const char **ret, struct pb_error *err)
{
	char *map = atomic_load(&g->map);

	if (!map) {
		char name[32];
		int errnum = 0;

		segment_name(g->number, "seg", name);
		pthread_mutex_lock(&g->lock);
		map = atomic_load(&g->map);
		if (!map) {
			int fd = openat(s->dirfd, name, O_RDONLY | O_CLOEXEC);
			struct stat st;

			/* A file that was cut would be a signal at the first touch. */
			if (fd >= 0 && (fstat(fd, &st) || (uint64_t)st.st_size < g->size))
				errnum = EIO;
			map = fd >= 0 && !errnum ? mmap(NULL, g->size, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
			if (map == MAP_FAILED) {
				errnum = errnum ? errnum : errno;
				map = NULL;
			}
			if (fd >= 0)
				close(fd);
			atomic_store(&g->map, map);
		}
		pthread_mutex_unlock(&g->lock);
		if (!map)
			return pb_fail_errno(err, errnum, "reading segment %s/%s", s->dir, name);
	}
	*ret = map;
	return 0;
}

bool segment_bit(_Atomic(_Atomic uint8_t *) *bits, uint64_t offset)
{
	_Atomic uint8_t *b = atomic_load(bits);
	uint64_t place = offset / RECORD_ALIGN;

	return b && atomic_load_explicit(&b[place / 8], memory_order_relaxed) >> place % 8 & 1;
}

void segment_bit_set(struct segment *g, _Atomic(_Atomic uint8_t *) *bits, uint64_t offset, bool on)
{
	_Atomic uint8_t *b = atomic_load(bits);
	uint64_t place = offset / RECORD_ALIGN;

	if (!b) {
		pthread_mutex_lock(&g->lock);
		b = atomic_load(bits);
		if (!b) {
			b = pb_alloc(g->size / RECORD_ALIGN / 8 + 1);
			atomic_store(bits, b);
		}
		pthread_mutex_unlock(&g->lock);
	}
	if (on)
		atomic_fetch_or(&b[place / 8], 1u << place % 8);
	else
		atomic_fetch_and(&b[place / 8], (uint8_t)~(1u << place % 8));
}
