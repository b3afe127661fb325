/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dkim.sign, dkim.outgoing, arc.seal: what is put in front of a message that goes out. */
#include "auth_agent.h"
#include <postbus/address.h>

/* ---- the message ---- */

static int message_of(struct agent *a, struct pb_arena *arena, struct pb_str front, struct auth_message *ret, struct pb_error *err)
{
	struct pb_subject *about = pb_subject(a->host);
	struct pb_str head, bytes;
	int rc;

	if (!about || (!about->changed && !about->body))
		return pb_fail(err, PB_EINVALID, "the call is about no message");
	if (front.len && !pb_str_ends(front, PB_STR("\r\n")))
		return pb_fail(err, PB_EINVALID, "front: its last line has no end");
	rc = about->changed ? pb_spool_view(about->changed, &bytes, err) : pb_body_parts(about->body, &head, &bytes, err);
	return rc ? rc : auth_message_read(arena, front, bytes, ret, err);
}

static int domain_of(const json_t *params, struct pb_buf *out, struct pb_error *err)
{
	return pb_domain_ascii(out, pb_text_of(params, "domain"), err);
}

static json_t *headers_of(const struct pb_buf *out)
{
	return json_pack("{s:o}", "headers", string_of(pb_buf_str(out)));
}

/* ---- signatures ---- */

static struct dkim_signing signing_of(struct agent *a, const struct settings *set, const struct held_key *k)
{
	return (struct dkim_signing){
		.key = k->key,
		.domain = pb_strz(k->domain),
		.selector = pb_strz(k->selector),
		.names = pb_strz(set->signed_fields),
		.sealed = pb_strz(set->sealed_fields),
		.header = set->header_form,
		.body = set->body_form,
		.now = pb_now(a->host) / PB_SECOND,
		.lifetime = pb_config_int(a->host, "lifetime"),
	};
}

/* The newest of each kind; PB_ENOTFOUND: none. */
static int sign(struct agent *a, const struct auth_message *msg, struct pb_str domain, struct pb_str selector, struct pb_buf *out, struct pb_error *err)
{
	struct settings *set = settings_get(a);
	bool done[2] = { false, false };
	const struct held_key *k;
	size_t at = 0;
	int rc = 0;

	pthread_rwlock_rdlock(&a->keys.lock);
	while (!rc && (k = keyring_next(&a->keys, domain, selector, true, &at)) != NULL) {
		enum key_kind kind = private_key_kind(k->key);
		struct dkim_signing how;

		if (done[kind])
			continue;
		done[kind] = true;
		how = signing_of(a, set, k);
		rc = dkim_sign(msg, &how, out, err);
	}
	pthread_rwlock_unlock(&a->keys.lock);
	settings_put(set);
	if (!rc && !done[KEY_RSA] && !done[KEY_ED25519])
		return pb_fail(err, PB_ENOTFOUND, "%.*s has no key to sign with", PB_FMT(domain));
	if (!rc)
		pb_count(a->host, "signed", 1);
	return rc;
}

METHOD(dkim_sign)
{
	struct agent *a = self;
	struct pb_arena *arena = pb_arena_new();
	struct auth_message msg;
	PB_AUTOBUF(domain);
	PB_AUTOBUF(out);
	int rc = domain_of(params, &domain, err);

	if (!rc)
		rc = message_of(a, arena, pb_text_of(params, "front"), &msg, err);
	if (!rc)
		rc = sign(a, &msg, pb_buf_str(&domain), pb_text_of(params, "selector"), &out, err);
	if (!rc)
		*ret_result = headers_of(&out);
	pb_arena_free(arena);
	return rc;
}

/* ---- what goes out ---- */

/* A login's, or made by a part of this server: what is sent on for others has a client, or a hop behind it. */
static bool is_ours(struct agent *a, const struct pb_envelope *env, struct pb_str connector)
{
	struct settings *set;
	const json_t *one;
	bool ours = false;
	size_t i;

	if (env->user.len)
		return true;
	if (env->client.len || json_object_get(env->notes, "hops"))
		return false;
	set = settings_get(a);
	json_array_foreach(set->own, i, one)
		ours |= pb_str_eq(pb_strz(json_string_value(one)), connector);
	settings_put(set);
	return ours;
}

static bool has_key(struct agent *a, struct pb_str domain)
{
	size_t at = 0;
	bool has;

	pthread_rwlock_rdlock(&a->keys.lock);
	has = keyring_next(&a->keys, domain, PB_NOSTR, true, &at) != NULL;
	pthread_rwlock_unlock(&a->keys.lock);
	return has;
}

