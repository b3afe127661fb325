/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The tokens of an IMAP command. A literal's size was tested and its bytes are here before a token is looked at; nothing in this file reads the wire.
 */
#include <postbus/date.h>
#include "parse.h"
#include "utf7.h"

enum { ATOM = 1, ASTRING = 2, PATTERN = 4 };

/* RFC 3501 9: atom-specials are ( ) { SP CTL % * " \ ]; an astring takes "]", a list pattern takes "]" and the wildcards. */
static unsigned char_class(unsigned char c)
{
	if (c <= ' ' || c >= 0x7F)
		return 0;
	switch (c) {
	case '(': case ')': case '{': case '"': case '\\':
		return 0;
	case '%': case '*':
		return PATTERN;
	case ']':
		return ASTRING | PATTERN;
	default:
		return ATOM | ASTRING | PATTERN;
	}
}

struct parse parse_start(struct pb_str text, struct pb_arena *arena)
{
	const char *at = text.ptr ? text.ptr : "";

	return (struct parse){ .p = at, .end = at + text.len, .arena = arena };
}

bool parse_fail(struct parse *p, const char *why)
{
	if (!p->error)
		p->error = why;
	return false;
}

bool parse_peek(const struct parse *p, char c)
{
	return p->p < p->end && *p->p == c;
}

bool parse_take(struct parse *p, char c)
{
	if (!parse_peek(p, c))
		return false;
	p->p++;
	return true;
}

bool parse_need(struct parse *p, char c)
{
	if (parse_take(p, c))
		return true;
	if (p->p >= p->end)
		return parse_fail(p, "Command ends too early");
	switch (c) {
	case '(':
		return parse_fail(p, "Expected '('");
	case ')':
		return parse_fail(p, "Expected ')'");
	case ' ':
		return parse_fail(p, "Expected a space");
	default:
		return parse_fail(p, "Unexpected character");
	}
}

bool parse_space(struct parse *p)
{
	return parse_need(p, ' ');
}

bool parse_end(struct parse *p)
{
	while (p->p < p->end && *p->p == ' ')
		p->p++;
	return p->p == p->end || parse_fail(p, "Too many arguments");
}

bool parse_word(struct parse *p, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(p->end - p->p) < n || !pb_str_ieq(pb_str(p->p, n), pb_str(word, n)))
		return false;
	if (p->p + n < p->end && (char_class((unsigned char)p->p[n]) & ATOM) && p->p[n] != '[' && p->p[n] != '<')
		return false;
	p->p += n;
	return true;
}

static bool take_class(struct parse *p, unsigned mask, struct pb_str *ret)
{
	const char *from = p->p;

	while (p->p < p->end && (char_class((unsigned char)*p->p) & mask))
		p->p++;
	if (p->p == from)
		return parse_fail(p, p->p == p->end ? "Missing argument" : "Unexpected character");
	*ret = pb_str(from, (size_t)(p->p - from));
	return true;
}

bool parse_atom(struct parse *p, struct pb_str *ret)
{
	return take_class(p, ATOM, ret);
}

static bool take_quoted(struct parse *p, struct pb_str *ret)
{
	const char *from = ++p->p, *q = from;
	size_t escapes = 0;
	char *copy, *to;

	for (; q < p->end && *q != '"'; q++) {
		if (*q == '\\') {
			if (++q == p->end || (*q != '"' && *q != '\\'))
				return parse_fail(p, "Invalid escape in a quoted string");
			escapes++;
		} else if (*q == '\r' || *q == '\n' || *q == '\0') {
			return parse_fail(p, "Unterminated quoted string");
		}
	}
	if (q == p->end)
		return parse_fail(p, "Unterminated quoted string");
	p->p = q + 1;
	*ret = pb_str(from, (size_t)(q - from));
	if (!escapes)
		return true;
	copy = to = pb_arena_alloc(p->arena, ret->len - escapes + 1);
	for (const char *r = from; r < q; r++) {
		if (*r == '\\')
			r++;
		*to++ = *r;
	}
	*ret = pb_str(copy, (size_t)(to - copy));
	return true;
}

/* nul: it may have one (literal8). */
static bool take_literal(struct parse *p, bool nul, struct pb_str *ret)
{
	uint64_t n = 0;
	const char *q = p->p + 1, *digits = q;

	for (; q < p->end && pb_is_digit(*q); q++) {
		n = n * 10 + (uint64_t)(*q - '0');
		if (n > UINT32_MAX)
			return parse_fail(p, "Literal too big");
	}
	if (q == digits)
		return parse_fail(p, "Invalid literal");
	if (q < p->end && *q == '+')
		q++;
	if (p->end - q < 3 || q[0] != '}' || q[1] != '\r' || q[2] != '\n' || (uint64_t)(p->end - q - 3) < n)
		return parse_fail(p, "Invalid literal");
	q += 3;
	if (!nul && memchr(q, '\0', n))
		return parse_fail(p, "NUL in a literal");	/* CHAR8 has none (RFC 3501 9) */
	*ret = pb_str(q, n);
	p->p = q + n;
	return true;
}

bool parse_string(struct parse *p, struct pb_str *ret)
{
	if (parse_peek(p, '"'))
		return take_quoted(p, ret);
	if (parse_peek(p, '{'))
		return take_literal(p, false, ret);
	return parse_fail(p, p->p == p->end ? "Missing argument" : "Expected a string");
}

