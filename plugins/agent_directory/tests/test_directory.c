/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The whole directory through its methods, over a store in memory: who may what, where addresses lead, what a crash leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <postbus/str.h>
#include "calls.h"

static const struct pb_caller demo_admin = { .role = PB_ROLE_ADMIN, .plugin = { "control", 7 }, .postoffice = { "demo", 4 } };

static void addresses_are_compared_as_the_rfcs_say(void **state)
{
	struct fake *f = *state;

	leads_to(f, "alice@demo.example", "alice@demo.example");
	leads_to(f, "ALICE@Demo.EXAMPLE", "alice@demo.example");
	leads_to(f, "\"alice\"@demo.example", "alice@demo.example");
	DO(f, "domain.create", "{s:s}", "domain", "b\xc3\xbc" "cher.example");
	assert_string_equal(got(f, "domain"), "xn--bcher-kva.example");
	DO(f, "mailbox.create", "{s:s}", "address", "J\xc3\xb6rg@B\xc3\x9c" "CHER.example");
	leads_to(f, "j\xc3\xb6rg@xn--bcher-kva.example", "j\xc3\xb6rg@b\xc3\xbc" "cher.example");
	leads_to(f, "Jo\xcc\x88rg@bu\xcc\x88" "cher.example", "j\xc3\xb6rg@b\xc3\xbc" "cher.example");
}

static void unknown_and_disabled_addresses_are_told_apart(void **state)
{
	struct fake *f = *state;

	REFUSED(f, PB_ENOTFOUND, "directory.resolve", "{s:s}", "address", "nobody@demo.example");
	DO(f, "mailbox.set", "{s:s s:b}", "mailbox", "bob@demo.example", "enabled", 0);
	REFUSED(f, PB_EDENIED, "directory.resolve", "{s:s}", "address", "bob@demo.example");
	REFUSED(f, PB_EINVALID, "directory.resolve", "{s:s}", "address", "no address");
	DO(f, "directory.resolve", "{s:s}", "address", "Carol.X@Elsewhere.Example");
	assert_string_equal(got(f, "connector"), "conn_smtp");
	assert_string_equal(got(f, "destination"), "elsewhere.example");
	assert_string_equal(got(f, "target"), "Carol.X@elsewhere.example");
	assert_true(json_is_false(json_object_get(fake_result(f), "local")));
}

static void subaddresses_and_catch_alls_come_after_exact_ones(void **state)
{
	struct fake *f = *state;

	leads_to(f, "alice+news@demo.example", "alice@demo.example");
	DO(f, "directory.resolve", "{s:s}", "address", "alice+News@demo.example");
	assert_string_equal(got(f, "subaddress"), "news");
	DO(f, "address-map.create", "{s:s s:s}", "address", "*@demo.example", "to", "bob@demo.example");
	leads_to(f, "anything@demo.example", "bob@demo.example");
	leads_to(f, "alice+news@demo.example", "alice@demo.example");
	DO(f, "mailbox.create", "{s:s}", "address", "alice+news@demo.example");
	leads_to(f, "alice+news@demo.example", "alice+news@demo.example");
	DO(f, "address-map.delete", "{s:s}", "address", "*@demo.example");
	REFUSED(f, PB_ENOTFOUND, "directory.resolve", "{s:s}", "address", "anything@demo.example");
}

static void maps_lead_on_and_circles_end(void **state)
{
	struct fake *f = *state;

	DO(f, "address-map.create", "{s:s s:s}", "address", "sales@demo.example", "to", "alice+sales@demo.example");
	leads_to(f, "sales@demo.example", "alice@demo.example");
	DO(f, "address-map.create", "{s:s s:s}", "address", "out@demo.example", "to", "Shop@elsewhere.example");
	assert_string_equal(target_of(f, "out@demo.example"), "redirect/Shop@elsewhere.example");
	DO(f, "directory.resolve", "{s:s}", "address", "out@demo.example");
	assert_true(json_is_true(json_object_get(fake_result(f), "local")));
	DO(f, "address-map.create", "{s:s s:s}", "address", "fax@demo.example", "to", "conn_fax:12345");
	DO(f, "directory.resolve", "{s:s}", "address", "fax@demo.example");
	assert_string_equal(got(f, "connector"), "conn_fax");
	assert_string_equal(got(f, "target"), "12345");
	DO(f, "address-map.create", "{s:s s:s}", "address", "a@demo.example", "to", "b@demo.example");
	DO(f, "address-map.create", "{s:s s:s}", "address", "b@demo.example", "to", "a@demo.example");
	REFUSED(f, PB_EINVALID, "directory.resolve", "{s:s}", "address", "a@demo.example");
	REFUSED(f, PB_EINVALID, "address-map.create", "{s:s s:s}", "address", "c@demo.example", "to", "c@demo.example");
	DO(f, "address-map.set", "{s:s s:s}", "address", "b@demo.example", "to", "bob@demo.example");
	leads_to(f, "a@demo.example", "bob@demo.example");
	DO(f, "domain.create", "{s:s}", "domain", "moved.example");
	DO(f, "address-map.create", "{s:s s:s}", "address", "*@moved.example", "to", "*@demo.example");
	leads_to(f, "bob@moved.example", "bob@demo.example");
}

