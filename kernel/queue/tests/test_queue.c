/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The queue as connectors and agents see it: accept, route, settle, retry, expire, report, on the memory engine with a clock turned by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "kernel/queue/tests/rig.h"

/* ---- consumers that do what a test says ---- */

struct script {
	struct pb_host host;
	pthread_mutex_t lock;
	unsigned calls, now, most;	/* times called; at this moment; at most at once */
	char seen[4096];		/* "lane id address;..." without ids */
	const char *plan;		/* word for each call, the last repeats: deliver retry fail nothing error busy */
	int64_t due;
	enum pb_item_kind kind;
	char reason[256], remote[64], action[32];
	unsigned attempts;
	void (*extra)(struct script *s, struct pb_item *item);
};

static void script_init(struct script *s, struct rig *r, const char *name, const char *plan)
{
	memset(s, 0, sizeof *s);
	pthread_mutex_init(&s->lock, NULL);
	rig_host(r, &s->host, name, s);
	s->plan = plan;
}

static void note(struct script *s, struct pb_item *item)
{
	struct pb_recipient *to;

	s->kind = pb_item_kind(item);
	s->attempts = pb_item_attempts(item);
	snprintf(s->action, sizeof s->action, "%s", json_string_value(json_object_get(pb_item_envelope(item)->notes, "action")) ?: "");
	while ((to = pb_item_next(item))) {
		size_t used = strlen(s->seen);

		snprintf(s->seen + used, sizeof s->seen - used, "%.*s;", PB_FMT(pb_recipient_rcpt(to)->address));
		snprintf(s->reason, sizeof s->reason, "%.*s", PB_FMT(pb_recipient_reason(to)));
		snprintf(s->remote, sizeof s->remote, "%.*s", PB_FMT(pb_recipient_remote(to)));
	}
	pb_item_rewind(item);
}

static int courier(void *self, struct pb_item *item, struct pb_error *err)
{
	struct script *s = self;
	struct pb_recipient *to;
	const char *word;

	pthread_mutex_lock(&s->lock);
	s->calls++;
	note(s, item);
	word = s->plan;
	if (strchr(s->plan, ' '))
		s->plan = strchr(s->plan, ' ') + 1;
	if (s->extra)
		s->extra(s, item);
	pthread_mutex_unlock(&s->lock);
	if (strncmp(word, "error", 5) == 0)
		return pb_fail(err, PB_EINTERNAL, "a bug");
	if (strncmp(word, "busy", 4) == 0)
		return pb_fail(err, PB_EUNAVAILABLE, "not now");
	while (strncmp(word, "nothing", 7) != 0 && (to = pb_item_next(item)))
		if (strncmp(word, "deliver", 7) == 0)
			pb_delivered(to, PB_STR("mx1"), "250 2.0.0 ok");
		else if (strncmp(word, "relay", 5) == 0)
			pb_relayed(to, PB_STR("mx1"), "250 2.0.0 ok");
		else if (strncmp(word, "retry", 5) == 0)
			pb_retry(to, s->due, PB_STR("mx1"), "451 4.7.1 later");
		else if (strncmp(word, "drop", 4) == 0)
			pb_dropped(to, "why not");
		else
			pb_failed(to, PB_STR("mx1"), "550 5.1.1 nobody");
	return 0;
}

/* Route by the domain: what is before its first dot is the connector, the whole is the destination, but for local ones. */
static int router(void *self, struct pb_item *item, struct pb_error *err)
{
	struct script *s = self;
	struct pb_recipient *to;

	(void)err;
	pthread_mutex_lock(&s->lock);
	s->calls++;
	pthread_mutex_unlock(&s->lock);
	while ((to = pb_item_next(item))) {
		struct pb_str address = pb_recipient_rcpt(to)->address, domain = pb_str_skip(address, (size_t)pb_str_find(address, '@', 0) + 1);

		if (pb_str_eq(domain, PB_STR("local")))
			pb_item_send(item, to, "conn_post", PB_NOSTR, address);
		else
			pb_item_send(item, to, "conn_out", domain, address);
	}
	return 0;
}

struct world {
	struct rig *r;
	struct script in, agent, out, post, reports;
	struct consumer *c_agent, *c_out, *c_post, *c_reports;
};

