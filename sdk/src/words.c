/* SPDX-License-Identifier: Apache-2.0 */
/* Encoded words (RFC 2047) in header text, read. Writing them is build.c's. */
#include "mail.h"

enum { WORD_MAX = 2048 };	/* RFC 2047 says 75; what is longer than this is text */

struct word {
	struct pb_str charset, text;
	bool base64;
	size_t len;		/* of the whole, with "=?" and "?=" */
};

/* Is there an encoded word at the front? */
static bool word_parse(struct pb_str s, struct word *ret)
{
	long mark, star, end;
	char how;

	s = pb_str_head(s, WORD_MAX);
	if (s.len < 8 || s.ptr[0] != '=' || s.ptr[1] != '?')
		return false;
	mark = pb_str_find(s, '?', 2);
	if (mark <= 2 || (size_t)mark + 3 >= s.len || s.ptr[mark + 2] != '?')
		return false;
	how = (char)(s.ptr[mark + 1] | 32);
	if (how != 'q' && how != 'b')
		return false;
	end = pb_str_search(s, PB_STR("?="), (size_t)mark + 3);
	if (end < 0)
		return false;
	ret->charset = pb_str(s.ptr + 2, (size_t)mark - 2);
	star = pb_str_find(ret->charset, '*', 0);	/* RFC 2231: a language behind it */
	if (star > 0)
		ret->charset.len = (size_t)star;
	ret->base64 = how == 'b';
	ret->text = pb_str(s.ptr + mark + 3, (size_t)(end - mark - 3));
	ret->len = (size_t)end + 2;
	return true;
}

static int hex(char c)
{
	return pb_is_digit(c) ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

static void word_bytes(const struct word *w, struct pb_buf *out)
{
	struct pb_str t = w->text;

	if (w->base64) {
		pb_transfer_decode(PB_BASE64, t, out);
		return;
	}
	for (size_t i = 0; i < t.len; i++) {
		int high = t.ptr[i] == '=' && i + 2 < t.len ? hex(t.ptr[i + 1]) : -1;
		int low = high < 0 ? -1 : hex(t.ptr[i + 2]);

		if (low >= 0) {
			pb_buf_addc(out, (char)(high << 4 | low));
			i += 2;
		} else {
			pb_buf_addc(out, t.ptr[i] == '_' ? ' ' : t.ptr[i]);
		}
	}
}

static size_t blanks(struct pb_str s)
{
	size_t n = 0;

	while (n < s.len && pb_is_blank(s.ptr[n]))
		n++;
	return n;
}

/* A run of encoded words. Those with one charset are joined before they are converted: some cut characters in two between words. */
static struct pb_str take_run(struct pb_str s, struct word *w, struct pb_buf *out)
{
	PB_AUTOBUF(bytes);
	struct word next;

	for (;;) {
		size_t gap;

		word_bytes(w, &bytes);
		s = pb_str_skip(s, w->len);
		gap = blanks(s);
		if (!word_parse(pb_str_skip(s, gap), &next))
			break;
		s = pb_str_skip(s, gap);	/* blanks between words are not shown */
		if (!pb_str_ieq(next.charset, w->charset)) {
			if (pb_charset_decode(w->charset, pb_buf_str(&bytes), out))
				pb_charset_decode(PB_NOSTR, pb_buf_str(&bytes), out);
			pb_buf_reset(&bytes);
		}
		*w = next;
	}
	if (pb_charset_decode(w->charset, pb_buf_str(&bytes), out))
		pb_charset_decode(PB_NOSTR, pb_buf_str(&bytes), out);
	return s;
}

void pb_words_decode(struct pb_buf *out, struct pb_str value)
{
	PB_AUTOBUF(text);
	struct pb_str s;

	pb_unfold(&text, value);
	s = pb_buf_str(&text);
	while (s.len) {
		struct word w;
		long at = -1;

		for (size_t from = 0;; from = (size_t)at + 2) {
			at = pb_str_search(s, PB_STR("=?"), from);
			if (at < 0 || word_parse(pb_str_skip(s, (size_t)at), &w))
				break;
		}
		pb_charset_decode(PB_NOSTR, at < 0 ? s : pb_str_head(s, (size_t)at), out);
		if (at < 0)
			break;
		s = take_run(pb_str_skip(s, (size_t)at), &w, out);
	}
}
