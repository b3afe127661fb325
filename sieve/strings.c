/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What "${...}" in a string is: encoded characters (RFC 5228 2.4.2.4) at once, variables and match values (RFC 5229) as pieces of a template.
 * Anything that is none of them stays as it stands.
 */
#include "sieve/compile.h"

struct piece {
	enum form form;
	struct pb_str text;
	uint64_t number;
};

static bool is_first(int c)
{
	return pb_is_alpha(c) || c == '_';
}

static bool is_identifier(struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_first(s.ptr[i]) && (i == 0 || !pb_is_digit(s.ptr[i])))
			return false;
	return s.len > 0;
}

/* identifier *("." sub), where a sub may be a number (RFC 5229 3). */
static bool is_namespace(struct pb_str s)
{
	struct pb_str part;

	if (!pb_str_cut(&s, '.', &part) || !is_identifier(part) || !s.ptr)
		return false;
	while (pb_str_cut(&s, '.', &part)) {
		uint64_t n;

		if (!is_identifier(part) && pb_str_u64(part, UINT32_MAX, &n))
			return false;
	}
	return true;
}

/* The table's index of a name, which may be there twice: the script's own, and the global one that it writes as "global.x". */
static bool find_or_make(struct emitter *e, struct place at, struct pb_str name, bool qualified, uint32_t *ret)
{
	char *lower;

	for (uint32_t i = 0; i < e->nvariables; i++) {
		if (e->qualified[i] == qualified && pb_str_ieq(e->variables[i].name, name)) {
			*ret = i;
			return true;
		}
	}
	if (e->nvariables == VARIABLES_MAX)
		return complain(&e->c, at, "more than %d variables", VARIABLES_MAX);
	lower = pb_arena_alloc(e->c.arena, name.len + 1);
	for (size_t i = 0; i < name.len; i++)
		lower[i] = (char)pb_lower(name.ptr[i]);
	*ret = e->nvariables;
	e->qualified[e->nvariables] = qualified;
	e->variables[e->nvariables++] = (struct variable){ .name = pb_str(lower, name.len), .global = qualified };
	return true;
}

bool variable_index(struct emitter *e, struct place at, struct pb_str name, uint32_t *ret)
{
	return find_or_make(e, at, name, false, ret);
}

bool variable_to_set(struct emitter *e, struct place at, struct pb_str name, uint32_t *ret)
{
	bool qualified = pb_str_istarts(name, PB_STR("global.")) && is_required(e, "include");
	struct pb_str own = qualified ? pb_str_skip(name, sizeof "global." - 1) : name;

	if (!is_identifier(own))
		return complain(&e->c, at, "\"%.*s\" is no variable's name", PB_FMT(pb_str_head(name, 60)));
	if (!find_or_make(e, at, own, qualified, ret))
		return false;
	e->is_set[*ret] = true;
	return true;
}

/* ---- encoded characters ---- */

