/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * LOGIN, AUTHENTICATE, STARTTLS: from a stranger to the owner of a mailbox. Whether a password is right is auth.verify's answer; mechanisms are pb_exchange's.
 */
#include <stdlib.h>
#include "imap.h"

/* ---- commands that sleep keep their tag ---- */

void imap_wait(struct pb_session *s, struct pb_str extra)
{
	struct imap *im = imap_of(s);
	char *keep = pb_alloc(im->tag_len + extra.len + 2);

	memcpy(keep, im->tag, im->tag_len);
	if (extra.len)
		memcpy(keep + im->tag_len + 1, extra.ptr, extra.len);
	imap_wait_end(s);
	im->waiting = keep;
}

bool imap_wake(struct pb_session *s)
{
	struct imap *im = imap_of(s);

	if (!im->waiting)
		return false;
	im->tag_len = (uint32_t)strlen(im->waiting);
	im->tag = pb_arena_str(pb_session_arena(s), pb_str(im->waiting, im->tag_len)).ptr;
	return true;
}

struct pb_str imap_wait_extra(struct pb_session *s)
{
	const char *keep = imap_of(s)->waiting;

	return keep ? pb_arena_str(pb_session_arena(s), pb_strz(keep + strlen(keep) + 1)) : PB_NOSTR;
}

void imap_wait_end(struct pb_session *s)
{
	struct imap *im = imap_of(s);

	free(im->waiting);
	im->waiting = NULL;
}

/* ---- who it is ---- */

static int denied(struct pb_session *s, enum pb_wake why, struct pb_str line)
{
	(void)why;
	(void)line;
	imap_wake(s);
	imap_wait_end(s);
	imap_no(s, "[AUTHENTICATIONFAILED] Authentication failed");
	/* Good commands in between do not buy more guesses. */
	if (++imap_of(s)->logins_failed < pb_login_setting(imap_login_of(s), PB_LOGIN_ERRORS_MAX))
		return imap_count_error(s);
	pb_putz(s, "* BYE Too many failed logins\r\n");
	return PB_CLOSE;
}

/* The answer comes after a pause that holds no thread. */
static int deny(struct pb_session *s, struct pb_str login, const struct pb_error *err)
{
	imap_wait(s, PB_NOSTR);
	return pb_login_deny(imap_login_of(s), s, login, err, denied);
}

static int unavailable(struct pb_session *s, const struct pb_error *err)
{
	pb_session_log(s, PB_ERROR, "login.unavailable", "reason=%s", pb_logq(pb_strz(err->text)));
	return imap_no(s, "[UNAVAILABLE] Cannot verify now, try again later");
}

static int welcome(struct pb_session *s, const struct pb_user *user)
{
	struct imap *im = imap_of(s);

	pb_login_enter(imap_login_of(s), s, user, IMAP_AUTH);
	pb_put(s, im->tag, im->tag_len);
	pb_putz(s, " OK [");
	imap_put_capability(s);
	pb_putz(s, "] Logged in\r\n");
	return PB_NEXT;
}

/* Of a login that holds. */
static int enter(struct pb_session *s, const struct pb_user *user, struct pb_str name)
{
	struct pb_error err = { 0 };
	int rc = pb_mailbox_open(pb_session_host(s), user->mailbox, &imap_of(s)->mailbox, &err);

	if (rc == 0)
		return welcome(s, user);
	return rc == PB_EDENIED || rc == PB_EINVALID || rc == PB_ENOTFOUND ? deny(s, name, &err) : unavailable(s, &err);
}

static int authenticate(struct pb_session *s, const struct pb_sasl *sasl)
{
	struct pb_error err = { 0 };
	struct pb_login login;
	int rc = pb_login_verify(s, "imap", sasl, &login, &err), result;

	if (rc == 0)
		result = enter(s, &login.user, pb_strz(sasl->authcid));
	else
		result = rc == PB_EDENIED ? deny(s, pb_strz(sasl->authcid), &err) : unavailable(s, &err);
	pb_login_free(&login);
	return result;
}

