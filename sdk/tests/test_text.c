/* SPDX-License-Identifier: Apache-2.0 */
/* Header fields, encoded words, parameters, transfer encodings, charsets, searching and building: what stands between bytes and people. */
#include "tables.h"
#include <postbus/message.h>

static void fields(void **state)
{
	static const char header[] = "From x\r\nA: 1\r\nb :2\r\n\t3\r\nno field\r\nC:\r\n\r\nbody: x\r\n";
	struct pb_str rest = pb_strz(header), value, names[2] = { PB_STR("a"), PB_STR("C") };
	struct pb_field f;
	PB_AUTOBUF(out);

	(void)state;
	assert_true(pb_header_next(&rest, &f));
	expect_str("name", f.name, PB_STR("A"));
	expect_str("value", f.value, PB_STR(" 1"));
	assert_true(pb_header_next(&rest, &f));
	expect_str("blanks before the colon", f.name, PB_STR("b"));
	expect_str("a folded value", f.value, PB_STR("2\r\n\t3"));
	expect_str("the field as it stands", f.raw, PB_STR("b :2\r\n\t3\r\n"));
	assert_true(pb_header_next(&rest, &f));
	expect_str("an empty value", f.value, PB_STR(""));
	assert_false(pb_header_next(&rest, &f));
	assert_int_equal(pb_header_size(pb_strz(header)), strlen(header) - strlen("body: x\r\n"));
	assert_true(pb_header_find(pb_strz(header), PB_STR("B"), &value));
	assert_false(pb_header_find(pb_strz(header), PB_STR("body"), &value));
	assert_int_equal(pb_header_count(pb_strz("X: 1\nx: 2\n\nX: 3\n"), PB_STR("x")), 2);
	pb_header_pick(&out, pb_strz(header), names, 2, false);
	expect_str("picked", pb_buf_str(&out), PB_STR("A: 1\r\nC:\r\n\r\n"));
	pb_buf_reset(&out);
	pb_header_pick(&out, pb_strz(header), names, 2, true);
	expect_str("the others, and lines that are no fields", pb_buf_str(&out), PB_STR("From x\r\nb :2\r\n\t3\r\nno field\r\n\r\n"));
	pb_buf_reset(&out);
	pb_header_pick(&out, PB_STR("A: 1\r\n"), names, 2, false);
	expect_str("no blank line is added", pb_buf_str(&out), PB_STR("A: 1\r\n"));
}

static void words(void **state)
{
	static const struct { const char *name, *text, *want; } table[] = {
		{ "plain", " hello\r\n world ", "hello world" },
		{ "Q", "=?utf-8?Q?B=C3=B6b?=", "B\xC3\xB6" "b" },
		{ "Q with underscores and small letters", "=?UTF-8?q?a_b=c3=b6?=", "a b\xC3\xB6" },
		{ "B", "=?iso-8859-1?B?5Pb8?=", "\xC3\xA4\xC3\xB6\xC3\xBC" },
		{ "B without padding", "=?utf-8?B?YQ?=", "a" },
		{ "blanks between words go", "=?utf-8?Q?a?= \r\n =?utf-8?Q?b?=", "ab" },
		{ "blanks beside text stay", "x =?utf-8?Q?a?= y", "x a y" },
		{ "a character cut in two words", "=?utf-8?B?w7Y=?= =?utf-8?Q?=C3?= =?utf-8?Q?=A4?=", "\xC3\xB6\xC3\xA4" },
		{ "two charsets", "=?iso-8859-1?Q?=E4?= =?utf-8?Q?=C3=A4?=", "\xC3\xA4\xC3\xA4" },
		{ "a language", "=?utf-8*de?Q?a?=", "a" },
		{ "an unknown charset", "=?x-nothing?Q?a=E4?=", "a\xC3\xA4" },
		{ "no end", "=?utf-8?Q?abc", "=?utf-8?Q?abc" },
		{ "no such encoding", "=?utf-8?X?abc?=", "=?utf-8?X?abc?=" },
		{ "an empty word", "a=?utf-8?Q?\?=b", "ab" },
		{ "a question mark behind an equals sign", "=?utf-8?Q?=3F=3D?=", "?=" },
		{ "bytes that are UTF-8", "B\xC3\xB6" "b", "B\xC3\xB6" "b" },
		{ "bytes that are not", "B\xF6" "b", "B\xC3\xB6" "b" },
		{ "ISO-2022-JP", "=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "\xE6\x97\xA5\xE6\x9C\xAC" },
	};
	PB_AUTOBUF(many);
	PB_AUTOBUF(out);

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		PB_AUTOBUF(text);

		pb_words_decode(&text, pb_strz(table[i].text));
		expect_str(table[i].name, pb_buf_str(&text), pb_strz(table[i].want));
	}
	while (many.len < 500000)
		pb_buf_addz(&many, "=?a?q?x");
	pb_words_decode(&out, pb_buf_str(&many));	/* ends in time */
	assert_int_equal(out.len, many.len);
}

