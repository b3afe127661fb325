/* SPDX-License-Identifier: GPL-3.0-or-later */
/* check_host() of RFC 7208 4, with its limits. What a record costs is counted over all records that it leads to. */
#include "mailauth/spf.h"
#include <arpa/inet.h>
#include <postbus/address.h>
#include <stdlib.h>

struct check {
	struct pb_arena *arena;
	const struct auth_dns *dns;
	struct spf_verdict *v;
	struct spf_values values;
	struct pb_str validated;	/* macro p, once it was asked for */
};

static enum auth_result check_host(struct check *c, struct pb_str domain, bool included);

/* ---- the DNS ---- */

/* 0, PB_ENOTFOUND, or no answer. What finds nothing counts (4.6.4). */
static int ask(struct check *c, const char *type, struct pb_str name, struct pb_str **ret, size_t *ret_n)
{
	int rc;

	*ret_n = 0;
	if (!name.len || name.len > 253)
		return PB_ENOTFOUND;
	rc = c->dns->query(c->dns->arg, type, name, c->arena, ret, ret_n);
	return rc == 0 || rc == PB_ENOTFOUND ? rc : PB_EUNAVAILABLE;
}

static enum auth_result no_answer(struct check *c, struct pb_str name)
{
	return finding_set(&c->v->finding, AUTH_TEMPERROR, "the DNS gives no answer about %.*s", PB_FMT(pb_str_head(name, 100)));
}

static enum auth_result permanent(struct check *c, const char *why)
{
	return finding_set(&c->v->finding, AUTH_PERMERROR, "%s", why);
}

/* ---- addresses ---- */

static bool is_in(const unsigned char *address, const unsigned char *network, unsigned bits)
{
	unsigned whole = bits / 8, left = bits % 8;

	if (memcmp(address, network, whole))
		return false;
	return !left || !((address[whole] ^ network[whole]) & (0xFF << (8 - left)));
}

static bool is_client(const struct check *c, struct pb_str text, const struct spf_term *t)
{
	unsigned char address[16];
	char z[INET6_ADDRSTRLEN];

	if (text.len >= sizeof z)
		return false;
	memcpy(z, text.ptr, text.len);
	z[text.len] = '\0';
	if (inet_pton(c->values.ip6 ? AF_INET6 : AF_INET, z, address) != 1)
		return false;
	return is_in(c->values.address, address, c->values.ip6 ? t->bits6 : t->bits4);
}

static bool read_client(struct check *c, struct pb_str text)
{
	static const unsigned char mapped[12] = { [10] = 0xFF, [11] = 0xFF };
	char z[INET6_ADDRSTRLEN];

	if (!text.len || text.len >= sizeof z)
		return false;
	memcpy(z, text.ptr, text.len);
	z[text.len] = '\0';
	if (inet_pton(AF_INET, z, c->values.address) == 1)
		return true;
	if (inet_pton(AF_INET6, z, c->values.address) != 1)
		return false;
	c->values.ip6 = memcmp(c->values.address, mapped, sizeof mapped) != 0;
	if (!c->values.ip6)
		memmove(c->values.address, c->values.address + 12, 4);
	return true;
}

/* ---- validated names (5.5) ---- */

static const struct spf_term exact = { .bits4 = 32, .bits6 = 128 };

static bool has_client(struct check *c, struct pb_str name)
{
	struct pb_str *list;
	size_t n;

	if (ask(c, c->values.ip6 ? "AAAA" : "A", name, &list, &n))
		return false;
	for (size_t i = 0; i < n; i++)
		if (is_client(c, list[i], &exact))
			return true;
	return false;
}

static struct pb_str reversed(struct check *c)
{
	const unsigned char *a = c->values.address;
	PB_AUTOBUF(out);

	if (!c->values.ip6)
		return pb_strz(pb_arena_printf(c->arena, "%u.%u.%u.%u.in-addr.arpa", a[3], a[2], a[1], a[0]));
	for (int i = 15; i >= 0; i--)
		pb_buf_addf(&out, "%x.%x.", a[i] & 15, a[i] >> 4);
	pb_buf_addz(&out, "ip6.arpa");
	return pb_arena_str(c->arena, pb_buf_str(&out));
}

/* Of the client's names the first that is within target and leads back to it. An error is no match. */
static bool find_validated(struct check *c, struct pb_str target, struct pb_str *ret)
{
	struct pb_str *names;
	size_t n;

	if (ask(c, "PTR", reversed(c), &names, &n))
		return false;
	for (size_t i = 0; i < n && i < SPF_NAMES_MAX; i++)
		if ((!target.len || auth_is_within(names[i], target)) && has_client(c, names[i])) {
			*ret = names[i];
			return true;
		}
	return false;
}

/* Macro p (7.3): the domain itself, one below it, any. */
static struct pb_str validated_name(void *arg)
{
	struct check *c = arg;