bool parse_astring(struct parse *p, struct pb_str *ret)
{
	if (parse_peek(p, '"') || parse_peek(p, '{'))
		return parse_string(p, ret);
	return take_class(p, ASTRING, ret);
}

bool parse_nstring(struct parse *p, struct pb_str *ret, bool *ret_nil)
{
	*ret_nil = parse_word(p, "NIL");
	if (*ret_nil) {
		*ret = PB_NOSTR;
		return true;
	}
	return parse_string(p, ret);
}

bool parse_nstring8(struct parse *p, struct pb_str *ret, bool *ret_nil)
{
	*ret_nil = false;
	if (!parse_peek(p, '~'))
		return parse_nstring(p, ret, ret_nil);
	p->p++;
	return parse_peek(p, '{') ? take_literal(p, true, ret) : parse_fail(p, "Expected a literal");
}

bool parse_pattern(struct parse *p, struct pb_str *ret)
{
	if (parse_peek(p, '"') || parse_peek(p, '{'))
		return parse_string(p, ret);
	return take_class(p, PATTERN, ret);
}

static bool number(struct parse *p, uint64_t max, uint64_t *ret)
{
	const char *from = p->p;
	uint64_t n = 0;

	for (; p->p < p->end && pb_is_digit(*p->p); p->p++) {
		unsigned d = (unsigned)(*p->p - '0');

		if (n > (max - d) / 10)
			return parse_fail(p, "Number too big");
		n = n * 10 + d;
	}
	if (p->p == from)
		return parse_fail(p, "Expected a number");
	*ret = n;
	return true;
}

bool parse_u32(struct parse *p, uint32_t *ret)
{
	uint64_t n;

	if (!number(p, UINT32_MAX, &n))
		return false;
	*ret = (uint32_t)n;
	return true;
}

bool parse_u64(struct parse *p, uint64_t *ret)
{
	return number(p, INT64_MAX, ret);
}

bool parse_flag(struct parse *p, struct pb_str *ret)
{
	const char *from = p->p;
	struct pb_str name;

	parse_take(p, '\\');
	if (!take_class(p, ATOM, &name))
		return parse_fail(p, "Invalid flag");
	*ret = pb_str(from, (size_t)(p->p - from));
	if (pb_str_ieq(*ret, PB_STR("\\Recent")))	/* RFC 3501 9: flag has it not, only flag-fetch */
		return parse_fail(p, "No client sets \\Recent");
	return true;
}

bool parse_mailbox(struct parse *p, struct pb_str *ret)
{
	struct pb_str raw;
	bool bad;

	if (!parse_astring(p, &raw))
		return false;
	if (pb_str_ieq(raw, PB_STR("INBOX"))) {
		*ret = PB_STR("INBOX");
		return true;
	}
	if (!raw.len || !memchr(raw.ptr, '&', raw.len)) {
		for (size_t i = 0; i < raw.len; i++)
			if ((unsigned char)raw.ptr[i] < ' ' || (unsigned char)raw.ptr[i] >= 0x7F)
				return parse_fail(p, "Mailbox name is not modified UTF-7");
		*ret = raw;
		return true;
	}
	PB_AUTOBUF(name);
	bad = utf7_decode(&name, raw) != 0;
	if (bad)
		return parse_fail(p, "Mailbox name is not modified UTF-7");
	*ret = pb_arena_str(p->arena, pb_buf_str(&name));
	return true;
}

/* ---- dates: postbus/date.h reads them, this finds their ends ---- */

bool parse_date(struct parse *p, int32_t *ret_days)
{
	const char *from = p->p;
	bool quoted = parse_take(p, '"');
	int64_t day;

	while (p->p < p->end && (pb_is_alnum(*p->p) || *p->p == '-'))
		p->p++;
	if ((quoted && !parse_take(p, '"')) || pb_day_parse(pb_str(from, (size_t)(p->p - from)), &day) != 0)
		return parse_fail(p, "Invalid date");
	*ret_days = (int32_t)day;
	return true;
}

bool parse_date_time(struct parse *p, int64_t *ret)
{
	struct pb_str text;
	int zone;

	if (!parse_peek(p, '"') || !take_quoted(p, &text) || pb_datetime_parse(text, ret, &zone) != 0)
		return parse_fail(p, "Invalid date-time");
	return true;
}

bool parse_literal_tail(struct pb_str line, uint64_t *ret_size, bool *ret_sync, size_t *ret_at)
{
	size_t i = line.len, end;
	uint64_t n = 0;
	bool sync = true;

	if (i < 3 || line.ptr[--i] != '}')
		return false;
	if (line.ptr[i - 1] == '+') {
		sync = false;
		i--;
	}
	end = i;
	while (i > 0 && pb_is_digit(line.ptr[i - 1]))
		i--;
	if (i == end || i == 0 || line.ptr[i - 1] != '{')
		return false;
	for (size_t k = i; k < end; k++)
		n = n > UINT64_MAX / 100 ? UINT64_MAX / 10 : n * 10 + (uint64_t)(line.ptr[k] - '0');
	*ret_size = n;
	*ret_sync = sync;
	*ret_at = i - 1;
	return true;
}