static void a_map_leads_to_connectors_that_are_installed(void **state)
{
	struct fake *f = *state;

	fake_plugin(f, "conn_fax", "disabled");
	REFUSED(f, PB_EINVALID, "address-map.create", "{s:s s:s}", "address", "fax@demo.example", "to", "conn_fxa:12345");
	assert_string_equal(fake_error(f), "no connector 'conn_fxa' is installed; there are: conn_fax, conn_smtp");
	REFUSED(f, PB_EINVALID, "address-map.create", "{s:s s:s}", "address", "fax@demo.example", "to", "conn_popretr:x");	/* takes no mail */
	REFUSED(f, PB_EINVALID, "address-map.create", "{s:s s:s}", "address", "fax@demo.example", "to", "agent_mta:x");	/* would get it from itself again and again */
	DO(f, "address-map.create", "{s:s s:s}", "address", "fax@demo.example", "to", "conn_fax:12345");
	assert_string_equal(got(f, "note"), "conn_fax is disabled: mail for it waits in the queue");
	REFUSED(f, PB_EINVALID, "address-map.set", "{s:s s:s}", "address", "fax@demo.example", "to", "conn_fxa:12345");
	fake_plugin(f, "conn_fax", "running");
	DO(f, "address-map.show", "{s:s}", "address", "fax@demo.example");
	assert_null(json_object_get(fake_result(f), "note"));
	fake_plugin(f, "conn_other", "running");
	DO(f, "address-map.list", "{}");
	assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(fake_result(f), "address_maps"), 0), "note")),
			    "conn_fax is not installed: mail for it waits in the queue");
	REFUSED(f, PB_EINVALID, "address-map.set", "{s:s s:s}", "address", "fax@demo.example", "to", "conn_fax:678");
}

static void a_map_with_extensions_has_their_mail_too(void **state)
{
	struct fake *f = *state;

	DO(f, "address-map.create", "{s:s s:s s:b}", "address", "dev@demo.example", "to", "conn_list:dev@demo.example", "extensions", 1);
	DO(f, "address-map.create", "{s:s s:s s:b}", "address", "dev-web@demo.example", "to", "conn_list:dev-web@demo.example", "extensions", 1);
	DO(f, "address-map.create", "{s:s s:s}", "address", "fax@demo.example", "to", "conn_fax:12345");
	assert_string_equal(target_of(f, "dev@demo.example"), "dev@demo.example");
	assert_string_equal(target_of(f, "Dev-Request@demo.example"), "dev@demo.example");
	assert_string_equal(target_of(f, "dev-web-bounces+bob-x=else-where.example@demo.example"), "dev-web@demo.example");
	assert_string_equal(target_of(f, "dev-bounces+bob-x=else-where.example@demo.example"), "dev@demo.example");
	assert_string_equal(target_of(f, "dev+subscribe@demo.example"), "dev@demo.example");
	REFUSED(f, PB_ENOTFOUND, "directory.resolve", "{s:s}", "address", "fax-request@demo.example");
	REFUSED(f, PB_ENOTFOUND, "directory.resolve", "{s:s}", "address", "developers@demo.example");
	DO(f, "domain.create", "{s:s s:s}", "domain", "alias.example", "alias_of", "demo.example");
	assert_string_equal(target_of(f, "dev-request@alias.example"), "dev@demo.example");
	DO(f, "domain.delete", "{s:s}", "domain", "alias.example");
}

static void alias_domains_share_every_address(void **state)
{
	struct fake *f = *state;

	DO(f, "domain.create", "{s:s s:s}", "domain", "alias.example", "alias_of", "demo.example");
	leads_to(f, "Alice+x@alias.example", "alice@demo.example");
	REFUSED(f, PB_EINVALID, "mailbox.create", "{s:s}", "address", "carol@alias.example");
	REFUSED(f, PB_EBUSY, "domain.delete", "{s:s}", "domain", "demo.example");
	REFUSED(f, PB_EBUSY, "domain.set", "{s:s s:s}", "domain", "demo.example", "alias_of", "alias.example");
	DO(f, "domain.set", "{s:s s:s}", "domain", "alias.example", "alias_of", "");
	REFUSED(f, PB_ENOTFOUND, "directory.resolve", "{s:s}", "address", "alice@alias.example");
	DO(f, "domain.delete", "{s:s}", "domain", "alias.example");
}

