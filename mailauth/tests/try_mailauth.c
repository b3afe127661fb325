/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * For tests in other languages: one JSON object a line comes in, one goes out. "do" is what is tried, "message" the message (bytes as Latin-1),
 * "dns" the world: { "name TYPE": [ records ] }; a name without any key does not exist, null is no answer.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include "mailauth/arc.h"
#include "mailauth/dkim.h"
#include "mailauth/dmarc.h"
#include "mailauth/results.h"
#include "mailauth/spf.h"

/* ---- the world ---- */

static bool name_exists(const json_t *world, const char *name)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)world, key, value)
		if (!strncmp(key, name, strlen(name)) && key[strlen(name)] == ' ')
			return true;
	return false;
}

static int query(void *arg, const char *type, struct pb_str name, struct pb_arena *arena, struct pb_str **ret, size_t *ret_n)
{
	const json_t *world = arg, *list;
	char *lower = pb_arena_printf(arena, "%.*s", PB_FMT(name));
	char *key;

	for (char *c = lower; *c; c++)
		*c = (char)pb_lower((unsigned char)*c);
	key = pb_arena_printf(arena, "%s %s", lower, type);
	list = json_object_get(world, key);
	if (json_is_null(list))
		return PB_EUNAVAILABLE;
	*ret_n = 0;
	if (!list)
		return name_exists(world, lower) ? 0 : PB_ENOTFOUND;
	*ret = pb_arena_alloc(arena, (json_array_size(list) + 1) * sizeof **ret);
	for (; *ret_n < json_array_size(list); ++*ret_n)
		(*ret)[*ret_n] = pb_arena_str(arena, pb_strz(json_string_value(json_array_get(list, *ret_n))));
	return 0;
}

/* ---- values ---- */

static struct pb_str text_of(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_string(v) ? pb_str(json_string_value(v), json_string_length(v)) : PB_NOSTR;
}

static struct pb_str bytes_of(struct pb_arena *arena, const json_t *o, const char *key)
{
	struct pb_str text = text_of(o, key);
	PB_AUTOBUF(out);

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c >= 0xC0 && i + 1 < text.len)
			c = (unsigned char)(c << 6 | ((unsigned char)text.ptr[++i] & 63));
		pb_buf_addc(&out, (char)c);
	}
	return pb_arena_str(arena, pb_buf_str(&out));
}

