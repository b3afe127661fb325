/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Scripts and what comes of them, problems and where they are, and what bounds a run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <postbus/message.h>
#include "sieve/match.h"
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
	if (!strcmp(name, "regex"))
		return PB_STR("require [\"regex\", \"fileinto\", \"copy\"]; if header :regex \"from\" \"ANN\" { fileinto :copy \"in\"; }");
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
		{ "fields of several names are counted together", "require \"index\"; if header :index 3 [\"subject\", \"x-score\"] \"7\" { discard; }", "" },
		{ "name by name", "require \"index\"; if header :index 1 :contains [\"subject\", \"x-score\"] \"Gr\" { discard; }", "" },
		{ "not one of each name", "require \"index\"; if header :index 1 :contains [\"x-score\", \"subject\"] \"Gr\" { discard; }", "implicit" },
		{ "from the last name backwards", "require \"index\"; if header :index 2 :last [\"subject\", \"x-none\", \"x-score\"] \"7\" { discard; }", "implicit" },
		{ "addresses too", "require \"index\"; if address :index 1 [\"to\", \"from\"] \"none@x.example\" { discard; }", "implicit" },
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
		{ "those of an included script are not those around it",
		  "require [\"include\", \"fileinto\", \"regex\", \"copy\"]; if header :regex \"from\" \"bob\" { stop; } include \"regex\"; if header :regex \"from\" [\"b.b\", \"a.n\"] "
		  "{ fileinto \"out\"; }",
		  "fileinto in; fileinto out" },
		{ "addresses and values are found anew when the header has changed",
		  "require [\"editheader\", \"fileinto\", \"copy\"]; if address \"from\" \"ann@x.example\" { deleteheader \"from\"; addheader \"From\" \"eve@w.example\"; } "
		  "if address \"from\" \"eve@w.example\" { fileinto :copy \"eve\"; } if header :contains \"from\" \"ann\" { fileinto :copy \"ann\"; } if exists \"from\" { fileinto \"there\"; }",
		  "fileinto eve; fileinto there" },
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
		{ "a global variable by its full name", "require [\"include\", \"variables\", \"fileinto\"]; set \"g\" \"own\"; set \"global.G\" \"x\"; set \"global.g\" \"${global.g}y\"; fileinto \"${g}${global.g}\";", "fileinto ownxy" },
		{ "is what an included script calls by its short one", "require [\"include\", \"variables\", \"fileinto\"]; set \"global.g\" \"x\"; include \"set\"; fileinto \"${global.g}\";", "fileinto from inside" },
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

/* RFC 6785: a message that has been in a mailbox has flags already, and what the script makes of them is what it keeps. */
static void flags_that_are_there_are_where_the_script_begins(void **state)
{
	static const struct { const char *script, *want; } table[] = {
		{ "", "\\Seen,old" },
		{ "require \"imap4flags\"; addflag \"new\"; removeflag \"\\\\Seen\";", "old,new" },
		{ "require \"imap4flags\"; setflag \"\";", "" },
		{ "require \"imap4flags\"; if hasflag \"OLD\" { setflag \"had\"; }", "had" },
	};
	const struct pb_str flags[] = { PB_STR("\\Seen"), PB_STR("old") };
	const struct sieve_message m = { .bytes = PB_STR(MESSAGE), .flags = flags, .nflags = 2 };

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct sieve_result r;
		struct sieve_program *p;
		PB_AUTOBUF(got);

		assert_int_equal(sieve_compile(pb_strz(table[i].script), NULL, &p, NULL), 0);
		assert_int_equal(sieve_run(p, &m, &world, NULL, &r), 0);
		assert_true(r.implicit_keep && r.keep.has_flags);
		for (size_t k = 0; k < r.keep.nflags; k++)
			pb_buf_addf(&got, "%s%.*s", k ? "," : "", PB_FMT(r.keep.flags[k]));
		assert_string_equal(pb_buf_z(&got), table[i].want);
		sieve_result_free(&r);
		sieve_program_free(p);
	}
}