static void an_address_belongs_to_one_thing_at_a_time(void **state)
{
	struct fake *f = *state;
	size_t before = fake_mailboxes(f);

	REFUSED(f, PB_EEXISTS, "mailbox.create", "{s:s}", "address", "Alice@demo.example");
	REFUSED(f, PB_EEXISTS, "group.create", "{s:s}", "address", "alice@demo.example");
	REFUSED(f, PB_EEXISTS, "address-map.create", "{s:s s:s}", "address", "alice@demo.example", "to", "bob@demo.example");
	REFUSED(f, PB_EEXISTS, "mailbox.set", "{s:s s:[s]}", "mailbox", "bob@demo.example", "aliases", "alice@demo.example");
	assert_int_equal(fake_mailboxes(f), before);
	DO(f, "mailbox.set", "{s:s s:[ss]}", "mailbox", "bob@demo.example", "aliases", "b@demo.example", "bb@demo.example");
	leads_to(f, "bb@demo.example", "bob@demo.example");
	DO(f, "mailbox.set", "{s:s s:[s]}", "mailbox", "bob@demo.example", "aliases", "b@demo.example");
	REFUSED(f, PB_ENOTFOUND, "directory.resolve", "{s:s}", "address", "bb@demo.example");
	DO(f, "mailbox.set", "{s:s s:s}", "mailbox", "b@demo.example", "new_address", "robert@demo.example");
	REFUSED(f, PB_ENOTFOUND, "directory.resolve", "{s:s}", "address", "bob@demo.example");
	leads_to(f, "robert@demo.example", "b@demo.example");
	DO(f, "mailbox.delete", "{s:s}", "mailbox", "robert@demo.example");
	REFUSED(f, PB_ENOTFOUND, "directory.resolve", "{s:s}", "address", "b@demo.example");
	DO(f, "mailbox.create", "{s:s}", "address", "b@demo.example");
}

