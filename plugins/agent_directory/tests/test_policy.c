/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Settings: what words are taken for each type, which level holds, who may set what, and that a login without a service is refused. */
#include <stdlib.h>
#include <string.h>
#include "calls.h"
#include "../policy.h"

static const struct pb_caller demo_admin = { .role = PB_ROLE_ADMIN, .plugin = { "test", 4 }, .postoffice = { "demo", 4 } };

static int second_office(void **state)
{
	int rc = begin(state);
	struct fake *f = *state;

	DO(f, "postoffice.create", "{s:s}", "name", "other");
	DO(f, "domain.create", "{s:s s:s}", "domain", "other.example", "postoffice", "other");
	DO(f, "domain.create", "{s:s s:s}", "domain", "demo2.example", "postoffice", "demo");
	DO(f, "mailbox.create", "{s:s}", "address", "carol@demo2.example");
	DO(f, "mailbox.create", "{s:s}", "address", "eve@other.example");
	return rc;
}

/* The value of a word as JSON, or what is said to it. */
static char *parsed(const char *key, const char *word)
{
	const struct policy_key *k;
	struct pb_error err = { 0 };
	struct pb_str field;
	json_t *value;
	char *text;

	if (policy_find(pb_strz(key), &k, &field, &err) || policy_parse(k, key, pb_strz(word), &value, &err))
		return strdup(err.text);
	text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	json_decref(value);
	return text;
}

