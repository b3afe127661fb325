/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading MailEnable's formats, as far as they are known: docs/admin-guide.md names what is an assumption. What is not understood is passed over. */
#include <stdlib.h>
#include <string.h>
#include "tools/mailenable.h"

enum { COLUMNS_MAX = 48 };

/* ---- tables ---- */

static bool same_name(struct pb_str cell, const char *name)
{
	size_t i = 0;

	for (size_t k = 0; k < cell.len; k++) {
		if (cell.ptr[k] == ' ' || cell.ptr[k] == '_' || cell.ptr[k] == '-')
			continue;
		if (!name[i] || pb_lower((unsigned char)cell.ptr[k]) != pb_lower((unsigned char)name[i]))
			return false;
		i++;
	}
	return !name[i];
}

static const char *column_named(struct pb_str cell, const char *const *columns)
{
	for (; *columns; columns++)
		if (same_name(cell, *columns))
			return *columns;
	return NULL;
}

/* Fills order from a head line; false when it is none. */
static bool read_head(struct pb_str line, const char *const *columns, const char *order[COLUMNS_MAX])
{
	const char *found[COLUMNS_MAX] = { NULL };
	struct pb_str cell;
	bool any = false;

	for (size_t i = 0; i < COLUMNS_MAX && pb_str_cut(&line, '\t', &cell); i++) {
		found[i] = column_named(pb_str_trim(cell), columns);
		any |= found[i] != NULL;
	}
	if (any)
		memcpy(order, found, sizeof found);
	return any;
}

/* Windows' own encoding is read as Latin-1 where it is no UTF-8. */
json_t *text_value(struct pb_str cell)
{
	PB_AUTOBUF(out);

	if (pb_utf8_valid(cell))
		return json_stringn(cell.len ? cell.ptr : "", cell.len);
	for (size_t i = 0; i < cell.len; i++) {
		unsigned char c = (unsigned char)cell.ptr[i];

		if (c >= 0x80)
			pb_buf_addc(&out, (char)(0xc0 | c >> 6));
		pb_buf_addc(&out, (char)(c < 0x80 ? c : 0x80 | (c & 0x3f)));
	}
	return json_stringn(pb_buf_z(&out), out.len);
}

json_t *tab_rows(struct pb_str text, const char *const *columns)
{
	const char *order[COLUMNS_MAX] = { NULL };
	json_t *rows = json_array();
	struct pb_str line, cell;
	bool first = true;

	for (size_t i = 0; columns[i]; i++)
		order[i] = columns[i];
	if (pb_str_starts(text, PB_STR("\xef\xbb\xbf")))
		text = pb_str_skip(text, 3);
	while (text.len && pb_str_cut(&text, '\n', &line)) {
		json_t *row;

		while (line.len && line.ptr[line.len - 1] == '\r')
			line.len--;
		if (!pb_str_trim(line).len)
			continue;
		if (first && read_head(line, columns, order)) {
			first = false;
			continue;
		}
		first = false;
		row = json_object();
		for (size_t i = 0; i < COLUMNS_MAX && pb_str_cut(&line, '\t', &cell); i++)
			if (order[i])
				json_object_set_new(row, order[i], text_value(pb_str_trim(cell)));
		json_array_append_new(rows, row);
	}
	return rows;
}

/* ---- addresses ---- */

bool bracket_parse(const char *text, struct pb_str *ret_type, struct pb_str *ret_value)
{
	struct pb_str rest = pb_str_trim(pb_strz(text)), type;

	if (rest.len < 4 || rest.ptr[0] != '[' || rest.ptr[rest.len - 1] != ']')
		return false;
	rest = pb_str(rest.ptr + 1, rest.len - 2);
	if (!pb_str_cut(&rest, ':', &type) || !rest.len)
		return false;
	*ret_type = pb_str_trim(type);
	*ret_value = pb_str_trim(rest);
	return true;
}

bool store_parse(struct pb_str value, struct pb_str *ret_office, struct pb_str *ret_mailbox)
{
	struct pb_str rest = value;

	if (!pb_str_cut(&rest, '/', ret_office) || !ret_office->len || !rest.len)
		return false;
	*ret_mailbox = rest;
	return true;
}

/* ---- automatic answers ---- */

