/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The pure parts of the receiving side: arguments of MAIL, RCPT and BDAT, the Received field, header findings, networks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <postbus/queue.h>
#include "plugins/conn_smtp/authors.h"
#include "plugins/conn_smtp/rate.h"
#include "mailproto/header.h"
#include "mailproto/network.h"
#include "mailproto/params.h"
#include "mailproto/received.h"

static void mail_arguments(void **state)
{
	static const struct {
		const char *name, *input, *want;	/* want: the reply's beginning; NULL: fine */
		const char *address, *envid;
		uint64_t size;
		bool eightbit, smtputf8, hdrs;
	} table[] = {
		{ "a plain sender", "FROM:<bob@example.org>", NULL, "bob@example.org", "", 0, false, false, false },
		{ "the null sender", "FROM:<>", NULL, "", "", 0, false, false, false },
		{ "a blank before the path is let pass", "FROM: <bob@example.org>", NULL, "bob@example.org", "", 0, false, false, false },
		{ "verbs in any case", "from:<bob@example.org> size=1000 body=8bitmime", NULL, "bob@example.org", "", 1000, true, false, false },
		{ "all parameters", "FROM:<bob@example.org> SIZE=5 BODY=7BIT SMTPUTF8 RET=HDRS ENVID=a+2Bb AUTH=<>", NULL, "bob@example.org", "a+b", 5, false, true, true },
		{ "UTF-8 with SMTPUTF8", "FROM:<b\xc3\xb6" "b@example.org> SMTPUTF8", NULL, "b\xc3\xb6" "b@example.org", "", 0, false, true, false },
		{ "UTF-8 without SMTPUTF8", "FROM:<b\xc3\xb6" "b@example.org>", "553 5.6.7", "", "", 0, false, false, false },
		{ "no FROM", "<bob@example.org>", "501 5.5.4", "", "", 0, false, false, false },
		{ "an address without a domain", "FROM:<bob>", "501 5.1.7", "", "", 0, false, false, false },
		{ "two at signs", "FROM:<bob@@example.org>", "501 5.1.7", "", "", 0, false, false, false },
		{ "an open bracket", "FROM:<bob@example.org", "501 5.1.7", "", "", 0, false, false, false },
		{ "size is no number", "FROM:<bob@example.org> SIZE=12x", "501 5.5.4", "", "", 0, false, false, false },
		{ "size is too long a number", "FROM:<bob@example.org> SIZE=99999999999999999999999", "501 5.5.4", "", "", 0, false, false, false },
		{ "an unknown body", "FROM:<bob@example.org> BODY=BINARYMIME", "501 5.5.4", "", "", 0, false, false, false },
		{ "an unknown parameter", "FROM:<bob@example.org> FOO=BAR", "555 5.5.4", "", "", 0, false, false, false },
		{ "a parameter twice", "FROM:<bob@example.org> SIZE=1 SIZE=2", "501 5.5.4", "", "", 0, false, false, false },
		{ "SMTPUTF8 with a value", "FROM:<bob@example.org> SMTPUTF8=1", "501 5.5.4", "", "", 0, false, false, false },
		{ "a broken xtext", "FROM:<bob@example.org> ENVID=a+ZZ", "501 5.5.4", "", "", 0, false, false, false },
		{ "an ENVID with a line end in xtext", "FROM:<bob@example.org> ENVID=a+0D+0Ab", "501 5.5.4", "", "", 0, false, false, false },
		{ "an empty ENVID", "FROM:<bob@example.org> ENVID=", "501 5.5.4", "", "", 0, false, false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct mail_args a;
		const char *reply = mail_args_parse(pb_strz(table[i].input), &a);

		if (!reply != !table[i].want || (reply && strncmp(reply, table[i].want, strlen(table[i].want))))
			fail_msg("%s: got '%s'", table[i].name, reply ? reply : "(fine)");
		if (!reply) {
			assert_true(pb_str_eq(a.path.address, pb_strz(table[i].address)));
			assert_true(pb_str_eq(pb_buf_str(&a.envid), pb_strz(table[i].envid)));
			assert_int_equal(a.size, table[i].size);
			assert_int_equal(a.eightbit, table[i].eightbit);
			assert_int_equal(a.smtputf8, table[i].smtputf8);
			assert_int_equal(a.ret_headers, table[i].hdrs);
		}
		mail_args_free(&a);
	}
}

static void rcpt_arguments(void **state)
{
	static const struct {
		const char *name, *input;
		bool utf8;
		const char *want, *address, *orcpt;
		unsigned notify;
	} table[] = {
		{ "a plain recipient", "TO:<bob@example.org>", false, NULL, "bob@example.org", "", 0 },
		{ "postmaster alone", "TO:<PostMaster>", false, NULL, "PostMaster", "", 0 },
		{ "a source route is left out", "TO:<@a.example,@b.example:bob@example.org>", false, NULL, "bob@example.org", "", 0 },
		{ "a quoted local part", "TO:<\"a b\"@example.org>", false, NULL, "\"a b\"@example.org", "", 0 },
		{ "an address literal", "TO:<bob@[192.0.2.1]>", false, NULL, "bob@[192.0.2.1]", "", 0 },
		{ "notify and orcpt", "TO:<bob@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Bob+20X@example.org", false, NULL, "bob@example.org", "rfc822;Bob X@example.org",
		  PB_NOTIFY_SUCCESS | PB_NOTIFY_DELAY },
		{ "never alone", "TO:<bob@example.org> NOTIFY=never", false, NULL, "bob@example.org", "", PB_NOTIFY_NEVER },
		{ "a UTF-8 orcpt", "TO:<bob@example.org> ORCPT=utf-8;b\xc3\xb6" "b@example.org", true, NULL, "bob@example.org", "utf-8;b\xc3\xb6" "b@example.org", 0 },
		{ "never with others", "TO:<bob@example.org> NOTIFY=NEVER,DELAY", false, "501 5.5.4", "", "", 0 },
		{ "an empty notify", "TO:<bob@example.org> NOTIFY=", false, "501 5.5.4", "", "", 0 },
		{ "an unknown notify", "TO:<bob@example.org> NOTIFY=SOMETIMES", false, "501 5.5.4", "", "", 0 },
		{ "an orcpt without a type", "TO:<bob@example.org> ORCPT=bob@example.org", false, "501 5.5.4", "", "", 0 },
		{ "a line end in an orcpt", "TO:<bob@example.org> ORCPT=rfc822;bob+0D+0A", false, "501 5.5.4", "", "", 0 },
		{ "a parameter of MAIL", "TO:<bob@example.org> SIZE=1", false, "555 5.5.4", "", "", 0 },
		{ "the null path", "TO:<>", false, "501 5.1.3", "", "", 0 },
		{ "no domain", "TO:<bob>", false, "501 5.1.3", "", "", 0 },
		{ "text behind the path", "TO:<bob@example.org>x", false, "501", "", "", 0 },
		{ "UTF-8 that was not announced", "TO:<b\xc3\xb6" "b@example.org>", false, "553 5.6.7", "", "", 0 },
		{ "UTF-8 that was announced", "TO:<b\xc3\xb6" "b@example.org>", true, NULL, "b\xc3\xb6" "b@example.org", "", 0 },
		{ "broken UTF-8", "TO:<b\xc3@example.org>", true, "501 5.1.3", "", "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct rcpt_args a;
		const char *reply = rcpt_args_parse(pb_strz(table[i].input), table[i].utf8, &a);

		if (!reply != !table[i].want || (reply && strncmp(reply, table[i].want, strlen(table[i].want))))
			fail_msg("%s: got '%s'", table[i].name, reply ? reply : "(fine)");
		if (!reply) {
			if (!pb_str_eq(a.path.address, pb_strz(table[i].address)) || !pb_str_eq(pb_buf_str(&a.orcpt), pb_strz(table[i].orcpt)))
				fail_msg("%s: got '%.*s' and '%s'", table[i].name, PB_FMT(a.path.address), pb_buf_z(&a.orcpt));
			assert_int_equal(a.notify, table[i].notify);
		}
		rcpt_args_free(&a);
	}
}

static void a_complaint_is_one_printable_line(void **state)
{
	struct mail_args a;
	const char *reply = mail_args_parse(pb_str("FROM:<b\x01\x1b\xff\r@example.org>", 24), &a);

	(void)state;
	assert_non_null(reply);
	for (const char *p = reply; *p; p++)
		assert_true(*p >= ' ' && *p < 127);
	mail_args_free(&a);
}

static void chunk_arguments(void **state)
{
	uint64_t size;
	bool last;

	(void)state;
	assert_true(bdat_args_parse(PB_STR("1234"), &size, &last));
	assert_int_equal(size, 1234);
	assert_false(last);
	assert_true(bdat_args_parse(PB_STR("0 last"), &size, &last));
	assert_int_equal(size, 0);
	assert_true(last);
	assert_false(bdat_args_parse(PB_STR(""), &size, &last));
	assert_false(bdat_args_parse(PB_STR("LAST"), &size, &last));
	assert_false(bdat_args_parse(PB_STR("-1"), &size, &last));
	assert_false(bdat_args_parse(PB_STR("12 LAST more"), &size, &last));
	assert_false(bdat_args_parse(PB_STR("12 FIRST"), &size, &last));
	assert_false(bdat_args_parse(PB_STR("99999999999999999999"), &size, &last));
}

static void received_field(void **state)
{
	struct received r = {
		.helo = PB_STR("client.example"), .client = PB_STR("192.0.2.1"), .hostname = PB_STR("mail.example.org"), .id = PB_STR("Q1"),
		.recipient = PB_STR("bob@example.org"), .esmtp = true, .now = INT64_C(1700000000) * 1000000, .zone = 60,
	};
	PB_AUTOBUF(out);

	(void)state;
	received_build(&out, &r);
	assert_string_equal(pb_buf_z(&out), "Received: from client.example ([192.0.2.1])\r\n\tby mail.example.org with ESMTP id Q1\r\n\tfor <bob@example.org>; "
					    "Tue, 14 Nov 2023 23:13:20 +0100\r\n");
	pb_buf_reset(&out);
	r.helo = PB_STR("evil (comment");
	r.client = PB_STR("2001:db8::1");
	r.recipient = PB_NOSTR;
	r.tls = PB_STR("TLS1.3 AES-256-GCM");
	r.authenticated = r.utf8 = true;
	received_build(&out, &r);
	assert_non_null(strstr(pb_buf_z(&out), "Received: from unknown ([IPv6:2001:db8::1])\r\n"));
	assert_non_null(strstr(pb_buf_z(&out), "with UTF8SMTPSA"));
	assert_non_null(strstr(pb_buf_z(&out), "TLS1.3 AES-256-GCM"));
	assert_null(strstr(pb_buf_z(&out), "for <"));
	assert_null(strstr(pb_buf_z(&out), "evil"));
}

static void received_tells_the_protocol(void **state)
{
	static const struct { bool esmtp, tls, user, utf8; const char *want; } table[] = {
		{ false, false, false, false, "with SMTP id" }, { true, false, false, false, "with ESMTP id" }, { true, true, false, false, "with ESMTPS" },
		{ true, true, true, false, "with ESMTPSA" }, { true, false, true, false, "with ESMTPA" }, { true, false, false, true, "with UTF8SMTP id" },
		{ true, true, false, true, "with UTF8SMTPS" },
		{ false, false, false, false, "with LMTP id" }, { false, true, false, false, "with LMTPS" },
		{ false, true, false, true, "with UTF8LMTPS" } };

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		PB_AUTOBUF(out);

		received_build(&out, &(struct received){ .helo = PB_STR("a.example"), .client = PB_STR("192.0.2.1"), .hostname = PB_STR("b.example"), .id = PB_STR("Q"),
			.esmtp = table[i].esmtp, .lmtp = strstr(table[i].want, "LMTP") != NULL, .tls = table[i].tls ? PB_STR("TLS1.3") : PB_NOSTR, .authenticated = table[i].user, .utf8 = table[i].utf8 });
		if (!strstr(pb_buf_z(&out), table[i].want))
			fail_msg("want '%s' in '%s'", table[i].want, pb_buf_z(&out));
	}
}

static void header_findings(void **state)
{
	struct pb_str text = PB_STR("Received: a\r\nreceived : b\r\nReceived-SPF: pass\r\nFrom: bob\r\n <bob@example.org>\r\nDate: x\r\nMESSAGE-ID: <1@x>\r\n"
				    "Subject: From: nobody\r\n\r\nReceived: body\r\nFrom: body\r\n");
	struct header h;

	(void)state;
	header_scan(text, 10000, &h);
	assert_int_equal(h.received, 2);
	assert_int_equal(h.from_fields, 1);
	assert_true(h.has_date);
	assert_true(h.has_message_id);
	assert_int_equal(h.len, pb_str_search(text, PB_STR("\r\n\r\n"), 0) + 2);
	header_scan(text, 20, &h);
	assert_true(h.len > 20);
	header_scan(PB_STR("\r\nFrom: body\r\n"), 100, &h);
	assert_int_equal(h.len, 0);
	assert_int_equal(h.from_fields, 0);
	header_scan(PB_STR("From: a\r\nX: y\r\n z\r\nFrom: b\r\n"), 100, &h);
	assert_int_equal(h.from_fields, 2);
	header_scan(PB_NOSTR, 100, &h);
	assert_int_equal(h.len, 0);
}

static void broken_text(void **state)
{
	(void)state;
	assert_false(text_is_broken(PB_NOSTR));
	assert_false(text_is_broken(PB_STR("a\r\n\r\nb\r\n")));
	assert_false(text_is_broken(PB_STR("no line end")));
	assert_true(text_is_broken(PB_STR("a\nb\r\n")));
	assert_true(text_is_broken(PB_STR("a\rb\r\n")));
	assert_true(text_is_broken(PB_STR("a\r\r\nb")));
	assert_true(text_is_broken(PB_STR("a\n\r\n")));
	assert_true(text_is_broken(PB_STR("a\r\nb\r")));
	assert_true(text_is_broken(PB_STR("a\r\n.\n")));
	assert_true(text_is_broken(PB_STR("a\0b\r\n")));
}

static void networks(void **state)
{
	json_t *list = json_pack("[s,s,s,s]", "192.0.2.0/24", "2001:db8::/33", "10.1.2.3", "198.51.100.128/25");
	struct pb_error err;
	struct networks nets;

	(void)state;
	assert_int_equal(networks_parse(list, &nets, &err), 0);
	json_decref(list);
	assert_true(networks_has(&nets, PB_STR("192.0.2.77")));
	assert_false(networks_has(&nets, PB_STR("192.0.3.1")));
	assert_true(networks_has(&nets, PB_STR("10.1.2.3")));
	assert_false(networks_has(&nets, PB_STR("10.1.2.4")));
	assert_true(networks_has(&nets, PB_STR("198.51.100.200")));
	assert_false(networks_has(&nets, PB_STR("198.51.100.1")));
	assert_true(networks_has(&nets, PB_STR("2001:db8:7fff::1")));
	assert_false(networks_has(&nets, PB_STR("2001:db8:8000::1")));
	assert_true(networks_has(&nets, PB_STR("::ffff:192.0.2.1")));
	assert_false(networks_has(&nets, PB_STR("nonsense")));
	networks_free(&nets);
	for (const char *const *wrong = (const char *const[]){ "192.0.2.0/33", "192.0.2.0/", "300.1.1.1", "host.example", "2001:db8::/129", "", NULL }; *wrong; wrong++) {
		list = json_pack("[s]", *wrong);
		assert_int_equal(networks_parse(list, &nets, &err), PB_EINVALID);
		json_decref(list);
	}
}

static void authors_are_read_whole_or_not_at_all(void **state)
{
	static const struct {
		const char *value, *want;	/* NULL: malformed */
	} table[] = {
		{ " a@x", "a@x\n" }, { " A <a@x>", "a@x\n" }, { " \"A, B\" <a@x>, c@y", "a@x\nc@y\n" }, { " J. R. Doe <a.b@x>", "a.b@x\n" }, { " <a@x> (Ann)", "a@x\n" },
		{ " (c (n) \\) ) a (x) . (y) b @ (z) x . y", "a.b@x.y\n" }, { " \"a b\"@x", "\"a b\"@x\n" }, { " team: a@x, B <b@y>;", "a@x\nb@y\n" }, { " a@[192.0.2.1]", "a@[192.0.2.1]\n" },
		{ " <@r,@s:a@x>", "a@x\n" }, { " J\xc3\xb6rg <a@x>", "a@x\n" }, { "\r\n A\r\n\t<a@x>", "a@x\n" }, { ", a@x,,", "a@x\n" }, { " =?utf-8?q?=C3=B6?= <a@x>", "a@x\n" },
		{ " <a@x> <b@y>", NULL }, { " (open <b@y>", NULL }, { " <>", NULL }, { "", NULL }, { " ", NULL }, { " ,", NULL }, { " a", NULL }, { " a b@x", NULL }, { " a@x b@y", NULL },
		{ " <a@x", NULL }, { " a@x>", NULL }, { " \"open <a@x>", NULL }, { " nobody:;", NULL }, { " a: b: c@x;;", NULL }, { " a: b@x", NULL }, { " a@x;", NULL }, { " a@", NULL },
		{ " @x", NULL }, { " a@@x", NULL }, { " a..b@x", NULL }, { " .a@x", NULL }, { " a.@x", NULL }, { " a@x..y", NULL }, { " a\x01@x", NULL }, { " A <a@x>, <b@y", NULL }, { " <a@x>, <>", NULL },
		{ " a@[x", NULL }, { " \"a\\", NULL }, { " (a\\", NULL }, { " A <<a@x>>", NULL }, { " <:a@x>", NULL }, { " a\\@x", NULL } };

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		PB_AUTOBUF(out);
		bool fine = author_addresses(pb_strz(table[i].value), &out);

		if (fine != (table[i].want != NULL) || (fine && strcmp(pb_buf_z(&out), table[i].want)))
			fail_msg("'%s': %d '%s'", table[i].value, fine, pb_buf_z(&out));
	}
}

