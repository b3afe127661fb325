/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The journal: a file of fixed size, written around and around, in which everything becomes durable that the engine acknowledges. One flush of the engine is one
 * frame, one write and one flush of the device; the file's blocks were written when it was made, so that this changes no metadata. Where frames belong in the end
 * (segments, index) is written at leisure; once that is durable, their half of the file is free again. What items mean is their owner's knowledge.
 *
 * The file: two blocks of 4 KiB that say, each twice, where the first frame lies that is still needed (the newest of them counts), then two halves. A frame is a
 * head with the journal's life, its number and a CRC-32C, then items, each with four bytes of type and length; all items of a small frame may be packed (since
 * format 2). Frames follow each other up to the end of a half and
 * go on in the other half; the first that is not whole, or not the next of this life, ends them. A frame is begun when the flush of the one before it has ended: so
 * the head of one with a higher number shows that it was whole.
 */
#ifndef KERNEL_STORE_JOURNAL_H
#define KERNEL_STORE_JOURNAL_H

#include <pthread.h>

#include <postbus/error.h>
#include <postbus/str.h>

enum { JOURNAL_FORMAT = 2, JOURNAL_BLOCK = 4096, JOURNAL_SECTOR = 512, JOURNAL_TYPES = 16 };

struct journal_place {
	uint64_t at, frame;		/* in the file; number of the frame that begins there */
};

struct journal {
	int fd;				/* -1: not open */
	int rest_fd;			/* a file without a name, where its flush covers direct writes to the journal too; -1: it does not */
	void *neighbours;		/* files without a name whose inodes lie beside that one's */
	size_t align;			/* of the places and lengths of writes */
	uint64_t half;			/* bytes */
	uint64_t life;			/* frames of another are not ours */
	uint64_t bases;			/* written so far */
	int (*flush)(int fd);
	pthread_mutex_t lock;		/* of next, turn, other_busy */
	struct journal_place next;	/* where the next frame goes */
	struct journal_place turn;	/* where the half begins that is being written */
	bool other_busy;		/* the other half is still needed */
	struct pb_buf found;		/* items of all frames that were there at opening */
	uint64_t begun;			/* the highest number of a frame of this life that was there, whole or not */
	size_t last_found;		/* where those of the last one begin */
	struct pb_buf pending;		/* items for the next frame; their owner's lock */
	char *frame;			/* being made; aligned for direct writes */
	size_t frame_len, frame_room;
	uint64_t written;		/* bytes since it was opened */
	void *packer;			/* made on first use */
	char *packed;			/* a frame in its packed form */
};

/* Opens dir's journal, or makes one of this size, and reads its frames. flush: what makes a file durable, as fdatasync does. PB_EINVALID: a newer format. */
int journal_open(struct journal *j, int dirfd, const char *dir, uint64_t size, int (*flush)(int fd), struct pb_error *err);
/* The items that were found, in order: false at their end. *at is 0 for the first. */
bool journal_found(const struct journal *j, size_t *at, unsigned *ret_type, struct pb_str *ret);
/* The last frame whose flush had ended, as far as the file tells; more than journal_last where frames are damaged. */
uint64_t journal_flushed(struct journal *j);
/* What was found lies where it belongs, durably: begin anew. 0 or errno. */
int journal_begin(struct journal *j);
void journal_close(struct journal *j);

/* An item for the next frame. Callers serialise this and journal_take. */
void journal_add(struct journal *j, unsigned type, struct pb_str bytes);
/* Begin a frame with all items that were added. One frame is made at a time. */
void journal_take(struct journal *j);
/* Room for one item more in the frame that is being made; valid until the next call. */
char *journal_item(struct journal *j, unsigned type, size_t len);
bool journal_frame_empty(const struct journal *j);
/* Can the frame be written at all, and is there a place for it? */
enum journal_fit { JOURNAL_FITS, JOURNAL_MUST_TURN, JOURNAL_TOO_LARGE } journal_fit(struct journal *j);
/* Is what was written durable with the flush of any file on the same file system? */
bool journal_is_in_place(const struct journal *j);
/* Write the frame, which fits; and flush it, where the caller does not do so by flushing something else. 0 or errno. */
int journal_write(struct journal *j, bool flush);
int journal_flush(struct journal *j);
/* The last frame that was found or written; 0 in a journal that never had one. */
uint64_t journal_last(struct journal *j);

/* The half that is not being written can be used again once what its frames hold lies durably where it belongs: is that to be done? */
bool journal_is_behind(struct journal *j);
/* Where the half begins that is being written; or, with all, where the next frame goes. */
struct journal_place journal_place(struct journal *j, bool all);
/* What frames before this place hold lies durably where it belongs. 0 or errno. */
int journal_move_base(struct journal *j, struct journal_place place);

/* ---- packed frames: journal_pack.c ---- */

/* Bytes of items that are packed: in smaller frames it saves no sector, larger ones hold what several wait for. */
enum { JOURNAL_PACK_MIN = 2 << 10, JOURNAL_PACK_MAX = 12 << 10 };
bool journal_pack(struct journal *j, struct pb_str items, char *out, size_t room, size_t *ret_len);
/* Appends. False: it is nothing that was packed. */
bool journal_unpack(struct pb_str packed, struct pb_buf *out);
void journal_pack_close(struct journal *j);

/* ---- to the device: journal_direct.c ---- */

/* Write directly from here on, if the file system can; end: of the file. */
void journal_go_direct(struct journal *j, int dirfd, uint64_t end);
void journal_quiet_close(struct journal *j);
void *journal_aligned(size_t len);		/* memory for direct writes; free */

#endif
