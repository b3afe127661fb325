/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What an administrator does with queued mail: list, show, count, hold, release, retry, delete; also with what is in hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "kernel/queue/tests/rig.h"

struct work {
	struct pb_host host;
	bool retry;
	unsigned calls;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool shut;			/* work waits while it is set */
};

static int work(void *self, struct pb_item *item, struct pb_error *err)
{
	struct work *w = self;
	struct pb_recipient *to;

	(void)err;
	pthread_mutex_lock(&w->lock);
	w->calls++;
	pthread_cond_broadcast(&w->changed);
	while (w->shut)
		pthread_cond_wait(&w->changed, &w->lock);
	pthread_mutex_unlock(&w->lock);
	while ((to = pb_item_next(item)))
		if (w->retry)
			pb_retry(to, 0, PB_STR("mx"), "451 4.3.0 later");
		else
			pb_delivered(to, PB_NOSTR, "250 2.0.0 ok");
	return 0;
}

struct desk {
	struct rig *r;
	struct pb_host in;
	struct work w;
};

static void desk_new(struct desk *d)
{
	memset(d, 0, sizeof *d);
	d->r = rig_new(false);
	rig_host(d->r, &d->in, "in", NULL);
	rig_host(d->r, &d->w.host, "agent", &d->w);
	pthread_mutex_init(&d->w.lock, NULL);
	pthread_cond_init(&d->w.changed, NULL);
}

typedef int act(struct queue *q, const json_t *params, json_t **ret, struct pb_error *err);

/* How many items it did something to, or the error's code. */
static long run(struct desk *d, act *what, const char *key, const char *value)
{
	json_t *params = json_pack("{s:s}", key, value), *ret = NULL;
	struct pb_error err = { 0 };
	long n = what(d->r->kernel.queue, params, &ret, &err);

	if (n == 0)
		n = (long)json_integer_value(json_object_get(ret, "items"));
	json_decref(ret);
	json_decref(params);
	return n;
}

static json_t *list(struct desk *d, json_t *params)
{
	struct pb_error err = { 0 };
	json_t *ret = NULL;

	assert_int_equal(queue_list(d->r->kernel.queue, params, &ret, &err), 0);
	json_decref(params);
	return ret;
}

static size_t listed(struct desk *d, const char *key, const char *value)
{
	json_t *ret = list(d, json_pack("{s:s}", key, value));
	size_t n = json_array_size(json_object_get(ret, "items"));

	json_decref(ret);
	return n;
}

static void held_mail_waits_until_it_is_released(void **state)
{
	const char *a, *b;
	struct desk d;

	(void)state;
	desk_new(&d);
	a = rig_accept_one(&d.in, "a@x", "one@y");
	b = rig_accept_one(&d.in, "b@x", "two@y");
	assert_int_equal(run(&d, queue_hold, "id", a), 1);
	assert_int_equal(run(&d, queue_hold, "id", a), PB_ENOTFOUND);
	assert_int_equal(rig_count(d.r, "in.inbound", "held"), 1);
	assert_int_equal(rig_count(d.r, "in.inbound", "ready"), 1);
	rig_attach(&d.w.host, "*.inbound", work);
	rig_pass(d.r, PB_DAY);
	assert_int_equal(d.w.calls, 1);
	assert_int_equal(listed(&d, "state", "held"), 1);
	assert_int_equal(run(&d, queue_release, "id", b), PB_ENOTFOUND);
	assert_int_equal(run(&d, queue_release, "id", a), 1);
	rig_settle(d.r);
	assert_int_equal(d.w.calls, 2);
	assert_int_equal(rig_total(d.r), 0);
	assert_int_equal(rig_bodies(d.r), 0);
	assert_true(rig_trace_has(d.r, a, "held", "in.inbound"));
	assert_true(rig_trace_has(d.r, a, "released", "in.inbound"));
	rig_free(d.r);
}