static void an_hour_is_counted_in_slots_of_five_minutes(void **state)
{
	static const struct { const char *row; uint64_t now, n; const char *want; uint64_t sum; } cases[] = {
		{ "", 100, 3, "100:3", 3 },
		{ "100:3", 100, 2, "100:5", 5 },
		{ "100:3", 101, 2, "100:3 101:2", 5 },
		{ "100:3 105:1", 111, 2, "100:3 105:1 111:2", 6 },
		{ "100:3 105:1", 112, 2, "105:1 112:2", 3 },
		{ "100:3", 90, 2, "90:5", 5 },		/* the clock was set back */
		{ "garbage 1:x", 100, 1, "100:1", 1 },
		{ "100:4294967295", 100, 9, "100:4294967295", 4294967295 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		PB_AUTOBUF(row);

		rate_add(&row, pb_strz(cases[i].row), cases[i].now, cases[i].n);
		assert_string_equal(pb_buf_z(&row), cases[i].want);
		assert_int_equal(rate_sum(pb_buf_str(&row), cases[i].now), cases[i].sum);
	}
	assert_int_equal(rate_slot(INT64_C(3600) * 1000000), 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_hour_is_counted_in_slots_of_five_minutes),
		cmocka_unit_test(authors_are_read_whole_or_not_at_all),
		cmocka_unit_test(mail_arguments), cmocka_unit_test(rcpt_arguments), cmocka_unit_test(a_complaint_is_one_printable_line),
		cmocka_unit_test(chunk_arguments), cmocka_unit_test(received_field), cmocka_unit_test(received_tells_the_protocol),
		cmocka_unit_test(header_findings), cmocka_unit_test(broken_text), cmocka_unit_test(networks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
