/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How the journal's bytes come to the device: past the page cache where that is possible, and what is flushed then. What is written is journal.c's. */
#include "kernel/store/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { BLOCK_INODES = 16, QUIET_TRIES = 8 * BLOCK_INODES };	/* inodes in a block of ext4, as mkfs makes it */

/*
 * Does a direct write go to the device at once, into the block that is there? ext4 says so of its files; elsewhere it may be to another place, or by way of the cache.
 * And it has to be there, and written once: a file that was copied back may have holes.
 */
static bool is_in_place(int fd, uint64_t end)
{
#ifdef STATX_DIOALIGN
	struct statx st;
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == EXT4_SUPER_MAGIC && statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) == 0 && (st.stx_mask & STATX_DIOALIGN) &&
	       st.stx_dio_offset_align && lseek(fd, 0, SEEK_HOLE) >= (off_t)end;
#else
	return fd < 0 && !end;
#endif
}

/*
 * A file without a name for flushes. ext4 without a journal writes, with the flush of a file, the block that its inode lies in, if any inode in it has changed: where
 * a segment's or the log's was a neighbour that was half a byte for each byte of mail. So the others of its block are files without a name too, held by mappings.
 */
static int open_quiet(struct journal *j, int dirfd)
{
	int fds[QUIET_TRIES], best = 0;
	uint64_t block[QUIET_TRIES];
	size_t n, most = 0;
	struct stat st;

	for (n = 0; n < QUIET_TRIES && most < BLOCK_INODES; n++) {
		fds[n] = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (fds[n] < 0 || fstat(fds[n], &st))
			break;
		block[n] = (st.st_ino - 1) / BLOCK_INODES;
		size_t beside = 0;
		for (size_t i = 0; i <= n; i++)
			beside += block[i] == block[n];
		if (beside > most) {
			most = beside;
			best = (int)n;
		}
	}
	if (n < QUIET_TRIES && most < BLOCK_INODES && fds[n] >= 0)
		close(fds[n]);
	j->neighbours = n ? mmap(NULL, (size_t)BLOCK_INODES * JOURNAL_BLOCK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : MAP_FAILED;
	if (j->neighbours == MAP_FAILED)
		j->neighbours = NULL;
	char *at = j->neighbours;
	for (int i = 0; i < (int)n; i++) {
		if (at && i != best && block[i] == block[best] && mmap(at, JOURNAL_BLOCK, PROT_NONE, MAP_PRIVATE | MAP_FIXED, fds[i], 0) == at)
			at += JOURNAL_BLOCK;
		if (i != best)
			close(fds[i]);
	}
	return n ? fds[best] : -1;
}

/* Past the page cache, so that what is written is what was added, and not the rest of a page besides. Not every file system can. */
void journal_go_direct(struct journal *j, int dirfd, uint64_t end)
{
	int fd = openat(dirfd, "journal", O_RDWR | O_DIRECT | O_CLOEXEC);
	char *try = journal_aligned(JOURNAL_BLOCK);

	j->align = JOURNAL_BLOCK;
	if (fd >= 0 && pread(fd, try, JOURNAL_BLOCK, 0) == JOURNAL_BLOCK) {
		close(j->fd);
		j->fd = fd;
		if (pread(fd, try, JOURNAL_SECTOR, JOURNAL_SECTOR) == JOURNAL_SECTOR)
			j->align = JOURNAL_SECTOR;
		/*
		 * Each write changes the file's time, and its own flush may write the inode. A flush of the device is all that is needed: by a file that nobody writes to.
		 * Not by the directory, whose flush ext4 leaves out where its own journal has nothing to commit.
		 */
		if (is_in_place(fd, end))
			j->rest_fd = open_quiet(j, dirfd);
	} else if (fd >= 0) {
		close(fd);
	}
	free(try);
}

void journal_quiet_close(struct journal *j)
{
	if (j->rest_fd >= 0)
		close(j->rest_fd);
	if (j->neighbours)
		munmap(j->neighbours, (size_t)BLOCK_INODES * JOURNAL_BLOCK);
	j->neighbours = NULL;
}

bool journal_is_in_place(const struct journal *j)
{
	return j->rest_fd >= 0;
}

int journal_flush(struct journal *j)
{
	return j->flush(j->rest_fd >= 0 ? j->rest_fd : j->fd) ? errno : 0;
}
