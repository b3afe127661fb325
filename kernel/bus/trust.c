/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Hooks that always answered at once are trusted: they are asked in the asker's own thread, which nobody can get back if one of them hangs after all. So each
 * such asker stands in a place of its hook as long as he is inside, and the next one looks at the places before he follows: he goes in only if nobody is inside
 * for longer than a quick answer takes. What does not fit into the places is asked by helpers.c, as all are who are not trusted. A thread looks at the places
 * from time to time, to say who is caught. Leaves what counts then to ask.c.
 */
#include "kernel/bus/registry.h"
#include "kernel/clock/clock.h"
#include "kernel/config/config.h"
#include "kernel/log/log.h"
#include "kernel/session/running.h"

/*
 * So many answers that took at most so many microseconds, unless limits.hook_quick_us says otherwise. One that took longer undoes some of them and not all: on a busy
 * machine a thread that only computes is put aside now and then. One that waits for something in more than a few cases is never trusted.
 */
enum { TRUSTED = 100, TRUST_MAX = 200, SLOW_COSTS = 16, AT_ONCE = 1000 };

#define LOOK_TIME (PB_SECOND / 4)

/* ---- who is inside ---- */

/* A place says since when, and 0 that nobody stands in it. */
struct place *trust_enter(struct bus *b, struct entry *e, int64_t now)
{
	struct place *mine = NULL;

	if (atomic_load_explicit(&e->quick, memory_order_relaxed) < TRUSTED)
		return NULL;
	for (size_t i = 0; i < PLACES; i++) {
		int64_t since = atomic_load(&e->places[i].since);

		if (since && now - since > b->at_once) {
			if (mine)
				trust_leave(mine);
			return NULL;
		}
		if (!since && !mine && atomic_compare_exchange_strong(&e->places[i].since, &since, now ? now : 1))
			mine = &e->places[i];
	}
	return mine;
}

void trust_leave(struct place *p)
{
	atomic_store(&p->since, 0);
}

/* ---- who is caught ---- */

/* Under the lock over entries. */
static void look_at(struct bus *b, struct entry *e, int64_t now)
{
	for (size_t i = 0; i < PLACES; i++) {
		int64_t since = atomic_load(&e->places[i].since);

		if (!since || now - since <= e->budget || e->places[i].told == since)
			continue;
		e->places[i].told = since;
		log_line(b->kernel->log, PB_ERROR, NULL, "hook.stuck",
			 "plugin=%s point=%s us=%lld budget_us=%lld help=\"it was trusted, and keeps who asked it until it comes back; others wait for its budget only\"", e->host->name,
			 e->name, (long long)(now - since), (long long)e->budget);
	}
}

static void *look(void *arg)
{
	struct bus *b = arg;
	struct watch *w = &b->watch;

	pthread_mutex_lock(&w->lock);
	while (!w->closing) {
		const struct timespec until = patience(LOOK_TIME);

		pthread_cond_timedwait(&w->end, &w->lock, &until);
		pthread_mutex_unlock(&w->lock);
		pthread_rwlock_rdlock(&b->lock);
		for (struct entry *e = b->entries; e; e = e->next)
			if (e->kind == ENTRY_HOOK)
				look_at(b, e, clock_ticks(b->kernel->clock));
		pthread_rwlock_unlock(&b->lock);
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static bool watch(struct bus *b)
{
	struct watch *w = &b->watch;
	bool runs;

	pthread_mutex_lock(&w->lock);
	if (!w->runs && !w->closing)
		w->runs = pthread_create(&w->thread, NULL, look, b) == 0;
	runs = w->runs;
	pthread_mutex_unlock(&w->lock);
	return runs;
}

void trust_judge(struct bus *b, struct entry *e, int rc, int64_t took)
{
	int change = rc ? -TRUST_MAX : took > b->at_once ? -SLOW_COSTS : 1, was = atomic_load_explicit(&e->quick, memory_order_relaxed), is;

	do {
		is = was + change < 0 ? 0 : was + change > TRUST_MAX ? TRUST_MAX : was + change;
		if (is >= TRUSTED && was < TRUSTED && !watch(b))
			is = was;
	} while (is != was && !atomic_compare_exchange_weak_explicit(&e->quick, &was, is, memory_order_relaxed, memory_order_relaxed));
}

void trust_open(struct bus *b)
{
	const struct config *c = b->kernel->config;
	json_int_t us = c ? json_integer_value(json_object_get(json_object_get(c->doc, "limits"), "hook_quick_us")) : 0;
	struct watch *w = &b->watch;

	b->at_once = us ? us : AT_ONCE;
	pthread_mutex_init(&w->lock, NULL);
	patience_init(&w->end);
}

void trust_close(struct bus *b)
{
	struct watch *w = &b->watch;

	pthread_mutex_lock(&w->lock);
	w->closing = true;
	pthread_cond_broadcast(&w->end);
	pthread_mutex_unlock(&w->lock);
	if (w->runs)
		pthread_join(w->thread, NULL);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->end);
}
