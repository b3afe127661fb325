/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Comparing and matching. Regular expressions are PCRE2's, with limits; compiled ones are kept by their text. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "sieve/match.h"
#include <pcre2.h>
#include <stdlib.h>
#include <postbus/message.h>

enum { REGEXES = 32, REGEX_MAX = 4096, REGEX_STEPS = 100000 };

/* ---- comparing ---- */

/* RFC 4790 9.1: digits at the front; without any it is more than every number. */
static struct pb_str digits(struct pb_str s)
{
	size_t n = 0, zeros = 0;

	while (n < s.len && pb_is_digit(s.ptr[n]))
		n++;
	while (zeros + 1 < n && s.ptr[zeros] == '0')
		zeros++;
	return pb_str(s.ptr + zeros, n - zeros);
}

static int compare_numbers(struct pb_str a, struct pb_str b)
{
	a = digits(a);
	b = digits(b);
	if (!a.len || !b.len)
		return (int)!a.len - (int)!b.len;
	if (a.len != b.len)
		return a.len < b.len ? -1 : 1;
	return memcmp(a.ptr, b.ptr, a.len);
}

static int compare(const struct matcher *m, struct pb_str a, struct pb_str b)
{
	PB_AUTOBUF(x);
	PB_AUTOBUF(y);

	switch (m->comparator) {
	case OCTET:
		return pb_str_cmp(a, b);
	case ASCII_CASEMAP:
		return pb_str_icmp(a, b);
	case ASCII_NUMERIC:
		return compare_numbers(a, b);
	case UNICODE_CASEMAP:
		break;
	}
	pb_casefold(&x, a);
	pb_casefold(&y, b);
	return pb_str_cmp(pb_buf_str(&x), pb_buf_str(&y));
}

static bool is_equal(const struct matcher *m, struct pb_str a, struct pb_str b)
{
	if (m->comparator == ASCII_CASEMAP)
		return pb_str_ieq(a, b);
	return m->comparator == OCTET ? pb_str_eq(a, b) : compare(m, a, b) == 0;
}

static bool holds(enum relation r, int order)
{
	switch (r) {
	case GT:
		return order > 0;
	case GE:
		return order >= 0;
	case LT:
		return order < 0;
	case LE:
		return order <= 0;
	case EQ:
		return order == 0;
	case NE:
		break;
	}
	return order != 0;
}

bool match_count(const struct matcher *m, uint64_t n, struct pb_str key)
{
	PB_AUTOBUF(text);
	struct matcher numeric = *m;

	if (m->comparator != OCTET)
		numeric.comparator = ASCII_NUMERIC;
	pb_buf_addu(&text, n);
	return holds(m->relation, compare(&numeric, pb_buf_str(&text), key));
}

static bool contains(const struct matcher *m, struct pb_str value, struct pb_str key)
{
	PB_AUTOBUF(x);
	PB_AUTOBUF(y);

	if (!key.len)
		return true;
	if (m->comparator == OCTET)
		return pb_str_search(value, key, 0) >= 0;
	if (m->comparator == ASCII_CASEMAP)
		return pb_str_isearch(value, key, 0) >= 0;
	pb_casefold(&x, value);
	pb_casefold(&y, key);
	return pb_str_search(pb_buf_str(&x), pb_buf_str(&y), 0) >= 0;
}

/* ---- wildcards ---- */

static size_t character(const struct matcher *m, struct pb_str s, size_t at)
{
	size_t n = 1;

	if (m->comparator != OCTET)
		while (at + n < s.len && n < 4 && ((unsigned char)s.ptr[at + n] & 0xC0) == 0x80)
			n++;
	return n;
}

static bool same(const struct matcher *m, char a, char b)
{
	return a == b || (m->comparator != OCTET && pb_lower(a) == pb_lower(b));
}

static bool budget(const struct matcher *m)
{
	if (!m->steps)
		return true;
	if (!*m->steps)
		return false;
	--*m->steps;
	return true;
}

static void take_one(struct captures *c, unsigned i, struct pb_str value, size_t from, size_t to)
{
	if (c && i < CAPTURES_MAX)
		c->at[i] = pb_str(value.ptr + from, to - from);
}

/*
 * "*" takes as little as it can: when what follows does not fit, the last one takes one character more. Going back to the last one is enough,
 * since an earlier one could only give it less to choose from.
 */
