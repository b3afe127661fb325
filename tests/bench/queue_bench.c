/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the queue costs: accept, route, deliver and settle by N senders, and a cold start with many items queued (fill, then start).
 *	queue_bench hops  memory|bdb DIR MESSAGES SENDERS
 *	queue_bench fill  DIR ITEMS
 *	queue_bench start DIR DELIVERIES
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "kernel/clock/clock.h"
#include "kernel/log/log.h"
#include "kernel/queue/private.h"
#include "kernel/store/timeline.h"

static const struct pb_host_ops ops = {
	.spool_begin = host_spool_begin, .spool_id = host_spool_id, .spool_write = host_spool_write, .spool_discard = host_spool_discard,
	.queue_accept = host_queue_accept, .item_next = host_item_next, .item_send = host_item_send, .recipient_rcpt = host_recipient_rcpt,
	.delivered = host_delivered, .body_release = host_body_release,
};

static struct kernel kernel;
static struct pb_host in, agent, out;
static atomic_uint delivered;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t progress = PTHREAD_COND_INITIALIZER;
static unsigned wanted, each;
static char body[4096];

static void die(const struct pb_error *err)
{
	fprintf(stderr, "queue_bench: %s\n", err->text);
	exit(1);
}

static double seconds(clockid_t which)
{
	struct timespec ts;

	clock_gettime(which, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int route(void *self, struct pb_item *item, struct pb_error *err)
{
	struct pb_recipient *to;

	(void)self, (void)err;
	while ((to = pb_item_next(item)))
		pb_item_send(item, to, "out", PB_NOSTR, PB_STR("mailbox/0123456789"));
	return 0;
}

static int deliver(void *self, struct pb_item *item, struct pb_error *err)
{
	struct pb_recipient *to;

	(void)self, (void)err;
	while ((to = pb_item_next(item)))
		pb_delivered(to, PB_NOSTR, "250 2.1.5 delivered");
	if (atomic_fetch_add(&delivered, 1) + 1 == wanted) {
		pthread_mutex_lock(&lock);
		pthread_cond_signal(&progress);
		pthread_mutex_unlock(&lock);
	}
	return 0;
}

static void open_kernel(bool bdb, const char *dir)
{
	struct engine_options o = { .dir = dir };
	struct pb_error err = { 0 };
	char path[4096];

	mkdir(dir, 0700);
	snprintf(path, sizeof path, "%s/timeline", dir);
	kernel.home = dir;
	kernel.clock = clock_system();
	kernel.log = log_new(2, PB_WARNING, false);
	if ((bdb ? engine_bdb_open(&o, &kernel.engine, &err) : engine_memory_open(&o, &kernel.engine, &err)) ||
	    timeline_open(path, kernel.clock, 7, &kernel.timeline, &err) || queue_open(&kernel, &kernel.queue, &err))
		die(&err);
	in = (struct pb_host){ .handle = { &ops }, .kernel = &kernel, .name = "in", .rights = RIGHT_QUEUE_ACCEPT };
	agent = out = in;
	agent.name = "agent";
	out.name = "out";
}

static void close_kernel(void)
{
	queue_close(kernel.queue);
	timeline_close(kernel.timeline);
	engine_close(kernel.engine);
	log_free(kernel.log);
}

static void attach(struct pb_host *host, const char *lane, int (*work)(void *self, struct pb_item *item, struct pb_error *err))
{
	const char *const lanes[] = { lane, NULL };
	struct consumer_options o = { .host = host, .lanes = lanes, .work = work };
	struct pb_error err = { 0 };
	struct consumer *c;

	if (queue_attach(kernel.queue, &o, &c, &err))
		die(&err);
}

static void *sender(void *arg)
{
	struct pb_error err = { 0 };

	(void)arg;
	for (unsigned i = 0; i < each; i++) {
		struct pb_spool *spool = pb_spool_begin(&in, 0, &err);
		struct pb_envelope *env = pb_envelope_new();
		char id[PB_ID_MAX];

		pb_envelope_sender(env, PB_STR("sender@example.org"));
		pb_envelope_rcpt(env, PB_STR("recipient@example.net"));
		env->client = pb_envelope_copy(env, PB_STR("192.0.2.17"));
		env->helo = pb_envelope_copy(env, PB_STR("client.example.org"));
		pb_spool_write(spool, body, sizeof body);
		if (pb_queue_accept(&in, env, spool, id, &err))
			die(&err);
		pb_envelope_free(env);
	}
	return NULL;
}

static void hops(bool bdb, const char *dir, unsigned messages, unsigned senders)
{
	pthread_t threads[256];
	struct engine_stats s0, s1;
	struct rusage u0, u1;
	double t0, t1, c0, c1;

	open_kernel(bdb, dir);
	attach(&agent, "*.inbound", route);
	attach(&out, "out.outgoing", deliver);
	each = messages / senders;
	wanted = each * senders;
	memset(body, 'x', sizeof body);
	for (size_t i = 78; i < sizeof body; i += 80)
		memcpy(body + i - 1, "\r\n", 2);
	engine_stats(kernel.engine, &s0);
	getrusage(RUSAGE_SELF, &u0);
	t0 = seconds(CLOCK_MONOTONIC);
	c0 = seconds(CLOCK_PROCESS_CPUTIME_ID);
	for (unsigned i = 0; i < senders; i++)
		pthread_create(&threads[i], NULL, sender, NULL);
	for (unsigned i = 0; i < senders; i++)
		pthread_join(threads[i], NULL);
	pthread_mutex_lock(&lock);
	while (atomic_load(&delivered) < wanted)
		pthread_cond_wait(&progress, &lock);
	pthread_mutex_unlock(&lock);
	t1 = seconds(CLOCK_MONOTONIC);
	c1 = seconds(CLOCK_PROCESS_CPUTIME_ID);
	getrusage(RUSAGE_SELF, &u1);
	engine_stats(kernel.engine, &s1);
	printf("%-6s %2u senders: %8.0f messages/s, %6.1f us CPU each, %.2f flushes each, %.0f bytes written each, %.1f switches each\n",
	       bdb ? "bdb" : "memory", senders, wanted / (t1 - t0), (c1 - c0) * 1e6 / wanted, (double)(s1.flushes - s0.flushes) / wanted,
	       (double)(s1.bytes_written - s0.bytes_written) / wanted, (double)(u1.ru_nvcsw - u0.ru_nvcsw + u1.ru_nivcsw - u0.ru_nivcsw) / wanted);
	close_kernel();
}

/* Rows as they are after acceptance, many to a batch, all with one body. */
static void fill(unsigned items)
{
	struct pb_envelope *env = pb_envelope_new();
	struct pb_str part = pb_str(body, sizeof body);
	struct pb_error err = { 0 };
	struct body_id id;
	struct lane *lane;

	pb_envelope_sender(env, PB_STR("sender@example.org"));
	pb_envelope_rcpt(env, PB_STR("recipient@example.net"));
	env->received = clock_now(kernel.clock);
	pthread_mutex_lock(&kernel.queue->lock);
	lane = lane_get(kernel.queue, PB_STR("in.inbound"));
	pthread_mutex_unlock(&kernel.queue->lock);
	if (engine_body_write(kernel.engine, &part, 1, PB_NOSTR, &id, &err))
		die(&err);
	for (unsigned done = 0; done < items;) {
		char name[PB_ID_MAX];
		struct batch b;
		engine_ticket ticket;

		batch_init(&b, kernel.queue, done / 500 % SHARDS);
		for (unsigned i = 0; i < 500 && done < items; i++, done++) {
			queue_id_make(name, clock_now(kernel.clock), done);
			if (accept_rows(&b, lane, name, &id, env, &err))
				die(&err);
		}
		if (batch_apply(&b, &ticket, &err) || (done % 50000 == 0 && engine_wait(kernel.engine, ticket, &err)))
			die(&err);
		pthread_mutex_lock(&kernel.queue->lock);
		batch_publish(&b, clock_now(kernel.clock));
		pthread_mutex_unlock(&kernel.queue->lock);
		batch_free(&b);
	}
	pb_envelope_free(env);
}

static long resident_kib(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

static void fill_dir(const char *dir, unsigned items)
{
	open_kernel(true, dir);
	fill(items);
	close_kernel();
	printf("filled with %u items, %ld KiB\n", items, resident_kib());
}

/* In a process of its own, so that the memory is that of the start alone. */
static void start(const char *dir, unsigned until)
{
	double t0 = seconds(CLOCK_MONOTONIC), t1, t2;
	json_t *counts = NULL;

	open_kernel(true, dir);
	t1 = seconds(CLOCK_MONOTONIC);
	queue_counts(kernel.queue, &counts, NULL);
	printf("open %.3f s, %ld KiB; counts %s\n", t1 - t0, resident_kib(), json_dumps(counts, JSON_COMPACT));
	wanted = 1;
	attach(&agent, "*.inbound", route);
	attach(&out, "out.outgoing", deliver);
	while (atomic_load(&delivered) < 1)
		usleep(100);
	t2 = seconds(CLOCK_MONOTONIC);
	printf("first delivery after %.3f s\n", t2 - t0);
	while (atomic_load(&delivered) < until)
		usleep(1000);
	t2 = seconds(CLOCK_MONOTONIC) - t1;
	printf("%u delivered in %.2f s, %.0f/s, %ld KiB at most\n", atomic_load(&delivered), t2, atomic_load(&delivered) / t2, resident_kib());
	close_kernel();
}

int main(int argc, char **argv)
{
	if (argc == 6 && strcmp(argv[1], "hops") == 0)
		hops(strcmp(argv[2], "bdb") == 0, argv[3], (unsigned)strtoul(argv[4], NULL, 10), (unsigned)strtoul(argv[5], NULL, 10));
	else if (argc == 4 && strcmp(argv[1], "fill") == 0)
		fill_dir(argv[2], (unsigned)strtoul(argv[3], NULL, 10));
	else if (argc == 4 && strcmp(argv[1], "start") == 0)
		start(argv[2], (unsigned)strtoul(argv[3], NULL, 10));
	else
		return fprintf(stderr, "usage: queue_bench hops memory|bdb DIR MESSAGES SENDERS | fill DIR ITEMS | start DIR DELIVERIES\n"), 2;
	return 0;
}
