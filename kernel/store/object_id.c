/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * host_folder_id, host_folder_by_id, host_view_email_id: names that a folder and a message never lose (RFC 8474). Nothing is stored for them: a folder's number
 * is its account's and never given again, a body keeps its id when compaction moves it and when rows are copied.
 */
#include <inttypes.h>
#include "kernel/store/folder.h"

int host_folder_id(struct pb_folder *handle, struct pb_buf *out, struct pb_error *err)
{
	(void)err;
	pb_buf_addf(out, "F%s-%" PRIu32, handle->f->account->id, handle->f->number);
	return 0;
}

/* The number in an id of this account; 0: it is none. */
static uint32_t number_of(const struct account *a, struct pb_str id)
{
	uint64_t number;
	PB_AUTOBUF(prefix);

	pb_buf_addf(&prefix, "F%s-", a->id);
	if (!pb_str_starts(id, pb_buf_str(&prefix)) || pb_str_u64(pb_str_skip(id, prefix.len), UINT32_MAX, &number) || id.ptr[prefix.len] == '0')
		return 0;
	return (uint32_t)number;
}

int host_folder_by_id(struct pb_mailbox *mb, struct pb_str id, struct pb_buf *name, struct pb_error *err)
{
	struct account *a = mb->account;
	uint32_t number = number_of(a, id);
	bool found = false;

	pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < a->nentries && number && !found; i++) {
		const struct entry *e = a->entries[i];

		found = e->number == number && !(e->attributes & PB_FOLDER_NOSELECT);
		if (found)
			pb_buf_addstr(name, pb_str(e->name, e->len));
	}
	pthread_mutex_unlock(&a->lock);
	return found ? 0 : pb_fail(err, PB_ENOTFOUND, "no folder has the id %.*s", PB_FMT(pb_str_head(id, 100)));
}

/* What delivery put before a body is part of the message. */
void host_view_email_id(struct pb_view *v, uint32_t seq, struct pb_buf *out)
{
	const struct where *w;

	if (seq - 1 >= v->rows.n)
		return;
	w = row_set_where(&v->rows, seq - 1);
	pb_buf_addf(out, "M%" PRIx32 "-%" PRIx64 "-%08" PRIx32, w->body.segment, w->body.offset, w->body.random);
	if (w->head_len)
		pb_buf_addf(out, "-%08" PRIx32, pb_crc32c(0, w->head, w->head_len));
}
