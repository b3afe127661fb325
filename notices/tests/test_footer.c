/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Footers in messages of many forms: what stands in the decoded part afterwards, and that the rest is as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <postbus/message.h>
#include "notices/footer.h"

#define EURO "\xe2\x82\xac"

static bool add(struct pb_buf *out, const char *message, const char *text, const char *html)
{
	const struct footer f = { .text = pb_strz(text), .html = pb_strz(html) };
	PB_AUTOBUF(facts);

	pb_facts_make(pb_strz(message), &facts);
	return footer_add(out, pb_strz(message), pb_buf_str(&facts), &f);
}

/* The text of a section as UTF-8. */
static void text_of(struct pb_buf *out, const struct pb_buf *message, const char *section)
{
	struct pb_part p;
	PB_AUTOBUF(facts);
	PB_AUTOBUF(bytes);

	pb_facts_make(pb_buf_str(message), &facts);
	assert_int_equal(pb_facts_part(pb_buf_str(&facts), pb_strz(section), &p), 0);
	pb_transfer_decode(p.encoding, pb_str_head(pb_str_skip(pb_buf_str(message), p.body_off), p.body_len), &bytes);
	assert_int_equal(pb_charset_decode(p.charset, pb_buf_str(&bytes), out), 0);
}

static void single_parts(void **state)
{
	static const struct { const char *message, *text, *want; } cases[] = {
		{ "Subject: a\r\n\r\nhello\r\n", "bye", "hello\r\n\r\nbye\r\n" },
		{ "Subject: a\r\n\r\nhello", "bye\nfor now\n", "hello\r\n\r\nbye\r\nfor now\r\n" },
		{ "Subject: a\r\n\r\nhello\r\n", "costs 5 " EURO, "hello\r\n\r\ncosts 5 " EURO "\r\n" },
		{ "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngr\xfc\xdf" "e\r\n", EURO, "gr\xc3\xbc\xc3\x9f" "e\r\n\r\n" EURO "\r\n" },
		{ "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ngr=FC=DFe\r\n", "bye", "gr\xc3\xbc\xc3\x9f" "e\r\n\r\nbye\r\n" },
		{ "Content-Type: text/plain; charset=utf-16le\r\nContent-Transfer-Encoding: base64\r\n\r\naABpAA0ACgA=\r\n", "bye", "hi\r\n\r\nbye\r\n" },
		{ "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8NCg==\r\n", EURO, "hello\r\n\r\n" EURO "\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		PB_AUTOBUF(out);
		PB_AUTOBUF(text);

		assert_true(add(&out, cases[i].message, cases[i].text, ""));
		text_of(&text, &out, "1");
		assert_string_equal(pb_buf_z(&text), cases[i].want);
	}
}

static void other_fields_stay(void **state)
{
	PB_AUTOBUF(out);

	(void)state;
	assert_true(add(&out, "Subject: a\r\nX-Long: b\r\n c\r\nContent-Type: text/plain; charset=us-ascii; format=flowed\r\nTo: d\r\n\r\nhello\r\n", EURO, ""));
	assert_true(pb_str_starts(pb_buf_str(&out), PB_STR("Subject: a\r\nX-Long: b\r\n c\r\nTo: d\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8; format=\"flowed\"\r\n"
							   "Content-Transfer-Encoding: quoted-printable\r\n\r\nhello\r\n")));
}

static const char alternative[] =
	"Subject: a\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n"
	"--a\r\nContent-Type: text/plain\r\n\r\nplain\r\n--a\r\nContent-Type: multipart/related; boundary=r\r\n\r\n--r\r\nContent-Type: text/html\r\n\r\n<body>rich</body>\r\n"
	"--r\r\nContent-Type: image/png\r\n\r\nPNG\r\n--r--\r\n--a--\r\n--m\r\nContent-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nattached\r\n--m--\r\nepilogue\r\n";

static void alternatives_get_each_their_form(void **state)
{
	PB_AUTOBUF(out);
	PB_AUTOBUF(text);

	(void)state;
	assert_true(add(&out, alternative, "1 < 2\nend", ""));
	text_of(&text, &out, "1.1");
	assert_string_equal(pb_buf_z(&text), "plain\r\n\r\n1 < 2\r\nend\r\n");
	pb_buf_reset(&text);
	text_of(&text, &out, "1.2.1");
	assert_string_equal(pb_buf_z(&text), "<body>rich<p>1 &lt; 2<br>\r\nend</p>\r\n</body>");
	pb_buf_reset(&text);
	text_of(&text, &out, "2");
	assert_string_equal(pb_buf_z(&text), "attached");
	assert_true(pb_str_search(pb_buf_str(&out), PB_STR("--m--\r\nepilogue\r\n"), 0) > 0);
}

static void html_of_its_own(void **state)
{
	PB_AUTOBUF(out);
	PB_AUTOBUF(text);

	(void)state;
	assert_true(add(&out, "Content-Type: text/html\r\n\r\n<HTML>x</HTML>", "plain", "<hr>"));
	text_of(&text, &out, "1");
	assert_string_equal(pb_buf_z(&text), "<HTML>x<hr>\r\n</HTML>");
}

static void texts_go_above_too(void **state)
{
	const struct footer f = { .text = PB_STR("below"), .above = PB_STR("above"), .above_html = PB_STR("<i>above</i>"), .dkim = true };
	const char message[] = "DKIM-Signature: v=1\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\n\r\nplain\r\n--a\r\nContent-Type: text/html\r\n\r\n<html><Body class=x>rich</body>\r\n--a--\r\n";
	PB_AUTOBUF(facts);
	PB_AUTOBUF(out);
	PB_AUTOBUF(text);

	(void)state;
	pb_facts_make(pb_strz(message), &facts);
	assert_true(footer_add(&out, pb_strz(message), pb_buf_str(&facts), &f));
	text_of(&text, &out, "1");
	assert_string_equal(pb_buf_z(&text), "above\r\n\r\nplain\r\n\r\nbelow\r\n");
	pb_buf_reset(&text);
	text_of(&text, &out, "2");
	assert_string_equal(pb_buf_z(&text), "<html><Body class=x><i>above</i>\r\nrich<p>below</p>\r\n</body>");
}

static void some_mail_is_never_touched(void **state)
{
	static const char *const messages[] = {
		"Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\nContent-Type: text/plain\r\n\r\nx\r\n--s\r\nContent-Type: application/pgp-signature\r\n\r\ny\r\n--s--\r\n",
		"Content-Type: multipart/mixed; boundary=s\r\n\r\n--s\r\nContent-Type: text/plain\r\n\r\nx\r\n--s\r\nContent-Type: multipart/encrypted; boundary=e\r\n\r\n--e--\r\n--s--\r\n",
		"Content-Type: application/pkcs7-mime\r\n\r\nAAAA\r\n",
		"Subject: a\r\n\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\nx\r\n",
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nLS0tLS1CRUdJTiBQR1AgU0lHTkVEIE1FU1NBR0UtLS0tLQ0KeA0K\r\n",
		"DKIM-Signature: v=1\r\nSubject: a\r\n\r\nx\r\n",
		"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n",
		"Content-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR\r\n",
		"Content-Type: text/plain; charset=x-nobody-knows\r\n\r\nx\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
		PB_AUTOBUF(out);

		if (add(&out, messages[i], EURO, EURO) || out.len)
			fail_msg("message %zu was changed: %s", i, pb_buf_z(&out));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(single_parts),	   cmocka_unit_test(other_fields_stay),		 cmocka_unit_test(alternatives_get_each_their_form),
		cmocka_unit_test(html_of_its_own), cmocka_unit_test(texts_go_above_too), cmocka_unit_test(some_mail_is_never_touched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
