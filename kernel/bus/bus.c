/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The registry: who provides, hooks and hears what; comings and goings. Leaves calling to call.c, ask.c and publish.c. */
#include <stdlib.h>
#include "kernel/bus/registry.h"
#include "kernel/log/log.h"
#include "kernel/session/running.h"

int bus_open(struct kernel *kernel, struct bus **ret, struct pb_error *err)
{
	struct bus *b = pb_alloc(sizeof *b);

	(void)err;
	b->kernel = kernel;
	b->methods = json_object();
	pthread_rwlock_init(&b->lock, NULL);
	pthread_mutex_init(&b->idle_lock, NULL);
	patience_init(&b->idle);
	helpers_open(&b->helpers);
	trust_open(b);
	*ret = b;
	return 0;
}

static void entry_free(struct entry *e)
{
	shape_free(e->asked);
	shape_free(e->promise);
	if (e->away) {
		free((char *)(uintptr_t)e->name);
		json_decref((json_t *)(uintptr_t)e->spec);
	}
	free(e);
}

static void free_entries(struct entry *e)
{
	while (e) {
		struct entry *next = e->next;

		entry_free(e);
		e = next;
	}
}

void bus_close(struct bus *b)
{
	if (!b)
		return;
	trust_close(b);
	helpers_close(&b->helpers);
	free_entries(b->entries);
	free_entries(b->leaving);
	json_decref(b->methods);
	pthread_rwlock_destroy(&b->lock);
	pthread_mutex_destroy(&b->idle_lock);
	pthread_cond_destroy(&b->idle);
	free(b);
}

void bus_tap(struct bus *b, void (*tap)(void *arg, const char *verb, const char *name, const char *plugin, int outcome, int64_t us), void *arg)
{
	b->tap = tap;
	b->tap_arg = arg;
}

void bus_trace(struct bus *b, const char *verb, const char *name, const char *plugin, int outcome, int64_t us)
{
	if (b->tap)
		b->tap(b->tap_arg, verb, name, plugin, outcome, us);
	if (log_wants(b->kernel->log, PB_DEBUG))
		log_line(b->kernel->log, PB_DEBUG, NULL, "bus", "verb=%s name=%s plugin=%s outcome=\"%s\" us=%lld", verb, name, plugin, pb_code_name(outcome),
			 (long long)us);
}

/* ---- being inside ---- */

void bus_enter(struct entry *e)
{
	atomic_fetch_add(&e->inside, 1);
}

/* The entry is not looked at after the count: it may be freed at once. */
void bus_leave(struct bus *b, struct entry *e)
{
	if (atomic_fetch_sub(&e->inside, 1) != (ENTRY_GONE | 1))
		return;
	pthread_mutex_lock(&b->idle_lock);
	pthread_cond_broadcast(&b->idle);
	pthread_mutex_unlock(&b->idle_lock);
}

/* ---- what goes ---- */

/* Under the write lock. away: only that hook of those that are away, or with "" all of them; NULL: all that is host's. */
static struct entry *take_out(struct bus *b, const struct pb_host *host, const char *away)
{
	struct entry *gone = NULL, **end = &b->entries;

	for (struct entry *e; (e = *end) != NULL;) {
		if (e->host != host || (away && (!e->away || (*away && strcmp(e->name, away))))) {
			end = &e->next;
			continue;
		}
		*end = e->next;
		if (e->kind == ENTRY_METHOD)
			json_object_del(b->methods, e->name);
		atomic_fetch_or(&e->inside, ENTRY_GONE);
		e->next = gone;
		gone = e;
	}
	return gone;
}

/* To those that somebody may be inside of; who waits for one that is away looks again. */
static void retire(struct bus *b, struct entry *gone)
{
	pthread_mutex_lock(&b->idle_lock);
	for (struct entry *next; gone; gone = next) {
		next = gone->next;
		gone->next = b->leaving;
		b->leaving = gone;
	}
	pthread_cond_broadcast(&b->idle);
	pthread_mutex_unlock(&b->idle_lock);
}

/* ---- comings ---- */

static struct entry *entry_new(struct bus *b, enum entry_kind kind, struct pb_host *host, const char *name, const json_t *spec)
{
	struct entry *e = pb_alloc(sizeof *e);

	e->kind = kind;
	e->host = host;
	e->name = name;
	e->spec = spec;
	e->next = b->entries;
	b->entries = e;
	return e;
}

static enum pb_role role_of(const json_t *spec)
{
	const char *role = json_string_value(json_object_get(spec, "role"));

	if (!role || !strcmp(role, "system"))
		return PB_ROLE_SYSTEM;
	return !strcmp(role, "admin") ? PB_ROLE_ADMIN : PB_ROLE_USER;
}

int bus_provide(struct bus *b, struct pb_host *host, const struct pb_method *method, const json_t *spec, struct pb_error *err)
{
	struct entry *e;
	int rc = 0;

	pthread_rwlock_wrlock(&b->lock);
	e = json_integer_value(json_object_get(b->methods, method->name)) ? bus_method(b, method->name) : NULL;
	if (e) {
		rc = pb_fail(err, PB_EEXISTS, "method %s is provided by %s already", method->name, e->host->name);
	} else {
		e = entry_new(b, ENTRY_METHOD, host, method->name, spec);
		e->call = method->call;
		e->role = role_of(spec);
		e->params = json_object_get(spec, "params");
		e->asked = e->params ? shape_new_strict(e->params) : NULL;
		e->promise = json_object_get(spec, "returns") ? shape_new(json_object_get(spec, "returns")) : NULL;
		e->timing = metric_declare(b->kernel->log, METRIC_HISTOGRAM, "call_seconds", "", "Bus calls.");
		json_object_set_new(b->methods, method->name, json_integer((json_int_t)(intptr_t)e));
	}
	pthread_rwlock_unlock(&b->lock);
	return rc;
}

