/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A binary heap of timers behind one timerfd. Timers are embedded in what they belong to; nothing is allocated for one. */
#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <postbus/str.h>
#include "kernel/clock/clock.h"
#include "kernel/session/timers.h"

static void place(struct timers *ts, struct timer *t, uint32_t i)
{
	ts->heap[i] = t;
	t->index = i;
}

static int64_t at(const struct timers *ts, uint32_t i)
{
	return atomic_load_explicit(&ts->heap[i]->queued, memory_order_relaxed);
}

static void rise(struct timers *ts, struct timer *t, uint32_t i)
{
	int64_t when = atomic_load(&t->queued);

	while (i && at(ts, (i - 1) / 2) > when) {
		place(ts, ts->heap[(i - 1) / 2], i);
		i = (i - 1) / 2;
	}
	place(ts, t, i);
}

static void sink(struct timers *ts, struct timer *t, uint32_t i)
{
	int64_t when = atomic_load(&t->queued);

	for (uint32_t child; (child = 2 * i + 1) < ts->n; i = child) {
		if (child + 1 < ts->n && at(ts, child + 1) < at(ts, child))
			child++;
		if (at(ts, child) >= when)
			break;
		place(ts, ts->heap[child], i);
	}
	place(ts, t, i);
}

static void insert(struct timers *ts, struct timer *t, int64_t due)
{
	if (ts->n == ts->cap) {
		ts->cap = ts->cap ? ts->cap * 2 : 64;
		ts->heap = pb_realloc(ts->heap, ts->cap * sizeof(struct timer *));
	}
	atomic_store(&t->queued, due);
	rise(ts, t, ts->n++);
}

static void withdraw(struct timers *ts, struct timer *t)
{
	uint32_t i = t->index;
	struct timer *last = ts->heap[--ts->n];

	atomic_store(&t->queued, TIMER_NEVER);
	if (last == t)
		return;
	sink(ts, last, i);
	rise(ts, last, last->index);
}

static void arm(struct timers *ts)
{
	int64_t first = ts->n ? at(ts, 0) : TIMER_NEVER, left;
	struct itimerspec its = { .it_value = { 0 } };

	if (first == TIMER_NEVER || first == ts->armed)
		return;		/* when it fires for nothing, nothing happens */
	left = first - clock_ticks(ts->clock);
	if (left < 1000)
		left = 1000;
	its.it_value.tv_sec = left / 1000000;
	its.it_value.tv_nsec = left % 1000000 * 1000;
	timerfd_settime(ts->fd, 0, &its, NULL);
	ts->armed = first;
}

int timers_open(struct timers *ts, struct clock *clock, struct pb_error *err)
{
	*ts = (struct timers){ .clock = clock, .armed = TIMER_NEVER };
	pthread_mutex_init(&ts->lock, NULL);
	ts->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (ts->fd < 0)
		return pb_fail_errno(err, errno, "cannot make a timer");
	return 0;
}

void timers_close(struct timers *ts)
{
	if (ts->fd >= 0)
		close(ts->fd);
	free(ts->heap);
	pthread_mutex_destroy(&ts->lock);
}

void timers_set(struct timers *ts, struct timer *t, int64_t due)
{
	/* the heap's side stores queued and then reads due, this side the other way round: one of them sees the other's */
	atomic_store(&t->due, due);
	if (atomic_load(&t->queued) <= due)
		return;
	pthread_mutex_lock(&ts->lock);
	if (atomic_load(&t->queued) != TIMER_NEVER)
		withdraw(ts, t);
	if (due != TIMER_NEVER)
		insert(ts, t, due);
	arm(ts);
	pthread_mutex_unlock(&ts->lock);
}

void timers_remove(struct timers *ts, struct timer *t)
{
	pthread_mutex_lock(&ts->lock);
	atomic_store(&t->due, TIMER_NEVER);
	if (atomic_load(&t->queued) != TIMER_NEVER)
		withdraw(ts, t);
	pthread_mutex_unlock(&ts->lock);
}

void timers_run(struct timers *ts)
{
	int64_t now = clock_ticks(ts->clock);

	pthread_mutex_lock(&ts->lock);
	ts->armed = TIMER_NEVER;
	while (ts->n && at(ts, 0) <= now) {
		struct timer *t = ts->heap[0];
		int64_t due;

		withdraw(ts, t);
		due = atomic_load(&t->due);
		if (due == TIMER_NEVER)
			continue;
		if (due > now)
			insert(ts, t, due);
		else
			t->expired(t);
	}
	arm(ts);
	pthread_mutex_unlock(&ts->lock);
}
