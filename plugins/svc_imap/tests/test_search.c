/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Unit tests of SEARCH's grammar: the tree that comes out, written down as a line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <postbus/mailbox.h>
#include "../search.h"

static struct pb_arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = pb_arena_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pb_arena_free(arena);
	return 0;
}

static void print(struct pb_buf *out, const struct search_key *key)
{
	static const char *const names[] = {
		"all", "seq", "uid", "flags", "keyword", "none", "larger", "smaller", "before", "on", "since", "emailid", "sentbefore", "senton", "sentsince", "header",
		"body", "text", "not", "or", "and",
	};

	pb_buf_addz(out, names[key->kind]);
	if (key->kind == SEARCH_FLAGS || (key->kind >= SEARCH_LARGER && key->kind <= SEARCH_SENTSINCE))
		pb_buf_addf(out, " %llu", (unsigned long long)key->number);
	if (key->kind == SEARCH_HEADER)
		pb_buf_addf(out, " %.*s", PB_FMT(key->name));
	if (key->kind == SEARCH_KEYWORD || (key->kind >= SEARCH_HEADER && key->kind <= SEARCH_TEXT))
		pb_buf_addf(out, " '%.*s'", PB_FMT(key->text));
	if (!key->kids)
		return;
	pb_buf_addc(out, '(');
	for (const struct search_key *kid = key->kids; kid; kid = kid->next) {
		print(out, kid);
		if (kid->next)
			pb_buf_addz(out, ", ");
	}
	pb_buf_addc(out, ')');
}

static bool read(struct pb_str text, struct search *q, struct pb_buf *out)
{
	struct parse p = parse_start(text, arena);
	bool ok = parse_search(&p, 20, q);

	if (ok)
		print(out, q->key);
	search_free(q);
	return ok;
}

static void keys_become_a_tree(void **state)
{
	static const struct {
		const char *input, *want;
	} cases[] = {
		{ "ALL", "and(all)" }, { "1:3", "and(seq)" }, { "UID 5", "and(uid)" }, { "*", "and(seq)" },
		{ "unseen", "and(not(flags 1))" }, { "DELETED FLAGGED", "and(flags 8, flags 4)" }, { "NEW", "and(and(flags 32, not(flags 1)))" },
		{ "OLD", "and(not(flags 32))" }, { "OR SEEN (ANSWERED DRAFT)", "and(or(flags 1, and(flags 2, flags 16)))" },
		{ "NOT FROM bob", "and(not(header From 'bob'))" }, { "HEADER X-A \"b c\"", "and(header X-A 'b c')" }, { "HEADER Message-Id \"\"", "and(header Message-Id '')" },
		{ "KEYWORD $Junk UNKEYWORD x", "and(keyword '$Junk', not(keyword 'x'))" }, { "LARGER 10 SMALLER 20", "and(larger 10, smaller 20)" },
		{ "SINCE 2-Jan-1970", "and(since 1)" }, { "SENTON \"3-Jan-1970\"", "and(senton 2)" }, { "TEXT {3}\r\na b", "and(text 'a b')" },
		{ "BODY x SUBJECT y", "and(body 'x', header Subject 'y')" }, { "CHARSET UTF-8 TEXT \xc3\xbc", NULL },
		{ "CHARSET UTF-8 TEXT \"\xc3\xbc\"", "and(text '\xc3\xbc')" }, { "CHARSET ISO-8859-1 TEXT \"\xfc\"", "and(text '\xc3\xbc')" },
		{ "CHARSET US-ASCII SUBJECT abc", "and(header Subject 'abc')" }, { "RETURN (MIN COUNT) SEEN", "and(flags 1)" }, { "RETURN () ALL", "and(all)" },
		{ "", NULL }, { "FOO", NULL }, { "SEEN ", "and(flags 1)" }, { "(SEEN", NULL }, { "SEEN)", NULL }, { "()", NULL }, { "NOT", NULL }, { "OR SEEN", NULL },
		{ "FROM", NULL }, { "LARGER x", NULL }, { "BEFORE 1-Foo-2000", NULL }, { "UID", NULL }, { "UID a", NULL }, { "0", NULL }, { "SEENFLAGGED", NULL },
		{ "RETURN (FOO) ALL", NULL }, { "KEYWORD (", NULL }, { "CHARSET", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		PB_AUTOBUF(got);
		struct search q;
		bool ok = read(pb_strz(cases[i].input), &q, &got);

		if (ok != (cases[i].want != NULL))
			fail_msg("%s", cases[i].input);
		if (ok)
			assert_string_equal(pb_buf_z(&got), cases[i].want);
		assert_false(q.bad_charset);
	}
}

static void an_unknown_charset_is_told_apart(void **state)
{
	PB_AUTOBUF(got);
	struct search q;

	(void)state;
	assert_false(read(PB_STR("CHARSET x-no-such TEXT a"), &q, &got));
	assert_true(q.bad_charset);
}

static void nesting_is_capped(void **state)
{
	PB_AUTOBUF(not);
	PB_AUTOBUF(lists);
	PB_AUTOBUF(got);
	struct search q;

	(void)state;
	for (int i = 0; i < 20; i++)
		pb_buf_addz(&not, "NOT ");
	pb_buf_addz(&not, "ALL");
	assert_true(read(pb_buf_str(&not), &q, &got));
	for (int i = 0; i < 21; i++)
		pb_buf_addz(&lists, "(");
	pb_buf_addz(&lists, "ALL");
	for (int i = 0; i < 21; i++)
		pb_buf_addz(&lists, ")");
	assert_false(read(pb_buf_str(&lists), &q, &got));
	pb_buf_reset(&not);
	for (int i = 0; i < 10000; i++)
		pb_buf_addz(&not, "OR ALL ");
	assert_false(read(pb_buf_str(&not), &q, &got));
}

static void cheap_keys_come_first(void **state)
{
	struct parse p = parse_start(PB_STR("BODY x FROM y SEEN (TEXT z UNSEEN) NOT SUBJECT q 1:3"), arena);
	PB_AUTOBUF(got);
	struct search q;

	(void)state;
	assert_true(parse_search(&p, 20, &q));
	search_order(q.key);
	print(&got, q.key);
	search_free(&q);
	assert_string_equal(pb_buf_z(&got), "and(flags 1, seq, header From 'y', not(header Subject 'q'), body 'x', and(not(flags 1), text 'z'))");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_become_a_tree),
		cmocka_unit_test(an_unknown_charset_is_told_apart),
		cmocka_unit_test(nesting_is_capped),
		cmocka_unit_test(cheap_keys_come_first),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
