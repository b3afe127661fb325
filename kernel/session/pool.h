/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Workers that wait in epoll themselves: whoever gets an event runs it to its end, nothing is handed from thread to thread.
 * As long as there may be more workers, one of them is always in epoll_wait: the last one that leaves it starts another. Leaves what an event means
 * to its callback.
 */
#ifndef KERNEL_SESSION_POOL_H
#define KERNEL_SESSION_POOL_H

#include <stdbool.h>
#include <stdint.h>
#include <postbus/error.h>

struct desk;	/* desk.h: what a worker lends to the session that it runs */
struct pool;

/* Part of a larger struct; queued at most once at a time. run may free it. */
struct job {
	struct job *next;
	void (*run)(struct job *job, struct desk *desk);
};

struct pool_options {
	unsigned min, max;
	void (*event)(void *arg, uint64_t key, uint32_t events, struct desk *desk);
	void (*exhausted)(void *arg);	/* every worker is busy and there may be no more; at most once in 10 seconds */
	void *arg;
};

enum { POOL_KEY_WAKE = 0 };	/* the pool's own epoll key: others use any other */

int pool_open(const struct pool_options *o, struct pool **ret, struct pb_error *err);
int pool_epoll(const struct pool *p);
void pool_limits(struct pool *p, unsigned min, unsigned max);
void pool_push(struct pool *p, struct job *job);
void pool_counts(struct pool *p, unsigned *ret_workers, unsigned *ret_idle);
/* Runs what is queued, then ends all workers. */
void pool_close(struct pool *p);

#endif
