/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging in, where it is the same in every protocol: the settings that a service with logins has, the question to auth.verify, and the pause after
 * a wrong password. The commands, their words and what is opened for the user are the protocol's; decoding is postbus/sasl.h's.
 */
#ifndef POSTBUS_LOGIN_H
#define POSTBUS_LOGIN_H

#include <postbus/sasl.h>
#include <postbus/session.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- who it is ---- */

struct pb_login {
	struct pb_user user;	/* its texts live until pb_login_free */
	json_t *answer;		/* auth.verify's, whole */
};

/* Asks auth.verify (the manifest requires it) whether name and password are right; service: "imap". The password's bytes are wiped behind the question.
 * PB_EDENIED: they are not, whatever is wrong with them, or somebody else is to be acted for; any other code: nobody can tell now. */
int pb_login_verify(struct pb_session *s, const char *service, const struct pb_sasl *sasl, struct pb_login *ret, struct pb_error *err);
void pb_login_free(struct pb_login *l);		/* after a failed pb_login_verify too */

/* ---- a service's settings: "login_timeout", "idle_timeout", "login_delay" (seconds), "errors_max" (integer), "cleartext_login" (boolean) of its config ---- */

enum pb_login_key { PB_LOGIN_TIMEOUT, PB_LOGIN_IDLE, PB_LOGIN_DELAY, PB_LOGIN_ERRORS_MAX, PB_LOGIN_CLEARTEXT, PB_LOGIN_KEYS };

/* Lies in the plugin's self; only the functions touch it. */
struct pb_login_settings {
	uint32_t values[PB_LOGIN_KEYS];
};

/* In load, and again in reconfigure: sessions at work see the old value or the new one, never half of one. */
void pb_login_settings_read(struct pb_login_settings *l, struct pb_host *host);
uint32_t pb_login_setting(const struct pb_login_settings *l, enum pb_login_key key);

/* ---- in a session ---- */

/* Under TLS, or where "cleartext_login" is on. */
bool pb_login_is_allowed(const struct pb_login_settings *l, struct pb_session *s);
/* All is there for the user: the session has a user, this state, and "idle_timeout" from now on. */
void pb_login_enter(const struct pb_login_settings *l, struct pb_session *s, const struct pb_user *user, unsigned state);
/* Name or password were wrong: logged as event "login.failed", counted as "logins_failed" (the manifest has both), and after "login_delay", in which no
 * thread is held, denied answers. Gives what a command gives. */
int pb_login_deny(const struct pb_login_settings *l, struct pb_session *s, struct pb_str name, const struct pb_error *err,
		  int (*denied)(struct pb_session *s, enum pb_wake why, struct pb_str line));

#ifdef __cplusplus
}
#endif
#endif
