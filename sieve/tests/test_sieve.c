/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Scripts and what comes of them, problems and where they are, and what bounds a run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "sieve/sieve.h"

#define MESSAGE \
	"From: Ann <ann@x.example>\r\nTo: bob+lists@y.example, \"C, D\" <cd@z.example>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from home\r\n" \
	"Message-ID: <1@x>\r\nX-Score: 12\r\nX-Score: 7\r\nDate: Wed, 4 Mar 2026 05:06:07 +0100\r\nReceived: by y; Wed, 4 Mar 2026 04:06:09 +0000\r\n" \
	"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n" \
	"Content-Transfer-Encoding: quoted-printable\r\n\r\nna=EFve text\r\n--b\r\nContent-Type: application/pdf; name=\"a.pdf\"\r\nContent-Disposition: attachment\r\n\r\nPDF\r\n--b--\r\n"

static struct pb_str scripts_included(const char *name)
{
	if (!strcmp(name, "set"))
		return PB_STR("require [\"include\", \"variables\"]; global \"g\"; set \"g\" \"from inside\"; set \"l\" \"mine\"; return; set \"g\" \"no\";");
	if (!strcmp(name, "self"))
		return PB_STR("require \"include\"; include \"self\";");
	if (!strcmp(name, "stop"))
		return PB_STR("stop;");
	return PB_NOSTR;
}

/* Programs included during one run; freed behind it. */
static struct sieve_program *included[64];
static size_t nincluded;

static const struct sieve_program *include(void *arg, struct pb_str name, bool global)
{
	char z[40];

	(void)arg;
	(void)global;
	snprintf(z, sizeof z, "%.*s", PB_FMT(name));
	if (!scripts_included(z).len || nincluded == 64 || sieve_compile(scripts_included(z), NULL, &included[nincluded], NULL))
		return NULL;
	return included[nincluded++];
}

static int64_t now(void *arg)
{
	(void)arg;
	return INT64_C(1772596800) * 1000000;	/* 2026-03-04 04:00:00 UTC */
}

static bool mailbox_exists(void *arg, struct pb_str folder)
{
	(void)arg;
	return pb_str_eq(folder, PB_STR("There"));
}

static bool item(void *arg, struct pb_str name, struct pb_buf *out)
{
	(void)arg;
	if (!pb_str_eq(name, PB_STR("spf")))
		return false;
	pb_buf_addz(out, "pass");
	return true;
}

static int spam(void *arg, bool percent)
{
	(void)arg;
	return percent ? 55 : 6;
}

static bool seen(void *arg, struct pb_str key, int64_t seconds, bool last)
{
	(void)arg;
	(void)seconds;
	(void)last;
	return pb_str_eq(key, PB_STR("h/<1@x>"));
}

static const struct sieve_world world = { .now = now, .mailbox_exists = mailbox_exists, .item = item, .spam = spam, .seen = seen, .include = include };

static void describe(const struct sieve_result *r, struct pb_buf *out)
{
	static const char *const kinds[] = { "keep", "fileinto", "redirect", "discard", "reject", "ereject", "vacation", "notify", "do" };

	for (size_t i = 0; i < r->nactions; i++) {
		const struct sieve_action *a = &r->actions[i];

		pb_buf_addf(out, "%s%s", out->len ? "; " : "", a->name.len ? "do " : kinds[a->kind]);
		pb_buf_addstr(out, a->name);
		if (a->target.len)
			pb_buf_addf(out, " %.*s", PB_FMT(a->target));
		if (a->text.len)
			pb_buf_addf(out, " '%.*s'", PB_FMT(a->text));
		for (size_t k = 0; k < a->nflags; k++)
			pb_buf_addf(out, "%c%.*s", k ? ',' : ' ', PB_FMT(a->flags[k]));
	}
	if (r->implicit_keep)
		pb_buf_addf(out, "%simplicit", out->len ? "; " : "");
	if (r->code)
		pb_buf_addf(out, " error %u: %s", r->problem.line, r->problem.text);
}

