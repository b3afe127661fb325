/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A copy in a folder: the body that the message has, or another where filters changed it. The token is the message's id, so that a copy that is tried again is
 * there once.
 */
#include "postoffice.h"

/* ---- which folder ---- */

struct use_query {
	unsigned use;
	struct pb_buf name;
};

static bool find_use(void *arg, const struct pb_folder_info *info)
{
	struct use_query *q = arg;

	if (!(info->attributes & q->use) || (info->attributes & PB_FOLDER_NOSELECT))
		return true;
	pb_buf_addstr(&q->name, info->name);
	return false;
}

/* The mailbox's own, or that of its post office's public folders. */
static int open_mailbox(struct delivery *d, bool is_public, struct pb_mailbox **ret, struct pb_error *err)
{
	json_t *ask, *found = NULL;
	int rc;

	if (!is_public)
		return pb_mailbox_open(d->po->host, d->id, ret, err);
	ask = json_object();
	json_object_set(ask, "postoffice", json_object_get(d->mailbox, "postoffice"));
	rc = pb_call(d->po->host, "public.mailbox", ask, &found, err);
	if (!rc)
		rc = pb_mailbox_open(d->po->host, pb_text_of(found, "mailbox"), ret, err);
	json_decref(ask);
	json_decref(found);
	return rc;
}

/* These names are those of the post office's public folders: clients would never find what lies below them in the mailbox itself. */
static bool is_public_name(struct pb_str name)
{
	return pb_str_eq(name, PB_STR("Public")) || pb_str_starts(name, PB_STR("Public/"));
}

static int open_folder(struct delivery *d, const struct place *place, struct pb_folder **ret, struct pb_error *err)
{
	struct use_query q = { place->special_use, PB_BUF };
	struct pb_str name = place->folder;
	struct pb_mailbox *mb;
	int rc = open_mailbox(d, place->is_public, &mb, err);

	if (rc)
		return rc;
	if ((place->id.len && pb_folder_by_id(mb, place->id, &q.name, NULL) == 0) || (q.use && pb_folder_list(mb, find_use, &q, NULL) == 0 && q.name.len))
		name = pb_buf_str(&q.name);
	rc = !place->is_public && is_public_name(name) ? pb_fail(err, PB_EDENIED, "it is not the mailbox's own") : pb_folder_open(mb, name, ret, err);
	if (rc == PB_ENOTFOUND && place->create) {
		rc = pb_folder_create(mb, name, 0, err);
		if (rc == 0 || rc == PB_EEXISTS) {
			pb_folder_subscribe(mb, name, true, NULL);
			rc = pb_folder_open(mb, name, ret, err);
		}
	}
	pb_mailbox_close(mb);
	if (!rc && !place->is_public)
		quota_bind(d->mailbox, *ret, name);
	pb_buf_free(&q.name);
	return rc;
}

/* ---- flags ---- */

static uint64_t flags_of(struct pb_folder *f, const json_t *list)
{
	static const struct { const char *name; uint64_t flag; } system_flags[] = {
		{ "\\seen", PB_SEEN }, { "\\answered", PB_ANSWERED }, { "\\flagged", PB_FLAGGED }, { "\\deleted", PB_DELETED }, { "\\draft", PB_DRAFT },
	};
	uint64_t all = 0;
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one) {
		struct pb_str name = pb_str(json_string_value(one), json_string_length(one));
		unsigned bit;

		if (name.len && name.ptr[0] == '\\') {
			for (size_t k = 0; k < sizeof system_flags / sizeof *system_flags; k++)
				if (pb_str_ieq(name, pb_strz(system_flags[k].name)))
					all |= system_flags[k].flag;
		} else if (pb_folder_keyword(f, name, true, &bit, NULL) == 0) {
			all |= UINT64_C(1) << bit;
		}
	}
	return all;
}

/* ---- the copy ---- */

static int append_changed(struct delivery *d, struct pb_folder *f, const struct pb_append *how, uint32_t *ret_uid, struct pb_error *err)
{
	struct pb_spool *spool;
	struct pb_str bytes;
	int rc = pb_spool_view(d->changed, &bytes, err);

	if (rc)
		return rc;
	spool = pb_spool_begin(d->po->host, 0, err);
	if (!spool)
		return err->code;
	pb_spool_write(spool, d->head.ptr, d->head.len);
	pb_spool_write(spool, bytes.ptr, bytes.len);
	return pb_folder_append(f, spool, how, ret_uid, NULL, err);
}

