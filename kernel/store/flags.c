/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Flag blocks and UID runs: how changed flags, tombstones and moves lie in the engine, so that a STORE over a whole folder writes a few small rows.
 * Leaves which rows change to the folder.
 */
#include "kernel/store/pack.h"
#include "kernel/store/rows.h"

enum { BLOCK_VERSION = 1 };

struct run {
	uint32_t first, last;
	uint64_t flags, modseq;
};

static void run_put(struct pb_buf *out, const struct run *run)
{
	if (!out->len)
		pb_buf_addc(out, BLOCK_VERSION);
	pb_buf_addc(out, (char)(run->first & ((1u << FLAG_BLOCK_BITS) - 1)));
	pb_buf_addc(out, (char)(run->last - run->first));
	pack_varint(out, run->flags);
	pack_varint(out, run->modseq);
}

void flag_block_encode(const struct row_set *s, uint32_t block, struct pb_buf *out)
{
	uint32_t index = row_set_at_least(s, block << FLAG_BLOCK_BITS);
	const struct pb_row *row = NULL;
	const struct where *where = NULL;
	struct run run = { 0 };
	uint32_t many = 0;

	/* A run may span UIDs that are gone, since they never come back; it must not span a row that is as it was appended. */
	for (; index < s->n; index++, row++, where++, many--) {
		if (!many) {
			row = row_set_run(s, index, &many);
			where = row_set_where(s, index);	/* they lie as the rows do */
		}
		if (flag_block_of(row->uid) != block)
			break;
		if (row->modseq == where->first_modseq) {
			if (run.modseq)
				run_put(out, &run);
			run.modseq = 0;
		} else if (run.modseq == row->modseq && run.flags == row->flags) {
			run.last = row->uid;
		} else {
			if (run.modseq)
				run_put(out, &run);
			run = (struct run){ row->uid, row->uid, row->flags, row->modseq };
		}
	}
	if (run.modseq)
		run_put(out, &run);
}

int flag_block_decode(struct row_set *s, uint32_t block, struct pb_str value, struct pb_error *err)
{
	if (value.len < 1 || value.ptr[0] != BLOCK_VERSION)
		return pb_fail(err, PB_ECORRUPT, "flag block %u has an unknown form", block);
	value = pb_str_skip(value, 1);
	while (value.len) {
		uint64_t flags, modseq;
		uint32_t first, last, index;

		if (value.len < 2)
			return pb_fail(err, PB_ECORRUPT, "flag block %u ends too early", block);
		first = (block << FLAG_BLOCK_BITS) + (unsigned char)value.ptr[0];
		last = first + (unsigned char)value.ptr[1];
		value = pb_str_skip(value, 2);
		if (!unpack_varint(&value, &flags) || !unpack_varint(&value, &modseq) || flag_block_of(last) != block)
			return pb_fail(err, PB_ECORRUPT, "flag block %u is damaged", block);
		for (index = row_set_at_least(s, first); index < s->n; index++) {
			struct pb_row *row = (struct pb_row *)row_set_row(s, index);

			if (row->uid > last)
				break;
			row->flags = flags;
			row->modseq = modseq;
		}
	}
	return 0;
}

void uid_runs_encode(const uint32_t *uids, size_t n, struct pb_buf *out)
{
	uint32_t at = 0;

	for (size_t i = 0, j; i < n; i = j) {
		for (j = i + 1; j < n && uids[j] == uids[j - 1] + 1; j++)
			;
		pack_varint(out, uids[i] - at);
		pack_varint(out, j - i);
		at = uids[j - 1];
	}
}

int uid_runs_decode(struct pb_str runs, bool (*each)(void *arg, uint32_t uid), void *arg, struct pb_error *err)
{
	uint64_t at = 0, gap, length;

	while (runs.len) {
		if (!unpack_varint(&runs, &gap) || !unpack_varint(&runs, &length) || !length || gap > UINT32_MAX || length > UINT32_MAX ||
		    at + gap + length - 1 > UINT32_MAX)
			return pb_fail(err, PB_ECORRUPT, "a list of UIDs is damaged");
		at += gap;
		for (; length; length--, at++) {
			if (!each(arg, (uint32_t)at))
				return 0;
		}
		at--;
	}
	return 0;
}
