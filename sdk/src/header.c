/* SPDX-License-Identifier: Apache-2.0 */
/* Header fields over raw bytes: iteration, search, choice. Leaves the meaning of values to value.c, words.c and addrlist.c. */
#include "mail.h"

static inline bool is_name_char(unsigned char c)
{
	return c > ' ' && c < 127;
}

static enum take split(struct pb_str raw, struct pb_field *ret)
{
	const char *colon = memchr(raw.ptr, ':', line_length(raw.ptr, raw.len));
	size_t n = colon ? (size_t)(colon - raw.ptr) : 0, end = raw.len;

	ret->raw = raw;
	while (n && pb_is_blank(raw.ptr[n - 1]))
		n--;
	if (!n)
		return TAKE_JUNK;
	for (size_t i = 0; i < n; i++)
		if (!is_name_char((unsigned char)raw.ptr[i]))
			return TAKE_JUNK;
	ret->name = pb_str(raw.ptr, n);
	if (raw.ptr[end - 1] == '\n')
		end--;
	if (end && raw.ptr[end - 1] == '\r')
		end--;
	colon++;
	ret->value = pb_str(colon, raw.ptr + end > colon ? (size_t)(raw.ptr + end - colon) : 0);
	return TAKE_FIELD;
}

enum take field_take(struct pb_str *rest, struct pb_field *ret)
{
	const char *p = rest->ptr;
	size_t n, len = rest->len;

	if (!len)
		return TAKE_END;
	n = line_length(p, len);
	if (p[0] == '\n' || (p[0] == '\r' && n == 2 && p[1] == '\n')) {
		*rest = pb_str(p + n, len - n);
		return TAKE_BLANK;
	}
	while (n < len && p[n - 1] == '\n' && pb_is_blank(p[n]))
		n += line_length(p + n, len - n);
	*rest = pb_str(p + n, len - n);
	return split(pb_str(p, n), ret);
}

bool pb_header_next(struct pb_str *rest, struct pb_field *ret)
{
	for (;;) {
		struct pb_str before = *rest;

		switch (field_take(rest, ret)) {
		case TAKE_FIELD:
			return true;
		case TAKE_JUNK:
			continue;
		case TAKE_BLANK:
			*rest = before;
			return false;
		case TAKE_END:
			return false;
		}
	}
}

size_t pb_header_size(struct pb_str message)
{
	struct pb_str rest = message;
	struct pb_field f;
	enum take what;

	do
		what = field_take(&rest, &f);
	while (what == TAKE_FIELD || what == TAKE_JUNK);
	return message.len - rest.len;
}

bool pb_header_find(struct pb_str header, struct pb_str name, struct pb_str *ret_value)
{
	struct pb_field f;

	while (pb_header_next(&header, &f))
		if (pb_str_ieq(f.name, name)) {
			*ret_value = f.value;
			return true;
		}
	return false;
}

unsigned pb_header_count(struct pb_str header, struct pb_str name)
{
	struct pb_field f;
	unsigned n = 0;

	while (pb_header_next(&header, &f))
		n += pb_str_ieq(f.name, name);
	return n;
}

void pb_header_pick(struct pb_buf *out, struct pb_str header, const struct pb_str *names, size_t n, bool except)
{
	struct pb_str at = header;
	struct pb_field f;
	enum take what;

	while ((what = field_take(&header, &f)) != TAKE_END) {
		bool named = false;

		for (size_t i = 0; what == TAKE_FIELD && i < n && !named; i++)
			named = pb_str_ieq(f.name, names[i]);
		if (what == TAKE_BLANK || named != except)
			pb_buf_add(out, at.ptr, at.len - header.len);
		if (what == TAKE_BLANK)
			break;
		at = header;
	}
}

