/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The room as a whole: opened, reconfigured, closed; other rooms' jobs and repeats on the same workers. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>
#include "kernel/session/internal.h"
#include "kernel/session/running.h"

enum { JOBS_MAX = 1000 };

static void event(void *arg, uint64_t key, uint32_t events, struct desk *desk)
{
	struct sessions *ss = arg;
	uint64_t rest = key & ((UINT64_C(1) << KEY_KIND_SHIFT) - 1), fired;

	(void)events;
	switch ((enum key_kind)(key >> KEY_KIND_SHIFT)) {
	case KEY_TIMERS:
		if (read(ss->timers.fd, &fired, sizeof fired) < 0 && errno != EAGAIN)
			return;
		timers_run(&ss->timers);
		break;
	case KEY_LISTENER:
		listener_event(ss, (size_t)rest, desk);
		break;
	case KEY_SESSION:
		session_event(ss, key, desk);
		break;
	case KEY_POOL:
		break;
	}
}

static void exhausted(void *arg)
{
	struct sessions *ss = arg;

	log_line(ss->log, PB_WARNING, NULL, "workers.exhausted", "workers=%u text=\"every worker is busy: sessions wait\"", ss->limits.workers_max);
}

static struct sessions_options defaults(const struct sessions_options *o)
{
	struct sessions_options d = o ? *o : (struct sessions_options){ 0 };

	d.workers_min = d.workers_min ? d.workers_min : 2;
	d.workers_max = d.workers_max ? d.workers_max : 256;
	if (d.workers_max < d.workers_min)
		d.workers_max = d.workers_min;
	d.connections_max = d.connections_max ? d.connections_max : 20000;
	d.per_source_max = d.per_source_max ? d.per_source_max : 100;
	d.deadline = d.deadline > 0 ? d.deadline : 5 * PB_MINUTE;
	d.rate_min = d.rate_min ? d.rate_min : 64;
	return d;
}

static void set_limits(struct limits *l, const struct sessions_options *o)
{
	atomic_store(&l->workers_max, o->workers_max);
	atomic_store(&l->connections_max, o->connections_max);
	atomic_store(&l->per_source_max, o->per_source_max);
	atomic_store(&l->per_user_max, o->per_user_max);
	atomic_store(&l->rate_min, o->rate_min);
	atomic_store(&l->count_loopback, o->count_loopback);
	atomic_store(&l->deadline, o->deadline);
}

/* Each connection is a descriptor: take as many as the hard limit gives. */
static void raise_descriptors(struct sessions *ss)
{
	unsigned connections = ss->limits.connections_max, wanted = connections + 200;
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return;
	if (r.rlim_max < wanted) {
		struct rlimit more = { wanted, wanted };

		if (setrlimit(RLIMIT_NOFILE, &more) == 0)	/* root may */
			r = more;
	}
	if (r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &r) != 0)
			getrlimit(RLIMIT_NOFILE, &r);
	}
	if (r.rlim_cur < wanted)
		log_line(ss->log, PB_WARNING, NULL, "descriptors.few", "limit=%llu connections_max=%u help=\"raise LimitNOFILE\"", (unsigned long long)r.rlim_cur,
			 connections);
}

int sessions_open(struct kernel *kernel, const struct sessions_options *o, struct sessions **ret, struct pb_error *err)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.u64 = (uint64_t)KEY_TIMERS << KEY_KIND_SHIFT };
	const struct sessions_options d = defaults(o);
	struct sessions *ss = pb_alloc(sizeof *ss);
	struct pool_options po;
	int rc;

	ss->kernel = kernel;
	ss->clock = kernel->clock;
	ss->log = kernel->log;
	set_limits(&ss->limits, &d);
	ss->connected = d.connected;
	ss->connected_arg = d.connected_arg;
	pthread_mutex_init(&ss->lock, NULL);
	raise_descriptors(ss);
	slots_open(&ss->slots);
	sources_open(&ss->sources);
	sources_open(&ss->users);
	ss->opened = metric_declare(ss->log, METRIC_COUNTER, "sessions_total", NULL, "connections accepted");
	ss->refused = metric_declare(ss->log, METRIC_COUNTER, "sessions_refused_total", NULL, "connections sent away: limits, hooks");
	ss->open_now = metric_declare(ss->log, METRIC_GAUGE, "sessions", NULL, "sessions open now");
	ss->handshakes_failed = metric_declare(ss->log, METRIC_COUNTER, "tls_failed_total", NULL, "TLS handshakes that failed");
	po = (struct pool_options){ d.workers_min, d.workers_max, event, exhausted, ss };
	rc = timers_open(&ss->timers, ss->clock, err);
	if (!rc)
		rc = tls_open(&ss->tls, err);
	if (!rc)
		rc = pool_open(&po, &ss->pool, err);
	if (!rc && epoll_ctl(pool_epoll(ss->pool), EPOLL_CTL_ADD, ss->timers.fd, &ev) != 0)
		rc = pb_fail_errno(err, errno, "cannot watch the timer");
	if (rc) {
		sessions_close(ss);
		return rc;
	}
	*ret = ss;
	return 0;
}

