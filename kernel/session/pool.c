/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The elastic pool of workers over one epoll set. What a session is, it does not know; see docs/decisions for why nothing is handed over. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <postbus/str.h>
#include "kernel/session/desk.h"
#include "kernel/session/pool.h"

enum { WINDOW_MS = 10000, STACK = 1 << 20 };

struct pool {
	struct pool_options o;
	int epfd, wakefd;
	atomic_uint min, max;
	atomic_uint idle;		/* in epoll_wait, or on the way in */
	atomic_uint workers, queued;
	atomic_uint low;		/* the fewest idle ones since window began */
	atomic_uint surplus;		/* so many may end */
	atomic_llong window, complained;
	atomic_bool stopping;
	pthread_mutex_t lock;		/* of what follows */
	pthread_cond_t ended;
	struct job *first, **last;
};

static int64_t coarse_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void wake_one(struct pool *p)
{
	uint64_t one = 1;

	/* edge-triggered, so nobody reads it; the counter cannot overflow in practice, and EAGAIN would mean that it is readable anyhow */
	if (write(p->wakefd, &one, sizeof one) < 0)
		return;
}

/* By compare and exchange: n moves by one unless that would pass the bound. */
static bool move(atomic_uint *n, bool up, unsigned bound)
{
	unsigned now = atomic_load(n);

	do {
		if (up ? now >= bound : now <= bound)
			return false;
	} while (!atomic_compare_exchange_weak(n, &now, up ? now + 1 : now - 1));
	return true;
}

static void *work(void *arg);

static int spawn(struct pool *p)
{
	sigset_t all, old;
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	if (atomic_load(&p->stopping) || !move(&p->workers, true, atomic_load(&p->max)))
		return EAGAIN;
	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &all, &old);	/* signals are the main thread's */
	rc = pthread_create(&thread, &attr, work, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (rc == 0)
		pthread_setname_np(thread, "worker");
	else
		atomic_fetch_sub(&p->workers, 1);
	return rc;
}

static struct job *take(struct pool *p)
{
	struct job *job;

	if (!atomic_load(&p->queued))
		return NULL;
	pthread_mutex_lock(&p->lock);
	job = p->first;
	if (job) {
		p->first = job->next;
		if (!p->first)
			p->last = &p->first;
		atomic_fetch_sub(&p->queued, 1);
	}
	pthread_mutex_unlock(&p->lock);
	/* two wakes may have been merged into one: the rest must not wait for this job's end */
	if (job && atomic_load(&p->queued) && atomic_load(&p->idle))
		wake_one(p);
	return job;
}

static void complain(struct pool *p)
{
	int64_t now = coarse_ms();
	long long last = atomic_load(&p->complained);

	if (p->o.exhausted && now - last >= WINDOW_MS && atomic_compare_exchange_strong(&p->complained, &last, now))
		p->o.exhausted(p->o.arg);
}

/* Once in a window, those that were never needed in it become surplus: all idle ones but one. */
static void weigh(struct pool *p, unsigned left)
{
	int64_t now = coarse_ms();
	long long began = atomic_load(&p->window);
	unsigned low = atomic_load(&p->low);

	while (left < low && !atomic_compare_exchange_weak(&p->low, &low, left))
		;
	if (now - began >= WINDOW_MS && atomic_compare_exchange_strong(&p->window, &began, now)) {
		unsigned idle = atomic_load(&p->idle);

		low = atomic_exchange(&p->low, idle);
		if (low > idle)
			low = idle;
		atomic_store(&p->surplus, low > 1 ? low - 1 : 0);
	}
}

static bool may_end(struct pool *p)
{
	if (!atomic_load(&p->surplus) || !move(&p->surplus, false, 0) || !move(&p->workers, false, atomic_load(&p->min)))
		return false;
	/* the last idle one may have left meanwhile, and have found no room for another: then this one stays */
	return atomic_load(&p->idle) || !move(&p->workers, true, atomic_load(&p->max));
}

static void leave(struct pool *p, bool counted)
{
	pthread_mutex_lock(&p->lock);
	if (!counted)
		atomic_fetch_sub(&p->workers, 1);
	pthread_cond_broadcast(&p->ended);
	pthread_mutex_unlock(&p->lock);
}

