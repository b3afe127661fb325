/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The dispatcher: threads that take what is ready, from lane to lane. A thread that made a successor goes on with it itself, so that a message
 * crosses its lanes without a switch; one that ran out of work looks for more for a moment before it sleeps. More threads than processors are started
 * only when those that run do not get through (they wait for a peer).
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "kernel/clock/clock.h"
#include "kernel/log/log.h"
#include "kernel/queue/private.h"

enum { IDLE_SECONDS = 10, SWEEP_US = 20000, TICK_US = 2000, SLEEP_US = 1000000, LOOK_MIN_US = 50, CROWD_US = 50000, LOOK_MAX_US = 1000 };

static int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * PB_SECOND + ts.tv_nsec / 1000;
}

static void deadline(struct timespec *ts, int64_t us)
{
	us += now_us();
	ts->tv_sec = us / PB_SECOND;
	ts->tv_nsec = us % PB_SECOND * 1000;
}

static bool may_pick(const struct lane *lane)
{
	return (lane->first_runnable[0] || lane->first_runnable[1]) && lane->consumer && lane->consumer->running < lane->consumer->workers;
}

static bool is_pickable(const struct queue *q)
{
	for (size_t i = 0; q->ready && i < q->nlanes; i++)
		if (may_pick(q->lanes[i]))
			return true;
	return false;
}

static struct entry *pick(struct queue *q, struct lane *hint, struct consumer **ret)
{
	struct lane *lane = hint && may_pick(hint) ? hint : NULL;

	for (size_t i = 0; !lane && q->ready && i < q->nlanes; i++) {
		size_t at = q->turn + i < q->nlanes ? q->turn + i : q->turn + i - q->nlanes;

		if (may_pick(q->lanes[at])) {
			lane = q->lanes[at];
			q->turn = at + 1 < q->nlanes ? at + 1 : 0;
		}
	}
	if (!lane)
		return NULL;
	*ret = lane->consumer;
	lane->consumer->running++;
	q->picks++;
	return lane_pick(q, lane);
}

static void consumer_free(struct consumer *c)
{
	for (char **lane = c->lanes; *lane; lane++)
		free(*lane);
	free(c->lanes);
	for (struct ladder *l = atomic_load(&c->ladder), *older; l; l = older) {
		older = l->older;
		free(l);
	}
	free(c);
}

static void free_consumers(struct consumer *c)
{
	while (c) {
		struct consumer *next = c->next;

		consumer_free(c);
		c = next;
	}
}

static void consumer_done(struct queue *q, struct consumer *c)
{
	if (--c->running == 0 && c->detached)
		pthread_cond_broadcast(&q->gone);
}

/* ---- workers ---- */

/*
 * Idle, but awake: the next message of a lone sender is here sooner than a thread on a sleeping processor is woken, and waking it costs its waker more than
 * the message itself. At most one looks, and lets others run meanwhile. True: it was called.
 */
static bool look_for_work(struct queue *q)
{
	struct look *l = &q->look;
	int64_t until = l->ran_dry + l->us;
	bool called;

	if (!l->possible || l->turning || !l->us || q->idle < q->threads || l->ran_dry < l->not_before)
		return false;
	l->on = l->turning = true;
	atomic_store(&l->called, false);
	pthread_mutex_unlock(&q->lock);
	while (!atomic_load(&l->called) && now_us() < until)
		sched_yield();
	pthread_mutex_lock(&q->lock);
	called = !l->on;
	l->on = l->turning = false;
	return called;
}

/* Longer where a little longer would have met what came, shorter and then not at all where nothing came for long. */
static void look_learn(struct look *l)
{
	int64_t waited = now_us() - l->ran_dry;

	if (waited > LOOK_MAX_US)
		l->us = l->us > LOOK_MIN_US ? l->us / 2 : 0;
	else if (waited > l->us)
		l->us = l->us ? l->us * 2 : LOOK_MIN_US;
	if (l->us > LOOK_MAX_US)
		l->us = LOOK_MAX_US;
}

/* False: nothing came for long, this thread may end. */
static bool wait_for_work(struct queue *q)
{
	struct timespec until;
	int rc = 0;

	q->look.ran_dry = now_us();
	q->idle++;
	if (!look_for_work(q) && !q->closing && !is_pickable(q)) {
		deadline(&until, atomic_load(&q->later) ? SWEEP_US : IDLE_SECONDS * PB_SECOND);
		rc = pthread_cond_timedwait(&q->work, &q->lock, &until);
	}
	q->idle--;
	if (q->waking)
		q->waking--;
	look_learn(&q->look);
	if (rc == ETIMEDOUT && atomic_load(&q->later)) {
		pthread_mutex_unlock(&q->lock);
		hop_sweep(q);
		pthread_mutex_lock(&q->lock);
		return true;
	}
	return rc != ETIMEDOUT || q->threads <= q->cpus || is_pickable(q);
}

