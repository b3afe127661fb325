/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whose a recipient of a message in quarantine is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "plugins/agent_mta/quarantine.h"

static const char row_text[] = "{\"recipients\":["
			       "{\"address\":\"ann@a.example\",\"mailbox\":\"m1\",\"postoffice\":\"a\"},"
			       "{\"address\":\"bob@a.example\",\"mailbox\":\"m2\",\"postoffice\":\"a\"},"
			       "{\"address\":\"eve@b.example\",\"mailbox\":\"m3\",\"postoffice\":\"b\"},"
			       "{\"address\":\"far@c.example\"}]}";

static json_t *the_row(void)
{
	json_t *row = json_loads(row_text, 0, NULL);

	assert_non_null(row);
	return row;
}

static const struct {
	const char *name;
	struct pb_caller who;
	const char *has, *rest;		/* address lists as JSON */
} cases[] = {
	{ "the system has all", { .role = PB_ROLE_SYSTEM }, "[\"ann@a.example\",\"bob@a.example\",\"eve@b.example\",\"far@c.example\"]", "[]" },
	{ "an administrator has his post office", { .role = PB_ROLE_ADMIN, .postoffice = { "a", 1 } }, "[\"ann@a.example\",\"bob@a.example\"]",
	  "[\"eve@b.example\",\"far@c.example\"]" },
	{ "an administrator of another one", { .role = PB_ROLE_ADMIN, .postoffice = { "b", 1 } }, "[\"eve@b.example\"]",
	  "[\"ann@a.example\",\"bob@a.example\",\"far@c.example\"]" },
	{ "one of none has nobody, and not those who belong to none", { .role = PB_ROLE_ADMIN }, "[]",
	  "[\"ann@a.example\",\"bob@a.example\",\"eve@b.example\",\"far@c.example\"]" },
	{ "a user has himself", { .role = PB_ROLE_USER, .mailbox = { "m2", 2 }, .postoffice = { "a", 1 } }, "[\"bob@a.example\"]",
	  "[\"ann@a.example\",\"eve@b.example\",\"far@c.example\"]" },
	{ "a user without a mailbox has nobody", { .role = PB_ROLE_USER, .postoffice = { "a", 1 } }, "[]",
	  "[\"ann@a.example\",\"bob@a.example\",\"eve@b.example\",\"far@c.example\"]" },
	{ "nobody has nobody", { .role = PB_ROLE_NONE, .postoffice = { "a", 1 }, .mailbox = { "m1", 2 } }, "[]",
	  "[\"ann@a.example\",\"bob@a.example\",\"eve@b.example\",\"far@c.example\"]" },
};

static json_t *addresses_in(const json_t *recipients)
{
	json_t *ret = json_array(), *one;
	size_t i;

	json_array_foreach((json_t *)recipients, i, one)
		json_array_append(ret, json_object_get(one, "address"));
	return ret;
}

static void each_has_his_own_and_the_others_keep_theirs(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		json_t *row = the_row(), *mine = whose_addresses(&cases[i].who, row), *rest = whose_rest(row, mine), *left = addresses_in(rest);
		json_t *has = json_loads(cases[i].has, 0, NULL), *remains = json_loads(cases[i].rest, 0, NULL);

		if (!json_equal(mine, has) || !json_equal(left, remains))
			fail_msg("%s", cases[i].name);
		json_decref(has);
		json_decref(remains);
		json_decref(left);
		json_decref(rest);
		json_decref(mine);
		json_decref(row);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(each_has_his_own_and_the_others_keep_theirs) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