static struct entry *hook_new(struct bus *b, struct pb_host *host, const char *point, const json_t *spec)
{
	const char *policy = json_string_value(json_object_get(spec, "on_failure"));
	const json_t *budget = json_object_get(spec, "budget_ms");
	struct entry *e = entry_new(b, ENTRY_HOOK, host, point, spec);

	e->budget = (budget ? json_integer_value(budget) : 1000) * 1000;
	e->on_failure = policy && !strcmp(policy, "reject") ? PB_REJECT : policy && !strcmp(policy, "defer") ? PB_DEFER : PB_CONTINUE;
	return e;
}

struct entry *bus_hook_of(const struct bus *b, const struct pb_host *host, const char *point)
{
	struct entry *e = b->entries;

	while (e && !(e->kind == ENTRY_HOOK && e->host == host && !strcmp(e->name, point)))
		e = e->next;
	return e;
}

static void leave_away(struct bus *b, struct pb_host *host, const json_t *hooks, enum away how)
{
	const char *point;
	json_t *spec;

	json_object_foreach ((json_t *)(uintptr_t)hooks, point, spec) {
		struct entry *e;

		if (bus_hook_of(b, host, point))
			continue;
		e = hook_new(b, host, pb_str_dup(pb_strz(point)), json_deep_copy(spec));
		e->away = true;
		e->back_soon = how == AWAY_SOON;
		if (how == AWAY_ENDING && e->on_failure == PB_REJECT)
			e->on_failure = PB_DEFER;
	}
}

/* What take_out finds goes, hooks stay away; for others it is one step. */
static void exchange(struct bus *b, struct pb_host *host, const char *away, const json_t *hooks, enum away how)
{
	struct entry *gone;

	pthread_rwlock_wrlock(&b->lock);
	gone = take_out(b, host, away);
	leave_away(b, host, hooks, how);
	bus_order_hooks(b);
	pthread_rwlock_unlock(&b->lock);
	retire(b, gone);
}

int bus_hook(struct bus *b, struct pb_host *host, const struct pb_hook *hook, const json_t *spec, struct pb_error *err)
{
	struct entry *gone;

	(void)err;
	pthread_rwlock_wrlock(&b->lock);
	gone = take_out(b, host, hook->point);
	hook_new(b, host, hook->point, spec)->ask = hook->ask;
	bus_order_hooks(b);
	pthread_rwlock_unlock(&b->lock);
	retire(b, gone);
	return 0;
}

void bus_away(struct bus *b, struct pb_host *host, const json_t *hooks, enum away how)
{
	exchange(b, host, "", hooks, how);
}

int bus_listen(struct bus *b, struct pb_host *host, const struct pb_listener *listener, struct pb_error *err)
{
	(void)err;
	pthread_rwlock_wrlock(&b->lock);
	entry_new(b, ENTRY_LISTENER, host, listener->fact, NULL)->hear = listener->hear;
	pthread_rwlock_unlock(&b->lock);
	return 0;
}

/* ---- goings ---- */

/* Under idle_lock: frees those of host that nobody is inside any more. Says whether others are left. */
static bool is_left(struct bus *b, const struct pb_host *host)
{
	bool left = false;

	for (struct entry *e, **at = &b->leaving; (e = *at) != NULL;) {
		if (e->host != host || atomic_load(&e->inside) != ENTRY_GONE) {
			left |= e->host == host;
			at = &e->next;
			continue;
		}
		*at = e->next;
		entry_free(e);
	}
	return left;
}

int bus_withdraw(struct bus *b, struct pb_host *host, const json_t *hooks, enum away how, int64_t timeout)
{
	const struct timespec until = patience(timeout);
	bool left;

	exchange(b, host, NULL, hooks, how);
	pthread_mutex_lock(&b->idle_lock);
	while ((left = is_left(b, host)) && pthread_cond_timedwait(&b->idle, &b->idle_lock, &until) == 0)
		;
	pthread_mutex_unlock(&b->idle_lock);
	return left ? PB_ETIMEOUT : 0;
}

static void describe_one(json_t *methods, const struct entry *e)
{
	json_t *one = e->spec ? json_deep_copy(e->spec) : json_object();

	json_object_set_new(one, "plugin", json_string(e->host->name));
	json_object_set_new(methods, e->name, one);
}

json_t *bus_describe(struct bus *b, const json_t *names)
{
	json_t *all = json_object(), *methods = json_object(), *name;
	const struct entry *e;
	size_t i;

	pthread_rwlock_rdlock(&b->lock);
	json_array_foreach ((json_t *)names, i, name)
		if ((e = bus_method(b, json_string_value(name))) != NULL)
			describe_one(methods, e);
	for (e = names ? NULL : b->entries; e; e = e->next)
		if (e->kind == ENTRY_METHOD)
			describe_one(methods, e);
	pthread_rwlock_unlock(&b->lock);
	json_object_set_new(all, "methods", methods);
	return all;
}
