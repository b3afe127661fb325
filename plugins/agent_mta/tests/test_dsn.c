/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reports as bytes: statuses, the form of RFC 3464 and 6522, what is returned when, and that no input breaks a line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <postbus/message.h>
#include "plugins/agent_mta/dsn.h"

#define ORIGINAL "From: alice@demo.example\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <1@demo.example>\r\n\r\nHello\r\n"

static const struct dsn_recipient unknown = {
	{ "bob@example.org", 15 }, { "rfc822;Robert@example.net", 25 }, { "550 5.1.1 no such user", 22 }, { "mx1.example.org", 15 }, INT64_C(1795000000000000)
};

static struct dsn plain(void)
{
	return (struct dsn){ .kind = DSN_FAILED, .host = PB_STR("mail.demo.example"), .from = PB_STR("MAILER-DAEMON@mail.demo.example"), .to = PB_STR("alice@demo.example"),
		.message_id = PB_STR("<r1@mail.demo.example>"), .boundary = PB_STR("report-1"), .original = PB_STR(ORIGINAL), .now = INT64_C(1795000100000000),
		.arrival = INT64_C(1794999000000000), .retry_until = INT64_C(1795432000000000), .return_max = 65536, .recipients = &unknown, .n = 1 };
}

static void make(struct pb_buf *out, const struct dsn *d)
{
	dsn_begin(out, d);
	pb_buf_addstr(out, dsn_original(d));
	dsn_end(out, d);
}

