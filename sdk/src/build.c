/* SPDX-License-Identifier: Apache-2.0 */
/* Header fields made by us: folded, encoded, safe from what strangers put into names. Leaves what they say to the plugins. */
#include <postbus/date.h>
#include "mail.h"

enum {
	COLUMNS = 76,		/* RFC 5322 2.1.1 wants 78; two are left for what follows a word */
	LONGEST = 900		/* a word that no line may hold (998) */
};

static bool is_printable(struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < ' ' || (unsigned char)s.ptr[i] > 126)
			return false;
	return true;
}

/* Append words, each behind a blank, with a fold where the line would be too long; *column is where the line stands. */
static void put_words(struct pb_buf *out, struct pb_str text, size_t *column)
{
	struct pb_str word;

	while (pb_str_word(&text, &word)) {
		bool fold = *column + 1 + word.len > COLUMNS && *column > 1;

		if (fold) {
			pb_buf_add(out, "\r\n ", 3);
			*column = 1;
		} else {
			pb_buf_addc(out, ' ');
			++*column;
		}
		pb_buf_addstr(out, word);
		*column += word.len;
	}
}

/* ---- encoded words ---- */

static size_t q_length(unsigned char c)
{
	return pb_is_alnum(c) || c == ' ' || c == '!' || c == '*' || c == '+' || c == '-' || c == '/' ? 1 : 3;
}

static size_t character(struct pb_str s)
{
	unsigned char c = (unsigned char)s.ptr[0];
	size_t n = c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;

	return n < s.len ? n : s.len;
}

/* How many bytes of text (whole characters) fit an encoded word of this length. */
static size_t fitting(struct pb_str text, bool base64, size_t room)
{
	size_t n = 0, used = 0;

	while (n < text.len) {
		size_t step = character(pb_str_skip(text, n)), cost = 0;

		for (size_t i = 0; i < step; i++)
			cost += q_length((unsigned char)text.ptr[n + i]);
		if (n && (base64 ? (n + step + 2) / 3 * 4 : used + cost) > room)
			break;
		used += cost;
		n += step;
	}
	return n;
}

static void put_q(struct pb_buf *out, struct pb_str s)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (q_length(c) == 1) {
			pb_buf_addc(out, c == ' ' ? '_' : (char)c);
		} else {
			pb_buf_addc(out, '=');
			pb_buf_addc(out, digits[c >> 4]);
			pb_buf_addc(out, digits[c & 15]);
		}
	}
}

/* text is valid UTF-8; as words separated by blanks, each at most 75 characters long. */
static void encode_words(struct pb_buf *out, struct pb_str text)
{
	size_t q = 0;
	bool base64, first = true;

	for (size_t i = 0; i < text.len; i++)
		q += q_length((unsigned char)text.ptr[i]);
	base64 = q > text.len * 4 / 3 + 8;
	while (text.len) {
		size_t n = fitting(text, base64, 75 - 12 - (first ? 12 : 0));	/* the first stands behind the field's name */

		if (!first)
			pb_buf_addc(out, ' ');
		first = false;
		pb_buf_addz(out, base64 ? "=?utf-8?B?" : "=?utf-8?Q?");
		if (base64)
			pb_base64_encode(out, pb_str_head(text, n));
		else
			put_q(out, pb_str_head(text, n));
		pb_buf_addz(out, "?=");
		text = pb_str_skip(text, n);
	}
}

static bool needs_encoding(struct pb_str word)
{
	return !is_printable(word) || word.len > LONGEST || pb_str_search(word, PB_STR("=?"), 0) >= 0;
}

/* From the first word that needs it to the last one, blanks between them included; what is around them stays as it is. */
static void encode_text(struct pb_buf *out, struct pb_str text)
{
	struct pb_str rest = text, word, first = PB_NOSTR, last = PB_NOSTR;

	while (pb_str_word(&rest, &word))
		if (needs_encoding(word)) {
			if (!first.ptr)
				first = word;
			last = word;
		}
	if (!first.ptr) {
		pb_buf_addstr(out, text);
		return;
	}
	pb_buf_add(out, text.ptr, (size_t)(first.ptr - text.ptr));
	encode_words(out, pb_str(first.ptr, (size_t)(last.ptr + last.len - first.ptr)));
	pb_buf_add(out, last.ptr + last.len, (size_t)(text.ptr + text.len - (last.ptr + last.len)));
}

/* One line of valid UTF-8. */
static void clean(struct pb_buf *out, struct pb_str text)
{
	size_t start = out->len;

	pb_charset_decode(PB_STR("utf-8"), text, out);
	for (size_t i = start; i < out->len; i++)
		if ((unsigned char)out->ptr[i] < ' ' || out->ptr[i] == 127)
			out->ptr[i] = ' ';
}

