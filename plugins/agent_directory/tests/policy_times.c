/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What settings cost on the way of a message: the processor time of the questions that deliveries ask, with nothing set and with settings at each level. */
#include <time.h>
#include "calls.h"

enum { ROUNDS = 7, FROM_MEMORY = 200000, AFTER_CHANGES = 2000 };

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void ask(struct fake *f, const char *method)
{
	fake_call(f, NULL, method, json_pack("{s:s}", "address", "alice@demo.example"));
}

static void from_memory(struct fake *f, const char *what, const char *method)
{
	double best = 1;

	for (int round = 0; round < ROUNDS; round++) {
		double begin = seconds(), took;

		for (int i = 0; i < FROM_MEMORY; i++)
			ask(f, method);
		took = (seconds() - begin) / FROM_MEMORY;
		best = took < best ? took : best;
	}
	printf("%-24s from memory     %-20s %6.0f ns\n", what, method, best * 1e9);
}

/* Every change of the directory makes the answer anew; the change itself is not counted. */
static void after_changes(struct fake *f, const char *what, const char *method)
{
	double best = 1;

	for (int round = 0; round < ROUNDS; round++) {
		double took = 0;

		for (int i = 0; i < AFTER_CHANGES; i++) {
			double begin;

			fake_call(f, NULL, "mailbox.set", json_pack("{s:s, s:s}", "mailbox", "bob@demo.example", "name", i & 1 ? "Bob" : "Robert"));
			begin = seconds();
			ask(f, method);
			took += seconds() - begin;
		}
		took /= AFTER_CHANGES;
		best = took < best ? took : best;
	}
	printf("%-24s after a change  %-20s %6.0f ns\n", what, method, best * 1e9);
}

static void measure(struct fake *f, const char *what)
{
	from_memory(f, what, "directory.mailbox");
	from_memory(f, what, "directory.resolve");
	after_changes(f, what, "directory.mailbox");
	after_changes(f, what, "directory.resolve");
}

int main(void)
{
	struct fake *f;
	void *state;

	begin(&state);
	f = state;
	measure(f, "nothing set");
	DO(f, "policy.set", "{s:s, s:s}", "key", "send_per_hour", "value", "5");
	DO(f, "policy.set", "{s:s, s:s, s:s}", "key", "quota_full", "value", "hold", "postoffice", "demo");
	DO(f, "policy.set", "{s:s, s:s, s:s}", "key", "receive_from", "value", "server", "mailbox", "alice@demo.example");
	measure(f, "set at three levels");
	return end(&state);
}
