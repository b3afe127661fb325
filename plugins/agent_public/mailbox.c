/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The mailbox behind a post office's public folders: its id in a row, itself made on first use. */
#include "public.h"

/* It has no folders of its own accord: what a new mailbox begins with is for people. */
static bool drop_standard(void *arg, const struct pb_folder_info *info)
{
	if (!pb_str_eq(info->name, PB_STR("INBOX"))) {
		pb_folder_delete(arg, info->name, NULL);
		pb_folder_subscribe(arg, info->name, false, NULL);
	}
	return true;
}

static int make(struct public *p, struct pb_str id, struct pb_error *err)
{
	struct pb_mailbox *mb;
	int rc = pb_mailbox_create(p->host, id, err);

	if (rc && rc != PB_EEXISTS)
		return rc;
	rc = pb_mailbox_open(p->host, id, &mb, err);
	if (rc)
		return rc;
	rc = pb_folder_list(mb, drop_standard, mb, err);
	pb_mailbox_close(mb);
	return rc;
}

static void new_id(struct pb_buf *id)
{
	unsigned char random[12];

	pb_random(random, sizeof random);
	pb_buf_addz(id, "public-");
	pb_hex_encode(id, pb_str((char *)random, sizeof random));
}

/* The mailbox last: until then it is found again. */
int public_forget(struct public *p, struct pb_str office, struct pb_error *err)
{
	PB_AUTOBUF(id);
	int rc;

	pthread_mutex_lock(&p->making);
	rc = pb_table_get(p->offices, office, &id, err);
	if (!rc)
		rc = rights_move(p, office, PB_NOSTR, PB_NOSTR, RIGHTS_REMOVE, err);
	if (!rc)
		rc = pb_mailbox_destroy(p->host, pb_buf_str(&id), err);
	if (!rc || rc == PB_ENOTFOUND)
		rc = id.len ? pb_table_apply(p->offices, &(struct pb_change){ PB_DELETE, office, PB_NOSTR }, 1, err) : 0;
	pthread_mutex_unlock(&p->making);
	return rc;
}

/* The mailbox first, then the row: what a crash leaves in between is empty and named by nobody. */
int public_mailbox(struct public *p, struct pb_str office, struct pb_buf *id, struct pb_error *err)
{
	int rc = pb_table_get(p->offices, office, id, err);

	if (rc != PB_ENOTFOUND)
		return rc;
	pthread_mutex_lock(&p->making);
	rc = pb_table_get(p->offices, office, id, err);
	if (rc == PB_ENOTFOUND) {
		pb_buf_reset(id);
		new_id(id);
		rc = make(p, pb_buf_str(id), err);
		if (!rc)
			rc = pb_table_apply(p->offices, &(struct pb_change){ PB_PUT, office, pb_buf_str(id) }, 1, err);
	}
	pthread_mutex_unlock(&p->making);
	return rc;
}
