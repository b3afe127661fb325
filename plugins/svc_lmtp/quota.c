/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is known about the room in a mailbox before the delivery, so that the MTA in front hears it instead of its user's correspondent. */
#include "lmtp.h"

static uint64_t number(const json_t *mailbox, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(mailbox, key));

	return n > 0 ? (uint64_t)n : 0;
}

/* Mail that does not fit may be held, or go to the postmaster: then it is taken. */
static bool is_refused(const json_t *mailbox)
{
	const char *full = json_string_value(json_object_get(json_object_get(mailbox, "policy"), "quota_full"));

	return !full || !strcmp(full, "bounce");
}

void quota_read(struct pb_session *s, struct pb_str mailbox, struct target *target)
{
	struct conversation *c = pb_session_data(s);
	json_t *params = json_object(), *found = NULL;
	bool leaves;

	json_object_set_new(params, "mailbox", json_stringn(mailbox.ptr, mailbox.len));
	if (pb_call(pb_session_host(s), "directory.mailbox", params, &found, NULL) == 0) {
		leaves = json_array_size(json_object_get(found, "redirect")) && !json_is_true(json_object_get(found, "redirect_keep"));
		target->messages_max = number(found, "quota_messages");
		target->bytes_max = number(found, "quota_bytes");
		if (!leaves && is_refused(found) && (target->messages_max || target->bytes_max))
			target->mailbox = pb_envelope_copy(c->env, mailbox);
	}
	json_decref(found);
	json_decref(params);
}

bool quota_is_full(struct pb_session *s, const struct target *target, uint64_t size)
{
	uint64_t messages, bytes;
	struct pb_mailbox *mb;
	bool full = false;

	if (!target->mailbox.len || pb_mailbox_open(pb_session_host(s), target->mailbox, &mb, NULL))
		return false;
	if (pb_mailbox_usage(mb, &messages, &bytes, NULL) == 0)
		full = (target->messages_max && messages >= target->messages_max) ||
		       (target->bytes_max && (size > target->bytes_max || bytes > target->bytes_max - size));
	pb_mailbox_close(mb);
	return full;
}
