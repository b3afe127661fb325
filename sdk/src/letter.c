/* SPDX-License-Identifier: Apache-2.0 */
/* Letters of the server's own, as messages. Knows no template and no reason; fields and encodings are build.c's and encode.c's. */
#include <stdio.h>
#include <postbus/date.h>
#include <postbus/letter.h>
#include <postbus/message.h>

/* ---- templates ---- */

/* The length of "{name}" where it begins here and values has it, else 0. */
static size_t known(struct pb_str text, const json_t *values, const json_t **ret)
{
	long end = pb_str_find(text, '}', 0);
	char name[64];

	if (end < 2 || (size_t)end > sizeof name)
		return 0;
	snprintf(name, sizeof name, "%.*s", (int)end - 1, text.ptr + 1);
	*ret = json_object_get(values, name);
	return *ret ? (size_t)end + 1 : 0;
}

void pb_letter_fill(struct pb_buf *out, struct pb_str text, const json_t *values)
{
	const json_t *value = NULL;
	size_t n;

	while (text.len) {
		n = text.ptr[0] == '{' ? known(text, values, &value) : 0;
		if (!n)
			pb_buf_addc(out, text.ptr[0]);
		else if (json_is_string(value))
			pb_buf_add(out, json_string_value(value), json_string_length(value));
		else
			pb_buf_addf(out, "%lld", (long long)json_integer_value(value));
		text = pb_str_skip(text, n ? n : 1);
	}
}

/* ---- the message ---- */

/* With CRLF at every line's end, and at the last one's. */
static void add_lines(struct pb_buf *out, struct pb_str text)
{
	struct pb_str line;

	while (text.len && pb_str_cut(&text, '\n', &line)) {
		if (line.len && line.ptr[line.len - 1] == '\r')
			line.len--;
		pb_buf_addstr(out, line);
		pb_buf_addz(out, "\r\n");
	}
}

/* As it is where it may be (RFC 5322 2.1.1: lines of 998 octets at most), else quoted-printable. */
static void add_text(struct pb_buf *out, const char *subtype, struct pb_str text)
{
	PB_AUTOBUF(lines);
	bool ascii = true;
	size_t column = 0, widest = 0;

	add_lines(&lines, text);
	for (size_t i = 0; i < lines.len; i++) {
		ascii = ascii && (unsigned char)lines.ptr[i] < 128;
		column = lines.ptr[i] == '\n' ? 0 : column + 1;
		widest = column > widest ? column : widest;
	}
	pb_buf_addf(out, "Content-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: %s\r\n\r\n", subtype, ascii && widest < 990 ? "7bit" : "quoted-printable");
	if (ascii && widest < 990)
		pb_buf_addstr(out, pb_buf_str(&lines));
	else
		pb_qp_encode(out, pb_buf_str(&lines));
}

/* Whoever made it says what it is, and nothing else: a second From would be another author (RFC 5230 4.3, RFC 2045 3). */
static void add_entity(struct pb_buf *out, struct pb_str text)
{
	struct pb_str header, rest;
	struct pb_field field;
	PB_AUTOBUF(lines);

	add_lines(&lines, text);
	header = rest = pb_str_head(pb_buf_str(&lines), pb_header_size(pb_buf_str(&lines)));
	while (pb_header_next(&rest, &field))
		if (pb_str_istarts(field.name, PB_STR("Content-")))
			pb_buf_addstr(out, field.raw);
	pb_buf_addz(out, "\r\n");
	pb_buf_addstr(out, pb_str_skip(pb_buf_str(&lines), header.len));
}

/* One text, or the same in two forms, or what was made elsewhere. */
static void add_body(struct pb_buf *out, const struct pb_letter *l, const char *boundary)
{
	if (l->entity) {
		add_entity(out, l->text);
	} else if (!l->html.len || !l->text.len) {
		add_text(out, l->html.len ? "html" : "plain", l->html.len ? l->html : l->text);
	} else {
		pb_buf_addf(out, "Content-Type: multipart/alternative; boundary=\"%s\"\r\n\r\n--%s\r\n", boundary, boundary);
		add_text(out, "plain", l->text);
		pb_buf_addf(out, "--%s\r\n", boundary);
		add_text(out, "html", l->html);
		pb_buf_addf(out, "--%s--\r\n", boundary);
	}
}

