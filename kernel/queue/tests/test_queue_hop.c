/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hops that have no row of their own: where an item is seen meanwhile, what undoes a hop, what makes a row of it, and a crash between any two steps. */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "kernel/queue/tests/rig.h"

/* A courier that waits at a gate, and retries recipients whose address begins with 'r' until it is told otherwise. */
struct post {
	struct pb_host host;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool open, willing;
	unsigned calls, now;
	char delivered[1024];
};

static int deliver(void *self, struct pb_item *item, struct pb_error *err)
{
	struct post *p = self;
	struct pb_recipient *to;

	(void)err;
	pthread_mutex_lock(&p->lock);
	p->calls++;
	p->now++;
	pthread_cond_broadcast(&p->changed);
	while (!p->open)
		pthread_cond_wait(&p->changed, &p->lock);
	p->now--;
	while ((to = pb_item_next(item)) != NULL) {
		size_t used = strlen(p->delivered);

		if (pb_recipient_rcpt(to)->address.ptr[0] == 'r' && !p->willing) {
			pb_retry(to, 0, PB_NOSTR, "450 4.0.0 later");
			continue;
		}
		snprintf(p->delivered + used, sizeof p->delivered - used, "%.*s;", PB_FMT(pb_recipient_rcpt(to)->address));
		pb_delivered(to, PB_NOSTR, "250 2.0.0 ok");
	}
	pthread_mutex_unlock(&p->lock);
	return 0;
}

