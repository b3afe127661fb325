/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The IMAP service: its descriptor, config, command table, and a connection's first and last words. What commands do is in cmd_*.c.
 */
#include <stdlib.h>
#include <postbus/plugin.h>
#include "event.h"
#include "imap.h"
#include "view.h"

static int greet(struct pb_session *s)
{
	struct pb_str name = pb_hostname(pb_session_host(s));

	pb_session_idle(s, pb_login_setting(imap_login_of(s), PB_LOGIN_TIMEOUT));
	pb_putz(s, "* OK [");
	imap_put_capability(s);
	pb_putf(s, "] %.*s Postbus IMAP4rev1 ready\r\n", PB_FMT(name));
	return PB_NEXT;
}

/* tag = 1*<any ASTRING-CHAR except "+"> */
static size_t tag_length(struct pb_str line)
{
	size_t n = 0;

	while (n < line.len && (unsigned char)line.ptr[n] > ' ' && (unsigned char)line.ptr[n] < 0x7F && !strchr("(){%*\"\\+", line.ptr[n]))
		n++;
	return n;
}

static int split(struct pb_session *s, struct pb_str line, struct pb_str *ret_verb, struct pb_str *ret_args)
{
	struct imap *im = imap_of(s);
	size_t tag = tag_length(line), verb;
	struct pb_str rest;

	im->tag_len = 0;
	if (tag == 0 || tag > 1000 || tag >= line.len || line.ptr[tag] != ' ') {
		if (tag > 0 && tag == line.len) {
			im->tag = pb_arena_str(pb_session_arena(s), line).ptr;
			im->tag_len = (uint32_t)(tag < 1000 ? tag : 1000);
		}
		return imap_bad(s, im->tag_len ? "Missing command" : "Invalid tag") == PB_CLOSE ? PB_CLOSE : -1;
	}
	im->tag = pb_arena_str(pb_session_arena(s), pb_str_head(line, tag)).ptr;
	im->tag_len = (uint32_t)tag;
	rest = pb_str_skip(line, tag + 1);
	for (verb = 0; verb < rest.len && rest.ptr[verb] != ' '; verb++)
		;
	*ret_verb = pb_str_head(rest, verb);
	*ret_args = pb_str_skip(rest, verb + 1);
	return 0;
}

static int refuse(struct pb_session *s, enum pb_refusal why, struct pb_str verb, struct pb_str args)
{
	struct imap *im = imap_of(s);

	(void)verb;
	if (why != PB_REFUSE_TOO_LONG && why != PB_REFUSE_FRAMING) {
		PB_AUTOBUF(line);

		pb_buf_addstr(&line, args);
		if (!imap_discard_literals(s, pb_buf_str(&line)))
			return PB_CLOSE;
	} else {
		size_t tag = tag_length(args);

		im->tag_len = 0;
		if (tag > 0 && tag < args.len && tag <= 1000 && args.ptr[tag] == ' ') {
			im->tag = pb_arena_str(pb_session_arena(s), pb_str_head(args, tag)).ptr;
			im->tag_len = (uint32_t)tag;
		}
	}
	switch (why) {
	case PB_REFUSE_UNKNOWN:
		return imap_bad(s, "Unknown command");
	case PB_REFUSE_STATE:
		switch (pb_session_state(s)) {
		case IMAP_NOT_AUTH:
			return imap_bad(s, "Log in first");
		case IMAP_AUTH:
			return imap_bad(s, "No mailbox is selected, or it was done already");
		default:
			return imap_bad(s, "Not allowed now");
		}
	case PB_REFUSE_TLS_NEEDED:
		return imap_no(s, "[PRIVACYREQUIRED] Needs TLS: use STARTTLS first");
	case PB_REFUSE_TLS_ON:
		return imap_bad(s, "TLS is on already");
	case PB_REFUSE_USER_NEEDED:
		return imap_bad(s, "Log in first");
	case PB_REFUSE_NOT_LAST:
		pb_putz(s, "* BYE Input behind a command that must be the last\r\n");
		return PB_CLOSE;
	case PB_REFUSE_TOO_LONG:
		return imap_bad(s, "Command line too long");
	case PB_REFUSE_FRAMING:
		return imap_bad(s, "Bare CR or NUL in a command line");
	}
	return imap_bad(s, "Refused");
}

