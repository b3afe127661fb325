/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The small parts alone: timers in order, connections per source, networks, slots. */
#include <arpa/inet.h>
#include <stdlib.h>
#include "kernel/session/tests/toy.h"

struct probe {
	struct timer timer;
	int64_t expired_at;
};

static struct clock *turned;

static void expired(struct timer *t)
{
	((struct probe *)(void *)t)->expired_at = clock_ticks(turned);
}

static void timers_expire_when_they_are_due_and_not_before(void **state)
{
	enum { N = 500 };
	static struct probe probes[N];
	struct timers ts;
	struct pb_error err;
	int64_t start;

	(void)state;
	turned = clock_manual(0);
	start = clock_ticks(turned);
	assert_int_equal(timers_open(&ts, turned, &err), 0);
	for (int i = 0; i < N; i++) {
		probes[i] = (struct probe){ .timer = TIMER_INIT(expired) };
		timers_set(&ts, &probes[i].timer, start + 1 + i * 7919 % N);
	}
	for (int i = 0; i < N; i += 3)	/* to later: what idle sessions do all the time */
		timers_set(&ts, &probes[i].timer, start + 1000 + i);
	for (int i = 1; i < N; i += 3)
		timers_set(&ts, &probes[i].timer, start + 1 + i % 5);
	for (int i = 2; i < N; i += 6)
		timers_remove(&ts, &probes[i].timer);
	for (int i = 0; i < 2000; i++) {
		clock_advance(turned, 1);
		timers_run(&ts);
	}
	for (int i = 0; i < N; i++) {
		int64_t due = i % 3 == 0 ? 1000 + i : i % 3 == 1 ? 1 + i % 5 : 1 + i * 7919 % N;

		assert_int_equal(probes[i].expired_at, i % 6 == 2 ? 0 : start + due);
	}
	timers_close(&ts);
	clock_free(turned);
}

static struct in6_addr ip(const char *text)
{
	struct in6_addr a;
	struct in_addr four;

	if (inet_pton(AF_INET, text, &four) == 1) {
		memset(&a, 0, sizeof a);
		a.s6_addr[10] = a.s6_addr[11] = 0xff;
		memcpy(a.s6_addr + 12, &four, 4);
	} else {
		assert_int_equal(inet_pton(AF_INET6, text, &a), 1);
	}
	return a;
}

static void sources_count_by_address_and_by_64(void **state)
{
	struct in6_addr a = ip("192.0.2.1"), b = ip("192.0.2.2"), c = ip("2001:db8:0:1::1"), d = ip("2001:db8:0:1:ffff::2"), e = ip("2001:db8:0:2::1");
	struct sources so;

	(void)state;
	sources_open(&so);
	assert_true(source_enter(&so, &a, 2));
	assert_true(source_enter(&so, &a, 2));
	assert_false(source_enter(&so, &a, 2));
	assert_true(source_enter(&so, &b, 2));
	assert_true(source_enter(&so, &c, 2));
	assert_true(source_enter(&so, &d, 2));
	assert_false(source_enter(&so, &c, 2));
	assert_true(source_enter(&so, &e, 2));
	source_leave(&so, &a);
	assert_true(source_enter(&so, &a, 2));
	for (int i = 0; i < 1000; i++) {
		struct in6_addr many = ip("10.0.0.0");

		many.s6_addr[14] = (uint8_t)(i >> 8);
		many.s6_addr[15] = (uint8_t)i;
		assert_true(source_enter(&so, &many, 1));
		assert_false(source_enter(&so, &many, 1));
	}
	assert_int_equal(so.used, 1004);
	source_leave(&so, &b);
	assert_int_equal(so.used, 1003);
	sources_close(&so);
}

static void networks_are_read_strictly(void **state)
{
	static const char *const bad[] = { "", "x", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "::1/129", "10.0.0.0/8/8", "10.0.0.0/-1" };
	struct network n[2];
	struct in6_addr in = ip("10.200.0.1"), out = ip("11.0.0.1"), six = ip("2001:db9::1"), not_six = ip("2001:dba::1");

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (network_parse(bad[i], n))
			fail_msg("'%s' was taken", bad[i]);
	assert_true(network_parse("10.0.0.0/8", &n[0]));
	assert_true(network_parse("2001:db8::/31", &n[1]));
	assert_true(network_has(n, 2, &in));
	assert_false(network_has(n, 2, &out));
	assert_true(network_has(n, 2, &six));
	assert_false(network_has(n, 2, &not_six));
	assert_true(network_parse("192.0.2.1", &n[0]));
	assert_false(network_has(n, 1, &in));
}

static void only_one_finds_a_parked_session_and_none_an_old_one(void **state)
{
	struct pb_session *one = (struct pb_session *)(void *)&turned, *two = (struct pb_session *)(void *)&toy;
	struct slots *sl = pb_alloc(sizeof *sl);
	uint64_t key, next;

	(void)state;
	slots_open(sl);
	key = slot_take(sl, one);
	assert_null(slot_signal(sl, key, GOT_INPUT));	/* it runs: its owner will see */
	assert_false(slot_park(sl, key, false));
	assert_int_equal(slot_got(sl, key), GOT_INPUT);
	assert_true(slot_park(sl, key, false));
	assert_null(slot_signal(sl, key, GOT_NOTICE));	/* does not wake one that waits for no notice, */
	assert_ptr_equal(slot_signal(sl, key, GOT_TIMEOUT), one);
	assert_null(slot_signal(sl, key, GOT_INPUT));	/* and now somebody owns it */
	assert_int_equal(slot_got(sl, key), GOT_NOTICE | GOT_TIMEOUT | GOT_INPUT);	/* but it is kept */
	assert_true(slot_park(sl, key, true));
	assert_ptr_equal(slot_signal(sl, key, GOT_NOTICE), one);
	slot_give(sl, key);
	next = slot_take(sl, two);
	assert_int_not_equal(next, key);
	assert_true(slot_park(sl, next, true));
	assert_null(slot_signal(sl, key, GOT_BYE));	/* same place, another life */
	assert_ptr_equal(slot_signal(sl, next, GOT_BYE), two);
	slot_give(sl, next);
	slots_close(sl);
	free(sl);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_expire_when_they_are_due_and_not_before),
		cmocka_unit_test(sources_count_by_address_and_by_64),
		cmocka_unit_test(networks_are_read_strictly),
		cmocka_unit_test(only_one_finds_a_parked_session_and_none_an_old_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
