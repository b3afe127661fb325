/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Hook points of a conversation: smtp.connect, smtp.helo, smtp.mail, smtp.rcpt, smtp.data. Makes the question, answers what was decided;
 * what plugins want to know further (the body) they find later, at message.accepted.
 */
#include <stdio.h>
#include "smtp.h"

static void add(json_t *facts, const char *key, struct pb_str value)
{
	json_t *text;

	if (!value.len)
		return;
	text = json_stringn(value.ptr, value.len);
	/* Not UTF-8: a name that no plugin can use. */
	json_object_set_new(facts, key, text ? text : json_string("?"));
}

static json_t *facts_of(struct pb_session *s, struct conversation *c, struct pb_str recipient)
{
	const struct pb_user *user = pb_session_user(s);
	json_t *facts = json_object();

	json_object_set_new(facts, "listener", json_string(pb_session_listener(s)));
	add(facts, "client", pb_session_peer(s));
	json_object_set_new(facts, "port", json_integer(pb_session_peer_port(s)));
	add(facts, "tls", pb_session_tls_info(s));
	add(facts, "helo", pb_strz(c->helo));
	if (user)
		add(facts, "user", user->address);
	json_object_set_new(facts, "relay", json_boolean(c->relay));
	if (pb_session_state(s) & (MAIL | CHUNKS))
		add(facts, "sender", c->env->sender);
	add(facts, "recipient", recipient);
	return facts;
}

/* Text of a plugin is put on the wire: one line, no control bytes. */
static void answer(struct pb_session *s, const struct pb_verdict *v)
{
	bool reject = v->decision == PB_REJECT;
	int code = reject ? (v->code >= 500 && v->code < 600 ? v->code : 550) : (v->code >= 400 && v->code < 500 ? v->code : 451);
	char line[300];

	snprintf(line, sizeof line, "%d %s %s", code, v->enhanced[0] ? v->enhanced : reject ? "5.7.1" : "4.7.1", v->text[0] ? v->text : reject ? "refused" : "try again later");
	for (char *p = line; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = ' ';
	say(s, line);
}

static void gather(struct pb_session *s, struct conversation *c, struct pb_verdict *v)
{
	bool early = pb_session_state(s) & (CONNECTED | GREETED);
	json_t *notes = early ? c->notes : c->env->notes;

	if (early && !notes)
		notes = c->notes = json_object();
	if (v->notes)
		json_object_update(notes, v->notes);
	if (v->decision == PB_QUARANTINE)
		json_object_set_new(notes, "quarantine", json_pack("{s:s, s:s}", "plugin", v->plugin, "text", v->text));
	if (v->headers) {
		json_t **to = early ? &c->early_headers : &c->headers;

		if (!*to)
			*to = json_array();
		json_array_extend(*to, v->headers);
	}
	c->discard |= v->decision == PB_DISCARD;
}

bool ask(struct pb_session *s, const char *point, struct pb_str id, struct pb_str recipient, int *ret_next)
{
	struct conversation *c = pb_session_data(s);
	struct pb_verdict v = PB_VERDICT;
	bool go_on = true;
	json_t *facts;

	if (!pb_is_hooked(pb_session_host(s), point))
		return true;
	facts = facts_of(s, c, recipient);
	pb_ask(pb_session_host(s), &(struct pb_question){ .point = point, .id = id, .facts = facts, .envelope = c->env }, &v);
	json_decref(facts);
	if (v.decision == PB_REJECT || v.decision == PB_DEFER) {
		pb_session_log(s, PB_INFO, "smtp.verdict", "point=%s by=%s decision=%s text=%s", point, v.plugin, v.decision == PB_REJECT ? "reject" : "defer",
			       pb_logq(pb_strz(v.text)));
		answer(s, &v);
		*ret_next = v.code == 421 || v.code == 521 ? PB_CLOSE : PB_NEXT;
		go_on = false;
	} else {
		gather(s, c, &v);
	}
	pb_verdict_clear(&v);
	return go_on;
}
