/* SPDX-License-Identifier: GPL-3.0-or-later */
/* conn_list: mailing lists. Its life, its courier, its table of methods. */
#include <stdio.h>
#include <postbus/address.h>
#include "bounce.h"
#include "campaign.h"
#include "digest.h"
#include "serve.h"

static int load(struct pb_host *host, void **ret_self, struct pb_error *err)
{
	struct lists *all = pb_alloc(sizeof *all);

	(void)err;
	all->host = host;
	pthread_mutex_init(&all->writing, NULL);
	pthread_rwlock_init(&all->tracking, NULL);
	pthread_mutex_init(&all->counting, NULL);
	pthread_mutex_init(&all->deciding, NULL);
	pthread_mutex_init(&all->digesting, NULL);
	*ret_self = all;
	return 0;
}

static void look_around(void *self, void *arg)
{
	static int (*const rounds[])(struct lists *all, struct pb_error *err) = { pending_tick, hold_tick, campaign_tick };
	struct lists *all = self;

	(void)arg;
	for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++) {
		struct pb_error why = { 0 };

		if (rounds[i](all, &why))
			pb_log(all->host, PB_WARNING, "list.tick", "error=%s", pb_logq(pb_strz(why.text)));
	}
}

static int start(void *self, struct pb_error *err)
{
	struct lists *all = self;
	int rc = pb_table_open(all->host, "lists", &all->rows, err);

	if (!rc)
		rc = pb_table_open(all->host, "members", &all->members, err);
	if (!rc)
		rc = pb_table_open(all->host, "probes", &all->probes, err);
	if (!rc)
		rc = pb_table_open(all->host, "pending", &all->pending, err);
	if (!rc)
		rc = pb_table_open(all->host, "counted", &all->counted, err);
	if (!rc)
		rc = pb_table_open(all->host, "held", &all->held, err);
	if (!rc)
		rc = pb_table_open(all->host, "counts", &all->counts, err);
	if (!rc)
		rc = pb_table_open(all->host, "campaigns", &all->campaigns, err);
	if (!rc)
		rc = pb_table_open(all->host, "results", &all->results, err);
	return rc ? rc : pb_work(all->host, look_around, NULL, err);	/* what a crash cut off is finished now */
}

static void unload(void *self)
{
	struct lists *all = self;

	if (!all)
		return;
	pb_table_close(all->rows);
	pb_table_close(all->members);
	pb_table_close(all->probes);
	pb_table_close(all->counts);
	pb_table_close(all->pending);
	pb_table_close(all->counted);
	pb_table_close(all->held);
	pb_table_close(all->campaigns);
	pb_table_close(all->results);
	pthread_mutex_destroy(&all->writing);
	pthread_rwlock_destroy(&all->tracking);
	pthread_mutex_destroy(&all->counting);
	pthread_mutex_destroy(&all->deciding);
	pthread_mutex_destroy(&all->digesting);
	free(all);
}

/* ---- mail to lists ---- */

static int to_owners(struct post *p, struct pb_error *err)
{
	int rc;

	if (!json_array_size(setting_list(p->list->settings, "owners"))) {
		pb_failed(p->to, PB_NOSTR, "550 5.2.0 This list has no owner");
		return 0;
	}
	rc = post_to_owners(p, err);
	if (!rc)
		pb_delivered(p->to, PB_NOSTR, "250 2.1.5 sent on to the owners");
	return rc;
}

