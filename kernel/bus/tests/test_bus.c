/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls, asks and withdrawal, with hosts made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "kernel/bus/bus.h"
#include "kernel/clock/clock.h"
#include "kernel/log/log.h"
#include "kernel/session/sessions.h"
#include "sdk/src/host_ops.h"

/* Facts need workers: here they run at once. */
int sessions_work(struct sessions *ss, void (*job)(void *arg), void *arg, struct pb_error *err)
{
	(void)ss, (void)err;
	job(arg);
	return 0;
}

static const struct pb_host_ops ops = { .call = host_call, .call_about = host_call_about, .subject = host_subject, .ask = host_ask, .publish = host_publish };
static struct kernel kernel;
static struct pb_host one, two;
static char asked[64];
static int heard;

static int start(void **state)
{
	struct pb_error err;

	(void)state;
	kernel = (struct kernel){ .clock = clock_manual(1000000), .log = log_new(2, PB_ERROR, false) };
	one = (struct pb_host){ .handle = { &ops }, .kernel = &kernel, .name = "one" };
	two = (struct pb_host){ .handle = { &ops }, .kernel = &kernel, .name = "two" };
	asked[0] = '\0';
	heard = 0;
	return bus_open(&kernel, &kernel.bus, &err);
}

static int stop(void **state)
{
	(void)state;
	assert_int_equal(bus_withdraw(kernel.bus, &one, NULL, AWAY_SOON, 60 * PB_SECOND), 0);
	assert_int_equal(bus_withdraw(kernel.bus, &two, NULL, AWAY_SOON, 60 * PB_SECOND), 0);
	bus_close(kernel.bus);
	log_free(kernel.log);
	clock_free(kernel.clock);
	return 0;
}

static int echo(void *self, const struct pb_caller *who, const json_t *params, json_t **ret, struct pb_error *err)
{
	(void)self, (void)err;
	*ret = json_pack("{s:O s:i}", "n", json_object_get(params, "n"), "role", (int)who->role);
	return 0;
}

static int recurse(void *self, const struct pb_caller *who, const json_t *params, json_t **ret, struct pb_error *err)
{
	(void)self, (void)who, (void)params;
	return pb_call(&one, "x.recurse", NULL, ret, err);
}

static const struct pb_method methods[] = { { "x.echo", echo }, { "x.recurse", recurse }, { NULL, NULL } };

static void a_call_checks_parameters_rights_and_depth(void **state)
{
	json_t *spec = json_loads("{\"role\": \"admin\", \"params\": {\"n\": {\"type\": \"integer\", \"required\": true, \"max\": 9}}}", 0, NULL), *ret = NULL;
	json_t *params = json_pack("{s:i}", "n", 3), *wrong = json_pack("{s:i}", "n", 30), *none = json_object();
	const struct pb_caller user = { .role = PB_ROLE_USER };
	struct pb_error err;

	(void)state;
	assert_int_equal(pb_call(&two, "x.echo", params, &ret, &err), PB_EUNAVAILABLE);
	assert_int_equal(bus_provide(kernel.bus, &one, &methods[0], spec, &err), 0);
	assert_int_equal(bus_provide(kernel.bus, &two, &methods[0], spec, &err), PB_EEXISTS);
	assert_string_equal(err.text, "method x.echo is provided by one already");
	assert_int_equal(pb_call(&two, "x.echo", params, &ret, &err), 0);
	assert_int_equal(json_integer_value(json_object_get(ret, "n")), 3);
	assert_int_equal(json_integer_value(json_object_get(ret, "role")), PB_ROLE_SYSTEM);
	json_decref(ret);
	assert_int_equal(pb_call(&two, "x.echo", wrong, NULL, &err), PB_EINVALID);
	assert_string_equal(err.text, "x.echo.n: found 30, allowed is an integer from -9223372036854775808 to 9");
	assert_int_equal(bus_call_as(kernel.bus, &user, "x.echo", params, NULL, &err), PB_EDENIED);
	two.calls = none;	/* its manifest names nothing */
	assert_int_equal(pb_call(&two, "x.echo", params, NULL, &err), PB_EDENIED);
	assert_string_equal(err.text, "two does not name x.echo in \"requires\" of its manifest");
	two.calls = NULL;
	assert_int_equal(bus_provide(kernel.bus, &one, &methods[1], NULL, &err), 0);
	assert_int_equal(pb_call(&two, "x.recurse", NULL, NULL, &err), PB_EBUSY);
	json_decref(spec);
	json_decref(params);
	json_decref(wrong);
	json_decref(none);
}

