/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Settings as Mailman 2's config_list writes them: "name = value" with Python's literals, read into JSON. Nothing is evaluated; what is no literal is passed over. */
#include <string.h>
#include "tools/import_literal.h"

enum { ITEMS_MAX = 100000 };

static void skip_blanks(struct pb_str *s, bool lines)
{
	while (s->len && (pb_is_blank(s->ptr[0]) || (lines && (s->ptr[0] == '\n' || s->ptr[0] == '\r'))))
		*s = pb_str_skip(*s, 1);
}

static void skip_line(struct pb_str *s)
{
	long lf = pb_str_find(*s, '\n', 0);

	*s = lf < 0 ? PB_NOSTR : pb_str_skip(*s, (size_t)lf + 1);
}

static int hex_digit(char c)
{
	return pb_is_digit((unsigned char)c) ? c - '0' : pb_lower((unsigned char)c) >= 'a' && pb_lower((unsigned char)c) <= 'f' ? pb_lower((unsigned char)c) - 'a' + 10 : -1;
}

/* Behind a backslash. */
static void take_escape(struct pb_str *s, struct pb_buf *out)
{
	static const char from[] = "nrt", to[] = "\n\r\t";
	char c = s->ptr[0];
	const char *known = strchr(from, c);

	*s = pb_str_skip(*s, 1);
	if (c == '\n')
		return;		/* the line goes on */
	if (c == 'x' && s->len >= 2 && hex_digit(s->ptr[0]) >= 0 && hex_digit(s->ptr[1]) >= 0) {
		pb_buf_addc(out, (char)(hex_digit(s->ptr[0]) * 16 + hex_digit(s->ptr[1])));
		*s = pb_str_skip(*s, 2);
		return;
	}
	pb_buf_addc(out, known && *known ? to[known - from] : c);
}

/* 'text', "text", """text""". NULL: it does not end. */
static json_t *take_string(struct pb_str *s)
{
	char quote = s->ptr[0];
	size_t n = s->len >= 3 && s->ptr[1] == quote && s->ptr[2] == quote ? 3 : 1;
	PB_AUTOBUF(out);
	json_t *value;

	*s = pb_str_skip(*s, n);
	for (;;) {
		if (!s->len || (n == 1 && s->ptr[0] == '\n'))
			return NULL;
		if (s->ptr[0] == quote && (n == 1 || (s->len >= 3 && s->ptr[1] == quote && s->ptr[2] == quote)))
			break;
		if (s->ptr[0] == '\\' && s->len > 1) {
			*s = pb_str_skip(*s, 1);
			take_escape(s, &out);
			continue;
		}
		pb_buf_addc(&out, s->ptr[0]);
		*s = pb_str_skip(*s, 1);
	}
	*s = pb_str_skip(*s, n);
	value = json_stringn(pb_buf_z(&out), out.len);
	if (value)
		return value;
	PB_AUTOBUF(utf8);		/* older lists are ISO 8859-1 */

	for (size_t i = 0; i < out.len; i++) {
		unsigned char c = (unsigned char)out.ptr[i];

		if (c > 127)
			pb_buf_addc(&utf8, (char)(0xc0 | c >> 6));
		pb_buf_addc(&utf8, (char)(c > 127 ? 0x80 | (c & 0x3f) : c));
	}
	return json_stringn(pb_buf_z(&utf8), utf8.len);
}

/* A number, True, False, None: one word. NULL: another one. */
static json_t *take_word(struct pb_str *s)
{
	struct pb_str word;
	uint64_t number;
	size_t n = 0;

	while (n < s->len && (pb_is_alnum((unsigned char)s->ptr[n]) || s->ptr[n] == '.' || s->ptr[n] == '-'))
		n++;
	word = pb_str_head(*s, n);
	*s = pb_str_skip(*s, n);
	if (pb_str_eq(word, PB_STR("True")) || pb_str_eq(word, PB_STR("False")))
		return json_boolean(word.ptr[0] == 'T');
	if (pb_str_eq(word, PB_STR("None")))
		return json_null();
	if (pb_str_find(word, '.', 0) >= 0)
		word = pb_str_head(word, (size_t)pb_str_find(word, '.', 0));
	return pb_str_u64(word, INT64_MAX, &number) ? NULL : json_integer((json_int_t)number);
}

static json_t *take_scalar(struct pb_str *s)
{
	return s->len && (s->ptr[0] == '\'' || s->ptr[0] == '"') ? take_string(s) : take_word(s);
}

/* [ a, b ] of scalars; behind the bracket. */
static json_t *take_list(struct pb_str *s)
{
	json_t *list = json_array(), *one;

	*s = pb_str_skip(*s, 1);
	for (;;) {
		skip_blanks(s, true);
		if (s->len && s->ptr[0] == ']') {
			*s = pb_str_skip(*s, 1);
			return list;
		}
		one = take_scalar(s);
		if (!one || json_array_size(list) == ITEMS_MAX)
			break;
		json_array_append_new(list, one);
		one = NULL;
		skip_blanks(s, true);
		if (s->len && s->ptr[0] == ',')
			*s = pb_str_skip(*s, 1);
	}
	json_decref(one);
	json_decref(list);
	return NULL;
}

json_t *literals_read(struct pb_str text)
{
	json_t *all = json_object();

	while (text.len) {
		size_t n = 0;
		struct pb_str name;
		json_t *value;

		while (n < text.len && (pb_is_alnum((unsigned char)text.ptr[n]) || text.ptr[n] == '_'))
			n++;
		name = pb_str_head(text, n);
		text = pb_str_skip(text, n);
		skip_blanks(&text, false);
		if (!n || n > 60 || !text.len || text.ptr[0] != '=') {
			skip_line(&text);
			continue;
		}
		text = pb_str_skip(text, 1);
		skip_blanks(&text, false);
		value = text.len && text.ptr[0] == '[' ? take_list(&text) : take_scalar(&text);
		skip_line(&text);
		if (value) {
			char key[64];

			snprintf(key, sizeof key, "%.*s", PB_FMT(name));
			json_object_set_new(all, key, value);
		}
	}
	return all;
}
