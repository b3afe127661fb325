/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Timers: one heap, one timerfd. A timer that moves to later costs two atomics and no lock: the heap finds out when the old time comes.
 * That is what an idle timeout does at every command. Leaves what expiry means to the owner.
 */
#ifndef KERNEL_SESSION_TIMERS_H
#define KERNEL_SESSION_TIMERS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <postbus/error.h>

struct clock;

#define TIMER_NEVER INT64_MAX

struct timer {
	_Atomic int64_t due;		/* what its owner wants, in clock_ticks */
	_Atomic int64_t queued;		/* when the heap looks at it; TIMER_NEVER: not in the heap */
	uint32_t index;			/* in the heap; under the lock */
	void (*expired)(struct timer *t);	/* once for a timer that was set, with the heap's lock held: no blocking, no timers_ calls */
};

struct timers {
	struct clock *clock;
	int fd;
	pthread_mutex_t lock;
	struct timer **heap;
	uint32_t n, cap;
	int64_t armed;			/* what the timerfd waits for */
};

#define TIMER_INIT(function) { .due = TIMER_NEVER, .queued = TIMER_NEVER, .expired = (function) }

int timers_open(struct timers *ts, struct clock *clock, struct pb_error *err);
void timers_close(struct timers *ts);
void timers_set(struct timers *ts, struct timer *t, int64_t due);
/* After it returns, expired does not run and will not. */
void timers_remove(struct timers *ts, struct timer *t);
/* What is due, expires: called when fd is readable. */
void timers_run(struct timers *ts);

#endif
