/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The forms in which headers and bodies are signed (RFC 6376 3.4). */
#ifndef MAILAUTH_CANON_H
#define MAILAUTH_CANON_H

#include <postbus/message.h>
#include <postbus/str.h>

enum canon { CANON_SIMPLE, CANON_RELAXED };

/* "relaxed/simple", "relaxed" (then the body is simple), empty: simple. False: it is none. */
bool canon_parse(struct pb_str text, enum canon *ret_header, enum canon *ret_body);

/* Append the field in this form, with its CRLF. raw: the whole field as it stands. */
void canon_field(enum canon c, struct pb_str raw, struct pb_buf *out);

/* SHA-256 of the first limit octets of the body in this form. ret_total: how many it has in all. */
void canon_body_hash(enum canon c, struct pb_str body, uint64_t limit, unsigned char digest[32], uint64_t *ret_total);

#endif
