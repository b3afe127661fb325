/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The message after editheader (RFC 5293), replace and enclose (RFC 5703), put together. */
#include <stdio.h>
#include "sieve/mail.h"

static void put_field(struct mail *m, struct pb_buf *out, const struct mail_field *f)
{
	if (f->raw.len) {
		pb_buf_addstr(out, f->raw);
		return;
	}
	pb_header_add(out, pb_arena_str(m->arena, f->name).ptr, f->value, true);
}

static const struct replacement *replacement_of(const struct mail *m, uint32_t part)
{
	for (const struct replacement *r = m->replacements; r; r = r->next)
		if (r->part == part)
			return r;
	return NULL;
}

/* Headers of the new part where its text does not bring its own. */
static void put_new_part(struct pb_buf *out, const struct replacement *r)
{
	if (r->mime) {
		pb_buf_addstr(out, r->text);
		return;
	}
	pb_buf_addz(out, "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n");
	pb_qp_encode(out, r->text);
}

/* The body of the top part, with the bytes of replaced parts exchanged. Replaced parts lie in no other: descendants of one are gone with it. */
static void put_body(struct mail *m, struct pb_buf *out)
{
	struct pb_str bytes = m->message->bytes;
	uint64_t at = m->header.len;

	for (uint32_t i = 1; i < m->nparts; i++) {
		const struct replacement *r = replacement_of(m, i);
		struct pb_part p;

		if (!r || !mail_part(m, i, &p) || p.header_off < at)
			continue;
		pb_buf_add(out, bytes.ptr + at, p.header_off - at);
		put_new_part(out, r);
		at = p.body_off + p.body_len;
		i = mail_part_end(m, i) - 1;
	}
	pb_buf_add(out, bytes.ptr + at, bytes.len - at);
}

static bool is_content(struct pb_str name)
{
	return pb_str_istarts(name, PB_STR("Content-")) || pb_str_ieq(name, PB_STR("MIME-Version"));
}

/* The whole message replaced: its header stays, but for what describes the old body. */
static void put_replaced(struct mail *m, struct pb_buf *out, const struct replacement *r)
{
	for (size_t i = 0; i < m->nfields; i++) {
		const struct mail_field *f = &m->fields[i];

		if (is_content(f->name) || (r->subject.len && pb_str_ieq(f->name, PB_STR("Subject"))) || (r->from.len && pb_str_ieq(f->name, PB_STR("From"))))
			continue;
		put_field(m, out, f);
	}
	if (r->subject.len)
		pb_header_add(out, "Subject", r->subject, true);
	if (r->from.len)
		pb_header_add(out, "From", r->from, true);
	pb_buf_addz(out, "MIME-Version: 1.0\r\n");
	put_new_part(out, r);
}

static void put_message(struct mail *m, struct pb_buf *out)
{
	const struct replacement *whole = replacement_of(m, 0);

	if (whole) {
		put_replaced(m, out, whole);
		return;
	}
	for (size_t i = 0; i < m->nfields; i++)
		put_field(m, out, &m->fields[i]);
	pb_buf_addz(out, "\r\n");
	put_body(m, out);
}

/* What was made so far becomes an attachment behind a text (RFC 5703 6). Trace fields and those that say who it is for stay on top. */
static void put_enclosed(struct pb_buf *out, const struct enclosure *e, struct pb_str inner, unsigned nth)
{
	static const char *const kept[] = { "Date", "From", "To", "Cc", "Message-ID" };
	struct pb_str rest = pb_str_head(inner, pb_header_size(inner));
	struct pb_field f;
	char boundary[48];
	unsigned tries = 0;

	do
		snprintf(boundary, sizeof boundary, "=_enclosed_%u_%u_%zx", nth, tries++, inner.len);
	while (pb_str_search(inner, pb_strz(boundary), 0) >= 0 || pb_str_search(e->text, pb_strz(boundary), 0) >= 0);
	while (pb_header_next(&rest, &f)) {
		bool keep = pb_str_ieq(f.name, PB_STR("Received")) || pb_str_ieq(f.name, PB_STR("Return-Path"));

		for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
			keep |= pb_str_ieq(f.name, pb_strz(kept[i]));
		if (keep || (!e->subject.len && pb_str_ieq(f.name, PB_STR("Subject"))))
			pb_buf_addstr(out, f.raw);
	}
	if (e->subject.len)
		pb_header_add(out, "Subject", e->subject, true);
	for (size_t i = 0; i < e->nheaders; i++) {
		pb_buf_addstr(out, e->headers[i]);
		pb_buf_addz(out, "\r\n");
	}
	pb_buf_addf(out, "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"%s\"\r\n\r\n--%s\r\n", boundary, boundary);
	pb_buf_addz(out, "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n");
	pb_qp_encode(out, e->text);
	pb_buf_addf(out, "\r\n--%s\r\nContent-Type: message/rfc822\r\n\r\n", boundary);
	pb_buf_addstr(out, inner);
	pb_buf_addf(out, "\r\n--%s--\r\n", boundary);
}

void mail_write(struct mail *m, struct pb_buf *out)
{
	unsigned nth = 0;

	put_message(m, out);
	for (const struct enclosure *e = m->enclosures; e; e = e->next) {
		PB_AUTOBUF(inner);

		pb_buf_addstr(&inner, pb_buf_str(out));
		pb_buf_reset(out);
		put_enclosed(out, e, pb_buf_str(&inner), nth++);
	}
}
