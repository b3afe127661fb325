/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From a domain to addresses. The DNS itself is dns.mx's business; so is the order of equal exchangers. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <postbus/link.h>
#include "route.h"

static bool is_numeric(struct pb_str host)
{
	unsigned char addr[16];
	char z[INET6_ADDRSTRLEN];

	if (!host.len || host.len >= sizeof z)
		return false;
	memcpy(z, host.ptr, host.len);
	z[host.len] = 0;
	return inet_pton(AF_INET, z, addr) == 1 || inet_pton(AF_INET6, z, addr) == 1;
}

int hop_parse(struct pb_str text, uint16_t default_port, struct hop *ret, struct pb_error *err)
{
	struct hop hop = { .port = default_port, .mx = true };
	struct pb_str rest = PB_NOSTR;
	uint64_t port;
	long end;

	if (text.len && text.ptr[0] == '[') {
		end = pb_str_find(text, ']', 0);
		if (end < 0)
			return pb_fail(err, PB_EINVALID, "'%.*s' lacks its ']'", PB_FMT(text));
		hop.host = pb_str(text.ptr + 1, (size_t)end - 1);
		rest = pb_str_skip(text, (size_t)end + 1);
		hop.mx = false;
	} else {
		end = is_numeric(text) ? -1 : pb_str_find(text, ':', 0);
		hop.host = end < 0 ? text : pb_str_head(text, (size_t)end);
		rest = end < 0 ? PB_NOSTR : pb_str_skip(text, (size_t)end);
	}
	if (rest.len) {
		if (rest.ptr[0] != ':' || pb_str_u64(pb_str_skip(rest, 1), 65535, &port) || !port)
			return pb_fail(err, PB_EINVALID, "'%.*s' has no port from 1 to 65535 behind the host", PB_FMT(text));
		hop.port = (uint16_t)port;
	}
	if (is_numeric(hop.host))
		hop.mx = false;
	else if (pb_domain_check(hop.host, 0, NULL))
		return pb_fail(err, PB_EINVALID, "'%.*s' is no host, host:port or [host]:port", PB_FMT(text));
	*ret = hop;
	return 0;
}

const char *route_find(const json_t *routes, struct pb_str domain)
{
	char name[PB_DOMAIN_MAX + 2];
	const char *at;

	if (!json_object_size(routes) || !domain.len || domain.len > PB_DOMAIN_MAX)
		return NULL;
	memcpy(name, domain.ptr, domain.len);
	name[domain.len] = 0;
	at = name;
	do {
		const json_t *route = json_object_get(routes, at);

		if (route)
			return json_string_value(route);
		at = strchr(*at == '.' ? at + 1 : at, '.');
	} while (at);
	return NULL;
}

void plan_free(struct plan *plan)
{
	free(plan->list);
	free(plan->host);
	json_decref(plan->answer);
}

static bool stop(struct outcome *why, bool permanent, const char *status, const char *text)
{
	why->permanent = permanent;
	why->remote[0] = 0;
	snprintf(why->reply, sizeof why->reply, "%s %s", status, text);
	return false;
}

static void add(struct plan *plan, const struct target *like, const char *name, const char *address)
{
	plan->list = pb_realloc(plan->list, (plan->n + 1) * sizeof *plan->list);
	plan->list[plan->n] = *like;
	plan->list[plan->n].name = name;
	plan->list[plan->n++].address = address;
}

static void add_all(struct plan *plan, const struct target *like, const char *name, const json_t *addresses)
{
	const json_t *address;
	size_t i;

	json_array_foreach (addresses, i, address)
		if (json_is_string(address))
			add(plan, like, name, json_string_value(address));
}

static bool has_own_address(struct smtp *smtp, const json_t *addresses, uint16_t port)
{
	const json_t *address;
	size_t i;

	json_array_foreach (addresses, i, address)
		if (pb_link_is_own(smtp->host, pb_strz(json_string_value(address)), port))
			return true;
	return false;
}

/* RFC 5321 5.1: if we are an exchanger ourselves, those that are not better than us would send it back. Others may know us by other names. */
static json_int_t own_preference(struct smtp *smtp, const struct settings *set, const json_t *hosts, uint16_t port)
{
	json_int_t best = INT32_MAX;
	const json_t *host;
	size_t i;

	json_array_foreach (hosts, i, host) {
		const char *name = json_string_value(json_object_get(host, "name"));
		json_int_t preference = json_integer_value(json_object_get(host, "preference"));

		if (preference < best && ((name && pb_domain_eq(pb_strz(name), pb_strz(set->hostname))) || has_own_address(smtp, json_object_get(host, "addresses"), port)))
			best = preference;
	}
	return best;
}

