/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading and editing the message's header and parts. Putting a changed message together is mail_write.c's. */
#include "sieve/mail.h"

static void push(struct mail *m, size_t at, struct mail_field f)
{
	if (m->nfields == m->room) {
		size_t room = m->room ? 2 * m->room : 64;
		struct mail_field *more = pb_arena_alloc(m->arena, room * sizeof *more);

		if (m->nfields)
			memcpy(more, m->fields, m->nfields * sizeof *more);
		m->fields = more;
		m->room = room;
	}
	memmove(m->fields + at + 1, m->fields + at, (m->nfields - at) * sizeof m->fields[0]);
	m->fields[at] = f;
	m->nfields++;
}

void mail_open(struct mail *m, const struct sieve_message *message, struct pb_arena *arena)
{
	struct pb_field f;
	struct pb_str rest;

	*m = (struct mail){ .message = message, .arena = arena, .facts = message->facts };
	m->last_enclosure = &m->enclosures;
	if (!pb_facts_valid(m->facts)) {
		pb_facts_make(message->bytes, &m->facts_made);
		m->facts = pb_buf_str(&m->facts_made);
	}
	m->nparts = pb_facts_count(m->facts);
	m->header = rest = pb_str_head(message->bytes, pb_header_size(message->bytes));
	while (pb_header_next(&rest, &f))
		push(m, m->nfields, (struct mail_field){ f.name, f.value, f.raw });
}

void mail_close(struct mail *m)
{
	pb_buf_free(&m->facts_made);
}

bool mail_name_valid(struct pb_str name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] <= ' ' || name.ptr[i] > '~' || name.ptr[i] == ':')
			return false;
	return name.len > 0;
}

/* ---- values ---- */

struct values {
	struct pb_str *list;
	size_t n, room;
};

static void add_value(struct mail *m, struct values *v, struct pb_str raw, bool decoded)
{
	if (v->n == v->room) {
		size_t room = v->room ? 2 * v->room : 4;
		struct pb_str *more = pb_arena_alloc(m->arena, room * sizeof *more);

		if (v->n)
			memcpy(more, v->list, v->n * sizeof *more);
		v->list = more;
		v->room = room;
	}
	if (decoded) {
		PB_AUTOBUF(out);

		pb_words_decode(&out, raw);
		raw = pb_arena_str(m->arena, pb_str_trim(pb_buf_str(&out)));
	}
	v->list[v->n++] = raw;
}

static size_t top_values(struct mail *m, struct pb_str name, bool decoded, struct pb_str **ret)
{
	struct values v = { 0 };

	for (unsigned i = 0; decoded && i < m->ncached; i++) {
		if (pb_str_ieq(m->cache[i].name, name)) {
			*ret = m->cache[i].values;
			return m->cache[i].n;
		}
	}
	for (size_t i = 0; i < m->nfields; i++)
		if (pb_str_ieq(m->fields[i].name, name))
			add_value(m, &v, m->fields[i].value, decoded);
	if (decoded && m->ncached < sizeof m->cache / sizeof m->cache[0]) {
		m->cache[m->ncached].name = pb_arena_str(m->arena, name);
		m->cache[m->ncached].values = v.list;
		m->cache[m->ncached++].n = v.n;
	}
	*ret = v.list;
	return v.n;
}

size_t mail_values(struct mail *m, uint32_t part, struct pb_str name, bool decoded, struct pb_str **ret)
{
	struct values v = { 0 };
	struct pb_part p;
	struct pb_field f;
	struct pb_str rest;

	*ret = NULL;
	if (part == 0)
		return top_values(m, name, decoded, ret);
	if (!mail_part(m, part, &p))
		return 0;
	rest = pb_str(m->message->bytes.ptr + p.header_off, p.header_len);
	while (pb_header_next(&rest, &f))
		if (pb_str_ieq(f.name, name))
			add_value(m, &v, f.value, decoded);
	*ret = v.list;
	return v.n;
}

/* ---- parts ---- */

/* The top of an embedded message has no header of its own as a part: its fields are a message's. */
bool mail_part(struct mail *m, uint32_t index, struct pb_part *ret)
{
	struct pb_str bytes = m->message->bytes;

	return pb_facts_at(m->facts, index, ret) && ret->header_off <= bytes.len && ret->header_len <= bytes.len - ret->header_off && ret->body_off <= bytes.len &&
	       ret->body_len <= bytes.len - ret->body_off;
}

uint32_t mail_part_end(struct mail *m, uint32_t index)
{
	struct pb_part p, next;
	uint32_t end = index + 1;

	if (!mail_part(m, index, &p))
		return end;
	while (end < m->nparts && mail_part(m, end, &next) && next.depth > p.depth)
		end++;
	return end;
}

struct pb_str mail_part_body(struct mail *m, const struct pb_part *part)
{
	return pb_str(m->message->bytes.ptr + part->body_off, part->body_len);
}

struct pb_str mail_part_text(struct mail *m, const struct pb_part *part)
{
	PB_AUTOBUF(raw);
	PB_AUTOBUF(text);

	pb_transfer_decode(part->encoding, mail_part_body(m, part), &raw);
	if (!pb_str_ieq(part->type, PB_STR("text")) && part->type.len)
		return pb_arena_str(m->arena, pb_buf_str(&raw));
	if (pb_charset_decode(part->charset, pb_buf_str(&raw), &text) != 0)
		return pb_arena_str(m->arena, pb_buf_str(&raw));
	return pb_arena_str(m->arena, pb_buf_str(&text));
}

static size_t entity(struct pb_str s, char *ret)
{
	static const struct { const char *name; char c; } names[] = { { "&lt;", '<' }, { "&gt;", '>' }, { "&amp;", '&' }, { "&quot;", '"' }, { "&nbsp;", ' ' } };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (pb_str_istarts(s, pb_strz(names[i].name))) {
			*ret = names[i].c;
			return strlen(names[i].name);
		}
	}
	return 0;
}

struct pb_str mail_html_text(struct mail *m, struct pb_str html)
{
	char *out = pb_arena_alloc(m->arena, html.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < html.len;) {
		size_t skipped = html.ptr[i] == '&' ? entity(pb_str_skip(html, i), out + n) : 0;

		if (skipped) {
			n++;
			i += skipped;
		} else if (html.ptr[i] == '<') {
			bool script = pb_str_istarts(pb_str_skip(html, i), PB_STR("<script")), style = pb_str_istarts(pb_str_skip(html, i), PB_STR("<style"));
			long end = script || style ? pb_str_isearch(html, script ? PB_STR("</script") : PB_STR("</style"), i) : (long)i;

			end = end < 0 ? -1 : pb_str_find(html, '>', (size_t)end);
			i = end < 0 ? html.len : (size_t)end + 1;
		} else {
			out[n++] = html.ptr[i++];
		}
	}
	return pb_str(out, n);
}

/* ---- editing ---- */

void mail_add(struct mail *m, struct pb_str name, struct pb_str value, bool last)
{
	push(m, last ? m->nfields : 0, (struct mail_field){ pb_arena_str(m->arena, name), pb_arena_str(m->arena, value), PB_NOSTR });
	m->edited = true;
	m->ncached = 0;
}

void mail_delete(struct mail *m, size_t index)
{
	memmove(m->fields + index, m->fields + index + 1, (m->nfields - index - 1) * sizeof m->fields[0]);
	m->nfields--;
	m->edited = true;
	m->ncached = 0;
}

bool mail_changed(const struct mail *m)
{
	return m->edited || m->replacements || m->enclosures;
}
