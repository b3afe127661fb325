/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * When accounts run: each at its interval, a little off it so that they do not come all at once; later and later while it fails; so many at a time, and so many
 * to one host. Runs are jobs of the kernel's workers.
 */
#include <stdlib.h>
#include <time.h>
#include "popretr.h"

enum { STEPS_MAX = 16 };

/* Somewhere in [-part, +part] per cent of a span of microseconds. */
static int64_t jittered(int64_t span, int64_t part)
{
	uint64_t chance;
	int64_t most = span / 100 * part;

	pb_random(&chance, sizeof chance);
	return span - most + (int64_t)(chance % (uint64_t)(2 * most + 1));
}

/* A wrong password is not said often: servers lock accounts for that. */
int64_t schedule_next(struct retr *r, const struct account *a, unsigned failures, enum pb_code code)
{
	int64_t interval = number_of_key(a->row, "interval"), most = pb_config_int(r->host, "backoff_max"), wait;

	if (!interval)
		interval = pb_config_int(r->host, "interval");
	wait = interval;
	if (failures) {
		int64_t first = pb_config_int(r->host, code == PB_EDENIED ? "backoff_denied" : "backoff");

		wait = first << (failures > STEPS_MAX ? STEPS_MAX : failures - 1);
		if (wait > most || wait < first)
			wait = most;
		if (wait < interval)
			wait = interval;
	}
	return pb_now(r->host) + jittered(wait * PB_SECOND, number_of_key(a->row, "jitter"));
}

/* Connections to a host: runs, tests, and those that wait in IDLE. With the lock held. */
static unsigned at_host(struct retr *r, struct pb_str host)
{
	unsigned n = 0;

	for (size_t i = 0; i < r->running; i++)
		n += pb_str_ieq(pb_text_of(r->busy[i]->row, "host"), host);
	for (const struct testing *t = r->testing; t; t = t->next)
		n += pb_str_ieq(t->host, host);
	return n + watch_at_host(r, host);
}

/* With the lock held. */
static bool has_room(struct retr *r, struct pb_str host)
{
	return at_host(r, host) < (unsigned)pb_config_int(r->host, "per_host");
}

/* With the lock held. */
static void start(struct retr *r, struct account *a)
{
	if (pb_work(r->host, run_account, a, NULL))
		return;		/* the next tick tries again */
	a->running = true;
	a->again = false;
	a->by_news = a->told;
	a->told = false;
	a->refs++;
	r->busy[r->running++] = a;
}

/* A connection that waits in IDLE ends before its account runs, so that never more of them stand at a host than may. */
static bool may_start(struct retr *r, const struct account *a, int64_t now)
{
	if (a->running || (!a->again && (a->due > now || is_set(a->row, "paused"))) || watch_stop(r, a))
		return false;
	return has_room(r, pb_text_of(a->row, "host"));
}

/* The list is walked from a place that moves, so that where all are due at once none waits for ever. */
static void start_due(struct retr *r)
{
	unsigned most = (unsigned)pb_config_int(r->host, "workers");
	int64_t now = pb_now(r->host);

	for (size_t i = 0; i < r->n && r->running < most && !r->draining; i++) {
		struct account *a = r->list[(i + r->turn) % r->n];

		if (may_start(r, a, now))
			start(r, a);
	}
	r->turn++;
}

void schedule_tick(struct retr *r)
{
	pthread_mutex_lock(&r->lock);
	start_due(r);
	pthread_mutex_unlock(&r->lock);
	watch_tick(r);
}

void schedule_ended(struct retr *r, struct account *a, int64_t due, bool brought, struct run *idling)
{
	pthread_mutex_lock(&r->lock);
	for (unsigned i = 0; i < r->running; i++)
		if (r->busy[i] == a) {
			r->busy[i] = r->busy[--r->running];
			break;
		}
	a->running = false;
	a->runs++;
	a->due = a->changed ? pb_now(r->host) : due;
	a->changed = false;
	a->vain = brought ? 0 : a->vain + a->by_news;
	if (idling)
		watch_keep(r, idling);
	start_due(r);
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	watch_tick(r);
	account_put(r, a);
}

int schedule_run(struct retr *r, struct pb_str id, int64_t wait, struct pb_error *err)
{
	struct timespec until;
	struct account *a;
	uint64_t enough;
	int rc = 0;

	pthread_mutex_lock(&r->lock);
	a = account_find(r, id);
	if (!a) {
		pthread_mutex_unlock(&r->lock);
		return pb_fail(err, PB_ENOTFOUND, "no account '%.*s'", PB_FMT(id));
	}
	a->refs++;
	a->again = true;
	enough = a->runs + (a->running ? 2 : 1);
	start_due(r);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += wait / PB_SECOND;
	while (wait && a->runs < enough && !a->deleted && !r->draining && !rc)
		rc = pthread_cond_timedwait(&r->changed, &r->lock, &until);
	rc = wait && a->runs < enough ? PB_ETIMEOUT : 0;
	pthread_mutex_unlock(&r->lock);
	account_put(r, a);
	return rc ? pb_fail(err, PB_ETIMEOUT, "the run of '%.*s' goes on", PB_FMT(id)) : 0;
}

void schedule_changed(struct retr *r, struct account *a)
{
	pthread_mutex_lock(&r->lock);
	a->due = pb_now(r->host);
	a->changed = a->running;
	pthread_mutex_unlock(&r->lock);
	schedule_tick(r);
}

int schedule_test_begin(struct retr *r, struct testing *t, struct pb_str host, struct pb_error *err)
{
	bool room;

	pthread_mutex_lock(&r->lock);
	room = has_room(r, host);
	if (room) {
		*t = (struct testing){ host, r->testing };
		r->testing = t;
	}
	pthread_mutex_unlock(&r->lock);
	return room ? 0 : pb_fail(err, PB_EBUSY, "%.*s has as many connections as per_host allows: try again when a run has ended", PB_FMT(host));
}

void schedule_test_end(struct retr *r, struct testing *t)
{
	pthread_mutex_lock(&r->lock);
	for (struct testing **at = &r->testing; *at; at = &(*at)->next)
		if (*at == t) {
			*at = t->next;
			break;
		}
	start_due(r);
	pthread_mutex_unlock(&r->lock);
}

void schedule_drain(struct retr *r)
{
	pthread_mutex_lock(&r->lock);
	r->draining = true;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}
