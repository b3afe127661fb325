/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The message after editheader (RFC 5293), replace and enclose (RFC 5703), put together. */
#include <stdio.h>
#include <postbus/address.h>
#include "sieve/mail.h"

static bool is_ascii(struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] > 127)
			return false;
	return true;
}

static bool has_addresses(struct pb_str name)
{
	static const char *const names[] = { "From", "To", "Cc", "Bcc", "Sender", "Reply-To", "Disposition-Notification-To" };

	if (pb_str_istarts(name, PB_STR("Resent-")))
		name = pb_str_skip(name, 7);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (pb_str_ieq(name, pb_strz(names[i])))
			return true;
	return false;
}

/* "Jörg Müller" <jm@example.org>: names are encoded, addresses stay as they are. False: it is not of this form. */
static bool put_names(struct pb_buf *out, const char *name, struct pb_str value)
{
	struct pb_addrs list = PB_ADDRS(value);
	struct pb_addr one;
	bool good = true;
	PB_AUTOBUF(text);

	while (good && pb_addrs_next(&list, &one)) {
		PB_AUTOBUF(address);

		pb_buf_addf(&address, "%.*s@%.*s", PB_FMT(one.local), PB_FMT(one.domain));
		good = one.kind == PB_ADDR_MAILBOX && one.local.len && one.domain.len && pb_address_parse(pb_buf_str(&address), PB_PATH_UTF8, NULL, NULL) == 0;
		pb_buf_addz(&text, text.len ? ", " : "");
		pb_address_print(&text, one.name, pb_buf_str(&address));
	}
	pb_addrs_free(&list);
	if (good && text.len)
		pb_header_add_raw(out, name, pb_buf_str(&text));
	return good && text.len;
}

/* RFC 5293 4: a value that RFC 5322 does not allow is encoded (RFC 2047). What is ASCII stays as the script has it. */
static void put_added(struct pb_buf *out, const char *name, struct pb_str value)
{
	if (is_ascii(value) || !has_addresses(pb_strz(name)) || !put_names(out, name, value))
		pb_header_add(out, name, value, is_ascii(value));
}

static void put_field(const struct mail *m, struct pb_buf *out, const struct mail_field *f)
{
	if (f->raw.len) {
		pb_buf_addstr(out, f->raw);
		return;
	}
	put_added(out, pb_arena_str(m->arena, f->name).ptr, f->value);
}

static const struct replacement *replacement_of(const struct version *v, uint32_t part)
{
	for (const struct replacement *r = v->replacements; r; r = r->next)
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
static void put_body(const struct mail *m, const struct version *v, struct pb_buf *out)
{
	struct pb_str bytes = m->bytes;
	uint64_t at = m->header.len;

	for (uint32_t i = 1; i < m->nparts; i++) {
		const struct replacement *r = replacement_of(v, i);
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
static void put_replaced(const struct mail *m, const struct version *v, struct pb_buf *out, const struct replacement *r)
{
	for (size_t i = 0; i < v->nfields; i++) {
		const struct mail_field *f = &v->fields[i];

		if (is_content(f->name) || (r->subject.len && pb_str_ieq(f->name, PB_STR("Subject"))) || (r->from.len && pb_str_ieq(f->name, PB_STR("From"))))
			continue;
		put_field(m, out, f);
	}
	if (r->subject.len)
		put_added(out, "Subject", r->subject);
	if (r->from.len)
		put_added(out, "From", r->from);
	pb_buf_addz(out, "MIME-Version: 1.0\r\n");
	put_new_part(out, r);
}

static void put_message(const struct mail *m, const struct version *v, struct pb_buf *out)
{
	const struct replacement *whole = replacement_of(v, 0);

	if (whole) {
		put_replaced(m, v, out, whole);
		return;
	}
	for (size_t i = 0; i < v->nfields; i++)
		put_field(m, out, &v->fields[i]);
	pb_buf_addz(out, "\r\n");
	put_body(m, v, out);
}

/* "X-Name: value" */
static void put_line(struct pb_buf *out, struct pb_str line)
{
	struct pb_str value = line, name;
	PB_AUTOBUF(text);

	if (pb_str_cut(&value, ':', &name) && mail_name_valid(name)) {
		pb_buf_addstr(&text, name);
		put_added(out, pb_buf_z(&text), pb_str_trim(value));
	} else {
		pb_buf_addstr(out, line);
		pb_buf_addz(out, "\r\n");
	}
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
		put_added(out, "Subject", e->subject);
	for (size_t i = 0; i < e->nheaders; i++)
		put_line(out, e->headers[i]);
	pb_buf_addf(out, "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"%s\"\r\n\r\n--%s\r\n", boundary, boundary);
	pb_buf_addz(out, "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n");
	pb_qp_encode(out, e->text);
	pb_buf_addf(out, "\r\n--%s\r\nContent-Type: message/rfc822\r\n\r\n", boundary);
	pb_buf_addstr(out, inner);
	pb_buf_addf(out, "\r\n--%s--\r\n", boundary);
}

void mail_write(const struct mail *m, unsigned version, struct pb_buf *out)
{
	const struct version *v = &m->versions[version];
	const struct enclosure *e = m->enclosures;

	put_message(m, v, out);
	for (unsigned nth = 0; nth < v->nenclosures; nth++, e = e->next) {
		PB_AUTOBUF(inner);

		pb_buf_addstr(&inner, pb_buf_str(out));
		pb_buf_reset(out);
		put_enclosed(out, e, pb_buf_str(&inner), nth);
	}
}