static void goodbye(struct pb_session *s, enum pb_goodbye why)
{
	switch (why) {
	case PB_BYE_SHUTDOWN:
		pb_putz(s, "* BYE Server is shutting down\r\n");
		break;
	case PB_BYE_IDLE:
		pb_putz(s, "* BYE Idle for too long\r\n");
		break;
	case PB_BYE_SLOW:
		pb_putz(s, "* BYE Too slow\r\n");
		break;
	case PB_BYE_ERRORS:
		pb_putz(s, "* BYE Too many bad commands\r\n");
		break;
	case PB_BYE_OVERLOAD:
		pb_putz(s, "* BYE [UNAVAILABLE] Too many connections, try again later\r\n");
		break;
	case PB_BYE_REFUSED:
		pb_putz(s, "* BYE Not from your address\r\n");
		break;
	case PB_BYE_REVOKED:
		pb_putz(s, "* BYE Your login does not hold any more\r\n");
		break;
	}
}

static void closed(struct pb_session *s)
{
	struct imap *im = imap_of(s);

	imap_deselect(s);
	pb_mailbox_close(im->mailbox);
	im->mailbox = NULL;
	imap_wait_end(s);
	if (pb_session_state(s) == IMAP_NOT_AUTH)
		pb_exchange_free(im->exchange);
}

static const struct pb_command commands[] = {
	{ "CAPABILITY", imap_capability, IMAP_ANY, 0 },
	{ "NOOP", imap_noop, IMAP_ANY, 0 },
	{ "LOGOUT", imap_logout, IMAP_ANY, 0 },
	{ "ID", imap_id, IMAP_ANY, 0 },
	{ "STARTTLS", imap_starttls, IMAP_NOT_AUTH, PB_BEFORE_TLS | PB_ALONE },
	{ "LOGIN", imap_login, IMAP_NOT_AUTH, 0 },
	{ "AUTHENTICATE", imap_authenticate, IMAP_NOT_AUTH, 0 },
	{ "ENABLE", imap_enable, IMAP_AUTH | IMAP_SELECTED, 0 },
	{ "NAMESPACE", imap_namespace, IMAP_AUTH | IMAP_SELECTED, 0 },
	{ "SELECT", imap_select, IMAP_AUTH | IMAP_SELECTED, 0 },
	{ "EXAMINE", imap_examine, IMAP_AUTH | IMAP_SELECTED, 0 },
	{ "CREATE", imap_create, IMAP_AUTH | IMAP_SELECTED, 0 },
	{ "DELETE", imap_delete, IMAP_AUTH | IMAP_SELECTED, 0 },
	{ "RENAME", imap_rename, IMAP_AUTH | IMAP_SELECTED, 0 },
	{ "SUBSCRIBE", imap_subscribe, IMAP_AUTH | IMAP_SELECTED, 0 },
	{ "UNSUBSCRIBE", imap_unsubscribe, IMAP_AUTH | IMAP_SELECTED, 0 },
	{ "LIST", imap_list, IMAP_AUTH | IMAP_SELECTED, 0 },
	{ "LSUB", imap_lsub, IMAP_AUTH | IMAP_SELECTED, 0 },
	{ "STATUS", imap_status, IMAP_AUTH | IMAP_SELECTED, 0 },
	{ "APPEND", imap_append, IMAP_AUTH | IMAP_SELECTED, 0 },
	{ "GETMETADATA", imap_getmetadata, IMAP_AUTH | IMAP_SELECTED, 0 },
	{ "SETMETADATA", imap_setmetadata, IMAP_AUTH | IMAP_SELECTED, 0 },
	{ "IDLE", imap_idle, IMAP_AUTH | IMAP_SELECTED, 0 },
	{ "CHECK", imap_check, IMAP_SELECTED, 0 },
	{ "CLOSE", imap_close, IMAP_SELECTED, 0 },
	{ "UNSELECT", imap_unselect, IMAP_SELECTED, 0 },
	{ "EXPUNGE", imap_expunge, IMAP_SELECTED, 0 },
	{ "SEARCH", imap_search, IMAP_SELECTED, 0 },
	{ "FETCH", imap_fetch, IMAP_SELECTED, 0 },
	{ "STORE", imap_store, IMAP_SELECTED, 0 },
	{ "COPY", imap_copy, IMAP_SELECTED, 0 },
	{ "MOVE", imap_move, IMAP_SELECTED, 0 },
	{ "UID", imap_uid, IMAP_SELECTED, 0 },
	{ 0 }
};

