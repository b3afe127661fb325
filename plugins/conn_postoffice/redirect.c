/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sending on: the same body to other addresses, through the inbound lane again, with what is needed to notice loops and doubles.
 */
#include <stdio.h>
#include <postbus/address.h>
#include "postoffice.h"

bool was_sent_on(struct pb_item *item, struct pb_str from)
{
	const json_t *list = json_object_get(pb_item_envelope(item)->notes, "redirected"), *one;
	size_t i;

	json_array_foreach(list, i, one)
		if (pb_str_eq(pb_str(json_string_value(one), json_string_length(one)), from))
			return true;
	return false;
}

void settle_fault(struct postoffice *po, struct pb_recipient *to, const char *doing, const struct pb_error *err)
{
	char reply[400];

	snprintf(reply, sizeof reply, "451 4.3.0 %s failed; it is tried again", doing);
	pb_log(po->host, PB_WARNING, "delivery.fault", "recipient=%s doing=%s error=%s", pb_logq(pb_recipient_rcpt(to)->address), pb_logq(pb_strz(doing)), pb_logq(pb_strz(err->text)));
	pb_retry(to, 0, PB_NOSTR, reply);
}

struct pb_envelope *sent_on_envelope(struct pb_item *item, struct pb_str from)
{
	struct pb_envelope *env = pb_envelope_dup(pb_item_envelope(item), false);
	json_t *passed = json_copy(json_object_get(env->notes, "redirected"));

	if (!passed)
		passed = json_array();
	json_array_append_new(passed, json_stringn(from.ptr, from.len));
	json_object_set_new(env->notes, "redirected", passed);
	return env;
}

struct pb_rcpt *sent_on_rcpt(struct pb_envelope *env, struct pb_recipient *to, struct pb_str address)
{
	const struct pb_rcpt *was = pb_recipient_rcpt(to);
	struct pb_rcpt *next = pb_envelope_rcpt(env, address);
	PB_AUTOBUF(original);

	if (was->orcpt.len) {
		next->orcpt = pb_envelope_copy(env, was->orcpt);
	} else {	/* RFC 3461 5.2.7: who was meant at first stays known */
		pb_buf_addz(&original, "rfc822;");
		pb_buf_addstr(&original, was->address);
		next->orcpt = pb_envelope_copy(env, pb_buf_str(&original));
	}
	next->notify = was->notify;
	return next;
}

/* ---- the sender (srs.h) ---- */

static struct pb_str domain_of(struct pb_str address)
{
	struct pb_str local, domain;

	return pb_address_split(address, &local, &domain) ? domain : PB_NOSTR;
}

/* Is this domain one of ours? With its settings, where ret_policy is given: a new reference. */
static bool is_ours(struct postoffice *po, struct pb_str domain, json_t **ret_policy)
{
	json_t *params = json_pack("{s:s%}", "domain", domain.ptr, domain.len), *found = NULL;
	bool ours = params && pb_call(po->host, "directory.domain", params, &found, NULL) == 0;

	if (ours && ret_policy)
		*ret_policy = json_incref(json_object_get(found, "policy"));
	json_decref(params);
	json_decref(found);
	return ours;
}

static bool is_remote(struct postoffice *po, struct pb_str address)
{
	json_t *params = json_pack("{s:s%}", "address", address.ptr, address.len), *route = NULL;
	bool remote = params && pb_call(po->host, "directory.resolve", params, &route, NULL) == 0 && json_is_false(json_object_get(route, "local"));

	json_decref(params);
	json_decref(route);
	return remote;
}

static bool wants_srs(const json_t *policy)
{
	return pb_str_eq(pb_text_of(policy, "redirect_sender"), PB_STR("srs"));
}

/* Appends the sender that is ours; nothing where it stays as it is. */
static int sender_of_ours(struct postoffice *po, struct pb_str sender, struct pb_str recipient, const json_t *policy, struct pb_str next, struct pb_buf *out, struct pb_error *err)
{
	struct pb_str domain = domain_of(recipient);
	json_t *of_domain = NULL;
	bool ours = sender.len && domain.len && is_remote(po, next) && !is_ours(po, domain_of(sender), NULL) && is_ours(po, domain, &of_domain);
	int rc = ours && wants_srs(policy ? policy : of_domain) ? sender_rewrite(po, sender, domain, out, err) : 0;

	json_decref(of_domain);
	return rc;
}

int rewrite_sender(struct postoffice *po, struct pb_recipient *to, const json_t *policy, struct pb_str next, struct pb_envelope *env, struct pb_error *err)
{
	PB_AUTOBUF(sender);
	int rc = sender_of_ours(po, env->sender, pb_recipient_rcpt(to)->address, policy, next, &sender, err);

	if (!rc && sender.len)
		pb_envelope_sender(env, pb_buf_str(&sender));
	return rc;
}

int method_srs_encode(void *self, const struct pb_caller *who, const json_t *params, json_t **ret_result, struct pb_error *err)
{
	PB_AUTOBUF(sender);
	int rc = sender_of_ours(self, pb_text_of(params, "sender"), pb_text_of(params, "recipient"), NULL, pb_text_of(params, "next"), &sender, err);

	(void)who;
	if (!rc)
		*ret_result = sender.len ? json_pack("{s:s}", "address", pb_buf_z(&sender)) : json_pack("{s:O}", "address", json_object_get(params, "sender"));
	return rc;
}

int send_on(struct postoffice *po, struct pb_item *item, struct pb_recipient *to, struct pb_str from, const json_t *policy, const json_t *addresses, struct pb_error *err)
{
	struct pb_envelope *same = sent_on_envelope(item, from), *other = sent_on_envelope(item, from);
	const json_t *one;
	bool rewritten = false;
	size_t i;
	int rc = 0;

	json_array_foreach(addresses, i, one) {
		struct pb_str address = pb_str(json_string_value(one), json_string_length(one));

		if (!rewritten)
			rc = rewrite_sender(po, to, policy, address, other, err);
		if (rc)
			break;
		rewritten = !pb_str_eq(other->sender, same->sender);
		sent_on_rcpt(rewritten && is_remote(po, address) ? other : same, to, address);
	}
	if (!rc && same->nrcpts)
		rc = pb_item_redirect(item, same, err);
	if (!rc && other->nrcpts)
		rc = pb_item_redirect(item, other, err);
	pb_envelope_free(same);
	pb_envelope_free(other);
	return rc;
}

void deliver_redirect(struct postoffice *po, struct pb_item *item, struct pb_recipient *to, struct pb_str address)
{
	struct pb_error err = { 0 };
	json_t *addresses;

	if (was_sent_on(item, address)) {
		pb_failed(to, PB_NOSTR, "554 5.4.6 The address leads in a circle");
		return;
	}
	addresses = json_pack("[s%]", address.ptr, address.len);
	if (!addresses)
		pb_failed(to, PB_NOSTR, "550 5.1.3 The address that it leads to is malformed");
	else if (send_on(po, item, to, address, NULL, addresses, &err))
		settle_fault(po, to, "redirecting", &err);
	else
		pb_dropped(to, "redirected by the address map");
	json_decref(addresses);
}
