/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sentences become Sieve that compiles and decides as they say, whatever stands in them; what is no sentence is refused by the word that is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include "plugins/agent_filter/filter.h"
#include "plugins/agent_filter/words.h"

/* ---- two messages ---- */

#define LOTTERY \
	"From: \"Bill Winner\" <bill@bad.example>\r\nTo: ann@demo.example\r\nSubject: You won the Lottery?\r\nX-Mailer: Bulk\\1\r\nX-Priority: 1\r\n" \
	"Message-ID: <1@x>\r\n\r\nSend money to ${1} now\r\n"
#define INVOICE \
	"From: carl@good.example\r\nTo: bob@demo.example\r\nCc: ann@demo.example\r\nReply-To: desk@good.example\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from home\r\n" \
	"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\nsee there\r\n--b\r\n" \
	"Content-Type: application/octet-stream; name=\"Invoice.EXE\"\r\nContent-Disposition: attachment; filename=\"Invoice.EXE\"\r\n\r\nMZ\r\n--b--\r\n"

struct known {
	const char *name, *lottery, *invoice;	/* NULL: not known */
};

static const struct known items[] = {
	{ "priority", "1", "3" }, { "has_attachment", "no", "yes" }, { "authenticated", "no", "yes" }, { "spf", "fail", "pass" }, { "dkim", NULL, "pass" },
	{ "dmarc", "none", "pass" }, { "virus", "Eicar-Test", "" }, { "client", "192.0.2.77", "2001:db8::5" }, { "dnsbl:zen.example", "yes", "no" },
	{ "ptr", "no", "yes" }, { "direction", "in", "out" }, { "connector", "conn_smtp", "conn_postoffice" }, { "recipients", "60", "1" },
	{ "spam_over:5", "yes", "no" }, { "spam_over:-1.5", "yes", "yes" }, { "spam_under:2.5", "no", "yes" },
};

static bool item(void *arg, struct pb_str name, struct pb_buf *out)
{
	bool is_invoice = *(bool *)arg;

	if (pb_str_starts(name, PB_STR("client_in:"))) {
		pb_buf_addz(out, network_has(pb_str_skip(name, 10), pb_strz(is_invoice ? "2001:db8::5" : "192.0.2.77")) ? "yes" : "no");
		return true;
	}
	for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
		const char *value = is_invoice ? items[i].invoice : items[i].lottery;

		if (pb_str_eq(name, pb_strz(items[i].name)) && value) {
			pb_buf_addz(out, value);
			return true;
		}
	}
	return false;
}

static int virus(void *arg)
{
	return *(bool *)arg ? 1 : 5;
}

static int64_t now(void *arg)
{
	(void)arg;
	return INT64_C(1772629200) * 1000000;	/* Wednesday, 2026-03-04 13:00:00 UTC */
}

/* ---- running ---- */

static json_t *list_of(const char *a, const char *b)
{
	json_t *list = json_array();

	if (a)
		json_array_append_new(list, json_string(a));
	if (b)
		json_array_append_new(list, json_string(b));
	return list;
}

/* A rule as it is kept. */
static json_t *rule_of(bool any, const char *when, const char *also_when, const char *deed, const char *also_do, enum rule_scope scope, struct pb_error *err)
{
	json_t *conditions = list_of(when, also_when), *deeds = list_of(deed, also_do), *needs, *rule = NULL;
	PB_AUTOBUF(sieve);

	if (!words_rule(conditions, any, deeds, scope, &sieve, &needs, err))
		rule = json_pack("{s:s, s:b, s:o, s:s%}", "name", "r", "enabled", 1, "needs", needs, "sieve", sieve.ptr, sieve.len);
	json_decref(conditions);
	json_decref(deeds);
	return rule;
}

static struct sieve_program *compile(json_t *rules)
{
	struct sieve_problems problems = { 0 };
	struct sieve_program *p = NULL;
	PB_AUTOBUF(script);
	char *row = json_dumps(rules, JSON_COMPACT);

	assert_int_equal(rules_script(pb_strz(row), &script, NULL), 0);
	free(row);
	if (sieve_compile(pb_buf_str(&script), &(struct sieve_options){ .system = true }, &p, &problems))
		fail_msg("line %u: %s\n%s", problems.list[0].line, problems.list[0].text, pb_buf_z(&script));
	return p;
}