static void world_init(struct world *w, struct rig *r)
{
	w->r = r;
	script_init(&w->in, r, "conn_in", "");
	script_init(&w->agent, r, "agent", "");
	script_init(&w->out, r, "conn_out", "deliver");
	script_init(&w->post, r, "conn_post", "deliver");
	script_init(&w->reports, r, "agent", "drop");
}

static void world_attach(struct world *w)
{
	w->c_agent = rig_attach(&w->agent.host, "*.inbound", router);
	w->c_out = rig_attach(&w->out.host, "conn_out.outgoing", courier);
	w->c_post = rig_attach(&w->post.host, "conn_post.outgoing", courier);
	w->c_reports = rig_attach(&w->reports.host, "*.reports", courier);
}

static void world_new(struct world *w, bool bdb)
{
	world_init(w, rig_new(bdb));
	world_attach(w);
}

static void world_free(struct world *w)
{
	rig_settle(w->r);
	rig_free(w->r);
}

/* ---- the way of a message ---- */

static void a_message_is_routed_and_delivered_to_every_recipient(void **state)
{
	struct world w;
	const char *id;

	(void)state;
	world_new(&w, false);
	id = rig_accept(&w.in.host, "a@x", (const char *const[]){ "b@local", "c@far.test", "d@far.test", "e@near.test", NULL }, 0);
	rig_settle(w.r);
	assert_int_equal(w.agent.calls, 1);
	assert_int_equal(w.out.calls, 2);	/* one item for each destination */
	assert_int_equal(w.post.calls, 1);
	assert_string_equal(w.post.seen, "b@local;");
	assert_non_null(strstr(w.out.seen, "c@far.test;d@far.test;"));
	assert_int_equal(rig_total(w.r), 0);
	assert_int_equal(rig_bodies(w.r), 0);
	assert_int_equal(w.reports.calls, 0);
	assert_true(rig_trace_has(w.r, id, "accepted", "from=<a@x>"));
	assert_true(rig_trace_has(w.r, id, "routed", "to=<b@local> lane=conn_post.outgoing"));
	assert_true(rig_trace_has(w.r, id, "delivered", "to=<c@far.test> remote=mx1 250 2.0.0 ok"));
	world_free(&w);
}

static void a_message_waits_in_its_lane_until_somebody_attaches(void **state)
{
	struct world w;
	const char *id;

	(void)state;
	world_init(&w, rig_new(false));
	id = rig_accept_one(&w.in.host, "a@x", "b@local");
	rig_settle(w.r);
	assert_int_equal(rig_count(w.r, "conn_in.inbound", "ready"), 1);
	assert_false(rig_trace_has(w.r, id, "waits", "no plugin"));	/* nobody is attached at all: that is no daemon */
	w.c_agent = rig_attach(&w.agent.host, "*.inbound", router);
	rig_settle(w.r);
	assert_int_equal(rig_count(w.r, "conn_in.inbound", "ready"), 0);
	assert_int_equal(rig_count(w.r, "conn_post.outgoing", "ready"), 1);
	assert_true(rig_trace_has(w.r, id, "waits", "no plugin"));
	w.c_post = rig_attach(&w.post.host, "conn_post.outgoing", courier);
	rig_settle(w.r);
	assert_int_equal(rig_total(w.r), 0);
	assert_int_equal(w.post.calls, 1);
	assert_int_equal(queue_detach(w.c_post, PB_SECOND), 0);
	rig_accept_one(&w.in.host, "a@x", "c@local");
	rig_settle(w.r);
	assert_int_equal(rig_count(w.r, "conn_post.outgoing", "ready"), 1);
	w.c_post = rig_attach(&w.post.host, "conn_post.outgoing", courier);
	rig_settle(w.r);
	assert_string_equal(w.post.seen, "b@local;c@local;");
	world_free(&w);
}

