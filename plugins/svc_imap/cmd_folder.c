/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, STATUS: one folder by its name. Looking through many is cmd_list.c's.
 */
#include <stdlib.h>
#include "imap.h"
#include "public.h"
#include "status.h"
#include "view.h"

static const struct {
	const char *name;
	unsigned bit;
} uses[] = {
	{ "\\Archive", PB_FOLDER_ARCHIVE }, { "\\Drafts", PB_FOLDER_DRAFTS }, { "\\Junk", PB_FOLDER_JUNK },
	{ "\\Sent", PB_FOLDER_SENT }, { "\\Trash", PB_FOLDER_TRASH },
};

/* The args as one mailbox name and nothing else: 0, or answered. */
static int one_name(struct pb_session *s, struct pb_str args, struct pb_str *ret, int *ret_result)
{
	struct pb_str text;
	struct parse p;

	if (imap_gather(s, args, &text, ret_result) != 0)
		return PB_EINVALID;
	p = parse_start(text, pb_session_arena(s));
	if (parse_mailbox(&p, ret) && parse_end(&p))
		return 0;
	*ret_result = imap_bad(s, p.error);
	return PB_EINVALID;
}

/* RFC 6154 3: SP "(USE (" use-attr ... "))". An attribute that is not ours to give: *ret_unknown. */
static bool parse_use(struct parse *p, unsigned *ret, bool *ret_unknown)
{
	struct pb_str name;

	if (!parse_need(p, '(') || !parse_word(p, "USE") || !parse_space(p) || !parse_need(p, '('))
		return parse_fail(p, "Unknown CREATE parameter");
	for (unsigned n = 0; !parse_take(p, ')'); n++) {
		unsigned bit = 0;

		if ((n > 0 && !parse_space(p)) || !parse_flag(p, &name))
			return false;
		for (size_t i = 0; i < sizeof uses / sizeof *uses; i++)
			if (pb_str_ieq(name, pb_strz(uses[i].name)))
				bit = uses[i].bit;
		*ret |= bit;
		*ret_unknown |= !bit;
	}
	return parse_need(p, ')');
}

/* RFC 8474 4.1 */
static const char *created(struct pb_session *s, struct pb_str name)
{
	struct pb_folder *folder;
	PB_AUTOBUF(id);

	if (pb_folder_open(imap_of(s)->mailbox, name, &folder, NULL))
		return "CREATE completed";	/* somebody has removed it already */
	pb_folder_id(folder, &id, NULL);
	pb_folder_close(folder);
	return pb_arena_printf(pb_session_arena(s), "[MAILBOXID (%s)] CREATE completed", pb_buf_z(&id));
}

int imap_create(struct pb_session *s, struct pb_str args)
{
	struct pb_str text, name;
	struct pb_error err;
	struct parse p;
	unsigned use = 0;
	bool unknown = false;
	int result;

	if (imap_gather(s, args, &text, &result) != 0)
		return result;
	p = parse_start(text, pb_session_arena(s));
	if (!parse_mailbox(&p, &name) || (parse_take(&p, ' ') && !parse_use(&p, &use, &unknown)) || !parse_end(&p))
		return imap_bad(s, p.error);
	if (public_is(name))
		return imap_no(s, "[NOPERM] Public folders are made by administrators, with postbusctl");
	if (unknown)
		return imap_no(s, "[USEATTR] That special use cannot be given");
	if (name.len > 1 && name.ptr[name.len - 1] == '/')
		name.len--;	/* "a declaration of intent" to create below it (RFC 3501 6.3.3) */
	if (pb_folder_create(imap_of(s)->mailbox, name, use, &err) != 0)
		return imap_failed(s, "CREATE", &err);
	return imap_done(s, true, created(s, name));
}

/* Its messages can be brought back, where that is a setting. */
static int empty_folder(struct pb_session *s, struct pb_str name, struct pb_error *err)
{
	int64_t days = pb_login_retention(s);
	struct pb_folder *f;
	struct pb_view *view;
	uint32_t *uids, n;
	int rc;

	if (!days || pb_folder_open(imap_of(s)->mailbox, name, &f, err))
		return 0;	/* what is not there says so when it is deleted */
	rc = pb_folder_view(f, &view, err);
	if (!rc) {
		n = pb_view_count(view);
		uids = pb_alloc((n + 1) * sizeof *uids);
		for (uint32_t seq = 1; seq <= n; seq++)
			uids[seq - 1] = pb_view_row(view, seq)->uid;
		pb_view_release(view);
		rc = pb_folder_discard(pb_session_host(s), f, uids, n, false, days, err);
		free(uids);
	}
	pb_folder_close(f);
	return rc;
}

int imap_delete(struct pb_session *s, struct pb_str args)
{
	struct imap *im = imap_of(s);
	struct pb_error err;
	struct pb_str name;
	int result;

	if (one_name(s, args, &name, &result) != 0)
		return result;
	if (pb_str_eq(name, PB_STR("INBOX")))
		return imap_no(s, "[CANNOT] INBOX cannot be deleted");
	if (public_is(name))
		return imap_no(s, "[NOPERM] Public folders are deleted by administrators, with postbusctl");
	if (empty_folder(s, name, &err) != 0 || pb_folder_delete(im->mailbox, name, &err) != 0)
		return imap_failed(s, "DELETE", &err);
	if (im->folder && !pb_folder_exists(im->folder))
		imap_deselect(s);
	return imap_done(s, true, "DELETE completed");
}

