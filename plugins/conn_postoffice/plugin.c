/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * conn_postoffice: the courier of local mail. Its life, and which way each recipient goes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <postbus/address.h>
#include "event.h"
#include "postoffice.h"

static int load(struct pb_host *host, void **ret_self, struct pb_error *err)
{
	struct postoffice *po = pb_alloc(sizeof *po);

	(void)err;
	po->host = host;
	po->events = events_new(host);
	po->inboxes = inboxes_new(host, (size_t)pb_config_int(host, "open_mailboxes"));
	*ret_self = po;
	return 0;
}

/* The secret of rewritten senders, made once. */
static int read_secret(struct postoffice *po, struct pb_error *err)
{
	struct pb_table *t;
	PB_AUTOBUF(value);
	int rc = pb_table_open(po->host, "secrets", &t, err);

	if (rc)
		return rc;
	rc = pb_table_get(t, PB_STR("srs"), &value, err);
	if (rc == PB_ENOTFOUND) {
		pb_random(po->secret, sizeof po->secret);
		rc = pb_table_apply(t, &(struct pb_change){ PB_PUT, PB_STR("srs"), pb_str(po->secret, sizeof po->secret) }, 1, err);
	} else if (!rc) {
		memcpy(po->secret, value.ptr, value.len < sizeof po->secret ? value.len : sizeof po->secret);
	}
	pb_table_close(t);
	return rc;
}

static int start(void *self, struct pb_error *err)
{
	struct postoffice *po = self;
	int rc = pb_table_open(po->host, "replies", &po->replies, err);

	rc = rc ? rc : pb_table_open(po->host, "senders", &po->senders, err);
	return rc ? rc : read_secret(po, err);
}

/* What an address that was rewritten here stands for: the directory asks, so that reports find their way back. */
static int method_srs_decode(void *self, const struct pb_caller *who, const json_t *params, json_t **ret_result, struct pb_error *err)
{
	struct postoffice *po = self;
	struct pb_str local, domain;
	PB_AUTOBUF(address);
	int rc;

	(void)who;
	if (!pb_address_split(pb_text_of(params, "address"), &local, &domain))
		return pb_fail(err, PB_EINVALID, "no address");
	rc = sender_decode(po, local, &address, err);
	if (!rc)
		*ret_result = json_pack("{s:s}", "address", pb_buf_z(&address));
	return rc;
}

static void tick(void *self)
{
	struct postoffice *po = self;

	pb_table_forget(po->replies, pb_now(po->host), NULL);
	senders_forget(po);
}

static void unload(void *self)
{
	struct postoffice *po = self;

	if (!po)
		return;
	inboxes_free(po->inboxes);
	events_free(po->events);
	pb_table_close(po->replies);
	pb_table_close(po->senders);
	free(po);
}

static int deliver(void *self, struct pb_item *item, struct pb_error *err)
{
	struct pb_recipient *to;
	char reply[400];

	(void)err;
	while ((to = pb_item_next(item)) != NULL) {
		struct pb_str target = pb_recipient_rcpt(to)->target;

		if (pb_str_starts(target, PB_STR("mailbox/"))) {
			deliver_mailbox(self, item, to, pb_str_skip(target, 8));
		} else if (pb_str_starts(target, PB_STR("group/"))) {
			deliver_group(self, item, to, target);
		} else if (pb_str_starts(target, PB_STR("redirect/"))) {
			deliver_redirect(self, item, to, pb_str_skip(target, 9));
		} else {
			snprintf(reply, sizeof reply, "550 5.3.5 The address map leads to '%.*s', which is no target here", PB_FMT(pb_str_head(target, 100)));
			pb_failed(to, PB_NOSTR, reply);
		}
	}
	return 0;
}

static const struct pb_courier courier = { .deliver = deliver };
static const struct pb_agent agent = { .tick = tick };

static const struct pb_method methods[] = { { "quota.notify", quota_notify }, { "srs.decode", method_srs_decode }, { "srs.encode", method_srs_encode }, { 0 } };

PB_PLUGIN(conn_postoffice) = {
	PB_PLUGIN_HEAD("conn_postoffice"),
	.load = load,
	.start = start,
	.unload = unload,
	.courier = &courier,
	.agent = &agent,
	.methods = methods,
};
