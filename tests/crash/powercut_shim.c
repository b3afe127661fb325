/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A disk that loses power: preloaded into a process, it remembers what of each file under $POWERCUT_DIR was flushed, kills the process at the
 * $POWERCUT_AT-th call (or removal of a name, with $POWERCUT_REMOVALS set), and leaves of what was not flushed some, none, or rubbish. What the process then finds at its next start is the test's to judge.
 *
 * The model: a block of 4 KiB that was written since the file's last flush keeps its new bytes, gets its old ones back, or is torn at a sector; where
 * nothing was before it may hold rubbish. Blocks of *.db are written whole or not at all. A size that was not flushed may be cut. Names that were made,
 * changed or removed since the directory's last flush are undone from the newest back to a random one, and of the removed ones any may come back. A flush is only
 * noted, never done. Now and then it takes as long as others take for many calls, and what they write after its beginning is not in it.
 * What was written past the page cache (O_DIRECT), or written back (sync_file_range), lies in the device, and any later flush of a file keeps it, of whichever;
 * but only blocks that were part of a flush before have a place there: of others the file system would forget where they are. The flush of a directory need not
 * reach the device: ext4 leaves it out where there is no transaction to commit.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, SECTOR = 512, FILES = 4096, NAMES = 4096 };

struct block {
	uint64_t number;
	struct block *next;
	uint64_t flush;			/* the last one that had begun when old was so */
	bool handed;			/* to the device, as it is or as in device */
	unsigned char *device;		/* what was handed, if it was changed since */
	unsigned char old[BLOCK];	/* as it was flushed; zeros behind the end */
};

struct file {
	dev_t device;
	ino_t inode;
	int fd;				/* our own */
	off_t flushed_size;
	bool whole_blocks;		/* a database: its pages are not torn */
	struct block *blocks[256];
	unsigned char *placed;		/* a bit for each block that was flushed */
	size_t placed_room;
};

struct name {
	enum { MADE, RENAMED, REMOVED } what;
	char path[PATH_MAX], from[PATH_MAX];
};

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static struct file files[FILES];
static size_t nfiles;
static struct name *names;
static size_t nnames, nremoved;
static const char *dir;
static long calls, cut_at;
static bool count_removals;
static uint64_t state, flushes;

#define REAL(name) ({ static typeof(&name) real_; if (!real_) real_ = (typeof(&name))dlsym(RTLD_NEXT, #name); real_; })

static uint64_t roll(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return below ? (state >> 11) % below : 0;
}

static void __attribute__((constructor)) begin(void)
{
	const char *at = getenv("POWERCUT_AT"), *seed = getenv("POWERCUT_SEED");

	dir = getenv("POWERCUT_DIR");
	cut_at = at ? strtol(at, NULL, 10) : 0;
	count_removals = getenv("POWERCUT_REMOVALS");
	state = 0x9e3779b97f4a7c15u ^ (seed ? strtoull(seed, NULL, 10) : 1) * 0xbf58476d1ce4e5b9u;
	names = calloc(NAMES, sizeof(*names));
}

/* The path of an open file or directory if it is under the directory that we watch. */
static bool path_of(int fd, char *path)
{
	char link[64];

	if (!dir)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, PATH_MAX - 1);
	if (n <= 0)
		return false;
	path[n] = 0;
	return strncmp(path, dir, strlen(dir)) == 0;
}

static bool path_at(int at, const char *name, char *path)
{
	char base[PATH_MAX];

	if (!dir)
		return false;
	if (*name == '/')
		snprintf(path, PATH_MAX, "%s", name);
	else if (at == AT_FDCWD || !path_of(at, base) || (size_t)snprintf(path, PATH_MAX, "%s/%s", base, name) >= PATH_MAX)
		return false;
	return strncmp(path, dir, strlen(dir)) == 0 && !strstr(path, "/.removed-");
}

static struct file *known(int fd)
{
	struct stat st;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return NULL;
	for (size_t i = 0; i < nfiles; i++)
		if (files[i].inode == st.st_ino && files[i].device == st.st_dev)
			return &files[i];
	return NULL;
}