json_t *responder_parse(struct pb_str text)
{
	json_t *reply = json_pack("{s:b}", "enabled", 1);
	bool html = false;
	struct pb_str line, name;
	PB_AUTOBUF(body);

	if (pb_str_starts(text, PB_STR("\xef\xbb\xbf")))
		text = pb_str_skip(text, 3);
	while (pb_str_cut(&text, '\n', &line) && pb_str_trim(line).len) {
		if (!pb_str_cut(&line, ':', &name))
			continue;
		if (pb_str_ieq(pb_str_trim(name), PB_STR("Subject")) && pb_str_trim(line).len)
			json_object_set_new(reply, "subject", text_value(pb_str_trim(line)));
		html |= pb_str_ieq(pb_str_trim(name), PB_STR("Content-Type")) && !pb_str_istarts(pb_str_trim(line), PB_STR("text/plain"));
	}
	for (text = pb_str_trim(text); pb_str_cut(&text, '\n', &line);) {
		pb_buf_addstr(&body, line.len && line.ptr[line.len - 1] == '\r' ? pb_str_head(line, line.len - 1) : line);
		pb_buf_addc(&body, '\n');
	}
	if (html || !body.len) {
		json_decref(reply);
		return NULL;
	}
	json_object_set_new(reply, "text", text_value(pb_buf_str(&body)));
	return reply;
}

/* ---- indexes ---- */

static bool is_name_char(char c)
{
	return pb_is_alnum((unsigned char)c) || c == '-' || c == '{' || c == '}' || c == '_' || c == '.';
}

/* NAME="1", NAME='true', <NAME>1</NAME> */
static bool says_yes(struct pb_str part, const char *name)
{
	struct pb_str word = pb_strz(name), value;
	long at = -1;

	while ((at = pb_str_isearch(part, word, (size_t)(at + 1))) >= 0) {
		value = pb_str_skip(part, (size_t)at + word.len);
		if ((at > 0 && (pb_is_alnum((unsigned char)part.ptr[at - 1]) || part.ptr[at - 1] == '/')) || !value.len)
			continue;
		if (value.ptr[0] == '=')
			value = pb_str_skip(value, value.len > 1 && (value.ptr[1] == '"' || value.ptr[1] == '\'') ? 2 : 1);
		else if (value.ptr[0] == '>')
			value = pb_str_skip(value, 1);
		else
			continue;
		if (pb_str_istarts(value, PB_STR("1")) || pb_str_istarts(value, PB_STR("true")) || pb_str_istarts(value, PB_STR("yes")))
			return true;
	}
	return false;
}

static json_t *flags_in(struct pb_str part)
{
	static const struct { const char *word, *flag; } known[] = {
		{ "READ", "\\Seen" }, { "SEEN", "\\Seen" }, { "REPLIED", "\\Answered" }, { "ANSWERED", "\\Answered" }, { "FLAGGED", "\\Flagged" },
		{ "DRAFT", "\\Draft" }, { "DELETED", "\\Deleted" }, { "FORWARDED", "$Forwarded" } };
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (says_yes(part, known[i].word))
			json_array_append_new(list, json_string(known[i].flag));
	return list;
}

/* The next "name.MAI" from at on: where its tag begins, the name, and where it ends. */
static bool next_name(struct pb_str xml, size_t at, size_t *ret_tag, struct pb_str *ret_name)
{
	long end = pb_str_isearch(xml, PB_STR(".MAI"), at);
	size_t begin, tag;

	if (end < 0)
		return false;
	for (begin = (size_t)end; begin > at && is_name_char(xml.ptr[begin - 1]); begin--)
		;
	for (tag = begin; tag > at && xml.ptr[tag] != '<'; tag--)
		;
	*ret_tag = tag;
	*ret_name = pb_str(xml.ptr + begin, (size_t)end + 4 - begin);
	return true;
}

static void remember(json_t *all, struct pb_str name, struct pb_str part)
{
	json_t *flags = flags_in(part);
	char key[256];

	if (json_array_size(flags) && name.len < sizeof key) {
		for (size_t i = 0; i < name.len; i++)
			key[i] = (char)pb_lower((unsigned char)name.ptr[i]);
		key[name.len] = 0;
		json_object_set(all, key, flags);
	}
	json_decref(flags);
}

/* What stands in the tag that names a file, and behind it up to the tag that names the next, is about it. */
json_t *index_flags(struct pb_str xml)
{
	struct pb_str name, next;
	json_t *all = json_object();
	size_t tag, next_tag = 0;
	bool more = next_name(xml, 0, &tag, &name);

	while (more) {
		more = next_name(xml, (size_t)(name.ptr + name.len - xml.ptr), &next_tag, &next);
		remember(all, name, pb_str(xml.ptr + tag, more ? next_tag - tag : xml.len - tag));
		tag = next_tag;
		name = next;
	}
	return all;
}
