/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * COPY and MOVE (RFC 3501 6.4.7, RFC 6851) with COPYUID (RFC 4315), each as one call to the store.
 */
#include "event.h"
#include "imap.h"
#include "public.h"
#include "quota.h"
#include "view.h"

/* "[COPYUID validity from to]": only pairs that were copied. Empty when none was. */
static const char *copyuid(struct pb_session *s, uint32_t uidvalidity, uint32_t *from, uint32_t *to, size_t n)
{
	PB_AUTOBUF(text);
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (!to[i])
			continue;
		from[kept] = from[i];
		to[kept++] = to[i];
	}
	if (!kept)
		return "";
	pb_buf_addf(&text, "[COPYUID %u ", uidvalidity);
	set_print(&text, from, kept);
	pb_buf_addc(&text, ' ');
	set_print(&text, to, kept);
	pb_buf_addz(&text, "] ");
	return pb_arena_str(pb_session_arena(s), pb_buf_str(&text)).ptr;
}

static int copy(struct pb_session *s, struct set *set, struct pb_str name, bool uid, bool move)
{
	struct imap *im = imap_of(s);
	const char *what = move ? "MOVE" : "COPY", *code;
	struct pb_folder *to;
	struct pb_error err;
	struct quota quota;
	struct runs runs;
	uint32_t *uids, *made, uidvalidity = 0;
	int rc;

	if (!view_runs(s, set, uid, &runs))
		return imap_bad(s, "No such message number");
	if (move && im->readonly)
		return imap_no(s, "[READ-ONLY] The mailbox was opened with EXAMINE");
	rc = folder_open_to_write(s, name, &to, &err);
	if (rc == PB_ENOTFOUND)
		return imap_no(s, "[TRYCREATE] No such mailbox");
	if (rc != 0)
		return imap_failed(s, what, &err);
	uids = view_uids(s, &runs);
	/* RFC 3501 6.4.7: all or nothing; UIDs that are not there are passed over (6.4.8). */
	if (!uid && view_lost(s, uids, runs.count)) {
		pb_folder_close(to);
		return imap_no(s, "[EXPUNGEISSUED] Some of the messages are gone");
	}
	made = pb_arena_alloc(pb_session_arena(s), ((size_t)runs.count + 1) * sizeof *made);
	if (runs.count)
		rc = quota_begin(s, to, name, &quota, &err);
	if (rc == 0 && runs.count)
		rc = pb_folder_copy(im->folder, uids, runs.count, to, move, made, &uidvalidity, &err);
	if (rc == 0)
		filed_tell(s, im->folder, to, made, runs.count);
	pb_folder_close(to);
	if (rc != 0) {
		view_sync(s, true, NULL);
		return imap_failed(s, what, &err);
	}
	if (runs.count)
		quota_copied(s, &quota);
	event_arrived(s, EVENT_COPY, name, made, runs.count);
	code = copyuid(s, uidvalidity, uids, made, runs.count);
	if (move) {	/* RFC 6851 4.3: before the EXPUNGEs */
		if (code[0])
			pb_putf(s, "* OK %sMoved\r\n", code);
		return imap_done(s, true, "MOVE completed");
	}
	return imap_done(s, true, pb_arena_printf(pb_session_arena(s), "%sCOPY completed", code));
}

int imap_run_copy(struct pb_session *s, struct pb_str args, bool uid, bool move)
{
	struct pb_str text, name;
	struct parse p;
	struct set set;
	int result;

	if (imap_gather(s, args, &text, &result) != 0)
		return result;
	p = parse_start(text, pb_session_arena(s));
	if (!parse_set(&p, &set) || !parse_space(&p) || !parse_mailbox(&p, &name) || !parse_end(&p))
		return imap_bad(s, p.error);
	return copy(s, &set, name, uid, move);
}

int imap_copy(struct pb_session *s, struct pb_str args)
{
	return imap_run_copy(s, args, false, false);
}

int imap_move(struct pb_session *s, struct pb_str args)
{
	return imap_run_copy(s, args, false, true);
}
