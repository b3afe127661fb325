/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lanes under load: limits of concurrency, windows of memory, detaching from work that runs, and a crash between an append and its settling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "kernel/queue/tests/rig.h"

/* Work that waits at a gate. */
struct gate {
	struct pb_host host;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool open;
	unsigned calls, now, most;
	struct { char name[32]; unsigned now, most, calls; } dests[64];
	size_t ndests;
	struct rig *rig;
};

static void gate_init(struct gate *g, struct rig *r, const char *name, bool open)
{
	memset(g, 0, sizeof *g);
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->changed, NULL);
	g->open = open;
	rig_host(r, &g->host, name, g);
}

static unsigned dest_of(struct gate *g, const char *name)
{
	unsigned i;

	for (i = 0; i < g->ndests && strcmp(g->dests[i].name, name) != 0; i++)
		;
	if (i == g->ndests)
		snprintf(g->dests[g->ndests++].name, sizeof g->dests[0].name, "%s", name);
	return i;
}

static int gated(void *self, struct pb_item *item, struct pb_error *err)
{
	struct gate *g = self;
	struct pb_recipient *to;
	unsigned d;

	(void)err;
	pthread_mutex_lock(&g->lock);
	d = dest_of(g, pb_item_destination(item));
	g->calls++;
	g->dests[d].calls++;
	if (++g->now > g->most)
		g->most = g->now;
	if (++g->dests[d].now > g->dests[d].most)
		g->dests[d].most = g->dests[d].now;
	pthread_cond_broadcast(&g->changed);
	while (!g->open)
		pthread_cond_wait(&g->changed, &g->lock);
	g->now--;
	g->dests[d].now--;
	pthread_mutex_unlock(&g->lock);
	while ((to = pb_item_next(item)))
		pb_delivered(to, PB_NOSTR, "250 2.0.0 ok");
	return 0;
}