static void params(void **state)
{
	static const struct { const char *name, *value, *param, *want; } table[] = {
		{ "a token", "text/plain; charset=utf-8", "charset", "utf-8" },
		{ "any case", "text/plain; CHARSET=utf-8", "Charset", "utf-8" },
		{ "a quoted string", "a/b; name=\"x \\\"y\\\" z\"", "name", "x \"y\" z" },
		{ "a backslash of Windows stays", "a/b; name=\"C:\\dir\\x.txt\"", "name", "C:\\dir\\x.txt" },
		{ "no semicolon", "a/b name=x", "name", "x" },
		{ "a comment", "a/b (c; name=y) ; name=x", "name", "x" },
		{ "none", "a/b; name=x", "filename", NULL },
		{ "RFC 2231", "attachment; filename*=iso-8859-1'de'%E4b", "filename", "\xC3\xA4" "b" },
		{ "RFC 2231 before the plain one", "attachment; filename=a; filename*=utf-8''%C3%A4", "filename", "\xC3\xA4" },
		{ "RFC 2231 in pieces", "attachment; filename*0*=utf-8''%C3%A4; filename*1=\" b\"; filename*2*=%41", "filename", "\xC3\xA4 bA" },
		{ "pieces out of order", "attachment; filename*1=b; filename*0=a", "filename", "ab" },
		{ "a piece is missing", "attachment; filename*0=a; filename*2=c", "filename", "a" },
		{ "RFC 2047 where it does not belong", "attachment; filename=\"=?utf-8?Q?=C3=A4?=\"", "filename", "\xC3\xA4" },
		{ "a broken percent", "attachment; filename*=utf-8''%C3%A4%4", "filename", "\xC3\xA4%4" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		PB_AUTOBUF(out);

		expect_int(table[i].name, pb_value_param(pb_strz(table[i].value), pb_strz(table[i].param), &out), table[i].want != NULL);
		expect_str(table[i].name, pb_buf_str(&out), pb_strz(table[i].want));
	}
	expect_str("main value", pb_value_main(PB_STR(" (x) text/plain ; charset=a")), PB_STR("text/plain"));
	expect_str("main value alone", pb_value_main(PB_STR("inline")), PB_STR("inline"));
}

static void transfer_encodings(void **state)
{
	static const struct { const char *name; enum pb_encoding how; const char *in, *want; } table[] = {
		{ "base64", PB_BASE64, "aGVs\r\nbG8=\r\n", "hello" },
		{ "base64 with junk", PB_BASE64, "aG*Vs bG-8", "hello" },
		{ "base64 in joined pieces", PB_BASE64, "YQ==Yg==", "ab" },
		{ "quoted-printable", PB_QUOTED_PRINTABLE, "a=3Db=\r\nc \t\r\nd\r\n", "a=bc\r\nd\r\n" },
		{ "broken quoted-printable", PB_QUOTED_PRINTABLE, "a=zz=4=", "a=zz=4" },
		{ "small hexadecimal digits", PB_QUOTED_PRINTABLE, "=c3=a4", "\xC3\xA4" },
		{ "a soft line break before blanks", PB_QUOTED_PRINTABLE, "a=  \r\nb", "ab" },
		{ "8bit", PB_8BIT, "a=3D", "a=3D" },
	};
	PB_AUTOBUF(big);
	PB_AUTOBUF(coded);
	PB_AUTOBUF(back);

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		for (size_t step = 1; step < 8; step++) {
			PB_AUTOBUF(out);
			struct pb_decoder d = PB_DECODER(table[i].how);
			struct pb_str rest = pb_strz(table[i].in);

			for (; rest.len; rest = pb_str_skip(rest, step))
				pb_decode(&d, pb_str_head(rest, step), &out);
			pb_decode_end(&d, &out);
			expect_str(table[i].name, pb_buf_str(&out), pb_strz(table[i].want));
		}
		pb_buf_reset(&back);
		pb_transfer_decode(table[i].how, pb_strz(table[i].in), &back);
		expect_str(table[i].name, pb_buf_str(&back), pb_strz(table[i].want));
	}
	for (int i = 0; i < 3000; i++)
		pb_buf_addc(&big, (char)(i * i % 251));
	pb_base64_lines(&coded, pb_buf_str(&big));
	pb_buf_reset(&back);
	pb_transfer_decode(PB_BASE64, pb_buf_str(&coded), &back);
	expect_str("base64 there and back", pb_buf_str(&back), pb_buf_str(&big));
	pb_buf_reset(&coded);
	pb_buf_reset(&back);
	pb_buf_reset(&big);
	pb_buf_addz(&big, "From here\r\n.dot\r\n ends in a blank \r\n\xC3\xA4=\t\r\n");
	for (int i = 0; i < 300; i++)
		pb_buf_addz(&big, "long ");
	pb_qp_encode(&coded, pb_buf_str(&big));
	for (struct pb_str rest = pb_buf_str(&coded), line; pb_str_cut(&rest, '\n', &line);)
		assert_true(line.len <= 77);
	pb_transfer_decode(PB_QUOTED_PRINTABLE, pb_buf_str(&coded), &back);
	expect_str("quoted-printable there and back", pb_buf_str(&back), pb_buf_str(&big));
	assert_int_equal(pb_encoding_parse(PB_STR(" Base64 ")), PB_BASE64);
	assert_int_equal(pb_encoding_parse(PB_STR("x-uuencode")), PB_ENCODING_UNKNOWN);
}