static bool ask_dns(struct smtp *smtp, const char *method, const char *key, const char *name, json_t **ret, struct outcome *why)
{
	json_t *params = json_pack("{s:s}", key, name);
	struct pb_error err = { 0 };
	int rc = pb_call(smtp->host, method, params, ret, &err);

	json_decref(params);
	if (rc == PB_ENOTFOUND || rc == PB_EINVALID)
		return stop(why, true, "550 5.1.2", err.text);
	return rc ? stop(why, false, "451 4.4.3", err.text) : true;
}

static bool exchangers(struct smtp *smtp, const struct settings *set, const char *name, const struct target *like, struct plan *plan, struct outcome *why)
{
	const json_t *hosts, *host;
	json_int_t own;
	size_t i;

	if (!ask_dns(smtp, "dns.mx", "domain", name, &plan->answer, why))
		return false;
	if (json_is_true(json_object_get(plan->answer, "null_mx")))
		return stop(why, true, "556 5.1.10", "the domain takes no mail (null MX)");
	hosts = json_object_get(plan->answer, "hosts");
	own = own_preference(smtp, set, hosts, like->port);
	json_array_foreach (hosts, i, host)
		if (json_integer_value(json_object_get(host, "preference")) < own)
			add_all(plan, like, json_string_value(json_object_get(host, "name")), json_object_get(host, "addresses"));
	if (plan->n)
		return true;
	return own < INT32_MAX ? stop(why, true, "554 5.4.6", "this host is the domain's best mail exchanger, but has no such domain") :
				 stop(why, true, "550 5.4.4", "no mail exchanger of the domain has an address");
}

static bool next_hop(struct smtp *smtp, const struct settings *set, const char *text, struct target *like, struct plan *plan, struct outcome *why)
{
	struct pb_error err = { 0 };
	struct hop hop;

	/* The administrator's mistake: mail waits until it is mended. */
	if (hop_parse(pb_strz(text), set->port, &hop, &err))
		return stop(why, false, "451 4.3.5", err.text);
	plan->host = pb_str_dup(hop.host);
	like->port = hop.port;
	if (hop.mx)
		return exchangers(smtp, set, plan->host, like, plan, why);
	if (is_numeric(hop.host) && pb_link_is_own(smtp->host, hop.host, hop.port))
		return stop(why, false, "451 4.4.6", "the next hop is this host itself");
	if (is_numeric(hop.host)) {
		add(plan, like, plan->host, plan->host);
		return true;
	}
	if (!ask_dns(smtp, "dns.address", "name", plan->host, &plan->answer, why))
		return false;
	if (has_own_address(smtp, json_object_get(plan->answer, "addresses"), like->port))
		return stop(why, false, "451 4.4.6", "the next hop is this host itself");
	add_all(plan, like, plan->host, json_object_get(plan->answer, "addresses"));
	return plan->n ? true : stop(why, false, "451 4.4.4", "the next hop has no address");
}

bool plan_make(struct smtp *smtp, const struct settings *set, struct pb_str domain, struct plan *ret, struct outcome *why)
{
	struct target like = { .port = set->port, .tls = set->tls };
	const char *route = route_find(set->routes, domain);
	struct plan plan = { 0 };
	bool found;

	if (route) {
		found = next_hop(smtp, set, route, &like, &plan, why);
	} else if (set->smart_host[0]) {
		like.tls = set->smart_tls;
		like.user = set->smart_user[0] ? set->smart_user : NULL;
		like.password = set->smart_password;
		found = next_hop(smtp, set, set->smart_host, &like, &plan, why);
		/* Nothing about the smart host is the recipient's fault. */
		why->permanent = false;
		if (!found && why->reply[0] == '5')
			stop(why, false, "451 4.4.4", "the smart host cannot be found");
	} else {
		plan.host = pb_str_dup(domain);
		found = exchangers(smtp, set, plan.host, &like, &plan, why);
	}
	if (found)
		*ret = plan;
	else
		plan_free(&plan);
	return found;
}
