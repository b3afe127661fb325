/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A word has 3 to 20 bytes: letters, digits, bytes above 127, and - ' . $ ! inside. Words of header fields carry the field's name; links also give their host.
 * Tags of HTML are no words, what their attributes link to is.
 */
#include <stdlib.h>
#include <postbus/message.h>
#include "tokens.h"

enum { WORD_MIN = 3, WORD_MAX = 20, TEXT_MAX = 256 << 10, PARTS = 20 };

struct bag {
	uint64_t *list;
	size_t n;
};

/* FNV-1a, folded in case: what is stored must not depend on a process. */
static uint64_t hash_of(const char *prefix, struct pb_str word)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (; *prefix; prefix++)
		h = (h ^ (unsigned char)*prefix) * UINT64_C(1099511628211);
	for (size_t i = 0; i < word.len; i++)
		h = (h ^ (unsigned char)pb_lower((unsigned char)word.ptr[i])) * UINT64_C(1099511628211);
	return h;
}

static void add(struct bag *b, const char *prefix, struct pb_str word)
{
	if (b->n < TOKENS_MAX && word.len >= WORD_MIN && word.len <= WORD_MAX)
		b->list[b->n++] = hash_of(prefix, word);
}

static bool is_word(int c)
{
	return pb_is_alnum(c) || c > 127 || c == '$' || c == '!';
}

static bool is_inside(int c)
{
	return c == '-' || c == '\'' || c == '.' || c == '_';
}

static void add_words(struct bag *b, const char *prefix, struct pb_str text)
{
	size_t start = 0, i = 0;

	while (i < text.len && b->n < TOKENS_MAX) {
		while (i < text.len && !is_word((unsigned char)text.ptr[i]))
			i++;
		start = i;
		while (i < text.len && (is_word((unsigned char)text.ptr[i]) ||
					(is_inside((unsigned char)text.ptr[i]) && i + 1 < text.len && is_word((unsigned char)text.ptr[i + 1]))))
			i++;
		add(b, prefix, pb_str(text.ptr + start, i - start));
	}
}

/* ---- HTML ---- */

static void add_links(struct bag *b, struct pb_str tag)
{
	long at;

	while ((at = pb_str_search(tag, PB_STR("://"), 0)) >= 0) {
		size_t n = 0;

		tag = pb_str_skip(tag, (size_t)at + 3);
		while (n < tag.len && (pb_is_alnum((unsigned char)tag.ptr[n]) || tag.ptr[n] == '.' || tag.ptr[n] == '-'))
			n++;
		add(b, "link:", n > WORD_MAX ? pb_str(tag.ptr + n - WORD_MAX, WORD_MAX) : pb_str_head(tag, n));
	}
}

static void add_html(struct bag *b, struct pb_str text)
{
	PB_AUTOBUF(plain);

	while (text.len) {
		long open = pb_str_find(text, '<', 0), close;

		pb_buf_addstr(&plain, open < 0 ? text : pb_str_head(text, (size_t)open));
		if (open < 0)
			break;
		text = pb_str_skip(text, (size_t)open);
		close = pb_str_find(text, '>', 0);
		add_links(b, close < 0 ? text : pb_str_head(text, (size_t)close));
		text = pb_str_skip(text, close < 0 ? text.len : (size_t)close + 1);
	}
	add_words(b, "", pb_buf_str(&plain));
}

/* ---- the message ---- */

static void add_header(struct bag *b, struct pb_str header)
{
	static const struct { const char *name, *prefix; } fields[] = {
		{ "Subject", "s:" }, { "From", "f:" }, { "Reply-To", "r:" }, { "X-Mailer", "m:" }, { "User-Agent", "m:" }, { "Content-Type", "c:" }, { "To", "t:" }, { "Message-ID", "i:" },
		{ "List-Id", "l:" },
	};
	struct pb_field field;
	unsigned most = 500;

	while (most-- && pb_header_next(&header, &field))
		for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
			if (pb_str_ieq(field.name, pb_strz(fields[i].name))) {
				PB_AUTOBUF(value);

				pb_words_decode(&value, pb_str_head(field.value, 4000));
				add_words(b, fields[i].prefix, pb_buf_str(&value));
			}
}

static void add_part(struct bag *b, struct pb_str message, const struct pb_part *part)
{
	struct pb_str raw = pb_str_head(pb_str_skip(message, part->body_off), part->body_len < TEXT_MAX ? part->body_len : TEXT_MAX);
	PB_AUTOBUF(bytes);
	PB_AUTOBUF(text);

	pb_transfer_decode(part->encoding, raw, &bytes);
	if (pb_charset_decode(part->charset, pb_buf_str(&bytes), &text))
		pb_buf_addstr(&text, pb_buf_str(&bytes));
	if (pb_str_ieq(part->subtype, PB_STR("html")))
		add_html(b, pb_buf_str(&text));
	else
		add_words(b, "", pb_buf_str(&text));
	add_links(b, pb_buf_str(&text));
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

size_t tokens_of(struct pb_str message, struct pb_str facts, uint64_t **ret)
{
	struct bag b = { pb_alloc((TOKENS_MAX + 1) * sizeof *b.list), 0 };
	struct pb_part part;
	unsigned texts = 0;
	size_t n = 0;

	add_header(&b, pb_str_head(message, pb_header_size(message)));
	for (uint32_t i = 0; i < pb_facts_count(facts) && texts < PARTS; i++) {
		if (!pb_facts_at(facts, i, &part) || part.kind != PB_PART_LEAF)
			continue;
		if (part.type.len && !pb_str_ieq(part.type, PB_STR("text"))) {
			add_words(&b, "a:", part.subtype);
			continue;
		}
		texts++;
		add_part(&b, message, &part);
	}
	qsort(b.list, b.n, sizeof *b.list, ascending);
	for (size_t i = 0; i < b.n; i++)
		if (!n || b.list[n - 1] != b.list[i])
			b.list[n++] = b.list[i];
	*ret = b.list;
	return n;
}
