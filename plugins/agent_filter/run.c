/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * filter.run: the scripts of a scope, one after the other, on the message that the call is about. Each sees what the one before made of it; one runs only if
 * the one before kept the message. What they want done comes back as a list; whoever asked does it. filter.test, for a message that is given, is cmd_test.c's.
 */
#include <postbus/message.h>
#include "run.h"

/* ---- one script ---- */

static void trace_test(void *arg, unsigned line, const char *what, struct pb_str saw, bool outcome)
{
	struct run *r = arg;
	const char *rule = r->rules ? rules_at(r->rules, line) : NULL;
	json_t *entry;

	if (json_array_size(r->trace) >= 1000)
		return;
	entry = json_pack("{s:i, s:s, s:o, s:b}", "line", (int)line, "test", what, "saw", json_text(pb_str_head(saw, 200)), "outcome", outcome);
	if (rule)
		json_object_set_new(entry, "rule", json_string(rule));
	json_array_append_new(r->trace, entry);
}

static bool takes_its_place(const struct sieve_action *a)
{
	return a->kind == SIEVE_POSTBUS && (pb_str_eq(a->name, PB_STR("quarantine")) || pb_str_eq(a->name, PB_STR("public_folder")));
}

/* Which actions are done with the message itself? */
static bool has_message(const struct sieve_action *a)
{
	return a->kind == SIEVE_KEEP || a->kind == SIEVE_FILEINTO || a->kind == SIEVE_REDIRECT || a->kind == SIEVE_POSTBUS;
}

/* RFC 5293 6: what is stored or sent is the message as it was at that moment. numbers: those that versions of the result have in the answer, 0 not yet. */
static int write_version(struct run *r, struct outcome *o, const struct sieve_result *result, unsigned version, unsigned *numbers, struct pb_error *err)
{
	PB_AUTOBUF(bytes);
	struct pb_spool *spool;

	if (numbers[version])
		return 0;
	if (o->nversions == PB_VERSIONS_MAX)
		return pb_fail(err, PB_ETOOBIG, "the scripts make more than %d different messages of one", PB_VERSIONS_MAX);
	spool = pb_spool_begin(r->f->host, 0, err);
	if (!spool)
		return err->code;
	sieve_result_message(result, version, &bytes);
	pb_spool_write(spool, bytes.ptr, bytes.len);
	if (pb_spool_check(spool, err)) {
		pb_spool_discard(spool);
		return err->code;
	}
	o->versions[o->nversions++] = spool;
	numbers[version] = o->nversions;
	return 0;
}

static int write_versions(struct run *r, struct outcome *o, const struct sieve_result *result, unsigned *numbers, struct pb_error *err)
{
	int rc = 0;

	for (size_t i = 0; i < result->nactions && !rc; i++)
		if (result->actions[i].version && has_message(&result->actions[i]))
			rc = write_version(r, o, result, result->actions[i].version, numbers, err);
	if (!rc && result->implicit_keep && result->keep.version)
		rc = write_version(r, o, result, result->keep.version, numbers, err);
	return rc;
}

/* A report of this server is about what somebody sent who may hear of it in no other way, and it has the subject and the text that a script refuses. */
static bool is_spared(const struct run *r, const struct sieve_action *a)
{
	return (a->kind == SIEVE_REJECT || a->kind == SIEVE_EREJECT) && r->about->envelope && json_is_true(json_object_get(r->about->envelope->notes, "report"));
}

static void take_actions(struct run *r, struct outcome *o, const struct sieve_result *result, const unsigned *numbers)
{
	bool spared = false;
	const struct sieve_action *kept = result->implicit_keep ? &result->keep : NULL;

	for (size_t i = 0; i < result->nactions; i++) {
		const struct sieve_action *a = &result->actions[i];

		o->held |= takes_its_place(a);
		if (a->kind == SIEVE_KEEP)
			kept = a;
		else if (is_spared(r, a))
			spared = true;
		else
			json_array_append_new(o->actions, action_json(a, has_message(a) ? numbers[a->version] : 0, r->owner, pb_now(r->f->host)));
	}
	o->keep = kept || spared;
	if (kept)
		o->version = numbers[kept->version];
	if (kept && kept->has_flags) {
		json_decref(o->flags);
		o->flags = json_array();
		for (size_t i = 0; i < kept->nflags; i++)
			json_array_append_new(o->flags, json_text(kept->flags[i]));
	}
}

/* The script behind sees the message that this one kept. */
static int finish_one(struct run *r, const struct sieve_result *result, struct sieve_message *m, struct outcome *o, struct pb_error *err)
{
	unsigned numbers[SIEVE_VERSIONS_MAX + 1] = { o->version }, was = o->version;
	int rc = write_versions(r, o, result, numbers, err);

	if (rc)
		return rc;
	take_actions(r, o, result, numbers);
	o->edited |= result->edited;
	if (!r->trace)
		seen_remember(r, result->seen, result->nseen);
	if (o->version != was) {
		rc = pb_spool_view(o->versions[o->version - 1], &m->bytes, err);
		m->facts = PB_NOSTR;
	}
	return rc;
}

