/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dns.address, dns.ptr, dns.query, and the lookups that dns.mx shares with them. */
#include <arpa/inet.h>
#include <postbus/address.h>
#include "addresses.h"
#include "records.h"

struct lookup *dns_begin(struct dns *dns, const char *name, int type)
{
	if (dns->host)
		pb_count(dns->host, "queries", 1);
	return lookup_begin(dns->resolver, name, type);
}

int dns_wait(struct dns *dns, struct lookup *l, int64_t deadline, const struct ub_result **ret, struct pb_error *err)
{
	int rc = lookup_wait(l, deadline, ret, err);

	if (rc == PB_EUNAVAILABLE && dns->host)
		pb_count(dns->host, "queries_failed", 1);
	return rc;
}

/* ---- a host's addresses ---- */

static bool is_numeric(const char *name)
{
	unsigned char addr[16];

	return inet_pton(AF_INET, name, addr) == 1 || inet_pton(AF_INET6, name, addr) == 1;
}

void host_lookup_begin(struct dns *dns, const char *name, struct host_lookup *ret)
{
	ret->v4 = dns_begin(dns, name, TYPE_A);
	ret->v6 = dns_begin(dns, name, TYPE_AAAA);
}

static int add_all(struct dns *dns, struct lookup *l, int type, int64_t deadline, json_t *list, struct pb_error *err)
{
	const struct ub_result *r;
	int rc = dns_wait(dns, l, deadline, &r, err);

	if (rc)
		return rc;
	for (size_t i = 0; r->havedata && r->data[i]; i++) {
		PB_AUTOBUF(text);

		if (record_text(&text, type, pb_str(r->data[i], (size_t)r->len[i])))
			json_array_append_new(list, json_string(pb_buf_z(&text)));
	}
	return 0;
}

int host_lookup_end(struct dns *dns, struct host_lookup *h, int64_t deadline, json_t *list, struct pb_error *err)
{
	struct lookup *first = dns->ipv6_first ? h->v6 : h->v4, *second = dns->ipv6_first ? h->v4 : h->v6;
	int first_rc = add_all(dns, first, dns->ipv6_first ? TYPE_AAAA : TYPE_A, deadline, list, err);
	int second_rc = add_all(dns, second, dns->ipv6_first ? TYPE_A : TYPE_AAAA, deadline, list, err);

	lookup_end(h->v4);
	lookup_end(h->v6);
	if (json_array_size(list) || (!first_rc && !second_rc))
		return 0;
	return first_rc == PB_EUNAVAILABLE || second_rc == PB_EUNAVAILABLE ? PB_EUNAVAILABLE : PB_ENOTFOUND;
}

static int addresses_of(struct dns *dns, const char *name, int64_t deadline, json_t *list, struct pb_error *err)
{
	struct host_lookup h;

	if (is_numeric(name)) {
		json_array_append_new(list, json_string(name));
		return 0;
	}
	host_lookup_begin(dns, name, &h);
	return host_lookup_end(dns, &h, deadline, list, err);
}

int dns_address(void *self, const struct pb_caller *who, const json_t *params, json_t **ret_result, struct pb_error *err)
{
	struct dns *dns = self;
	const char *name = json_string_value(json_object_get(params, "name"));
	json_t *list = json_array();
	PB_AUTOBUF(ascii);
	int rc = 0;

	(void)who;
	if (!is_numeric(name)) {
		rc = pb_domain_ascii(&ascii, pb_strz(name), err);
		name = pb_buf_z(&ascii);
	}
	if (rc == 0)
		rc = addresses_of(dns, name, resolver_ticks() + dns->timeout, list, err);
	if (rc) {
		json_decref(list);
		return rc;
	}
	*ret_result = json_object();
	json_object_set_new(*ret_result, "addresses", list);
	return 0;
}

/* ---- names of an address ---- */

static bool same_address(const char *a, const char *b)
{
	unsigned char x[16], y[16];

	if (inet_pton(AF_INET, a, x) == 1)
		return inet_pton(AF_INET, b, y) == 1 && !memcmp(x, y, 4);
	return inet_pton(AF_INET6, a, x) == 1 && inet_pton(AF_INET6, b, y) == 1 && !memcmp(x, y, 16);
}

static bool confirms(struct dns *dns, const char *name, const char *address, int64_t deadline)
{
	json_t *list = json_array(), *one;
	bool found = false;
	size_t i;

	addresses_of(dns, name, deadline, list, NULL);
	json_array_foreach (list, i, one)
		found |= same_address(json_string_value(one), address);
	json_decref(list);
	return found;
}

int dns_ptr(void *self, const struct pb_caller *who, const json_t *params, json_t **ret_result, struct pb_error *err)
{
	enum { NAMES_MAX = 10 };	/* more are noise, and each costs lookups */
	struct dns *dns = self;
	const char *address = json_string_value(json_object_get(params, "address"));
	int64_t deadline = resolver_ticks() + dns->timeout;
	json_t *names = json_array(), *confirmed = json_array(), *one;
	PB_AUTOBUF(reverse);
	struct lookup *l;
	size_t i;
	int rc;

	(void)who;
	if (!record_reverse(&reverse, address)) {
		json_decref(names);
		json_decref(confirmed);
		return pb_fail(err, PB_EINVALID, "'%s' is no address", address);
	}
	l = dns_begin(dns, pb_buf_z(&reverse), TYPE_PTR);
	rc = add_all(dns, l, TYPE_PTR, deadline, names, err);
	lookup_end(l);
	while (json_array_size(names) > NAMES_MAX)
		json_array_remove(names, NAMES_MAX);
	json_array_foreach (names, i, one)
		if (confirms(dns, json_string_value(one), address, deadline))
			json_array_append(confirmed, one);
	if (rc) {
		json_decref(names);
		json_decref(confirmed);
		return rc;
	}
	*ret_result = json_object();
	json_object_set_new(*ret_result, "names", names);
	json_object_set_new(*ret_result, "confirmed", confirmed);
	return 0;
}

/* ---- anything ---- */

int dns_query(void *self, const struct pb_caller *who, const json_t *params, json_t **ret_result, struct pb_error *err)
{
	struct dns *dns = self;
	int type = record_type(json_string_value(json_object_get(params, "type")));
	int64_t deadline = resolver_ticks() + dns->timeout;
	const struct ub_result *r;
	json_t *records;
	PB_AUTOBUF(ascii);
	struct lookup *l;
	int rc;

	(void)who;
	if (!type)
		return pb_fail(err, PB_EINVALID, "unknown record type '%s'", json_string_value(json_object_get(params, "type")));
	if (pb_domain_ascii(&ascii, pb_strz(json_string_value(json_object_get(params, "name"))), err))
		return err->code;
	l = dns_begin(dns, pb_buf_z(&ascii), type);
	rc = dns_wait(dns, l, deadline, &r, err);
	if (rc == 0) {
		records = json_array();
		*ret_result = json_object();
		json_object_set_new(*ret_result, "secure", json_boolean(r->secure));
		json_object_set_new(*ret_result, "records", records);
		add_all(dns, l, type, deadline, records, NULL);
	}
	lookup_end(l);
	return rc;
}