static void run(const struct sieve_program *p, bool is_invoice, struct sieve_result *r)
{
	const struct sieve_world world = { .arg = &is_invoice, .now = now, .item = item, .virus = virus };
	const struct sieve_message m = { .bytes = is_invoice ? PB_STR(INVOICE) : PB_STR(LOTTERY), .from = is_invoice ? PB_STR("carl@good.example") : PB_STR("bounce@bad.example"),
					 .to = is_invoice ? PB_STR("bob+bills@demo.example") : PB_STR("ann@demo.example") };

	if (sieve_run(p, &m, &world, NULL, r))
		fail_msg("line %u: %s", r->problem.line, r->problem.text);
}

static bool holds(const struct sieve_program *p, bool is_invoice)
{
	struct sieve_result r;
	bool hit;

	run(p, is_invoice, &r);
	hit = r.keep.nflags == 1 && pb_str_eq(r.keep.flags[0], PB_STR("hit"));
	sieve_result_free(&r);
	return hit;
}

/* ---- conditions ---- */

struct condition {
	const char *sentence;
	bool lottery, invoice;			/* does it hold? */
};

static const struct condition conditions[] = {
	{ "to is ann@demo.example", true, false },
	{ "to is ANN@demo.EXAMPLE", true, false },
	{ "TO Is ann@demo.example", true, false },
	{ "to is not ann@demo.example", false, true },
	{ "not to is ann@demo.example", false, true },
	{ "not to is not ann@demo.example", true, false },
	{ "cc is ann@demo.example", false, true },
	{ "to-or-cc is ann@demo.example", true, true },
	{ "from is *@bad.example", true, false },
	{ "from is \"*@bad.example\"", false, false },
	{ "from is a@x.example or *@bad.example", true, false },
	{ "from ends with @good.example", false, true },
	{ "from begins with bill@", true, false },
	{ "from contains Winner", true, false },
	{ "from matches ?arl@*", false, true },
	{ "from regex ^carl@", false, true },
	{ "reply-to is desk@good.example", false, true },
	{ "sender is bounce@bad.example", true, false },
	{ "sender authenticated", false, true },
	{ "sender is authenticated", false, true },
	{ "not sender authenticated", true, false },
	{ "sender is not authenticated", true, false },
	{ "recipient is ann@demo.example", true, false },
	{ "recipient begins with bob+", false, true },
	{ "recipients over 50", true, false },
	{ "recipients under 2", false, true },
	{ "subject contains lottery", true, false },
	{ "subject contains lottery or casino", true, false },
	{ "subject contains \"lottery or casino\"", false, false },
	{ "subject contains \"casino\" or \"lottery\"", true, false },
	{ "subject is You won the Lottery?", true, false },
	{ "subject is You won the Lotter??", false, false },
	{ "subject is *lottery?", true, false },
	{ "subject is GR\u00dc\u00dfE FROM HOME", false, true },
	{ "subject contains gr\u00fc\u00dfe", false, true },
	{ "subject begins with you", true, false },
	{ "subject begins with \"You \"", true, false },
	{ "subject ends with lottery?", true, false },
	{ "subject ends with lottery", false, false },
	{ "subject regex (lottery|casino)", true, false },
	{ "header X-Mailer is Bulk\\1", true, false },
	{ "header x-mailer is *\\1", true, false },
	{ "header X-Mailer begins with bulk", true, false },
	{ "header X-Mailer exists", true, false },
	{ "not header X-Mailer exists", false, true },
	{ "any header contains bulk", true, false },
	{ "any header is desk@good.example", false, true },
	{ "any header contains gr\u00fc\u00dfe", false, true },
	{ "body contains money to ${1}", true, false },
	{ "body contains SEE THERE", false, true },
	{ "priority is high", true, false },
	{ "priority is low or normal", false, true },
	{ "priority is not high", false, true },
	{ "size over 300", false, true },
	{ "size under 1K", true, true },
	{ "size over 10 MB", false, false },
	{ "has attachment", false, true },
	{ "has no attachment", true, false },
	{ "attachment name matches *.exe", false, true },
	{ "attachment name is *.exe", false, true },
	{ "attachment name is invoice.exe", false, true },
	{ "attachment name ends with .pdf or .exe", false, true },
	{ "spf is fail", true, false },
	{ "spf is fail or softfail", true, false },
	{ "dkim is pass", false, true },
	{ "dkim is not pass", true, false },
	{ "dmarc is none", true, false },
	{ "spam score over 5", true, false },
	{ "spam score over -1.5", true, true },
	{ "spam score under 2.5", false, true },
	{ "virus found", true, false },
	{ "not virus found", false, true },
	{ "virus is Eicar*", true, false },
	{ "virus contains eicar", true, false },
	{ "client address is 192.0.2.0/24", true, false },
	{ "client address is not 192.0.2.0/24", false, true },
	{ "client address is 192.0.2.77", true, false },
	{ "client address is 192.0.2.0/26 or 2001:db8::/32", false, true },
	{ "client address matches 192.0.2.*", true, false },
	{ "client in dnsbl zen.example", true, false },
	{ "client in dnsbl a.example or zen.example", true, false },
	{ "client has no ptr", true, false },
	{ "client has ptr", false, true },
	{ "character set is koi8-r", false, true },
	{ "character set is iso-2022-jp or koi8-r", false, true },
	{ "direction is in", true, false },
	{ "direction out", false, true },
	{ "direction is out or in", true, true },
	{ "connector is conn_smtp", true, false },
	{ "date is 2026-03-04", true, true },
	{ "date before 2026-03-04", false, false },
	{ "date after 2026-03-03", true, true },
	{ "date between 2026-03-01 and 2026-03-04", true, true },
	{ "date between 2026-03-05 and 2026-03-31", false, false },
	{ "time between 08:00 and 18:00", true, true },
	{ "time between 18:00 and 08:00", false, false },
	{ "time after 13:00", true, true },
	{ "time before 13:00", false, false },
	{ "weekday is wed", true, true },
	{ "weekday is Saturday or sun", false, false },
	{ "weekday between mon and fri", true, true },
	{ "weekday between fri and tue", false, false },
	{ "always", true, true },
	{ "not always", false, false },
};

