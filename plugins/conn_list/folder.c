/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Folders that a list has for itself: those of the mailbox "list-<id>", which no login opens. */
#include <postbus/mailbox.h>
#include "list.h"

int list_folder(struct lists *all, const struct list *l, struct pb_str name, bool make, struct pb_mailbox **ret_mb, struct pb_folder **ret, struct pb_error *err)
{
	PB_AUTOBUF(id);
	int rc;

	pb_buf_addf(&id, "list-%.*s", PB_FMT(l->id));
	rc = pb_mailbox_open(all->host, pb_buf_str(&id), ret_mb, err);
	if (rc == PB_ENOTFOUND && make) {
		rc = pb_mailbox_create(all->host, pb_buf_str(&id), err);
		if (!rc || rc == PB_EEXISTS)
			rc = pb_mailbox_open(all->host, pb_buf_str(&id), ret_mb, err);
	}
	if (rc)
		return rc;
	rc = pb_folder_open(*ret_mb, name, ret, err);
	if (rc == PB_ENOTFOUND && make) {
		rc = pb_folder_create(*ret_mb, name, 0, err);
		if (!rc || rc == PB_EEXISTS)
			rc = pb_folder_open(*ret_mb, name, ret, err);
	}
	if (rc)
		pb_mailbox_close(*ret_mb);
	return rc;
}
