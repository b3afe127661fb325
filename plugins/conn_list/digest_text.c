/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The two forms of an issue. */
#include <postbus/date.h>
#include <postbus/message.h>
#include "digest.h"

static void add_header(struct pb_buf *out, const struct issue *i)
{
	char date[64];
	PB_AUTOBUF(subject);
	PB_AUTOBUF(from);
	PB_AUTOBUF(id);

	pb_buf_addf(&subject, "%.*s Digest, No. %lld", PB_FMT(i->description.len ? i->description : i->list), (long long)i->number);
	pb_address_print(&from, i->description, i->owner);
	pb_header_add_raw(out, "From", pb_buf_str(&from));
	pb_header_add_raw(out, "To", i->list);
	pb_header_add_raw(out, "Reply-To", i->list);
	pb_header_add(out, "Subject", pb_buf_str(&subject), false);
	pb_buf_addf(out, "Date: %.*s\r\n", (int)pb_date_format(date, i->moment, pb_zone_local(i->moment)), date);
	pb_message_id_make(&id, i->host, i->moment);
	pb_header_add_raw(out, "Message-ID", pb_buf_str(&id));
	pb_buf_addstr(out, i->fields);
	pb_buf_addz(out, "MIME-Version: 1.0\r\n");
}

/* A field of a post as one line of UTF-8; empty where there is none. */
static void field_of(struct pb_buf *out, struct pb_str post, const char *name)
{
	struct pb_str value;

	if (pb_header_find(pb_str_head(post, pb_header_size(post)), pb_strz(name), &value))
		pb_words_decode(out, value);
}

static void add_masthead(struct pb_buf *out, const struct issue *i)
{
	pb_buf_addf(out,
		    "Posts to the list go to %.*s,\r\nwords to its owners to %.*s.\r\nTo leave the list, write to %.*s.\r\n\r\nToday's Topics:\r\n\r\n", PB_FMT(i->list), PB_FMT(i->owner),
		    PB_FMT(i->unsubscribe));
	for (size_t k = 0; k < i->n; k++) {
		PB_AUTOBUF(subject);
		PB_AUTOBUF(from);

		field_of(&subject, i->posts[k], "Subject");
		field_of(&from, i->posts[k], "From");
		pb_buf_addf(out, "%4zu. %s (%s)\r\n", k + 1, subject.len ? pb_buf_z(&subject) : "(no subject)", pb_buf_z(&from));
	}
}

/* ---- MIME ---- */

void issue_mime(struct pb_buf *out, const struct issue *i, const char *boundary)
{
	PB_AUTOBUF(masthead);
	bool eightbit = false;

	for (size_t k = 0; k < i->n; k++)
		for (size_t at = 0; at < i->posts[k].len && !eightbit; at++)
			eightbit = (unsigned char)i->posts[k].ptr[at] > 127;
	add_header(out, i);
	pb_buf_addf(out, "Content-Type: multipart/mixed; boundary=\"%s\"\r\nContent-Transfer-Encoding: %s\r\n\r\n--%s\r\n", boundary, eightbit ? "8bit" : "7bit", boundary);
	pb_buf_addz(out, "Content-Type: text/plain; charset=utf-8\r\nContent-Description: Masthead\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n");
	add_masthead(&masthead, i);
	pb_qp_encode(out, pb_buf_str(&masthead));
	pb_buf_addf(out, "\r\n--%s\r\nContent-Type: multipart/digest; boundary=\"%s-posts\"\r\nContent-Transfer-Encoding: %s\r\n\r\n", boundary, boundary, eightbit ? "8bit" : "7bit");
	for (size_t k = 0; k < i->n; k++) {
		pb_buf_addf(out, "--%s-posts\r\n\r\n", boundary);
		pb_buf_addstr(out, i->posts[k]);
		pb_buf_addz(out, "\r\n");
	}
	pb_buf_addf(out, "--%s-posts--\r\n\r\n--%s--\r\n", boundary, boundary);
}

/* ---- plain text ---- */

/* The first text of a post as UTF-8. */
static void text_of_post(struct pb_buf *out, struct pb_str post)
{
	struct pb_part part;
	PB_AUTOBUF(facts);

	pb_facts_make(post, &facts);
	for (uint32_t i = 0; i < pb_facts_count(pb_buf_str(&facts)); i++) {
		PB_AUTOBUF(bytes);

		if (!pb_facts_at(pb_buf_str(&facts), i, &part) || part.kind != PB_PART_LEAF || part.attached || !(part.type.len == 0 || pb_str_ieq(part.type, PB_STR("text"))) ||
		    !(part.subtype.len == 0 || pb_str_ieq(part.subtype, PB_STR("plain"))))
			continue;
		pb_transfer_decode(part.encoding, pb_str_head(pb_str_skip(post, part.body_off), part.body_len), &bytes);
		if (pb_charset_decode(part.charset, pb_buf_str(&bytes), out))
			pb_charset_decode(PB_NOSTR, pb_buf_str(&bytes), out);
		return;
	}
	pb_buf_addz(out, "(This post has no plain text.)\r\n");
}

static void add_post(struct pb_buf *out, struct pb_str post)
{
	static const char *const fields[] = { "Date", "From", "To", "Cc", "Subject", "Message-ID", "Keywords" };
	PB_AUTOBUF(text);

	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		PB_AUTOBUF(value);

		field_of(&value, post, fields[i]);
		if (value.len)
			pb_buf_addf(out, "%s: %s\r\n", fields[i], pb_buf_z(&value));
	}
	pb_buf_addz(out, "\r\n");
	text_of_post(&text, post);
	/* RFC 1153: a line of 30 hyphens parts the posts, so none may look like one. */
	for (struct pb_str rest = pb_buf_str(&text), line; pb_str_cut(&rest, '\n', &line);) {
		if (!rest.ptr && !line.len)
			break;
		if (pb_str_starts(line, PB_STR("------------------------------")))
			pb_buf_addc(out, ' ');
		pb_buf_addf(out, "%.*s\r\n", PB_FMT(line.len && line.ptr[line.len - 1] == '\r' ? pb_str_head(line, line.len - 1) : line));
	}
}

void issue_plain(struct pb_buf *out, const struct issue *i)
{
	PB_AUTOBUF(text);
	PB_AUTOBUF(end);

	add_header(out, i);
	pb_buf_addz(out, "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n");
	add_masthead(&text, i);
	pb_buf_addz(&text, "\r\n----------------------------------------------------------------------\r\n\r\n");
	for (size_t k = 0; k < i->n; k++) {
		add_post(&text, i->posts[k]);
		pb_buf_addz(&text, "\r\n------------------------------\r\n\r\n");
	}
	pb_buf_addf(&end, "End of %.*s Digest, No. %lld", PB_FMT(i->description.len ? i->description : i->list), (long long)i->number);
	pb_buf_addf(&text, "%s\r\n", pb_buf_z(&end));
	for (size_t k = 0; k < end.len && k < 78; k++)
		pb_buf_addc(&text, '*');
	pb_buf_addz(&text, "\r\n");
	pb_qp_encode(out, pb_buf_str(&text));
}
