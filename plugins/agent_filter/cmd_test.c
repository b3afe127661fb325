/* SPDX-License-Identifier: GPL-3.0-or-later */
/* filter.test: what filter.run (run.c) would do with a message that is given, with each test that was made on the way. Nothing of it is remembered or done. */
#include <postbus/message.h>
#include "run.h"

/* Mailbox and post office of an owner; *ret_found holds their names. */
static int take_owner(struct run *r, struct pb_str owner, json_t **ret_found, struct pb_error *err)
{
	struct pb_str id = pb_str_skip(owner, 2);
	json_t *ask;
	int rc;

	r->mailbox = r->postoffice = PB_NOSTR;
	if (owner.ptr[0] == 'p')
		r->postoffice = id;
	if (owner.ptr[0] != 'm')
		return 0;
	ask = json_pack("{s:s%}", "mailbox", id.ptr, id.len);
	rc = pb_call(r->f->host, "directory.mailbox", ask, ret_found, err);
	json_decref(ask);
	r->mailbox = id;
	r->postoffice = pb_text_of(*ret_found, "postoffice");
	return rc;
}

static void take_envelope(struct run *r, struct pb_envelope *env, const json_t *params)
{
	pb_envelope_sender(env, pb_text_of(params, "from"));
	pb_envelope_rcpt(env, r->recipient);
	env->client = pb_envelope_copy(env, pb_text_of(params, "client"));
	if (json_object_get(params, "notes"))
		json_object_update(env->notes, json_object_get(params, "notes"));
}

/* What the message is where it is kept, and what actions did with another that they name. */
static void show_versions(const struct outcome *o, json_t *result)
{
	json_t *all = json_array();
	struct pb_str bytes;

	for (unsigned i = 0; i < o->nversions; i++) {
		if (pb_spool_view(o->versions[i], &bytes, NULL))
			bytes = PB_NOSTR;
		json_array_append_new(all, json_text(bytes));
	}
	if (o->version)
		json_object_set(result, "message", json_array_get(all, o->version - 1));
	if (o->nversions)
		json_object_set(result, "versions", all);
	json_decref(all);
}

METHOD(filter_test)
{
	struct filter *f = self;
	struct pb_envelope *env = pb_envelope_new();
	struct pb_subject about = { .id = PB_STR("try"), .envelope = env };
	struct run r = { .f = f, .about = &about };
	struct outcome o = { .keep = true };
	PB_AUTOBUF(bytes);
	PB_AUTOBUF(facts);
	struct sieve_message m;
	struct pb_arena *arena = NULL;
	json_t *found = NULL;
	struct owner owner;
	int rc = owner_of(f, who, params, &owner, err);

	if (!rc && pb_base64_decode(&bytes, pb_text_of(params, "message")))
		rc = pb_fail(err, PB_EINVALID, "the message is not base64");
	if (!rc) {
		run_params(&r, params);
		rc = take_owner(&r, owner_str(&owner), &found, err);
	}
	if (!rc) {
		take_envelope(&r, env, params);
		pb_facts_make(pb_buf_str(&bytes), &facts);
		r.facts = pb_buf_str(&facts);
		r.header = pb_str_head(pb_buf_str(&bytes), pb_header_size(pb_buf_str(&bytes)));
		r.trace = json_array();
		o.actions = json_array();
		m = run_message(&r, pb_buf_str(&bytes), &arena);
		rc = run_script(&r, owner_str(&owner), pb_text_of(params, "script"), &m, &o, err);
	}
	if (!rc) {
		*ret_result = outcome_json(&o);
		json_object_set(*ret_result, "tests", r.trace);
		show_versions(&o, *ret_result);
	}
	json_decref(r.trace);
	json_decref(found);
	run_end(&r);
	outcome_free(&o);
	pb_envelope_free(env);
	pb_arena_free(arena);
	return rc;
}
