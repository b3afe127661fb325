/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Decision points: order, budgets, failure policies, and the timeline of what each plugin decided. */
#include "kernel/bus/registry.h"
#include "kernel/clock/clock.h"
#include "kernel/log/log.h"
#include "kernel/session/running.h"
#include "kernel/store/timeline.h"

static const char *const decisions[] = { "continue", "accept", "reject", "defer", "quarantine", "discard" };

static bool names(const json_t *list, const char *plugin)
{
	const json_t *one;
	size_t i;

	json_array_foreach (list, i, one)
		if (json_is_string(one) && !strcmp(json_string_value(one), plugin))
			return true;
	return false;
}

static bool comes_before(const struct entry *a, const struct entry *b)
{
	return names(json_object_get(a->spec, "before"), b->host->name) || names(json_object_get(b->spec, "after"), a->host->name);
}

/* Under the write lock. Those who must come first first, else by plugin name, so that the order never depends on loading. A circle is broken at its first name. */
void bus_order_hooks(struct bus *b)
{
	struct entry *waiting[HOOKS_MAX];
	size_t n = 0;

	for (struct entry *e = b->entries; e && n < HOOKS_MAX; e = e->next)
		if (e->kind == ENTRY_HOOK)
			waiting[n++] = e;
	b->nhooks = 0;
	while (n) {
		size_t best = n;

		for (size_t i = 0; i < n; i++) {
			bool free = true;

			for (size_t k = 0; k < n && free; k++)
				free = k == i || strcmp(waiting[k]->name, waiting[i]->name) || !comes_before(waiting[k], waiting[i]);
			if (free && (best == n || strcmp(waiting[i]->host->name, waiting[best]->host->name) < 0))
				best = i;
		}
		if (best == n)
			best = 0;
		b->hooks[b->nhooks++] = waiting[best];
		waiting[best] = waiting[--n];
	}
	atomic_store(&b->points, b->nhooks);
}

static void fail_by_policy(struct entry *e, struct pb_verdict *v, const char *why)
{
	enum pb_decision d = e->on_failure;

	pb_verdict_clear(v);
	if (d != PB_CONTINUE)
		pb_verdict_set(v, d, d == PB_REJECT ? 554 : 451, d == PB_REJECT ? "5.3.0" : "4.3.0", "%s", why);
}

/* One that has always answered at once is asked in the asker's own thread. One that takes its time - it waits for something - or is new is asked on a thread
 * that it may keep. */
static int ask_it(struct bus *b, struct entry *e, int64_t now, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	struct place *place = trust_enter(b, e, now);
	int rc;

	if (!place)
		return helpers_ask(b, e, q, v, err);
	rc = e->ask(e->host->self, q, v, err);
	trust_leave(place);
	return rc;
}

static void ask_one(struct bus *b, struct entry *e, const struct pb_question *q, struct pb_verdict *v)
{
	struct pb_error err = { 0 };
	int64_t started = clock_ticks(b->kernel->clock), took;
	int rc = e->away ? pb_fail(&err, PB_EUNAVAILABLE, "it is enabled, but does not run") : ask_it(b, e, started, q, v, &err);

	took = clock_ticks(b->kernel->clock) - started;
	if (!e->away)
		trust_judge(b, e, rc, took);
	if (rc) {
		log_line(b->kernel->log, PB_WARNING, NULL, "hook.failed", "plugin=%s point=%s id=%.*s error=%s", e->host->name, q->point, PB_FMT(q->id),
			 pb_logq(pb_strz(err.text)));
		fail_by_policy(e, v, rc == PB_ETIMEOUT ? "a check took too long" : "a check failed");
	} else if (took > e->budget) {
		log_line(b->kernel->log, PB_WARNING, NULL, "hook.slow", "plugin=%s point=%s id=%.*s us=%lld budget_us=%lld", e->host->name, q->point, PB_FMT(q->id),
			 (long long)took, (long long)e->budget);
		fail_by_policy(e, v, "a check took too long");
		rc = PB_ETIMEOUT;
	}
	snprintf(v->plugin, sizeof v->plugin, "%s", e->host->name);
	bus_trace(b, "ask", q->point, e->host->name, rc, took);
	if (q->id.len && b->kernel->timeline) {
		char id[PB_ID_MAX];

		snprintf(id, sizeof id, "%.*s", PB_FMT(q->id));
		timeline_add(b->kernel->timeline, id, e->host->name, "verdict", "point=%s decision=%s us=%lld%s%s", q->point, decisions[v->decision], (long long)took,
			     v->text[0] ? " text=" : "", v->text[0] ? pb_logq(pb_strz(v->text)) : "");
	}
}

