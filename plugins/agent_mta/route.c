/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From inbound lanes to outgoing ones: loop and size guards, the hooks at message.accepted, the directory's answer for each recipient, the server's filters.
 * Reports about what is refused here are made like all others, by report.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <postbus/address.h>
#include <postbus/message.h>
#include "mta.h"

void settle_all(struct pb_item *item, void (*settle)(struct pb_recipient *to, const char *text), const char *text)
{
	struct pb_recipient *to;

	while ((to = pb_item_next(item)) != NULL)
		settle(to, text);
	pb_item_rewind(item);
}

void fail_one(struct pb_recipient *to, const char *reply)
{
	pb_failed(to, PB_NOSTR, reply);
}

void retry_one(struct pb_recipient *to, const char *reply)
{
	pb_retry(to, 0, PB_NOSTR, reply);
}

/* 0: go on; 1: settled; below: an error. */
static bool is_too_late(struct mta *mta, struct pb_item *item)
{
	const struct pb_envelope *env = pb_item_envelope(item);
	int64_t most = pb_config_int(mta->host, "inbound_max") * PB_SECOND, entered = json_integer_value(json_object_get(env->notes, "entered")), waited;
	char reply[200];

	waited = pb_now(mta->host) - (entered ? entered : env->received);
	if (!most || waited < most)
		return false;
	pb_count(mta->host, "too_late", 1);
	pb_log(mta->host, PB_WARNING, "message.late", "id=%s lane=%s waited=%llds most=%llds", pb_item_id(item), pb_item_lane(item), (long long)(waited / PB_SECOND),
	       (long long)(most / PB_SECOND));
	snprintf(reply, sizeof reply, "550 5.4.7 The message has waited for %lld s in this server before it could be passed on, and %lld s are the most", (long long)(waited / PB_SECOND),
		 (long long)(most / PB_SECOND));
	settle_all(item, fail_one, reply);
	return true;
}

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
	if (is_too_late(mta, item))
		return 1;
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

/* By setting, or where the hook says so (the note hold), it is kept here; else it goes to the junk folder. */
static bool is_kept_back(struct mta *mta, struct pb_item *item, const struct pb_verdict *v)
{
	struct pb_subject about = { .id = pb_strz(pb_item_id(item)), .envelope = pb_item_envelope(item), .body = pb_item_body(item) };
	struct pb_error err = { 0 };

	if (v->decision != PB_QUARANTINE)
		return false;
	if (!json_is_true(json_object_get(v->notes, "hold")) && !pb_str_eq(pb_config_str(mta->host, "quarantine_verdict"), PB_STR("quarantine")))
		return false;
	if (quarantine_add(mta, &about, NULL, pb_strz(v->text[0] ? v->text : "a hook's verdict"), pb_strz(v->plugin), &err)) {
		pb_log(mta->host, PB_WARNING, "quarantine.fault", "id=%s error=%s", pb_item_id(item), pb_logq(pb_strz(err.text)));
		settle_all(item, retry_one, "451 4.3.0 it cannot be put into quarantine now");
	} else {
		settle_all(item, pb_dropped, "in quarantine");
	}
	return true;
}

