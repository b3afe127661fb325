/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A queue to test, and how its tests wait: for conditions, never for time. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "kernel/queue/tests/rig.h"
#include "kernel/store/mailstore.h"

static const struct pb_host_ops ops = {
	.spool_begin = host_spool_begin, .spool_id = host_spool_id, .spool_write = host_spool_write, .spool_size = host_spool_size,
	.spool_check = host_spool_check, .spool_view = host_spool_view, .spool_discard = host_spool_discard, .spool_name = host_spool_name,
	.queue_accept = host_queue_accept,
	.body_size = host_body_size, .body_view = host_body_view, .body_facts = host_body_facts, .body_ref = host_body_ref, .body_release = host_body_release,
	.item_id = host_item_id, .item_kind = host_item_kind, .item_lane = host_item_lane, .item_destination = host_item_destination,
	.item_envelope = host_item_envelope, .item_body = host_item_body, .item_attempts = host_item_attempts, .item_expires = host_item_expires,
	.item_next = host_item_next, .item_rewind = host_item_rewind, .item_send = host_item_send, .item_redirect = host_item_redirect,
	.item_inject = host_item_inject, .item_set_body = host_item_set_body, .item_note_text = host_item_note_text,
	.recipient_rcpt = host_recipient_rcpt, .recipient_reason = host_recipient_reason, .recipient_remote = host_recipient_remote,
	.recipient_tried = host_recipient_tried,
	.delivered = host_delivered, .relayed = host_relayed, .retry = host_retry, .failed = host_failed, .dropped = host_dropped,
};

static void listen_log(void *arg, enum pb_level level, const char *line)
{
	struct rig *r = arg;

	(void)line;
	if (level >= PB_WARNING)
		r->warnings++;
}

static void must(int rc, const struct pb_error *err)
{
	if (rc)
		fail_msg("%s", err->text);
}

static void open_all(struct rig *r)
{
	struct pb_error err = { 0 };
	char path[128];

	snprintf(path, sizeof path, "%s/store", r->dir);
	if (!r->kernel.engine) {
		struct engine_options o = { .dir = path, .cache_bytes = 4 << 20, .segment_bytes = 4 << 20 };

		must(r->bdb ? engine_bdb_open(&o, &r->kernel.engine, &err) : engine_memory_open(&o, &r->kernel.engine, &err), &err);
	}
	snprintf(path, sizeof path, "%s/timeline", r->dir);
	must(timeline_open(path, r->kernel.clock, 7, &r->kernel.timeline, &err), &err);
	must(queue_open(&r->kernel, &r->kernel.queue, &err), &err);
}

static void close_all(struct rig *r)
{
	queue_close(r->kernel.queue);
	timeline_close(r->kernel.timeline);
	r->kernel.queue = NULL;
	if (r->bdb) {
		engine_close(r->kernel.engine);
		r->kernel.engine = NULL;
	}
}

struct rig *rig_new(bool bdb)
{
	char dir[] = "/tmp/postbus-queue-XXXXXX";
	struct rig *r;

	assert_non_null(mkdtemp(dir));
	r = rig_new_at(bdb, dir);
	r->keep = false;
	return r;
}

struct rig *rig_new_at(bool bdb, const char *dir)
{
	struct rig *r = pb_alloc(sizeof *r);

	snprintf(r->dir, sizeof r->dir, "%s", dir);
	r->keep = true;
	r->bdb = bdb;
	r->kernel.home = r->dir;
	r->kernel.clock = clock_manual(RIG_NOW);
	r->kernel.log = log_new(open("/dev/null", O_WRONLY | O_CLOEXEC), PB_DEBUG, false);
	log_tap(r->kernel.log, listen_log, r);
	open_all(r);
	return r;
}

void rig_free(struct rig *r)
{
	char command[128];

	close_all(r);
	engine_close(r->kernel.engine);
	log_free(r->kernel.log);
	clock_free(r->kernel.clock);
	snprintf(command, sizeof command, "rm -rf '%s'", r->dir);
	if (!r->keep)
		assert_int_equal(system(command), 0);
	free(r);
}

void rig_restart(struct rig *r)
{
	close_all(r);
	open_all(r);
}

void rig_host(struct rig *r, struct pb_host *host, const char *name, void *self)
{
	*host = (struct pb_host){ .handle = { &ops }, .kernel = &r->kernel, .name = name, .rights = RIGHT_QUEUE_ACCEPT | RIGHT_MAIL_WRITE, .self = self };
}

struct consumer *rig_attach_with(struct pb_host *host, const char *lane, int (*work)(void *self, struct pb_item *item, struct pb_error *err),
				 struct consumer_options o)
{
	const char *const lanes[] = { lane, NULL };
	struct pb_error err = { 0 };
	struct consumer *c = NULL;

	o.host = host;
	o.lanes = lanes;
	o.work = work;
	must(queue_attach(host->kernel->queue, &o, &c, &err), &err);
	return c;
}

