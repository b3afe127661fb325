/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Walks the parts of a message as its facts have them and puts each in a form that the transport takes. Holds one header at a time; bodies go
 * through in pieces. Signed parts are converted like others: a signature over 8-bit text cannot be kept here, and a bounce would help nobody.
 */
#include "downgrade.h"

bool has_long_lines(struct pb_str text)
{
	const char *p = text.ptr, *end = p + text.len;

	while (p < end && end - p > LINE_OCTETS_MAX) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((lf ? lf : end) - p);

		if (n > (size_t)LINE_OCTETS_MAX + (lf && n && lf[-1] == '\r' ? 1 : 0))
			return true;
		if (!lf)
			return false;
		p = lf + 1;
	}
	return false;
}

static bool is_8bit(struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] >= 0x80)
			return true;
	return false;
}

enum treatment { KEEP, TO_QP, TO_BASE64, MEND_QP, MEND_BASE64, RELABEL, IMPOSSIBLE };

struct walk {
	const struct downgrade *d;
	struct pb_part part;
	struct pb_str header, body;
	struct part_needs needs;
	enum treatment treatment;
};

/* RFC 2045 6.4: composite types have no encoding of their own; those of RFC 6532 and 6533 may. By the field, since the facts have a multipart without
 * a boundary as text. */
static bool may_be_encoded(struct pb_str header)
{
	struct pb_str value, type;

	if (!pb_header_find(header, PB_STR("Content-Type"), &value))
		return true;
	type = pb_value_main(value);
	return !pb_str_istarts(type, PB_STR("multipart/")) && (!pb_str_istarts(type, PB_STR("message/")) || pb_str_istarts(type, PB_STR("message/global")));
}

static enum treatment treat_leaf(const struct walk *w)
{
	bool eight = w->needs.eight && (w->d->what & DOWN_BODY);

	if (!eight && !w->needs.lines)
		return KEEP;
	if (w->part.encoding == PB_QUOTED_PRINTABLE)
		return MEND_QP;
	if (w->part.encoding == PB_BASE64)
		return MEND_BASE64;
	if (w->part.encoding == PB_ENCODING_UNKNOWN || !may_be_encoded(w->header))
		return eight ? IMPOSSIBLE : KEEP;
	/* quoted-printable adds two for each code, base64 a third of all */
	return pb_str_ieq(w->part.type, PB_STR("text")) || w->needs.coded * 2 <= w->body.len / 3 ? TO_QP : TO_BASE64;
}

static enum treatment treat_container(const struct walk *w)
{
	return (w->d->what & DOWN_BODY) && (w->part.encoding == PB_8BIT || w->part.encoding == PB_BINARY) ? RELABEL : KEEP;
}

/* ---- headers ---- */

static void add_missing(const struct walk *w, struct pb_buf *out)
{
	struct pb_str value;

	if (w->part.top && !pb_header_find(w->header, PB_STR("MIME-Version"), &value))
		pb_buf_addz(out, "MIME-Version: 1.0\r\n");
	if (w->needs.eight && !pb_header_find(w->header, PB_STR("Content-Type"), &value))
		pb_buf_addf(out, "Content-Type: text/plain; charset=%s\r\n", pb_utf8_valid(w->body) ? "utf-8" : "unknown-8bit");
	pb_buf_addf(out, "Content-Transfer-Encoding: %s\r\n", w->treatment == TO_QP ? "quoted-printable" : "base64");
}

static enum down_result put_header(const struct walk *w)
{
	const struct downgrade *d = w->d;
	bool encode = w->treatment == TO_QP || w->treatment == TO_BASE64;
	struct pb_str rest = w->header;
	struct pb_field field;
	PB_AUTOBUF(out);

	if (!encode && w->treatment != RELABEL && !(d->what && is_8bit(w->header)) && !has_long_lines(w->header)) {
		d->put(d->arg, w->header.ptr, w->header.len);
		return DOWN_DONE;
	}
	while (pb_header_next(&rest, &field)) {
		bool encoding = pb_str_ieq(field.name, PB_STR("Content-Transfer-Encoding"));

		if (encoding && encode)
			continue;
		if (encoding && w->treatment == RELABEL)
			pb_buf_addz(&out, "Content-Transfer-Encoding: 7bit\r\n");
		else if (!part_field(d, &out, &field))
			return DOWN_NO_HEADER;
	}
	if (encode)
		add_missing(w, &out);
	if (encode || rest.len)
		pb_buf_addz(&out, "\r\n");
	if (out.len)
		d->put(d->arg, out.ptr, out.len);
	return DOWN_DONE;
}

/* ---- parts ---- */

static void put_body(const struct walk *w)
{
	switch (w->treatment) {
	case TO_QP:
		part_put_qp(w->d, w->body);
		break;
	case TO_BASE64:
		part_put_base64(w->d, w->body);
		break;
	case MEND_QP:
		part_mend_qp(w->d, w->body);
		break;
	case MEND_BASE64:
		part_mend_base64(w->d, w->body);
		break;
	default:
		if (w->body.len)
			w->d->put(w->d->arg, w->body.ptr, w->body.len);
	}
}

static struct pb_str stretch(struct pb_str s, uint64_t off, uint64_t len)
{
	return pb_str_head(pb_str_skip(s, (size_t)off), (size_t)len);
}

/* A multipart in which no boundary was found: the facts have one part, which is all of it. Readers show its text: it must not be lost. */
static bool is_hollow(const struct downgrade *d, uint32_t index, const struct pb_part *part)
{
	struct pb_part child;

	if (part->kind != PB_PART_MULTIPART)
		return false;
	return !part->parts || (part->parts == 1 && pb_facts_at(d->facts, index + 1, &child) && child.body_off == part->body_off && child.body_len == part->body_len);
}

enum down_result downgrade(const struct downgrade *d)
{
	uint32_t n = pb_facts_count(d->facts);
	uint64_t at = 0;

	/* Parts that the scanner did not look into cannot be told from what stands between parts. */
	if (pb_facts_flags(d->facts) & PB_FACTS_CAPPED)
		return DOWN_NO_BODY;
	for (uint32_t i = 0; i < n; i++) {
		struct walk w = { .d = d };
		enum down_result rc;
		bool is_leaf;

		if (!pb_facts_at(d->facts, i, &w.part))
			return DOWN_NO_BODY;
		if (w.part.header_off < at)	/* of a hollow one */
			continue;
		if (w.part.header_off > at)
			part_put_between(d, stretch(d->message, at, w.part.header_off - at));
		w.header = stretch(d->message, w.part.header_off, w.part.header_len);
		at = w.part.header_off + w.part.header_len;
		is_leaf = w.part.kind == PB_PART_LEAF || is_hollow(d, i, &w.part);
		if (is_leaf) {
			w.body = stretch(d->message, w.part.body_off, w.part.body_len);
			part_look(w.body, &w.needs);
			at = w.part.body_off + w.part.body_len;
		}
		w.treatment = is_leaf ? treat_leaf(&w) : treat_container(&w);
		if (w.treatment == IMPOSSIBLE)
			return DOWN_NO_BODY;
		rc = put_header(&w);
		if (rc)
			return rc;
		put_body(&w);
	}
	if (at < d->message.len)
		part_put_between(d, stretch(d->message, at, d->message.len - at));
	return DOWN_DONE;
}
