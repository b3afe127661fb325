/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reports: which recipients' fate the sender is told, by RFC 3461's NOTIFY. Leaves the words of the report to an agent. */
#include <stdio.h>
#include "kernel/queue/private.h"
#include "kernel/store/timeline.h"

/* Reports are about messages. Whether anybody hears that one without a sender failed is for whoever makes reports to say. */
static bool may_report(const struct pb_item *item, enum outcome outcome)
{
	return item->row.kind == PB_ITEM_MESSAGE && (item->env.sender.len > 0 || outcome == FAILED) && item->want != WANT_DELETE;
}

static bool wants(const struct pb_recipient *to, unsigned what)
{
	unsigned notify = to->was.rcpt.notify ? to->was.rcpt.notify : PB_NOTIFY_FAILURE | PB_NOTIFY_DELAY;

	return !(notify & PB_NOTIFY_NEVER) && (notify & what);
}

void report_decide(struct pb_item *item, int64_t now)
{
	bool late = item->row.kind == PB_ITEM_MESSAGE && now - item->row.env.received >= item->consumer->notice;

	for (size_t i = 0; i < item->n; i++) {
		struct pb_recipient *to = &item->to[i];

		to->report = -1;
		if (!to->in_hand || !may_report(item, to->outcome))
			continue;
		if (to->outcome == FAILED && (!item->env.sender.len || wants(to, PB_NOTIFY_FAILURE)))
			to->report = REPORT_FAILED;
		else if (to->outcome == DELIVERED && wants(to, PB_NOTIFY_SUCCESS))
			to->report = REPORT_DELIVERED;
		else if (to->outcome == RELAYED && wants(to, PB_NOTIFY_SUCCESS))
			to->report = REPORT_RELAYED;
		else if (to->outcome == RETRY && late && !to->was.noticed && wants(to, PB_NOTIFY_DELAY))
			to->report = REPORT_DELAYED;
		if (to->outcome == RETRY && late)
			to->was.noticed = true;
	}
}

static struct lane *reports_lane(struct pb_item *item)
{
	const struct lane *lane = item->entry->lane;
	const char *dot = strrchr(lane->name, '.');
	char name[LANE_MAX + 16];
	struct lane *reports;

	snprintf(name, sizeof name, "%.*s.reports", dot ? (int)(dot - lane->name) : (int)lane->len, lane->name);
	pthread_mutex_lock(&item->q->lock);
	reports = lane_get(item->q, pb_strz(name));
	pthread_mutex_unlock(&item->q->lock);
	return reports;
}

/* The action (RFC 3464 2.3.3) goes into the notes, since a success is "delivered" or "relayed", and so does until when it is tried. */
static void write_report(struct pb_item *item, struct batch *b, struct lane *lane, enum report which)
{
	static const enum pb_item_kind kinds[] = { PB_ITEM_FAILURE, PB_ITEM_SUCCESS, PB_ITEM_SUCCESS, PB_ITEM_DELAY };
	static const char *const actions[] = { "failed", "delivered", "relayed", "delayed" };
	struct row head = { .kind = kinds[which], .destination = "", .body = item->row.body };
	struct rows_writer w;

	json_object_set_new(item->env.notes, "action", json_string(actions[which]));
	json_object_set_new(item->env.notes, "expires", json_integer(host_item_expires(item)));
	rows_begin(&w, b, lane, STATE_ACTIVE, item->entry->id, &head, &item->env, queue_id_time(pb_strz(item->entry->id)));
	for (size_t i = 0; i < item->n; i++)
		if (item->to[i].report == (int)which) {
			struct rcpt_state to = item->to[i].was;

			to.due = 0;
			rows_add(&w, &to);
		}
	rows_end(&w, NULL);
	json_object_del(item->env.notes, "action");
	json_object_del(item->env.notes, "expires");
}

void report_build(struct pb_item *item, struct batch *b)
{
	unsigned which = 0;
	struct lane *lane;

	for (size_t i = 0; i < item->n; i++)
		if (item->to[i].report >= 0)
			which |= 1u << item->to[i].report;
	if (!which || !(lane = reports_lane(item)))
		return;
	for (enum report r = 0; r < REPORTS; r++)
		if (which & 1u << r)
			write_report(item, b, lane, r);
}
