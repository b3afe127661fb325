/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What was looked for in the message once, so that scripts with many rules find it without reading the message again: values of fields, addresses in them,
 * parameters of them, texts of parts. A table of bounded size, thrown away when the header changes.
 */
#include "sieve/mail.h"

enum { SLOTS_FIRST = 64, SLOTS_MOST = 512 };
enum kind { NOTHING, RAW_VALUES, DECODED_VALUES, PARAMETER, PART_TEXT, HTML_TEXT };

struct known {
	enum kind kind;
	uint32_t hash;
	uintptr_t of;			/* part; or where the field's value, or the text, begins */
	struct pb_str name;
	struct pb_str *values;
	size_t n, room;
	struct mail_address *addresses;
	size_t naddresses, addresses_room;
	bool has_addresses;
};

/* ---- the table ---- */

/* Up to 8 bytes, letters in either case alike. */
static uint64_t folded(const char *p, size_t n)
{
	uint64_t v = 0;

	memcpy(&v, p, n < 8 ? n : 8);
	return v | UINT64_C(0x2020202020202020);
}

/* The ends of a name tell most of them apart. */
static uint32_t hash_of(enum kind kind, uintptr_t of, struct pb_str name)
{
	uint64_t h = (uint64_t)of * 31 + (uint64_t)kind;

	if (name.len)
		h ^= folded(name.ptr, name.len) ^ name.len << 56;
	h *= UINT64_C(0x9E3779B97F4A7C15);
	if (name.len > 8)
		h = (h ^ folded(name.ptr + name.len - 8, 8)) * UINT64_C(0xC2B2AE3D27D4EB4F);
	return (uint32_t)(h >> 32);
}

static bool is_it(const struct known *k, enum kind kind, uint32_t hash, uintptr_t of, struct pb_str name)
{
	return k->hash == hash && k->kind == kind && k->of == of && (pb_str_eq(k->name, name) || pb_str_ieq(k->name, name));
}

/* The slot where it is, or would be. Half of the slots at most are used. */
static struct known **slot_of(const struct mail *m, enum kind kind, uint32_t hash, uintptr_t of, struct pb_str name)
{
	size_t at = hash & (m->nslots - 1);

	while (m->slots[at] && !is_it(m->slots[at], kind, hash, of, name))
		at = (at + 1) & (m->nslots - 1);
	return &m->slots[at];
}

static void grow(struct mail *m)
{
	struct known **old = m->slots;
	size_t n = m->nslots;

	m->nslots = n ? 2 * n : SLOTS_FIRST;
	m->slots = pb_arena_alloc(m->arena, m->nslots * sizeof *old);
	for (size_t i = 0; i < n; i++)
		if (old[i])
			*slot_of(m, old[i]->kind, old[i]->hash, old[i]->of, old[i]->name) = old[i];
}

/* Names are the program's or the arena's, and so outlive the run. What finds no room is forgotten at once. */
static struct known *find(struct mail *m, enum kind kind, uintptr_t of, struct pb_str name, bool *ret_new)
{
	uint32_t hash = hash_of(kind, of, name);
	struct known **slot, *k;

	if (m->nknown * 2 >= m->nslots && m->nslots < SLOTS_MOST)
		grow(m);
	slot = slot_of(m, kind, hash, of, name);
	*ret_new = !*slot;
	if (*slot)
		return *slot;
	k = pb_arena_alloc(m->arena, sizeof *k);
	*k = (struct known){ .kind = kind, .hash = hash, .of = of, .name = name };
	if (m->nknown * 2 < m->nslots) {
		m->nknown++;
		*slot = k;
	}
	return k;
}

void mail_forget(struct mail *m)
{
	m->slots = NULL;
	m->nslots = m->nknown = 0;
}

/* ---- values ---- */

static struct pb_str decode(struct mail *m, struct pb_str raw)
{
	PB_AUTOBUF(out);

	pb_words_decode(&out, raw);
	return pb_arena_str(m->arena, pb_str_trim(pb_buf_str(&out)));
}

struct pb_str mail_decoded(struct mail *m, size_t index)
{
	struct mail_field *f = &m->fields[index];

	if (!f->is_decoded)
		f->decoded = decode(m, f->value);
	f->is_decoded = true;
	return f->decoded;
}

static void *room_for(struct mail *m, void *list, size_t n, size_t *room, size_t size)
{
	char *more;

	if (n < *room)
		return list;
	*room = *room ? 2 * *room : 4;
	more = pb_arena_alloc(m->arena, *room * size);
	if (n)
		memcpy(more, list, n * size);
	return more;
}

