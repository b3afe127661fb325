/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The archive: posts in a public folder, and who reads them. */
#include <postbus/address.h>
#include <postbus/message.h>
#include "archive.h"

/* ---- the folder ---- */

/* Make it the list's own; the mailbox that has it. PB_ECONFLICT: it is another list's. */
static int claim(struct lists *all, const struct list *l, struct pb_str folder, struct pb_buf *mailbox, struct pb_error *err)
{
	json_t *params, *found = NULL;
	PB_AUTOBUF(readers);
	int rc;

	pb_buf_addf(&readers, "list:%.*s %.*s", PB_FMT(l->address), PB_FMT(l->id));
	params = json_pack("{s:s%, s:s%, s:s}", "postoffice", l->postoffice.ptr, l->postoffice.len, "folder", folder.ptr, folder.len, "readers", pb_buf_z(&readers));
	rc = params ? pb_call(all->host, "public.claim", params, &found, err) : pb_fail(err, PB_EINVALID, "the name of the archive's folder is no UTF-8");
	if (!rc)
		pb_buf_addstr(mailbox, pb_text_of(found, "mailbox"));
	json_decref(params);
	json_decref(found);
	return rc;
}

/* Of the names that it may have by itself; false: there are no more. In a local part "/" is a letter, in a folder's name it is not. */
static bool own_name(const struct list *l, unsigned which, struct pb_buf *out)
{
	pb_buf_reset(out);
	pb_buf_addz(out, "Lists/");
	for (size_t i = 0; i < l->local.len; i++)
		pb_buf_addc(out, l->local.ptr[i] == '/' ? '_' : l->local.ptr[i]);
	if (which)
		pb_buf_addf(out, "@%.*s", PB_FMT(l->domain));
	if (which > 1)
		pb_buf_addf(out, "-%.*s", PB_FMT(l->id));
	return which < 3;
}

static int open_folder(struct lists *all, const struct list *l, struct pb_folder **ret, struct pb_error *err)
{
	struct pb_str folder = setting_text(l->settings, "archive_folder");
	struct pb_mailbox *mb;
	PB_AUTOBUF(mailbox);
	PB_AUTOBUF(name);
	int rc;

	if (!folder.len && own_name(l, 0, &name))
		folder = pb_buf_str(&name);
	rc = claim(all, l, folder, &mailbox, err);
	if (!rc)
		rc = pb_mailbox_open(all->host, pb_buf_str(&mailbox), &mb, err);
	if (!rc) {
		rc = pb_folder_open(mb, folder, ret, err);
		pb_mailbox_close(mb);
	}
	return rc ? pb_because(err, "the archive of %.*s", PB_FMT(l->address)) : 0;
}

int archive_prepare(struct lists *all, struct list *l, struct pb_error *err)
{
	struct pb_str folder = setting_text(l->settings, "archive_folder");
	PB_AUTOBUF(mailbox);
	PB_AUTOBUF(name);
	int rc = PB_ECONFLICT;

	if (!setting_flag(l->settings, "archive"))
		return 0;
	if (folder.len) {
		rc = claim(all, l, folder, &mailbox, err);
		return rc ? pb_because(err, "the archive of %.*s", PB_FMT(l->address)) : 0;
	}
	for (unsigned which = 0; rc == PB_ECONFLICT && own_name(l, which, &name); which++) {
		rc = claim(all, l, pb_buf_str(&name), &mailbox, err);
		if (!rc && which)
			set_text(l->settings, "archive_folder", pb_buf_str(&name));
	}
	return rc ? pb_because(err, "the archive of %.*s", PB_FMT(l->address)) : 0;
}

/* ---- a post ---- */

static bool says(const struct post *p, const char *field, const char *word)
{
	struct pb_str value;

	return pb_header_find(p->header, pb_strz(field), &value) && pb_str_ieq(pb_str_trim(value), pb_strz(word));
}

static bool wants_none(const struct post *p)
{
	return says(p, "X-No-Archive", "yes") || says(p, "X-Archive", "no") || says(p, "Archive", "no");
}

static int append(struct post *p, struct pb_folder *f, struct pb_str message, struct pb_error *err)
{
	struct pb_spool *spool = pb_spool_begin(p->all->host, message.len, err);
	PB_AUTOBUF(token);

	if (!spool)
		return err ? err->code : PB_EUNAVAILABLE;
	pb_spool_write(spool, message.ptr, message.len);
	if (pb_spool_check(spool, err)) {
		pb_spool_discard(spool);
		return err ? err->code : PB_EUNAVAILABLE;
	}
	pb_buf_addf(&token, "archive/%.*s/%s", PB_FMT(p->list->id), pb_item_id(p->item));
	return pb_folder_append(f, spool, &(struct pb_append){ .token = pb_buf_str(&token) }, NULL, NULL, err);
}

