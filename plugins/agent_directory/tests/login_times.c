/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How long a refused login keeps the processor, for those who are there and those who are not: login_times [ROUNDS]. The kinds take turns in a new order in
 * each round, and only this thread's own time counts, so that a busy machine meets all of them alike.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <postbus/error.h>
#include "fake.h"

enum { KINDS = 6, WARM = 3, ROUNDS_MAX = 100000 };

static const struct {
	const char *what, *login, *password;
} kinds[KINDS] = {
	{ "known user, wrong password", "alice@demo.example", "wrong horse" },
	{ "disabled user, right password", "off@demo.example", "correct horse" },
	{ "user without a password", "none@demo.example", "wrong horse" },
	{ "unknown user", "nobody@demo.example", "wrong horse" },
	{ "unknown domain", "alice@elsewhere.example", "wrong horse" },
	{ "no address at all", "alice", "wrong horse" },
};

static void must(struct fake *f, const char *method, json_t *params)
{
	if (fake_call(f, NULL, method, params)) {
		fprintf(stderr, "%s: %s\n", method, fake_error(f));
		exit(1);
	}
}

static void fill(struct fake *f)
{
	static const char *const names[] = { "alice@demo.example", "off@demo.example", "none@demo.example" };

	must(f, "postoffice.create", json_pack("{s:s}", "name", "demo"));
	must(f, "domain.create", json_pack("{s:s}", "domain", "demo.example"));
	for (size_t i = 0; i < 3; i++)
		must(f, "mailbox.create", json_pack("{s:s}", "address", names[i]));
	for (size_t i = 0; i < 2; i++)
		must(f, "mailbox.password", json_pack("{s:s s:s}", "mailbox", names[i], "password", "correct horse"));
	must(f, "mailbox.set", json_pack("{s:s s:b}", "mailbox", "off@demo.example", "enabled", 0));
}

static double once(struct fake *f, int kind)
{
	json_t *params = json_pack("{s:s s:s s:s s:s}", "login", kinds[kind].login, "password", kinds[kind].password, "service", "x", "peer", "192.0.2.1");
	struct timespec a, b;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
	if (fake_call(f, NULL, "auth.verify", params) != PB_EDENIED)
		abort();
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
	return (double)(b.tv_sec - a.tv_sec) * 1e6 + (double)(b.tv_nsec - a.tv_nsec) / 1e3;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	static double took[KINDS][ROUNDS_MAX];
	int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 300, order[KINDS] = { 0, 1, 2, 3, 4, 5 };
	struct fake *f = fake_start(json_pack("{s:i}", "hash_cost", 5));

	if (rounds < 4 || rounds > ROUNDS_MAX)
		return 2;
	fill(f);
	for (int round = -WARM; round < rounds; round++) {
		for (int i = KINDS - 1; i > 0; i--) {
			int k = (int)(random() % (i + 1)), swap = order[i];

			order[i] = order[k];
			order[k] = swap;
		}
		for (int i = 0; i < KINDS; i++) {
			double us = once(f, order[i]);

			if (round >= 0)
				took[order[i]][round] = us;
		}
	}
	for (int k = 0; k < KINDS; k++) {
		qsort(took[k], (size_t)rounds, sizeof(double), by_size);
		printf("%-30s median %8.1f us, quartiles %8.1f and %8.1f us\n", kinds[k].what, took[k][rounds / 2], took[k][rounds / 4], took[k][3 * rounds / 4]);
	}
	fake_stop(f);
	return 0;
}
