/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The POP3 service (RFC 1939): descriptor, config, command table, first and last words. What commands do is in cmd_*.c.
 */
#include <stdlib.h>
#include "pop3.h"

/* ---- endings ---- */

int pop3_ok(struct pb_session *s, const char *text)
{
	pb_putz(s, "+OK ");
	pb_putz(s, text);
	pb_putz(s, "\r\n");
	return PB_NEXT;
}

int pop3_err(struct pb_session *s, const char *text)
{
	pb_putz(s, "-ERR ");
	pb_putz(s, text);
	pb_putz(s, "\r\n");
	return PB_NEXT;
}

int pop3_bad(struct pb_session *s, const char *text)
{
	pop3_err(s, text);
	if (!pb_session_error_over(s, pb_login_setting(pop3_login_of(s), PB_LOGIN_ERRORS_MAX)))
		return PB_NEXT;
	pop3_err(s, "Too many bad commands");
	return PB_CLOSE;
}

int pop3_failed(struct pb_session *s, const char *what, const struct pb_error *err)
{
	switch (err->code) {
	case PB_ENOTFOUND:
		return pop3_err(s, "No such message");
	case PB_EBUSY:
	case PB_ECONFLICT:
		return pop3_err(s, "[IN-USE] In use, try again later");
	case PB_ETIMEOUT:
		return pop3_err(s, "[SYS/TEMP] Took too long, try again later");
	case PB_EFULL:
	case PB_EUNAVAILABLE:
		pb_session_log(s, PB_ERROR, "command.failed", "command=%s code=%s reason=%s", what, pb_code_name(err->code), pb_logq(pb_strz(err->text)));
		return pop3_err(s, "[SYS/TEMP] Not available, try again later");
	default:
		pb_session_log(s, PB_ERROR, "command.failed", "command=%s code=%s reason=%s", what, pb_code_name(err->code), pb_logq(pb_strz(err->text)));
		return pop3_err(s, "[SYS/PERM] The server cannot do this, the administrator was told");
	}
}

void pop3_close_maildrop(struct pb_session *s)
{
	struct pop3 *pop = pop3_of(s);

	pb_view_release(pop->view);
	pb_folder_close(pop->folder);
	pb_mailbox_close(pop->mailbox);	/* and with it the lock */
	free(pop->marks);
	pop->view = NULL;
	pop->folder = NULL;
	pop->mailbox = NULL;
	pop->marks = NULL;
}

/* ---- the connection ---- */

static int greet(struct pb_session *s)
{
	struct pb_str name = pb_hostname(pb_session_host(s));

	pb_session_idle(s, pb_login_setting(pop3_login_of(s), PB_LOGIN_TIMEOUT));
	pb_putf(s, "+OK %.*s Postbus POP3 ready\r\n", PB_FMT(name));
	return PB_NEXT;
}

static int refuse(struct pb_session *s, enum pb_refusal why, struct pb_str verb, struct pb_str args)
{
	(void)verb;
	(void)args;
	switch (why) {
	case PB_REFUSE_UNKNOWN:
		return pop3_bad(s, "Unknown command");
	case PB_REFUSE_STATE:
		return pop3_bad(s, pb_session_state(s) == POP3_AUTHORIZATION ? "Log in first" : "Logged in already");
	case PB_REFUSE_TLS_NEEDED:
		return pop3_bad(s, "Needs TLS: use STLS first");
	case PB_REFUSE_TLS_ON:
		return pop3_bad(s, "TLS is on already");
	case PB_REFUSE_USER_NEEDED:
		return pop3_bad(s, "Log in first");
	case PB_REFUSE_NOT_LAST:
		pop3_err(s, "Input behind a command that must be the last");
		return PB_CLOSE;
	case PB_REFUSE_TOO_LONG:
		return pop3_bad(s, "Line too long");
	case PB_REFUSE_FRAMING:
		return pop3_bad(s, "Bare CR or NUL in a command line");
	}
	return pop3_bad(s, "Refused");
}

