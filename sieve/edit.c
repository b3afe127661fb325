/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Actions that change the message: editheader (RFC 5293), replace, enclose and extracttext (RFC 5703). */
#include "sieve/machine.h"

/* RFC 5293 6: what tells where a message has been, and that a machine sent it, stays. */
static bool may_edit(struct machine *m, struct pb_str name, bool add)
{
	if (m->world->may_edit)
		return m->world->may_edit(m->world->arg, name, add);
	return add || (!pb_str_ieq(name, PB_STR("Received")) && !pb_str_ieq(name, PB_STR("Auto-Submitted")));
}

/* Line ends of a value: blanks behind each, so that it stays one field. */
static struct pb_str one_field(struct machine *m, struct pb_str value)
{
	PB_AUTOBUF(out);

	value = pb_str_trim(value);
	for (size_t i = 0; i < value.len; i++) {
		char c = value.ptr[i];

		if (c == '\r' || c == '\0')
			continue;
		if (c == '\n') {
			pb_buf_addc(&out, ' ');
			continue;
		}
		pb_buf_addc(&out, c);
	}
	return pb_arena_str(m->arena, pb_buf_str(&out));
}

static bool addheader(struct machine *m, const struct call *c)
{
	struct pb_str name = call_str(c, S_1);

	if (!mail_name_valid(name) || name.len > 200)
		return machine_fail(m, c->line, PB_EINVALID, "\"%.*s\" is no name of a header field", PB_FMT(pb_str_head(name, 80)));
	if (may_edit(m, name, true))
		mail_add(m->mail, name, one_field(m, call_str(c, S_2)), c->slots[S_LAST].there);
	return true;
}

/* Does the field's value match one of the patterns? Without any, yes. */
static bool is_meant(struct machine *m, const struct call *c, struct pb_str raw)
{
	struct matching x;
	PB_AUTOBUF(value);
	bool meant;

	if (!c->slots[S_2].there)
		return true;
	matching_begin(&x, m, c, S_2);
	x.captures = false;
	pb_words_decode(&value, raw);
	matching_value(&x, pb_str_trim(pb_buf_str(&value)));
	return matching_end(&x, &meant) && meant;
}

static bool deleteheader(struct machine *m, const struct call *c)
{
	struct pb_str name = call_str(c, S_1);
	uint64_t index = call_number(c, S_INDEX, 0), nth = 0, total = 0;

	if (!mail_name_valid(name))
		return machine_fail(m, c->line, PB_EINVALID, "\"%.*s\" is no name of a header field", PB_FMT(pb_str_head(name, 80)));
	if (!may_edit(m, name, false))
		return true;
	for (size_t i = 0; i < m->mail->nfields; i++)
		total += pb_str_ieq(m->mail->fields[i].name, name);
	for (size_t i = 0; i < m->mail->nfields;) {
		const struct mail_field *f = &m->mail->fields[i];
		bool chosen = pb_str_ieq(f->name, name);

		nth += chosen;
		if (chosen && c->slots[S_INDEX].there)
			chosen = (c->slots[S_LAST].there ? total - nth + 1 : nth) == index;
		if (chosen && is_meant(m, c, f->value))
			mail_delete(m->mail, i);
		else
			i++;
	}
	return true;
}

/* Messages are written when the program may be gone. */
static struct pb_str kept_str(struct machine *m, const struct call *c, enum slot s)
{
	return pb_arena_str(m->arena, call_str(c, s));
}

static bool replace(struct machine *m, const struct call *c)
{
	struct replacement *r = pb_arena_alloc(m->arena, sizeof *r);

	*r = (struct replacement){ NULL, machine_part(m), kept_str(m, c, S_SUBJECT), kept_str(m, c, S_FROM), kept_str(m, c, S_1), c->slots[S_MIME].there };
	mail_replace(m->mail, r);
	return true;
}

static bool enclose(struct machine *m, const struct call *c)
{
	struct enclosure *e = pb_arena_alloc(m->arena, sizeof *e);
	const struct list *headers = &c->slots[S_HEADERS].list;

	*e = (struct enclosure){ .subject = kept_str(m, c, S_SUBJECT), .text = kept_str(m, c, S_1) };
	if (c->slots[S_HEADERS].there) {
		e->headers = pb_arena_alloc(m->arena, (headers->n + 1) * sizeof e->headers[0]);
		for (; e->nheaders < headers->n; e->nheaders++)
			e->headers[e->nheaders] = one_field(m, headers->items[e->nheaders]);
	}
	mail_enclose(m->mail, e);
	return true;
}

static bool extracttext(struct machine *m, const struct call *c)
{
	struct pb_str text = PB_NOSTR;
	struct pb_part p;
	uint64_t first = call_number(c, S_FIRST, UINT64_MAX);

	if (!m->nloops)
		return machine_fail(m, c->line, PB_EINVALID, "'extracttext' outside of 'foreverypart'");
	if (mail_part(m->mail, machine_part(m), &p) && p.kind == PB_PART_LEAF && (!p.type.len || pb_str_ieq(p.type, PB_STR("text")))) {
		text = mail_part_text(m->mail, &p);
		if (pb_str_ieq(p.subtype, PB_STR("html")))
			text = mail_html_text(m->mail, text);
	}
	for (size_t i = 0; i < text.len; i++) {
		bool begins = ((unsigned char)text.ptr[i] & 0xC0) != 0x80;

		if (begins && first-- == 0) {
			text.len = i;
			break;
		}
	}
	variable_set(m, (uint32_t)c->slots[S_1].number, modified(m, c, text));
	return true;
}

bool run_edit(struct machine *m, const struct call *c)
{
	machine_trace(m, c, "edit", call_str(c, S_1), true);
	switch (c->word) {
	case W_ADDHEADER:
		return addheader(m, c);
	case W_DELETEHEADER:
		return deleteheader(m, c);
	case W_REPLACE:
		return replace(m, c);
	case W_ENCLOSE:
		return enclose(m, c);
	default:
		return extracttext(m, c);
	}
}
