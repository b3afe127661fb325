/* SPDX-License-Identifier: GPL-3.0-or-later */
/* MAIL: who sends, and whether he may. Also the reset that ends every transaction. */
#include "smtp.h"

void transaction_reset(struct pb_session *s)
{
	struct conversation *c = pb_session_data(s);

	pb_spool_discard(c->spool);
	c->spool = NULL;
	c->chunk_error = 0;
	json_decref(c->headers);
	c->headers = NULL;
	json_decref(c->policy);
	c->policy = NULL;
	c->discard = false;
	pb_envelope_reset(c->env);
	if (pb_session_state(s) & (MAIL | CHUNKS))
		pb_session_set_state(s, GREETED);
}

/* True: the sender belongs to the login, or the reply was given. */
static bool may_send(struct pb_session *s, struct pb_str sender, int *ret_next)
{
	struct pb_error err = { 0 };
	int rc = belongs_to_login(s, sender, &err);

	if (!rc)
		return true;
	if (rc != PB_EDENIED) {
		*ret_next = say_failure(s, &err);
		return false;
	}
	pb_session_log(s, PB_INFO, "sender.refused", "sender=%s", pb_logq(sender));
	*ret_next = fault(s, "553 5.7.1 this sender address does not belong to your login");
	return false;
}

/* What the session has to be before a transaction may begin. */
static bool may_begin(struct pb_session *s, int *ret_next)
{
	struct conversation *c = pb_session_data(s);

	if (c->submission && !pb_session_user(s)) {
		*ret_next = fault(s, pb_session_is_tls(s) ? "530 5.7.0 authentication required" : "530 5.7.0 say STARTTLS and AUTH first");
		return false;
	}
	if (c->messages >= c->set->messages_max) {
		SAY(s, "421 4.7.0 too many messages in one session, connect again");
		*ret_next = PB_CLOSE;
		return false;
	}
	return true;
}

static int begin(struct pb_session *s, const struct mail_args *a)
{
	struct conversation *c = pb_session_data(s);
	struct pb_error err = { 0 };
	PB_AUTOBUF(sender);
	int next;

	if (a->size > c->set->size_max)
		return fault(s, "552 5.3.4 message too big");
	if (a->path.address.len && pb_address_normal(&sender, a->path.address, &err))
		return fault(s, "501 5.1.7 bad sender address");
	if (!allowed_mail(s, a->size, &next))
		return next;
	if (pb_session_user(s) && sender.len && !may_send(s, pb_buf_str(&sender), &next))
		return next;
	pb_envelope_sender(c->env, pb_buf_str(&sender));
	c->env->eightbit = a->eightbit;
	c->env->smtputf8 = a->smtputf8;
	c->env->ret_headers = a->ret_headers;
	c->env->envid = pb_envelope_copy(c->env, pb_buf_str(&a->envid));
	pb_session_set_state(s, MAIL);
	if (!ask(s, "smtp.mail", PB_NOSTR, PB_NOSTR, &next)) {
		transaction_reset(s);
		return next;
	}
	SAY(s, "250 2.1.0 ok");
	return PB_NEXT;
}

int cmd_mail(struct pb_session *s, struct pb_str args)
{
	struct mail_args a;
	const char *reply;
	int next;

	if (!may_begin(s, &next))
		return next;
	reply = mail_args_parse(args, &a);
	next = reply ? fault(s, reply) : begin(s, &a);
	mail_args_free(&a);
	return next;
}
