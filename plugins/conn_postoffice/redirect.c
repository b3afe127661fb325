/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sending on: the same body to other addresses, through the inbound lane again, with what is needed to notice loops and doubles.
 */
#include <stdio.h>
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

int send_on(struct pb_item *item, struct pb_recipient *to, struct pb_str from, const json_t *addresses, struct pb_error *err)
{
	const struct pb_rcpt *was = pb_recipient_rcpt(to);
	struct pb_envelope *env = pb_envelope_dup(pb_item_envelope(item), false);
	struct pb_str orcpt = was->orcpt;
	json_t *passed = json_copy(json_object_get(env->notes, "redirected"));
	PB_AUTOBUF(original);
	const json_t *one;
	size_t i;
	int rc;

	if (!passed)
		passed = json_array();
	json_array_append_new(passed, json_stringn(from.ptr, from.len));
	json_object_set_new(env->notes, "redirected", passed);
	if (!orcpt.len) {	/* RFC 3461 5.2.7: who was meant at first stays known */
		pb_buf_addz(&original, "rfc822;");
		pb_buf_addstr(&original, was->address);
		orcpt = pb_buf_str(&original);
	}
	json_array_foreach(addresses, i, one) {
		struct pb_rcpt *next = pb_envelope_rcpt(env, pb_str(json_string_value(one), json_string_length(one)));

		next->orcpt = pb_envelope_copy(env, orcpt);
		next->notify = was->notify;
	}
	rc = pb_item_redirect(item, env, err);
	pb_envelope_free(env);
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
	else if (send_on(item, to, address, addresses, &err))
		settle_fault(po, to, "redirecting", &err);
	else
		pb_dropped(to, "redirected by the address map");
	json_decref(addresses);
}