static void test_conditions_decide_as_they_say(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
		const struct condition *c = &conditions[i];
		struct pb_error err = { 0 };
		json_t *rule = rule_of(false, c->sentence, NULL, "set flag hit", NULL, RULE_OF_MAILBOX, &err), *rules;
		struct sieve_program *p;

		if (!rule)
			fail_msg("'%s': %s", c->sentence, err.text);
		rules = json_pack("[o]", rule);
		p = compile(rules);
		if (holds(p, false) != c->lottery || holds(p, true) != c->invoice)
			fail_msg("'%s' holds for %d %d:\n%s", c->sentence, holds(p, false), holds(p, true), json_string_value(json_object_get(rule, "sieve")));
		sieve_program_free(p);
		json_decref(rules);
	}
}

static void test_any_and_all_of_several(void **state)
{
	static const struct { bool any, lottery, invoice; } cases[] = { { true, true, true }, { false, true, false } };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		json_t *rules = json_pack("[o]", rule_of(cases[i].any, "subject contains lottery", "to-or-cc is ann@demo.example", "set flag hit", NULL, RULE_OF_MAILBOX, NULL));
		struct sieve_program *p = compile(rules);

		assert_int_equal(holds(p, false), cases[i].lottery);
		assert_int_equal(holds(p, true), cases[i].invoice);
		sieve_program_free(p);
		json_decref(rules);
	}
}

/* ---- deeds ---- */

static void add_action(struct pb_buf *out, const struct sieve_action *a)
{
	static const char *const kinds[] = { "keep", "fileinto", "redirect", "discard", "reject", "ereject", "vacation", "notify", "do" };

	pb_buf_addf(out, "%s%s%s%.*s%s%.*s%s%.*s", kinds[a->kind], a->copy ? " copy" : "", a->name.len ? " " : "", PB_FMT(a->name), a->target.len ? " " : "", PB_FMT(a->target),
		    a->text.len ? " " : "", PB_FMT(a->text));
	for (size_t i = 0; i < a->nflags; i++)
		pb_buf_addf(out, " +%.*s", PB_FMT(a->flags[i]));
	pb_buf_addc(out, ';');
}

