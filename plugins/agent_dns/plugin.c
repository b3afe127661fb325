/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The agent's descriptor, and the resolver's life between start and unload. */
#include <stdlib.h>
#include <unistd.h>
#include "methods.h"

static int open_resolver(struct pb_host *host, struct resolver **ret, struct pb_error *err)
{
	struct pb_str anchor = pb_config_str(host, "trust_anchor");
	struct resolver_options o = {
		.forwarders = pb_config_json(host, "forwarders"),
		.local = pb_config_json(host, "local"),
		.zones = pb_config_json(host, "zones"),
		.trust_anchor = anchor.len ? anchor.ptr : "",
	};

	if (anchor.len && access(anchor.ptr, R_OK)) {
		pb_log(host, PB_INFO, "dns.anchor", "path=%s", pb_logq(anchor));
		o.trust_anchor = "";
	}
	return resolver_open(&o, ret, err);
}

static int load(struct pb_host *host, void **ret_self, struct pb_error *err)
{
	struct dns *dns = pb_alloc(sizeof *dns);

	(void)err;
	dns->host = host;
	dns->timeout = pb_config_int(host, "timeout") * PB_SECOND;
	dns->ipv6_first = pb_str_eq(pb_config_str(host, "prefer"), PB_STR("ipv6"));
	*ret_self = dns;
	return 0;
}

static int start(void *self, struct pb_error *err)
{
	struct dns *dns = self;

	return open_resolver(dns->host, &dns->resolver, err);
}

/* The resolver's library reads the local data. */
static int check(struct pb_host *host, struct pb_error *err)
{
	struct resolver *resolver;

	if (open_resolver(host, &resolver, err))
		return err->code;
	resolver_close(resolver);
	return 0;
}

static void unload(void *self)
{
	struct dns *dns = self;

	if (!dns)
		return;
	resolver_close(dns->resolver);
	free(dns);
}

static const struct pb_method methods[] = {
	{ "dns.mx", dns_mx }, { "dns.address", dns_address }, { "dns.ptr", dns_ptr }, { "dns.query", dns_query }, { 0 }
};

PB_PLUGIN(agent_dns) = {
	PB_PLUGIN_HEAD("agent_dns"),
	.load = load,
	.start = start,
	.unload = unload,
	.check = check,
	.methods = methods,
};
