/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Deleted messages: what is kept of them, day by day and folder by folder; brought back, or gone for good. */
#include <stdlib.h>
#include <postbus/date.h>
#include "cleanup.h"

enum { DAY_LEN = 10 };	/* "2026-11-29" */

static int open_beside(struct cleanup *c, struct pb_str mailbox, struct pb_mailbox **ret, struct pb_error *err)
{
	PB_AUTOBUF(id);

	pb_buf_addf(&id, "%.*s" PB_MAILBOX_DELETED, PB_FMT(mailbox));
	return pb_mailbox_open(c->host, pb_buf_str(&id), ret, err);
}

/* "2026-11-29/Work/One": the day's number, and what stands behind it. */
static bool is_day(struct pb_str name, int64_t *ret_day, struct pb_str *ret_folder)
{
	PB_AUTOBUF(text);
	int64_t moment;

	if (name.len < DAY_LEN || (name.len > DAY_LEN && name.ptr[DAY_LEN] != '/'))
		return false;
	pb_buf_addstr(&text, pb_str_head(name, DAY_LEN));
	if (pb_date_iso_parse(pb_buf_str(&text), &moment))
		return false;
	*ret_day = pb_day_of(moment, 0);
	*ret_folder = pb_str_skip(name, DAY_LEN + 1);
	return true;
}

struct pb_str names_add(struct names *all, struct pb_str name)
{
	if (all->n == all->cap) {
		all->cap = all->cap ? all->cap * 2 : 32;
		all->list = pb_realloc(all->list, all->cap * sizeof *all->list);
	}
	return all->list[all->n++] = pb_arena_str(all->arena, name);
}

static bool keep_name(void *arg, const struct pb_folder_info *info)
{
	names_add(arg, info->name);
	return true;
}

static void names_of(struct pb_mailbox *box, struct names *ret)
{
	*ret = (struct names){ .arena = pb_arena_new() };
	pb_folder_list(box, keep_name, ret, NULL);
}

void names_free(struct names *all)
{
	pb_arena_free(all->arena);
	free(all->list);
}

/* ---- for good ---- */

/* Children first: a folder that has some becomes one that cannot be opened, and stays. */
int64_t deleted_forget(struct cleanup *c, struct pb_str mailbox, int64_t days)
{
	struct pb_mailbox *box;
	struct names all;
	int64_t n = 0, day;
	struct pb_str folder;

	if (open_beside(c, mailbox, &box, NULL))
		return 0;
	names_of(box, &all);
	for (size_t i = all.n; i-- > 0;)
		if (is_day(all.list[i], &day, &folder) && day < today_of(c) - days && pb_folder_delete(box, all.list[i], NULL) == 0)
			n++;
	names_free(&all);
	pb_mailbox_close(box);
	return n;
}

/* ---- the methods ---- */

/* The mailbox that is meant, where the caller may. */
static int find(struct cleanup *c, const struct pb_caller *who, const json_t *params, struct pb_buf *id, struct pb_error *err)
{
	struct pb_str which = pb_text_of(params, "mailbox");
	json_t *ask, *found = NULL;
	int rc;

	if (!which.len && who->role == PB_ROLE_USER) {
		pb_buf_addstr(id, who->mailbox);
		return 0;
	}
	ask = json_pack("{s:s%}", pb_str_find(which, '@', 0) < 0 ? "mailbox" : "address", which.ptr, which.len);
	rc = ask ? pb_call(c->host, "directory.mailbox", ask, &found, err) : pb_fail(err, PB_EINVALID, "no name of a mailbox");
	if (!rc && ((who->role == PB_ROLE_USER && !pb_str_eq(who->mailbox, pb_text_of(found, "mailbox"))) ||
		    (who->role == PB_ROLE_ADMIN && !pb_str_eq(who->postoffice, pb_text_of(found, "postoffice")))))
		rc = pb_fail(err, PB_ENOTFOUND, "no mailbox '%.*s'", PB_FMT(pb_str_head(which, 80)));
	if (!rc)
		pb_buf_addstr(id, pb_text_of(found, "mailbox"));
	json_decref(ask);
	json_decref(found);
	return rc;
}

static bool is_wanted(const json_t *params, struct pb_str name, struct pb_str *ret_folder)
{
	struct pb_str day = pb_text_of(params, "day"), folder = pb_text_of(params, "folder");
	int64_t number;

	return is_day(name, &number, ret_folder) && ret_folder->len && (!day.len || pb_str_eq(day, pb_str_head(name, DAY_LEN))) && (!folder.len || pb_str_eq(folder, *ret_folder));
}