/* Says what it is about, asks another method, and changes the subject. */
static int judge(void *self, const struct pb_caller *who, const json_t *params, json_t **ret, struct pb_error *err)
{
	struct pb_subject *about = pb_subject(&one);

	(void)self, (void)who, (void)params, (void)err;
	*ret = json_pack("{s:s%}", "id", about ? about->id.ptr : "none", about ? about->id.len : 4);
	return 0;
}

static int judge_twice(void *self, const struct pb_caller *who, const json_t *params, json_t **ret, struct pb_error *err)
{
	struct pb_subject *about = pb_subject(&one);
	json_t *inner = NULL;
	int rc = pb_call(&two, "x.judge", NULL, &inner, err);

	(void)self, (void)who, (void)params;
	assert_ptr_equal(pb_subject(&one), about);
	about->changed = (struct pb_spool *)about;
	*ret = json_pack("{s:o, s:s%}", "inner", inner, "id", about->id.ptr, about->id.len);
	return rc;
}

static void a_call_lends_its_subject_to_the_provider_alone(void **state)
{
	static const struct pb_method judges[] = { { "x.judge", judge }, { "x.twice", judge_twice } };
	struct pb_subject about = { .id = PB_STR("q1") };
	struct pb_error err;
	json_t *ret = NULL;

	(void)state;
	assert_int_equal(bus_provide(kernel.bus, &one, &judges[0], NULL, &err), 0);
	assert_int_equal(bus_provide(kernel.bus, &one, &judges[1], NULL, &err), 0);
	assert_int_equal(pb_call_about(&two, &about, "x.twice", NULL, &ret, &err), 0);
	assert_string_equal(json_string_value(json_object_get(ret, "id")), "q1");
	assert_string_equal(json_string_value(json_object_get(json_object_get(ret, "inner"), "id")), "none");
	assert_ptr_equal(about.changed, &about);
	assert_null(pb_subject(&two));
	json_decref(ret);
}

static void a_result_that_is_not_what_was_promised_is_the_providers_fault(void **state)
{
	json_t *right = json_loads("{\"params\": {\"n\": {\"type\": \"any\"}}, \"returns\": {\"n\": {\"type\": \"integer\"}, \"role\": {\"type\": \"integer\"}}}", 0, NULL);
	json_t *other = json_loads("{\"params\": {\"n\": {\"type\": \"any\"}}, \"returns\": {\"n\": {\"type\": \"string\", \"required\": true}}}", 0, NULL);
	json_t *number = json_pack("{s:i}", "n", 3), *word = json_pack("{s:s}", "n", "three"), *ret = NULL;
	struct pb_error err;

	(void)state;
	bus_provide(kernel.bus, &one, &methods[0], right, &err);
	assert_int_equal(pb_call(&two, "x.echo", number, &ret, &err), 0);
	json_decref(ret);
	ret = NULL;
	assert_int_equal(pb_call(&two, "x.echo", word, &ret, &err), PB_EINTERNAL);
	assert_string_equal(err.text, "x.echo of one gave what its manifest does not say: its result.n: found \"three\", allowed is an integer");
	assert_null(ret);
	bus_withdraw(kernel.bus, &one, NULL, AWAY_SOON, 60 * PB_SECOND);
	bus_provide(kernel.bus, &one, &methods[0], other, &err);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pb_call(&two, "x.echo", word, NULL, &err), PB_EINTERNAL);	/* it says role, too */
		assert_non_null(strstr(err.text, "role"));
	}
	bus_withdraw(kernel.bus, &one, NULL, AWAY_SOON, 60 * PB_SECOND);
	json_decref(right);
	json_decref(other);
	json_decref(number);
	json_decref(word);
}

static int ask_one(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	(void)self, (void)q, (void)err;
	strncat(asked, "1", sizeof asked - strlen(asked) - 1);
	pb_verdict_note(v, "one", json_true());
	return 0;
}

