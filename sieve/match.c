/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Comparing and matching. Regular expressions are regex.c's. */
#include "sieve/match.h"
#include <postbus/message.h>

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

/* What stands behind the last "*" has to be the value's end: most values are told apart by it. Patterns with other marks there are not looked at here. */
static bool tail_fits(const struct matcher *m, struct pb_str value, struct pb_str key)
{
	for (size_t v = value.len, k = key.len; k; v--, k--) {
		if (key.ptr[k - 1] == '*' || key.ptr[k - 1] == '?' || key.ptr[k - 1] == '\\')
			return true;
		if (!v || !same(m, value.ptr[v - 1], key.ptr[k - 1]))
			return false;
	}
	return true;
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

	if (tail_fits(m, value, key) && wildcards(m, value, key, take))
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
