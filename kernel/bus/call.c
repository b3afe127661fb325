/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls: rights, parameters, depth, then the provider in the caller's thread. */
#include "kernel/bus/registry.h"
#include "kernel/clock/clock.h"
#include "kernel/config/schema.h"
#include "kernel/log/log.h"

enum { DEPTH_MAX = 16 };

static _Thread_local unsigned depth;

unsigned bus_depth(void)
{
	return depth;
}

void bus_set_depth(unsigned now)
{
	depth = now;
}

static enum pb_role role_of(const json_t *spec)
{
	const char *role = json_string_value(json_object_get(spec, "role"));

	if (!role || !strcmp(role, "system"))
		return PB_ROLE_SYSTEM;
	return !strcmp(role, "admin") ? PB_ROLE_ADMIN : PB_ROLE_USER;
}

/* What the manifest promises counts for those who ask from outside, and for all where somebody looks closely. Told once: it is the plugin's bug, not the asker's. */
static void check_result(struct bus *b, struct entry *e, const struct pb_caller *who, const json_t *result)
{
	const json_t *fields = json_object_get(e->spec, "returns");
	struct pb_error wrong;

	if (!result || !fields || atomic_load_explicit(&e->promised_wrong, memory_order_relaxed) || !(pb_str_eq(who->plugin, PB_STR("control")) || log_wants(b->kernel->log, PB_DEBUG)))
		return;
	if (!schema_check(fields, result, "its result", NULL, &wrong) || atomic_exchange(&e->promised_wrong, true))
		return;
	log_line(b->kernel->log, PB_WARNING, NULL, "result.wrong", "plugin=%s method=%s reason=%s help=\"returns in its manifest says what it gives\"", e->host->name, e->name,
		 pb_logq(pb_strz(wrong.text)));
}

static int call_provider(struct bus *b, struct entry *e, const struct pb_caller *who, const json_t *params, json_t **ret_result, struct pb_error *err)
{
	const json_t *fields = json_object_get(e->spec, "params");
	json_t *checked = NULL, *result = NULL;
	int64_t started = clock_ticks(b->kernel->clock), took;
	int rc = fields ? schema_share(fields, params, e->name, &checked, err) : 0;

	if (!fields)
		checked = json_object();
	if (!rc) {
		depth++;
		rc = e->call(e->host->self, who, checked, &result, err);
		depth--;
	}
	json_decref(checked);
	took = clock_ticks(b->kernel->clock) - started;
	metric_add(e->timing, took);
	bus_trace(b, "call", e->name, e->host->name, rc, took);
	if (!rc)
		check_result(b, e, who, result);
	if (rc || !ret_result) {
		json_decref(result);
		return rc;
	}
	*ret_result = result ? result : json_object();
	return 0;
}

int bus_call_as(struct bus *b, const struct pb_caller *who, const char *method, const json_t *params, json_t **ret_result, struct pb_error *err)
{
	struct entry *e;
	int rc;

	if (depth >= DEPTH_MAX)
		return pb_fail(err, PB_EBUSY, "%s: calls are nested deeper than %d", method, DEPTH_MAX);
	pthread_rwlock_rdlock(&b->lock);
	e = bus_method(b, method);
	if (e)
		bus_enter(e);
	pthread_rwlock_unlock(&b->lock);
	if (!e)
		return pb_fail(err, PB_EUNAVAILABLE, "nobody provides %s now", method);
	if (who->role < role_of(e->spec))
		rc = pb_fail(err, PB_EDENIED, "%s needs the role %s", method, json_string_value(json_object_get(e->spec, "role")));
	else
		rc = call_provider(b, e, who, params, ret_result, err);
	bus_leave(b, e);
	return rc;
}

int host_call(struct pb_host *host, const char *method, json_t *params, json_t **ret_result, struct pb_error *err)
{
	const struct pb_caller who = { .role = PB_ROLE_SYSTEM, .plugin = pb_strz(host->name) };

	if (host->calls && !json_object_get(host->calls, method)) {
		log_line(host->kernel->log, PB_WARNING, NULL, "denied", "plugin=%s method=%s help=\"name it in requires of %s.json\"", host->name, method, host->name);
		return pb_fail(err, PB_EDENIED, "%s does not name %s in \"requires\" of its manifest", host->name, method);
	}
	return bus_call_as(host->kernel->bus, &who, method, params, ret_result, err);
}