static uint32_t count_of(struct pb_mailbox *box, struct pb_str name, uint64_t *ret_bytes)
{
	struct pb_folder_status status = { 0 };
	struct pb_folder *f;

	if (pb_folder_open(box, name, &f, NULL))
		return 0;
	pb_folder_status(f, &status, NULL);
	pb_folder_close(f);
	*ret_bytes = status.bytes;
	return status.messages;
}

METHOD(deleted_list)
{
	struct cleanup *c = self;
	struct pb_mailbox *box;
	struct pb_str folder;
	json_t *list = json_array();
	PB_AUTOBUF(id);
	struct names all;
	int rc = find(c, who, params, &id, err);

	if (!rc && open_beside(c, pb_buf_str(&id), &box, NULL) == 0) {
		names_of(box, &all);
		for (size_t i = 0; i < all.n; i++) {
			uint64_t bytes = 0;
			uint32_t n = is_wanted(params, all.list[i], &folder) ? count_of(box, all.list[i], &bytes) : 0;

			if (n)
				json_array_append_new(list, json_pack("{s:s%, s:s%, s:I, s:I}", "day", all.list[i].ptr, DAY_LEN, "folder", folder.ptr, folder.len, "messages", (json_int_t)n, "bytes",
								      (json_int_t)bytes));
		}
		names_free(&all);
		pb_mailbox_close(box);
	}
	if (rc)
		json_decref(list);
	else
		*ret_result = json_pack("{s:o}", "deleted", list);
	return rc;
}

static int open_or_make(struct pb_mailbox *box, struct pb_str name, struct pb_folder **ret, struct pb_error *err)
{
	int rc = pb_folder_open(box, name, ret, err);

	if (rc != PB_ENOTFOUND)
		return rc;
	rc = pb_folder_create(box, name, 0, err);
	if (!rc) {
		pb_folder_subscribe(box, name, true, NULL);
		rc = pb_folder_open(box, name, ret, err);
	}
	return rc;
}

/* Everything of one folder, as it was but for \Deleted. */
static int restore_folder(struct pb_mailbox *beside, struct pb_str name, struct pb_mailbox *box, struct pb_str to, int64_t *n, struct pb_error *err)
{
	struct pb_folder *from, *into;
	struct pb_view *view;
	uint32_t *uids, count = 0;
	int rc = pb_folder_open(beside, name, &from, err);

	if (rc)
		return rc == PB_ENOTFOUND ? 0 : rc;
	rc = open_or_make(box, to, &into, err);
	if (rc) {
		pb_folder_close(from);
		return rc;
	}
	rc = pb_folder_view(from, &view, err);
	if (!rc) {
		count = pb_view_count(view);
		uids = pb_alloc(2 * (count + 1) * sizeof *uids);
		for (uint32_t seq = 1; seq <= count; seq++)
			uids[seq - 1] = pb_view_row(view, seq)->uid;
		pb_view_release(view);
		if (count)
			rc = pb_folder_store(from, uids, count, PB_FLAGS_REMOVE, PB_DELETED, 0, NULL, NULL, err);
		if (!rc && count)
			rc = pb_folder_copy(from, uids, count, into, true, uids + count, NULL, err);
		free(uids);
	}
	if (!rc)
		*n += count;
	pb_folder_close(into);
	pb_folder_close(from);
	return rc;
}

METHOD(deleted_restore)
{
	struct cleanup *c = self;
	struct pb_mailbox *beside, *box;
	struct pb_str folder;
	PB_AUTOBUF(id);
	struct names all;
	int64_t n = 0;
	int rc = find(c, who, params, &id, err);

	if (!rc)
		rc = pb_mailbox_open(c->host, pb_buf_str(&id), &box, err);
	if (rc)
		return rc;
	if (open_beside(c, pb_buf_str(&id), &beside, NULL) == 0) {
		names_of(beside, &all);
		for (size_t i = 0; i < all.n && !rc; i++)
			if (is_wanted(params, all.list[i], &folder))
				rc = restore_folder(beside, all.list[i], box, folder, &n, err);
		names_free(&all);
		pb_mailbox_close(beside);
	}
	pb_mailbox_close(box);
	if (!rc)
		*ret_result = json_pack("{s:I}", "messages", (json_int_t)n);
	return rc;
}
