/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * LOGIN, AUTHENTICATE, STARTTLS: from a stranger to the owner of a mailbox. Whether a password is right is auth.verify's answer.
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

static int authenticate(struct pb_session *s, const struct pb_sasl *sasl)
{
	struct pb_error err = { 0 };
	struct pb_login login;
	int rc = pb_login_verify(s, "imap", sasl, &login, &err), result;

	if (rc == 0)
		rc = pb_mailbox_open(pb_session_host(s), login.user.mailbox, &imap_of(s)->mailbox, &err);
	if (rc == 0) {
		result = welcome(s, &login.user);
	} else if (rc == PB_EDENIED || rc == PB_EINVALID || rc == PB_ENOTFOUND) {
		result = deny(s, pb_strz(sasl->authcid), &err);
	} else {
		pb_session_log(s, PB_ERROR, "login.unavailable", "reason=%s", pb_logq(pb_strz(err.text)));
		result = imap_no(s, "[UNAVAILABLE] Cannot verify now, try again later");
	}
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

static int cancelled(struct pb_session *s, const struct pb_error *err)
{
	imap_wait_end(s);
	return imap_bad(s, err->code == PB_ECLOSED ? "Authentication cancelled" : "Invalid response");
}

static int plain(struct pb_session *s, struct pb_str line)
{
	struct pb_sasl sasl = PB_SASL;
	struct pb_error err;
	int result;

	if (pb_sasl_plain(line, &sasl, &err) != 0)
		return cancelled(s, &err);
	imap_wait_end(s);
	result = authenticate(s, &sasl);
	pb_sasl_free(&sasl);
	return result;
}

static int plain_line(struct pb_session *s, enum pb_wake why, struct pb_str line)
{
	imap_wake(s);
	if (why != PB_WAKE_LINE) {
		pb_putz(s, "* BYE Idle for too long\r\n");
		return PB_CLOSE;
	}
	return plain(s, line);
}

static int64_t login_timeout(struct pb_session *s)
{
	return (int64_t)pb_login_setting(imap_login_of(s), PB_LOGIN_TIMEOUT) * PB_SECOND;
}

static int login_password(struct pb_session *s, enum pb_wake why, struct pb_str line)
{
	struct pb_sasl sasl = PB_SASL;
	struct pb_error err;
	int result;

	imap_wake(s);
	if (why != PB_WAKE_LINE)
		return plain_line(s, why, line);
	if (pb_sasl_login(imap_wait_extra(s), line, &sasl, &err) != 0)
		return cancelled(s, &err);
	imap_wait_end(s);
	result = authenticate(s, &sasl);
	pb_sasl_free(&sasl);
	return result;
}

static int login_user(struct pb_session *s, enum pb_wake why, struct pb_str line)
{
	imap_wake(s);
	if (why != PB_WAKE_LINE)
		return plain_line(s, why, line);
	if (pb_str_eq(line, PB_STR("*")) || line.len > 1024) {
		struct pb_error err = { .code = PB_ECLOSED };

		return cancelled(s, &err);
	}
	imap_wait(s, line);
	pb_putz(s, "+ " PB_SASL_LOGIN_PASS "\r\n");
	return pb_park(s, login_password, PB_WAKE_LINE, login_timeout(s));
}

int imap_authenticate(struct pb_session *s, struct pb_str args)
{
	struct pb_str mechanism, initial;
	struct parse p = parse_start(args, pb_session_arena(s));

	if (!parse_atom(&p, &mechanism)) {
		if (!imap_discard_literals(s, args))
			return PB_CLOSE;
		return imap_bad(s, p.error);
	}
	initial = parse_take(&p, ' ') ? pb_str(p.p, (size_t)(p.end - p.p)) : PB_NOSTR;	/* RFC 4959 */
	if (!pb_login_is_allowed(imap_login_of(s), s))
		return imap_no(s, "[PRIVACYREQUIRED] Logging in needs TLS");
	if (pb_str_ieq(mechanism, PB_STR("PLAIN"))) {
		if (initial.len)
			return plain(s, initial);
		imap_wait(s, PB_NOSTR);
		pb_putz(s, "+ \r\n");
		return pb_park(s, plain_line, PB_WAKE_LINE, login_timeout(s));
	}
	if (pb_str_ieq(mechanism, PB_STR("LOGIN"))) {
		imap_wait(s, PB_NOSTR);
		if (initial.len)
			return login_user(s, PB_WAKE_LINE, initial);
		pb_putz(s, "+ " PB_SASL_LOGIN_USER "\r\n");
		return pb_park(s, login_user, PB_WAKE_LINE, login_timeout(s));
	}
	return imap_no(s, "[CANNOT] No such mechanism");
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
