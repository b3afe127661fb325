/* SPDX-License-Identifier: GPL-3.0-or-later */
/* RCPT: every recipient is looked up before it is accepted. Nothing is relayed for strangers. */
#include "smtp.h"

/* The recipient is refused, but the transaction goes on; who only guesses addresses is cut off. */
static int refuse_rcpt(struct pb_session *s, struct pb_str address, const char *line)
{
	struct conversation *c = pb_session_data(s);

	pb_session_log(s, PB_INFO, "rcpt.refused", "sender=%s recipient=%s reply=%s", pb_logq(c->env->sender), pb_logq(address), pb_logq(pb_strz(line)));
	pb_count(pb_session_host(s), "recipients_refused", 1);
	if (++c->refusals <= c->set->refusals_max || pb_session_user(s))
		return say(s, line);
	SAY(s, "421 4.7.0 too many refused recipients, closing");
	return PB_CLOSE;
}

/* Does the directory know it, and may this client send there? False: answered. */
static bool resolve(struct pb_session *s, struct pb_str address, int *ret_next)
{
	struct conversation *c = pb_session_data(s);
	struct pb_error err = { 0 };
	json_t *params = json_object(), *route = NULL;
	bool local, taken = true, asked = true;
	int rc;

	json_object_set_new(params, "address", json_stringn(address.ptr, address.len));
	rc = pb_call(pb_session_host(s), "directory.resolve", params, &route, &err);
	json_decref(params);
	local = rc == 0 && json_is_true(json_object_get(route, "local"));
	if (rc == 0)
		asked = is_taken_from(s, route, &taken, ret_next);
	json_decref(route);
	if (!asked)
		return false;
	if (rc == PB_ENOTFOUND)
		*ret_next = refuse_rcpt(s, address, "550 5.1.1 no such user here");
	else if (rc == PB_EDENIED)
		*ret_next = refuse_rcpt(s, address, "550 5.2.1 mailbox is disabled");
	else if (rc == PB_EINVALID)
		*ret_next = refuse_rcpt(s, address, "553 5.1.3 bad recipient address");
	else if (rc)
		*ret_next = say_failure(s, &err);
	else if (!local && !pb_session_user(s) && !c->relay)
		*ret_next = refuse_rcpt(s, address, "554 5.7.1 relay access denied");
	else if (!taken)
		*ret_next = refuse_rcpt(s, address, "550 5.7.1 this recipient does not take mail from you");
	else
		return allowed_rcpt(s, address, local, ret_next);
	return false;
}

static bool has_rcpt(const struct pb_envelope *env, struct pb_str address)
{
	for (size_t i = 0; i < env->nrcpts; i++)
		if (pb_str_eq(env->rcpts[i]->address, address))
			return true;
	return false;
}

static int add(struct pb_session *s, const struct rcpt_args *a)
{
	struct conversation *c = pb_session_data(s);
	/* RFC 5321 4.5.1: <postmaster> is always somebody. */
	struct pb_str said = a->path.domain.len ? a->path.address : pb_strz(c->set->postmaster), address;
	struct pb_rcpt *to;
	PB_AUTOBUF(normal);
	int next;

	if (pb_address_normal(&normal, said, NULL))
		return fault(s, "501 5.1.3 bad recipient address");
	address = pb_buf_str(&normal);
	if (!resolve(s, address, &next) || !ask(s, "smtp.rcpt", PB_NOSTR, address, &next))
		return next;
	if (!has_rcpt(c->env, address)) {
		to = pb_envelope_rcpt(c->env, address);
		to->notify = a->notify;
		to->orcpt = pb_envelope_copy(c->env, pb_buf_str(&a->orcpt));
	}
	SAY(s, "250 2.1.5 ok");
	return PB_NEXT;
}

/* An honest client sends the rest in its next transaction (RFC 5321 4.5.3.1.10); one that never stops is cut off. */
static int too_many(struct pb_session *s)
{
	struct conversation *c = pb_session_data(s);

	if (++c->refusals <= c->set->refusals_max + c->set->recipients_max)
		return say(s, "452 4.5.3 too many recipients");
	SAY(s, "421 4.7.0 too many refused recipients, closing");
	return PB_CLOSE;
}

int cmd_rcpt(struct pb_session *s, struct pb_str args)
{
	struct conversation *c = pb_session_data(s);
	struct rcpt_args a;
	const char *reply;
	int next;

	if (c->env->nrcpts >= c->set->recipients_max)
		return too_many(s);
	reply = rcpt_args_parse(args, c->env->smtputf8, &a);
	next = reply ? fault(s, reply) : add(s, &a);
	rcpt_args_free(&a);
	return next;
}
