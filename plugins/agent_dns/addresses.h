/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Looking up a host's addresses: A and AAAA at the same time, in the order that the config prefers. */
#ifndef AGENT_DNS_ADDRESSES_H
#define AGENT_DNS_ADDRESSES_H

#include "methods.h"

/* Counted lookups. */
struct lookup *dns_begin(struct dns *dns, const char *name, int type);
int dns_wait(struct dns *dns, struct lookup *l, int64_t deadline, const struct ub_result **ret, struct pb_error *err);

struct host_lookup {
	struct lookup *v4, *v6;
};

void host_lookup_begin(struct dns *dns, const char *name, struct host_lookup *ret);
/* Appends to list. 0 also where there are none; PB_EUNAVAILABLE when neither could be asked. Ends the lookup in every case. */
int host_lookup_end(struct dns *dns, struct host_lookup *h, int64_t deadline, json_t *list, struct pb_error *err);

#endif
