/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The methods annotation.*: what GETMETADATA and SETMETADATA are for a mail client, for administrators and programs. */
#include "imap.h"

/* The mailbox that is meant, as far as the caller may: a user has his own, an administrator those of his post office. */
static int open_mailbox(struct imap_plugin *plugin, const struct pb_caller *who, const json_t *params, struct pb_mailbox **ret, struct pb_error *err)
{
	struct pb_str which = pb_text_of(params, "mailbox"), id;
	json_t *ask = json_pack("{s:s%}", pb_str_find(which, '@', 0) < 0 ? "mailbox" : "address", which.ptr, which.len), *found = NULL;
	int rc = pb_call(plugin->host, "directory.mailbox", ask, &found, err);

	json_decref(ask);
	id = pb_text_of(found, "mailbox");
	if (!rc && ((who->role == PB_ROLE_USER && !pb_str_eq(who->mailbox, id)) || (who->role == PB_ROLE_ADMIN && !pb_str_eq(who->postoffice, pb_text_of(found, "postoffice")))))
		rc = pb_fail(err, PB_ENOTFOUND, "no mailbox '%.*s'", PB_FMT(pb_str_head(which, 80)));
	if (!rc)
		rc = pb_mailbox_open(plugin->host, id, ret, err);
	json_decref(found);
	return rc;
}

int annotation_set(void *self, const struct pb_caller *who, const json_t *params, json_t **ret_result, struct pb_error *err)
{
	const json_t *value = json_object_get(params, "value");
	struct pb_annotation one = { pb_text_of(params, "entry"), value ? pb_str(json_string_value(value), json_string_length(value)) : PB_NOSTR };
	struct pb_mailbox *mb;
	int rc = open_mailbox(self, who, params, &mb, err);

	(void)ret_result;
	if (rc)
		return rc;
	rc = pb_annotation_set(mb, pb_text_of(params, "folder"), &one, 1, err);
	pb_mailbox_close(mb);
	return rc;
}

static bool list_one(void *arg, const struct pb_annotation *one)
{
	json_t *value = json_stringn(one->value.len ? one->value.ptr : "", one->value.len);

	json_array_append_new(arg, json_pack("{s:s%, s:o}", "entry", one->entry.ptr, one->entry.len, "value", value ? value : json_null()));
	return true;
}

int annotation_list(void *self, const struct pb_caller *who, const json_t *params, json_t **ret_result, struct pb_error *err)
{
	struct pb_mailbox *mb;
	json_t *list;
	int rc = open_mailbox(self, who, params, &mb, err);

	if (rc)
		return rc;
	list = json_array();
	rc = pb_annotation_list(mb, pb_text_of(params, "folder"), list_one, list, err);
	pb_mailbox_close(mb);
	if (rc)
		json_decref(list);
	else
		*ret_result = json_pack("{s:o}", "annotations", list);
	return rc;
}
