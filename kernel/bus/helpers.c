/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Hooks that may not come back are asked on threads of their own: whoever asked waits no longer than the budget, and what is late keeps a thread and copies of
 * what it was asked about, nothing of the asker's. Leaves who is asked here, and what counts then, to ask.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <postbus/queue.h>
#include "kernel/bus/registry.h"
#include "kernel/log/log.h"
#include "kernel/session/running.h"

enum { LATE_MAX = 8, THREADS_MAX = 256 };

#define IDLE_TIME (10 * PB_SECOND)

struct asking {
	struct asking *next;
	struct bus *bus;
	struct entry *entry;
	struct pb_question q;		/* everything in it is its own */
	struct pb_verdict v;
	struct pb_error err;
	int rc;
	unsigned depth;
	pthread_cond_t answered;
	bool taken, done, given_up;
};

static struct asking *asking_new(struct bus *b, struct entry *e, const struct pb_question *q)
{
	struct asking *a = pb_alloc(sizeof *a);

	*a = (struct asking){ .bus = b, .entry = e, .v = PB_VERDICT, .depth = bus_depth() };
	a->q.point = pb_str_dup(pb_strz(q->point));
	if (q->id.len)
		a->q.id = pb_str(pb_str_dup(q->id), q->id.len);
	a->q.facts = q->facts ? json_deep_copy(q->facts) : NULL;
	if (q->envelope) {
		struct pb_envelope *own = pb_envelope_dup(q->envelope, true);
		json_t *notes = json_deep_copy(own->notes);

		json_decref(own->notes);
		own->notes = notes;
		a->q.envelope = own;
	}
	a->q.body = q->body ? pb_body_ref(q->body) : NULL;
	patience_init(&a->answered);
	return a;
}

static void asking_free(struct asking *a)
{
	pthread_cond_destroy(&a->answered);
	pb_verdict_clear(&a->v);
	free((char *)a->q.point);
	free((char *)a->q.id.ptr);
	json_decref((json_t *)a->q.facts);
	pb_envelope_free((struct pb_envelope *)a->q.envelope);
	pb_body_release(a->q.body);
	free(a);
}

/* ---- the thread's side ---- */

static struct asking *take(struct helpers *h)
{
	const struct timespec until = patience(IDLE_TIME);
	struct asking *a;

	h->idle++;
	while (!h->first && !h->closing && pthread_cond_timedwait(&h->work, &h->lock, &until) == 0)
		;
	h->idle--;
	a = h->first;
	if (a) {
		h->first = a->next;
		h->waiting--;
		a->taken = true;
	}
	return a;
}

static void *help(void *arg)
{
	struct bus *b = arg;
	struct helpers *h = &b->helpers;
	struct asking *a;

	pthread_mutex_lock(&h->lock);
	while ((a = take(h)) != NULL) {
		struct entry *e = a->entry;

		pthread_mutex_unlock(&h->lock);
		bus_set_depth(a->depth);
		a->rc = e->ask(e->host->self, &a->q, &a->v, &a->err);
		pthread_mutex_lock(&h->lock);
		if (!a->given_up) {
			a->done = true;
			pthread_cond_signal(&a->answered);
		} else {
			e->late--;
			log_line(b->kernel->log, PB_WARNING, NULL, "hook.late", "plugin=%s point=%s id=%.*s help=\"its answer came when nobody waited for it any more\"",
				 e->host->name, a->q.point, PB_FMT(a->q.id));
			asking_free(a);
		}
		bus_leave(b, e);
	}
	if (--h->threads == 0)
		pthread_cond_broadcast(&h->ended);
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

/* ---- the asker's side, under the lock ---- */

static void wake(struct bus *b)
{
	struct helpers *h = &b->helpers;
	pthread_attr_t attr;
	pthread_t thread;

	if (h->idle >= h->waiting) {
		pthread_cond_signal(&h->work);
		return;
	}
	if (h->threads == THREADS_MAX)
		return;		/* one of them will come free, or the budget ends */
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attr, help, b) == 0)
		h->threads++;
	pthread_attr_destroy(&attr);
}

static void enqueue(struct helpers *h, struct asking *a)
{
	struct asking **end = &h->first;

	while (*end)
		end = &(*end)->next;
	*end = a;
	h->waiting++;
}

static void withdraw(struct helpers *h, struct asking *a)
{
	struct asking **at = &h->first;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	h->waiting--;
}

/* Gives what is to be freed by the asker. */
static struct asking *wait_for(struct bus *b, struct asking *a, int *ret_rc, struct pb_error *err)
{
	const struct timespec until = patience(a->entry->budget);
	struct helpers *h = &b->helpers;

	while (!a->done && pthread_cond_timedwait(&a->answered, &h->lock, &until) == 0)
		;
	if (a->done) {
		*ret_rc = a->rc;
		*err = a->err;
		return a;
	}
	if (!a->taken) {
		withdraw(h, a);
		bus_leave(b, a->entry);
		*ret_rc = pb_fail(err, PB_EBUSY, "all threads for hooks are busy");
		return a;
	}
	a->given_up = true;
	a->entry->late++;
	*ret_rc = pb_fail(err, PB_ETIMEOUT, "no answer within %lld ms", (long long)a->entry->budget / 1000);
	return NULL;
}

int helpers_ask(struct bus *b, struct entry *e, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	struct helpers *h = &b->helpers;
	struct asking *a;
	int rc;

	pthread_mutex_lock(&h->lock);
	if (e->late >= LATE_MAX) {
		pthread_mutex_unlock(&h->lock);
		return pb_fail(err, PB_EBUSY, "%d threads are in it beyond its budget; it is not asked until one comes back", LATE_MAX);
	}
	pthread_mutex_unlock(&h->lock);
	a = asking_new(b, e, q);
	bus_enter(e);
	pthread_mutex_lock(&h->lock);
	enqueue(h, a);
	wake(b);
	a = wait_for(b, a, &rc, err);
	pthread_mutex_unlock(&h->lock);
	if (a && a->done) {
		*v = a->v;
		a->v = (struct pb_verdict)PB_VERDICT;
	}
	if (a)
		asking_free(a);
	return rc;
}

void helpers_open(struct helpers *h)
{
	pthread_mutex_init(&h->lock, NULL);
	patience_init(&h->work);
	patience_init(&h->ended);
}

void helpers_close(struct helpers *h)
{
	pthread_mutex_lock(&h->lock);
	h->closing = true;
	pthread_cond_broadcast(&h->work);
	while (h->threads)
		pthread_cond_wait(&h->ended, &h->lock);
	pthread_mutex_unlock(&h->lock);
	pthread_mutex_destroy(&h->lock);
	pthread_cond_destroy(&h->work);
	pthread_cond_destroy(&h->ended);
}