static void outcome_of(json_t *rules, bool is_invoice, struct pb_buf *out, struct pb_buf *message)
{
	struct sieve_program *p = compile(rules);
	struct sieve_result r;

	run(p, is_invoice, &r);
	for (size_t i = 0; i < r.nactions; i++)
		add_action(out, &r.actions[i]);
	if (r.implicit_keep)
		add_action(out, &r.keep);
	if (message && r.edited)
		sieve_result_message(&r, r.keep.version, message);
	sieve_result_free(&r);
	sieve_program_free(p);
}

static const struct { const char *deed, *also, *outcome; } deeds[] = {
	{ "move Junk", NULL, "fileinto Junk;" },
	{ "move to Archive/2026", NULL, "fileinto Archive/2026;" },
	{ "copy \" odd \\\"name\\\" \"", NULL, "fileinto copy  odd \"name\" ;keep;" },
	{ "copy to Notes", NULL, "fileinto copy Notes;keep;" },
	{ "copy to carl@elsewhere.example", NULL, "redirect copy carl@elsewhere.example;keep;" },
	{ "copy to \"a@b\"", NULL, "fileinto copy a@b;keep;" },
	{ "redirect carl@elsewhere.example", NULL, "redirect carl@elsewhere.example;" },
	{ "move to public folder Sales/Leads", NULL, "do public_folder Sales/Leads;keep;" },
	{ "copy to public folder Sales", NULL, "do copy_public_folder Sales;keep;" },
	{ "quarantine", NULL, "do quarantine;keep;" },
	{ "quarantine looks like a fraud", NULL, "do quarantine looks like a fraud;keep;" },
	{ "delete", NULL, "" },
	{ "reject We do not want this", NULL, "reject We do not want this;" },
	{ "notify sender from template virus-found", NULL, "do notify sender virus-found;keep;" },
	{ "notify ann@demo.example from template big.mail", NULL, "do notify ann@demo.example big.mail;keep;" },
	{ "mark as spam", NULL, "do spam;keep;" },
	{ "set priority low", NULL, "do priority low;keep;" },
	{ "run scan-it --fast all", NULL, "do run scan-it --fast all;keep;" },
	{ "set flag flagged", NULL, "keep +\\Flagged;" },
	{ "move Junk", "set flag $Label1", "fileinto Junk +$Label1;" },
	{ "move Junk", "keep", "fileinto Junk;keep;" },
	{ "move Junk", "stop", "fileinto Junk;" },
	{ "delete", "copy to carl@elsewhere.example", "redirect copy carl@elsewhere.example;" },
};

static void test_deeds_become_actions(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++) {
		struct pb_error err = { 0 };
		json_t *rule = rule_of(false, "always", NULL, deeds[i].deed, deeds[i].also, RULE_OF_SERVER, &err), *rules;
		PB_AUTOBUF(out);

		if (!rule)
			fail_msg("'%s': %s", deeds[i].deed, err.text);
		rules = json_pack("[o]", rule);
		outcome_of(rules, false, &out, NULL);
		if (strcmp(pb_buf_z(&out), deeds[i].outcome) != 0)
			fail_msg("'%s' does '%s'", deeds[i].deed, pb_buf_z(&out));
		json_decref(rules);
	}
}

static const struct { const char *deed; bool invoice; const char *there, *gone; } edits[] = {
	{ "add header \"X-Seen: by filter\"", false, "X-Seen: by filter\r\n", "X-Seen: by filter\r\nX-Seen" },
	{ "add header X-Seen: \"twice\"", false, "X-Seen: \"twice\"\r\n", NULL },
	{ "set header X-Mailer: None", false, "X-Mailer: None\r\n", "Bulk" },
	{ "remove header X-Mailer", false, "X-Priority: 1\r\n", "X-Mailer" },
	{ "prefix subject [SPAM]", false, "Subject: [SPAM] You won the Lottery?\r\n", "Subject: You" },
	{ "prefix subject ${1}", false, "Subject: ${1} You won the Lottery?\r\n", "Subject: You" },
	{ "set subject Nothing", false, "Subject: Nothing\r\n", "Lottery" },
	{ "strip attachments", true, "An attachment was removed", "MZ" },
	{ "strip attachments matching *.exe or *.com", true, "see there", "MZ" },
	{ "strip attachments matching *.pdf", true, NULL, "removed" },
};

