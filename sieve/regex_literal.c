/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Letters side by side that stand in every match of a regular expression, so that a value without them need not be tried. What is not understood gives none:
 * that costs time, while a wrong one would lose matches.
 */
#include <ctype.h>
#include "sieve/match.h"

enum { LITERAL_MIN = 3 };

struct scan {
	struct pb_str text;
	size_t at, begin;		/* the run at hand begins here, and ends before at */
	unsigned depth;			/* of groups; nothing in them counts */
	struct pb_str best;
	bool lost;
};

static void end_run(struct scan *s, size_t end)
{
	if (!s->depth && end > s->begin && end - s->begin > s->best.len)
		s->best = pb_str(s->text.ptr + s->begin, end - s->begin);
	s->begin = s->at;
}

/* Over so many bytes that are no run of letters; dropped: what stands before them may be missing in a match. */
static void pass(struct scan *s, size_t n, bool dropped)
{
	size_t end = s->at;

	s->at += n;
	end_run(s, dropped && end > s->begin ? end - 1 : end);
}

/* "[...]", with "]" first, escapes and POSIX classes in it. */
static size_t class_length(struct pb_str s)
{
	size_t i = 1 + (s.len > 1 && s.ptr[1] == '^');

	for (i += i < s.len && s.ptr[i] == ']'; i < s.len; i++) {
		if (s.ptr[i] == ']')
			return i + 1;
		if (s.ptr[i] == '\\' && ++i < s.len && s.ptr[i] == 'Q')
			return 0;
		if (s.ptr[i] == '[' && i + 1 < s.len && strchr(":.=", s.ptr[i + 1])) {
			long end = pb_str_search(s, PB_STR("]"), i + 2);

			if (end < 0)
				return 0;
			i = (size_t)end;
		}
	}
	return 0;
}

static void skip_class(struct scan *s)
{
	size_t n = class_length(pb_str_skip(s->text, s->at));

	if (n)
		pass(s, n, false);
	s->lost |= !n;
}

/* "{2,3}"; what looks else is letters to PCRE2, and not understood here. */
static void skip_braces(struct scan *s)
{
	long end = pb_str_search(s->text, PB_STR("}"), s->at);

	s->lost |= end < 0;
	if (end >= 0)
		pass(s, (size_t)end - s->at + 1, true);
}

static void take_escape(struct scan *s)
{
	char c = s->at + 1 < s->text.len ? s->text.ptr[s->at + 1] : '\0';

	if (isalnum((unsigned char)c)) {
		s->lost |= !strchr("dDwWsSbBhHvVntr", c);
		pass(s, 2, false);
	} else if (c > ' ' && c < 127) {	/* a letter that means itself: a run may begin with it */
		pass(s, 1, false);
		s->at++;
	} else {
		s->lost = true;
	}
}

/* Beyond ASCII a letter may be several bytes; without regard to case, k and s have relatives there (U+212A, U+017F). */
static bool is_itself(char c, bool casemap)
{
	return c > 0 && c < 127 && !(casemap && strchr("kKsS", c));
}

static void open_group(struct scan *s)
{
	char c = s->at + 1 < s->text.len ? s->text.ptr[s->at + 1] : '\0';

	s->lost |= c == '?' || c == '*';
	pass(s, 1, false);
	s->depth++;
}

static void close_group(struct scan *s)
{
	s->lost |= !s->depth;
	s->depth -= s->depth > 0;
	s->at++;
	s->begin = s->at;
}

static void step(struct scan *s, bool casemap)
{
	char c = s->text.ptr[s->at];

	if (c == '\\')
		take_escape(s);
	else if (c == '[')
		skip_class(s);
	else if (c == '{')
		skip_braces(s);
	else if (c == '(')
		open_group(s);
	else if (c == ')')
		close_group(s);
	else if (c == '|')
		s->lost |= !s->depth, pass(s, 1, false);
	else if (c == '*' || c == '?')
		pass(s, 1, true);
	else if (strchr("+.^$", c) || !is_itself(c, casemap))
		pass(s, 1, false);
	else
		s->at++;
}

struct pb_str regex_literal(struct pb_str text, bool casemap)
{
	struct scan s = { .text = text };

	while (s.at < text.len && !s.lost)
		step(&s, casemap);
	end_run(&s, s.at);
	return s.lost || s.depth || s.best.len < LITERAL_MIN ? PB_NOSTR : s.best;
}
