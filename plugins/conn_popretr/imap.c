/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One folder of an IMAP server as a remote mailbox (RFC 3501, 2177 IDLE, 4315 UIDPLUS). Messages are known by UIDVALIDITY and UID. How it is logged in is
 * imap_login.c's, and how messages are read imap_read.c's.
 */
#include <stdio.h>
#include <stdlib.h>
#include "imap.h"
#include "imap_text.h"

enum { SET_MAX = 100 };

/* ---- lines ---- */

static void nothing(void *arg, const char *ptr, size_t len)
{
	(void)arg;
	(void)ptr;
	(void)len;
}

int imap_skip_literals(struct imap *m, struct pb_str line, struct pb_error *err)
{
	struct sink sink = { nothing, NULL, 0, 1 };
	uint64_t size;

	while (imap_literal(line, &size)) {
		int rc = channel_bytes(m->r.channel, size, &sink, err);

		if (!rc)
			rc = channel_line(m->r.channel, &line, err);
		if (rc)
			return rc;
	}
	return 0;
}

int imap_refusal(struct imap *m, struct pb_str text, enum pb_code refused, struct pb_error *err)
{
	keep_words(m->r.said, sizeof m->r.said, text);
	if (pb_str_isearch(text, PB_STR("[UNAVAILABLE]"), 0) >= 0 || pb_str_isearch(text, PB_STR("[INUSE]"), 0) >= 0 || pb_str_isearch(text, PB_STR("[LIMIT]"), 0) >= 0)
		refused = PB_EBUSY;
	return pb_fail(err, refused, "the server says: %s", m->r.said);
}

int imap_finish(struct imap *m, const char *tag, enum pb_code refused, imap_visit *visit, void *arg, struct pb_error *err)
{
	for (unsigned n = 0; n < LISTED_MAX + IMAP_NOISE_MAX; n++) {
		struct pb_str line, word = PB_NOSTR;
		int rc = channel_line(m->r.channel, &line, err);

		if (rc)
			return rc;
		if (pb_str_starts(line, PB_STR("* "))) {
			struct pb_str what = pb_str_skip(line, 2);

			if (pb_str_istarts(what, PB_STR("BYE")))
				return imap_refusal(m, what, PB_EUNAVAILABLE, err);
			rc = visit ? visit(m, arg, what, err) : 0;
			if (!rc)
				rc = imap_skip_literals(m, line, err);
			if (rc)
				return rc;
			continue;
		}
		if (pb_str_starts(line, PB_STR("F")))		/* a fetch whose answer was taken already */
			continue;
		if (!pb_str_word(&line, &word) || !pb_str_eq(word, pb_strz(tag)) || !pb_str_word(&line, &word)) {
			keep_words(m->r.said, sizeof m->r.said, word);
			return pb_fail(err, PB_EINVALID, "the server breaks the protocol: '%s' where %s has to be", m->r.said, tag);
		}
		if (pb_str_ieq(word, PB_STR("OK")))
			return 0;
		return imap_refusal(m, line, pb_str_ieq(word, PB_STR("NO")) ? refused : PB_EINVALID, err);
	}
	return pb_fail(err, PB_ETOOBIG, "answers without an end");
}

const char *imap_next_tag(struct imap *m, char *tag)
{
	snprintf(tag, 16, "A%u", ++m->tag);
	return tag;
}

int imap_command(struct imap *m, const char *line, enum pb_code refused, imap_visit *visit, void *arg, struct pb_error *err)
{
	char tag[16];

	channel_put(m->r.channel, pb_strz(imap_next_tag(m, tag)));
	channel_put(m->r.channel, PB_STR(" "));
	channel_put(m->r.channel, pb_strz(line));
	channel_put(m->r.channel, PB_STR("\r\n"));
	return imap_finish(m, tag, refused, visit, arg, err);
}

bool imap_can(const struct imap *m, const char *what)
{
	PB_AUTOBUF(word);

	pb_buf_addf(&word, " %s ", what);
	return pb_str_isearch(pb_buf_str(&m->capabilities), pb_buf_str(&word), 0) >= 0;
}

/* ---- the list ---- */

static int see_validity(struct imap *m, void *arg, struct pb_str line, struct pb_error *err)
{
	long at = pb_str_isearch(line, PB_STR("[UIDVALIDITY "), 0);
	struct pb_str rest;
	uint64_t n;

	(void)arg;
	(void)err;
	if (at < 0)
		return 0;
	rest = pb_str_skip(line, (size_t)at + 13);
	at = pb_str_find(rest, ']', 0);
	if (at > 0 && !pb_str_u64(pb_str_head(rest, (size_t)at), UINT32_MAX, &n))
		m->validity = (uint32_t)n;
	return 0;
}

static int see_message(struct imap *m, void *arg, struct pb_str line, struct pb_error *err)
{
	struct listing *l = arg;
	struct imap_fetch got;
	struct listed *one;
	char uid[32];

	if (!imap_fetch_parse(line, &got) || !got.uid)
		return 0;
	if (m->n && got.uid <= m->uids[m->n - 1])
		return got.size ? pb_fail(err, PB_EINVALID, "UID %u behind UID %u", got.uid, m->uids[m->n - 1]) : 0;
	if (m->n >= LISTED_MAX)
		return pb_fail(err, PB_ETOOBIG, "more than %d messages", LISTED_MAX);
	if (m->n == m->room) {
		m->room = m->room ? m->room * 2 : 256;
		m->uids = pb_realloc(m->uids, m->room * sizeof *m->uids);
	}
	m->uids[m->n++] = got.uid;
	one = listing_add(l, (uint32_t)m->n);
	one->size = got.size;
	one->uid_at = (uint32_t)l->uids.len;
	one->uid_len = (uint32_t)snprintf(uid, sizeof uid, "%u.%u", m->validity, got.uid);
	pb_buf_addz(&l->uids, uid);
	l->has_uids = true;
	return 0;
}

