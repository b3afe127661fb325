/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a footer goes in a message's structure, and the parts written again with it. */
#include <stdlib.h>
#include <postbus/message.h>
#include "notices/footer.h"

enum { EDITS_MAX = 16 };

/* Bytes of the message that others take the place of. */
struct edit {
	uint64_t off, len;
	struct pb_buf bytes;
};

struct work {
	struct pb_str message, facts;
	const struct footer *footer;
	struct pb_buf html, above_html;		/* below and above, as HTML */
	struct edit edits[EDITS_MAX];
	size_t n;
};

/* ---- what must not be changed ---- */

static bool is_type(const struct pb_part *p, const char *type, const char *subtype)
{
	return pb_str_ieq(p->type, pb_strz(type)) && pb_str_ieq(p->subtype, pb_strz(subtype));
}

static bool is_sealed(const struct pb_part *p)
{
	return is_type(p, "multipart", "signed") || is_type(p, "multipart", "encrypted") || is_type(p, "application", "pkcs7-mime") || is_type(p, "application", "x-pkcs7-mime") ||
	       is_type(p, "application", "pkcs7-signature") || is_type(p, "application", "pgp-encrypted") || is_type(p, "application", "pgp-signature");
}

/* Inline PGP within base64. */
static bool hides_pgp(struct pb_str message, const struct pb_part *p)
{
	PB_AUTOBUF(bytes);

	if (p->kind != PB_PART_LEAF || p->encoding != PB_BASE64 || (p->type.len && !pb_str_ieq(p->type, PB_STR("text"))))
		return false;
	pb_transfer_decode(p->encoding, pb_str_head(pb_str_skip(message, p->body_off), p->body_len), &bytes);
	return pb_str_search(pb_buf_str(&bytes), PB_STR("-----BEGIN PGP "), 0) >= 0;
}

static bool must_not_change(struct pb_str message, struct pb_str facts, bool dkim)
{
	struct pb_part part;

	for (uint32_t i = 0; i < pb_facts_count(facts); i++)
		if (pb_facts_at(facts, i, &part) && (is_sealed(&part) || hides_pgp(message, &part)))
			return true;
	if (!dkim && pb_header_count(pb_str_head(message, pb_header_size(message)), PB_STR("DKIM-Signature")) > 0)
		return true;
	return pb_str_search(message, PB_STR("-----BEGIN PGP "), 0) >= 0;
}

/* ---- text ---- */

static bool is_ascii(struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] > 127)
			return false;
	return true;
}

static void add_crlf(struct pb_buf *out, struct pb_str text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '\n' && (!i || text.ptr[i - 1] != '\r'))
			pb_buf_addc(out, '\r');
		pb_buf_addc(out, text.ptr[i]);
	}
	if (!pb_str_ends(text, PB_STR("\n")))
		pb_buf_addz(out, "\r\n");
}

static void html_of_text(struct pb_buf *out, struct pb_str text)
{
	pb_buf_addz(out, "<p>");
	for (size_t i = 0; i < text.len; i++) {
		switch (text.ptr[i]) {
		case '<':
			pb_buf_addz(out, "&lt;");
			break;
		case '>':
			pb_buf_addz(out, "&gt;");
			break;
		case '&':
			pb_buf_addz(out, "&amp;");
			break;
		case '\n':
			pb_buf_addz(out, "<br>\r\n");
			break;
		case '\r':
			break;
		default:
			pb_buf_addc(out, text.ptr[i]);
		}
	}
	pb_buf_addz(out, "</p>\r\n");
}

static void as_html(struct pb_buf *out, struct pb_str html, struct pb_str text)
{
	if (html.len)
		pb_buf_addstr(out, html);
	else if (text.len)
		html_of_text(out, text);
}

static long last_of(struct pb_str text, struct pb_str what)
{
	long at = -1, next;

	while ((next = pb_str_isearch(text, what, (size_t)(at + 1))) >= 0)
		at = next;
	return at;
}

