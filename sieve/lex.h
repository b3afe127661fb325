/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tokens of RFC 5228 section 8.1. */
#ifndef SIEVE_LEX_H
#define SIEVE_LEX_H

#include <postbus/str.h>

enum token_kind { T_END, T_WORD, T_TAG, T_NUMBER, T_STRING, T_PUNCTUATION, T_BAD };

struct token {
	enum token_kind kind;
	struct pb_str text;		/* word, tag without its colon, string's value; T_BAD: what is wrong */
	uint64_t number;
	char c;				/* of ( ) [ ] { } , ; */
	unsigned line, column;
};

struct lexer {
	struct pb_str script;
	size_t at;
	unsigned line;
	size_t line_start;
	struct pb_arena *arena;		/* of strings that had escapes or dots */
};

/* Strings without escapes are views into the script. */
void lex_next(struct lexer *l, struct token *ret);

#endif