static void wait_for(struct gate *g, unsigned now)
{
	pthread_mutex_lock(&g->lock);
	while (g->now < now)
		pthread_cond_wait(&g->changed, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

static void open_gate(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->open = true;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
}

/* The domain of an address is its destination. */
static int route(void *self, struct pb_item *item, struct pb_error *err)
{
	struct pb_recipient *to;

	(void)self, (void)err;
	while ((to = pb_item_next(item))) {
		struct pb_str address = pb_recipient_rcpt(to)->address;

		pb_item_send(item, to, "out", pb_str_skip(address, (size_t)pb_str_find(address, '@', 0) + 1), address);
	}
	return 0;
}

static void as_many_at_once_as_are_allowed(void **state)
{
	struct rig *r = rig_new(false);
	struct pb_host in, agent;
	struct gate g;

	(void)state;
	rig_host(r, &in, "in", NULL);
	rig_host(r, &agent, "agent", NULL);
	gate_init(&g, r, "out", false);
	rig_attach(&agent, "*.inbound", route);
	rig_attach_with(&g.host, "out.outgoing", gated, (struct consumer_options){ .workers = 6, .per_destination = 2 });
	for (int i = 0; i < 40; i++)
		rig_accept_one(&in, "a@x", i % 2 ? "b@one.test" : i % 4 ? "b@two.test" : "b@three.test");
	wait_for(&g, 6);
	rig_rounds(r);
	assert_int_equal(g.most, 6);
	open_gate(&g);
	rig_settle(r);
	assert_int_equal(g.calls, 40);
	assert_int_equal(g.most, 6);
	for (unsigned i = 0; i < g.ndests; i++)
		assert_in_range(g.dests[i].most, 1, 2);
	assert_int_equal(rig_total(r), 0);
	rig_free(r);
}

static void a_stuck_destination_does_not_hold_up_the_others(void **state)
{
	struct rig *r = rig_new(false);
	struct pb_host in, agent;
	struct gate g;

	(void)state;
	rig_host(r, &in, "in", NULL);
	rig_host(r, &agent, "agent", NULL);
	gate_init(&g, r, "out", false);
	rig_attach(&agent, "*.inbound", route);
	for (int i = 0; i < 3000; i++)	/* more than stand in memory for one */
		rig_accept_one(&in, "a@x", "b@stuck.test");
	rig_settle(r);
	rig_attach_with(&g.host, "out.outgoing", gated, (struct consumer_options){ .workers = 4, .per_destination = 2 });
	wait_for(&g, 2);
	for (int i = 0; i < 2; i++)
		rig_accept_one(&in, "a@x", "b@other.test");
	wait_for(&g, 4);
	assert_int_equal(g.dests[dest_of(&g, "stuck.test")].now, 2);
	assert_int_equal(g.dests[dest_of(&g, "other.test")].now, 2);
	open_gate(&g);
	rig_settle(r);
	assert_int_equal(g.calls, 3002);
	assert_int_equal(rig_total(r), 0);
	rig_free(r);
}

static void accept_bulk(struct pb_host *host, const char *rcpt)
{
	struct pb_error err = { 0 };
	struct pb_spool *spool = pb_spool_begin(host, 0, &err);
	struct pb_envelope *env = pb_envelope_new();
	char id[PB_ID_MAX];

	assert_non_null(spool);
	pb_spool_write(spool, "x\r\n", 3);
	pb_envelope_sender(env, PB_STR("list@x"));
	pb_envelope_rcpt(env, pb_strz(rcpt));
	env->priority = -5;
	assert_int_equal(pb_queue_accept(host, env, spool, id, &err), 0);
	pb_envelope_free(env);
}

/* What is worked on, in its order: 'b' bulk, 'p' all else. */
static char order[64];
static unsigned norder;

static int in_order(void *self, struct pb_item *item, struct pb_error *err)
{
	pthread_mutex_lock(&((struct gate *)self)->lock);
	if (norder < sizeof order - 1)
		order[norder++] = pb_item_envelope(item)->priority < 0 ? 'b' : 'p';
	pthread_mutex_unlock(&((struct gate *)self)->lock);
	return gated(self, item, err);
}

/* In memory, hops too, which the counts see where they come from. */
static size_t waiting(struct queue *q, const char *name)
{
	size_t n;

	pthread_mutex_lock(&q->lock);
	n = lane_get(q, pb_strz(name))->count;
	pthread_mutex_unlock(&q->lock);
	return n;
}

static void bulk_waits_behind_all_else_but_goes_on(void **state)
{
	struct rig *r = rig_new(false);
	struct pb_host in, agent;
	struct gate g;

	(void)state;
	norder = 0;
	memset(order, 0, sizeof order);
	rig_host(r, &in, "in", NULL);
	rig_host(r, &agent, "agent", NULL);
	gate_init(&g, r, "out", false);
	rig_attach(&agent, "*.inbound", route);
	for (int i = 0; i < 5; i++) {
		accept_bulk(&in, "b@one.test");
		accept_bulk(&in, "b@two.test");
	}
	rig_settle(r);
	rig_attach_with(&g.host, "out.outgoing", in_order, (struct consumer_options){ .workers = 1 });
	wait_for(&g, 1);
	for (int i = 0; i < 10; i++)	/* to one where bulk waits */
		rig_accept_one(&in, "a@x", "c@one.test");
	while (waiting(r->kernel.queue, "out.outgoing") < 19)
		usleep(1000);
	open_gate(&g);
	rig_settle(r);
	assert_string_equal(order, "bpppppppbpppbbbbbbbb");
	assert_int_equal(rig_total(r), 0);
	rig_free(r);
}

static void what_memory_does_not_hold_is_read_when_there_is_room(void **state)
{
	bool bdb = *(bool *)*state;
	struct rig *r = rig_new(bdb);
	struct pb_host in;
	struct gate g;
	int n = 12000;

	rig_host(r, &in, "in", NULL);
	gate_init(&g, r, "agent", true);
	for (int i = 0; i < n / 2; i++)
		rig_accept_one(&in, "a@x", "b@one.test");
	rig_restart(r);
	rig_attach(&g.host, "*.inbound", gated);
	for (int i = 0; i < n / 2; i++)
		rig_accept_one(&in, "a@x", "b@one.test");
	rig_settle(r);
	assert_int_equal(g.calls, n);
	assert_int_equal(rig_total(r), 0);
	assert_int_equal(rig_bodies(r), 0);
	rig_free(r);
}

static void memory_holds_a_window_only(void **state)
{
	struct rig *r = rig_new(false);
	struct pb_host in;
	struct gate g;

	(void)state;
	rig_host(r, &in, "in", NULL);
	gate_init(&g, r, "agent", false);
	rig_attach_with(&g.host, "*.inbound", gated, (struct consumer_options){ .workers = 1 });
	for (int i = 0; i < 10000; i++)
		rig_accept_one(&in, "a@x", "b@one.test");
	wait_for(&g, 1);
	rig_rounds(r);
	assert_true(r->kernel.queue->nentries <= 8192 + 1);
	assert_int_equal(rig_count(r, "in.inbound", "ready"), 9999);
	assert_int_equal(rig_count(r, "in.inbound", "leased"), 1);
	open_gate(&g);
	rig_settle(r);
	assert_int_equal(g.calls, 10000);
	assert_int_equal(rig_total(r), 0);
	rig_free(r);
}

static void detaching_waits_and_late_work_counts(void **state)
{
	struct rig *r = rig_new(false);
	struct pb_host in;
	struct consumer *c;
	struct gate g, second;

	(void)state;
	rig_host(r, &in, "in", NULL);
	gate_init(&g, r, "agent", false);
	gate_init(&second, r, "agent", true);
	c = rig_attach_with(&g.host, "*.inbound", gated, (struct consumer_options){ .workers = 1 });
	rig_accept_one(&in, "a@x", "b@one.test");
	rig_accept_one(&in, "a@x", "b@one.test");
	wait_for(&g, 1);
	assert_int_equal(queue_detach(c, 0), PB_ETIMEOUT);
	rig_attach(&second.host, "*.inbound", gated);
	while (rig_count(r, "in.inbound", "ready"))
		rig_rounds(r);
	open_gate(&g);
	rig_settle(r);
	assert_int_equal(g.calls, 1);
	assert_int_equal(second.calls, 1);	/* what was in hand is not given to another */
	assert_int_equal(rig_total(r), 0);
	rig_free(r);
}

/* A pass may be faster than a settling: what it did not see is looked for again. */
static int retry_once(void *self, struct pb_item *item, struct pb_error *err)
{
	struct gate *g = self;
	struct queue *q = g->rig->kernel.queue;
	struct pb_recipient *to;

	(void)err;
	pthread_mutex_lock(&q->lock);
	if (g->calls == 0)
		item->entry->lane->scanned_to = clock_now(g->rig->kernel.clock) + 2 * PB_MINUTE;
	pthread_mutex_unlock(&q->lock);
	while ((to = pb_item_next(item)))
		if (g->calls++ == 0)
			pb_retry(to, clock_now(g->rig->kernel.clock) + PB_MINUTE, PB_NOSTR, "450 4.0.0 later");
		else
			pb_delivered(to, PB_NOSTR, "250 2.0.0 ok");
	return 0;
}

static void a_turn_that_passed_while_it_was_settled_is_not_missed(void **state)
{
	struct rig *r = rig_new(false);
	struct pb_host in;
	struct gate g;

	(void)state;
	rig_host(r, &in, "in", NULL);
	gate_init(&g, r, "agent", true);
	g.rig = r;
	rig_attach(&g.host, "*.inbound", retry_once);
	rig_accept_one(&in, "a@x", "b@one.test");
	rig_settle(r);
	rig_pass(r, 3 * PB_MINUTE);
	assert_int_equal(rig_total(r), 0);
	rig_free(r);
}

/* ---- a crash ---- */

static int deliver_and_die(void *self, struct pb_item *item, struct pb_error *err)
{
	(void)item, (void)err;
	if (write(*(int *)self, "d", 1) != 1)
		_exit(2);
	_exit(0);
}

/* The child accepts and dies in the courier, after it has delivered and before that is settled. */
static void what_was_in_hand_is_done_again_after_a_crash(void **state)
{
	char dir[] = "/tmp/postbus-crash-XXXXXX", command[64], mark;
	struct pb_host in, agent;
	struct rig *r;
	struct gate g;
	int pipes[2], status;
	pid_t child;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(pipe(pipes), 0);
	child = fork();
	if (child == 0) {
		struct pb_host out;

		r = rig_new_at(true, dir);
		rig_host(r, &in, "in", NULL);
		rig_host(r, &agent, "agent", NULL);
		rig_host(r, &out, "out", &pipes[1]);
		for (int i = 0; i < 10; i++)
			rig_accept_one(&in, "a@x", "b@one.test");
		rig_attach(&agent, "*.inbound", route);
		rig_settle(r);
		rig_attach_with(&out, "out.outgoing", deliver_and_die, (struct consumer_options){ .workers = 1 });
		pause();
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(read(pipes[0], &mark, 1), 1);
	r = rig_new_at(true, dir);
	assert_int_equal(rig_total(r), 10);
	rig_host(r, &agent, "agent", NULL);
	gate_init(&g, r, "out", true);
	rig_attach(&agent, "*.inbound", route);
	rig_attach(&g.host, "out.outgoing", gated);
	rig_settle(r);
	assert_int_equal(g.calls, 10);
	assert_int_equal(rig_total(r), 0);
	assert_int_equal(rig_bodies(r), 0);
	rig_free(r);
	close(pipes[0]);
	close(pipes[1]);
	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	static bool memory = false, bdb = true;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_many_at_once_as_are_allowed),
		cmocka_unit_test(a_stuck_destination_does_not_hold_up_the_others),
		cmocka_unit_test(bulk_waits_behind_all_else_but_goes_on),
		cmocka_unit_test_prestate(what_memory_does_not_hold_is_read_when_there_is_room, &memory),
		cmocka_unit_test_prestate(what_memory_does_not_hold_is_read_when_there_is_room, &bdb),
		cmocka_unit_test(memory_holds_a_window_only),
		cmocka_unit_test(detaching_waits_and_late_work_counts),
		cmocka_unit_test(a_turn_that_passed_while_it_was_settled_is_not_missed),
		cmocka_unit_test(what_was_in_hand_is_done_again_after_a_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