static void bad_names_are_refused_with_a_sentence(void **state)
{
	static const char *const domains[] = { "", "nodots", "-a.example", "a_b.example", "a..example", "1.2.3.4", "[1.2.3.4]", "a b.example",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example" };
	static const char *const addresses[] = { "", "x", "@demo.example", "x@", "a b@demo.example", ".x@demo.example", "x..y@demo.example", "*@demo.example",
		"\"a b\"@demo.example", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@demo.example", "x@[127.0.0.1]" };
	static const char *const offices[] = { "", "a/b", "a b", ".x", "a\nb" };
	struct fake *f = *state;

	for (size_t i = 0; i < sizeof domains / sizeof *domains; i++) {
		REFUSED(f, PB_EINVALID, "domain.create", "{s:s}", "domain", domains[i]);
		assert_true(strlen(fake_error(f)) > 10);
	}
	for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
		REFUSED(f, PB_EINVALID, "mailbox.create", "{s:s}", "address", addresses[i]);
		assert_true(strlen(fake_error(f)) > 10);
	}
	for (size_t i = 0; i < sizeof offices / sizeof *offices; i++)
		REFUSED(f, PB_EINVALID, "postoffice.create", "{s:s}", "name", offices[i]);
	REFUSED(f, PB_ENOTFOUND, "mailbox.create", "{s:s}", "address", "x@other.example");
	assert_int_equal(fake_mailboxes(f), 2);
}

static void post_offices_and_domains_go_only_when_empty(void **state)
{
	struct fake *f = *state;

	REFUSED(f, PB_EEXISTS, "postoffice.create", "{s:s}", "name", "Demo");
	REFUSED(f, PB_EEXISTS, "domain.create", "{s:s}", "domain", "DEMO.example");
	REFUSED(f, PB_EBUSY, "postoffice.delete", "{s:s}", "name", "demo");
	REFUSED(f, PB_EBUSY, "domain.delete", "{s:s}", "domain", "demo.example");
	DO(f, "mailbox.delete", "{s:s}", "mailbox", "alice@demo.example");
	DO(f, "mailbox.delete", "{s:s}", "mailbox", "bob@demo.example");
	fake_fail(f, "ask", 1, PB_EBUSY);
	REFUSED(f, PB_EBUSY, "domain.delete", "{s:s}", "domain", "Demo.Example");
	assert_non_null(strstr(fake_error(f), "does not let the domain go: demo.example of demo is busy"));
	DO(f, "domain.show", "{s:s}", "domain", "demo.example");
	DO(f, "domain.delete", "{s:s}", "domain", "demo.example");
	fake_fail(f, "ask", 1, PB_EBUSY);
	REFUSED(f, PB_EBUSY, "postoffice.delete", "{s:s}", "name", "DEMO");
	assert_non_null(strstr(fake_error(f), "does not let the post office go: all of demo is busy"));
	DO(f, "postoffice.show", "{s:s}", "name", "demo");
	DO(f, "postoffice.delete", "{s:s}", "name", "demo");
	assert_int_equal(fake_rows(f, ""), fake_rows(f, "k/"));
	assert_int_equal(fake_mailboxes(f), 0);
}

static void groups_take_and_lose_members(void **state)
{
	struct fake *f = *state;
	char target[100];

	DO(f, "group.create", "{s:s s:[s]}", "address", "staff@demo.example", "members", "alice@demo.example");
	DO(f, "group.add", "{s:s s:[sss]}", "group", "staff@demo.example", "members", "bob@demo.example", "x@elsewhere.example", "bob@demo.example");
	assert_int_equal(json_array_size(json_object_get(fake_result(f), "members")), 3);
	DO(f, "group.remove", "{s:s s:[s]}", "group", "staff@demo.example", "members", "BOB@demo.example");
	assert_int_equal(json_array_size(json_object_get(fake_result(f), "members")), 2);
	REFUSED(f, PB_ENOTFOUND, "group.remove", "{s:s s:[s]}", "group", "staff@demo.example", "members", "bob@demo.example");
	DO(f, "directory.resolve", "{s:s}", "address", "Staff@demo.example");
	assert_string_equal(got(f, "kind"), "group");
	snprintf(target, sizeof target, "%s", got(f, "target"));
	DO(f, "directory.members", "{s:s}", "target", target);
	assert_int_equal(json_array_size(json_object_get(fake_result(f), "members")), 2);
	DO(f, "group.delete", "{s:s}", "group", "staff@demo.example");
	REFUSED(f, PB_ENOTFOUND, "directory.members", "{s:s}", "target", target);
	REFUSED(f, PB_ENOTFOUND, "directory.resolve", "{s:s}", "address", "staff@demo.example");
}

static void may(struct fake *f, const char *mailbox, const char *sender, bool want)
{
	char id[100];

	DO(f, "mailbox.show", "{s:s}", "mailbox", mailbox);
	snprintf(id, sizeof id, "%s", got(f, "mailbox"));
	DO(f, "directory.may_send", "{s:s s:s}", "mailbox", id, "sender", sender);
	assert_int_equal(json_is_true(json_object_get(fake_result(f), "allowed")), want);
}

static void senders_send_as_themselves(void **state)
{
	struct fake *f = *state;

	DO(f, "domain.create", "{s:s s:s}", "domain", "alias.example", "alias_of", "demo.example");
	DO(f, "address-map.create", "{s:s s:s}", "address", "sales@demo.example", "to", "alice@demo.example");
	DO(f, "address-map.create", "{s:s s:s}", "address", "*@demo.example", "to", "alice@demo.example");
	may(f, "alice@demo.example", "alice@demo.example", true);
	may(f, "alice@demo.example", "Alice+x@alias.example", true);
	may(f, "alice@demo.example", "sales@demo.example", true);
	may(f, "alice@demo.example", "", true);
	may(f, "alice@demo.example", "bob@demo.example", false);
	may(f, "alice@demo.example", "anybody@demo.example", false);
	may(f, "alice@demo.example", "alice@elsewhere.example", false);
	may(f, "bob@demo.example", "sales@demo.example", false);
}

static int verify(struct fake *f, const char *login, const char *password)
{
	return fake_call(f, NULL, "auth.verify", json_pack("{s:s s:s s:s s:s}", "login", login, "password", password, "service", "test", "peer", "192.0.2.1"));
}

static void logins_are_verified_and_forgotten_with_the_credential(void **state)
{
	struct fake *f = *state;

	assert_int_equal(verify(f, "alice@demo.example", "anything"), PB_EDENIED);
	REFUSED(f, PB_EINVALID, "mailbox.password", "{s:s s:s}", "mailbox", "alice@demo.example", "password", "short");
	DO(f, "mailbox.password", "{s:s s:s}", "mailbox", "alice@demo.example", "password", "correct horse");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(verify(f, "ALICE@demo.example", "correct horse"), 0);
		assert_string_equal(got(f, "address"), "alice@demo.example");
		assert_string_equal(got(f, "postoffice"), "demo");
		assert_string_equal(got(f, "role"), "user");
		assert_int_equal(verify(f, "alice@demo.example", "wrong horse!"), PB_EDENIED);
	}
	assert_int_equal(verify(f, "nobody@demo.example", "correct horse"), PB_EDENIED);
	assert_int_equal(verify(f, "", ""), PB_EDENIED);
	assert_string_equal(fake_error(f), "wrong login name or password");
	DO(f, "mailbox.password", "{s:s s:s}", "mailbox", "alice@demo.example", "password", "b\xc3\xa9tter horse");
	assert_int_equal(verify(f, "alice@demo.example", "correct horse"), PB_EDENIED);
	assert_int_equal(verify(f, "alice@demo.example", "be\xcc\x81tter horse"), 0);	/* the same in NFC */
	DO(f, "mailbox.set", "{s:s s:b}", "mailbox", "alice@demo.example", "enabled", 0);
	assert_int_equal(verify(f, "alice@demo.example", "b\xc3\xa9tter horse"), PB_EDENIED);
	DO(f, "mailbox.set", "{s:s s:b}", "mailbox", "alice@demo.example", "enabled", 1);
	assert_int_equal(verify(f, "alice@demo.example", "b\xc3\xa9tter horse"), 0);
	DO(f, "mailbox.delete", "{s:s}", "mailbox", "alice@demo.example");
	assert_int_equal(verify(f, "alice@demo.example", "b\xc3\xa9tter horse"), PB_EDENIED);
	assert_int_equal(fake_rows(f, "c/"), 0);
}

