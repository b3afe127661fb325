/* SPDX-License-Identifier: Apache-2.0 */
/* Content transfer encodings, both ways. Leaves charsets to charset.c. */
#include "mail.h"

enum pb_encoding pb_encoding_parse(struct pb_str word)
{
	static const struct { const char *name; enum pb_encoding encoding; } known[] = {
		{ "7bit", PB_7BIT }, { "8bit", PB_8BIT }, { "binary", PB_BINARY }, { "quoted-printable", PB_QUOTED_PRINTABLE }, { "base64", PB_BASE64 },
	};

	word = pb_str_trim(word);
	if (!word.len)
		return PB_7BIT;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (pb_str_ieq(word, pb_strz(known[i].name)))
			return known[i].encoding;
	return PB_ENCODING_UNKNOWN;
}

/* ---- base64 ---- */

#define X 255
static const unsigned char sextets[256] = {
	X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
	X, X, X, X, X, X, X, X, X, X, X, 62, X, X, X, 63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, X, X, X, X, X, X,
	X, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, X, X, X, X, X,
	X, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, X, X, X, X, X,
	X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
	X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
	X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
	X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
};
#undef X

/* A "=" ends a quantum, not the data: pieces that were encoded one by one and joined are read on. */
static void base64(struct pb_decoder *d, struct pb_str in, struct pb_buf *out)
{
	const unsigned char *p = (const unsigned char *)in.ptr, *end = in.len ? p + in.len : p;
	char *to;

	pb_buf_reserve(out, in.len / 4 * 3 + 4);
	to = out->ptr + out->len;
	while (p < end) {
		unsigned char six;

		while (!d->nbits && end - p >= 4) {
			unsigned v = (unsigned)sextets[p[0]] << 18 | (unsigned)sextets[p[1]] << 12 | (unsigned)sextets[p[2]] << 6 | sextets[p[3]];

			if ((sextets[p[0]] | sextets[p[1]] | sextets[p[2]] | sextets[p[3]]) & 0xC0)
				break;
			*to++ = (char)(v >> 16);
			*to++ = (char)(v >> 8);
			*to++ = (char)v;
			p += 4;
		}
		if (p >= end)
			break;
		six = sextets[*p];
		if (*p++ == '=') {
			d->nbits = 0;
		} else if (six < 64) {
			d->bits = (d->bits << 6 | six) & 0xFFFF;
			d->nbits += 6;
			if (d->nbits >= 8) {
				d->nbits -= 8;
				*to++ = (char)(d->bits >> d->nbits);
			}
		}
	}
	out->len = (size_t)(to - out->ptr);
	*to = '\0';
}

void pb_base64_lines(struct pb_buf *out, struct pb_str in)
{
	while (in.len) {
		pb_base64_encode(out, pb_str_head(in, 57));
		pb_buf_add(out, "\r\n", 2);
		in = pb_str_skip(in, 57);
	}
}

/* ---- quoted-printable ---- */

