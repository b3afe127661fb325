/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What postbusctl import understands of other servers' files: mbox files in their dialects, MailEnable's tables, addresses and indexes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include "tools/mailenable.h"
#include "tools/mbox.h"

#define FROM "From a@b.example Mon Jan  1 00:00:00 2024\n"

/* Bodies of all messages, with "|" behind each. */
static char *bodies(struct pb_str all)
{
	struct mbox_message m;
	struct mbox box;
	PB_AUTOBUF(out);

	assert_true(mbox_begin(all, &box));
	while (mbox_next(&box, &m)) {
		pb_buf_addstr(&out, m.body);
		pb_buf_addc(&out, '|');
	}
	return pb_str_dup(pb_buf_str(&out));
}

static void messages_end_where_they_end(void **state)
{
	static const struct { const char *name, *input, *want; } table[] = {
		{ "an empty file", "", "" },
		{ "one message", FROM "Subject: a\n\nbody\n", "body\n|" },
		{ "the empty line between two is the file's", FROM "Subject: a\n\nbody\n\n" FROM "Subject: b\n\nmore\n\n", "body\n|more\n|" },
		{ "more empty lines are the message's", FROM "Subject: a\n\nbody\n\n\n\n" FROM "Subject: b\n\nmore\n", "body\n\n\n|more\n|" },
		{ "CR LF", "From a Mon Jan  1 00:00:00 2024\r\nSubject: a\r\n\r\nbody\r\n\r\nFrom a Mon Jan  1 00:00:00 2024\r\nSubject: b\r\n\r\nx\r\n", "body\r\n|x\r\n|" },
		{ "no body", FROM "Subject: a\n\n" FROM "Subject: b\n\n", "||" },
		{ "a From line without a time is text", FROM "Subject: a\n\nbody\n\nFrom here on it is text\n", "body\n\nFrom here on it is text\n|" },
		{ "a From line inside a paragraph is text", FROM "Subject: a\n\nbody\nFrom x Mon Jan  1 00:00:00 2024\nand on\n", "body\nFrom x Mon Jan  1 00:00:00 2024\nand on\n|" },
		{ "without an empty line a header behind it tells", FROM "Subject: a\n\nbody\n" FROM "Subject: b\n\nmore\n", "body\n|more\n|" },
		{ "a length that leads to a From line", FROM "Content-Length: 49\n\nx\n\n" FROM "end\n\n" FROM "Subject: b\n\nmore\n", "x\n\n" FROM "end\n|more\n|" },
		{ "a length that leads to the end", FROM "Content-Length: 45\n\nx\n\n" FROM, "x\n\n" FROM "|" },
		{ "a length that leads nowhere", FROM "Content-Length: 2\n\nxyz\n\n" FROM "Subject: b\n\nmore\n", "xyz\n|more\n|" },
		{ "a length beyond the file", FROM "Content-Length: 99999999\n\nxyz\n", "xyz\n|" },
		{ "empty lines in front", "\n\n" FROM "Subject: a\n\nbody\n", "body\n|" },
		{ "a last line without its end", FROM "Subject: a\n\nbody", "body|" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		char *got = bodies(pb_strz(table[i].input));

		if (strcmp(got, table[i].want))
			fail_msg("%s: want '%s', got '%s'", table[i].name, table[i].want, got);
		free(got);
	}
}

static void other_files_are_no_mbox(void **state)
{
	struct mbox box;

	(void)state;
	assert_false(mbox_begin(PB_STR("Subject: a\n\nbody\n"), &box));
	assert_false(mbox_begin(PB_STR(">From a\n"), &box));
}

static void lines_that_were_quoted_are_known(void **state)
{
	static const struct { const char *input; bool quoted; } table[] = {
		{ FROM "Subject: a\n\n>From x\n", true },
		{ FROM "Content-Length: 7\n\n>From x\n", true },
		{ FROM "Content-Length: 49\n\n>From\n" FROM "\n", false },	/* what has a bare From line inside quotes none */
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct mbox_message m;
		struct mbox box;

		assert_true(mbox_begin(pb_strz(table[i].input), &box));
		assert_true(mbox_next(&box, &m));
		assert_int_equal(m.quoted, table[i].quoted);
	}
}

static void times_of_from_lines(void **state)
{
	static const struct { const char *line; long long want; } table[] = {	/* seconds; -1: none */
		{ "From a@b.example Mon Jan  1 00:00:00 2024", 1704067200 },
		{ "From - Mon Jan 01 00:00:00 2024", 1704067200 },
		{ "From a@b.example Mon Jan  1 01:00:00 2024 +0100", 1704067200 },
		{ "From a@b.example Mon Jan  1 01:00:00 +0100 2024", 1704067200 },
		{ "From a@b.example Sun Dec 31 19:00 EST 2023", 1704067200 },
		{ "From \"a b\"@c Mon Jan  1 00:00:00 2024 remote from x", 1704067200 },
		{ "From MAILER-DAEMON Fri Jul 14 02:40:02 2017", 1500000002 },
		{ "From a@b.example", -1 },
		{ "From here at 12:30 in 2024", -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		int64_t moment = -1000000;
		bool known = mbox_date(pb_strz(table[i].line), &moment);

		if (known != (table[i].want >= 0) || moment / 1000000 != table[i].want)
			fail_msg("%s: got %lld", table[i].line, (long long)(moment / 1000000));
	}
}

static char *joined(const json_t *list)
{
	PB_AUTOBUF(out);
	const json_t *one;
	size_t i;

	json_array_foreach (list, i, one)
		pb_buf_addf(&out, "%s%s", i ? " " : "", json_string_value(one));
	return pb_str_dup(pb_buf_str(&out));
}

static void flags_of_headers(void **state)
{
	static const struct { const char *header, *want; bool gone; } table[] = {
		{ "Subject: a\n\n", "", false },
		{ "Status: RO\nX-Status: AF\n\n", "\\Seen \\Answered \\Flagged", false },
		{ "Status: O\nX-Status: DT\n\n", "\\Deleted \\Draft", false },
		{ "X-Keywords: One $Two  \n\n", "One $Two", false },
		{ "X-Mozilla-Status: 1007\n\n", "\\Seen \\Answered \\Flagged $Forwarded", false },
		{ "X-Mozilla-Status: 0008\n\n", "", true },
		{ "X-IMAPbase: 1 2\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n\n", "", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		PB_AUTOBUF(out);
		bool gone;
		json_t *list = mbox_flags(pb_strz(table[i].header), &gone);
		char *got = joined(list);

		assert_string_equal(got, table[i].want);
		assert_int_equal(gone, table[i].gone);
		mbox_header(pb_strz(table[i].header), &out);
		assert_null(strstr(pb_buf_z(&out), "Status"));
		assert_null(strstr(pb_buf_z(&out), "X-"));
		free(got);
		json_decref(list);
	}
}

static void tables_with_and_without_a_head(void **state)
{
	static const char *const columns[] = { "SourceAddress", "DestinationAddress", NULL };
	static const char *const inputs[] = {
		"[SMTP:a@b]\t[SF:o/a]\r\n\r\n[SMTP:c@b]\t[SF:o/c]\t0\r\n",
		"\xef\xbb\xbfScope\tDestination Address\tSOURCE_ADDRESS\n0\t[SF:o/a]\t[SMTP:a@b]\n0\t[SF:o/c]\t[SMTP:c@b]",
	};

	(void)state;
	for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
		json_t *rows = tab_rows(pb_strz(inputs[i]), columns);

		assert_int_equal(json_array_size(rows), 2);
		assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "SourceAddress")), "[SMTP:a@b]");
		assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 1), "DestinationAddress")), "[SF:o/c]");
		json_decref(rows);
	}
}

