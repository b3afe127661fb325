/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The form of a report: header, the three parts of RFC 6522, the fields of RFC 3464. Its words are dsn_text.c's.
 */
#include <postbus/date.h>
#include <postbus/message.h>
#include "dsn.h"

enum { LINE_MAX_OCTETS = 998, HEADER_MAX = 32768 };

static bool is_8bit(struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] >= 0x80)
			return true;
	return false;
}

static bool has_long_lines(struct pb_str s)
{
	struct pb_str line;

	while (s.len && pb_str_cut(&s, '\n', &line))
		if (line.len > LINE_MAX_OCTETS)
			return true;
	return false;
}

/* RFC 3461 4.3 and 6: the whole message goes back with a failure only, not where RET=HDRS was asked for, and not where it could keep the report from
 * passing a host of 7 bits or of less room: a report that is refused is lost. */
static bool returns_whole(const struct dsn *d)
{
	return d->kind == DSN_FAILED && !d->ret_headers && d->original.len <= d->return_max && !is_8bit(d->original) && !has_long_lines(d->original);
}

/* The header, cut behind a line where it is endless. */
static struct pb_str returned_header(const struct dsn *d)
{
	struct pb_str header = pb_str_head(d->original, pb_header_size(d->original));

	if (header.len <= HEADER_MAX)
		return header;
	header.len = HEADER_MAX;
	while (header.len && header.ptr[header.len - 1] != '\n')
		header.len--;
	return header;
}

/* RFC 6533: only for who can be reached by SMTPUTF8 alone. */
static bool returns_global(const struct dsn *d)
{
	return d->utf8 && is_8bit(returned_header(d));
}

/* RFC 6522 4: a header that is no text of 7 bits is encoded. */
static bool encodes_header(const struct dsn *d)
{
	struct pb_str header = returned_header(d);

	return !returns_whole(d) && ((!d->utf8 && is_8bit(header)) || has_long_lines(header));
}

struct pb_str dsn_original(const struct dsn *d)
{
	return returns_whole(d) ? d->original : encodes_header(d) ? PB_NOSTR : returned_header(d);
}

bool dsn_is_8bit(const struct dsn *d)
{
	if (is_8bit(dsn_original(d)))
		return true;
	for (size_t i = 0; i < d->n && d->utf8; i++)
		if (is_8bit(d->recipients[i].address) || is_8bit(d->recipients[i].orcpt) || is_8bit(d->recipients[i].reason) || is_8bit(d->recipients[i].remote))
			return true;
	return d->utf8 && (is_8bit(d->to) || is_8bit(d->envid) || is_8bit(d->helo) || is_8bit(d->host));
}

/* "Name: value", folded at blanks, never over 998 octets. */
static void field(struct pb_buf *out, const char *name, struct pb_str value)
{
	size_t column = strlen(name) + 2;
	struct pb_str word;
	bool first = true;

	pb_buf_addz(out, name);
	pb_buf_addz(out, ":");
	while (pb_str_word(&value, &word)) {
		word = pb_str_head(word, 900);
		if (!first && column + 1 + word.len > 76) {
			pb_buf_addz(out, "\r\n");
			column = 0;
		}
		pb_buf_addc(out, ' ');
		pb_buf_addstr(out, word);
		column += word.len + 1;
		first = false;
	}
	pb_buf_addz(out, "\r\n");
}

static void typed_field(struct pb_buf *out, const char *name, const char *type, struct pb_str value, bool utf8)
{
	PB_AUTOBUF(line);

	pb_buf_addz(&line, type);
	pb_buf_addz(&line, "; ");
	dsn_clean(&line, value, utf8);
	field(out, name, pb_buf_str(&line));
}

static void date_field(struct pb_buf *out, const char *name, int64_t moment)
{
	char date[PB_DATE_MAX];

	if (moment <= 0)
		return;
	pb_date_format(date, moment, 0);
	pb_buf_addf(out, "%s: %s\r\n", name, date);
}

/* RFC 6533 3: an address that is not ASCII is of type utf-8. */
static void address_field(struct pb_buf *out, const char *name, struct pb_str address, bool utf8)
{
	typed_field(out, name, is_8bit(address) ? "utf-8" : "rfc822", address, utf8);
}

static void original_recipient(struct pb_buf *out, const struct dsn *d, struct pb_str orcpt)
{
	long at = pb_str_find(orcpt, ';', 0);
	struct pb_str type = pb_str_head(orcpt, at > 0 ? (size_t)at : 0), address = pb_str_skip(orcpt, at > 0 ? (size_t)at + 1 : 0);
	PB_AUTOBUF(clean);

	if (!orcpt.len || type.len > 40)
		return;
	if (!type.len || is_8bit(address)) {
		address_field(out, "Original-Recipient", address, d->utf8);
		return;
	}
	dsn_clean(&clean, type, false);
	typed_field(out, "Original-Recipient", pb_buf_z(&clean), address, d->utf8);
}

static const char *const actions[] = { [DSN_FAILED] = "failed", [DSN_DELAYED] = "delayed", [DSN_DELIVERED] = "delivered", [DSN_RELAYED] = "relayed" };

