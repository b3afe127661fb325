/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The reading of mailto: URIs. */
#include "notices/mailto.h"

static int hex_digit(int c)
{
	return pb_is_digit(c) ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* RFC 3986 2.1. lines: line ends may stay. */
static struct pb_str unescape(struct pb_arena *arena, struct pb_str s, bool lines)
{
	char *out = pb_arena_alloc(arena, s.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		int c = (unsigned char)s.ptr[i], high = c == '%' && i + 2 < s.len ? hex_digit(s.ptr[i + 1]) : -1, low = high < 0 ? -1 : hex_digit(s.ptr[i + 2]);

		if (low >= 0) {
			c = high << 4 | low;
			i += 2;
		}
		if ((c >= 32 && c != 127) || (lines && (c == '\n' || c == '\r' || c == '\t')))
			out[n++] = (char)c;
	}
	return pb_str(out, n);
}

static void add_to(struct mailto *m, struct pb_str more, struct pb_arena *arena)
{
	more = unescape(arena, more, false);
	m->to = m->to.len ? pb_strz(pb_arena_printf(arena, "%.*s,%.*s", PB_FMT(m->to), PB_FMT(more))) : more;
}

bool mailto_parse(struct mailto *ret, struct pb_str uri, struct pb_arena *arena)
{
	struct pb_str rest = pb_str_skip(uri, 7), path, pair, name;

	*ret = (struct mailto){ PB_NOSTR, PB_NOSTR, PB_NOSTR };
	if (!pb_str_istarts(uri, PB_STR("mailto:")))
		return false;
	if (pb_str_cut(&rest, '?', &path))
		add_to(ret, path, arena);
	while (pb_str_cut(&rest, '&', &pair)) {
		pb_str_cut(&pair, '=', &name);
		if (pb_str_ieq(name, PB_STR("to")) || pb_str_ieq(name, PB_STR("cc")) || pb_str_ieq(name, PB_STR("bcc")))
			add_to(ret, pair, arena);
		else if (pb_str_ieq(name, PB_STR("subject")) && !ret->subject.len)
			ret->subject = unescape(arena, pair, false);
		else if (pb_str_ieq(name, PB_STR("body")) && !ret->body.len)
			ret->body = unescape(arena, pair, true);
	}
	return true;
}