static void values_in_the_encoding_of_windows(void **state)
{
	static const char *const columns[] = { "Name", NULL };
	json_t *rows = tab_rows(PB_STR("M\xfcller\n"), columns);

	(void)state;
	assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "Name")), "M\xc3\xbcller");
	json_decref(rows);
}

static void addresses_in_brackets(void **state)
{
	struct pb_str type, value, office, mailbox;

	(void)state;
	assert_true(bracket_parse(" [SF:acme/ann] ", &type, &value));
	assert_true(pb_str_eq(type, PB_STR("SF")) && store_parse(value, &office, &mailbox));
	assert_true(pb_str_eq(office, PB_STR("acme")) && pb_str_eq(mailbox, PB_STR("ann")));
	assert_false(bracket_parse("ann@example.org", &type, &value));
	assert_false(bracket_parse("[SMTP]", &type, &value));
	assert_false(store_parse(PB_STR("acme"), &office, &mailbox));
}

static void automatic_answers_of_a_file(void **state)
{
	static const struct { const char *file, *subject, *text; } table[] = {
		{ "From: \"ann@acme\" <ann@acme>\r\nSubject: On leave\r\nReply-To: <>\r\n\r\nBack on Monday.\r\n\r\nAnn\r\n", "On leave", "Back on Monday.\n\nAnn\n" },
		{ "\xef\xbb\xbfSubject: \r\n\r\nbis sp\xe4ter", NULL, "bis sp\xc3\xa4ter\n" },
		{ "Subject: no text\r\n", NULL, NULL },
		{ "Subject: a page\r\nContent-Type: text/html\r\n\r\n<p>away", NULL, NULL },
		{ "", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		json_t *reply = responder_parse(pb_strz(table[i].file));

		assert_int_equal(reply != NULL, table[i].text != NULL);
		if (reply) {
			assert_string_equal(json_string_value(json_object_get(reply, "text")), table[i].text);
			assert_true(json_is_true(json_object_get(reply, "enabled")));
			assert_int_equal(json_object_get(reply, "subject") != NULL, table[i].subject != NULL);
			if (table[i].subject)
				assert_string_equal(json_string_value(json_object_get(reply, "subject")), table[i].subject);
		}
		json_decref(reply);
	}
}

static void flags_of_an_index(void **state)
{
	static const char xml[] = "<X><E ID=\"A-1.MAI\" READ=\"1\" FLAGGED='0'/><E REPLIED=\"true\" ID=\"b2.mai\"/><M><ID>C3.MAI</ID><SEEN>1</SEEN><UNREAD>1</UNREAD></M>"
				  "<M><ID>D4.MAI</ID><READ>0</READ></M></X>";
	json_t *flags = index_flags(pb_strz(xml));
	static const struct { const char *name, *want; } table[] = { { "a-1.mai", "\\Seen" }, { "b2.mai", "\\Answered" }, { "c3.mai", "\\Seen" }, { "d4.mai", "" } };

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		char *got = joined(json_object_get(flags, table[i].name));

		assert_string_equal(got, table[i].want);
		free(got);
	}
	json_decref(flags);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_end_where_they_end), cmocka_unit_test(other_files_are_no_mbox), cmocka_unit_test(lines_that_were_quoted_are_known),
		cmocka_unit_test(times_of_from_lines), cmocka_unit_test(flags_of_headers), cmocka_unit_test(tables_with_and_without_a_head),
		cmocka_unit_test(values_in_the_encoding_of_windows), cmocka_unit_test(addresses_in_brackets), cmocka_unit_test(flags_of_an_index),
		cmocka_unit_test(automatic_answers_of_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
