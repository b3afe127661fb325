/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The pickup event: a program of the administrator sees each message that passes, and may change, drop or refuse it; and the action "run" of filters.
 * A message meets the event once; where the server is killed while it runs, once more.
 */
#include <stdio.h>
#include <stdlib.h>
#include <postbus/message.h>
#include <postbus/run.h>
#include "mta.h"

enum { GO_ON = 0, DROP = 99, REFUSE = 100, OUTPUT_MAX = 4096, ENV_MAX = 16, WORDS_MAX = 32, RECIPIENTS_MAX = 32768 };

/* ---- the pool ---- */

void pool_init(struct pool *pool)
{
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->free, NULL);
}

void pool_destroy(struct pool *pool)
{
	pthread_mutex_destroy(&pool->lock);
	pthread_cond_destroy(&pool->free);
}

static void pool_enter(struct pool *pool, int64_t size)
{
	pthread_mutex_lock(&pool->lock);
	while (pool->busy >= size)
		pthread_cond_wait(&pool->free, &pool->lock);
	pool->busy++;
	pthread_mutex_unlock(&pool->lock);
}

static void pool_leave(struct pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->busy--;
	pthread_cond_signal(&pool->free);
	pthread_mutex_unlock(&pool->lock);
}

/* ---- what a program is told ---- */

static void add_env(const char **env, size_t *n, struct pb_arena *arena, const char *name, struct pb_str value)
{
	if (*n + 1 < ENV_MAX && !memchr(value.len ? value.ptr : "", 0, value.len))
		env[(*n)++] = pb_arena_printf(arena, "%s=%.*s", name, PB_FMT(value));
}

static void tell(struct passage *p, struct pb_arena *arena, const char **env)
{
	const struct pb_envelope *e = pb_item_envelope(p->item);
	PB_AUTOBUF(to);
	size_t n = 0;

	for (size_t i = 0; i < e->nrcpts && to.len + e->rcpts[i]->address.len < RECIPIENTS_MAX; i++) {
		if (i)
			pb_buf_addc(&to, ' ');
		pb_buf_addstr(&to, e->rcpts[i]->address);
	}
	add_env(env, &n, arena, "POSTBUS_ID", pb_strz(pb_item_id(p->item)));
	add_env(env, &n, arena, "POSTBUS_CONNECTOR", connector_of(p->item));
	add_env(env, &n, arena, "POSTBUS_DIRECTION", pb_strz(direction_of(p)));
	add_env(env, &n, arena, "POSTBUS_SENDER", e->sender);
	add_env(env, &n, arena, "POSTBUS_RECIPIENTS", pb_buf_str(&to));
	add_env(env, &n, arena, "POSTBUS_CLIENT", e->client);
	add_env(env, &n, arena, "POSTBUS_USER", e->user);
	env[n] = NULL;
}

static int run(struct passage *p, const char *const *argv, uint64_t changed_max, struct pb_ran *ran, struct pb_error *err)
{
	struct pb_arena *arena = pb_arena_new();
	struct pb_str head, message;
	const char *env[ENV_MAX + 1];
	int rc = pb_body_parts(pb_item_body(p->item), &head, &message, err);

	tell(p, arena, env);
	if (!rc) {
		struct pb_run run = { .argv = argv, .env = env, .message = message, .timeout = pb_config_int(p->mta->host, "event_timeout") * PB_SECOND, .output_max = OUTPUT_MAX,
			.changed_max = changed_max };

		pool_enter(&p->mta->pool, pb_config_int(p->mta->host, "event_pool"));
		rc = pb_run(p->mta->host, &run, ran, err);
		pool_leave(&p->mta->pool);
	}
	pb_arena_free(arena);
	return rc;
}

/* The first line that it wrote, on standard output or else on the other, made printable. */
static void first_line(const struct pb_ran *ran, char *out, size_t max)
{
	struct pb_str rest = pb_str_trim(pb_buf_str(ran->output.len ? &ran->output : &ran->errors)), line = PB_NOSTR;
	size_t n;

	pb_str_cut(&rest, '\n', &line);
	line = pb_str_head(pb_str_trim(line), max - 1);
	if (!pb_utf8_valid(line))
		line = PB_NOSTR;
	for (n = 0; n < line.len; n++)
		out[n] = (unsigned char)line.ptr[n] < 32 || line.ptr[n] == 127 ? ' ' : line.ptr[n];
	out[n] = '\0';
}

/* ---- the event ---- */

static bool has_word(const json_t *list, struct pb_str word)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
		if (pb_str_eq(pb_str(json_string_value(one), json_string_length(one)), word))
			return true;
	return json_array_size(list) == 0;
}

static bool is_wanted(struct passage *p, bool before)
{
	struct pb_host *host = p->mta->host;

	return pb_config_str(host, "event_program").len && pb_str_eq(pb_config_str(host, "event_when"), PB_STR("before")) == before &&
	       !json_object_get(pb_item_envelope(p->item)->notes, "event") && has_word(pb_config_json(host, "event_directions"), pb_strz(direction_of(p))) &&
	       has_word(pb_config_json(host, "event_connectors"), connector_of(p->item));
}

