/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who is postmaster (RFC 5321 4.5.1) and abuse (RFC 2142), of domains and of the host, and that it stays so through changes of mailboxes. */
#include <string.h>
#include "calls.h"

static void the_one_who_is_named_is_postmaster(void **state)
{
	struct fake *f = *state;

	fake_set_config(f, "postmaster", json_string("bob@demo.example"));
	leads_to(f, "postmaster", "bob@demo.example");
	leads_to(f, "postmaster@mail.demo.example", "bob@demo.example");
	leads_to(f, "Postmaster@demo.example", "bob@demo.example");
	DO(f, "postoffice.set", "{s:s s:s}", "name", "demo", "postmaster", "alice@demo.example");
	leads_to(f, "Postmaster@demo.example", "alice@demo.example");
	DO(f, "mailbox.set", "{s:s s:[s]}", "mailbox", "bob@demo.example", "aliases", "postmaster@demo.example");
	leads_to(f, "postmaster@demo.example", "bob@demo.example");
}

static void where_nobody_is_named_an_administrator_is_postmaster_else_the_oldest(void **state)
{
	struct fake *f = *state;

	leads_to(f, "postmaster@demo.example", "alice@demo.example");
	DO(f, "mailbox.create", "{s:s s:s}", "address", "zoe@demo.example", "role", "system");
	leads_to(f, "PostMaster@demo.example", "zoe@demo.example");
	DO(f, "mailbox.set", "{s:s s:s}", "mailbox", "bob@demo.example", "role", "admin");
	leads_to(f, "postmaster@demo.example", "bob@demo.example");
	DO(f, "mailbox.create", "{s:s s:s}", "address", "ann@demo.example", "role", "admin");
	leads_to(f, "postmaster@demo.example", "bob@demo.example");
	fake_restart(f);
	leads_to(f, "postmaster@demo.example", "bob@demo.example");
	DO(f, "mailbox.set", "{s:s s:b}", "mailbox", "bob@demo.example", "enabled", 0);
	leads_to(f, "postmaster@demo.example", "ann@demo.example");
	DO(f, "mailbox.delete", "{s:s}", "mailbox", "ann@demo.example");
	DO(f, "mailbox.delete", "{s:s}", "mailbox", "zoe@demo.example");
	leads_to(f, "postmaster@demo.example", "alice@demo.example");
	DO(f, "mailbox.set", "{s:s s:b}", "mailbox", "bob@demo.example", "enabled", 1);
	leads_to(f, "postmaster@demo.example", "bob@demo.example");
	DO(f, "mailbox.set", "{s:s s:s}", "mailbox", "bob@demo.example", "new_address", "postmaster@demo.example");
	leads_to(f, "postmaster@demo.example", "postmaster@demo.example");
	DO(f, "mailbox.delete", "{s:s}", "mailbox", "postmaster@demo.example");
	DO(f, "mailbox.delete", "{s:s}", "mailbox", "alice@demo.example");
	REFUSED(f, PB_ENOTFOUND, "directory.resolve", "{s:s}", "address", "postmaster@demo.example");
	assert_int_equal(fake_rows(f, "l/o/"), 0);
}

static void a_postmaster_who_is_told_to_be_himself_stands_in(void **state)
{
	struct fake *f = *state;

	fake_set_config(f, "postmaster", json_string("postmaster@demo.example"));
	DO(f, "postoffice.set", "{s:s s:s}", "name", "demo", "postmaster", "postmaster@demo.example");
	leads_to(f, "postmaster@demo.example", "alice@demo.example");
	leads_to(f, "postmaster", "alice@demo.example");
}

static void the_host_has_the_postmaster_of_its_domain_or_of_the_oldest_post_office(void **state)
{
	struct fake *f = *state;

	DO(f, "postoffice.create", "{s:s}", "name", "another");
	DO(f, "domain.create", "{s:s s:s}", "domain", "another.example", "postoffice", "another");
	DO(f, "mailbox.create", "{s:s s:s}", "address", "carl@another.example", "role", "admin");
	leads_to(f, "postmaster", "alice@demo.example");
	leads_to(f, "postmaster@mail.demo.example", "alice@demo.example");
	fake_set_hostname(f, "MX.another.example");
	leads_to(f, "Postmaster", "carl@another.example");
	leads_to(f, "postmaster@mx.another.example", "carl@another.example");
	fake_set_hostname(f, "mx.elsewhere.example");
	leads_to(f, "postmaster", "alice@demo.example");
	leads_to(f, "postmaster@mx.elsewhere.example", "alice@demo.example");
	assert_string_equal(target_of(f, "postmaster@elsewhere.example"), "postmaster@elsewhere.example");
	DO(f, "mailbox.delete", "{s:s}", "mailbox", "alice@demo.example");
	DO(f, "mailbox.delete", "{s:s}", "mailbox", "bob@demo.example");
	leads_to(f, "postmaster", "carl@another.example");
	DO(f, "domain.delete", "{s:s}", "domain", "demo.example");
	DO(f, "postoffice.delete", "{s:s}", "name", "demo");
	assert_int_equal(fake_rows(f, "l/p/"), 1);
	leads_to(f, "postmaster", "carl@another.example");
	DO(f, "mailbox.delete", "{s:s}", "mailbox", "carl@another.example");
	REFUSED(f, PB_ENOTFOUND, "directory.resolve", "{s:s}", "address", "postmaster");
	DO(f, "postoffice.set", "{s:s s:s}", "name", "another", "postmaster", "out@remote.example");
	assert_string_equal(target_of(f, "postmaster"), "redirect/out@remote.example");
}

static void abuse_goes_to_the_postmaster_unless_it_is_told_not_to(void **state)
{
	struct fake *f = *state;

	DO(f, "domain.create", "{s:s s:s s:s}", "domain", "alias.example", "postoffice", "demo", "alias_of", "demo.example");
	DO(f, "address-map.create", "{s:s s:s}", "address", "*@demo.example", "to", "bob@demo.example");
	leads_to(f, "Abuse@demo.example", "alice@demo.example");
	leads_to(f, "abuse@alias.example", "alice@demo.example");
	leads_to(f, "abuse@mail.demo.example", "alice@demo.example");
	DO(f, "mailbox.set", "{s:s s:[s]}", "mailbox", "bob@demo.example", "aliases", "postmaster@demo.example");
	leads_to(f, "abuse@demo.example", "bob@demo.example");
	DO(f, "mailbox.set", "{s:s s:[]}", "mailbox", "bob@demo.example", "aliases");
	DO(f, "mailbox.create", "{s:s}", "address", "abuse@demo.example");
	leads_to(f, "abuse@demo.example", "abuse@demo.example");
	DO(f, "mailbox.delete", "{s:s}", "mailbox", "abuse@demo.example");
	fake_set_config(f, "abuse_to_postmaster", json_false());
	leads_to(f, "abuse@demo.example", "bob@demo.example");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_one_who_is_named_is_postmaster, begin, end),
		cmocka_unit_test_setup_teardown(where_nobody_is_named_an_administrator_is_postmaster_else_the_oldest, begin, end),
		cmocka_unit_test_setup_teardown(a_postmaster_who_is_told_to_be_himself_stands_in, begin, end),
		cmocka_unit_test_setup_teardown(the_host_has_the_postmaster_of_its_domain_or_of_the_oldest_post_office, begin, end),
		cmocka_unit_test_setup_teardown(abuse_goes_to_the_postmaster_unless_it_is_told_not_to, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