static int hex(char c)
{
	return pb_is_digit(c) ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* One line with its end (or none at the very end): blanks before the end are not content, "=" before it joins. */
static void qp_line(struct pb_str line, struct pb_buf *out)
{
	size_t n = line.len, end;

	while (n && (line.ptr[n - 1] == '\n' || line.ptr[n - 1] == '\r'))
		n--;
	end = n;
	while (n && pb_is_blank(line.ptr[n - 1]))
		n--;
	for (size_t i = 0; i < n;) {
		const char *eq = memchr(line.ptr + i, '=', n - i);
		size_t run = (eq ? (size_t)(eq - line.ptr) : n) - i;
		int high, low;

		pb_buf_add(out, line.ptr + i, run);
		i += run;
		if (!eq)
			break;
		if (i + 1 == n)
			return;		/* a soft line break */
		high = i + 2 < n ? hex(line.ptr[i + 1]) : -1;
		low = high < 0 ? -1 : hex(line.ptr[i + 2]);
		if (low < 0) {
			pb_buf_addc(out, '=');
			i++;
		} else {
			pb_buf_addc(out, (char)(high << 4 | low));
			i += 3;
		}
	}
	pb_buf_add(out, line.ptr + end, line.len - end);
}

/* Whole lines where they lie; what is left of the last one is held. A line longer than what can be held is decoded in pieces, cut before a "=". */
static void quoted_printable(struct pb_decoder *d, struct pb_str in, struct pb_buf *out, bool end)
{
	PB_AUTOBUF(joined);

	if (d->nheld) {
		pb_buf_add(&joined, d->held, d->nheld);
		pb_buf_addstr(&joined, in);
		in = pb_buf_str(&joined);
		d->nheld = 0;
	}
	while (in.len) {
		size_t n = line_length(in.ptr, in.len);

		if (in.ptr[n - 1] != '\n' && !end)
			break;
		qp_line(pb_str_head(in, n), out);
		in = pb_str_skip(in, n);
	}
	if (in.len > sizeof d->held) {
		size_t n = in.len - sizeof d->held, keep = n, back;

		while (keep && pb_is_blank(in.ptr[keep - 1]) && n - keep < sizeof d->held / 2)
			keep--;
		for (back = 1; back <= 3 && back <= keep; back++)
			if (in.ptr[keep - back] == '=') {
				keep -= back;
				break;
			}
		if (in.len - keep > sizeof d->held)	/* endless blanks: no mail, but no reason to grow either */
			keep = n;
		qp_line(pb_str_head(in, keep), out);
		in = pb_str_skip(in, keep);
	}
	if (in.len)
		memcpy(d->held, in.ptr, in.len);
	d->nheld = (unsigned)in.len;
}

static char *qp_byte(char *to, unsigned char c)
{
	static const char digits[] = "0123456789ABCDEF";

	*to++ = '=';
	*to++ = digits[c >> 4];
	*to++ = digits[c & 15];
	return to;
}

void pb_qp_encode(struct pb_buf *out, struct pb_str in)
{
	size_t column = 0;

	for (size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.ptr[i];
		bool crlf = c == '\r' && i + 1 < in.len && in.ptr[i + 1] == '\n', last;
		char piece[4], *to = piece;

		if (c == '\n' || crlf) {
			pb_buf_add(out, "\r\n", 2);
			i += crlf;
			column = 0;
			continue;
		}
		last = i + 1 == in.len || in.ptr[i + 1] == '\n' || (in.ptr[i + 1] == '\r' && i + 2 < in.len && in.ptr[i + 2] == '\n');
		if (c == '=' || c > 126 || (c < ' ' && c != '\t') || (pb_is_blank(c) && last) || (!column && (c == '.' || (c == 'F' && in.len - i > 4))))
			to = qp_byte(to, c);
		else
			*to++ = (char)c;
		if (column + (size_t)(to - piece) > 75) {
			pb_buf_add(out, "=\r\n", 3);
			column = 0;
		}
		pb_buf_add(out, piece, (size_t)(to - piece));
		column += (size_t)(to - piece);
	}
}

/* ---- any of them ---- */

void pb_decode(struct pb_decoder *d, struct pb_str in, struct pb_buf *out)
{
	switch (d->encoding) {
	case PB_BASE64:
		base64(d, in, out);
		break;
	case PB_QUOTED_PRINTABLE:
		quoted_printable(d, in, out, false);
		break;
	default:
		pb_buf_addstr(out, in);
	}
}

void pb_decode_end(struct pb_decoder *d, struct pb_buf *out)
{
	if (d->encoding == PB_QUOTED_PRINTABLE)
		quoted_printable(d, PB_NOSTR, out, true);
	d->nbits = 0;
	d->done = true;
}

void pb_transfer_decode(enum pb_encoding encoding, struct pb_str in, struct pb_buf *out)
{
	struct pb_decoder d = PB_DECODER(encoding);

	if (encoding == PB_QUOTED_PRINTABLE) {
		pb_buf_reserve(out, in.len);
		quoted_printable(&d, in, out, true);
	} else {
		pb_decode(&d, in, out);
	}
}
