/* SPDX-License-Identifier: Apache-2.0 */
/* Envelopes: one owner of all their strings. Leaves syntax to address.c and durability to the queue. */
#include <stdlib.h>
#include <string.h>
#include <postbus/address.h>
#include <postbus/queue.h>

/* What is read is the first member; strings live in the arena, the pointers to recipients in a growing array. */
struct envelope {
	struct pb_envelope pub;
	struct pb_arena *arena;
	size_t cap;
};

static struct envelope *inside(struct pb_envelope *env)
{
	return (struct envelope *)(void *)env;
}

struct pb_envelope *pb_envelope_new(void)
{
	struct envelope *e = pb_alloc(sizeof *e);

	e->arena = pb_arena_new();
	e->pub.notes = json_object();
	return &e->pub;
}

void pb_envelope_free(struct pb_envelope *env)
{
	if (!env)
		return;
	json_decref(env->notes);
	pb_arena_free(inside(env)->arena);
	free(env->rcpts);
	free(env);
}

/* A new arena first: what is kept has to be copied out of the old one before that is freed. */
void pb_envelope_reset(struct pb_envelope *env)
{
	struct pb_arena *old = inside(env)->arena, *arena = pb_arena_new();
	struct pb_envelope kept = {
		.client = pb_arena_str(arena, env->client),
		.helo = pb_arena_str(arena, env->helo),
		.user = pb_arena_str(arena, env->user),
		.mailbox = pb_arena_str(arena, env->mailbox),
		.rcpts = env->rcpts,
		.notes = env->notes,
	};

	json_object_clear(kept.notes);
	*env = kept;
	inside(env)->arena = arena;
	pb_arena_free(old);
}

struct pb_str pb_envelope_copy(struct pb_envelope *env, struct pb_str s)
{
	return s.len ? pb_arena_str(inside(env)->arena, s) : PB_NOSTR;
}

void pb_envelope_sender(struct pb_envelope *env, struct pb_str address)
{
	env->sender = pb_envelope_copy(env, address);
}

struct pb_rcpt *pb_envelope_rcpt(struct pb_envelope *env, struct pb_str address)
{
	struct envelope *e = inside(env);
	struct pb_rcpt *to = pb_arena_alloc(e->arena, sizeof *to);

	if (env->nrcpts == e->cap) {
		e->cap = e->cap ? e->cap * 2 : 4;
		env->rcpts = pb_realloc(env->rcpts, e->cap * sizeof *env->rcpts);
	}
	to->address = pb_envelope_copy(env, address);
	env->rcpts[env->nrcpts++] = to;
	return to;
}

struct pb_envelope *pb_envelope_dup(const struct pb_envelope *env, bool with_rcpts)
{
	struct pb_envelope *copy = pb_envelope_new();
	struct pb_envelope fields = *env;

	fields.rcpts = copy->rcpts;
	fields.nrcpts = 0;
	json_object_update(copy->notes, env->notes);
	fields.notes = copy->notes;
	*copy = fields;
	copy->sender = pb_envelope_copy(copy, env->sender);
	copy->envid = pb_envelope_copy(copy, env->envid);
	copy->client = pb_envelope_copy(copy, env->client);
	copy->helo = pb_envelope_copy(copy, env->helo);
	copy->user = pb_envelope_copy(copy, env->user);
	copy->mailbox = pb_envelope_copy(copy, env->mailbox);
	for (size_t i = 0; with_rcpts && i < env->nrcpts; i++) {
		struct pb_rcpt *to = pb_envelope_rcpt(copy, env->rcpts[i]->address);

		to->orcpt = pb_envelope_copy(copy, env->rcpts[i]->orcpt);
		to->notify = env->rcpts[i]->notify;
		to->target = pb_envelope_copy(copy, env->rcpts[i]->target);
	}
	return copy;
}

void pb_envelope_sender_for(const struct pb_envelope *env, const struct pb_rcpt *rcpt, struct pb_buf *out)
{
	if (!env->sender.len || !json_is_true(json_object_get(env->notes, "verp")) || pb_verp_make(out, env->sender, rcpt->address, NULL))
		pb_buf_addstr(out, env->sender);
}

bool pb_envelope_spam_score(const struct pb_envelope *env, double *ret)
{
	const char *name;
	json_t *note;
	bool any = false;

	json_object_foreach (env->notes, name, note) {
		if (!json_is_number(note) || (strcmp(name, "spam_score") && strncmp(name, "spam_score.", 11)))
			continue;
		if (!any || json_number_value(note) > *ret)
			*ret = json_number_value(note);
		any = true;
	}
	return any;
}
