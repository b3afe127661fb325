/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lines of mail as commands, and a moderator's word. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "plugins/conn_list/command.h"

static struct command parsed(const char *line)
{
	struct command c;

	command_parse(&c, pb_strz(line));
	return c;
}

static bool is(struct pb_str s, const char *z)
{
	return pb_str_eq(s, pb_strz(z));
}

static void test_commands(void **state)
{
	struct command c = parsed("  SUBSCRIBE digest\taddress=bob@example.org \r");

	(void)state;
	assert_int_equal(c.kind, COMMAND_SUBSCRIBE);
	assert_int_equal(c.n, 2);
	assert_true(is(c.words[0], "digest") && is(c.words[1], "address=bob@example.org"));
	assert_true(is(c.rest, "digest\taddress=bob@example.org"));
	assert_int_equal(parsed("join").kind, COMMAND_SUBSCRIBE);
	assert_int_equal(parsed("signoff").kind, COMMAND_UNSUBSCRIBE);
	assert_int_equal(parsed("subscribers").kind, COMMAND_UNKNOWN);
	assert_int_equal(parsed("").kind, COMMAND_NONE);
	assert_int_equal(parsed("> help").kind, COMMAND_NONE);
	assert_int_equal(parsed("-- ").kind, COMMAND_END);
	assert_int_equal(parsed("end").kind, COMMAND_END);
	assert_int_equal(parsed("set a b c d e f g h i j").n, COMMAND_WORDS);
}

static void test_subjects(void **state)
{
	(void)state;
	assert_true(is(subject_bare(PB_STR(" Re: AW: re:help ")), "help"));
	assert_true(is(subject_bare(PB_STR("Reply")), "Reply"));
	assert_true(is(subject_bare(PB_STR("Re:")), ""));
}

static void decides(const char *subject, const char *text, enum moderation m, const char *why)
{
	PB_AUTOBUF(got);

	assert_int_equal(moderation_parse(pb_strz(subject), pb_strz(text), &got), m);
	assert_string_equal(pb_buf_z(&got), why);
}

static void test_decisions(void **state)
{
	(void)state;
	decides("approve", "", MODERATE_APPROVE, "");
	decides("Accept.", "thanks", MODERATE_APPROVE, "thanks");
	decides("Re: dev: a post waits: reject me", "\r\n> approve\r\n\r\nDiscard!\r\n", MODERATE_DISCARD, "");
	decides("Re: x", "reject: off topic\r\nand rude\r\n\r\nOn Monday she wrote:\r\n\r\n> approve\r\n", MODERATE_REJECT, "off topic\nand rude");
	decides("Re: x", "reject no\n--\nBob\n", MODERATE_REJECT, "no");
	decides("Re: x", "I would not approve this\r\n", MODERATE_NOTHING, "");
	decides("Re: x", "> approve\r\n-- \r\napprove\r\n", MODERATE_NOTHING, "");
	decides("", "", MODERATE_NOTHING, "");
	decides("approval", "", MODERATE_NOTHING, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_commands), cmocka_unit_test(test_subjects), cmocka_unit_test(test_decisions) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
