/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bytes of one part, and fields of one header, for a transport that takes less. Which part needs what is downgrade.c's. */
#include "downgrade.h"

enum { PIECE = 4096, QP_LINE = 75, BROKEN_AT = 900 };

/* Output in pieces of bounded size. */
struct piece {
	const struct downgrade *d;
	size_t len, column;
	char bytes[PIECE];
};

static void piece_put(struct piece *p, const char *ptr, size_t len)
{
	if (p->len + len > PIECE) {
		p->d->put(p->d->arg, p->bytes, p->len);
		p->len = 0;
	}
	memcpy(p->bytes + p->len, ptr, len);
	p->len += len;
	p->column += len;
}

static void piece_break(struct piece *p, const char *end)
{
	piece_put(p, end, strlen(end));
	p->column = 0;
}

static void piece_end(struct piece *p)
{
	if (p->len)
		p->d->put(p->d->arg, p->bytes, p->len);
}

static void put_hex(struct piece *p, unsigned char c)
{
	static const char hex[] = "0123456789ABCDEF";
	const char code[3] = { '=', hex[c >> 4], hex[c & 15] };

	piece_put(p, code, 3);
}

static bool is_line_end(struct pb_str s, size_t at)
{
	return at + 1 < s.len && s.ptr[at] == '\r' && s.ptr[at + 1] == '\n';
}

static bool is_coded(unsigned char c)
{
	return c >= 127 || c == '=' || (c < ' ' && c != '\t');
}

void part_look(struct pb_str body, struct part_needs *ret)
{
	size_t column = 0;

	*ret = (struct part_needs){ 0 };
	for (size_t i = 0; i < body.len; i++) {
		unsigned char c = (unsigned char)body.ptr[i];

		ret->eight |= c >= 0x80;
		ret->coded += is_coded(c) && c != '\r' && c != '\n';
		column = c == '\n' ? 0 : column + 1;
		ret->lines |= column > (size_t)LINE_OCTETS_MAX + (c == '\r' ? 1 : 0);
	}
}

/* RFC 2045 6.7: line ends stay line ends, blanks before them are coded. */
void part_put_qp(const struct downgrade *d, struct pb_str body)
{
	struct piece p = { .d = d };

	for (size_t i = 0; i < body.len; i++) {
		unsigned char c = (unsigned char)body.ptr[i];
		bool coded;

		if (is_line_end(body, i)) {
			piece_break(&p, "\r\n");
			i++;
			continue;
		}
		coded = is_coded(c) || (pb_is_blank(c) && (i + 1 == body.len || is_line_end(body, i + 1)));
		if (p.column + (coded ? 3 : 1) > QP_LINE)
			piece_break(&p, "=\r\n");
		if (coded)
			put_hex(&p, c);
		else
			piece_put(&p, body.ptr + i, 1);
	}
	piece_end(&p);
}

void part_put_base64(const struct downgrade *d, struct pb_str body)
{
	PB_AUTOBUF(lines);

	while (body.len) {
		struct pb_str some = pb_str_head(body, 57 * 64);	/* whole lines of 76 */

		pb_buf_reset(&lines);
		pb_base64_lines(&lines, some);
		d->put(d->arg, lines.ptr, lines.len);
		body = pb_str_skip(body, some.len);
	}
}

/* Bytes that should not be there are coded, lines are broken softly, though never inside of a code. */
void part_mend_qp(const struct downgrade *d, struct pb_str body)
{
	struct piece p = { .d = d };
	unsigned inside = 0;

	for (size_t i = 0; i < body.len; i++) {
		unsigned char c = (unsigned char)body.ptr[i];

		if (is_line_end(body, i)) {
			piece_break(&p, "\r\n");
			inside = 0;
			i++;
			continue;
		}
		if (p.column >= BROKEN_AT && !inside)
			piece_break(&p, "=\r\n");
		if (c >= 0x80 && (d->what & DOWN_BODY))
			put_hex(&p, c);
		else
			piece_put(&p, body.ptr + i, 1);
		inside = c == '=' ? 2 : inside ? inside - 1 : 0;
	}
	piece_end(&p);
}

