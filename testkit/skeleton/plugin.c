/* @NAME@: what it is for; what it leaves to others. */
#include <stdlib.h>
#include <postbus/bus.h>
#include <postbus/session.h>

struct plugin {
	struct pb_host *host;
};

/* ---- methods ---- */

static int ping(void *self, const struct pb_caller *who, const json_t *params, json_t **ret_result, struct pb_error *err)
{
	struct plugin *p = self;

	(void)who, (void)params, (void)err;
	*ret_result = json_pack("{s:s}", "text", pb_config_str(p->host, "greeting").ptr);
	return 0;
}

static const struct pb_method methods[] = { { "@WORD@.ping", ping }, { 0 } };

/* ---- protocol ---- */

enum { READY = 1 };

static int cmd_ping(struct pb_session *s, struct pb_str args)
{
	struct plugin *p = pb_session_self(s);

	(void)args;
	pb_putf(s, "+ %.*s\r\n", PB_FMT(pb_config_str(p->host, "greeting")));
	return PB_NEXT;
}

static int cmd_quit(struct pb_session *s, struct pb_str args)
{
	(void)args;
	pb_putz(s, "+ bye\r\n");
	return PB_CLOSE;
}

static const struct pb_command commands[] = {
	{ "PING", cmd_ping, READY, 0 },
	{ "QUIT", cmd_quit, READY, 0 },
	{ 0 },
};

static int greet(struct pb_session *s)
{
	pb_putz(s, "+ ready\r\n");
	return PB_NEXT;
}

static int refuse(struct pb_session *s, enum pb_refusal why, struct pb_str verb, struct pb_str args)
{
	(void)why, (void)verb, (void)args;
	pb_putz(s, "- no such command\r\n");
	return PB_NEXT;
}

static void goodbye(struct pb_session *s, enum pb_goodbye why)
{
	(void)why;
	pb_putz(s, "- closing\r\n");
}

static const struct pb_protocol protocol = {
	.size = sizeof protocol,
	.name = "@WORD@",
	.commands = commands,
	.first_state = READY,
	.line_max = 512,
	.idle_seconds = 300,
	.greet = greet,
	.refuse = refuse,
	.goodbye = goodbye,
};

static const struct pb_protocol *const protocols[] = { &protocol, NULL };

/* ---- life ---- */

static int load(struct pb_host *host, void **ret_self, struct pb_error *err)
{
	struct plugin *p = pb_alloc(sizeof *p);

	(void)err;
	p->host = host;
	*ret_self = p;
	return 0;
}

static int start(void *self, struct pb_error *err)
{
	struct plugin *p = self;

	(void)err;
	pb_log(p->host, PB_INFO, "started", "greeting=%s", pb_logq(pb_config_str(p->host, "greeting")));
	return 0;
}

static void unload(void *self)
{
	free(self);
}

PB_PLUGIN(@NAME@) = {
	PB_PLUGIN_HEAD("@NAME@"),
	.load = load,
	.start = start,
	.unload = unload,
	.protocols = protocols,
	.methods = methods,
};
