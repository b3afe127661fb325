/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Delivery events: a program of the administrator hears of each copy that was delivered to a mailbox whose setting names one. Deliveries do not wait for it: events
 * wait in memory, some programs run at once, and what is too much is told in the log. What a program ends with changes nothing.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <postbus/run.h>
#include "event.h"

enum { WAITING_MAX = 1000, OUTPUT_MAX = 1000, ENV_MAX = 8 };

struct event {
	struct event *next;
	struct pb_arena *arena;
	const char *program, *env[ENV_MAX + 1];
	struct pb_body *body;
	char id[PB_ID_MAX];
};

struct events {
	struct pb_host *host;
	pthread_mutex_t lock;
	struct event *first, **last;
	size_t waiting;
	int64_t running, most;
};

struct events *events_new(struct pb_host *host)
{
	struct events *all = pb_alloc(sizeof *all);

	all->host = host;
	all->last = &all->first;
	all->most = pb_config_int(host, "event_pool");
	pthread_mutex_init(&all->lock, NULL);
	return all;
}

static void event_free(struct event *e)
{
	pb_body_release(e->body);
	pb_arena_free(e->arena);
}

void events_free(struct events *all)
{
	if (!all)
		return;
	for (struct event *e = all->first, *next; e; e = next) {
		next = e->next;
		event_free(e);
	}
	pthread_mutex_destroy(&all->lock);
	free(all);
}

/* ---- running one ---- */

static void failed(struct events *all, const struct event *e, const char *why)
{
	pb_log(all->host, PB_WARNING, "event.failed", "id=%s program=%s reason=%s", e->id, pb_logq(pb_strz(e->program)), pb_logq(pb_strz(why)));
	pb_count(all->host, "event_failures", 1);
}

static void run(struct events *all, struct event *e)
{
	const char *argv[] = { e->program, PB_RUN_FILE, e->id, NULL };
	struct pb_run how = { .argv = argv, .env = e->env, .timeout = pb_config_int(all->host, "event_timeout") * PB_SECOND, .output_max = OUTPUT_MAX };
	struct pb_ran ran = PB_RAN;
	struct pb_error err = { 0 };
	struct pb_str head;
	char why[80];
	int rc = pb_body_parts(e->body, &head, &how.message, &err);

	if (!rc)
		rc = pb_run(all->host, &how, &ran, &err);
	if (rc) {
		failed(all, e, err.text);
	} else if (ran.timed_out) {
		failed(all, e, "its time was over; it was killed");
	} else if (ran.code) {
		snprintf(why, sizeof why, "it ended with %d", ran.code);
		failed(all, e, why);
	}
	pb_count(all->host, "events", 1);
	pb_ran_free(&ran);
}

static struct event *take(struct events *all)
{
	struct event *e;

	pthread_mutex_lock(&all->lock);
	e = all->first;
	if (e) {
		all->first = e->next;
		if (!all->first)
			all->last = &all->first;
		all->waiting--;
	} else {
		all->running--;
	}
	pthread_mutex_unlock(&all->lock);
	return e;
}

static void event_work(void *self, void *arg)
{
	struct events *all = arg;
	struct event *e;

	(void)self;
	while ((e = take(all)) != NULL) {
		run(all, e);
		event_free(e);
	}
}

/* ---- making one ---- */

static void add_env(struct event *e, size_t *n, const char *name, struct pb_str value)
{
	e->env[(*n)++] = pb_arena_printf(e->arena, "%s=%.*s", name, PB_FMT(pb_str_head(value, 1000)));
}

static struct event *event_new(const struct delivery *d, struct pb_str program, uint32_t uid)
{
	struct pb_arena *arena = pb_arena_new();
	struct event *e = pb_arena_alloc(arena, sizeof *e);
	char number[16];
	size_t n = 0;

	e->arena = arena;
	e->program = pb_arena_str(arena, program).ptr;
	e->body = pb_body_ref(pb_item_body(d->item));
	snprintf(e->id, sizeof e->id, "%s", pb_item_id(d->item));
	snprintf(number, sizeof number, "%u", uid);
	add_env(e, &n, "POSTBUS_ID", pb_strz(e->id));
	add_env(e, &n, "POSTBUS_SENDER", pb_item_envelope(d->item)->sender);
	add_env(e, &n, "POSTBUS_RECIPIENT", pb_recipient_rcpt(d->to)->address);
	add_env(e, &n, "POSTBUS_ADDRESS", d->address);
	add_env(e, &n, "POSTBUS_MAILBOX", d->id);
	add_env(e, &n, "POSTBUS_POSTOFFICE", pb_text_of(d->mailbox, "postoffice"));
	add_env(e, &n, "POSTBUS_UID", pb_strz(number));
	return e;
}

/* False: there are too many. *ret_start: another worker is wanted. */
static bool put(struct events *all, struct event *e, bool *ret_start)
{
	bool room;

	pthread_mutex_lock(&all->lock);
	room = all->waiting < WAITING_MAX;
	*ret_start = room && all->running < all->most;
	if (room) {
		*all->last = e;
		all->last = &e->next;
		all->waiting++;
	}
	all->running += *ret_start;
	pthread_mutex_unlock(&all->lock);
	return room;
}

void event_delivered(const struct delivery *d, uint32_t uid)
{
	struct pb_str program = pb_text_of(json_object_get(d->mailbox, "policy"), "event_program");
	struct events *all = d->po->events;
	struct pb_error err;
	struct event *e;
	bool start;

	if (!program.len)
		return;
	e = event_new(d, program, uid);
	if (!put(all, e, &start)) {
		failed(all, e, "too many wait already");
		event_free(e);
	} else if (start && pb_work(all->host, event_work, all, &err)) {
		pthread_mutex_lock(&all->lock);	/* those who run now, or the next delivery, see to it */
		all->running--;
		pthread_mutex_unlock(&all->lock);
	}
}
