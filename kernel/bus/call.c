/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls: rights, parameters, depth, then the provider in the caller's thread. */
#include "kernel/bus/registry.h"
#include "kernel/clock/clock.h"
#include "kernel/config/schema.h"
#include "kernel/log/log.h"

enum { DEPTH_MAX = 16 };

static _Thread_local unsigned depth;
static _Thread_local struct pb_subject *subject;	/* of the innermost call */

unsigned bus_depth(void)
{
	return depth;
}

void bus_set_depth(unsigned now)
{
	depth = now;
}

/* Whoever asked relies on what the manifest promises. Told once: it is the plugin's bug, not the asker's. */
static int check_result(struct bus *b, struct entry *e, const json_t *result, struct pb_error *err)
{
	struct pb_error wrong;

	if (!e->promise || shape_fits(e->promise, result))
		return 0;
	if (!schema_check(json_object_get(e->spec, "returns"), result, "its result", NULL, &wrong))
		pb_fail(&wrong, PB_EINVALID, "its result has another form");
	if (!atomic_exchange(&e->promised_wrong, true))
		log_line(b->kernel->log, PB_WARNING, NULL, "result.wrong", "plugin=%s method=%s reason=%s help=\"returns in its manifest says what it gives\"", e->host->name,
			 e->name, pb_logq(pb_strz(wrong.text)));
	return pb_fail(err, PB_EINTERNAL, "%s of %s gave what its manifest does not say: %s", e->name, e->host->name, wrong.text);
}

static int call_provider(struct bus *b, struct entry *e, const struct pb_caller *who, const json_t *params, json_t **ret_result, struct pb_error *err)
{
	json_t *checked = NULL, *result = NULL;
	int64_t started = clock_ticks(b->kernel->clock), took;
	int rc = e->params ? shape_take(e->asked, e->params, params, e->name, &checked, err) : 0;

	if (!e->params)
		checked = json_object();
	if (!rc) {
		depth++;
		rc = e->call(e->host->self, who, checked, &result, err);
		depth--;
	}
	if (!rc)
		rc = check_result(b, e, result, err);
	json_decref(checked);
	took = clock_ticks(b->kernel->clock) - started;
	metric_add(e->timing, took);
	bus_trace(b, "call", e->name, e->host->name, rc, took);
	if (rc || !ret_result) {
		json_decref(result);
		return rc;
	}
	*ret_result = result ? result : json_object();
	return 0;
}

bool host_is_provided(struct pb_host *host, const char *method)
{
	struct bus *b = host->kernel->bus;
	bool found;

	pthread_rwlock_rdlock(&b->lock);
	found = bus_method(b, method) != NULL;
	pthread_rwlock_unlock(&b->lock);
	return found;
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
	if (who->role < e->role)
		rc = pb_fail(err, PB_EDENIED, "%s needs the role %s", method, json_string_value(json_object_get(e->spec, "role")));
	else
		rc = call_provider(b, e, who, params, ret_result, err);
	bus_leave(b, e);
	return rc;
}

int host_call_about(struct pb_host *host, struct pb_subject *about, const char *method, json_t *params, json_t **ret_result, struct pb_error *err)
{
	const struct pb_caller who = { .role = PB_ROLE_SYSTEM, .plugin = pb_strz(host->name) };

	if (host->calls && !json_object_get(host->calls, method)) {
		log_line(host->kernel->log, PB_WARNING, NULL, "denied", "plugin=%s method=%s help=\"name it in requires of %s.json\"", host->name, method, host->name);
		return pb_fail(err, PB_EDENIED, "%s does not name %s in \"requires\" of its manifest", host->name, method);
	}
	struct pb_subject *outer = subject;
	subject = about;
	int rc = bus_call_as(host->kernel->bus, &who, method, params, ret_result, err);
	subject = outer;
	return rc;
}

int host_call(struct pb_host *host, const char *method, json_t *params, json_t **ret_result, struct pb_error *err)
{
	return host_call_about(host, NULL, method, params, ret_result, err);
}

struct pb_subject *host_subject(struct pb_host *host)
{
	(void)host;
	return subject;
}
