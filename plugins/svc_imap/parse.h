/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The tokens of an IMAP command (RFC 3501 section 9) over one stretch of memory, in which literals stand as they came: "{5}", CRLF, five bytes.
 * Gathering the command from the wire is command.c's; meaning is that of the commands.
 */
#ifndef SVC_IMAP_PARSE_H
#define SVC_IMAP_PARSE_H

#include <postbus/str.h>

/* A cursor. Every parse_ function gives false and leaves why in error (a phrase for the tagged BAD) when the input is not what it takes. */
struct parse {
	const char *p, *end;
	struct pb_arena *arena;		/* for what cannot be a view of the input */
	const char *error;
};

struct parse parse_start(struct pb_str text, struct pb_arena *arena);
bool parse_fail(struct parse *p, const char *why);	/* false, always; the first reason stays */
bool parse_peek(const struct parse *p, char c);
bool parse_take(struct parse *p, char c);		/* c, if it comes; no error if not */
bool parse_need(struct parse *p, char c);
bool parse_space(struct parse *p);
bool parse_end(struct parse *p);			/* nothing more but blanks */
/* The rest begins with this word in any case, and the word ends there: taken. */
bool parse_word(struct parse *p, const char *word);

bool parse_atom(struct parse *p, struct pb_str *ret);
bool parse_astring(struct parse *p, struct pb_str *ret);	/* atom with "]" allowed, quoted, literal */
bool parse_string(struct parse *p, struct pb_str *ret);		/* quoted or literal */
bool parse_nstring(struct parse *p, struct pb_str *ret, bool *ret_nil);
bool parse_nstring8(struct parse *p, struct pb_str *ret, bool *ret_nil);	/* or a literal8 (RFC 3516), which may have NULs */
bool parse_pattern(struct parse *p, struct pb_str *ret);	/* LIST: atom with % and * and "]", or a string */
bool parse_u32(struct parse *p, uint32_t *ret);
bool parse_u64(struct parse *p, uint64_t *ret);			/* up to 63 bits */
bool parse_flag(struct parse *p, struct pb_str *ret);		/* "\Seen" or an atom */

/* A mailbox name: astring of modified UTF-7, to UTF-8; INBOX in any case becomes "INBOX". */
bool parse_mailbox(struct parse *p, struct pb_str *ret);

/* date = 1*2DIGIT "-" month "-" 4DIGIT, with or without quotes: days since 1970. */
bool parse_date(struct parse *p, int32_t *ret_days);
/* DQUOTE date-time DQUOTE: microseconds since 1970, UTC. */
bool parse_date_time(struct parse *p, int64_t *ret);

/* Does a line end in a literal's head? Gives its size and whether the client waits for us (no "+"), and where the head begins. */
bool parse_literal_tail(struct pb_str line, uint64_t *ret_size, bool *ret_sync, size_t *ret_at);

#endif
