/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Call, ask, publish. One registry; one trace point that sees every call, ask and fact with its plugin, outcome and microseconds.
 * Providers come and go while others call: withdrawing waits until nobody is inside. A hook that overruns its budget goes on alone, on a thread of its own
 * (helpers.c), while its manifest's policy answers.
 */
#ifndef KERNEL_BUS_BUS_H
#define KERNEL_BUS_BUS_H

#include <jansson.h>
#include "kernel/host.h"

struct bus;

/* Of a hook whose plugin is enabled and does not run. SOON: who asks waits for it, as much of its budget as that takes and 5 seconds at most, then its policy
 * answers. FAILED: its policy answers. ENDING: so it does, but nothing is rejected because the server ends. */
enum away { AWAY_SOON, AWAY_FAILED, AWAY_ENDING };

/* Uses log, timeline and sessions (for facts) of the kernel. */
int bus_open(struct kernel *kernel, struct bus **ret, struct pb_error *err);
void bus_close(struct bus *b);

/* spec: the manifest's { summary, role, params, returns }; borrowed until withdrawn. PB_EEXISTS names the other provider. */
int bus_provide(struct bus *b, struct pb_host *host, const struct pb_method *method, const json_t *spec, struct pb_error *err);
/* spec: { before, after, budget_ms, on_failure }; before and after name plugins. */
int bus_hook(struct bus *b, struct pb_host *host, const struct pb_hook *hook, const json_t *spec, struct pb_error *err);
int bus_listen(struct bus *b, struct pb_host *host, const struct pb_listener *listener, struct pb_error *err);
/* Everything of host goes; 0 once no call, ask or fact is inside it. PB_ETIMEOUT: one is still, after timeout microseconds; nobody new comes in, and host with
 * its names must not go away before 0 is given to a later call. hooks, how: as for bus_away, from the same moment on. */
int bus_withdraw(struct bus *b, struct pb_host *host, const json_t *hooks, enum away how, int64_t timeout);
/* What an enabled plugin hooks beside what it has there now, { point: spec }, copied; NULL: nothing any more. One that comes by bus_hook takes its place.
 * host's name stays where it is. */
void bus_away(struct bus *b, struct pb_host *host, const json_t *hooks, enum away how);
/* What this thread asks while it starts a plugin waits for none that is away: it may be that one. */
void bus_impatient(bool yes);

/* For the control socket: who decides what it may do. Checks the role and the parameters, then calls. */
int bus_call_as(struct bus *b, const struct pb_caller *who, const char *method, const json_t *params, json_t **ret_result, struct pb_error *err);
/* { methods: { name: { plugin, summary, role, params, returns, cli } } }; new reference. names: those of this list that there are; NULL: all. */
json_t *bus_describe(struct bus *b, const json_t *names);

/* Recent trace lines and per-method counts go to the log at debug level and into metrics; a test may tap them. */
void bus_tap(struct bus *b, void (*tap)(void *arg, const char *verb, const char *name, const char *plugin, int outcome, int64_t microseconds), void *arg);

#endif