static void join_below(struct pb_buf *out, struct pb_str text, struct pb_str footer, bool html)
{
	long at = html ? last_of(text, PB_STR("</body>")) : -1;

	if (html && at < 0)
		at = last_of(text, PB_STR("</html>"));
	if (at >= 0) {
		pb_buf_addstr(out, pb_str_head(text, (size_t)at));
		add_crlf(out, footer);
		pb_buf_addstr(out, pb_str_skip(text, (size_t)at));
		return;
	}
	pb_buf_addstr(out, text);
	if (text.len && !pb_str_ends(text, PB_STR("\n")))
		pb_buf_addz(out, "\r\n");
	if (!html)
		pb_buf_addz(out, "\r\n");
	add_crlf(out, footer);
}

/* Behind the tag that opens the body, or in front of all. */
static size_t top_of(struct pb_str text)
{
	long at = pb_str_isearch(text, PB_STR("<body"), 0), end = at < 0 ? -1 : pb_str_find(text, '>', (size_t)at);

	return end < 0 ? 0 : (size_t)end + 1;
}

static void join_above(struct pb_buf *out, struct pb_str text, struct pb_str above, bool html)
{
	size_t at = html ? top_of(text) : 0;

	pb_buf_addstr(out, pb_str_head(text, at));
	add_crlf(out, above);
	if (!html)
		pb_buf_addz(out, "\r\n");
	pb_buf_addstr(out, pb_str_skip(text, at));
}

/* text, replaced by itself with what goes above and below. */
static void join(struct pb_buf *text, struct pb_str above, struct pb_str below, bool html)
{
	PB_AUTOBUF(with_above);
	PB_AUTOBUF(out);

	if (above.len)
		join_above(&with_above, pb_buf_str(text), above, html);
	else
		pb_buf_addstr(&with_above, pb_buf_str(text));
	if (below.len)
		join_below(&out, pb_buf_str(&with_above), below, html);
	else
		pb_buf_addstr(&out, pb_buf_str(&with_above));
	pb_buf_reset(text);
	pb_buf_addstr(text, pb_buf_str(&out));
}

/* ---- a part written again ---- */

static bool is_utf8_name(struct pb_str charset)
{
	return pb_str_ieq(charset, PB_STR("utf-8")) || pb_str_ieq(charset, PB_STR("utf8"));
}

/* Not even the letters of ASCII are single bytes of their own there. */
static bool is_no_ascii(struct pb_str charset)
{
	return pb_str_istarts(charset, PB_STR("utf-16")) || pb_str_istarts(charset, PB_STR("utf-32")) || pb_str_istarts(charset, PB_STR("utf-7")) ||
	       pb_str_istarts(charset, PB_STR("iso-10646-ucs")) || pb_str_istarts(charset, PB_STR("ucs-"));
}

static void add_type(struct pb_buf *out, const struct pb_part *p, struct pb_str was)
{
	static const char *const kept[] = { "format", "delsp", "name" };

	pb_buf_addf(out, "Content-Type: %.*s/%.*s; charset=utf-8", PB_FMT(p->type.len ? p->type : PB_STR("text")), PB_FMT(p->subtype.len ? p->subtype : PB_STR("plain")));
	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
		PB_AUTOBUF(value);

		if (pb_value_param(was, pb_strz(kept[i]), &value) && is_ascii(pb_buf_str(&value)) && !memchr(value.ptr, '"', value.len) && !memchr(value.ptr, '\\', value.len))
			pb_buf_addf(out, "; %s=\"%s\"", kept[i], pb_buf_z(&value));
	}
	pb_buf_addz(out, "\r\n");
}

/* The part's own fields, but for those that say how its body is written. */
static void add_header(struct pb_buf *out, struct work *w, const struct pb_part *p, bool new_charset, const char *encoding)
{
	struct pb_str header = pb_str_head(pb_str_skip(w->message, p->header_off), p->header_len), type = PB_NOSTR;
	const struct pb_str names[] = { PB_STR("Content-Transfer-Encoding"), PB_STR("Content-Type"), PB_STR("MIME-Version") };
	PB_AUTOBUF(others);

	pb_header_find(header, PB_STR("Content-Type"), &type);
	pb_header_pick(&others, header, names, p->top && new_charset ? 3 : new_charset ? 2 : 1, true);
	/* The blank line comes last. */
	struct pb_str fields = pb_buf_str(&others);
	if (pb_str_ends(fields, PB_STR("\r\n\r\n")) || pb_str_eq(fields, PB_STR("\r\n")))
		fields.len -= 2;
	else if (pb_str_ends(fields, PB_STR("\n\n")))
		fields.len -= 1;
	pb_buf_addstr(out, fields);
	if (new_charset && p->top)
		pb_buf_addz(out, "MIME-Version: 1.0\r\n");
	if (new_charset)
		add_type(out, p, type);
	pb_buf_addf(out, "Content-Transfer-Encoding: %s\r\n\r\n", encoding);
}

