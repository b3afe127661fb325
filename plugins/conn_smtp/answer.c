/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Collecting replies. What they mean is left to the transaction. */
#include <stdio.h>
#include "answer.h"

struct pb_str answer_line_text(struct pb_str line)
{
	return pb_str_skip(line, 4);
}

/* Length of an RFC 3463 status at the front ("5.1.1"), or 0. */
static size_t status_len(struct pb_str text)
{
	size_t i = 1, digits;

	if (text.len < 5 || !strchr("245", text.ptr[0]))
		return 0;
	for (int part = 0; part < 2; part++) {
		if (i >= text.len || text.ptr[i++] != '.')
			return 0;
		for (digits = 0; i < text.len && pb_is_digit(text.ptr[i]); i++)
			digits++;
		if (!digits || digits > 3)
			return 0;
	}
	return i == text.len || text.ptr[i] == ' ' ? i : 0;
}

static void add_text(struct answer *a, struct pb_str text)
{
	bool utf8 = pb_utf8_valid(text);

	if (a->lines > 1) {
		text = pb_str_trim(pb_str_skip(text, status_len(text)));
		if (text.len && a->len < ANSWER_TEXT_MAX)
			a->text[a->len++] = ' ';
	}
	for (size_t i = 0; i < text.len && a->len < ANSWER_TEXT_MAX; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		a->text[a->len++] = (char)(c == '\t' ? ' ' : c < ' ' || c == 127 || (c > 127 && !utf8) ? '?' : c);
	}
	/* Never half a character at the cap. */
	while (a->len == ANSWER_TEXT_MAX && !pb_utf8_valid(pb_str(a->text, a->len)))
		a->len--;
	a->text[a->len] = 0;
}

int answer_take(struct answer *a, struct pb_str line)
{
	int code;

	if (line.len < 3 || !pb_is_digit(line.ptr[0]) || !pb_is_digit(line.ptr[1]) || !pb_is_digit(line.ptr[2]))
		return PB_EINVALID;
	if (line.len > 3 && line.ptr[3] != ' ' && line.ptr[3] != '-')
		return PB_EINVALID;
	code = (line.ptr[0] - '0') * 100 + (line.ptr[1] - '0') * 10 + line.ptr[2] - '0';
	if (code < 200 || code > 599 || (a->code && a->code != code))
		return PB_EINVALID;
	if (++a->lines > ANSWER_LINES_MAX)
		return PB_ETOOBIG;
	a->code = code;
	add_text(a, answer_line_text(line));
	return line.len > 3 && line.ptr[3] == '-';
}

void answer_words(const struct answer *a, int code, char *out, size_t size)
{
	size_t status = status_len(pb_str(a->text, a->len));
	int class = (code ? code : a->code) / 100;

	if (class != 2 && class != 4)
		class = 5;
	if (code && code != a->code)
		snprintf(out, size, "%d %d.5.0 unexpected answer: %d %s", code, class, a->code, a->text);
	else if (status && a->text[0] - '0' == class)
		snprintf(out, size, "%d %s", a->code, a->text);
	else
		snprintf(out, size, "%d %d.0.0 %s", a->code, class, a->text);
}
