/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * agent_mta: moves messages from inbound lanes to outgoing ones, and makes the reports that are due. Its life, and which work an item is. Its own outgoing lane
 * is the bulk lane: what may wait goes there from the inbound lanes, and is worked on by workers of its own.
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
	pool_init(&mta->pool);
	pthread_mutex_init(&mta->releasing, NULL);
	*ret_self = mta;
	return 0;
}

static int start(void *self, struct pb_error *err)
{
	struct mta *mta = self;
	int rc = quarantine_open(mta, err);

	if (!rc)
		quarantine_sweep(mta);
	return rc;
}

static void unload(void *self)
{
	struct mta *mta = self;

	if (!mta)
		return;
	pb_table_close(mta->quarantine);
	pool_destroy(&mta->pool);
	pthread_mutex_destroy(&mta->releasing);
	free(mta);
}

static int process(void *self, struct pb_item *item, struct pb_error *err)
{
	return pb_item_kind(item) == PB_ITEM_MESSAGE ? route_message(self, item, false, err) : send_report(self, item, err);
}

static int deliver(void *self, struct pb_item *item, struct pb_error *err)
{
	return route_message(self, item, true, err);
}

static void tick(void *self)
{
	quarantine_sweep(self);
}

static int at_delete(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	(void)v;
	return quarantine_leave(self, q->facts, err);
}

static const struct pb_hook hooks[] = { { "domain.delete", at_delete }, { "postoffice.delete", at_delete }, { 0 } };
static const struct pb_agent agent = { .process = process, .tick = tick };
static const struct pb_courier bulk = { .deliver = deliver };

static const struct pb_method methods[] = {
	{ "quarantine.add", method_quarantine_add },
	{ "quarantine.list", method_quarantine_list },
	{ "quarantine.show", method_quarantine_show },
	{ "quarantine.release", method_quarantine_release },
	{ "quarantine.delete", method_quarantine_delete },
	{ 0 },
};

PB_PLUGIN(agent_mta) = {
	PB_PLUGIN_HEAD("agent_mta"),
	.load = load,
	.start = start,
	.unload = unload,
	.agent = &agent,
	.courier = &bulk,
	.hooks = hooks,
	.methods = methods,
};
