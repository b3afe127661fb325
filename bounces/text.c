/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The text of a bounce: HTML without its marks, no quoted lines, and nothing of the copy of the original message, in two shapes. */
#include <stdlib.h>
#include "bounces/internal.h"

/* ---- HTML ---- */

#define TAG_ADDRESS_MAX 320

static bool tag_is(struct pb_str tag, const char *name)
{
	struct pb_str word = pb_strz(name);

	return pb_str_istarts(tag, word) && (tag.len == word.len || !pb_is_alnum((unsigned char)tag.ptr[word.len]));
}

static bool tag_ends_line(struct pb_str tag)
{
	static const char *const names[] = {
		"br", "p", "/p", "div", "/div", "tr", "/tr", "li", "/li", "h1", "h2", "h3", "h4", "/h1", "/h2", "/h3", "/h4", "hr", "table", "/table",
		"pre", "/pre", "ul", "/ul", NULL
	};

	for (size_t i = 0; names[i]; i++)
		if (tag_is(tag, names[i]))
			return true;
	return false;
}

/* html is at "&". Gives how much of it was taken. */
static size_t put_entity(struct pb_buf *out, struct pb_str html)
{
	static const struct { const char *name, *text; } names[] = {
		{ "lt", "<" }, { "gt", ">" }, { "amp", "&" }, { "quot", "\"" }, { "nbsp", " " }, { "apos", "'" }, { "rsquo", "'" }, { "#39", "'" }, { "#x27", "'" },
		{ "#8217", "'" }, { "#64", "@" }, { "#x40", "@" }, { "#43", "+" }, { "#46", "." }, { "#58", ":" }
	};
	long end = pb_str_find(pb_str_head(html, 10), ';', 1);

	for (size_t i = 0; end > 0 && i < sizeof names / sizeof *names; i++)
		if (pb_str_ieq(pb_str(html.ptr + 1, (size_t)end - 1), pb_strz(names[i].name))) {
			pb_buf_addz(out, names[i].text);
			return (size_t)end + 1;
		}
	pb_buf_addc(out, '&');
	return 1;
}

/* Where the element that tag opens ends, so that styles and scripts are passed over. */
static size_t skip_element(struct pb_str html, size_t at, const char *end)
{
	long found = pb_str_isearch(html, pb_strz(end), at);

	return found < 0 ? html.len : (size_t)found;
}

static size_t put_tag(struct pb_buf *out, struct pb_str html, size_t at)
{
	long end = pb_str_find(html, '>', at);
	struct pb_str tag = end < 0 ? PB_NOSTR : pb_str(html.ptr + at + 1, (size_t)end - at - 1);

	/* "<bob@example.org>", by one who forgot to escape it. */
	if (end < 0 || (tag.len <= TAG_ADDRESS_MAX && pb_str_find(tag, '@', 0) > 0 && pb_str_find(tag, ' ', 0) < 0)) {
		pb_buf_addc(out, '<');
		return at + 1;
	}
	if (pb_str_istarts(tag, PB_STR("!--")))
		return skip_element(html, at, "->") + 2;
	if (tag_is(tag, "style"))
		return skip_element(html, (size_t)end, "</style");
	if (tag_is(tag, "script"))
		return skip_element(html, (size_t)end, "</script");
	if (tag_ends_line(tag))
		pb_buf_addc(out, '\n');
	else if (tag_is(tag, "td") || tag_is(tag, "th"))
		pb_buf_addc(out, ' ');
	return (size_t)end + 1;
}

static void put_html(struct pb_buf *out, struct pb_str html)
{
	size_t last_gt = html.len;

	while (last_gt && html.ptr[last_gt - 1] != '>')		/* behind it "<" is no tag: no need to look for its end each time */
		last_gt--;
	for (size_t i = 0; i < html.len && out->len < BOUNCES_TEXT_MAX;) {
		if (html.ptr[i] == '<' && i < last_gt) {
			i = put_tag(out, html, i);
		} else if (html.ptr[i] == '&') {
			i += put_entity(out, pb_str_skip(html, i));
		} else {
			pb_buf_addc(out, html.ptr[i++]);
		}
	}
}

/* ---- lines ---- */

static bool is_rule_byte(char c)
{
	return c == '-' || c == '=' || c == '_' || c == '*' || c == '|' || c == '~' || c == '#' || c == ' ' || c == '<';
}