static void mail_is_chosen_by_lane_sender_and_recipient(void **state)
{
	struct desk d;

	(void)state;
	desk_new(&d);
	for (int i = 0; i < 30; i++)
		rig_accept_one(&d.in, i % 3 ? "a@x" : "", i % 2 ? "one@y" : "two@y");
	assert_int_equal(run(&d, queue_hold, "sender", "A@X"), 20);
	assert_int_equal(run(&d, queue_release, "recipient", "one@y"), 10);
	assert_int_equal(rig_count(d.r, "in.inbound", "held"), 10);
	assert_int_equal(run(&d, queue_delete, "sender", "<>"), 10);
	assert_int_equal(run(&d, queue_hold, "lane", "nowhere.inbound"), PB_ENOTFOUND);
	assert_int_equal(run(&d, queue_delete, "lane", "in.inbound"), 20);
	assert_int_equal(rig_total(d.r), 0);
	assert_int_equal(rig_bodies(d.r), 0);
	assert_int_equal(run(&d, queue_delete, "limit", "1"), PB_EINVALID);
	assert_int_equal(run(&d, queue_delete, "id", "../.."), PB_EINVALID);
	rig_free(d.r);
}

static void deferred_mail_is_tried_now(void **state)
{
	const char *id;
	struct desk d;

	(void)state;
	desk_new(&d);
	d.w.retry = true;
	rig_attach(&d.w.host, "*.inbound", work);
	id = rig_accept_one(&d.in, "a@x", "one@y");
	rig_accept_one(&d.in, "a@x", "two@y");
	rig_settle(d.r);
	assert_int_equal(rig_count(d.r, "in.inbound", "deferred"), 2);
	d.w.retry = false;
	assert_int_equal(run(&d, queue_retry, "id", id), 1);
	rig_settle(d.r);
	assert_int_equal(d.w.calls, 3);
	assert_int_equal(run(&d, queue_retry, "lane", "in.inbound"), 1);
	rig_settle(d.r);
	assert_int_equal(rig_total(d.r), 0);
	rig_free(d.r);
}

