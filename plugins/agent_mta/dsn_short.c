/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A report without what it returns: RFC 6522 lets the third part be left out. For a host that took no more. */
#include <postbus/message.h>
#include "dsn.h"

/* Where the line of the boundary before off begins, with the line end that belongs to it; false: there is none. */
static bool boundary_before(struct pb_str report, uint64_t off, size_t *ret_at, struct pb_str *ret_line)
{
	struct pb_str before = pb_str_head(report, (size_t)off);
	long at = -1, next = -1;

	while ((next = pb_str_search(before, PB_STR("\r\n--"), (size_t)(next + 1))) >= 0)
		at = next;
	if (at < 0)
		return false;
	*ret_at = (size_t)at;
	*ret_line = pb_str_trim(pb_str_skip(before, (size_t)at));
	return true;
}

bool dsn_shorten(struct pb_str report, struct pb_buf *out)
{
	struct pb_str boundary;
	struct pb_part part;
	PB_AUTOBUF(facts);
	unsigned n = 0;
	size_t at;

	pb_facts_make(report, &facts);
	for (uint32_t i = 1; pb_facts_at(pb_buf_str(&facts), i, &part); i++)
		if (part.depth == 1 && ++n == 3)
			break;
	if (n < 3 || !boundary_before(report, part.header_off, &at, &boundary))
		return false;
	pb_buf_addstr(out, pb_str_head(report, at));
	pb_buf_addf(out, "\r\n%.*s--\r\n", PB_FMT(boundary));
	return true;
}
