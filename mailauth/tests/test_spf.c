/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SPF and Authentication-Results: examples of the RFCs, and limits. What pyspf says of other records is in test_others.py. */
#include "mailauth/tests/world.h"
#include "mailauth/results.h"
#include "mailauth/spf.h"
/* ---- SPF ---- */

static void macros_are_those_of_rfc_7208_7_4(void **state)
{
	static const struct { const char *text, *v4, *v6; } cases[] = {
		{ "%{s}", "strong-bad@email.example.com", NULL }, { "%{o}", "email.example.com", NULL }, { "%{d}", "email.example.com", NULL }, { "%{d4}", "email.example.com", NULL },
		{ "%{d3}", "email.example.com", NULL }, { "%{d2}", "example.com", NULL }, { "%{d1}", "com", NULL }, { "%{dr}", "com.example.email", NULL }, { "%{d2r}", "example.email", NULL },
		{ "%{l}", "strong-bad", NULL }, { "%{l-}", "strong.bad", NULL }, { "%{lr}", "strong-bad", NULL }, { "%{lr-}", "bad.strong", NULL }, { "%{l1r-}", "strong", NULL },
		{ "%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com",
		  "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com" },
		{ "%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com", NULL }, { "%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com", NULL },
		{ "%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net", NULL }, { "%%%_%-", "% %20", NULL }, { "%{S}", "strong-bad%40email.example.com", NULL },
		{ "%{c} %{r} %{t}", "192.0.2.3 mx.example 17", "2001:db8::cb01 mx.example 17" },
	};
	struct spf_values v = { .sender = PB_STR("strong-bad@email.example.com"), .local = PB_STR("strong-bad"), .sender_domain = PB_STR("email.example.com"),
				.domain = PB_STR("email.example.com"), .host = PB_STR("mx.example"), .now = 17 };
	static const unsigned char v4[] = { 192, 0, 2, 3 }, v6[] = { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xcb, 1 };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int k = 0; k < 2; k++) {
			const char *want = k ? cases[i].v6 : cases[i].v4;
			PB_AUTOBUF(out);

			v.ip6 = k;
			memcpy(v.address, k ? v6 : v4, k ? 16 : 4);
			assert_true(spf_macro_valid(pb_strz(cases[i].text), true));
			spf_macro_expand(pb_strz(cases[i].text), &v, &out);
			if (want && strcmp(pb_buf_z(&out), want))
				fail_msg("%s: '%s', not '%s'", cases[i].text, pb_buf_z(&out), want);
		}
	assert_false(spf_macro_valid(PB_STR("%{c}"), false) || spf_macro_valid(PB_STR("%"), false) || spf_macro_valid(PB_STR("%{s"), false) || spf_macro_valid(PB_STR("%{d0}"), false) ||
		     spf_macro_valid(PB_STR("%{d00000000000000000000001}"), false) || spf_macro_valid(PB_STR("a b"), false) || spf_macro_valid(PB_STR("%{dx}"), false));
}

static struct spf_verdict spf(struct world *world, const char *client, const char *sender, const char *helo)
{
	struct auth_dns dns = { world, query };
	struct spf_query q = { .client = pb_strz(client), .sender = pb_strz(sender), .helo = pb_strz(helo), .host = PB_STR("mx.example"), .now = 17 };
	struct spf_verdict v;

	world->asked = 0;
	spf_check(arena, &dns, &q, &v);
	return v;
}

static void the_limits_of_spf_hold(void **state)
{
	struct entry list[64];
	struct world world = { list, 0, 0 };
	char names[20][24];
	PB_AUTOBUF(record);

	(void)state;
	pb_buf_addz(&record, "v=spf1");
	for (int i = 0; i < 20; i++) {
		snprintf(names[i], sizeof names[i], "i%d.example", i);
		list[world.n++] = (struct entry){ names[i], "TXT", "v=spf1 ?all" };
		pb_buf_addf(&record, " include:%s", names[i]);
	}
	list[world.n++] = (struct entry){ "many.example", "TXT", pb_buf_z(&record) };
	list[world.n++] = (struct entry){ "circle.example", "TXT", "v=spf1 include:circle.example" };
	list[world.n++] = (struct entry){ "round.example", "TXT", "v=spf1 redirect=round.example" };
	list[world.n++] = (struct entry){ "void2.example", "TXT", "v=spf1 a:1.invalid.example a:2.invalid.example -all" };
	list[world.n++] = (struct entry){ "void3.example", "TXT", "v=spf1 a:1.invalid.example a:2.invalid.example exists:3.invalid.example -all" };
	list[world.n++] = (struct entry){ "long.example", "TXT", "v=spf1 exists:%{l}%{l}%{l}%{l}%{l}%{l}.%{d} -all" };
	assert_int_equal(spf(&world, "192.0.2.1", "a@many.example", "h.example").finding.result, AUTH_PERMERROR);
	assert_true(world.asked <= 11);
	assert_int_equal(spf(&world, "192.0.2.1", "a@circle.example", "h.example").finding.result, AUTH_PERMERROR);
	assert_true(world.asked <= 11);
	assert_int_equal(spf(&world, "192.0.2.1", "a@round.example", "h.example").finding.result, AUTH_PERMERROR);
	assert_true(world.asked <= 11);
	assert_int_equal(spf(&world, "192.0.2.1", "a@void2.example", "h.example").finding.result, AUTH_FAIL);
	assert_int_equal(spf(&world, "192.0.2.1", "a@void3.example", "h.example").finding.result, AUTH_PERMERROR);
	assert_int_equal(spf(&world, "192.0.2.1", "0123456789012345678901234567890123456789012345678901234567890123@long.example", "h.example").finding.result, AUTH_FAIL);
}

