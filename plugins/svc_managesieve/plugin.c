/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The ManageSieve service (RFC 5804): descriptor, config, command table, first and last words, and the commands that are about no script.
 */
#include <stdlib.h>
#include "managesieve.h"

/* ---- commands that are about no script ---- */

int ms_capability(struct pb_session *s, struct pb_str args)
{
	struct pb_error err = { 0 };
	struct parse p;
	int result;

	if (ms_gather(s, args, &p, &result) != 0)
		return result;
	if (!parse_end(&p))
		return ms_bad(s, p.error);
	return ms_put_capabilities(s, &err) != 0 ? ms_failed(s, "CAPABILITY", &err) : ms_ok(s, "That is all");
}

int ms_logout(struct pb_session *s, struct pb_str args)
{
	struct parse p;
	int result;

	if (ms_gather(s, args, &p, &result) != 0)
		return result;
	if (!parse_end(&p))
		return ms_bad(s, p.error);
	ms_ok(s, "Until next time");
	return PB_CLOSE;
}

/* "NOOP" [SP tag]: the tag comes back (RFC 5804 2.13). */
int ms_noop(struct pb_session *s, struct pb_str args)
{
	struct pb_str tag;
	struct parse p;
	int result;

	if (ms_gather(s, args, &p, &result) != 0)
		return result;
	if (!parse_has_more(&p))
		return ms_ok(s, "Nothing done");
	if (!parse_strings(&p, &tag, 1))
		return ms_bad(s, p.error);
	pb_putz(s, "OK (TAG ");
	ms_put_string(s, tag);
	pb_putz(s, ") \"Nothing done\"\r\n");
	return PB_NEXT;
}

/* ---- the connection ---- */

static int greet(struct pb_session *s)
{
	struct pb_str name = pb_hostname(pb_session_host(s));
	struct pb_error err = { 0 };

	pb_session_idle(s, pb_login_setting(ms_login_of(s), PB_LOGIN_TIMEOUT));
	if (ms_put_capabilities(s, &err) != 0) {
		pb_session_log(s, PB_ERROR, "command.failed", "command=greeting code=%s reason=%s", pb_code_name(err.code), pb_logq(pb_strz(err.text)));
		return ms_bye(s, "TRYLATER", "Filters are not available now");
	}
	pb_putf(s, "OK \"%.*s Postbus ManageSieve ready\"\r\n", PB_FMT(name));
	return PB_NEXT;
}

static const char *refusal(struct pb_session *s, enum pb_refusal why)
{
	switch (why) {
	case PB_REFUSE_UNKNOWN:
		return "Unknown command";
	case PB_REFUSE_STATE:
	case PB_REFUSE_USER_NEEDED:
		return pb_session_state(s) == MS_STRANGER ? "Log in first" : "Logged in already";
	case PB_REFUSE_TLS_NEEDED:
		return "Needs TLS: use STARTTLS first";
	case PB_REFUSE_TLS_ON:
		return "TLS is on already";
	default:
		return "Refused";
	}
}

/* Where it is not certain where the next command begins, none may begin. */
static int refuse(struct pb_session *s, enum pb_refusal why, struct pb_str verb, struct pb_str args)
{
	if (why == PB_REFUSE_TOO_LONG)
		return ms_bye(s, NULL, "Line too long");
	if (why == PB_REFUSE_FRAMING)
		return ms_bye(s, NULL, "A line ends with CRLF and has no other CR or LF, and no NUL");
	if (why == PB_REFUSE_NOT_LAST)
		return ms_bye(s, NULL, "Input behind a command that must be the last");
	if (!ms_discard(s, pb_arena_str(pb_session_arena(s), args.len ? args : verb)))
		return PB_CLOSE;
	return ms_bad(s, refusal(s, why));
}

static void goodbye(struct pb_session *s, enum pb_goodbye why)
{
	switch (why) {
	case PB_BYE_SHUTDOWN:
		ms_bye(s, "TRYLATER", "Server is shutting down");
		break;
	case PB_BYE_IDLE:
		ms_bye(s, NULL, "Idle for too long");
		break;
	case PB_BYE_SLOW:
		ms_bye(s, NULL, "Too slow");
		break;
	case PB_BYE_ERRORS:
		ms_bye(s, NULL, "Too many bad commands");
		break;
	case PB_BYE_OVERLOAD:
		ms_bye(s, "TRYLATER", "Too many connections, try again later");
		break;
	case PB_BYE_REFUSED:
		ms_bye(s, NULL, "Not from your address");
		break;
	case PB_BYE_REVOKED:
		ms_bye(s, NULL, "Your login does not hold any more");
		break;
	}
}

static void closed(struct pb_session *s)
{
	pb_exchange_free(ms_of(s)->exchange);
}

static const struct pb_command commands[] = {
	{ "AUTHENTICATE", ms_authenticate, MS_STRANGER, 0 },
	{ "STARTTLS", ms_starttls, MS_STRANGER, PB_BEFORE_TLS | PB_ALONE },
	{ "LOGOUT", ms_logout, MS_ANY, 0 },
	{ "CAPABILITY", ms_capability, MS_ANY, 0 },
	{ "NOOP", ms_noop, MS_ANY, 0 },
	{ "HAVESPACE", ms_havespace, MS_USER, PB_NEEDS_USER },
	{ "PUTSCRIPT", ms_putscript, MS_USER, PB_NEEDS_USER },
	{ "CHECKSCRIPT", ms_checkscript, MS_USER, PB_NEEDS_USER },
	{ "LISTSCRIPTS", ms_listscripts, MS_USER, PB_NEEDS_USER },
	{ "SETACTIVE", ms_setactive, MS_USER, PB_NEEDS_USER },
	{ "GETSCRIPT", ms_getscript, MS_USER, PB_NEEDS_USER },
	{ "DELETESCRIPT", ms_deletescript, MS_USER, PB_NEEDS_USER },
	{ "RENAMESCRIPT", ms_renamescript, MS_USER, PB_NEEDS_USER },
	{ "UNAUTHENTICATE", ms_unauthenticate, MS_USER, PB_NEEDS_USER },
	{ 0 }
};

static const struct pb_protocol managesieve_protocol = {
	.size = sizeof managesieve_protocol,
	.name = "managesieve",
	.commands = commands,
	.session_size = sizeof(struct ms),
	.first_state = MS_STRANGER,
	.line_max = MS_LINE_MAX,
	.idle_seconds = 1800,
	.errors_max = 10000,	/* the config's errors_max is counted in ms_bad */
	.greet = greet,
	.refuse = refuse,
	.goodbye = goodbye,
	.secured = ms_secured,
	.closed = closed,
};

static const struct pb_protocol *const protocols[] = { &managesieve_protocol, NULL };

static void read_config(struct ms_plugin *plugin)
{
	pb_login_settings_read(&plugin->login, plugin->host);
	plugin->command_max = (uint32_t)pb_config_int(plugin->host, "command_max");
}

static int load(struct pb_host *host, void **ret_self, struct pb_error *err)
{
	struct ms_plugin *plugin = pb_alloc(sizeof *plugin);

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

PB_PLUGIN(svc_managesieve) = {
	PB_PLUGIN_HEAD("svc_managesieve"),
	.load = load,
	.unload = unload,
	.protocols = protocols,
	.reconfigure = reconfigure,
};
