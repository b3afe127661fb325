/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which address of a list a recipient is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "plugins/conn_list/door.h"

static void recipients_are_doors(void **state)
{
	static const struct { const char *local; bool is; enum door_kind kind; const char *rest; } cases[] = {
		{ "dev", true, DOOR_POST, "" },
		{ "Dev", true, DOOR_POST, "" },
		{ "team", true, DOOR_POST, "" },
		{ "developers", true, DOOR_POST, "" },
		{ "dev-request", true, DOOR_REQUEST, "" },
		{ "DEV+Request", true, DOOR_REQUEST, "" },
		{ "dev-join", true, DOOR_SUBSCRIBE, "" },
		{ "dev+subscribe-digest", true, DOOR_SUBSCRIBE, "digest" },
		{ "dev-get-2026-11", true, DOOR_GET, "2026-11" },
		{ "dev+set+mail+off", true, DOOR_SET, "mail+off" },
		{ "dev-who", true, DOOR_WHO, "" },
		{ "dev-leave", true, DOOR_UNSUBSCRIBE, "" },
		{ "dev-confirm+0f3a", true, DOOR_CONFIRM, "0f3a" },
		{ "dev-bounces+bob=b.example", true, DOOR_BOUNCES, "bob=b.example" },
		{ "dev-bounces", true, DOOR_BOUNCES, "" },
		{ "dev-admin", true, DOOR_OWNER, "" },
		{ "dev-", false, DOOR_POST, "" },
		{ "dev-requests", false, DOOR_POST, "" },
		{ "dev-nothing", false, DOOR_POST, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct door d;

		assert_int_equal(door_parse(&d, PB_STR("dev"), pb_strz(cases[i].local)), cases[i].is);
		if (!cases[i].is)
			continue;
		assert_int_equal(d.kind, cases[i].kind);
		assert_true(pb_str_eq(d.rest, pb_strz(cases[i].rest)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(recipients_are_doors) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
