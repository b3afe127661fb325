/* SPDX-License-Identifier: Apache-2.0 */
/* Facts: structure, envelopes, sections and kept fields of mail as it should be and as it is. */
#include "tables.h"
#include <stdlib.h>
#include <postbus/message.h>

static struct pb_str slice(const char *message, uint64_t off, uint64_t len)
{
	return pb_str(message + off, (size_t)len);
}

static void envelopes(void **state)
{
	static const struct { const char *name, *header, *want; } table[] = {
		{ "nothing", "\r\n", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)" },
		{ "an empty message", "", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)" },
		{ "sender and reply-to are from's where they are not there", "From: Bob <bob@x>\r\n\r\n",
		  "(NIL NIL ((\"Bob\" NIL \"bob\" \"x\")) ((\"Bob\" NIL \"bob\" \"x\")) ((\"Bob\" NIL \"bob\" \"x\")) NIL NIL NIL NIL NIL)" },
		{ "or where they are empty", "From: <bob@x>\r\nSender:\r\nReply-To: ,\r\n\r\n",
		  "(NIL NIL ((NIL NIL \"bob\" \"x\")) ((NIL NIL \"bob\" \"x\")) ((NIL NIL \"bob\" \"x\")) NIL NIL NIL NIL NIL)" },
		{ "all fields", "DATE: Mon, 23 Nov 2026 21:00:00 +0000\r\nsubject: Hi\r\nFrom: a@x\r\nSender: b@x\r\nReply-To: c@x\r\nTo: d@x, e@x\r\nCc: f@x\r\nBcc: g@x\r\n"
		  "In-Reply-To: <1@x>\r\nMessage-Id: <2@x>\r\n\r\n",
		  "(\"Mon, 23 Nov 2026 21:00:00 +0000\" \"Hi\" ((NIL NIL \"a\" \"x\")) ((NIL NIL \"b\" \"x\")) ((NIL NIL \"c\" \"x\")) "
		  "((NIL NIL \"d\" \"x\")(NIL NIL \"e\" \"x\")) ((NIL NIL \"f\" \"x\")) ((NIL NIL \"g\" \"x\")) \"<1@x>\" \"<2@x>\")" },
		{ "an empty subject is there", "Subject:\r\n\r\n", "(NIL \"\" NIL NIL NIL NIL NIL NIL NIL NIL)" },
		{ "a folded subject is unfolded", "Subject: a\r\n b\r\n\tc \r\n\r\n", "(NIL \"a b\tc\" NIL NIL NIL NIL NIL NIL NIL NIL)" },
		{ "quotes and backslashes", "Subject: a\"b\\c\r\n\r\n", "(NIL \"a\\\"b\\\\c\" NIL NIL NIL NIL NIL NIL NIL NIL)" },
		{ "bytes above 127 go in a literal", "Subject: \xC3\xA4\r\n\r\n", "(NIL {2}\r\n\xC3\xA4 NIL NIL NIL NIL NIL NIL NIL NIL)" },
		{ "a group", "To: us: a@x;\r\n\r\n", "(NIL NIL NIL NIL NIL ((NIL NIL \"us\" NIL)(NIL NIL \"a\" \"x\")(NIL NIL NIL NIL)) NIL NIL NIL NIL)" },
		{ "an address without a domain is no group", "To: root\r\n\r\n", "(NIL NIL NIL NIL NIL ((NIL NIL \"root\" \"MISSING_DOMAIN\")) NIL NIL NIL NIL)" },
		{ "two fields are one list", "To: a@x\r\nTo: b@x\r\n\r\n", "(NIL NIL NIL NIL NIL ((NIL NIL \"a\" \"x\")(NIL NIL \"b\" \"x\")) NIL NIL NIL NIL)" },
		{ "the first of two subjects", "Subject: a\r\nSubject: b\r\n\r\n", "(NIL \"a\" NIL NIL NIL NIL NIL NIL NIL NIL)" },
		{ "a route", "To: <@a,@b:c@d>\r\n\r\n", "(NIL NIL NIL NIL NIL ((NIL \"@a,@b\" \"c\" \"d\")) NIL NIL NIL NIL)" },
		{ "bare line ends", "Subject: a\nTo: b@x\n\n", "(NIL \"a\" NIL NIL NIL ((NIL NIL \"b\" \"x\")) NIL NIL NIL NIL)" },
		{ "no blank line", "Subject: a", "(NIL \"a\" NIL NIL NIL NIL NIL NIL NIL NIL)" },
		{ "a line that is no field", "From x Mon Nov 23 21:00:00 2026\r\nSubject: a\r\nnonsense\r\nMessage-ID: b\r\n\r\n", "(NIL \"a\" NIL NIL NIL NIL NIL NIL NIL \"b\")" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		PB_AUTOBUF(facts);

		pb_facts_make(pb_strz(table[i].header), &facts);
		expect_str(table[i].name, pb_facts_envelope(pb_buf_str(&facts)), pb_strz(table[i].want));
	}
}

static void a_nul_is_never_sent(void **state)
{
	PB_AUTOBUF(facts);

	(void)state;
	pb_facts_make(PB_STR("Subject: a\0b\r\nTo: c\0d@x\r\nContent-Type: text/plain; name=\"e\0f\"\r\nContent-Description: g\0h\xFF\r\n\r\n\0"), &facts);
	expect_str("envelope", pb_facts_envelope(pb_buf_str(&facts)), PB_STR("(NIL \"a?b\" NIL NIL NIL ((\"c\" NIL \"d\" \"x\")) NIL NIL NIL NIL)"));
	assert_true(pb_str_find(pb_facts_bodystructure(pb_buf_str(&facts)), '\0', 0) < 0);
	assert_true(pb_facts_flags(pb_buf_str(&facts)) & PB_FACTS_NUL);
}

#define TEXT_PLAIN "\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\""
#define MULTI(b) "Content-Type: multipart/mixed; boundary=" b "\r\n\r\n"

static void structures(void **state)
{
	static const struct { const char *name, *message, *structure, *body; } table[] = {
		{ "plain text", "Subject: a\r\n\r\none\r\ntwo\r\n", "(" TEXT_PLAIN " 10 2 NIL NIL NIL NIL)", "(" TEXT_PLAIN " 10 2)" },
		{ "all fields of a part", "Content-Type: TEXT/Html; charset=\"utf-8\"; x=y\r\nContent-ID: <1@x>\r\nContent-Description: what\r\nContent-Transfer-Encoding: BASE64\r\n"
		  "Content-MD5: abc==\r\nContent-Disposition: attachment; filename=\"a b\"\r\nContent-Language: en, de\r\nContent-Location: http://x/\r\n\r\nYQ==\r\n",
		  "(\"TEXT\" \"Html\" (\"charset\" \"utf-8\" \"x\" \"y\") \"<1@x>\" \"what\" \"BASE64\" 6 1 \"abc==\" (\"attachment\" (\"filename\" \"a b\")) (\"en\" \"de\") \"http://x/\")",
		  "(\"TEXT\" \"Html\" (\"charset\" \"utf-8\" \"x\" \"y\") \"<1@x>\" \"what\" \"BASE64\" 6 1)" },
		{ "no text has no lines", "Content-Type: image/gif\r\n\r\nGIF\r\n", "(\"image\" \"gif\" NIL NIL NIL \"7bit\" 5 NIL NIL NIL NIL)", "(\"image\" \"gif\" NIL NIL NIL \"7bit\" 5)" },
		{ "a type that cannot be read is text", "Content-Type: nonsense\r\n\r\n", "(" TEXT_PLAIN " 0 0 NIL NIL NIL NIL)", "(" TEXT_PLAIN " 0 0)" },
		{ "two parts", MULTI("b") "pre\r\n--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n\r\n--b--\r\npost\r\n",
		  "((" TEXT_PLAIN " 3 0 NIL NIL NIL NIL)(" TEXT_PLAIN " 5 1 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"b\") NIL NIL NIL)",
		  "((" TEXT_PLAIN " 3 0)(" TEXT_PLAIN " 5 1) \"mixed\")" },
		{ "bare line ends", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n", "((" TEXT_PLAIN " 3 0 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"b\") NIL NIL NIL)",
		  "((" TEXT_PLAIN " 3 0) \"mixed\")" },
		{ "no last boundary", MULTI("b") "--b\r\n\r\none\r\n", "((" TEXT_PLAIN " 5 1 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"b\") NIL NIL NIL)", "((" TEXT_PLAIN " 5 1) \"mixed\")" },
		{ "no boundary at all: the body stands in", MULTI("b") "one\r\n", "((" TEXT_PLAIN " 5 1 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"b\") NIL NIL NIL)",
		  "((" TEXT_PLAIN " 5 1) \"mixed\")" },
		{ "no boundary parameter", "Content-Type: multipart/mixed\r\n\r\none\r\n", "((" TEXT_PLAIN " 5 1 NIL NIL NIL NIL) \"mixed\" NIL NIL NIL NIL)", "((" TEXT_PLAIN " 5 1) \"mixed\")" },
		{ "a boundary in the header of a part", MULTI("b") "--b\r\nContent-Type: image/gif\r\n--b\r\n\r\none\r\n--b--\r\n",
		  "((\"image\" \"gif\" NIL NIL NIL \"7bit\" 0 NIL NIL NIL NIL)(" TEXT_PLAIN " 3 0 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"b\") NIL NIL NIL)",
		  "((\"image\" \"gif\" NIL NIL NIL \"7bit\" 0)(" TEXT_PLAIN " 3 0) \"mixed\")" },
		{ "a boundary that begins like the outer one", MULTI("b") "--b\r\nContent-Type: multipart/related; boundary=bb\r\n\r\n--bb\r\n\r\n1\r\n--bb--\r\n--b\r\n\r\n2\r\n--b--\r\n",
		  "(((" TEXT_PLAIN " 1 0 NIL NIL NIL NIL) \"related\" (\"boundary\" \"bb\") NIL NIL NIL)(" TEXT_PLAIN " 1 0 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"b\") NIL NIL NIL)",
		  "(((" TEXT_PLAIN " 1 0) \"related\")(" TEXT_PLAIN " 1 0) \"mixed\")" },
		{ "an outer boundary closes inner parts", MULTI("b") "--b\r\n" MULTI("c") "--c\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--\r\n",
		  "(((" TEXT_PLAIN " 1 0 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"c\") NIL NIL NIL)(" TEXT_PLAIN " 1 0 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"b\") NIL NIL NIL)",
		  "(((" TEXT_PLAIN " 1 0) \"mixed\")(" TEXT_PLAIN " 1 0) \"mixed\")" },
		{ "blanks behind a boundary, dashes that are none", MULTI("b") "--b \t\r\n\r\n--bx\r\n-- \r\n--b --\r\n\r\nx\r\n--b-- \r\n",
		  "((" TEXT_PLAIN " 9 1 NIL NIL NIL NIL)(" TEXT_PLAIN " 1 0 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"b\") NIL NIL NIL)",
		  "((" TEXT_PLAIN " 9 1)(" TEXT_PLAIN " 1 0) \"mixed\")" },
		{ "a message in a message", "Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nbody\r\n",
		  "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 21 (NIL \"in\" NIL NIL NIL NIL NIL NIL NIL NIL) (" TEXT_PLAIN " 6 1 NIL NIL NIL NIL) 3 NIL NIL NIL NIL)",
		  "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 21 (NIL \"in\" NIL NIL NIL NIL NIL NIL NIL NIL) (" TEXT_PLAIN " 6 1) 3)" },
		{ "parts of a digest are messages", "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: in\r\n\r\n1\r\n--b--\r\n",
		  "((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 16 (NIL \"in\" NIL NIL NIL NIL NIL NIL NIL NIL) (" TEXT_PLAIN " 1 0 NIL NIL NIL NIL) 2 NIL NIL NIL NIL)"
		  " \"digest\" (\"boundary\" \"b\") NIL NIL NIL)", NULL },
		{ "parameters in pieces are joined", "Content-Type: application/x; name*1=\"b\"; name*0=\"a\"; f*0*=utf-8''%41; f*1=\"%\"\r\n\r\n",
		  "(\"application\" \"x\" (\"name\" \"ab\" \"f*\" \"utf-8''%41%25\") NIL NIL \"7bit\" 0 NIL NIL NIL NIL)", NULL },
		{ "an unquoted file name with blanks, a comment, no semicolon", "Content-Type: application/x (what) name=a b.txt ; y=\"z\r\n w\"\r\n\r\n",
		  "(\"application\" \"x\" (\"name\" \"a b.txt\" \"y\" \"z w\") NIL NIL \"7bit\" 0 NIL NIL NIL NIL)", NULL },
		{ "a disposition alone", "Content-Disposition: inline\r\n\r\n", "(" TEXT_PLAIN " 0 0 NIL (\"inline\" NIL) NIL NIL)", NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		PB_AUTOBUF(facts);
		PB_AUTOBUF(body);

		pb_facts_make(pb_strz(table[i].message), &facts);
		expect_str(table[i].name, pb_facts_bodystructure(pb_buf_str(&facts)), pb_strz(table[i].structure));
		pb_facts_body(pb_buf_str(&facts), &body);
		if (table[i].body)
			expect_str(table[i].name, pb_buf_str(&body), pb_strz(table[i].body));
	}
}

static const char nested[] =
	"Subject: top\r\n" MULTI("a") "preamble\r\n"
	"--a\r\nContent-Type: text/plain\r\n\r\nONE\r\n"
	"--a\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nTWO.1\r\n--b\r\nX: y\r\n\r\nTWO.2\r\n--b--\r\n"
	"--a\r\nContent-Type: message/rfc822\r\n\r\nSubject: single\r\n\r\nTHREE\r\n"
	"--a\r\nContent-Type: message/rfc822\r\n\r\nSubject: multi\r\n" MULTI("c") "--c\r\n\r\nFOUR.1\r\n--c\r\nContent-Type: message/rfc822\r\n\r\nSubject: deep\r\n\r\nDEEP\r\n--c--\r\n"
	"--a--\r\n";

static void sections(void **state)
{
	static const struct { const char *section; int rc; const char *want; } table[] = {
		{ "", 0, nested },
		{ "HEADER", 0, "Subject: top\r\n" MULTI("a") },
		{ "1", 0, "ONE" },
		{ "1.MIME", 0, "Content-Type: text/plain\r\n\r\n" },
		{ "1.HEADER", PB_ENOTFOUND, NULL },
		{ "1.TEXT", PB_ENOTFOUND, NULL },
		{ "1.1", PB_ENOTFOUND, NULL },
		{ "2.1", 0, "TWO.1" },
		{ "2.2", 0, "TWO.2" },
		{ "2.2.MIME", 0, "X: y\r\n\r\n" },
		{ "2.3", PB_ENOTFOUND, NULL },
		{ "2.HEADER", PB_ENOTFOUND, NULL },
		{ "3", 0, "Subject: single\r\n\r\nTHREE" },
		{ "3.header", 0, "Subject: single\r\n\r\n" },
		{ "3.TEXT", 0, "THREE" },
		{ "3.1", 0, "THREE" },
		{ "3.1.MIME", 0, "Subject: single\r\n\r\n" },
		{ "3.1.1", PB_ENOTFOUND, NULL },
		{ "3.2", PB_ENOTFOUND, NULL },
		{ "3.MIME", 0, "Content-Type: message/rfc822\r\n\r\n" },
		{ "4.HEADER", 0, "Subject: multi\r\n" MULTI("c") },
		{ "4.1", 0, "FOUR.1" },
		{ "4.2.HEADER", 0, "Subject: deep\r\n\r\n" },
		{ "4.2.1", 0, "DEEP" },
		{ "5", PB_ENOTFOUND, NULL },
		{ "0", PB_EINVALID, NULL },
		{ "01", PB_EINVALID, NULL },
		{ "1.", PB_EINVALID, NULL },
		{ ".1", PB_EINVALID, NULL },
		{ "1..1", PB_EINVALID, NULL },
		{ "MIME", PB_EINVALID, NULL },
		{ "1HEADER", PB_EINVALID, NULL },
		{ "1.FOO", PB_EINVALID, NULL },
		{ "99999999999999999999", PB_EINVALID, NULL },
	};
	PB_AUTOBUF(facts);
	uint64_t off, len;
	struct pb_part p;

	(void)state;
	pb_facts_make(pb_strz(nested), &facts);
	for (size_t i = 0; i < COUNT(table); i++) {
		expect_int(table[i].section, pb_facts_section(pb_buf_str(&facts), pb_strz(table[i].section), &off, &len), table[i].rc);
		if (!table[i].rc)
			expect_str(table[i].section, slice(nested, off, len), pb_strz(table[i].want));
	}
	assert_int_equal(pb_facts_part(pb_buf_str(&facts), PB_STR("4"), &p), 0);
	assert_int_equal(p.kind, PB_PART_MESSAGE);
	assert_int_equal(pb_facts_part(pb_buf_str(&facts), PB_STR("4.HEADER"), &p), PB_EINVALID);
	assert_int_equal(pb_facts_part(pb_buf_str(&facts), PB_STR(""), &p), 0);
	assert_true(p.top && p.parts == 4);
	assert_int_equal(pb_facts_count(pb_buf_str(&facts)), 12);
}

static void sections_of_a_message_that_is_no_multipart(void **state)
{
	static const char plain[] = "Subject: a\r\n\r\nbody", wrapped[] = "Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nbody";
	static const struct { const char *message, *section; int rc; const char *want; } table[] = {
		{ plain, "1", 0, "body" }, { plain, "TEXT", 0, "body" }, { plain, "1.MIME", 0, "Subject: a\r\n\r\n" }, { plain, "1.1", PB_ENOTFOUND, NULL },
		{ plain, "2", PB_ENOTFOUND, NULL }, { plain, "1.TEXT", PB_ENOTFOUND, NULL },
		{ wrapped, "1", 0, "Subject: in\r\n\r\nbody" }, { wrapped, "1.HEADER", 0, "Subject: in\r\n\r\n" }, { wrapped, "1.TEXT", 0, "body" },
		{ wrapped, "1.1", 0, "body" }, { wrapped, "1.1.1", PB_ENOTFOUND, NULL }, { wrapped, "1.2", PB_ENOTFOUND, NULL },
		{ wrapped, "TEXT", 0, "Subject: in\r\n\r\nbody" }, { wrapped, "2", PB_ENOTFOUND, NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		PB_AUTOBUF(facts);
		uint64_t off, len;

		pb_facts_make(pb_strz(table[i].message), &facts);
		expect_int(table[i].section, pb_facts_section(pb_buf_str(&facts), pb_strz(table[i].section), &off, &len), table[i].rc);
		if (!table[i].rc)
			expect_str(table[i].section, slice(table[i].message, off, len), pb_strz(table[i].want));
	}
}

static void parts_and_flags(void **state)
{
	PB_AUTOBUF(facts);
	struct pb_part p;
	struct pb_str f;
	int64_t moment;
	int zone;

	(void)state;
	pb_facts_make(PB_STR("Date: Mon, 23 Nov 2026 21:00:00 +0100\r\n" MULTI("b")
			     "--b\r\nContent-Type: Text/Plain; charset=\"KOI8-R\"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na\r\nb\r\n"
			     "--b\r\nContent-Type: application/pdf; name=x.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\n"), &facts);
	f = pb_buf_str(&facts);
	assert_int_equal(pb_facts_flags(f), PB_FACTS_ATTACHED);
	assert_true(pb_facts_sent(f, &moment, &zone) && moment == INT64_C(1795464000000000) && zone == 60);
	assert_int_equal(pb_facts_part(f, PB_STR("1"), &p), 0);
	expect_str("type", p.type, PB_STR("Text"));
	expect_str("subtype", p.subtype, PB_STR("Plain"));
	expect_str("charset", p.charset, PB_STR("KOI8-R"));
	assert_true(p.encoding == PB_QUOTED_PRINTABLE && p.lines == 1 && p.depth == 1 && !p.top && !p.attached);
	assert_int_equal(pb_facts_part(f, PB_STR("2"), &p), 0);
	assert_true(p.encoding == PB_BASE64 && p.attached && p.body_len == 4);
	assert_int_equal(pb_facts_lines(f), 15);
	assert_int_equal(pb_facts_header_size(f), 39 + 45);
	pb_buf_reset(&facts);
	pb_facts_make(PB_STR("Subject: \xFF\r\n\r\na\nb\xFE\r\n"), &facts);
	assert_int_equal(pb_facts_flags(pb_buf_str(&facts)), PB_FACTS_8BIT | PB_FACTS_BARE | PB_FACTS_HEADER_8BIT);
	assert_false(pb_facts_sent(pb_buf_str(&facts), &moment, &zone));
	pb_buf_reset(&facts);
	pb_facts_make(PB_STR("Subject: x\r\n\r\na\rb\r\n"), &facts);
	assert_int_equal(pb_facts_flags(pb_buf_str(&facts)), PB_FACTS_BARE);
}

static void kept_fields(void **state)
{
	static const char message[] = "Received: x\r\nSubject: a\r\n b\r\nX-Other: y\r\nTO: c@x\r\nList-Id: <l>\r\nsubject: z\r\n\r\n";
	PB_AUTOBUF(facts);
	PB_AUTOBUF(big);
	struct pb_str f, value;

	(void)state;
	pb_facts_make(pb_strz(message), &facts);
	f = pb_buf_str(&facts);
	expect_str("fields", pb_facts_fields(f), PB_STR("Subject: a\r\n b\r\nTO: c@x\r\nList-Id: <l>\r\nsubject: z\r\n"));
	assert_true(pb_facts_covers(f, PB_STR("SUBJECT")) && pb_facts_covers(f, PB_STR("bcc")) && pb_facts_covers(f, PB_STR("References")));
	assert_false(pb_facts_covers(f, PB_STR("Received")) || pb_facts_covers(f, PB_STR("")) || pb_facts_covers(f, PB_STR("Return-Path")));
	assert_true(pb_facts_field(f, PB_STR("subject"), &value));
	expect_str("value", value, PB_STR(" a\r\n b"));
	assert_false(pb_facts_field(f, PB_STR("cc"), &value));

	/* what does not fit is not kept, and said so */
	pb_buf_addz(&big, "From: a@x\r\nReferences: ");
	while (big.len < 70000)
		pb_buf_addz(&big, "<0123456789@example.org>\r\n ");
	pb_buf_addz(&big, "\r\nTo: b@x\r\n\r\n");
	pb_buf_reset(&facts);
	pb_facts_make(pb_buf_str(&big), &facts);
	f = pb_buf_str(&facts);
	assert_false(pb_facts_covers(f, PB_STR("References")));
	assert_true(pb_facts_covers(f, PB_STR("To")) && pb_facts_field(f, PB_STR("To"), &value));
	assert_true(pb_facts_flags(f) & PB_FACTS_CAPPED);
}

static void caps_hold(void **state)
{
	PB_AUTOBUF(message);
	PB_AUTOBUF(facts);
	struct pb_part p;

	(void)state;
	for (int i = 0; i < 1000; i++)
		pb_buf_addf(&message, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i);
	pb_facts_make(pb_buf_str(&message), &facts);
	assert_true(pb_facts_valid(pb_buf_str(&facts)));
	assert_true(pb_facts_count(pb_buf_str(&facts)) <= PB_DEPTH_MAX);
	assert_true(pb_facts_flags(pb_buf_str(&facts)) & PB_FACTS_CAPPED);

	pb_buf_reset(&message);
	pb_buf_reset(&facts);
	for (int i = 0; i < 1000; i++)
		pb_buf_addz(&message, "Content-Type: message/rfc822\r\n\r\n");
	pb_facts_make(pb_buf_str(&message), &facts);
	assert_true(pb_facts_count(pb_buf_str(&facts)) <= PB_DEPTH_MAX);

	pb_buf_reset(&message);
	pb_buf_reset(&facts);
	pb_buf_addz(&message, MULTI("b"));
	for (int i = 0; i < 3 * PB_PARTS_MAX; i++)
		pb_buf_addz(&message, "--b\r\n\r\nx\r\n");
	pb_facts_make(pb_buf_str(&message), &facts);
	assert_int_equal(pb_facts_count(pb_buf_str(&facts)), PB_PARTS_MAX);
	assert_true(pb_facts_flags(pb_buf_str(&facts)) & PB_FACTS_CAPPED);
	assert_true(pb_facts_at(pb_buf_str(&facts), 0, &p) && p.parts == PB_PARTS_MAX - 1);

	pb_buf_reset(&message);
	pb_buf_reset(&facts);
	pb_buf_addz(&message, "To: ");
	while (message.len < 3000000)
		pb_buf_addz(&message, "a,");
	pb_facts_make(pb_buf_str(&message), &facts);
	assert_true(facts.len < 2000000);
	assert_true(pb_facts_flags(pb_buf_str(&facts)) & PB_FACTS_CAPPED);
}

/* Whatever happened to a blob, reading it stays inside it and inside the message. */
static void damaged_facts_give_nothing(void **state)
{
	PB_AUTOBUF(facts);
	unsigned seed = 1;

	(void)state;
	pb_facts_make(pb_strz(nested), &facts);
	for (int round = 0; round < 20000; round++) {
		PB_AUTOBUF(body);
		size_t len = round % 3 ? facts.len : (size_t)rand_r(&seed) % (facts.len + 1);
		char *copy = pb_alloc(len + 1);
		struct pb_str f = pb_str(copy, len);
		uint64_t off, n;
		struct pb_part p;

		memcpy(copy, facts.ptr, len);
		for (int k = 0; len && k < 1 + round % 4; k++)
			copy[(size_t)rand_r(&seed) % len] = (char)rand_r(&seed);
		pb_facts_body(f, &body);
		pb_facts_envelope(f);
		for (uint32_t i = 0; i < pb_facts_count(f) && i < 100; i++)
			if (pb_facts_at(f, i, &p))
				assert_true(p.body_off + p.body_len <= pb_facts_size(f) && p.header_off + p.header_len <= pb_facts_size(f));
		if (!pb_facts_section(f, PB_STR("4.2.1"), &off, &n))
			assert_true(off + n <= pb_facts_size(f));
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(envelopes),
		cmocka_unit_test(a_nul_is_never_sent),
		cmocka_unit_test(structures),
		cmocka_unit_test(sections),
		cmocka_unit_test(sections_of_a_message_that_is_no_multipart),
		cmocka_unit_test(parts_and_flags),
		cmocka_unit_test(kept_fields),
		cmocka_unit_test(caps_hold),
		cmocka_unit_test(damaged_facts_give_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
