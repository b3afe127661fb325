/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the client makes grow: the limit of a folder that it appends or copies to, and word to whoever warns the owner of a mailbox that fills up.
 * The store keeps the limits; settings are the directory's.
 */
#include <stdio.h>
#include "imap.h"
#include "quota.h"

static void bind(const json_t *mailbox, struct pb_folder *to, struct pb_str name)
{
	const json_t *limits = json_object_get(json_object_get(mailbox, "policy"), "quota_folders");
	char key[256];

	if (!json_object_size(limits) || name.len >= sizeof key)
		return;
	snprintf(key, sizeof key, "%.*s", PB_FMT(pb_str_ieq(name, PB_STR("INBOX")) ? PB_STR("INBOX") : name));
	pb_folder_limit(to, (uint64_t)json_integer_value(json_object_get(limits, key)));
}

int quota_begin(struct pb_session *s, struct pb_folder *to, struct pb_str name, struct quota *q, struct pb_error *err)
{
	struct pb_str id = pb_session_user(s)->mailbox;
	json_t *params = json_pack("{s:s%}", "mailbox", id.ptr, id.len);
	json_t *mailbox = NULL;
	int rc = pb_call(pb_session_host(s), "directory.mailbox", params, &mailbox, err);

	*q = (struct quota){ 0 };
	json_decref(params);
	if (!rc) {
		bind(mailbox, to, name);
		q->limited = json_integer_value(json_object_get(mailbox, "quota_bytes")) || json_integer_value(json_object_get(mailbox, "quota_messages"));
	}
	if (!rc && q->limited)
		rc = pb_mailbox_usage(imap_of(s)->mailbox, &q->messages, &q->bytes, err);
	json_decref(mailbox);
	return rc;
}

static void notify(struct pb_session *s, const struct quota *q, uint64_t messages, uint64_t bytes)
{
	struct pb_str id = pb_session_user(s)->mailbox;
	struct pb_error err;
	unsigned char random[12];
	PB_AUTOBUF(token);
	json_t *params;

	pb_random(random, sizeof random);
	pb_buf_addz(&token, "imap/");
	pb_hex_encode(&token, pb_str((char *)random, sizeof random));
	params = json_pack("{s:s%, s:I, s:I, s:I, s:I, s:s}", "mailbox", id.ptr, id.len, "messages_before", (json_int_t)q->messages, "bytes_before", (json_int_t)q->bytes, "messages",
			   (json_int_t)messages, "bytes", (json_int_t)bytes, "token", pb_buf_z(&token));
	/* Nobody there to warn: the client's command is done all the same. */
	if (pb_call(pb_session_host(s), "quota.notify", params, NULL, &err) && err.code != PB_EUNAVAILABLE)
		pb_session_log(s, PB_WARNING, "command.failed", "command=quota.notify code=%s reason=%s", pb_code_name(err.code), pb_logq(pb_strz(err.text)));
	json_decref(params);
}

void quota_appended(struct pb_session *s, struct quota *q, const struct pb_usage *usage, uint64_t bytes)
{
	if (!q->limited)
		return;
	q->messages = usage->messages - 1;
	q->bytes = usage->bytes - bytes;
	notify(s, q, usage->messages, usage->bytes);
}

void quota_copied(struct pb_session *s, struct quota *q)
{
	uint64_t messages, bytes;

	if (q->limited && pb_mailbox_usage(imap_of(s)->mailbox, &messages, &bytes, NULL) == 0 && (messages > q->messages || bytes > q->bytes))
		notify(s, q, messages, bytes);
}
