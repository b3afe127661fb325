/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A parsed script: commands with arguments, tests and blocks, as the grammar gives them. Everything lives in the compiler's arena. */
#ifndef SIEVE_AST_H
#define SIEVE_AST_H

#include "sieve/sieve.h"

enum { NESTING_MAX = 32, LIST_MAX = 10000, ARGUMENTS_MAX = 64 };

struct place {
	unsigned line, column;
};

enum argument_kind { A_NUMBER, A_STRING, A_LIST, A_TAG };

struct argument {
	struct argument *next;
	enum argument_kind kind;
	struct place at;
	uint64_t number;
	struct pb_str *strings;		/* A_STRING: one; A_LIST: n; A_TAG: its name */
	size_t n;
};

/* A command or a test: both are a word with arguments. */
struct node {
	struct node *next;		/* in its block, or in its list of tests */
	struct place at;
	struct pb_str name;
	struct argument *arguments;
	struct node *tests;
	struct node *block;
	bool has_block, has_list;	/* tests stood in parentheses */
};

struct compiler {
	struct pb_arena *arena;
	const struct sieve_options *options;
	struct sieve_problems *problems;
};

/* Notes a problem; gives false, so that "return complain(...)" is one line. */
bool complain(struct compiler *c, struct place at, const char *fmt, ...) PB_PRINTF(3, 4);
/* NULL with problems noted where the grammar is broken. *ret NULL: an empty script. */
bool parse_script(struct compiler *c, struct pb_str script, struct node **ret);

#endif
