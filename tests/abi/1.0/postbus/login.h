/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging in, where it is the same in every protocol: the settings that a service with logins has, the question to auth.verify, and the pause after
 * a wrong password. The commands, their words and what is opened for the user are the protocol's; the messages of mechanisms are postbus/sasl.h's.
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
struct pb_user pb_login_user(const json_t *answer);	/* who an answer of auth.verify or auth.scram_verify names; its texts are the answer's */

/* ---- an exchange: a mechanism of SASL from its first response to the end, the same in every protocol. PLAIN and LOGIN through auth.verify; SCRAM-SHA-256 and
 * under TLS SCRAM-SHA-256-PLUS where somebody provides auth.scram and auth.scram_verify (the manifest has both in "optional") ---- */

struct pb_exchange;

enum pb_exchange_step {
	PB_EXCHANGE_MORE,		/* the challenge goes to the client, and its response to the next step */
	PB_EXCHANGE_DONE,		/* logged in: pb_exchange_user; the challenge is for protocols that send data with success, else empty */
	PB_EXCHANGE_DENIED,		/* wrong, whatever it is: the way of pb_login_deny */
	PB_EXCHANGE_MALFORMED,		/* no response of this mechanism; PB_ECLOSED: the client gave up */
	PB_EXCHANGE_UNAVAILABLE		/* nobody can tell now */
};

/* Appends the names of the mechanisms that this session is offered, the strongest first, each with before ("AUTH=") in front and a blank between them. */
void pb_exchange_list(struct pb_session *s, const char *before, struct pb_buf *out);
/* service as for pb_login_verify. last_words: the protocol sends data with success (RFC 5804), so that a mechanism need not ask for an empty response first.
 * NULL: this session is not offered such a mechanism. */
struct pb_exchange *pb_exchange_new(struct pb_session *s, const char *service, struct pb_str mechanism, bool last_words);
/* The challenge to a client that sent no initial response; base64. */
const char *pb_exchange_prompt(const struct pb_exchange *x);
/* A response as it came: base64, "=" for an empty initial one, "*" to give up. *ret_challenge: base64, valid until the next step. After anything but
 * PB_EXCHANGE_MORE there is none; err says why it ended without a login. */
enum pb_exchange_step pb_exchange_step(struct pb_exchange *x, struct pb_session *s, struct pb_str line, struct pb_str *ret_challenge, struct pb_error *err);
const struct pb_user *pb_exchange_user(const struct pb_exchange *x);	/* valid until it is freed */
struct pb_str pb_exchange_name(const struct pb_exchange *x);		/* who wanted to log in, for the log; empty while nobody knows */
void pb_exchange_free(struct pb_exchange *x);				/* wipes; NULL is fine */

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

/* Days for which the session's user can have back what he expunges (pb_folder_discard), by his post office's settings: asks directory.mailbox, which the plugin
 * names in "requires". 0: at once gone, and where nobody can be asked. */
int64_t pb_login_retention(struct pb_session *s);

#ifdef __cplusplus
}
#endif
#endif
