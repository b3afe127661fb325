/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * May this sender's mail come in here? The settings of mailboxes and the senders of groups are the directory's to judge; what arrives by a way on which
 * nobody could ask before is refused here.
 */
#include <stdio.h>
#include "postoffice.h"

/* Reports and notices of this server are taken by everybody. */
static bool is_own(const struct pb_envelope *env)
{
	return !env->sender.len && !env->client.len && !env->user.len;
}

bool is_archive_copy(struct pb_item *item)
{
	return json_is_true(json_object_get(pb_item_envelope(item)->notes, "archive_copy"));
}

bool may_come_in(struct postoffice *po, struct pb_item *item, struct pb_recipient *to)
{
	const struct pb_envelope *env = pb_item_envelope(item);
	struct pb_str target = pb_recipient_rcpt(to)->target;
	struct pb_error err = { 0 };
	json_t *params, *answer = NULL;
	bool allowed;
	int rc;

	if (is_own(env) || is_archive_copy(item))
		return true;
	params = json_pack("{s:s%, s:s%, s:s%}", "target", target.ptr, target.len, "sender", env->sender.len ? env->sender.ptr : "", env->sender.len, "mailbox",
			   env->mailbox.len ? env->mailbox.ptr : "", env->mailbox.len);
	rc = pb_call(po->host, "directory.may_receive", params, &answer, &err);
	json_decref(params);
	allowed = rc == 0 && json_is_true(json_object_get(answer, "allowed"));
	json_decref(answer);
	if (rc == PB_ENOTFOUND)		/* told by who looks for it next */
		return true;
	if (rc)
		settle_fault(po, to, "asking the directory", &err);
	else if (!allowed)
		pb_failed(to, PB_NOSTR, pb_str_starts(target, PB_STR("group/")) ? "550 5.7.1 You are not among those who may send to this group"
									       : "550 5.7.1 This mailbox does not take mail from you");
	return allowed;
}

bool mailbox_is_open(struct postoffice *po, struct pb_item *item, struct pb_recipient *to, const json_t *mailbox)
{
	return pb_str_eq(pb_text_of(json_object_get(mailbox, "policy"), "receive_from"), PB_STR("anyone")) || may_come_in(po, item, to);
}
