/* SPDX-License-Identifier: GPL-3.0-or-later */
/* AUTH (RFC 4954) with PLAIN and LOGIN, under TLS only. Whether a password is right is auth.verify's business. */
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

static int verify(struct pb_session *s, const struct pb_sasl *sasl)
{
	struct pb_error err = { 0 };
	struct pb_login login;
	int rc = pb_login_verify(s, "smtp", sasl, &login, &err), next;

	if (rc == 0) {
		next = verified(s, &login.user);
	} else if (rc == PB_EDENIED) {
		next = rejected(s);
	} else {
		pb_session_log(s, PB_ERROR, "smtp.trouble", "error=%s", pb_logq(pb_strz(err.text)));
		SAY(s, "454 4.7.0 authentication is not available now, try again later");
		next = PB_NEXT;
	}
	pb_login_free(&login);
	return next;
}

static int malformed(struct pb_session *s, int rc)
{
	if (rc == PB_ECLOSED)
		return fault(s, "501 5.7.0 authentication cancelled");
	return fault(s, rc == PB_ETOOBIG ? "500 5.5.6 authentication exchange line is too long" : "501 5.5.2 malformed authentication response");
}

static int plain(struct pb_session *s, struct pb_str line)
{
	struct pb_sasl sasl = PB_SASL;
	int rc = pb_sasl_plain(line, &sasl, NULL), next = rc ? malformed(s, rc) : verify(s, &sasl);

	pb_sasl_free(&sasl);
	return next;
}

static int late(struct pb_session *s)
{
	SAY(s, "421 4.4.2 idle for too long");
	return PB_CLOSE;
}

static int plain_answered(struct pb_session *s, enum pb_wake why, struct pb_str line)
{
	return why == PB_WAKE_LINE ? plain(s, line) : late(s);
}

static int password_answered(struct pb_session *s, enum pb_wake why, struct pb_str line)
{
	struct conversation *c = pb_session_data(s);
	struct pb_sasl sasl = PB_SASL;
	int rc, next;

	if (why != PB_WAKE_LINE)
		return late(s);
	rc = pb_sasl_login(pb_buf_str(&c->login), line, &sasl, NULL);
	next = rc ? malformed(s, rc) : verify(s, &sasl);
	pb_sasl_free(&sasl);
	pb_buf_free(&c->login);
	return next;
}

static int ask_password(struct pb_session *s, struct pb_str name)
{
	struct conversation *c = pb_session_data(s);

	if (name.len > PB_SASL_MAX)
		return malformed(s, PB_ETOOBIG);
	if (pb_str_eq(name, PB_STR("*")))
		return malformed(s, PB_ECLOSED);
	pb_buf_reset(&c->login);
	pb_buf_addstr(&c->login, name);
	SAY(s, "334 " PB_SASL_LOGIN_PASS);
	return pb_park(s, password_answered, PB_WAKE_LINE, 5 * PB_MINUTE);
}

static int name_answered(struct pb_session *s, enum pb_wake why, struct pb_str line)
{
	return why == PB_WAKE_LINE ? ask_password(s, line) : late(s);
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
	if (pb_str_ieq(mechanism, PB_STR("PLAIN"))) {
		if (initial.len)
			return plain(s, initial);
		SAY(s, "334 ");
		return pb_park(s, plain_answered, PB_WAKE_LINE, 5 * PB_MINUTE);
	}
	if (pb_str_ieq(mechanism, PB_STR("LOGIN"))) {
		if (initial.len)
			return ask_password(s, initial);
		SAY(s, "334 " PB_SASL_LOGIN_USER);
		return pb_park(s, name_answered, PB_WAKE_LINE, 5 * PB_MINUTE);
	}
	return fault(s, "504 5.5.4 mechanisms are PLAIN and LOGIN");
}