static void admins_stay_in_their_post_office_and_users_with_themselves(void **state)
{
	struct fake *f = *state;
	struct pb_caller user = { .role = PB_ROLE_USER, .postoffice = { "demo", 4 } };
	char id[100];

	DO(f, "postoffice.create", "{s:s}", "name", "other");
	DO(f, "domain.create", "{s:s s:s}", "domain", "other.example", "postoffice", "other");
	DO(f, "mailbox.create", "{s:s}", "address", "eve@other.example");
	DO(f, "mailbox.create", "{s:s s:s}", "address", "root@demo.example", "role", "system");
	assert_int_equal(do_call(f, &demo_admin, "mailbox.create", json_pack("{s:s}", "address", "carol@demo.example")), 0);
	REFUSED_FOR(f, &demo_admin, PB_ENOTFOUND, "mailbox.create", "{s:s}", "address", "carol@other.example");
	REFUSED_FOR(f, &demo_admin, PB_ENOTFOUND, "mailbox.show", "{s:s}", "mailbox", "eve@other.example");
	REFUSED_FOR(f, &demo_admin, PB_ENOTFOUND, "mailbox.password", "{s:s s:s}", "mailbox", "eve@other.example", "password", "long enough");
	REFUSED_FOR(f, &demo_admin, PB_EDENIED, "mailbox.password", "{s:s s:s}", "mailbox", "root@demo.example", "password", "long enough");
	REFUSED_FOR(f, &demo_admin, PB_EDENIED, "mailbox.delete", "{s:s}", "mailbox", "root@demo.example");
	REFUSED_FOR(f, &demo_admin, PB_EDENIED, "mailbox.set", "{s:s s:s}", "mailbox", "carol@demo.example", "role", "system");
	REFUSED_FOR(f, &demo_admin, PB_EDENIED, "address-map.create", "{s:s s:s}", "address", "z@demo.example", "to", "conn_postoffice:mailbox/x");
	REFUSED_FOR(f, &demo_admin, PB_ENOTFOUND, "mailbox.list", "{s:s}", "postoffice", "other");
	assert_int_equal(do_call(f, &demo_admin, "mailbox.list", json_pack("{}")), 0);
	assert_int_equal(json_array_size(json_object_get(fake_result(f), "mailboxes")), 4);
	assert_int_equal(do_call(f, &demo_admin, "postoffice.list", json_pack("{}")), 0);
	assert_int_equal(json_array_size(json_object_get(fake_result(f), "postoffices")), 1);
	DO(f, "mailbox.list", "{}");
	assert_int_equal(json_array_size(json_object_get(fake_result(f), "mailboxes")), 5);

	DO(f, "mailbox.show", "{s:s}", "mailbox", "alice@demo.example");
	snprintf(id, sizeof id, "%s", got(f, "mailbox"));
	user.mailbox = pb_strz(id);
	assert_int_equal(do_call(f, &user, "mailbox.show", json_pack("{s:s}", "mailbox", id)), 0);
	assert_int_equal(do_call(f, &user, "mailbox.set", json_pack("{s:s s:[s] s:b}", "mailbox", id, "redirect", "a@elsewhere.example", "redirect_keep", 0)), 0);
	REFUSED_FOR(f, &user, PB_EDENIED, "mailbox.set", "{s:s s:i}", "mailbox", id, "quota_bytes", 0);
	REFUSED_FOR(f, &user, PB_EDENIED, "mailbox.set", "{s:s s:s}", "mailbox", id, "role", "admin");
	REFUSED_FOR(f, &user, PB_ENOTFOUND, "mailbox.show", "{s:s}", "mailbox", "bob@demo.example");
	REFUSED_FOR(f, &user, PB_ENOTFOUND, "mailbox.password", "{s:s s:s}", "mailbox", "bob@demo.example", "password", "long enough");
}

