/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records in wire form, and the methods against local data and against a server that never answers. Nothing here leaves the machine. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include "plugins/agent_dns/methods.h"
#include "plugins/agent_dns/records.h"

static void record_texts(void **state)
{
	static const struct { const char *name; int type; struct pb_str data; const char *want; } table[] = {
		{ "an address", TYPE_A, { "\xc0\x00\x02\x01", 4 }, "192.0.2.1" },
		{ "a short address", TYPE_A, { "\xc0\x00\x02", 3 }, NULL },
		{ "an IPv6 address", TYPE_AAAA, { "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16 }, "2001:db8::1" },
		{ "an exchanger", TYPE_MX, { "\0\x0a\2mx\7example\3ORG\0", 18 }, "10 mx.example.org" },
		{ "the null exchanger", TYPE_MX, { "\0\0\0", 3 }, "0 ." },
		{ "an exchanger cut short", TYPE_MX, { "\0\x0a\2mx\7exam", 10 }, NULL },
		{ "a name without its end", TYPE_NS, { "\2mx", 3 }, NULL },
		{ "a compressed name, which cannot be", TYPE_NS, { "\xc0\x0c", 2 }, NULL },
		{ "a label with a dot and a blank", TYPE_PTR, { "\5a.b c\0", 7 }, "a\\046b\\032c" },
		{ "text in two strings", TYPE_TXT, { "\7v=spf1 \4-all", 13 }, "v=spf1 -all" },
		{ "text over its end", TYPE_TXT, { "\x09v=spf1", 7 }, NULL },
		{ "text with a line end", TYPE_TXT, { "\3a\nb", 4 }, "a\\010b" },
		{ "a service", TYPE_SRV, { "\0\1\0\2\0\x19\2mx\0", 10 }, "1 2 25 mx" },
		{ "a TLSA", TYPE_TLSA, { "\3\1\1\xab\xcd", 5 }, "3 1 1 abcd" },
		{ "a CAA", TYPE_CAA, { "\0\5issueca.example", 17 }, "0 issue ca.example" },
		{ "a CAA over its end", TYPE_CAA, { "\0\x50issue", 7 }, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		PB_AUTOBUF(out);
		bool fine = record_text(&out, table[i].type, table[i].data);

		if (fine != (table[i].want != NULL) || (fine && strcmp(pb_buf_z(&out), table[i].want)))
			fail_msg("%s: %d '%s'", table[i].name, fine, pb_buf_z(&out));
	}
}

static void reverse_names(void **state)
{
	PB_AUTOBUF(out);

	(void)state;
	assert_true(record_reverse(&out, "192.0.2.1"));
	assert_string_equal(pb_buf_z(&out), "1.2.0.192.in-addr.arpa");
	pb_buf_reset(&out);
	assert_true(record_reverse(&out, "2001:db8::1"));
	assert_string_equal(pb_buf_z(&out), "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
	assert_false(record_reverse(&out, "mx.example.org"));
}

/* ---- methods on local data ---- */

static const char *const local[] = {
	"one.example. IN MX 20 b.one.example.", "one.example. IN MX 10 a.one.example.", "one.example. IN MX 30 gone.one.example.",
	"a.one.example. IN A 192.0.2.1", "a.one.example. IN AAAA 2001:db8::1", "b.one.example. IN A 192.0.2.2",
	"null.example. IN MX 0 .",
	"bare.example. IN A 192.0.2.3",
	"text.example. IN TXT \"v=spf1 \" \"-all\"",
	"equal.example. IN MX 10 x.equal.example.", "equal.example. IN MX 10 y.equal.example.",
	"x.equal.example. IN A 192.0.2.10", "y.equal.example. IN A 192.0.2.11",
	"dead.example. IN MX 10 gone.dead.example.",
	"xn--bcher-kva.example. IN A 192.0.2.4",
	"1.2.0.192.in-addr.arpa. IN PTR a.one.example.", "1.2.0.192.in-addr.arpa. IN PTR liar.example.",
	"liar.example. IN A 203.0.113.1",
	NULL };

static int setup(void **state)
{
	struct dns *dns = pb_alloc(sizeof *dns);
	json_t *records = json_array(), *zones = json_pack("[s,s]", "example. static", "2.0.192.in-addr.arpa. static");
	struct pb_error err;

	for (const char *const *r = local; *r; r++)
		json_array_append_new(records, json_string(*r));
	dns->timeout = 5000000;
	if (resolver_open(&(struct resolver_options){ .forwarders = NULL, .local = records, .zones = zones, .trust_anchor = "" }, &dns->resolver, &err))
		fail_msg("%s", err.text);
	json_decref(records);
	json_decref(zones);
	*state = dns;
	return 0;
}

static int teardown(void **state)
{
	struct dns *dns = *state;

	resolver_close(dns->resolver);
	free(dns);
	return 0;
}

/* The result as compact JSON, or the error's name. */
static char *call(struct dns *dns, int (*m)(void *, const struct pb_caller *, const json_t *, json_t **, struct pb_error *), json_t *params)
{
	json_t *result = NULL;
	struct pb_error err = { 0 };
	int rc = m(dns, NULL, params, &result, &err);
	char *text = rc ? pb_str_dup(pb_strz(pb_code_name(rc))) : json_dumps(result, JSON_COMPACT | JSON_SORT_KEYS);

	json_decref(params);
	json_decref(result);
	return text;
}

static void expect(struct dns *dns, int (*m)(void *, const struct pb_caller *, const json_t *, json_t **, struct pb_error *), json_t *params, const char *want)
{
	char *got = call(dns, m, params);

	if (strcmp(got, want))
		fail_msg("got %s, want %s", got, want);
	free(got);
}

static void exchangers_in_order(void **state)
{
	expect(*state, dns_mx, json_pack("{s:s}", "domain", "One.Example."),
	       "{\"hosts\":[{\"addresses\":[\"192.0.2.1\",\"2001:db8::1\"],\"name\":\"a.one.example\",\"preference\":10},"
	       "{\"addresses\":[\"192.0.2.2\"],\"name\":\"b.one.example\",\"preference\":20},"
	       "{\"addresses\":[],\"name\":\"gone.one.example\",\"preference\":30}],\"null_mx\":false,\"secure\":false}");
}

static void a_preferred_family_comes_first(void **state)
{
	struct dns *dns = *state;

	dns->ipv6_first = true;
	expect(dns, dns_address, json_pack("{s:s}", "name", "a.one.example"), "{\"addresses\":[\"2001:db8::1\",\"192.0.2.1\"]}");
	dns->ipv6_first = false;
}

static void null_mx(void **state)
{
	expect(*state, dns_mx, json_pack("{s:s}", "domain", "null.example"), "{\"hosts\":[],\"null_mx\":true,\"secure\":false}");
}

static void the_domain_itself(void **state)
{
	expect(*state, dns_mx, json_pack("{s:s}", "domain", "bare.example"),
	       "{\"hosts\":[{\"addresses\":[\"192.0.2.3\"],\"name\":\"bare.example\",\"preference\":0}],\"null_mx\":false,\"secure\":false}");
	expect(*state, dns_mx, json_pack("{s:s}", "domain", "b\xc3\xbc" "cher.example"),
	       "{\"hosts\":[{\"addresses\":[\"192.0.2.4\"],\"name\":\"xn--bcher-kva.example\",\"preference\":0}],\"null_mx\":false,\"secure\":false}");
}

static void literals(void **state)
{
	expect(*state, dns_mx, json_pack("{s:s}", "domain", "[192.0.2.9]"),
	       "{\"hosts\":[{\"addresses\":[\"192.0.2.9\"],\"name\":\"[192.0.2.9]\",\"preference\":0}],\"null_mx\":false,\"secure\":false}");
	expect(*state, dns_mx, json_pack("{s:s}", "domain", "[IPv6:2001:db8::9]"),
	       "{\"hosts\":[{\"addresses\":[\"2001:db8::9\"],\"name\":\"[IPv6:2001:db8::9]\",\"preference\":0}],\"null_mx\":false,\"secure\":false}");
	expect(*state, dns_mx, json_pack("{s:s}", "domain", "[nonsense]"), pb_code_name(PB_EINVALID));
	expect(*state, dns_address, json_pack("{s:s}", "name", "192.0.2.9"), "{\"addresses\":[\"192.0.2.9\"]}");
}

static void what_is_not_there(void **state)
{
	expect(*state, dns_mx, json_pack("{s:s}", "domain", "nowhere.example"), pb_code_name(PB_ENOTFOUND));
	expect(*state, dns_mx, json_pack("{s:s}", "domain", "text.example"), pb_code_name(PB_ENOTFOUND));
	expect(*state, dns_mx, json_pack("{s:s}", "domain", "dead.example"), "{\"hosts\":[{\"addresses\":[],\"name\":\"gone.dead.example\",\"preference\":10}],\"null_mx\":false,\"secure\":false}");
	expect(*state, dns_mx, json_pack("{s:s}", "domain", "bad domain"), pb_code_name(PB_EINVALID));
	expect(*state, dns_query, json_pack("{s:s,s:s}", "name", "nowhere.example", "type", "A"), pb_code_name(PB_ENOTFOUND));
	expect(*state, dns_query, json_pack("{s:s,s:s}", "name", "bare.example", "type", "TXT"), "{\"records\":[],\"secure\":false}");
}

static void queries(void **state)
{
	expect(*state, dns_query, json_pack("{s:s,s:s}", "name", "text.example", "type", "TXT"), "{\"records\":[\"v=spf1 -all\"],\"secure\":false}");
}

static void names_of_an_address(void **state)
{
	char *got = call(*state, dns_ptr, json_pack("{s:s}", "address", "192.0.2.1"));

	assert_non_null(strstr(got, "\"confirmed\":[\"a.one.example\"]"));
	assert_non_null(strstr(got, "liar.example"));
	free(got);
	expect(*state, dns_ptr, json_pack("{s:s}", "address", "nonsense"), pb_code_name(PB_EINVALID));
}

static void equals_take_turns(void **state)
{
	bool x_first = false, y_first = false;

	/* 100 draws of two: the same one every time has a chance of 2^-99. */
	for (int i = 0; i < 100 && !(x_first && y_first); i++) {
		char *got = call(*state, dns_mx, json_pack("{s:s}", "domain", "equal.example")), *x = strstr(got, "x.equal"), *y = strstr(got, "y.equal");

		assert_non_null(x);
		assert_non_null(y);
		x_first |= x < y;
		y_first |= y < x;
		free(got);
	}
	assert_true(x_first && y_first);
}

/* ---- a server that never answers ---- */

static void silence_ends_in_time(void **state)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t len = sizeof sin;
	struct dns dns = { .timeout = 300000 };
	struct pb_error err;
	char address[40];
	json_t *forwarders;

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof sin), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	snprintf(address, sizeof address, "127.0.0.1@%u", ntohs(sin.sin_port));
	forwarders = json_pack("[s]", address);
	assert_int_equal(resolver_open(&(struct resolver_options){ .forwarders = forwarders, .trust_anchor = "" }, &dns.resolver, &err), 0);
	expect(&dns, dns_mx, json_pack("{s:s}", "domain", "slow.example"), pb_code_name(PB_EUNAVAILABLE));
	resolver_close(dns.resolver);
	json_decref(forwarders);
	close(fd);
}

static void wrong_config(void **state)
{
	static const struct { const char *forwarder, *local, *zone; } wrong[] = { { "nonsense", NULL, NULL }, { NULL, "no record", NULL }, { NULL, NULL, "example." },
										 { NULL, NULL, "example. oddly" } };

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		json_t *f = json_array(), *l = json_array(), *z = json_array();
		struct resolver *r;
		struct pb_error err = { 0 };

		if (wrong[i].forwarder)
			json_array_append_new(f, json_string(wrong[i].forwarder));
		if (wrong[i].local)
			json_array_append_new(l, json_string(wrong[i].local));
		if (wrong[i].zone)
			json_array_append_new(z, json_string(wrong[i].zone));
		if (resolver_open(&(struct resolver_options){ .forwarders = f, .local = l, .zones = z, .trust_anchor = "" }, &r, &err) != PB_EINVALID || !err.text[0])
			fail_msg("number %zu: '%s'", i, err.text);
		json_decref(f);
		json_decref(l);
		json_decref(z);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(record_texts), cmocka_unit_test(reverse_names),
		cmocka_unit_test_setup_teardown(exchangers_in_order, setup, teardown), cmocka_unit_test_setup_teardown(a_preferred_family_comes_first, setup, teardown),
		cmocka_unit_test_setup_teardown(null_mx, setup, teardown), cmocka_unit_test_setup_teardown(the_domain_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(literals, setup, teardown), cmocka_unit_test_setup_teardown(what_is_not_there, setup, teardown),
		cmocka_unit_test_setup_teardown(queries, setup, teardown), cmocka_unit_test_setup_teardown(names_of_an_address, setup, teardown),
		cmocka_unit_test_setup_teardown(equals_take_turns, setup, teardown), cmocka_unit_test(silence_ends_in_time), cmocka_unit_test(wrong_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
