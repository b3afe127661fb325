/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Images: the rows of a block of UIDs packed into one value, so that a large folder is read in a few pages. What a message's row holds never changes,
 * so an image is right until a message of its block is expunged; the batch that does so removes it. Leaves when images are made to folder_load.c.
 */
#include <stdlib.h>
#include "kernel/store/folder.h"
#include "kernel/store/pack.h"

enum { IMAGE_OLD = 1, IMAGE_VERSION = 2, NO_HEAD = 0, SAME_HEAD = 1, NEW_HEAD = 2 };

/* ---- packing: what is expected behind the row before, and what is not ---- */

/* The first byte of a row: what it is about is not as expected, and follows. */
enum { ODD_UID = 1, ODD_HEAD = 2, ODD_FLAGS = 4, ODD_MODSEQ = 8, ODD_PLACE = 16, ODD_SIZE = 32, ODD_FACTS = 64, ODD_FACTS_LEN = 128 };

/* What engines put before a body and its facts, and where the next may begin. Where that is wrong a row has some bytes more. */
enum { BODY_HEADER = 48, BODY_ALIGN = 64, FACTS_HEADER = 16 };

static inline struct image_row expected(const struct image_row *before)
{
	struct image_row next = *before;

	next.uid++;
	next.modseq++;
	next.body.offset = (before->body.offset + BODY_HEADER + before->body.size + BODY_ALIGN - 1) / BODY_ALIGN * BODY_ALIGN;
	next.body.facts_offset += before->body.facts_len + FACTS_HEADER;
	return next;
}

static void put_signed(struct pb_buf *out, uint64_t now, uint64_t before)
{
	int64_t d = (int64_t)(now - before);

	pack_varint(out, (uint64_t)d << 1 ^ (uint64_t)(d >> 63));
}

static inline bool take_signed(struct pb_str *in, uint64_t before, uint64_t *ret)
{
	uint64_t v;

	if (!unpack_varint(in, &v))
		return false;
	*ret = before + (v >> 1 ^ -(v & 1));
	return true;
}

/* A number of 32 bits. */
static inline bool take_signed32(struct pb_str *in, uint32_t before, uint32_t *ret)
{
	uint64_t v;

	if (!take_signed(in, before, &v) || v > UINT32_MAX)
		return false;
	*ret = (uint32_t)v;
	return true;
}

static void put_head(struct pb_buf *out, struct pb_str head, struct pb_str before)
{
	if (!head.len || pb_str_eq(head, before)) {
		pb_buf_addc(out, head.len ? SAME_HEAD : NO_HEAD);
		return;
	}
	pb_buf_addc(out, NEW_HEAD);
	pack_varint(out, head.len);
	pb_buf_addstr(out, head);
}

static bool take_head(struct pb_str *in, struct pb_str *last, struct pb_str *ret)
{
	char how = in->len ? *in->ptr : NEW_HEAD + 1;
	uint64_t len;

	*in = pb_str_skip(*in, 1);
	*ret = how == SAME_HEAD ? *last : PB_NOSTR;
	if (how != NEW_HEAD)
		return how == NO_HEAD || (how == SAME_HEAD && last->len);
	if (!unpack_varint(in, &len) || !len || len > HEAD_MAX || len > in->len)
		return false;
	*ret = *last = pb_str(in->ptr, len);
	*in = pb_str_skip(*in, len);
	return true;
}

static unsigned odds(const struct image_row *now, const struct image_row *next)
{
	const struct body_id *is = &now->body, *would = &next->body;

	return (now->uid != next->uid ? ODD_UID : 0) | (!pb_str_eq(now->head, next->head) ? ODD_HEAD : 0) | (now->flags != next->flags ? ODD_FLAGS : 0) |
	       (now->modseq != next->modseq ? ODD_MODSEQ : 0) | (is->segment != would->segment || is->offset != would->offset ? ODD_PLACE : 0) |
	       (is->size != would->size ? ODD_SIZE : 0) | (is->facts_offset != would->facts_offset ? ODD_FACTS : 0) |
	       (is->facts_len != would->facts_len ? ODD_FACTS_LEN : 0);
}

static void put_row(struct pb_buf *out, const struct image_row *now, const struct image_row *before, struct pb_str last_head)
{
	const struct image_row next = expected(before);
	unsigned odd = odds(now, &next);
	const struct body_id *body = &now->body;
	char fixed[5];

	fixed[0] = (char)odd;
	pack_be32(fixed + 1, body->random);
	pb_buf_add(out, fixed, sizeof fixed);
	put_signed(out, (uint64_t)now->date, (uint64_t)before->date);
	if (odd & ODD_UID)
		pack_varint(out, now->uid - before->uid);
	if (odd & ODD_HEAD)
		put_head(out, now->head, last_head);
	if (odd & ODD_FLAGS)
		pack_varint(out, now->flags);
	if (odd & ODD_MODSEQ)
		put_signed(out, now->modseq, before->modseq);
	if (odd & ODD_PLACE) {
		put_signed(out, body->segment, before->body.segment);
		put_signed(out, body->offset, before->body.offset);
	}
	if (odd & ODD_SIZE)
		put_signed(out, body->size, before->body.size);
	if (odd & ODD_FACTS)
		put_signed(out, body->facts_offset, before->body.facts_offset);
	if (odd & ODD_FACTS_LEN)
		put_signed(out, body->facts_len, before->body.facts_len);
}

