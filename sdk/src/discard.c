/* SPDX-License-Identifier: Apache-2.0 */
/* Expunging with a way back: what goes is copied first to a mailbox beside, by day. Built on what mailbox.h offers everybody. */
#include <stdio.h>
#include <stdlib.h>
#include <postbus/date.h>
#include <postbus/mailbox.h>

/* Those of the messages that will go. */
static size_t pick_deleted(struct pb_folder *f, const uint32_t *uids, size_t n, uint32_t *ret)
{
	struct pb_view *view;
	size_t kept = 0;

	if (pb_folder_view(f, &view, NULL))
		return 0;
	for (size_t i = 0; i < n; i++) {
		uint32_t seq = pb_view_find(view, uids[i]);

		if (seq && (pb_view_row(view, seq)->flags & PB_DELETED))
			ret[kept++] = uids[i];
	}
	pb_view_release(view);
	return kept;
}

static int open_beside(struct pb_host *host, struct pb_str mailbox, struct pb_mailbox **ret, struct pb_error *err)
{
	PB_AUTOBUF(id);
	int rc;

	pb_buf_addf(&id, "%.*s" PB_MAILBOX_DELETED, PB_FMT(mailbox));
	rc = pb_mailbox_open(host, pb_buf_str(&id), ret, err);
	if (rc != PB_ENOTFOUND)
		return rc;
	rc = pb_mailbox_create(host, pb_buf_str(&id), err);
	return rc && rc != PB_EEXISTS ? rc : pb_mailbox_open(host, pb_buf_str(&id), ret, err);
}

static int open_day(struct pb_host *host, struct pb_folder *f, struct pb_folder **ret, struct pb_error *err)
{
	struct pb_mailbox *beside;
	int year, month, day, rc;
	PB_AUTOBUF(mailbox);
	PB_AUTOBUF(name);
	PB_AUTOBUF(path);

	rc = pb_folder_whose(f, &mailbox, &name, NULL, err);
	if (!rc)
		rc = open_beside(host, pb_buf_str(&mailbox), &beside, err);
	if (rc)
		return rc;
	pb_day_to_civil(pb_day_of(pb_now(host), 0), &year, &month, &day);
	pb_buf_addf(&path, "%04d-%02d-%02d/%.*s", year, month, day, PB_FMT(pb_buf_str(&name)));
	rc = pb_folder_open(beside, pb_buf_str(&path), ret, err);
	if (rc == PB_ENOTFOUND) {
		rc = pb_folder_create(beside, pb_buf_str(&path), 0, err);
		if (!rc || rc == PB_EEXISTS)
			rc = pb_folder_open(beside, pb_buf_str(&path), ret, err);
	}
	pb_mailbox_close(beside);
	return rc;
}

int pb_folder_discard(struct pb_host *host, struct pb_folder *f, const uint32_t *uids, size_t n, bool only_deleted, int64_t days, struct pb_error *err)
{
	uint32_t *gone, *made;
	struct pb_folder *kept;
	int rc = 0;

	if (days <= 0 || !n)
		return pb_folder_expunge(f, uids, n, only_deleted, err);
	gone = pb_alloc(2 * n * sizeof *gone);
	made = gone + n;
	if (only_deleted)
		n = pick_deleted(f, uids, n, gone);
	else
		memcpy(gone, uids, n * sizeof *gone);
	if (n) {
		rc = open_day(host, f, &kept, err);
		if (!rc) {
			rc = pb_folder_copy(f, gone, n, kept, false, made, NULL, err);
			pb_folder_close(kept);
		}
		if (!rc)
			rc = pb_folder_expunge(f, gone, n, only_deleted, err);
	}
	free(gone);
	return rc;
}