void pb_unfold(struct pb_buf *out, struct pb_str value)
{
	const char *p, *end;

	value = pb_str_trim(value);
	p = value.ptr;
	end = value.len ? p + value.len : p;
	pb_buf_reserve(out, value.len);
	while (p < end) {
		const char *run = p;

		while (p < end && *p != '\r' && *p != '\n')
			p++;
		pb_buf_add(out, run, (size_t)(p - run));
		while (p < end && (*p == '\r' || *p == '\n'))
			p++;
	}
}

/* ---- the fields that facts keep ---- */

/* In the order of enum field_id, then others that mail programs ask for when they list a folder. Bits of stored facts: append only. */
static const struct known {
	const char *name;
	unsigned char len;
} known[] = {
#define KNOWN(name) { name, sizeof name - 1 }
	KNOWN("date"), KNOWN("subject"), KNOWN("from"), KNOWN("sender"), KNOWN("reply-to"), KNOWN("to"), KNOWN("cc"), KNOWN("bcc"), KNOWN("in-reply-to"),
	KNOWN("message-id"), KNOWN("content-type"), KNOWN("content-transfer-encoding"), KNOWN("content-id"), KNOWN("content-description"),
	KNOWN("content-disposition"), KNOWN("content-language"), KNOWN("content-location"), KNOWN("content-md5"), KNOWN("references"), KNOWN("mime-version"),
	KNOWN("list-id"), KNOWN("list-post"), KNOWN("list-subscribe"), KNOWN("list-unsubscribe"), KNOWN("list-unsubscribe-post"), KNOWN("list-help"),
	KNOWN("list-archive"), KNOWN("list-owner"), KNOWN("priority"), KNOWN("x-priority"), KNOWN("importance"), KNOWN("x-msmail-priority"), KNOWN("newsgroups"),
	KNOWN("followup-to"), KNOWN("mail-followup-to"), KNOWN("mail-reply-to"), KNOWN("disposition-notification-to"), KNOWN("lines"), KNOWN("x-label"),
	KNOWN("keywords"), KNOWN("x-mailer"), KNOWN("user-agent"), KNOWN("x-original-to"), KNOWN("precedence"), KNOWN("auto-submitted"), KNOWN("x-spam-flag"),
	KNOWN("x-spam-status"), KNOWN("x-draft-info"), KNOWN("x-k9mail-identity"), KNOWN("x-tuid"), KNOWN("x-uniform-type-identifier"),
	KNOWN("x-universally-unique-identifier"), KNOWN("chat-version"), KNOWN("x-mozilla-draft-info"), KNOWN("x-identity-key"), KNOWN("x-account-key"),
};

const unsigned fields_known = sizeof known / sizeof *known;
_Static_assert(sizeof known / sizeof *known <= F_KNOWN_MAX, "a bit for each");

/* Letters, digits and "-" only: folding by one bit is exact for names that consist of visible characters. */
static bool same_name(const char *p, const char *lower, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((p[i] | 32) != lower[i])
			return false;
	return true;
}

/* Names by a small hash of length, first and last letter; made once at start, by the compiler's constructor. */
static unsigned char table[256];

static unsigned slot_of(const char *p, size_t len)
{
	return ((unsigned)len * 29 + (unsigned)(p[0] | 32) * 7 + (unsigned)(p[len - 1] | 32) * 13) & 255;
}

__attribute__((constructor)) static void fill_table(void)
{
	for (unsigned i = 0; i < fields_known; i++) {
		unsigned slot = slot_of(known[i].name, known[i].len);

		while (table[slot])
			slot = (slot + 1) & 255;
		table[slot] = (unsigned char)(i + 1);
	}
}

int field_id(struct pb_str name)
{
	if (!name.len || name.len > 40)
		return F_NONE;
	for (unsigned slot = slot_of(name.ptr, name.len); table[slot]; slot = (slot + 1) & 255) {
		const struct known *k = &known[table[slot] - 1];

		if (k->len == name.len && same_name(name.ptr, k->name, name.len))
			return table[slot] - 1;
	}
	return F_NONE;
}