static void charsets(void **state)
{
	static const struct { const char *charset, *in, *want; int rc; } table[] = {
		{ "ISO-8859-15", "\xA4", "\xE2\x82\xAC", 0 },
		{ "windows-1252", "\x80", "\xE2\x82\xAC", 0 },
		{ "utf-8", "a\xC3\xA4\xFF" "b\xC3", "a\xC3\xA4\xEF\xBF\xBD" "b\xEF\xBF\xBD", 0 },
		{ "us-ascii", "\xE4", "\xC3\xA4", 0 },
		{ "", "\xC3\xA4", "\xC3\xA4", 0 },
		{ "shift_jis", "\x93\xFA\x96\x7B", "\xE6\x97\xA5\xE6\x9C\xAC", 0 },
		{ "gb2312", "\xC4\xE3", "\xE4\xBD\xA0", 0 },
		{ "euc-jp", "a\xFF\xC6\xFC", "a\xEF\xBF\xBD\xE6\x97\xA5", 0 },
		{ "euc-jp", "\xC6", "\xEF\xBF\xBD", 0 },
		{ "utf-7", "+AOQ-", "\xC3\xA4", 0 },
		{ "x-no-such-thing", "a", "", PB_ENOTFOUND },
		{ "utf-8//IGNORE", "a", "", PB_ENOTFOUND },
		{ "../x", "a", "", PB_ENOTFOUND },
	};

	(void)state;
	for (int round = 0; round < 3; round++)		/* the second time from what is kept */
		for (size_t i = 0; i < COUNT(table); i++) {
			PB_AUTOBUF(out);

			expect_int(table[i].charset, pb_charset_decode(pb_strz(table[i].charset), pb_strz(table[i].in), &out), table[i].rc);
			expect_str(table[i].charset, pb_buf_str(&out), pb_strz(table[i].want));
		}
	assert_true(pb_charset_known(PB_STR("KOI8-R")) && pb_charset_known(PB_STR("us-ascii")));
	assert_false(pb_charset_known(PB_STR("klingon")) || pb_charset_known(PB_STR("")));
}