static int ask_two(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	(void)self, (void)q, (void)err;
	strncat(asked, "2", sizeof asked - strlen(asked) - 1);
	pb_verdict_set(v, PB_REJECT, 550, "5.7.1", "no");
	return 0;
}

static int ask_broken(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	(void)self, (void)q, (void)v;
	return pb_fail(err, PB_EINTERNAL, "broken");
}

static int ask_slow(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	(void)self, (void)q, (void)err, (void)v;
	clock_advance(kernel.clock, 2 * PB_SECOND);
	return 0;
}

static struct pb_verdict ask(void)
{
	const struct pb_question q = { .point = "smtp.rcpt" };
	struct pb_verdict v = PB_VERDICT;

	pb_ask(&one, &q, &v);
	return v;
}

static void asks_go_in_manifest_order_and_end_at_the_first_decision(void **state)
{
	const struct pb_hook h1 = { "smtp.rcpt", ask_one }, h2 = { "smtp.rcpt", ask_two };
	json_t *after = json_pack("{s:[s]}", "after", "two");
	struct pb_error err;
	struct pb_verdict v = ask();

	(void)state;
	assert_int_equal(v.decision, PB_CONTINUE);
	bus_hook(kernel.bus, &two, &h2, NULL, &err);
	bus_hook(kernel.bus, &one, &h1, NULL, &err);
	v = ask();
	assert_string_equal(asked, "12");
	assert_int_equal(v.decision, PB_REJECT);
	assert_string_equal(v.plugin, "two");
	assert_true(json_is_true(json_object_get(v.notes, "one")));
	pb_verdict_clear(&v);

	bus_withdraw(kernel.bus, &one, NULL, AWAY_SOON, 60 * PB_SECOND);
	bus_hook(kernel.bus, &one, &h1, after, &err);
	asked[0] = '\0';
	v = ask();
	assert_string_equal(asked, "2");
	pb_verdict_clear(&v);
	bus_withdraw(kernel.bus, &one, NULL, AWAY_SOON, 60 * PB_SECOND);
	json_decref(after);
}

static void a_failing_or_slow_hook_means_what_its_manifest_says(void **state)
{
	const struct pb_hook broken = { "smtp.rcpt", ask_broken }, slow = { "smtp.rcpt", ask_slow };
	json_t *defer = json_pack("{s:s s:i}", "on_failure", "defer", "budget_ms", 1000), *reject = json_pack("{s:s s:i}", "on_failure", "reject", "budget_ms", 1000);
	struct pb_error err;
	struct pb_verdict v;

	(void)state;
	log_set_level(kernel.log, PB_ERROR + 1);
	bus_hook(kernel.bus, &one, &broken, defer, &err);
	v = ask();
	assert_int_equal(v.decision, PB_DEFER);
	assert_int_equal(v.code, 451);
	bus_withdraw(kernel.bus, &one, NULL, AWAY_SOON, 60 * PB_SECOND);
	bus_hook(kernel.bus, &one, &slow, reject, &err);
	v = ask();
	assert_int_equal(v.decision, PB_REJECT);
	bus_withdraw(kernel.bus, &one, NULL, AWAY_SOON, 60 * PB_SECOND);
	bus_hook(kernel.bus, &one, &broken, NULL, &err);
	v = ask();
	assert_int_equal(v.decision, PB_CONTINUE);
	bus_withdraw(kernel.bus, &one, NULL, AWAY_SOON, 60 * PB_SECOND);
	json_decref(defer);
	json_decref(reject);
}

static void hear(void *self, const char *fact, const json_t *value)
{
	(void)self;
	if (!strcmp(fact, "mailbox.changed"))
		heard += (int)json_integer_value(json_object_get(value, "n"));
}

static void facts_reach_those_who_listen(void **state)
{
	const struct pb_listener l = { "mailbox.changed", hear };
	struct pb_error err;

	(void)state;
	pb_publish(&one, "mailbox.changed", json_pack("{s:i}", "n", 1));
	bus_listen(kernel.bus, &two, &l, &err);
	pb_publish(&one, "mailbox.changed", json_pack("{s:i}", "n", 2));
	pb_publish(&one, "mailbox.other", json_object());
	assert_int_equal(heard, 2);
}

/* ---- withdrawal waits ---- */

static atomic_int inside, release, withdrawn;

