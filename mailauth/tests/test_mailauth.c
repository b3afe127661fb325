/* SPDX-License-Identifier: GPL-3.0-or-later */
/* DKIM, ARC and DMARC: examples of the RFCs, and what a stranger's fields and records may not do. What others sign and say is in test_others.py. */
#include "mailauth/tests/world.h"
#include "mailauth/arc.h"
#include "mailauth/dkim.h"
#include "mailauth/dmarc.h"
/* ---- DKIM ---- */

#define BALL_TO \
	"From: Joe SixPack <joe@football.example.com>\r\nTo: Suzie Q <suzie@shopping.example.net>\r\nSubject: Is dinner ready?\r\n" \
	"Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\nMessage-ID: <20030712040037.46341.5F8J@football.example.com>\r\n\r\nHi.\r\n\r\n" \
	"We lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"
#define BALL_ED \
	"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n d=football.example.com; i=@football.example.com;\r\n q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n" \
	" subject : date : message-id : from : subject : date;\r\n bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n" \
	" b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n"
#define BALL_RSA \
	"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n d=football.example.com; i=@football.example.com;\r\n q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n" \
	" date : message-id : from : subject : date;\r\n bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n" \
	" b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n" \
	" dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n"
#define BALL_KEY \
	"v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+" \
	"PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
#define BALL_ED_P "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

static void the_example_of_rfc_8463_verifies(void **state)
{
	static const struct entry list[] = {
		{ "brisbane._domainkey.football.example.com", "TXT", "v=DKIM1; k=ed25519; p=" BALL_ED_P },
		{ "test._domainkey.football.example.com", "TXT", BALL_KEY },
	};
	static const struct { const char *text; enum auth_result want; } cases[] = {
		{ BALL_ED BALL_RSA BALL_TO, AUTH_PASS },
		{ BALL_ED BALL_RSA "From: eve@evil.example\r\n" BALL_TO, AUTH_FAIL },		/* its h= names From twice: nothing stands there the second time */
		{ BALL_ED BALL_RSA BALL_TO "\r\n\r\n", AUTH_PASS },
		{ BALL_ED BALL_RSA BALL_TO "P.S.\r\n", AUTH_FAIL },
	};
	struct world world = WORLD(list);
	struct auth_dns dns = { &world, query };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct dkim_verdict found[DKIM_SIGNATURES_MAX];
		struct dkim_options o = { .now = 1700000000, .signatures = 10 };
		struct auth_message m;
		size_t n;

		reads(&m, pb_strz(cases[i].text));
		dkim_verify(arena, &m, &dns, &o, found, &n);
		assert_int_equal(n, 2);
		for (size_t k = 0; k < n; k++)
			if (found[k].finding.result != cases[i].want)
				fail_msg("case %zu, signature %zu: %s (%s)", i, k, auth_result_name(found[k].finding.result), found[k].finding.reason);
	}
}

struct signing_case {
	const char *name, *field;	/* instead of the tags of the signature; NULL: as they are */
	const char *record;		/* of the key; NULL: no answer; "": no name */
	const char *append;		/* to the body */
	enum auth_result want;
	const char *reason;
};

static struct private_key *key;
static char public[2048];

static void sign(struct pb_buf *out, struct pb_str message, struct dkim_signing how)
{
	struct auth_message m;

	reads(&m, message);
	how.key = key;
	how.domain = PB_STR("b.example");
	how.selector = PB_STR("s1");
	how.names = pb_strz(dkim_names);
	how.sealed = pb_strz(dkim_sealed);
	assert_int_equal(dkim_sign(&m, &how, out, NULL), 0);
	pb_buf_addstr(out, message);
}

