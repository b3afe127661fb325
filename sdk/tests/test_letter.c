/* SPDX-License-Identifier: Apache-2.0 */
/* Letters: what is put into a template, and the messages that come of it, read back as any other message is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <postbus/letter.h>
#include <postbus/message.h>

static void templates_are_filled_once_and_unknown_names_stay(void **state)
{
	static const struct { const char *text, *want; } cases[] = {
		{ "Hello {name}, {count} letters", "Hello {count}, 7 letters" },
		{ "{unknown} {} { {name", "{unknown} {} { {name" },
		{ "{{name}}", "{{count}}" },
		{ "", "" },
		{ "}{name}", "}{count}" },
	};
	json_t *values = json_pack("{s:s, s:i}", "name", "{count}", "count", 7);

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		PB_AUTOBUF(out);

		pb_letter_fill(&out, pb_strz(cases[i].text), values);
		assert_string_equal(pb_buf_z(&out), cases[i].want);
	}
	json_decref(values);
}

static bool has(struct pb_buf *b, const char *text)
{
	return pb_str_search(pb_buf_str(b), pb_strz(text), 0) >= 0;
}

static void a_plain_letter_is_ascii_with_whole_lines(void **state)
{
	struct pb_letter l = { .from = PB_STR("postmaster@demo.example"), .from_name = PB_STR("Mail server"), .to = PB_STR("ann@demo.example"),
			       .subject = PB_STR("Gr\xc3\xbc\xc3\x9f" "e\nBcc: x@y.example"), .text = PB_STR("one\ntwo\r\nthree"), .submitted = "auto-generated" };
	PB_AUTOBUF(out);

	(void)state;
	pb_letter_head(&out, &l, PB_STR("mail.demo.example"), INT64_C(1790000000000000), NULL);
	assert_true(has(&out, "From: Mail server <postmaster@demo.example>\r\n"));
	assert_true(has(&out, "To: ann@demo.example\r\n"));
	assert_true(has(&out, "Subject: =?utf-8?") || has(&out, "Subject: =?UTF-8?"));
	assert_false(has(&out, "\nBcc:"));
	assert_true(has(&out, "Auto-Submitted: auto-generated\r\n"));
	assert_true(has(&out, "7bit\r\n\r\none\r\ntwo\r\nthree\r\n"));
	assert_false(has(&out, "In-Reply-To"));
}

static void what_is_not_ascii_or_too_long_is_encoded(void **state)
{
	char wide[1200];
	struct pb_letter l = { .from = PB_STR("a@b.example"), .to = PB_STR("c@d.example"), .text = PB_STR("f\xc3\xbcr dich") };
	PB_AUTOBUF(out);

	(void)state;
	pb_letter_head(&out, &l, PB_STR("h.example"), 1, NULL);
	assert_true(has(&out, "f=C3=BCr dich\r\n"));
	memset(wide, 'x', sizeof wide);
	l.text = pb_str(wide, sizeof wide);
	pb_buf_reset(&out);
	pb_letter_head(&out, &l, PB_STR("h.example"), 1, NULL);
	assert_true(has(&out, "quoted-printable"));
}

static void another_message_is_attached_as_a_part(void **state)
{
	struct pb_letter l = { .from = PB_STR("a@b.example"), .to = PB_STR("c@d.example"), .text = PB_STR("see below"), .references = PB_STR("<1@x.example>"),
			       .attached = PB_STR("Subject: was\r\n\r\n\xc3\xbc\r\n") };
	PB_AUTOBUF(out);

	(void)state;
	pb_letter_head(&out, &l, PB_STR("h.example"), 1, "=_b");
	assert_true(has(&out, "In-Reply-To: <1@x.example>\r\n"));
	assert_true(has(&out, "boundary=\"=_b\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--=_b\r\nContent-Type: text/plain"));
	assert_true(pb_str_ends(pb_buf_str(&out), PB_STR("see below\r\n\r\n--=_b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")));
}

static void html_is_an_alternative(void **state)
{
	struct pb_letter l = { .from = PB_STR("a@x.example"), .to = PB_STR("b@x.example"), .subject = PB_STR("s"), .text = PB_STR("plain"), .html = PB_STR("<p>rich</p>"),
			       .references = PB_STR("<2@x>"), .thread = PB_STR("<1@x> <2@x>"), .fields = PB_STR("Precedence: bulk\r\n") };
	PB_AUTOBUF(out);

	(void)state;
	pb_letter_head(&out, &l, PB_STR("h.example"), 1, "=_b");
	assert_non_null(strstr(pb_buf_z(&out), "In-Reply-To: <2@x>\r\nReferences: <1@x> <2@x>\r\nPrecedence: bulk\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"=_b\"\r\n\r\n"
					       "--=_b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\nplain\r\n"
					       "--=_b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n<p>rich</p>\r\n--=_b--\r\n"));
	pb_buf_reset(&out);
	l.text = PB_NOSTR;
	pb_letter_head(&out, &l, PB_STR("h.example"), 1, NULL);
	assert_non_null(strstr(pb_buf_z(&out), "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n<p>rich</p>\r\n"));
	pb_buf_reset(&out);
	l = (struct pb_letter){ .from = l.from, .to = l.to, .subject = l.subject, .text = PB_STR("From: evil@x\nContent-Type: text/x;\n a=b\nTo: all@x\n\nFrom: what it is"), .entity = true };
	pb_letter_head(&out, &l, PB_STR("h.example"), 1, NULL);
	assert_true(pb_str_ends(pb_buf_str(&out), PB_STR("MIME-Version: 1.0\r\nContent-Type: text/x;\r\n a=b\r\n\r\nFrom: what it is\r\n")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(html_is_an_alternative),
		cmocka_unit_test(templates_are_filled_once_and_unknown_names_stay),
		cmocka_unit_test(a_plain_letter_is_ascii_with_whole_lines),
		cmocka_unit_test(what_is_not_ascii_or_too_long_is_encoded),
		cmocka_unit_test(another_message_is_attached_as_a_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
