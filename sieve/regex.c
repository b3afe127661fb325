/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Regular expressions are PCRE2's, with limits. Those that stand in the program are compiled with it; those that a run makes are kept by their text. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include "sieve/match.h"
#include "sieve/sieve.h"

enum { REGEXES = 32, REGEX_MAX = 4096, REGEX_STEPS = 100000, BYTES_A_STEP = 64 };

struct regexes {
	struct {
		char *text;
		size_t len;
		bool casemap;
		struct constant_regex regex;	/* code NULL: it is none */
	} list[REGEXES];
	unsigned next;
	const struct constant_regex *constants;
	size_t nconstants;
	pcre2_match_data *data;
	pcre2_match_context *context;
};

struct regexes *regexes_new(void)
{
	struct regexes *r = pb_alloc(sizeof *r);

	return r;
}

/* Most runs meet none. */
static void get_ready(struct regexes *r)
{
	if (r->data)
		return;
	r->data = pcre2_match_data_create(CAPTURES_MAX, NULL);
	r->context = pcre2_match_context_create(NULL);
	pcre2_set_match_limit(r->context, REGEX_STEPS);
	pcre2_set_depth_limit(r->context, 1000);
}

static void forget(struct regexes *r, unsigned i)
{
	pcre2_code_free(r->list[i].regex.code);
	free(r->list[i].text);
	r->list[i].text = NULL;
}

void regexes_free(struct regexes *r)
{
	if (!r)
		return;
	for (unsigned i = 0; i < REGEXES && r->list[i].text; i++)
		forget(r, i);
	pcre2_match_data_free(r->data);
	pcre2_match_context_free(r->context);
	free(r);
}

static pcre2_code *compile(struct pb_str text, bool casemap)
{
	size_t offset;
	int code;

	if (text.len > REGEX_MAX)
		return NULL;
	return pcre2_compile((PCRE2_SPTR)(text.len ? text.ptr : ""), text.len,
		PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C | (casemap ? PCRE2_CASELESS : 0) | (pb_utf8_valid(text) ? PCRE2_UTF | PCRE2_MATCH_INVALID_UTF : 0),
		&code, &offset, NULL);
}

struct constant_regex regex_constant(struct pb_str text, bool casemap)
{
	return (struct constant_regex){ text.ptr, compile(text, casemap), regex_literal(text, casemap) };
}

void regex_constant_end(struct constant_regex *c)
{
	pcre2_code_free(c->code);
}

void regexes_constant(struct regexes *r, const struct constant_regex *list, size_t n)
{
	r->constants = list;
	r->nconstants = n;
}

/* They lie in the order of their places. */
static const struct constant_regex *constant_of(const struct regexes *r, const char *at)
{
	size_t from = 0, to = r->nconstants;

	while (from < to) {
		size_t middle = (from + to) / 2;

		if (r->constants[middle].at < at)
			from = middle + 1;
		else
			to = middle;
	}
	return from < r->nconstants && r->constants[from].at == at ? &r->constants[from] : NULL;
}

bool sieve_regex_valid(struct pb_str text)
{
	pcre2_code *code = compile(text, true);

	pcre2_code_free(code);
	return code != NULL;
}

static const struct constant_regex *regex(struct regexes *r, struct pb_str text, bool casemap)
{
	const struct constant_regex *constant = constant_of(r, text.ptr);
	unsigned i;

	if (constant)
		return constant;
	for (i = 0; i < REGEXES; i++)
		if (r->list[i].text && r->list[i].casemap == casemap && pb_str_eq(pb_str(r->list[i].text, r->list[i].len), text))
			return &r->list[i].regex;
	i = r->next++ % REGEXES;
	forget(r, i);
	r->list[i].text = pb_str_dup(text);
	r->list[i].len = text.len;
	r->list[i].casemap = casemap;
	r->list[i].regex = regex_constant(pb_str(r->list[i].text, text.len), casemap);
	return &r->list[i].regex;
}

/* What is looked through counts, so that many expressions on a long text end; and one that met its own limit counts as what it cost. */
static bool pay(const struct matcher *m, uint64_t steps)
{
	if (!m->steps)
		return true;
	if (*m->steps < steps) {
		*m->steps = 0;
		return false;
	}
	*m->steps -= steps;
	return true;
}

bool regex_match(const struct matcher *m, struct pb_str value, struct pb_str key, struct captures *take, bool *ret_bad)
{
	bool casemap = m->comparator != OCTET;
	const struct constant_regex *x = regex(m->regexes, key, casemap);
	PCRE2_SIZE *at;
	int n;

	if (!x->code) {
		*ret_bad = true;
		return false;
	}
	if (!pay(m, value.len / BYTES_A_STEP))
		return false;
	if (x->literal.len && (casemap ? pb_str_isearch(value, x->literal, 0) : pb_str_search(value, x->literal, 0)) < 0)
		return false;
	get_ready(m->regexes);
	n = pcre2_match(x->code, (PCRE2_SPTR)(value.len ? value.ptr : ""), value.len, 0, 0, m->regexes->data, m->regexes->context);
	if (n == PCRE2_ERROR_MATCHLIMIT)
		pay(m, REGEX_STEPS / 5);
	if (n < 0)
		return false;
	if (!take)
		return true;
	at = pcre2_get_ovector_pointer(m->regexes->data);
	take->n = n && n < CAPTURES_MAX ? (unsigned)n : CAPTURES_MAX;
	for (unsigned i = 0; i < take->n; i++)
		take->at[i] = at[2 * i] == PCRE2_UNSET ? PB_NOSTR : pb_str(value.ptr + at[2 * i], at[2 * i + 1] - at[2 * i]);
	return true;
}