static void verify_as(struct pb_str text, const char *record, int64_t now, enum auth_result want, const char *reason, const char *name)
{
	const struct entry list[] = { { record && !*record ? "other.example" : "s1._domainkey.b.example", "TXT", record } };
	struct world world = WORLD(list);
	struct auth_dns dns = { &world, query };
	struct dkim_options o = { .now = now, .signatures = 10 };
	struct dkim_verdict found[DKIM_SIGNATURES_MAX];
	struct auth_message m;
	size_t n;

	reads(&m, text);
	dkim_verify(arena, &m, &dns, &o, found, &n);
	assert_int_equal(n, 1);
	if (found[0].finding.result != want || (reason && !strstr(found[0].finding.reason, reason)))
		fail_msg("%s: %s (%s), not %s (%s)", name, auth_result_name(found[0].finding.result), found[0].finding.reason, auth_result_name(want), reason);
}

#define MESSAGE "From: Ann <ann@b.example>\r\nSubject: Hi\r\n\r\nHello\r\n"

static void keys_say_what_they_are_for(void **state)
{
	char good[2200], other[2200];
	static const struct { const char *before, *behind; enum auth_result want; const char *reason; } cases[] = {
		{ "v=DKIM1; k=ed25519; p=", "", AUTH_PASS, "" },
		{ "k=ed25519; p=", ";", AUTH_PASS, "" },
		{ "v=DKIM1; k=ed25519; t=y; p=", "", AUTH_PASS, "" },
		{ "v=DKIM1; k=ed25519; h=sha1:sha256; s=email; p=", "", AUTH_PASS, "" },
		{ "v=DKIM2; k=ed25519; p=", "", AUTH_PERMERROR, "no key record" },
		{ "k=ed25519; v=DKIM1; p=", "", AUTH_PERMERROR, "no key record" },
		{ "v=DKIM1; k=rsa; p=", "", AUTH_PERMERROR, "another kind" },
		{ "v=DKIM1; k=ed25519; h=sha1; p=", "", AUTH_PERMERROR, "sha256" },
		{ "v=DKIM1; k=ed25519; s=tlsrpt; p=", "", AUTH_PERMERROR, "not for mail" },
		{ "v=DKIM1; k=ed25519; x=", "", AUTH_PERMERROR, "no key" },
		{ "v=DKIM1; k=ed25519; p=A", "", AUTH_PERMERROR, NULL },
		{ "v=DKIM1; k=ed25519; p=; q=", "", AUTH_PERMERROR, "revoked" },
		{ "nonsense ", "", AUTH_PERMERROR, "no key record" },
	};
	PB_AUTOBUF(text);

	(void)state;
	sign(&text, PB_STR(MESSAGE), (struct dkim_signing){ .now = 1000 });
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		snprintf(good, sizeof good, "%s%s%s", cases[i].before, public, cases[i].behind);
		verify_as(pb_buf_str(&text), good, 2000, cases[i].want, cases[i].reason, good);
	}
	snprintf(other, sizeof other, "v=DKIM1; k=ed25519; p=%s", BALL_ED_P);
	verify_as(pb_buf_str(&text), other, 2000, AUTH_FAIL, "does not fit", "another key");
	verify_as(pb_buf_str(&text), "", 2000, AUTH_PERMERROR, "there is no key", "no such name");
	verify_as(pb_buf_str(&text), NULL, 2000, AUTH_TEMPERROR, "no answer", "no answer");
}

static void signatures_run_out_and_may_leave_something_out(void **state)
{
	char record[2200];
	PB_AUTOBUF(text);
	PB_AUTOBUF(part);
	PB_AUTOBUF(whole);

	(void)state;
	snprintf(record, sizeof record, "v=DKIM1; k=ed25519; p=%s", public);
	sign(&text, PB_STR(MESSAGE), (struct dkim_signing){ .now = 1000, .lifetime = 100 });
	verify_as(pb_buf_str(&text), record, 1100, AUTH_PASS, NULL, "in time");
	verify_as(pb_buf_str(&text), record, 1101, AUTH_FAIL, "ran out", "too late");
	sign(&part, PB_STR(MESSAGE), (struct dkim_signing){ .now = -1, .has_length = true });
	verify_as(pb_buf_str(&part), record, 0, AUTH_PASS, NULL, "all of it");
	pb_buf_addz(&part, "click here\r\n");
	verify_as(pb_buf_str(&part), record, 0, AUTH_POLICY, "12 octets", "something behind it");
	sign(&whole, PB_STR(MESSAGE), (struct dkim_signing){ .now = -1, .has_length = true });
	whole.len -= 2;			/* shorter than l=: the last line end was there, and is added again by the form */
	verify_as(pb_buf_str(&whole), record, 0, AUTH_PASS, NULL, "a line end less");
	whole.len -= 2;
	verify_as(pb_buf_str(&whole), record, 0, AUTH_PERMERROR, "longer than the body", "less");
}