static void quotas_reach_the_store(void **state)
{
	struct fake *f = *state;
	char id[100];

	DO(f, "mailbox.create", "{s:s s:i}", "address", "carol@demo.example", "quota_bytes", 1000);
	snprintf(id, sizeof id, "%s", got(f, "mailbox"));
	assert_int_equal(fake_quota_bytes(f, id), 1000);
	DO(f, "mailbox.set", "{s:s s:i}", "mailbox", "carol@demo.example", "quota_bytes", 2000);
	assert_int_equal(fake_quota_bytes(f, id), 2000);
	fake_fail(f, "quota", 1, PB_EUNAVAILABLE);
	REFUSED(f, PB_EUNAVAILABLE, "mailbox.set", "{s:s s:i}", "mailbox", "carol@demo.example", "quota_bytes", 3000);
	assert_int_equal(fake_rows(f, "i/"), 1);
	fake_restart(f);
	assert_int_equal(fake_quota_bytes(f, id), 3000);
	assert_int_equal(fake_rows(f, "i/"), 0);
	DO(f, "directory.mailbox", "{s:s}", "mailbox", id);
	assert_int_equal(json_integer_value(json_object_get(fake_result(f), "quota_bytes")), 3000);
}

/* Ends each command at each of its steps, as a crash would, and looks at what is left after the next start. */
static void a_crash_between_two_steps_heals(void **state)
{
	static const char *const steps[] = { "apply", "create", "quota", "destroy" };
	struct fake *f = *state;

	for (size_t s = 0; s < 4; s++) {
		for (int nth = 1; nth <= 4; nth++) {
			bool made;

			fake_fail(f, steps[s], nth, PB_EUNAVAILABLE);
			made = fake_call(f, NULL, "mailbox.create", json_pack("{s:s s:i}", "address", "new@demo.example", "quota_bytes", 5)) == 0;
			fake_restart(f);
			assert_int_equal(fake_rows(f, "i/"), 0);
			assert_int_equal(fake_mailboxes(f), made ? 3 : 2);
			assert_int_equal(fake_rows(f, "m/"), made ? 3 : 2);
			if (!made)
				DO(f, "mailbox.create", "{s:s}", "address", "new@demo.example");
			fake_fail(f, steps[s], nth, PB_EUNAVAILABLE);
			fake_call(f, NULL, "mailbox.delete", json_pack("{s:s}", "mailbox", "new@demo.example"));
			fake_restart(f);
			if (fake_rows(f, "m/") == 3)
				DO(f, "mailbox.delete", "{s:s}", "mailbox", "new@demo.example");
			assert_int_equal(fake_mailboxes(f), 2);
			assert_int_equal(fake_rows(f, "m/"), 2);
			assert_int_equal(fake_rows(f, "i/"), 0);
		}
	}
}

static void take_the_address(struct fake *f)
{
	DO(f, "group.create", "{s:s}", "address", "new@demo.example");
}

static void add_an_address(struct fake *f)
{
	DO(f, "mailbox.create", "{s:s}", "address", "late@free.example");
}

static void commands_at_the_same_moment_do_not_collide(void **state)
{
	struct fake *f = *state;

	fake_interfere(f, take_the_address);
	REFUSED(f, PB_EEXISTS, "mailbox.create", "{s:s}", "address", "new@demo.example");
	assert_int_equal(fake_mailboxes(f), 2);
	DO(f, "domain.create", "{s:s}", "domain", "free.example");
	fake_interfere(f, add_an_address);
	REFUSED(f, PB_EBUSY, "domain.delete", "{s:s}", "domain", "free.example");
	leads_to(f, "late@free.example", "late@free.example");
}

