/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The clamd protocol: "zINSTREAM" NUL, chunks with their length in four bytes, a chunk of no bytes, and an answer up to a NUL. */
#include <postbus/link.h>
#include "scan.h"

enum { CHUNK = 64 << 10, ANSWER_MAX = 1000, NAME_MAX_BYTES = 100 };
static const int64_t PROBE = 5 * PB_SECOND;

static void put_length(struct pb_link *l, size_t n)
{
	const unsigned char bytes[4] = { (unsigned char)(n >> 24), (unsigned char)(n >> 16), (unsigned char)(n >> 8), (unsigned char)n };

	pb_link_put(l, bytes, 4);
}

/* It may answer before all is sent, when the message is larger than it takes, and close: what it said then is still to be read. */
static void put_pieces(struct pb_link *l, const struct pb_str *pieces, size_t n, struct pb_error *err)
{
	pb_link_put(l, "zINSTREAM", sizeof "zINSTREAM");
	for (size_t i = 0; i < n; i++) {
		for (size_t at = 0; at < pieces[i].len; at += CHUNK) {
			struct pb_str chunk = pb_str_head(pb_str_skip(pieces[i], at), CHUNK);

			put_length(l, chunk.len);
			pb_link_put(l, chunk.ptr, chunk.len);
			if (pb_link_flush(l, err))
				return;
		}
	}
	put_length(l, 0);
	pb_link_flush(l, err);
}

static int read_answer(struct pb_link *l, struct pb_buf *answer, struct pb_error *err)
{
	char bytes[256];
	size_t n;

	while (answer->len < ANSWER_MAX) {
		int rc = pb_link_read(l, bytes, sizeof bytes, &n, err);

		if (rc == PB_ECLOSED && answer->len)
			return 0;
		if (rc)
			return rc;
		pb_buf_add(answer, bytes, n);
		if (memchr(bytes, 0, n))
			return 0;
	}
	return pb_fail(err, PB_EINTERNAL, "clamd's answer has more than %d bytes", ANSWER_MAX);
}

/* "stream: OK", "stream: Eicar-Test-Signature FOUND", "INSTREAM size limit exceeded. ERROR". Clean is what says so and nothing else. */
static int understand(struct pb_str answer, enum scan_result *ret, struct pb_buf *found, struct pb_error *err)
{
	struct pb_str rest = answer;

	pb_str_cut(&rest, '\0', &answer);
	answer = pb_str_trim(answer);
	if (pb_str_eq(answer, PB_STR("stream: OK"))) {
		*ret = SCAN_CLEAN;
		return 0;
	}
	if (pb_str_ends(answer, PB_STR(" FOUND"))) {
		*ret = SCAN_FOUND;
		answer.len -= sizeof " FOUND" - 1;
		if (pb_str_starts(answer, PB_STR("stream: ")))
			answer = pb_str_skip(answer, sizeof "stream: " - 1);
		pb_buf_addstr(found, pb_str_head(answer, NAME_MAX_BYTES));
		return 0;
	}
	if (pb_str_search(answer, PB_STR("size limit exceeded"), 0) >= 0) {
		*ret = SCAN_TOO_LARGE;
		return 0;
	}
	return pb_fail(err, PB_EINTERNAL, "clamd says: %.*s", PB_FMT(pb_str_head(answer, 150)));
}

/* Does it answer at all? */
static bool is_alive(const struct scanner *s, int64_t timeout)
{
	struct pb_error err;
	struct pb_link *l;
	PB_AUTOBUF(answer);

	if (pb_link_connect(s->host, s->address, s->port, PB_NOSTR, timeout, &l, &err))
		return false;
	pb_link_put(l, "zPING", sizeof "zPING");
	if (pb_link_flush(l, &err) == 0)
		read_answer(l, &answer, &err);
	pb_link_close(l);
	return pb_str_starts(pb_buf_str(&answer), PB_STR("PONG"));
}

/* Silent once, it is asked by one worker at a time whether it is there again; the others need not wait each for themselves. */
static bool is_back(struct scanner *s)
{
	bool back;

	if (atomic_exchange(&s->probing, true))
		return false;
	back = is_alive(s, s->timeout < PROBE ? s->timeout : PROBE);
	if (back)
		s->silent = false;
	s->probing = false;
	return back;
}

/* *ret_cut: it closed while it was sent to. */
static int scan_once(struct scanner *s, const struct pb_str *pieces, size_t n, struct pb_buf *answer, bool *ret_cut, struct pb_error *err)
{
	struct pb_error sending = { 0 };
	struct pb_link *l;
	int rc = pb_link_connect(s->host, s->address, s->port, PB_NOSTR, s->timeout, &l, err);

	*ret_cut = false;
	if (rc) {
		s->silent = rc == PB_ETIMEOUT;
		return pb_fail(err, PB_EUNAVAILABLE, "clamd at %.*s cannot be reached", PB_FMT(s->address));
	}
	put_pieces(l, pieces, n, &sending);
	rc = sending.code == PB_ETIMEOUT ? PB_ETIMEOUT : read_answer(l, answer, err);
	pb_link_close(l);
	if (!rc)
		return 0;
	*ret_cut = sending.code == PB_ECLOSED;
	s->silent = rc == PB_ETIMEOUT;
	return pb_fail(err, PB_EUNAVAILABLE, "clamd at %.*s does not answer", PB_FMT(s->address));
}

/* Closing while it is sent to is what clamd does with a message that is too large, and its answer may be lost then; but so does a clamd that ends. The same
 * twice, from one that is alive, is the former. */
int scan(struct scanner *s, const struct pb_str *pieces, size_t n, enum scan_result *ret, struct pb_buf *found, struct pb_error *err)
{
	PB_AUTOBUF(answer);
	bool cut;
	int rc;

	if (s->silent && !is_back(s))
		return pb_fail(err, PB_EUNAVAILABLE, "clamd at %.*s has not answered lately", PB_FMT(s->address));
	rc = scan_once(s, pieces, n, &answer, &cut, err);
	if (rc && cut && is_alive(s, s->timeout)) {
		pb_buf_reset(&answer);
		rc = scan_once(s, pieces, n, &answer, &cut, err);
		if (rc && cut && is_alive(s, s->timeout)) {
			*ret = SCAN_TOO_LARGE;
			return 0;
		}
	}
	return rc ? rc : understand(pb_buf_str(&answer), ret, found, err);
}