static void statuses_are_what_replies_say(void **state)
{
	static const struct { const char *reason; enum dsn_kind kind; const char *want; } table[] = {
		{ "550 5.1.1 no such user", DSN_FAILED, "5.1.1" },
		{ "550 no such user", DSN_FAILED, "5.0.0" },
		{ "550-5.7.26 not aligned", DSN_FAILED, "5.7.26" },
		{ "", DSN_FAILED, "5.0.0" },
		{ "451 4.7.1 greylisted", DSN_DELAYED, "4.7.1" },
		{ "451 4.4.1 no answer", DSN_FAILED, "4.4.1" },
		{ "250 2.1.5 ok", DSN_DELIVERED, "2.1.5" },
		{ "550 5.1 half a status", DSN_FAILED, "5.0.0" },
		{ "550 5.1.1x", DSN_FAILED, "5.0.0" },
		{ "550 5.1234.1 x", DSN_FAILED, "5.0.0" },
		{ "connection refused", DSN_DELAYED, "4.0.0" },
		{ "5.4.6 loop", DSN_FAILED, "5.4.6" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		char status[12];

		dsn_status(status, pb_strz(table[i].reason), table[i].kind);
		assert_string_equal(status, table[i].want);
	}
}

static void has(const struct pb_buf *out, const char *text)
{
	if (pb_str_search(pb_buf_str(out), pb_strz(text), 0) >= 0)
		return;
	print_message("%s\n--- has no:\n%s\n", out->ptr, text);
	fail();
}

static void has_not(const struct pb_buf *out, const char *text)
{
	assert_true(pb_str_search(pb_buf_str(out), pb_strz(text), 0) < 0);
}

static void a_failure_has_all_fields(void **state)
{
	struct dsn d = plain();
	PB_AUTOBUF(out);

	(void)state;
	d.envid = PB_STR("QQ314159");
	d.helo = PB_STR("client.example");
	make(&out, &d);
	has(&out, "From: Mail Delivery System <MAILER-DAEMON@mail.demo.example>\r\nTo: <alice@demo.example>\r\n");
	has(&out, "Auto-Submitted: auto-replied\r\n");
	has(&out, "Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"report-1\"\r\n");
	has(&out, "References: <1@demo.example>\r\n");
	has(&out, "Content-Type: message/delivery-status\r\n");
	has(&out, "Original-Envelope-Id: QQ314159\r\nReporting-MTA: dns; mail.demo.example\r\nReceived-From-MTA: dns; client.example\r\nArrival-Date: ");
	has(&out, "\r\n\r\nOriginal-Recipient: rfc822; Robert@example.net\r\nFinal-Recipient: rfc822; bob@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\n"
		  "Remote-MTA: dns; mx1.example.org\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\nLast-Attempt-Date: ");
	has_not(&out, "Will-Retry-Until");
	has(&out, "Content-Type: message/rfc822\r\n");
	has(&out, "\r\n\r\n" ORIGINAL "\r\n--report-1--\r\n");
	has(&out, "mx1.example.org said: 550 5.1.1 no such user\r\n");
}

static void what_is_returned_follows_ret_kind_and_size(void **state)
{
	struct dsn d = plain();
	PB_AUTOBUF(out);

	(void)state;
	d.ret_headers = true;
	make(&out, &d);
	has(&out, "Content-Type: text/rfc822-headers\r\n");
	has_not(&out, "Hello");
	d = plain();
	d.return_max = 10;
	assert_true(dsn_original(&d).len < strlen(ORIGINAL));
	d = plain();
	d.kind = DSN_RELAYED;
	assert_true(dsn_original(&d).len < strlen(ORIGINAL));
	d = plain();
	assert_int_equal(dsn_original(&d).len, strlen(ORIGINAL));
}

static void a_delay_says_until_when(void **state)
{
	struct dsn d = plain();
	PB_AUTOBUF(out);

	(void)state;
	d.kind = DSN_DELAYED;
	make(&out, &d);
	has(&out, "Action: delayed\r\nStatus: 4.1.1\r\n");
	has(&out, "Will-Retry-Until: ");
	has(&out, "Subject: Delivery is delayed");
	has_not(&out, "Hello");
}

static void success_is_delivered_or_relayed(void **state)
{
	struct dsn_recipient to = { .address = PB_STR("a@demo.example"), .reason = PB_STR("250 2.1.5 delivered") };
	struct dsn d = plain();
	PB_AUTOBUF(delivered);
	PB_AUTOBUF(relayed);

	(void)state;
	d.kind = DSN_DELIVERED;
	d.recipients = &to;
	make(&delivered, &d);
	has(&delivered, "Final-Recipient: rfc822; a@demo.example\r\nAction: delivered\r\nStatus: 2.1.5\r\n");
	d.kind = DSN_RELAYED;
	to.reason = PB_STR("250 ok");
	to.remote = PB_STR("mx.example.org");
	make(&relayed, &d);
	has(&relayed, "Action: relayed\r\nStatus: 2.0.0\r\nRemote-MTA: dns; mx.example.org\r\n");
	has_not(&relayed, "Diagnostic-Code");
}

static void utf8_addresses_are_written_for_who_can_read_them(void **state)
{
	struct dsn_recipient joerg = { .address = PB_STR("j\xc3\xb6rg@example.org"), .reason = PB_STR("550 5.1.1 niemand hei\xc3\x9ft so"), .remote = PB_STR("mx.example.org") };
	struct dsn d = plain();
	PB_AUTOBUF(out);
	PB_AUTOBUF(utf8);

	(void)state;
	d.recipients = &joerg;
	make(&out, &d);
	has(&out, "Content-Type: message/delivery-status\r\n");
	has(&out, "Final-Recipient: utf-8; j\\x{F6}rg@example.org\r\n");
	d.utf8 = true;
	make(&utf8, &d);
	has(&utf8, "Content-Type: message/global-delivery-status\r\n");
	has(&utf8, "Final-Recipient: utf-8; j\xc3\xb6rg@example.org\r\n");
	assert_true(dsn_is_8bit(&d));
}

/* What remotes and senders say is hostile: no field may end early, no line may be over 998 octets, every line ends in CRLF. */
static void no_input_breaks_a_line(void **state)
{
	char reason[3000], subject[3100];
	struct dsn_recipient evil = unknown;
	struct dsn d = plain();
	PB_AUTOBUF(out);
	PB_AUTOBUF(original);
	size_t start = 0;

	(void)state;
	memset(reason, 'x', sizeof reason);
	memcpy(reason, "550 5.1.1 a\r\nAction: delivered\n\n--report-1\r\n", 44);
	memset(subject, 0xc3, sizeof subject);
	pb_buf_addz(&original, "Subject: ");
	pb_buf_add(&original, subject, 900);
	pb_buf_addz(&original, "\r\n\r\nx\r\n");
	evil.reason = pb_str(reason, sizeof reason);
	evil.remote = PB_STR("mx\r\nStatus: 2.0.0");
	evil.orcpt = PB_STR("rfc822;a\r\nb");
	d.envid = PB_STR("a\r\nb");
	d.recipients = &evil;
	d.original = pb_buf_str(&original);
	dsn_begin(&out, &d);
	has_not(&out, "\r\nAction: delivered");
	has_not(&out, "\r\nStatus: 2.0.0");
	for (size_t i = 0; i < out.len; i++) {
		if (out.ptr[i] != '\n')
			continue;
		assert_int_equal(out.ptr[i - 1], '\r');
		assert_true(i - start < 1000);
		start = i + 1;
	}
}

/* Whatever the original is: a host of 7 bits takes the report. */
static void a_report_is_of_seven_bits(void **state)
{
	static const char *const originals[] = {
		"Subject: Gr\xc3\xbc\xc3\x9f" "e\r\n\r\nx\r\n", "Subject: a\r\n\r\nGr\xfc\xdf" "e\r\n", "Subject: =?utf-8?q?=C3=BC?=\r\nTo: \xff <b@x>\r\n\r\nx\r\n", "" };
	struct dsn_recipient joerg = { .address = PB_STR("j\xc3\xb6rg@example.org"), .reason = PB_STR("550 5.1.1 niemand hei\xc3\x9ft so"), .remote = PB_STR("mx.example.org") };

	(void)state;
	for (size_t i = 0; i < sizeof originals / sizeof *originals; i++) {
		struct dsn d = plain();
		PB_AUTOBUF(out);

		d.recipients = &joerg;
		d.original = pb_strz(originals[i]);
		make(&out, &d);
		assert_false(dsn_is_8bit(&d));
		for (size_t k = 0; k < out.len; k++)
			assert_true((unsigned char)out.ptr[k] < 0x80);
		has_not(&out, "8bit");
		has_not(&out, "global");
		if (i < 3)
			has(&out, "text/rfc822-headers");
	}
}

static void an_endless_line_or_header_is_not_returned_as_it_is(void **state)
{
	struct dsn d = plain();
	PB_AUTOBUF(original);
	PB_AUTOBUF(out);

	(void)state;
	pb_buf_addz(&original, "Subject: a\r\n\r\n");
	for (int i = 0; i < 2000; i++)
		pb_buf_addc(&original, 'x');
	d.original = pb_buf_str(&original);
	make(&out, &d);
	has(&out, "text/rfc822-headers");
	assert_true(out.len < 2500);
	pb_buf_reset(&original);
	for (int i = 0; i < 10000; i++)
		pb_buf_addf(&original, "X-Field-%d: a value\r\n", i);
	d.original = pb_buf_str(&original);
	pb_buf_reset(&out);
	make(&out, &d);
	assert_true(out.len > 30000 && out.len < 40000);
	has(&out, ": a value\r\n\r\n--report-1--\r\n");
}

static void a_report_can_be_shortened(void **state)
{
	struct dsn d = plain();
	PB_AUTOBUF(out);
	PB_AUTOBUF(shorter);
	PB_AUTOBUF(twice);

	(void)state;
	make(&out, &d);
	assert_true(dsn_shorten(pb_buf_str(&out), &shorter));
	has(&shorter, "Status: 5.1.1\r\n");
	has_not(&shorter, "Hello");
	assert_true(pb_str_ends(pb_buf_str(&shorter), PB_STR("\r\n\r\n--report-1--\r\n")) || pb_str_ends(pb_buf_str(&shorter), PB_STR("\r\n--report-1--\r\n")));
	has_not(&shorter, "--report-1--\r\n--report-1");
	assert_false(dsn_shorten(pb_buf_str(&shorter), &twice));
	assert_false(dsn_shorten(PB_STR("Subject: x\r\n\r\nno report\r\n"), &twice));
	assert_false(dsn_shorten(PB_NOSTR, &twice));
	assert_int_equal(twice.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(statuses_are_what_replies_say),
		cmocka_unit_test(a_failure_has_all_fields),
		cmocka_unit_test(what_is_returned_follows_ret_kind_and_size),
		cmocka_unit_test(a_delay_says_until_when),
		cmocka_unit_test(success_is_delivered_or_relayed),
		cmocka_unit_test(utf8_addresses_are_written_for_who_can_read_them),
		cmocka_unit_test(no_input_breaks_a_line),
		cmocka_unit_test(a_report_can_be_shortened),
		cmocka_unit_test(a_report_is_of_seven_bits),
		cmocka_unit_test(an_endless_line_or_header_is_not_returned_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