/* One turn: an event, then a queued job, so that neither starves the other. False when there was neither. */
static bool turn(struct pool *p, struct desk *desk)
{
	int timeout = atomic_load(&p->workers) > atomic_load(&p->min) ? WINDOW_MS : -1;
	struct epoll_event ev;
	struct job *job;
	unsigned left;
	int n;

	atomic_fetch_add(&p->idle, 1);
	n = epoll_wait(p->epfd, &ev, 1, atomic_load(&p->queued) ? 0 : timeout);
	left = atomic_fetch_sub(&p->idle, 1) - 1;
	if (n < 1 && !atomic_load(&p->queued)) {
		weigh(p, UINT32_MAX);
		return false;
	}
	weigh(p, left);
	if (left == 0 && spawn(p) != 0 && !atomic_load(&p->stopping))
		complain(p);
	if (n == 1 && ev.data.u64 != POOL_KEY_WAKE)
		p->o.event(p->o.arg, ev.data.u64, ev.events, desk);
	job = take(p);
	if (job)
		job->run(job, desk);
	return true;
}

static void *work(void *arg)
{
	struct pool *p = arg;
	struct desk *desk = desk_new();
	bool ended = false;

	while (!ended && !(atomic_load(&p->stopping) && !atomic_load(&p->queued))) {
		turn(p, desk);
		ended = may_end(p);
	}
	desk_free(desk);
	leave(p, ended);
	return NULL;
}

int pool_open(const struct pool_options *o, struct pool **ret, struct pb_error *err)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.u64 = POOL_KEY_WAKE };
	struct pool *p = pb_alloc(sizeof *p);
	int rc;

	p->o = *o;
	atomic_init(&p->min, o->min);
	atomic_init(&p->max, o->max);
	atomic_init(&p->low, UINT32_MAX);
	atomic_init(&p->window, coarse_ms());
	atomic_init(&p->complained, coarse_ms() - WINDOW_MS);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->ended, NULL);
	p->last = &p->first;
	p->epfd = epoll_create1(EPOLL_CLOEXEC);
	p->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->epfd < 0 || p->wakefd < 0 || epoll_ctl(p->epfd, EPOLL_CTL_ADD, p->wakefd, &ev) != 0) {
		pb_fail_errno(err, errno, "cannot make the workers' epoll set");
		pool_close(p);
		return err ? err->code : PB_EINTERNAL;
	}
	for (unsigned i = 0; i < o->min; i++) {
		rc = spawn(p);
		if (rc != 0) {
			pool_close(p);
			return pb_fail_errno(err, rc, "cannot start a worker");
		}
	}
	*ret = p;
	return 0;
}

int pool_epoll(const struct pool *p)
{
	return p->epfd;
}

void pool_limits(struct pool *p, unsigned min, unsigned max)
{
	atomic_store(&p->min, min);
	atomic_store(&p->max, max);
	while (atomic_load(&p->workers) < min && spawn(p) == 0)
		;
}

void pool_push(struct pool *p, struct job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&p->lock);
	*p->last = job;
	p->last = &job->next;
	atomic_fetch_add(&p->queued, 1);
	pthread_mutex_unlock(&p->lock);
	/* a worker counts itself idle before it looks at queued for the last time, so one of the two sees the other */
	if (atomic_load(&p->idle))
		wake_one(p);
}

void pool_counts(struct pool *p, unsigned *ret_workers, unsigned *ret_idle)
{
	*ret_workers = atomic_load(&p->workers);
	*ret_idle = atomic_load(&p->idle);
}

void pool_close(struct pool *p)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = POOL_KEY_WAKE };

	if (!p)
		return;
	atomic_store(&p->stopping, true);
	if (p->wakefd >= 0 && p->epfd >= 0) {
		epoll_ctl(p->epfd, EPOLL_CTL_MOD, p->wakefd, &ev);	/* level-triggered from now on: everybody comes out */
		wake_one(p);
	}
	pthread_mutex_lock(&p->lock);
	while (atomic_load(&p->workers))
		pthread_cond_wait(&p->ended, &p->lock);
	pthread_mutex_unlock(&p->lock);
	if (p->epfd >= 0)
		close(p->epfd);
	if (p->wakefd >= 0)
		close(p->wakefd);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->ended);
	free(p);
}