/* What is not as expected, into a row that has what is. */
static bool take_odds(struct pb_str *in, unsigned odd, struct image_row *now, const struct image_row *before, struct pb_str *last_head)
{
	struct body_id *body = &now->body;
	const struct body_id *was = &before->body;
	uint64_t gap;

	if (odd & ODD_UID) {
		if (!unpack_varint(in, &gap) || !gap || gap > UINT32_MAX - before->uid)
			return false;
		now->uid = before->uid + (uint32_t)gap;
	}
	return (!(odd & ODD_HEAD) || take_head(in, last_head, &now->head)) && (!(odd & ODD_FLAGS) || unpack_varint(in, &now->flags)) &&
	       (!(odd & ODD_MODSEQ) || take_signed(in, before->modseq, &now->modseq)) &&
	       (!(odd & ODD_PLACE) || (take_signed32(in, was->segment, &body->segment) && take_signed(in, was->offset, &body->offset))) &&
	       (!(odd & ODD_SIZE) || take_signed(in, was->size, &body->size)) &&
	       (!(odd & ODD_FACTS) || take_signed32(in, was->facts_offset, &body->facts_offset)) &&
	       (!(odd & ODD_FACTS_LEN) || take_signed32(in, was->facts_len, &body->facts_len));
}

static inline bool take_row(struct pb_str *in, struct image_row *now, const struct image_row *before, struct pb_str *last_head)
{
	uint64_t date;
	unsigned odd;

	if (in->len < 5)
		return false;
	*now = expected(before);
	odd = (unsigned char)*in->ptr;
	now->body.random = unpack_be32(in->ptr + 1);
	*in = (struct pb_str){ in->ptr + 5, in->len - 5 };
	if (!take_signed(in, (uint64_t)before->date, &date))
		return false;
	now->date = (int64_t)date;
	return !odd || take_odds(in, odd, now, before, last_head);
}

/* UIDs count from the one before the block; block 0 begins at UID 1. */
static struct image_row before_block(uint32_t block)
{
	return (struct image_row){ .uid = block ? (block << IMAGE_BITS) - 1 : 0 };
}

/* ---- blocks ---- */

void image_encode(const struct row_set *rows, uint32_t block, struct pb_buf *out)
{
	struct image_row before = before_block(block), now;
	struct pb_str last_head = PB_NOSTR;

	pb_buf_addc(out, IMAGE_VERSION);
	for (uint32_t i = row_set_at_least(rows, block << IMAGE_BITS); i < rows->n; i++) {
		const struct pb_row *row = row_set_row(rows, i);
		const struct where *w = row_set_where(rows, i);

		if (image_block_of(row->uid) != block)
			break;
		now = (struct image_row){ row->uid, row->flags, row->modseq, row->date, w->body, pb_str(w->head, w->head_len) };
		put_row(out, &now, &before, last_head);
		if (now.head.len)
			last_head = now.head;
		before = now;
	}
}

bool image_is_old(struct pb_str value)
{
	return value.len && *value.ptr == IMAGE_OLD;
}

int image_decode(struct pb_str value, uint32_t block, struct image_row *ret_rows, size_t *ret_n, struct pb_error *err)
{
	struct image_row before = before_block(block);
	struct pb_str last_head = PB_NOSTR;
	size_t n = 0;

	if (!value.len || *value.ptr != IMAGE_VERSION)
		return pb_fail(err, PB_ECORRUPT, "the image of block %u has an unknown form", block);
	for (value = pb_str_skip(value, 1); value.len; n++) {
		if (n == IMAGE_ROWS || !take_row(&value, &ret_rows[n], &before, &last_head) || image_block_of(ret_rows[n].uid) != block)
			return pb_fail(err, PB_ECORRUPT, "the image of block %u is damaged", block);
		before = ret_rows[n];
	}
	*ret_n = n;
	return 0;
}

/* ---- what wheres are unpacked from ---- */

struct image_source *image_source_new(struct pb_str value, uint32_t block)
{
	struct image_source *source = pb_realloc(NULL, sizeof *source + value.len);

	atomic_init(&source->refs, 1);
	source->block = block;
	source->len = (uint32_t)value.len;
	memcpy(source->bytes, value.ptr, value.len);
	return source;
}

void image_source_release(struct image_source *source)
{
	if (atomic_fetch_sub_explicit(&source->refs, 1, memory_order_acq_rel) == 1)
		free(source);
}

void image_source_unpack(const struct image_source *source, uint32_t first, uint32_t n, struct where *out)
{
	struct image_row *rows = pb_alloc(IMAGE_ROWS * sizeof rows[0]);
	size_t have;

	/* These bytes were decoded when the folder was read. */
	if (image_decode(pb_str(source->bytes, source->len), source->block, rows, &have, NULL) || have < first + n)
		abort();
	for (uint32_t i = 0; i < n; i++) {
		const struct image_row *one = &rows[first + i];

		out[i] = (struct where){ one->body, one->head.ptr, (uint32_t)one->head.len, one->modseq };
	}
	free(rows);
}

/* ---- in the engine ---- */

void images_write(struct folder *f, const struct image_put *puts, size_t n)
{
	struct engine_row rows[IMAGES_AT_ONCE];
	char keys[IMAGES_AT_ONCE][5];
	size_t many;

	for (size_t at = 0; at < n; at += many) {
		struct engine_batch b = { .entity = folder_entity(f), .expect = f->version, .put = rows };

		many = n - at < IMAGES_AT_ONCE ? n - at : IMAGES_AT_ONCE;
		for (size_t i = 0; i < many; i++) {
			row_key(keys[i], 'i', puts[at + i].block);
			rows[i] = (struct engine_row){ pb_str(keys[i], 5), pb_buf_str(&puts[at + i].value) };
		}
		b.nput = many;
		if (engine_apply(f->m->engine, &b, &f->version, NULL, NULL))
			return;
	}
}