void pb_header_add_raw(struct pb_buf *out, const char *name, struct pb_str text)
{
	PB_AUTOBUF(line);
	size_t column = strlen(name) + 1;

	clean(&line, text);
	pb_buf_addz(out, name);
	pb_buf_addc(out, ':');
	put_words(out, pb_buf_str(&line), &column);
	pb_buf_add(out, "\r\n", 2);
}

void pb_header_add(struct pb_buf *out, const char *name, struct pb_str text, bool utf8)
{
	PB_AUTOBUF(line);
	PB_AUTOBUF(encoded);

	clean(&line, text);
	if (!utf8)
		encode_text(&encoded, pb_buf_str(&line));
	pb_header_add_raw(out, name, utf8 ? pb_buf_str(&line) : pb_buf_str(&encoded));
}

static bool is_phrase(struct pb_str name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!pb_is_alnum((unsigned char)name.ptr[i]) && !memchr("!#$%&'*+-/=?^_`{|}~ ", name.ptr[i], 20))
			return false;
	return true;
}

void pb_address_print(struct pb_buf *out, struct pb_str name, struct pb_str address)
{
	PB_AUTOBUF(line);

	if (!name.len) {
		pb_buf_addstr(out, address);
		return;
	}
	clean(&line, name);
	name = pb_str_trim(pb_buf_str(&line));
	if (needs_encoding(name)) {
		encode_words(out, name);
	} else if (is_phrase(name)) {
		pb_buf_addstr(out, name);
	} else {
		pb_buf_addc(out, '"');
		for (size_t i = 0; i < name.len; i++) {
			if (name.ptr[i] == '"' || name.ptr[i] == '\\')
				pb_buf_addc(out, '\\');
			pb_buf_addc(out, name.ptr[i]);
		}
		pb_buf_addc(out, '"');
	}
	pb_buf_addf(out, " <%.*s>", PB_FMT(address));
}

/* ---- trace fields ---- */

/* What came from outside must not end a comment or a line. */
static void put_safe(struct pb_buf *out, struct pb_str s)
{
	s = pb_str_head(s, 255);
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		pb_buf_addc(out, c <= ' ' || c == 127 || c == '(' || c == ')' || c == '\\' || c == ';' || c == '"' || c == '<' || c == '>' ? '?' : (char)c);
	}
}

static void put_client(struct pb_buf *out, const struct pb_received *r)
{
	bool literal = r->client.len && r->client.ptr[0] != '/';

	pb_buf_addz(out, " from ");
	if (r->helo.len)
		put_safe(out, r->helo);
	else
		pb_buf_addz(out, "unknown");
	if (!r->rdns.len && !literal)
		return;
	pb_buf_addz(out, " (");
	put_safe(out, r->rdns);
	if (literal) {
		if (r->rdns.len)
			pb_buf_addc(out, ' ');
		pb_buf_addz(out, pb_str_find(r->client, ':', 0) >= 0 ? "[IPv6:" : "[");
		put_safe(out, r->client);
		pb_buf_addc(out, ']');
	}
	pb_buf_addc(out, ')');
}

void pb_received_add(struct pb_buf *out, const struct pb_received *r)
{
	char date[PB_DATE_MAX];

	pb_buf_addz(out, "Received:");
	if (r->helo.len || r->client.len) {
		put_client(out, r);
		pb_buf_addz(out, "\r\n\t");
	} else {
		pb_buf_addc(out, ' ');
	}
	pb_buf_addz(out, "by ");
	put_safe(out, r->by);
	if (r->with.len)
		pb_buf_addf(out, " with %.*s", PB_FMT(r->with));
	if (r->tls.len) {
		pb_buf_addz(out, "\r\n\t(");
		for (size_t i = 0; i < r->tls.len && i < 255; i++)
			pb_buf_addc(out, r->tls.ptr[i] < ' ' || memchr("()\\", r->tls.ptr[i], 3) ? ' ' : r->tls.ptr[i]);
		pb_buf_addc(out, ')');
	}
	if (r->id.len) {
		pb_buf_addz(out, " id ");
		put_safe(out, r->id);
	}
	if (r->rcpt.len)
		pb_buf_addf(out, "\r\n\tfor <%.*s>", PB_FMT(r->rcpt));
	pb_date_format(date, r->moment, r->zone);
	pb_buf_addf(out, ";%s%s\r\n", r->rcpt.len || r->tls.len ? " " : "\r\n\t", date);
}

void pb_message_id_make(struct pb_buf *out, struct pb_str host, int64_t moment)
{
	unsigned char noise[10];

	pb_random(noise, sizeof noise);
	pb_buf_addf(out, "<%llx.", (unsigned long long)moment);
	pb_hex_encode(out, pb_str((const char *)noise, sizeof noise));
	pb_buf_addc(out, '@');
	put_safe(out, host.len ? host : PB_STR("localhost"));
	pb_buf_addc(out, '>');
}