static void edit_part(struct work *w, const struct pb_part *p, bool html)
{
	struct pb_str raw = pb_str_head(pb_str_skip(w->message, p->body_off), p->body_len), below = html ? pb_buf_str(&w->html) : w->footer->text;
	struct pb_str above = html ? pb_buf_str(&w->above_html) : w->footer->above;
	bool new_charset = !is_utf8_name(p->charset) && (is_no_ascii(p->charset) || !(is_ascii(below) && is_ascii(above)));
	struct edit *e = &w->edits[w->n];
	PB_AUTOBUF(bytes);
	PB_AUTOBUF(text);

	if (w->n == EDITS_MAX || !(below.len || above.len) || p->encoding == PB_BINARY || p->encoding == PB_ENCODING_UNKNOWN)
		return;
	pb_transfer_decode(p->encoding, raw, &bytes);
	if (!new_charset)
		pb_buf_addstr(&text, pb_buf_str(&bytes));
	else if (pb_charset_decode(p->charset, pb_buf_str(&bytes), &text))
		return;		/* nobody knows what its bytes mean */
	join(&text, above, below, html);
	e->off = p->header_off;
	e->len = p->body_off + p->body_len - p->header_off;
	e->bytes = (struct pb_buf)PB_BUF;
	w->n++;
	if (p->encoding == PB_BASE64) {
		add_header(&e->bytes, w, p, new_charset, "base64");
		pb_base64_lines(&e->bytes, pb_buf_str(&text));
	} else if (p->encoding == PB_QUOTED_PRINTABLE || !is_ascii(pb_buf_str(&text))) {
		add_header(&e->bytes, w, p, new_charset, "quoted-printable");
		pb_qp_encode(&e->bytes, pb_buf_str(&text));
	} else {
		add_header(&e->bytes, w, p, new_charset, "7bit");
		pb_buf_addstr(&e->bytes, pb_buf_str(&text));
	}
}

/* ---- which parts ---- */

static uint32_t behind(struct work *w, uint32_t index, uint32_t depth)
{
	struct pb_part p;

	for (index++; pb_facts_at(w->facts, index, &p) && p.depth > depth; index++)
		;
	return index;
}

static void visit(struct work *w, uint32_t index)
{
	struct pb_part p, child;

	if (!pb_facts_at(w->facts, index, &p) || p.attached)
		return;
	if (p.kind == PB_PART_LEAF) {
		if (!p.type.len || is_type(&p, "text", "plain"))
			edit_part(w, &p, false);
		else if (is_type(&p, "text", "html"))
			edit_part(w, &p, true);
		return;
	}
	if (p.kind != PB_PART_MULTIPART)
		return;
	/* Of alternatives all say the same; else the text is what comes first. */
	for (uint32_t i = index + 1; pb_facts_at(w->facts, i, &child) && child.depth > p.depth; i = behind(w, i, child.depth)) {
		visit(w, i);
		if (!pb_str_ieq(p.subtype, PB_STR("alternative")))
			return;
	}
}

bool footer_add(struct pb_buf *out, struct pb_str message, struct pb_str facts, const struct footer *footer)
{
	struct work w = { .message = message, .facts = facts, .footer = footer };
	uint64_t at = 0;

	if (must_not_change(message, facts, footer->dkim))
		return false;
	as_html(&w.html, footer->html, footer->text);
	as_html(&w.above_html, footer->above_html, footer->above);
	visit(&w, 0);
	for (size_t i = 0; i < w.n; i++) {
		pb_buf_addstr(out, pb_str_head(pb_str_skip(message, at), w.edits[i].off - at));
		pb_buf_addstr(out, pb_buf_str(&w.edits[i].bytes));
		at = w.edits[i].off + w.edits[i].len;
		pb_buf_free(&w.edits[i].bytes);
	}
	if (w.n)
		pb_buf_addstr(out, pb_str_skip(message, at));
	pb_buf_free(&w.html);
	pb_buf_free(&w.above_html);
	return w.n > 0;
}
