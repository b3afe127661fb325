/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Groups in groups over a directory made of a table: each member once, circles end, limits hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "plugins/conn_postoffice/postoffice.h"

struct fake_group {
	const char *target;
	const char *members[8];
};

static const struct fake_group groups[] = {
	{ "group/staff", { "alice@demo.example", "bob@demo.example", "x@elsewhere.example" } },
	{ "group/all", { "staff@demo.example", "bob@demo.example", "bobby@demo.example", "carol@demo.example", "X@ELSEWHERE.example" } },
	{ "group/loop", { "loop@demo.example", "back@demo.example", "alice@demo.example" } },
	{ "group/back", { "loop@demo.example", "bob@demo.example" } },
	{ "group/stale", { "gone@demo.example", "off@demo.example", "alice@demo.example" } },
	{ "group/empty", { NULL } },
	{ "group/vanished", { "ghost@demo.example", "alice@demo.example" } },
	{ "group/broken", { "alice@demo.example", "down@demo.example" } },
};

static int resolve(void *arg, struct pb_str address, json_t **ret, struct pb_error *err)
{
	char local[40];
	const char *mailbox = NULL;

	(void)arg;
	snprintf(local, sizeof local, "%.*s", (int)pb_str_find(address, '@', 0), address.ptr);
	if (!pb_str_iends(address, PB_STR("@demo.example"))) {
		*ret = json_pack("{s:s s:s}", "kind", "remote", "target", "whoever");
		return 0;
	}
	if (!strcmp(local, "gone"))
		return pb_fail(err, PB_ENOTFOUND, "no such address");
	if (!strcmp(local, "off"))
		return pb_fail(err, PB_EDENIED, "disabled");
	if (!strcmp(local, "down"))
		return pb_fail(err, PB_EUNAVAILABLE, "the directory is away");
	if (!strcmp(local, "alice") || !strcmp(local, "bob") || !strcmp(local, "carol"))
		mailbox = local;
	else if (!strcmp(local, "bobby"))	/* a further address of bob */
		mailbox = "bob";
	*ret = mailbox ? json_pack("{s:s s:s+}", "kind", "mailbox", "target", "mailbox/", mailbox) : json_pack("{s:s s:s+}", "kind", "group", "target", "group/", local);
	return 0;
}

static int members(void *arg, struct pb_str target, json_t **ret, struct pb_error *err)
{
	(void)arg;
	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
		json_t *list;

		if (!pb_str_eq(target, pb_strz(groups[i].target)))
			continue;
		list = json_array();
		for (const char *const *m = groups[i].members; *m; m++)
			json_array_append_new(list, json_string(*m));
		*ret = json_pack("{s:o}", "members", list);
		return 0;
	}
	return pb_fail(err, PB_ENOTFOUND, "no such group");
}

static const struct resolver fake = { resolve, members, NULL };

static void expands_to(const char *target, size_t skipped, const char *want)
{
	struct expansion e = EXPANSION;
	struct pb_error err;
	PB_AUTOBUF(all);
	const json_t *one;
	size_t i;

	assert_int_equal(expand_group(&fake, pb_strz(target), 100, &e, &err), 0);
	json_array_foreach (e.addresses, i, one)
		pb_buf_addf(&all, "%s%s", i ? " " : "", json_string_value(one));
	assert_string_equal(pb_buf_z(&all), want);
	assert_int_equal(json_array_size(e.skipped), skipped);
	expansion_clear(&e);
}

static void members_come_in_their_order(void **state)
{
	(void)state;
	expands_to("group/staff", 0, "alice@demo.example bob@demo.example x@elsewhere.example");
}

static void whoever_is_reached_twice_gets_it_once(void **state)
{
	(void)state;
	expands_to("group/all", 0, "bob@demo.example carol@demo.example X@ELSEWHERE.example alice@demo.example");
}

static void circles_end(void **state)
{
	(void)state;
	expands_to("group/loop", 0, "alice@demo.example bob@demo.example");
}

static void members_that_lead_nowhere_are_named(void **state)
{
	(void)state;
	expands_to("group/stale", 2, "alice@demo.example");
	expands_to("group/empty", 0, "");
	expands_to("group/vanished", 0, "alice@demo.example");
}

static void failures_are_told_apart(void **state)
{
	struct expansion e = EXPANSION;
	struct pb_error err;

	(void)state;
	assert_int_equal(expand_group(&fake, PB_STR("group/nothing"), 100, &e, &err), PB_ENOTFOUND);
	assert_int_equal(expand_group(&fake, PB_STR("group/broken"), 100, &e, &err), PB_EUNAVAILABLE);
	assert_int_equal(expand_group(&fake, PB_STR("group/all"), 3, &e, &err), PB_ETOOBIG);
	assert_null(e.addresses);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_come_in_their_order),
		cmocka_unit_test(whoever_is_reached_twice_gets_it_once),
		cmocka_unit_test(circles_end),
		cmocka_unit_test(members_that_lead_nowhere_are_named),
		cmocka_unit_test(failures_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