static void run(const char *script, const struct sieve_limits *limits, struct sieve_result *r)
{
	const struct sieve_message m = { .bytes = PB_STR(MESSAGE), .from = PB_STR("ann@x.example"), .to = PB_STR("bob+lists@y.example") };
	struct sieve_problems problems;
	struct sieve_program *p;

	if (sieve_compile(pb_strz(script), &(struct sieve_options){ .system = true }, &p, &problems))
		fail_msg("%s: %u:%u: %s", script, problems.list[0].line, problems.list[0].column, problems.list[0].text);
	sieve_run(p, &m, &world, limits, r);
	sieve_program_free(p);
	while (nincluded)
		sieve_program_free(included[--nincluded]);
}

static void expect(const char *name, const char *script, const struct sieve_limits *limits, const char *want)
{
	struct sieve_result r;
	PB_AUTOBUF(got);

	run(script, limits, &r);
	describe(&r, &got);
	if (strcmp(pb_buf_z(&got), want))
		fail_msg("%s: got \"%s\", wanted \"%s\"", name, pb_buf_z(&got), want);
	sieve_result_free(&r);
}

static void scripts_do_what_they_say(void **state)
{
	static const struct { const char *name, *script, *want; } table[] = {
		{ "an empty script keeps", "", "implicit" },
		{ "discard", "discard;", "" },
		{ "keep once", "keep; keep;", "keep" },
		{ "a copy leaves the implicit keep", "require [\"fileinto\", \"copy\"]; fileinto :copy \"A\";", "fileinto A; implicit" },
		{ "the same folder once", "require \"fileinto\"; fileinto \"A\"; fileinto \"A\";", "fileinto A" },
		{ "stop ends it", "stop; discard;", "implicit" },
		{ "elsif", "if false { discard; } elsif true { keep; } else { discard; }", "keep" },
		{ "else", "if false { keep; } elsif false { keep; } else { discard; }", "" },
		{ "allof stops early", "require \"variables\"; if allof(false, string :matches \"a\" \"*\") { keep; } discard;", "" },
		{ "encoded words are seen as text", "if header :contains \"subject\" \"Gr\xC3\xBC\xC3\x9F" "e\" { discard; }", "" },
		{ "case beyond ASCII", "if header :comparator \"i;unicode-casemap\" :contains \"subject\" \"GR\xC3\x9C\xC3\x9F" "E\" { discard; }", "" },
		{ "a detail", "require \"subaddress\"; if address :detail \"to\" \"lists\" { discard; }", "" },
		{ "a comma in a name", "if address :localpart \"to\" \"cd\" { discard; }", "" },
		{ "envelope", "require \"envelope\"; if envelope :domain \"from\" \"x.example\" { discard; }", "" },
		{ "counting fields", "require [\"relational\", \"comparator-i;ascii-numeric\"]; if header :count \"eq\" :comparator \"i;ascii-numeric\" \"x-score\" \"2\" { discard; }", "" },
		{ "numbers", "require [\"relational\", \"comparator-i;ascii-numeric\"]; if header :value \"lt\" :comparator \"i;ascii-numeric\" \"x-score\" \"8\" { discard; }", "" },
		{ "the last field", "require \"index\"; if header :index 1 :last \"x-score\" \"7\" { discard; }", "" },
		{ "not the first", "require \"index\"; if header :index 1 \"x-score\" \"7\" { discard; }", "implicit" },
		{ "body text is decoded", "require \"body\"; if body :text :contains \"na\xC3\xAFve\" { discard; }", "" },
		{ "raw is not", "require \"body\"; if body :raw :contains \"na=EFve\" { discard; }", "" },
		{ "attachments have types", "require \"body\"; if body :content \"application\" :contains \"PDF\" { discard; }", "" },
		{ "a parameter of a part", "require \"mime\"; if header :mime :anychild :param \"name\" \"content-type\" \"a.pdf\" { discard; }", "" },
		{ "parts", "require [\"foreverypart\", \"mime\", \"variables\", \"fileinto\"]; foreverypart { if header :mime :type \"content-type\" \"application\" { set \"x\" \"found\"; break; } } fileinto \"${x}\";", "fileinto found" },
		{ "the date's own zone", "require \"date\"; if date :originalzone \"date\" \"time\" \"05:06:07\" { discard; }", "" },
		{ "behind a semicolon", "require \"date\"; if date :zone \"+0000\" \"received\" \"iso8601\" \"2026-03-04T04:06:09+00:00\" { discard; }", "" },
		{ "weekday", "require \"date\"; if date :zone \"+0100\" \"date\" \"weekday\" \"3\" { discard; }", "" },
		{ "now", "require \"date\"; if currentdate :zone \"+0000\" \"date\" \"2026-03-04\" { discard; }", "" },
		{ "wildcards give values", "require [\"variables\", \"fileinto\"]; if header :matches \"message-id\" \"<*@?>\" { fileinto \"${1}.${2}\"; }", "fileinto 1.x" },
		{ "regular expressions too", "require [\"variables\", \"fileinto\", \"regex\"]; if header :regex \"message-id\" \"<([0-9]+)@(.)>\" { fileinto \"${2}${1}\"; }", "fileinto x1" },
		{ "modifiers", "require [\"variables\", \"fileinto\"]; set :upper :lowerfirst :quotewildcard \"a\" \"ab*\"; fileinto \"${a}\";", "fileinto aB\\*" },
		{ "length in characters", "require [\"variables\", \"fileinto\"]; set :length \"a\" \"\xC3\xA4" "b\"; fileinto \"${a}\";", "fileinto 2" },
		{ "what is no variable stays", "require [\"variables\", \"fileinto\"]; fileinto \"${} ${a-b} ${nosuch}.\";", "fileinto ${} ${a-b} ." },
		{ "encoded characters", "require [\"encoded-character\", \"fileinto\"]; fileinto \"${hex: 41 42}${unicode:20AC}\";", "fileinto AB\xE2\x82\xAC" },
		{ "flags", "require \"imap4flags\"; addflag [\"\\\\Seen\", \"a b\"]; removeflag \"A\"; keep;", "keep \\Seen,b" },
		{ "flags by tag", "require [\"imap4flags\", \"fileinto\"]; fileinto :flags \"\\\\Flagged\" \"F\";", "fileinto F \\Flagged" },
		{ "hasflag", "require \"imap4flags\"; addflag \"x\"; if hasflag \"X\" { discard; }", "" },
		{ "redirect", "redirect \"me@z.example\";", "redirect me@z.example" },
		{ "refusing", "require \"reject\"; reject \"no thanks\";", "reject 'no thanks'" },
		{ "an answer", "require \"vacation\"; vacation :days 3 \"away\";", "vacation 'away'; implicit" },
		{ "a notice", "require \"enotify\"; notify :message \"hi\" \"mailto:a@b.example\";", "notify mailto:a@b.example 'hi'; implicit" },
		{ "mailboxexists", "require \"mailbox\"; if mailboxexists \"There\" { discard; }", "" },
		{ "spam as a number", "require [\"spamtest\", \"relational\", \"comparator-i;ascii-numeric\"]; if spamtest :value \"ge\" :comparator \"i;ascii-numeric\" \"6\" { discard; }", "" },
		{ "spam in percent", "require [\"spamtestplus\", \"relational\", \"comparator-i;ascii-numeric\"]; if spamtest :percent :value \"eq\" :comparator \"i;ascii-numeric\" \"55\" { discard; }", "" },
		{ "our own items", "require \"vnd.postbus.item\"; if vnd_postbus_item \"spf\" \"pass\" { discard; }", "" },
		{ "our own actions", "require \"vnd.postbus.do\"; vnd_postbus_do \"quarantine\" \"why\";", "do quarantine why; implicit" },
		{ "duplicates", "require \"duplicate\"; if duplicate :handle \"h\" { discard; }", "" },
		{ "not of another handle", "require \"duplicate\"; if duplicate { discard; }", "implicit" },
		{ "ihave what there is", "require [\"ihave\"]; if ihave \"fileinto\" { fileinto \"A\"; }", "fileinto A" },
		{ "ihave not looks at nothing", "require \"ihave\"; if ihave \"nosuch\" { nosuch :tag [\"x\"]; } else { discard; }", "" },
		{ "include sets globals", "require [\"include\", \"variables\", \"fileinto\"]; global \"g\"; include \"set\"; fileinto \"${g}${l}\";", "fileinto from inside" },
		{ "stop in an included script ends all", "require \"include\"; include \"stop\"; discard;", "implicit" },
		{ "an optional script", "require \"include\"; include :optional \"nosuch\"; discard;", "" },
		{ "text over lines", "require \"reject\"; reject text: # why\r\n..dot\r\nsecond\r\n.\r\n;", "reject '.dot\r\nsecond\r\n'" },
		{ "comments", "# one\n/* two\n */ discard; # three", "" },
		{ "sizes", "if size :over 1G { keep; } elsif size :under 1M { discard; }", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		expect(table[i].name, table[i].script, NULL, table[i].want);
}

static void runs_that_go_wrong_keep_the_message(void **state)
{
	static const struct { const char *name, *script; struct sieve_limits limits; const char *want; } table[] = {
		{ "steps", "if true {} if true {} if true {} discard;", { .steps = 5 }, "implicit error 0: the script takes more steps than it may" },
		{ "redirections", "redirect \"a@x.example\"; redirect \"b@x.example\";", { .redirects = 1 }, "implicit error 1: more than 1 redirections" },
		{ "no address", "\nredirect \"nobody\";", { 0 }, "implicit error 2: 'redirect' to \"nobody\": the address has no domain" },
		{ "kept and refused", "require \"reject\"; keep; reject \"x\";", { 0 }, "implicit error 1: a message that is refused cannot be kept, sent on or answered" },
		{ "answered twice", "require \"vacation\"; vacation \"a\"; vacation \"b\";", { 0 }, "implicit error 1: 'vacation' answers once only" },
		{ "the script says so", "require \"ihave\"; error \"because\";", { 0 }, "implicit error 1: because" },
		{ "nothing to include", "require \"include\"; include \"nosuch\";", { 0 }, "implicit error 1: there is no script \"nosuch\" to include" },
		{ "includes itself", "require \"include\"; include \"self\";", { 0 }, "implicit error 1: too many scripts include each other" },
		{ "a zone that is none", "require \"date\"; if currentdate :zone \"CET\" \"hour\" \"1\" {}", { 0 }, "implicit error 1: \"CET\" is no zone: \"+0200\" is one" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		expect(table[i].name, table[i].script, &table[i].limits, table[i].want);
}

static void problems_say_what_and_where(void **state)
{
	static const struct { const char *script; unsigned line, column; const char *text; } table[] = {
		{ "keep", 1, 5, "expected ';', found the end of the script" },
		{ "\n  frob;", 2, 3, "unknown command 'frob'" },
		{ "if frob { }", 1, 4, "unknown test 'frob'" },
		{ "fileinto \"A\";", 1, 1, "'fileinto' needs the extension \"fileinto\", which is not required" },
		{ "require \"nosuch\";", 1, 9, "the extension \"nosuch\" is not known here" },
		{ "keep; require \"fileinto\";", 1, 7, "'require' stands before all other commands" },
		{ "keep \"x\";", 1, 6, "'keep' takes no more arguments" },
		{ "redirect;", 1, 1, "'redirect' lacks a string" },
		{ "if header :is :contains \"a\" \"b\" {}", 1, 15, ":contains and :is cannot both be there" },
		{ "if header :frob \"a\" \"b\" {}", 1, 11, "'header' takes no tag ':frob'" },
		{ "if header :comparator \"i;none\" \"a\" \"b\" {}", 1, 23, "unknown comparator \"i;none\"" },
		{ "if size 100 {}", 1, 4, "'size' wants :over or :under" },
		{ "if not (true) {}", 1, 4, "'not' wants one test" },
		{ "elsif true {}", 1, 1, "'elsif' without an 'if' before it" },
		{ "if true keep;", 1, 1, "'if' wants a block" },
		{ "redirect \"abc", 1, 10, "a string without an end" },
		{ "/* ", 1, 1, "a comment without an end" },
		{ "if size :over 9999999999G {}", 1, 15, "a number that is too large" },
		{ "require \"variables\"; set \"a b\" \"c\";", 1, 26, "\"a b\" is no variable's name" },
		{ "require \"foreverypart\"; break;", 1, 25, "'break' outside of a loop" },
		{ "}", 1, 1, "expected a command or a test, found '}'" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct sieve_problems problems;
		struct sieve_program *p;

		if (!sieve_compile(pb_strz(table[i].script), NULL, &p, &problems))
			fail_msg("%s: compiled", table[i].script);
		if (strcmp(problems.list[0].text, table[i].text) || problems.list[0].line != table[i].line || problems.list[0].column != table[i].column)
			fail_msg("%s: %u:%u: %s", table[i].script, problems.list[0].line, problems.list[0].column, problems.list[0].text);
	}
}

static void several_problems_are_told_at_once(void **state)
{
	struct sieve_problems problems;
	struct sieve_program *p;

	(void)state;
	assert_int_equal(sieve_compile(PB_STR("frob;\nkeep \"x\";\nif true { grob; }"), NULL, &p, &problems), PB_EINVALID);
	assert_int_equal(problems.n, 3);
	assert_int_equal(problems.list[2].line, 3);
}

static void the_message_can_be_changed(void **state)
{
	struct sieve_result r;

	(void)state;
	run("require [\"editheader\", \"variables\"]; deleteheader \"x-score\"; deleteheader \"received\"; addheader \"X-New\" \"v\"; addheader :last \"X-Last\" \"w\";"
	    "if not exists \"x-new\" { discard; }", NULL, &r);
	assert_true(r.edited && r.implicit_keep);
	assert_int_equal(strncmp(pb_buf_z(&r.message), "X-New: v\r\nFrom: Ann", 19), 0);
	assert_null(strstr(r.message.ptr, "X-Score"));
	assert_non_null(strstr(r.message.ptr, "Received: by y"));
	assert_non_null(strstr(r.message.ptr, "boundary=b\r\nX-Last: w\r\n\r\npreamble"));
	sieve_result_free(&r);
	run("require [\"replace\", \"foreverypart\", \"mime\"]; foreverypart { if header :mime :type \"content-type\" \"application\" { replace \"removed\"; } }", NULL, &r);
	assert_true(r.edited);
	assert_null(strstr(r.message.ptr, "PDF"));
	assert_non_null(strstr(r.message.ptr, "removed"));
	assert_non_null(strstr(r.message.ptr, "na=EFve"));
	assert_non_null(strstr(r.message.ptr, "\r\n--b--\r\n"));
	sieve_result_free(&r);
	run("require \"enclose\"; enclose :subject \"wrapped\" \"look\";", NULL, &r);
	assert_non_null(strstr(r.message.ptr, "Subject: wrapped\r\n"));
	assert_non_null(strstr(r.message.ptr, "Content-Type: message/rfc822\r\n\r\nFrom: Ann"));
	sieve_result_free(&r);
}

static void a_program_is_its_bytes(void **state)
{
	struct sieve_program *p, *again;
	struct pb_error err = { 0 };
	char bytes[4096];
	struct pb_str all;

	(void)state;
	assert_int_equal(sieve_compile(PB_STR("require [\"fileinto\", \"variables\"]; set \"a\" \"b\"; fileinto \"${a}\";"), NULL, &p, NULL), 0);
	all = sieve_program_bytes(p);
	assert_int_equal(sieve_program_load(all, &again, &err), 0);
	assert_true(pb_str_eq(all, sieve_program_bytes(again)));
	sieve_program_free(again);
	assert_true(all.len < sizeof bytes);
	for (size_t i = 0; i < all.len; i++) {
		memcpy(bytes, all.ptr, all.len);
		bytes[i] ^= 1;
		if (i >= 5 && i < 8)
			continue;	/* not used yet */
		assert_int_equal(sieve_program_load(pb_str(bytes, all.len), &again, &err), PB_ECORRUPT);
		assert_int_equal(sieve_program_load(pb_str(all.ptr, i), &again, &err), PB_ECORRUPT);
	}
	sieve_program_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scripts_do_what_they_say),
		cmocka_unit_test(runs_that_go_wrong_keep_the_message),
		cmocka_unit_test(problems_say_what_and_where),
		cmocka_unit_test(several_problems_are_told_at_once),
		cmocka_unit_test(the_message_can_be_changed),
		cmocka_unit_test(a_program_is_its_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
