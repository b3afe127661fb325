/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dns.mx: mail exchangers in the order in which they are to be tried (RFC 5321 5.1), null MX (RFC 7505), the domain itself where it has none. */
#include <stdlib.h>
#include <postbus/address.h>
#include "addresses.h"
#include "methods.h"
#include "records.h"

enum { HOSTS_MAX = 20 };	/* looked up in one call; a domain with more has lost its worst ones */

struct exchanger {
	unsigned preference;
	uint32_t lot;		/* order among equals */
	struct pb_buf name;
	struct host_lookup lookup;
};

static int by_preference(const void *pa, const void *pb)
{
	const struct exchanger *a = pa, *b = pb;

	if (a->preference != b->preference)
		return a->preference < b->preference ? -1 : 1;
	return a->lot < b->lot ? -1 : a->lot > b->lot;
}

static size_t exchangers(const struct ub_result *r, struct exchanger **ret)
{
	struct exchanger *list;
	size_t n = 0;

	while (r->data[n])
		n++;
	list = pb_alloc((n + 1) * sizeof *list);
	n = 0;
	for (size_t i = 0; r->data[i]; i++)
		if (record_mx(pb_str(r->data[i], (size_t)r->len[i]), &list[n].preference, &list[n].name)) {
			pb_random(&list[n].lot, sizeof list[n].lot);
			n++;
		} else {
			pb_buf_free(&list[n].name);
		}
	qsort(list, n, sizeof *list, by_preference);
	*ret = list;
	return n;
}

static void exchangers_free(struct exchanger *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		pb_buf_free(&list[i].name);
	free(list);
}

static json_t *host_json(const char *name, unsigned preference, json_t *addresses)
{
	json_t *host = json_object();

	json_object_set_new(host, "name", json_string(name));
	json_object_set_new(host, "preference", json_integer(preference));
	json_object_set_new(host, "addresses", addresses);
	return host;
}

/* A host that has no address is told of too: the caller may know its name. One that could not be asked about makes the answer unusable only when
 * nothing else is left. */
static int hosts_json(struct dns *dns, struct exchanger *list, size_t n, int64_t deadline, json_t *hosts, struct pb_error *err)
{
	struct pb_error trouble = { 0 };
	bool found = false, unknown = false;

	for (size_t i = 0; i < n; i++)
		host_lookup_begin(dns, pb_buf_z(&list[i].name), &list[i].lookup);
	for (size_t i = 0; i < n; i++) {
		json_t *addresses = json_array();
		int rc = host_lookup_end(dns, &list[i].lookup, deadline, addresses, &trouble);

		found |= json_array_size(addresses) > 0;
		unknown |= rc == PB_EUNAVAILABLE;
		json_array_append_new(hosts, host_json(pb_buf_z(&list[i].name), list[i].preference, addresses));
	}
	return found || !unknown ? 0 : pb_fail(err, PB_EUNAVAILABLE, "%s", trouble.text);
}

/* No MX: the domain's own addresses, as a host of preference 0. */
static int fall_back(struct dns *dns, const char *domain, int64_t deadline, json_t *hosts, struct pb_error *err)
{
	json_t *addresses = json_array();
	struct host_lookup lookup;
	int rc;

	host_lookup_begin(dns, domain, &lookup);
	rc = host_lookup_end(dns, &lookup, deadline, addresses, err);
	if (rc == 0 && !json_array_size(addresses))
		rc = pb_fail(err, PB_ENOTFOUND, "domain '%s' has neither a mail exchanger nor an address", domain);
	if (rc)
		json_decref(addresses);
	else
		json_array_append_new(hosts, host_json(domain, 0, addresses));
	return rc;
}

static json_t *result(bool null_mx, json_t *hosts, bool secure)
{
	json_t *answer = json_object();

	json_object_set_new(answer, "null_mx", json_boolean(null_mx));
	json_object_set_new(answer, "hosts", hosts);
	json_object_set_new(answer, "secure", json_boolean(secure));
	return answer;
}

static int ask(struct dns *dns, const char *domain, json_t **ret, struct pb_error *err)
{
	int64_t deadline = resolver_ticks() + dns->timeout;
	struct lookup *l = dns_begin(dns, domain, TYPE_MX);
	struct exchanger *list = NULL;
	const struct ub_result *r;
	json_t *hosts = json_array();
	bool null_mx = false, secure = false;
	size_t n = 0;
	int rc = dns_wait(dns, l, deadline, &r, err);

	if (rc == 0) {
		secure = r->secure;
		if (r->havedata)
			n = exchangers(r, &list);
		null_mx = n == 1 && pb_str_eq(pb_buf_str(&list[0].name), PB_STR("."));
		if (!n)
			rc = fall_back(dns, domain, deadline, hosts, err);
		else if (!null_mx)
			rc = hosts_json(dns, list, n < HOSTS_MAX ? n : HOSTS_MAX, deadline, hosts, err);
	}
	exchangers_free(list, n);
	lookup_end(l);
	if (rc)
		json_decref(hosts);
	else
		*ret = result(null_mx, hosts, secure);
	return rc;
}

int dns_mx(void *self, const struct pb_caller *who, const json_t *params, json_t **ret_result, struct pb_error *err)
{
	struct pb_str domain = pb_strz(json_string_value(json_object_get(params, "domain"))), address;
	PB_AUTOBUF(ascii);

	(void)who;
	if (domain.len && domain.ptr[0] == '[') {
		if (pb_literal_parse(domain, &address))
			return pb_fail(err, PB_EINVALID, "'%.*s' is no address literal", PB_FMT(domain));
		*ret_result = result(false, json_array(), false);
		json_array_append_new(json_object_get(*ret_result, "hosts"), host_json(domain.ptr, 0, json_pack("[s%]", address.ptr, address.len)));
		return 0;
	}
	if (pb_domain_ascii(&ascii, domain, err))
		return err->code;
	return ask(self, pb_buf_z(&ascii), ret_result, err);
}
