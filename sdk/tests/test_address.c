/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses: the paths of SMTP, strict; the lists of headers, tolerant; the forms that are compared. */
#include "tables.h"
#include <postbus/address.h>

static void paths(void **state)
{
	enum { UTF8 = PB_PATH_UTF8, NUL = PB_PATH_NULL, POST = PB_PATH_POSTMASTER, BARE = PB_PATH_BARE };
	static const struct { const char *name, *text; unsigned allow; int rc; const char *address, *domain, *rest; } table[] = {
		{ "plain", "<bob@example.org>", 0, 0, "bob@example.org", "example.org", "" },
		{ "with parameters", " <bob@example.org> SIZE=12", 0, 0, "bob@example.org", "example.org", " SIZE=12" },
		{ "null path where it is allowed", "<>", NUL, 0, "", "", "" },
		{ "null path where it is not", "<>", 0, PB_EINVALID, NULL, NULL, NULL },
		{ "postmaster alone", "<PostMaster>", POST, 0, "PostMaster", "", "" },
		{ "postmaster alone where it is not allowed", "<postmaster>", 0, PB_EINVALID, NULL, NULL, NULL },
		{ "another name alone", "<bob>", POST, PB_EINVALID, NULL, NULL, NULL },
		{ "a source route", "<@a.example,@b.example:bob@example.org>", 0, 0, "bob@example.org", "example.org", "" },
		{ "a broken source route", "<@a.example,b.example:bob@example.org>", 0, PB_EINVALID, NULL, NULL, NULL },
		{ "a quoted local part", "<\"bob smith\"@example.org>", 0, 0, "\"bob smith\"@example.org", "example.org", "" },
		{ "brackets and @ in quotes", "<\"a>@<b\"@example.org>", 0, 0, "\"a>@<b\"@example.org", "example.org", "" },
		{ "a quoted pair", "<\"a\\\"b\"@example.org>", 0, 0, "\"a\\\"b\"@example.org", "example.org", "" },
		{ "an open quote", "<\"bob@example.org>", 0, PB_EINVALID, NULL, NULL, NULL },
		{ "a dot at the front", "<.bob@example.org>", 0, PB_EINVALID, NULL, NULL, NULL },
		{ "a dot at the end", "<bob.@example.org>", 0, PB_EINVALID, NULL, NULL, NULL },
		{ "two dots", "<b..b@example.org>", 0, PB_EINVALID, NULL, NULL, NULL },
		{ "all of atext", "<a!#$%&'*+-/=?^_`{|}~z@example.org>", 0, 0, "a!#$%&'*+-/=?^_`{|}~z@example.org", "example.org", "" },
		{ "a blank in the local part", "<bob smith@example.org>", 0, PB_EINVALID, NULL, NULL, NULL },
		{ "no domain", "<bob@>", 0, PB_EINVALID, NULL, NULL, NULL },
		{ "an empty label", "<bob@example..org>", 0, PB_EINVALID, NULL, NULL, NULL },
		{ "a dot at the end of the domain", "<bob@example.org.>", 0, PB_EINVALID, NULL, NULL, NULL },
		{ "a hyphen at the front of a label", "<bob@-example.org>", 0, PB_EINVALID, NULL, NULL, NULL },
		{ "an underscore in a label", "<bob@a_b.example.org>", 0, 0, "bob@a_b.example.org", "a_b.example.org", "" },
		{ "an IPv4 literal", "<bob@[192.0.2.1]>", 0, 0, "bob@[192.0.2.1]", "[192.0.2.1]", "" },
		{ "an IPv6 literal", "<bob@[IPv6:2001:db8::1]>", 0, 0, "bob@[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]", "" },
		{ "an IPv6 literal without its tag", "<bob@[2001:db8::1]>", 0, PB_EINVALID, NULL, NULL, NULL },
		{ "a literal out of range", "<bob@[192.0.2.256]>", 0, PB_EINVALID, NULL, NULL, NULL },
		{ "no brackets where they are asked for", "bob@example.org", 0, PB_EINVALID, NULL, NULL, NULL },
		{ "no brackets where they are not", "bob@example.org SIZE=1", BARE, 0, "bob@example.org", "example.org", " SIZE=1" },
		{ "no end", "<bob@example.org", 0, PB_EINVALID, NULL, NULL, NULL },
		{ "something behind it", "<bob@example.org>x", 0, PB_EINVALID, NULL, NULL, NULL },
		{ "nothing", "", NUL | BARE, PB_EINVALID, NULL, NULL, NULL },
		{ "UTF-8 that was not asked for", "<b\xC3\xB6" "b@example.org>", 0, PB_EINVALID, NULL, NULL, NULL },
		{ "UTF-8 in the local part", "<b\xC3\xB6" "b@example.org>", UTF8, 0, "b\xC3\xB6" "b@example.org", "example.org", "" },
		{ "UTF-8 in the domain", "<bob@b\xC3\xBC" "cher.example>", UTF8, 0, "bob@b\xC3\xBC" "cher.example", "b\xC3\xBC" "cher.example", "" },
		{ "broken UTF-8", "<b\xC3@example.org>", UTF8, PB_EINVALID, NULL, NULL, NULL },
		{ "a control byte", "<b\x01@example.org>", 0, PB_EINVALID, NULL, NULL, NULL },
		{ "64 octets of local part", "<0123456789012345678901234567890123456789012345678901234567890123@example.org>", 0, 0,
		  "0123456789012345678901234567890123456789012345678901234567890123@example.org", "example.org", "" },
		{ "65 octets of local part", "<01234567890123456789012345678901234567890123456789012345678901234@example.org>", 0, PB_ETOOBIG, NULL, NULL, NULL },
		{ "a label of 64 octets", "<bob@0123456789012345678901234567890123456789012345678901234567890123.org>", 0, PB_ETOOBIG, NULL, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		struct pb_str text = pb_strz(table[i].text), rest = text;
		struct pb_path path = { 0 };
		struct pb_error err = { 0 };

		expect_int(table[i].name, pb_path_parse(&rest, table[i].allow, &path, &err), table[i].rc);
		if (table[i].rc) {
			expect_str(table[i].name, rest, text);
			assert_true(err.text[0] && err.code == table[i].rc);
			continue;
		}
		expect_str(table[i].name, path.address, pb_strz(table[i].address));
		expect_str(table[i].name, path.domain, pb_strz(table[i].domain));
		expect_str(table[i].name, rest, pb_strz(table[i].rest));
	}
}

static void parameters(void **state)
{
	struct pb_str rest = PB_STR(" SIZE=1000 BODY=8BITMIME  SMTPUTF8 X=a=b"), key, value;
	static const char *const bad[] = { "=1", "SIZE=", "-A=1", "S!ZE=1", "A=\x01", "A=\xFF" };

	(void)state;
	assert_int_equal(pb_param_next(&rest, &key, &value, NULL), 1);
	expect_str("key", key, PB_STR("SIZE"));
	expect_str("value", value, PB_STR("1000"));
	assert_int_equal(pb_param_next(&rest, &key, &value, NULL), 1);
	expect_str("value", value, PB_STR("8BITMIME"));
	assert_int_equal(pb_param_next(&rest, &key, &value, NULL), 1);
	expect_str("key", key, PB_STR("SMTPUTF8"));
	assert_null(value.ptr);
	assert_int_equal(pb_param_next(&rest, &key, &value, NULL), PB_EINVALID);
	rest = PB_STR("  ");
	assert_int_equal(pb_param_next(&rest, &key, &value, NULL), 0);
	for (size_t i = 0; i < COUNT(bad); i++) {
		rest = pb_strz(bad[i]);
		expect_int(bad[i], pb_param_next(&rest, &key, &value, NULL), PB_EINVALID);
	}
}

static void xtext(void **state)
{
	PB_AUTOBUF(out);

	(void)state;
	assert_int_equal(pb_xtext_decode(&out, PB_STR("rfc822;bob+2Btag@example.org")), 0);
	expect_str("decoded", pb_buf_str(&out), PB_STR("rfc822;bob+tag@example.org"));
	assert_int_equal(pb_xtext_decode(&out, PB_STR("a+0Ab")), PB_EINVALID);
	assert_int_equal(pb_xtext_decode(&out, PB_STR("a+2b")), PB_EINVALID);
	assert_int_equal(pb_xtext_decode(&out, PB_STR("a+")), PB_EINVALID);
	assert_int_equal(pb_xtext_decode(&out, PB_STR("a=b")), PB_EINVALID);
	expect_str("untouched by failures", pb_buf_str(&out), PB_STR("rfc822;bob+tag@example.org"));
	pb_buf_reset(&out);
	pb_xtext_encode(&out, PB_STR("a+b=c d"));
	expect_str("encoded", pb_buf_str(&out), PB_STR("a+2Bb+3Dc+20d"));
}

static void forms(void **state)
{
	static const struct { const char *name, *text, *normal, *key; } table[] = {
		{ "the domain is lowered, the local part kept", "Bob@Example.ORG", "Bob@example.org", "bob@example.org" },
		{ "quotes that are not needed go", "\"Bob\"@example.org", "Bob@example.org", "bob@example.org" },
		{ "quotes that are needed stay", "\"bob smith\"@example.org", "\"bob smith\"@example.org", "\"bob smith\"@example.org" },
		{ "a quoted pair that is not needed goes", "\"b\\ob\"@example.org", "bob@example.org", "bob@example.org" },
		{ "dots that an atom cannot have stay quoted", "\".bob\"@example.org", "\".bob\"@example.org", "\".bob\"@example.org" },
		{ "U-labels", "bob@B\xC3\x9C" "CHER.example", "bob@b\xC3\xBC" "cher.example", "bob@xn--bcher-kva.example" },
		{ "A-labels", "bob@XN--BCHER-KVA.example", "bob@xn--bcher-kva.example", "bob@xn--bcher-kva.example" },
		{ "decomposed characters of the local part", "bo\xCC\x88" "b@example.org", "bo\xCC\x88" "b@example.org", "b\xC3\xB6" "b@example.org" },
		{ "capital letters of the local part", "B\xC3\x96" "B@example.org", "B\xC3\x96" "B@example.org", "b\xC3\xB6" "b@example.org" },
		{ "a literal", "bob@[ipv6:2001:DB8::1]", "bob@[IPv6:2001:db8::1]", "bob@[IPv6:2001:db8::1]" },
		{ "no address", "bob smith@example.org", NULL, NULL },
	};
	struct pb_str local, domain;

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		PB_AUTOBUF(normal);
		PB_AUTOBUF(key);
		struct pb_error err;

		expect_int(table[i].name, pb_address_normal(&normal, pb_strz(table[i].text), &err), table[i].normal ? 0 : PB_EINVALID);
		expect_int(table[i].name, pb_address_key(&key, pb_strz(table[i].text), &err), table[i].key ? 0 : PB_EINVALID);
		expect_str(table[i].name, pb_buf_str(&normal), pb_strz(table[i].normal));
		expect_str(table[i].name, pb_buf_str(&key), pb_strz(table[i].key));
	}
	assert_true(pb_domain_eq(PB_STR("B\xC3\xBC" "cher.Example"), PB_STR("xn--bcher-kva.example")));
	assert_true(pb_domain_eq(PB_STR("example.org."), PB_STR("EXAMPLE.org")));
	assert_false(pb_domain_eq(PB_STR("example.org"), PB_STR("example.com")));
	assert_true(pb_address_split(PB_STR("\"a@b\"@c"), &local, &domain));
	expect_str("local", local, PB_STR("\"a@b\""));
	assert_true(pb_address_split(PB_STR("a@b@c"), &local, &domain));
	expect_str("domain", domain, PB_STR("c"));
	assert_false(pb_address_split(PB_STR("bob"), &local, &domain));
	assert_false(pb_address_split(PB_STR("\"a@b\""), &local, &domain));
}

