/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * SEARCH and UID SEARCH (RFC 3501 6.4.4), with the extended answer of RFC 4731. Which messages match is search_eval.c's.
 */
#include "imap.h"
#include "search_eval.h"
#include "view.h"

static void put_plain(struct pb_session *s, const uint32_t *numbers, size_t n)
{
	struct out o = out_start(s);

	out_lit(&o, "* SEARCH");
	for (size_t i = 0; i < n; i++) {
		out_need(&o, 16);
		*o.p++ = ' ';
		o.p = out_digits(o.p, numbers[i]);
	}
	out_lit(&o, "\r\n");
	out_end(&o);
}

static void put_extended(struct pb_session *s, const uint32_t *numbers, size_t n, unsigned returns, bool uid)
{
	struct imap *im = imap_of(s);
	PB_AUTOBUF(all);

	pb_putf(s, "* ESEARCH (TAG \"%.*s\")%s", (int)im->tag_len, im->tag, uid ? " UID" : "");
	if (n && (returns & SEARCH_MIN))
		pb_putf(s, " MIN %u", numbers[0]);
	if (n && (returns & SEARCH_MAX))
		pb_putf(s, " MAX %u", numbers[n - 1]);
	if (returns & SEARCH_COUNT)
		pb_putf(s, " COUNT %zu", n);
	if (n && (returns & SEARCH_RETURN_ALL)) {
		set_print(&all, numbers, n);
		pb_putz(s, " ALL ");
		pb_put(s, all.ptr, all.len);
	}
	pb_putz(s, "\r\n");
}

static int search(struct pb_session *s, struct search *q, bool uid)
{
	struct search_result found = { 0 };

	search_run(s, q, uid, &found);
	if (q->returns)
		put_extended(s, found.numbers, found.n, q->returns, uid);
	else
		put_plain(s, found.numbers, found.n);
	if (!view_sync(s, uid, NULL)) {
		pb_putz(s, "* BYE The selected mailbox was deleted\r\n");
		return PB_CLOSE;
	}
	if (!found.err.code)
		return imap_ok(s, uid ? "UID SEARCH completed" : "SEARCH completed");
	if (found.err.code == PB_ENOTFOUND)
		return imap_no(s, "[EXPUNGEISSUED] Some of the messages are gone");
	return imap_failed(s, "SEARCH", &found.err);
}

int imap_run_search(struct pb_session *s, struct pb_str args, bool uid)
{
	struct search q;
	struct pb_str text;
	struct parse p;
	int result;

	if (imap_gather(s, args, &text, &result) != 0)
		return result;
	p = parse_start(text, pb_session_arena(s));
	if (parse_search(&p, imap_plugin_of(s)->nesting_max, &q))
		result = search(s, &q, uid);
	else if (q.bad_charset)
		result = imap_no(s, "[BADCHARSET (US-ASCII UTF-8 ISO-8859-1)] Unknown charset");
	else
		result = imap_bad(s, p.error);
	search_free(&q);
	return result;
}

int imap_search(struct pb_session *s, struct pb_str args)
{
	return imap_run_search(s, args, false);
}
