/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The rows of a folder in memory, in UID order: a persistent vector of chunks that all views of the folder share.
 *
 * A row_set is a picture of n rows. Its chunks are immutable as far as any picture reaches: an append writes behind the last row that
 * a picture shows, a change copies the chunks it touches. So a picture costs a few words, and two of them are compared by pointers first.
 * Making a new picture from an old one is the folder lock's business; reading needs no lock.
 */
#ifndef KERNEL_STORE_ROWS_H
#define KERNEL_STORE_ROWS_H

#include <stdatomic.h>
#include "kernel/store/engine.h"
#include <postbus/mailbox.h>

enum { CHUNK_ROWS = 256, FLAG_BLOCK_BITS = 7 };

struct image_source;

/* Behind a row: what opens its body. first_modseq: as it was appended; a row whose modseq differs has its flags in a flag block. */
struct where {
	struct body_id body;
	const char *head;		/* bytes put before the body when it is read */
	uint32_t head_len;
	uint64_t first_modseq;
};

struct row_slab;

struct row_chunk {
	_Atomic unsigned refs;
	uint32_t used, cap;		/* folder lock */
	struct row_slab *slab;		/* that it lies in; NULL: it has memory of its own */
	struct pb_row rows[];
};

struct head_block;

struct where_chunk {
	_Atomic unsigned refs;
	uint32_t used, cap;		/* folder lock */
	struct head_block *heads;	/* folder lock */
	struct image_source *source;	/* NULL: none; else wheres are unpacked from it when the first is asked for, and heads lie in it */
	uint32_t source_first;		/* row of the source */
	_Atomic(struct where *) wheres;	/* NULL: not unpacked yet */
};

/* An image that wheres are unpacked from (folder_image.c). */
struct image_source {
	_Atomic unsigned refs;
	uint32_t block, len;
	char bytes[];
};

void image_source_release(struct image_source *source);
/* Those of n rows from first on; the image was decoded before, so it can be. */
void image_source_unpack(const struct image_source *source, uint32_t first, uint32_t n, struct where *out);

struct slot {
	struct row_chunk *rows;
	struct where_chunk *wheres;
	uint32_t base;			/* rows before this slot */
	uint32_t first_uid;
};

struct slot_table {
	_Atomic unsigned refs;
	uint32_t used, cap;		/* folder lock */
	uint32_t expected;		/* folder lock; slots whose chunks come out of slabs */
	struct row_slab *slab;		/* folder lock; the one with room */
	struct slot slots[];
};

struct row_set {
	struct slot_table *table;	/* NULL: not loaded */
	uint32_t nslots;
	uint32_t n;
};

void row_set_init(struct row_set *s);				/* loaded, and empty */
void row_set_init_for(struct row_set *s, uint32_t rows);	/* the same, where about so many will be appended at once */
void row_set_ref(struct row_set *ret, const struct row_set *s);
void row_set_release(struct row_set *s);

/* Rows in slot i. */
static inline uint32_t slot_rows(const struct row_set *s, uint32_t i)
{
	return (i + 1 < s->nslots ? s->table->slots[i + 1].base : s->n) - s->table->slots[i].base;
}

/* The slot that holds row index (0..n-1). */
uint32_t row_set_slot(const struct row_set *s, uint32_t index);
/* Index of the first row with a UID of at least uid; n where there is none. */
uint32_t row_set_at_least(const struct row_set *s, uint32_t uid);
const struct pb_row *row_set_row(const struct row_set *s, uint32_t index);
const struct where *row_set_where(const struct row_set *s, uint32_t index);
/* Rows that lie side by side: index and *ret_n - 1 behind it. Whoever walks asks once for a chunk. */
const struct pb_row *row_set_run(const struct row_set *s, uint32_t index, uint32_t *ret_n);

/* Append a row (UID above all others); head is copied. Pictures taken before are not disturbed. */
void row_set_append(struct row_set *s, const struct pb_row *row, const struct body_id *body, struct pb_str head);

/* Append the n rows that source holds from its first one on, as a slot of their own: at most CHUNK_ROWS. Gives the rows, to be filled in. */
struct pb_row *row_set_append_source(struct row_set *s, struct image_source *source, uint32_t first, uint32_t n, uint32_t first_uid);

/* ---- changing flags: begin, edit rows in ascending order, keep or drop ---- */

struct row_edit {
	struct row_set set;		/* the picture to be */
	const struct row_set *from;
	bool copied;			/* its slot table is its own */
	struct pb_row *rows;		/* the chunk at hand, its own too: rows first..first + n - 1 */
	uint32_t first, n;
};

void row_edit_begin(struct row_edit *e, const struct row_set *from);
struct pb_row *row_edit_chunk(struct row_edit *e, uint32_t index);	/* row_edit_row, where another chunk is needed */
static inline struct pb_row *row_edit_row(struct row_edit *e, uint32_t index)	/* writable */
{
	return index - e->first < e->n ? &e->rows[index - e->first] : row_edit_chunk(e, index);
}
void row_edit_drop(struct row_edit *e);

/* A picture of from without the rows at the given ascending indexes. */
void row_set_without(struct row_set *ret, const struct row_set *from, const uint32_t *indexes, size_t n);

/* ---- flag blocks: flags and modseq of the changed rows among 128 UIDs side by side, as runs ---- */

static inline uint32_t flag_block_of(uint32_t uid)
{
	return uid >> FLAG_BLOCK_BITS;
}

/* The value of a block's row; empty where no row in it was ever changed. */
void flag_block_encode(const struct row_set *s, uint32_t block, struct pb_buf *out);
/* Lays a block over rows that were just loaded and belong to nobody else. PB_ECORRUPT. */
int flag_block_decode(struct row_set *s, uint32_t block, struct pb_str value, struct pb_error *err);

/* Ascending UIDs as runs (varints: gap, length), and back; *ret_n counts. Used for tombstones and moves. */
void uid_runs_encode(const uint32_t *uids, size_t n, struct pb_buf *out);
int uid_runs_decode(struct pb_str runs, bool (*each)(void *arg, uint32_t uid), void *arg, struct pb_error *err);

#endif