static void no_recipients_and_no_right_are_refused(void **state)
{
	struct pb_envelope *env = pb_envelope_new();
	struct pb_error err = { 0 };
	char id[PB_ID_MAX] = "untouched";
	struct world w;

	(void)state;
	world_new(&w, false);
	assert_int_equal(pb_queue_accept(&w.in.host, env, pb_spool_begin(&w.in.host, 0, &err), id, &err), PB_EINVALID);
	assert_string_equal(id, "untouched");
	pb_envelope_rcpt(env, PB_STR("b@local"));
	w.in.host.rights = RIGHT_MAIL_WRITE;
	assert_int_equal(pb_queue_accept(&w.in.host, env, pb_spool_begin(&w.in.host, 0, &err), id, &err), PB_EDENIED);
	w.in.host.rights = 0;
	assert_null(pb_spool_begin(&w.in.host, 0, &err));
	pb_envelope_free(env);
	world_free(&w);
}

static void a_named_spool_enters_once(void **state)
{
	struct pb_envelope *env = pb_envelope_new();
	struct pb_error err = { 0 };
	char id[2][PB_ID_MAX];
	struct world w;

	(void)state;
	world_new(&w, false);
	pb_envelope_rcpt(env, PB_STR("b@local"));
	for (int i = 0; i < 3; i++) {
		struct pb_spool *spool = pb_spool_begin(&w.in.host, 0, &err);

		pb_spool_name(spool, PB_STR("poll 17"));
		pb_spool_write(spool, "x\r\n", 3);
		assert_int_equal(pb_queue_accept(&w.in.host, env, spool, id[i != 0], &err), 0);
		rig_settle(w.r);
	}
	assert_string_equal(id[0], id[1]);
	assert_int_equal(w.post.calls, 1);
	assert_int_equal(rig_bodies(w.r), 0);
	pb_envelope_free(env);
	world_free(&w);
}

static void many_recipients_become_several_rows(void **state)
{
	struct pb_envelope *env = pb_envelope_new();
	struct pb_error err = { 0 };
	char id[PB_ID_MAX];
	struct world w;

	(void)state;
	world_init(&w, rig_new(false));
	for (int i = 0; i < 2500; i++) {
		char address[40];

		snprintf(address, sizeof address, "r%d@local", i);
		pb_envelope_rcpt(env, pb_strz(address));
	}
	assert_int_equal(pb_queue_accept(&w.in.host, env, pb_spool_begin(&w.in.host, 0, &err), id, &err), 0);
	assert_int_equal(rig_count(w.r, "conn_in.inbound", "ready"), 25);
	world_attach(&w);
	rig_settle(w.r);
	assert_int_equal(w.post.calls, 25);
	assert_int_equal(rig_total(w.r), 0);
	assert_int_equal(rig_bodies(w.r), 0);
	pb_envelope_free(env);
	world_free(&w);
}

/* ---- retry, expiry, reports ---- */

static void the_ladder_is_climbed_and_then_mail_expires_with_a_report(void **state)
{
	static const int minutes[] = { 15, 30, 60, 240, 240 };
	struct world w;
	const char *id;

	(void)state;
	world_new(&w, false);
	w.out.plan = "retry";
	id = rig_accept_one(&w.in.host, "a@x", "c@far.test");
	rig_settle(w.r);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(w.out.calls, i + 1);
		assert_int_equal(w.out.attempts, i);
		assert_int_equal(rig_count(w.r, "conn_out.outgoing", "deferred"), 1);
		rig_pass(w.r, minutes[i] * PB_MINUTE - PB_SECOND);
		assert_int_equal(w.out.calls, i + 1);
		rig_pass(w.r, PB_SECOND);
	}
	assert_int_equal(w.out.calls, 6);
	assert_string_equal(w.out.reason, "451 4.7.1 later");
	assert_int_equal(w.reports.calls, 1);	/* late once, told once */
	assert_int_equal(w.reports.kind, PB_ITEM_DELAY);
	assert_string_equal(w.reports.action, "delayed");
	for (int day = 0; day < 6; day++)
		rig_pass(w.r, PB_DAY);
	assert_int_equal(rig_total(w.r), 0);
	assert_int_equal(rig_bodies(w.r), 0);
	assert_int_equal(w.reports.calls, 2);
	assert_int_equal(w.reports.kind, PB_ITEM_FAILURE);
	assert_non_null(strstr(w.reports.reason, "5.4.7"));
	assert_non_null(strstr(w.reports.reason, "mx1 said last: 451 4.7.1 later"));
	assert_string_equal(w.reports.remote, "");
	assert_true(rig_trace_has(w.r, id, "retry", "451 4.7.1 later"));
	assert_true(rig_trace_has(w.r, id, "expired", "c@far.test"));
	world_free(&w);
}

