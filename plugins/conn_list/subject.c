/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Prefix and suffix of subjects. "{count}" in them stands for the number of the post, and for any number where one is looked for. Pure. */
#include <postbus/message.h>
#include "post.h"

#define COUNT PB_STR("{count}")

/* Where mark stands in text from at on, with any digits for {count}: its start, and its length; -1: nowhere. */
static long find_mark(struct pb_str text, struct pb_str mark, size_t *ret_len)
{
	long split = pb_str_search(mark, COUNT, 0);
	struct pb_str before = split < 0 ? mark : pb_str_head(mark, (size_t)split), behind = split < 0 ? PB_NOSTR : pb_str_skip(mark, (size_t)split + COUNT.len);

	for (long at = 0; (at = pb_str_isearch(text, before, (size_t)at)) >= 0 && (size_t)at < text.len; at++) {
		size_t end = (size_t)at + before.len, digits = 0;

		while (split >= 0 && end + digits < text.len && pb_is_digit((unsigned char)text.ptr[end + digits]))
			digits++;
		end += digits;
		if (split >= 0 && (!digits || !pb_str_istarts(pb_str_skip(text, end), behind)))
			continue;
		*ret_len = end + behind.len - (size_t)at;
		return at;
	}
	return -1;
}

static void add_mark(struct pb_buf *out, struct pb_str mark, int64_t count)
{
	long split = pb_str_search(mark, COUNT, 0);

	if (split < 0) {
		pb_buf_addstr(out, mark);
		return;
	}
	pb_buf_addf(out, "%.*s%lld%.*s", PB_FMT(pb_str_head(mark, (size_t)split)), (long long)count, PB_FMT(pb_str_skip(mark, (size_t)split + COUNT.len)));
}

/* text without an older number's mark; one without a number may stay where it is: then true. */
static bool take_mark(struct pb_buf *text, struct pb_str mark)
{
	size_t len;
	long at = find_mark(pb_buf_str(text), mark, &len);
	PB_AUTOBUF(rest);

	if (at < 0)
		return false;
	if (pb_str_search(mark, COUNT, 0) < 0)
		return true;
	pb_buf_addstr(&rest, pb_str_head(pb_buf_str(text), (size_t)at));
	pb_buf_addstr(&rest, pb_str_trim(pb_str_skip(pb_buf_str(text), (size_t)at + len)));
	pb_buf_reset(text);
	pb_buf_addstr(text, pb_str_trim(pb_buf_str(&rest)));
	return false;
}

void subject_dress(struct pb_buf *out, struct pb_str subject, struct pb_str prefix, struct pb_str suffix, int64_t count)
{
	bool has_prefix, has_suffix;
	PB_AUTOBUF(text);

	prefix = pb_str_trim(prefix);
	suffix = pb_str_trim(suffix);
	pb_buf_addstr(&text, pb_str_trim(subject));
	has_prefix = !prefix.len || take_mark(&text, prefix);
	has_suffix = !suffix.len || take_mark(&text, suffix);
	if (!has_prefix) {
		add_mark(out, prefix, count);
		if (text.len)
			pb_buf_addc(out, ' ');
	}
	pb_buf_addstr(out, pb_buf_str(&text));
	if (has_suffix)
		return;
	if (out->len)
		pb_buf_addc(out, ' ');
	add_mark(out, suffix, count);
}