int imap_rename(struct pb_session *s, struct pb_str args)
{
	struct pb_str text, from, to;
	struct pb_error err;
	struct parse p;
	int result;

	if (imap_gather(s, args, &text, &result) != 0)
		return result;
	p = parse_start(text, pb_session_arena(s));
	if (!parse_mailbox(&p, &from) || !parse_space(&p) || !parse_mailbox(&p, &to) || !parse_end(&p))
		return imap_bad(s, p.error);
	if (to.len > 1 && to.ptr[to.len - 1] == '/')
		to.len--;
	if (public_is(from) || public_is(to))
		return imap_no(s, "[NOPERM] Public folders are renamed by administrators, with postbusctl");
	if (pb_folder_rename(imap_of(s)->mailbox, from, to, &err) != 0)
		return imap_failed(s, "RENAME", &err);
	return imap_done(s, true, "RENAME completed");
}

static int subscribe(struct pb_session *s, struct pb_str args, bool on)
{
	struct pb_error err;
	struct pb_str name;
	int result, rc;

	if (one_name(s, args, &name, &result) != 0)
		return result;
	rc = pb_folder_subscribe(imap_of(s)->mailbox, name, on, &err);
	if (rc != 0 && !(rc == PB_ENOTFOUND && !on))
		return imap_failed(s, on ? "SUBSCRIBE" : "UNSUBSCRIBE", &err);
	return imap_done(s, true, on ? "SUBSCRIBE completed" : "UNSUBSCRIBE completed");
}

int imap_subscribe(struct pb_session *s, struct pb_str args)
{
	return subscribe(s, args, true);
}

int imap_unsubscribe(struct pb_session *s, struct pb_str args)
{
	return subscribe(s, args, false);
}

/* ---- STATUS ---- */

static const struct {
	const char *name;
	unsigned bit;
} items[] = {
	{ "MESSAGES", STATUS_MESSAGES }, { "RECENT", STATUS_RECENT }, { "UIDNEXT", STATUS_UIDNEXT }, { "UIDVALIDITY", STATUS_UIDVALIDITY },
	{ "UNSEEN", STATUS_UNSEEN }, { "SIZE", STATUS_SIZE }, { "DELETED", STATUS_DELETED },
	{ "MAILBOXID", STATUS_MAILBOXID },
};

enum { ITEMS = sizeof items / sizeof *items };

bool parse_status_items(struct parse *p, unsigned *ret)
{
	*ret = 0;
	if (!parse_need(p, '('))
		return false;
	for (unsigned n = 0; n == 0 || !parse_take(p, ')'); n++) {
		size_t i = 0;

		if (n > 0 && !parse_space(p))
			return false;
		while (i < ITEMS && !parse_word(p, items[i].name))
			i++;
		if (i == ITEMS)
			return parse_fail(p, "Unknown STATUS item");
		*ret |= items[i].bit;
	}
	return true;
}

int put_status(struct pb_session *s, struct pb_str name, unsigned wanted, struct pb_error *err)
{
	struct pb_folder_status st;
	struct pb_folder *folder;
	const char *blank = "";
	PB_AUTOBUF(id);
	bool writable;
	int rc = folder_open(s, name, &folder, &writable, err);

	if (rc != 0)
		return rc;
	rc = pb_folder_status(folder, &st, err);
	if (!rc && (wanted & STATUS_MAILBOXID))
		rc = pb_folder_id(folder, &id, err);
	pb_folder_close(folder);
	if (rc != 0)
		return rc;
	const uint64_t values[ITEMS] = { st.messages, st.recent, st.uidnext, st.uidvalidity, st.unseen, st.bytes, st.deleted, 0 };

	pb_putz(s, "* STATUS ");
	imap_put_mailbox(s, name);
	pb_putz(s, " (");
	for (size_t i = 0; i < ITEMS; i++) {
		if (!(wanted & items[i].bit))
			continue;
		if (items[i].bit == STATUS_MAILBOXID)
			pb_putf(s, "%sMAILBOXID (%s)", blank, pb_buf_z(&id));
		else
			pb_putf(s, "%s%s %llu", blank, items[i].name, (unsigned long long)values[i]);
		blank = " ";
	}
	pb_putz(s, ")\r\n");
	return 0;
}

int imap_status(struct pb_session *s, struct pb_str args)
{
	struct pb_str text, name;
	struct pb_error err;
	struct parse p;
	unsigned wanted;
	int result;

	if (imap_gather(s, args, &text, &result) != 0)
		return result;
	p = parse_start(text, pb_session_arena(s));
	if (!parse_mailbox(&p, &name) || !parse_space(&p) || !parse_status_items(&p, &wanted) || !parse_end(&p))
		return imap_bad(s, p.error);
	if (put_status(s, name, wanted, &err) != 0)
		return imap_failed(s, "STATUS", &err);
	return imap_done(s, true, "STATUS completed");
}