static void a_due_time_of_the_courier_is_kept(void **state)
{
	struct world w;

	(void)state;
	world_new(&w, false);
	w.out.plan = "retry deliver";
	w.out.due = RIG_NOW + 7 * PB_MINUTE;
	rig_accept_one(&w.in.host, "a@x", "c@far.test");
	rig_pass(w.r, 6 * PB_MINUTE);
	assert_int_equal(w.out.calls, 1);
	rig_pass(w.r, PB_MINUTE);
	assert_int_equal(w.out.calls, 2);
	assert_int_equal(rig_total(w.r), 0);
	world_free(&w);
}

static void what_is_not_settled_is_tried_again(void **state)
{
	struct world w;

	(void)state;
	world_new(&w, false);
	w.out.plan = "nothing deliver";
	rig_accept_one(&w.in.host, "a@x", "c@far.test");
	rig_settle(w.r);
	assert_int_equal(rig_count(w.r, "conn_out.outgoing", "deferred"), 1);
	rig_pass(w.r, 15 * PB_MINUTE);
	assert_int_equal(w.out.calls, 2);
	assert_int_equal(rig_total(w.r), 0);
	world_free(&w);
}

static void settle_halves(struct script *s, struct pb_item *item)
{
	struct pb_recipient *to;

	(void)s;
	while ((to = pb_item_next(item)))
		if (pb_str_starts(pb_recipient_rcpt(to)->address, PB_STR("ok")))
			pb_delivered(to, PB_NOSTR, "250 2.0.0 ok");
		else if (pb_str_starts(pb_recipient_rcpt(to)->address, PB_STR("soon")))
			pb_retry(to, RIG_NOW + 5 * PB_MINUTE, PB_NOSTR, "450 4.2.1 soon");
	pb_item_rewind(item);
}

static void recipients_of_one_item_go_their_own_ways(void **state)
{
	struct world w;

	(void)state;
	world_new(&w, false);
	w.out.plan = "retry nothing fail";
	w.out.extra = settle_halves;
	rig_accept(&w.in.host, "a@x", (const char *const[]){ "ok@far.test", "soon@far.test", "late@far.test", NULL }, 0);
	rig_settle(w.r);
	assert_string_equal(w.out.seen, "ok@far.test;soon@far.test;late@far.test;");
	w.out.seen[0] = 0;
	w.out.extra = NULL;
	w.out.plan = "deliver fail";
	rig_pass(w.r, 5 * PB_MINUTE);
	assert_string_equal(w.out.seen, "soon@far.test;");	/* the other one is not due */
	rig_pass(w.r, 10 * PB_MINUTE);
	assert_string_equal(w.out.seen, "soon@far.test;late@far.test;");
	assert_int_equal(w.reports.calls, 1);
	assert_string_equal(w.reports.seen, "late@far.test;");
	assert_string_equal(w.reports.reason, "550 5.1.1 nobody");
	assert_int_equal(rig_total(w.r), 0);
	assert_int_equal(rig_bodies(w.r), 0);
	world_free(&w);
}

/* An agent that gives the message another body, twice, before it routes. */
static int changing_router(void *self, struct pb_item *item, struct pb_error *err)
{
	struct script *s = self;

	for (int i = 0; i < 2; i++) {
		struct pb_spool *spool = pb_spool_begin(&s->host, 0, err);

		pb_spool_write(spool, i ? "Subject: another\r\n\r\n" : "Subject: first\r\n\r\n", i ? 21 : 19);
		assert_int_equal(pb_item_set_body(item, spool, err), 0);
	}
	assert_int_equal(pb_body_size(pb_item_body(item)), 21);
	return strncmp(s->plan, "nothing", 7) ? router(self, item, err) : courier(self, item, err);
}

static void see_size(struct script *s, struct pb_item *item)
{
	s->due = (int64_t)pb_body_size(pb_item_body(item));
}