static int append_to(struct delivery *d, struct pb_folder *f, const json_t *flags, uint32_t *ret_uid, struct pb_error *err)
{
	struct pb_usage usage;
	struct pb_append how = { .token = d->token.len ? d->token : pb_strz(pb_item_id(d->item)), .flags = flags ? flags_of(f, flags) : 0, .usage = &usage };
	int rc = d->changed ? append_changed(d, f, &how, ret_uid, err) : pb_folder_deliver(f, pb_item_body(d->item), pb_buf_str(&d->head), &how, ret_uid, err);

	if (!rc)
		quota_delivered(d, &usage, d->head.len + (d->changed ? pb_spool_size(d->changed) : pb_body_size(pb_item_body(d->item))));
	return rc;
}

/* A handle may have outlived its mailbox: once more with a new one. */
static int append_to_inbox(struct delivery *d, const json_t *flags, uint32_t *ret_uid, struct pb_error *err)
{
	struct inbox *box;
	int rc = PB_ENOTFOUND;

	for (int i = 0; i < 2; i++) {
		rc = inboxes_get(d->po->inboxes, d->id, &box, err);
		if (rc)
			return rc;
		quota_bind(d->mailbox, inbox_folder(box), PB_STR("INBOX"));
		rc = append_to(d, inbox_folder(box), flags, ret_uid, err);
		if (rc != PB_ENOTFOUND) {
			inboxes_put(d->po->inboxes, box);
			return rc;
		}
		inboxes_drop(d->po->inboxes, box);
	}
	return rc;
}

int place_copy(struct delivery *d, const struct place *place, uint32_t *ret_uid, struct pb_error *err)
{
	struct place junk = { .folder = pb_text_of(json_object_get(d->mailbox, "policy"), "junk_folder") };
	struct pb_folder *f;
	int rc = PB_ENOTFOUND;

	if (!place->folder.len && !place->special_use && d->junk) {
		junk.flags = place->flags;
		place = &junk;
	}
	if (place->folder.len && (place->id.len || place->special_use || !pb_str_ieq(place->folder, PB_STR("INBOX"))))
		rc = open_folder(d, place, &f, err);
	if (rc) {	/* RFC 5228 4.1: what has no folder goes where implicit keep would put it */
		if (place->folder.len && place != &junk)
			pb_item_note(d->item, "folder.missing", "%.*s", PB_FMT(pb_str_head(place->folder, 200)));
		return append_to_inbox(d, place->flags, ret_uid, err);
	}
	rc = append_to(d, f, place->flags, ret_uid, err);
	pb_folder_close(f);
	return rc;
}

/* A folder that is not there is no reason not to send. The token tells it from the message, which may lie in the same folder, and from other copies. */
void file_copy(struct delivery *d, const json_t *action, struct pb_str bytes)
{
	const struct place place = {
		.folder = pb_text_of(action, "fcc"),
		.id = pb_text_of(action, "mailbox_id"),
		.special_use = special_use_of(pb_text_of(action, "special_use")),
		.create = json_is_true(json_object_get(action, "create")),
		.flags = json_object_get(action, "flags"),
	};
	struct pb_spool *spool = d->changed;
	struct pb_buf head = d->head;
	struct pb_error err = { 0 };
	PB_AUTOBUF(token);
	uint32_t uid;

	if (!place.folder.len)
		return;
	pb_buf_addf(&token, "fcc/%zu/%s", d->nfiled++, pb_item_id(d->item));
	d->token = pb_buf_str(&token);
	d->head = (struct pb_buf)PB_BUF;
	d->changed = pb_spool_begin(d->po->host, 0, &err);
	if (d->changed) {
		pb_spool_write(d->changed, bytes.ptr, bytes.len);
		place_copy(d, &place, &uid, &err);
	}
	pb_spool_discard(d->changed);
	d->changed = spool;
	d->head = head;
	d->token = PB_NOSTR;
}
