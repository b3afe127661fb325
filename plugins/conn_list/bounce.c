/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where bounces come from: mail to NAME-bounces and NAME-probe, and what this server's own queue gave up. */
#include <postbus/address.h>
#include "bounces/bounces.h"
#include "bounce.h"
#include "campaign.h"

static int drop(struct post *p, const char *why)
{
	pb_dropped(p->to, why);
	return 0;
}

/* Nobody understands it: a person may. */
static int to_owners(struct post *p, struct pb_error *err)
{
	int rc;

	if (!setting_flag(p->list->settings, "bounce_tell_owners") || !json_array_size(setting_list(p->list->settings, "owners")))
		return drop(p, "no bounce that is understood");
	rc = post_to_owners(p, err);
	return rc ? rc : drop(p, "no bounce that is understood: sent on to the owners");
}

/* token: of a campaign, where the return path has one. */
static int count_one(struct post *p, struct pb_str token, struct pb_str address, bool certain, const struct bounce *b, struct pb_error *err)
{
	struct pb_str reason = b->diagnostic.len ? b->diagnostic : b->status;
	int rc = bounce_count(p->all, p->list, address, bounce_weigh(b->diagnostic, b->status), reason, err);

	return rc && rc != PB_ENOTFOUND && rc != PB_EINVALID ? rc : campaign_bounced(p->all, p->list, token, address, certain, reason, err);
}

/* What stands behind the door of an address of the list. */
static struct pb_str behind_door(const struct post *p, struct pb_str address)
{
	struct pb_str local = PB_NOSTR, domain;
	struct door d;

	pb_address_split(address, &local, &domain);
	return door_parse(&d, p->list->local, local) ? d.rest : PB_NOSTR;
}

/* Whom a return path names is known for certain; else whom the text names, under either name. */
static int count_all(struct post *p, const struct bounces *found, struct pb_error *err)
{
	struct pb_str path = pb_recipient_rcpt(p->to)->address, token;
	PB_AUTOBUF(list);
	PB_AUTOBUF(member);
	int rc = 0;

	if (pb_verp_find(path, &list, &member))
		return count_one(p, behind_door(p, pb_buf_str(&list)), pb_buf_str(&member), true, &found->list[0], err);
	token = behind_door(p, path);
	for (size_t i = 0; i < found->n && !rc; i++) {
		const struct bounce *b = &found->list[i];

		if (b->kind != BOUNCE_FAILURE)
			continue;
		rc = count_one(p, token, b->address, false, b, err);
		if (!rc && b->alias.len)
			rc = count_one(p, token, b->alias, false, b, err);
	}
	return rc;
}

static int with_bounces(struct post *p, int (*use)(struct post *p, const struct bounces *found, struct pb_error *err), struct pb_error *err)
{
	struct pb_arena *arena;
	struct bounces found;
	int rc = post_read(p, err);

	if (!rc) {
		arena = pb_arena_new();
		bounces_find(&found, p->message, p->facts, arena);
		rc = use(p, &found, err);
		pb_arena_free(arena);
	}
	post_end(p);
	return rc;
}

static int take_bounce(struct post *p, const struct bounces *found, struct pb_error *err)
{
	int rc;

	if (found->kind == BOUNCE_DELAY)
		return drop(p, "it is still being tried");
	if (found->kind == BOUNCE_NONE || !found->n)
		return pb_item_envelope(p->item)->sender.len ? drop(p, "no bounce") : to_owners(p, err);
	rc = count_all(p, found, err);
	return rc ? rc : drop(p, "counted as a bounce");
}

int bounce_deliver(struct post *p, struct pb_error *err)
{
	return with_bounces(p, take_bounce, err);
}

/* ---- the probe ---- */

/* Whom the token names; PB_ENOTFOUND. */
static int probed(struct lists *all, const struct list *l, struct pb_str token, struct pb_buf *member, struct pb_error *err)
{
	PB_AUTOBUF(value);
	json_t *row;
	int rc = token.len ? pb_table_get(all->probes, token, &value, err) : PB_ENOTFOUND;

	if (rc)
		return rc;
	row = json_loadb(value.ptr, value.len, 0, NULL);
	if (!pb_str_eq(pb_text_of(row, "list"), l->address) || number_of(row, "until") < pb_now(all->host))
		rc = PB_ENOTFOUND;
	else
		pb_buf_addstr(member, pb_text_of(row, "member"));
	json_decref(row);
	return rc;
}

static int stop_probed(struct lists *all, const struct list *l, struct pb_str token, struct pb_str reason, struct pb_error *err)
{
	PB_AUTOBUF(member);
	int rc = probed(all, l, token, &member, err);

	if (!rc)
		rc = bounce_stop(all, l, pb_buf_str(&member), reason, err);
	if (!rc)
		rc = pb_table_apply(all->probes, &(struct pb_change){ PB_DELETE, token, PB_NOSTR }, 1, err);
	return rc == PB_ENOTFOUND ? 0 : rc;
}

static int take_probe(struct post *p, const struct bounces *found, struct pb_error *err)
{
	int rc;

	if (found->kind != BOUNCE_FAILURE || !found->n)
		return drop(p, "the probe was no failure");
	rc = stop_probed(p->all, p->list, behind_door(p, pb_recipient_rcpt(p->to)->address), found->list[0].diagnostic, err);
	return rc ? rc : drop(p, "the probe bounced");
}

int probe_deliver(struct post *p, struct pb_error *err)
{
	return with_bounces(p, take_probe, err);
}

/* ---- the queue of this server ---- */

static int count_recipients(struct lists *all, const struct list *l, const struct pb_question *q, struct pb_error *err)
{
	struct pb_str token = pb_text_of(q->envelope->notes, "list_probe");
	json_t *one;
	size_t i;
	int rc = 0;

	json_array_foreach (json_object_get(q->facts, "recipients"), i, one) {
		struct pb_str reason = pb_text_of(one, "reason");

		if (token.len)
			rc = stop_probed(all, l, token, reason, err);
		else
			rc = bounce_count(all, l, pb_text_of(one, "address"), bounce_weigh(reason, PB_NOSTR), reason, err);
		if (rc && rc != PB_ENOTFOUND && rc != PB_EINVALID)
			return rc;
	}
	return 0;
}

int bounce_hook(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	struct lists *all = self;
	struct pb_str address = q->envelope ? pb_text_of(q->envelope->notes, "list") : PB_NOSTR;
	struct list l;
	int rc;

	if (!address.len)
		return 0;
	rc = list_open(all, address, &l, err);
	if (rc == PB_ENOTFOUND) {	/* it was deleted meanwhile: nobody wants to know */
		pb_verdict_set(v, PB_DISCARD, 0, NULL, "the list is gone");
		return 0;
	}
	if (rc)
		return rc;
	rc = campaign_take(all, &l, q, err);
	if (!rc && pb_str_eq(pb_text_of(q->facts, "kind"), PB_STR("failed")))
		rc = count_recipients(all, &l, q, err);
	list_close(&l);
	if (!rc)
		pb_verdict_set(v, PB_DISCARD, 0, NULL, "taken up by the list");
	return rc;
}
