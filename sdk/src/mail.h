/* SPDX-License-Identifier: Apache-2.0 */
/* What the mail files of libpostbus share among themselves: lines, fields, structured values. Private; nothing here is exported. */
#ifndef POSTBUS_MAIL_H
#define POSTBUS_MAIL_H

#include <postbus/message.h>

#pragma GCC visibility push(hidden)

/* ---- lines ---- */

/* What was seen on the way over bytes. */
struct census {
	uint64_t lines;
	unsigned flags;		/* PB_FACTS_8BIT, _NUL, _BARE */
	bool cr;		/* the byte before was a CR */
};

/* Count over len bytes, which begin a line. With dashes it stops at the first line that begins with "--" behind the first byte; gives its offset, or len. */
size_t census_take(struct census *c, const char *p, size_t len, bool dashes);

/* The length of the line at p with its line end. */
static inline size_t line_length(const char *p, size_t len)
{
	const char *lf = len ? (const char *)memchr(p, '\n', len) : NULL;

	return lf ? (size_t)(lf - p) + 1 : len;
}

/* ---- fields ---- */

enum take { TAKE_FIELD, TAKE_JUNK, TAKE_BLANK, TAKE_END };

/* Take a field with its continuations, or a line that is none, or the blank line; or say that nothing is left. */
enum take field_take(struct pb_str *rest, struct pb_field *ret);

/* ---- structured values ---- */

/* A parameter as it stands: name and value with quotes and backslashes undone, unfolded. The value lies in the scratch buffer or in the text. */
struct param {
	struct pb_str name, value;
};

/* Take "type/subtype" from the front; false when it is not of that form. */
bool media_take(struct pb_str *rest, struct pb_str *ret_type, struct pb_str *ret_subtype);
/* A token at the front, comments and blanks before it skipped; may be empty. */
struct pb_str token_take(struct pb_str *rest);
void comments_skip(struct pb_str *rest);

enum { PARAMS_MAX = 64, VALUE_MAX = 65536 };

/* All parameters with RFC 2231 continuations joined: "name*" has "charset'lang'%41..." then. Their order is that of the first pieces. */
struct params {
	struct param list[PARAMS_MAX];
	size_t n;
	struct pb_buf scratch;
};
void params_parse(struct params *p, struct pb_str rest);
/* By name; and where "name*" is given, decoded to UTF-8. */
bool params_find(const struct params *p, struct pb_str name, struct pb_buf *out);
void params_free(struct params *p);

/* ---- IMAP's strings ---- */

/* A quoted string or literal of value unfolded, or NIL where ptr is NULL. */
void imap_nstring(struct pb_buf *out, struct pb_str value);
/* The fields of a header that an envelope is made of, in the order in which they stand. */
struct envelope_fields {
	struct {
		int id;
		struct pb_str value;
	} list[64];
	size_t n;
};
void envelope_add(struct envelope_fields *e, int id, struct pb_str value);
void envelope_gather(struct envelope_fields *e, struct pb_str header);
/* The envelope, in parentheses. Where it would be longer than max, addresses are left out. */
void imap_envelope(struct pb_buf *out, const struct envelope_fields *e, size_t max);

/* ---- the fields that facts are made of ---- */

enum field_id {
	F_NONE = -1,
	F_DATE, F_SUBJECT, F_FROM, F_SENDER, F_REPLY_TO, F_TO, F_CC, F_BCC, F_IN_REPLY_TO, F_MESSAGE_ID,	/* the envelope */
	F_CONTENT_TYPE, F_CONTENT_ENCODING, F_CONTENT_ID, F_CONTENT_DESCRIPTION, F_CONTENT_DISPOSITION, F_CONTENT_LANGUAGE, F_CONTENT_LOCATION, F_CONTENT_MD5,
	F_OTHERS,
	F_ENVELOPE_LAST = F_MESSAGE_ID,
	F_KNOWN_MAX = 64
};

/* The id of a name (any case) that the facts keep; F_NONE. Ids are bits in stored facts: the list only grows. */
int field_id(struct pb_str name);
extern const unsigned fields_known;

#pragma GCC visibility pop

#endif
