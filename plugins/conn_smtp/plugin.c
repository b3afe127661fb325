/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The connector's descriptor: the command table of the sessions, the courier, and the life between load and unload. */
#include <stdlib.h>
#include "courier.h"
#include "rate.h"

static const struct pb_command commands[] = {
	/* name        function      allowed when    flags */
	{ "EHLO",      cmd_ehlo,     ANY,            0 },
	{ "HELO",      cmd_helo,     ANY,            0 },
	{ "STARTTLS",  cmd_starttls, GREETED,        PB_BEFORE_TLS | PB_ALONE },
	{ "AUTH",      cmd_auth,     GREETED,        PB_NEEDS_TLS },
	{ "MAIL",      cmd_mail,     GREETED,        0 },
	{ "RCPT",      cmd_rcpt,     MAIL,           0 },
	{ "DATA",      cmd_data,     MAIL,           PB_ALONE },
	{ "BDAT",      cmd_bdat,     ANY,            0 },	/* judges the state itself: a refused chunk has to be read too */
	{ "RSET",      cmd_rset,     ANY,            0 },
	{ "NOOP",      cmd_noop,     ANY,            0 },
	{ "QUIT",      cmd_quit,     ANY,            0 },
	{ "HELP",      cmd_help,     ANY,            0 },
	{ "VRFY",      cmd_vrfy,     ANY,            0 },
	{ "EXPN",      cmd_expn,     ANY,            0 },
	{ 0 }
};

static const struct pb_protocol protocol = {
	.size = sizeof protocol,
	.name = "smtp",
	.commands = commands,
	.session_size = sizeof(struct conversation),
	.first_state = CONNECTED,
	.framing = 0,
	.line_max = PB_SASL_MAX + 64,
	.idle_seconds = 300,
	.errors_max = UINT32_MAX,	/* counted here, against the config */
	.greet = greet,
	.refuse = refuse,
	.goodbye = goodbye,
	.secured = secured,
	.closed = closed,
};
static const struct pb_protocol *const protocols[] = { &protocol, NULL };

static void unload(void *self)
{
	struct smtp *smtp = self;

	if (!smtp)
		return;
	links_free(smtp->links);
	pb_table_close(smtp->sent);
	settings_put(smtp->settings);
	pthread_mutex_destroy(&smtp->lock);
	free(smtp);
}

static int load(struct pb_host *host, void **ret_self, struct pb_error *err)
{
	struct smtp *smtp = pb_alloc(sizeof *smtp);

	smtp->host = host;
	smtp->links = links_new();
	pthread_mutex_init(&smtp->lock, NULL);
	if (settings_read(host, &smtp->settings, err)) {
		unload(smtp);
		return err->code;
	}
	*ret_self = smtp;
	return 0;
}

static int start(void *self, struct pb_error *err)
{
	struct smtp *smtp = self;
	int rc = pb_table_open(smtp->host, "sent", &smtp->sent, err);

	return rc ? rc : rate_forget(smtp->sent, pb_now(smtp->host), err);
}

static int check(struct pb_host *host, struct pb_error *err)
{
	struct settings *set;

	if (settings_read(host, &set, err))
		return err->code;
	settings_put(set);
	return 0;
}

/* Sessions and deliveries in hand go on under the settings they began with. */
static int reconfigure(void *self, struct pb_error *err)
{
	struct smtp *smtp = self;
	struct settings *fresh, *old;

	if (settings_read(smtp->host, &fresh, err))
		return err->code;
	pthread_mutex_lock(&smtp->lock);
	old = smtp->settings;
	smtp->settings = fresh;
	pthread_mutex_unlock(&smtp->lock);
	settings_put(old);
	return 0;
}

static const struct pb_courier courier = { .deliver = deliver };

/* Idle links are closed in time, also when no mail comes. */
static void tick(void *self)
{
	struct smtp *smtp = self;

	links_sweep(smtp->links, smtp, false);
}

static const struct pb_agent agent = { .tick = tick };

static void drain(void *self)
{
	struct smtp *smtp = self;

	links_sweep(smtp->links, smtp, true);
}

PB_PLUGIN(conn_smtp) = {
	PB_PLUGIN_HEAD("conn_smtp"),
	.load = load,
	.start = start,
	.drain = drain,
	.unload = unload,
	.reconfigure = reconfigure,
	.check = check,
	.protocols = protocols,
	.courier = &courier,
	.agent = &agent,
};
