/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Segment files: made ahead with all their blocks, written at the end, flushed together, mapped for reading, recycled. Which bytes in them are a record
 * is segment_record.c's, and which records live is the engine's.
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
#include <sys/uio.h>
#include <unistd.h>

#define FACTS_OPEN_MAX 256

/* Relative to segments.dirfd, so that nobody needs long paths. */
static void name_of(uint32_t number, const char *suffix, char ret[32])
{
	snprintf(ret, 32, "%08" PRIu32 ".%s", number, suffix);
}

void segment_path(const struct segments *s, uint32_t number, const char *suffix, char *ret, size_t room)
{
	snprintf(ret, room, "%s/%08" PRIu32 ".%s", s->dir, number, suffix);
}

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

/* ---- the table ---- */

/* Callers hold s->lock. */
static void table_put(struct segments *s, uint32_t number, struct segment *g)
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

static struct segment *segment_new(uint32_t number, uint64_t size)
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

/* The file of a segment that is gone: one that was made whole waits to be used again, because blocks that were written before flush faster. */
static void file_away(struct segments *s, struct segment *g)
{
	char name[32], spare[32];

	name_of(g->number, "facts", name);
	unlinkat(s->dirfd, name, 0);
	name_of(g->number, "seg", name);
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
		file_away(s, g);
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
	table_put(s, number, g);
	if (number >= s->next_number)
		s->next_number = number + 1;
	return 0;
}

int segments_open(struct segments *s, const char *dir, uint64_t segment_bytes, struct pb_error *err)
{
	*s = (struct segments) { .dir = pb_str_dup(pb_strz(dir)), .next_number = 1, .segment_bytes = (segment_bytes + 4095) / 4096 * 4096 };
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->laid, NULL);
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
	pthread_cond_destroy(&s->laid);
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
		name_of(i, "seg", name);
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

/* ---- making ---- */

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

	name_of(number, "seg", name);
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
	table_put(s, number, g);
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

	name_of(number, "seg", name);
	if (g && !g->damaged && g->size == s->segment_bytes && used < g->size && (g->fd = openat(s->dirfd, name, O_RDWR | O_CLOEXEC)) >= 0) {
		g->used = used;
		name_of(number, "facts", name);
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

/* ---- writing ---- */

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
	while (g && g->laying_to && g->used + room > g->laying_from) {
		pthread_cond_wait(&s->laid, &s->lock);
		g = s->active;
	}
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
		segments_note_use(s);
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

enum { IOV = 64 };

int segment_write(struct segment *g, const struct body_id *id, uint32_t crc, const struct pb_str *parts, size_t nparts, struct pb_error *err)
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
	segment_written(g, id->offset, record_room(id->size));
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
		name_of(g->number, "facts", name);
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

/* ---- reading ---- */

int segment_map(struct segments *s, struct segment *g, const char **ret, struct pb_error *err)
{
	char *map = atomic_load(&g->map);

	if (!map) {
		char name[32];
		int errnum = 0;

		name_of(g->number, "seg", name);
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
