/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One pass over a header section. Structure and encodings are left to the scanner behind the queue. */
#include "mailproto/header.h"

static bool is_field(struct pb_str line, struct pb_str name)
{
	size_t i = name.len;

	if (!pb_str_istarts(line, name))
		return false;
	while (i < line.len && pb_is_blank(line.ptr[i]))
		i++;
	return i < line.len && line.ptr[i] == ':';
}

static void field(struct pb_str line, struct header *h)
{
	switch (pb_lower(line.ptr[0])) {
	case 'r':
		h->received += is_field(line, PB_STR("Received"));
		break;
	case 'd':
		h->has_date |= is_field(line, PB_STR("Date"));
		break;
	case 'm':
		h->has_message_id |= is_field(line, PB_STR("Message-ID"));
		break;
	case 'f':
		h->from_fields += is_field(line, PB_STR("From"));
		break;
	}
}

void header_scan(struct pb_str message, size_t max, struct header *ret)
{
	struct pb_str section = pb_str_head(message, max + 1);
	size_t at = 0;

	memset(ret, 0, sizeof *ret);
	while (at < section.len) {
		const char *start = section.ptr + at, *end = memchr(start, '\n', section.len - at);
		size_t n = end ? (size_t)(end - start) + 1 : section.len - at;

		if (end && (n == 1 || (n == 2 && start[0] == '\r')))
			break;
		if (!pb_is_blank(start[0]))
			field(pb_str(start, n), ret);
		at += n;
	}
	ret->len = at;
}

bool text_is_broken(struct pb_str text)
{
	const char *p = text.ptr, *end = p + text.len, *lf;

	if (!text.len)
		return false;
	if (memchr(p, 0, text.len))
		return true;
	while (p < end) {
		const char *cr = memchr(p, '\r', (size_t)(end - p));

		lf = memchr(p, '\n', (size_t)(end - p));
		if (!cr && !lf)
			return false;
		/* Every line end is the first CR of the line and the LF behind it. */
		if (!cr || lf != cr + 1)
			return true;
		p = lf + 1;
	}
	return false;
}
