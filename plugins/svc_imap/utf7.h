/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Modified UTF-7 (RFC 3501 5.1.3) to UTF-8 and back. Strict: what does not encode in exactly one way is refused. */
#ifndef SVC_IMAP_UTF7_H
#define SVC_IMAP_UTF7_H

#include <postbus/str.h>

/* Append; PB_EINVALID (out as it was) for anything that is no modified UTF-7 of a Unicode string. */
int utf7_decode(struct pb_buf *out, struct pb_str in);
/* in is UTF-8; NUL and bytes that are not come out as U+FFFD. */
void utf7_encode(struct pb_buf *out, struct pb_str in);

#endif