static void test_deeds_that_change_the_message(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
		struct pb_error err = { 0 };
		json_t *rule = rule_of(false, "always", NULL, edits[i].deed, NULL, RULE_OF_MAILBOX, &err), *rules;
		PB_AUTOBUF(out);
		PB_AUTOBUF(message);

		if (!rule)
			fail_msg("'%s': %s", edits[i].deed, err.text);
		rules = json_pack("[o]", rule);
		outcome_of(rules, edits[i].invoice, &out, &message);
		if (edits[i].there ? !strstr(pb_buf_z(&message), edits[i].there) : message.len > 0)
			fail_msg("'%s' makes\n%s", edits[i].deed, pb_buf_z(&message));
		if (edits[i].gone && strstr(pb_buf_z(&message), edits[i].gone))
			fail_msg("'%s' leaves\n%s", edits[i].deed, pb_buf_z(&message));
		json_decref(rules);
	}
}

/* ---- several rules ---- */

static void test_rules_are_one_script_and_keep_to_themselves(void **state)
{
	json_t *rules = json_array();
	PB_AUTOBUF(out);
	PB_AUTOBUF(message);

	(void)state;
	json_array_append_new(rules, rule_of(false, "subject contains lottery", NULL, "prefix subject [X]", NULL, RULE_OF_MAILBOX, NULL));
	json_array_append_new(rules, rule_of(false, "subject is *", NULL, "copy ${1}${subject}${dollar}", NULL, RULE_OF_MAILBOX, NULL));
	json_array_append_new(rules, rule_of(false, "body contains ${1}", NULL, "copy Money", NULL, RULE_OF_MAILBOX, NULL));
	json_array_append_new(rules, rule_of(false, "subject begins with [X] you", NULL, "copy Seen", "stop", RULE_OF_MAILBOX, NULL));
	json_array_append_new(rules, rule_of(false, "always", NULL, "copy Never", NULL, RULE_OF_MAILBOX, NULL));
	outcome_of(rules, false, &out, &message);
	assert_string_equal(pb_buf_z(&out), "fileinto copy ${1}${subject}${dollar};fileinto copy Money;fileinto copy Seen;keep;");
	pb_buf_reset(&out);
	json_object_set_new(json_array_get(rules, 3), "enabled", json_false());
	outcome_of(rules, false, &out, NULL);
	assert_string_equal(pb_buf_z(&out), "fileinto copy ${1}${subject}${dollar};fileinto copy Money;fileinto copy Never;keep;");
	json_decref(rules);
}

static void test_lines_tell_their_rule(void **state)
{
	json_t *rules = json_array();
	static const char *const names[] = { "first", "off", "second" };

	(void)state;
	for (int i = 0; i < 3; i++) {
		json_t *rule = rule_of(false, "subject contains x", NULL, "move Junk", NULL, RULE_OF_MAILBOX, NULL);

		json_object_set_new(rule, "name", json_string(names[i]));
		json_object_set_new(rule, "enabled", json_boolean(i != 1));
		json_array_append_new(rules, rule);
	}
	/* require; "# rule: first", if, fileinto, }; "# rule: second", if */
	assert_string_equal(rules_at(rules, 3), "first");
	assert_string_equal(rules_at(rules, 5), "first");
	assert_string_equal(rules_at(rules, 7), "second");
	assert_null(rules_at(rules, 100));
	json_decref(rules);
}

