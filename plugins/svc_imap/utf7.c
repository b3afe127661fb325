/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Modified UTF-7, the wire form of folder names. Which names are good ones is the store's decision.
 */
#include "utf7.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static int sextet(unsigned char c)
{
	const char *at = c ? strchr(alphabet, c) : NULL;

	return at ? (int)(at - alphabet) : -1;
}

static void add_utf8(struct pb_buf *out, uint32_t c)
{
	char b[4];

	if (c < 0x80) {
		pb_buf_addc(out, (char)c);
	} else if (c < 0x800) {
		b[0] = (char)(0xC0 | c >> 6);
		b[1] = (char)(0x80 | (c & 63));
		pb_buf_add(out, b, 2);
	} else if (c < 0x10000) {
		b[0] = (char)(0xE0 | c >> 12);
		b[1] = (char)(0x80 | (c >> 6 & 63));
		b[2] = (char)(0x80 | (c & 63));
		pb_buf_add(out, b, 3);
	} else {
		b[0] = (char)(0xF0 | c >> 18);
		b[1] = (char)(0x80 | (c >> 12 & 63));
		b[2] = (char)(0x80 | (c >> 6 & 63));
		b[3] = (char)(0x80 | (c & 63));
		pb_buf_add(out, b, 4);
	}
}

/* The base64 stretch between "&" and "-": whole UTF-16 units, surrogates in pairs, zero bits behind the last. */
static bool decode_shifted(struct pb_buf *out, struct pb_str in)
{
	uint32_t bits = 0, high = 0;
	unsigned have = 0;

	for (size_t i = 0; i < in.len; i++) {
		int six = sextet((unsigned char)in.ptr[i]);
		uint32_t unit;

		if (six < 0)
			return false;
		bits = bits << 6 | (uint32_t)six;
		have += 6;
		if (have < 16)
			continue;
		have -= 16;
		unit = bits >> have & 0xFFFF;
		bits &= (1u << have) - 1;
		if (high) {
			if (unit < 0xDC00 || unit > 0xDFFF)
				return false;
			add_utf8(out, 0x10000 + ((high - 0xD800) << 10) + (unit - 0xDC00));
			high = 0;
		} else if (unit >= 0xD800 && unit <= 0xDBFF) {
			high = unit;
		} else if ((unit >= 0xDC00 && unit <= 0xDFFF) || (unit >= 0x20 && unit <= 0x7E) || unit == 0) {
			return false;	/* a lone surrogate, or what must stand for itself */
		} else {
			add_utf8(out, unit);
		}
	}
	return !high && have < 6 && bits == 0;
}

int utf7_decode(struct pb_buf *out, struct pb_str in)
{
	size_t start = out->len;
	bool after_shift = false;

	for (size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.ptr[i];
		long dash;

		if (c < 0x20 || c > 0x7E)
			goto bad;
		if (c != '&') {
			pb_buf_addc(out, (char)c);
			after_shift = false;
			continue;
		}
		dash = pb_str_find(in, '-', i + 1);
		if (dash < 0)
			goto bad;
		if ((size_t)dash == i + 1) {
			pb_buf_addc(out, '&');
			after_shift = false;
		} else {
			/* two stretches side by side have a shorter form: not ours to take */
			if (after_shift || !decode_shifted(out, pb_str(in.ptr + i + 1, (size_t)dash - i - 1)))
				goto bad;
			after_shift = true;
		}
		i = (size_t)dash;
	}
	return 0;
bad:
	out->len = start;
	if (out->ptr)
		out->ptr[start] = '\0';
	return PB_EINVALID;
}

/* The next character of UTF-8; U+FFFD for NUL and for one byte that is none. */
static uint32_t next_char(struct pb_str in, size_t *at)
{
	unsigned char c = (unsigned char)in.ptr[*at];
	size_t n = c < 0x80 ? 1 : c < 0xC0 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF8 ? 4 : 0;
	uint32_t value;

	if (c == 0 || n == 0 || n > in.len - *at || !pb_utf8_valid(pb_str(in.ptr + *at, n))) {
		*at += 1;
		return 0xFFFD;
	}
	value = n == 1 ? c : c & (0x7Fu >> n);
	for (size_t i = 1; i < n; i++)
		value = value << 6 | ((unsigned char)in.ptr[*at + i] & 63);
	*at += n;
	return value;
}

static void put_unit(struct pb_buf *out, uint32_t unit, uint32_t *bits, unsigned *have)
{
	*bits = *bits << 16 | unit;
	*have += 16;
	while (*have >= 6) {
		*have -= 6;
		pb_buf_addc(out, alphabet[*bits >> *have & 63]);
	}
	*bits &= (1u << *have) - 1;
}

void utf7_encode(struct pb_buf *out, struct pb_str in)
{
	uint32_t bits = 0;
	unsigned have = 0;
	bool shifted = false;

	for (size_t i = 0; i < in.len;) {
		uint32_t c = next_char(in, &i);

		if (c >= 0x20 && c <= 0x7E) {
			if (shifted) {
				if (have)
					pb_buf_addc(out, alphabet[bits << (6 - have) & 63]);
				pb_buf_addc(out, '-');
				shifted = false;
			}
			pb_buf_addc(out, (char)c);
			if (c == '&')
				pb_buf_addc(out, '-');
			continue;
		}
		if (!shifted) {
			pb_buf_addc(out, '&');
			shifted = true;
			bits = 0;
			have = 0;
		}
		if (c >= 0x10000) {
			put_unit(out, 0xD800 + ((c - 0x10000) >> 10), &bits, &have);
			c = 0xDC00 + ((c - 0x10000) & 0x3FF);
		}
		put_unit(out, c, &bits, &have);
	}
	if (shifted) {
		if (have)
			pb_buf_addc(out, alphabet[bits << (6 - have) & 63]);
		pb_buf_addc(out, '-');
	}
}