static void lists_come_in_pages(void **state)
{
	struct fake *f = *state;
	char after[300] = "";
	size_t n = 0;
	int pages = 0;

	for (int i = 0; i < 20; i++) {
		char address[60];

		snprintf(address, sizeof address, "user%02d@demo.example", i);
		DO(f, "mailbox.create", "{s:s}", "address", address);
	}
	do {
		DO(f, "mailbox.list", "{s:s s:i s:s}", "after", after, "limit", 5, "domain", "demo.example");
		n += json_array_size(json_object_get(fake_result(f), "mailboxes"));
		snprintf(after, sizeof after, "%s", got(f, "next"));
		pages++;
	} while (strcmp(after, "(none)"));
	assert_int_equal(n, 22);
	assert_int_equal(pages, 5);
	assert_int_equal(do_call(f, &demo_admin, "mailbox.list", json_pack("{s:s}", "after", "zzz/")), 0);
}

static void what_is_looked_up_again_reads_no_table(void **state)
{
	struct fake *f = *state;
	unsigned before;

	leads_to(f, "alice@demo.example", "alice@demo.example");
	before = fake_reads(f);
	for (int i = 0; i < 100; i++)
		target_of(f, "Alice@demo.example");
	assert_int_equal(fake_reads(f), before);
}

/* The very same object, as long as nothing changes; never one that a change has passed. */
static void answers_are_kept_until_a_row_changes(void **state)
{
	static const char *const methods[][2] = { { "directory.resolve", "address" }, { "directory.mailbox", "mailbox" } };
	struct fake *f = *state;

	for (size_t i = 0; i < 2; i++) {
		json_t *first;

		DO(f, methods[i][0], "{s:s}", methods[i][1], "bob@demo.example");
		first = json_incref((json_t *)fake_result(f));
		DO(f, methods[i][0], "{s:s}", methods[i][1], "bob@demo.example");
		assert_ptr_equal(fake_result(f), first);
		DO(f, "mailbox.set", "{s:s s:s}", "mailbox", "alice@demo.example", "name", i ? "A" : "Al");
		DO(f, methods[i][0], "{s:s}", methods[i][1], "bob@demo.example");
		assert_ptr_not_equal(fake_result(f), first);
		json_decref(first);
	}
	DO(f, "mailbox.set", "{s:s s:[s]}", "mailbox", "bob@demo.example", "redirect", "c@elsewhere.example");
	DO(f, "directory.mailbox", "{s:s}", "mailbox", "bob@demo.example");
	assert_int_equal(json_array_size(json_object_get(fake_result(f), "redirect")), 1);
	DO(f, "directory.resolve", "{s:s}", "address", "alice+x@demo.example");
	assert_string_equal(got(f, "subaddress"), "x");
	DO(f, "mailbox.delete", "{s:s}", "mailbox", "bob@demo.example");
	REFUSED(f, PB_ENOTFOUND, "directory.resolve", "{s:s}", "address", "bob@demo.example");
	REFUSED(f, PB_ENOTFOUND, "directory.mailbox", "{s:s}", "mailbox", "bob@demo.example");
}

static void disable_bob(struct fake *f)
{
	DO(f, "mailbox.set", "{s:s s:b}", "mailbox", "bob@demo.example", "enabled", 0);
}

/* Whoever read a row just before it was changed must not leave it in memory. */
static void what_was_read_too_early_is_not_kept(void **state)
{
	struct fake *f = *state;

	fake_restart(f);		/* nothing is in memory */
	fake_interfere_get(f, 3, disable_bob);	/* domain, address, mailbox */
	assert_int_equal(fake_call(f, NULL, "directory.resolve", json_pack("{s:s}", "address", "bob@demo.example")), 0);
	REFUSED(f, PB_EDENIED, "directory.resolve", "{s:s}", "address", "bob@demo.example");
}

static void a_login_that_holds_no_more_ends_its_sessions(void **state)
{
	struct fake *f = *state;

	assert_int_equal(fake_call(f, NULL, "mailbox.set", json_pack("{s:s s:s}", "mailbox", "bob@demo.example", "name", "Bob")), 0);
	assert_int_equal(fake_call(f, NULL, "mailbox.set", json_pack("{s:s s:b}", "mailbox", "bob@demo.example", "enabled", 1)), 0);
	assert_int_equal(fake_ended(f), 0);
	assert_int_equal(fake_call(f, NULL, "mailbox.set", json_pack("{s:s s:b}", "mailbox", "bob@demo.example", "enabled", 0)), 0);
	assert_int_equal(fake_ended(f), 1);
	assert_int_equal(fake_call(f, NULL, "mailbox.password", json_pack("{s:s s:s}", "mailbox", "bob@demo.example", "password", "another horse")), 0);
	assert_int_equal(fake_ended(f), 2);
	assert_null(json_object_get(fake_result(f), "mailbox"));
	REFUSED(f, PB_EINVALID, "mailbox.password", "{s:s s:s}", "mailbox", "bob@demo.example", "password", "");
	assert_int_equal(fake_ended(f), 2);
	assert_int_equal(fake_call(f, NULL, "mailbox.delete", json_pack("{s:s}", "mailbox", "bob@demo.example")), 0);
	assert_int_equal(fake_ended(f), 3);
}

