/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists of "tag=value;" as signatures and key records have them (RFC 6376 3.2). Pure. */
#ifndef MAILAUTH_TAGS_H
#define MAILAUTH_TAGS_H

#include <postbus/str.h>

enum { TAGS_MAX = 64 };

/* Views into what was parsed: values trimmed, white space inside left as it is. */
struct tags {
	struct { struct pb_str name, value; } list[TAGS_MAX];
	size_t n;
};

/* PB_EINVALID: malformed, or a tag twice (RFC 6376 3.2: then the whole list is no good); PB_ETOOBIG: more than TAGS_MAX. */
int tags_parse(struct pb_str text, struct tags *ret, struct pb_error *err);
/* Names are compared with their case. */
bool tags_find(const struct tags *t, const char *name, struct pb_str *ret_value);
/* Append value without any white space: base64, lists. */
void tags_squeeze(struct pb_buf *out, struct pb_str value);
/* Append text without the value of its tag "b" and the white space around that (RFC 6376 3.5). */
void tags_without_b(struct pb_buf *out, struct pb_str text);
/* Is word in this list with colons between (any case)? */
bool tags_lists(struct pb_str value, const char *word);

#endif