static void identities_lie_within_the_domain(void **state)
{
	static const struct { const char *identity; bool strict; enum auth_result want; } cases[] = {
		{ "@b.example", true, AUTH_PASS },	 { "ann@b.example", true, AUTH_PASS },	     { "ann@sub.b.example", false, AUTH_PASS },
		{ "ann@sub.b.example", true, AUTH_PERMERROR }, { "ann@notb.example", false, AUTH_PERMERROR }, { "ann", false, AUTH_PERMERROR },
		{ "ann@example", false, AUTH_PERMERROR },
	};
	char record[2200];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		PB_AUTOBUF(text);

		snprintf(record, sizeof record, "v=DKIM1; k=ed25519; %sp=%s", cases[i].strict ? "t=s; " : "", public);
		sign(&text, PB_STR(MESSAGE), (struct dkim_signing){ .now = -1, .identity = pb_strz(cases[i].identity) });
		verify_as(pb_buf_str(&text), record, 0, cases[i].want, NULL, cases[i].identity);
	}
}

static void malformed_signatures_are_permanent_errors(void **state)
{
	static const struct { const char *tags; enum auth_result want; const char *reason; } cases[] = {
		{ "", AUTH_PERMERROR, "no tag with a value" },
		{ "v=1", AUTH_PERMERROR, "a=" },
		{ "v=1; a=rsa-sha256; d=b.example; s=s1; h=from; bh=AAAA; b=AAAA; a=rsa-sha256", AUTH_PERMERROR, "twice" },
		{ "v=2; a=rsa-sha256; d=b.example; s=s1; h=from; bh=AAAA; b=AAAA", AUTH_PERMERROR, "v=" },
		{ "v=1; a=rsa-md5; d=b.example; s=s1; h=from; bh=AAAA; b=AAAA", AUTH_PERMERROR, "algorithm" },
		{ "v=1; a=rsa-sha1; d=b.example; s=s1; h=from; bh=AAAA; b=AAAA", AUTH_POLICY, "8301" },
		{ "v=1; a=rsa-sha256; d=b..example; s=s1; h=from; bh=AAAA; b=AAAA", AUTH_PERMERROR, "d=" },
		{ "v=1; a=rsa-sha256; d=b.example; s=s1; h=to; bh=AAAA; b=AAAA", AUTH_PERMERROR, "From is not signed" },
		{ "v=1; a=rsa-sha256; d=b.example; s=s1; h=from::to; bh=AAAA; b=AAAA", AUTH_PERMERROR, "h=" },
		{ "v=1; a=rsa-sha256; d=b.example; s=s1; h=from; bh=AAAA; b=*", AUTH_PERMERROR, "base64" },
		{ "v=1; a=rsa-sha256; d=b.example; s=s1; h=from; bh=AAAA; b=AAAA; c=loose", AUTH_PERMERROR, "c=" },
		{ "v=1; a=rsa-sha256; d=b.example; s=s1; h=from; bh=AAAA; b=AAAA; l=-1", AUTH_PERMERROR, "l=" },
		{ "v=1; a=rsa-sha256; d=b.example; s=s1; h=from; bh=AAAA; b=AAAA; l=99999999999999999999999999", AUTH_PERMERROR, "l=" },
		{ "v=1; a=rsa-sha256; d=b.example; s=s1; h=from; bh=AAAA; b=AAAA; t=10; x=10", AUTH_PERMERROR, "x=" },
		{ "v=1; a=rsa-sha256; d=b.example; s=s1; h=from; bh=AAAA; b=AAAA; q=dns/other", AUTH_PERMERROR, "q=" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		PB_AUTOBUF(text);

		pb_buf_addf(&text, "DKIM-Signature: %s\r\n" MESSAGE, cases[i].tags);
		verify_as(pb_buf_str(&text), "v=DKIM1; p=", 0, cases[i].want, cases[i].reason, cases[i].tags);
	}
}

static void only_so_many_signatures_are_looked_at(void **state)
{
	struct world world = { NULL, 0, 0 };
	struct auth_dns dns = { &world, query };
	struct dkim_options o = { .signatures = 5 };
	struct dkim_verdict found[DKIM_SIGNATURES_MAX];
	struct auth_message m;
	PB_AUTOBUF(text);
	PB_AUTOBUF(many);
	size_t n;

	(void)state;
	for (int i = 0; i < 100; i++)
		sign(&text, PB_STR(MESSAGE), (struct dkim_signing){ .now = i });
	for (int i = 0; i < 100; i++) {
		text.len = 0;
		sign(&text, PB_STR(MESSAGE), (struct dkim_signing){ .now = i });
		pb_buf_addstr(&many, pb_str_head(pb_buf_str(&text), text.len - strlen(MESSAGE)));
	}
	pb_buf_addz(&many, MESSAGE);
	reads(&m, pb_buf_str(&many));
	dkim_verify(arena, &m, &dns, &o, found, &n);
	assert_int_equal(n, 5);
	assert_int_equal(world.asked, 5);
	for (int i = 0; i <= AUTH_FIELDS_MAX; i++)
		pb_buf_addz(&text, "X: y\r\n");
	assert_int_equal(auth_message_read(arena, pb_buf_str(&text), PB_NOSTR, &m, NULL), 0);	/* it ends at the blank line */
	text.len = 0;
	for (int i = 0; i <= AUTH_FIELDS_MAX; i++)
		pb_buf_addz(&text, "X: y\r\n");
	assert_int_equal(auth_message_read(arena, PB_NOSTR, pb_buf_str(&text), &m, NULL), PB_ETOOBIG);
}

/* RFC 6376 3.4.5. */
static void canonical_forms_are_those_of_the_rfc(void **state)
{
	static const struct { const char *in, *out; enum canon form; } fields[] = {
		{ "A: X\r\n", "a:X\r\n", CANON_RELAXED }, { "B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n", CANON_RELAXED }, { "B : Y\t\r\n\tZ  \r\n", "B : Y\t\r\n\tZ  \r\n", CANON_SIMPLE },
		{ "C:\r\n", "c:\r\n", CANON_RELAXED },
	};
	static const struct { const char *in, *out; enum canon form; } bodies[] = {
		{ " C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n", CANON_RELAXED }, { " C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", CANON_SIMPLE },
		{ "", "", CANON_RELAXED }, { "", "\r\n", CANON_SIMPLE }, { "\r\n\r\n", "", CANON_RELAXED }, { "\r\n\r\n", "\r\n", CANON_SIMPLE }, { " \t\r\n\r\nx", "\r\n\r\nx\r\n", CANON_RELAXED },
		{ "a\nb\r\n", "a\nb\r\n", CANON_RELAXED }, { "\na\r\n", "\na\r\n", CANON_RELAXED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		PB_AUTOBUF(out);

		canon_field(fields[i].form, pb_strz(fields[i].in), &out);
		assert_string_equal(pb_buf_z(&out), fields[i].out);
	}
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
		unsigned char digest[32], want[32];
		uint64_t total;

		canon_body_hash(bodies[i].form, pb_strz(bodies[i].in), UINT64_MAX, digest, &total);
		if (total != strlen(bodies[i].out))
			fail_msg("body %zu has %llu octets", i, (unsigned long long)total);
		canon_body_hash(CANON_SIMPLE, pb_strz(bodies[i].out), total, want, &total);	/* what is canonical stays so */
		if (*bodies[i].out && memcmp(digest, want, 32))
			fail_msg("body %zu has another form", i);
	}
}

static void fields_are_chosen_by_names_and_patterns(void **state)
{
	struct auth_message m;
	PB_AUTOBUF(out);

	(void)state;
	reads(&m, PB_STR("Received: x\r\nFrom: a\r\nList-Id: b\r\nLIST-Post: c\r\nX-Y: d\r\nFrom: e\r\n\r\n"));
	dkim_choose(&m, PB_STR("From List-*"), PB_STR("From To"), &out);
	assert_string_equal(pb_buf_z(&out), "From:List-Id:LIST-Post:From:From:To");
}

static void keys_are_kept_and_read_back(void **state)
{
	struct private_key *one, *again;
	PB_AUTOBUF(pem);
	PB_AUTOBUF(a);
	PB_AUTOBUF(b);

	(void)state;
	assert_int_equal(private_key_make(KEY_RSA, 1024, &one, NULL), 0);
	assert_int_equal(private_key_write(one, &pem, NULL), 0);
	assert_int_equal(private_key_read(pb_buf_str(&pem), &again, NULL), 0);
	assert_int_equal(private_key_public(one, &a, NULL), 0);
	assert_int_equal(private_key_public(again, &b, NULL), 0);
	assert_string_equal(pb_buf_z(&a), pb_buf_z(&b));
	assert_int_equal(private_key_bits(again), 1024);
	private_key_free(one);
	private_key_free(again);
	assert_int_equal(private_key_make(KEY_RSA, 512, &one, NULL), PB_EINVALID);
	assert_int_equal(private_key_read(PB_STR("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), &one, NULL), PB_EINVALID);
}

/* ---- ARC ---- */

static void seal(struct pb_buf *text, const char *results, enum auth_result chain, unsigned want)
{
	struct arc_sealing how = {
		.key = key, .domain = PB_STR("b.example"), .selector = PB_STR("s1"), .host = PB_STR("mx.b.example"), .results = pb_strz(results), .names = pb_strz(arc_names), .chain = chain, .now = 5,
	};
	struct auth_message m;
	PB_AUTOBUF(out);
	unsigned instance;

	reads(&m, pb_buf_str(text));
	assert_int_equal(arc_seal(&m, &how, &out, &instance, NULL), 0);
	assert_int_equal(instance, want);
	pb_buf_addstr(&out, pb_buf_str(text));
	text->len = 0;
	pb_buf_addstr(text, pb_buf_str(&out));
}

static enum auth_result chain_of(struct pb_str text, struct arc_verdict *v)
{
	char record[2200];
	const struct entry list[] = { { "s1._domainkey.b.example", "TXT", record } };
	struct world world = WORLD(list);
	struct auth_dns dns = { &world, query };
	struct auth_message m;

	snprintf(record, sizeof record, "v=DKIM1; k=ed25519; p=%s", public);
	reads(&m, text);
	arc_validate(arena, &m, &dns, v);
	return v->finding.result;
}

static void chains_grow_and_break(void **state)
{
	static const struct { const char *from, *to; } breaks[] = {
		{ "ARC-Seal: i=1;", "ARC-Seal: i=3;" }, { "ARC-Seal: i=2;", "ARC-Seal: i=1;" }, { "cv=none", "cv=pass" }, { "cv=pass", "cv=fail" }, { "Hello", "Hallo" }, { "Subject: Hi", "Subject: Ho" },
		{ "i=1; mx.b.example", "i=1; mx.c.example" }, { "ARC-Authentication-Results: i=2;", "ARC-Authentication-Results: i=51;" }, { "ARC-Message-Signature: i=1;", "ARC-Message-Signature: i=x;" },
	};
	struct arc_verdict v;
	PB_AUTOBUF(text);

	(void)state;
	pb_buf_addz(&text, MESSAGE);
	assert_int_equal(chain_of(pb_buf_str(&text), &v), AUTH_NONE);
	seal(&text, "spf=pass; dkim=none", AUTH_PASS, 0);		/* there is no chain that could have passed */
	seal(&text, "spf=pass; dkim=none", AUTH_NONE, 1);
	seal(&text, "arc=pass", AUTH_FAIL, 0);
	seal(&text, "arc=pass", AUTH_PASS, 2);
	assert_int_equal(chain_of(pb_buf_str(&text), &v), AUTH_PASS);
	assert_int_equal(v.instances, 2);
	assert_true(pb_str_eq(v.sealer, PB_STR("b.example")) && pb_str_eq(v.results, PB_STR("mx.b.example; arc=pass")));
	for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
		long at = pb_str_search(pb_buf_str(&text), pb_strz(breaks[i].from), 0);
		PB_AUTOBUF(broken);

		assert_true(at >= 0);
		pb_buf_add(&broken, text.ptr, (size_t)at);
		pb_buf_addz(&broken, breaks[i].to);
		pb_buf_addstr(&broken, pb_str_skip(pb_buf_str(&text), (size_t)at + strlen(breaks[i].from)));
		if (chain_of(pb_buf_str(&broken), &v) != AUTH_FAIL)
			fail_msg("%s for %s: %s", breaks[i].to, breaks[i].from, auth_result_name(v.finding.result));
	}
	for (unsigned i = 3; i <= ARC_SETS_MAX; i++)
		seal(&text, "arc=pass", AUTH_PASS, i);
	assert_int_equal(chain_of(pb_buf_str(&text), &v), AUTH_PASS);
	seal(&text, "arc=pass", AUTH_PASS, 0);
}

/* ---- DMARC ---- */

static void policies_are_found_where_they_hold(void **state)
{
	static const struct entry list[] = {
		{ "_dmarc.a.example", "TXT", "v=DMARC1; p=reject; sp=quarantine; adkim=s; pct=20; rua=mailto:d@a.example" },
		{ "_dmarc.own.a.example", "TXT", "v=DMARC1;p=none" },
		{ "_dmarc.two.example", "TXT", "v=DMARC1; p=reject" }, { "_dmarc.two.example", "TXT", "v=DMARC1; p=none" },
		{ "_dmarc.other.example", "TXT", "v=spf1 -all" }, { "_dmarc.bad.example", "TXT", "v=DMARC1; p=perhaps" },
		{ "_dmarc.report.example", "TXT", "v=DMARC1; p=perhaps; rua=mailto:d@report.example" }, { "_dmarc.late.example", "TXT", NULL },
		{ "_dmarc.city.kawasaki.jp", "TXT", "v=DMARC1; p=reject" }, { "_dmarc.shop.co.uk", "TXT", "v = DMARC1 ; p = quarantine ; aspf = s" },
		{ "_dmarc.p.example", "TXT", "p=reject; v=DMARC1" },
	};
	static const struct { const char *domain, *found_at, *organizational; enum dmarc_policy policy; int rc; } cases[] = {
		{ "a.example", "a.example", "a.example", DMARC_REJECT, 0 }, { "x.y.a.example", "a.example", "a.example", DMARC_QUARANTINE, 0 },
		{ "own.a.example", "own.a.example", "a.example", DMARC_NONE, 0 }, { "two.example", "", "two.example", DMARC_NONE, 0 }, { "x.two.example", "", "two.example", DMARC_NONE, 0 },
		{ "other.example", "", "other.example", DMARC_NONE, 0 }, { "bad.example", "", "bad.example", DMARC_NONE, 0 }, { "report.example", "report.example", "report.example", DMARC_NONE, 0 },
		{ "late.example", "", "", DMARC_NONE, PB_EUNAVAILABLE }, { "x.city.kawasaki.jp", "city.kawasaki.jp", "city.kawasaki.jp", DMARC_REJECT, 0 },
		{ "www.shop.co.uk", "shop.co.uk", "shop.co.uk", DMARC_QUARANTINE, 0 }, { "p.example", "", "p.example", DMARC_NONE, 0 }, { "co.uk", "", "co.uk", DMARC_NONE, 0 },
	};
	struct world world = WORLD(list);
	struct auth_dns dns = { &world, query };
	struct dmarc_record r;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int rc = dmarc_find(arena, &dns, pb_strz(cases[i].domain), &r, NULL);

		if (rc != cases[i].rc || (!rc && (r.policy != cases[i].policy || !pb_str_eq(r.found_at, pb_strz(cases[i].found_at)) || !pb_str_eq(r.organizational, pb_strz(cases[i].organizational)))))
			fail_msg("%s: %d, %s at '%.*s' of %.*s", cases[i].domain, rc, dmarc_policy_name(r.policy), PB_FMT(r.found_at), PB_FMT(r.organizational));
	}
	assert_int_equal(dmarc_find(arena, &dns, PB_STR("x.a.example"), &r, NULL), 0);
	assert_int_equal(r.percent, 20);
	assert_true(r.strict_dkim && !r.strict_spf);
	assert_true(dmarc_aligned(arena, &r, PB_STR("mail.a.example"), false));
	assert_true(dmarc_aligned(arena, &r, PB_STR("X.A.example"), true));
	assert_false(dmarc_aligned(arena, &r, PB_STR("a.example"), true));
	assert_false(dmarc_aligned(arena, &r, PB_STR("b.example"), false));
	assert_false(dmarc_aligned(arena, &r, PB_NOSTR, false));
}

static void one_author_has_one_domain(void **state)
{
	static const struct { const char *header, *want; } cases[] = {
		{ "From: a@X.Example\r\n\r\n", "x.example" }, { "From: a@x.example, b@X.example\r\n\r\n", "x.example" }, { "From: a@x.example, b@y.example\r\n\r\n", NULL },
		{ "From: a@x.example\r\nFrom: a@x.example\r\n\r\n", NULL }, { "Subject: x\r\n\r\n", NULL }, { "From: a\r\n\r\n", NULL }, { "From: \"x@y.example\" <a@b\xC3\xBC.example>\r\n\r\n", "xn--b-eha.example" },
		{ "From: friends:;\r\n\r\n", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct auth_message m;
		struct pb_str found = PB_NOSTR;

		reads(&m, pb_strz(cases[i].header));
		if (auth_from_domain(arena, &m, &found) != (cases[i].want != NULL) || (cases[i].want && !pb_str_eq(found, pb_strz(cases[i].want))))
			fail_msg("%s: '%.*s'", cases[i].header, PB_FMT(found));
	}
}

static int make_key(void **state)
{
	PB_AUTOBUF(p);

	(void)state;
	if (private_key_make(KEY_ED25519, 0, &key, NULL) || private_key_public(key, &p, NULL))
		return -1;
	snprintf(public, sizeof public, "%s", pb_buf_z(&p));
	return 0;
}

static int drop_key(void **state)
{
	(void)state;
	private_key_free(key);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_example_of_rfc_8463_verifies), TEST(keys_say_what_they_are_for), TEST(signatures_run_out_and_may_leave_something_out), TEST(identities_lie_within_the_domain),
		TEST(malformed_signatures_are_permanent_errors), TEST(only_so_many_signatures_are_looked_at), TEST(canonical_forms_are_those_of_the_rfc),
		TEST(fields_are_chosen_by_names_and_patterns), TEST(keys_are_kept_and_read_back), TEST(chains_grow_and_break), TEST(policies_are_found_where_they_hold),
		TEST(one_author_has_one_domain),
	};

	return cmocka_run_group_tests(tests, make_key, drop_key);
}
