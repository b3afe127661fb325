/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The round over all mailboxes: folders that have a rule about age, and deleted messages whose time is over. */
#include <stdlib.h>
#include "cleanup.h"

struct rules {
	struct cleanup *c;
	struct swept *swept;
	struct pb_mailbox *box;
	struct pb_str mailbox;
	const json_t *policy;
};

static void fault(struct rules *r, struct pb_str folder, const struct pb_error *err)
{
	pb_log(r->c->host, PB_WARNING, "cleanup.fault", "mailbox=%s folder=%s error=%s", pb_logq(r->mailbox), pb_logq(folder), pb_logq(pb_strz(err->text)));
}

/* ---- one folder ---- */

static int expunge_below(struct rules *r, struct pb_folder *f, uint32_t limit, struct pb_error *err)
{
	int64_t keep = json_integer_value(json_object_get(r->policy, "retention_days"));
	struct pb_view *view;
	uint32_t *uids, n = 0;
	int rc = pb_folder_view(f, &view, err);

	if (rc)
		return rc;
	uids = pb_alloc((pb_view_count(view) + 1) * sizeof *uids);
	for (uint32_t seq = 1; seq <= pb_view_count(view) && pb_view_row(view, seq)->uid < limit; seq++)
		uids[n++] = pb_view_row(view, seq)->uid;
	pb_view_release(view);
	if (n)
		rc = pb_folder_discard(r->c->host, f, uids, n, false, keep, err);
	if (!rc)
		r->swept->messages += n;
	free(uids);
	return rc;
}

static int age_folder(struct rules *r, struct pb_str folder, int64_t days, struct pb_error *err)
{
	struct pb_folder_status status;
	struct pb_folder *f;
	uint32_t limit;
	int rc = pb_folder_open(r->box, folder, &f, err);

	if (rc)
		return rc == PB_ENOTFOUND ? 0 : rc;
	rc = pb_folder_status(f, &status, err);
	if (!rc)
		rc = age_note(r->c, r->mailbox, folder, status.uidvalidity, status.uidnext, err);
	if (!rc)
		rc = age_limit(r->c, r->mailbox, folder, status.uidvalidity, days, &limit, err);
	if (!rc && limit)
		rc = expunge_below(r, f, limit, err);
	pb_folder_close(f);
	return rc;
}

static void rule(struct rules *r, struct pb_str folder, int64_t days)
{
	struct pb_error err = { 0 };

	if (days > 0 && folder.len && age_folder(r, folder, days, &err))
		fault(r, folder, &err);
}

/* ---- one mailbox ---- */

struct folders {
	struct names all;
	struct pb_str trash, junk;
};

static bool note_folder(void *arg, const struct pb_folder_info *info)
{
	struct folders *f = arg;
	struct pb_str name = names_add(&f->all, info->name);

	if ((info->attributes & PB_FOLDER_TRASH) && !f->trash.len)
		f->trash = name;
	if ((info->attributes & PB_FOLDER_JUNK) && !f->junk.len)
		f->junk = name;
	return true;
}

static int64_t days_of(const json_t *policy, const char *key)
{
	return json_integer_value(json_object_get(policy, key));
}

/* With what is below: clients that delete a folder move it into the trash as it is. */
static void special_rule(struct rules *r, const struct folders *f, struct pb_str folder, int64_t days)
{
	rule(r, folder, days);
	for (size_t i = 0; folder.len && days > 0 && i < f->all.n; i++)
		if (pb_str_starts(f->all.list[i], folder) && f->all.list[i].len > folder.len && f->all.list[i].ptr[folder.len] == '/')
			rule(r, f->all.list[i], days);
}

static void sweep_folders(struct rules *r)
{
	int64_t trash = days_of(r->policy, "trash_days"), junk = days_of(r->policy, "junk_days");
	struct folders f = { .all = { .arena = pb_arena_new() } };
	const char *folder;
	const json_t *days;

	if (trash || junk)
		pb_folder_list(r->box, note_folder, &f, NULL);
	special_rule(r, &f, f.trash, trash);
	special_rule(r, &f, f.junk, junk);
	json_object_foreach((json_t *)json_object_get(r->policy, "age_rules"), folder, days)
		rule(r, pb_strz(folder), json_integer_value(days));
	names_free(&f.all);
}

static void sweep_mailbox(struct cleanup *c, struct swept *swept, struct pb_str id)
{
	json_t *ask = json_pack("{s:s%}", "mailbox", id.ptr, id.len), *mailbox = NULL;
	struct rules r = { .c = c, .swept = swept, .mailbox = id };

	swept->mailboxes++;
	if (pb_call(c->host, "directory.mailbox", ask, &mailbox, NULL) == 0 && pb_mailbox_open(c->host, id, &r.box, NULL) == 0) {
		r.policy = json_object_get(mailbox, "policy");
		sweep_folders(&r);
		swept->forgotten += deleted_forget(c, id, days_of(r.policy, "retention_days"));
		pb_mailbox_close(r.box);
	}
	json_decref(ask);
	json_decref(mailbox);
}

/* ---- all ---- */

/* A page of the directory's list; false at its end. */
static bool next_page(struct cleanup *c, json_t **page)
{
	json_t *ask = json_object(), *after = json_incref(json_object_get(*page, "next"));
	bool first = !*page, more;

	if (after)
		json_object_set_new(ask, "after", after);
	json_decref(*page);
	*page = NULL;
	more = (first || after) && pb_call(c->host, "mailbox.list", ask, page, NULL) == 0;
	json_decref(ask);
	return more;
}

void sweep_all(struct cleanup *c, struct swept *ret)
{
	json_t *page = NULL, *one;
	size_t i;

	*ret = (struct swept){ 0 };
	while (next_page(c, &page))
		json_array_foreach(json_object_get(page, "mailboxes"), i, one)
			sweep_mailbox(c, ret, pb_text_of(one, "mailbox"));
	json_decref(page);
	pb_count(c->host, "expunged", ret->messages);
	if (ret->messages || ret->forgotten)
		pb_log(c->host, PB_INFO, "cleanup.done", "mailboxes=%lld messages=%lld days_forgotten=%lld", (long long)ret->mailboxes, (long long)ret->messages, (long long)ret->forgotten);
}