static void watch(int fd)
{
	struct stat st;

	if (known(fd) || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return;
	if (nfiles == FILES)
		abort();
	struct file *f = &files[nfiles++];
	*f = (struct file) { .device = st.st_dev, .inode = st.st_ino, .flushed_size = st.st_size };
	char own[64];
	snprintf(own, sizeof(own), "/proc/self/fd/%d", fd);
	f->fd = REAL(openat)(AT_FDCWD, own, O_RDWR | O_CLOEXEC);
}

/* Keeps what a write is about to change. */
static void remember(struct file *f, off_t at, uint64_t len)
{
	if (!len)
		return;
	for (uint64_t n = at / BLOCK; n <= (at + len - 1) / BLOCK; n++) {
		struct block **slot = &f->blocks[n % 256], *b = *slot;

		while (b && b->number != n)
			b = b->next;
		if (b && b->handed && !b->device) {
			b->device = calloc(1, BLOCK);
			if (pread(f->fd, b->device, BLOCK, n * BLOCK) < 0)
				abort();
		}
		if (b)
			continue;
		b = calloc(1, sizeof(*b));
		b->number = n;
		b->flush = flushes;
		if (pread(f->fd, b->old, BLOCK, n * BLOCK) < 0)
			abort();
		b->next = *slot;
		*slot = b;
	}
}

static void place(struct file *f, uint64_t number)
{
	if (number / 8 >= f->placed_room) {
		size_t room = number / 8 * 2 + 64;

		f->placed = realloc(f->placed, room);
		memset(f->placed + f->placed_room, 0, room - f->placed_room);
		f->placed_room = room;
	}
	f->placed[number / 8] |= 1u << number % 8;
}

static bool is_placed(const struct file *f, uint64_t number)
{
	return number / 8 < f->placed_room && f->placed[number / 8] >> number % 8 & 1;
}

static void hand_over(struct file *f, uint64_t first, uint64_t last)
{
	for (int i = 0; i < 256; i++)
		for (struct block *b = f->blocks[i]; b; b = b->next) {
			if (b->number < first || b->number > last || !is_placed(f, b->number))
				continue;
			b->handed = true;
			free(b->device);
			b->device = NULL;
		}
}

/* ---- a flush ---- */

/* What one flush is to make durable: a block as it was when the flush began. */
struct kept {
	struct file *file;
	uint64_t number;
	struct kept *next;
	unsigned char bytes[BLOCK];
};

static void keep(struct kept **list, struct file *f, const struct block *b)
{
	struct kept *k = calloc(1, sizeof(*k));

	k->file = f;
	k->number = b->number;
	if (b->handed && b->device)
		memcpy(k->bytes, b->device, BLOCK);
	else if (pread(f->fd, k->bytes, BLOCK, b->number * BLOCK) < 0)
		abort();
	k->next = *list;
	*list = k;
}

/* All of its own file's, and of every file what was handed to the device. */
static struct kept *begin_flush(struct file *own)
{
	struct kept *list = NULL;

	for (size_t k = 0; k < nfiles; k++)
		for (int i = 0; i < 256; i++)
			for (struct block *b = files[k].blocks[i]; b; b = b->next)
				if (&files[k] == own || b->handed)
					keep(&list, &files[k], b);
	return list;
}

/* Unless a flush that began later was done with the block before. */
static void end_block(const struct kept *k, uint64_t flush)
{
	unsigned char now[BLOCK] = { 0 };
	struct block **at = &k->file->blocks[k->number % 256], *b;

	while ((b = *at) && b->number != k->number)
		at = &b->next;
	if (!b || b->flush >= flush)
		return;
	if (pread(k->file->fd, now, BLOCK, k->number * BLOCK) < 0)
		abort();
	memcpy(b->old, k->bytes, BLOCK);
	b->flush = flush;
	if (memcmp(now, k->bytes, BLOCK) != 0)
		return;
	*at = b->next;
	free(b->device);
	free(b);
}

static void end_flush(struct kept *list, struct file *own, off_t size, uint64_t flush)
{
	for (struct kept *k = list, *next; k; k = next) {
		next = k->next;
		if (k->file == own)
			place(own, k->number);
		end_block(k, flush);
		free(k);
	}
	if (own->flushed_size < size)
		own->flushed_size = size;
}

/* A disk takes its time, and others go on meanwhile: until so many calls were made, or for as long as nobody makes any. Callers hold the lock. */
static void hold(void)
{
	const struct timespec moment = { 0, 100000 };
	long until = roll(6) ? 0 : calls + 1 + roll(60);

	for (int i = 0; i < 20 && calls < until; i++) {
		pthread_mutex_unlock(&lock);
		nanosleep(&moment, NULL);
		pthread_mutex_lock(&lock);
	}
}

static void forget_names(const char *path)
{
	size_t len = strlen(path), kept = 0;

	for (size_t i = 0; i < nnames; i++) {
		const char *rest = names[i].path + len;

		if (strncmp(names[i].path, path, len) != 0 || *rest != '/' || strchr(rest + 1, '/'))
			names[kept++] = names[i];
	}
	nnames = kept;
}

/* ---- the cut ---- */

/* By the name that it has now: databases are made under another. */
static bool is_database(int fd)
{
	char path[PATH_MAX];
	size_t len = path_of(fd, path) ? strlen(path) : 0;

	return len > 3 && (!strcmp(path + len - 3, ".db") || strstr(path, "/__db."));
}

static void settle_block(struct file *f, const struct block *b)
{
	unsigned char now[BLOCK];
	off_t at = b->number * BLOCK;
	ssize_t n = pread(f->fd, now, BLOCK, at);
	bool was_empty = true;

	if (n <= 0)
		return;
	for (int i = 0; i < BLOCK && was_empty; i++)
		was_empty = !b->old[i];
	switch (roll(f->whole_blocks ? 2 : 4)) {
	case 0:
		return;
	case 1:
		memcpy(now, b->old, BLOCK);
		break;
	case 2: {
		size_t torn = roll(BLOCK / SECTOR) * SECTOR;
		memcpy(now + torn, b->old + torn, BLOCK - torn);
		break;
	}
	default:
		if (!was_empty)
			return;
		for (int i = roll(BLOCK); i < BLOCK; i++)
			now[i] = roll(256);
	}
	if (REAL(pwrite)(f->fd, now, n, at) != n)
		abort();
}

static void undo_name(const struct name *n)
{
	if (n->what == MADE)
		REAL(unlinkat)(AT_FDCWD, n->path, 0);
	else if (n->what == RENAMED)
		REAL(renameat)(AT_FDCWD, n->path, AT_FDCWD, n->from);
	else
		REAL(renameat)(AT_FDCWD, n->from, AT_FDCWD, n->path);
}

static void cut(void)
{
	for (size_t i = 0; i < nfiles; i++) {
		struct file *f = &files[i];
		struct stat st;

		f->whole_blocks = is_database(f->fd);
		for (int j = 0; j < 256; j++)
			for (struct block *b = f->blocks[j]; b; b = b->next)
				settle_block(f, b);
		if (fstat(f->fd, &st) || st.st_size <= f->flushed_size || roll(2))
			continue;
		off_t size = f->flushed_size + roll(st.st_size - f->flushed_size);
		if (f->whole_blocks)
			size = size / BLOCK * BLOCK;
		if (size >= f->flushed_size && REAL(ftruncate)(f->fd, size))
			abort();
	}
	for (size_t left = roll(nnames + 1); nnames > left;)
		undo_name(&names[--nnames]);
	while (nnames)
		if (names[--nnames].what == REMOVED && roll(2) && access(names[nnames].path, F_OK))
			undo_name(&names[nnames]);
	raise(SIGKILL);
	for (;;)
		pause();
}

/* Each call that changes or flushes something passes here, with the lock. */
static void tick(void)
{
	calls++;
	if (cut_at && (count_removals ? (long)nremoved : calls) >= cut_at)
		cut();
}

static void note(int what, const char *path, const char *from)
{
	if (nnames == NAMES)
		abort();
	struct name *n = &names[nnames++];
	n->what = what;
	snprintf(n->path, PATH_MAX, "%s", path);
	snprintf(n->from, PATH_MAX, "%s", from ? from : "");
}

/* ---- what is intercepted ---- */

static int do_open(int at, const char *name, int flags, mode_t mode)
{
	char path[PATH_MAX];

	pthread_mutex_lock(&lock);
	bool ours = (flags & O_ACCMODE) != O_RDONLY && path_at(at, name, path);
	bool there = ours && access(path, F_OK) == 0;
	int fd = REAL(openat)(at, name, flags, mode);
	int errnum = errno;
	if (ours && fd >= 0) {
		watch(fd);
		if (!there) {
			note(MADE, path, NULL);
			tick();
		}
	}
	pthread_mutex_unlock(&lock);
	errno = errnum;
	return fd;
}

#define OPEN(name) \
	int name(const char *path, int flags, ...) \
	{ \
		va_list ap; \
		va_start(ap, flags); \
		mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0; \
		va_end(ap); \
		return do_open(AT_FDCWD, path, flags, mode); \
	}
#define OPENAT(name) \
	int name(int at, const char *path, int flags, ...) \
	{ \
		va_list ap; \
		va_start(ap, flags); \
		mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0; \
		va_end(ap); \
		return do_open(at, path, flags, mode); \
	}
#undef open64
#undef openat64
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int fd, const void *bytes, size_t n)
{
	pthread_mutex_lock(&lock);
	struct file *f = dir ? known(fd) : NULL;
	if (f)
		remember(f, lseek(fd, 0, SEEK_CUR), n);
	ssize_t r = REAL(write)(fd, bytes, n);
	int errnum = errno;
	if (f)
		tick();
	pthread_mutex_unlock(&lock);
	errno = errnum;
	return r;
}