static void needles(void **state)
{
	static const struct { const char *name, *needle, *text; bool want; } table[] = {
		{ "any case", "HeLLo", "say hello there", true },
		{ "not there", "hullo", "say hello there", false },
		{ "at the end", "there", "say hello there", true },
		{ "longer than the text", "say hello there!", "say hello there", false },
		{ "empty", "", "", true },
		{ "letters beyond ASCII", "\xC3\x84PFEL", "drei \xC3\xA4pfel", true },
		{ "both small sigmas", "\xCF\x83", "\xCF\x82", true },
		{ "Cyrillic", "\xD0\x9F\xD0\xA0\xD0\x98", "\xD0\xBF\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82", true },
		{ "not in ASCII", "\xC3\xA4", "a long text of ASCII letters only, nothing else", false },
		{ "not by accident of bits", "a@b", "a`b", false },
		{ "one letter", "X", "abcdefghijklmnopqrstuvwxyz", true },
	};
	struct pb_needle n = PB_NEEDLE;
	PB_AUTOBUF(hay);

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		assert_int_equal(pb_needle_set(&n, pb_strz(table[i].needle)), 0);
		expect_int(table[i].name, pb_needle_in(&n, pb_strz(table[i].text)), table[i].want);
	}
	assert_int_equal(pb_needle_set(&n, PB_STR("\xFF")), PB_EINVALID);
	for (size_t at = 0; at < 70; at++) {	/* wherever it lies */
		pb_buf_reset(&hay);
		for (size_t i = 0; i < 80; i++)
			pb_buf_addz(&hay, i == at ? "Q" : i == at + 1 ? "x" : "q");
		assert_int_equal(pb_needle_set(&n, PB_STR("Qx")), 0);
		assert_true(pb_needle_in(&n, pb_buf_str(&hay)));
		assert_int_equal(pb_str_isearch(pb_buf_str(&hay), PB_STR("qX"), 0), (long)at);
		assert_int_equal(pb_str_isearch(pb_buf_str(&hay), PB_STR("qX"), at + 1), -1);
	}
	assert_int_equal(pb_needle_set(&n, PB_STR("two words")), 0);
	assert_true(pb_needle_in_value(&n, PB_STR(" =?utf-8?Q?Two?=\r\n =?utf-8?Q?_Words?=")));
	assert_true(pb_needle_in_value(&n, PB_STR("two\r\n words")));
	assert_true(pb_needle_in_header(&n, PB_STR("A: x\r\nB: two\r\n words\r\n\r\n")));
	assert_false(pb_needle_in_header(&n, PB_STR("A: two\r\nB: words\r\n\r\ntwo words\r\n")));
	assert_true(pb_needle_in_header(&n, PB_STR("no field of two words\r\nA: x\r\n\r\n")));
	assert_true(pb_needle_in_header(&n, PB_STR("A: x\r\nno field of two words\r\nB: y\r\n\r\n")));
	assert_true(pb_needle_in_header(&n, PB_STR("A: x\r\nno field of two words\r\n\r\nbody")));
	assert_true(pb_needle_in_header(&n, PB_STR("nothing but two words")));
	assert_false(pb_needle_in_header(&n, PB_STR("nothing but two\r\n\r\ntwo words")));
	assert_false(pb_needle_in_header(&n, PB_NOSTR));
	pb_needle_free(&n);
}

static void messages_are_searched_decoded(void **state)
{
	static const char message[] =
		"Subject: outer\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n"
		"--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe aus M=FC=\r\nnchen\r\n"
		"--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\nContent-Description: describing\r\n\r\nPGI+Sm9zw6k8L2I+\r\n"
		"--b\r\nContent-Type: application/octet-stream\r\n\r\nbinary\r\n"
		"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nwithin\r\n--b--\r\nepilogue\r\n";
	static const struct { const char *needle; bool body, text; } table[] = {
		{ "M\xC3\x9CNCHEN", true, true }, { "jos\xC3\xA9", true, true }, { "describing", true, true }, { "within", true, true }, { "INNER", true, true },
		{ "outer", false, true }, { "multipart", false, true }, { "binary", false, false }, { "Sm9z", false, false }, { "preamble", false, false },
	};
	struct pb_needle n = PB_NEEDLE;
	PB_AUTOBUF(facts);

	(void)state;
	pb_facts_make(pb_strz(message), &facts);
	for (size_t i = 0; i < COUNT(table); i++) {
		assert_int_equal(pb_needle_set(&n, pb_strz(table[i].needle)), 0);
		expect_int(table[i].needle, pb_needle_in_message(&n, pb_buf_str(&facts), pb_strz(message), false), table[i].body);
		expect_int(table[i].needle, pb_needle_in_message(&n, pb_buf_str(&facts), pb_strz(message), true), table[i].text);
	}
	pb_needle_free(&n);
}

