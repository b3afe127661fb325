/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Words, tags, numbers, strings and comments, each with the place where it stands. What they mean is the parser's. */
#include "sieve/lex.h"

enum { NUMBER_MAX_DIGITS = 19 };

static bool is_word(int c)
{
	return pb_is_alnum(c) || c == '_';
}

static void newline(struct lexer *l, size_t at)
{
	l->line++;
	l->line_start = at + 1;
}

/* Blanks and comments. False: a comment has no end. */
static bool skip(struct lexer *l)
{
	while (l->at < l->script.len) {
		const char *p = l->script.ptr + l->at;
		size_t left = l->script.len - l->at;

		if (*p == '\n') {
			newline(l, l->at++);
		} else if (*p == ' ' || *p == '\t' || *p == '\r') {
			l->at++;
		} else if (*p == '#') {
			while (l->at < l->script.len && l->script.ptr[l->at] != '\n')
				l->at++;
		} else if (left >= 2 && p[0] == '/' && p[1] == '*') {
			long end = pb_str_search(l->script, PB_STR("*/"), l->at + 2);

			if (end < 0)
				return false;
			for (; l->at < (size_t)end + 2; l->at++)
				if (l->script.ptr[l->at] == '\n')
					newline(l, l->at);
		} else {
			break;
		}
	}
	return true;
}

static void bad(struct token *t, struct pb_str why)
{
	t->kind = T_BAD;
	t->text = why;
}

/* "..." with \x for x. */
static void quoted(struct lexer *l, struct token *t)
{
	size_t from = ++l->at;
	bool escaped = false;
	char *to;

	for (; l->at < l->script.len && l->script.ptr[l->at] != '"'; l->at++) {
		if (l->script.ptr[l->at] == '\\') {
			escaped = true;
			l->at++;
			if (l->at == l->script.len)
				break;
		}
		if (l->script.ptr[l->at] == '\n')
			newline(l, l->at);
		if (l->script.ptr[l->at] == '\0') {
			bad(t, PB_STR("a NUL in a string"));
			return;
		}
	}
	if (l->at >= l->script.len) {
		bad(t, PB_STR("a string without an end"));
		return;
	}
	t->kind = T_STRING;
	t->text = pb_str(l->script.ptr + from, l->at - from);
	l->at++;
	if (!escaped)
		return;
	to = pb_arena_alloc(l->arena, t->text.len + 1);
	from = 0;
	for (size_t i = 0; i < t->text.len; i++) {
		if (t->text.ptr[i] == '\\')
			i++;
		to[from++] = t->text.ptr[i];
	}
	t->text = pb_str(to, from);
}

/* text: [blanks, comment] line end, lines, "." alone. A leading dot is doubled. Line ends are CRLF in the value. */
static void multiline(struct lexer *l, struct token *t)
{
	struct pb_buf out = PB_BUF;
	size_t end;

	while (l->at < l->script.len && pb_is_blank(l->script.ptr[l->at]))
		l->at++;
	if (l->at < l->script.len && l->script.ptr[l->at] == '#')
		while (l->at < l->script.len && l->script.ptr[l->at] != '\n')
			l->at++;
	if (l->at < l->script.len && l->script.ptr[l->at] == '\r')
		l->at++;
	if (l->at >= l->script.len || l->script.ptr[l->at] != '\n') {
		bad(t, PB_STR("text: is followed by the end of its line"));
		return;
	}
	newline(l, l->at++);
	for (;; l->at = end + 1) {
		long lf = pb_str_find(l->script, '\n', l->at);
		struct pb_str line;

		end = lf < 0 ? l->script.len : (size_t)lf;
		line = pb_str(l->script.ptr + l->at, end - l->at);
		if (line.len && line.ptr[line.len - 1] == '\r')
			line.len--;
		if (pb_str_eq(line, PB_STR(".")))
			break;
		if (lf < 0 || (line.len && memchr(line.ptr, '\0', line.len))) {
			pb_buf_free(&out);
			bad(t, lf < 0 ? PB_STR("text: without a line that is \".\"") : PB_STR("a NUL in a string"));
			return;
		}
		newline(l, end);
		if (line.len && line.ptr[0] == '.')
			line = pb_str_skip(line, 1);
		pb_buf_addstr(&out, line);
		pb_buf_addz(&out, "\r\n");
	}
	l->at = end;
	t->kind = T_STRING;
	t->text = pb_arena_str(l->arena, pb_buf_str(&out));
	pb_buf_free(&out);
}

static void number(struct lexer *l, struct token *t)
{
	size_t from = l->at;
	uint64_t unit = 1;
	int c;

	t->kind = T_NUMBER;
	for (; l->at < l->script.len && pb_is_digit(l->script.ptr[l->at]); l->at++)
		t->number = l->at - from < NUMBER_MAX_DIGITS ? t->number * 10 + (uint64_t)(l->script.ptr[l->at] - '0') : UINT64_MAX;
	c = l->at < l->script.len ? pb_lower(l->script.ptr[l->at]) : 0;
	if (c == 'k' || c == 'm' || c == 'g') {
		unit = c == 'k' ? 1 << 10 : c == 'm' ? 1 << 20 : 1 << 30;
		l->at++;
	}
	if (l->at < l->script.len && is_word(l->script.ptr[l->at]))
		bad(t, PB_STR("a number that goes on with letters"));
	else if (t->number > INT64_MAX / unit)
		bad(t, PB_STR("a number that is too large"));
	t->number *= unit;
}

static struct pb_str word(struct lexer *l)
{
	size_t from = l->at;

	while (l->at < l->script.len && is_word(l->script.ptr[l->at]))
		l->at++;
	return pb_str(l->script.ptr + from, l->at - from);
}

void lex_next(struct lexer *l, struct token *t)
{
	bool ended = skip(l);
	char c;

	*t = (struct token){ .kind = T_END, .line = l->line, .column = (unsigned)(l->at - l->line_start) + 1 };
	if (!ended) {
		bad(t, PB_STR("a comment without an end"));
		return;
	}
	if (l->at == l->script.len)
		return;
	c = l->script.ptr[l->at];
	if (c == '"') {
		quoted(l, t);
	} else if (pb_is_digit(c)) {
		number(l, t);
	} else if (c == ':') {
		l->at++;
		t->kind = T_TAG;
		t->text = word(l);
		if (!t->text.len || pb_is_digit(t->text.ptr[0]))
			bad(t, PB_STR("a colon without a tag's name"));
	} else if (is_word(c)) {
		t->kind = T_WORD;
		t->text = word(l);
		if (pb_str_ieq(t->text, PB_STR("text")) && l->at < l->script.len && l->script.ptr[l->at] == ':') {
			l->at++;
			multiline(l, t);
		}
	} else if (strchr("()[]{},;", c) && c) {
		t->kind = T_PUNCTUATION;
		t->c = c;
		l->at++;
	} else {
		bad(t, PB_STR("a character that no script has here"));
	}
}