/* What is kept in quarantine has lost those fields too: released, no hook sees it again. True: settled. */
static bool take_verdict(struct mta *mta, struct pb_item *item, const struct pb_verdict *v)
{
	struct pb_error err = { 0 };

	if (remove_fields(mta, item, v->notes, &err)) {
		pb_log(mta->host, PB_WARNING, "header.fault", "id=%s error=%s", pb_item_id(item), pb_logq(pb_strz(err.text)));
		settle_all(item, retry_one, "451 4.3.0 the message cannot be worked on now");
		return true;
	}
	if (is_kept_back(mta, item, v))
		return true;
	keep_notes(item, v);
	return false;
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

	if (!pb_is_hooked(mta->host, q.point) || json_object_get(env->notes, "released"))
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
		settled = take_verdict(mta, item, &v);
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

/* ---- where they go ---- */

static struct pb_arena *arena_of(struct passage *p)
{
	if (!p->arena)
		p->arena = pb_arena_new();
	return p->arena;
}

static struct pb_str domain_of(const struct pb_recipient *to)
{
	struct pb_str local, domain = PB_NOSTR;

	pb_address_split(pb_recipient_rcpt(to)->address, &local, &domain);
	return domain;
}

/* As the one before it, where the directory has said that this is the answer for all of that domain. */
static bool resolve_alike(struct passage *p, struct stop *s)
{
	const struct stop *before = s > p->stops ? s - 1 : NULL;
	PB_AUTOBUF(normal);

	if (!before || !json_is_true(json_object_get(before->route, "of_domain")) || !pb_str_ieq(domain_of(before->to), domain_of(s->to)) ||
	    pb_address_normal(&normal, pb_recipient_rcpt(s->to)->address, NULL))
		return false;
	s->route = json_incref(before->route);
	s->target = pb_arena_str(arena_of(p), pb_buf_str(&normal));
	return true;
}

static void resolve(struct passage *p, struct stop *s, struct pb_recipient *to)
{
	struct pb_str address = pb_recipient_rcpt(to)->address;
	struct pb_error why = { 0 };
	json_t *params;
	int rc;

	s->to = to;
	if (resolve_alike(p, s))
		return;
	params = json_object();
	if (json_object_set_new(params, "address", json_stringn(address.ptr, address.len)))	/* NULL: no UTF-8 */
		rc = pb_fail(&why, PB_EINVALID, "the address is no UTF-8");
	else
		rc = pb_call(p->mta->host, "directory.resolve", params, &s->route, &why);
	json_decref(params);
	if (!rc)
		return;
	s->error = pb_arena_alloc(arena_of(p), sizeof *s->error);
	*s->error = why;
}

static void resolve_all(struct passage *p)
{
	struct pb_recipient *to;

	p->stops = pb_alloc((pb_item_envelope(p->item)->nrcpts + 1) * sizeof *p->stops);
	while ((to = pb_item_next(p->item)) != NULL && p->n < pb_item_envelope(p->item)->nrcpts)
		resolve(p, &p->stops[p->n++], to);
	pb_item_rewind(p->item);
}

static void route_one(struct passage *p, struct stop *s)
{
	char connector[64];

	if (s->error) {
		settle_unresolved(p->mta, s->to, s->error->code, s->error);
		return;
	}
	snprintf(connector, sizeof connector, "%.*s", PB_FMT(pb_text_of(s->route, "connector")));
	pb_item_send(p->item, s->to, connector, pb_text_of(s->route, "destination"), s->target.len ? s->target : pb_text_of(s->route, "target"));
	pb_count(p->mta->host, "routed", 1);
}

static void passage_end(struct passage *p)
{
	for (size_t i = 0; i < p->n; i++)
		json_decref(p->stops[i].route);
	free(p->stops);
	pb_arena_free(p->arena);
}

/* ---- the bulk lane ---- */

static bool is_marked(struct pb_str header)
{
	static const char *const marks[] = { "bulk", "list", "junk" };
	struct pb_str value;

	if (pb_header_find(header, PB_STR("List-Id"), &value))
		return true;
	if (!pb_header_find(header, PB_STR("Precedence"), &value))
		return false;
	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
		if (pb_str_ieq(pb_str_trim(value), pb_strz(marks[i])))
			return true;
	return false;
}

static bool is_bulk(struct mta *mta, struct pb_item *item)
{
	struct pb_str head, rest;

	if (pb_item_envelope(item)->priority < 0)
		return true;
	if (!pb_config_bool(mta->host, "bulk_marked") || pb_item_envelope(item)->priority > 0 || pb_body_parts(pb_item_body(item), &head, &rest, NULL))
		return false;
	return is_marked(pb_str_head(rest, pb_header_size(rest)));
}

static void send_to_bulk(struct mta *mta, struct pb_item *item)
{
	struct pb_str connector = connector_of(item);
	struct pb_recipient *to;

	json_object_set_new(pb_item_envelope(item)->notes, "connector", json_stringn(connector.ptr, connector.len));
	while ((to = pb_item_next(item)) != NULL)
		pb_item_send(item, to, "agent_mta", PB_NOSTR, PB_STR("bulk"));
	pb_count(mta->host, "bulk", 1);
}

/* ---- all of it ---- */

/* 0: go on; 1: settled. */
static int decide(struct passage *p, struct pb_error *err)
{
	int rc = run_event(p, true, err);

	if (!rc)
		rc = filter_message(p, err);
	if (!rc)
		rc = run_event(p, false, err);
	if (!rc && !p->bulk && pb_item_envelope(p->item)->priority < 0) {
		send_to_bulk(p->mta, p->item);
		return 1;
	}
	return rc ? rc : office_message(p, err);
}

int route_message(struct mta *mta, struct pb_item *item, bool bulk, struct pb_error *err)
{
	struct passage p = { .mta = mta, .item = item, .bulk = bulk };
	int rc = guard(mta, item, err);

	if (rc)
		return rc < 0 ? rc : 0;
	if (!bulk && is_bulk(mta, item)) {
		send_to_bulk(mta, item);
		return 0;
	}
	if (json_object_get(pb_item_envelope(item)->notes, "quarantined"))
		pb_item_note(item, "quarantine.released", "it was %.*s", PB_FMT(pb_text_of(pb_item_envelope(item)->notes, "quarantined")));
	if (ask_hooks(mta, item))
		return 0;
	resolve_all(&p);
	rc = decide(&p, err);
	if (!rc)
		sign_message(&p);
	for (size_t i = 0; i < p.n && !rc; i++)
		route_one(&p, &p.stops[i]);
	passage_end(&p);
	return rc < 0 ? rc : 0;
}
