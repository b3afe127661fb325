/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From inbound lanes to outgoing ones: loop and size guards, the hooks at message.accepted, the directory's answer for each recipient.
 * The body is never touched; reports about what is refused here are made like all others, by report.c.
 */
#include <stdio.h>
#include <postbus/message.h>
#include "mta.h"

static struct pb_str text_of(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_string(v) ? pb_str(json_string_value(v), json_string_length(v)) : PB_NOSTR;
}

static void settle_all(struct pb_item *item, void (*settle)(struct pb_recipient *to, const char *text), const char *text)
{
	struct pb_recipient *to;

	while ((to = pb_item_next(item)) != NULL)
		settle(to, text);
	pb_item_rewind(item);
}

static void fail_one(struct pb_recipient *to, const char *reply)
{
	pb_failed(to, PB_NOSTR, reply);
}

static void retry_one(struct pb_recipient *to, const char *reply)
{
	pb_retry(to, 0, PB_NOSTR, reply);
}

/* 0: go on; 1: settled; below: an error. */
static int guard(struct mta *mta, struct pb_item *item, struct pb_error *err)
{
	uint64_t size = pb_body_size(pb_item_body(item));
	int64_t hops = json_integer_value(json_object_get(pb_item_envelope(item)->notes, "hops"));
	struct pb_str head, rest;
	char reply[160];
	int rc;

	if (mta->max_size && size > (uint64_t)mta->max_size) {
		snprintf(reply, sizeof reply, "552 5.3.4 The message has %llu bytes, more than the %lld that are allowed", (unsigned long long)size, (long long)mta->max_size);
		settle_all(item, fail_one, reply);
		return 1;
	}
	rc = pb_body_parts(pb_item_body(item), &head, &rest, err);
	if (rc)
		return rc;
	hops += pb_header_count(pb_str_head(rest, pb_header_size(rest)), PB_STR("Received"));
	if (hops <= mta->max_hops)
		return 0;
	pb_count(mta->host, "loops", 1);
	pb_log(mta->host, PB_WARNING, "message.loop", "id=%s hops=%lld", pb_item_id(item), (long long)hops);
	snprintf(reply, sizeof reply, "554 5.4.6 The message has gone through %lld hops; it goes in a circle", (long long)hops);
	settle_all(item, fail_one, reply);
	return 1;
}

/* What hooks want later stages to know goes on in the envelope's notes: quarantine, and headers for those who put headers before a body. */
static void keep_notes(struct pb_item *item, const struct pb_verdict *v)
{
	json_t *notes = pb_item_envelope(item)->notes;

	if (v->notes)
		json_object_update(notes, v->notes);
	if (v->headers)
		json_object_set(notes, "headers", v->headers);
	if (v->decision == PB_QUARANTINE)
		json_object_set_new(notes, "quarantine", json_true());
}

/* True: settled by a hook's verdict. */
static bool ask_hooks(struct mta *mta, struct pb_item *item)
{
	const struct pb_envelope *env = pb_item_envelope(item);
	struct pb_question q = { .point = "message.accepted", .id = pb_strz(pb_item_id(item)), .envelope = env, .body = pb_item_body(item) };
	struct pb_verdict v = PB_VERDICT;
	char reply[400];
	bool settled = true;
	json_t *facts;

	if (!pb_is_hooked(mta->host, q.point))
		return false;
	facts = json_object();
	json_object_set_new(facts, "sender", json_stringn(env->sender.len ? env->sender.ptr : "", env->sender.len));
	json_object_set_new(facts, "lane", json_string(pb_item_lane(item)));
	json_object_set_new(facts, "size", json_integer((json_int_t)pb_body_size(pb_item_body(item))));
	q.facts = facts;
	pb_ask(mta->host, &q, &v);
	json_decref(facts);
	switch (v.decision) {
	case PB_REJECT:
		snprintf(reply, sizeof reply, "%d %s %s", v.code ? v.code : 550, v.enhanced[0] ? v.enhanced : "5.7.1", v.text[0] ? v.text : "refused");
		settle_all(item, fail_one, reply);
		break;
	case PB_DEFER:
		snprintf(reply, sizeof reply, "%d %s %s", v.code ? v.code : 451, v.enhanced[0] ? v.enhanced : "4.7.1", v.text[0] ? v.text : "not now");
		settle_all(item, retry_one, reply);
		break;
	case PB_DISCARD:
		settle_all(item, pb_dropped, v.text[0] ? v.text : "discarded by a hook");
		break;
	default:
		keep_notes(item, &v);
		settled = false;
	}
	pb_verdict_clear(&v);
	return settled;
}

static void settle_unresolved(struct mta *mta, struct pb_recipient *to, int rc, const struct pb_error *why)
{
	struct pb_str address = pb_str_head(pb_recipient_rcpt(to)->address, 254);
	char reply[600];

	switch (rc) {
	case PB_ENOTFOUND:
		snprintf(reply, sizeof reply, "550 5.1.1 <%.*s>: no such address here", PB_FMT(address));
		pb_failed(to, PB_NOSTR, reply);
		return;
	case PB_EDENIED:
		snprintf(reply, sizeof reply, "550 5.2.1 <%.*s>: the mailbox is disabled", PB_FMT(address));
		pb_failed(to, PB_NOSTR, reply);
		return;
	case PB_EINVALID:
		snprintf(reply, sizeof reply, "553 5.1.3 <%.*s>: %s", PB_FMT(address), why->text);
		pb_failed(to, PB_NOSTR, reply);
		return;
	default:
		pb_log(mta->host, PB_WARNING, "resolve.failed", "recipient=%s error=%s", pb_logq(address), pb_logq(pb_strz(why->text)));
		pb_retry(to, 0, PB_NOSTR, "451 4.3.0 the directory cannot be asked now");
	}
}

static void route_one(struct mta *mta, struct pb_item *item, struct pb_recipient *to)
{
	struct pb_str address = pb_recipient_rcpt(to)->address;
	json_t *params = json_object(), *route = NULL;
	struct pb_error why = { 0 };
	char connector[64];
	int rc;

	if (json_object_set_new(params, "address", json_stringn(address.ptr, address.len)))	/* NULL: no UTF-8 */
		rc = pb_fail(&why, PB_EINVALID, "the address is no UTF-8");
	else
		rc = pb_call(mta->host, "directory.resolve", params, &route, &why);
	json_decref(params);
	if (rc) {
		settle_unresolved(mta, to, rc, &why);
		return;
	}
	snprintf(connector, sizeof connector, "%.*s", PB_FMT(text_of(route, "connector")));
	pb_item_send(item, to, connector, text_of(route, "destination"), text_of(route, "target"));
	pb_count(mta->host, "routed", 1);
	json_decref(route);
}

int route_message(struct mta *mta, struct pb_item *item, struct pb_error *err)
{
	struct pb_recipient *to;
	int rc = guard(mta, item, err);

	if (rc)
		return rc < 0 ? rc : 0;
	if (ask_hooks(mta, item))
		return 0;
	while ((to = pb_item_next(item)) != NULL)
		route_one(mta, item, to);
	return 0;
}