static void add_mailbox(struct pb_buf *out, const char *field, struct pb_str name, struct pb_str address)
{
	PB_AUTOBUF(text);

	pb_address_print(&text, name, address);
	pb_header_add_raw(out, field, pb_buf_str(&text));
}

static bool is_ascii(struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] >= 128)
			return false;
	return true;
}

void pb_letter_head(struct pb_buf *out, const struct pb_letter *l, struct pb_str host, int64_t moment, const char *boundary)
{
	char date[PB_DATE_MAX];
	PB_AUTOBUF(id);

	pb_header_add_raw(out, "Date", pb_str(date, pb_date_format(date, moment, pb_zone_local(moment))));
	add_mailbox(out, "From", l->from_name, l->from);
	add_mailbox(out, "To", l->to_name, l->to);
	pb_header_add(out, "Subject", l->subject, false);
	pb_message_id_make(&id, host, moment);
	pb_header_add_raw(out, "Message-ID", pb_buf_str(&id));
	if (l->references.len)
		pb_header_add_raw(out, "In-Reply-To", l->references);
	if (l->references.len || l->thread.len)
		pb_header_add_raw(out, "References", l->thread.len ? l->thread : l->references);
	if (l->submitted)
		pb_header_add_raw(out, "Auto-Submitted", pb_strz(l->submitted));
	pb_buf_addstr(out, l->fields);
	pb_buf_addz(out, "MIME-Version: 1.0\r\n");
	if (!l->attached.len) {
		add_body(out, l, boundary);
		return;
	}
	pb_buf_addf(out, "Content-Type: multipart/mixed; boundary=\"%s\"\r\n", boundary);
	if (!is_ascii(l->attached))
		pb_buf_addz(out, "Content-Transfer-Encoding: 8bit\r\n");
	pb_buf_addf(out, "\r\n--%s\r\n", boundary);
	add_text(out, "plain", l->text);
	pb_buf_addf(out, "\r\n--%s\r\nContent-Type: message/rfc822\r\n", boundary);
	if (!is_ascii(l->attached))
		pb_buf_addz(out, "Content-Transfer-Encoding: 8bit\r\n");
	pb_buf_addz(out, "\r\n");
}

/* From the system's generator: no text holds it. */
static void make_boundary(char out[40])
{
	unsigned char random[12];
	PB_AUTOBUF(hex);

	pb_random(random, sizeof random);
	pb_hex_encode(&hex, pb_str((char *)random, sizeof random));
	snprintf(out, 40, "=_%s", pb_buf_z(&hex));
}

void pb_letter_write(struct pb_host *host, struct pb_spool *spool, const struct pb_letter *l)
{
	char boundary[40];
	PB_AUTOBUF(head);

	make_boundary(boundary);
	pb_letter_head(&head, l, pb_hostname(host), pb_now(host), boundary);
	pb_spool_write(spool, head.ptr, head.len);
	if (!l->attached.len)
		return;
	pb_spool_write(spool, l->attached.ptr, l->attached.len);
	pb_buf_reset(&head);
	pb_buf_addf(&head, "\r\n--%s--\r\n", boundary);
	pb_spool_write(spool, head.ptr, head.len);
}

void pb_letter_print(struct pb_host *host, struct pb_buf *out, const struct pb_letter *l)
{
	char boundary[40];

	make_boundary(boundary);
	pb_letter_head(out, l, pb_hostname(host), pb_now(host), boundary);
	if (!l->attached.len)
		return;
	pb_buf_addstr(out, l->attached);
	pb_buf_addf(out, "\r\n--%s--\r\n", boundary);
}
