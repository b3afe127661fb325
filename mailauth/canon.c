/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Canonical forms: "simple" takes what stands there, "relaxed" bears what relays do to white space (RFC 6376 3.4). The body goes through in blocks. */
#include "mailauth/canon.h"
#include <gnutls/crypto.h>

static bool word_parse(struct pb_str word, enum canon *ret)
{
	*ret = pb_str_ieq(word, PB_STR("relaxed")) ? CANON_RELAXED : CANON_SIMPLE;
	return *ret == CANON_RELAXED || pb_str_ieq(word, PB_STR("simple"));
}

bool canon_parse(struct pb_str text, enum canon *ret_header, enum canon *ret_body)
{
	struct pb_str rest = text, header;

	*ret_header = *ret_body = CANON_SIMPLE;
	if (!text.len)
		return true;
	pb_str_cut(&rest, '/', &header);
	return word_parse(header, ret_header) && (!rest.ptr || word_parse(rest, ret_body));
}

/* ---- fields ---- */

/* Unfolded, each run of blanks as one. */
static void relaxed_field(struct pb_str raw, struct pb_buf *out)
{
	long colon = pb_str_find(raw, ':', 0);
	struct pb_str name = pb_str_trim(pb_str_head(raw, colon < 0 ? raw.len : (size_t)colon));
	struct pb_str value = colon < 0 ? PB_NOSTR : pb_str_trim(pb_str_skip(raw, (size_t)colon + 1));
	bool blank = false;

	for (size_t i = 0; i < name.len; i++)
		pb_buf_addc(out, (char)pb_lower((unsigned char)name.ptr[i]));
	pb_buf_addc(out, ':');
	for (size_t i = 0; i < value.len; i++) {
		char c = value.ptr[i];

		if (c == '\r' || c == '\n')
			continue;
		if (!pb_is_blank(c))
			pb_buf_addc(out, c);
		else if (!blank)
			pb_buf_addc(out, ' ');
		blank = pb_is_blank(c);
	}
	pb_buf_add(out, "\r\n", 2);
}

void canon_field(enum canon c, struct pb_str raw, struct pb_buf *out)
{
	if (c == CANON_RELAXED) {
		relaxed_field(raw, out);
		return;
	}
	if (pb_str_ends(raw, PB_STR("\r\n")))
		raw.len -= 2;
	else if (pb_str_ends(raw, PB_STR("\n")))
		raw.len--;
	pb_buf_addstr(out, raw);
	pb_buf_add(out, "\r\n", 2);
}

/* ---- bodies ---- */

enum { BLOCK = 8192 };

struct sink {
	gnutls_hash_hd_t hash;
	uint64_t limit, total;
	size_t n;
	char block[BLOCK];
};

static void flush(struct sink *s)
{
	gnutls_hash(s->hash, s->block, s->n);
	s->n = 0;
}

/* Counts all of it, takes what is below the limit. */
static void put(struct sink *s, const char *ptr, size_t len)
{
	uint64_t room = s->total < s->limit ? s->limit - s->total : 0;

	s->total += len;
	if (len > room)
		len = (size_t)room;
	if (len >= BLOCK) {
		flush(s);
		gnutls_hash(s->hash, ptr, len);
		return;
	}
	if (s->n + len > BLOCK)
		flush(s);
	memcpy(s->block + s->n, ptr, len);
	s->n += len;
}

/* Empty lines at the end count as none; a body without any line is one empty line (RFC 6376 3.4.3). */
static void put_simple(struct sink *s, struct pb_str body)
{
	while (pb_str_ends(body, PB_STR("\r\n")))
		body.len -= 2;
	put(s, body.ptr, body.len);
	put(s, "\r\n", 2);
}

static void put_relaxed_line(struct sink *s, struct pb_str line)
{
	size_t i = 0;

	while (line.len && pb_is_blank(line.ptr[line.len - 1]))
		line.len--;
	while (i < line.len) {
		size_t from = i;

		while (i < line.len && !pb_is_blank(line.ptr[i]))
			i++;
		put(s, line.ptr + from, i - from);
		if (i == line.len)
			break;
		put(s, " ", 1);
		while (i < line.len && pb_is_blank(line.ptr[i]))
			i++;
	}
}

static bool is_blank_line(struct pb_str line)
{
	for (size_t i = 0; i < line.len; i++)
		if (!pb_is_blank(line.ptr[i]))
			return false;
	return true;
}

/* Only CRLF ends a line here. */
static struct pb_str next_line(struct pb_str *rest)
{
	struct pb_str line = *rest;
	long end = -1;

	do
		end = pb_str_find(*rest, '\n', (size_t)(end + 1));
	while (end >= 0 && (end == 0 || rest->ptr[end - 1] != '\r'));
	if (end >= 0)
		line.len = (size_t)end - 1;
	*rest = pb_str_skip(*rest, end >= 0 ? (size_t)end + 1 : rest->len);
	return line;
}

/* RFC 6376 3.4.4; an empty body stays empty. */
static void put_relaxed(struct sink *s, struct pb_str body)
{
	uint64_t empty = 0;

	while (body.len) {
		struct pb_str line = next_line(&body);

		if (is_blank_line(line)) {
			empty++;
			continue;
		}
		for (; empty; empty--)
			put(s, "\r\n", 2);
		put_relaxed_line(s, line);
		put(s, "\r\n", 2);
	}
}

void canon_body_hash(enum canon c, struct pb_str body, uint64_t limit, unsigned char digest[32], uint64_t *ret_total)
{
	struct sink s = { .limit = limit };

	gnutls_hash_init(&s.hash, GNUTLS_DIG_SHA256);
	if (c == CANON_RELAXED)
		put_relaxed(&s, body);
	else
		put_simple(&s, body);
	flush(&s);
	gnutls_hash_deinit(s.hash, digest);
	*ret_total = s.total;
}
