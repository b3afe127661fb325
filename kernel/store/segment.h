/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Segments: append-only files of bodies, with a file of facts beside each. They are written at their end, read through a mapping, and removed or
 * recycled as a whole. Which bodies live is their owner's knowledge, not theirs.
 *
 * A segment begins with 64 bytes: magic, format, its number, CRC. Records begin at multiples of 64: a header of 48 bytes with its own CRC-32C, then the body.
 */
#ifndef KERNEL_STORE_SEGMENT_H
#define KERNEL_STORE_SEGMENT_H

#include <pthread.h>
#include <stdatomic.h>

#include "kernel/store/engine.h"

#define FACTS_MAGIC 0x31666250u		/* "Pbf1" */
enum { FACTS_HEADER = 16 };		/* magic, random, length, CRC-32C */
enum { SEGMENT_FORMAT = 1, SEGMENT_HEADER = 64, RECORD_HEADER = 48, RECORD_ALIGN = 64, SPARES_MAX = 2 };

/* ---- what lies on the disk: segment_record.c ---- */

struct record {
	uint64_t size, offset;
	uint32_t segment, random, body_crc, facts_offset, facts_len;
};

void segment_header_pack(unsigned char bytes[SEGMENT_HEADER], uint32_t number);
/* 0 and the number; PB_ECORRUPT: not a segment's header; PB_EINVALID: a newer format, named in err. */
int segment_header_unpack(const void *bytes, size_t len, uint32_t *ret_number, struct pb_error *err);
void record_pack(unsigned char bytes[RECORD_HEADER], const struct record *r);
/* The record at offset of a segment's bytes: false where there is none that is whole (its header's check, place and length; not the body's check). */
bool record_at(const void *bytes, size_t len, uint32_t segment, uint64_t offset, struct record *ret);
bool record_body_good(const void *bytes, const struct record *r);
/* Bytes that a body of this size takes in a segment. */
uint64_t record_room(uint64_t size);
/* Walks records from an offset on for as long as they are whole; gives where the first that is not would begin. each may be NULL. */
uint64_t segment_walk(const void *bytes, size_t len, uint32_t segment, uint64_t from, void (*each)(void *arg, const struct record *r), void *arg);

/* ---- files: segment.c; making and writing: segment_write.c; flushing: segment_flush.c ---- */

struct segment {
	uint32_t number;
	int fd, facts_fd;		/* -1: not open */
	uint64_t size;			/* of the file: what was made, not what is used */
	uint64_t used;			/* where the next record goes; under segments.lock */
	uint64_t facts_used;
	_Atomic uint64_t dead;		/* bytes of records that no row names any more */
	atomic_bool dirty;		/* written since it was flushed last */
	atomic_bool counted;		/* dead is known since this start */
	bool damaged;			/* its header cannot be read */
	atomic_int pins;		/* users; the table is one */
	atomic_bool removed;
	struct segment *next_writing;	/* those with an fd; under segments.lock */
	_Atomic(char *) map;
	_Atomic(struct facts_map *) facts_map;	/* segment_facts.c */
	pthread_mutex_t lock;		/* of making map, facts_map, bits and facts_fd */
	_Atomic(_Atomic uint8_t *) checked;	/* a bit for each place: the body's CRC was good */
	_Atomic(_Atomic uint8_t *) fresh;	/* a bit for each place: written by this process, no row has named it yet */
};

/* A record that was written. */
struct segment_news {
	struct segment *segment;
	uint64_t offset, bytes;
};

struct segments {
	char *dir;
	int dirfd;
	uint64_t segment_bytes;
	pthread_mutex_t lock;		/* of the table, the active segment and its end */
	struct segment **table;		/* by number; NULL: none */
	size_t room;
	uint32_t next_number;
	struct segment *active, *prepared;	/* prepared: made ahead, empty */
	struct segment *writing;	/* open for writing: the active one, and those before it that are not flushed yet */
	uint32_t spares[SPARES_MAX];	/* files seg/spare.<n> that wait to be used again; 0: none */
	uint32_t next_spare;
	uint64_t seed;
	_Atomic uint64_t counter, bytes_written;
	_Atomic uint64_t bodies, body_bytes;
	atomic_int facts_open;
	pthread_mutex_t flush_lock;	/* one flush at a time, and its result */
	int flush_errno;		/* a flush failed: nobody knows what of */
	pthread_mutex_t news_lock;
	struct segment_news *news;	/* records that were written since they were asked for last */
	size_t nnews, news_room;
	uint64_t news_bytes, news_max;	/* of all together; what is more, or more than a quarter of it in one record, is flushed in its segment */
	bool rough;			/* there was such a record */
};

