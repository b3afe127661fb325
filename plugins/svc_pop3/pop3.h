/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of this plugin share: config, a session's own bytes, and the ways a command can end.
 */
#ifndef SVC_POP3_POP3_H
#define SVC_POP3_POP3_H

#include <stdatomic.h>
#include <postbus/login.h>

enum { POP3_AUTHORIZATION = 1, POP3_TRANSACTION = 2, POP3_ANY = 3 };

enum { POP3_LINE_MAX = 2048 };	/* RFC 2449 says 255; a SASL response may need more */

/* The plugin: its config, read with each reconfigure while sessions are at work. */
struct pop3_plugin {
	struct pb_host *host;
	struct pb_login_settings login;
	_Atomic bool mark_seen;
};

/* pb_session_data: what a session knows. The view is the maildrop: what comes while the session lasts belongs to the next one (RFC 1939 5). */
struct pop3 {
	struct pb_mailbox *mailbox;	/* locked as "pop3" */
	struct pb_folder *folder;	/* INBOX */
	struct pb_view *view;
	unsigned char *marks;		/* MARK_ bits by message; NULL: none is marked */
	char *user;			/* of USER */
	struct pb_exchange *exchange;	/* AUTH is at work */
	uint32_t logins_failed;
};

enum { MARK_DELETED = 1, MARK_READ = 2 };

static inline struct pop3 *pop3_of(struct pb_session *s)
{
	return pb_session_data(s);
}

static inline const struct pop3_plugin *pop3_plugin_of(struct pb_session *s)
{
	return pb_session_self(s);
}

static inline const struct pb_login_settings *pop3_login_of(struct pb_session *s)
{
	return &pop3_plugin_of(s)->login;
}

/* ---- endings: give what a command gives. text is without line end ---- */

int pop3_ok(struct pb_session *s, const char *text);
int pop3_err(struct pb_session *s, const char *text);
/* Malformed: counted, and the session ends after a configured number. */
int pop3_bad(struct pb_session *s, const char *text);
int pop3_failed(struct pb_session *s, const char *what, const struct pb_error *err);
/* Everything of the maildrop goes, the lock too. */
void pop3_close_maildrop(struct pb_session *s);

/* ---- commands ---- */

int pop3_capa(struct pb_session *s, struct pb_str args);
int pop3_user(struct pb_session *s, struct pb_str args);
int pop3_pass(struct pb_session *s, struct pb_str args);
int pop3_auth(struct pb_session *s, struct pb_str args);
int pop3_stls(struct pb_session *s, struct pb_str args);
int pop3_quit(struct pb_session *s, struct pb_str args);
int pop3_stat(struct pb_session *s, struct pb_str args);
int pop3_list(struct pb_session *s, struct pb_str args);
int pop3_uidl(struct pb_session *s, struct pb_str args);
int pop3_retr(struct pb_session *s, struct pb_str args);
int pop3_top(struct pb_session *s, struct pb_str args);
int pop3_dele(struct pb_session *s, struct pb_str args);
int pop3_noop(struct pb_session *s, struct pb_str args);
int pop3_rset(struct pb_session *s, struct pb_str args);

#endif
