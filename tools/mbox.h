/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages of an mbox file: where each begins and ends, what the file says about it. Pure: bytes in, views out. */
#ifndef TOOLS_MBOX_H
#define TOOLS_MBOX_H

#include <jansson.h>
#include <postbus/str.h>

struct mbox {
	struct pb_str all;
	size_t at;
};

struct mbox_message {
	struct pb_str from;		/* the line that begins it, without its end */
	struct pb_str header, body;	/* as they stand; header with its blank line */
	bool quoted;			/* lines of the body that begin with ">From " lost nothing of the kind: one ">" is the file's */
};

/* False: it is no mbox. An empty file is one. */
bool mbox_begin(struct pb_str all, struct mbox *ret);
bool mbox_next(struct mbox *box, struct mbox_message *ret);
/* When it came, by its From line; false where that says no time. */
bool mbox_date(struct pb_str from, int64_t *ret_moment);
/* Status, X-Status, X-Keywords, X-Mozilla-Status as a list of flags. *ret_gone: deleted by a client that only marks, or the file's own notes. */
json_t *mbox_flags(struct pb_str header, bool *ret_gone);
/* Append the header without what mbox files keep there for themselves. */
void mbox_header(struct pb_str header, struct pb_buf *out);

#endif