static int fail(struct passage *p, const char *why)
{
	struct pb_str policy = pb_config_str(p->mta->host, "event_failure");

	pb_item_note(p->item, "event.failed", "%s", why);
	pb_log(p->mta->host, PB_WARNING, "event.failed", "id=%s program=%s reason=%s", pb_item_id(p->item), pb_logq(pb_config_str(p->mta->host, "event_program")), pb_logq(pb_strz(why)));
	pb_count(p->mta->host, "event_failures", 1);
	if (pb_str_eq(policy, PB_STR("continue")))
		return 0;
	if (pb_str_eq(policy, PB_STR("reject")))
		settle_all(p->item, fail_one, "550 5.3.0 The message cannot be processed here");
	else
		settle_all(p->item, retry_one, "451 4.3.0 The message cannot be processed now");
	return 1;
}

/* A program that writes something else into the file has failed: the message is not lost by that. No message here has a NUL, which IMAP could not send. */
static bool is_message(struct pb_spool *changed)
{
	struct pb_str all, line, name;

	if (pb_spool_view(changed, &all, NULL) || pb_str_find(all, '\0', 0) >= 0 || !pb_str_cut(&all, '\n', &line) || !pb_str_cut(&line, ':', &name) || !line.ptr)
		return false;
	name = pb_str_trim(name);
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] <= ' ' || name.ptr[i] > 126)
			return false;
	return name.len > 0;
}

/* What it said with its end. */
static int obey(struct passage *p, struct pb_ran *ran, struct pb_error *err)
{
	char line[300], text[400];
	int rc = 0;

	first_line(ran, line, sizeof line);
	if (ran->timed_out) {
		snprintf(text, sizeof text, "its time was over after %lld s; it was killed", (long long)pb_config_int(p->mta->host, "event_timeout"));
		return fail(p, text);
	}
	if (ran->code != GO_ON && ran->code != DROP && ran->code != REFUSE) {
		snprintf(text, sizeof text, "it ended with %d: %s", ran->code, line);
		return fail(p, text);
	}
	if (ran->code == GO_ON && ran->changed && !is_message(ran->changed))
		return fail(p, "what it left in the file is no message: it has a NUL or begins with no header field");
	pb_item_note(p->item, "event", "ended with %d%s%s", ran->code, ran->changed ? ", changed the message" : "", ran->code == DROP ? ", dropped it" : "");
	if (ran->code == DROP) {
		settle_all(p->item, pb_dropped, "dropped by the event program");
		return 1;
	}
	if (ran->code == REFUSE) {
		snprintf(text, sizeof text, "550 5.7.1 %s", line[0] ? line : "The message is not taken here");
		settle_all(p->item, fail_one, text);
		return 1;
	}
	if (ran->changed)
		rc = pb_item_set_body(p->item, ran->changed, err);
	ran->changed = NULL;
	if (!rc)
		json_object_set_new(pb_item_envelope(p->item)->notes, "event", json_true());
	return rc;
}

int run_event(struct passage *p, bool before, struct pb_error *err)
{
	struct pb_ran ran = PB_RAN;
	struct pb_error why = { 0 };
	PB_AUTOBUF(program);
	PB_AUTOBUF(connector);
	int rc;

	if (!is_wanted(p, before))
		return 0;
	pb_buf_addstr(&program, pb_config_str(p->mta->host, "event_program"));
	pb_buf_addstr(&connector, connector_of(p->item));
	const char *argv[] = { pb_buf_z(&program), PB_RUN_FILE, pb_buf_z(&connector), pb_item_id(p->item), NULL };
	pb_count(p->mta->host, "events", 1);
	rc = run(p, argv, (uint64_t)pb_config_int(p->mta->host, "event_size_max"), &ran, &why);
	if (rc == PB_ECLOSED)
		pb_fail(err, rc, "%s", why.text);
	else
		rc = rc ? fail(p, why.text) : obey(p, &ran, err);
	pb_ran_free(&ran);
	return rc;
}

/* ---- the action "run NAME ARGUMENT..." ---- */

static bool is_name(struct pb_str name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!pb_is_alnum(name.ptr[i]) && name.ptr[i] != '-' && name.ptr[i] != '_' && (name.ptr[i] != '.' || i == 0))
			return false;
	return name.len > 0;
}

int run_program(struct passage *p, const json_t *action, struct pb_error *err)
{
	struct pb_str rest = pb_text_of(action, "argument"), name = PB_NOSTR, word;
	struct pb_arena *arena = pb_arena_new();
	const char *argv[WORDS_MAX + 1];
	struct pb_ran ran = PB_RAN;
	struct pb_error why = { 0 };
	char line[200];
	size_t n = 0;
	int rc;

	pb_str_word(&rest, &name);
	argv[n++] = pb_arena_printf(arena, "%.*s/%.*s", PB_FMT(pb_config_str(p->mta->host, "programs")), PB_FMT(pb_str_head(name, 200)));
	while (n < WORDS_MAX && pb_str_word(&rest, &word))
		argv[n++] = pb_arena_printf(arena, "%.*s", PB_FMT(word));
	argv[n] = NULL;
	rc = is_name(name) ? run(p, argv, 0, &ran, &why) : pb_fail(&why, PB_EINVALID, "it takes the name of a file in the directory of programs");
	first_line(&ran, line, sizeof line);
	if (rc)
		pb_item_note(p->item, "run.failed", "%s", why.text);
	else if (ran.timed_out)
		pb_item_note(p->item, "run.failed", "its time was over; it was killed");
	else
		pb_item_note(p->item, "run", "%.*s ended with %d: %s", PB_FMT(name), ran.code, line);
	pb_ran_free(&ran);
	pb_arena_free(arena);
	return rc == PB_ECLOSED ? pb_fail(err, rc, "%s", why.text) : 0;
}