static int wait_inside(void *self, const struct pb_caller *who, const json_t *params, json_t **ret, struct pb_error *err)
{
	(void)self, (void)who, (void)params, (void)ret, (void)err;
	atomic_store(&inside, 1);
	while (!atomic_load(&release))
		usleep(100);
	assert_int_equal(atomic_load(&withdrawn), 0);
	return 0;
}

static void *caller(void *arg)
{
	(void)arg;
	pb_call(&two, "x.wait", NULL, NULL, NULL);
	return NULL;
}

static void *withdrawer(void *arg)
{
	(void)arg;
	bus_withdraw(kernel.bus, &one, NULL, AWAY_SOON, 60 * PB_SECOND);
	atomic_store(&withdrawn, 1);
	return NULL;
}

static bool is_provided(const char *method)
{
	json_t *all = bus_describe(kernel.bus, NULL);
	bool there = json_object_get(json_object_get(all, "methods"), method) != NULL;

	json_decref(all);
	return there;
}

static void methods_are_described_by_name_or_all(void **state)
{
	static const struct pb_method first = { "x.first", wait_inside }, second = { "x.second", wait_inside };
	json_t *names = json_pack("[s,s]", "x.second", "x.third"), *all, *some;
	struct pb_error err;

	(void)state;
	bus_provide(kernel.bus, &one, &first, NULL, &err);
	bus_provide(kernel.bus, &one, &second, NULL, &err);
	some = bus_describe(kernel.bus, names);
	all = bus_describe(kernel.bus, NULL);
	assert_int_equal(json_object_size(json_object_get(some, "methods")), 1);
	assert_true(json_equal(json_object_get(json_object_get(some, "methods"), "x.second"), json_object_get(json_object_get(all, "methods"), "x.second")));
	assert_non_null(json_object_get(json_object_get(all, "methods"), "x.first"));
	json_decref(names);
	json_decref(some);
	json_decref(all);
	assert_int_equal(bus_withdraw(kernel.bus, &one, NULL, AWAY_SOON, 60 * PB_SECOND), 0);
}

static void withdrawal_waits_for_those_inside(void **state)
{
	static const struct pb_method wait_method = { "x.wait", wait_inside };
	pthread_t a, b;
	struct pb_error err;

	(void)state;
	bus_provide(kernel.bus, &one, &wait_method, NULL, &err);
	pthread_create(&a, NULL, caller, NULL);
	while (!atomic_load(&inside))
		usleep(100);
	pthread_create(&b, NULL, withdrawer, NULL);
	while (is_provided("x.wait"))
		usleep(100);
	assert_int_equal(atomic_load(&withdrawn), 0);
	atomic_store(&release, 1);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	assert_int_equal(atomic_load(&withdrawn), 1);
}

/* ---- coming and going while others call: what the sanitizer builds look at ---- */

static atomic_int answered, enough;

static void *calls_on(void *arg)
{
	json_t *params = json_pack("{s:i}", "n", 1);

	(void)arg;
	while (!atomic_load(&enough))
		if (!pb_call(&two, "x.echo", params, NULL, NULL))
			atomic_fetch_add(&answered, 1);
	json_decref(params);
	return NULL;
}

static void a_provider_may_leave_while_many_call_it(void **state)
{
	static const struct pb_method echo_method = { "x.echo", echo };
	pthread_t threads[4];
	struct pb_error err;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, calls_on, NULL);
	for (int n = 0; n < 500 || atomic_load(&answered) < 500; n++) {
		assert_int_equal(bus_provide(kernel.bus, &one, &echo_method, NULL, &err), 0);
		assert_int_equal(bus_withdraw(kernel.bus, &one, NULL, AWAY_SOON, 60 * PB_SECOND), 0);
		assert_false(is_provided("x.echo"));
	}
	atomic_store(&enough, 1);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

/* ---- hooks that do not come back ---- */

static atomic_int in_hook, let_go;
static pthread_mutex_t seen_lock = PTHREAD_MUTEX_INITIALIZER;
static char seen[80];

