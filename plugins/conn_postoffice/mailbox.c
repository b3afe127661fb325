/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Delivery into a mailbox: the copy, and the mailbox's own redirection. Groups and mapped addresses are group.c's and redirect.c's.
 */
#include <stdio.h>
#include <postbus/address.h>
#include <postbus/message.h>
#include "event.h"
#include "postoffice.h"

#define HEAD_MAX 2000

/* What stands before the body: RFC 5321 4.4 Return-Path, Delivered-To, and headers that hooks asked for as far as there is room. */
static void make_head(struct pb_buf *head, struct pb_item *item, const struct pb_rcpt *rcpt, const json_t *const *more, size_t nmore)
{
	const struct pb_envelope *env = pb_item_envelope(item);

	pb_buf_addz(head, "Return-Path: <");
	pb_envelope_sender_for(env, rcpt, head);
	pb_buf_addz(head, ">\r\nDelivered-To: ");
	pb_buf_addstr(head, rcpt->address);
	pb_buf_addz(head, "\r\n");
	for (size_t i = 0; i < nmore; i++) {
		const json_t *line;
		size_t k;

		json_array_foreach(more[i], k, line) {
			struct pb_str text = pb_str(json_string_value(line), json_string_length(line));

			if (!text.len || head->len + text.len + 2 > HEAD_MAX || memchr(text.ptr, '\r', text.len) || memchr(text.ptr, '\n', text.len))
				continue;
			pb_buf_addstr(head, text);
			pb_buf_addz(head, "\r\n");
		}
	}
}

/* Is this address named by a Delivered-To of the message itself? Then it went out of here and came back. */
static bool is_looping(struct pb_item *item, struct pb_str address)
{
	struct pb_str head, rest;
	struct pb_field field;
	PB_AUTOBUF(mine);
	bool looping = false;

	if (pb_body_parts(pb_item_body(item), &head, &rest, NULL) || pb_address_key(&mine, address, NULL))
		return false;
	rest = pb_str_head(rest, 65536);
	for (unsigned n = 0; n < 200 && !looping && pb_header_next(&rest, &field); n++) {
		PB_AUTOBUF(theirs);

		if (pb_str_ieq(field.name, PB_STR("Delivered-To")) && field.value.len < 400 && pb_address_key(&theirs, pb_str_trim(field.value), NULL) == 0)
			looping = pb_str_eq(pb_buf_str(&mine), pb_buf_str(&theirs));
	}
	return looping;
}

/* Asks the hooks; false when their verdict settled the recipient. */
static bool ask_hooks(struct delivery *d)
{
	const struct pb_rcpt *rcpt = pb_recipient_rcpt(d->to);
	const struct pb_envelope *env = pb_item_envelope(d->item);
	struct pb_question q = { .point = "mailbox.delivering", .id = pb_strz(pb_item_id(d->item)), .envelope = env, .body = pb_item_body(d->item) };
	struct pb_verdict *v = &d->verdict;
	char reply[400];
	json_t *facts;

	if (!pb_is_hooked(d->po->host, q.point))
		return true;
	facts = json_object();
	json_object_set_new(facts, "sender", json_stringn(env->sender.len ? env->sender.ptr : "", env->sender.len));
	json_object_set_new(facts, "recipient", json_stringn(rcpt->address.ptr, rcpt->address.len));
	json_object_set(facts, "mailbox", json_object_get(d->mailbox, "mailbox"));
	json_object_set(facts, "postoffice", json_object_get(d->mailbox, "postoffice"));
	q.facts = facts;
	pb_ask(d->po->host, &q, v);
	json_decref(facts);
	switch (v->decision) {
	case PB_REJECT:
		snprintf(reply, sizeof reply, "%d %s %s", v->code ? v->code : 550, v->enhanced[0] ? v->enhanced : "5.7.1", v->text[0] ? v->text : "refused");
		pb_failed(d->to, PB_NOSTR, reply);
		return false;
	case PB_DEFER:
		snprintf(reply, sizeof reply, "%d %s %s", v->code ? v->code : 451, v->enhanced[0] ? v->enhanced : "4.7.1", v->text[0] ? v->text : "not now");
		pb_retry(d->to, 0, PB_NOSTR, reply);
		return false;
	case PB_DISCARD:
		pb_dropped(d->to, v->text[0] ? v->text : "discarded by a hook");
		return false;
	default:
		return true;
	}
}

