/* SPDX-License-Identifier: GPL-3.0-or-later */
/* public.*: what administrators do with public folders, and what other plugins ask about them. */
#include "public.h"

/* The post office that is meant, as the directory writes it. */
static int office_of(struct public *p, const struct pb_caller *who, const json_t *params, struct pb_buf *out, struct pb_error *err)
{
	struct pb_str given = pb_text_of(params, "postoffice");
	json_t *ask, *found = NULL;
	int rc;

	if (who->role == PB_ROLE_ADMIN && (!given.len || pb_str_eq(given, who->postoffice))) {
		pb_buf_addstr(out, who->postoffice);
		return 0;
	}
	if (who->role != PB_ROLE_SYSTEM)
		return pb_fail(err, PB_EDENIED, "another post office is not yours");
	ask = json_pack("{s:s%}", "name", given.ptr, given.len);
	rc = ask ? pb_call(p->host, "postoffice.show", ask, &found, err) : pb_fail(err, PB_EINVALID, "no name of a post office");
	if (!rc)
		pb_buf_addstr(out, pb_text_of(found, "name"));
	json_decref(ask);
	json_decref(found);
	return rc;
}

static int open_mailbox(struct public *p, const struct pb_caller *who, const json_t *params, struct pb_buf *office, struct pb_mailbox **ret, struct pb_error *err)
{
	PB_AUTOBUF(id);
	int rc = office_of(p, who, params, office, err);

	if (!rc)
		rc = public_mailbox(p, pb_buf_str(office), &id, err);
	return rc ? rc : pb_mailbox_open(p->host, pb_buf_str(&id), ret, err);
}

/* ---- for plugins ---- */

METHOD(public_mailbox)
{
	struct public *p = self;
	struct pb_str office = pb_text_of(params, "postoffice");
	PB_AUTOBUF(id);
	int rc = json_is_false(json_object_get(params, "make")) ? pb_table_get(p->offices, office, &id, err) : public_mailbox(p, office, &id, err);

	if (!rc)
		*ret_result = json_pack("{s:s}", "mailbox", pb_buf_z(&id));
	return rc;
}

METHOD(public_rights)
{
	struct public *p = self;
	PB_AUTOBUF(value);
	int rc = right_get(p, pb_text_of(params, "postoffice"), pb_text_of(params, "folder"), &value, err);

	if (!rc)
		*ret_result = json_pack("{s:b, s:b}", "write", right_writes(pb_buf_str(&value)), "read", right_reads(p, pb_buf_str(&value), pb_text_of(params, "address")));
	return rc;
}

METHOD(public_hidden)
{
	struct public *p = self;
	json_t *rows, *one, *hidden;
	const char *name;
	size_t len;
	int rc = rights_of(p, pb_text_of(params, "postoffice"), &rows, err);

	if (rc)
		return rc;
	hidden = json_array();
	json_object_keylen_foreach(rows, name, len, one)
		if (!right_reads(p, pb_str(json_string_value(one), json_string_length(one)), pb_text_of(params, "address")))
			json_array_append_new(hidden, json_stringn(name, len));
	json_decref(rows);
	*ret_result = json_pack("{s:o}", "folders", hidden);
	return 0;
}

/* The right first, then the folder: what is being made is never open to more than it will be. */
static int claim(struct public *p, struct pb_str office, struct pb_str folder, struct pb_str readers, struct pb_mailbox *mb, struct pb_error *err)
{
	PB_AUTOBUF(value);
	struct pb_str has;
	int rc = right_get(p, office, folder, &value, err);

	if (rc)
		return rc;
	has = right_readers(pb_buf_str(&value));
	if (has.len && !pb_str_eq(has, readers))
		return pb_fail(err, PB_ECONFLICT, "the public folder '%.*s' is read by others: %.*s", PB_FMT(folder), PB_FMT(has));
	if (!has.len)
		rc = right_put(p, office, folder, false, readers, err);
	if (!rc)
		rc = pb_folder_create(mb, folder, 0, err);
	return rc == PB_EEXISTS ? 0 : rc;
}

METHOD(public_claim)
{
	struct public *p = self;
	struct pb_str office = pb_text_of(params, "postoffice"), readers = pb_text_of(params, "readers");
	struct pb_mailbox *mb;
	PB_AUTOBUF(id);
	int rc;

	if (!readers.len || !readers_are_good(readers))
		return pb_fail(err, PB_EINVALID, "nobody can be asked about readers '%.*s'", PB_FMT(readers));
	rc = public_mailbox(p, office, &id, err);
	if (!rc)
		rc = pb_mailbox_open(p->host, pb_buf_str(&id), &mb, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&p->making);
	rc = claim(p, office, pb_text_of(params, "folder"), readers, mb, err);
	pthread_mutex_unlock(&p->making);
	pb_mailbox_close(mb);
	if (!rc)
		*ret_result = json_pack("{s:s}", "mailbox", pb_buf_z(&id));
	return rc;
}

/* ---- for administrators ---- */

struct search {
	struct pb_str name;
	unsigned but;		/* attributes of what does not count */
	bool found;
};

static bool find_name(void *arg, const struct pb_folder_info *info)
{
	struct search *s = arg;

	s->found |= pb_str_eq(info->name, s->name) && !(info->attributes & s->but);
	return !s->found;
}

