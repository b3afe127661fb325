/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reports for machines (RFC 3464, RFC 6533), and those that are nearly so: without types, with blank lines inside a recipient, in quotes. */
#include <postbus/address.h>
#include "bounces/internal.h"

struct recipient {
	struct pb_str original, final, actual, action, status, diagnostic;
	unsigned fields;
};

/* RFC 6533 3: what is not ASCII as \x{F6}. */
static void put_unicode(struct pb_buf *out, struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned long code = 0;
		size_t j = i + 3;

		if (!pb_str_starts(pb_str_skip(s, i), PB_STR("\\x{"))) {
			pb_buf_addc(out, s.ptr[i]);
			continue;
		}
		for (; j < s.len && j < i + 9 && s.ptr[j] != '}'; j++) {
			int c = pb_lower((unsigned char)s.ptr[j]);

			code = code * 16 + (unsigned long)(pb_is_digit(c) ? c - '0' : (c - 'a' + 10) & 15);
		}
		i = j;
		if (code < 0x80)
			pb_buf_addc(out, code > ' ' && code != 127 ? (char)code : '?');
		else if (code < 0x800)
			pb_buf_addf(out, "%c%c", (int)(0xC0 | code >> 6), (int)(0x80 | (code & 63)));
		else if (code < 0x10000)
			pb_buf_addf(out, "%c%c%c", (int)(0xE0 | code >> 12), (int)(0x80 | (code >> 6 & 63)), (int)(0x80 | (code & 63)));
		else
			pb_buf_addf(out, "%c%c%c%c", (int)(0xF0 | (code >> 18 & 7)), (int)(0x80 | (code >> 12 & 63)), (int)(0x80 | (code >> 6 & 63)), (int)(0x80 | (code & 63)));
	}
}

/* "rfc822; bob@example.org", "<bob@example.org>", "RFC822;"bob@example.org"". The type may be left out; addresses of other systems are none. */
static struct pb_str address_of(struct finding *f, struct pb_str value)
{
	struct pb_str address;
	long semicolon = pb_str_find(value, ';', 0);
	size_t end;
	PB_AUTOBUF(decoded);

	if (semicolon >= 0 && pb_str_find(pb_str_head(value, (size_t)semicolon), '@', 0) < 0) {
		if (pb_str_istarts(value, PB_STR("x400")) || pb_str_istarts(value, PB_STR("x-")))
			return PB_NOSTR;
		value = pb_str_skip(value, (size_t)semicolon + 1);
	}
	pb_unfold(&decoded, value);
	value = pb_arena_str(f->arena, pb_buf_str(&decoded));
	if (pb_str_search(value, PB_STR("\\x{"), 0) >= 0) {
		pb_buf_reset(&decoded);
		put_unicode(&decoded, value);
		value = pb_arena_str(f->arena, pb_buf_str(&decoded));
	}
	if (!pb_address_parse(value, PB_PATH_UTF8, NULL, NULL))
		return bounce_address_at(value, 0, &end) ? value : PB_NOSTR;
	while (value.len && strchr("<\"' ", value.ptr[0]) && !bounce_address_at(value, 0, &end))
		value = pb_str_skip(value, 1);
	return bounce_address_in(value, &address) ? address : PB_NOSTR;
}

static enum bounce_kind kind_of(const struct recipient *r)
{
	char class = r->status.len ? r->status.ptr[0] : 0;

	if (pb_str_istarts(r->action, PB_STR("fail")))
		return BOUNCE_FAILURE;
	if (pb_str_istarts(r->action, PB_STR("delay")) || pb_str_istarts(r->action, PB_STR("defer")))
		return BOUNCE_DELAY;
	if (pb_str_istarts(r->action, PB_STR("deliver")) || pb_str_istarts(r->action, PB_STR("relay")) || pb_str_istarts(r->action, PB_STR("expand")))
		return BOUNCE_NONE;
	return class == '5' ? BOUNCE_FAILURE : class == '4' ? BOUNCE_DELAY : BOUNCE_NONE;
}

static void settle(struct finding *f, struct recipient *r, const char *form)
{
	struct pb_str address = r->original, other = r->final;
	enum bounce_kind kind = kind_of(r);
	struct bounce *b = NULL;

	if (!address.len) {
		address = r->final;
		other = r->actual;
	}
	if (!address.len) {
		address = r->actual;
		other = PB_NOSTR;
	}
	if (address.len && kind != BOUNCE_NONE)
		b = bounce_note(f, address, kind, form);
	if (b && !b->status.len && bounce_status_in(r->status).len)
		b->status = pb_arena_str(f->arena, bounce_status_in(r->status));
	if (b && !b->alias.len && other.len && !pb_str_ieq(bounce_address_form(f->arena, other), b->address))
		b->alias = bounce_address_form(f->arena, other);
	if (b)
		bounce_explain(f, b, r->diagnostic.len ? r->diagnostic : r->status);
	*r = (struct recipient){ 0 };
}

static struct pb_str diagnostic_of(struct pb_str value)
{
	long semicolon = pb_str_find(pb_str_head(value, 24), ';', 0);

	return semicolon < 0 ? value : pb_str_trim(pb_str_skip(value, (size_t)semicolon + 1));
}

/* A field of the next recipient ends the one before: blank lines stand in the wrong places. */
static void take(struct finding *f, struct recipient *r, const struct pb_field *field, const char *form)
{
	static const struct { const char *name; size_t member; bool address; } names[] = {
		{ "Original-Recipient", offsetof(struct recipient, original), true },
		{ "Final-Recipient", offsetof(struct recipient, final), true },
		{ "X-Actual-Recipient", offsetof(struct recipient, actual), true },
		{ "Action", offsetof(struct recipient, action), false },
		{ "Status", offsetof(struct recipient, status), false },
		{ "Diagnostic-Code", offsetof(struct recipient, diagnostic), false },
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct pb_str value = pb_str_trim(field->value);

		if (!pb_str_ieq(field->name, pb_strz(names[i].name)))
			continue;
		if (r->fields & 1u << i)
			settle(f, r, form);
		r->fields |= 1u << i;
		if (names[i].address)
			value = address_of(f, value);
		else if (names[i].member == offsetof(struct recipient, diagnostic))
			value = diagnostic_of(value);
		*(struct pb_str *)((char *)r + names[i].member) = value;
	}
}

void bounce_read_report(struct finding *f, struct pb_str fields, const char *form)
{
	struct recipient r = { 0 };
	struct pb_field field;

	while (fields.len) {
		size_t size = pb_header_size(fields);
		struct pb_str group = pb_str_head(fields, size ? size : fields.len);

		fields = pb_str_skip(fields, group.len);
		while (pb_header_next(&group, &field))
			take(f, &r, &field, form);
		if ((r.original.len || r.final.len || r.actual.len) && (r.action.len || r.status.len))
			settle(f, &r, form);
	}
	settle(f, &r, form);
}