/* Any bytes in a value come out as they went in. */
static void test_hostile_values_stay_values(void **state)
{
	static const char *const values[] = {
		"\"; discard; #", "\\\"; discard; #", "\\", "\\\\", "a\"b\\c", "${hex:22}; discard", "${unicode:0022}", "$${dollar}${", "text:", "[\"a\"]", "*/ discard; /*",
		"\xe2\x80\xa8 separator", "\xf0\x9f\x92\xb0", "or", "not", "%s%n", "a or",
	};

	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		PB_AUTOBUF(deed);
		PB_AUTOBUF(condition);
		PB_AUTOBUF(out);
		PB_AUTOBUF(want);
		struct pb_error err = { 0 };
		json_t *rule, *rules;

		pb_buf_addz(&deed, "copy \"");
		for (const char *p = values[i]; *p; p++)
			pb_buf_addf(&deed, "%s%c", *p == '"' || *p == '\\' ? "\\" : "", *p);
		pb_buf_addz(&deed, "\"");
		pb_buf_addf(&condition, "not subject contains %s", pb_buf_z(&deed) + 5);
		rule = rule_of(false, pb_buf_z(&condition), NULL, pb_buf_z(&deed), NULL, RULE_OF_MAILBOX, &err);
		if (!rule)
			fail_msg("%s: %s", values[i], err.text);
		rules = json_pack("[o, o]", rule, rule_of(false, "always", NULL, "prefix subject x", NULL, RULE_OF_MAILBOX, NULL));
		outcome_of(rules, false, &out, NULL);
		pb_buf_addf(&want, "fileinto copy %s;keep;", values[i]);
		assert_string_equal(pb_buf_z(&out), pb_buf_z(&want));
		json_decref(rules);
	}
}

/* ---- errors ---- */