static void add_value(struct mail *m, struct known *k, struct pb_str value)
{
	k->values = room_for(m, k->values, k->n, &k->room, sizeof *k->values);
	k->values[k->n++] = value;
}

static void collect(struct mail *m, struct known *k, uint32_t part, bool decoded)
{
	struct pb_part p;
	struct pb_field f;
	struct pb_str rest;

	if (part == 0) {
		for (size_t i = 0; i < m->nfields; i++)
			if (pb_str_ieq(m->fields[i].name, k->name))
				add_value(m, k, decoded ? mail_decoded(m, i) : m->fields[i].value);
		return;
	}
	if (!mail_part(m, part, &p))
		return;
	rest = pb_str(m->bytes.ptr + p.header_off, p.header_len);
	while (pb_header_next(&rest, &f))
		if (pb_str_ieq(f.name, k->name))
			add_value(m, k, decoded ? decode(m, f.value) : f.value);
}

static struct known *values_of(struct mail *m, uint32_t part, struct pb_str name, bool decoded)
{
	bool is_new;
	struct known *k = find(m, decoded ? DECODED_VALUES : RAW_VALUES, part, name, &is_new);

	if (is_new && mail_name_valid(name))
		collect(m, k, part, decoded);
	return k;
}

size_t mail_values(struct mail *m, uint32_t part, struct pb_str name, bool decoded, struct pb_str **ret)
{
	const struct known *k = values_of(m, part, name, decoded);

	*ret = k->values;
	return k->n;
}

/* ---- addresses ---- */

struct pb_str mail_join(struct mail *m, struct pb_str local, struct pb_str domain)
{
	char *both = pb_arena_alloc(m->arena, local.len + domain.len + 2);

	if (!domain.len)
		return local;
	memcpy(both, local.ptr ? local.ptr : "", local.len);
	both[local.len] = '@';
	memcpy(both + local.len + 1, domain.ptr, domain.len);
	return pb_str(both, local.len + 1 + domain.len);
}

static void add_addresses(struct mail *m, struct known *k, struct pb_str raw)
{
	struct pb_addrs list = PB_ADDRS(raw);
	struct pb_addr a;

	while (pb_addrs_next(&list, &a)) {
		struct pb_str local, domain;

		if (a.kind != PB_ADDR_MAILBOX || (!a.local.len && !a.domain.len))
			continue;
		local = pb_arena_str(m->arena, a.local);
		domain = pb_arena_str(m->arena, a.domain);
		k->addresses = room_for(m, k->addresses, k->naddresses, &k->addresses_room, sizeof *k->addresses);
		k->addresses[k->naddresses++] = (struct mail_address){ mail_join(m, local, domain), local, domain };
	}
	pb_addrs_free(&list);
}

size_t mail_addresses(struct mail *m, uint32_t part, struct pb_str name, const struct mail_address **ret)
{
	struct known *k = values_of(m, part, name, false);

	for (size_t i = 0; i < k->n && !k->has_addresses; i++)
		add_addresses(m, k, k->values[i]);
	k->has_addresses = true;
	*ret = k->addresses;
	return k->naddresses;
}

size_t mail_addresses_of(struct mail *m, struct pb_str raw, const struct mail_address **ret)
{
	struct known k = { .kind = NOTHING };

	add_addresses(m, &k, raw);
	*ret = k.addresses;
	return k.naddresses;
}

/* ---- parameters ---- */

bool mail_param(struct mail *m, struct pb_str raw, struct pb_str name, struct pb_str *ret)
{
	bool is_new;
	struct known *k = find(m, PARAMETER, (uintptr_t)raw.ptr, name, &is_new);
	PB_AUTOBUF(value);

	if (is_new && pb_value_param(raw, name, &value))
		add_value(m, k, pb_arena_str(m->arena, pb_buf_str(&value)));
	if (k->n)
		*ret = k->values[0];
	return k->n > 0;
}

/* ---- texts ---- */

static struct pb_str decoded_text(struct mail *m, const struct pb_part *part)
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

struct pb_str mail_part_text(struct mail *m, const struct pb_part *part)
{
	bool is_new;
	struct known *k = find(m, PART_TEXT, (uintptr_t)part->body_off, PB_NOSTR, &is_new);

	if (is_new)
		add_value(m, k, decoded_text(m, part));
	return k->values[0];
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

static struct pb_str without_tags(struct mail *m, struct pb_str html)
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

struct pb_str mail_html_text(struct mail *m, struct pb_str html)
{
	bool is_new;
	struct known *k = find(m, HTML_TEXT, (uintptr_t)html.ptr, PB_NOSTR, &is_new);

	if (is_new)
		add_value(m, k, without_tags(m, html));
	return k->values[0];
}