/* Does the copy of the original message begin here? */
static bool begins_copy(struct pb_str line)
{
	struct pb_str words = pb_str_trim(line);

	if (pb_str_istarts(line, PB_STR("Received: ")) || pb_str_istarts(line, PB_STR("Return-Path:")) || pb_str_istarts(words, PB_STR("Content-Type: message/rfc822")) ||
	    pb_str_istarts(words, PB_STR("Content-Type: text/rfc822-headers")))
		return true;
	while (words.len && is_rule_byte(words.ptr[0]))
		words = pb_str_skip(words, 1);
	for (size_t i = 0; bounce_copy_words[i]; i++)
		if (pb_str_istarts(words, pb_strz(bounce_copy_words[i])))
			return true;
	/* Titles of what bounces are as well: only between rules. */
	return words.ptr > pb_str_trim(line).ptr + 1 && (pb_str_istarts(words, PB_STR("Returned m")) || pb_str_istarts(words, PB_STR("Original mail")));
}

static bool is_quoted(struct pb_str line)
{
	size_t end;

	if (!pb_str_starts(line, PB_STR(">")) || pb_str_starts(line, PB_STR(">>>")))
		return false;
	line = pb_str_trim(pb_str_skip(line, 1));
	return !(bounce_address_at(line, 0, &end) && end == line.len);	/* MDaemon marks the recipients so */
}

/* Quotes and other signs that are no letters of an address: typographic ones, and the wide forms of ASCII (U+FF01 to U+FF5E), as ASCII. 0: it is none. */
static char plain_sign(struct pb_str s)
{
	const unsigned char *b = (const unsigned char *)s.ptr;

	if (s.len < 3)
		return 0;
	if (b[0] == 0xE2 && b[1] == 0x80)
		return b[2] == 0x98 || b[2] == 0x99 ? '\'' : b[2] >= 0x9C && b[2] <= 0x9E ? '"' : 0;
	if (b[0] == 0xEF && b[1] == 0xBC && b[2] >= 0x81)
		return (char)('!' + b[2] - 0x81);
	return b[0] == 0xEF && b[1] == 0xBD && b[2] <= 0x9E ? (char)('`' + b[2] - 0x80) : 0;
}

static void put_line(struct pb_buf *out, struct pb_str line)
{
	while (line.len && (line.ptr[line.len - 1] == '\r' || pb_is_blank(line.ptr[line.len - 1])))
		line.len--;
	for (size_t i = 0; i < line.len; i++) {
		char sign = (signed char)line.ptr[i] < 0 ? plain_sign(pb_str_skip(line, i)) : 0;

		pb_buf_addc(out, sign ? sign : (unsigned char)line.ptr[i] < ' ' && line.ptr[i] != '\t' ? ' ' : line.ptr[i]);
		i += sign ? 2 : 0;
	}
	pb_buf_addc(out, '\n');
}

void bounce_text_add(struct bounce_text *t, struct pb_str text, bool html)
{
	struct pb_str line;
	PB_AUTOBUF(plain);

	if (html) {
		put_html(&plain, text);
		text = pb_buf_str(&plain);
	}
	while (t->text.len < BOUNCES_TEXT_MAX && pb_str_cut(&text, '\n', &line)) {
		if (begins_copy(line) && t->text.len)
			break;
		if (!is_quoted(line))
			put_line(&t->text, pb_str_head(line, BOUNCES_TEXT_MAX));
	}
	pb_buf_addc(&t->text, '\n');
}

void bounce_text_end(struct bounce_text *t)
{
	struct pb_str s = pb_buf_str(&t->text);
	bool blank = true;

	t->at = pb_alloc((s.len + 1) * sizeof *t->at);
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		size_t start = i;

		if (c <= ' ' || (c == 0xC2 && i + 1 < s.len && (unsigned char)s.ptr[i + 1] == 0xA0)) {	/* and the blank that does not break */
			i += c == 0xC2;
			if (blank)
				continue;
			c = ' ';
		}
		blank = c == ' ';
		t->at[t->flat.len] = (uint32_t)start;
		pb_buf_addc(&t->flat, (char)pb_lower(c));
	}
	t->at[t->flat.len] = (uint32_t)s.len;
}

void bounce_text_free(struct bounce_text *t)
{
	pb_buf_free(&t->text);
	pb_buf_free(&t->flat);
	free(t->at);
}