/* Reads the directory. PB_EINVALID: a newer format. */
int segments_open(struct segments *s, const char *dir, uint64_t segment_bytes, struct pb_error *err);
/* Continue writing in number (0: in a new one) from used on. */
int segments_resume(struct segments *s, uint32_t number, uint64_t used, struct pb_error *err);
void segments_close(struct segments *s);
/* The segment, pinned; NULL: there is none. */
struct segment *segments_pin(struct segments *s, uint32_t number);
void segment_unpin(struct segments *s, struct segment *g);
/* Makes an empty segment ahead if the active one is half full. */
int segments_prepare(struct segments *s, struct pb_error *err);
/* Flush all that were written to, as fdatasync does; gives how many that were. 0 or errno. */
int segments_flush(struct segments *s, int (*flush)(int fd), size_t *ret_n);
/* What was written to segment g at offset is there. */
void segment_written(struct segments *s, struct segment *g, uint64_t offset, uint64_t bytes);
/* What was written since the last call, in that order, with pinned segments; the list is the caller's to free. True: there was more, which segments_flush makes
 * durable. */
bool segments_take_news(struct segments *s, struct segment_news **ret, size_t *ret_n);
/* No longer in the table; its file goes, or is kept to be used again, once nobody reads it. */
void segments_remove(struct segments *s, struct segment *g);
/* The highest number in use, and how many there are. */
uint32_t segments_last(struct segments *s, uint64_t *ret_count);
/* Bytes of records that are known to be dead. */
uint64_t segments_dead(struct segments *s);
/* The next segment from this number on, pinned; NULL: there is none. */
struct segment *segments_next(struct segments *s, uint32_t number);
/* Flush every segment from this number on, whoever wrote it: after a crash what can be read need not be on the disk. */
int segments_sync_from(struct segments *s, uint32_t number, struct pb_error *err);
/* May it still be written to, or hold what is not flushed? */
bool segments_is_writing(struct segments *s, const struct segment *g);
/* The lowest number that may hold what is not flushed. */
uint32_t segments_lowest_writing(struct segments *s);
/* Relative to segments.dirfd, so that nobody needs long paths. */
void segment_name(uint32_t number, const char *suffix, char ret[32]);
/* Without a file yet; in the table under its number, for those who hold s->lock. */
struct segment *segment_new(uint32_t number, uint64_t size);
void segments_put(struct segments *s, uint32_t number, struct segment *g);
/* The file of a segment that was removed. */
void segment_file_away(struct segments *s, struct segment *g);
void segment_path(const struct segments *s, uint32_t number, const char *suffix, char *ret, size_t room);

/* Take room for a body and its facts; gives the pinned segment and fills all of id. PB_EFULL. */
int segment_take(struct segments *s, uint64_t size, size_t facts_len, struct segment **ret, struct body_id *ret_id, struct pb_error *err);
/* Write the record: header and parts, and the facts. Nobody else writes to that room. */
int segment_write(struct segments *s, struct segment *g, const struct body_id *id, uint32_t crc, const struct pb_str *parts, size_t nparts, struct pb_error *err);
int segment_write_facts(struct segments *s, struct segment *g, const struct body_id *id, struct pb_str facts, struct pb_error *err);
/* Give room back where nothing whole was written: it is used again at once if it is the last. */
void segment_give_back(struct segments *s, struct segment *g, const struct body_id *id);
/* A record that nobody wants: its room is dead, and not used again, because a journal may hold it. */
void segment_drop(struct segment *g, const struct body_id *id);
int segment_map(struct segments *s, struct segment *g, const char **ret, struct pb_error *err);
/* PB_ENOTFOUND: there are none (any more); PB_ECORRUPT: they fail their check. */
int segment_read_facts(struct segments *s, struct segment *g, const struct body_id *id, struct pb_buf *out, struct pb_error *err);
/* When nobody reads the segment any more. */
void segment_facts_unmap(struct segment *g);
/* The bits of a place. */
bool segment_bit(_Atomic(_Atomic uint8_t *) *bits, uint64_t offset);
void segment_bit_set(struct segment *g, _Atomic(_Atomic uint8_t *) *bits, uint64_t offset, bool on);

/* ---- little-endian numbers on the disk ---- */

static inline void le32_put(void *at, uint32_t n)
{
	unsigned char *p = at;

	for (int i = 0; i < 4; i++)
		p[i] = n >> 8 * i;
}

static inline void le64_put(void *at, uint64_t n)
{
	le32_put(at, n);
	le32_put((char *)at + 4, n >> 32);
}

static inline uint32_t le32_get(const void *at)
{
	const unsigned char *p = at;

	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t le64_get(const void *at)
{
	return le32_get(at) | (uint64_t)le32_get((const char *)at + 4) << 32;
}

#endif