static void built_headers(void **state)
{
	static const struct { const char *name, *text; bool utf8; const char *want; } table[] = {
		{ "short", "hello", false, "Subject: hello\r\n" },
		{ "control bytes", "a\r\nBcc: x\tb", false, "Subject: a Bcc: x b\r\n" },
		{ "other letters", "Gr\xC3\xBC\xC3\x9F" "e an alle", false, "Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= an alle\r\n" },
		{ "other letters where they may stand", "Gr\xC3\xBC\xC3\x9F" "e", true, "Subject: Gr\xC3\xBC\xC3\x9F" "e\r\n" },
		{ "what looks encoded", "=?utf-8?Q?x?=", false, "Subject: =?utf-8?Q?=3D=3Futf-8=3FQ=3Fx=3F=3D?=\r\n" },
		{ "a long one", "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789", false,
		  "Subject: 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789\r\n 0123456789\r\n" },
	};
	PB_AUTOBUF(text);
	PB_AUTOBUF(out);
	PB_AUTOBUF(back);
	struct pb_received r = { .helo = PB_STR("me.example"), .rdns = PB_STR("x(y)"), .client = PB_STR("2001:db8::1"), .by = PB_STR("mx.example"), .with = PB_STR("ESMTPS"),
				 .tls = PB_STR("TLS1.3 (x)"), .id = PB_STR("ABC"), .rcpt = PB_STR("bob@x"), .moment = INT64_C(1795464000000000), .zone = 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		pb_buf_reset(&out);
		pb_header_add(&out, "Subject", pb_strz(table[i].text), table[i].utf8);
		expect_str(table[i].name, pb_buf_str(&out), pb_strz(table[i].want));
	}
	for (int i = 0; i < 40; i++)
		pb_buf_addz(&text, i % 3 ? "\xD0\x9F\xD1\x80\xD0\xB8 " : "\xE6\x97\xA5\xE6\x9C\xAC\xE6\x97\xA5\xE6\x9C\xAC\xE6\x97\xA5");
	pb_buf_reset(&out);
	pb_header_add(&out, "Subject", pb_buf_str(&text), false);
	for (struct pb_str rest = pb_buf_str(&out), line; pb_str_cut(&rest, '\n', &line);)
		assert_true(line.len <= 79);
	pb_words_decode(&back, pb_str_skip(pb_buf_str(&out), strlen("Subject:")));
	expect_str("there and back", pb_buf_str(&back), pb_str_trim(pb_buf_str(&text)));
	pb_buf_reset(&out);
	pb_address_print(&out, PB_STR("Bob Smith"), PB_STR("bob@x"));
	pb_address_print(&out, PB_STR("Smith, \"Bob\""), PB_STR("bob@x"));
	pb_address_print(&out, PB_STR("B\xC3\xB6" "b"), PB_STR("bob@x"));
	pb_address_print(&out, PB_NOSTR, PB_STR("bob@x"));
	expect_str("addresses", pb_buf_str(&out), PB_STR("Bob Smith <bob@x>\"Smith, \\\"Bob\\\"\" <bob@x>=?utf-8?Q?B=C3=B6b?= <bob@x>bob@x"));
	pb_buf_reset(&out);
	pb_received_add(&out, &r);
	expect_str("received", pb_buf_str(&out), PB_STR("Received: from me.example (x?y? [IPv6:2001:db8::1])\r\n\tby mx.example with ESMTPS\r\n\t(TLS1.3  x ) id ABC\r\n"
							"\tfor <bob@x>; Mon, 23 Nov 2026 20:00:00 +0000\r\n"));
	pb_buf_reset(&out);
	pb_message_id_make(&out, PB_STR("mx.example"), r.moment);
	pb_buf_reset(&back);
	pb_message_id_make(&back, PB_STR("mx.example"), r.moment);
	assert_true(pb_str_ends(pb_buf_str(&out), PB_STR("@mx.example>")) && !pb_str_eq(pb_buf_str(&out), pb_buf_str(&back)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields),
		cmocka_unit_test(words),
		cmocka_unit_test(params),
		cmocka_unit_test(transfer_encodings),
		cmocka_unit_test(charsets),
		cmocka_unit_test(needles),
		cmocka_unit_test(messages_are_searched_decoded),
		cmocka_unit_test(built_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