static int through_door(struct post *p, const struct door *d, struct pb_error *err)
{
	switch (d->kind) {
	case DOOR_POST:
		return post_deliver(p, err);
	case DOOR_OWNER:
		return to_owners(p, err);
	case DOOR_BOUNCES:
		return bounce_deliver(p, err);
	case DOOR_PROBE:
		return probe_deliver(p, err);
	case DOOR_PART:
		return post_distribute_part(p, err);
	case DOOR_MODERATE:
		return moderate_deliver(p, d->rest, err);
	case DOOR_REQUEST:
	case DOOR_SUBSCRIBE:
	case DOOR_UNSUBSCRIBE:
	case DOOR_CONFIRM:
	case DOOR_HELP:
	case DOOR_WHO:
	case DOOR_GET:
	case DOOR_SET:
		return request_deliver(p, d, err);
	default:
		pb_failed(p->to, PB_NOSTR, "550 5.1.1 There is no such address of this list");
		return 0;
	}
}

static int deliver_one(struct lists *all, struct pb_item *item, struct pb_recipient *to, struct pb_error *err)
{
	const struct pb_rcpt *rcpt = pb_recipient_rcpt(to);
	struct pb_str local = PB_NOSTR, domain;
	struct post p = { .all = all, .item = item, .to = to };
	struct door door;
	struct list list;
	int rc = list_open(all, rcpt->target, &list, err);

	if (rc == PB_ENOTFOUND || rc == PB_EINVALID) {
		pb_failed(to, PB_NOSTR, "550 5.1.1 There is no such list");
		return 0;
	}
	if (rc)
		return rc;
	p.list = &list;
	pb_address_split(rcpt->address, &local, &domain);
	if (door_parse(&door, list.local, local)) {
		rc = through_door(&p, &door, err);
	} else {
		pb_failed(to, PB_NOSTR, "550 5.1.1 There is no such address of this list");
	}
	list_close(&list);
	return rc;
}

/* A fault with one of them is no reason to keep the others waiting: what is not settled is tried again. */
static int deliver(void *self, struct pb_item *item, struct pb_error *err)
{
	struct lists *all = self;
	struct pb_recipient *to;

	(void)err;
	while ((to = pb_item_next(item)) != NULL) {
		struct pb_error why = { 0 };

		if (!deliver_one(all, item, to, &why))
			continue;
		pb_log(all->host, PB_WARNING, "list.fault", "id=%s list=%s error=%s", pb_item_id(item), pb_logq(pb_recipient_rcpt(to)->target), pb_logq(pb_strz(why.text)));
		pb_retry(to, 0, PB_NOSTR, "451 4.3.0 the list cannot be served now");
	}
	return 0;
}

/* ---- now and then ---- */

static void tick(void *self)
{
	bounce_tick(self);
	look_around(self, NULL);
	digest_tick(self);
}

static const struct pb_courier courier = { .deliver = deliver };
static const struct pb_agent agent = { .tick = tick };
static const struct pb_hook hooks[] = { { "report.due", bounce_hook }, { 0 } };

static const struct pb_protocol *const protocols[] = { &one_click_protocol, NULL };

static const struct pb_method methods[] = {
	{ "list.create", method_list_create },
	{ "list.list", method_list_list },
	{ "list.show", method_list_show },
	{ "list.set", method_list_set },
	{ "list.unset", method_list_unset },
	{ "list.settings", method_list_settings },
	{ "list.password", method_list_password },
	{ "list.delete", method_list_delete },
	{ "list.bounces", method_list_bounces },
	{ "list.digest", method_list_digest },
	{ "list.results", method_list_results },
	{ "list.reader", method_list_reader },
	{ "list.member.add", method_member_add },
	{ "list.member.remove", method_member_remove },
	{ "list.member.list", method_member_list },
	{ "list.member.show", method_member_show },
	{ "list.member.set", method_member_set },
	{ "list.held", method_list_held },
	{ "list.moderate", method_list_moderate },
	{ "list.member.import", method_member_import },
	{ "list.member.export", method_member_export },
	{ 0 },
};

PB_PLUGIN(conn_list) = {
	PB_PLUGIN_HEAD("conn_list"),
	.load = load,
	.start = start,
	.unload = unload,
	.courier = &courier,
	.agent = &agent,
	.hooks = hooks,
	.protocols = protocols,
	.methods = methods,
};