/* The wish is done when the work has settled. */
static void what_is_in_hand_obeys_when_it_is_settled(void **state)
{
	static const struct { const char *name; act *act; const char *then; } cases[] = {
		{ "hold", queue_hold, "held" }, { "delete", queue_delete, NULL }, { "nothing", NULL, "deferred" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *id;
		struct desk d;

		desk_new(&d);
		d.w.retry = d.w.shut = true;
		rig_attach(&d.w.host, "*.inbound", work);
		id = rig_accept_one(&d.in, "a@x", "one@y");
		pthread_mutex_lock(&d.w.lock);
		while (d.w.calls == 0)
			pthread_cond_wait(&d.w.changed, &d.w.lock);
		pthread_mutex_unlock(&d.w.lock);
		assert_int_equal(rig_count(d.r, "in.inbound", "leased"), 1);
		assert_int_equal(listed(&d, "state", "leased"), 1);
		if (cases[i].act)
			assert_int_equal(run(&d, cases[i].act, "id", id), 1);
		pthread_mutex_lock(&d.w.lock);
		d.w.shut = false;
		pthread_cond_broadcast(&d.w.changed);
		pthread_mutex_unlock(&d.w.lock);
		rig_settle(d.r);
		if (rig_total(d.r) != (cases[i].then != NULL) || (cases[i].then && rig_count(d.r, "in.inbound", cases[i].then) != 1))
			fail_msg("%s", cases[i].name);
		rig_free(d.r);
	}
}

static void lists_go_on_where_they_ended(void **state)
{
	char after[300] = "";
	size_t seen = 0;
	struct desk d;

	(void)state;
	desk_new(&d);
	for (int i = 0; i < 57; i++)
		rig_accept_one(&d.in, "a@x", "one@y");
	assert_int_equal(run(&d, queue_hold, "id", rig_accept_one(&d.in, "a@x", "one@y")), 1);
	for (;;) {
		json_t *ret = list(&d, json_pack("{s:i, s:s}", "limit", 10, "after", after));
		const char *next = json_string_value(json_object_get(ret, "after"));

		seen += json_array_size(json_object_get(ret, "items"));
		assert_true(json_array_size(json_object_get(ret, "items")) <= 10);
		snprintf(after, sizeof after, "%s", next ? next : "");
		json_decref(ret);
		if (!*after)
			break;
	}
	assert_int_equal(seen, 58);
	assert_int_equal(listed(&d, "recipient", "one@y"), 58);
	assert_int_equal(listed(&d, "recipient", "two@y"), 0);
	assert_int_equal(listed(&d, "lane", "in.inbound"), 58);
	assert_int_equal(run(&d, queue_list, "lane", "in"), PB_ENOTFOUND);
	rig_free(d.r);
}

static void a_message_is_shown_with_every_recipient(void **state)
{
	const char *id;
	struct pb_error err = { 0 };
	json_t *shown = NULL, *item, *to;
	struct desk d;

	(void)state;
	desk_new(&d);
	d.w.retry = true;
	rig_attach(&d.w.host, "*.inbound", work);
	id = rig_accept(&d.in, "a@x", (const char *const[]){ "one@y", "caf\xe9@y", NULL }, 0);
	rig_settle(d.r);
	assert_int_equal(queue_show(d.r->kernel.queue, id, &shown, &err), 0);
	item = json_array_get(json_object_get(shown, "items"), 0);
	assert_string_equal(json_string_value(json_object_get(item, "state")), "deferred");
	assert_string_equal(json_string_value(json_object_get(item, "sender")), "a@x");
	assert_int_equal(json_integer_value(json_object_get(item, "due")), RIG_NOW + 15 * PB_MINUTE);
	assert_int_equal(json_integer_value(json_object_get(item, "size")), 21);
	to = json_array_get(json_object_get(item, "recipients"), 1);
	assert_string_equal(json_string_value(json_object_get(to, "address")), "caf?@y");
	assert_string_equal(json_string_value(json_object_get(to, "reason")), "451 4.3.0 later");
	assert_int_equal(json_integer_value(json_object_get(to, "attempts")), 1);
	json_decref(shown);
	assert_int_equal(queue_show(d.r->kernel.queue, "0123456789abcdef", &shown, &err), PB_ENOTFOUND);
	assert_int_equal(queue_show(d.r->kernel.queue, "", &shown, &err), PB_EINVALID);
	rig_free(d.r);
}

struct mover {
	struct desk *d;
	const char *id;
	atomic_bool over;
};

static void *move_about(void *arg)
{
	struct mover *m = arg;

	while (!atomic_load(&m->over))
		run(m->d, queue_retry, "id", m->id);
	return NULL;
}

/* Whatever it is on its way to: it is never nowhere. */
static void a_message_is_found_while_it_moves(void **state)
{
	struct pb_error err = { 0 };
	struct mover m = { 0 };
	pthread_t thread;
	struct desk d;

	(void)state;
	desk_new(&d);
	d.w.retry = true;
	rig_attach(&d.w.host, "*.inbound", work);
	m = (struct mover){ .d = &d, .id = rig_accept_one(&d.in, "a@x", "one@y") };
	rig_settle(d.r);
	assert_int_equal(pthread_create(&thread, NULL, move_about, &m), 0);
	for (int i = 0; i < 10000; i++) {
		json_t *shown = NULL;

		assert_int_equal(queue_show(d.r->kernel.queue, m.id, &shown, &err), 0);
		json_decref(shown);
	}
	atomic_store(&m.over, true);
	pthread_join(thread, NULL);
	rig_free(d.r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(held_mail_waits_until_it_is_released),
		cmocka_unit_test(mail_is_chosen_by_lane_sender_and_recipient),
		cmocka_unit_test(deferred_mail_is_tried_now),
		cmocka_unit_test(what_is_in_hand_obeys_when_it_is_settled),
		cmocka_unit_test(lists_go_on_where_they_ended),
		cmocka_unit_test(a_message_is_shown_with_every_recipient),
		cmocka_unit_test(a_message_is_found_while_it_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
