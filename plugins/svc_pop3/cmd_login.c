/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * CAPA, USER, PASS, AUTH, STLS: from a stranger to the holder of a locked maildrop. Whether a password is right is auth.verify's answer; mechanisms are pb_exchange's.
 */
#include <stdlib.h>
#include "pop3.h"

static bool may_login(struct pb_session *s)
{
	return pb_login_is_allowed(pop3_login_of(s), s);
}

int pop3_capa(struct pb_session *s, struct pb_str args)
{
	PB_AUTOBUF(names);

	(void)args;
	pb_putz(s, "+OK Capability list follows\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\n");
	if (pb_session_state(s) == POP3_TRANSACTION || may_login(s)) {
		pb_exchange_list(s, "", &names);
		pb_putf(s, "USER\r\nSASL %s\r\n", pb_buf_z(&names));
	}
	if (pb_session_can_tls(s) && pb_session_state(s) == POP3_AUTHORIZATION)
		pb_putz(s, "STLS\r\n");
	pb_putz(s, "IMPLEMENTATION Postbus\r\n.\r\n");
	return PB_NEXT;
}

int pop3_stls(struct pb_session *s, struct pb_str args)
{
	if (args.len)
		return pop3_bad(s, "STLS takes no argument");
	if (!pb_session_can_tls(s))
		return pop3_err(s, "TLS is not available");
	pop3_ok(s, "Begin TLS negotiation now");
	return pb_starttls(s);
}

/* ---- who it is ---- */

static int denied(struct pb_session *s, enum pb_wake why, struct pb_str line)
{
	(void)why;
	(void)line;
	/* Good commands in between do not buy more guesses. */
	if (++pop3_of(s)->logins_failed < pb_login_setting(pop3_login_of(s), PB_LOGIN_ERRORS_MAX))
		return pop3_bad(s, "[AUTH] Authentication failed");
	pop3_err(s, "[AUTH] Authentication failed too often");
	return PB_CLOSE;
}

static int deny(struct pb_session *s, struct pb_str login, const struct pb_error *err)
{
	return pb_login_deny(pop3_login_of(s), s, login, err, denied);
}

/* The maildrop as it is now, locked. */
static int open_maildrop(struct pb_session *s, struct pb_str id, struct pb_error *err)
{
	struct pop3 *pop = pop3_of(s);
	int rc = pb_mailbox_open(pb_session_host(s), id, &pop->mailbox, err);

	if (rc == 0)
		rc = pb_mailbox_lock(pop->mailbox, "pop3", err);
	if (rc == 0)
		rc = pb_folder_open(pop->mailbox, PB_STR("INBOX"), &pop->folder, err);
	if (rc == 0)
		rc = pb_folder_view(pop->folder, &pop->view, err);
	if (rc != 0)
		pop3_close_maildrop(s);
	return rc;
}

static int welcome(struct pb_session *s, const struct pb_user *user)
{
	struct pb_error err;
	int rc = open_maildrop(s, user->mailbox, &err);

	if (rc == PB_EBUSY)
		return pop3_err(s, "[IN-USE] Another POP3 session has this mailbox");
	if (rc == PB_ENOTFOUND)
		return pop3_err(s, "[SYS/PERM] There is no mailbox for this login");
	if (rc != 0)
		return pop3_failed(s, "PASS", &err);
	pb_login_enter(pop3_login_of(s), s, user, POP3_TRANSACTION);
	return pop3_ok(s, "Logged in");
}

static int unavailable(struct pb_session *s, const struct pb_error *err)
{
	pb_session_log(s, PB_ERROR, "login.unavailable", "reason=%s", pb_logq(pb_strz(err->text)));
	return pop3_err(s, "[SYS/TEMP] Cannot verify now, try again later");
}

/* Takes the contents of sasl over. */
static int authenticate(struct pb_session *s, struct pb_sasl *sasl)
{
	struct pb_error err = { 0 };
	struct pb_login login;
	int rc = pb_login_verify(s, "pop3", sasl, &login, &err), result;

	if (rc == 0) {
		result = welcome(s, &login.user);
	} else if (rc == PB_EDENIED) {
		result = deny(s, pb_strz(sasl->authcid), &err);
	} else {
		result = unavailable(s, &err);
	}
	pb_login_free(&login);
	pb_sasl_free(sasl);
	return result;
}

