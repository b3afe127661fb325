/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How many of something run, for somebody who must wait until none does. What runs, and who may begin meanwhile, is its owner's business. */
#ifndef KERNEL_SESSION_RUNNING_H
#define KERNEL_SESSION_RUNNING_H

#include <pthread.h>
#include <stdbool.h>

struct running {
	pthread_mutex_t lock;
	pthread_cond_t none;
	unsigned n;
};

static inline void running_init(struct running *r)
{
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->none, NULL);
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

static inline void running_free(struct running *r)
{
	pthread_cond_destroy(&r->none);
	pthread_mutex_destroy(&r->lock);
}

#endif
