/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the mail store has to follow: a mailbox's making, quota and end, each behind an intent row, so that a crash between two steps heals.
 * Which mailboxes there are is decided by the rows alone: a store without a row is never reachable, and is removed.
 */
#include <postbus/mailbox.h>
#include "directory.h"

static int set_quota(struct directory *d, struct pb_str id, const json_t *row, struct pb_error *err)
{
	struct pb_mailbox *mb;
	int rc = pb_mailbox_open(d->host, id, &mb, err);

	if (rc)
		return rc;
	rc = pb_mailbox_set_quota(mb, (uint64_t)number_of(row, "quota_messages"), (uint64_t)number_of(row, "quota_bytes"), err);
	pb_mailbox_close(mb);
	return rc;
}

/* With what its owner deleted (mailbox.h, PB_MAILBOX_DELETED). */
static int destroy(struct directory *d, struct pb_str id, struct pb_error *err)
{
	PB_AUTOBUF(beside);
	int rc;

	pb_buf_addf(&beside, "%.*s" PB_MAILBOX_DELETED, PB_FMT(id));
	rc = pb_mailbox_destroy(d->host, pb_buf_str(&beside), err);
	if (!rc || rc == PB_ENOTFOUND)
		rc = pb_mailbox_destroy(d->host, id, err);
	return rc == PB_ENOTFOUND ? 0 : rc;
}

static int settle_locked(struct directory *d, struct pb_str id, struct pb_error *err)
{
	char key[80];
	PB_AUTOBUF(bytes);
	struct pb_change forget = { .kind = PB_DELETE };
	json_t *row;
	int rc;

	if (id.len > 64)
		return pb_fail(err, PB_EINVALID, "no mailbox id");
	snprintf(key, sizeof key, "m/%.*s", PB_FMT(id));
	rc = pb_table_get(d->table, pb_strz(key), &bytes, err);
	if (rc == PB_ENOTFOUND) {
		rc = destroy(d, id, err);
	} else if (!rc) {
		row = json_loadb(bytes.ptr, bytes.len, 0, NULL);
		rc = set_quota(d, id, row, err);
		json_decref(row);
	}
	if (rc)
		return rc;
	snprintf(key, sizeof key, "i/%.*s", PB_FMT(id));
	forget.key = pb_strz(key);
	return pb_table_apply(d->table, &forget, 1, err);
}

int mailbox_settle(struct directory *d, struct pb_str id, struct pb_error *err)
{
	int rc;

	pthread_mutex_lock(&d->quota_lock);
	rc = settle_locked(d, id, err);
	pthread_mutex_unlock(&d->quota_lock);
	return rc;
}

struct due {
	struct pb_arena *arena;
	struct pb_str ids[500];
	size_t n;
};

static bool keep_id(void *arg, struct pb_str key, struct pb_str value)
{
	struct due *due = arg;

	(void)value;
	due->ids[due->n++] = pb_arena_str(due->arena, pb_str_skip(key, 2));
	return due->n < 500;
}

int mailbox_settle_all(struct directory *d, struct pb_error *err)
{
	struct pb_error why;
	PB_AUTOBUF(from);
	int rc = 0;
	size_t n = 500;

	pb_buf_addz(&from, "i/");
	while (!rc && n == 500) {
		struct due due = { .arena = pb_arena_new() };

		rc = pb_table_scan(d->table, pb_buf_str(&from), PB_STR("i0"), 500, keep_id, &due, err);
		n = due.n;
		for (size_t i = 0; i < n; i++) {
			/* One that cannot be settled now keeps its intent, and keeps nobody else waiting. */
			if (mailbox_settle(d, due.ids[i], &why))
				pb_log(d->host, PB_WARNING, "mailbox.unsettled", "mailbox=%.*s error=%s", PB_FMT(due.ids[i]), pb_logq(pb_strz(why.text)));
			else
				pb_log(d->host, PB_INFO, "mailbox.settled", "mailbox=%.*s", PB_FMT(due.ids[i]));
		}
		if (n) {
			pb_buf_reset(&from);
			pb_buf_addf(&from, "i/%.*s", PB_FMT(due.ids[n - 1]));
			pb_buf_addc(&from, 0);
		}
		pb_arena_free(due.arena);
	}
	return rc;
}
