/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Messages of an IMAP folder, asked for ahead. Servers answer in the order of the questions, but may say that they are done later, several at once: so an answer
 * is known by its UID.
 */
#include "imap.h"
#include "imap_text.h"

static void ask(struct imap *m, const struct listed *one, const char *what)
{
	uint32_t uid = m->uids[one->number - 1];

	m->open[m->asked % IMAP_AHEAD] = uid;
	channel_putf(m->r.channel, "F%u UID FETCH %u (UID BODY.PEEK[%s])\r\n", m->asked++, uid, what);
}

void imap_ask_body(struct remote *r, const struct listing *l, const struct listed *one)
{
	(void)l;
	ask(imap_of(r), one, "");
}

void imap_ask_head(struct remote *r, const struct listing *l, const struct listed *one)
{
	(void)l;
	ask(imap_of(r), one, "HEADER");
}

/* "F12 OK ..." of a question that has no answer yet: it has none. 0: it is of one that was answered. */
static int fetch_done(struct imap *m, struct pb_str line, struct pb_error *err)
{
	struct pb_str tag = PB_NOSTR, word;
	uint64_t n;

	if (!pb_str_word(&line, &tag) || tag.ptr[0] != 'F' || pb_str_u64(pb_str_skip(tag, 1), UINT32_MAX, &n) || !pb_str_word(&line, &word)) {
		keep_words(m->r.said, sizeof m->r.said, tag);
		return pb_fail(err, PB_EINVALID, "the server breaks the protocol: '%s' where the answer to a FETCH has to be", m->r.said);
	}
	if (pb_str_ieq(word, PB_STR("BAD")))
		return imap_refusal(m, line, PB_EINVALID, err);
	if (n < m->answered)
		return 0;
	if (pb_str_ieq(word, PB_STR("OK")))
		return pb_fail(err, PB_ENOTFOUND, "the server gives no text for message %u", m->open[m->answered % IMAP_AHEAD]);
	return imap_refusal(m, line, PB_ENOTFOUND, err);
}

/* Up to the literal of the next answer. PB_ENOTFOUND: the oldest question has none. */
static int next_answer(struct imap *m, struct pb_error *err)
{
	for (unsigned n = 0; n < IMAP_NOISE_MAX; n++) {
		struct imap_fetch got;
		struct pb_str line;
		int rc = channel_line(m->r.channel, &line, err);

		if (rc)
			return rc;
		if (!pb_str_starts(line, PB_STR("* "))) {
			rc = fetch_done(m, line, err);
		} else if (pb_str_istarts(line, PB_STR("* BYE"))) {
			rc = imap_refusal(m, line, PB_EUNAVAILABLE, err);
		} else if (imap_fetch_parse(pb_str_skip(line, 2), &got) && got.has_body && imap_literal(line, &m->next.size)) {
			m->next.uid = got.uid;
			m->next.there = true;
			return 0;
		} else {
			rc = imap_skip_literals(m, line, err);
		}
		if (rc)
			return rc;
	}
	return pb_fail(err, PB_ETOOBIG, "answers without an end");
}

/* The UID may stand behind the text; then it is known too late to be anything but right. */
static int take_literal(struct imap *m, uint32_t uid, struct sink *sink, struct pb_error *err)
{
	struct imap_fetch rest = { 0 };
	struct pb_str after;
	int rc = channel_bytes(m->r.channel, m->next.size, sink, err);

	m->next.there = false;
	if (!rc)
		rc = channel_line(m->r.channel, &after, err);
	if (rc)
		return rc;
	imap_items_parse(after, &rest);
	rc = imap_skip_literals(m, after, err);
	if (!rc && (m->next.uid ? m->next.uid : rest.uid) != uid)
		rc = pb_fail(err, PB_EINVALID, "the server answers with message %u instead of %u", rest.uid, uid);
	return rc;
}

static bool is_open(const struct imap *m, uint32_t uid)
{
	for (unsigned n = m->answered + 1; n < m->asked; n++)
		if (m->open[n % IMAP_AHEAD] == uid)
			return true;
	return false;
}

int imap_body(struct remote *r, struct sink *sink, struct pb_error *err)
{
	struct imap *m = imap_of(r);
	uint32_t uid = m->open[m->answered % IMAP_AHEAD];
	int rc = m->next.there ? 0 : next_answer(m, err);

	if (!rc && m->next.uid && m->next.uid != uid)	/* of a later question: this one was passed over */
		rc = is_open(m, m->next.uid) ? pb_fail(err, PB_ENOTFOUND, "the server gives no text for message %u", uid)
					     : pb_fail(err, PB_EINVALID, "the server answers with message %u instead of %u", m->next.uid, uid);
	else if (!rc)
		rc = take_literal(m, uid, sink, err);
	m->answered++;
	return rc;
}
