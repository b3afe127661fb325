/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A frame's items in fewer bytes: what is in the journal is written once more where it belongs, and read after a crash only. */
#include "kernel/store/journal.h"

#include <stdlib.h>
#include <zstd.h>

#include "kernel/store/segment.h"	/* numbers on the disk */

enum { LEVEL = 1, LENGTH = 4 };

/* The length as it was, then zstd. False where it does not fit into room. */
bool journal_pack(struct journal *j, struct pb_str items, char *out, size_t room, size_t *ret_len)
{
	if (!j->packer)
		j->packer = ZSTD_createCCtx();
	if (!j->packer || room < LENGTH)
		return false;
	size_t n = ZSTD_compressCCtx(j->packer, out + LENGTH, room - LENGTH, items.ptr, items.len, LEVEL);
	if (ZSTD_isError(n))
		return false;
	le32_put(out, items.len);
	*ret_len = LENGTH + n;
	return true;
}

bool journal_unpack(struct pb_str packed, struct pb_buf *out)
{
	size_t len = packed.len < LENGTH ? 0 : le32_get(packed.ptr);

	if (!len || len > JOURNAL_PACK_MAX)
		return false;
	pb_buf_reserve(out, len);
	if (ZSTD_decompress(out->ptr + out->len, len, packed.ptr + LENGTH, packed.len - LENGTH) != len)
		return false;
	out->len += len;
	return true;
}

void journal_pack_close(struct journal *j)
{
	ZSTD_freeCCtx(j->packer);
	j->packer = NULL;
	free(j->packed);
	j->packed = NULL;
}