static bool is_there(struct pb_mailbox *mb, struct pb_str folder, unsigned but)
{
	struct search s = { folder, but | PB_FOLDER_NONEXISTENT, false };

	return pb_folder_list(mb, find_name, &s, NULL) || s.found;
}

static int create(struct public *p, struct pb_str office, struct pb_mailbox *mb, const json_t *params, struct pb_error *err)
{
	struct pb_str folder = pb_text_of(params, "folder"), readers = pb_text_of(params, "readers");
	bool members = pb_str_eq(pb_text_of(params, "write"), PB_STR("members"));
	int rc;

	if (!readers_are_good(readers))
		return pb_fail(err, PB_EINVALID, "readers are the members of a list: list:ADDRESS, not '%.*s'", PB_FMT(readers));
	if (members && readers.len)
		return pb_fail(err, PB_EINVALID, "where not all may read, administrators alone write");
	if (is_there(mb, folder, PB_FOLDER_NOSELECT))
		return pb_fail(err, PB_EEXISTS, "there is a public folder '%.*s' already", PB_FMT(folder));
	rc = right_put(p, office, folder, members, readers, err);
	return rc ? rc : pb_folder_create(mb, folder, 0, err);
}

METHOD(public_create)
{
	struct public *p = self;
	PB_AUTOBUF(office);
	struct pb_mailbox *mb;
	int rc = open_mailbox(p, who, params, &office, &mb, err);

	if (rc)
		return rc;
	pthread_mutex_lock(&p->making);
	rc = create(p, pb_buf_str(&office), mb, params, err);
	pthread_mutex_unlock(&p->making);
	pb_mailbox_close(mb);
	return rc;
}

METHOD(public_delete)
{
	struct public *p = self;
	PB_AUTOBUF(office);
	struct pb_mailbox *mb;
	int rc = open_mailbox(p, who, params, &office, &mb, err);

	if (rc)
		return rc;
	rc = pb_folder_delete(mb, pb_text_of(params, "folder"), err);
	pb_mailbox_close(mb);
	return rc ? rc : right_put(p, pb_buf_str(&office), pb_text_of(params, "folder"), false, PB_NOSTR, err);
}

/* The new name has its rights before it has its messages, the old one until it has none. */
static int rename_one(struct public *p, struct pb_str office, struct pb_mailbox *mb, struct pb_str from, struct pb_str to, struct pb_error *err)
{
	int rc;

	if (!is_there(mb, from, 0))
		return pb_fail(err, PB_ENOTFOUND, "there is no public folder '%.*s'", PB_FMT(from));
	if (is_there(mb, to, 0))
		return pb_fail(err, PB_EEXISTS, "there is a public folder '%.*s' already", PB_FMT(to));
	rc = rights_move(p, office, from, to, RIGHTS_COPY, err);
	if (!rc)
		rc = pb_folder_rename(mb, from, to, err);
	return rc ? rc : rights_move(p, office, from, to, RIGHTS_REMOVE, err);
}

METHOD(public_rename)
{
	struct public *p = self;
	PB_AUTOBUF(office);
	struct pb_mailbox *mb;
	int rc = open_mailbox(p, who, params, &office, &mb, err);

	if (rc)
		return rc;
	pthread_mutex_lock(&p->making);
	rc = rename_one(p, pb_buf_str(&office), mb, pb_text_of(params, "folder"), pb_text_of(params, "to"), err);
	pthread_mutex_unlock(&p->making);
	pb_mailbox_close(mb);
	return rc;
}

struct listing {
	struct public *p;
	struct pb_mailbox *mb;
	struct pb_str office;
	json_t *list;
};

static bool list_one(void *arg, const struct pb_folder_info *info)
{
	struct listing *l = arg;
	struct pb_folder_status status = { 0 };
	struct pb_str readers;
	struct pb_folder *f;
	PB_AUTOBUF(right);

	if (pb_str_eq(info->name, PB_STR("INBOX")) || (info->attributes & PB_FOLDER_NONEXISTENT))
		return true;
	if (pb_folder_open(l->mb, info->name, &f, NULL) == 0) {
		pb_folder_status(f, &status, NULL);
		pb_folder_close(f);
	}
	right_get(l->p, l->office, info->name, &right, NULL);
	readers = right_readers(pb_buf_str(&right));
	json_array_append_new(l->list, json_pack("{s:s%, s:I, s:I, s:s, s:s%}", "folder", info->name.ptr, info->name.len, "messages", (json_int_t)status.messages, "bytes",
						 (json_int_t)status.bytes, "write", right_writes(pb_buf_str(&right)) ? "members" : "admins", "readers", readers.len ? readers.ptr : "",
						 readers.len));
	return true;
}

METHOD(public_list)
{
	struct public *p = self;
	PB_AUTOBUF(office);
	struct listing l = { .p = p };
	int rc = open_mailbox(p, who, params, &office, &l.mb, err);

	if (rc)
		return rc;
	l.office = pb_buf_str(&office);
	l.list = json_array();
	rc = pb_folder_list(l.mb, list_one, &l, err);
	pb_mailbox_close(l.mb);
	if (rc)
		json_decref(l.list);
	else
		*ret_result = json_pack("{s:o}", "folders", l.list);
	return rc;
}
