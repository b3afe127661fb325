/* SPDX-License-Identifier: GPL-3.0-or-later */
/* MAIL and RCPT: the envelope. Only who lives here is accepted; nothing is relayed for anybody. */
#include <stdlib.h>
#include "lmtp.h"

static int begin(struct pb_session *s, const struct mail_args *a)
{
	struct conversation *c = pb_session_data(s);
	PB_AUTOBUF(sender);

	if (a->size > (uint64_t)pb_config_int(pb_session_host(s), "size_max"))
		return say(s, "552 5.3.4 message too big");
	if (a->path.address.len && pb_address_normal(&sender, a->path.address, NULL))
		return fault(s, "501 5.1.7 bad sender address");
	pb_envelope_sender(c->env, pb_buf_str(&sender));
	c->env->eightbit = a->eightbit;
	c->env->smtputf8 = a->smtputf8;
	c->env->ret_headers = a->ret_headers;
	c->env->envid = pb_envelope_copy(c->env, pb_buf_str(&a->envid));
	c->announced = a->size;
	pb_session_set_state(s, MAIL);
	SAY(s, "250 2.1.0 ok");
	return PB_NEXT;
}

int cmd_mail(struct pb_session *s, struct pb_str args)
{
	struct mail_args a;
	const char *reply = mail_args_parse(args, &a);
	int next = reply ? fault(s, reply) : begin(s, &a);

	mail_args_free(&a);
	return next;
}

/* An unknown recipient is no mistake of the MTA in front: it is not counted. */
static int refuse_rcpt(struct pb_session *s, struct pb_str address, const char *line)
{
	struct conversation *c = pb_session_data(s);

	pb_session_log(s, PB_INFO, "rcpt.refused", "sender=%s recipient=%s reply=%s", pb_logq(c->env->sender), pb_logq(address), pb_logq(pb_strz(line)));
	pb_count(pb_session_host(s), "recipients_refused", 1);
	return say(s, line);
}

static int refuse_remote(struct pb_session *s, struct pb_str address)
{
	refuse_rcpt(s, address, "550 5.7.1 not a domain of this server, and nothing is relayed here");
	return PB_EDENIED;
}

/* Does who lives there take mail from this sender, who is known by his reverse-path alone? PB_EDENIED. */
static int ask_restricted(struct pb_session *s, const json_t *route, struct pb_error *err)
{
	struct conversation *c = pb_session_data(s);
	struct pb_str sender = c->env->sender;
	json_t *params, *answer = NULL;
	int rc;

	if (!json_is_true(json_object_get(route, "restricted")))
		return 0;
	params = json_pack("{s:O, s:s%}", "target", json_object_get(route, "target"), "sender", sender.len ? sender.ptr : "", sender.len);
	rc = pb_call(pb_session_host(s), "directory.may_receive", params, &answer, err);
	json_decref(params);
	if (!rc && !json_is_true(json_object_get(answer, "allowed")))
		rc = pb_fail(err, PB_EDENIED, "it does not take mail from this sender");
	json_decref(answer);
	return rc;
}

static int refuse_restricted(struct pb_session *s, struct pb_str address, const json_t *route)
{
	struct pb_error err = { 0 };
	int rc = ask_restricted(s, route, &err);

	if (rc == PB_EDENIED)
		refuse_rcpt(s, address, "550 5.7.1 this recipient does not take mail from you");
	else if (rc)
		say_failure(s, &err);
	return rc;
}

/* Fills target's quota. False: answered. */
static bool resolve(struct pb_session *s, struct pb_str address, struct target *target)
{
	struct pb_error err = { 0 };
	json_t *params = json_object(), *route = NULL;
	const json_t *mailbox;
	int rc;

	json_object_set_new(params, "address", json_stringn(address.ptr, address.len));
	rc = pb_call(pb_session_host(s), "directory.resolve", params, &route, &err);
	json_decref(params);
	if (rc == PB_ENOTFOUND)
		refuse_rcpt(s, address, "550 5.1.1 no such user here");
	else if (rc == PB_EDENIED)
		refuse_rcpt(s, address, "550 5.2.1 mailbox is disabled");
	else if (rc == PB_EINVALID)
		refuse_rcpt(s, address, "553 5.1.3 bad recipient address");
	else if (rc)
		say_failure(s, &err);
	else if (!json_is_true(json_object_get(route, "local")))
		rc = refuse_remote(s, address);
	else
		rc = refuse_restricted(s, address, route);
	mailbox = json_object_get(route, "mailbox");
	if (!rc && mailbox)
		quota_read(s, pb_strz(json_string_value(mailbox)), target);
	json_decref(route);
	return rc == 0;
}

static size_t find_or_add(struct pb_envelope *env, struct pb_str address, const struct rcpt_args *a)
{
	struct pb_rcpt *to;

	for (size_t i = 0; i < env->nrcpts; i++)
		if (pb_str_eq(env->rcpts[i]->address, address))
			return i;
	to = pb_envelope_rcpt(env, address);
	to->notify = a->notify;
	to->orcpt = pb_envelope_copy(env, pb_buf_str(&a->orcpt));
	return env->nrcpts - 1;
}

static int add(struct pb_session *s, const struct rcpt_args *a)
{
	struct conversation *c = pb_session_data(s);
	struct pb_error err = { 0 };
	struct target target = { 0 };
	PB_AUTOBUF(said);
	PB_AUTOBUF(normal);

	pb_buf_addstr(&said, a->path.address);
	if (!a->path.domain.len)	/* RFC 5321 4.5.1: <postmaster> is always somebody */
		pb_buf_addf(&said, "@%.*s", PB_FMT(pb_hostname(pb_session_host(s))));
	if (pb_address_normal(&normal, pb_buf_str(&said), &err))
		return fault(s, "501 5.1.3 bad recipient address");
	if (!resolve(s, pb_buf_str(&normal), &target))
		return PB_NEXT;
	if (quota_is_full(s, &target, c->announced ? c->announced : 1))
		return refuse_rcpt(s, pb_buf_str(&normal), "552 5.2.2 mailbox is full");
	target.rcpt = find_or_add(c->env, pb_buf_str(&normal), a);
	while (target.first < c->ntargets && c->targets[target.first].rcpt != target.rcpt)
		target.first++;
	c->targets[c->ntargets++] = target;
	SAY(s, "250 2.1.5 ok");
	return PB_NEXT;
}

int cmd_rcpt(struct pb_session *s, struct pb_str args)
{
	struct conversation *c = pb_session_data(s);
	size_t max = (size_t)pb_config_int(pb_session_host(s), "recipients_max");
	struct rcpt_args a;
	const char *reply;
	int next;

	if (c->ntargets >= max)
		return say(s, "452 4.5.3 too many recipients");
	if (!(c->ntargets & (c->ntargets - 1)) || !c->targets)
		c->targets = pb_realloc(c->targets, (c->ntargets ? 2 * c->ntargets : 1) * sizeof *c->targets);
	reply = rcpt_args_parse(args, c->env->smtputf8, &a);
	next = reply ? fault(s, reply) : add(s, &a);
	rcpt_args_free(&a);
	return next;
}
