/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * STORE and UID STORE: one change of flags on many messages, as one call to the store.
 */
#include "event.h"
#include "imap.h"
#include "view.h"

struct storing {
	struct set set;
	enum pb_store_mode mode;
	bool silent;
	struct pb_str *names;
	size_t nnames;
};

/* store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag))) */
static bool parse_store(struct parse *p, struct storing *st)
{
	if (!parse_set(p, &st->set) || !parse_space(p))
		return false;
	st->mode = parse_take(p, '+') ? PB_FLAGS_ADD : parse_take(p, '-') ? PB_FLAGS_REMOVE : PB_FLAGS_SET;
	st->silent = parse_word(p, "FLAGS.SILENT");
	if (!st->silent && !parse_word(p, "FLAGS"))
		return parse_fail(p, "Expected FLAGS");
	if (!parse_space(p))
		return false;
	if (parse_peek(p, '('))
		return parse_flag_list(p, &st->names, &st->nnames) && parse_end(p);
	st->names = pb_arena_alloc(p->arena, ((size_t)(p->end - p->p) / 2 + 1) * sizeof *st->names);
	do {
		if (!parse_flag(p, &st->names[st->nnames]))
			return false;
		st->nnames++;
	} while (parse_take(p, ' '));
	return parse_end(p);
}

/* The flags that the messages have now, in the numbers that the client has. */
static void tell(struct pb_session *s, const struct runs *runs, bool uid, struct pb_view *now)
{
	struct imap *im = imap_of(s);
	struct out o = out_start(s);
	struct flag_texts texts;

	flag_texts_init(&texts, now, pb_session_arena(s));
	for (size_t i = 0; i < runs->n; i++) {
		uint32_t many = 0, at = 0;
		const struct pb_row *row = NULL;

		for (uint32_t seq = runs->runs[i].from; seq <= runs->runs[i].to; seq++) {
			uint32_t want = pb_view_row(im->view, seq)->uid;

			/* In the new picture the same message stands nearby: mostly the next row. */
			if (!many || row->uid != want) {
				at = pb_view_find(now, want);
				if (!at) {
					many = 0;
					continue;
				}
				row = pb_view_run(now, at, &many);
			}
			put_fetch_flags(&o, &texts, seq, want, row->flags | (view_is_recent(im, want) ? IMAP_RECENT : 0), uid);
			row++;
			many--;
		}
		if (pb_session_is_dead(s))
			break;
	}
	out_end(&o);
}

static int store(struct pb_session *s, struct storing *st, bool uid)
{
	struct imap *im = imap_of(s);
	const char *done = uid ? "UID STORE completed" : "STORE completed";
	struct told told = { .mode = st->mode };
	bool lost;
	struct pb_error err;
	struct pb_view *now;
	struct runs runs;
	uint64_t flags;

	if (!view_runs(s, &st->set, uid, &runs))
		return imap_bad(s, "No such message number");
	if (im->readonly)
		return imap_no(s, "[READ-ONLY] The mailbox was opened with EXAMINE");
	told.uids = view_uids(s, &runs);
	told.n = runs.count;
	lost = !uid && view_lost(s, told.uids, told.n);
	if (lost && runs.count == 1)	/* nothing to do, and no keyword is made for it */
		return imap_no(s, "[EXPUNGEISSUED] The message is gone");
	if (flags_resolve(im->folder, st->names, st->nnames, st->mode != PB_FLAGS_REMOVE, &flags, &err) != 0)
		return err.code == PB_EQUOTA ? imap_no(s, "[LIMIT] Too many keywords in this mailbox") : imap_failed(s, "STORE", &err);
	if (runs.count == 0)
		return imap_done(s, uid, done);
	told.flags = flags;
	if (pb_folder_store(im->folder, told.uids, told.n, st->mode, flags, 0, NULL, NULL, &err) != 0)
		return imap_failed(s, "STORE", &err);
	event_flags(s, told.uids, told.n, st->mode, flags);
	if (!st->silent) {
		if (pb_folder_view(im->folder, &now, &err) != 0)
			return imap_failed(s, "STORE", &err);
		view_put_keywords(s, now, false);
		tell(s, &runs, uid, now);
		pb_view_release(now);
	}
	if (!view_sync(s, uid, &told)) {
		pb_putz(s, "* BYE The selected mailbox was deleted\r\n");
		return PB_CLOSE;
	}
	return lost ? imap_no(s, "[EXPUNGEISSUED] Some of the messages are gone") : imap_ok(s, done);
}

int imap_run_store(struct pb_session *s, struct pb_str args, bool uid)
{
	struct storing st = { 0 };
	struct pb_str text;
	struct parse p;
	int result;

	if (imap_gather(s, args, &text, &result) != 0)
		return result;
	p = parse_start(text, pb_session_arena(s));
	if (!parse_store(&p, &st))
		return imap_bad(s, p.error);
	return store(s, &st, uid);
}

int imap_store(struct pb_session *s, struct pb_str args)
{
	return imap_run_store(s, args, false);
}