int pop3_user(struct pb_session *s, struct pb_str args)
{
	struct pop3 *pop = pop3_of(s);

	if (!may_login(s))
		return pop3_err(s, "[SYS/PERM] Logging in needs TLS: use STLS first");
	if (!args.len)
		return pop3_bad(s, "USER takes a name");
	free(pop->user);
	pop->user = pb_str_dup(args);
	return pop3_ok(s, "Password, please");	/* whether the name is known is nobody's business */
}

int pop3_pass(struct pb_session *s, struct pb_str args)
{
	struct pop3 *pop = pop3_of(s);
	struct pb_sasl sasl = PB_SASL;
	struct pb_error err;
	int rc;

	if (!pop->user)
		return pop3_bad(s, "USER comes first");
	/* The whole rest of the line is the password, blanks too (RFC 1939 7). */
	rc = pb_sasl_clear(pb_strz(pop->user), args, &sasl, &err);
	if (rc == 0) {
		free(pop->user);
		pop->user = NULL;
		return authenticate(s, &sasl);
	}
	rc = deny(s, pb_strz(pop->user), &err);
	free(pop->user);
	pop->user = NULL;
	return rc;
}

/* ---- AUTH (RFC 5034): responses are waited for without a thread ---- */

static int response(struct pb_session *s, enum pb_wake why, struct pb_str line);

static int challenge(struct pb_session *s, struct pb_str text)
{
	pb_putf(s, "+ %.*s\r\n", PB_FMT(text));
	return pb_park(s, response, PB_WAKE_LINE, (int64_t)pb_login_setting(pop3_login_of(s), PB_LOGIN_TIMEOUT) * PB_SECOND);
}

static int response(struct pb_session *s, enum pb_wake why, struct pb_str line)
{
	struct pb_exchange *x = pop3_of(s)->exchange;
	struct pb_error err = { 0 };
	struct pb_str words;
	int result = PB_NEXT;

	if (why != PB_WAKE_LINE) {
		pop3_err(s, "Idle for too long");
		return PB_CLOSE;
	}
	switch (pb_exchange_step(x, s, line, &words, &err)) {
	case PB_EXCHANGE_MORE:
		return challenge(s, words);
	case PB_EXCHANGE_DONE:
		result = welcome(s, pb_exchange_user(x));
		break;
	case PB_EXCHANGE_DENIED:
		result = deny(s, pb_exchange_name(x), &err);
		break;
	case PB_EXCHANGE_MALFORMED:
		result = pop3_bad(s, err.code == PB_ECLOSED ? "Authentication cancelled" : "Invalid response");
		break;
	case PB_EXCHANGE_UNAVAILABLE:
		result = unavailable(s, &err);
		break;
	}
	pop3_of(s)->exchange = NULL;
	pb_exchange_free(x);
	return result;
}

/* AUTH alone is asked by old clients: a list. */
static int list_mechanisms(struct pb_session *s)
{
	struct pb_str rest, name;
	PB_AUTOBUF(names);

	pb_putz(s, "+OK Mechanisms follow\r\n");
	if (may_login(s))
		pb_exchange_list(s, "", &names);
	rest = pb_buf_str(&names);
	while (pb_str_word(&rest, &name))
		pb_putf(s, "%.*s\r\n", PB_FMT(name));
	pb_putz(s, ".\r\n");
	return PB_NEXT;
}

int pop3_auth(struct pb_session *s, struct pb_str args)
{
	struct pb_str mechanism, rest = args;
	struct pb_exchange *x;

	if (!pb_str_word(&rest, &mechanism))
		return list_mechanisms(s);
	rest = pb_str_trim(rest);
	if (!may_login(s))
		return pop3_err(s, "[SYS/PERM] Logging in needs TLS: use STLS first");
	x = pb_exchange_new(s, "pop3", mechanism, false);
	if (!x)
		return pop3_err(s, "No such mechanism");
	pop3_of(s)->exchange = x;
	return rest.len ? response(s, PB_WAKE_LINE, rest) : challenge(s, pb_strz(pb_exchange_prompt(x)));
}
