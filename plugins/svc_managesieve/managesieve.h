/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of this plugin share: config, a session's own bytes, replies, and how a command comes together from its line and literals.
 */
#ifndef SVC_MANAGESIEVE_MANAGESIEVE_H
#define SVC_MANAGESIEVE_MANAGESIEVE_H

#include <stdatomic.h>
#include <postbus/login.h>
#include "parse.h"

/* States: bits of pb_command.allowed. */
enum { MS_STRANGER = 1, MS_USER = 2, MS_ANY = 3 };

/* A line without its literals. A first response of AUTHENTICATE may stand in it quoted. */
enum { MS_LINE_MAX = 16384 };

struct ms_plugin {
	struct pb_host *host;
	struct pb_login_settings login;
	_Atomic uint32_t command_max;
};

/* pb_session_data */
struct ms {
	struct pb_exchange *exchange;	/* AUTHENTICATE is at work */
	uint32_t logins_failed;
};

static inline struct ms *ms_of(struct pb_session *s)
{
	return pb_session_data(s);
}

static inline const struct ms_plugin *ms_plugin_of(struct pb_session *s)
{
	return pb_session_self(s);
}

static inline const struct pb_login_settings *ms_login_of(struct pb_session *s)
{
	return &ms_plugin_of(s)->login;
}

/* ---- reply.c: ends of commands. All but the last two give what a command gives; code is a response code such as "ACTIVE", or NULL ---- */

int ms_ok(struct pb_session *s, const char *text);
/* OK, with what a script says that is hardly meant (RFC 5804 1.3). */
int ms_ok_warnings(struct pb_session *s, const char *text);
int ms_no(struct pb_session *s, const char *code, const char *text);
/* Malformed: counted, and the session ends after a configured number. */
int ms_bad(struct pb_session *s, const char *text);
/* Last words. */
int ms_bye(struct pb_session *s, const char *code, const char *text);
/* NO with the response code that belongs to the error; what is nobody's fault outside is logged. what: "PUTSCRIPT" */
int ms_failed(struct pb_session *s, const char *what, const struct pb_error *err);
/* A string, quoted where it can be, else a literal. */
void ms_put_string(struct pb_session *s, struct pb_str v);
/* What the server can do, line by line, without the OK behind it. */
int ms_put_capabilities(struct pb_session *s, struct pb_error *err);

/* ---- command.c: a whole command with its literals ---- */

/* Reads what literals add to the line; *ret is ready to be parsed. A code other than 0: answered; return *ret_result from the command. */
int ms_gather(struct pb_session *s, struct pb_str line, struct parse *ret, int *ret_result);
/* A line that will not be run may end in a literal that comes anyway: throw it away, bounded. False: too much of it, BYE was said; close. */
bool ms_discard(struct pb_session *s, struct pb_str line);

/* ---- commands ---- */

int ms_authenticate(struct pb_session *s, struct pb_str args);
int ms_unauthenticate(struct pb_session *s, struct pb_str args);
int ms_starttls(struct pb_session *s, struct pb_str args);
void ms_secured(struct pb_session *s);
int ms_capability(struct pb_session *s, struct pb_str args);
int ms_logout(struct pb_session *s, struct pb_str args);
int ms_noop(struct pb_session *s, struct pb_str args);
int ms_havespace(struct pb_session *s, struct pb_str args);
int ms_putscript(struct pb_session *s, struct pb_str args);
int ms_checkscript(struct pb_session *s, struct pb_str args);
int ms_listscripts(struct pb_session *s, struct pb_str args);
int ms_setactive(struct pb_session *s, struct pb_str args);
int ms_getscript(struct pb_session *s, struct pb_str args);
int ms_deletescript(struct pb_session *s, struct pb_str args);
int ms_renamescript(struct pb_session *s, struct pb_str args);

#endif
