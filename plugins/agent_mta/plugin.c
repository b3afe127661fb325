/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * agent_mta: moves messages from inbound lanes to outgoing ones, and makes the reports that are due. Its life, and which work an item is.
 */
#include <stdlib.h>
#include "mta.h"

static int load(struct pb_host *host, void **ret_self, struct pb_error *err)
{
	struct mta *mta = pb_alloc(sizeof *mta);

	(void)err;
	mta->host = host;
	mta->max_hops = pb_config_int(host, "max_hops");
	mta->max_size = pb_config_int(host, "max_size");
	*ret_self = mta;
	return 0;
}

static void unload(void *self)
{
	free(self);
}

static int process(void *self, struct pb_item *item, struct pb_error *err)
{
	return pb_item_kind(item) == PB_ITEM_MESSAGE ? route_message(self, item, err) : send_report(self, item, err);
}

static const struct pb_agent agent = { .process = process };

PB_PLUGIN(agent_mta) = {
	PB_PLUGIN_HEAD("agent_mta"),
	.load = load,
	.unload = unload,
	.agent = &agent,
};