static void tell(const struct delivery *d, uint32_t uid)
{
	const struct pb_rcpt *rcpt = pb_recipient_rcpt(d->to);
	json_t *fact = json_object();

	json_object_set_new(fact, "id", json_string(pb_item_id(d->item)));
	json_object_set_new(fact, "recipient", json_stringn(rcpt->address.ptr, rcpt->address.len));
	json_object_set_new(fact, "mailbox", json_stringn(d->id.ptr, d->id.len));
	json_object_set_new(fact, "uid", json_integer(uid));
	pb_publish(d->po->host, "message.delivered", fact);
}

/* ---- the copies ---- */

/* What became of the copies: the first that failed counts. Settled by settle_copies, once everything else that belongs to this recipient is done. */
struct copies {
	int rc;
	uint32_t uid;
	struct pb_error err;
};

/* A hook's or the MTA's word, or a spam score that the mailbox's setting does not bear. Known before filters run, so that they may decide otherwise. */
static bool is_junk(const struct delivery *d)
{
	const json_t *notes = pb_item_envelope(d->item)->notes;
	json_int_t most = json_integer_value(json_object_get(json_object_get(d->mailbox, "policy"), "junk_score"));
	double score;

	return d->verdict.decision == PB_QUARANTINE || json_is_true(json_object_get(notes, "quarantine")) || json_is_true(json_object_get(notes, "spam")) ||
	       (most && pb_envelope_spam_score(pb_item_envelope(d->item), &score) && score * 10 >= (double)most);
}

static void make_copies(struct delivery *d, struct copies *c)
{
	const json_t *more[2] = { json_object_get(pb_item_envelope(d->item)->notes, "headers"), d->verdict.headers };

	make_head(&d->head, d->item, pb_recipient_rcpt(d->to), more, 2);
	for (size_t i = 0; i < d->nplaces && !c->rc; i++) {
		take_version(d, d->places[i].version);
		c->rc = place_copy(d, &d->places[i], &c->uid, &c->err);
	}
	take_version(d, d->version);
}

/* Is there nothing left to try? */
static bool is_final(const struct copies *c)
{
	return c->rc == 0 || c->rc == PB_EQUOTA || c->rc == PB_ETOOBIG;
}

static void settle_copies(struct delivery *d, const struct copies *c)
{
	char reply[400];

	switch (c->rc) {
	case 0:
		pb_delivered(d->to, PB_NOSTR, "250 2.1.5 delivered to mailbox");
		pb_count(d->po->host, "delivered", 1);
		tell(d, c->uid);
		event_delivered(d, c->uid);
		return;
	case PB_EQUOTA:
		settle_full(d);
		return;
	case PB_EFULL:
		pb_retry(d->to, 0, PB_NOSTR, "452 4.3.1 the mail store has no room now");
		return;
	case PB_ETOOBIG:
		snprintf(reply, sizeof reply, "552 5.3.4 The message is too big for the mailbox %.*s", PB_FMT(d->address));
		pb_failed(d->to, PB_NOSTR, reply);
		return;
	default:
		settle_fault(d->po, d->to, "delivering", &c->err);
	}
}

/* ---- what is decided ---- */

static bool is_own(const struct place *place)
{
	return place->kept || (!place->folder.len && !place->special_use);
}

/* The mailbox's own redirection takes the place of its INBOX, or stands beside it. Where the message has been sent on from here before, nothing is sent on
 * again, and the copy is what is left to do, so that nothing is lost. */