/* An address list in one line: name|route|local|domain, "{name" begins a group and "}" ends it. */
static void flatten(struct pb_buf *out, struct pb_str text)
{
	struct pb_addrs list = PB_ADDRS(text);
	struct pb_addr a;

	while (pb_addrs_next(&list, &a)) {
		if (out->len)
			pb_buf_addc(out, ' ');
		if (a.kind == PB_ADDR_GROUP)
			pb_buf_addf(out, "{%.*s", PB_FMT(a.name));
		else if (a.kind == PB_ADDR_GROUP_END)
			pb_buf_addc(out, '}');
		else
			pb_buf_addf(out, "%.*s|%.*s|%.*s|%.*s", PB_FMT(a.name), PB_FMT(a.route), PB_FMT(a.local), PB_FMT(a.domain));
	}
	pb_addrs_free(&list);
}

static void header_lists(void **state)
{
	static const struct { const char *name, *text, *want; } table[] = {
		{ "an address", "bob@example.org", "||bob|example.org" },
		{ "brackets", "<bob@example.org>", "||bob|example.org" },
		{ "a name", "Bob Smith <bob@example.org>", "Bob Smith||bob|example.org" },
		{ "a quoted name", "\"Smith, \\\"Bob\\\"\" <bob@example.org>", "Smith, \"Bob\"||bob|example.org" },
		{ "an initial with a dot", "John Q. Public <john@example.org>", "John Q. Public||john|example.org" },
		{ "a name in a comment", "bob@example.org (Bob Smith)", "Bob Smith||bob|example.org" },
		{ "a name and a comment", "Bob <bob@example.org> (at work)", "Bob||bob|example.org" },
		{ "comments in an address", "bob(x) @ (y) example(z) . org", "z||bob|example.org" },
		{ "several", "a@x, b@y,c@z", "||a|x ||b|y ||c|z" },
		{ "empty ones between them", ", a@x,, b@y ,", "||a|x ||b|y" },
		{ "a group", "Friends: a@x, B <b@y>; c@z", "{Friends ||a|x B||b|y } ||c|z" },
		{ "an empty group", "undisclosed-recipients:;", "{undisclosed-recipients }" },
		{ "a group without its end", "Friends: a@x", "{Friends ||a|x }" },
		{ "a source route", "<@a.example,@b.example:bob@example.org>", "|@a.example,@b.example|bob|example.org" },
		{ "a quoted local part", "\"bob smith\"@example.org", "||bob smith|example.org" },
		{ "blanks around dots", "bob . smith @ example . org", "||bob.smith|example.org" },
		{ "a domain literal", "bob@[192.0.2.1]", "||bob|[192.0.2.1]" },
		{ "folding", "Bob\r\n Smith <bob@\r\n example.org>", "Bob Smith||bob|example.org" },
		{ "encoded words stay", "=?utf-8?Q?B=C3=B6b?= <bob@example.org>", "=?utf-8?Q?B=C3=B6b?=||bob|example.org" },
		{ "bytes above 127 stay", "B\xF6" "b <bob@example.org>", "B\xF6" "b||bob|example.org" },
		{ "an address for a name", "bob@example.org <bob@example.org>", "bob@example.org||bob|example.org" },
		{ "semicolons as commas", "a@x; b@y", "||a|x ||b|y" },
		{ "no domain", "root", "||root|" },
		{ "no domain, with a comment", "root (Cron)", "Cron||root|" },
		{ "a bracket that stays open", "Bob <bob@example.org", "Bob||bob|example.org" },
		{ "a comment that stays open", "bob@example.org (Bob", "Bob||bob|example.org" },
		{ "a quote that stays open", "\"Bob <bob@example.org>", "||Bob <bob@example.org>|" },
		{ "words before an address", "Bob Smith bob@example.org", "Bob Smith||bob|example.org" },
		{ "nested comments with quoted parentheses", "bob@x (a (b) \\) c)", "a (b) ) c||bob|x" },
		{ "empty brackets", "Bob <>", "Bob|||" },
		{ "nothing", "", "" },
		{ "nothing but commas and blanks", " , ,, ", "" },
		{ "specials only", "@:;>,[", "||[|" },
		{ "two at signs", "a@b@c", "||a|b" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		PB_AUTOBUF(out);

		flatten(&out, pb_strz(table[i].text));
		expect_str(table[i].name, pb_buf_str(&out), pb_strz(table[i].want));
	}
}

static void long_lists_of_anything_end_in_time(void **state)
{
	static const char *const pieces[] = { "a(b)", "(", "\"", "<", ":", "a,", "@", "a.b ", "[", "\\", ";", "a <", "g:a;" };

	(void)state;
	for (size_t i = 0; i < COUNT(pieces); i++) {
		PB_AUTOBUF(text);
		PB_AUTOBUF(out);

		while (text.len < 200000)
			pb_buf_addz(&text, pieces[i]);
		flatten(&out, pb_buf_str(&text));
		assert_true(out.len < text.len * 8 + 100);
	}
}

static void return_paths_name_their_recipient(void **state)
{
	static const struct { const char *name, *bounces, *recipient, *want; int rc; } table[] = {
		{ "plain", "list-bounces@lists.example", "bob@example.org", "list-bounces+bob=example.org@lists.example", 0 },
		{ "a subaddress", "l@x.example", "bob+news@example.org", "l+bob=2Bnews=example.org@x.example", 0 },
		{ "signs that part", "l+a=b@x.example", "a=b+c@example.org", "l+a=b+a=3Db=2Bc=example.org@x.example", 0 },
		{ "underscores", "l@x.example", "bob_smith@a_b.example", "l+bob_smith=a_5Fb.example@x.example", 0 },
		{ "what looks escaped", "l@x.example", "a=3D_5F@3d.example", "l+a=3D3D_5F=3d.example@x.example", 0 },
		{ "a quoted local part", "l@x.example", "\"a b@c\"@example.org", "l+=22a=20b=40c=22=example.org@x.example", 0 },
		{ "dots that need quotes", "l@x.example", "\"..a.\"@example.org", "l+=22.=2Ea.=22=example.org@x.example", 0 },
		{ "a quoted pair", "l@x.example", "\"a\\\"\\\\b\"@example.org", "l+=22a=5C=22=5C=5Cb=22=example.org@x.example", 0 },
		{ "all of atext", "l@x.example", "a!#$%&'*/?^`{|}~@y.example", "l+a=21=23=24=25=26=27=2A=2F=3F=5E=60=7B=7C=7D=7E=y.example@x.example", 0 },
		{ "UTF-8", "l@x.example", "b\xC3\xB6" "b@b\xC3\xBC" "cher.example", "l+b=C3=B6b=b_C3_BCcher.example@x.example", 0 },
		{ "an address literal", "l@x.example", "bob@[IPv6:2001:db8::1]", "l+bob=_5BIPv6_3A2001_3Adb8_3A_3A1_5D@x.example", 0 },
		{ "case stays", "L-Bounces@X.Example", "Bob@Example.ORG", "L-Bounces+Bob=Example.ORG@X.Example", 0 },
		{ "64 octets of local part", "l@x.example", "01234567890123456789012345678901234567890123456789@example.org",
		  "l+01234567890123456789012345678901234567890123456789=example.org@x.example", 0 },
		{ "65 octets of local part", "l@x.example", "012345678901234567890123456789012345678901234567890@example.org", "", PB_ETOOBIG },
		{ "no recipient", "l@x.example", "", "", PB_EINVALID },
		{ "no domain", "l@x.example", "bob", "", PB_EINVALID },
		{ "quotes around the list", "\"l m\"@x.example", "bob@example.org", "", PB_EINVALID },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		PB_AUTOBUF(made);
		PB_AUTOBUF(bounces);
		PB_AUTOBUF(recipient);

		expect_int(table[i].name, pb_verp_make(&made, pb_strz(table[i].bounces), pb_strz(table[i].recipient), NULL), table[i].rc);
		expect_str(table[i].name, pb_buf_str(&made), pb_strz(table[i].want));
		if (table[i].rc)
			continue;
		assert_int_equal(pb_address_parse(pb_buf_str(&made), 0, NULL, NULL), 0);
		expect_int(table[i].name, pb_verp_find(pb_buf_str(&made), &bounces, &recipient), true);
		expect_str(table[i].name, pb_buf_str(&bounces), pb_strz(table[i].bounces));
		expect_str(table[i].name, pb_buf_str(&recipient), pb_strz(table[i].recipient));
	}
}

/* Each byte that may stand in a local part, beside each other one. */
static void every_local_part_comes_back_from_its_return_path(void **state)
{
	(void)state;
	for (unsigned a = ' '; a < 127; a++) {
		for (unsigned b = ' '; b < 127; b++) {
			char quoted[] = { '"', '\\', (char)a, '\\', (char)b, '"', '@', 'e', '.', 'x' }, bare[] = { 'f', (char)a, (char)b, '0', '@', 'e', '.', 'x' };
			struct pb_str forms[] = { pb_str(quoted, sizeof quoted), pb_str(bare, sizeof bare) };

			for (size_t i = 0; i < COUNT(forms); i++) {
				PB_AUTOBUF(made);
				PB_AUTOBUF(bounces);
				PB_AUTOBUF(recipient);

				if (pb_address_parse(forms[i], 0, NULL, NULL))
					continue;
				assert_int_equal(pb_verp_make(&made, PB_STR("l-b@x.example"), forms[i], NULL), 0);
				assert_true(pb_verp_find(pb_buf_str(&made), &bounces, &recipient));
				expect_str("the recipient", pb_buf_str(&recipient), forms[i]);
				expect_str("the list", pb_buf_str(&bounces), PB_STR("l-b@x.example"));
			}
		}
	}
}

static void addresses_that_name_no_recipient(void **state)
{
	static const struct { const char *name, *address; } table[] = {
		{ "a plain address", "list-bounces@lists.example" },
		{ "a subaddress", "list-bounces+token@lists.example" },
		{ "no list", "+bob=example.org@lists.example" },
		{ "no local part", "l+=example.org@lists.example" },
		{ "no domain", "l+bob=@lists.example" },
		{ "half an escape", "l+bob=2=example.org@lists.example" },
		{ "an escape that is none", "l+bob=2Gx=example.org@lists.example" },
		{ "an escape at the end", "l+bob=example_5@lists.example" },
		{ "half of a UTF-8 letter", "l+b=C3=example.org@lists.example" },
		{ "a line end", "l+b=0D=0Ac=example.org@lists.example" },
		{ "blanks without quotes", "l+b=20c=example.org@lists.example" },
		{ "a domain that is none", "l+bob=-x@lists.example" },
		{ "no address", "l+bob=example.org" },
	};
	PB_AUTOBUF(bounces);
	PB_AUTOBUF(recipient);

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		expect_int(table[i].name, pb_verp_find(pb_strz(table[i].address), &bounces, &recipient), false);
		expect_int(table[i].name, (long long)(bounces.len + recipient.len), 0);
	}
	assert_true(pb_verp_find(PB_STR("l+b=c3=b6=2bb=example.org@lists.example"), &bounces, &recipient));
	expect_str("digits that came back in lower case", pb_buf_str(&recipient), PB_STR("b\xC3\xB6+b@example.org"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),
		cmocka_unit_test(parameters),
		cmocka_unit_test(xtext),
		cmocka_unit_test(forms),
		cmocka_unit_test(header_lists),
		cmocka_unit_test(return_paths_name_their_recipient),
		cmocka_unit_test(every_local_part_comes_back_from_its_return_path),
		cmocka_unit_test(addresses_that_name_no_recipient),
		cmocka_unit_test(long_lists_of_anything_end_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