/* What is no letter of base64 says nothing. */
void part_mend_base64(const struct downgrade *d, struct pb_str body)
{
	struct piece p = { .d = d };

	for (size_t i = 0; i < body.len; i++) {
		if (is_line_end(body, i)) {
			piece_break(&p, "\r\n");
			i++;
			continue;
		}
		if (p.column >= BROKEN_AT)
			piece_break(&p, "\r\n");
		if ((unsigned char)body.ptr[i] < 0x80 || !(d->what & DOWN_BODY))
			piece_put(&p, body.ptr + i, 1);
	}
	piece_end(&p);
}

void part_put_between(const struct downgrade *d, struct pb_str text)
{
	struct piece p = { .d = d };

	for (size_t i = 0; i < text.len; i++) {
		bool eight = (unsigned char)text.ptr[i] >= 0x80 && (d->what & DOWN_BODY);

		if (p.column >= LINE_OCTETS_MAX && text.ptr[i] != '\r' && text.ptr[i] != '\n')
			piece_break(&p, "\r\n");
		piece_put(&p, eight ? "?" : text.ptr + i, 1);
		if (text.ptr[i] == '\n')
			p.column = 0;
	}
	piece_end(&p);
}

/* ---- header fields ---- */

static bool is_8bit(struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] >= 0x80)
			return true;
	return false;
}

/* Fields whose syntax has no place for an encoded word everywhere. */
static bool is_structured(struct pb_str name)
{
	static const char *const names[] = { "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Message-ID", "In-Reply-To", "References", "Date", "Received", "Return-Path", "MIME-Version",
					     "Content-Type", "Content-Disposition", "Content-Transfer-Encoding", "Content-ID", "Content-Location", "DKIM-Signature",
					     "Authentication-Results", "Disposition-Notification-To", "Auto-Submitted", "Delivered-To" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (pb_str_ieq(name, pb_strz(names[i])))
			return true;
	return pb_str_istarts(name, PB_STR("Resent-")) || pb_str_istarts(name, PB_STR("List-")) || pb_str_istarts(name, PB_STR("ARC-"));
}

/* Every line that is too long is folded at a blank; where there is none, it is cut. */
static void add_folded(struct pb_buf *out, struct pb_str raw)
{
	struct pb_str line;

	while (raw.len && pb_str_cut(&raw, '\n', &line)) {
		while (line.len > LINE_OCTETS_MAX) {
			size_t at = BROKEN_AT;

			while (at > 1 && !pb_is_blank(line.ptr[at]))
				at--;
			if (at > 1 && pb_str_trim(pb_str_head(line, at)).len) {
				pb_buf_addstr(out, pb_str_head(line, at));
				pb_buf_addz(out, "\r\n");
				line = pb_str_skip(line, at);
			} else {
				pb_buf_addstr(out, pb_str_head(line, BROKEN_AT));
				pb_buf_addz(out, "\r\n ");
				line = pb_str_skip(line, BROKEN_AT);
			}
		}
		pb_buf_addstr(out, line);
		pb_buf_addc(out, '\n');
	}
}

bool part_field(const struct downgrade *d, struct pb_buf *out, const struct pb_field *field)
{
	if (d->what && is_8bit(field->raw)) {
		PB_AUTOBUF(name);
		PB_AUTOBUF(value);

		if (is_structured(field->name) || is_8bit(field->name))
			return false;
		pb_buf_addstr(&name, field->name);
		pb_words_decode(&value, field->value);
		pb_header_add(out, pb_buf_z(&name), pb_buf_str(&value), false);
	} else if (has_long_lines(field->raw)) {
		add_folded(out, field->raw);
	} else {
		pb_buf_addstr(out, field->raw);
		if (!pb_str_ends(field->raw, PB_STR("\n")))
			pb_buf_addz(out, "\r\n");
	}
	return true;
}
