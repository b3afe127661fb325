/* SPDX-License-Identifier: Apache-2.0 */
/* Texts looked for without regard to case, in headers, parts and messages. Leaves search programs to svc_imap. */
#include <unicase.h>
#include <unistr.h>
#include "mail.h"

static bool is_ascii(struct pb_str s)
{
	struct census c = { 0 };

	census_take(&c, s.ptr, s.len, false);
	return !(c.flags & PB_FACTS_8BIT);
}

/* One character to one character, by way of its capital, so that both small sigmas are one. */
static size_t fold(const uint8_t *p, size_t left, struct pb_buf *out)
{
	uint8_t bytes[6];
	ucs4_t c;
	int n = u8_mbtoucr(&c, p, left), m;

	if (n <= 0) {
		pb_buf_addc(out, (char)*p);
		return 1;
	}
	m = u8_uctomb(bytes, uc_tolower(uc_toupper(c)), sizeof bytes);
	if (m > 0)
		pb_buf_add(out, bytes, (size_t)m);
	return (size_t)n;
}

void pb_casefold(struct pb_buf *out, struct pb_str text)
{
	const uint8_t *p = (const uint8_t *)text.ptr;

	pb_buf_reserve(out, text.len + 16);
	for (size_t i = 0; i < text.len;) {
		if (p[i] < 0x80) {
			pb_buf_addc(out, (char)pb_lower(p[i]));
			i++;
		} else {
			i += fold(p + i, text.len - i, out);
		}
	}
}

int pb_needle_set(struct pb_needle *n, struct pb_str text)
{
	if (!pb_utf8_valid(text))
		return PB_EINVALID;
	pb_buf_reset(&n->folded);
	pb_casefold(&n->folded, text);
	n->ascii = is_ascii(pb_buf_str(&n->folded));
	return 0;
}

void pb_needle_free(struct pb_needle *n)
{
	pb_buf_free(&n->folded);
	n->ascii = true;
}

bool pb_needle_in(const struct pb_needle *n, struct pb_str text)
{
	PB_AUTOBUF(folded);

	if (!n->folded.len)
		return true;
	if (n->ascii)
		return pb_str_isearch(text, pb_buf_str(&n->folded), 0) >= 0;
	if (text.len < n->folded.len / 2 || is_ascii(text))
		return false;
	pb_casefold(&folded, text);
	return pb_str_search(pb_buf_str(&folded), pb_buf_str(&n->folded), 0) >= 0;
}

/* Nothing to decode: what stands there is what is meant. */
static bool is_plain(struct pb_str value)
{
	return !value.len || (!memchr(value.ptr, '\n', value.len) && !memchr(value.ptr, '\r', value.len) && pb_str_search(value, PB_STR("=?"), 0) < 0);
}

bool pb_needle_in_value(const struct pb_needle *n, struct pb_str value)
{
	PB_AUTOBUF(text);

	value = pb_str_trim(value);
	if (is_plain(value) && pb_utf8_valid(value))
		return pb_needle_in(n, value);
	pb_words_decode(&text, value);
	return pb_needle_in(n, pb_buf_str(&text));
}

bool pb_needle_in_header(const struct pb_needle *n, struct pb_str header)
{
	const char *at = header.ptr, *end = header.ptr + header.len;
	struct pb_field f;

	if (!n->folded.len)
		return true;
	while (pb_header_next(&header, &f)) {
		struct pb_str line = pb_str_trim(f.raw);

		/* Lines that are no field belong to no body either: they are looked at here, or nowhere. */
		if (f.raw.ptr > at && pb_needle_in(n, pb_str(at, (size_t)(f.raw.ptr - at))))
			return true;
		at = f.raw.ptr + f.raw.len;
		if (is_plain(line) ? pb_needle_in(n, line) : pb_needle_in(n, f.name) || pb_needle_in_value(n, f.value))
			return true;
	}
	end -= header.len;
	return end > at && pb_needle_in(n, pb_str(at, (size_t)(end - at)));
}

/* Charsets in which ASCII is ASCII and nothing else is, so that an ASCII text can be looked for before conversion. */
static bool is_ascii_superset(struct pb_str charset)
{
	return !charset.len || pb_str_ieq(charset, PB_STR("utf-8")) || pb_str_ieq(charset, PB_STR("us-ascii")) || pb_str_istarts(charset, PB_STR("iso-8859-")) ||
	       pb_str_istarts(charset, PB_STR("windows-125")) || pb_str_ieq(charset, PB_STR("koi8-r"));
}

bool pb_needle_in_part(const struct pb_needle *n, const struct pb_part *part, struct pb_str body)
{
	PB_AUTOBUF(decoded);
	PB_AUTOBUF(text);

	if (part->kind != PB_PART_LEAF || !pb_str_ieq(part->type, PB_STR("text")))
		return false;
	if (!n->folded.len)
		return true;
	if (part->encoding == PB_BASE64 || part->encoding == PB_QUOTED_PRINTABLE) {
		pb_transfer_decode(part->encoding, body, &decoded);
		body = pb_buf_str(&decoded);
	}
	if (n->ascii && is_ascii_superset(part->charset))
		return pb_needle_in(n, body);
	if ((!part->charset.len || pb_str_ieq(part->charset, PB_STR("utf-8"))) && pb_utf8_valid(body))
		return pb_needle_in(n, body);
	if (pb_charset_decode(part->charset, body, &text))
		pb_charset_decode(PB_NOSTR, body, &text);
	return pb_needle_in(n, pb_buf_str(&text));
}

static struct pb_str slice(struct pb_str message, uint64_t off, uint64_t len)
{
	return off <= message.len && len <= message.len - off ? pb_str(message.ptr + off, (size_t)len) : PB_NOSTR;
}

bool pb_needle_in_message(const struct pb_needle *n, struct pb_str facts, struct pb_str message, bool header_too)
{
	uint32_t count = pb_facts_count(facts);
	struct pb_part p;

	if (!n->folded.len)
		return true;
	for (uint32_t i = 0; i < count && pb_facts_at(facts, i, &p); i++) {
		if ((i || header_too) && pb_needle_in_header(n, slice(message, p.header_off, p.header_len)))
			return true;
		if (pb_needle_in_part(n, &p, slice(message, p.body_off, p.body_len)))
			return true;
	}
	return false;
}
