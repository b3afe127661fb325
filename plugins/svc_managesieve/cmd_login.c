/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * AUTHENTICATE, UNAUTHENTICATE, STARTTLS: from a stranger to the owner of scripts, and back. Whether a password is right is auth.verify's answer; mechanisms are pb_exchange's.
 */
#include "managesieve.h"

/* ---- who it is ---- */

static int denied(struct pb_session *s, enum pb_wake why, struct pb_str line)
{
	(void)why;
	(void)line;
	/* Good commands in between do not buy more guesses. */
	if (++ms_of(s)->logins_failed < pb_login_setting(ms_login_of(s), PB_LOGIN_ERRORS_MAX))
		return ms_bad(s, "Authentication failed");
	ms_no(s, NULL, "Authentication failed");
	return ms_bye(s, NULL, "Too many failed logins");
}

/* ---- responses are waited for without a thread; each is a string, quoted or literal ---- */

static void forget(struct pb_session *s)
{
	pb_exchange_free(ms_of(s)->exchange);
	ms_of(s)->exchange = NULL;
}

static int response(struct pb_session *s, struct pb_str word);

/* The client's response: a string on a line of its own. */
static int response_line(struct pb_session *s, enum pb_wake why, struct pb_str line)
{
	struct pb_str word;
	struct parse p;
	int result;

	if (why != PB_WAKE_LINE)
		return ms_bye(s, NULL, "Idle for too long");
	if (ms_gather(s, line, &p, &result) == 0) {
		if (parse_strings(&p, &word, 1))
			return response(s, word);
		result = ms_bad(s, p.error);
	}
	forget(s);
	return result;
}

static int challenge(struct pb_session *s, struct pb_str text)
{
	pb_putf(s, "\"%.*s\"\r\n", PB_FMT(text));
	return pb_park(s, response_line, PB_WAKE_LINE, (int64_t)pb_login_setting(ms_login_of(s), PB_LOGIN_TIMEOUT) * PB_SECOND);
}

/* Data of the mechanism come with the OK (RFC 5804 1.3). */
static int done(struct pb_session *s, const struct pb_user *user, struct pb_str words)
{
	/* Without a mailbox the methods of agent_filter would mean the server's scripts. */
	if (!user->mailbox.len)
		return ms_no(s, NULL, "There is no mailbox for this login");
	pb_login_enter(ms_login_of(s), s, user, MS_USER);
	if (!words.len)
		return ms_ok(s, "Logged in");
	pb_putf(s, "OK (SASL \"%.*s\") \"Logged in\"\r\n", PB_FMT(words));
	return PB_NEXT;
}

static int response(struct pb_session *s, struct pb_str word)
{
	struct pb_exchange *x = ms_of(s)->exchange;
	struct pb_error err = { 0 };
	struct pb_str words;
	int result = PB_NEXT;

	switch (pb_exchange_step(x, s, word, &words, &err)) {
	case PB_EXCHANGE_MORE:
		return challenge(s, words);
	case PB_EXCHANGE_DONE:
		result = done(s, pb_exchange_user(x), words);
		break;
	case PB_EXCHANGE_DENIED:
		result = pb_login_deny(ms_login_of(s), s, pb_exchange_name(x), &err, denied);
		break;
	case PB_EXCHANGE_MALFORMED:
		result = ms_bad(s, err.code == PB_ECLOSED ? "Authentication cancelled" : "Invalid response");
		break;
	case PB_EXCHANGE_UNAVAILABLE:
		pb_session_log(s, PB_ERROR, "login.unavailable", "reason=%s", pb_logq(pb_strz(err.text)));
		result = ms_no(s, "TRYLATER", "Cannot verify now, try again later");
		break;
	}
	forget(s);
	return result;
}

/* Mechanisms that a client may know and that this server will not have: they prove nothing, or need passwords that the server can read. */
static bool is_weak(struct pb_str mechanism)
{
	return pb_str_ieq(mechanism, PB_STR("ANONYMOUS")) || pb_str_ieq(mechanism, PB_STR("CRAM-MD5")) || pb_str_ieq(mechanism, PB_STR("DIGEST-MD5"));
}

/* "AUTHENTICATE" SP mechanism [SP initial-response] */
int ms_authenticate(struct pb_session *s, struct pb_str args)
{
	struct pb_str mechanism, first = PB_NOSTR;
	struct pb_exchange *x;
	bool has_first;
	struct parse p;
	int result;

	if (ms_gather(s, args, &p, &result) != 0)
		return result;
	if (!parse_string(&p, &mechanism))
		return ms_bad(s, p.error);
	has_first = parse_has_more(&p);
	if (has_first && (!parse_space(&p) || !parse_strings(&p, &first, 1)))
		return ms_bad(s, p.error);
	if (is_weak(mechanism))
		return ms_no(s, "AUTH-TOO-WEAK", "This mechanism is too weak");
	x = pb_exchange_new(s, "managesieve", mechanism, true);
	if (!x)
		return ms_no(s, NULL, "No such mechanism");
	if (!pb_login_is_allowed(ms_login_of(s), s)) {
		pb_exchange_free(x);
		return ms_no(s, "ENCRYPT-NEEDED", "Logging in needs TLS: use STARTTLS first");
	}
	ms_of(s)->exchange = x;
	if (!has_first)
		return challenge(s, pb_strz(pb_exchange_prompt(x)));
	return response(s, first.len ? first : PB_STR("="));
}

/* As if the connection had just been made, but TLS stays (RFC 5804 2.14.1). */
int ms_unauthenticate(struct pb_session *s, struct pb_str args)
{
	struct parse p;
	int result;

	if (ms_gather(s, args, &p, &result) != 0)
		return result;
	if (!parse_end(&p))
		return ms_bad(s, p.error);
	forget(s);
	pb_session_logout(s);
	pb_session_set_state(s, MS_STRANGER);
	pb_session_idle(s, pb_login_setting(ms_login_of(s), PB_LOGIN_TIMEOUT));
	return ms_ok(s, "Logged out");
}

int ms_starttls(struct pb_session *s, struct pb_str args)
{
	struct parse p;
	int result;

	if (ms_gather(s, args, &p, &result) != 0)
		return result;
	if (!parse_end(&p))
		return ms_bad(s, p.error);
	if (!pb_session_can_tls(s))
		return ms_no(s, NULL, "TLS is not available");
	ms_ok(s, "Begin TLS negotiation now");
	return pb_starttls(s);
}

/* The capabilities are told anew, because what was heard in the clear may have been somebody else's (RFC 5804 2.2). */
void ms_secured(struct pb_session *s)
{
	struct pb_error err = { 0 };

	forget(s);
	if (ms_put_capabilities(s, &err) != 0)
		ms_failed(s, "STARTTLS", &err);
	else
		ms_ok(s, "TLS is on");
}