static void *worker(void *arg)
{
	struct queue *q = arg;
	struct lane *hint = NULL;
	struct consumer *c;
	struct entry *e;
	bool keeps;		/* a processor; a courier that sends to elsewhere waits for others most of its time */

	inhand_enter(q);
	pthread_mutex_lock(&q->lock);
	if (q->waking)
		q->waking--;
	while (!q->closing) {
		e = pick(q, hint, &c);
		if (!e) {
			if (!wait_for_work(q))
				break;
			continue;
		}
		keeps = !c->flush;
		q->busy += keeps;
		if (q->busy > 1)	/* many senders: processors do not sleep, and have better to do than look */
			q->look.not_before = now_us() + CROWD_US;
		dispatch_wake_unlock(q);
		hint = item_run(q, c, e);
		pthread_mutex_lock(&q->lock);
		q->busy -= keeps;
		consumer_done(q, c);
	}
	inhand_leave();
	q->threads--;
	pthread_cond_broadcast(&q->gone);
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

static void add_thread(struct queue *q)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 1 << 20);
	if (pthread_create(&thread, &attr, worker, q) == 0) {
		q->threads++;
		q->waking++;
	}
	pthread_attr_destroy(&attr);
}

/* True: one that waits is to be woken. */
static bool one_more(struct queue *q)
{
	if (q->look.on) {
		q->look.on = false;
		q->waking++;
		atomic_store(&q->look.called, true);
		return false;
	}
	if (q->idle > q->waking) {
		q->waking++;
		return true;
	}
	if (q->threads < q->threads_max)
		add_thread(q);
	return false;
}

void dispatch_poke(struct queue *q)
{
	q->poked++;
	pthread_cond_signal(&q->timer);
}

static bool wakes(struct queue *q)
{
	if (q->closing || !is_pickable(q))
		return false;
	if (q->busy + q->waking < q->cpus)
		return one_more(q);
	if (!q->ticking) {
		q->ticking = true;
		dispatch_poke(q);
	}
	return false;
}

void dispatch_wake(struct queue *q)
{
	if (wakes(q))
		pthread_cond_signal(&q->work);
}

void dispatch_wake_unlock(struct queue *q)
{
	bool signal = wakes(q);

	pthread_mutex_unlock(&q->lock);
	if (signal)
		pthread_cond_signal(&q->work);
}

/* ---- the timer: what becomes due, what waits too long for a thread ---- */