static void in_hand(struct post *p)
{
	pthread_mutex_lock(&p->lock);
	while (!p->now)
		pthread_cond_wait(&p->changed, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

static void gate(struct post *p, bool open)
{
	pthread_mutex_lock(&p->lock);
	p->open = open;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

static int route(void *self, struct pb_item *item, struct pb_error *err)
{
	struct pb_recipient *to;

	(void)self, (void)err;
	while ((to = pb_item_next(item)) != NULL)
		pb_item_send(item, to, "post", PB_NOSTR, pb_recipient_rcpt(to)->address);
	return 0;
}

struct house {
	struct rig *r;
	struct pb_host in, agent;
	struct post post;
	struct consumer *courier;
};

static void house_new(struct house *h, bool flush)
{
	memset(h, 0, sizeof *h);
	h->r = rig_new(false);
	rig_host(h->r, &h->in, "in", NULL);
	rig_host(h->r, &h->agent, "agent", NULL);
	rig_host(h->r, &h->post.host, "post", &h->post);
	pthread_mutex_init(&h->post.lock, NULL);
	pthread_cond_init(&h->post.changed, NULL);
	rig_attach(&h->agent, "*.inbound", route);
	h->courier = rig_attach_with(&h->post.host, "post.outgoing", deliver, (struct consumer_options){ .workers = 1, .flush = flush });
}

/* One message is in the courier's hand, another waits for it. Gives the second one's id. */
static const char *one_waits(struct house *h)
{
	const char *id;

	rig_accept_one(&h->in, "a@x", "one@y");
	in_hand(&h->post);
	id = rig_accept_one(&h->in, "a@x", "two@y");
	for (int i = 0; i < 1000 && !rig_trace_has(h->r, id, "routed", "lane=post.outgoing"); i++)
		rig_rounds(h->r);
	assert_true(rig_trace_has(h->r, id, "routed", "lane=post.outgoing"));
	assert_int_equal(rig_count(h->r, "in.inbound", "leased"), 2);
	assert_int_equal(rig_count(h->r, "post.outgoing", "ready"), 0);
	return id;
}

static void house_free(struct house *h, const char *delivered)
{
	gate(&h->post, true);
	rig_settle(h->r);
	assert_string_equal(h->post.delivered, delivered);
	assert_int_equal(rig_total(h->r), 0);
	assert_int_equal(rig_bodies(h->r), 0);
	assert_null(h->r->kernel.queue->hops);
	assert_int_equal(h->r->kernel.queue->nentries, 0);
	rig_free(h->r);
}

typedef int act(struct queue *q, const json_t *params, json_t **ret, struct pb_error *err);

static long run(struct house *h, act *what, const char *id)
{
	json_t *params = json_pack("{s:s}", "id", id), *ret = NULL;
	struct pb_error err = { 0 };
	long n = what(h->r->kernel.queue, params, &ret, &err);

	if (n == 0)
		n = (long)json_integer_value(json_object_get(ret, "items"));
	json_decref(ret);
	json_decref(params);
	return n;
}

/* "lane state" of the only item of a message. */
static void assert_shown(struct house *h, const char *id, const char *want)
{
	struct pb_error err = { 0 };
	json_t *ret = NULL, *items, *item;
	char got[100];

	assert_int_equal(queue_show(h->r->kernel.queue, id, &ret, &err), 0);
	items = json_object_get(ret, "items");
	item = json_array_get(items, 0);
	assert_int_equal(json_array_size(items), 1);
	snprintf(got, sizeof got, "%s %s", json_string_value(json_object_get(item, "lane")), json_string_value(json_object_get(item, "state")));
	assert_string_equal(got, want);
	json_decref(ret);
}

static void an_item_on_its_hop_is_in_hand_where_it_came_from(void **state)
{
	struct house h;
	const char *id;

	(void)state;
	house_new(&h, false);
	id = rig_accept(&h.in, "a@x", (const char *const[]){ "one@y", "two@y", NULL }, 0);
	in_hand(&h.post);
	assert_shown(&h, id, "in.inbound leased");
	assert_int_equal(rig_count(h.r, "in.inbound", "leased"), 1);
	assert_int_equal(rig_count(h.r, "in.inbound", "ready"), 0);
	assert_int_equal(rig_total(h.r), 1);
	house_free(&h, "one@y;two@y;");
	assert_int_equal(h.post.calls, 1);
}

static void what_leaves_the_house_has_a_row(void **state)
{
	struct house h;
	const char *id;

	(void)state;
	house_new(&h, true);
	id = rig_accept_one(&h.in, "a@x", "one@y");
	in_hand(&h.post);
	assert_shown(&h, id, "post.outgoing leased");
	house_free(&h, "one@y;");
}

/* The one worker that is at work will look for so long when it is done: all others, if there are any, are idle by then. */
static void look_for(struct queue *q, int64_t us)
{
	bool alone = false;

	while (!alone) {
		pthread_mutex_lock(&q->lock);
		alone = q->idle + 1 == q->threads;
		q->look.possible = true;
		q->look.us = us;
		q->look.not_before = 0;
		pthread_mutex_unlock(&q->lock);
		sched_yield();
	}
}

static void looks(struct queue *q)
{
	bool on = false;

	while (!on) {
		pthread_mutex_lock(&q->lock);
		on = q->look.on;
		pthread_mutex_unlock(&q->lock);
		sched_yield();
	}
}

/* A worker that looks for an hour is called by every message, and by a stop: where it is not called others are started for it, and the stop does not end. */
static void who_looks_for_work_is_called(void **state)
{
	struct house h;

	(void)state;
	house_new(&h, false);
	for (int i = 0; i < 12; i++) {
		gate(&h.post, false);
		rig_accept_one(&h.in, "a@x", "1@y");
		in_hand(&h.post);
		look_for(h.r->kernel.queue, PB_HOUR);
		gate(&h.post, true);
		looks(h.r->kernel.queue);
	}
	assert_in_range(h.r->kernel.queue->threads, 1, 6);
	house_free(&h, "1@y;1@y;1@y;1@y;1@y;1@y;1@y;1@y;1@y;1@y;1@y;1@y;");
}

static void recipients_that_remain_get_a_row(void **state)
{
	struct house h;
	const char *id;

	(void)state;
	house_new(&h, false);
	id = rig_accept(&h.in, "a@x", (const char *const[]){ "one@y", "rita@y", "two@y", NULL }, 0);
	gate(&h.post, true);
	rig_settle(h.r);
	assert_string_equal(h.post.delivered, "one@y;two@y;");
	assert_shown(&h, id, "post.outgoing deferred");
	assert_int_equal(rig_count(h.r, "in.inbound", "leased"), 0);
	assert_int_equal(rig_bodies(h.r), 1);
	h.post.willing = true;
	rig_pass(h.r, PB_HOUR);
	house_free(&h, "one@y;two@y;rita@y;");
}

static void one_that_waits_is_held_and_goes_its_way_again(void **state)
{
	struct house h;
	const char *id;

	(void)state;
	house_new(&h, false);
	id = one_waits(&h);
	assert_int_equal(run(&h, queue_hold, id), 1);
	assert_shown(&h, id, "in.inbound held");
	gate(&h.post, true);
	rig_settle(h.r);
	assert_string_equal(h.post.delivered, "one@y;");
	assert_int_equal(rig_total(h.r), 1);
	assert_int_equal(run(&h, queue_release, id), 1);
	house_free(&h, "one@y;two@y;");
}

static void one_that_waits_is_deleted(void **state)
{
	struct house h;

	(void)state;
	house_new(&h, false);
	assert_int_equal(run(&h, queue_delete, one_waits(&h)), 1);
	assert_int_equal(rig_total(h.r), 1);
	house_free(&h, "one@y;");
}

static void a_wish_for_one_in_hand_counts_when_it_is_settled(void **state)
{
	static const struct {
		act *what;
		const char *rcpt, *shown, *delivered;
	} cases[] = {
		{ queue_hold, "rita@y", "post.outgoing held", "rita@y;" },
		{ queue_hold, "one@y", NULL, "one@y;" },
		{ queue_delete, "rita@y", NULL, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct house h;
		const char *id;

		house_new(&h, false);
		id = rig_accept_one(&h.in, "a@x", cases[i].rcpt);
		in_hand(&h.post);
		assert_int_equal(run(&h, cases[i].what, id), 1);
		gate(&h.post, true);
		rig_settle(h.r);
		if (cases[i].shown) {
			assert_shown(&h, id, cases[i].shown);
			h.post.willing = true;
			assert_int_equal(run(&h, queue_release, id), 1);
		}
		house_free(&h, cases[i].delivered);
	}
}

static void one_whose_courier_goes_away_waits_in_the_store(void **state)
{
	struct house h;
	const char *id;

	(void)state;
	house_new(&h, false);
	id = one_waits(&h);
	assert_int_equal(queue_detach(h.courier, 0), PB_ETIMEOUT);
	while (rig_count(h.r, "post.outgoing", "ready") == 0)
		rig_rounds(h.r);
	assert_shown(&h, id, "post.outgoing ready");
	while (rig_count(h.r, "in.inbound", "leased") != 1)	/* the one in hand; the other's lease ends a moment after its new row is there */
		rig_rounds(h.r);
	gate(&h.post, true);
	rig_settle(h.r);
	assert_string_equal(h.post.delivered, "one@y;");
	rig_attach(&h.post.host, "post.outgoing", deliver);
	house_free(&h, "one@y;two@y;");
}

static void one_that_waits_for_seconds_gets_a_row(void **state)
{
	struct house h;
	const char *id;

	(void)state;
	house_new(&h, false);
	id = one_waits(&h);
	clock_advance(h.r->kernel.clock, 3 * PB_SECOND);
	rig_rounds(h.r);
	assert_shown(&h, id, "post.outgoing ready");
	assert_int_equal(rig_count(h.r, "in.inbound", "leased"), 1);
	assert_int_equal(run(&h, queue_hold, id), 1);
	assert_shown(&h, id, "post.outgoing held");
	assert_int_equal(run(&h, queue_release, id), 1);
	house_free(&h, "one@y;two@y;");
}

static void more_than_a_few_get_rows(void **state)
{
	struct house h;
	long total = 0;

	(void)state;
	house_new(&h, false);
	for (int i = 0; i < 100; i++)
		rig_accept_one(&h.in, "a@x", "one@y");
	in_hand(&h.post);
	while (rig_count(h.r, "post.outgoing", "ready") == 0)
		rig_rounds(h.r);
	for (int i = 0; i < 1000 && total != 100; i++) {	/* one that is sent on is in both lanes while they are counted one after the other */
		rig_rounds(h.r);
		total = rig_total(h.r);
	}
	assert_int_equal(total, 100);
	gate(&h.post, true);
	rig_settle(h.r);
	assert_int_equal(h.post.calls, 100);
	h.post.delivered[0] = '\0';
	house_free(&h, "");
}

static void a_stop_leaves_what_waits_in_the_store(void **state)
{
	struct house h;

	(void)state;
	house_new(&h, false);
	one_waits(&h);
	atomic_store(&h.r->kernel.queue->stopping, true);
	pthread_mutex_lock(&h.r->kernel.queue->lock);
	h.r->kernel.queue->closing = true;	/* nobody takes the next one: the one in hand ends, then the queue closes */
	pthread_mutex_unlock(&h.r->kernel.queue->lock);
	gate(&h.post, true);
	rig_restart(h.r);
	assert_int_equal(rig_total(h.r), 1);
	rig_attach(&h.agent, "*.inbound", route);
	rig_attach(&h.post.host, "post.outgoing", deliver);
	house_free(&h, "one@y;two@y;");
}

/* ---- a crash ---- */

enum { STEPS = 10 };

/* Dies at a step; its appends are known by token, as a mailbox does it. */
struct mortal {
	struct pb_host host;
	int file;
	unsigned step, last;
};

static void step(struct mortal *m)
{
	if (++m->step == m->last)
		_exit(0);
}

static int route_or_die(void *self, struct pb_item *item, struct pb_error *err)
{
	struct mortal *m = self;
	int rc;

	step(m);
	rc = route(self, item, err);
	step(m);
	return rc;
}

static int append_or_die(void *self, struct pb_item *item, struct pb_error *err)
{
	struct mortal *m = self;
	struct pb_recipient *to;

	(void)err;
	step(m);
	while ((to = pb_item_next(item)) != NULL) {
		char all[512] = "", token[100];
		ssize_t n = pread(m->file, all, sizeof all - 1, 0);

		snprintf(token, sizeof token, "%s/%.*s\n", pb_item_id(item), PB_FMT(pb_recipient_rcpt(to)->address));
		if (n < 0 || (!strstr(all, token) && pwrite(m->file, token, strlen(token), n) != (ssize_t)strlen(token)))
			_exit(1);
		step(m);
		pb_delivered(to, PB_NOSTR, "250 2.0.0 ok");
		step(m);
	}
	return 0;
}

/* Accepts one message unless it is there, and lets it go its way until the last step. */
static void live(const char *dir, unsigned last, bool first)
{
	struct mortal m = { .last = last };
	struct pb_host in, agent;
	char path[100];
	struct rig *r = rig_new_at(true, dir);

	snprintf(path, sizeof path, "%s/appended", dir);
	m.file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	rig_host(r, &in, "in", NULL);
	rig_host(r, &agent, "agent", &m);
	rig_host(r, &m.host, "post", &m);
	if (first)
		rig_accept(&in, "a@x", (const char *const[]){ "one@y", "two@y", NULL }, 0);
	step(&m);
	rig_attach(&agent, "*.inbound", route_or_die);
	rig_attach(&m.host, "post.outgoing", append_or_die);
	while (rig_count(r, "in.inbound", "ready") || (rig_total(r) && !atomic_load(&r->kernel.queue->later)))
		rig_rounds(r);
	step(&m);	/* settled, and its row may still be there */
	rig_settle(r);
	step(&m);
	if (last)
		_exit(2);	/* there are not as many steps */
	assert_int_equal(m.step <= STEPS, true);
	assert_int_equal(rig_total(r), 0);
	assert_int_equal(rig_bodies(r), 0);
	rig_free(r);
	close(m.file);
}

static unsigned lines(const char *dir)
{
	char path[100], text[512] = "";
	unsigned n = 0;
	int fd;

	snprintf(path, sizeof path, "%s/appended", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(read(fd, text, sizeof text - 1) >= 0);
	close(fd);
	for (const char *p = text; *p; p++)
		n += *p == '\n';
	return n;
}

/* Dies at each step of a first life; the next one dies at each of its steps; the third goes on to the end. */
static void a_crash_between_any_two_steps_neither_loses_nor_doubles(void **state)
{
	(void)state;
	for (unsigned once = 1; once <= STEPS; once++)
		for (unsigned twice = 1; twice <= STEPS; twice += 5) {
			char dir[] = "/tmp/postbus-hop-XXXXXX", command[64];
			const unsigned lasts[] = { once, twice };

			assert_non_null(mkdtemp(dir));
			for (unsigned i = 0; i < 2; i++) {
				pid_t child = fork();
				int status;

				if (child == 0)
					live(dir, lasts[i], i == 0);
				assert_int_equal(waitpid(child, &status, 0), child);
				/* a settled message leaves the second life fewer steps */
				assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || (i == 1 && once >= STEPS - 1 && WEXITSTATUS(status) == 2)));
			}
			live(dir, 0, false);
			assert_int_equal(lines(dir), 2);
			snprintf(command, sizeof command, "rm -rf '%s'", dir);
			assert_int_equal(system(command), 0);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_item_on_its_hop_is_in_hand_where_it_came_from),
		cmocka_unit_test(what_leaves_the_house_has_a_row),
		cmocka_unit_test(who_looks_for_work_is_called),
		cmocka_unit_test(recipients_that_remain_get_a_row),
		cmocka_unit_test(one_that_waits_is_held_and_goes_its_way_again),
		cmocka_unit_test(one_that_waits_is_deleted),
		cmocka_unit_test(a_wish_for_one_in_hand_counts_when_it_is_settled),
		cmocka_unit_test(one_whose_courier_goes_away_waits_in_the_store),
		cmocka_unit_test(one_that_waits_for_seconds_gets_a_row),
		cmocka_unit_test(more_than_a_few_get_rows),
		cmocka_unit_test(a_stop_leaves_what_waits_in_the_store),
		cmocka_unit_test(a_crash_between_any_two_steps_neither_loses_nor_doubles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
