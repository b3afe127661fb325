/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of agent_mta share: its state, and the two kinds of work.
 */
#ifndef AGENT_MTA_MTA_H
#define AGENT_MTA_MTA_H

#include <postbus/bus.h>
#include <postbus/plugin.h>
#include <postbus/queue.h>

struct mta {
	struct pb_host *host;
	int64_t max_hops, max_size;	/* 0: no limit */
};

/* A message in an inbound lane: guards, hooks, and each recipient to the connector that its address leads to. */
int route_message(struct mta *mta, struct pb_item *item, struct pb_error *err);
/* A report that is due: the DSN of it, or why there is none. */
int send_report(struct mta *mta, struct pb_item *item, struct pb_error *err);

#endif
