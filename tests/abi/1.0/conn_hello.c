/* SPDX-License-Identifier: Apache-2.0 */
/* The tutorial connector. It answers each message that is routed to it, greets on demand, and speaks a one-command protocol. */
#include <stdlib.h>
#include <postbus/bus.h>
#include <postbus/queue.h>
#include <postbus/session.h>

struct hello {
	struct pb_host *host;
};

/* ---- writing a greeting ---- */

static struct pb_spool *write_greeting(struct hello *h, struct pb_str from, struct pb_str to, struct pb_error *err)
{
	struct pb_spool *spool = pb_spool_begin(h->host, 0, err);
	struct pb_str greeting = pb_config_str(h->host, "greeting");
	PB_AUTOBUF(text);

	if (!spool)
		return NULL;
	pb_buf_addf(&text, "From: <%.*s>\r\nTo: <%.*s>\r\nSubject: %.*s\r\nMessage-ID: <%s@%.*s>\r\nAuto-Submitted: auto-replied\r\n\r\n%.*s\r\n", PB_FMT(from),
		    PB_FMT(to), PB_FMT(greeting), pb_spool_id(spool), PB_FMT(pb_hostname(h->host)), PB_FMT(greeting));
	pb_spool_write(spool, text.ptr, text.len);
	return spool;
}

static void sender_address(struct hello *h, struct pb_buf *out)
{
	struct pb_str sender = pb_config_str(h->host, "sender");

	if (sender.len)
		pb_buf_addstr(out, sender);
	else
		pb_buf_addf(out, "hello@%.*s", PB_FMT(pb_hostname(h->host)));
}

/* ---- the method hello.greet ---- */

static int greet(void *self, const struct pb_caller *who, const json_t *params, json_t **ret_result, struct pb_error *err)
{
	struct hello *h = self;
	struct pb_str to = pb_strz(json_string_value(json_object_get(params, "to")));
	struct pb_envelope *env = pb_envelope_new();
	struct pb_spool *spool;
	char id[PB_ID_MAX];
	PB_AUTOBUF(from);
	int rc;

	(void)who;
	sender_address(h, &from);
	pb_envelope_sender(env, pb_buf_str(&from));
	pb_envelope_rcpt(env, to);
	spool = write_greeting(h, pb_buf_str(&from), to, err);
	rc = spool ? pb_queue_accept(h->host, env, spool, id, err) : err->code;
	pb_envelope_free(env);
	if (rc)
		return pb_because(err, "greeting %.*s", PB_FMT(to));
	pb_count(h->host, "greetings_total", 1);
	pb_log(h->host, PB_INFO, "greeted", "id=%s to=%s", id, pb_logq(to));
	*ret_result = json_pack("{s:s}", "id", id);
	return 0;
}

/* ---- the courier: what is routed to conn_hello is answered ---- */

static int deliver(void *self, struct pb_item *item, struct pb_error *err)
{
	struct hello *h = self;
	struct pb_str sender = pb_item_envelope(item)->sender;
	struct pb_recipient *to;

	while ((to = pb_item_next(item)) != NULL) {
		struct pb_envelope *env;
		struct pb_spool *spool;

		if (!sender.len) {	/* never answer a report: that is how loops begin */
			pb_dropped(to, "null sender");
			continue;
		}
		env = pb_envelope_new();	/* its sender stays null, for the same reason */
		pb_envelope_rcpt(env, sender);
		spool = write_greeting(h, pb_recipient_rcpt(to)->address, sender, err);
		if (!spool || pb_item_inject(item, env, spool, err)) {
			pb_envelope_free(env);
			return err->code;
		}
		pb_envelope_free(env);
		pb_count(h->host, "greetings_total", 1);
		pb_delivered(to, PB_NOSTR, "250 2.0.0 greeted");
	}
	return 0;
}

static const struct pb_courier courier = { .deliver = deliver };

/* ---- the protocol: HELLO, QUIT ---- */

enum { READY = 1 };

static int cmd_hello(struct pb_session *s, struct pb_str args)
{
	struct hello *h = pb_session_self(s);

	pb_putf(s, "+ %.*s, %.*s\r\n", PB_FMT(pb_config_str(h->host, "greeting")), PB_FMT(args));
	return PB_NEXT;
}

static int cmd_quit(struct pb_session *s, struct pb_str args)
{
	(void)args;
	pb_putz(s, "+ bye\r\n");
	return PB_CLOSE;
}

static const struct pb_command commands[] = {
	{ "HELLO", cmd_hello, READY, 0 },
	{ "QUIT", cmd_quit, READY, 0 },
	{ 0 },
};

static int say_hello(struct pb_session *s)
{
	pb_putz(s, "+ who are you?\r\n");
	return PB_NEXT;
}

static int refuse(struct pb_session *s, enum pb_refusal why, struct pb_str verb, struct pb_str args)
{
	(void)why, (void)args;
	pb_putf(s, "- what is %.*s?\r\n", PB_FMT(pb_str_head(verb, 40)));
	return PB_NEXT;
}

static void goodbye(struct pb_session *s, enum pb_goodbye why)
{
	pb_putz(s, why == PB_BYE_OVERLOAD ? "- too many guests\r\n" : "- bye\r\n");
}

static const struct pb_protocol protocol = {
	.size = sizeof protocol,
	.name = "hello",
	.commands = commands,
	.first_state = READY,
	.line_max = 512,
	.idle_seconds = 60,
	.greet = say_hello,
	.refuse = refuse,
	.goodbye = goodbye,
};

static const struct pb_protocol *const protocols[] = { &protocol, NULL };

/* ---- life ---- */

static int load(struct pb_host *host, void **ret_self, struct pb_error *err)
{
	struct hello *h = pb_alloc(sizeof *h);

	(void)err;
	h->host = host;
	*ret_self = h;
	return 0;
}

static void unload(void *self)
{
	free(self);
}

static int reconfigure(void *self, struct pb_error *err)
{
	(void)self, (void)err;	/* it reads its config when it needs it */
	return 0;
}

static const struct pb_method methods[] = { { "hello.greet", greet }, { 0 } };

PB_PLUGIN(conn_hello) = {
	PB_PLUGIN_HEAD("conn_hello"),
	.load = load,
	.unload = unload,
	.reconfigure = reconfigure,
	.protocols = protocols,
	.courier = &courier,
	.methods = methods,
};
