/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Variables and match values (RFC 5229): expansion, set and its modifiers. */
#include "sieve/machine.h"

/* ---- values ---- */

static struct global *global_of(struct machine *m, struct pb_str name, bool make)
{
	struct global *g;

	for (g = m->globals; g; g = g->next)
		if (pb_str_ieq(g->name, name))
			return g;
	if (!make)
		return NULL;
	g = pb_arena_alloc(m->arena, sizeof *g);
	*g = (struct global){ m->globals, name, PB_NOSTR };
	m->globals = g;
	return g;
}

struct pb_str variable_get(struct machine *m, uint32_t index)
{
	const struct frame *f = m->frame;
	struct global *g;

	if (index >= f->program->nvariables)
		return PB_NOSTR;
	if (!f->program->variables[index].global)
		return f->values[index];
	g = global_of(m, f->program->variables[index].name, false);
	return g ? g->value : PB_NOSTR;
}

/* Cut where it is too long, at a character's border (RFC 5229 6). */
void variable_set(struct machine *m, uint32_t index, struct pb_str value)
{
	const struct frame *f = m->frame;

	if (index >= f->program->nvariables)
		return;
	if (value.len > VALUE_MAX)
		for (value.len = VALUE_MAX; value.len && ((unsigned char)value.ptr[value.len] & 0xC0) == 0x80; value.len--)
			;
	value = pb_arena_str(m->arena, value);
	if (f->program->variables[index].global)
		global_of(m, f->program->variables[index].name, true)->value = value;
	else
		f->values[index] = value;
}

void captures_keep(struct machine *m, const struct captures *c)
{
	m->captured.n = c->n;
	for (unsigned i = 0; i < c->n; i++)
		m->captured.at[i] = pb_arena_str(m->arena, pb_str_head(c->at[i], VALUE_MAX));
}

/* ---- expansion ---- */

/* "env.x" (as Dovecot names it) and "global.x". */
static void add_named(struct machine *m, struct pb_str name, struct pb_buf *out)
{
	const struct global *g;

	if (pb_str_istarts(name, PB_STR("global."))) {
		g = global_of(m, pb_str_skip(name, 7), false);
		if (g)
			pb_buf_addstr(out, g->value);
	} else if (pb_str_istarts(name, PB_STR("env.")) && m->world->environment) {
		m->world->environment(m->world->arg, pb_str_skip(name, 4), out);
	}
}

static bool add_piece(struct machine *m, struct reader *r, struct pb_buf *out)
{
	unsigned char form;
	struct pb_str text;
	uint64_t n;

	if (!read_byte(r, &form))
		return false;
	switch (form) {
	case F_STRING:
		if (!read_string(r, &text))
			return false;
		pb_buf_addstr(out, text);
		return true;
	case F_VARIABLE:
		if (!read_number(r, &n))
			return false;
		pb_buf_addstr(out, n < UINT32_MAX ? variable_get(m, (uint32_t)n) : PB_NOSTR);
		return true;
	case F_MATCHED:
		if (!read_number(r, &n))
			return false;
		if (n < m->captured.n)
			pb_buf_addstr(out, m->captured.at[n]);
		return true;
	case F_ENVIRONMENT:
		if (!read_string(r, &text))
			return false;
		add_named(m, text, out);
		return true;
	default:
		return false;
	}
}

bool read_template(struct machine *m, struct reader *r, struct pb_str *ret)
{
	PB_AUTOBUF(out);
	unsigned char form;
	uint64_t n;

	if (!read_byte(r, &form))
		return false;
	if (form != F_TEMPLATE || !read_number(r, &n))
		return false;
	while (n--) {
		if (!add_piece(m, r, &out))
			return false;
		/* Values of values grow without end otherwise. */
		if (out.len > (size_t)VALUE_MAX * 16)
			return machine_fail(m, 0, PB_ETOOBIG, "a string grows beyond what a script may hold");
	}
	*ret = pb_arena_str(m->arena, pb_buf_str(&out));
	return true;
}

/* ---- set ---- */

static void change_case(struct pb_buf *b, enum letter_case to, size_t n)
{
	for (size_t i = 0; i < n && i < b->len; i++)
		b->ptr[i] = (char)(to == CASE_LOWER ? pb_lower(b->ptr[i]) : to == CASE_UPPER ? pb_upper(b->ptr[i]) : b->ptr[i]);
}

static void quote(struct pb_buf *b, const char *special)
{
	PB_AUTOBUF(out);

	for (size_t i = 0; i < b->len; i++) {
		if (b->ptr[i] && strchr(special, b->ptr[i]))
			pb_buf_addc(&out, '\\');
		pb_buf_addc(&out, b->ptr[i]);
	}
	pb_buf_reset(b);
	pb_buf_addstr(b, pb_buf_str(&out));
}

static void encode_url(struct pb_buf *b)
{
	PB_AUTOBUF(out);

	for (size_t i = 0; i < b->len; i++) {
		if (pb_is_alnum(b->ptr[i]) || (b->ptr[i] && strchr("-._~", b->ptr[i])))
			pb_buf_addc(&out, b->ptr[i]);
		else
			pb_buf_addf(&out, "%%%02X", (unsigned char)b->ptr[i]);
	}
	pb_buf_reset(b);
	pb_buf_addstr(b, pb_buf_str(&out));
}

static uint64_t characters(struct pb_str s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += ((unsigned char)s.ptr[i] & 0xC0) != 0x80;
	return n;
}

/* In the order of their precedence: RFC 5229 4.1, RFC 5435 6, draft regex. */
struct pb_str modified(struct machine *m, const struct call *c, struct pb_str value)
{
	PB_AUTOBUF(b);
	uint64_t length;

	pb_buf_addstr(&b, pb_str_head(value, VALUE_MAX));
	change_case(&b, (enum letter_case)call_number(c, S_CASE, CASE_NONE), b.len);
	change_case(&b, (enum letter_case)call_number(c, S_CASE_FIRST, CASE_NONE), 1);
	if (c->slots[S_QUOTE_WILDCARD].there)
		quote(&b, "*?\\");
	if (c->slots[S_QUOTE_REGEX].there)
		quote(&b, ".^$*+?()[]{}|\\");
	if (c->slots[S_ENCODE_URL].there)
		encode_url(&b);
	if (c->slots[S_LENGTH].there) {
		length = characters(pb_buf_str(&b));
		pb_buf_reset(&b);
		pb_buf_addu(&b, length);
	}
	return pb_arena_str(m->arena, pb_buf_str(&b));
}

bool run_set(struct machine *m, const struct call *c)
{
	variable_set(m, (uint32_t)c->slots[S_1].number, modified(m, c, call_str(c, S_2)));
	return true;
}