static const struct pb_protocol imap_protocol = {
	.size = sizeof imap_protocol,
	.name = "imap",
	.commands = commands,
	.session_size = sizeof(struct imap),
	.first_state = IMAP_NOT_AUTH,
	.framing = PB_LF_OK,
	.line_max = IMAP_LINE_MAX,
	.idle_seconds = 1800,
	.errors_max = 10000,	/* errors_max of the config is counted in reply.c, where the tag is at hand */
	.greet = greet,
	.split = split,
	.refuse = refuse,
	.goodbye = goodbye,
	.closed = closed,
};

static const struct pb_protocol *const protocols[] = { &imap_protocol, NULL };

static void read_config(struct imap_plugin *plugin)
{
	struct pb_host *host = plugin->host;

	pb_login_settings_read(&plugin->login, host);
	plugin->keepalive_seconds = (uint32_t)pb_config_int(host, "idle_keepalive");
	plugin->nesting_max = (uint32_t)pb_config_int(host, "nesting_max");
	plugin->append_max = (uint64_t)pb_config_int(host, "append_max");
	plugin->command_max = (uint64_t)pb_config_int(host, "command_max");
	plugin->filter_events = pb_config_bool(host, "filter_events");
	plugin->expunge_discarded = pb_config_bool(host, "expunge_discarded");
	plugin->events_max = (uint32_t)pb_config_int(host, "events_max");
	plugin->event_workers = (uint32_t)pb_config_int(host, "event_workers");
	events_configure(plugin->events);
}

static int load(struct pb_host *host, void **ret_self, struct pb_error *err)
{
	struct imap_plugin *plugin = pb_alloc(sizeof *plugin);

	(void)err;
	plugin->host = host;
	plugin->events = events_new(plugin);
	read_config(plugin);
	*ret_self = plugin;
	return 0;
}

/* Numbers, and a text under a lock: sessions at work read the old or the new one. */
static int reconfigure(void *self, struct pb_error *err)
{
	(void)err;
	read_config(self);
	return 0;
}

static int start(void *self, struct pb_error *err)
{
	struct imap_plugin *plugin = self;

	return events_start(plugin->events, err);
}

static void tick(void *self)
{
	struct imap_plugin *plugin = self;

	events_tick(plugin->events);
}

static const struct pb_agent agent = { .tick = tick };

static void drain(void *self)
{
	struct imap_plugin *plugin = self;

	events_stop(plugin->events);
}

static void unload(void *self)
{
	struct imap_plugin *plugin = self;

	if (plugin)
		events_free(plugin->events);
	free(plugin);
}

static const struct pb_method methods[] = {
	{ "annotation.set", annotation_set },
	{ "annotation.list", annotation_list },
	{ 0 }
};

PB_PLUGIN(svc_imap) = {
	PB_PLUGIN_HEAD("svc_imap"),
	.load = load,
	.start = start,
	.agent = &agent,
	.drain = drain,
	.unload = unload,
	.protocols = protocols,
	.methods = methods,
	.reconfigure = reconfigure,
};
