/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Public folders: names below "Public/" lead into the mailbox that agent_public keeps for the user's post office. Administrators may read and write there, others
 * where agent_public says so; what somebody may not read is not there for him. Without that plugin there are none.
 */
#include "public.h"

static const struct pb_str prefix = { PUBLIC_PREFIX, sizeof PUBLIC_PREFIX - 1 };

bool public_is(struct pb_str name)
{
	return pb_str_starts(name, prefix) || pb_str_eq(name, pb_str(PUBLIC_PREFIX, sizeof PUBLIC_PREFIX - 2));
}

/* About a folder, or about all of them: what this user may. */
static int ask(struct pb_session *s, const char *method, struct pb_str folder, json_t **ret, struct pb_error *err)
{
	struct pb_str office = pb_session_user(s)->postoffice, address = pb_session_user(s)->address;
	json_t *params = json_object();
	int rc;

	json_object_set_new(params, "postoffice", json_stringn(office.ptr, office.len));
	json_object_set_new(params, "address", json_stringn(address.ptr, address.len));
	if (folder.len)
		json_object_set_new(params, "folder", json_stringn(folder.ptr, folder.len));
	rc = pb_call(pb_session_host(s), method, params, ret, err);
	json_decref(params);
	return rc;
}

int public_mailbox(struct pb_session *s, struct pb_mailbox **ret, struct pb_error *err)
{
	struct pb_str office = pb_session_user(s)->postoffice;
	json_t *params = json_pack("{s:s%, s:b}", "postoffice", office.ptr, office.len, "make", 0), *found = NULL;
	const char *id;
	int rc = pb_call(pb_session_host(s), "public.mailbox", params, &found, err);

	json_decref(params);
	if (rc)
		return rc == PB_EUNAVAILABLE || rc == PB_EDENIED ? pb_fail(err, PB_ENOTFOUND, "there are no public folders") : rc;
	id = json_string_value(json_object_get(found, "mailbox"));
	rc = pb_mailbox_open(pb_session_host(s), pb_strz(id), ret, err);
	json_decref(found);
	return rc;
}

static bool may_all(struct pb_session *s)
{
	return pb_session_user(s)->role >= PB_ROLE_ADMIN;
}

/* PB_ENOTFOUND: he may not read it. By the name that the folder has, however the client wrote it. */
static int look_up_rights(struct pb_session *s, struct pb_folder *folder, bool *ret_writable, struct pb_error *err)
{
	json_t *found = NULL;
	PB_AUTOBUF(mailbox);
	PB_AUTOBUF(name);
	int rc;

	*ret_writable = true;
	if (may_all(s))
		return 0;
	rc = pb_folder_whose(folder, &mailbox, &name, NULL, err);
	if (!rc)
		rc = ask(s, "public.rights", pb_buf_str(&name), &found, err);
	if (!rc && !json_is_true(json_object_get(found, "read")))
		rc = pb_fail(err, PB_ENOTFOUND, "no such folder");
	*ret_writable = !rc && json_is_true(json_object_get(found, "write"));
	json_decref(found);
	return rc;
}

int folder_open(struct pb_session *s, struct pb_str name, struct pb_folder **ret, bool *ret_writable, struct pb_error *err)
{
	struct pb_str folder = pb_str_skip(name, prefix.len);
	struct pb_mailbox *mb;
	int rc;

	*ret_writable = true;
	if (!public_is(name))
		return pb_folder_open(imap_of(s)->mailbox, name, ret, err);
	if (!folder.len || pb_str_ieq(folder, PB_STR("INBOX")))
		return pb_fail(err, PB_ENOTFOUND, "no such folder");
	rc = public_mailbox(s, &mb, err);
	if (rc)
		return rc;
	rc = pb_folder_open(mb, folder, ret, err);
	pb_mailbox_close(mb);
	if (rc)
		return rc;
	rc = look_up_rights(s, *ret, ret_writable, err);
	if (rc) {
		pb_folder_close(*ret);
		*ret = NULL;
	}
	return rc;
}

int folder_open_to_write(struct pb_session *s, struct pb_str name, struct pb_folder **ret, struct pb_error *err)
{
	bool writable;
	int rc = folder_open(s, name, ret, &writable, err);

	if (rc || writable)
		return rc;
	pb_folder_close(*ret);
	return pb_fail(err, PB_EDENIED, "only administrators write there");
}

/* ---- all of them ---- */

struct visiting {
	bool (*visit)(void *arg, const struct pb_folder_info *info);
	void *arg;
	json_t *hidden;		/* names of folders that he may not read; NULL: there are none */
	json_t *parents;	/* names of those that have one which he may */
	struct pb_buf name;
	bool any;
};

static bool is_shown(const struct visiting *v, const struct pb_folder_info *info)
{
	return !pb_str_eq(info->name, PB_STR("INBOX")) && !(info->attributes & PB_FOLDER_NONEXISTENT) && !json_object_getn(v->hidden, info->name.ptr, info->name.len);
}

static bool note_parents(void *arg, const struct pb_folder_info *info)
{
	struct visiting *v = arg;

	for (size_t i = 0; is_shown(v, info) && i < info->name.len; i++)
		if (info->name.ptr[i] == '/')
			json_object_setn_new(v->parents, info->name.ptr, i, json_true());
	return true;
}

static bool visit_one(void *arg, const struct pb_folder_info *info)
{
	struct visiting *v = arg;
	struct pb_folder_info shown = { .attributes = info->attributes & (PB_FOLDER_NOSELECT | PB_FOLDER_CHILDREN), .uidvalidity = info->uidvalidity };

	if (!is_shown(v, info))
		return true;
	if (v->hidden && !json_object_getn(v->parents, info->name.ptr, info->name.len))
		shown.attributes &= ~(unsigned)PB_FOLDER_CHILDREN;	/* children that he may see (RFC 5258 4) */
	if (!v->any)
		v->visit(v->arg, &(struct pb_folder_info){ .name = pb_str_head(prefix, prefix.len - 1), .attributes = PB_FOLDER_NOSELECT | PB_FOLDER_CHILDREN });
	v->any = true;
	pb_buf_reset(&v->name);
	pb_buf_addstr(&v->name, prefix);
	pb_buf_addstr(&v->name, info->name);
	shown.name = pb_buf_str(&v->name);
	return v->visit(v->arg, &shown);
}

/* False: it cannot be found out, so nothing is shown. */
static bool learn_hidden(struct pb_session *s, struct visiting *v)
{
	json_t *found = NULL, *one;
	size_t i;
	bool known = may_all(s) || ask(s, "public.hidden", PB_NOSTR, &found, NULL) == 0;

	json_array_foreach (json_object_get(found, "folders"), i, one) {
		if (!v->hidden)
			v->hidden = json_object();
		json_object_setn_new(v->hidden, json_string_value(one), json_string_length(one), json_true());
	}
	json_decref(found);
	return known;
}

bool public_list(struct pb_session *s, bool (*visit)(void *arg, const struct pb_folder_info *info), void *arg)
{
	struct visiting v = { .visit = visit, .arg = arg, .name = PB_BUF };
	struct pb_mailbox *mb;

	if (public_mailbox(s, &mb, NULL))
		return false;
	if (learn_hidden(s, &v)) {
		if (v.hidden) {
			v.parents = json_object();
			pb_folder_list(mb, note_parents, &v, NULL);
		}
		pb_folder_list(mb, visit_one, &v, NULL);
	}
	pb_mailbox_close(mb);
	pb_buf_free(&v.name);
	json_decref(v.hidden);
	json_decref(v.parents);
	return v.any;
}
