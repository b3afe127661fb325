/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The journal's file: making it, finding its frames at a start, writing frames around and around. What is in them, and when they are needed no more, is
 * engine_bdb_journal.c's, how a write comes to the device journal_direct.c's.
 */
#include "kernel/store/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/store/segment.h"	/* numbers on the disk */

#define BASE_MAGIC "PBJOURNL"
#define FRAME_MAGIC 0x31666a50u		/* "Pjf1" */
#define PACKED_MAGIC 0x317a6a50u	/* "Pjz1" */

enum { BASES = 2, BASE_BYTES = 56, BASE_AGAIN = 2048 };
enum { FRAME_HEAD = 32, ITEM_HEAD = 4, ITEM_MAX = (1 << 28) - 1, ZEROS = 1 << 20, HALF_MIN = 64 << 10, PENDING_KEPT = 1 << 20, WINDOW = 256 << 10 };

/* Base blocks, then the halves. */
static uint64_t half_start(const struct journal *j, unsigned half)
{
	return BASES * JOURNAL_BLOCK + half * j->half;
}

/* ---- the file ---- */

static int write_at(int fd, const char *bytes, size_t len, uint64_t at)
{
	while (len) {
		ssize_t n = pwrite(fd, bytes, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? errno : ENOSPC;
		bytes += n;
		len -= n;
		at += n;
	}
	return 0;
}

void *journal_aligned(size_t len)
{
	void *p = NULL;

	if (posix_memalign(&p, JOURNAL_BLOCK, len))
		abort();
	return p;
}

/* The blocks take turns, so that one is whole whatever happens to the other; and in different sectors of each it lies twice. */
static int write_base(struct journal *j, struct journal_place first)
{
	unsigned char *p = journal_aligned(JOURNAL_BLOCK);

	memset(p, 0, JOURNAL_BLOCK);
	memcpy(p, BASE_MAGIC, 8);
	le32_put(p + 8, JOURNAL_FORMAT);
	le64_put(p + 12, j->half);
	le64_put(p + 20, ++j->bases);
	le64_put(p + 28, j->life);
	le64_put(p + 36, first.at);
	le64_put(p + 44, first.frame);
	le32_put(p + 52, pb_crc32c(0, p, 52));
	memcpy(p + BASE_AGAIN, p, BASE_BYTES);
	int errnum = write_at(j->fd, (char *)p, JOURNAL_BLOCK, j->bases % BASES * JOURNAL_BLOCK);
	free(p);
	if (!errnum && j->flush(j->fd))
		errnum = errno;
	return errnum;
}

/* Both blocks: then there is never an older one of another life, or none, to be taken for the newest. */
static int write_bases(struct journal *j, struct journal_place first)
{
	int errnum = write_base(j, first);

	return errnum ? errnum : write_base(j, first);
}

/* Every block is written once, so that writing to it again changes nothing but its bytes. */
static int make(struct journal *j, int dirfd, uint64_t size)
{
	uint64_t half = size / 2 / JOURNAL_BLOCK * JOURNAL_BLOCK;
	char *zeros = pb_alloc(ZEROS);

	j->half = half < HALF_MIN ? HALF_MIN : half;
	j->fd = openat(dirfd, "journal.new", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int errnum = j->fd < 0 ? errno : 0;
	uint64_t end = half_start(j, 2);
	for (uint64_t at = 0; !errnum && at < end; at += ZEROS)
		errnum = write_at(j->fd, zeros, end - at < ZEROS ? end - at : ZEROS, at);
	free(zeros);
	pb_random(&j->life, sizeof(j->life));
	j->next = (struct journal_place) { half_start(j, 0), 1 };
	if (!errnum)
		errnum = write_bases(j, j->next);
	if (!errnum && (renameat(dirfd, "journal.new", dirfd, "journal") || fsync(dirfd)))
		errnum = errno;
	return errnum;
}

/* Takes what a block says if it is newer. False: in neither of its places it says anything, and it is not empty either. */
static bool take_base(struct journal *j, const char *block, struct journal_place *ret, uint32_t *ret_format)
{
	bool good = false, empty = true;

	for (size_t i = 0; i < JOURNAL_BLOCK; i++)
		empty &= !block[i];
	for (const char *p = block; p <= block + BASE_AGAIN; p += BASE_AGAIN) {
		if (memcmp(p, BASE_MAGIC, 8) || le32_get(p + 52) != pb_crc32c(0, p, 52))
			continue;
		good = true;
		if (le64_get(p + 20) <= j->bases)
			continue;
		*ret_format = le32_get(p + 8);
		j->half = le64_get(p + 12);
		j->bases = le64_get(p + 20);
		j->life = le64_get(p + 28);
		*ret = (struct journal_place) { le64_get(p + 36), le64_get(p + 44) };
	}
	return good || empty;
}

static int read_base(struct journal *j, struct journal_place *ret, const char *dir, struct pb_error *err)
{
	char block[JOURNAL_BLOCK];
	uint32_t format = 0;
	bool good = true;
	struct stat st;

	if (fstat(j->fd, &st))
		return pb_fail_errno(err, errno, "reading %s/journal", dir);
	for (int i = 0; i < BASES; i++)
		good &= pread(j->fd, block, JOURNAL_BLOCK, i * JOURNAL_BLOCK) == JOURNAL_BLOCK && take_base(j, block, ret, &format);
	if (format > JOURNAL_FORMAT)
		return pb_fail(err, PB_EINVALID, "%s/journal has format %u, newer than this program's %d", dir, format, JOURNAL_FORMAT);
	if (!good || !j->bases || j->half < HALF_MIN || j->half % JOURNAL_BLOCK || j->half > (uint64_t)st.st_size || (uint64_t)st.st_size < half_start(j, 2) ||
	    ret->at < half_start(j, 0) || ret->at > half_start(j, 2))
		return pb_fail(err, PB_ECORRUPT, "%s/journal is damaged in its first %d bytes: mail that was accepted last may be in it only. "
			"Bring it back, or move it away to open the store without that mail", dir, BASES * JOURNAL_BLOCK);
	return 0;
}

/* ---- what is found ---- */

static void item_head(char *at, unsigned type, size_t len)
{
	le32_put(at, type << 28 | len);
}

/* A piece of the file, as it is looked through. */
struct window {
	char *bytes;
	size_t room, len;
	uint64_t at;
	int errnum;
};

/* So many bytes of the file at a place; the caller knows that the file has them. NULL: reading failed, and errnum says how. */
static const char *look_at(const struct journal *j, struct window *w, uint64_t at, size_t len)
{
	uint64_t end = half_start(j, 2), more = len > WINDOW ? len : WINDOW;

	if (at >= w->at && at + len <= w->at + w->len)
		return w->bytes + (at - w->at);
	w->at = at;
	w->len = 0;
	if (more > w->room) {
		free(w->bytes);
		w->bytes = journal_aligned(more);
		w->room = more;
	}
	while (w->len < len) {
		ssize_t n = pread(j->fd, w->bytes + w->len, (more < end - at ? more : end - at) - w->len, at + w->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			w->errnum = n ? errno : EIO;
			return NULL;
		}
		w->len += n;
	}
	return w->bytes;
}

static bool is_frame(const char *p)
{
	return le32_get(p) == FRAME_MAGIC || le32_get(p) == PACKED_MAGIC;
}

/* The items of a frame, if the frame at this place is whole and the one that is looked for. */
static bool frame_at(struct journal *j, struct window *w, struct journal_place at, uint64_t *ret_room)
{
	uint64_t end = half_start(j, at.at >= half_start(j, 1) ? 2 : 1);

	if (at.at > end || end - at.at < FRAME_HEAD)
		return false;
	const char *p = look_at(j, w, at.at, FRAME_HEAD);
	if (!p)
		return false;
	uint64_t len = le32_get(p + 24), room = le32_get(p + 28);
	if (!is_frame(p) || le64_get(p + 8) != j->life || le64_get(p + 16) != at.frame || len < FRAME_HEAD || len > room || room > end - at.at)
		return false;
	p = look_at(j, w, at.at, len);
	if (!p || le32_get(p + 4) != pb_crc32c(0, p + 8, len - 8))
		return false;
	size_t before = j->found.len;
	struct pb_str items = pb_str(p + FRAME_HEAD, len - FRAME_HEAD);
	if (le32_get(p) == FRAME_MAGIC)
		pb_buf_addstr(&j->found, items);
	else if (!journal_unpack(items, &j->found))
		return false;
	j->last_found = before;
	*ret_room = room;
	return true;
}

/* Frames begin at sectors. */
static uint64_t last_begun(const struct journal *j, struct window *w)
{
	uint64_t last = 0;

	for (uint64_t at = half_start(j, 0); at < half_start(j, 2) && !w->errnum; at += JOURNAL_SECTOR) {
		const char *p = look_at(j, w, at, JOURNAL_SECTOR);

		if (p && is_frame(p) && le64_get(p + 8) == j->life && le64_get(p + 16) > last)
			last = le64_get(p + 16);
	}
	return last;
}

static int find_frames(struct journal *j, struct journal_place at, const char *dir, struct pb_error *err)
{
	struct window w = { 0 };
	uint64_t room;

	for (;;) {
		struct journal_place other = { half_start(j, at.at < half_start(j, 1)), at.frame };

		if (!frame_at(j, &w, at, &room)) {
			if (w.errnum || !frame_at(j, &w, other, &room))
				break;
			at = other;
		}
		at.at += room;
		at.frame++;
	}
	j->next = at;
	j->begun = last_begun(j, &w);
	free(w.bytes);
	return w.errnum ? pb_fail_errno(err, w.errnum, "reading %s/journal", dir) : 0;
}

bool journal_found(const struct journal *j, size_t *at, unsigned *ret_type, struct pb_str *ret)
{
	struct pb_str rest = pb_str_skip(pb_buf_str(&j->found), *at);

	if (rest.len < ITEM_HEAD)
		return false;
	uint32_t head = le32_get(rest.ptr);
	*ret_type = head >> 28;
	*ret = pb_str_head(pb_str_skip(rest, ITEM_HEAD), head & ITEM_MAX);
	*at += ITEM_HEAD + ret->len;
	return true;
}

/* ---- life ---- */

int journal_open(struct journal *j, int dirfd, const char *dir, uint64_t size, int (*flush)(int fd), struct pb_error *err)
{
	struct journal_place first = { 0, 0 };
	int r = 0;

	*j = (struct journal) { .rest_fd = -1, .flush = flush, .found = PB_BUF, .pending = PB_BUF };
	pthread_mutex_init(&j->lock, NULL);
	j->fd = openat(dirfd, "journal", O_RDWR | O_CLOEXEC);
	if (j->fd < 0 && errno == ENOENT) {
		int errnum = make(j, dirfd, size);

		if (errnum)
			return pb_fail_errno(err, errnum, "making %s/journal", dir);
	} else if (j->fd < 0) {
		return pb_fail_errno(err, errno, "opening %s/journal", dir);
	} else {
		r = read_base(j, &first, dir, err);
		if (!r)
			r = find_frames(j, first, dir, err);
	}
	if (!r)
		journal_go_direct(j, dirfd, half_start(j, 2));
	return r;
}

int journal_begin(struct journal *j)
{
	pb_buf_free(&j->found);
	pb_random(&j->life, sizeof(j->life));
	j->next = j->turn = (struct journal_place) { half_start(j, 0), 1 };
	j->other_busy = false;
	return write_bases(j, j->next);
}

void journal_close(struct journal *j)
{
	if (j->fd < 0)
		return;
	close(j->fd);
	journal_quiet_close(j);
	journal_pack_close(j);
	j->fd = -1;
	pb_buf_free(&j->found);
	pb_buf_free(&j->pending);
	free(j->frame);
	pthread_mutex_destroy(&j->lock);
}

/* ---- frames ---- */

void journal_add(struct journal *j, unsigned type, struct pb_str bytes)
{
	char head[ITEM_HEAD];

	item_head(head, type, bytes.len);
	pb_buf_add(&j->pending, head, ITEM_HEAD);
	pb_buf_addstr(&j->pending, bytes);
}

static char *grow(struct journal *j, size_t more)
{
	/* A block more, so that the end can be padded. */
	if (j->frame_len + more + JOURNAL_BLOCK > j->frame_room) {
		size_t room = ((j->frame_len + more) * 2 + JOURNAL_BLOCK) / JOURNAL_BLOCK * JOURNAL_BLOCK + JOURNAL_BLOCK;
		char *larger = journal_aligned(room);

		if (j->frame_len)
			memcpy(larger, j->frame, j->frame_len);
		free(j->frame);
		j->frame = larger;
		j->frame_room = room;
	}
	char *at = j->frame + j->frame_len;
	j->frame_len += more;
	return at;
}

void journal_take(struct journal *j)
{
	j->frame_len = 0;
	char *at = grow(j, FRAME_HEAD + j->pending.len);
	if (j->pending.len)
		memcpy(at + FRAME_HEAD, j->pending.ptr, j->pending.len);
	if (j->pending.cap > PENDING_KEPT)
		pb_buf_free(&j->pending);
	pb_buf_reset(&j->pending);
}

char *journal_item(struct journal *j, unsigned type, size_t len)
{
	char *at = grow(j, ITEM_HEAD + len);

	item_head(at, type, len);
	return at + ITEM_HEAD;
}

bool journal_frame_empty(const struct journal *j)
{
	return j->frame_len <= FRAME_HEAD;
}

static uint64_t room_of(const struct journal *j, size_t len)
{
	return (len + j->align - 1) / j->align * j->align;
}

static unsigned half_of(const struct journal *j, uint64_t at)
{
	return at >= half_start(j, 1);
}

enum journal_fit journal_fit(struct journal *j)
{
	uint64_t room = room_of(j, j->frame_len);
	enum journal_fit fit = JOURNAL_FITS;

	if (room > j->half)
		return JOURNAL_TOO_LARGE;
	pthread_mutex_lock(&j->lock);
	unsigned half = half_of(j, j->turn.at);
	if (half_start(j, half) + j->half - j->next.at < room) {
		if (j->other_busy) {
			fit = JOURNAL_MUST_TURN;
		} else {
			j->next.at = half_start(j, !half);
			j->turn = j->next;
			j->other_busy = true;
		}
	}
	pthread_mutex_unlock(&j->lock);
	return fit;
}

/* The frame as it is written; *len: its length. */
static char *made(struct journal *j, size_t *len, uint32_t *ret_magic)
{
	struct pb_str items = pb_str(j->frame + FRAME_HEAD, j->frame_len - FRAME_HEAD);
	size_t packed;

	*len = j->frame_len;
	*ret_magic = FRAME_MAGIC;
	if (items.len < JOURNAL_PACK_MIN || items.len > JOURNAL_PACK_MAX)
		return j->frame;
	if (!j->packed)
		j->packed = journal_aligned(JOURNAL_PACK_MAX + 2 * JOURNAL_BLOCK);
	if (!journal_pack(j, items, j->packed + FRAME_HEAD, items.len, &packed) || room_of(j, FRAME_HEAD + packed) >= room_of(j, j->frame_len))
		return j->frame;
	*len = FRAME_HEAD + packed;
	*ret_magic = PACKED_MAGIC;
	return j->packed;
}

int journal_write(struct journal *j, bool flush)
{
	size_t len;
	uint32_t magic;
	char *p = made(j, &len, &magic);
	uint64_t room = room_of(j, len);

	memset(p + len, 0, room - len);
	le32_put(p, magic);
	le64_put(p + 8, j->life);
	le64_put(p + 16, j->next.frame);
	le32_put(p + 24, len);
	le32_put(p + 28, room);
	le32_put(p + 4, pb_crc32c(0, p + 8, len - 8));
	int errnum = write_at(j->fd, p, room, j->next.at);
	if (!errnum && flush)
		errnum = journal_flush(j);
	if (errnum)
		return errnum;
	pthread_mutex_lock(&j->lock);
	j->next.at += room;
	j->next.frame++;
	j->written += room;
	pthread_mutex_unlock(&j->lock);
	return 0;
}

/* ---- what is needed no more ---- */

struct journal_place journal_place(struct journal *j, bool all)
{
	pthread_mutex_lock(&j->lock);
	struct journal_place place = all ? j->next : j->turn;
	pthread_mutex_unlock(&j->lock);
	return place;
}

uint64_t journal_flushed(struct journal *j)
{
	uint64_t last = journal_last(j);

	return j->begun > last + 1 ? j->begun - 1 : last;
}

uint64_t journal_last(struct journal *j)
{
	return journal_place(j, true).frame - 1;
}

bool journal_is_behind(struct journal *j)
{
	pthread_mutex_lock(&j->lock);
	bool behind = j->other_busy;
	pthread_mutex_unlock(&j->lock);
	return behind;
}

int journal_move_base(struct journal *j, struct journal_place place)
{
	int errnum = write_base(j, place);

	if (errnum)
		return errnum;
	pthread_mutex_lock(&j->lock);
	j->other_busy = place.frame < j->turn.frame;
	pthread_mutex_unlock(&j->lock);
	return 0;
}