static bool wildcards(const struct matcher *m, struct pb_str value, struct pb_str key, struct captures *take)
{
	size_t v = 0, k = 0, star_k = 0, star_v = 0, star_from = 0;
	unsigned n = 1, star_n = 0;
	bool starred = false;

	for (;;) {
		if (!budget(m))
			return false;
		if (k < key.len && key.ptr[k] == '*') {
			starred = true;
			star_k = ++k;
			star_from = star_v = v;
			star_n = n;
			take_one(take, n++, value, v, v);
			continue;
		}
		if (k == key.len && v == value.len)
			break;
		if (k < key.len && v < value.len) {
			size_t length = character(m, value, v);
			size_t literal = key.ptr[k] == '\\' && k + 1 < key.len ? k + 1 : k;

			if (key.ptr[k] == '?') {
				take_one(take, n++, value, v, v + length);
				v += length;
				k++;
				continue;
			}
			if (same(m, value.ptr[v], key.ptr[literal])) {
				v++;
				k = literal + 1;
				continue;
			}
		}
		if (!starred || star_v == value.len)
			return false;
		star_v += character(m, value, star_v);
		v = star_v;
		k = star_k;
		n = star_n + 1;
		take_one(take, star_n, value, star_from, star_v);
	}
	if (take) {
		take->at[0] = value;
		take->n = n < CAPTURES_MAX ? n : CAPTURES_MAX;
	}
	return true;
}

/* Case beyond ASCII: as it stands first, which gives match values; folded, there are none but the whole. */
static bool matches(const struct matcher *m, struct pb_str value, struct pb_str key, struct captures *take)
{
	PB_AUTOBUF(x);
	PB_AUTOBUF(y);

	if (wildcards(m, value, key, take))
		return true;
	if (m->comparator != UNICODE_CASEMAP)
		return false;
	pb_casefold(&x, value);
	pb_casefold(&y, key);
	if (!wildcards(m, pb_buf_str(&x), pb_buf_str(&y), NULL))
		return false;
	if (take) {
		take->at[0] = value;
		take->n = 1;
	}
	return true;
}

/* ---- regular expressions ---- */

struct regexes {
	struct {
		char *text;
		size_t len;
		bool casemap;
		pcre2_code *code;	/* NULL: it is none */
	} list[REGEXES];
	unsigned next;
	pcre2_match_data *data;
	pcre2_match_context *context;
};

struct regexes *regexes_new(void)
{
	struct regexes *r = pb_alloc(sizeof *r);

	r->data = pcre2_match_data_create(CAPTURES_MAX, NULL);
	r->context = pcre2_match_context_create(NULL);
	pcre2_set_match_limit(r->context, REGEX_STEPS);
	pcre2_set_depth_limit(r->context, 1000);
	return r;
}

static void forget(struct regexes *r, unsigned i)
{
	pcre2_code_free(r->list[i].code);
	free(r->list[i].text);
	r->list[i].text = NULL;
}

void regexes_free(struct regexes *r)
{
	if (!r)
		return;
	for (unsigned i = 0; i < REGEXES; i++)
		forget(r, i);
	pcre2_match_data_free(r->data);
	pcre2_match_context_free(r->context);
	free(r);
}

static pcre2_code *regex(struct regexes *r, struct pb_str text, bool casemap)
{
	size_t offset;
	int code;
	unsigned i;

	for (i = 0; i < REGEXES; i++)
		if (r->list[i].text && r->list[i].casemap == casemap && pb_str_eq(pb_str(r->list[i].text, r->list[i].len), text))
			return r->list[i].code;
	i = r->next++ % REGEXES;
	forget(r, i);
	r->list[i].text = pb_str_dup(text);
	r->list[i].len = text.len;
	r->list[i].casemap = casemap;
	r->list[i].code = text.len > REGEX_MAX ? NULL : pcre2_compile((PCRE2_SPTR)(text.len ? text.ptr : ""), text.len,
		PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C | (casemap ? PCRE2_CASELESS : 0) | (pb_utf8_valid(text) ? PCRE2_UTF | PCRE2_MATCH_INVALID_UTF : 0),
		&code, &offset, NULL);
	return r->list[i].code;
}

static bool regex_match(const struct matcher *m, struct pb_str value, struct pb_str key, struct captures *take, bool *ret_bad)
{
	pcre2_code *code = regex(m->regexes, key, m->comparator != OCTET);
	PCRE2_SIZE *at;
	int n;

	if (!code) {
		*ret_bad = true;
		return false;
	}
	n = pcre2_match(code, (PCRE2_SPTR)(value.len ? value.ptr : ""), value.len, 0, 0, m->regexes->data, m->regexes->context);
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

bool match_one(const struct matcher *m, struct pb_str value, struct pb_str key, struct captures *take, bool *ret_bad)
{
	if (!budget(m))
		return false;
	switch (m->match) {
	case IS:
		return is_equal(m, value, key);
	case CONTAINS:
		return contains(m, value, key);
	case MATCHES:
		return matches(m, value, key, take);
	case REGEX:
		return regex_match(m, value, key, take, ret_bad);
	default:
		return holds(m->relation, compare(m, value, key));
	}
}
