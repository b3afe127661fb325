/* SPDX-License-Identifier: GPL-3.0-or-later */
/* AUTH (RFC 4954), under TLS only. Mechanisms, and whether a password is right, are pb_exchange's business. */
#include <postbus/login.h>
#include "smtp.h"

/* Who failed to log in, and why, is logged by whoever judged it. */
static int rejected(struct pb_session *s)
{
	struct conversation *c = pb_session_data(s);

	pb_count(pb_session_host(s), "logins_failed", 1);
	if (++c->logins >= c->set->logins_max) {
		SAY(s, "421 4.7.0 too many failed logins, closing");
		return PB_CLOSE;
	}
	return fault(s, "535 5.7.8 authentication credentials invalid");
}

static int verified(struct pb_session *s, const struct pb_user *user)
{
	struct conversation *c = pb_session_data(s);

	pb_session_login(s, user);
	c->env->user = pb_envelope_copy(c->env, user->address);
	c->env->mailbox = pb_envelope_copy(c->env, user->mailbox);
	SAY(s, "235 2.7.0 authenticated");
	return PB_NEXT;
}

static int malformed(struct pb_session *s, int rc)
{
	if (rc == PB_ECLOSED)
		return fault(s, "501 5.7.0 authentication cancelled");
	return fault(s, rc == PB_ETOOBIG ? "500 5.5.6 authentication exchange line is too long" : "501 5.5.2 malformed authentication response");
}

static int late(struct pb_session *s)
{
	SAY(s, "421 4.4.2 idle for too long");
	return PB_CLOSE;
}

static int answered(struct pb_session *s, enum pb_wake why, struct pb_str line);

static int challenge(struct pb_session *s, struct pb_str text)
{
	pb_putf(s, "334 %.*s\r\n", PB_FMT(text));
	return pb_park(s, answered, PB_WAKE_LINE, 5 * PB_MINUTE);
}

static int response(struct pb_session *s, struct pb_str line)
{
	struct conversation *c = pb_session_data(s);
	struct pb_error err = { 0 };
	struct pb_str words;
	int next = PB_NEXT;

	switch (pb_exchange_step(c->exchange, s, line, &words, &err)) {
	case PB_EXCHANGE_MORE:
		return challenge(s, words);
	case PB_EXCHANGE_DONE:
		next = verified(s, pb_exchange_user(c->exchange));
		break;
	case PB_EXCHANGE_DENIED:
		next = rejected(s);
		break;
	case PB_EXCHANGE_MALFORMED:
		next = malformed(s, err.code);
		break;
	case PB_EXCHANGE_UNAVAILABLE:
		pb_session_log(s, PB_ERROR, "smtp.trouble", "error=%s", pb_logq(pb_strz(err.text)));
		SAY(s, "454 4.7.0 authentication is not available now, try again later");
		break;
	}
	pb_exchange_free(c->exchange);
	c->exchange = NULL;
	return next;
}

static int answered(struct pb_session *s, enum pb_wake why, struct pb_str line)
{
	return why == PB_WAKE_LINE ? response(s, line) : late(s);
}

int cmd_auth(struct pb_session *s, struct pb_str args)
{
	struct conversation *c = pb_session_data(s);
	struct pb_str mechanism, initial = PB_NOSTR;

	if (!c->submission && !c->set->auth_on_smtp)
		return fault(s, "503 5.5.1 AUTH is not offered here");
	if (pb_session_user(s))
		return fault(s, "503 5.5.1 authenticated already");
	if (!pb_str_word(&args, &mechanism))
		return fault(s, "501 5.5.4 syntax: AUTH mechanism");
	pb_str_word(&args, &initial);
	if (pb_str_trim(args).len)
		return fault(s, "501 5.5.4 syntax: AUTH mechanism [initial-response]");
	c->exchange = pb_exchange_new(s, "smtp", mechanism, false);
	if (!c->exchange)
		return fault(s, "504 5.5.4 no such mechanism");
	return initial.len ? response(s, initial) : challenge(s, pb_strz(pb_exchange_prompt(c->exchange)));
}