static const struct { const char *when, *deed; enum rule_scope scope; const char *text; } errors[] = {
	{ "subjekt contains x", "stop", RULE_OF_SERVER, "'subjekt' begins no condition" },
	{ "subjekt contains x", "stop", RULE_OF_SERVER, "weekday always" },
	{ "averyveryveryverylongwordthatisnoneatall contains x", "stop", RULE_OF_SERVER, "weekday always" },
	{ "subject holds x", "stop", RULE_OF_SERVER, "'holds' is not how a text is compared; allowed are is, contains" },
	{ "subject begins x", "stop", RULE_OF_SERVER, "behind 'begins' one of these is wanted: 'with'" },
	{ "subject", "stop", RULE_OF_SERVER, "behind 'subject' comes one of: is" },
	{ "subject contains", "stop", RULE_OF_SERVER, "wants something behind it" },
	{ "subject contains a or", "delete", RULE_OF_SERVER, NULL },
	{ "subject contains \"a\" or", "stop", RULE_OF_SERVER, "'or'" },
	{ "subject contains \"a", "stop", RULE_OF_SERVER, "does not end" },
	{ "subject contains \"a\" b", "stop", RULE_OF_SERVER, "'b' stands behind the closing quote" },
	{ "subject regex (", "stop", RULE_OF_SERVER, "'(' is no regular expression" },
	{ "has banana", "stop", RULE_OF_SERVER, "behind 'has' one of these is wanted: 'attachment', 'no attachment'" },
	{ "has attachment now", "stop", RULE_OF_SERVER, "but 'now' does" },
	{ "header X:Y is z", "stop", RULE_OF_SERVER, "'X:Y' is no name of a header field" },
	{ "priority is urgent", "stop", RULE_OF_SERVER, "'urgent' cannot be a value of priority; allowed are high, normal, low" },
	{ "spf is bad", "stop", RULE_OF_SERVER, "allowed are pass, fail" },
	{ "size is 10M", "stop", RULE_OF_SERVER, "'is' is not how a number is compared; allowed are over, under" },
	{ "size over ten", "stop", RULE_OF_SERVER, "'ten' is no size" },
	{ "size over 10X", "stop", RULE_OF_SERVER, "'X' is no unit" },
	{ "size over 99999999999999999999", "stop", RULE_OF_SERVER, "is no size" },
	{ "spam score over high", "stop", RULE_OF_SERVER, "'high' is no score" },
	{ "spam score over 1e9", "stop", RULE_OF_SERVER, "'1e9' is no score" },
	{ "client address is 192.0.2.0/33", "stop", RULE_OF_SERVER, "'192.0.2.0/33' is no address" },
	{ "client in dnsbl a\"b", "stop", RULE_OF_SERVER, "is no zone" },
	{ "date is 24.12.2026", "stop", RULE_OF_SERVER, "'24.12.2026' is no date: 2026-12-24 is one" },
	{ "date between 2026-02-01 and 2026-01-01", "stop", RULE_OF_SERVER, "later than" },
	{ "time is 18:00", "stop", RULE_OF_SERVER, "one of these is wanted: before, after, between" },
	{ "time after 24:00", "stop", RULE_OF_SERVER, "'24:00' is no time" },
	{ "weekday is caturday", "stop", RULE_OF_SERVER, "'caturday' is no weekday" },
	{ "always", "vanish", RULE_OF_SERVER, "'vanish' is nothing to do; these are: move" },
	{ "always", "vanish", RULE_OF_SERVER, "strip attachments" },
	{ "always", "move", RULE_OF_SERVER, "'move' wants something behind it" },
	{ "always", "redirect nobody", RULE_OF_SERVER, "'nobody' is no address" },
	{ "always", "add header X-Y", RULE_OF_SERVER, "is no header field" },
	{ "always", "add header X Y: z", RULE_OF_SERVER, "'X Y' is no name" },
	{ "always", "remove header Received", RULE_OF_SERVER, "it stays" },
	{ "always", "set priority urgent", RULE_OF_SERVER, "'urgent' is no priority; allowed are high, normal, low" },
	{ "always", "set colour red", RULE_OF_SERVER, "behind 'set' one of these is wanted: 'header', 'subject', 'priority', 'flag'" },
	{ "always", "set flag a(b", RULE_OF_SERVER, "'a(b' is no flag" },
	{ "always", "notify all from template x", RULE_OF_SERVER, "'all' is neither 'sender' nor an address" },
	{ "always", "notify sender with x", RULE_OF_SERVER, "'from template'" },
	{ "always", "notify sender from template ../x", RULE_OF_SERVER, "'../x' is no name of a template" },
	{ "always", "quarantine", RULE_OF_MAILBOX, "'quarantine' is for administrators; filters of a mailbox have move, copy" },
	{ "always", "mark as spam", RULE_OF_MAILBOX, "'mark as spam' is for administrators" },
	{ "always", "run x", RULE_OF_OFFICE, "'run' is for the server's own filters" },
	{ "always", "set priority low", RULE_OF_OFFICE, "'set priority' is for the server's own filters" },
	{ "always", "run ../x", RULE_OF_SERVER, "'../x' is no name of a program" },
	{ "always", "run /bin/sh -c x", RULE_OF_SERVER, "is no name of a program" },
	{ "", "stop", RULE_OF_SERVER, "a sentence is empty" },
	{ "subject is a\nb", "stop", RULE_OF_SERVER, "control character" },
	{ "subject is a\r\nb", "stop", RULE_OF_SERVER, "control character" },
	{ "subject is a\x7f", "stop", RULE_OF_SERVER, "control character" },
};

static void test_what_is_wrong_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
		struct pb_error err = { 0 };
		json_t *rule = rule_of(false, errors[i].when, NULL, errors[i].deed, NULL, errors[i].scope, &err);

		if (!rule != !!errors[i].text)
			fail_msg("'%s', '%s': %s", errors[i].when, errors[i].deed, err.text);
		if (errors[i].text && !strstr(err.text, errors[i].text))
			fail_msg("'%s', '%s' is told as: %s", errors[i].when, errors[i].deed, err.text);
		json_decref(rule);
	}
}

