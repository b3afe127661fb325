/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Delivery to a group: its members, in groups of groups too, become the recipients, each settled by itself from then on.
 */
#include <stdio.h>
#include "postoffice.h"

static int ask(void *arg, const char *method, const char *param, struct pb_str value, json_t **ret, struct pb_error *err)
{
	struct postoffice *po = arg;
	json_t *params = json_object();
	int rc;

	json_object_set_new(params, param, json_stringn(value.ptr, value.len));
	rc = pb_call(po->host, method, params, ret, err);
	json_decref(params);
	return rc;
}

static int resolve(void *arg, struct pb_str address, json_t **ret, struct pb_error *err)
{
	return ask(arg, "directory.resolve", "address", address, ret, err);
}

static int members(void *arg, struct pb_str target, json_t **ret, struct pb_error *err)
{
	return ask(arg, "directory.members", "target", target, ret, err);
}

static void settle_expansion(struct postoffice *po, struct pb_item *item, struct pb_recipient *to, struct pb_str target, const struct expansion *e)
{
	struct pb_error err = { 0 };
	const json_t *one;
	char why[80];
	size_t i;

	json_array_foreach(e->skipped, i, one)
		pb_item_note(item, "group.skipped", "%s", json_string_value(one));
	if (!json_array_size(e->addresses)) {
		pb_failed(to, PB_NOSTR, "550 5.2.4 The group has no members that mail can be delivered to");
		return;
	}
	if (send_on(po, item, to, target, NULL, e->addresses, &err)) {
		settle_fault(po, to, "expanding the group", &err);
		return;
	}
	pb_count(po->host, "expanded", 1);
	snprintf(why, sizeof why, "expanded to %zu members", json_array_size(e->addresses));
	pb_dropped(to, why);
}

void deliver_group(struct postoffice *po, struct pb_item *item, struct pb_recipient *to, struct pb_str target)
{
	struct resolver r = { resolve, members, po };
	struct expansion e = EXPANSION;
	struct pb_error err = { 0 };
	char reply[400];
	int rc;

	if (!may_come_in(po, item, to))
		return;
	/* Expansion is complete, so a message meets a group again only by way of a member who redirects to it: those have their copies. */
	if (was_sent_on(item, target)) {
		pb_dropped(to, "the group got it already");
		return;
	}
	rc = expand_group(&r, target, (size_t)pb_config_int(po->host, "group_members"), &e, &err);
	if (rc == PB_ENOTFOUND) {
		pb_failed(to, PB_NOSTR, "550 5.1.1 The group does not exist any more");
	} else if (rc == PB_ETOOBIG) {
		snprintf(reply, sizeof reply, "550 5.5.3 The group cannot be expanded: %s", err.text);
		pb_failed(to, PB_NOSTR, reply);
	} else if (rc) {
		settle_fault(po, to, "expanding the group", &err);
	} else {
		settle_expansion(po, item, to, target, &e);
	}
	expansion_clear(&e);
}
