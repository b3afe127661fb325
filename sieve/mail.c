/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The message's header and parts, and editing them. What is found in them is mail_known.c's, putting a changed message together mail_write.c's. */
#include "sieve/mail.h"

/* Room for one more, in an array of our own. */
static void make_room(struct mail *m)
{
	if (m->nfields == m->room || m->shared) {
		size_t room = m->nfields == m->room ? (m->room ? 2 * m->room : 64) : m->room;
		struct mail_field *more = pb_arena_alloc(m->arena, room * sizeof *more);

		if (m->nfields)
			memcpy(more, m->fields, m->nfields * sizeof *more);
		m->fields = more;
		m->room = room;
		m->shared = false;
	}
}

static void push(struct mail *m, size_t at, struct mail_field f)
{
	make_room(m);
	memmove(m->fields + at + 1, m->fields + at, (m->nfields - at) * sizeof m->fields[0]);
	m->fields[at] = f;
	m->nfields++;
}

void mail_open(struct mail *m, const struct sieve_message *message, struct pb_arena *arena)
{
	struct pb_field f;
	struct pb_str rest;

	*m = (struct mail){ .bytes = message->bytes, .arena = arena, .facts = message->facts };
	m->last_enclosure = &m->enclosures;
	if (!pb_facts_valid(m->facts)) {
		pb_facts_make(message->bytes, &m->facts_made);
		m->facts = pb_buf_str(&m->facts_made);
	}
	m->nparts = pb_facts_count(m->facts);
	m->header = rest = pb_str_head(message->bytes, pb_header_size(message->bytes));
	while (pb_header_next(&rest, &f))
		push(m, m->nfields, (struct mail_field){ .name = f.name, .value = f.value, .raw = f.raw });
	m->versions[m->nversions++] = (struct version){ m->fields, m->nfields, NULL, 0 };
	m->shared = true;
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

/* ---- parts ---- */

/* The top of an embedded message has no header of its own as a part: its fields are a message's. */
bool mail_part(const struct mail *m, uint32_t index, struct pb_part *ret)
{
	struct pb_str bytes = m->bytes;

	return pb_facts_at(m->facts, index, ret) && ret->header_off <= bytes.len && ret->header_len <= bytes.len - ret->header_off && ret->body_off <= bytes.len &&
	       ret->body_len <= bytes.len - ret->body_off;
}

uint32_t mail_part_end(const struct mail *m, uint32_t index)
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
	return pb_str(m->bytes.ptr + part->body_off, part->body_len);
}

/* ---- editing ---- */

void mail_add(struct mail *m, struct pb_str name, struct pb_str value, bool last)
{
	push(m, last ? m->nfields : 0, (struct mail_field){ .name = pb_arena_str(m->arena, name), .value = pb_arena_str(m->arena, value) });
	mail_forget(m);
}

void mail_delete(struct mail *m, size_t index)
{
	make_room(m);
	memmove(m->fields + index, m->fields + index + 1, (m->nfields - index - 1) * sizeof m->fields[0]);
	m->nfields--;
	mail_forget(m);
}

void mail_replace(struct mail *m, struct replacement *r)
{
	r->next = m->replacements;
	m->replacements = r;
}

void mail_enclose(struct mail *m, struct enclosure *e)
{
	*m->last_enclosure = e;
	m->last_enclosure = &e->next;
	m->nenclosures++;
}

/* ---- versions ---- */

/* Fields are never written after they were made, so where they begin tells them apart. */
static bool is_now(const struct mail *m, const struct version *v)
{
	bool same = v->nfields == m->nfields && v->replacements == m->replacements && v->nenclosures == m->nenclosures;

	for (size_t i = 0; i < m->nfields && same && v->fields != m->fields; i++)
		same = v->fields[i].name.ptr == m->fields[i].name.ptr && v->fields[i].value.ptr == m->fields[i].value.ptr;
	return same;
}

bool mail_version(struct mail *m, unsigned *ret)
{
	unsigned i = m->nversions;

	while (i > 0)
		if (is_now(m, &m->versions[--i])) {
			*ret = i;
			return true;
		}
	if (m->nversions > SIEVE_VERSIONS_MAX)
		return false;
	m->shared = true;
	m->versions[m->nversions] = (struct version){ m->fields, m->nfields, m->replacements, m->nenclosures };
	*ret = m->nversions++;
	return true;
}
