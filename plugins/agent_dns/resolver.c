/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libunbound works in a thread of its own; another one here hands its answers to those who wait. Whoever stops waiting cancels his question,
 * so a dead server holds nobody longer than the caller's deadline.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include "resolver.h"

struct resolver {
	struct ub_ctx *ctx;
	pthread_t thread;
	int stop;		/* eventfd */
};

/* Two hold it: who waits, and the question under way. */
struct lookup {
	struct resolver *resolver;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned refs;
	bool done;
	int id, error;		/* error: libunbound's */
	struct ub_result *result;
};

int64_t resolver_ticks(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

/* ---- lookups ---- */

static void drop(struct lookup *l)
{
	bool last;

	pthread_mutex_lock(&l->lock);
	last = --l->refs == 0;
	pthread_mutex_unlock(&l->lock);
	if (!last)
		return;
	ub_resolve_free(l->result);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static void answered(void *arg, int error, struct ub_result *result)
{
	struct lookup *l = arg;

	pthread_mutex_lock(&l->lock);
	l->done = true;
	l->error = error;
	l->result = result;
	pthread_cond_signal(&l->changed);
	pthread_mutex_unlock(&l->lock);
	drop(l);
}

struct lookup *lookup_begin(struct resolver *r, const char *name, int type)
{
	struct lookup *l = pb_alloc(sizeof *l);
	pthread_condattr_t attr;
	int rc;

	l->resolver = r;
	l->refs = 2;
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->changed, &attr);
	pthread_condattr_destroy(&attr);
	rc = ub_resolve_async(r->ctx, name, type, 1, l, answered, &l->id);
	if (rc) {
		l->done = true;
		l->error = rc;
		l->refs = 1;
	}
	return l;
}

/* After a successful cancel the callback never comes: its reference is ours to drop. */
static void cancel(struct lookup *l)
{
	if (ub_cancel(l->resolver->ctx, l->id) == 0)
		drop(l);
}

int lookup_wait(struct lookup *l, int64_t deadline, const struct ub_result **ret, struct pb_error *err)
{
	struct timespec until = { .tv_sec = deadline / 1000000, .tv_nsec = deadline % 1000000 * 1000 };
	const struct ub_result *r;
	bool done;

	pthread_mutex_lock(&l->lock);
	while (!l->done && pthread_cond_timedwait(&l->changed, &l->lock, &until) != ETIMEDOUT)
		;
	done = l->done;
	pthread_mutex_unlock(&l->lock);
	if (!done)
		return pb_fail(err, PB_EUNAVAILABLE, "no answer from the DNS in time");
	r = l->result;
	if (l->error || !r)
		return pb_fail(err, PB_EUNAVAILABLE, "resolver: %s", ub_strerror(l->error));
	if (r->bogus)
		return pb_fail(err, PB_EUNAVAILABLE, "the answer about '%s' failed its DNSSEC validation: %s", r->qname, r->why_bogus ? r->why_bogus : "bogus");
	if (r->nxdomain)
		return pb_fail(err, PB_ENOTFOUND, "there is no name '%s' in the DNS", r->qname);
	if (r->rcode && !r->havedata)
		return pb_fail(err, PB_EUNAVAILABLE, "the DNS could not answer about '%s' (code %d)", r->qname, r->rcode);
	*ret = r;
	return 0;
}

void lookup_end(struct lookup *l)
{
	bool done;

	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	done = l->done;
	pthread_mutex_unlock(&l->lock);
	if (!done)
		cancel(l);
	drop(l);
}

/* ---- life ---- */

static void *hand_out(void *arg)
{
	struct resolver *r = arg;
	struct pollfd fds[2] = { { .fd = ub_fd(r->ctx), .events = POLLIN }, { .fd = r->stop, .events = POLLIN } };

	while (!(fds[1].revents & POLLIN)) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[0].revents)
			ub_process(r->ctx);
	}
	return NULL;
}

static int add_forwarders(struct resolver *r, const json_t *list, struct pb_error *err)
{
	const json_t *one;
	size_t i;

	/* A forwarder on this machine is the usual case; unbound refuses it unless told. */
	ub_ctx_set_option(r->ctx, "do-not-query-localhost:", "no");
	json_array_foreach (list, i, one) {
		const char *address = json_string_value(one);
		int rc = strcmp(address, "system") ? ub_ctx_set_fwd(r->ctx, address) : ub_ctx_resolvconf(r->ctx, NULL);

		if (rc)
			return pb_fail(err, PB_EINVALID, "forwarders: '%s': %s", address, ub_strerror(rc));
	}
	return 0;
}

/* From here on the context takes no more options. */
static int add_local(struct resolver *r, const struct resolver_options *o, struct pb_error *err)
{
	const json_t *one;
	size_t i;

	json_array_foreach (o->zones, i, one) {
		struct pb_str rest = pb_strz(json_string_value(one)), name, type;
		PB_AUTOBUF(zone);
		int rc;

		if (!pb_str_word(&rest, &name) || !pb_str_word(&rest, &type))
			return pb_fail(err, PB_EINVALID, "zones: '%s' is not \"zone type\"", json_string_value(one));
		pb_buf_addstr(&zone, name);
		pb_buf_addc(&zone, 0);
		pb_buf_addstr(&zone, type);
		rc = ub_ctx_zone_add(r->ctx, pb_buf_z(&zone), pb_buf_z(&zone) + name.len + 1);
		if (rc)
			return pb_fail(err, PB_EINVALID, "zones: '%s': %s", json_string_value(one), ub_strerror(rc));
	}
	json_array_foreach (o->local, i, one)
		if (ub_ctx_data_add(r->ctx, json_string_value(one)))
			return pb_fail(err, PB_EINVALID, "local: '%s' is no record", json_string_value(one));
	return 0;
}

int resolver_open(const struct resolver_options *o, struct resolver **ret, struct pb_error *err)
{
	struct resolver *r = pb_alloc(sizeof *r);

	r->stop = -1;
	r->ctx = ub_ctx_create();
	if (!r->ctx) {
		free(r);
		return pb_fail(err, PB_EUNAVAILABLE, "the resolver cannot be made");
	}
	ub_ctx_async(r->ctx, 1);
	if (o->trust_anchor && *o->trust_anchor && ub_ctx_add_ta_file(r->ctx, o->trust_anchor)) {
		pb_fail(err, PB_EINVALID, "trust_anchor: '%s' cannot be read", o->trust_anchor);
		goto fail;
	}
	if (add_forwarders(r, o->forwarders, err) || add_local(r, o, err))
		goto fail;
	r->stop = eventfd(0, EFD_CLOEXEC);
	if (r->stop < 0 || pthread_create(&r->thread, NULL, hand_out, r)) {
		pb_fail_errno(err, errno, "the resolver's thread cannot be made");
		goto fail;
	}
	*ret = r;
	return 0;
fail:
	if (r->stop >= 0)
		close(r->stop);
	ub_ctx_delete(r->ctx);
	free(r);
	return err ? err->code : PB_EINVALID;
}

void resolver_close(struct resolver *r)
{
	uint64_t one = 1;

	if (!r)
		return;
	if (write(r->stop, &one, sizeof one) == sizeof one)
		pthread_join(r->thread, NULL);
	ub_ctx_delete(r->ctx);
	close(r->stop);
	free(r);
}
