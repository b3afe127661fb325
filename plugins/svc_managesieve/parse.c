/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The tokens of a ManageSieve command. A literal's size was tested and its bytes are here before a token is looked at; nothing in this file reads the wire.
 */
#include "parse.h"

struct parse parse_start(struct pb_str text, struct pb_arena *arena)
{
	const char *at = text.ptr ? text.ptr : "";

	return (struct parse){ .p = at, .end = at + text.len, .arena = arena };
}

static bool fail(struct parse *p, const char *why)
{
	if (!p->error)
		p->error = why;
	return false;
}

static bool take(struct parse *p, char c)
{
	if (p->p == p->end || *p->p != c)
		return false;
	p->p++;
	return true;
}

bool parse_space(struct parse *p)
{
	return take(p, ' ') || fail(p, p->p == p->end ? "Command ends too early" : "Expected a space");
}

bool parse_has_more(const struct parse *p)
{
	return p->p < p->end;
}

bool parse_end(struct parse *p)
{
	while (take(p, ' '))
		;
	return p->p == p->end || fail(p, "Unexpected text at the end");
}

bool parse_number(struct parse *p, uint32_t *ret)
{
	const char *from = p->p;
	uint64_t n;

	while (p->p < p->end && pb_is_digit(*p->p))
		p->p++;
	if (p->p == from || pb_str_u64(pb_str(from, (size_t)(p->p - from)), UINT32_MAX, &n) != 0)
		return fail(p, "Expected a number");
	*ret = (uint32_t)n;
	return true;
}

/* The part between the quotes; escaped ones and backslashes lose their backslash. */
static bool quoted(struct parse *p, struct pb_str *ret)
{
	const char *from = p->p;
	bool escapes = false;
	char *copy;
	size_t n = 0;

	for (; p->p < p->end && *p->p != '"'; p->p++) {
		if (*p->p == '\r' || *p->p == '\n')
			return fail(p, "A quoted string ends in its line");
		if (*p->p != '\\')
			continue;
		escapes = true;
		p->p++;
		if (p->p == p->end || (*p->p != '"' && *p->p != '\\'))
			return fail(p, "A backslash stands before a quote or a backslash");
	}
	*ret = pb_str(from, (size_t)(p->p - from));
	if (!take(p, '"'))
		return fail(p, "A quoted string has no end");
	if (!escapes)
		return true;
	copy = pb_arena_alloc(p->arena, ret->len + 1);
	for (size_t i = 0; i < ret->len; i++) {
		i += ret->ptr[i] == '\\';
		copy[n++] = ret->ptr[i];
	}
	*ret = pb_str(copy, n);
	return true;
}

static bool literal(struct parse *p, struct pb_str *ret)
{
	const char *from = p->p;
	uint64_t size = 0;

	while (p->p < p->end && pb_is_digit(*p->p))
		p->p++;
	if (p->p == from || pb_str_u64(pb_str(from, (size_t)(p->p - from)), UINT32_MAX, &size) != 0 || !take(p, '+') || !take(p, '}'))
		return fail(p, "A literal is announced as {size+}");
	if (!take(p, '\r') || !take(p, '\n') || size > (uint64_t)(p->end - p->p))
		return fail(p, "A literal's bytes begin in the next line");
	*ret = pb_str(p->p, (size_t)size);
	p->p += size;
	return true;
}

bool parse_string(struct parse *p, struct pb_str *ret)
{
	bool there = take(p, '"') ? quoted(p, ret) : take(p, '{') ? literal(p, ret) : fail(p, p->p == p->end ? "Command ends too early" : "Expected a string");

	if (there && ret->len && (!pb_utf8_valid(*ret) || memchr(ret->ptr, '\0', ret->len)))
		return fail(p, "A string is UTF-8 without NUL");
	return there;
}

bool parse_strings(struct parse *p, struct pb_str *ret, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((i && !parse_space(p)) || !parse_string(p, &ret[i]))
			return false;
	return parse_end(p);
}

bool parse_literal_tail(struct pb_str line, uint64_t *ret_size)
{
	size_t digits;

	if (line.len < 4 || line.ptr[line.len - 1] != '}' || line.ptr[line.len - 2] != '+')
		return false;
	digits = line.len - 2;
	while (digits && pb_is_digit(line.ptr[digits - 1]))
		digits--;
	if (!digits || digits == line.len - 2 || line.ptr[digits - 1] != '{')
		return false;
	if (pb_str_u64(pb_str(line.ptr + digits, line.len - 2 - digits), UINT32_MAX, ret_size) != 0)
		*ret_size = UINT64_MAX;
	return true;
}