struct consumer *rig_attach(struct pb_host *host, const char *lane, int (*work)(void *self, struct pb_item *item, struct pb_error *err))
{
	return rig_attach_with(host, lane, work, (struct consumer_options){ .workers = 4 });
}

static void pass_rounds(struct queue *q, uint64_t n)
{
	const struct timespec moment = { .tv_nsec = 200000 };
	const uint64_t until = q->rounds + n;

	while (q->rounds < until) {
		dispatch_poke(q);
		pthread_mutex_unlock(&q->lock);
		nanosleep(&moment, NULL);
		pthread_mutex_lock(&q->lock);
	}
}

static bool is_quiet(struct queue *q)
{
	const int64_t now = clock_now(q->kernel->clock);
	bool quiet = q->idle == q->threads && !atomic_load(&q->later) && load_next(q, now) > now;

	for (size_t i = 0; quiet && i < q->nlanes; i++)
		quiet = !(q->lanes[i]->first_runnable[0] || q->lanes[i]->first_runnable[1]);
	return quiet;
}

/* While a page is read from the store there is nothing to be seen of its items. So quiet counts only after a whole round of the timer, which looks at everything
 * that is due, and only if nothing was taken in hand meanwhile. */
void rig_settle(struct rig *r)
{
	struct queue *q = r->kernel.queue;
	uint64_t picks;

	pthread_mutex_lock(&q->lock);
	do {
		picks = q->picks;
		pass_rounds(q, 2);
	} while (q->picks != picks || !is_quiet(q));
	pthread_mutex_unlock(&q->lock);
}

void rig_rounds(struct rig *r)
{
	pthread_mutex_lock(&r->kernel.queue->lock);
	pass_rounds(r->kernel.queue, 8);
	pthread_mutex_unlock(&r->kernel.queue->lock);
}

void rig_pass(struct rig *r, int64_t by)
{
	clock_advance(r->kernel.clock, by);
	rig_settle(r);
}

const char *rig_accept(struct pb_host *host, const char *sender, const char *const *rcpts, unsigned notify)
{
	static char ids[8][PB_ID_MAX];
	static unsigned turn;
	struct pb_envelope *env = pb_envelope_new();
	struct pb_error err = { 0 };
	struct pb_spool *spool = pb_spool_begin(host, 0, &err);
	char *id = ids[turn++ % 8];

	assert_non_null(spool);
	pb_envelope_sender(env, pb_strz(sender));
	for (; *rcpts; rcpts++)
		pb_envelope_rcpt(env, pb_strz(*rcpts))->notify = notify;
	pb_spool_write(spool, "Subject: x\r\n\r\nhello\r\n", 21);
	must(pb_queue_accept(host, env, spool, id, &err), &err);
	pb_envelope_free(env);
	return id;
}

const char *rig_accept_one(struct pb_host *host, const char *sender, const char *rcpt)
{
	return rig_accept(host, sender, (const char *const[]){ rcpt, NULL }, 0);
}

long rig_count(struct rig *r, const char *lane, const char *state)
{
	struct pb_error err = { 0 };
	json_t *counts = NULL, *one;
	size_t i;
	long n = 0;

	must(queue_counts(r->kernel.queue, &counts, &err), &err);
	json_array_foreach (json_object_get(counts, "lanes"), i, one)
		if (strcmp(json_string_value(json_object_get(one, "lane")), lane) == 0)
			n = (long)json_integer_value(json_object_get(one, state));
	json_decref(counts);
	return n;
}

long rig_total(struct rig *r)
{
	static const char *const states[] = { "ready", "deferred", "held", "leased", "dead" };
	struct pb_error err = { 0 };
	json_t *counts = NULL, *one;
	size_t i;
	long n = 0;

	must(queue_counts(r->kernel.queue, &counts, &err), &err);
	json_array_foreach (json_object_get(counts, "lanes"), i, one)
		for (size_t k = 0; k < sizeof states / sizeof *states; k++)
			n += (long)json_integer_value(json_object_get(one, states[k]));
	json_decref(counts);
	return n;
}

uint64_t rig_bodies(struct rig *r)
{
	struct engine_stats s;

	engine_stats(r->kernel.engine, &s);
	return r->bdb ? 0 : s.bodies;
}

bool rig_trace_has(struct rig *r, const char *id, const char *what, const char *text)
{
	struct pb_error err = { 0 };
	json_t *found = NULL, *event;
	bool has = false;
	size_t i;

	must(timeline_find(r->kernel.timeline, pb_strz(id), PB_NOSTR, PB_NOSTR, 0, 0, &found, &err), &err);
	json_array_foreach (json_object_get(json_array_get(found, 0), "events"), i, event)
		has = has || (strcmp(json_string_value(json_object_get(event, "what")), what) == 0 && strstr(json_string_value(json_object_get(event, "text")), text));
	json_decref(found);
	return has;
}