/* Headers and notes of all gather in all; the decision is the last one asked. */
static void gather(struct pb_verdict *all, struct pb_verdict *one)
{
	json_t *headers = all->headers, *notes = all->notes;

	if (one->headers) {
		if (!headers)
			headers = json_array();
		json_array_extend(headers, one->headers);
	}
	if (one->notes) {
		if (!notes)
			notes = json_object();
		json_object_update(notes, one->notes);
	}
	json_decref(one->headers);
	json_decref(one->notes);
	*all = *one;
	all->headers = headers;
	all->notes = notes;
}

bool host_is_hooked(struct pb_host *host, const char *point)
{
	struct bus *b = host->kernel->bus;
	bool found = false;

	if (!atomic_load_explicit(&b->points, memory_order_relaxed))
		return false;
	pthread_rwlock_rdlock(&b->lock);
	for (size_t i = 0; i < b->nhooks && !found; i++)
		found = !strcmp(b->hooks[i]->name, point);
	pthread_rwlock_unlock(&b->lock);
	return found;
}

static _Thread_local bool impatient;

void bus_impatient(bool yes)
{
	impatient = yes;
}

/* One that is away and soon to be back is waited for: gives whom to ask instead, entered, and leaves e; e itself when its time is over; NULL: it was disabled. */
static struct entry *wait_until_back(struct bus *b, struct entry *e, const char *point)
{
	struct timespec until = { 0 };

	while (e && e->back_soon && !impatient) {
		struct entry *next;
		bool gone;

		if (!until.tv_sec)
			until = patience(e->budget < AWAY_MAX ? e->budget : AWAY_MAX);
		pthread_mutex_lock(&b->idle_lock);
		while (!(gone = atomic_load(&e->inside) & ENTRY_GONE) && pthread_cond_timedwait(&b->idle, &b->idle_lock, &until) == 0)
			;
		pthread_mutex_unlock(&b->idle_lock);
		if (!gone)
			break;
		pthread_rwlock_rdlock(&b->lock);
		next = bus_hook_of(b, e->host, point);
		if (next)
			bus_enter(next);
		pthread_rwlock_unlock(&b->lock);
		bus_leave(b, e);
		e = next;
	}
	return e;
}

void host_ask(struct pb_host *host, const struct pb_question *q, struct pb_verdict *v)
{
	struct bus *b = host->kernel->bus;
	struct entry *asked[HOOKS_MAX];
	size_t n = 0;

	if (!atomic_load_explicit(&b->points, memory_order_relaxed))
		return;
	pthread_rwlock_rdlock(&b->lock);
	for (size_t i = 0; i < b->nhooks; i++) {
		if (strcmp(b->hooks[i]->name, q->point))
			continue;
		bus_enter(b->hooks[i]);
		asked[n++] = b->hooks[i];
	}
	pthread_rwlock_unlock(&b->lock);
	for (size_t i = 0; i < n; i++) {
		if (v->decision == PB_CONTINUE)
			asked[i] = wait_until_back(b, asked[i], q->point);
		if (asked[i] && v->decision == PB_CONTINUE) {
			struct pb_verdict one = PB_VERDICT;

			ask_one(b, asked[i], q, &one);
			gather(v, &one);
		}
		if (asked[i])
			bus_leave(b, asked[i]);
	}
}
