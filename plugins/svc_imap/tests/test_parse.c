/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Unit tests of the token reader, sets, folder names and LIST patterns. Commands are tested over a session. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "../list.h"
#include "../parse.h"
#include "../set.h"
#include "../utf7.h"

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

static struct parse start(const char *text)
{
	return parse_start(pb_strz(text), arena);
}

#define assert_str(got, want) do { struct pb_str g = (got); assert_int_equal(g.len, strlen(want)); assert_memory_equal(g.ptr, want, g.len); } while (0)

static void an_astring_is_an_atom_a_quoted_string_or_a_literal(void **state)
{
	static const struct {
		const char *input, *want;	/* want NULL: refused */
	} cases[] = {
		{ "abc", "abc" }, { "a]c", "a]c" }, { "\"\"", "" }, { "\"a b\"", "a b" }, { "\"a\\\"\\\\b\"", "a\"\\b" },
		{ "{3}\r\na b", "a b" }, { "{3+}\r\na\"b", "a\"b" }, { "{0}\r\n", "" },
		{ "", NULL }, { "(", NULL }, { "a*", "a" }, { "\"a", NULL }, { "\"a\\b\"", NULL }, { "\"a\r\nb\"", NULL }, { "{3}\r\nab", NULL }, { "{3}abc", NULL },
		{ "{}\r\n", NULL }, { "{99999999999}\r\nx", NULL }, { "{+}\r\n", NULL }, { "\x7f", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct parse p = start(cases[i].input);
		struct pb_str got;
		bool ok = parse_astring(&p, &got);

		if (ok != (cases[i].want != NULL))
			fail_msg("%s", cases[i].input);
		if (ok)
			assert_str(got, cases[i].want);
		else
			assert_non_null(p.error);
	}
}

static void a_literal_has_no_nul(void **state)
{
	struct parse p = parse_start(pb_str("{3}\r\na\0b", 8), arena);
	struct pb_str got;

	(void)state;
	assert_false(parse_string(&p, &got));
}

static void a_word_ends_where_the_atom_ends(void **state)
{
	struct parse p = start("flags.silent x");

	(void)state;
	assert_false(parse_word(&p, "FLAGS"));
	assert_true(parse_word(&p, "FLAGS.SILENT"));
	assert_true(parse_space(&p));
	assert_false(parse_end(&p));
	p = start("BODY[1]");
	assert_true(parse_word(&p, "body"));
}

static void numbers_do_not_wrap(void **state)
{
	uint32_t n;
	uint64_t big;
	struct parse p = start("4294967295");

	(void)state;
	assert_true(parse_u32(&p, &n) && n == UINT32_MAX);
	p = start("4294967296");
	assert_false(parse_u32(&p, &n));
	p = start("9223372036854775807");
	assert_true(parse_u64(&p, &big) && big == INT64_MAX);
	p = start("9223372036854775808");
	assert_false(parse_u64(&p, &big));
	p = start("x");
	assert_false(parse_u32(&p, &n));
}

static void a_line_that_ends_in_a_literals_head_says_so(void **state)
{
	static const struct {
		const char *line;
		bool there, sync;
		uint64_t size;
		size_t at;
	} cases[] = {
		{ "APPEND x {10}", true, true, 10, 9 }, { "{0+}", true, false, 0, 0 }, { "x{5+}", true, false, 5, 1 }, { "{5} ", false, 0, 0, 0 },
		{ "{}", false, 0, 0, 0 }, { "{+}", false, 0, 0, 0 }, { "5}", false, 0, 0, 0 }, { "", false, 0, 0, 0 }, { "}", false, 0, 0, 0 },
		{ "{a5}", false, 0, 0, 0 }, { "{5-}", false, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint64_t size = 0;
		size_t at = 0;
		bool sync = false, there = parse_literal_tail(pb_strz(cases[i].line), &size, &sync, &at);

		assert_int_equal(there, cases[i].there);
		if (!there)
			continue;
		assert_int_equal(sync, cases[i].sync);
		assert_int_equal(size, cases[i].size);
		assert_int_equal(at, cases[i].at);
	}
	uint64_t size;
	size_t at;
	bool sync;

	assert_true(parse_literal_tail(PB_STR("{99999999999999999999999999999999}"), &size, &sync, &at));
	assert_true(size > UINT64_C(1000000000000000000));
}

static void a_set_is_sorted_joined_and_asked(void **state)
{
	static const struct {
		const char *input;
		uint32_t star;
		const char *want;
	} cases[] = {
		{ "1", 10, "1-1" }, { "3:1", 10, "1-3" }, { "5,1:2,3,9:*", 10, "1-3 5-5 9-10" }, { "*", 7, "7-7" }, { "20:*", 7, "7-20" }, { "*:20", 7, "7-20" },
		{ "1:*", 0, "" }, { "2,*", 0, "2-2" }, { "1:4,2:3,4:6", 9, "1-6" }, { "4294967295,1", 1, "1-1 4294967295-4294967295" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		PB_AUTOBUF(got);
		struct parse p = start(cases[i].input);
		struct set set;

		assert_true(parse_set(&p, &set) && parse_end(&p));
		set_resolve(&set, cases[i].star);
		for (size_t k = 0; k < set.n; k++)
			pb_buf_addf(&got, "%s%u-%u", k ? " " : "", set.ranges[k].from, set.ranges[k].to);
		assert_string_equal(pb_buf_z(&got), cases[i].want);
		for (size_t k = 0; k < set.n; k++) {
			assert_true(set_has(&set, set.ranges[k].from) && set_has(&set, set.ranges[k].to));
			assert_false(set_has(&set, set.ranges[k].from - 1));
		}
	}
}

static void what_is_no_set_is_refused(void **state)
{
	static const char *const cases[] = { "", "0", "1:", ":1", "1,", ",1", "a", "1:0", "4294967296", "1 2", "1:2:3", "**" };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct parse p = start(cases[i]);
		struct set set;

		if (parse_set(&p, &set) && parse_end(&p))
			fail_msg("%s", cases[i]);
	}
}

static void a_set_is_printed_short(void **state)
{
	static const uint32_t numbers[] = { 1, 2, 3, 7, 9, 10 };
	PB_AUTOBUF(got);

	(void)state;
	set_print(&got, numbers, 6);
	assert_string_equal(pb_buf_z(&got), "1:3,7,9:10");
}

static void folder_names_travel_as_modified_utf7(void **state)
{
	static const struct {
		const char *wire, *utf8;
	} cases[] = {
		{ "INBOX", "INBOX" }, { "A&-B", "A&B" }, { "Entw&APw-rfe", "Entw\xc3\xbcrfe" },
		{ "~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e" },
		{ "&2D3eAA-", "\xf0\x9f\x98\x80" }, { "&IKwgrA-", "\xe2\x82\xac\xe2\x82\xac" }, { "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		PB_AUTOBUF(there);
		PB_AUTOBUF(back);

		assert_int_equal(utf7_decode(&there, pb_strz(cases[i].wire)), 0);
		assert_string_equal(pb_buf_z(&there), cases[i].utf8);
		utf7_encode(&back, pb_strz(cases[i].utf8));
		assert_string_equal(pb_buf_z(&back), cases[i].wire);
	}
}

static void other_forms_of_names_are_refused(void **state)
{
	/* no end, plain letters encoded, bits behind the end, lone surrogates, two stretches side by side, 8 bit */
	static const char *const cases[] = { "&", "&APw", "&AGE-", "&APx-", "&2D0-", "&3gA-", "&2D0APw-", "&APw-&APw-", "\xc3\xbc", "&AAA-", "&A-", "&*-" };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		PB_AUTOBUF(got);

		pb_buf_addz(&got, "x");
		if (utf7_decode(&got, pb_strz(cases[i])) == 0)
			fail_msg("%s", cases[i]);
		assert_string_equal(pb_buf_z(&got), "x");
	}
}

static void bytes_that_are_no_utf8_become_replacement_characters(void **state)
{
	PB_AUTOBUF(got);

	(void)state;
	utf7_encode(&got, PB_STR("a\xff" "b"));
	assert_string_equal(pb_buf_z(&got), "a&,,0-b");
}

static void list_patterns_match_as_the_rfc_says(void **state)
{
	static const struct {
		const char *pattern, *name;
		bool want;
	} cases[] = {
		{ "*", "a/b", true }, { "%", "a", true }, { "%", "a/b", false }, { "%/b", "a/b", true }, { "a*c", "abc", true }, { "a*c", "a/b/c", true },
		{ "a%c", "a/c", false }, { "a%c", "abbc", true }, { "", "", true }, { "", "a", false }, { "a", "a", true }, { "A", "a", false },
		{ "inbox", "INBOX", true }, { "InBox/%", "INBOX/x", true }, { "inbox/X", "INBOX/x", false }, { "inboxes", "INBOXES", false },
		{ "*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false }, { "*%*", "x/y", true }, { "%%", "", true }, { "a/%/c", "a/b/c", true },
		{ "a/%/c", "a/b/b/c", false }, { "*/c", "a/b/c", true }, { "ab", "a", false }, { "a", "ab", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (list_match(pb_strz(cases[i].pattern), pb_strz(cases[i].name)) != cases[i].want)
			fail_msg("%s against %s", cases[i].pattern, cases[i].name);
}

static void a_long_pattern_takes_no_exponential_time(void **state)
{
	PB_AUTOBUF(pattern);
	PB_AUTOBUF(name);

	(void)state;
	for (int i = 0; i < 200; i++) {
		pb_buf_addz(&pattern, "*a%");
		pb_buf_addz(&name, "aa/");
	}
	pb_buf_addc(&pattern, 'x');
	assert_false(list_match(pb_buf_str(&pattern), pb_buf_str(&name)));
}

static void mailbox_names_are_turned_into_utf8(void **state)
{
	struct parse p = start("inbox Entw&APw-rfe \"a b\" &APw");
	struct pb_str got;

	(void)state;
	assert_true(parse_mailbox(&p, &got) && parse_space(&p));
	assert_str(got, "INBOX");
	assert_true(parse_mailbox(&p, &got) && parse_space(&p));
	assert_str(got, "Entw\xc3\xbcrfe");
	assert_true(parse_mailbox(&p, &got) && parse_space(&p));
	assert_str(got, "a b");
	assert_false(parse_mailbox(&p, &got));
}

static void dates_are_read(void **state)
{
	struct parse p = start("1-Feb-1994 \"23-Nov-2026\" \" 1-Jan-1970 01:00:00 +0100\" \"1-Foo-1970 00:00:00 +0000\"");
	int64_t moment;
	int32_t day;

	(void)state;
	assert_true(parse_date(&p, &day) && parse_space(&p));
	assert_int_equal(day, 8797);
	assert_true(parse_date(&p, &day) && parse_space(&p));
	assert_int_equal(day, 20780);
	assert_true(parse_date_time(&p, &moment) && parse_space(&p));
	assert_int_equal(moment, 0);
	assert_false(parse_date_time(&p, &moment));
	p = start("30-Feb-2024");
	assert_false(parse_date(&p, &day));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_astring_is_an_atom_a_quoted_string_or_a_literal),
		cmocka_unit_test(a_literal_has_no_nul),
		cmocka_unit_test(a_word_ends_where_the_atom_ends),
		cmocka_unit_test(numbers_do_not_wrap),
		cmocka_unit_test(a_line_that_ends_in_a_literals_head_says_so),
		cmocka_unit_test(a_set_is_sorted_joined_and_asked),
		cmocka_unit_test(what_is_no_set_is_refused),
		cmocka_unit_test(a_set_is_printed_short),
		cmocka_unit_test(folder_names_travel_as_modified_utf7),
		cmocka_unit_test(other_forms_of_names_are_refused),
		cmocka_unit_test(bytes_that_are_no_utf8_become_replacement_characters),
		cmocka_unit_test(list_patterns_match_as_the_rfc_says),
		cmocka_unit_test(a_long_pattern_takes_no_exponential_time),
		cmocka_unit_test(mailbox_names_are_turned_into_utf8),
		cmocka_unit_test(dates_are_read),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
