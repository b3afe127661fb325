/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * SELECT, EXAMINE, CHECK, CLOSE, UNSELECT, EXPUNGE, UID EXPUNGE: the coming and going of the selected folder.
 */
#include <stdlib.h>
#include "imap.h"
#include "public.h"
#include "view.h"

void imap_deselect(struct pb_session *s)
{
	struct imap *im = imap_of(s);

	if (!im->folder)
		return;
	pb_session_watch(s, NULL);
	pb_view_release(im->view);
	im->view = NULL;
	pb_folder_close(im->folder);
	im->folder = NULL;
	free(im->recent);
	im->recent = NULL;
	im->keywords_known = 0;
	im->readonly = false;
	pb_session_set_state(s, IMAP_AUTH);
}

static uint32_t first_unseen(const struct pb_view *v)
{
	uint32_t count = pb_view_count(v), many;

	for (uint32_t seq = 1; seq <= count;) {
		const struct pb_row *row = pb_view_run(v, seq, &many);

		for (; many; many--, seq++, row++)
			if (!(row->flags & PB_SEEN))
				return seq;
	}
	return 0;
}

static int enter(struct pb_session *s, struct pb_str args, bool readonly)
{
	struct imap *im = imap_of(s);
	const char *what = readonly ? "EXAMINE" : "SELECT";
	struct pb_error err;
	struct pb_str text, name;
	struct parse p;
	uint32_t unseen;
	bool writable;
	PB_AUTOBUF(id);
	int result;

	if (imap_gather(s, args, &text, &result) != 0)
		return result;
	p = parse_start(text, pb_session_arena(s));
	if (!parse_mailbox(&p, &name) || !parse_end(&p))
		return imap_bad(s, p.error);
	imap_deselect(s);	/* a failed SELECT leaves nothing selected (RFC 3501 6.3.1) */
	if (folder_open(s, name, &im->folder, &writable, &err) != 0)
		return imap_failed(s, what, &err);
	im->readonly = readonly || !writable;
	if (view_enter(s, &err) != 0) {
		imap_deselect(s);
		return imap_failed(s, what, &err);
	}
	pb_session_set_state(s, IMAP_SELECTED);
	view_put_keywords(s, im->view, true);
	pb_putf(s, "* %u EXISTS\r\n* %u RECENT\r\n", pb_view_count(im->view), view_recent_count(im));
	unseen = first_unseen(im->view);
	if (unseen)
		pb_putf(s, "* OK [UNSEEN %u] First unseen\r\n", unseen);
	if (pb_folder_id(im->folder, &id, NULL) == 0)
		pb_putf(s, "* OK [MAILBOXID (%s)] Id of the mailbox\r\n", pb_buf_z(&id));
	pb_putf(s, "* OK [UIDVALIDITY %u] UIDs are valid\r\n* OK [UIDNEXT %u] Next UID\r\n", pb_view_uidvalidity(im->view), pb_view_uidnext(im->view));
	return imap_ok(s, pb_arena_printf(pb_session_arena(s), "[%s] %s completed", im->readonly ? "READ-ONLY" : "READ-WRITE", what));
}

int imap_select(struct pb_session *s, struct pb_str args)
{
	return enter(s, args, false);
}

int imap_examine(struct pb_session *s, struct pb_str args)
{
	return enter(s, args, true);
}

int imap_check(struct pb_session *s, struct pb_str args)
{
	int result;

	return imap_no_args(s, args, &result) != 0 ? result : imap_done(s, true, "CHECK completed");
}

/* UIDs with \Deleted in the newest picture, within set where it is given; in the arena. */
static uint32_t *deleted_uids(struct pb_session *s, const struct pb_view *v, const struct set *set, size_t *ret_n)
{
	uint32_t count = pb_view_count(v), many;
	uint32_t *uids = NULL;
	size_t n = 0;

	for (int pass = 0; pass < 2; pass++) {
		if (pass)
			uids = pb_arena_alloc(pb_session_arena(s), (n + 1) * sizeof *uids);
		n = 0;
		for (uint32_t seq = 1; seq <= count;) {
			const struct pb_row *row = pb_view_run(v, seq, &many);

			for (; many; many--, seq++, row++) {
				if (!(row->flags & PB_DELETED) || (set && !set_has(set, row->uid)))
					continue;
				if (uids)
					uids[n] = row->uid;
				n++;
			}
		}
	}
	*ret_n = n;
	return uids;
}

static int expunge(struct pb_session *s, const struct set *set, struct pb_error *err)
{
	struct imap *im = imap_of(s);
	struct pb_view *now;
	uint32_t *uids;
	size_t n;
	int rc = pb_folder_view(im->folder, &now, err);

	if (rc != 0)
		return rc;
	uids = deleted_uids(s, now, set, &n);
	pb_view_release(now);
	return n ? pb_folder_discard(pb_session_host(s), im->folder, uids, n, true, pb_login_retention(s), err) : 0;
}

int imap_close(struct pb_session *s, struct pb_str args)
{
	struct imap *im = imap_of(s);
	struct pb_error err;
	int result, rc = 0;

	if (imap_no_args(s, args, &result) != 0)
		return result;
	if (!im->readonly)
		rc = expunge(s, NULL, &err);
	if (rc != 0 && rc != PB_ENOTFOUND)
		imap_warn(s, "CLOSE", &err);
	imap_deselect(s);
	return imap_ok(s, "CLOSE completed");
}

int imap_unselect(struct pb_session *s, struct pb_str args)
{
	int result;

	if (imap_no_args(s, args, &result) != 0)
		return result;
	imap_deselect(s);
	return imap_ok(s, "UNSELECT completed");
}

static int expunge_and_tell(struct pb_session *s, const struct set *set)
{
	struct pb_error err;

	if (imap_of(s)->readonly)
		return imap_no(s, "[READ-ONLY] The mailbox was opened with EXAMINE");
	if (expunge(s, set, &err) != 0) {
		view_sync(s, true, NULL);
		return imap_failed(s, "EXPUNGE", &err);
	}
	return imap_done(s, true, "EXPUNGE completed");
}

int imap_expunge(struct pb_session *s, struct pb_str args)
{
	int result;

	return imap_no_args(s, args, &result) != 0 ? result : expunge_and_tell(s, NULL);
}

/* RFC 4315 2.1 */
int imap_uid_expunge(struct pb_session *s, struct pb_str args)
{
	const struct pb_view *v = imap_of(s)->view;
	struct pb_str text;
	struct parse p;
	struct set set;
	int result;

	if (imap_gather(s, args, &text, &result) != 0)
		return result;
	p = parse_start(text, pb_session_arena(s));
	if (!parse_set(&p, &set) || !parse_end(&p))
		return imap_bad(s, p.error);
	set_resolve(&set, pb_view_count(v) ? pb_view_row(v, pb_view_count(v))->uid : 0);
	return expunge_and_tell(s, &set);
}
