/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The pure parts of the sending side: replies, next hops, routes, capabilities. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include "plugins/conn_smtp/courier.h"

static int take(struct answer *a, const char *const *lines)
{
	int more = 1;

	memset(a, 0, sizeof *a);
	for (; *lines; lines++) {
		if (more != 1)
			fail_msg("'%s' comes behind the end", *lines);
		more = answer_take(a, pb_strz(*lines));
	}
	return more;
}

static void replies_in_their_own_words(void **state)
{
	static const struct {
		const char *name;
		const char *lines[6];
		int code;
		const char *want;
	} table[] = {
		{ "one line with a status", { "250 2.0.0 queued as 1" }, 0, "250 2.0.0 queued as 1" },
		{ "one line without", { "550 no such user" }, 0, "550 5.0.0 no such user" },
		{ "a code alone", { "250" }, 0, "250 2.0.0 " },
		{ "several lines are joined, their statuses said once", { "550-5.7.1 you are", "550-5.7.1 on a list", "550 5.7.1 sorry" }, 0, "550 5.7.1 you are on a list sorry" },
		{ "empty lines in between", { "451-first", "451-", "451 last" }, 0, "451 4.0.0 first last" },
		{ "a status of another class is no status", { "550 4.2.1 odd" }, 0, "550 5.0.0 4.2.1 odd" },
		{ "control bytes do not pass", { "550 5.1.1 a\x01\x7f" "b" }, 0, "550 5.1.1 a??b" },
		{ "UTF-8 passes", { "550 5.1.1 b\xc3\xb6se" }, 0, "550 5.1.1 b\xc3\xb6se" },
		{ "other bytes do not", { "550 5.1.1 b\xf6se" }, 0, "550 5.1.1 b?se" },
		{ "an answer of the wrong kind", { "250 2.0.0 ok" }, 451, "451 4.5.0 unexpected answer: 250 2.0.0 ok" },
		{ "a number that only looks like a status", { "550 5.1.1234 x" }, 0, "550 5.0.0 5.1.1234 x" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		char words[1000];
		struct answer a;

		assert_int_equal(take(&a, table[i].lines), 0);
		answer_words(&a, table[i].code, words, sizeof words);
		if (strcmp(words, table[i].want))
			fail_msg("%s: got '%s'", table[i].name, words);
	}
}

static void malformed_replies(void **state)
{
	static const char *const wrong[] = { "", "25", "abc", "2500 x", "250x", "199 x", "600 x", "\xff\xff\xff", NULL };
	struct answer a;

	(void)state;
	for (const char *const *line = wrong; *line; line++) {
		memset(&a, 0, sizeof a);
		assert_int_equal(answer_take(&a, pb_strz(*line)), PB_EINVALID);
	}
	memset(&a, 0, sizeof a);
	assert_int_equal(answer_take(&a, PB_STR("250-a")), 1);
	assert_int_equal(answer_take(&a, PB_STR("550 b")), PB_EINVALID);
}

static void endless_replies_are_capped(void **state)
{
	char line[200], words[1000];
	struct answer a = { 0 };
	int rc = 1;

	(void)state;
	for (int i = 0; i < ANSWER_LINES_MAX; i++) {
		snprintf(line, sizeof line, "250-2.1.5 line %d xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\xc3\xb6", i);
		rc = answer_take(&a, pb_strz(line));
		assert_int_equal(rc, 1);
	}
	assert_int_equal(answer_take(&a, PB_STR("250-more")), PB_ETOOBIG);
	assert_true(a.len <= ANSWER_TEXT_MAX);
	assert_true(pb_utf8_valid(pb_str(a.text, a.len)));
	answer_words(&a, 0, words, sizeof words);
	assert_int_equal(strncmp(words, "250 2.1.5 line 0 x", 18), 0);
}

static void next_hops(void **state)
{
	static const struct {
		const char *text, *host;	/* host NULL: refused */
		unsigned port;
		bool mx;
	} table[] = {
		{ "relay.example.org", "relay.example.org", 25, true }, { "relay.example.org:2525", "relay.example.org", 2525, true },
		{ "[relay.example.org]", "relay.example.org", 25, false }, { "[relay.example.org]:587", "relay.example.org", 587, false },
		{ "192.0.2.1", "192.0.2.1", 25, false }, { "192.0.2.1:2525", "192.0.2.1", 2525, false }, { "[192.0.2.1]:26", "192.0.2.1", 26, false },
		{ "2001:db8::1", "2001:db8::1", 25, false }, { "[2001:db8::1]:2525", "2001:db8::1", 2525, false },
		{ "", NULL, 0, false }, { "[relay", NULL, 0, false }, { "relay:0", NULL, 0, false }, { "relay:70000", NULL, 0, false }, { "relay:x", NULL, 0, false },
		{ "[relay]x", NULL, 0, false }, { "re lay", NULL, 0, false }, { "relay:", NULL, 0, false } };

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct pb_error err;
		struct hop hop;
		int rc = hop_parse(pb_strz(table[i].text), 25, &hop, &err);

		if ((rc == 0) != (table[i].host != NULL))
			fail_msg("'%s': %d", table[i].text, rc);
		if (rc)
			continue;
		if (!pb_str_eq(hop.host, pb_strz(table[i].host)) || hop.port != table[i].port || hop.mx != table[i].mx)
			fail_msg("'%s': host '%.*s' port %u mx %d", table[i].text, PB_FMT(hop.host), hop.port, hop.mx);
	}
}

