/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Images: the rows of a block of UIDs packed into one value, so that a large folder is read in a few pages. What a message's row holds never changes,
 * so an image is right until a message of its block is expunged; the batch that does so removes it. Leaves when images are made to folder_load.c.
 */
#include <stdlib.h>
#include "kernel/store/folder.h"
#include "kernel/store/pack.h"

enum { IMAGE_VERSION = 1, NO_HEAD = 0, SAME_HEAD = 1, NEW_HEAD = 2 };

/* ---- packing: numbers as differences from the row before ---- */

static void put_signed(struct pb_buf *out, uint64_t now, uint64_t before)
{
	int64_t d = (int64_t)(now - before);

	pack_varint(out, (uint64_t)d << 1 ^ (uint64_t)(d >> 63));
}

static bool take_signed(struct pb_str *in, uint64_t before, uint64_t *ret)
{
	uint64_t v;

	if (!unpack_varint(in, &v))
		return false;
	*ret = before + (v >> 1 ^ -(v & 1));
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

static void put_row(struct pb_buf *out, const struct image_row *now, const struct image_row *before, struct pb_str last_head)
{
	const struct body_id *body = &now->body, *was = &before->body;
	char random[4];

	pack_varint(out, now->uid - before->uid);
	put_head(out, now->head, last_head);
	put_signed(out, (uint64_t)now->date, (uint64_t)before->date);
	pack_varint(out, now->flags);
	put_signed(out, now->modseq, before->modseq);
	put_signed(out, body->segment, was->segment);
	put_signed(out, body->offset, was->offset);
	pack_varint(out, body->size);
	put_signed(out, body->facts_offset, was->facts_offset);
	pack_varint(out, body->facts_len);
	pack_be32(random, body->random);
	pb_buf_add(out, random, sizeof random);
}

static bool take_row(struct pb_str *in, struct image_row *now, const struct image_row *before, struct pb_str *last_head)
{
	uint64_t gap, date, segment, facts_offset, facts_len;
	struct body_id *body = &now->body;
	const struct body_id *was = &before->body;

	if (!unpack_varint(in, &gap) || !gap || gap > UINT32_MAX - before->uid || !take_head(in, last_head, &now->head) ||
	    !take_signed(in, (uint64_t)before->date, &date) || !unpack_varint(in, &now->flags) || !take_signed(in, before->modseq, &now->modseq) ||
	    !take_signed(in, was->segment, &segment) || !take_signed(in, was->offset, &body->offset) || !unpack_varint(in, &body->size) ||
	    !take_signed(in, was->facts_offset, &facts_offset) || !unpack_varint(in, &facts_len) || in->len < 4 || segment > UINT32_MAX ||
	    facts_offset > UINT32_MAX || facts_len > UINT32_MAX)
		return false;
	now->uid = before->uid + (uint32_t)gap;
	now->date = (int64_t)date;
	body->segment = (uint32_t)segment;
	body->facts_offset = (uint32_t)facts_offset;
	body->facts_len = (uint32_t)facts_len;
	body->random = unpack_be32(in->ptr);
	*in = pb_str_skip(*in, 4);
	return true;
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