int imap_login(struct pb_session *s, struct pb_str args)
{
	struct pb_sasl sasl = PB_SASL;
	struct pb_str user, password, text;
	struct pb_error err;
	struct parse p;
	int result;

	if (!pb_login_is_allowed(imap_login_of(s), s)) {
		/* The password came in the clear: no literal is asked for, no word about its rightness. */
		if (!imap_discard_literals(s, args))
			return PB_CLOSE;
		return imap_no(s, "[PRIVACYREQUIRED] Logging in needs TLS");
	}
	if (imap_gather(s, args, &text, &result) != 0)
		return result;
	p = parse_start(text, pb_session_arena(s));
	if (!parse_astring(&p, &user) || !parse_space(&p) || !parse_astring(&p, &password) || !parse_end(&p))
		return imap_bad(s, p.error);
	if (pb_sasl_clear(user, password, &sasl, &err) != 0)
		return deny(s, user, &err);
	pb_wipe((char *)(uintptr_t)password.ptr, password.len);
	result = authenticate(s, &sasl);
	pb_sasl_free(&sasl);
	return result;
}

/* ---- AUTHENTICATE: the responses come as lines of their own, waited for without a thread ---- */

static int response(struct pb_session *s, struct pb_str line);

static int response_line(struct pb_session *s, enum pb_wake why, struct pb_str line)
{
	imap_wake(s);
	if (why == PB_WAKE_LINE)
		return response(s, line);
	pb_putz(s, "* BYE Idle for too long\r\n");
	return PB_CLOSE;
}

static int challenge(struct pb_session *s, struct pb_str text)
{
	imap_wait(s, PB_NOSTR);
	pb_putf(s, "+ %.*s\r\n", PB_FMT(text));
	return pb_park(s, response_line, PB_WAKE_LINE, (int64_t)pb_login_setting(imap_login_of(s), PB_LOGIN_TIMEOUT) * PB_SECOND);
}

static int response(struct pb_session *s, struct pb_str line)
{
	struct imap *im = imap_of(s);
	struct pb_exchange *x = im->exchange;
	struct pb_error err = { 0 };
	struct pb_str words;
	int result = PB_NEXT;
	enum pb_exchange_step step = pb_exchange_step(x, s, line, &words, &err);

	if (step == PB_EXCHANGE_MORE)
		return challenge(s, words);
	imap_wait_end(s);
	im->exchange = NULL;
	if (step == PB_EXCHANGE_DONE)
		result = enter(s, pb_exchange_user(x), pb_exchange_name(x));
	else if (step == PB_EXCHANGE_DENIED)
		result = deny(s, pb_exchange_name(x), &err);
	else if (step == PB_EXCHANGE_MALFORMED)
		result = imap_bad(s, err.code == PB_ECLOSED ? "Authentication cancelled" : "Invalid response");
	else
		result = unavailable(s, &err);
	pb_exchange_free(x);
	return result;
}

int imap_authenticate(struct pb_session *s, struct pb_str args)
{
	struct pb_str mechanism, initial;
	struct parse p = parse_start(args, pb_session_arena(s));
	struct imap *im = imap_of(s);

	if (!parse_atom(&p, &mechanism)) {
		if (!imap_discard_literals(s, args))
			return PB_CLOSE;
		return imap_bad(s, p.error);
	}
	initial = parse_take(&p, ' ') ? pb_str(p.p, (size_t)(p.end - p.p)) : PB_NOSTR;	/* RFC 4959 */
	if (!pb_login_is_allowed(imap_login_of(s), s))
		return imap_no(s, "[PRIVACYREQUIRED] Logging in needs TLS");
	im->exchange = pb_exchange_new(s, "imap", mechanism, false);
	if (!im->exchange)
		return imap_no(s, "[CANNOT] No such mechanism");
	return initial.len ? response(s, initial) : challenge(s, pb_strz(pb_exchange_prompt(im->exchange)));
}

int imap_starttls(struct pb_session *s, struct pb_str args)
{
	int result;

	if (imap_no_args(s, args, &result) != 0)
		return result;
	if (!pb_session_can_tls(s))
		return imap_no(s, "[UNAVAILABLE] TLS is not available");
	imap_ok(s, "Begin TLS negotiation now");
	return pb_starttls(s);
}
