/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading and writing texts of IMAP. */
#include "imap_text.h"

bool imap_literal(struct pb_str line, uint64_t *ret_size)
{
	long at = -1;

	if (line.len < 3 || line.ptr[line.len - 1] != '}')
		return false;
	for (size_t i = line.len - 1; i-- > 0 && at < 0;) {
		if (line.ptr[i] == '{')
			at = (long)i;
		else if (!pb_is_digit(line.ptr[i]))
			return false;
	}
	return at >= 0 && !pb_str_u64(pb_str(line.ptr + at + 1, line.len - (size_t)at - 2), UINT32_MAX, ret_size);
}

void imap_quote(struct pb_buf *out, struct pb_str text)
{
	pb_buf_addc(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '"' || text.ptr[i] == '\\')
			pb_buf_addc(out, '\\');
		pb_buf_addc(out, text.ptr[i]);
	}
	pb_buf_addc(out, '"');
}

/* ---- modified UTF-7 ---- */

static uint32_t next_letter(struct pb_str *rest)
{
	const unsigned char *p = (const unsigned char *)rest->ptr;
	unsigned more = p[0] >= 0xf0 ? 3 : p[0] >= 0xe0 ? 2 : p[0] >= 0xc0 ? 1 : 0;
	uint32_t c = more == 3 ? p[0] & 7 : more == 2 ? p[0] & 15 : more == 1 ? p[0] & 31 : p[0];

	if (more >= rest->len)
		more = (unsigned)rest->len - 1;
	for (unsigned i = 1; i <= more; i++)
		c = c << 6 | (p[i] & 63);
	*rest = pb_str_skip(*rest, more + 1);
	return c;
}

static void add_unit(struct pb_buf *bytes, uint32_t unit)
{
	pb_buf_addc(bytes, (char)(unit >> 8));
	pb_buf_addc(bytes, (char)unit);
}

static void end_shift(struct pb_buf *out, struct pb_buf *bytes)
{
	PB_AUTOBUF(text);

	if (!bytes->len)
		return;
	pb_base64_encode(&text, pb_buf_str(bytes));
	pb_buf_addc(out, '&');
	for (size_t i = 0; i < text.len && text.ptr[i] != '='; i++)
		pb_buf_addc(out, text.ptr[i] == '/' ? ',' : text.ptr[i]);
	pb_buf_addc(out, '-');
	pb_buf_reset(bytes);
}

void imap_folder(struct pb_buf *out, struct pb_str name)
{
	PB_AUTOBUF(bytes);

	while (name.len) {
		uint32_t c = next_letter(&name);

		if (c >= 32 && c < 127) {
			end_shift(out, &bytes);
			pb_buf_addc(out, (char)c);
			if (c == '&')
				pb_buf_addc(out, '-');
		} else if (c >= 0x10000) {
			add_unit(&bytes, 0xd800 + ((c - 0x10000) >> 10));
			add_unit(&bytes, 0xdc00 + ((c - 0x10000) & 0x3ff));
		} else {
			add_unit(&bytes, c);
		}
	}
	end_shift(out, &bytes);
}

/* ---- answers ---- */

/* Over a value: an atom, a string, a list with all that is in it, or a section with what stands between its brackets. */
static struct pb_str take_value(struct pb_str *rest)
{
	unsigned depth = 0;
	size_t i = 0;

	for (bool quoted = false; i < rest->len; i++) {
		char c = rest->ptr[i];

		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '(' || c == '['))
			depth++;
		else if (!quoted && (c == ')' || c == ']') && depth-- == 0)
			break;
		else if (!quoted && !depth && pb_is_blank(c))
			break;
	}
	if (i > rest->len)
		i = rest->len;

	struct pb_str value = pb_str_head(*rest, i);

	*rest = pb_str_skip(*rest, i);
	while (rest->len && pb_is_blank(rest->ptr[0]))
		*rest = pb_str_skip(*rest, 1);
	return value;
}

void imap_items_parse(struct pb_str items, struct imap_fetch *ret)
{
	uint64_t n, size;

	while (items.len && pb_is_blank(items.ptr[0]))
		items = pb_str_skip(items, 1);
	while (items.len && items.ptr[0] != ')') {
		struct pb_str name = take_value(&items), value;

		if (!name.len || !items.len)
			return;
		value = take_value(&items);
		if (pb_str_ieq(name, PB_STR("UID")) && !pb_str_u64(value, UINT32_MAX, &n))
			ret->uid = (uint32_t)n;
		else if (pb_str_ieq(name, PB_STR("RFC822.SIZE")) && !pb_str_u64(value, UINT64_MAX, &n))
			ret->size = n;
		else if (pb_str_istarts(name, PB_STR("BODY[")) && !items.len && imap_literal(value, &size))
			ret->has_body = true;
	}
}

bool imap_fetch_parse(struct pb_str line, struct imap_fetch *ret)
{
	struct pb_str word;
	uint64_t n;

	*ret = (struct imap_fetch){ 0 };
	if (!pb_str_word(&line, &word) || pb_str_u64(word, UINT32_MAX, &n) || !pb_str_word(&line, &word) || !pb_str_ieq(word, PB_STR("FETCH")))
		return false;
	while (line.len && pb_is_blank(line.ptr[0]))
		line = pb_str_skip(line, 1);
	if (!line.len || line.ptr[0] != '(')
		return false;
	imap_items_parse(pb_str_skip(line, 1), ret);
	return true;
}
