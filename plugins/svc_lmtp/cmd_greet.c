/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The frame of a conversation: who may begin one, LHLO, STARTTLS, and its end. */
#include <stdlib.h>
#include "lmtp.h"

struct pb_str client_address(struct pb_session *s)
{
	struct pb_str peer = pb_session_peer(s);

	return pb_str_eq(peer, PB_STR("unix")) ? PB_NOSTR : peer;
}

/* A Unix socket's directory says who may connect. */
static bool is_client(struct pb_session *s)
{
	struct lmtp *lmtp = pb_session_self(s);
	struct pb_str address = client_address(s);

	return !address.len || networks_has(&lmtp->clients, address);
}

int greet(struct pb_session *s)
{
	struct conversation *c = pb_session_data(s);

	c->env = pb_envelope_new();
	if (!is_client(s)) {
		pb_session_log(s, PB_WARNING, "client.refused", "client=%s", pb_logq(pb_session_peer(s)));
		SAY(s, "554 5.7.1 no service for you: your address is not among the clients of this LMTP server");
		return PB_CLOSE;
	}
	pb_put(s, "220 ", 4);
	pb_putstr(s, pb_hostname(pb_session_host(s)));
	return say(s, " LMTP Postbus");
}

void closed(struct pb_session *s)
{
	struct conversation *c = pb_session_data(s);

	pb_envelope_free(c->env);
	free(c->targets);
}

void transaction_reset(struct pb_session *s)
{
	struct conversation *c = pb_session_data(s);

	free(c->targets);
	c->targets = NULL;
	c->ntargets = 0;
	c->announced = 0;
	pb_envelope_reset(c->env);
	if (pb_session_state(s) == MAIL)
		pb_session_set_state(s, GREETED);
}

/* RFC 3207 4.2: what was learnt in the clear is forgotten. */
void secured(struct pb_session *s)
{
	struct conversation *c = pb_session_data(s);

	transaction_reset(s);
	c->helo[0] = 0;
	pb_session_set_state(s, CONNECTED);
}

int cmd_lhlo(struct pb_session *s, struct pb_str args)
{
	struct conversation *c = pb_session_data(s);
	struct pb_str name = pb_str_trim(args);

	if (!helo_is_name(name))
		return fault(s, "501 5.5.4 say who you are: a host name or an address literal");
	/* A new envelope, since one that is kept would grow with every LHLO. */
	transaction_reset(s);
	pb_envelope_free(c->env);
	c->env = pb_envelope_new();
	c->env->client = pb_envelope_copy(c->env, client_address(s));
	c->env->helo = pb_envelope_copy(c->env, name);
	memcpy(c->helo, name.ptr, name.len);
	c->helo[name.len] = 0;
	pb_session_set_state(s, GREETED);
	pb_put(s, "250-", 4);
	pb_putstr(s, pb_hostname(pb_session_host(s)));
	SAY(s, "\r\n250-PIPELINING");
	pb_putf(s, "250-SIZE %llu\r\n", (unsigned long long)pb_config_int(pb_session_host(s), "size_max"));
	if (pb_session_can_tls(s))
		SAY(s, "250-STARTTLS");
	SAY(s, "250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n250 SMTPUTF8");
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

/* RCPT is what tells who is here. */
int cmd_vrfy(struct pb_session *s, struct pb_str args)
{
	if (!pb_str_trim(args).len)
		return fault(s, "501 5.5.4 syntax: VRFY address");
	SAY(s, "252 2.1.5 send some mail, it will be tried");
	return PB_NEXT;
}
