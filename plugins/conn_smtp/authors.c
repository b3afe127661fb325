/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A strict reader of mailbox lists. Whom the addresses belong to is the directory's business. */
#include <postbus/message.h>
#include "authors.h"

bool author_next(struct pb_str *header, struct pb_str *ret_name, struct pb_str *ret_value)
{
	static const char *const names[] = { "From", "Sender", "Resent-From", "Resent-Sender" };
	struct pb_field field;

	while (pb_header_next(header, &field))
		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			if (pb_str_ieq(field.name, pb_strz(names[i]))) {
				*ret_name = field.name;
				*ret_value = field.value;
				return true;
			}
	return false;
}

/* ---- tokens ---- */

struct reader {
	const char *at, *end;
};

static int look(const struct reader *r)
{
	return r->at < r->end ? (unsigned char)*r->at : -1;
}

static bool take(struct reader *r, char c)
{
	if (look(r) != (unsigned char)c)
		return false;
	r->at++;
	return true;
}

/* A byte inside quotes, comments and literals: no control bytes but the blanks of a fold. */
static bool is_text(int c)
{
	return c >= ' ' ? c != 127 : c == '\t' || c == '\r' || c == '\n';
}

static bool comment(struct reader *r)
{
	unsigned depth = 0;

	do {
		int c = look(r);

		if (!is_text(c))
			return false;
		r->at++;
		depth += c == '(';
		depth -= c == ')';
		if (c == '\\' && r->at < r->end && is_text(look(r)))
			r->at++;
	} while (depth);
	return true;
}

/* Blanks, folds and comments. False: a comment without an end. */
static bool skip(struct reader *r)
{
	for (;;) {
		int c = look(r);

		if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
			r->at++;
		else if (c != '(')
			return true;
		else if (!comment(r))
			return false;
	}
}

static bool is_atext(int c)
{
	return c > ' ' && c != 127 && !strchr("()<>[]:;@\\,.\"", c);
}

static bool quoted(struct reader *r, struct pb_buf *out)
{
	pb_buf_addc(out, *r->at++);
	for (;;) {
		int c = look(r);

		if (!is_text(c))
			return false;
		r->at++;
		if (c != '\r' && c != '\n')
			pb_buf_addc(out, (char)c);
		if (c == '"')
			return true;
		if (c == '\\') {
			if (!is_text(look(r)))
				return false;
			pb_buf_addc(out, *r->at++);
		}
	}
}

/* An atom or a quoted string, and what may stand behind it. */
static bool word(struct reader *r, struct pb_buf *out)
{
	if (look(r) == '"')
		return quoted(r, out) && skip(r);
	if (!is_atext(look(r)))
		return false;
	while (is_atext(look(r)))
		pb_buf_addc(out, *r->at++);
	return skip(r);
}

/* word *("." word) */
static bool dotted(struct reader *r, struct pb_buf *out)
{
	do {
		if (!word(r, out))
			return false;
		if (look(r) == '.')
			pb_buf_addc(out, '.');
	} while (take(r, '.') && skip(r));
	return true;
}

static bool domain(struct reader *r, struct pb_buf *out)
{
	if (!skip(r))
		return false;
	if (look(r) != '[')
		return dotted(r, out);
	while (look(r) != ']') {
		if (!is_text(look(r)) || look(r) <= ' ' || look(r) == '\\')
			return false;
		pb_buf_addc(out, *r->at++);
	}
	pb_buf_addc(out, *r->at++);
	return skip(r);
}

/* ---- addresses ---- */

/* Behind "<": a route that nobody uses any more, the address, ">". */
static bool angle(struct reader *r, struct pb_buf *out)
{
	PB_AUTOBUF(route);

	if (!skip(r))
		return false;
	while (look(r) == '@' || look(r) == ',') {
		if (take(r, '@') && !domain(r, &route))
			return false;
		if (!take(r, ',') && look(r) != ':')
			return false;
		if (!skip(r))
			return false;
	}
	if (route.len && !(take(r, ':') && skip(r)))
		return false;
	if (!dotted(r, out) || !take(r, '@'))
		return false;
	pb_buf_addc(out, '@');
	if (!domain(r, out) || !take(r, '>'))
		return false;
	pb_buf_addc(out, '\n');
	return skip(r);
}

/* Words and dots before something that tells what they are; *ret_local: they could be the local part of an address. */
static bool phrase(struct reader *r, struct pb_buf *words, bool *ret_local)
{
	bool dot = true;	/* a word may stand here in a local part */

	*ret_local = true;
	while (look(r) == '"' || look(r) == '.' || is_atext(look(r))) {
		bool is_dot = look(r) == '.';

		*ret_local &= dot != is_dot;
		if (is_dot) {
			pb_buf_addc(words, *r->at++);
			if (!skip(r))
				return false;
		} else if (!word(r, words)) {
			return false;
		}
		dot = is_dot;
	}
	*ret_local &= !dot;
	return true;
}

static bool list(struct reader *r, bool in_group, struct pb_buf *out);

/* One mailbox, or a group where groups may stand. */
static bool one(struct reader *r, bool in_group, struct pb_buf *out)
{
	PB_AUTOBUF(words);
	bool local;

	if (!phrase(r, &words, &local))
		return false;
	if (take(r, '<'))
		return angle(r, out);
	if (take(r, '@')) {
		if (!local)
			return false;
		pb_buf_addstr(out, pb_buf_str(&words));
		pb_buf_addc(out, '@');
		if (!domain(r, out))
			return false;
		pb_buf_addc(out, '\n');
		return true;
	}
	return !in_group && words.len && take(r, ':') && list(r, true, out) && take(r, ';') && skip(r);
}

static bool list(struct reader *r, bool in_group, struct pb_buf *out)
{
	do {
		if (!skip(r))
			return false;
		if (look(r) == ',' || look(r) == -1 || (in_group && look(r) == ';'))
			continue;
		if (!one(r, in_group, out))
			return false;
	} while (take(r, ','));
	return true;
}

bool author_addresses(struct pb_str value, struct pb_buf *out)
{
	struct reader r = { value.ptr, value.ptr + value.len };
	size_t before = out->len;

	return value.len && list(&r, false, out) && r.at == r.end && out->len > before;
}