static void runs_that_go_wrong_keep_the_message(void **state)
{
	static const struct { const char *name, *script; struct sieve_limits limits; const char *want; } table[] = {
		{ "steps", "if true {} if true {} if true {} discard;", { .steps = 5 }, "implicit error 0: the script takes more steps than it may" },
		{ "redirections", "redirect \"a@x.example\"; redirect \"b@x.example\";", { .redirects = 1 }, "implicit error 1: more than 1 redirections" },
		{ "no address", "require \"variables\"; set \"a\" \"nobody\";\nredirect \"${a}\";", { 0 }, "implicit error 2: 'redirect' to \"nobody\": the address has no domain" },
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

/* Expressions that go on for ever, many of them on a long text: each has its limit, and together they have the run's. */
static void expressions_end_with_the_steps_of_the_run(void **state)
{
	struct sieve_message m = { .from = PB_STR("a@x"), .to = PB_STR("b@y") };
	const struct sieve_world alone = { .now = now };
	struct sieve_program *p;
	struct sieve_result r;
	PB_AUTOBUF(script);
	PB_AUTOBUF(message);

	(void)state;
	pb_buf_addz(&script, "require [\"regex\", \"body\"];\n");
	for (int i = 0; i < 200; i++)
		pb_buf_addf(&script, "if body :text :regex \"^(a+)+b%d$\" { discard; }\n", i);
	pb_buf_addz(&message, "Subject: a\r\n\r\n");
	for (int i = 0; i < 300000; i++)
		pb_buf_addz(&message, i % 70 == 69 ? "\r\n" : "a");
	m.bytes = pb_buf_str(&message);
	assert_int_equal(sieve_compile(pb_buf_str(&script), NULL, &p, NULL), 0);
	assert_int_equal(sieve_run(p, &m, &alone, NULL, &r), PB_ETIMEOUT);
	assert_true(r.implicit_keep);
	sieve_result_free(&r);
	sieve_program_free(p);
}

static void what_is_hardly_meant_is_told(void **state)
{
	static const struct { const char *script, *want; } table[] = {
		{ "keep;\nstop;\ndiscard;", "3 what stands behind 'stop' is never done" },
		{ "require \"reject\";\nif size :over 1M { reject \"no\"; stop; }\nkeep;", "" },
		{ "require \"reject\";\nif size :over 1M {\nreject \"no\";\nkeep;\n}", "4 'keep' behind 'reject' of line 3" },
		{ "require [\"reject\", \"fileinto\"];\nfileinto \"A\";\nreject \"no\";", "3 'reject' behind 'fileinto' of line 2" },
		{ "require \"vacation\";\nvacation \"a\";\nvacation \"b\";", "3 a second 'vacation' behind that of line 2" },
		{ "require [\"foreverypart\"];\nforeverypart { break; }\nif true { stop; } else { keep; }", "" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct sieve_problems problems;
		struct sieve_program *p;
		char got[300] = "";

		assert_int_equal(sieve_compile(pb_strz(table[i].script), NULL, &p, &problems), 0);
		sieve_program_free(p);
		if (problems.nwarnings)
			snprintf(got, sizeof got, "%u %s", problems.warnings[0].line, problems.warnings[0].text);
		if (problems.nwarnings != (table[i].want[0] != 0) || strncmp(got, table[i].want, strlen(table[i].want)))
			fail_msg("%s: got %zu, \"%s\"", table[i].script, problems.nwarnings, got);
	}
}

static void what_every_match_has_is_known(void **state)
{
	static const struct { const char *regex, *with_case, *without; } table[] = {
		{ "from .*\\.invalid", ".invalid", ".invalid" }, { "abcdef", "abcdef", "abcdef" }, { "abc|abd", "", "" }, { "(abc|abd)efgh", "efgh", "efgh" },
		{ "abc(def", "", "" }, { "abcd*", "abc", "abc" }, { "abcd?e", "abc", "abc" }, { "abcd+efg", "abcd", "abcd" }, { "abcd{0,3}", "abc", "abc" }, { "abc{x", "", "" },
		{ "x[abcde]yz[]fgh]uvw", "uvw", "uvw" }, { "[[:alpha:]def]xyz", "xyz", "xyz" }, { "[^\\]abcd]xyz", "xyz", "xyz" }, { "(?i)abc", "", "" }, { "abc(?=d)", "", "" },
		{ "\\d+abc\\w", "abc", "abc" }, { "\\x41bcd", "", "" }, { "\\Qa|b\\E", "", "" }, { "(a)\\1bcd", "", "" }, { "invoke it", "invoke it", "invo" }, { "task", "task", "" },
		{ "a\\.b\\.c\\.def", ".def", ".def" }, { "caf\xc3\xa9 noir", " noir", " noir" }, { "(*UTF)abc", "", "" }, { "abc)", "", "" }, { "a.b.c", "", "" }, { "", "", "" },
		{ "(ab(cd)ef)*ghi", "ghi", "ghi" }, { "abc\\", "", "" }, { "[abc", "", "" }, { "^abc$", "abc", "abc" }, { "a|(bcd)", "", "" }, { "((abc))", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct pb_str with = regex_literal(pb_strz(table[i].regex), false), without = regex_literal(pb_strz(table[i].regex), true);

		if (!pb_str_eq(with, pb_strz(table[i].with_case)) || !pb_str_eq(without, pb_strz(table[i].without)))
			fail_msg("%s: got \"%.*s\" and \"%.*s\"", table[i].regex, PB_FMT(with), PB_FMT(without));
	}
}

/* What is left out may never change the outcome: expressions put together at random, asked with and without it. */
static void no_match_is_lost_by_it(void **state)
{
	static const char *const pieces[] = { "abc", "ab", "bca", "c", "[ab]", "[^c]", ".", ".*", "?", "*", "+", "{0}", "{1,2}", "(ab)", "(abc|b)", "|", "\\.", "\\b", "^", "$", "K", "s" };
	static const char *const values[] = { "abcabc", "ab.bca", "cab", "ABCBCA", "bcabcab.abc", "", "\xe2\x84\xaa abc", "\xc5\xbf abc", "aabbccab" };
	struct regexes *r = regexes_new();
	uint64_t seed = 7, tried = 0;

	(void)state;
	for (int n = 0; n < 4000; n++) {
		struct matcher m = { .comparator = n % 2 ? OCTET : ASCII_CASEMAP, .match = REGEX, .regexes = r };
		PB_AUTOBUF(text);
		PB_AUTOBUF(plain);

		for (int i = 0; i < 5; i++) {
			seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
			pb_buf_addz(&text, pieces[(seed >> 33) % (sizeof pieces / sizeof *pieces)]);
		}
		if (!sieve_regex_valid(pb_buf_str(&text)))
			continue;
		pb_buf_addf(&plain, "(?:%s)", pb_buf_z(&text));		/* nothing is known of this form */
		assert_int_equal(regex_literal(pb_buf_str(&plain), false).len, 0);
		for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
			bool bad = false, with = regex_match(&m, pb_strz(values[i]), pb_buf_str(&text), NULL, &bad);

			if (with != regex_match(&m, pb_strz(values[i]), pb_buf_str(&plain), NULL, &bad) || bad)
				fail_msg("%s on \"%s\"", pb_buf_z(&text), values[i]);
			tried++;
		}
	}
	assert_true(tried > 5000);
	regexes_free(r);
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
		{ "redirect \"a@b@c\";", 1, 10, "'redirect' to \"a@b@c\": the domain contains what no domain may contain" },
		{ "redirect \"abc", 1, 10, "a string without an end" },
		{ "/* ", 1, 1, "a comment without an end" },
		{ "if size :over 9999999999G {}", 1, 15, "a number that is too large" },
		{ "require \"variables\"; set \"a b\" \"c\";", 1, 26, "\"a b\" is no variable's name" },
		{ "require \"foreverypart\"; break;", 1, 25, "'break' outside of a loop" },
		{ "require [\"variables\", \"include\"]; set \"global.a.b\" \"c\";", 1, 39, "\"global.a.b\" is no variable's name" },
		{ "require [\"variables\", \"include\"]; set \"a\" \"b\"; global [\"b\", \"A\"];", 1, 55, "'global' \"A\" stands behind a 'set' of that variable" },
		{ "require \"index\"; if header :index 0 \"a\" \"b\" {}", 1, 35, ":index counts from 1" },
		{ "require \"regex\"; if header :regex \"a\" [\"b\", \"(c\"] {}", 1, 39, "\"(c\" is no regular expression" },
		{ "require \"duplicate\"; if duplicate :header \"a\" :uniqueid \"b\" {}", 1, 25, ":header and :uniqueid cannot both be there" },
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
	PB_AUTOBUF(made);

	(void)state;
	run("require [\"editheader\", \"variables\"]; deleteheader \"x-score\"; deleteheader \"received\"; addheader \"X-New\" \"v\"; addheader :last \"X-Last\" \"w\";"
	    "if not exists \"x-new\" { discard; }", NULL, &r);
	assert_true(r.keep.version && r.implicit_keep);
	sieve_result_message(&r, r.keep.version, &made);
	assert_int_equal(strncmp(pb_buf_z(&made), "X-New: v\r\nFrom: Ann", 19), 0);
	assert_null(strstr(pb_buf_z(&made), "X-Score"));
	assert_non_null(strstr(pb_buf_z(&made), "Received: by y"));
	assert_non_null(strstr(pb_buf_z(&made), "boundary=b\r\nX-Last: w\r\n\r\npreamble"));
	sieve_result_free(&r);
	run("require [\"replace\", \"foreverypart\", \"mime\"]; foreverypart { if header :mime :type \"content-type\" \"application\" { replace \"removed\"; } }", NULL, &r);
	pb_buf_reset(&made);
	sieve_result_message(&r, r.keep.version, &made);
	assert_null(strstr(pb_buf_z(&made), "PDF"));
	assert_non_null(strstr(pb_buf_z(&made), "removed"));
	assert_non_null(strstr(pb_buf_z(&made), "na=EFve"));
	assert_non_null(strstr(pb_buf_z(&made), "\r\n--b--\r\n"));
	sieve_result_free(&r);
	run("require \"enclose\"; enclose :subject \"wrapped\" \"look\";", NULL, &r);
	pb_buf_reset(&made);
	sieve_result_message(&r, r.keep.version, &made);
	assert_non_null(strstr(pb_buf_z(&made), "Subject: wrapped\r\n"));
	assert_non_null(strstr(pb_buf_z(&made), "Content-Type: message/rfc822\r\n\r\nFrom: Ann"));
	sieve_result_free(&r);
}

/* The fields X-... of what a version is, and how many bytes of text are around it. */
static void describe_version(const struct sieve_result *r, unsigned version, struct pb_buf *out)
{
	PB_AUTOBUF(made);
	struct pb_field f;
	struct pb_str rest;

	sieve_result_message(r, version, &made);
	rest = pb_str_head(pb_buf_str(&made), pb_header_size(pb_buf_str(&made)));
	pb_buf_addf(out, " %u", version);
	while (pb_header_next(&rest, &f))
		if (f.name.len == 3)
			pb_buf_addf(out, " %.*s=%.*s", PB_FMT(f.name), PB_FMT(pb_str_trim(f.value)));
	if (strstr(pb_buf_z(&made), "message/rfc822"))
		pb_buf_addz(out, " enclosed");
	if (!strstr(pb_buf_z(&made), "PDF"))
		pb_buf_addz(out, " replaced");
}

static void each_action_gets_the_message_as_it_was_then(void **state)
{
	static const struct { const char *script, *want; } table[] = {
		{ "fileinto \"A\"; addheader \"X-1\" \"a\"; fileinto \"B\"; addheader \"X-2\" \"b\"; redirect :copy \"r@x.example\"; keep;", "A 0; B 1 X-1=a; r@x.example 2 X-2=b X-1=a; keep 2 X-2=b X-1=a" },
		{ "addheader \"X-1\" \"a\"; keep; deleteheader \"X-1\"; fileinto \"A\";", "keep 1 X-1=a; A 0" },
		{ "addheader \"X-1\" \"a\"; fileinto :copy \"A\"; addheader \"X-1\" \"b\"; deleteheader :index 1 \"X-1\"; fileinto :copy \"B\";", "A 1 X-1=a; B 1 X-1=a; implicit 1 X-1=a" },
		{ "fileinto :copy \"A\"; enclose \"look\"; addheader \"X-1\" \"a\"; fileinto :copy \"B\"; enclose \"again\";", "A 0; B 1 enclosed; implicit 2 enclosed" },
		{ "foreverypart { if header :mime :type \"content-type\" \"application\" { fileinto :copy \"A\"; replace \"gone\"; fileinto :copy \"B\"; } }", "A 0; B 1 replaced; implicit 1 replaced" },
		{ "fileinto \"A\"; addheader \"X-1\" \"a\";", "A 0" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct sieve_result r;
		PB_AUTOBUF(script);
		PB_AUTOBUF(got);

		pb_buf_addf(&script, "require [\"editheader\", \"enclose\", \"replace\", \"foreverypart\", \"mime\", \"fileinto\", \"copy\"]; %s", table[i].script);
		run(pb_buf_z(&script), NULL, &r);
		for (size_t k = 0; k < r.nactions; k++) {
			pb_buf_addf(&got, "%s%.*s", got.len ? "; " : "", r.actions[k].kind == SIEVE_KEEP ? 4 : (int)r.actions[k].target.len,
				    r.actions[k].kind == SIEVE_KEEP ? "keep" : r.actions[k].target.ptr);
			describe_version(&r, r.actions[k].version, &got);
		}
		if (r.implicit_keep) {
			pb_buf_addz(&got, "; implicit");
			describe_version(&r, r.keep.version, &got);
		}
		if (strcmp(pb_buf_z(&got), table[i].want))
			fail_msg("%s: got \"%s\", wanted \"%s\"", table[i].script, pb_buf_z(&got), table[i].want);
		sieve_result_free(&r);
	}
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
		cmocka_unit_test(flags_that_are_there_are_where_the_script_begins),
		cmocka_unit_test(runs_that_go_wrong_keep_the_message),
		cmocka_unit_test(expressions_end_with_the_steps_of_the_run),
		cmocka_unit_test(what_is_hardly_meant_is_told),
		cmocka_unit_test(what_every_match_has_is_known),
		cmocka_unit_test(no_match_is_lost_by_it),
		cmocka_unit_test(problems_say_what_and_where),
		cmocka_unit_test(several_problems_are_told_at_once),
		cmocka_unit_test(the_message_can_be_changed),
		cmocka_unit_test(each_action_gets_the_message_as_it_was_then),
		cmocka_unit_test(a_program_is_its_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
