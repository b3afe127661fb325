/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the mail store costs, without protocols and sockets: delivery into one folder and many, loading, views, facts, STORE, COPY, expunge.
 * mailstore_bench [DIR [MESSAGES [THREADS]]]: a fresh store on Berkeley DB in DIR, or in memory without one. Prints microseconds.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "kernel/clock/clock.h"
#include "kernel/host.h"
#include "kernel/log/log.h"
#include "kernel/store/spool.h"
#include "kernel/store/mailstore.h"

enum { BODIES = 64, FACTS = 900, THREADS_MAX = 64 };

static struct kernel kernel;
static struct pb_host_ops ops;
static struct pb_host host = { .handle = { &ops }, .kernel = &kernel, .name = "bench", .rights = 63 };
static struct pb_body *bodies[BODIES];
static unsigned long messages = 10000, threads = 8;
static bool many;

/* Weak: the kernel's own may come with what is linked. */
__attribute__((weak)) int host_may(struct pb_host *h, enum right right, struct pb_error *err)
{
	return h->rights & right ? 0 : pb_fail(err, PB_EDENIED, "no right");
}

__attribute__((weak)) int spool_seal(struct pb_spool *spool, struct engine *engine, struct body_id *ret, struct pb_error *err)
{
	(void)spool;
	(void)engine;
	(void)ret;
	return pb_fail(err, PB_EINTERNAL, "no spools here");
}

static void must(int rc, const struct pb_error *err, const char *what)
{
	if (!rc)
		return;
	fprintf(stderr, "%s: %s\n", what, err->text);
	exit(1);
}

struct moment {
	double wall, cpu;		/* of the whole process */
};

static struct moment now(void)
{
	struct timespec t, c;

	clock_gettime(CLOCK_MONOTONIC, &t);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &c);
	return (struct moment){ (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3, (double)c.tv_sec * 1e6 + (double)c.tv_nsec / 1e3 };
}

static void told(const char *what, struct moment since, unsigned long n)
{
	struct moment t = now();

	printf("%-40s %10.0f us  %9.3f us each, CPU %9.3f us each\n", what, t.wall - since.wall, (t.wall - since.wall) / (double)n,
	       (t.cpu - since.cpu) / (double)n);
}

static void make_bodies(void)
{
	static char text[4096], facts[FACTS];
	struct pb_str part = pb_str(text, sizeof text);
	struct pb_error err;
	struct body_id id;

	memset(text, 'x', sizeof text);
	memset(facts, 'f', sizeof facts);
	for (int i = 0; i < BODIES; i++) {
		must(engine_body_write(kernel.engine, &part, 1, pb_str(facts, sizeof facts), &id, &err), &err, "body");
		bodies[i] = body_new(&ops, kernel.engine, &id, PB_NOSTR, &err);
	}
}

static void *deliver(void *arg)
{
	unsigned long number = (unsigned long)(uintptr_t)arg;
	struct pb_mailbox *mb;
	struct pb_folder *f;
	struct pb_error err;
	char name[32];

	snprintf(name, sizeof name, "user%lu", many ? number : 0);
	for (unsigned long i = 0; i < messages / threads; i++) {
		char token[64];
		struct pb_append how = { .over_quota = false };

		snprintf(token, sizeof token, "17FACB30 %lu %lu %d", number, i, many);
		how.token = pb_strz(token);
		must(host_mailbox_open(&host, pb_strz(name), &mb, &err), &err, "open");
		must(host_folder_open(mb, PB_STR("INBOX"), &f, &err), &err, "open");
		must(host_folder_deliver(f, bodies[i % BODIES], PB_STR("Return-Path: <somebody@example.org>\r\nDelivered-To: user@example.org\r\n"), &how, NULL, &err),
		     &err, "deliver");
		host_folder_close(f);
		host_mailbox_close(mb);
	}
	return NULL;
}

static void deliver_all(const char *what)
{
	pthread_t t[THREADS_MAX];
	struct moment since = now();

	for (unsigned long i = 0; i < threads; i++)
		pthread_create(&t[i], NULL, deliver, (void *)(uintptr_t)(i + 1));
	for (unsigned long i = 0; i < threads; i++)
		pthread_join(t[i], NULL);
	told(what, since, messages);
}