static void test_what_is_too_much_is_refused(void **state)
{
	json_t *many = json_array(), *nul = json_array(), *one = list_of("always", NULL), *deed = list_of("stop", NULL), *none = json_array(), *needs = NULL;
	struct pb_error err = { 0 };
	PB_AUTOBUF(out);
	PB_AUTOBUF(sentence);

	(void)state;
	for (int i = 0; i <= CONDITIONS_MAX; i++)
		json_array_append_new(many, json_string("always"));
	json_array_append_new(nul, json_stringn("subject is a\0b", 14));
	assert_int_equal(words_rule(many, true, deed, RULE_OF_SERVER, &out, &needs, &err), PB_EINVALID);
	assert_int_equal(words_rule(one, true, many, RULE_OF_SERVER, &out, &needs, &err), PB_EINVALID);
	assert_int_equal(words_rule(none, true, deed, RULE_OF_SERVER, &out, &needs, &err), PB_EINVALID);
	assert_int_equal(words_rule(one, true, none, RULE_OF_SERVER, &out, &needs, &err), PB_EINVALID);
	assert_int_equal(words_rule(nul, true, deed, RULE_OF_SERVER, &out, &needs, &err), PB_EINVALID);
	assert_non_null(strstr(err.text, "control character"));
	pb_buf_addz(&sentence, "subject is x");
	while (sentence.len <= SENTENCE_MAX)
		pb_buf_addc(&sentence, 'x');
	json_array_set_new(nul, 0, json_string(pb_buf_z(&sentence)));
	assert_int_equal(words_rule(nul, true, deed, RULE_OF_SERVER, &out, &needs, &err), PB_ETOOBIG);
	pb_buf_reset(&sentence);
	pb_buf_addz(&sentence, "subject is a");
	for (int i = 0; i < VALUES_MAX; i++)
		pb_buf_addz(&sentence, " or a");
	json_array_set_new(nul, 0, json_string(pb_buf_z(&sentence)));
	assert_int_equal(words_rule(nul, true, deed, RULE_OF_SERVER, &out, &needs, &err), PB_EINVALID);
	assert_int_equal(out.len, 0);
	json_array_set_new(nul, 0, json_string("reject no"));
	json_array_append_new(nul, json_string("copy Archive"));
	assert_int_equal(words_rule(one, true, nul, RULE_OF_SERVER, &out, &needs, &err), PB_EINVALID);
	assert_non_null(strstr(err.text, "rejected"));
	json_decref(many);
	json_decref(nul);
	json_decref(one);
	json_decref(deed);
	json_decref(none);
}

static void test_networks(void **state)
{
	static const struct { const char *network, *address; bool has; } cases[] = {
		{ "192.0.2.0/24", "192.0.2.255", true }, { "192.0.2.0/24", "192.0.3.0", false }, { "192.0.2.128/25", "192.0.2.127", false }, { "192.0.2.1", "192.0.2.1", true },
		{ "0.0.0.0/0", "198.51.100.1", true }, { "0.0.0.0/0", "2001:db8::1", false }, { "::/0", "192.0.2.1", true }, { "2001:db8::/33", "2001:db8:8000::1", false },
		{ "2001:db8::/32", "2001:db8:8000::1", true }, { "192.0.2.0/24", "::ffff:192.0.2.9", true }, { "192.0.2.0/24", "", false }, { "x", "192.0.2.1", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (network_has(pb_strz(cases[i].network), pb_strz(cases[i].address)) != cases[i].has)
			fail_msg("%s in %s", cases[i].address, cases[i].network);
	assert_false(network_valid(PB_STR("192.0.2.0/")));
	assert_false(network_valid(PB_STR("192.0.2.0/24/1")));
	assert_false(network_valid(PB_STR("192.0.2/24")));
	assert_false(network_valid(PB_STR("")));
}

static void test_addresses_as_lists_want_them(void **state)
{
	static const struct { const char *address, *want; } cases[] = {
		{ "192.0.2.7", "7.2.0.192." }, { "::ffff:192.0.2.7", "7.2.0.192." },
		{ "2001:db8::5", "5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2." }, { "", "" }, { "mail.example", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		PB_AUTOBUF(out);

		assert_int_equal(network_reversed(pb_strz(cases[i].address), &out), *cases[i].want != '\0');
		assert_string_equal(pb_buf_z(&out), cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conditions_decide_as_they_say),
		cmocka_unit_test(test_any_and_all_of_several),
		cmocka_unit_test(test_deeds_become_actions),
		cmocka_unit_test(test_deeds_that_change_the_message),
		cmocka_unit_test(test_rules_are_one_script_and_keep_to_themselves),
		cmocka_unit_test(test_lines_tell_their_rule),
		cmocka_unit_test(test_hostile_values_stay_values),
		cmocka_unit_test(test_what_is_wrong_is_named),
		cmocka_unit_test(test_what_is_too_much_is_refused),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_addresses_as_lists_want_them),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
