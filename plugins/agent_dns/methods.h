/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The methods dns.*: what they take and give stands in the manifest. */
#ifndef AGENT_DNS_METHODS_H
#define AGENT_DNS_METHODS_H

#include <postbus/bus.h>
#include "resolver.h"

struct dns {
	struct pb_host *host;		/* NULL in unit tests: then nothing is counted */
	struct resolver *resolver;
	int64_t timeout;		/* microseconds, for one call */
	bool ipv6_first;
};

int dns_mx(void *self, const struct pb_caller *who, const json_t *params, json_t **ret_result, struct pb_error *err);
int dns_address(void *self, const struct pb_caller *who, const json_t *params, json_t **ret_result, struct pb_error *err);
int dns_ptr(void *self, const struct pb_caller *who, const json_t *params, json_t **ret_result, struct pb_error *err);
int dns_query(void *self, const struct pb_caller *who, const json_t *params, json_t **ret_result, struct pb_error *err);

#endif