	if (!c->validated.len && !find_validated(c, c->values.domain, &c->validated) && !find_validated(c, PB_NOSTR, &c->validated))
		c->validated = PB_STR("unknown");
	return c->validated;
}

/* ---- mechanisms: 1 matches, 0 does not, below: *c->v has the result ---- */

static int count_void(struct check *c, int rc, size_t n)
{
	if (rc != PB_ENOTFOUND && n)
		return 0;
	if (++c->v->voids <= SPF_VOIDS_MAX)
		return 0;
	permanent(c, "more than 2 questions find nothing in the DNS");
	return -1;
}

static int match_a(struct check *c, const struct spf_term *t, struct pb_str target)
{
	struct pb_str *list;
	size_t n;
	int rc = ask(c, c->values.ip6 ? "AAAA" : "A", target, &list, &n);

	if (rc == PB_EUNAVAILABLE) {
		no_answer(c, target);
		return -1;
	}
	for (size_t i = 0; i < n; i++)
		if (is_client(c, list[i], t))
			return 1;
	return count_void(c, rc, n);
}

static int match_mx(struct check *c, const struct spf_term *t, struct pb_str target)
{
	struct pb_str *list;
	size_t n;
	int rc = ask(c, "MX", target, &list, &n);

	if (rc == PB_EUNAVAILABLE) {
		no_answer(c, target);
		return -1;
	}
	if (n > SPF_NAMES_MAX) {
		permanent(c, "an mx has more than 10 hosts");
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		struct pb_str host = list[i], preference;

		pb_str_cut(&host, ' ', &preference);
		if (!host.len || pb_str_eq(host, PB_STR(".")))
			continue;
		rc = match_a(c, t, host);
		if (rc)
			return rc;
	}
	return count_void(c, rc == PB_ENOTFOUND ? rc : 0, n);
}

static int match_ptr(struct check *c, struct pb_str target)
{
	struct pb_str *names, found;
	size_t n;
	int rc = ask(c, "PTR", reversed(c), &names, &n);

	if (rc == PB_EUNAVAILABLE)
		return 0;
	if (count_void(c, rc, n))
		return -1;
	return find_validated(c, target, &found);
}

static int match_exists(struct check *c, struct pb_str target)
{
	struct pb_str *list;
	size_t n;
	int rc = ask(c, "A", target, &list, &n);

	if (rc == PB_EUNAVAILABLE) {
		no_answer(c, target);
		return -1;
	}
	return n ? 1 : count_void(c, rc, n);
}

/* Table of RFC 7208 5.2. */
static int match_include(struct check *c, struct pb_str target)
{
	switch (check_host(c, target, true)) {
	case AUTH_PASS:
		return 1;
	case AUTH_TEMPERROR:
	case AUTH_PERMERROR:
		return -1;
	case AUTH_NONE:
		permanent(c, "an include has no record");
		return -1;
	default:
		return 0;
	}
}

/* Expanded, shortened from the left where it is too long (7.3), without a final dot. */
static struct pb_str expand(struct check *c, struct pb_str spec, struct pb_str domain)
{
	PB_AUTOBUF(out);
	struct pb_str name;
	long dot;

	c->values.domain = domain;
	if (!spec.len)
		return domain;
	spf_macro_expand(spec, &c->values, &out);
	name = pb_buf_str(&out);
	if (pb_str_ends(name, PB_STR(".")))
		name.len--;
	while (name.len > 253 && (dot = pb_str_find(name, '.', 0)) >= 0)
		name = pb_str_skip(name, (size_t)dot + 1);
	return pb_arena_str(c->arena, name);
}

static int match(struct check *c, const struct spf_term *t, struct pb_str domain)
{
	struct pb_str target;

	switch (t->kind) {
	case SPF_ALL:
		return 1;
	case SPF_IP4:
		return !c->values.ip6 && is_in(c->values.address, t->network, t->bits4);
	case SPF_IP6:
		return c->values.ip6 && is_in(c->values.address, t->network, t->bits6);
	default:
		break;
	}
	if (++c->v->lookups > SPF_LOOKUPS_MAX) {
		permanent(c, "more than 10 terms ask the DNS");
		return -1;
	}
	target = expand(c, t->domain, domain);
	switch (t->kind) {
	case SPF_A:
		return match_a(c, t, target);
	case SPF_MX:
		return match_mx(c, t, target);
	case SPF_PTR:
		return match_ptr(c, target);
	case SPF_EXISTS:
		return match_exists(c, target);
	default:
		return match_include(c, target);
	}
}

/* ---- records ---- */

/* 4.5: exactly one. */
static enum auth_result find_record(struct check *c, struct pb_str domain, struct pb_str *ret)
{
	struct pb_str *list;
	size_t n, hits = 0;
	int rc = ask(c, "TXT", domain, &list, &n);

