/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What can be set for a list: every default is a value that may be given, and what is given is kept or refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <postbus/error.h>
#include "plugins/conn_list/setting.h"

static int parse(const char *name, const char *word, json_t **ret, struct pb_error *err)
{
	json_t *words = json_pack("[s]", word);
	int rc = setting_parse(setting_find(pb_strz(name)), words, ret, err);

	json_decref(words);
	return rc;
}

static void defaults_are_values(void **state)
{
	(void)state;
	for (const struct setting *s = settings; s->name; s++) {
		json_t *value;

		assert_ptr_equal(setting_find(pb_strz(s->name)), s);
		assert_true(s->doc[strlen(s->doc) - 1] == '.');
		assert_int_equal(parse(s->name, s->def, &value, NULL), 0);
		json_decref(value);
	}
}

static void values_are_kept_or_refused(void **state)
{
	static const struct { const char *name, *word, *want; } cases[] = {
		{ "welcome", "no", "false" },
		{ "welcome", "maybe", NULL },
		{ "max_size", "40k", "40960" },
		{ "max_size", "0", "0" },
		{ "max_size", "k", NULL },
		{ "max_size", "-1", NULL },
		{ "hold_expire", "7d", "604800" },
		{ "hold_expire", "99999w", NULL },
		{ "verp", "1001", NULL },
		{ "subscription", "Open", "\"open\"" },
		{ "subscription", "opened", NULL },
		{ "owners", "Bob@EXAMPLE.org", "[\"Bob@example.org\"]" },
		{ "accept_from", "*@Example.org", "[\"*@example.org\"]" },
		{ "owners", "bob", NULL },
		{ "topics", "build=*build*", "[\"build=*build*\"]" },
		{ "topics", "build", NULL },
		{ "topics", "=x", NULL },
		{ "reply_to_address", "desk@example.org", "\"desk@example.org\"" },
		{ "reply_to_address", "desk", NULL },
		{ "reply_to_address", "", "\"\"" },
		{ "one_click_url", "https://lists.example.org/x", "\"https://lists.example.org/x\"" },
		{ "one_click_url", "lists.example.org", NULL },
		{ "one_click_url", "https://a>, <https://b", NULL },
		{ "prefix", "two\nlines", NULL },
		{ "footer_text", "two\nlines", "\"two\\nlines\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pb_error err = { 0 };
		json_t *value = NULL;
		int rc = parse(cases[i].name, cases[i].word, &value, &err);

		assert_int_equal(rc != 0, cases[i].want == NULL);
		if (rc) {
			assert_non_null(strstr(err.text, cases[i].name));
			continue;
		}
		char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

		assert_string_equal(text, cases[i].want);
		free(text);
		json_decref(value);
	}
}

static void near_names_are_found(void **state)
{
	(void)state;
	assert_string_equal(setting_nearest(PB_STR("subscriptoin")), "subscription");
	assert_null(setting_nearest(PB_STR("something quite else")));
}

static void what_is_not_set_has_its_default(void **state)
{
	json_t *set = json_pack("{s:b, s:I}", "welcome", 0, "max_size", (json_int_t)7);

	(void)state;
	assert_false(setting_flag(set, "welcome"));
	assert_true(setting_flag(set, "goodbye"));
	assert_int_equal(setting_number(set, "max_size"), 7);
	assert_int_equal(setting_number(set, "hold_expire"), 14 * 86400);
	assert_true(setting_is(set, "posting", "members"));
	assert_null(setting_list(set, "owners"));
	json_decref(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(defaults_are_values), cmocka_unit_test(values_are_kept_or_refused), cmocka_unit_test(near_names_are_found),
		cmocka_unit_test(what_is_not_set_has_its_default) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
