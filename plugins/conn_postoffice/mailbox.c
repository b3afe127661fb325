/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Delivery into a mailbox: the copy, and the mailbox's own redirection. Groups and mapped addresses are group.c's and redirect.c's.
 */
#include <stdio.h>
#include <postbus/address.h>
#include <postbus/message.h>
#include "postoffice.h"

#define HEAD_MAX 2000

/* What stands before the body: RFC 5321 4.4 Return-Path, Delivered-To, and headers that hooks asked for as far as there is room. */
static void make_head(struct pb_buf *head, struct pb_item *item, const struct pb_rcpt *rcpt, const json_t *const *more, size_t nmore)
{
	const struct pb_envelope *env = pb_item_envelope(item);

	pb_buf_addz(head, "Return-Path: <");
	pb_buf_addstr(head, env->sender);
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
static bool ask_hooks(struct postoffice *po, struct pb_item *item, struct pb_recipient *to, const json_t *mailbox, struct pb_verdict *v)
{
	const struct pb_rcpt *rcpt = pb_recipient_rcpt(to);
	const struct pb_envelope *env = pb_item_envelope(item);
	struct pb_question q = { .point = "mailbox.delivering", .id = pb_strz(pb_item_id(item)), .envelope = env, .body = pb_item_body(item) };
	json_t *facts = json_object();
	char reply[400];

	json_object_set_new(facts, "sender", json_stringn(env->sender.len ? env->sender.ptr : "", env->sender.len));
	json_object_set_new(facts, "recipient", json_stringn(rcpt->address.ptr, rcpt->address.len));
	json_object_set(facts, "mailbox", json_object_get(mailbox, "mailbox"));
	json_object_set(facts, "postoffice", json_object_get(mailbox, "postoffice"));
	q.facts = facts;
	pb_ask(po->host, &q, v);
	json_decref(facts);
	switch (v->decision) {
	case PB_REJECT:
		snprintf(reply, sizeof reply, "%d %s %s", v->code ? v->code : 550, v->enhanced[0] ? v->enhanced : "5.7.1", v->text[0] ? v->text : "refused");
		pb_failed(to, PB_NOSTR, reply);
		return false;
	case PB_DEFER:
		snprintf(reply, sizeof reply, "%d %s %s", v->code ? v->code : 451, v->enhanced[0] ? v->enhanced : "4.7.1", v->text[0] ? v->text : "not now");
		pb_retry(to, 0, PB_NOSTR, reply);
		return false;
	case PB_DISCARD:
		pb_dropped(to, v->text[0] ? v->text : "discarded by a hook");
		return false;
	default:
		return true;
	}
}

/* Append to INBOX, or to the junk folder. */
static int append(struct postoffice *po, struct pb_item *item, struct pb_str id, struct pb_str head, bool junk, uint32_t *ret_uid, struct pb_error *err)
{
	PB_AUTOBUF(token);
	struct pb_append how = { 0 };
	struct pb_mailbox *mb;
	struct pb_folder *folder;
	struct inbox *box;
	int rc = PB_ENOTFOUND;

	pb_buf_addz(&token, pb_item_id(item));
	pb_buf_addc(&token, '/');
	pb_buf_addstr(&token, id);
	how.token = pb_buf_str(&token);
	if (junk && pb_mailbox_open(po->host, id, &mb, err) == 0) {
		rc = pb_folder_open(mb, po->junk, &folder, err);
		pb_mailbox_close(mb);
		if (rc == 0) {
			rc = pb_folder_deliver(folder, pb_item_body(item), head, &how, ret_uid, err);
			pb_folder_close(folder);
			return rc;
		}
	}
	/* A handle may have outlived its mailbox: once more with a new one. */
	for (int i = 0; i < 2; i++) {
		rc = inboxes_get(po->inboxes, id, &box, err);
		if (rc)
			return rc;
		rc = pb_folder_deliver(inbox_folder(box), pb_item_body(item), head, &how, ret_uid, err);
		if (rc != PB_ENOTFOUND) {
			inboxes_put(po->inboxes, box);
			return rc;
		}
		inboxes_drop(po->inboxes, box);
	}
	return rc;
}

static void tell(struct postoffice *po, struct pb_item *item, const struct pb_rcpt *rcpt, struct pb_str id, uint32_t uid)
{
	json_t *fact = json_object();

	json_object_set_new(fact, "id", json_string(pb_item_id(item)));
	json_object_set_new(fact, "recipient", json_stringn(rcpt->address.ptr, rcpt->address.len));
	json_object_set_new(fact, "mailbox", json_stringn(id.ptr, id.len));
	json_object_set_new(fact, "uid", json_integer(uid));
	pb_publish(po->host, "message.delivered", fact);
}

/* What became of the copy: settled by settle_copy, once everything else that belongs to this recipient is done. */
struct copy {
	int rc;
	uint32_t uid;
	struct pb_error err;
};

static void make_copy(struct postoffice *po, struct pb_item *item, struct pb_recipient *to, const json_t *mailbox, const struct pb_verdict *v, struct copy *copy)
{
	const json_t *notes = pb_item_envelope(item)->notes, *more[2] = { json_object_get(notes, "headers"), v->headers };
	bool junk = v->decision == PB_QUARANTINE || json_is_true(json_object_get(notes, "quarantine"));
	PB_AUTOBUF(head);

	make_head(&head, item, pb_recipient_rcpt(to), more, 2);
	copy->rc = append(po, item, text_of(mailbox, "mailbox"), pb_buf_str(&head), junk, &copy->uid, &copy->err);
}

/* Is there nothing left to try? */
static bool is_final(const struct copy *copy)
{
	return copy->rc == 0 || copy->rc == PB_EQUOTA || copy->rc == PB_ETOOBIG;
}

static void settle_copy(struct postoffice *po, struct pb_item *item, struct pb_recipient *to, const json_t *mailbox, const struct copy *copy)
{
	struct pb_str address = text_of(mailbox, "address");
	char reply[400];

	switch (copy->rc) {
	case 0:
		pb_delivered(to, PB_NOSTR, "250 2.1.5 delivered to mailbox");
		pb_count(po->host, "delivered", 1);
		tell(po, item, pb_recipient_rcpt(to), text_of(mailbox, "mailbox"), copy->uid);
		return;
	case PB_EQUOTA:
		pb_count(po->host, "over_quota", 1);
		snprintf(reply, sizeof reply, "552 5.2.2 The mailbox %.*s is full: the message does not fit into its quota", PB_FMT(address));
		pb_failed(to, PB_NOSTR, reply);
		return;
	case PB_EFULL:
		pb_retry(to, 0, PB_NOSTR, "452 4.3.1 the mail store has no room now");
		return;
	case PB_ETOOBIG:
		snprintf(reply, sizeof reply, "552 5.3.4 The message is too big for the mailbox %.*s", PB_FMT(address));
		pb_failed(to, PB_NOSTR, reply);
		return;
	default:
		settle_fault(po, to, "delivering", &copy->err);
	}
}

static void deliver_copy(struct postoffice *po, struct pb_item *item, struct pb_recipient *to, const json_t *mailbox, const struct pb_verdict *v)
{
	struct copy copy = { 0 };

	make_copy(po, item, to, mailbox, v, &copy);
	settle_copy(po, item, to, mailbox, &copy);
}

/* A mailbox that redirects: on it goes, with or without a copy. Where it has been here before, the copy is what is left to do, so that nothing is lost.
 * The copy comes first, since it can be tried again without a double; sending on happens in the settling that ends this recipient. */
static void deliver_onward(struct postoffice *po, struct pb_item *item, struct pb_recipient *to, const json_t *mailbox, const struct pb_verdict *v)
{
	struct pb_str id = text_of(mailbox, "mailbox");
	struct pb_error err = { 0 };
	struct copy copy = { 0 };
	bool keep = json_is_true(json_object_get(mailbox, "redirect_keep"));

	if (was_sent_on(item, id) || is_looping(item, pb_recipient_rcpt(to)->address)) {
		pb_item_note(item, "redirect.loop", "%.*s has sent it on before; it stays here", PB_FMT(text_of(mailbox, "address")));
		deliver_copy(po, item, to, mailbox, v);
		return;
	}
	if (keep)
		make_copy(po, item, to, mailbox, v, &copy);
	if (keep && !is_final(&copy)) {
		settle_copy(po, item, to, mailbox, &copy);
	} else if (send_on(item, to, id, json_object_get(mailbox, "redirect"), &err)) {
		settle_fault(po, to, "redirecting", &err);
	} else {
		pb_count(po->host, "redirected", 1);
		if (keep)
			settle_copy(po, item, to, mailbox, &copy);
		else
			pb_dropped(to, "redirected by the mailbox's settings");
	}
}

void deliver_mailbox(struct postoffice *po, struct pb_item *item, struct pb_recipient *to, struct pb_str id)
{
	json_t *params = json_object(), *mailbox = NULL;
	struct pb_verdict v = PB_VERDICT;
	struct pb_error err = { 0 };
	int rc;

	json_object_set_new(params, "mailbox", json_stringn(id.ptr, id.len));
	rc = pb_call(po->host, "directory.mailbox", params, &mailbox, &err);
	json_decref(params);
	if (rc == PB_ENOTFOUND)
		pb_failed(to, PB_NOSTR, "550 5.1.1 The mailbox does not exist any more");
	else if (rc)
		settle_fault(po, to, "asking the directory", &err);
	else if (!json_is_true(json_object_get(mailbox, "enabled")))
		pb_failed(to, PB_NOSTR, "550 5.2.1 The mailbox is disabled");
	else if (!pb_is_hooked(po->host, "mailbox.delivering") || ask_hooks(po, item, to, mailbox, &v)) {
		if (json_array_size(json_object_get(mailbox, "redirect")))
			deliver_onward(po, item, to, mailbox, &v);
		else
			deliver_copy(po, item, to, mailbox, &v);
	}
	pb_verdict_clear(&v);
	json_decref(mailbox);
}