struct stress {
	struct fake *f;
	atomic_bool over;
	atomic_int stage;		/* counts finished changes; even: enabled */
	atomic_int wrong;
};

/* What a finished change said holds for whoever asks after it, until the next change begins. */
static void *ask_all_the_time(void *arg)
{
	struct stress *s = arg;

	while (!atomic_load(&s->over)) {
		int before = atomic_load(&s->stage);
		struct pb_error err;
		json_t *result;
		int rc = fake_call_from_thread(s->f, "directory.resolve", json_pack("{s:s}", "address", "bob@demo.example"), &result, &err);

		json_decref(result);
		/* stage is raised to an odd number while a change is on its way: then either answer is right */
		if (before % 2 == 0 && before == atomic_load(&s->stage) && rc != (before % 4 ? PB_EDENIED : 0))
			atomic_fetch_add(&s->wrong, 1);
	}
	return NULL;
}

static void readers_see_every_finished_change(void **state)
{
	struct stress s = { .f = *state };
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_all_the_time, &s), 0);
	for (int i = 0; i < 400; i++) {
		struct pb_error err;
		json_t *result;
		json_t *params = json_pack("{s:s s:b}", "mailbox", "bob@demo.example", "enabled", i % 2);

		atomic_fetch_add(&s.stage, 1);
		assert_int_equal(fake_call_from_thread(s.f, "mailbox.set", params, &result, &err), 0);
		json_decref(result);
		atomic_fetch_add(&s.stage, 1);
	}
	atomic_store(&s.over, true);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&s.wrong), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(addresses_are_compared_as_the_rfcs_say, begin, end),
		cmocka_unit_test_setup_teardown(unknown_and_disabled_addresses_are_told_apart, begin, end),
		cmocka_unit_test_setup_teardown(subaddresses_and_catch_alls_come_after_exact_ones, begin, end),
		cmocka_unit_test_setup_teardown(maps_lead_on_and_circles_end, begin, end),
		cmocka_unit_test_setup_teardown(a_map_leads_to_connectors_that_are_installed, begin, end),
		cmocka_unit_test_setup_teardown(a_map_with_extensions_has_their_mail_too, begin, end),
		cmocka_unit_test_setup_teardown(alias_domains_share_every_address, begin, end),
		cmocka_unit_test_setup_teardown(an_address_belongs_to_one_thing_at_a_time, begin, end),
		cmocka_unit_test_setup_teardown(bad_names_are_refused_with_a_sentence, begin, end),
		cmocka_unit_test_setup_teardown(post_offices_and_domains_go_only_when_empty, begin, end),
		cmocka_unit_test_setup_teardown(groups_take_and_lose_members, begin, end),
		cmocka_unit_test_setup_teardown(senders_send_as_themselves, begin, end),
		cmocka_unit_test_setup_teardown(logins_are_verified_and_forgotten_with_the_credential, begin, end),
		cmocka_unit_test_setup_teardown(admins_stay_in_their_post_office_and_users_with_themselves, begin, end),
		cmocka_unit_test_setup_teardown(quotas_reach_the_store, begin, end),
		cmocka_unit_test_setup_teardown(a_crash_between_two_steps_heals, begin, end),
		cmocka_unit_test_setup_teardown(commands_at_the_same_moment_do_not_collide, begin, end),
		cmocka_unit_test_setup_teardown(lists_come_in_pages, begin, end),
		cmocka_unit_test_setup_teardown(what_is_looked_up_again_reads_no_table, begin, end),
		cmocka_unit_test_setup_teardown(answers_are_kept_until_a_row_changes, begin, end),
		cmocka_unit_test_setup_teardown(what_was_read_too_early_is_not_kept, begin, end),
		cmocka_unit_test_setup_teardown(a_login_that_holds_no_more_ends_its_sessions, begin, end),
		cmocka_unit_test_setup_teardown(readers_see_every_finished_change, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