static void *timer(void *arg)
{
	struct queue *q = arg;
	int64_t now, forget = 0;
	uint64_t poked = 0, picks = 0;

	pthread_mutex_lock(&q->lock);
	while (!q->closing) {
		struct timespec until;
		int64_t next;
		bool more, backlog;

		poked = q->poked;
		backlog = q->ticking;
		pthread_mutex_unlock(&q->lock);
		now = clock_now(q->kernel->clock);
		hop_write_late(q, now);
		if (!backlog)		/* workers see to it, unless all of them are held up */
			hop_sweep(q);
		more = load_step(q, now);
		if (now >= forget) {
			names_forget(q, now);
			forget = now + PB_HOUR;
		}
		pthread_mutex_lock(&q->lock);
		if (is_pickable(q)) {
			/* fewer picked than ready: what is ready now has waited for a tick, or most of it */
			if (q->picks - picks < q->ready ? one_more(q) : wakes(q))
				pthread_cond_signal(&q->work);
		}
		picks = q->picks;
		q->rounds += !more;
		if (more)
			continue;
		q->ticking = is_pickable(q);
		next = load_next(q, now) - now;
		deadline(&until, q->ticking ? TICK_US : next < TICK_US ? TICK_US : next < SLEEP_US ? next : SLEEP_US);
		while (!q->closing && q->poked == poked && pthread_cond_timedwait(&q->timer, &q->lock, &until) == 0)
			;
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

int dispatch_start(struct queue *q, struct pb_error *err)
{
	pthread_condattr_t attr;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&q->work, &attr);
	pthread_cond_init(&q->timer, &attr);
	pthread_cond_init(&q->gone, &attr);
	pthread_condattr_destroy(&attr);
	q->cpus = cpus > 1 ? (unsigned)cpus : 2;
	q->look.possible = cpus > 1;
	if (pthread_create(&q->timer_thread, NULL, timer, q))
		return pb_fail(err, PB_EUNAVAILABLE, "cannot start the queue's timer");
	q->timer_runs = true;
	return 0;
}

void dispatch_stop(struct queue *q)
{
	atomic_store(&q->stopping, true);
	pthread_mutex_lock(&q->lock);
	q->closing = true;
	atomic_store(&q->look.called, true);
	pthread_cond_broadcast(&q->work);
	dispatch_poke(q);
	while (q->threads)
		pthread_cond_wait(&q->gone, &q->lock);
	pthread_mutex_unlock(&q->lock);
	if (q->timer_runs)
		pthread_join(q->timer_thread, NULL);
	pthread_cond_destroy(&q->work);
	pthread_cond_destroy(&q->timer);
	pthread_cond_destroy(&q->gone);
	free_consumers(q->consumers);
	free_consumers(q->leaving);
}

/* ---- consumers ---- */

static void tune(struct consumer *c, const struct consumer_options *o)
{
	static const uint32_t usual[] = { 15 * 60, 30 * 60, 60 * 60, 240 * 60 };
	struct ladder *old = atomic_load(&c->ladder), *l;
	size_t n = o->nladder ? o->nladder : sizeof usual / sizeof *usual;

	c->workers = o->workers ? o->workers : 8;
	c->per_destination = o->per_destination;
	atomic_store(&c->expire, (o->expire_seconds ? o->expire_seconds : 5 * 86400) * PB_SECOND);
	atomic_store(&c->notice, (o->delay_notice_seconds ? o->delay_notice_seconds : 4 * 3600) * PB_SECOND);
	l = pb_alloc(sizeof *l + n * sizeof l->seconds[0]);
	l->n = n;
	memcpy(l->seconds, o->nladder ? o->ladder : usual, n * sizeof l->seconds[0]);
	if (old && old->n == n && memcmp(old->seconds, l->seconds, n * sizeof l->seconds[0]) == 0) {
		free(l);
		return;
	}
	l->older = old;
	atomic_store(&c->ladder, l);
}

static struct consumer *consumer_new(struct queue *q, const struct consumer_options *o)
{
	struct consumer *c = pb_alloc(sizeof *c);
	size_t n;

	for (n = 0; o->lanes[n]; n++)
		if (strlen(o->lanes[n]) > 9 && strcmp(o->lanes[n] + strlen(o->lanes[n]) - 9, ".outgoing") == 0)
			c->is_courier = true;
	c->lanes = pb_alloc((n + 1) * sizeof *c->lanes);
	for (size_t i = 0; i < n; i++)
		c->lanes[i] = pb_str_dup(pb_strz(o->lanes[i]));
	c->q = q;
	c->host = o->host;
	c->work = o->work;
	c->poison = o->poison_attempts ? o->poison_attempts : 10;
	c->flush = o->flush;
	tune(c, o);
	return c;
}

int queue_attach(struct queue *q, const struct consumer_options *o, struct consumer **ret, struct pb_error *err)
{
	struct consumer *c;

	if (!o->lanes || !o->lanes[0] || !o->work)
		return pb_fail(err, PB_EINVALID, "a consumer needs lanes and work");
	c = consumer_new(q, o);
	pthread_mutex_lock(&q->lock);
	c->next = q->consumers;
	q->consumers = c;
	q->threads_max += c->workers;
	for (size_t i = 0; i < q->nlanes; i++)
		if (!q->lanes[i]->consumer && lane_takes(c, q->lanes[i]))
			lane_bind(q, q->lanes[i]);
	for (size_t i = 0; o->lanes[i]; i++)
		lane_get(q, pb_strz(o->lanes[i]));	/* there to be asked for, also while nothing has come; a pattern is no name */
	dispatch_poke(q);
	pthread_mutex_unlock(&q->lock);
	*ret = c;
	return 0;
}

void queue_retune(struct consumer *c, const struct consumer_options *o)
{
	struct queue *q = c->q;

	pthread_mutex_lock(&q->lock);
	q->threads_max -= c->workers;
	tune(c, o);
	q->threads_max += c->workers;
	for (size_t i = 0; i < q->nlanes; i++)
		if (q->lanes[i]->consumer == c)
			lane_limits_changed(q->lanes[i]);
	dispatch_wake(q);
	pthread_mutex_unlock(&q->lock);
}

static void unlink_consumer(struct consumer **at, struct consumer *c)
{
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
}

static void give_up_lanes(struct queue *q, struct consumer *c)
{
	c->detached = true;
	q->threads_max -= c->workers;
	for (size_t i = 0; i < q->nlanes; i++)
		if (q->lanes[i]->consumer == c) {
			lane_clear(q, q->lanes[i]);
			lane_bind(q, q->lanes[i]);
		}
	unlink_consumer(&q->consumers, c);
	c->next = q->leaving;
	q->leaving = c;
}

int queue_detach(struct consumer *c, int64_t timeout)
{
	struct queue *q = c->q;
	struct timespec until;
	int rc = 0;

	deadline(&until, timeout);
	pthread_mutex_lock(&q->lock);
	if (!c->detached)
		give_up_lanes(q, c);
	while (c->running && rc == 0)
		rc = pthread_cond_timedwait(&q->gone, &q->lock, &until);
	rc = c->running ? PB_ETIMEOUT : 0;
	if (!rc) {
		unlink_consumer(&q->leaving, c);
		consumer_free(c);
	}
	dispatch_poke(q);
	pthread_mutex_unlock(&q->lock);
	return rc;
}