static bool is_direct(int fd)
{
	return fcntl(fd, F_GETFL) & O_DIRECT;
}

static ssize_t do_pwrite(int fd, const void *bytes, size_t n, off_t at)
{
	pthread_mutex_lock(&lock);
	struct file *f = dir ? known(fd) : NULL;
	if (f)
		remember(f, at, n);
	ssize_t r = REAL(pwrite)(fd, bytes, n, at);
	int errnum = errno;
	if (f && r > 0 && is_direct(fd))
		hand_over(f, at / BLOCK, (at + r - 1) / BLOCK);
	if (f)
		tick();
	pthread_mutex_unlock(&lock);
	errno = errnum;
	return r;
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
	return do_pwrite(fd, bytes, n, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
	return do_pwrite(fd, bytes, n, at);
}

static ssize_t do_pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
	uint64_t len = 0;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	pthread_mutex_lock(&lock);
	struct file *f = dir ? known(fd) : NULL;
	if (f)
		remember(f, at, len);
	ssize_t r = REAL(pwritev)(fd, iov, n, at);
	int errnum = errno;
	if (f)
		tick();
	pthread_mutex_unlock(&lock);
	errno = errnum;
	return r;
}

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
	return do_pwritev(fd, iov, n, at);
}

ssize_t pwritev64(int fd, const struct iovec *iov, int n, off64_t at)
{
	return do_pwritev(fd, iov, n, at);
}