static void a_body_that_is_set_goes_on_instead(void **state)
{
	static const char *const plans[] = { "deliver", "fail", "drop" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct world w;
		const char *id;

		world_new(&w, false);
		w.out.host.rights = w.agent.host.rights = ~0u;
		queue_detach(w.c_agent, 0);
		w.c_agent = rig_attach(&w.agent.host, "*.inbound", changing_router);
		w.agent.plan = "deliver";
		w.post.plan = plans[i];
		w.post.extra = see_size;
		id = rig_accept_one(&w.in.host, "a@x", "c@local");
		rig_settle(w.r);
		assert_int_equal(w.post.calls, 1);
		assert_int_equal(w.post.due, 21);
		assert_true(rig_trace_has(w.r, id, "changed", "size=21"));
		assert_int_equal(rig_total(w.r), 0);
		assert_int_equal(rig_bodies(w.r), 0);
		world_free(&w);
	}
}

static void a_body_that_is_set_stays_with_what_is_tried_again(void **state)
{
	struct world w;

	(void)state;
	world_new(&w, false);
	w.agent.host.rights = ~0u;
	queue_detach(w.c_agent, 0);
	w.c_agent = rig_attach(&w.agent.host, "*.inbound", changing_router);
	w.agent.plan = "nothing drop";
	w.agent.extra = see_size;
	rig_accept_one(&w.in.host, "a@x", "c@local");
	rig_settle(w.r);
	assert_int_equal(rig_total(w.r), 1);
	queue_detach(w.c_agent, 0);
	w.c_agent = rig_attach(&w.agent.host, "*.inbound", courier);
	w.agent.due = 0;
	rig_pass(w.r, PB_HOUR);
	assert_int_equal(w.agent.due, 21);	/* as it was set */
	assert_int_equal(rig_total(w.r), 0);
	assert_int_equal(rig_bodies(w.r), 0);
	world_free(&w);
}