int sessions_reconfigure(struct sessions *ss, const struct sessions_options *o, struct pb_error *err)
{
	const struct sessions_options d = defaults(o);

	(void)err;
	set_limits(&ss->limits, &d);
	pool_limits(ss->pool, d.workers_min, d.workers_max);
	return 0;
}

void sessions_kick(struct sessions *ss)
{
	timers_run(&ss->timers);
}

void sessions_close(struct sessions *ss)
{
	if (!ss)
		return;
	for (size_t i = 0; i < ss->nlisteners; i++)
		listener_close(ss->listeners[i]);
	while (ss->attachments)	/* one that is stuck holds this up: main ends the process before it comes to that */
		sessions_detach(ss->attachments, 0);
	pool_close(ss->pool);
	timers_close(&ss->timers);
	slots_close(&ss->slots);
	sources_close(&ss->sources);
	sources_close(&ss->users);
	tls_close(&ss->tls);
	low_ports_free(ss);
	free(ss->listeners);
	pthread_mutex_destroy(&ss->lock);
	free(ss);
}

/* ---- jobs ---- */

struct errand {
	struct job job;
	struct sessions *ss;
	void (*run)(void *arg);
	void *arg;
};

static void run_errand(struct job *job, struct desk *desk)
{
	struct errand *e = (struct errand *)(void *)job;

	(void)desk;
	atomic_fetch_sub(&e->ss->jobs, 1);
	e->run(e->arg);
	free(e);
}

int sessions_work(struct sessions *ss, void (*job)(void *arg), void *arg, struct pb_error *err)
{
	struct errand *e;

	if (atomic_fetch_add(&ss->jobs, 1) >= JOBS_MAX) {
		atomic_fetch_sub(&ss->jobs, 1);
		return pb_fail(err, PB_EBUSY, "%d jobs wait already", JOBS_MAX);
	}
	e = pb_alloc(sizeof *e);
	*e = (struct errand){ { NULL, run_errand }, ss, job, arg };
	pool_push(ss->pool, &e->job);
	return 0;
}

/* ---- repeats ---- */

struct repeat {
	struct job job;
	struct timer timer;
	struct sessions *ss;
	_Atomic int64_t every;
	void (*run)(void *arg);
	void *arg;
	pthread_mutex_t lock;	/* of what follows */
	pthread_cond_t idle;
	bool busy;		/* queued or running */
	bool cancelled;
};

static void repeat_due(struct timer *t)
{
	struct repeat *r = (struct repeat *)(void *)((char *)t - offsetof(struct repeat, timer));

	pthread_mutex_lock(&r->lock);
	if (!r->cancelled && !r->busy) {
		r->busy = true;
		pool_push(r->ss->pool, &r->job);
	}
	pthread_mutex_unlock(&r->lock);
}

static void run_repeat(struct job *job, struct desk *desk)
{
	struct repeat *r = (struct repeat *)(void *)job;
	bool cancelled;

	(void)desk;
	pthread_mutex_lock(&r->lock);
	cancelled = r->cancelled;
	pthread_mutex_unlock(&r->lock);
	if (!cancelled) {
		r->run(r->arg);
		/* without the lock, which comes after the heap's; cancelling waits for busy and removes the timer after that */
		timers_set(&r->ss->timers, &r->timer, clock_ticks(r->ss->clock) + r->every);
	}
	pthread_mutex_lock(&r->lock);
	r->busy = false;
	pthread_cond_broadcast(&r->idle);
	pthread_mutex_unlock(&r->lock);
}

struct repeat *sessions_repeat(struct sessions *ss, int64_t every, void (*job)(void *arg), void *arg)
{
	struct repeat *r = pb_alloc(sizeof *r);

	*r = (struct repeat){ .job = { NULL, run_repeat }, .timer = TIMER_INIT(repeat_due), .ss = ss, .every = every, .run = job, .arg = arg };
	pthread_mutex_init(&r->lock, NULL);
	patience_init(&r->idle);
	timers_set(&ss->timers, &r->timer, clock_ticks(ss->clock) + every);
	return r;
}

void sessions_repeat_every(struct repeat *r, int64_t every)
{
	r->every = every;
	timers_set(&r->ss->timers, &r->timer, clock_ticks(r->ss->clock) + every);
}

int sessions_repeat_cancel(struct repeat *r, int64_t timeout)
{
	const struct timespec until = patience(timeout);
	bool busy;

	if (!r)
		return 0;
	pthread_mutex_lock(&r->lock);
	r->cancelled = true;
	while (r->busy && pthread_cond_timedwait(&r->idle, &r->lock, &until) == 0)
		;
	busy = r->busy;
	pthread_mutex_unlock(&r->lock);
	if (busy)
		return PB_ETIMEOUT;
	timers_remove(&r->ss->timers, &r->timer);
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->idle);
	free(r);
	return 0;
}