static void take_fault(struct run *r, struct outcome *o, const char *fault)
{
	snprintf(o->fault, sizeof o->fault, "%s", fault);
	notice_fault(r, fault);
}

static int run_one(struct run *r, const struct sieve_program *p, struct sieve_message *m, struct outcome *o, struct pb_error *err)
{
	struct sieve_world world;
	struct sieve_result result;
	char fault[300];
	int rc = 0;

	world_of(&world, r);
	if (r->trace)
		world.trace = trace_test;
	o->ran = true;
	if (sieve_run(p, m, &world, &r->f->limits, &result)) {
		snprintf(fault, sizeof fault, "line %u: %s", result.problem.line, result.problem.text);
		take_fault(r, o, fault);
	} else {
		rc = finish_one(r, &result, m, o, err);
		if (rc == PB_ETOOBIG) {
			take_fault(r, o, err->text);
			rc = 0;
		}
	}
	sieve_result_free(&result);
	return rc;
}

/* The store cannot be asked: the message goes on without this owner's filters, or is tried later, as the caller thinks right. */
static int run_owner(struct run *r, struct pb_str owner, struct sieve_message *m, struct outcome *o, struct pb_error *err)
{
	struct compiled *c;
	int rc;

	if (!o->keep || o->held)
		return 0;
	r->owner = owner;
	rc = programs_get(r->f, owner, &c, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < c->n && o->keep && !o->held && !rc; i++) {
		if (r->trace && i == 0 && c->rules && rules_read(r->f, owner, &r->rules, NULL))
			r->rules = NULL;
		rc = run_one(r, c->list[i], m, o, err);
		json_decref(r->rules);
		r->rules = NULL;
	}
	if (c->broken && !rc) {
		o->ran = true;
		take_fault(r, o, c->fault);
	}
	compiled_release(c);
	return rc;
}

static bool is_event(const struct run *r)
{
	return pb_str_eq(pb_text_of(r->params, "scope"), PB_STR("imap"));
}

/* RFC 6785 3.7 to 3.9: on a message that has been in a mailbox there is nobody to answer or refuse, and what it says stays. */
static void check_event(struct run *r, struct outcome *o)
{
	const json_t *a;
	size_t i;

	if (o->edited)
		snprintf(o->fault, sizeof o->fault, "an IMAP event cannot change what a message says");
	json_array_foreach(o->actions, i, a) {
		const char *name = json_string_value(json_object_get(a, "do"));

		if (!strcmp(name, "reject") || !strcmp(name, "ereject") || !strcmp(name, "vacation"))
			snprintf(o->fault, sizeof o->fault, "'%s' is nothing that an IMAP event can do", name);
	}
	if (!o->fault[0])
		return;
	json_array_clear(o->actions);
	json_decref(o->flags);
	o->flags = NULL;
	o->keep = true;
	o->version = 0;
	notice_fault(r, o->fault);
}

/* The script that belongs to a folder, by its name. */
static int run_event(struct run *r, struct sieve_message *m, struct outcome *o, struct pb_error *err)
{
	struct compiled *c;
	struct owner owner;
	int rc = owner_mailbox(&owner, r->mailbox, err);

	if (rc)
		return rc;
	r->owner = owner_str(&owner);
	rc = programs_named(r->f, r->owner, pb_text_of(r->params, "script"), &c, err);
	if (rc)
		return rc;
	if (c->broken) {
		o->ran = true;
		take_fault(r, o, c->fault);
	} else if (c->n) {
		rc = run_one(r, c->list[0], m, o, err);
		if (!rc && !o->fault[0])
			check_event(r, o);
	}
	compiled_release(c);
	return rc;
}

static int run_scope(struct run *r, struct sieve_message *m, struct outcome *o, struct pb_error *err)
{
	struct owner owner;
	int rc = 0;

	if (pb_str_eq(pb_text_of(r->params, "scope"), PB_STR("global"))) {
		owner_global(&owner);
		return run_owner(r, owner_str(&owner), m, o, err);
	}
	if (is_event(r))
		return run_event(r, m, o, err);
	if (r->postoffice.len) {
		rc = owner_office(&owner, r->postoffice, err);
		if (!rc)
			rc = run_owner(r, owner_str(&owner), m, o, err);
	}
	if (!rc && r->mailbox.len) {
		rc = owner_mailbox(&owner, r->mailbox, err);
		if (!rc)
			rc = run_owner(r, owner_str(&owner), m, o, err);
	}
	return rc;
}

int run_script(struct run *r, struct pb_str owner, struct pb_str script, struct sieve_message *m, struct outcome *o, struct pb_error *err)
{
	struct sieve_program *p;
	int rc;

	if (!script.len)
		return owner.ptr[0] == 'g' ? run_owner(r, owner, m, o, err) : run_scope(r, m, o, err);
	r->owner = owner;
	rc = script_compile(r->f, owner, script, &p, err);
	if (rc)
		return rc;
	rc = run_one(r, p, m, o, err);
	sieve_program_free(p);
	return rc;
}

