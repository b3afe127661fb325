/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests to leave in one click. */
#include <postbus/message.h>
#include "one_click.h"

#define FORM_NAME "List-Unsubscribe"
#define FORM_VALUE "One-Click"

void click_name(struct pb_buf *out, struct pb_str list, struct pb_str member, struct pb_str mac)
{
	PB_AUTOBUF(both);
	PB_AUTOBUF(text);

	pb_buf_addstr(&both, list);
	pb_buf_addc(&both, '\n');
	pb_buf_addstr(&both, member);
	pb_base64_encode(&text, pb_buf_str(&both));
	for (size_t i = 0; i < text.len && text.ptr[i] != '='; i++)
		pb_buf_addc(out, text.ptr[i] == '+' ? '-' : text.ptr[i] == '/' ? '_' : text.ptr[i]);
	pb_buf_addc(out, '.');
	pb_buf_addstr(out, mac);
}

bool click_name_read(struct pb_str name, struct pb_buf *list, struct pb_buf *member, struct pb_str *ret_mac)
{
	struct pb_str rest = name, first, text;
	PB_AUTOBUF(base64);
	PB_AUTOBUF(both);

	if (name.len > CLICK_NAME_MAX || !pb_str_cut(&rest, '.', &first) || rest.len != CLICK_MAC)
		return false;
	for (size_t i = 0; i < rest.len; i++)
		if (!pb_is_alnum(rest.ptr[i]))
			return false;
	for (size_t i = 0; i < first.len; i++) {
		char c = first.ptr[i];

		if (!pb_is_alnum(c) && c != '-' && c != '_')
			return false;
		pb_buf_addc(&base64, c == '-' ? '+' : c == '_' ? '/' : c);
	}
	while (base64.len % 4)
		pb_buf_addc(&base64, '=');
	if (pb_base64_decode(&both, pb_buf_str(&base64)))
		return false;
	text = pb_buf_str(&both);
	if (!pb_str_cut(&text, '\n', &first) || !first.len || !text.len || pb_str_find(text, '\n', 0) >= 0)
		return false;
	pb_buf_addstr(list, first);
	pb_buf_addstr(member, text);
	*ret_mac = rest;
	return true;
}

bool click_target(struct pb_str target, struct pb_str *ret_name)
{
	long at = -1, next = 0;

	while ((next = pb_str_search(target, PB_STR("/u/"), (size_t)next)) >= 0)
		at = next++;
	*ret_name = at < 0 ? PB_NOSTR : pb_str_skip(target, (size_t)at + 3);
	return ret_name->len > 0 && ret_name->len <= CLICK_NAME_MAX && pb_str_find(*ret_name, '/', 0) < 0;
}

/* application/x-www-form-urlencoded: a '-' may come as %2D. */
static void add_decoded(struct pb_buf *out, struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '%' && i + 2 < s.len && pb_str_ieq(pb_str(s.ptr + i + 1, 2), PB_STR("2D"))) {
			pb_buf_addc(out, '-');
			i += 2;
		} else {
			pb_buf_addc(out, s.ptr[i]);
		}
	}
}

static bool said_in_url(struct pb_str body)
{
	struct pb_str pair, name;

	body = pb_str_trim(body);
	while (body.len) {
		PB_AUTOBUF(key);
		PB_AUTOBUF(value);

		if (!pb_str_cut(&body, '&', &pair))
			break;
		if (!pb_str_cut(&pair, '=', &name))
			continue;
		add_decoded(&key, name);
		add_decoded(&value, pair);
		if (pb_str_eq(pb_buf_str(&key), PB_STR(FORM_NAME)) && pb_str_eq(pb_buf_str(&value), PB_STR(FORM_VALUE)))
			return true;
	}
	return false;
}

/* One part: its header names the field, its body is the value. */
static bool part_says(struct pb_str part)
{
	size_t size = pb_header_size(part);
	struct pb_str disposition;
	PB_AUTOBUF(name);

	return pb_header_find(pb_str_head(part, size), PB_STR("Content-Disposition"), &disposition) && pb_value_param(disposition, PB_STR("name"), &name) &&
	       pb_str_eq(pb_buf_str(&name), PB_STR(FORM_NAME)) && pb_str_eq(pb_str_trim(pb_str_skip(part, size)), PB_STR(FORM_VALUE));
}

static bool said_in_parts(struct pb_str boundary, struct pb_str body)
{
	long at, end;
	PB_AUTOBUF(mark);

	if (!boundary.len || boundary.len > 70)
		return false;
	pb_buf_addf(&mark, "--%.*s", PB_FMT(boundary));
	for (at = pb_str_search(body, pb_buf_str(&mark), 0); at >= 0; at = end) {
		size_t from = (size_t)at + mark.len;
		struct pb_str part;

		end = pb_str_search(body, pb_buf_str(&mark), from);
		part = pb_str_skip(pb_str_head(body, end < 0 ? body.len : (size_t)end), from);
		if (pb_str_starts(part, PB_STR("\r\n")) && part_says(pb_str_skip(part, 2)))
			return true;
	}
	return false;
}

bool click_said(struct pb_str type, struct pb_str body)
{
	PB_AUTOBUF(boundary);

	if (pb_str_ieq(pb_value_main(type), PB_STR("multipart/form-data"))) {
		pb_value_param(type, PB_STR("boundary"), &boundary);
		return said_in_parts(pb_buf_str(&boundary), body);
	}
	return pb_str_ieq(pb_value_main(type), PB_STR("application/x-www-form-urlencoded")) && said_in_url(body);
}

bool click_field(struct pb_str line, struct pb_str *ret_name, struct pb_str *ret_value)
{
	*ret_value = line;
	if (pb_str_find(line, ':', 0) < 0 || !pb_str_cut(ret_value, ':', ret_name) || !ret_name->len)
		return false;
	for (size_t i = 0; i < ret_name->len; i++)
		if (!pb_is_alnum(ret_name->ptr[i]) && !memchr("!#$%&'*+-.^_`|~", ret_name->ptr[i], 15))
			return false;
	*ret_value = pb_str_trim(*ret_value);
	return true;
}

long click_length(struct pb_str value)
{
	long n = 0;

	if (!value.len || value.len > 9)
		return -1;
	for (size_t i = 0; i < value.len; i++) {
		if (!pb_is_digit(value.ptr[i]))
			return -1;
		n = n * 10 + (value.ptr[i] - '0');
	}
	return n;
}