static int ask_for_ever(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	(void)self, (void)err;
	atomic_fetch_add(&in_hook, 1);
	while (!atomic_load(&let_go))
		usleep(100);
	pthread_mutex_lock(&seen_lock);
	snprintf(seen, sizeof seen, "%s %.*s %s", q->point, PB_FMT(q->id), json_string_value(json_object_get(q->facts, "sender")));
	pthread_mutex_unlock(&seen_lock);
	pb_verdict_set(v, PB_REJECT, 550, "5.7.1", "too late");
	return 0;
}

/* What it is asked about is gone when it looks. */
static struct pb_verdict ask_briefly(void)
{
	struct pb_verdict v = PB_VERDICT;
	char *id = pb_str_dup(PB_STR("id77")), *point = pb_str_dup(PB_STR("smtp.rcpt"));
	json_t *facts = json_pack("{s:s}", "sender", "who");

	pb_ask(&two, &(struct pb_question){ .point = point, .id = pb_strz(id), .facts = facts }, &v);
	json_decref(facts);
	memset(id, 'X', 4);
	memset(point, 'X', 4);
	free(id);
	free(point);
	return v;
}

static void a_hook_that_does_not_come_back_keeps_a_thread_and_nobody_who_asks(void **state)
{
	static const struct pb_hook endless = { "smtp.rcpt", ask_for_ever };
	json_t *defer = json_pack("{s:s s:i}", "on_failure", "defer", "budget_ms", 20);
	struct pb_error err;
	struct pb_verdict v;

	(void)state;
	log_set_level(kernel.log, PB_ERROR + 1);
	bus_hook(kernel.bus, &one, &endless, defer, &err);
	for (int i = 0; i < 20; i++) {
		v = ask_briefly();
		assert_int_equal(v.decision, PB_DEFER);
		assert_string_equal(v.plugin, "one");
		pb_verdict_clear(&v);
	}
	assert_int_equal(atomic_load(&in_hook), 8);	/* more are not let in */
	assert_int_equal(bus_withdraw(kernel.bus, &one, NULL, AWAY_SOON, 1000), PB_ETIMEOUT);
	v = ask_briefly();
	assert_int_equal(v.decision, PB_CONTINUE);
	atomic_store(&let_go, 1);
	assert_int_equal(bus_withdraw(kernel.bus, &one, NULL, AWAY_SOON, 60 * PB_SECOND), 0);
	pthread_mutex_lock(&seen_lock);
	assert_string_equal(seen, "smtp.rcpt id77 who");
	pthread_mutex_unlock(&seen_lock);
	json_decref(defer);
}

static pthread_t hook_thread;

static int ask_at_once(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	(void)self, (void)q, (void)v, (void)err;
	hook_thread = pthread_self();
	return 0;
}

static void a_hook_that_always_answers_at_once_costs_no_other_thread(void **state)
{
	static const struct pb_hook quick = { "smtp.rcpt", ask_at_once };
	struct pb_error err;
	struct pb_verdict v;

	(void)state;
	bus_hook(kernel.bus, &one, &quick, NULL, &err);
	v = ask();
	assert_false(pthread_equal(hook_thread, pthread_self()));
	for (int i = 0; i < 100; i++)
		v = ask();
	assert_true(pthread_equal(hook_thread, pthread_self()));
	pb_verdict_clear(&v);
}

/* Hooks as a manifest has them, which goes at once: the bus keeps its own. */
static void send_away(int budget_ms, enum away how)
{
	json_t *hooks = json_pack("{s:{s:s s:i}}", "smtp.rcpt", "on_failure", "defer", "budget_ms", budget_ms);

	if (how == AWAY_SOON)
		assert_int_equal(bus_withdraw(kernel.bus, &one, hooks, AWAY_SOON, 60 * PB_SECOND), 0);
	else
		bus_away(kernel.bus, &one, hooks, how);
	json_decref(hooks);
}

static void nothing_is_rejected_because_the_server_ends(void **state)
{
	json_t *hooks = json_pack("{s:{s:s}}", "smtp.rcpt", "on_failure", "reject");
	struct pb_verdict v;

	(void)state;
	log_set_level(kernel.log, PB_ERROR + 1);
	for (enum away how = AWAY_FAILED; how <= AWAY_ENDING; how++) {
		bus_away(kernel.bus, &one, hooks, how);
		v = ask();
		assert_int_equal(v.decision, how == AWAY_ENDING ? PB_DEFER : PB_REJECT);
		pb_verdict_clear(&v);
	}
	json_decref(hooks);
}

