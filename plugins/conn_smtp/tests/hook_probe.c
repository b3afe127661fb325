/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A plugin that hooks every point of conn_smtp and decides by words in the HELO name, sender or recipient. Built for the platform tests, never installed. */
#include <postbus/bus.h>

static bool says(const struct pb_question *q, const char *key, const char *word)
{
	const char *value = json_string_value(json_object_get(q->facts, key));

	return value && strstr(value, word);
}

static int decide(const struct pb_question *q, struct pb_verdict *v, const char *key)
{
	if (says(q, key, "reject"))
		pb_verdict_set(v, PB_REJECT, 554, "5.7.9", "rejected\r\n250 at %s", q->point);
	else if (says(q, key, "defer"))
		pb_verdict_set(v, PB_DEFER, 0, "", "deferred at %s", q->point);
	else if (says(q, key, "discard"))
		pb_verdict_set(v, PB_DISCARD, 0, "", "discarded");
	else if (says(q, key, "header"))
		pb_verdict_header(v, PB_STR("X-Probe"), pb_strz(q->point));
	return 0;
}

static int at_connect(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	(void)self, (void)err;
	if (says(q, "listener", "submissions"))
		pb_verdict_set(v, PB_REJECT, 0, "5.7.1", "not on %s", q->point);
	return 0;
}

static int at_any_connect(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	(void)self, (void)err;
	if (says(q, "plugin", "svc_pop3") && says(q, "client", "127."))
		pb_verdict_set(v, PB_REJECT, 0, "", "no guests");
	return 0;
}

static int at_helo(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	(void)self, (void)err;
	return decide(q, v, "helo");
}

static int at_mail(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	(void)self, (void)err;
	return decide(q, v, "sender");
}

static int at_rcpt(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	(void)self, (void)err;
	return decide(q, v, "recipient");
}

/* By the sender too, one word further: "data-reject". */
static int at_data(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	(void)self, (void)err;
	if (!q->id.len)
		return pb_fail(err, PB_EINTERNAL, "no queue id at %s", q->point);
	if (says(q, "sender", "late-no"))
		pb_verdict_set(v, PB_REJECT, 550, "5.7.1", "no at %s", q->point);
	else if (says(q, "sender", "late-wait"))
		pb_verdict_set(v, PB_DEFER, 451, "4.7.1", "wait at %s", q->point);
	else if (says(q, "sender", "late-spam"))
		pb_verdict_note(v, "spam_score", json_integer(9));
	return decide(q, v, "helo");
}

static const struct pb_hook hooks[] = {
	{ "session.connect", at_any_connect }, { "smtp.connect", at_connect }, { "smtp.helo", at_helo }, { "smtp.mail", at_mail }, { "smtp.rcpt", at_rcpt }, { "smtp.data", at_data }, { 0 }
};

PB_PLUGIN(hook_probe) = { PB_PLUGIN_HEAD("hook_probe"), .hooks = hooks };
