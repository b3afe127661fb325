/* SPDX-License-Identifier: GPL-3.0-or-later */
/* imap4flags (RFC 5232): flags as words in variables, or in the internal one that keep and fileinto take. */
#include "sieve/machine.h"

/* A system flag of IMAP, or an atom. */
static bool is_flag(struct pb_str s)
{
	static const char *const known[] = { "\\answered", "\\flagged", "\\deleted", "\\seen", "\\draft" };

	if (s.len && s.ptr[0] == '\\') {
		for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
			if (pb_str_ieq(s, pb_strz(known[i])))
				return true;
		return false;
	}
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] <= ' ' || s.ptr[i] >= 0x7F || strchr("(){%*\"\\]", s.ptr[i]))
			return false;
	return s.len > 0;
}

static long find(const struct list *l, struct pb_str flag)
{
	for (size_t i = 0; i < l->n; i++)
		if (pb_str_ieq(l->items[i], flag))
			return (long)i;
	return -1;
}

struct list flags_split(struct machine *m, struct list words)
{
	struct list out = { 0 };
	size_t room = 0;

	for (size_t i = 0; i < words.n; i++)
		room += words.items[i].len / 2 + 1;
	out.items = pb_arena_alloc(m->arena, (room + 1) * sizeof out.items[0]);
	for (size_t i = 0; i < words.n; i++) {
		struct pb_str rest = words.items[i], one;

		while (pb_str_word(&rest, &one)) {
			one = pb_str_trim(one);
			if (is_flag(one) && find(&out, one) < 0)
				out.items[out.n++] = pb_arena_str(m->arena, one);
		}
	}
	return out;
}

static struct list current(struct machine *m, const struct call *c)
{
	struct pb_str text;

	if (!c->slots[S_1].there)
		return m->flags;
	text = variable_get(m, (uint32_t)c->slots[S_1].number);
	return flags_split(m, (struct list){ &text, 1 });
}

static void keep_flags(struct machine *m, const struct call *c, struct list l)
{
	PB_AUTOBUF(text);

	if (!c->slots[S_1].there) {
		m->flags = l;
		return;
	}
	for (size_t i = 0; i < l.n; i++) {
		if (i)
			pb_buf_addc(&text, ' ');
		pb_buf_addstr(&text, l.items[i]);
	}
	variable_set(m, (uint32_t)c->slots[S_1].number, pb_buf_str(&text));
}

bool run_flags(struct machine *m, const struct call *c)
{
	struct list given = flags_split(m, c->slots[S_2].list), now = current(m, c), out = { 0 };

	out.items = pb_arena_alloc(m->arena, (given.n + now.n + 1) * sizeof out.items[0]);
	for (size_t i = 0; i < now.n && c->word != W_SETFLAG; i++)
		if (c->word == W_ADDFLAG || find(&given, now.items[i]) < 0)
			out.items[out.n++] = now.items[i];
	for (size_t i = 0; i < given.n && c->word != W_REMOVEFLAG; i++)
		if (find(&out, given.items[i]) < 0)
			out.items[out.n++] = given.items[i];
	keep_flags(m, c, out);
	return true;
}

/* The first list names variables; without it the internal one is asked. */
bool test_flags(struct machine *m, const struct call *c, bool *ret)
{
	struct list l = m->flags;
	struct matching x;
	bool more = true;

	if (c->slots[S_1].there) {
		struct list names = c->slots[S_1].list, texts = { pb_arena_alloc(m->arena, (names.n + 1) * sizeof(struct pb_str)), names.n };

		for (size_t i = 0; i < names.n; i++)
			for (uint32_t v = 0; v < m->frame->program->nvariables; v++)
				if (pb_str_ieq(m->frame->program->variables[v].name, names.items[i]))
					texts.items[i] = variable_get(m, v);
		l = flags_split(m, texts);
	}
	matching_begin(&x, m, c, S_2);
	if (x.how.match == IS || x.how.match == CONTAINS || x.how.match == MATCHES) {
		struct list keys = { 0 };

		/* Keys are lists of flags too. */
		keys.items = pb_arena_alloc(m->arena, (x.keys.n + 1) * 64 * sizeof keys.items[0]);
		for (size_t i = 0; i < x.keys.n; i++) {
			struct pb_str rest = x.keys.items[i], one;

			if (!rest.len)
				keys.items[keys.n++] = rest;
			while (keys.n < x.keys.n * 64 && pb_str_word(&rest, &one))
				keys.items[keys.n++] = one;
		}
		x.keys = keys;
	}
	for (size_t i = 0; i < l.n && more; i++)
		more = matching_value(&x, l.items[i]);
	return matching_end(&x, ret);
}