/* ---- the result ---- */

json_t *outcome_json(struct outcome *o)
{
	json_t *ret = json_pack("{s:b, s:b, s:b, s:O}", "ran", o->ran, "keep", o->keep, "changed", o->version != 0, "actions", o->actions);

	if (o->version)
		json_object_set_new(ret, "version", json_integer(o->version));
	if (o->flags)
		json_object_set(ret, "flags", o->flags);
	if (o->fault[0])
		json_object_set_new(ret, "fault", json_text(pb_strz(o->fault)));
	return ret;
}

void outcome_free(struct outcome *o)
{
	json_decref(o->actions);
	json_decref(o->flags);
	while (o->nversions)
		pb_spool_discard(o->versions[--o->nversions]);
}

static void give_versions(struct outcome *o, struct pb_subject *about)
{
	memcpy(about->versions, o->versions, o->nversions * sizeof *o->versions);
	about->nversions = o->nversions;
	o->nversions = 0;
}

/* ---- filter.run ---- */

/* The script is in the call itself, and a post office answers for it. */
static bool is_text(const struct run *r)
{
	return pb_str_eq(pb_text_of(r->params, "scope"), PB_STR("text"));
}

/* With nothing to run the answer is at hand. */
static bool has_programs(struct filter *f, struct pb_str owner, bool *ret_more)
{
	struct compiled *c;

	if (programs_get(f, owner, &c, NULL))
		return true;	/* the error is told where it runs */
	*ret_more = c->n || c->broken;
	compiled_release(c);
	return *ret_more;
}

static bool is_idle(struct run *r)
{
	struct owner owner;
	bool more = false;

	if (pb_str_eq(pb_text_of(r->params, "scope"), PB_STR("global")))
		return !has_programs(r->f, PB_STR("g"), &more);
	if (is_text(r))
		return false;
	if (is_event(r))
		return !r->mailbox.len || !pb_text_of(r->params, "script").len;
	if (r->postoffice.len && owner_office(&owner, r->postoffice, NULL) == 0 && has_programs(r->f, owner_str(&owner), &more))
		return false;
	return !r->mailbox.len || owner_mailbox(&owner, r->mailbox, NULL) || !has_programs(r->f, owner_str(&owner), &more);
}

struct sieve_message run_message(struct run *r, struct pb_str bytes, struct pb_arena **arena)
{
	const struct pb_envelope *env = r->about->envelope;
	struct sieve_message m = { .bytes = bytes, .facts = r->facts, .from = env->sender, .to = r->recipient, .auth = env->user };
	const json_t *flags = json_object_get(r->params, "flags"), *one;
	struct pb_str *more;
	size_t at;

	*arena = pb_arena_new();
	m.flags = more = pb_arena_alloc(*arena, (json_array_size(flags) + 1) * sizeof *more);
	json_array_foreach(flags, at, one)
		more[m.nflags++] = pb_str(json_string_value(one), json_string_length(one));
	if (r->recipient.len || !env->nrcpts)
		return m;
	m.to = env->rcpts[0]->address;
	m.nmore_to = env->nrcpts - 1;
	m.more_to = more = pb_arena_alloc(*arena, env->nrcpts * sizeof *more);
	for (size_t i = 0; i < m.nmore_to; i++)
		more[i] = env->rcpts[i + 1]->address;
	return m;
}

void run_params(struct run *r, const json_t *params)
{
	r->params = params;
	r->mailbox = pb_text_of(params, "mailbox");
	r->postoffice = pb_text_of(params, "postoffice");
	r->recipient = pb_text_of(params, "recipient");
}

METHOD(filter_run)
{
	struct filter *f = self;
	struct pb_subject *about = pb_subject(f->host);
	struct run r = { .f = f, .about = about };
	struct outcome o = { .keep = true };
	struct pb_str head, bytes;
	struct sieve_message m;
	struct pb_arena *arena = NULL;
	struct owner owner;
	int rc;

	if (!about || !about->body || !about->envelope)
		return pb_fail(err, PB_EINVALID, "filter.run is a call about a message");
	run_params(&r, params);
	if (is_text(&r) && owner_office(&owner, r.postoffice, err))
		return pb_because(err, "filter.run");
	if (is_idle(&r)) {
		*ret_result = json_incref(f->nothing);
		return 0;
	}
	rc = pb_body_parts(about->body, &head, &bytes, err);
	if (!rc)
		rc = pb_body_facts(about->body, &r.facts, err);
	if (rc)
		return rc;
	r.header = pb_str_head(bytes, pb_header_size(bytes));
	o.actions = json_array();
	m = run_message(&r, bytes, &arena);
	rc = is_text(&r) ? run_script(&r, owner_str(&owner), pb_text_of(params, "text"), &m, &o, err) : run_scope(&r, &m, &o, err);
	if (!rc) {
		*ret_result = outcome_json(&o);
		give_versions(&o, about);
	}
	run_end(&r);
	outcome_free(&o);
	pb_arena_free(arena);
	pb_count(f->host, "runs", 1);
	return rc;
}