static void who_is_asked_about(void **state)
{
	static const struct entry list[] = {
		{ "helo.example", "TXT", "v=spf1 ip4:192.0.2.1 -all" }, { "fail.example", "TXT", "v=spf1 exp=why.example -all" },
		{ "why.example", "TXT", "%{i} may not, says %{d} to %{r}" }, { "xn--bcher-kva.example", "TXT", "v=spf1 ip6:2001:db8::/32 -all" }, { "late.example", "TXT", NULL },
		{ "l.example", "TXT", "v=spf1 exists:%{l}.l.example -all" }, { "postmaster.l.example", "A", "127.0.0.1" },
	};
	static const struct { const char *client, *sender, *helo; enum auth_result want; } cases[] = {
		{ "192.0.2.1", "", "helo.example", AUTH_PASS }, { "192.0.2.2", "", "helo.example", AUTH_FAIL }, { "192.0.2.1", "", "[192.0.2.1]", AUTH_NONE }, { "192.0.2.1", "", "localhost", AUTH_NONE },
		{ "192.0.2.2", "x@fail.example", "helo.example", AUTH_FAIL }, { "::ffff:192.0.2.1", "x@HELO.example", "", AUTH_PASS }, { "2001:db8::7", "x@b\xC3\xBC" "cher.example", "", AUTH_PASS },
		{ "192.0.2.1", "x@late.example", "", AUTH_TEMPERROR }, { "192.0.2.1", "@l.example", "", AUTH_PASS }, { "nonsense", "x@helo.example", "", AUTH_NONE }, { "192.0.2.1", "x@a..example", "", AUTH_NONE },
	};
	struct world world = WORLD(list);

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct spf_verdict v = spf(&world, cases[i].client, cases[i].sender, cases[i].helo);

		if (v.finding.result != cases[i].want)
			fail_msg("case %zu: %s (%s)", i, auth_result_name(v.finding.result), v.finding.reason);
	}
	assert_true(pb_str_eq(spf(&world, "192.0.2.2", "x@fail.example", "").explanation, PB_STR("192.0.2.2 may not, says fail.example to mx.example")));
}

/* ---- Authentication-Results ---- */

static void results_are_read_and_written(void **state)
{
	static const struct { const char *value; int n; } cases[] = {		/* RFC 8601 appendix B among them; -1: malformed */
		{ "example.org 1; none", 0 }, { "example.com;\r\n spf=pass smtp.mailfrom=example.net", 1 }, { "example.com; sender-id=pass header.from=example.com;\r\n dkim=pass (good signature) header.d=example.com", 2 },
		{ "foo.example.net (foobar) 1 (baz);\r\n dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n policy (A dot can go here) . (like that) expired\r\n (this surprised me) = (as I wasn't expecting it) 1362471462", 1 },
		{ "example.com; auth=pass (cram-md5) smtp.auth=sender@example.net; spf=fail smtp.mailfrom=example.net", 2 }, { "x; dkim=pass header.b=\"a/b+c=\" header.i=@x.example", 1 },
		{ "x; dkim=fail reason=\"a; b\" header.d=x", 1 }, { "x;", -1 }, { "", -1 }, { "x; dkim", -1 }, { "x; dkim=", -1 }, { "x; dkim=pass header", -1 }, { "x; dkim=pass (open", -1 }, { "x y z; none", -1 },
		{ "x; none; none", -1 },
	};
	struct results r;
	PB_AUTOBUF(out);

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int rc = results_parse(arena, pb_strz(cases[i].value), &r, NULL);

		if (rc ? cases[i].n >= 0 : (int)r.n != cases[i].n)
			fail_msg("%s: %d, %zu", cases[i].value, rc, rc ? 0 : r.n);
	}
	pb_buf_addz(&out, "");
	results_add(&out, "spf", AUTH_PASS, "");
	results_property(&out, "smtp", "mailfrom", PB_STR("bob@example.org"));
	results_add(&out, "dkim", AUTH_FAIL, "a (strange) \\ \r\n reason");
	results_property(&out, "header", "b", PB_STR("a/b=\"\r\nX: y"));
	results_add(&out, "arc", AUTH_FAIL, "ends in \\");
	pb_buf_addz(&out, "");
	{
		PB_AUTOBUF(whole);

		pb_buf_addz(&whole, "mx.example; ");
		pb_buf_addstr(&whole, pb_buf_str(&out));
		assert_true(pb_str_find(pb_buf_str(&whole), '\n', 0) < 0);
		assert_int_equal(results_parse(arena, pb_buf_str(&whole), &r, NULL), 0);
	}
	assert_int_equal(r.n, 3);
	assert_true(pb_str_eq(r.list[0].properties[0].value, PB_STR("bob@example.org")) && pb_str_eq(r.list[1].properties[0].value, PB_STR("a/b=\"??X: y")));
}

static void whose_results_they_are_is_found_in_anything(void **state)
{
	static const struct { const char *value, *host; } cases[] = {
		{ " mx.example; none", "mx.example" }, { "(c) MX.example 1; dkim=", "MX.example" }, { "\"mx.example\";", "mx.example" }, { "\r\n\tmx.example", "mx.example" }, { "", NULL }, { ";", NULL }, { "(", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pb_str host;
		bool found = results_host(arena, pb_strz(cases[i].value), &host);

		if (found != (cases[i].host != NULL) || (found && !pb_str_eq(host, pb_strz(cases[i].host))))
			fail_msg("'%s'", cases[i].value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(macros_are_those_of_rfc_7208_7_4), TEST(the_limits_of_spf_hold), TEST(who_is_asked_about), TEST(results_are_read_and_written),
		TEST(whose_results_they_are_is_found_in_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
