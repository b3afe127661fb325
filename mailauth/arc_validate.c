/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A chain validated (RFC 8617 5.2): its shape, the highest message signature, and every seal from the highest down. */
#include "mailauth/arc_sets.h"
#include <postbus/address.h>
#include <stdlib.h>

struct chain {
	struct pb_arena *arena;
	const struct auth_message *msg;
	const struct auth_dns *dns;
	struct arc_sets sets;
	struct tags tags;
	struct finding *why;
};

static bool broken(struct chain *c, const char *what, unsigned i)
{
	finding_set(c->why, AUTH_FAIL, "i=%u: %s", i, what);
	return false;
}

/* A key that cannot be asked for says nothing about the chain. */
static bool took(struct chain *c, const char *part, unsigned i, enum auth_result r, const struct finding *f)
{
	if (r == AUTH_PASS)
		return true;
	finding_set(c->why, r == AUTH_TEMPERROR ? AUTH_TEMPERROR : AUTH_FAIL, "%s i=%u: %s", part, i, f->reason);
	return false;
}

/* cv= of each: none at the first, pass at the others; what is fail stays it. */
static bool check_status(struct chain *c)
{
	for (unsigned i = c->sets.n; i; i--) {
		struct pb_str cv = PB_NOSTR, h;

		if (tags_parse(c->sets.part[i][ARC_SEAL]->value, &c->tags, NULL) || !tags_find(&c->tags, "cv", &cv))
			return broken(c, "the seal is malformed", i);
		if (tags_find(&c->tags, "h", &h) || tags_find(&c->tags, "bh", &h))
			return broken(c, "the seal has h= or bh=", i);
		if (pb_str_ieq(cv, PB_STR("fail")))
			return broken(c, "the chain was broken before", i);
		if (!pb_str_ieq(cv, i == 1 ? PB_STR("none") : PB_STR("pass")))
			return broken(c, "cv= is not what belongs there", i);
	}
	return true;
}

static bool check_signature(struct chain *c, unsigned i)
{
	const struct body_hash *h;
	struct body_hashes hashes = { 0 };
	struct finding found = { 0 };
	struct signature s;
	struct key_use use;
	PB_AUTOBUF(data);

	if (tags_parse(c->sets.part[i][ARC_SIGNATURE]->value, &c->tags, NULL))
		return broken(c, "the message signature is malformed", i);
	if (!signature_read(c->arena, c->sets.part[i][ARC_SIGNATURE], &c->tags, &s, &found))
		return broken(c, found.reason, i);
	if (tags_lists(s.names, "arc-seal"))
		return broken(c, "the message signature covers a seal", i);
	if (s.historic)
		return broken(c, "rsa-sha1 counts for nothing", i);
	h = body_hash_get(&hashes, c->msg->body, s.body, s.length);
	if (s.has_length && s.length > h->total)
		return broken(c, "l= is longer than the body", i);
	if (!pb_str_eq(pb_str((const char *)h->digest, sizeof h->digest), s.bh))
		return broken(c, "the body was changed", i);
	signature_data(c->msg, &s, &data);
	return took(c, "message signature", i, signature_try(c->arena, c->dns, s.domain, s.selector, s.kind, pb_buf_str(&data), s.b, &use, &found), &found);
}

/* The tags of a seal are those of a signature without h= and bh=. */
static bool read_seal(struct chain *c, unsigned i, struct signature *ret)
{
	struct pb_str d, s, a, b;
	PB_AUTOBUF(text);
	PB_AUTOBUF(bytes);

	if (tags_parse(c->sets.part[i][ARC_SEAL]->value, &c->tags, NULL) || !tags_find(&c->tags, "d", &d) || !tags_find(&c->tags, "s", &s) ||
	    !tags_find(&c->tags, "a", &a) || !tags_find(&c->tags, "b", &b))
		return false;
	if (pb_str_ieq(a, PB_STR("rsa-sha256")))
		ret->kind = KEY_RSA;
	else if (pb_str_ieq(a, PB_STR("ed25519-sha256")))
		ret->kind = KEY_ED25519;
	else
		return false;
	tags_squeeze(&text, b);
	if (pb_base64_decode(&bytes, pb_buf_str(&text)))
		return false;
	ret->b = pb_arena_str(c->arena, pb_buf_str(&bytes));
	pb_buf_reset(&text);
	if (pb_domain_ascii(&text, d, NULL))
		return false;
	ret->domain = pb_arena_str(c->arena, pb_buf_str(&text));
	pb_buf_reset(&text);
	if (pb_domain_ascii(&text, s, NULL) || text.len + ret->domain.len > 240)
		return false;
	ret->selector = pb_arena_str(c->arena, pb_buf_str(&text));
	return true;
}

static bool check_seal(struct chain *c, unsigned i, struct arc_verdict *ret)
{
	struct signature s = { 0 };
	struct finding found = { 0 };
	struct key_use use;
	PB_AUTOBUF(data);

	if (!read_seal(c, i, &s))
		return broken(c, "the seal is malformed", i);
	if (i == c->sets.n)
		ret->sealer = s.domain;
	arc_seal_data(&c->sets, i, PB_NOSTR, &data);
	return took(c, "seal", i, signature_try(c->arena, c->dns, s.domain, s.selector, s.kind, pb_buf_str(&data), s.b, &use, &found), &found);
}

static bool validate(struct chain *c, struct arc_verdict *ret)
{
	bool sound = arc_sets_read(c->msg, &c->sets, c->why);
	struct pb_str rest, number;

	ret->instances = c->sets.n;
	if (!sound || !c->sets.n)
		return sound;
	if (!check_status(c) || !check_signature(c, c->sets.n))
		return false;
	for (unsigned i = c->sets.n; i; i--)
		if (!check_seal(c, i, ret))
			return false;
	rest = c->sets.part[c->sets.n][ARC_RESULTS]->value;
	pb_str_cut(&rest, ';', &number);
	ret->results = pb_str_trim(rest);
	finding_set(c->why, AUTH_PASS, "%s", "");
	return true;
}

void arc_validate(struct pb_arena *arena, const struct auth_message *msg, const struct auth_dns *dns, struct arc_verdict *ret)
{
	struct chain *c = pb_alloc(sizeof *c);

	*ret = (struct arc_verdict){ 0 };
	c->arena = arena;
	c->msg = msg;
	c->dns = dns;
	c->why = &ret->finding;
	validate(c, ret);
	free(c);
}
