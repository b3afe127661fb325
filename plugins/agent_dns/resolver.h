/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A resolver: libunbound behind a call that ends in bounded time. Several lookups can be under way before the first is waited for.
 * What the answers mean is in records.h and in the methods.
 */
#ifndef AGENT_DNS_RESOLVER_H
#define AGENT_DNS_RESOLVER_H

#include <jansson.h>
#include <unbound.h>
#include <postbus/str.h>

struct resolver;
struct lookup;

struct resolver_options {
	const json_t *forwarders, *local, *zones;	/* lists of strings, as the manifest describes them */
	const char *trust_anchor;			/* a readable file, or empty */
};

/* PB_EINVALID names the forwarder, zone or record that is wrong. Starts a thread. */
int resolver_open(const struct resolver_options *o, struct resolver **ret, struct pb_error *err);
void resolver_close(struct resolver *r);		/* nobody waits any more; NULL is fine */

/* name: ASCII, NUL-terminated. Never NULL; what goes wrong is told by lookup_wait. */
struct lookup *lookup_begin(struct resolver *r, const char *name, int type);
/* Waits until deadline (monotonic microseconds) at most. 0 and the result, which lives as long as the lookup; PB_ENOTFOUND: there is no such name;
 * PB_EUNAVAILABLE: no answer, or one that failed its validation. A name without records of the type gives 0 and havedata 0. */
int lookup_wait(struct lookup *l, int64_t deadline, const struct ub_result **ret, struct pb_error *err);
void lookup_end(struct lookup *l);			/* waited for or not; NULL is fine */

int64_t resolver_ticks(void);				/* monotonic microseconds */

#endif
