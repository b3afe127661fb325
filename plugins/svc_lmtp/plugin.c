/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The service's descriptor: the command table of the sessions, and the life between load and unload. */
#include <stdlib.h>
#include "lmtp.h"

static const struct pb_command commands[] = {
	/* name        function      allowed when    flags */
	{ "LHLO",      cmd_lhlo,     ANY,            0 },
	{ "STARTTLS",  cmd_starttls, GREETED,        PB_BEFORE_TLS | PB_ALONE },
	{ "MAIL",      cmd_mail,     GREETED,        0 },
	{ "RCPT",      cmd_rcpt,     MAIL,           0 },
	{ "DATA",      cmd_data,     MAIL,           PB_ALONE },
	{ "RSET",      cmd_rset,     ANY,            0 },
	{ "NOOP",      cmd_noop,     ANY,            0 },
	{ "QUIT",      cmd_quit,     ANY,            0 },
	{ "VRFY",      cmd_vrfy,     ANY,            0 },
	{ 0 }
};

static const struct pb_protocol protocol = {
	.size = sizeof protocol,
	.name = "lmtp",
	.commands = commands,
	.session_size = sizeof(struct conversation),
	.first_state = CONNECTED,
	.framing = 0,
	.line_max = 2048,
	.idle_seconds = 300,
	.errors_max = 20,
	.greet = greet,
	.refuse = refuse,
	.goodbye = goodbye,
	.secured = secured,
	.closed = closed,
};
static const struct pb_protocol *const protocols[] = { &protocol, NULL };

static void unload(void *self)
{
	struct lmtp *lmtp = self;

	if (!lmtp)
		return;
	networks_free(&lmtp->clients);
	free(lmtp);
}

static int read_clients(struct pb_host *host, struct networks *ret, struct pb_error *err)
{
	return networks_parse(pb_config_json(host, "clients"), ret, err) ? pb_because(err, "clients") : 0;
}

static int load(struct pb_host *host, void **ret_self, struct pb_error *err)
{
	struct lmtp *lmtp = pb_alloc(sizeof *lmtp);

	lmtp->host = host;
	if (read_clients(host, &lmtp->clients, err)) {
		unload(lmtp);
		return err->code;
	}
	*ret_self = lmtp;
	return 0;
}

static int check(struct pb_host *host, struct pb_error *err)
{
	struct networks clients = { NULL, 0 };
	int rc = read_clients(host, &clients, err);

	networks_free(&clients);
	return rc;
}

PB_PLUGIN(svc_lmtp) = {
	PB_PLUGIN_HEAD("svc_lmtp"),
	.load = load,
	.unload = unload,
	.check = check,
	.protocols = protocols,
};
