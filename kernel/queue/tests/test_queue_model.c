/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A random walk: accept, route, deliver, retry, fail, redirect, fail stages, hold, release, restart, detach. In the end every recipient that was
 * accepted has been delivered, failed or dropped exactly once, nothing is left, and no body is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "kernel/queue/tests/rig.h"

enum { RCPTS_MAX = 20000 };

struct model {
	struct rig *r;
	struct pb_host in, agent, out, post;
	struct consumer *consumers[4];
	pthread_mutex_t lock;
	uint64_t seed;
	atomic_bool calm;		/* no more trouble */
	unsigned accepted, redirected, reports;
	unsigned char ended[RCPTS_MAX];
};

static unsigned chance(struct model *m, unsigned of)
{
	unsigned n;

	pthread_mutex_lock(&m->lock);
	m->seed = m->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	n = (unsigned)(m->seed >> 33) % of;
	pthread_mutex_unlock(&m->lock);
	return n;
}

static unsigned number_of(const struct pb_recipient *to)
{
	return (unsigned)strtoul(pb_recipient_rcpt(to)->address.ptr + 1, NULL, 10);
}

static void end(struct model *m, const struct pb_recipient *to)
{
	pthread_mutex_lock(&m->lock);
	m->ended[number_of(to)]++;
	pthread_mutex_unlock(&m->lock);
}

static int route(void *self, struct pb_item *item, struct pb_error *err)
{
	struct model *m = self;
	struct pb_recipient *to;

	if (!m->calm && chance(m, 20) == 0)
		return pb_fail(err, chance(m, 2) ? PB_EUNAVAILABLE : PB_EINTERNAL, "trouble");
	while ((to = pb_item_next(item))) {
		unsigned n = number_of(to);
		char domain[32];

		snprintf(domain, sizeof domain, "d%u.test", n % 17);
		if (n % 3)
			pb_item_send(item, to, "out", pb_strz(domain), pb_recipient_rcpt(to)->address);
		else
			pb_item_send(item, to, "post", PB_NOSTR, PB_STR("mailbox/1"));
	}
	return 0;
}

/* The next recipient's number; RCPTS_MAX: there are no more. */
static unsigned one_more(struct model *m)
{
	unsigned n;

	pthread_mutex_lock(&m->lock);
	n = m->accepted < RCPTS_MAX ? m->accepted++ : RCPTS_MAX;
	pthread_mutex_unlock(&m->lock);
	return n;
}

static bool redirect(struct model *m, struct pb_item *item)
{
	struct pb_envelope *env = pb_envelope_dup(pb_item_envelope(item), false);
	unsigned n = one_more(m);
	char address[32];

	if (n < RCPTS_MAX) {
		snprintf(address, sizeof address, "r%u@x", n);
		pb_envelope_rcpt(env, pb_strz(address));
		assert_int_equal(pb_item_redirect(item, env, NULL), 0);
	}
	pb_envelope_free(env);
	return n < RCPTS_MAX;
}

static int deliver(void *self, struct pb_item *item, struct pb_error *err)
{
	struct model *m = self;
	struct pb_recipient *to;

	if (!m->calm && chance(m, 15) == 0)
		return pb_fail(err, chance(m, 2) ? PB_EUNAVAILABLE : PB_EINTERNAL, "trouble");
	while ((to = pb_item_next(item))) {
		unsigned dice = chance(m, m->calm ? 4 : 12);

		if (dice < 3)
			pb_delivered(to, PB_STR("mx"), "250 2.0.0 ok");
		else if (dice == 3)
			pb_failed(to, PB_STR("mx"), "550 5.0.0 no");
		else if (dice < 7) {
			pb_retry(to, chance(m, 2) ? 0 : clock_now(m->r->kernel.clock) + PB_MINUTE * chance(m, 100), PB_STR("mx"), "450 4.0.0 later");
			continue;
		} else if (dice == 7 && redirect(m, item))
			pb_dropped(to, "redirected");
		else if (dice < 10)
			continue;
		else if (dice == 10 && chance(m, 3) == 0)
			return pb_fail(err, PB_EINTERNAL, "trouble in the middle");
		else
			continue;
		end(m, to);
	}
	return 0;
}

static int report(void *self, struct pb_item *item, struct pb_error *err)
{
	struct model *m = self;
	struct pb_recipient *to;

	(void)err;
	while ((to = pb_item_next(item))) {
		pthread_mutex_lock(&m->lock);
		m->reports++;
		pthread_mutex_unlock(&m->lock);
		pb_dropped(to, "told");
	}
	return 0;
}