static void read_all(struct pb_folder *f)
{
	struct pb_error err;
	struct pb_view *v;
	uint64_t sum = 0;
	uint32_t n;
	PB_AUTOBUF(out);
	struct moment since = now();

	must(host_folder_view(f, &v, &err), &err, "view");
	told("cold view (loading)", since, host_view_count(v));
	host_view_release(v);
	since = now();
	for (int i = 0; i < 1000; i++) {
		must(host_folder_view(f, &v, &err), &err, "view");
		host_view_release(v);
	}
	told("warm view, 1,000 times", since, 1000);
	must(host_folder_view(f, &v, &err), &err, "view");
	since = now();
	for (uint32_t seq = 1; seq <= host_view_count(v); seq += n) {
		const struct pb_row *rows = host_view_run(v, seq, &n);

		for (uint32_t i = 0; i < n; i++)
			sum += rows[i].flags + rows[i].uid;
	}
	told("flags of all rows (runs)", since, host_view_count(v));
	for (int again = 0; again < 2; again++) {
		since = now();
		for (uint32_t seq = 1; seq <= host_view_count(v); seq++) {
			pb_buf_reset(&out);
			must(host_view_facts(v, seq, &out, &err), &err, "facts");
			sum += out.len;
		}
		told(again ? "facts of all rows, again" : "facts of all rows", since, host_view_count(v));
	}
	since = now();
	for (uint32_t seq = 1; seq <= host_view_count(v); seq++) {
		struct pb_body *b;

		must(host_view_body(v, seq, &b, &err), &err, "body");
		sum += host_body_size(b);
		host_body_release(b);
	}
	told("bodies of all rows", since, host_view_count(v));
	host_view_release(v);
	if (!sum)
		printf("nothing\n");
}

static void count(void *arg, uint32_t seq, const struct pb_row *row)
{
	(void)seq;
	(void)row;
	++*(unsigned long *)arg;
}

static void change_all(struct pb_mailbox *mb, struct pb_folder *f)
{
	struct pb_view_change tell = { NULL, count };
	unsigned long changed = 0;
	struct pb_folder *to;
	struct pb_error err;
	struct pb_view *v, *w;
	uint32_t n, *uids;
	struct moment since;

	must(host_folder_view(f, &v, &err), &err, "view");
	n = host_view_count(v);
	uids = pb_alloc(n * sizeof uids[0]);
	for (uint32_t i = 0; i < n; i++)
		uids[i] = host_view_row(v, i + 1)->uid;
	since = now();
	must(host_folder_store(f, uids, n, PB_FLAGS_ADD, PB_SEEN, 0, NULL, NULL, &err), &err, "store");
	told("STORE of all rows at once", since, n);
	must(host_folder_view(f, &w, &err), &err, "view");
	since = now();
	host_view_diff(v, w, &tell, &changed);
	told("diff in which every row changed", since, changed);
	host_view_release(v);
	v = w;
	since = now();
	for (uint32_t i = 0; i < 1000; i++)
		must(host_folder_store(f, &uids[i * (n / 1000)], 1, PB_FLAGS_ADD, PB_FLAGGED, 0, NULL, NULL, &err), &err, "store");
	told("STORE of 1,000 rows one by one", since, 1000);
	must(host_folder_view(f, &w, &err), &err, "view");
	since = now();
	host_view_diff(v, w, &tell, &changed);
	told("diff in which 1,000 changed", since, 1000);
	host_view_release(v);
	host_view_release(w);
	must(host_folder_open(mb, PB_STR("Archive"), &to, &err), &err, "open");
	since = now();
	must(host_folder_copy(f, uids, n, to, false, NULL, NULL, &err), &err, "copy");
	told("COPY of all rows", since, n);
	since = now();
	must(host_folder_expunge(f, uids, n, false, &err), &err, "expunge");
	told("EXPUNGE of all rows", since, n);
	host_folder_close(to);
	free(uids);
}

int main(int argc, char **argv)
{
	struct engine_options o = { .dir = argc > 1 ? argv[1] : NULL };
	struct pb_mailbox *mb;
	struct pb_folder *f;
	struct pb_error err;

	if (argc > 2)
		messages = strtoul(argv[2], NULL, 10);
	if (argc > 3)
		threads = strtoul(argv[3], NULL, 10);
	if (messages < 1000 || !threads || threads > THREADS_MAX) {
		fprintf(stderr, "at least 1,000 messages, 1 to %d threads\n", THREADS_MAX);
		return 2;
	}
	kernel.clock = clock_system();
	kernel.log = log_new(2, PB_WARNING, false);
	must(o.dir ? engine_bdb_open(&o, &kernel.engine, &err) : engine_memory_open(&o, &kernel.engine, &err), &err, "engine");
	must(mailstore_open(kernel.engine, kernel.clock, kernel.log, 0, &kernel.mailstore, &err), &err, "store");
	for (unsigned long i = 0; i <= threads; i++) {
		char name[32];

		snprintf(name, sizeof name, "user%lu", i);
		must(host_mailbox_create(&host, pb_strz(name), &err), &err, "create");
	}
	make_bodies();
	deliver_all("deliver into one folder, not loaded");
	many = true;
	deliver_all("deliver into a folder for each thread");
	many = false;
	must(host_mailbox_open(&host, PB_STR("user0"), &mb, &err), &err, "open");
	must(host_folder_open(mb, PB_STR("INBOX"), &f, &err), &err, "open");
	read_all(f);
	change_all(mb, f);
	host_folder_close(f);
	host_mailbox_close(mb);
	for (int i = 0; i < BODIES; i++)
		host_body_release(bodies[i]);
	mailstore_close(kernel.mailstore);
	engine_close(kernel.engine);
	clock_free(kernel.clock);
	log_free(kernel.log);
	return 0;
}
