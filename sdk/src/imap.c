/* SPDX-License-Identifier: Apache-2.0 */
/* IMAP's strings and the ENVELOPE (RFC 3501 7.4.2), made once for the facts. Leaves the protocol to svc_imap. */
#include <postbus/address.h>
#include "mail.h"

/* 0: fits a quoted string as it is; bits of what is in the way. */
enum { NEEDS_ESCAPE = 1, NEEDS_LITERAL = 2, NEEDS_UNFOLD = 4 };

static unsigned needs(struct pb_str s)
{
	unsigned what = 0;

	for (size_t i = 0; i < s.len; i++) {
		signed char c = (signed char)s.ptr[i];

		if (c < 0)
			what |= NEEDS_LITERAL;
		else if (c == '\r' || c == '\n' || c == '\0')
			what |= NEEDS_UNFOLD;
		else if (c == '"' || c == '\\')
			what |= NEEDS_ESCAPE;
	}
	return what;
}

static void put_quoted(struct pb_buf *out, struct pb_str s, unsigned what)
{
	pb_buf_reserve(out, s.len * 2 + 2);
	pb_buf_addc(out, '"');
	if (!what) {
		pb_buf_addstr(out, s);
	} else {
		for (size_t i = 0; i < s.len; i++) {
			char c = s.ptr[i];

			if (c == '\r' || c == '\n')
				continue;
			if (c == '"' || c == '\\')
				pb_buf_addc(out, '\\');
			pb_buf_addc(out, c ? c : '?');
		}
	}
	pb_buf_addc(out, '"');
}

static void put_literal(struct pb_buf *out, struct pb_str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += s.ptr[i] != '\r' && s.ptr[i] != '\n';
	pb_buf_addc(out, '{');
	pb_buf_addu(out, n);
	pb_buf_addz(out, "}\r\n");
	pb_buf_reserve(out, n);
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] != '\r' && s.ptr[i] != '\n')
			pb_buf_addc(out, s.ptr[i] ? s.ptr[i] : '?');
}

void imap_nstring(struct pb_buf *out, struct pb_str value)
{
	unsigned what;

	if (!value.ptr) {
		pb_buf_add(out, "NIL", 3);
		return;
	}
	what = needs(value);
	if (what & NEEDS_LITERAL)
		put_literal(out, value);
	else
		put_quoted(out, value, what);
}

static void put_optional(struct pb_buf *out, struct pb_str s)
{
	imap_nstring(out, s.len ? s : PB_NOSTR);
}

/* A host of NIL would begin or end a group: an address without a part gets a word in its place. */
static void put_address(struct pb_buf *out, const struct pb_addr *a)
{
	pb_buf_addc(out, '(');
	switch (a->kind) {
	case PB_ADDR_GROUP:
		pb_buf_add(out, "NIL NIL ", 8);
		imap_nstring(out, a->name.ptr ? a->name : PB_STR(""));
		pb_buf_add(out, " NIL", 4);
		break;
	case PB_ADDR_GROUP_END:
		pb_buf_add(out, "NIL NIL NIL NIL", 15);
		break;
	case PB_ADDR_MAILBOX:
		put_optional(out, a->name);
		pb_buf_addc(out, ' ');
		put_optional(out, a->route);
		pb_buf_addc(out, ' ');
		imap_nstring(out, a->local.len ? a->local : PB_STR("MISSING_MAILBOX"));
		pb_buf_addc(out, ' ');
		imap_nstring(out, a->domain.len ? a->domain : PB_STR("MISSING_DOMAIN"));
		break;
	}
	pb_buf_addc(out, ')');
}

void envelope_add(struct envelope_fields *e, int id, struct pb_str value)
{
	if (id < 0 || id > F_ENVELOPE_LAST || e->n == sizeof e->list / sizeof *e->list)
		return;
	e->list[e->n].id = id;
	e->list[e->n++].value = value;
}

void envelope_gather(struct envelope_fields *e, struct pb_str header)
{
	struct pb_field f;

	e->n = 0;
	while (pb_header_next(&header, &f))
		envelope_add(e, field_id(f.name), f.value);
}

static void put_text(struct pb_buf *out, const struct envelope_fields *e, int id)
{
	struct pb_str value = PB_NOSTR;

	for (size_t i = 0; i < e->n && !value.ptr; i++)
		if (e->list[i].id == id)
			value = e->list[i].value;
	imap_nstring(out, value.ptr ? pb_str_trim(value) : value);
}

/* All fields of this name as one list; false (and nothing written) when there is no address in them. */
static bool put_addresses(struct pb_buf *out, const struct envelope_fields *e, int id, struct pb_addrs *list, size_t end)
{
	bool any = false;

	for (size_t i = 0; i < e->n; i++) {
		struct pb_addr a;

		if (e->list[i].id != id)
			continue;
		list->rest = e->list[i].value;
		list->in_group = false;
		while (out->len < end && pb_addrs_next(list, &a)) {
			if (!any)
				pb_buf_addc(out, '(');
			any = true;
			put_address(out, &a);
		}
	}
	if (any)
		pb_buf_addc(out, ')');
	return any;
}

void imap_envelope(struct pb_buf *out, const struct envelope_fields *e, size_t max)
{
	struct pb_addrs list = PB_ADDRS(PB_NOSTR);
	size_t from, from_end, end = out->len + max;

	pb_buf_addc(out, '(');
	put_text(out, e, F_DATE);
	pb_buf_addc(out, ' ');
	put_text(out, e, F_SUBJECT);
	pb_buf_addc(out, ' ');
	from = out->len;
	if (!put_addresses(out, e, F_FROM, &list, max / 8 + out->len))
		pb_buf_add(out, "NIL", 3);
	from_end = out->len;
	for (int id = F_SENDER; id <= F_BCC; id++) {
		pb_buf_addc(out, ' ');
		if (put_addresses(out, e, id, &list, end))
			continue;
		if (id == F_SENDER || id == F_REPLY_TO) {	/* RFC 3501: the server gives From in their place */
			pb_buf_reserve(out, from_end - from);
			pb_buf_add(out, out->ptr + from, from_end - from);
		} else {
			pb_buf_add(out, "NIL", 3);
		}
	}
	pb_buf_addc(out, ' ');
	put_text(out, e, F_IN_REPLY_TO);
	pb_buf_addc(out, ' ');
	put_text(out, e, F_MESSAGE_ID);
	pb_buf_addc(out, ')');
	pb_addrs_free(&list);
}