static void take_redirect(struct delivery *d, bool looping, json_t **ret_action)
{
	const json_t *addresses = json_object_get(d->mailbox, "redirect");
	size_t own = 0, n = 0;

	for (size_t i = 0; i < d->nplaces; i++)
		own += is_own(&d->places[i]);
	if (!json_array_size(addresses) || !own || looping)
		return;
	*ret_action = json_pack("{s:s, s:O}", "do", "redirect_all", "addresses", addresses);
	if (d->nsends < PLACES_MAX)
		d->sends[d->nsends++] = *ret_action;
	if (json_is_true(json_object_get(d->mailbox, "redirect_keep")))
		return;
	for (size_t i = 0; i < d->nplaces; i++)
		if (!is_own(&d->places[i]))
			d->places[n++] = d->places[i];
	d->nplaces = n;
	d->dropped = "redirected by the mailbox's settings";
}

static void drop_redirects(struct delivery *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->nsends; i++)
		if (strcmp(json_string_value(json_object_get(d->sends[i], "do")), "redirect"))
			d->sends[n++] = d->sends[i];
	if (n < d->nsends && !d->nplaces)
		d->places[d->nplaces++] = (struct place){ .version = d->version };
	d->nsends = n;
}

/* Copies come first, since they can be tried again without a double; sending happens in the settling that ends this recipient. */
static void carry_out(struct delivery *d)
{
	struct copies c = { 0 };
	struct pb_error err = { 0 };

	make_copies(d, &c);
	if (!is_final(&c))
		settle_copies(d, &c);
	else if (send_all(d, &err))
		settle_fault(d->po, d->to, "sending on", &err);
	else if (d->reply[0])
		pb_failed(d->to, PB_NOSTR, d->reply);
	else if (d->nplaces)
		settle_copies(d, &c);
	else
		pb_dropped(d->to, d->dropped ? d->dropped : "nothing was left to do");
}

static void decide(struct delivery *d)
{
	struct pb_error err = { 0 };
	json_t *redirect = NULL;
	bool looping = false;

	d->junk = is_junk(d) && !is_archive_copy(d->item);
	if (filter_delivery(d, &err)) {
		settle_fault(d->po, d->to, "filtering", &err);
		return;
	}
	if (d->nsends || json_array_size(json_object_get(d->mailbox, "redirect")))
		looping = was_sent_on(d->item, d->id) || is_looping(d->item, pb_recipient_rcpt(d->to)->address);
	if (looping) {
		pb_item_note(d->item, "redirect.loop", "%.*s has sent it on before; it stays here", PB_FMT(d->address));
		drop_redirects(d);
	}
	take_redirect(d, looping, &redirect);
	carry_out(d);
	json_decref(redirect);
}

void deliver_mailbox(struct postoffice *po, struct pb_item *item, struct pb_recipient *to, struct pb_str id)
{
	struct delivery d = { .po = po, .item = item, .to = to, .verdict = PB_VERDICT };
	json_t *params = json_object(), *mailbox = NULL;
	struct pb_error err = { 0 };
	int rc;

	json_object_set_new(params, "mailbox", json_stringn(id.ptr, id.len));
	rc = pb_call(po->host, "directory.mailbox", params, &mailbox, &err);
	json_decref(params);
	d.mailbox = mailbox;
	d.id = pb_text_of(mailbox, "mailbox");
	d.address = pb_text_of(mailbox, "address");
	if (rc == PB_ENOTFOUND)
		pb_failed(to, PB_NOSTR, "550 5.1.1 The mailbox does not exist any more");
	else if (rc)
		settle_fault(po, to, "asking the directory", &err);
	else if (!json_is_true(json_object_get(mailbox, "enabled")))
		pb_failed(to, PB_NOSTR, "550 5.2.1 The mailbox is disabled");
	else if (mailbox_is_open(po, item, to, mailbox) && ask_hooks(&d))
		decide(&d);
	pb_verdict_clear(&d.verdict);
	pb_subject_clear(&d.about);
	pb_buf_free(&d.head);
	json_decref(d.filtered);
	json_decref(mailbox);
}