static int64_t number_of(const json_t *o, const char *key, int64_t otherwise)
{
	const json_t *v = json_object_get(o, key);

	return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

static json_t *string_of(struct pb_str s)
{
	return json_stringn(s.len ? s.ptr : "", s.len);
}

static json_t *failure(const struct pb_error *err)
{
	return json_pack("{s:s}", "error", err->text);
}

/* ---- what is tried ---- */

static json_t *dkim_verify_it(struct pb_arena *arena, const json_t *in, const struct auth_dns *dns, const struct auth_message *msg)
{
	struct dkim_options o = { .now = number_of(in, "now", 1700000000), .signatures = 10, .partial = json_is_true(json_object_get(in, "partial")) };
	struct dkim_verdict list[DKIM_SIGNATURES_MAX];
	json_t *out = json_array();
	size_t n;

	dkim_verify(arena, msg, dns, &o, list, &n);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(out, json_pack("{s:s, s:s, s:o, s:o}", "result", auth_result_name(list[i].finding.result), "reason", list[i].finding.reason, "domain",
						     string_of(list[i].domain), "b", string_of(list[i].b)));
	return json_pack("{s:o, s:s}", "signatures", out, "result", auth_result_name(dkim_summary(list, n)));
}

static int read_key(const json_t *in, struct private_key **ret, struct pb_error *err)
{
	return private_key_read(text_of(in, "key"), ret, err);
}

static json_t *dkim_sign_it(struct pb_arena *arena, const json_t *in, const struct auth_message *msg)
{
	struct dkim_signing how = {
		.domain = text_of(in, "domain"), .selector = text_of(in, "selector"), .identity = text_of(in, "identity"), .names = pb_strz(dkim_names), .sealed = pb_strz(dkim_sealed),
		.now = number_of(in, "now", -1), .lifetime = number_of(in, "lifetime", 0), .has_length = json_is_true(json_object_get(in, "length")),
	};
	struct private_key *key = NULL;
	struct pb_error err = { 0 };
	PB_AUTOBUF(out);
	json_t *result;

	(void)arena;
	canon_parse(text_of(in, "canon"), &how.header, &how.body);
	if (read_key(in, &key, &err))
		return failure(&err);
	how.key = key;
	result = dkim_sign(msg, &how, &out, &err) ? failure(&err) : json_pack("{s:o}", "headers", string_of(pb_buf_str(&out)));
	private_key_free(key);
	return result;
}

static json_t *arc_validate_it(struct pb_arena *arena, const struct auth_dns *dns, const struct auth_message *msg)
{
	struct arc_verdict v;

	arc_validate(arena, msg, dns, &v);
	return json_pack("{s:s, s:s, s:i, s:o, s:o}", "result", auth_result_name(v.finding.result), "reason", v.finding.reason, "instances", (int)v.instances, "sealer",
			 string_of(v.sealer), "results", string_of(v.results));
}

static json_t *arc_seal_it(const json_t *in, const struct auth_message *msg)
{
	struct arc_sealing how = {
		.domain = text_of(in, "domain"), .selector = text_of(in, "selector"), .host = text_of(in, "host"), .results = text_of(in, "results"), .names = pb_strz(arc_names),
		.now = number_of(in, "now", 1700000000),
	};
	struct private_key *key = NULL;
	struct pb_error err = { 0 };
	unsigned instance = 0;
	PB_AUTOBUF(out);
	json_t *result;

	auth_result_parse(text_of(in, "chain"), &how.chain);
	if (read_key(in, &key, &err))
		return failure(&err);
	how.key = key;
	result = arc_seal(msg, &how, &out, &instance, &err) ? failure(&err) : json_pack("{s:o, s:i}", "headers", string_of(pb_buf_str(&out)), "instance", (int)instance);
	private_key_free(key);
	return result;
}

static json_t *spf_it(struct pb_arena *arena, const json_t *in, const struct auth_dns *dns)
{
	struct spf_query q = { .client = text_of(in, "client"), .helo = text_of(in, "helo"), .sender = text_of(in, "sender"), .host = text_of(in, "host"), .now = 1700000000 };
	struct spf_verdict v;

	spf_check(arena, dns, &q, &v);
	return json_pack("{s:s, s:s, s:o, s:o, s:i}", "result", auth_result_name(v.finding.result), "reason", v.finding.reason, "explanation", string_of(v.explanation), "domain",
			 string_of(v.domain), "lookups", (int)v.lookups);
}

static json_t *dmarc_it(struct pb_arena *arena, const json_t *in, const struct auth_dns *dns)
{
	struct dmarc_record r;
	struct pb_error err = { 0 };

	if (dmarc_find(arena, dns, text_of(in, "domain"), &r, &err))
		return failure(&err);
	return json_pack("{s:b, s:s, s:o, s:o, s:i, s:b, s:b}", "published", r.published, "policy", dmarc_policy_name(r.policy), "found_at", string_of(r.found_at), "organizational",
			 string_of(r.organizational), "percent", (int)r.percent, "strict_dkim", r.strict_dkim, "strict_spf", r.strict_spf);
}

static json_t *results_it(struct pb_arena *arena, const json_t *in)
{
	struct results r;
	struct pb_error err = { 0 };
	json_t *list;

	if (results_parse(arena, text_of(in, "value"), &r, &err))
		return failure(&err);
	list = json_array();
	for (size_t i = 0; i < r.n; i++) {
		json_t *one = json_pack("{s:o, s:o, s:o}", "method", string_of(r.list[i].method), "result", string_of(r.list[i].result), "reason", string_of(r.list[i].reason));

		for (size_t k = 0; k < r.list[i].nproperties; k++)
			json_object_set_new(one, pb_arena_printf(arena, "%.*s.%.*s", PB_FMT(r.list[i].properties[k].type), PB_FMT(r.list[i].properties[k].name)),
					    string_of(r.list[i].properties[k].value));
		json_array_append_new(list, one);
	}
	return json_pack("{s:o, s:o}", "host", string_of(r.host), "results", list);
}

static json_t *make_key(const json_t *in)
{
	enum key_kind kind = KEY_RSA;
	struct private_key *key;
	struct pb_error err = { 0 };
	PB_AUTOBUF(pem);
	PB_AUTOBUF(public);
	json_t *out;

	key_kind_parse(text_of(in, "kind"), &kind);
	if (private_key_make(kind, (unsigned)number_of(in, "bits", 2048), &key, &err))
		return failure(&err);
	if (private_key_write(key, &pem, &err) || private_key_public(key, &public, &err))
		out = failure(&err);
	else
		out = json_pack("{s:s, s:s}", "key", pb_buf_z(&pem), "public", pb_buf_z(&public));
	private_key_free(key);
	return out;
}

static json_t *try_it(struct pb_arena *arena, const json_t *in)
{
	struct auth_dns dns = { .arg = json_object_get(in, "dns"), .query = query };
	struct pb_str what = text_of(in, "do");
	struct auth_message msg = { 0 };
	struct pb_error err = { 0 };

	if (auth_message_read(arena, bytes_of(arena, in, "front"), bytes_of(arena, in, "message"), &msg, &err))
		return failure(&err);
	if (pb_str_eq(what, PB_STR("verify")))
		return dkim_verify_it(arena, in, &dns, &msg);
	if (pb_str_eq(what, PB_STR("sign")))
		return dkim_sign_it(arena, in, &msg);
	if (pb_str_eq(what, PB_STR("arc")))
		return arc_validate_it(arena, &dns, &msg);
	if (pb_str_eq(what, PB_STR("seal")))
		return arc_seal_it(in, &msg);
	if (pb_str_eq(what, PB_STR("spf")))
		return spf_it(arena, in, &dns);
	if (pb_str_eq(what, PB_STR("dmarc")))
		return dmarc_it(arena, in, &dns);
	if (pb_str_eq(what, PB_STR("results")))
		return results_it(arena, in);
	if (pb_str_eq(what, PB_STR("key")))
		return make_key(in);
	return json_pack("{s:s}", "error", "nobody knows how");
}

int main(void)
{
	struct pb_arena *arena = pb_arena_new();
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, stdin) > 0) {
		json_t *in = json_loads(line, 0, NULL), *out = try_it(arena, in);

		json_dumpf(out, stdout, JSON_COMPACT);
		putchar('\n');
		fflush(stdout);
		json_decref(out);
		json_decref(in);
		pb_arena_reset(arena);
	}
	free(line);
	pb_arena_free(arena);
	return 0;
}
