/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dkim.key.*: keys made, shown and deleted by those who administer their domain. */
#include "auth_agent.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <postbus/address.h>

/* A domain of this server that the caller may speak for. */
static int own_domain(struct agent *a, const struct pb_caller *who, const json_t *params, struct pb_buf *out, struct pb_error *err)
{
	json_t *ask = NULL, *found = NULL;
	int rc = pb_domain_ascii(out, pb_text_of(params, "domain"), err);

	if (rc)
		return rc;
	ask = json_pack("{s:s}", "domain", pb_buf_z(out));
	rc = pb_call(a->host, "directory.domain", ask, &found, err);
	if (!rc && who->role != PB_ROLE_SYSTEM && (who->role != PB_ROLE_ADMIN || !pb_str_eq(pb_text_of(found, "postoffice"), who->postoffice)))
		rc = pb_fail(err, PB_EDENIED, "%s belongs to another post office", pb_buf_z(out));
	json_decref(ask);
	json_decref(found);
	return rc;
}

/* The domain of a key that is there: it may have left the directory since. */
static int key_domain(struct agent *a, const struct pb_caller *who, const json_t *params, struct pb_buf *out, struct pb_error *err)
{
	return who->role == PB_ROLE_SYSTEM ? pb_domain_ascii(out, pb_text_of(params, "domain"), err) : own_domain(a, who, params, out, err);
}

static bool is_selector(struct pb_str s)
{
	struct pb_str label;

	for (size_t i = 0; i < s.len; i++)
		if (!pb_is_alnum((unsigned char)s.ptr[i]) && s.ptr[i] != '-' && s.ptr[i] != '_' && s.ptr[i] != '.')
			return false;
	while (pb_str_cut(&s, '.', &label))
		if (!label.len || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
			return false;
	return true;
}

/* As it is kept: in lower case, since names in the DNS are compared so. */
static void lower(struct pb_str s, char out[64])
{
	size_t n = s.len < 63 ? s.len : 63;

	for (size_t i = 0; i < n; i++)
		out[i] = (char)pb_lower((unsigned char)s.ptr[i]);
	out[n] = '\0';
}

static void usual_selector(struct agent *a, enum key_kind kind, char out[64])
{
	time_t now = (time_t)(pb_now(a->host) / PB_SECOND);
	struct tm tm;

	gmtime_r(&now, &tm);
	snprintf(out, 64, "pb%04d%02d%c", tm.tm_year + 1900, tm.tm_mon + 1, kind == KEY_RSA ? 'r' : 'e');
}

/* ---- the record ---- */

static int put_record(const struct private_key *key, struct pb_buf *out, struct pb_error *err)
{
	pb_buf_addf(out, "v=DKIM1; k=%s; p=", key_kind_name(private_key_kind(key)));
	return private_key_public(key, out, err);
}

/* Strings of a TXT record have 255 octets at most. */
static void put_zone(struct pb_str name, struct pb_str record, struct pb_buf *out)
{
	pb_buf_addf(out, "%.*s. IN TXT (", PB_FMT(name));
	while (record.len) {
		struct pb_str part = pb_str_head(record, 250);

		pb_buf_addf(out, " \"%.*s\"", PB_FMT(part));
		record = pb_str_skip(record, part.len);
	}
	pb_buf_addz(out, " )");
}

/* Blanks do not count, nor does a ";" at the end. */
static bool is_same(struct pb_str a, struct pb_str b)
{
	PB_AUTOBUF(x);
	PB_AUTOBUF(y);

	tags_squeeze(&x, pb_str_ends(pb_str_trim(a), PB_STR(";")) ? pb_str_head(pb_str_trim(a), pb_str_trim(a).len - 1) : a);
	tags_squeeze(&y, b);
	return pb_str_eq(pb_buf_str(&x), pb_buf_str(&y));
}

static const char *published(struct agent *a, struct pb_str name, struct pb_str record)
{
	struct pb_arena *arena = pb_arena_new();
	struct world w;
	struct auth_dns dns = world_of(a, &w);
	struct pb_str *list = NULL;
	size_t n = 0;
	int rc = dns.query(dns.arg, "TXT", name, arena, &list, &n);
	const char *said = rc && rc != PB_ENOTFOUND ? "unknown" : !n ? "no" : "other";

	for (size_t i = 0; i < n; i++)
		if (is_same(list[i], record))
			said = "yes";
	pb_arena_free(arena);
	return said;
}

/* ---- methods ---- */

METHOD(dkim_key_create)
{
	struct agent *a = self;
	struct pb_str given = pb_text_of(params, "selector");
	enum key_kind kind = KEY_RSA;
	struct private_key *key;
	char selector[64];
	PB_AUTOBUF(domain);
	PB_AUTOBUF(record);
	int rc = own_domain(a, who, params, &domain, err);

	if (rc)
		return rc;
	key_kind_parse(pb_text_of(params, "algorithm"), &kind);
	if (given.len && !is_selector(given))
		return pb_fail(err, PB_EINVALID, "selector: found '%.*s', allowed are letters, digits, hyphens and dots", PB_FMT(pb_str_head(given, 63)));
	if (given.len)
		lower(given, selector);
	else
		usual_selector(a, kind, selector);
	if (strlen(selector) + domain.len > 230)
		return pb_fail(err, PB_EINVALID, "the name %s._domainkey.%s is too long", selector, pb_buf_z(&domain));
	rc = private_key_make(kind, (unsigned)json_integer_value(json_object_get(params, "bits")), &key, err);
	if (rc)
		return rc;
	rc = put_record(key, &record, err);
	if (rc) {
		private_key_free(key);
		return rc;
	}
	rc = keyring_add(&a->keys, pb_buf_str(&domain), pb_strz(selector), key, !json_is_true(json_object_get(params, "inactive")), err);
	if (rc)
		return rc;
	*ret_result = json_pack("{s:s, s:s, s:s++, s:s}", "domain", pb_buf_z(&domain), "selector", selector, "name", selector, "._domainkey.",
	    pb_buf_z(&domain), "record", pb_buf_z(&record));
	return 0;
}

static bool may_see(struct agent *a, const struct pb_caller *who, const char *domain)
{
	json_t *params;
	PB_AUTOBUF(out);
	int rc;

	if (who->role == PB_ROLE_SYSTEM)
		return true;
	params = json_pack("{s:s}", "domain", domain);
	rc = own_domain(a, who, params, &out, NULL);
	json_decref(params);
	return rc == 0;
}

METHOD(dkim_key_list)
{
	struct agent *a = self;
	json_t *list = json_array();
	PB_AUTOBUF(domain);
	int rc = pb_text_of(params, "domain").len ? key_domain(a, who, params, &domain, err) : 0;

	if (rc) {
		json_decref(list);
		return rc;
	}
	pthread_rwlock_rdlock(&a->keys.lock);
	for (size_t i = 0; i < a->keys.n; i++) {
		const struct held_key *k = &a->keys.list[i];

		if (domain.len && strcmp(k->domain, pb_buf_z(&domain)))
			continue;
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:i, s:I, s:b}", "domain", k->domain, "selector", k->selector, "algorithm",
						key_kind_name(private_key_kind(k->key)), "bits", (int)private_key_bits(k->key), "created",
						(json_int_t)k->created, "active", k->active));
	}
	pthread_rwlock_unlock(&a->keys.lock);
	for (size_t i = json_array_size(list); i--;)
		if (!may_see(a, who, json_string_value(json_object_get(json_array_get(list, i), "domain"))))
			json_array_remove(list, i);
	*ret_result = json_pack("{s:o}", "keys", list);
	return 0;
}