static bool is_signed(const struct auth_message *msg, struct pb_str domain)
{
	struct tags tags;
	struct pb_str d;

	for (size_t i = 0; i < msg->n; i++)
		if (pb_str_ieq(msg->fields[i].name, PB_STR("DKIM-Signature")) && !tags_parse(msg->fields[i].value, &tags, NULL) && tags_find(&tags, "d", &d) &&
		    pb_domain_eq(d, domain))
			return true;
	return false;
}

METHOD(dkim_outgoing)
{
	struct agent *a = self;
	struct pb_subject *about = pb_subject(a->host);
	struct pb_arena *arena;
	struct auth_message msg;
	struct pb_str domain;
	PB_AUTOBUF(out);
	int rc;

	if (!about || !about->envelope || !is_ours(a, about->envelope, pb_text_of(params, "connector"))) {
		*ret_result = headers_of(&out);
		return 0;
	}
	arena = pb_arena_new();
	rc = message_of(a, arena, PB_NOSTR, &msg, err);
	if (!rc && auth_from_domain(arena, &msg, &domain) && has_key(a, domain) && !is_signed(&msg, domain))
		rc = sign(a, &msg, domain, PB_NOSTR, &out, err);
	if (!rc)
		*ret_result = headers_of(&out);
	pb_arena_free(arena);
	return rc;
}

/* ---- ARC ---- */

/* What it was when it came in: by now it may have been changed. */
static enum auth_result chain_of(struct agent *a, struct pb_arena *arena, const struct auth_message *msg, const json_t *notes)
{
	struct arc_verdict v;
	enum auth_result noted;
	struct world w;
	struct auth_dns dns;

	if (auth_result_parse(pb_text_of(notes, "arc"), &noted))
		return noted;
	dns = world_of(a, &w);
	arc_validate(arena, msg, &dns, &v);
	return v.finding.result;
}

static const struct held_key *sealing_key(struct agent *a, struct pb_str domain, struct pb_str selector)
{
	const struct held_key *k, *other = NULL;
	size_t at = 0;

	while ((k = keyring_next(&a->keys, domain, selector, true, &at)) != NULL) {
		if (private_key_kind(k->key) == KEY_RSA)
			return k;
		if (!other)
			other = k;
	}
	return other;
}

static int seal(
    struct agent *a, struct pb_arena *arena, const struct auth_message *msg, struct pb_str domain, struct pb_str selector, json_t **ret, struct pb_error *err)
{
	const struct pb_envelope *env = pb_subject(a->host)->envelope;
	struct settings *set = settings_get(a);
	struct arc_sealing how = {
		.host = pb_strz(set->host),
		.results = pb_text_of(env ? env->notes : NULL, "auth_results"),
		.names = pb_strz(arc_names),
		.now = pb_now(a->host) / PB_SECOND,
		.chain = chain_of(a, arena, msg, env ? env->notes : NULL),
	};
	const struct held_key *k;
	unsigned instance = 0;
	PB_AUTOBUF(out);
	int rc;

	pthread_rwlock_rdlock(&a->keys.lock);
	k = sealing_key(a, domain, selector);
	if (k) {
		how.key = k->key;
		how.domain = pb_strz(k->domain);
		how.selector = pb_strz(k->selector);
	}
	rc = k ? arc_seal(msg, &how, &out, &instance, err) : pb_fail(err, PB_ENOTFOUND, "%.*s has no key to seal with", PB_FMT(domain));
	pthread_rwlock_unlock(&a->keys.lock);
	settings_put(set);
	if (!rc)
		*ret = json_pack("{s:o, s:i, s:s}", "headers", string_of(pb_buf_str(&out)), "instance", (int)instance, "chain", auth_result_name(how.chain));
	return rc;
}

METHOD(arc_seal)
{
	struct agent *a = self;
	struct pb_arena *arena = pb_arena_new();
	struct auth_message msg;
	PB_AUTOBUF(domain);
	int rc = domain_of(params, &domain, err);

	if (!rc)
		rc = message_of(a, arena, pb_text_of(params, "front"), &msg, err);
	if (!rc)
		rc = seal(a, arena, &msg, pb_buf_str(&domain), pb_text_of(params, "selector"), ret_result, err);
	pb_arena_free(arena);
	return rc;
}
