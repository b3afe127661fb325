/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The methods: mailboxes, folders, messages. What the files of other servers mean is the tool's business. */
#include "import.h"

METHOD(import_open)
{
	struct import *in = self;
	struct pb_str address = pb_text_of(params, "mailbox");
	json_t *ask = json_object(), *found = NULL;
	int rc;

	(void)who;
	json_object_set_new(ask, "address", json_stringn(address.ptr, address.len));
	rc = pb_call(in->host, "directory.mailbox", ask, &found, err);
	json_decref(ask);
	if (rc)
		return rc;
	*ret_result = json_object();
	json_object_set(*ret_result, "mailbox", json_object_get(found, "mailbox"));
	json_object_set(*ret_result, "address", json_object_get(found, "address"));
	json_decref(found);
	return 0;
}

METHOD(import_folder)
{
	struct import *in = self;
	struct pb_str name = pb_text_of(params, "folder");
	struct pb_mailbox *mb;
	int rc;

	(void)who;
	if (pb_mailbox_open(in->host, pb_text_of(params, "mailbox"), &mb, err))
		return err->code;
	rc = pb_folder_create(mb, name, 0, err);
	*ret_result = json_pack("{s:b}", "made", rc == 0);
	if (rc == 0)
		rc = pb_folder_subscribe(mb, name, true, err);
	pb_mailbox_close(mb);
	return rc == PB_EEXISTS ? 0 : rc;
}

METHOD(import_known)
{
	struct import *in = self;
	json_t *known = json_array();
	const json_t *key;
	bool has;
	size_t i;

	(void)who;
	json_array_foreach (json_object_get(params, "keys"), i, key) {
		if (keys_has(in, pb_str(json_string_value(key), json_string_length(key)), &has, err)) {
			json_decref(known);
			return err->code;
		}
		json_array_append_new(known, json_boolean(has));
	}
	*ret_result = json_pack("{s:o}", "known", known);
	return 0;
}

METHOD(import_data)
{
	struct import *in = self;
	int64_t number;

	(void)who;
	if (upload_add(in, json_integer_value(json_object_get(params, "upload")), pb_text_of(params, "data"), &number, err))
		return err->code;
	*ret_result = json_pack("{s:I}", "upload", (json_int_t)number);
	return 0;
}

METHOD(import_flush)
{
	(void)who;
	(void)params;
	(void)ret_result;
	return keys_flush(self, err);
}

/* 0 where it is none of them. */
static uint64_t system_flag(struct pb_str name)
{
	static const struct { const char *name; uint64_t bit; } flags[] = {
		{ "\\Seen", PB_SEEN }, { "\\Answered", PB_ANSWERED }, { "\\Flagged", PB_FLAGGED }, { "\\Deleted", PB_DELETED }, { "\\Draft", PB_DRAFT } };

	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if (pb_str_ieq(name, pb_strz(flags[i].name)))
			return flags[i].bit;
	return 0;
}

/* A keyword that the folder does not take is no reason to leave the message where it was. */
static uint64_t flags_of(struct pb_folder *f, const json_t *names, unsigned *ret_left_out)
{
	uint64_t flags = 0, system;
	const json_t *one;
	unsigned bit;
	size_t i;

	json_array_foreach (names, i, one) {
		struct pb_str name = pb_str(json_string_value(one), json_string_length(one));

		system = system_flag(name);
		if (system)
			flags |= system;
		else if (pb_folder_keyword(f, name, true, &bit, NULL) == 0)
			flags |= UINT64_C(1) << bit;
		else
			++*ret_left_out;
	}
	return flags;
}

/* Takes the spool over. *ret_uid is 0 when the token was known: the message had been added before its key was written down. */
static int append(struct pb_folder *f, struct pb_spool *spool, const json_t *params, uint32_t *ret_uid, unsigned *ret_left_out, struct pb_error *err)
{
	struct pb_append how = { .date = json_integer_value(json_object_get(params, "date")), .token = pb_text_of(params, "key"),
				 .over_quota = json_is_true(json_object_get(params, "over_quota")) };
	struct pb_folder_status before;
	int rc;

	how.flags = flags_of(f, json_object_get(params, "flags"), ret_left_out);
	rc = pb_folder_status(f, &before, err);
	if (rc) {
		pb_spool_discard(spool);
		return rc;
	}
	rc = pb_folder_append(f, spool, &how, ret_uid, NULL, err);
	if (rc == 0 && *ret_uid < before.uidnext)
		*ret_uid = 0;
	return rc;
}

static int open_folder(struct import *in, const json_t *params, struct pb_folder **ret, struct pb_error *err)
{
	struct pb_mailbox *mb;
	int rc;

	if (pb_mailbox_open(in->host, pb_text_of(params, "mailbox"), &mb, err))
		return err->code;
	rc = pb_folder_open(mb, pb_text_of(params, "folder"), ret, err);
	pb_mailbox_close(mb);
	return rc;
}

/* All of it is here, and nobody knows it. */
static int store(struct import *in, struct pb_spool *spool, const json_t *params, json_t **ret_result, struct pb_error *err)
{
	struct pb_folder *f;
	unsigned left_out = 0;
	uint32_t uid = 0;
	int rc;

	if (open_folder(in, params, &f, err)) {
		pb_spool_discard(spool);
		return err->code;
	}
	rc = append(f, spool, params, &uid, &left_out, err);
	pb_folder_close(f);
	if (rc == 0)
		rc = keys_add(in, pb_text_of(params, "key"), err);
	if (rc)
		return rc;
	if (uid)
		pb_count(in->host, "messages_imported", 1);
	*ret_result = json_pack("{s:b, s:I, s:I}", "added", uid != 0, "uid", (json_int_t)uid, "left_out", (json_int_t)left_out);
	return 0;
}

METHOD(import_message)
{
	struct import *in = self;
	struct pb_spool *spool;
	bool known;

	(void)who;
	if (upload_take(in, json_integer_value(json_object_get(params, "upload")), &spool, err))
		return err->code;
	if (keys_has(in, pb_text_of(params, "key"), &known, err) || (!known && spool_add(spool, pb_text_of(params, "data"), err))) {
		pb_spool_discard(spool);
		return err->code;
	}
	if (!known)
		return store(in, spool, params, ret_result, err);
	pb_spool_discard(spool);
	*ret_result = json_pack("{s:b, s:i, s:i}", "added", 0, "uid", 0, "left_out", 0);
	return 0;
}