	if (rc == PB_EUNAVAILABLE)
		return no_answer(c, domain);
	for (size_t i = 0; i < n; i++)
		if (spf_is_record(list[i])) {
			*ret = list[i];
			hits++;
		}
	if (hits > 1)
		return permanent(c, "there are several records");
	return hits ? AUTH_PASS : finding_set(&c->v->finding, AUTH_NONE, "%.*s has no record", PB_FMT(pb_str_head(domain, 100)));
}

/* 6.2: of a fail, for people. What goes wrong here changes nothing. */
static void explain(struct check *c, struct pb_str spec, struct pb_str domain)
{
	struct pb_str *list;
	PB_AUTOBUF(out);
	size_t n;

	if (!spec.len || ask(c, "TXT", expand(c, spec, domain), &list, &n) || n != 1 || list[0].len > 2000 || !spf_macro_valid(list[0], true))
		return;
	spf_macro_expand(list[0], &c->values, &out);
	for (size_t i = 0; i < out.len; i++)
		if ((unsigned char)out.ptr[i] < ' ' || (unsigned char)out.ptr[i] >= 127)
			out.ptr[i] = '?';
	c->v->explanation = pb_arena_str(c->arena, pb_str_head(pb_buf_str(&out), 500));
}

static enum auth_result decided(struct check *c, const struct spf_term *t)
{
	enum auth_result r = t->qualifier == '-' ? AUTH_FAIL : t->qualifier == '~' ? AUTH_SOFTFAIL : t->qualifier == '?' ? AUTH_NEUTRAL : AUTH_PASS;

	c->v->mechanism = pb_arena_str(c->arena, t->text);
	return finding_set(&c->v->finding, r, "%.*s", PB_FMT(pb_str_head(t->text, 120)));
}

static enum auth_result redirect(struct check *c, const struct spf_record *r, struct pb_str domain, bool included)
{
	enum auth_result result;

	if (++c->v->lookups > SPF_LOOKUPS_MAX)
		return permanent(c, "more than 10 terms ask the DNS");
	result = check_host(c, expand(c, r->redirect, domain), included);
	return result == AUTH_NONE ? permanent(c, "a redirect has no record") : result;
}

static enum auth_result evaluate(struct check *c, const struct spf_record *r, struct pb_str domain, bool included)
{
	for (size_t i = 0; i < r->n; i++) {
		int rc = match(c, &r->terms[i], domain);

		if (rc < 0)
			return c->v->finding.result;
		if (!rc)
			continue;
		if (decided(c, &r->terms[i]) == AUTH_FAIL && !included)
			explain(c, r->explanation, domain);
		return c->v->finding.result;
	}
	if (r->redirect.len)
		return redirect(c, r, domain, included);
	return finding_set(&c->v->finding, AUTH_NEUTRAL, "nothing matches");
}

/* 4.3: a name of several labels. */
static bool is_domain(struct pb_str s)
{
	struct pb_str rest = s, label;
	size_t labels = 0;

	if (!s.len || s.len > 253)
		return false;
	while (pb_str_cut(&rest, '.', &label)) {
		if (!label.len || label.len > 63)
			return false;
		labels++;
	}
	return labels > 1;
}

static enum auth_result check_host(struct check *c, struct pb_str domain, bool included)
{
	struct pb_str text = PB_NOSTR;
	struct spf_record *r;
	struct pb_error err = { 0 };
	enum auth_result result;

	if (!is_domain(domain))
		return finding_set(&c->v->finding, AUTH_NONE, "there is no domain to ask about");
	result = find_record(c, domain, &text);
	if (result != AUTH_PASS)
		return result;
	r = pb_alloc(sizeof *r);
	if (spf_record_read(text, r, &err))
		result = permanent(c, err.text);
	else
		result = evaluate(c, r, domain, included);
	free(r);
	return result;
}

void spf_check(struct pb_arena *arena, const struct auth_dns *dns, const struct spf_query *q, struct spf_verdict *ret)
{
	struct check c = { .arena = arena, .dns = dns, .v = ret };
	struct pb_str local, domain;
	PB_AUTOBUF(ascii);

	*ret = (struct spf_verdict){ .by_helo = !q->sender.len };
	if (ret->by_helo || !pb_address_split(q->sender, &local, &domain)) {
		local = PB_STR("postmaster");
		domain = ret->by_helo ? q->helo : q->sender;
	}
	if (!local.len)
		local = PB_STR("postmaster");
	domain = !pb_domain_ascii(&ascii, domain, NULL) ? pb_arena_str(arena, pb_buf_str(&ascii)) : PB_NOSTR;
	ret->domain = domain;
	c.values.local = local;
	c.values.sender_domain = domain;
	c.values.sender = pb_strz(pb_arena_printf(arena, "%.*s@%.*s", PB_FMT(local), PB_FMT(domain)));
	c.values.helo = q->helo;
	c.values.host = q->host;
	c.values.now = q->now;
	c.values.validated = validated_name;
	c.values.arg = &c;
	if (!read_client(&c, q->client))
		finding_set(&ret->finding, AUTH_NONE, "the client has no address");
	else
		check_host(&c, domain, false);
}