static enum pb_decision decide(void)
{
	struct pb_verdict v = ask();
	enum pb_decision d = v.decision;

	pb_verdict_clear(&v);
	return d;
}

static void *ask_beside(void *arg)
{
	*(enum pb_decision *)arg = decide();
	return NULL;
}

/* Somebody asks while it is away, and a moment later it is there, or disabled. */
static enum pb_decision asked_while_away(bool comes_back)
{
	static const struct pb_hook rejects = { "smtp.rcpt", ask_two };
	enum pb_decision decision = PB_CONTINUE;
	struct pb_error err;
	pthread_t thread;

	send_away(10000000, AWAY_SOON);
	assert_int_equal(pthread_create(&thread, NULL, ask_beside, &decision), 0);
	usleep(20000);		/* it waits by now; if not, it finds what it would have waited for */
	if (comes_back)
		bus_hook(kernel.bus, &one, &rejects, NULL, &err);
	else
		bus_away(kernel.bus, &one, NULL, AWAY_FAILED);
	pthread_join(thread, NULL);
	return decision;
}

static void a_hook_that_is_away_is_waited_for_if_it_comes_back_and_answered_by_its_policy_if_not(void **state)
{
	(void)state;
	log_set_level(kernel.log, PB_ERROR + 1);
	send_away(10000000, AWAY_FAILED);
	assert_int_equal(decide(), PB_DEFER);
	bus_impatient(true);
	send_away(10000000, AWAY_SOON);
	assert_int_equal(decide(), PB_DEFER);	/* it does not wait for itself */
	bus_impatient(false);
	bus_away(kernel.bus, &one, NULL, AWAY_FAILED);
	assert_int_equal(decide(), PB_CONTINUE);
	send_away(10, AWAY_SOON);
	assert_int_equal(decide(), PB_DEFER);
	assert_int_equal(asked_while_away(true), PB_REJECT);
	send_away(10000000, AWAY_ENDING);
	assert_int_equal(decide(), PB_REJECT);	/* it is there: nothing goes beside it */
	assert_int_equal(asked_while_away(false), PB_CONTINUE);
}

static unsigned asked_times, slow_each;

static int ask_slow_now_and_then(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	(void)self, (void)q, (void)v, (void)err;
	hook_thread = pthread_self();
	if (++asked_times % slow_each == 0)
		clock_advance(kernel.clock, 2000);
	return 0;
}

/* How many of the last 100 of 1,000 were asked in the thread of who asked. */
static int trusted_with_one_slow_in(unsigned n)
{
	static const struct pb_hook hook = { "smtp.rcpt", ask_slow_now_and_then };
	struct pb_error err;
	int own = 0;

	asked_times = 0;
	slow_each = n;
	bus_hook(kernel.bus, &one, &hook, NULL, &err);
	for (int i = 0; i < 1000; i++) {
		struct pb_verdict v = ask();

		own += i >= 900 && pthread_equal(hook_thread, pthread_self());
		pb_verdict_clear(&v);
	}
	assert_int_equal(bus_withdraw(kernel.bus, &one, NULL, AWAY_SOON, 1000), 0);
	return own;
}

/* A thread is put aside now and then on a busy machine; who waits for a network is slow each time that he has to ask. */
static void a_hook_that_is_slow_now_and_then_is_trusted_all_the_same(void **state)
{
	(void)state;
	assert_int_equal(trusted_with_one_slow_in(50), 100);
	assert_int_equal(trusted_with_one_slow_in(10), 0);
}

/* ---- hooks that were trusted ---- */

static atomic_int hangs, told;
static atomic_uint caught;

static int ask_quick_then_never(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	(void)self, (void)q, (void)v, (void)err;
	if (!atomic_load(&hangs)) {
		hook_thread = pthread_self();
		return 0;
	}
	atomic_fetch_add(&caught, 1);
	while (atomic_load(&hangs))
		usleep(100);
	return 0;
}

static void hear_log(void *arg, enum pb_level level, const char *line)
{
	(void)arg, (void)level;
	if (strstr(line, "event=hook.stuck") && strstr(line, "plugin=one point=smtp.rcpt us=1002000 budget_us=200000"))
		atomic_fetch_add(&told, 1);
}

