/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What somebody wrote to the list's doors, as plain text. */
#include <postbus/message.h>
#include "serve.h"

enum { TEXT_MOST = 65536 };

/* Enough of HTML to find the words: tags go, those that end lines become line ends. */
static void strip_html(struct pb_buf *out, struct pb_str html)
{
	static const char *const breaks[] = { "<br", "<p", "</p", "<div", "</div", "<tr", "<li", "<blockquote" };

	while (html.len) {
		long end;

		if (html.ptr[0] != '<') {
			if (pb_str_istarts(html, PB_STR("&nbsp;"))) {
				pb_buf_addc(out, ' ');
				html = pb_str_skip(html, 6);
			} else {
				pb_buf_addc(out, html.ptr[0] == '\n' || html.ptr[0] == '\r' ? ' ' : html.ptr[0]);
				html = pb_str_skip(html, 1);
			}
			continue;
		}
		for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++)
			if (pb_str_istarts(html, pb_strz(breaks[i]))) {
				pb_buf_addc(out, '\n');
				break;
			}
		if (pb_str_istarts(html, PB_STR("<blockquote")))
			pb_buf_addz(out, "> ");
		end = pb_str_istarts(html, PB_STR("<style")) ? pb_str_isearch(html, PB_STR("</style"), 0) : -1;
		end = pb_str_find(html, '>', end < 0 ? 0 : (size_t)end);
		html = pb_str_skip(html, end < 0 ? html.len : (size_t)end + 1);
	}
}

static void add_part(const struct post *p, const struct pb_part *part, struct pb_buf *out)
{
	struct pb_str raw = pb_str_head(pb_str_skip(p->message, part->body_off), part->body_len < TEXT_MOST ? part->body_len : TEXT_MOST);
	PB_AUTOBUF(bytes);

	pb_transfer_decode(part->encoding, raw, &bytes);
	if (pb_charset_decode(part->charset, pb_buf_str(&bytes), out))
		pb_charset_decode(PB_STR("iso-8859-1"), pb_buf_str(&bytes), out);
}

/* The first text; HTML only where there is no plain one. */
void post_text(const struct post *p, struct pb_buf *out)
{
	struct pb_part part, html = { 0 };
	bool has_html = false;

	for (uint32_t i = 0; i < pb_facts_count(p->facts) && pb_facts_at(p->facts, i, &part); i++) {
		if (part.kind != PB_PART_LEAF || part.attached || (part.type.len && !pb_str_ieq(part.type, PB_STR("text"))))
			continue;
		if (!part.subtype.len || pb_str_ieq(part.subtype, PB_STR("plain"))) {
			add_part(p, &part, out);
			return;
		}
		if (!has_html && pb_str_ieq(part.subtype, PB_STR("html"))) {
			html = part;
			has_html = true;
		}
	}
	if (has_html) {
		PB_AUTOBUF(text);

		add_part(p, &html, &text);
		strip_html(out, pb_buf_str(&text));
	}
}
