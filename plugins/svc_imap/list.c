/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * LIST patterns. All positions of the pattern that the name read so far can have reached are kept at once, so no pattern takes exponential time.
 */
#include "list.h"

static bool first_is_inbox(struct pb_str name)
{
	return pb_str_istarts(name, PB_STR("INBOX")) && (name.len == 5 || name.ptr[5] == '/');
}

/* A wildcard may stand for nothing: who is before it is behind it too. */
static void spread(struct pb_str pattern, bool *at)
{
	for (size_t i = 0; i < pattern.len; i++)
		if (at[i] && (pattern.ptr[i] == '*' || pattern.ptr[i] == '%'))
			at[i + 1] = true;
}

bool list_match(struct pb_str pattern, struct pb_str name)
{
	bool now[LIST_PATTERN_MAX + 1] = { true }, any;
	bool inbox = first_is_inbox(name);

	if (pattern.len > LIST_PATTERN_MAX)
		return false;
	spread(pattern, now);
	for (size_t k = 0; k < name.len; k++) {
		char c = name.ptr[k];

		any = false;
		/* Downwards, in place: what a position gives goes one up, and wildcards stay. */
		for (size_t i = pattern.len; i-- > 0;) {
			char want = pattern.ptr[i];
			bool wild = want == '*' || (want == '%' && c != '/');
			bool same = want == c || (inbox && k < 5 && pb_lower(want) == pb_lower(c));

			if (i + 1 == pattern.len)
				now[pattern.len] = false;
			if (now[i] && !wild) {
				now[i] = false;
				if (same && want != '%' && want != '*')
					now[i + 1] = true, any = true;
			} else if (now[i]) {
				any = true;
			}
		}
		if (pattern.len == 0)
			return false;
		if (!any)
			return false;
		spread(pattern, now);
	}
	return now[pattern.len];
}