static int list(struct remote *r, struct listing *ret, struct pb_error *err)
{
	struct imap *m = imap_of(r);
	PB_AUTOBUF(line);
	int rc;

	pb_buf_addz(&line, "SELECT ");
	pb_buf_addstr(&line, pb_buf_str(&m->folder));
	rc = imap_command(m, pb_buf_z(&line), PB_EUNAVAILABLE, see_validity, NULL, err);
	if (rc)
		return pb_because(err, "SELECT");
	if (!m->validity)
		return pb_fail(err, PB_EINVALID, "the folder has no UIDVALIDITY: its messages cannot be told apart");
	rc = imap_command(m, "UID FETCH 1:* (UID RFC822.SIZE)", PB_EUNAVAILABLE, see_message, ret, err);
	return rc ? pb_because(err, "FETCH") : 0;
}

/* ---- removing ---- */

static int see_search(struct imap *m, void *arg, struct pb_str line, struct pb_error *err)
{
	struct pb_str word;

	(void)m;
	(void)err;
	if (pb_str_word(&line, &word) && pb_str_ieq(word, PB_STR("SEARCH")))
		*(bool *)arg = pb_str_word(&line, &word);
	return 0;
}

static int each_set(struct imap *m, const struct listed *const *all, size_t n, const char *before, const char *behind, struct pb_error *err)
{
	int rc = 0;

	for (size_t i = 0; i < n && !rc;) {
		PB_AUTOBUF(line);

		pb_buf_addz(&line, before);
		for (size_t k = 0; k < SET_MAX && i < n; k++, i++)
			pb_buf_addf(&line, "%s%u", k ? "," : "", m->uids[all[i]->number - 1]);
		pb_buf_addz(&line, behind);
		rc = imap_command(m, pb_buf_z(&line), PB_EUNAVAILABLE, NULL, NULL, err);
	}
	return rc;
}

/* Without UIDPLUS, EXPUNGE takes everything that is marked: what somebody else marked is not ours to remove, so then ours stays marked alone. */
static int remove_all(struct remote *r, const struct listing *l, const struct listed *const *all, size_t n, size_t *ret_gone, struct pb_error *err)
{
	struct imap *m = imap_of(r);
	bool plus = imap_can(m, "UIDPLUS"), others = false;
	int rc = plus ? 0 : imap_command(m, "UID SEARCH DELETED", PB_EUNAVAILABLE, see_search, &others, err);

	(void)l;
	if (!rc)
		rc = each_set(m, all, n, "UID STORE ", " +FLAGS.SILENT (\\Deleted)", err);
	if (!rc && plus)
		rc = each_set(m, all, n, "UID EXPUNGE ", "", err);
	else if (!rc && !others)
		rc = imap_command(m, "EXPUNGE", PB_EUNAVAILABLE, NULL, NULL, err);
	if (rc)
		return pb_because(err, "removing");
	*ret_gone = others ? 0 : n;
	return 0;
}

static int close_session(struct remote *r, struct pb_error *err)
{
	/* what was removed is removed: how the server says goodbye does not matter */
	channel_putf(r->channel, "Z LOGOUT\r\n");
	imap_finish(imap_of(r), "Z", PB_EUNAVAILABLE, NULL, NULL, err);
	return 0;
}

/* ---- IDLE ---- */

static int idle(struct remote *r, struct pb_error *err)
{
	struct pb_str line;
	int rc;

	channel_putf(r->channel, "I IDLE\r\n");
	do
		rc = channel_line(r->channel, &line, err);
	while (!rc && (pb_str_starts(line, PB_STR("* ")) || pb_str_starts(line, PB_STR("F"))));
	if (!rc && !pb_str_starts(line, PB_STR("+")))
		rc = imap_refusal(imap_of(r), line, PB_EUNAVAILABLE, err);
	return rc;
}

static int wake(struct remote *r, bool *ret_news, struct pb_error *err)
{
	struct pb_str line;
	int rc = channel_line(r->channel, &line, err);

	*ret_news = !rc && (pb_str_iends(line, PB_STR(" EXISTS")) || pb_str_iends(line, PB_STR(" RECENT")));
	return rc;
}

static void free_session(struct remote *r)
{
	struct imap *m = imap_of(r);

	pb_buf_free(&m->folder);
	pb_buf_free(&m->capabilities);
	free(m->uids);
	free(m);
}

static const struct remote_ops imap_ops = {
	.open = imap_open, .list = list, .ask_body = imap_ask_body, .ask_head = imap_ask_head, .body = imap_body, .head = imap_body, .remove = remove_all, .close = close_session,
	.idle = idle, .wake = wake, .free = free_session,
};

struct remote *imap_new(struct channel *c, struct pb_str folder)
{
	struct imap *m = pb_alloc(sizeof *m);
	PB_AUTOBUF(name);

	m->r.ops = &imap_ops;
	m->r.channel = c;
	m->r.ahead = 1;
	imap_folder(&name, folder.len ? folder : PB_STR("INBOX"));
	imap_quote(&m->folder, pb_buf_str(&name));
	return &m->r;
}
