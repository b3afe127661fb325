/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Texts of IMAP, as a client reads and writes them. Pure. */
#ifndef CONN_POPRETR_IMAP_TEXT_H
#define CONN_POPRETR_IMAP_TEXT_H

#include <postbus/str.h>

/* Does the line end in a literal's "{123}"? */
bool imap_literal(struct pb_str line, uint64_t *ret_size);
/* Append as a quoted string (RFC 3501 4.3); control characters have been refused before. */
void imap_quote(struct pb_buf *out, struct pb_str text);
/* Append a folder's name in UTF-8 as modified UTF-7 (RFC 3501 5.1.3). */
void imap_folder(struct pb_buf *out, struct pb_str name);

/* What a FETCH answer says, of what is asked for here; what it does not say is 0. */
struct imap_fetch {
	uint32_t uid;
	uint64_t size;
	bool has_body;			/* the line ends in the literal of a BODY[...] */
};
/* "12 FETCH (UID 5 RFC822.SIZE 44827)" or the beginning of such an answer. False: it is another one. */
bool imap_fetch_parse(struct pb_str line, struct imap_fetch *ret);
/* Items alone, as they stand behind a literal: " UID 5)". */
void imap_items_parse(struct pb_str items, struct imap_fetch *ret);

#endif