static int hex_value(int c)
{
	return pb_is_digit(c) ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

static void add_utf8(struct pb_buf *out, uint32_t u)
{
	if (u < 0x80) {
		pb_buf_addc(out, (char)u);
		return;
	}
	if (u >= 0x10000)
		pb_buf_addc(out, (char)(0xF0 | u >> 18));
	if (u >= 0x800)
		pb_buf_addc(out, (char)((u >= 0x10000 ? 0x80 : 0xE0) | (u >> 12 & (u >= 0x10000 ? 63 : 15))));
	pb_buf_addc(out, (char)((u >= 0x800 ? 0x80 : 0xC0) | (u >> 6 & (u >= 0x800 ? 63 : 31))));
	pb_buf_addc(out, (char)(0x80 | (u & 63)));
}

/* Numbers in hexadecimal with blanks between. 1: appended; 0: no such form; -1: not a character. */
static int encoded(struct pb_str inside, struct pb_buf *out)
{
	bool bytes = pb_str_istarts(inside, PB_STR("hex:"));
	size_t before = out->len;
	unsigned n = 0;

	if (!bytes && !pb_str_istarts(inside, PB_STR("unicode:")))
		return 0;
	inside = pb_str_skip(inside, bytes ? 4 : 8);
	for (size_t i = 0; i < inside.len;) {
		uint32_t v = 0;
		unsigned digits = 0;

		if (strchr(" \t\r\n", inside.ptr[i]) && inside.ptr[i]) {
			i++;
			continue;
		}
		for (; i < inside.len && hex_value(inside.ptr[i]) >= 0; i++, digits++)
			v = v << 4 | (uint32_t)hex_value(inside.ptr[i]);
		if (!digits || (bytes ? digits > 2 : digits > 8)) {
			out->len = before;
			return 0;
		}
		if (!bytes && (v > 0x10FFFF || (v >= 0xD800 && v <= 0xDFFF)))
			return -1;
		if (bytes)
			pb_buf_addc(out, (char)v);
		else
			add_utf8(out, v);
		n++;
	}
	return n > 0;
}

/* ---- pieces ---- */

/* A variable between "${" and "}". */
static bool reference(struct pb_str inside, struct piece *ret)
{
	uint64_t n;

	if (is_identifier(inside)) {
		*ret = (struct piece){ F_VARIABLE, inside, 0 };
		return true;
	}
	if (inside.len && pb_is_digit(inside.ptr[0])) {
		if (pb_str_u64(inside, UINT32_MAX, &n))
			return false;
		*ret = (struct piece){ F_MATCHED, PB_NOSTR, n };
		return true;
	}
	if (!is_namespace(inside))
		return false;
	*ret = (struct piece){ F_ENVIRONMENT, inside, 0 };
	return true;
}

/* The text between "${" at i and the next "}". */
static bool braces(struct pb_str s, size_t i, struct pb_str *ret_inside)
{
	long end = s.ptr[i] == '$' && i + 1 < s.len && s.ptr[i + 1] == '{' ? pb_str_find(s, '}', i + 2) : -1;

	*ret_inside = end < 0 ? PB_NOSTR : pb_str(s.ptr + i + 2, (size_t)end - i - 2);
	return end >= 0;
}

/* Encoded characters come first: what they give may begin a variable. */
static bool decode(struct emitter *e, struct place at, struct pb_str s, struct pb_buf *out)
{
	bool encodes = is_required(e, "encoded-character");
	struct pb_str inside;

	for (size_t i = 0; i < s.len;) {
		int done = encodes && braces(s, i, &inside) ? encoded(inside, out) : 0;

		if (done < 0)
			return complain(&e->c, at, "${%.*s} is no Unicode character", PB_FMT(pb_str_head(inside, 40)));
		if (done)
			i += inside.len + 3;
		else
			pb_buf_addc(out, s.ptr[i++]);
	}
	return true;
}

/* Splits at variables; literal text gathers in text, which each piece before a variable takes. -1: complained. */
static int split(struct emitter *e, struct place at, struct pb_str s, struct pb_buf *text, bool (*take)(struct emitter *e, struct place at,
	const struct piece *p, struct pb_buf *out), struct pb_buf *out)
{
	bool variables = is_required(e, "variables");
	struct pb_str inside;
	struct piece p;
	int pieces = 0;

	for (size_t i = 0; i < s.len;) {
		if (!variables || !braces(s, i, &inside) || !reference(inside, &p)) {
			pb_buf_addc(text, s.ptr[i++]);
			continue;
		}
		if (text->len) {
			if (!take(e, at, &(struct piece){ F_STRING, pb_buf_str(text), 0 }, out))
				return -1;
			pb_buf_reset(text);
			pieces++;
		}
		if (!take(e, at, &p, out))
			return -1;
		pieces++;
		i += inside.len + 3;
	}
	return pieces;
}

static bool put_piece(struct emitter *e, struct place at, const struct piece *p, struct pb_buf *out)
{
	uint32_t index;

	pb_buf_addc(out, (char)p->form);
	switch (p->form) {
	case F_STRING:
	case F_ENVIRONMENT:
		put_string(out, p->text);
		return true;
	case F_VARIABLE:
		if (!variable_index(e, at, p->text, &index))
			return false;
		put_number(out, index);
		return true;
	default:
		put_number(out, p->number);
		return true;
	}
}

bool emit_string(struct emitter *e, struct place at, struct pb_str s)
{
	PB_AUTOBUF(plain);
	PB_AUTOBUF(text);
	PB_AUTOBUF(pieces);
	int n;

	/* Most strings have nothing to expand. */
	if (pb_str_search(s, PB_STR("${"), 0) < 0) {
		pb_buf_addc(&e->code, F_STRING);
		put_string(&e->code, s);
		return true;
	}
	n = decode(e, at, s, &plain) ? split(e, at, pb_buf_str(&plain), &text, put_piece, &pieces) : -1;
	if (n < 0)
		return false;
	if (n == 0) {
		pb_buf_addc(&e->code, F_STRING);
		put_string(&e->code, pb_buf_str(&text));
		return true;
	}
	if (text.len && ++n)
		put_piece(e, at, &(struct piece){ F_STRING, pb_buf_str(&text), 0 }, &pieces);
	pb_buf_addc(&e->code, F_TEMPLATE);
	put_number(&e->code, (uint64_t)n);
	pb_buf_addstr(&e->code, pb_buf_str(&pieces));
	return true;
}

static bool refuse_piece(struct emitter *e, struct place at, const struct piece *p, struct pb_buf *out)
{
	(void)p;
	(void)out;
	return complain(&e->c, at, "a variable where only a constant may stand");
}

bool constant_string(struct emitter *e, struct place at, struct pb_str s, struct pb_str *ret)
{
	PB_AUTOBUF(plain);
	PB_AUTOBUF(text);

	if (!decode(e, at, s, &plain) || split(e, at, pb_buf_str(&plain), &text, refuse_piece, NULL) < 0)
		return false;
	*ret = pb_arena_str(e->c.arena, pb_buf_str(&text));
	return true;
}
