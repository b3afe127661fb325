/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How many of something run, for somebody who must wait until none does, or for a time. Patience is how all of the kernel waits for what may never come.
 * What runs, and who may begin meanwhile, is its owner's business.
 */
#ifndef KERNEL_SESSION_RUNNING_H
#define KERNEL_SESSION_RUNNING_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* The moment that is so many microseconds away, for conditions that patience_init made. */
static inline struct timespec patience(int64_t us)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	us += until.tv_nsec / 1000;
	until.tv_sec += us / 1000000;
	until.tv_nsec = us % 1000000 * 1000;
	return until;
}

static inline void patience_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

struct running {
	pthread_mutex_t lock;
	pthread_cond_t none;
	unsigned n;
};

static inline void running_init(struct running *r)
{
	pthread_mutex_init(&r->lock, NULL);
	patience_init(&r->none);
	r->n = 0;
}

/* False: max of them run already. */
static inline bool running_enter(struct running *r, unsigned max)
{
	bool room;

	pthread_mutex_lock(&r->lock);
	room = r->n < max;
	r->n += room;
	pthread_mutex_unlock(&r->lock);
	return room;
}

/* The last thing that whoever entered does with what r lies in. */
static inline void running_leave(struct running *r)
{
	pthread_mutex_lock(&r->lock);
	if (--r->n == 0)
		pthread_cond_broadcast(&r->none);
	pthread_mutex_unlock(&r->lock);
}

static inline void running_wait_none(struct running *r)
{
	pthread_mutex_lock(&r->lock);
	while (r->n)
		pthread_cond_wait(&r->none, &r->lock);
	pthread_mutex_unlock(&r->lock);
}

/* False: some run still after so many microseconds. */
static inline bool running_wait(struct running *r, int64_t us)
{
	const struct timespec until = patience(us);
	bool none;

	pthread_mutex_lock(&r->lock);
	while (r->n && pthread_cond_timedwait(&r->none, &r->lock, &until) == 0)
		;
	none = !r->n;
	pthread_mutex_unlock(&r->lock);
	return none;
}

static inline void running_free(struct running *r)
{
	pthread_cond_destroy(&r->none);
	pthread_mutex_destroy(&r->lock);
}

#endif