static int do_flush(int fd)
{
	char path[PATH_MAX];
	struct stat st;

	pthread_mutex_lock(&lock);
	struct file *f = dir ? known(fd) : NULL;
	if (f) {
		/* Before it is noted: power may go in the middle of a flush. */
		tick();
		uint64_t flush = ++flushes;
		off_t size = fstat(fd, &st) ? 0 : st.st_size;
		struct kept *list = begin_flush(f);
		hold();
		end_flush(list, f, size, flush);
	} else if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && path_of(fd, path)) {
		tick();
		forget_names(path);
	}
	pthread_mutex_unlock(&lock);
	return 0;
}

int sync_file_range(int fd, off64_t at, off64_t len, unsigned flags)
{
	(void)flags;
	pthread_mutex_lock(&lock);
	struct file *f = dir ? known(fd) : NULL;
	if (f && len) {
		tick();
		hand_over(f, at / BLOCK, (at + len - 1) / BLOCK);
	}
	pthread_mutex_unlock(&lock);
	return 0;
}

int fsync(int fd)
{
	return do_flush(fd);
}

int fdatasync(int fd)
{
	return do_flush(fd);
}

int renameat(int from_at, const char *from, int to_at, const char *to)
{
	char path[PATH_MAX], old[PATH_MAX];

	pthread_mutex_lock(&lock);
	bool ours = path_at(from_at, from, old) && path_at(to_at, to, path);
	int r = REAL(renameat)(from_at, from, to_at, to);
	int errnum = errno;
	if (!r && ours) {
		note(RENAMED, path, old);
		tick();
	}
	pthread_mutex_unlock(&lock);
	errno = errnum;
	return r;
}

int rename(const char *from, const char *to)
{
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int unlinkat(int at, const char *name, int flags)
{
	char path[PATH_MAX], aside[PATH_MAX];

	pthread_mutex_lock(&lock);
	bool ours = !flags && path_at(at, name, path);
	/* The file stays under another name, in case its removal does not last. */
	int r = ours && snprintf(aside, sizeof(aside), "%s/.removed-%zu", dir, nremoved++) ? REAL(renameat)(at, name, AT_FDCWD, aside) : REAL(unlinkat)(at, name, flags);
	int errnum = errno;
	if (!r && ours) {
		note(REMOVED, path, aside);
		tick();
	}
	pthread_mutex_unlock(&lock);
	errno = errnum;
	return r;
}

int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}