static void attach(struct model *m)
{
	struct consumer_options o = { .workers = 4, .per_destination = 2, .poison_attempts = 4 };

	m->consumers[0] = rig_attach_with(&m->agent, "*.inbound", route, o);
	m->consumers[1] = rig_attach_with(&m->out, "out.outgoing", deliver, o);
	m->consumers[2] = rig_attach_with(&m->post, "post.outgoing", deliver, o);
	m->consumers[3] = rig_attach_with(&m->agent, "*.reports", report, o);
}

static void detach(struct model *m)
{
	for (int i = 0; i < 4; i++)
		assert_int_equal(queue_detach(m->consumers[i], 60 * PB_SECOND), 0);
}

static void accept_some(struct model *m)
{
	char rooms[8][32];
	const char *rcpts[9];
	unsigned n = 1 + chance(m, 8), i, next;

	for (i = 0; i < n && (next = one_more(m)) < RCPTS_MAX; i++) {
		snprintf(rooms[i], sizeof rooms[i], "r%u@x", next);
		rcpts[i] = rooms[i];
	}
	rcpts[i] = NULL;
	if (i)
		rig_accept(&m->in, chance(m, 4) ? "s@x" : "", rcpts, 0);
}

static void administer(struct model *m, int (*act)(struct queue *q, const json_t *params, json_t **ret, struct pb_error *err), const char *lane)
{
	json_t *params = json_pack("{s:s}", "lane", lane), *ret = NULL;
	struct pb_error err = { 0 };
	int rc = act(m->r->kernel.queue, params, &ret, &err);

	assert_true(rc == 0 || rc == PB_ENOTFOUND);	/* nothing has come into that lane yet, so it is not there */
	json_decref(params);
	json_decref(ret);
}

static void step(struct model *m)
{
	static const char *const lanes[] = { "in.inbound", "out.outgoing", "post.outgoing", "post.inbound" };
	const char *lane = lanes[chance(m, 4)];

	switch (chance(m, 12)) {
	case 0:
		administer(m, queue_hold, lane);
		break;
	case 1:
		administer(m, queue_release, lane);
		break;
	case 2:
		administer(m, queue_retry, lane);
		break;
	case 3:
		detach(m);
		if (chance(m, 2))
			rig_restart(m->r);
		attach(m);
		break;
	case 4:
		rig_settle(m->r);
		break;
	case 5:
		clock_advance(m->r->kernel.clock, PB_MINUTE * chance(m, 60));
		queue_poke(m->r->kernel.queue);
		break;
	default:
		accept_some(m);
	}
}

static void tell_what_is_left(struct rig *r)
{
	json_t *items = NULL, *none = json_object();
	char *text;

	assert_int_equal(queue_list(r->kernel.queue, none, &items, NULL), 0);
	text = json_dumps(items, JSON_INDENT(1));
	print_error("now %lld: %s\n", (long long)clock_now(r->kernel.clock), text);
	free(text);
	json_decref(items);
	json_decref(none);
}

static void nothing_is_lost_or_doubled(void **state)
{
	bool bdb = *(bool *)*state;

	for (unsigned seed = 1; seed <= (bdb ? 3u : 12u); seed++) {
		struct model *m = pb_alloc(sizeof *m);

		m->seed = seed * 7919;
		m->r = rig_new(bdb);
		pthread_mutex_init(&m->lock, NULL);
		rig_host(m->r, &m->in, "in", m);
		rig_host(m->r, &m->agent, "agent", m);
		rig_host(m->r, &m->out, "out", m);
		rig_host(m->r, &m->post, "post", m);
		attach(m);
		for (int i = 0; i < 300; i++)
			step(m);
		m->calm = true;
		for (int i = 0; i < 200 && rig_total(m->r); i++) {
			static const char *const lanes[] = { "in.inbound", "post.inbound", "out.inbound", "out.outgoing", "post.outgoing" };

			for (size_t k = 0; k < sizeof lanes / sizeof *lanes; k++)
				administer(m, queue_release, lanes[k]);
			rig_pass(m->r, PB_HOUR);
		}
		if (rig_total(m->r) || rig_bodies(m->r))
			tell_what_is_left(m->r);
		if (rig_total(m->r) || rig_bodies(m->r))
			fail_msg("seed %u: %ld items and %llu bodies are left", seed, rig_total(m->r), (unsigned long long)rig_bodies(m->r));
		for (unsigned i = 0; i < m->accepted; i++)
			if (m->ended[i] != 1)
				fail_msg("seed %u: recipient %u of %u ended %u times", seed, i, m->accepted, m->ended[i]);
		assert_int_equal(m->r->kernel.queue->nentries, 0);
		rig_free(m->r);
		free(m);
	}
}

int main(void)
{
	static bool memory = false, bdb = true;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(nothing_is_lost_or_doubled, &memory),
		cmocka_unit_test_prestate(nothing_is_lost_or_doubled, &bdb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