static void words_become_values_or_are_refused_with_what_is_allowed(void **state)
{
	static const struct { const char *key, *word, *want; } cases[] = {
		{ "send_per_hour", "100", "100" },
		{ "send_per_hour", "-1", "send_per_hour: found '-1', allowed is an integer from 0 to 1000000000" },
		{ "send_per_hour", "1h", "send_per_hour: found '1h', allowed is an integer from 0 to 1000000000" },
		{ "send_per_hour", "", "send_per_hour: found '', allowed is an integer from 0 to 1000000000" },
		{ "send_max_size", "10M", "10485760" },
		{ "send_max_size", "99999999999999999999", "send_max_size: found '99999999999999999999', allowed is a size like 1048576, 64K, 10M or 2G" },
		{ "send_max_size", "9999999T", "send_max_size: found '9999999T', allowed is a size like 1048576, 64K, 10M or 2G" },
		{ "quota_warn", "95, 80,95", "[80,95]" },
		{ "quota_warn", "none", "[]" },
		{ "quota_warn", "101", "quota_warn: found '101', allowed is integers from 1 to 100 with commas between them, or none" },
		{ "quota_full", "hold", "\"hold\"" },
		{ "quota_full", "Hold", "quota_full: found 'Hold', allowed is one of bounce, hold, postmaster" },
		{ "services", "imap,smtp,imap", "[\"imap\",\"smtp\"]" },
		{ "services", "none", "[]" },
		{ "services", "http", "services: found 'http', allowed is some of smtp, pop3, imap, managesieve with commas between them, or none" },
		{ "quota_folders", "Junk=10M, Lists/big=1G", "{\"Junk\":10485760,\"Lists/big\":1073741824}" },
		{ "quota_folders", "{\"Trash\": 5, \"Junk\": \"1K\"}", "{\"Trash\":5,\"Junk\":1024}" },
		{ "quota_folders", "Junk=many", "quota_folders.Junk: found 'many', allowed is a size like 1048576, 64K, 10M or 2G" },
		{ "quota_folders", "Junk", "quota_folders: found 'Junk', allowed is at most 100 pairs NAME=VALUE with commas between them or a JSON object, each VALUE a size like 1048576, 64K, 10M or 2G" },
		{ "quota_folders", "{\"a\":1,\"a\":2}", "quota_folders: found '{\"a\":1,\"a\":2}', allowed is at most 100 pairs NAME=VALUE with commas between them or a JSON object, each VALUE a size like 1048576, 64K, 10M or 2G" },
		{ "age_rules", "Lists=30", "{\"Lists\":30}" },
		{ "archive_to", "archive@demo.example", "\"archive@demo.example\"" },
		{ "archive_to", "", "\"\"" },
		{ "archive_to", "nowhere", "archive_to: found 'nowhere', allowed is a mail address, or nothing" },
		{ "welcome_subject", "a\nBcc: b", "welcome_subject: found 'a Bcc: b', allowed is a line of 0 to 400 bytes" },
		{ "footer_text", "one\ntwo", "\"one\\ntwo\"" },
		{ "footer_text", "bell\a", "footer_text: found 'bell ', allowed is a text of at most 16384 bytes" },
		{ "junk_folder", "", "junk_folder: found '', allowed is a line of 1 to 200 bytes" },
		{ "event_program", "/usr/local/bin/tell", "\"/usr/local/bin/tell\"" },
		{ "event_program", "tell", "event_program: found 'tell', allowed is an absolute path, or nothing" },
		{ "event_program", "/usr/../etc/x", "event_program: found '/usr/../etc/x', allowed is an absolute path, or nothing" },
		{ "autoreply", "enabled=yes,subject=Away,period_seconds=7d", "{\"enabled\":true,\"subject\":\"Away\",\"period_seconds\":604800}" },
		{ "autoreply", "{\"enabled\": true, \"text\": \"Away, sorry\", \"until\": \"2027-01-03\"}", "{\"enabled\":true,\"text\":\"Away, sorry\",\"until\":\"2027-01-03\"}" },
		{ "autoreply", "enabled=maybe", "autoreply.enabled: found 'maybe', allowed is yes or no" },
		{ "autoreply", "until=tomorrow", "autoreply.until: found 'tomorrow', allowed is a time like 2026-12-24 or 2026-12-24T17:00:00Z, or nothing" },
		{ "autoreply", "hours=Mon-Fri 18:00-08:00; Sat-Sun; 12:00-13:00", "{\"hours\":\"Mon-Fri 18:00-08:00; Sat-Sun; 12:00-13:00\"}" },
		{ "autoreply", "hours=Mon-Fry", "autoreply.hours: found 'Mon-Fry', allowed is hours like 'Mon-Fri 18:00-08:00; Sat-Sun', or nothing" },
		{ "autoreply", "hours=25:00-26:00", "autoreply.hours: found '25:00-26:00', allowed is hours like 'Mon-Fri 18:00-08:00; Sat-Sun', or nothing" },
		{ "autoreply", "colour=red", "'autoreply' has no field 'colour'; policy list shows what it has" },
		{ "no_such", "x", "there is no setting 'no_such'; policy list shows them all" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *have = parsed(cases[i].key, cases[i].word);

		assert_string_equal(have, cases[i].want);
		free(have);
	}
}

static void every_key_has_a_default_of_its_own_type(void **state)
{
	json_t *all = policy_defaults();
	const struct policy_key *k;
	size_t n;

	(void)state;
	for (n = 0; (k = policy_key(n)) != NULL; n++) {
		assert_non_null(json_object_get(all, k->name));
		assert_true(k->levels && k->doc && k->least);
	}
	assert_int_equal(json_object_size(all), n);
	json_decref(all);
}

static void text_from(char *room, size_t size, const json_t *one)
{
	char *value = json_dumps(json_object_get(one, "value"), JSON_ENCODE_ANY | JSON_COMPACT);

	snprintf(room, size, "%s from %s", value, json_string_value(json_object_get(one, "from")));
	free(value);
}

#define SHOWS(f, want, ...)                                                                                                   \
	do {                                                                                                                  \
		char have[300];                                                                                               \
		DO(f, "policy.show", __VA_ARGS__);                                                                            \
		text_from(have, sizeof have, json_array_get(json_object_get(fake_result(f), "settings"), 0)); \
		assert_string_equal(have, want);                                                                              \
	} while (0)

static void the_nearest_level_holds_and_says_so(void **state)
{
	struct fake *f = *state;

	SHOWS(f, "0 from default", "{s:s s:s}", "key", "send_per_hour", "mailbox", "alice@demo.example");
	DO(f, "policy.set", "{s:s s:s}", "key", "send_per_hour", "value", "500");
	DO(f, "policy.set", "{s:s s:s s:s}", "key", "send_per_hour", "value", "100", "postoffice", "demo");
	SHOWS(f, "100 from postoffice demo", "{s:s s:s}", "key", "send_per_hour", "mailbox", "alice@demo.example");
	SHOWS(f, "500 from server", "{s:s s:s}", "key", "send_per_hour", "mailbox", "eve@other.example");
	DO(f, "policy.set", "{s:s s:s s:s}", "key", "send_per_hour", "value", "7", "mailbox", "alice@demo.example");
	SHOWS(f, "7 from mailbox alice@demo.example", "{s:s s:s}", "key", "send_per_hour", "mailbox", "alice@demo.example");
	fake_restart(f);
	SHOWS(f, "7 from mailbox alice@demo.example", "{s:s s:s}", "key", "send_per_hour", "mailbox", "alice@demo.example");
	DO(f, "policy.unset", "{s:s s:s}", "key", "send_per_hour", "mailbox", "alice@demo.example");
	assert_string_equal(got(f, "from"), "postoffice demo");
	DO(f, "policy.unset", "{s:s s:s}", "key", "send_per_hour", "postoffice", "demo");
	DO(f, "policy.unset", "{s:s}", "key", "send_per_hour");
	assert_int_equal(fake_rows(f, "s/"), 0);
	REFUSED(f, PB_ENOTFOUND, "policy.unset", "{s:s}", "key", "send_per_hour");
	SHOWS(f, "0 from default", "{s:s s:s}", "key", "send_per_hour", "mailbox", "alice@demo.example");
}

static void footers_are_set_for_domains_and_nothing_else_is(void **state)
{
	struct fake *f = *state;

	DO(f, "policy.set", "{s:s s:s s:s}", "key", "footer_text", "value", "of demo", "postoffice", "demo");
	DO(f, "policy.set", "{s:s s:s s:s}", "key", "footer_text", "value", "of demo2", "domain", "demo2.example");
	SHOWS(f, "\"of demo2\" from domain demo2.example", "{s:s s:s}", "key", "footer_text", "mailbox", "carol@demo2.example");
	SHOWS(f, "\"of demo\" from postoffice demo", "{s:s s:s}", "key", "footer_text", "mailbox", "alice@demo.example");
	REFUSED(f, PB_EINVALID, "policy.set", "{s:s s:s s:s}", "key", "send_to", "value", "nobody", "domain", "demo2.example");
	assert_string_equal(fake_error(f), "'send_to' cannot be set for a domain; it can for: server, postoffice, mailbox");
	REFUSED(f, PB_EINVALID, "policy.set", "{s:s s:s s:s s:s}", "key", "send_to", "value", "nobody", "domain", "demo2.example", "postoffice", "demo");
	DO(f, "domain.create", "{s:s s:s s:s}", "domain", "alias.example", "postoffice", "demo", "alias_of", "demo2.example");
	REFUSED(f, PB_EINVALID, "policy.set", "{s:s s:s s:s}", "key", "footer_text", "value", "x", "domain", "alias.example");
	DO(f, "directory.domain", "{s:s}", "domain", "alias.example");
	assert_string_equal(json_string_value(json_object_get(json_object_get(fake_result(f), "policy"), "footer_text")), "of demo2");
}

static void one_field_of_an_object_is_set_beside_the_others(void **state)
{
	struct fake *f = *state;

	DO(f, "policy.set", "{s:s s:s}", "key", "quota_folders.Junk", "value", "1K");
	DO(f, "policy.set", "{s:s s:s s:s}", "key", "quota_folders.Lists.big", "value", "2K", "mailbox", "alice@demo.example");
	SHOWS(f, "{\"Junk\":1024,\"Lists.big\":2048} from mailbox alice@demo.example", "{s:s s:s}", "key", "quota_folders", "mailbox", "alice@demo.example");
	SHOWS(f, "{\"Junk\":1024} from server", "{s:s s:s}", "key", "quota_folders", "mailbox", "bob@demo.example");
	DO(f, "policy.unset", "{s:s s:s}", "key", "quota_folders.Junk", "mailbox", "alice@demo.example");
	SHOWS(f, "{\"Lists.big\":2048} from mailbox alice@demo.example", "{s:s s:s}", "key", "quota_folders", "mailbox", "alice@demo.example");
	DO(f, "policy.unset", "{s:s s:s}", "key", "quota_folders.Lists.big", "mailbox", "alice@demo.example");
	SHOWS(f, "{\"Junk\":1024} from server", "{s:s s:s}", "key", "quota_folders", "mailbox", "alice@demo.example");
	REFUSED(f, PB_EINVALID, "policy.set", "{s:s s:s}", "key", "quota_folders.", "value", "1K");
	REFUSED(f, PB_EINVALID, "policy.set", "{s:s s:s}", "key", "send_to.x", "value", "1K");
}

static void each_role_sets_what_is_his(void **state)
{
	struct fake *f = *state;
	struct pb_caller user = { .role = PB_ROLE_USER, .plugin = PB_STR("test"), .postoffice = PB_STR("demo") };
	char id[64];

	DO(f, "mailbox.show", "{s:s}", "mailbox", "alice@demo.example");
	snprintf(id, sizeof id, "%s", got(f, "mailbox"));
	user.mailbox = pb_strz(id);
	assert_int_equal(do_call(f, &user, "policy.set", json_pack("{s:s s:s s:s}", "key", "autoreply.enabled", "value", "yes", "mailbox", id)), 0);
	REFUSED_FOR(f, &user, PB_EDENIED, "policy.set", "{s:s s:s s:s}", "key", "send_per_hour", "value", "0", "mailbox", id);
	assert_string_equal(fake_error(f), "'send_per_hour' is set by administrators");
	REFUSED_FOR(f, &user, PB_ENOTFOUND, "policy.set", "{s:s s:s s:s}", "key", "autoreply.enabled", "value", "yes", "mailbox", "bob@demo.example");
	REFUSED_FOR(f, &user, PB_EDENIED, "policy.set", "{s:s s:s s:s}", "key", "junk_score", "value", "5", "postoffice", "demo");
	REFUSED_FOR(f, &user, PB_EDENIED, "policy.set", "{s:s s:s}", "key", "junk_score", "value", "5");
	assert_int_equal(do_call(f, &user, "policy.show", json_pack("{s:s}", "key", "archive_to")), 0);
	assert_int_equal(json_array_size(json_object_get(fake_result(f), "settings")), 0);

	assert_int_equal(do_call(f, &demo_admin, "policy.set", json_pack("{s:s s:s s:s}", "key", "send_per_hour", "value", "9", "postoffice", "demo")), 0);
	REFUSED_FOR(f, &demo_admin, PB_ENOTFOUND, "policy.set", "{s:s s:s s:s}", "key", "send_per_hour", "value", "9", "postoffice", "other");
	REFUSED_FOR(f, &demo_admin, PB_ENOTFOUND, "policy.set", "{s:s s:s s:s}", "key", "send_per_hour", "value", "9", "mailbox", "eve@other.example");
	REFUSED_FOR(f, &demo_admin, PB_ENOTFOUND, "policy.set", "{s:s s:s s:s}", "key", "footer_text", "value", "9", "domain", "other.example");
	REFUSED_FOR(f, &demo_admin, PB_EDENIED, "policy.set", "{s:s s:s}", "key", "send_per_hour", "value", "9");
	REFUSED_FOR(f, &demo_admin, PB_EDENIED, "policy.set", "{s:s s:s s:s}", "key", "event_program", "value", "/bin/true", "postoffice", "demo");
	DO(f, "mailbox.set", "{s:s s:s}", "mailbox", "bob@demo.example", "role", "system");
	REFUSED_FOR(f, &demo_admin, PB_EDENIED, "policy.set", "{s:s s:s s:s}", "key", "services", "value", "none", "mailbox", "bob@demo.example");
}

static void a_mailbox_is_told_with_all_that_holds_and_shares_it_with_others(void **state)
{
	struct fake *f = *state;
	const json_t *one, *two;
	unsigned reads;

	DO(f, "directory.mailbox", "{s:s}", "address", "alice@demo.example");
	one = json_object_get(fake_result(f), "policy");
	assert_string_equal(json_string_value(json_object_get(one, "quota_full")), "bounce");
	DO(f, "directory.mailbox", "{s:s}", "address", "eve@other.example");
	two = json_object_get(fake_result(f), "policy");
	assert_ptr_equal(one, two);
	DO(f, "policy.set", "{s:s s:s s:s}", "key", "quota_full", "value", "hold", "postoffice", "demo");
	DO(f, "directory.mailbox", "{s:s}", "address", "alice@demo.example");
	assert_string_equal(json_string_value(json_object_get(json_object_get(fake_result(f), "policy"), "quota_full")), "hold");
	reads = fake_reads(f);
	DO(f, "directory.mailbox", "{s:s}", "address", "alice@demo.example");
	assert_int_equal(fake_reads(f), reads);
	DO(f, "directory.mailbox", "{s:s}", "address", "eve@other.example");
	assert_string_equal(json_string_value(json_object_get(json_object_get(fake_result(f), "policy"), "quota_full")), "bounce");
}

static void settings_go_with_what_they_were_set_for(void **state)
{
	struct fake *f = *state;

	DO(f, "policy.set", "{s:s s:s s:s}", "key", "send_to", "value", "nobody", "mailbox", "eve@other.example");
	DO(f, "mailbox.delete", "{s:s}", "mailbox", "eve@other.example");
	DO(f, "mailbox.create", "{s:s}", "address", "eve@other.example");
	SHOWS(f, "\"anyone\" from default", "{s:s s:s}", "key", "send_to", "mailbox", "eve@other.example");
	REFUSED(f, PB_ENOTFOUND, "policy.set", "{s:s s:s s:s}", "key", "send_to", "value", "nobody", "mailbox", "nobody@other.example");
	DO(f, "policy.list", "{}");
	assert_int_equal(json_array_size(json_object_get(fake_result(f), "keys")), 25);
}

static int login(struct fake *f, const char *service)
{
	return fake_call(f, NULL, "auth.verify", json_pack("{s:s s:s s:s}", "login", "alice@demo.example", "password", "correct horse", "service", service));
}

static void a_login_opens_the_services_that_are_on(void **state)
{
	struct fake *f = *state;

	DO(f, "mailbox.password", "{s:s s:s}", "mailbox", "alice@demo.example", "password", "correct horse");
	assert_int_equal(login(f, "pop3"), 0);
	DO(f, "policy.set", "{s:s s:s s:s}", "key", "services", "value", "imap,smtp", "mailbox", "alice@demo.example");
	assert_int_equal(login(f, "pop3"), PB_EDENIED);
	assert_string_equal(fake_error(f), "wrong login name or password");
	assert_int_equal(login(f, "imap"), 0);
	assert_int_equal(login(f, "smtp"), 0);
	assert_int_equal(login(f, "managesieve"), PB_EDENIED);
	assert_int_equal(login(f, "administration"), 0);
	DO(f, "policy.unset", "{s:s s:s}", "key", "services", "mailbox", "alice@demo.example");
	assert_int_equal(login(f, "pop3"), 0);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, second_office, end)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_become_values_or_are_refused_with_what_is_allowed),
		cmocka_unit_test(every_key_has_a_default_of_its_own_type),
		TEST(the_nearest_level_holds_and_says_so),
		TEST(footers_are_set_for_domains_and_nothing_else_is),
		TEST(one_field_of_an_object_is_set_beside_the_others),
		TEST(each_role_sets_what_is_his),
		TEST(a_mailbox_is_told_with_all_that_holds_and_shares_it_with_others),
		TEST(settings_go_with_what_they_were_set_for),
		TEST(a_login_opens_the_services_that_are_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