/* What is known of it, without the DNS. */
static json_t *describe(struct agent *a, struct pb_str domain, struct pb_str selector, struct pb_buf *record, struct pb_error *err)
{
	const struct held_key *k;
	json_t *out = NULL;
	size_t at = 0;

	pthread_rwlock_rdlock(&a->keys.lock);
	k = keyring_next(&a->keys, domain, selector, false, &at);
	if (!k)
		pb_fail(err, PB_ENOTFOUND, "%.*s has no %s%.*s", PB_FMT(domain), selector.len ? "key " : "key", PB_FMT(selector));
	else if (!put_record(k->key, record, err))
		out = json_pack("{s:s, s:s, s:s, s:i, s:b, s:s++}", "domain", k->domain, "selector", k->selector, "algorithm",
		    key_kind_name(private_key_kind(k->key)), "bits", (int)private_key_bits(k->key), "active", k->active, "name", k->selector, "._domainkey.",
		    k->domain);
	pthread_rwlock_unlock(&a->keys.lock);
	return out;
}

METHOD(dkim_key_show)
{
	struct agent *a = self;
	char selector[64];
	PB_AUTOBUF(domain);
	PB_AUTOBUF(record);
	PB_AUTOBUF(zone);
	json_t *out;
	int rc = key_domain(a, who, params, &domain, err);

	if (rc)
		return rc;
	lower(pb_text_of(params, "selector"), selector);
	out = describe(a, pb_buf_str(&domain), pb_strz(selector), &record, err);
	if (!out)
		return err->code;
	put_zone(pb_text_of(out, "name"), pb_buf_str(&record), &zone);
	json_object_set_new(out, "record", json_string(pb_buf_z(&record)));
	json_object_set_new(out, "zone", json_string(pb_buf_z(&zone)));
	json_object_set_new(out, "published", json_string(published(a, pb_text_of(out, "name"), pb_buf_str(&record))));
	*ret_result = out;
	return 0;
}

METHOD(dkim_key_activate)
{
	struct agent *a = self;
	char selector[64];
	PB_AUTOBUF(domain);
	int rc = key_domain(a, who, params, &domain, err);

	lower(pb_text_of(params, "selector"), selector);
	return rc ? rc : keyring_activate(&a->keys, pb_buf_str(&domain), pb_strz(selector), !json_is_true(json_object_get(params, "off")), err);
}

METHOD(dkim_key_delete)
{
	struct agent *a = self;
	char selector[64];
	PB_AUTOBUF(domain);
	int rc = key_domain(a, who, params, &domain, err);

	lower(pb_text_of(params, "selector"), selector);
	return rc ? rc : keyring_delete(&a->keys, pb_buf_str(&domain), pb_strz(selector), err);
}