/* What no attempt will make good: the members get their post all the same, and the log says that the archive does not have it. */
static bool is_hopeless(int rc)
{
	return rc == PB_ECONFLICT || rc == PB_EINVALID || rc == PB_EDENIED || rc == PB_EQUOTA;
}

int archive_keep(struct post *p, struct pb_error *err)
{
	struct pb_error why = { 0 };
	struct pb_folder *f = NULL;
	PB_AUTOBUF(message);
	int rc;

	if (!setting_flag(p->list->settings, "archive") || wants_none(p))
		return 0;
	rc = post_transform(p, &message, NULL, err);
	if (rc)
		return rc;
	rc = open_folder(p->all, p->list, &f, &why);
	if (!rc)
		rc = append(p, f, pb_buf_str(&message), &why);
	pb_folder_close(f);
	if (!is_hopeless(rc))
		return rc ? pb_fail(err, rc, "%s", why.text) : 0;
	pb_log(p->all->host, PB_WARNING, "list.unarchived", "id=%s list=%.*s error=%s", pb_item_id(p->item), PB_FMT(p->list->address), pb_logq(pb_strz(why.text)));
	return 0;
}

/* ---- who reads ---- */

/* Of groups and other sources: whoever would get a post. */
static int gets_posts(struct lists *all, const struct list *l, struct pb_str key, bool *ret, struct pb_error *err)
{
	struct post nobodys = { .all = all, .list = l };
	struct audience a;
	PB_AUTOBUF(end);
	int rc;

	pb_buf_addstr(&end, key);
	pb_buf_addc(&end, '\0');
	rc = audience_gather(&nobodys, key, pb_buf_str(&end), &a, err);
	*ret = !rc && a.n > 0;
	audience_end(&a);
	return rc;
}

int archive_reader(struct lists *all, const struct list *l, struct pb_str address, bool *ret, struct pb_error *err)
{
	json_t *row = NULL;
	PB_AUTOBUF(key);
	int rc;

	*ret = list_names(l, "owners", address) || list_names(l, "moderators", address);
	if (*ret || pb_address_key(&key, address, NULL))
		return 0;
	rc = member_get(all, l, address, &row, err);
	json_decref(row);
	*ret = !rc;
	return rc == PB_ENOTFOUND ? gets_posts(all, l, pb_buf_str(&key), ret, err) : rc;
}

METHOD(list_reader)
{
	struct lists *all = self;
	struct pb_str id = pb_text_of(params, "of"), address;
	bool reader = false;
	struct list l;
	int rc;

	if (!pb_str_cut(&id, ' ', &address)) {
		address = pb_text_of(params, "of");
		id = PB_NOSTR;
	}
	rc = list_open(all, address, &l, err);
	if (!rc) {
		if (id.len && !pb_str_eq(id, l.id))
			reader = false;
		else if (id.len && setting_is(l.settings, "archive_read", "postoffice"))
			reader = true;
		else
			rc = archive_reader(all, &l, pb_text_of(params, "address"), &reader, err);
		list_close(&l);
	}
	if (rc && rc != PB_ENOTFOUND && rc != PB_EINVALID)
		return rc;
	*ret_result = json_pack("{s:b}", "reader", reader);
	return 0;
}

/* ---- what is there ---- */

int archive_find(struct lists *all, const struct list *l, size_t last, int64_t from, int64_t to, bool (*visit)(void *arg, const struct archived *one), void *arg,
		 struct pb_error *err)
{
	struct pb_folder *f;
	struct pb_view *v;
	uint32_t first;
	size_t n = 0;
	int rc;

	if (!setting_flag(l->settings, "archive"))
		return pb_fail(err, PB_ENOTFOUND, "the list has no archive");
	rc = open_folder(all, l, &f, err);
	if (rc)
		return rc;
	rc = pb_folder_view(f, &v, err);
	pb_folder_close(f);
	if (rc)
		return rc;
	for (first = pb_view_count(v) + 1; first > 1 && (!last || n < last); first--) {
		int64_t date = pb_view_row(v, first - 1)->date;

		n += date >= from && (!to || date < to);
	}
	for (uint32_t seq = first; seq <= pb_view_count(v); seq++) {
		struct archived one = { pb_view_row(v, seq), v, seq };

		if (one.row->date >= from && (!to || one.row->date < to) && !visit(arg, &one))
			break;
	}
	pb_view_release(v);
	return 0;
}
