/* SPDX-License-Identifier: GPL-3.0-or-later */
/* DKIM signatures verified (RFC 6376 6). Each is judged by itself; what the verdicts mean for the message is decided elsewhere. */
#include "mailauth/dkim.h"
#include <postbus/address.h>
#include <stdlib.h>

struct check {
	struct pb_arena *arena;
	const struct auth_message *msg;
	const struct auth_dns *dns;
	const struct dkim_options *o;
	struct body_hashes hashes;
	struct tags tags;
};

static enum auth_result permerror(struct dkim_verdict *v, const char *what)
{
	return finding_set(&v->finding, AUTH_PERMERROR, "%s", what);
}

/* RFC 6376 3.5, i=: the domain, or one below it. */
static bool read_identity(struct check *c, const struct signature *s, struct dkim_verdict *v)
{
	struct pb_str identity, local, domain;
	PB_AUTOBUF(ascii);

	if (!tags_find(&c->tags, "i", &identity))
		return true;
	v->identity = identity;
	if (!pb_address_split(identity, &local, &domain) || pb_domain_ascii(&ascii, domain, NULL))
		return false;
	return auth_is_within(pb_buf_str(&ascii), s->domain);
}

static bool is_below(const struct signature *s, struct pb_str identity)
{
	struct pb_str local, domain;

	return identity.len && pb_address_split(identity, &local, &domain) && !pb_domain_eq(domain, s->domain);
}

static void describe(struct check *c, const struct signature *s, struct dkim_verdict *v)
{
	v->domain = s->domain;
	v->selector = s->selector;
	v->algorithm = s->historic ? PB_STR("rsa-sha1") : s->kind == KEY_RSA ? PB_STR("rsa-sha256") : PB_STR("ed25519-sha256");
	v->b = pb_arena_str(c->arena, pb_str_head(s->b_text, 8));
}

/* What can be said without the DNS. False: decided. */
static bool look(struct check *c, const struct signature *s, struct dkim_verdict *v)
{
	struct pb_str version;

	if (!tags_find(&c->tags, "v", &version) || !pb_str_eq(version, PB_STR("1")))
		permerror(v, "v= is not 1");
	else if (!tags_lists(s->names, "from"))
		permerror(v, "From is not signed");
	else if (!read_identity(c, s, v))
		permerror(v, "i= is not within d=");
	else if (s->historic)
		finding_set(&v->finding, AUTH_POLICY, "rsa-sha1 counts for nothing (RFC 8301)");
	else if (s->expires >= 0 && c->o->now > s->expires)
		finding_set(&v->finding, AUTH_FAIL, "the signature ran out");
	else
		return true;
	return false;
}

static bool body_fits(struct check *c, const struct signature *s, struct dkim_verdict *v)
{
	const struct body_hash *h = body_hash_get(&c->hashes, c->msg->body, s->body, s->length);

	if (s->has_length && s->length > h->total) {
		permerror(v, "l= is longer than the body");
		return false;
	}
	v->unsigned_octets = s->has_length ? h->total - s->length : 0;
	if (pb_str_eq(pb_str((const char *)h->digest, sizeof h->digest), s->bh))
		return true;
	finding_set(&v->finding, AUTH_FAIL, "the body was changed");
	return false;
}

static void verify_one(struct check *c, const struct pb_field *field, struct dkim_verdict *v)
{
	struct key_use use = { 0 };
	struct pb_error err = { 0 };
	struct signature s;
	PB_AUTOBUF(data);

	if (field->raw.len > SIGNATURE_MAX || tags_parse(field->value, &c->tags, &err)) {
		permerror(v, field->raw.len > SIGNATURE_MAX ? "the field is too long" : err.text);
		return;
	}
	if (!signature_read(c->arena, field, &c->tags, &s, &v->finding))
		return;
	describe(c, &s, v);
	if (!look(c, &s, v) || !body_fits(c, &s, v))
		return;
	signature_data(c->msg, &s, &data);
	signature_try(c->arena, c->dns, s.domain, s.selector, s.kind, pb_buf_str(&data), s.b, &use, &v->finding);
	v->testing = use.testing;
	if (v->finding.result != AUTH_PASS)
		return;
	if (use.strict && is_below(&s, v->identity))
		permerror(v, "the key is for d= alone, i= is below it");
	else if (v->unsigned_octets && !c->o->partial)
		finding_set(&v->finding, AUTH_POLICY, "%llu octets of the body are not signed", (unsigned long long)v->unsigned_octets);
}

void dkim_verify(
    struct pb_arena *arena, const struct auth_message *msg, const struct auth_dns *dns, const struct dkim_options *o, struct dkim_verdict *ret, size_t *ret_n)
{
	struct check *c = pb_alloc(sizeof *c);
	size_t most = o->signatures < DKIM_SIGNATURES_MAX ? o->signatures : DKIM_SIGNATURES_MAX;

	c->arena = arena;
	c->msg = msg;
	c->dns = dns;
	c->o = o;
	*ret_n = 0;
	for (size_t i = 0; i < msg->n && *ret_n < most; i++)
		if (pb_str_ieq(msg->fields[i].name, PB_STR("DKIM-Signature"))) {
			struct dkim_verdict *v = &ret[(*ret_n)++];

			*v = (struct dkim_verdict){ 0 };
			verify_one(c, &msg->fields[i], v);
		}
	free(c);
}

enum auth_result dkim_summary(const struct dkim_verdict *list, size_t n)
{
	static const enum auth_result order[] = { AUTH_PASS, AUTH_TEMPERROR, AUTH_FAIL, AUTH_POLICY, AUTH_PERMERROR, AUTH_NEUTRAL };

	for (size_t k = 0; k < sizeof order / sizeof *order; k++)
		for (size_t i = 0; i < n; i++)
			if (list[i].finding.result == order[k])
				return order[k];
	return AUTH_NONE;
}