static void add_recipient(struct pb_buf *out, const struct dsn *d, const struct dsn_recipient *to)
{
	char status[12];

	pb_buf_addz(out, "\r\n");
	original_recipient(out, d, to->orcpt);
	address_field(out, "Final-Recipient", to->address, d->utf8);
	pb_buf_addf(out, "Action: %s\r\n", actions[d->kind]);
	dsn_status(status, to->reason, d->kind);
	pb_buf_addf(out, "Status: %s\r\n", status);
	if (to->remote.len)
		typed_field(out, "Remote-MTA", "dns", to->remote, d->utf8);
	if (to->reason.len && d->kind <= DSN_DELAYED)
		typed_field(out, "Diagnostic-Code", to->remote.len ? "smtp" : "x-postbus", to->reason, d->utf8);
	date_field(out, "Last-Attempt-Date", to->tried);
	if (d->kind == DSN_DELAYED)
		date_field(out, "Will-Retry-Until", d->retry_until);
}

static void add_status_part(struct pb_buf *out, const struct dsn *d)
{
	size_t type;
	PB_AUTOBUF(fields);

	if (d->envid.len) {
		PB_AUTOBUF(envid);

		dsn_clean(&envid, d->envid, d->utf8);
		field(&fields, "Original-Envelope-Id", pb_buf_str(&envid));
	}
	typed_field(&fields, "Reporting-MTA", "dns", d->host, d->utf8);
	if (d->helo.len)
		typed_field(&fields, "Received-From-MTA", "dns", d->helo, d->utf8);
	date_field(&fields, "Arrival-Date", d->arrival);
	for (size_t i = 0; i < d->n; i++)
		add_recipient(&fields, d, &d->recipients[i]);
	type = is_8bit(pb_buf_str(&fields));
	pb_buf_addf(out, "--%.*s\r\nContent-Type: message/%s\r\nContent-Description: Delivery report\r\nContent-Transfer-Encoding: %s\r\n\r\n", PB_FMT(d->boundary),
		    type ? "global-delivery-status" : "delivery-status", type ? "8bit" : "7bit");
	pb_buf_addstr(out, pb_buf_str(&fields));
	pb_buf_addz(out, "\r\n");
}

static void add_header(struct pb_buf *out, const struct dsn *d)
{
	static const char *const subjects[] = {
		[DSN_FAILED] = "Not delivered", [DSN_DELAYED] = "Delivery is delayed", [DSN_DELIVERED] = "Delivered", [DSN_RELAYED] = "Handed on",
	};
	struct pb_str header = pb_str_head(d->original, pb_header_size(d->original)), value;
	char date[PB_DATE_MAX];
	PB_AUTOBUF(subject);
	PB_AUTOBUF(id);

	pb_date_format(date, d->now, 0);
	pb_buf_addf(out, "Date: %s\r\n", date);
	pb_buf_addf(out, "From: Mail Delivery System <%.*s>\r\n", PB_FMT(d->from));
	pb_buf_addf(out, "To: <%.*s>\r\n", PB_FMT(d->to));
	pb_buf_addz(&subject, subjects[d->kind]);
	if (pb_header_find(header, PB_STR("Subject"), &value)) {
		PB_AUTOBUF(decoded);

		pb_words_decode(&decoded, pb_str_head(value, 600));
		pb_buf_addz(&subject, ": ");
		dsn_clean(&subject, pb_str_head(pb_buf_str(&decoded), 200), true);
	}
	if (!pb_utf8_valid(pb_buf_str(&subject)))	/* cut inside a letter */
		while (subject.len && (unsigned char)subject.ptr[subject.len - 1] >= 0x80)
			subject.ptr[--subject.len] = 0;
	pb_header_add(out, "Subject", pb_buf_str(&subject), false);
	pb_buf_addf(out, "Message-ID: %.*s\r\n", PB_FMT(d->message_id));
	if (pb_header_find(header, PB_STR("Message-ID"), &value)) {
		dsn_clean(&id, pb_str_head(value, 900), false);
		if (id.len && id.len < 900)
			pb_buf_addf(out, "References: %s\r\n", pb_buf_z(&id));
	}
	pb_buf_addz(out, "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n");
	pb_buf_addf(out, "Content-Type: multipart/report; report-type=%s;\r\n boundary=\"%.*s\"\r\n", "delivery-status", PB_FMT(d->boundary));
	if (dsn_is_8bit(d))
		pb_buf_addz(out, "Content-Transfer-Encoding: 8bit\r\n");
}

static void add_words(struct pb_buf *out, const struct dsn *d)
{
	PB_AUTOBUF(words);
	bool eight;

	dsn_text(&words, d);
	eight = is_8bit(pb_buf_str(&words));
	pb_buf_addf(out, "\r\n--%.*s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Description: Notification\r\nContent-Transfer-Encoding: %s\r\n\r\n",
		    PB_FMT(d->boundary), eight ? "quoted-printable" : "7bit");
	if (eight)
		pb_qp_encode(out, pb_buf_str(&words));
	else
		pb_buf_addstr(out, pb_buf_str(&words));
	pb_buf_addz(out, "\r\n");
}

void dsn_begin(struct pb_buf *out, const struct dsn *d)
{
	bool whole = returns_whole(d), encode = encodes_header(d);
	const char *type = whole ? "message/rfc822" : returns_global(d) ? "message/global-headers" : "text/rfc822-headers";

	add_header(out, d);
	add_words(out, d);
	add_status_part(out, d);
	pb_buf_addf(out, "--%.*s\r\nContent-Type: %s\r\nContent-Description: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n", PB_FMT(d->boundary), type,
		    whole ? "Undelivered message" : "Header of the message", encode ? "quoted-printable" : is_8bit(dsn_original(d)) ? "8bit" : "7bit");
	if (encode)
		pb_qp_encode(out, returned_header(d));
}

void dsn_end(struct pb_buf *out, const struct dsn *d)
{
	pb_buf_addf(out, "\r\n--%.*s--\r\n", PB_FMT(d->boundary));
}
