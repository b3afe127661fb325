/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The frame of a conversation: greeting, EHLO and HELO, STARTTLS, and its end. */
#include <stdlib.h>
#include <postbus/login.h>
#include "smtp.h"

int greet(struct pb_session *s)
{
	struct conversation *c = pb_session_data(s);
	int next = PB_NEXT;

	c->set = settings_get(pb_session_self(s));
	c->env = pb_envelope_new();
	c->submission = pb_str_starts(pb_strz(pb_session_listener(s)), PB_STR("submission"));
	c->relay = networks_has(&c->set->relays, pb_session_peer(s));
	if (!ask(s, "smtp.connect", PB_NOSTR, PB_NOSTR, &next))
		return PB_CLOSE;
	c->connect_headers = json_array_size(c->early_headers);
	pb_put(s, "220 ", 4);
	pb_putz(s, c->set->hostname);
	pb_put(s, " ", 1);
	return say(s, c->set->banner);
}

void closed(struct pb_session *s)
{
	struct conversation *c = pb_session_data(s);

	pb_spool_discard(c->spool);
	pb_envelope_free(c->env);
	pb_exchange_free(c->exchange);
	json_decref(c->headers);
	json_decref(c->early_headers);
	json_decref(c->notes);
	json_decref(c->policy);
	settings_put(c->set);
}

/* RFC 3207 4.2: what was learnt in the clear is forgotten. */
void secured(struct pb_session *s)
{
	struct conversation *c = pb_session_data(s);

	transaction_reset(s);
	c->helo[0] = 0;
	c->esmtp = false;
	pb_session_set_state(s, CONNECTED);
}

static bool hello(struct pb_session *s, struct pb_str args, bool esmtp, int *ret_next)
{
	struct conversation *c = pb_session_data(s);
	const struct pb_user *user = pb_session_user(s);
	struct pb_str name = pb_str_trim(args);

	if (!helo_is_name(name)) {
		*ret_next = fault(s, "501 5.5.4 say who you are: a host name or an address literal");
		return false;
	}
	/* A new envelope, since one that is kept would grow with every EHLO. */
	pb_envelope_free(c->env);
	c->env = pb_envelope_new();
	transaction_reset(s);
	while (json_array_size(c->early_headers) > c->connect_headers)
		json_array_remove(c->early_headers, c->connect_headers);
	memcpy(c->helo, name.ptr, name.len);
	c->helo[name.len] = 0;
	c->esmtp = esmtp;
	pb_session_set_state(s, CONNECTED);
	if (!ask(s, "smtp.helo", PB_NOSTR, PB_NOSTR, ret_next))
		return false;
	c->env->client = pb_envelope_copy(c->env, pb_session_peer(s));
	c->env->helo = pb_envelope_copy(c->env, name);
	if (user) {
		c->env->user = pb_envelope_copy(c->env, user->address);
		c->env->mailbox = pb_envelope_copy(c->env, user->mailbox);
	}
	pb_session_set_state(s, GREETED);
	*ret_next = PB_NEXT;
	return true;
}

int cmd_helo(struct pb_session *s, struct pb_str args)
{
	struct conversation *c = pb_session_data(s);
	int next;

	if (!hello(s, args, false, &next))
		return next;
	pb_put(s, "250 ", 4);
	return say(s, c->set->hostname);
}

static void put_mechanisms(struct pb_session *s)
{
	PB_AUTOBUF(names);

	pb_exchange_list(s, "", &names);
	pb_putf(s, "250-AUTH %s\r\n", pb_buf_z(&names));
}

int cmd_ehlo(struct pb_session *s, struct pb_str args)
{
	struct conversation *c = pb_session_data(s);
	int next;

	if (!hello(s, args, true, &next))
		return next;
	pb_put(s, "250-", 4);
	say(s, c->set->hostname);
	SAY(s, "250-PIPELINING");
	pb_putf(s, "250-SIZE %llu\r\n", (unsigned long long)c->set->size_max);
	if (pb_session_can_tls(s))
		SAY(s, "250-STARTTLS");
	if (pb_session_is_tls(s) && !pb_session_user(s) && (c->submission || c->set->auth_on_smtp))
		put_mechanisms(s);
	SAY(s, "250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n250-DSN\r\n250 SMTPUTF8");
	return PB_NEXT;
}

int cmd_starttls(struct pb_session *s, struct pb_str args)
{
	if (args.len)
		return fault(s, "501 5.5.4 STARTTLS takes no argument");
	if (!pb_session_can_tls(s))
		return fault(s, "454 4.7.0 TLS is not available");
	SAY(s, "220 2.0.0 ready to start TLS");
	return pb_starttls(s);
}

int cmd_noop(struct pb_session *s, struct pb_str args)
{
	(void)args;
	SAY(s, "250 2.0.0 ok");
	return PB_NEXT;
}

int cmd_rset(struct pb_session *s, struct pb_str args)
{
	if (args.len)
		return fault(s, "501 5.5.4 RSET takes no argument");
	transaction_reset(s);
	SAY(s, "250 2.0.0 ok");
	return PB_NEXT;
}

int cmd_quit(struct pb_session *s, struct pb_str args)
{
	if (args.len)
		return fault(s, "501 5.5.4 QUIT takes no argument");
	SAY(s, "221 2.0.0 bye");
	return PB_CLOSE;
}

int cmd_help(struct pb_session *s, struct pb_str args)
{
	(void)args;
	SAY(s, "214-2.0.0 EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT\r\n214 2.0.0 RSET NOOP VRFY HELP QUIT");
	return PB_NEXT;
}

/* RFC 5321 7.3: who is here is told to nobody; RCPT tells it to those who have mail. */
int cmd_vrfy(struct pb_session *s, struct pb_str args)
{
	if (!pb_str_trim(args).len)
		return fault(s, "501 5.5.4 syntax: VRFY address");
	SAY(s, "252 2.1.5 send some mail, it will be tried");
	return PB_NEXT;
}

int cmd_expn(struct pb_session *s, struct pb_str args)
{
	(void)args;
	return fault(s, "502 5.5.1 EXPN is not offered");
}