static void routes(void **state)
{
	json_t *table = json_pack("{s:s,s:s}", "example.org", "one", ".example.net", "two");

	(void)state;
	assert_string_equal(route_find(table, PB_STR("example.org")), "one");
	assert_null(route_find(table, PB_STR("sub.example.org")));
	assert_string_equal(route_find(table, PB_STR("sub.example.net")), "two");
	assert_string_equal(route_find(table, PB_STR("a.b.example.net")), "two");
	assert_null(route_find(table, PB_STR("example.net")));
	assert_null(route_find(table, PB_STR("myexample.net")));
	assert_null(route_find(table, PB_NOSTR));
	json_decref(table);
}

static void capabilities(void **state)
{
	struct peer p = { 0 };

	(void)state;
	for (const char *const *line = (const char *const[]){ "pipelining", "SIZE 12345", "8BITMIME", "SMTPUTF8", "DSN", "STARTTLS", "AUTH GSSAPI LOGIN plain", "X-ODD", "", NULL };
	     *line; line++)
		peer_capability(&p, pb_strz(*line));
	assert_true(p.pipelining && p.eightbit && p.smtputf8 && p.dsn && p.starttls && p.auth_plain && p.auth_login && p.size);
	assert_int_equal(p.size_max, 12345);
	p = (struct peer){ 0 };
	peer_capability(&p, PB_STR("SIZE"));
	assert_true(p.size);
	assert_int_equal(p.size_max, 0);
	peer_capability(&p, PB_STR("SIZE 99999999999999999999999"));
	assert_int_equal(p.size_max, 0);
}

static void addresses_for_a_peer(void **state)
{
	struct peer modern = { .smtputf8 = true }, old = { 0 };
	PB_AUTOBUF(out);

	(void)state;
	assert_true(wire_address(&out, PB_STR("b\xc3\xb6" "b@example.org"), &modern));
	assert_string_equal(pb_buf_z(&out), "b\xc3\xb6" "b@example.org");
	pb_buf_reset(&out);
	assert_true(wire_address(&out, PB_STR("bob@b\xc3\xbc" "cher.example"), &old));
	assert_string_equal(pb_buf_z(&out), "bob@xn--bcher-kva.example");
	pb_buf_reset(&out);
	assert_false(wire_address(&out, PB_STR("b\xc3\xb6" "b@example.org"), &old));
	pb_buf_reset(&out);
	assert_true(wire_address(&out, PB_NOSTR, &old));
	assert_int_equal(out.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_in_their_own_words), cmocka_unit_test(malformed_replies), cmocka_unit_test(endless_replies_are_capped),
		cmocka_unit_test(next_hops), cmocka_unit_test(routes), cmocka_unit_test(capabilities), cmocka_unit_test(addresses_for_a_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
