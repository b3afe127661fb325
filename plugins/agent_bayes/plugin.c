/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_bayes: learns what a post office's people call spam, and notes with every message how much it looks like that. */
#include <stdlib.h>
#include <postbus/mailbox.h>
#include <postbus/message.h>
#include "methods.h"

static int load(struct pb_host *host, void **ret_self, struct pb_error *err)
{
	struct bayes *b = pb_alloc(sizeof *b);

	(void)err;
	b->host = host;
	b->least = pb_config_int(host, "least");
	pthread_mutex_init(&b->learning, NULL);
	*ret_self = b;
	return 0;
}

static int start(void *self, struct pb_error *err)
{
	struct bayes *b = self;
	int rc = pb_table_open(b->host, "words", &b->words, err);

	return rc ? rc : pb_table_open(b->host, "learnt", &b->learnt, err);
}

static void unload(void *self)
{
	struct bayes *b = self;

	if (!b)
		return;
	pb_table_close(b->words);
	pb_table_close(b->learnt);
	pthread_mutex_destroy(&b->learning);
	free(b);
}

/* ---- every message ---- */

/* Of the first recipient that belongs to one. */
static bool office_of(struct bayes *b, const struct pb_envelope *env, struct pb_buf *out)
{
	for (size_t i = 0; i < env->nrcpts && i < 20 && !out->len; i++) {
		struct pb_str address = env->rcpts[i]->address;
		json_t *ask = json_pack("{s:s%}", "address", address.ptr, address.len), *route = NULL;

		if (ask && pb_call(b->host, "directory.resolve", ask, &route, NULL) == 0)
			pb_buf_addstr(out, pb_text_of(route, "postoffice"));
		json_decref(ask);
		json_decref(route);
	}
	return out->len > 0;
}

/* Half is nothing; from there a score of up to ten, as other scanners count. Theirs stay: the highest counts (pb_envelope_spam_score). */
static void note(struct bayes *b, struct pb_verdict *v, double p)
{
	pb_verdict_note(v, "bayes", json_integer((json_int_t)(p * 100)));
	pb_verdict_note(v, "spam_score.bayes", json_real(p > 0.5 ? (p - 0.5) * 2 * (double)pb_config_int(b->host, "score") / 10 : 0));
}

static int at_accepted(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	struct bayes *b = self;
	struct pb_str head, bytes, facts;
	PB_AUTOBUF(office);
	double p;
	int rc;

	if (q->envelope->user.len || json_object_get(q->envelope->notes, "bayes") || !office_of(b, q->envelope, &office))
		return 0;	/* our own people send no spam; and once is enough */
	rc = pb_body_parts(q->body, &head, &bytes, err);
	if (!rc)
		rc = pb_body_facts(q->body, &facts, err);
	if (rc)
		return rc;
	rc = judge(b, pb_buf_str(&office), bytes, facts, &p, err);
	if (!rc)
		note(b, v, p);
	return rc == PB_ENOTFOUND ? 0 : rc;	/* it was not tested then, which is not "no spam" (RFC 5235 2.1) */
}

static int at_office_delete(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	(void)v;
	return forget(self, pb_text_of(q->facts, "postoffice"), err);
}

static const struct pb_hook hooks[] = { { "message.accepted", at_accepted }, { "postoffice.delete", at_office_delete }, { 0 } };

/* ---- moves to and from Junk ---- */

static void learn_one(struct bayes *b, struct pb_str office, struct pb_view *view, uint32_t seq, enum learnt as)
{
	struct pb_str head, bytes, facts;
	struct pb_error err = { 0 };
	struct pb_body *body;
	bool fresh;

	if (pb_view_body(view, seq, &body, &err))
		return;
	if (pb_body_parts(body, &head, &bytes, &err) || pb_body_facts(body, &facts, &err) || learn(b, office, bytes, facts, as, &fresh, &err))
		pb_log(b->host, PB_WARNING, "bayes.fault", "error=%s", pb_logq(pb_strz(err.text)));
	pb_body_release(body);
}

static void learn_all(struct bayes *b, struct pb_str office, struct pb_folder *f, const json_t *uids, enum learnt as)
{
	struct pb_view *view;
	const json_t *uid;
	size_t i;

	if (pb_folder_view(f, &view, NULL))
		return;
	json_array_foreach(uids, i, uid) {
		uint32_t seq = pb_view_find(view, (uint32_t)json_integer_value(uid));

		if (seq)
			learn_one(b, office, view, seq, as);
	}
	pb_view_release(view);
}

static void hear_filed(void *self, const char *fact, const json_t *value)
{
	struct bayes *b = self;
	struct pb_str id = pb_text_of(value, "mailbox");
	json_t *ask = json_pack("{s:s%}", "mailbox", id.ptr, id.len), *mailbox = NULL;
	struct pb_mailbox *mb;
	struct pb_folder *f;

	(void)fact;
	if (ask && pb_call(b->host, "directory.mailbox", ask, &mailbox, NULL) == 0 && pb_mailbox_open(b->host, id, &mb, NULL) == 0) {
		if (pb_folder_open(mb, pb_text_of(value, "folder"), &f, NULL) == 0) {
			learn_all(b, pb_text_of(mailbox, "postoffice"), f, json_object_get(value, "uids"), json_is_true(json_object_get(value, "junk")) ? LEARNT_SPAM : LEARNT_HAM);
			pb_folder_close(f);
		}
		pb_mailbox_close(mb);
	}
	json_decref(ask);
	json_decref(mailbox);
}

static const struct pb_listener listeners[] = { { "message.filed", hear_filed }, { 0 } };

static const struct pb_method methods[] = {
	{ "bayes.learn", method_bayes_learn },	 { "bayes.judge", method_bayes_judge },	  { "bayes.show", method_bayes_show },
	{ "bayes.forget", method_bayes_forget }, { "bayes.export", method_bayes_export }, { "bayes.import", method_bayes_import }, { 0 },
};

PB_PLUGIN(agent_bayes) = {
	PB_PLUGIN_HEAD("agent_bayes"),
	.load = load,
	.start = start,
	.unload = unload,
	.hooks = hooks,
	.listeners = listeners,
	.methods = methods,
};