static void goodbye(struct pb_session *s, enum pb_goodbye why)
{
	switch (why) {
	case PB_BYE_SHUTDOWN:
		pop3_err(s, "[SYS/TEMP] Server is shutting down");
		break;
	case PB_BYE_IDLE:
		pop3_err(s, "Idle for too long");
		break;
	case PB_BYE_SLOW:
		pop3_err(s, "Too slow");
		break;
	case PB_BYE_ERRORS:
		pop3_err(s, "Too many bad commands");
		break;
	case PB_BYE_OVERLOAD:
		pop3_err(s, "[SYS/TEMP] Too many connections, try again later");
		break;
	case PB_BYE_REFUSED:
		pop3_err(s, "[SYS/PERM] Not from your address");
		break;
	case PB_BYE_REVOKED:
		pop3_err(s, "[AUTH] Your login does not hold any more");
		break;
	}
}

static void secured(struct pb_session *s)
{
	struct pop3 *pop = pop3_of(s);

	free(pop->user);
	pop->user = NULL;
}

/* A connection that is lost commits nothing (RFC 1939 6). */
static void closed(struct pb_session *s)
{
	pop3_close_maildrop(s);
	free(pop3_of(s)->user);
	pop3_of(s)->user = NULL;
	pb_exchange_free(pop3_of(s)->exchange);
}

static const struct pb_command commands[] = {
	{ "CAPA", pop3_capa, POP3_ANY, 0 },
	{ "USER", pop3_user, POP3_AUTHORIZATION, 0 },
	{ "PASS", pop3_pass, POP3_AUTHORIZATION, 0 },
	{ "AUTH", pop3_auth, POP3_AUTHORIZATION, 0 },
	{ "STLS", pop3_stls, POP3_AUTHORIZATION, PB_BEFORE_TLS | PB_ALONE },
	{ "QUIT", pop3_quit, POP3_ANY, 0 },
	{ "STAT", pop3_stat, POP3_TRANSACTION, 0 },
	{ "LIST", pop3_list, POP3_TRANSACTION, 0 },
	{ "UIDL", pop3_uidl, POP3_TRANSACTION, 0 },
	{ "RETR", pop3_retr, POP3_TRANSACTION, 0 },
	{ "TOP", pop3_top, POP3_TRANSACTION, 0 },
	{ "DELE", pop3_dele, POP3_TRANSACTION, 0 },
	{ "NOOP", pop3_noop, POP3_TRANSACTION, 0 },
	{ "RSET", pop3_rset, POP3_TRANSACTION, 0 },
	{ 0 }
};

static const struct pb_protocol pop3_protocol = {
	.size = sizeof pop3_protocol,
	.name = "pop3",
	.commands = commands,
	.session_size = sizeof(struct pop3),
	.first_state = POP3_AUTHORIZATION,
	.framing = PB_LF_OK,
	.line_max = POP3_LINE_MAX,
	.idle_seconds = 600,
	.errors_max = 10000,	/* the config's errors_max is counted in pop3_bad */
	.greet = greet,
	.refuse = refuse,
	.goodbye = goodbye,
	.secured = secured,
	.closed = closed,
};

static const struct pb_protocol *const protocols[] = { &pop3_protocol, NULL };

static void read_config(struct pop3_plugin *plugin)
{
	pb_login_settings_read(&plugin->login, plugin->host);
	plugin->mark_seen = pb_config_bool(plugin->host, "mark_seen");
}

static int load(struct pb_host *host, void **ret_self, struct pb_error *err)
{
	struct pop3_plugin *plugin = pb_alloc(sizeof *plugin);

	(void)err;
	plugin->host = host;
	read_config(plugin);
	*ret_self = plugin;
	return 0;
}

/* Numbers only: sessions at work read the old or the new one. */
static int reconfigure(void *self, struct pb_error *err)
{
	(void)err;
	read_config(self);
	return 0;
}

static void unload(void *self)
{
	free(self);
}

PB_PLUGIN(svc_pop3) = {
	PB_PLUGIN_HEAD("svc_pop3"),
	.load = load,
	.unload = unload,
	.protocols = protocols,
	.reconfigure = reconfigure,
};
