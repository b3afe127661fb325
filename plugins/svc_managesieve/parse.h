/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The tokens of a ManageSieve command (RFC 5804 section 4) over one stretch of memory, in which literals stand as they came: "{5+}", CRLF, five bytes.
 */
#ifndef SVC_MANAGESIEVE_PARSE_H
#define SVC_MANAGESIEVE_PARSE_H

#include <postbus/str.h>

/* A cursor. Every parse_ function gives false and leaves why in error when the input is not what it takes. */
struct parse {
	const char *p, *end;
	struct pb_arena *arena;		/* for strings with escapes */
	const char *error;
};

struct parse parse_start(struct pb_str text, struct pb_arena *arena);
bool parse_space(struct parse *p);
bool parse_end(struct parse *p);			/* nothing more but blanks */
bool parse_has_more(const struct parse *p);
/* Quoted or literal, in UTF-8 without NUL. */
bool parse_string(struct parse *p, struct pb_str *ret);
/* 0 to 4294967295. */
bool parse_number(struct parse *p, uint32_t *ret);
/* Strings with a space between, and then the end. */
bool parse_strings(struct parse *p, struct pb_str *ret, size_t n);

/* Does a line end in a literal's head "{5+}"? A size that no number holds is given as UINT64_MAX. */
bool parse_literal_tail(struct pb_str line, uint64_t *ret_size);

#endif