static void *asks_once(void *arg)
{
	struct pb_verdict v = ask();

	(void)arg;
	pb_verdict_clear(&v);
	return NULL;
}

static void trust(const json_t *spec)
{
	static const struct pb_hook turns = { "smtp.rcpt", ask_quick_then_never };
	struct pb_error err;

	atomic_store(&hangs, 0);
	atomic_store(&caught, 0);
	atomic_store(&told, 0);
	log_set_level(kernel.log, PB_ERROR);
	log_tap(kernel.log, hear_log, NULL);
	bus_hook(kernel.bus, &one, &turns, spec, &err);
	do
		asks_once(NULL);
	while (!pthread_equal(hook_thread, pthread_self()));
	atomic_store(&hangs, 1);
}

static void wait_caught(unsigned n)
{
	while (atomic_load(&caught) < n)
		usleep(100);
}

static void a_trusted_hook_that_hangs_catches_nobody_who_comes_later(void **state)
{
	json_t *defer = json_pack("{s:s s:i}", "on_failure", "defer", "budget_ms", 200);
	struct pb_verdict v;
	pthread_t first;

	(void)state;
	trust(defer);
	pthread_create(&first, NULL, asks_once, NULL);
	wait_caught(1);
	clock_advance(kernel.clock, 2000);
	v = ask();
	assert_int_equal(v.decision, PB_DEFER);
	assert_int_equal(atomic_load(&caught), 2);	/* one in his own thread, one beside this one */
	clock_advance(kernel.clock, PB_SECOND);
	while (!atomic_load(&told))
		usleep(1000);
	assert_int_equal(bus_withdraw(kernel.bus, &one, NULL, AWAY_SOON, 1000), PB_ETIMEOUT);
	atomic_store(&hangs, 0);
	pthread_join(first, NULL);
	assert_int_equal(atomic_load(&told), 1);
	json_decref(defer);
}

static void a_trusted_hook_catches_eight_at_most(void **state)
{
	json_t *defer = json_pack("{s:s s:i}", "on_failure", "defer", "budget_ms", 200);
	pthread_t threads[8];
	struct pb_verdict v;

	(void)state;
	trust(defer);
	for (unsigned i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, asks_once, NULL);
	wait_caught(8);
	v = ask();		/* at the same moment by the clock */
	assert_int_equal(v.decision, PB_DEFER);
	atomic_store(&hangs, 0);
	for (unsigned i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	json_decref(defer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_call_checks_parameters_rights_and_depth, start, stop),
		cmocka_unit_test_setup_teardown(a_call_lends_its_subject_to_the_provider_alone, start, stop),
		cmocka_unit_test_setup_teardown(a_result_that_is_not_what_was_promised_is_the_providers_fault, start, stop),
		cmocka_unit_test_setup_teardown(asks_go_in_manifest_order_and_end_at_the_first_decision, start, stop),
		cmocka_unit_test_setup_teardown(a_failing_or_slow_hook_means_what_its_manifest_says, start, stop),
		cmocka_unit_test_setup_teardown(a_hook_that_does_not_come_back_keeps_a_thread_and_nobody_who_asks, start, stop),
		cmocka_unit_test_setup_teardown(a_hook_that_always_answers_at_once_costs_no_other_thread, start, stop),
		cmocka_unit_test_setup_teardown(a_hook_that_is_away_is_waited_for_if_it_comes_back_and_answered_by_its_policy_if_not, start, stop),
		cmocka_unit_test_setup_teardown(nothing_is_rejected_because_the_server_ends, start, stop),
		cmocka_unit_test_setup_teardown(a_hook_that_is_slow_now_and_then_is_trusted_all_the_same, start, stop),
		cmocka_unit_test_setup_teardown(a_trusted_hook_that_hangs_catches_nobody_who_comes_later, start, stop),
		cmocka_unit_test_setup_teardown(a_trusted_hook_catches_eight_at_most, start, stop),
		cmocka_unit_test_setup_teardown(methods_are_described_by_name_or_all, start, stop),
		cmocka_unit_test_setup_teardown(facts_reach_those_who_listen, start, stop),
		cmocka_unit_test_setup_teardown(withdrawal_waits_for_those_inside, start, stop),
		cmocka_unit_test_setup_teardown(a_provider_may_leave_while_many_call_it, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
