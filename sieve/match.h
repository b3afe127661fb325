/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Comparators and match types: RFC 4790, 5051, 5228 2.7, 5231, 5229 (match values), and regular expressions. Time is bounded by value times key. */
#ifndef SIEVE_MATCH_H
#define SIEVE_MATCH_H

#include "sieve/words.h"

enum { CAPTURES_MAX = 33 };		/* the whole, and 32 wildcards (RFC 5229 asks for 10) */

struct captures {
	unsigned n;			/* 0: none were taken */
	struct pb_str at[CAPTURES_MAX];	/* views into the value */
};

struct matcher {
	enum comparator comparator;
	enum match match;		/* not COUNT or LIST */
	enum relation relation;
	struct regexes *regexes;	/* compiled ones, kept */
	uint64_t *steps;		/* of the run; counted down */
};

/* take: captures to fill where it matches, or NULL. A regular expression that is none matches nothing and is told of in *ret_bad. */
bool match_one(const struct matcher *m, struct pb_str value, struct pb_str key, struct captures *take, bool *ret_bad);
/* RFC 5231: a number of things against a key that is one. */
bool match_count(const struct matcher *m, uint64_t n, struct pb_str key);

/* ---- regex.c ---- */

struct pcre2_real_code_8;		/* PCRE2's own name of what it compiles to */

/* One that stands in a program: where its text lies there. code NULL: it is none. */
struct constant_regex {
	const char *at;
	struct pcre2_real_code_8 *code;
	struct pb_str literal;			/* stands in every match; a part of the text, or empty */
};

struct constant_regex regex_constant(struct pb_str text, bool casemap);
/* regex_literal.c */
struct pb_str regex_literal(struct pb_str text, bool casemap);
void regex_constant_end(struct constant_regex *c);
bool regex_match(const struct matcher *m, struct pb_str value, struct pb_str key, struct captures *take, bool *ret_bad);

/* Those that a run compiles itself. */
struct regexes *regexes_new(void);
/* Those of the program that runs, in the order of their places. */
void regexes_constant(struct regexes *r, const struct constant_regex *list, size_t n);
void regexes_free(struct regexes *r);			/* NULL is fine */

#endif