static void reports_follow_notify(void **state)
{
	static const struct { const char *name, *sender; unsigned notify; const char *plan; int want; const char *action; } cases[] = {
		{ "failure is told by default", "a@x", 0, "fail", 1, "failed" },
		{ "delivery is not", "a@x", 0, "deliver", 0, "" },
		{ "unless it was asked for", "a@x", PB_NOTIFY_SUCCESS, "deliver", 1, "delivered" },
		{ "and relaying too", "a@x", PB_NOTIFY_SUCCESS | PB_NOTIFY_FAILURE, "relay", 1, "relayed" },
		{ "success alone says nothing of failure", "a@x", PB_NOTIFY_SUCCESS, "fail", 0, "" },
		{ "never is never", "a@x", PB_NOTIFY_NEVER, "fail", 0, "" },
		{ "of failure without a sender the agent hears, who may know a postmaster", "", PB_NOTIFY_SUCCESS | PB_NOTIFY_FAILURE, "fail", 1, "failed" },
		{ "but not of its success", "", PB_NOTIFY_SUCCESS, "deliver", 0, "" },
		{ "what is dropped is not told", "a@x", PB_NOTIFY_SUCCESS | PB_NOTIFY_FAILURE, "drop", 0, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct world w;

		world_new(&w, false);
		w.out.plan = cases[i].plan;
		rig_accept(&w.in.host, cases[i].sender, (const char *const[]){ "c@far.test", NULL }, cases[i].notify);
		rig_settle(w.r);
		if ((int)w.reports.calls != cases[i].want || strcmp(w.reports.action, cases[i].action) != 0)
			fail_msg("%s: %u reports, '%s'", cases[i].name, w.reports.calls, w.reports.action);
		assert_int_equal(rig_total(w.r), 0);
		assert_int_equal(rig_bodies(w.r), 0);
		world_free(&w);
	}
}

static void delay_is_told_only_to_those_who_want_it(void **state)
{
	struct world w;

	(void)state;
	world_new(&w, false);
	w.out.plan = "retry";
	rig_accept(&w.in.host, "a@x", (const char *const[]){ "c@far.test", NULL }, PB_NOTIFY_FAILURE);
	rig_accept(&w.in.host, "a@x", (const char *const[]){ "d@far.test", NULL }, PB_NOTIFY_DELAY);
	for (int hour = 0; hour < 12; hour++)
		rig_pass(w.r, PB_HOUR);
	assert_int_equal(w.reports.calls, 1);
	assert_string_equal(w.reports.seen, "d@far.test;");
	world_free(&w);
}

/* ---- failing stages ---- */

static void poison_becomes_a_dead_letter_and_the_lane_goes_on(void **state)
{
	struct world w;
	const char *id;
	json_t *ret = NULL, *params;
	struct pb_error err = { 0 };

	(void)state;
	world_new(&w, false);
	queue_detach(w.c_out, 0);
	w.c_out = rig_attach_with(&w.out.host, "conn_out.outgoing", courier, (struct consumer_options){ .poison_attempts = 3 });
	w.out.plan = "error";
	id = rig_accept_one(&w.in.host, "a@x", "c@far.test");
	rig_settle(w.r);
	for (int i = 0; i < 20 && rig_count(w.r, "conn_out.outgoing", "dead") == 0; i++)
		rig_pass(w.r, PB_MINUTE);
	assert_int_equal(w.out.calls, 3);
	assert_int_equal(rig_count(w.r, "conn_out.outgoing", "dead"), 1);
	assert_int_equal(rig_total(w.r), 1);
	assert_int_equal(w.reports.calls, 0);
	assert_true(w.r->warnings >= 3);
	assert_true(rig_trace_has(w.r, id, "dead", "a bug"));
	w.out.plan = "deliver";
	rig_accept_one(&w.in.host, "a@x", "d@far.test");
	rig_settle(w.r);
	assert_int_equal(w.out.calls, 4);
	params = json_pack("{s:s}", "id", id);
	assert_int_equal(queue_release(w.r->kernel.queue, params, &ret, &err), 0);
	json_decref(ret);
	json_decref(params);
	rig_settle(w.r);
	assert_int_equal(w.out.calls, 5);
	assert_int_equal(rig_total(w.r), 0);
	assert_int_equal(rig_bodies(w.r), 0);
	world_free(&w);
}

static void a_house_that_is_not_in_order_poisons_nothing(void **state)
{
	struct world w;

	(void)state;
	world_new(&w, false);
	w.out.plan = "busy";
	rig_accept_one(&w.in.host, "a@x", "c@far.test");
	for (int i = 0; i < 100; i++)
		rig_pass(w.r, 10 * PB_MINUTE);
	assert_true(w.out.calls > 20);
	assert_int_equal(rig_count(w.r, "conn_out.outgoing", "dead"), 0);
	w.out.plan = "deliver";
	rig_pass(w.r, PB_DAY);
	assert_int_equal(rig_total(w.r), 0);
	world_free(&w);
}

static void what_was_settled_counts_though_the_stage_failed(void **state)
{
	struct world w;

	(void)state;
	world_new(&w, false);
	w.out.plan = "error deliver";
	w.out.extra = settle_halves;
	rig_accept(&w.in.host, "a@x", (const char *const[]){ "ok@far.test", "late@far.test", NULL }, 0);
	rig_settle(w.r);
	w.out.seen[0] = 0;
	rig_pass(w.r, PB_MINUTE);
	assert_string_equal(w.out.seen, "late@far.test;");
	assert_int_equal(rig_total(w.r), 0);
	world_free(&w);
}

/* ---- successors ---- */

static void redirect_and_inject(struct script *s, struct pb_item *item)
{
	struct pb_envelope *env = pb_envelope_dup(pb_item_envelope(item), false);
	struct pb_error err = { 0 };
	struct pb_spool *spool;

	if (s->calls == 1) {
		pb_envelope_rcpt(env, PB_STR("other@far.test"));
		assert_int_equal(pb_item_redirect(item, env, &err), 0);
		pb_envelope_reset(env);
		pb_envelope_rcpt(env, PB_STR("notice@local"));
		spool = pb_spool_begin(&s->host, 0, &err);
		pb_spool_write(spool, "a notice\r\n", 10);
		assert_int_equal(pb_item_inject(item, env, spool, &err), 0);
	}
	pb_envelope_free(env);
}

static void redirections_and_new_messages_enter_with_the_settling(void **state)
{
	struct world w;
	const char *id;

	(void)state;
	world_new(&w, false);
	w.post.extra = redirect_and_inject;
	w.post.plan = "drop deliver";
	id = rig_accept_one(&w.in.host, "a@x", "b@local");
	rig_settle(w.r);
	assert_string_equal(w.out.seen, "other@far.test;");
	assert_string_equal(w.post.seen, "b@local;notice@local;");
	assert_int_equal(w.agent.calls, 3);
	assert_int_equal(rig_total(w.r), 0);
	assert_int_equal(rig_bodies(w.r), 0);
	assert_true(rig_trace_has(w.r, id, "redirected", "other@far.test"));
	world_free(&w);
}

static void successors_of_a_failed_stage_are_made_once(void **state)
{
	struct world w;

	(void)state;
	world_new(&w, false);
	w.post.extra = redirect_and_inject;
	w.post.plan = "error deliver";
	rig_accept_one(&w.in.host, "a@x", "b@local");
	for (int i = 0; i < 5; i++)
		rig_pass(w.r, PB_MINUTE);
	assert_string_equal(w.post.seen, "b@local;b@local;");
	assert_string_equal(w.out.seen, "");
	assert_int_equal(rig_total(w.r), 0);
	assert_int_equal(rig_bodies(w.r), 0);
	world_free(&w);
}

/* ---- after a stop ---- */

static void everything_goes_on_after_a_restart(void **state)
{
	bool bdb = *(bool *)*state;
	struct world w;

	world_init(&w, rig_new(bdb));
	for (int i = 0; i < 20; i++)
		rig_accept(&w.in.host, "a@x", (const char *const[]){ "b@local", "c@far.test", NULL }, 0);
	rig_restart(w.r);
	assert_int_equal(rig_count(w.r, "conn_in.inbound", "ready"), 20);
	w.out.plan = "retry";
	world_attach(&w);
	rig_settle(w.r);
	assert_int_equal(w.post.calls, 20);
	assert_int_equal(rig_count(w.r, "conn_out.outgoing", "deferred"), 20);
	rig_restart(w.r);
	assert_int_equal(rig_count(w.r, "conn_out.outgoing", "deferred"), 20);
	w.out.plan = "deliver";
	world_attach(&w);
	rig_settle(w.r);
	assert_int_equal(rig_count(w.r, "conn_out.outgoing", "deferred"), 20);
	rig_pass(w.r, 15 * PB_MINUTE);
	assert_int_equal(w.out.calls, 40);
	assert_int_equal(rig_total(w.r), 0);
	assert_int_equal(rig_bodies(w.r), 0);
	world_free(&w);
}

int main(void)
{
	static bool memory = false, bdb = true;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_is_routed_and_delivered_to_every_recipient),
		cmocka_unit_test(a_message_waits_in_its_lane_until_somebody_attaches),
		cmocka_unit_test(no_recipients_and_no_right_are_refused),
		cmocka_unit_test(a_named_spool_enters_once),
		cmocka_unit_test(many_recipients_become_several_rows),
		cmocka_unit_test(the_ladder_is_climbed_and_then_mail_expires_with_a_report),
		cmocka_unit_test(a_due_time_of_the_courier_is_kept),
		cmocka_unit_test(what_is_not_settled_is_tried_again),
		cmocka_unit_test(recipients_of_one_item_go_their_own_ways),
		cmocka_unit_test(a_body_that_is_set_goes_on_instead),
		cmocka_unit_test(a_body_that_is_set_stays_with_what_is_tried_again),
		cmocka_unit_test(reports_follow_notify),
		cmocka_unit_test(delay_is_told_only_to_those_who_want_it),
		cmocka_unit_test(poison_becomes_a_dead_letter_and_the_lane_goes_on),
		cmocka_unit_test(a_house_that_is_not_in_order_poisons_nothing),
		cmocka_unit_test(what_was_settled_counts_though_the_stage_failed),
		cmocka_unit_test(redirections_and_new_messages_enter_with_the_settling),
		cmocka_unit_test(successors_of_a_failed_stage_are_made_once),
		cmocka_unit_test_prestate(everything_goes_on_after_a_restart, &memory),
		cmocka_unit_test_prestate(everything_goes_on_after_a_restart, &bdb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
