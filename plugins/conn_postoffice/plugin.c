/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * conn_postoffice: the courier of local mail. Its life, and which way each recipient goes.
 */
#include <stdio.h>
#include <stdlib.h>
#include "postoffice.h"

static int load(struct pb_host *host, void **ret_self, struct pb_error *err)
{
	struct postoffice *po = pb_alloc(sizeof *po);

	(void)err;
	po->host = host;
	po->junk = pb_config_str(host, "junk_folder");
	po->inboxes = inboxes_new(host, (size_t)pb_config_int(host, "open_mailboxes"));
	*ret_self = po;
	return 0;
}

static void unload(void *self)
{
	struct postoffice *po = self;

	if (!po)
		return;
	inboxes_free(po->inboxes);
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

PB_PLUGIN(conn_postoffice) = {
	PB_PLUGIN_HEAD("conn_postoffice"),
	.load = load,
	.unload = unload,
	.courier = &courier,
};
