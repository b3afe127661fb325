/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The words of a report: what people read, and what replies mean. The form around them is dsn.c's.
 */
#include <stdio.h>
#include <unistr.h>
#include <postbus/date.h>
#include <postbus/message.h>
#include "dsn.h"

/* "5.1.1" at the front of s: its length, or 0. Subjects and details have one to three digits (RFC 3463). */
static size_t status_length(struct pb_str s)
{
	size_t n = 0;

	if (s.len < 5 || (s.ptr[0] != '2' && s.ptr[0] != '4' && s.ptr[0] != '5') || s.ptr[1] != '.')
		return 0;
	n = 2;
	for (int part = 0; part < 2; part++) {
		size_t digits = 0;

		while (n < s.len && pb_is_digit((unsigned char)s.ptr[n]) && digits < 3) {
			n++;
			digits++;
		}
		if (!digits || (part == 0 && (n >= s.len || s.ptr[n++] != '.')))
			return 0;
	}
	return n == s.len || pb_is_blank((unsigned char)s.ptr[n]) ? n : 0;
}

void dsn_status(char *out, struct pb_str reason, enum dsn_kind kind)
{
	static const char class_of[] = { [DSN_FAILED] = '5', [DSN_DELAYED] = '4', [DSN_DELIVERED] = '2', [DSN_RELAYED] = '2' };
	struct pb_str rest = reason, code = PB_NOSTR;
	size_t n;

	if (reason.len > 3 && pb_is_digit((unsigned char)reason.ptr[0]) && pb_is_digit((unsigned char)reason.ptr[1])) {
		pb_str_word(&rest, &code);
		if (code.len > 4 && code.ptr[3] == '-')		/* "550-5.1.1 ..." */
			rest = pb_str_skip(reason, 4);
		else
			rest = pb_str_trim(rest);
	}
	n = status_length(rest);
	if (n && n < 12) {
		snprintf(out, 12, "%.*s", (int)n, rest.ptr);
		if (kind == DSN_FAILED && out[0] == '4')	/* tried for too long: RFC 3463 says 4 for a report that gives up on it, too */
			return;
		out[0] = class_of[kind];
		return;
	}
	snprintf(out, 12, "%c.0.0", class_of[kind]);
}

void dsn_clean(struct pb_buf *out, struct pb_str text, bool utf8)
{
	const uint8_t *p = (const uint8_t *)text.ptr, *end = p + text.len;
	bool valid = pb_utf8_valid(text), blank = false;

	while (p < end) {
		ucs4_t c = *p;
		int n = 1;

		if (c <= ' ' || c == 127) {
			blank = true;
			p++;
			continue;
		}
		if (blank && out->len)
			pb_buf_addc(out, ' ');
		blank = false;
		if (c >= 0x80 && valid)
			n = u8_mbtouc(&c, p, (size_t)(end - p));
		if (c < 0x80 || (valid && utf8))
			pb_buf_add(out, p, (size_t)n);
		else if (valid)
			pb_buf_addf(out, "\\x{%X}", (unsigned)c);
		else
			pb_buf_addc(out, '?');
		p += n;
	}
}

/* Words into lines of at most 72, each begun with indent. */
static void wrap(struct pb_buf *out, struct pb_str text, const char *indent)
{
	struct pb_str word;
	size_t column = 0;

	while (pb_str_word(&text, &word)) {
		if (column && column + 1 + word.len > 72) {
			pb_buf_addz(out, "\r\n");
			column = 0;
		}
		if (!column) {
			pb_buf_addz(out, indent);
			column = strlen(indent);
		} else {
			pb_buf_addc(out, ' ');
			column++;
		}
		for (; word.len > 800; word = pb_str_skip(word, 800)) {	/* RFC 5322: no line over 998 */
			pb_buf_addstr(out, pb_str_head(word, 800));
			pb_buf_addz(out, "\r\n");
		}
		pb_buf_addstr(out, word);
		column += word.len;
	}
	pb_buf_addz(out, "\r\n");
}

static void add_recipient(struct pb_buf *out, const struct dsn *d, const struct dsn_recipient *to)
{
	PB_AUTOBUF(line);

	pb_buf_addz(out, "  <");
	dsn_clean(out, to->address, true);
	pb_buf_addz(out, ">\r\n");
	if (to->reason.len && d->kind != DSN_DELIVERED) {
		if (to->remote.len) {
			dsn_clean(&line, to->remote, true);
			pb_buf_addz(&line, " said: ");
		}
		dsn_clean(&line, to->reason, true);
		wrap(out, pb_buf_str(&line), "      ");
	}
	pb_buf_addz(out, "\r\n");
}

static void add_moment(struct pb_buf *out, const char *words, int64_t moment)
{
	char date[PB_DATE_MAX];

	if (moment <= 0)
		return;
	pb_date_format(date, moment, 0);
	pb_buf_addf(out, "%s%s\r\n", words, date);
}

static void add_subject(struct pb_buf *out, const struct dsn *d)
{
	struct pb_str header = pb_str_head(d->original, pb_header_size(d->original)), value;
	PB_AUTOBUF(decoded);
	PB_AUTOBUF(clean);

	if (!pb_header_find(header, PB_STR("Subject"), &value))
		return;
	pb_words_decode(&decoded, pb_str_head(value, 1000));
	dsn_clean(&clean, pb_str_head(pb_buf_str(&decoded), 400), true);
	pb_buf_addf(out, "Its subject is: %s\r\n", pb_buf_z(&clean));
}

void dsn_text(struct pb_buf *out, const struct dsn *d)
{
	const char *whom = d->n == 1 ? "this recipient" : "these recipients";

	pb_buf_addf(out, "This is the mail server %.*s.\r\n\r\n", PB_FMT(d->host));
	if (d->kind == DSN_FAILED)
		pb_buf_addf(out, "Your message could not be delivered to %s:\r\n\r\n", whom);
	else if (d->kind == DSN_DELAYED)
		pb_buf_addf(out, "Your message could not yet be delivered to %s:\r\n\r\n", whom);
	else if (d->kind == DSN_DELIVERED)
		pb_buf_addf(out, "As you asked to be told: your message was delivered to %s:\r\n\r\n", whom);
	else
		pb_buf_addf(out, "Your message was handed on for %s,\r\nto a server that tells no more about it:\r\n\r\n", whom);
	for (size_t i = 0; i < d->n; i++)
		add_recipient(out, d, &d->recipients[i]);
	add_moment(out, "It arrived here on ", d->arrival);
	add_subject(out, d);
	pb_buf_addz(out, "\r\n");
	if (d->kind == DSN_FAILED) {
		pb_buf_addz(out, "Nothing more is tried. What failed stands above in the words of the server\r\n"
				 "that refused it; the message, or its header, is attached.\r\n");
	} else if (d->kind == DSN_DELAYED) {
		pb_buf_addz(out, "You need not send it again: delivery is still being tried.\r\n");
		add_moment(out, "If it fails you will be told, at the latest on ", d->retry_until);
	}
}
