/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzzes the message scanner and all that reads facts, headers and bodies; checks what must hold of any input. Leaves addresses of SMTP to fuzz_address.c. */
#include <postbus/date.h>
#include <postbus/message.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(what) do { if (!(what)) __builtin_trap(); } while (0)

/* Ready to send: balanced, strings closed, literals as long as they say, no NUL, no 8-bit outside literals. */
static void check_imap(struct pb_str s)
{
	long depth = 0;
	size_t i = 0;

	MUST(s.len && s.ptr[0] == '(');
	while (i < s.len) {
		unsigned char c = (unsigned char)s.ptr[i++];

		MUST(c && c < 128 && c != '\r' && c != '\n');
		if (c == '(') {
			depth++;
		} else if (c == ')') {
			depth--;
			MUST(depth > 0 || i == s.len);
		} else if (c == '"') {
			for (; i < s.len && s.ptr[i] != '"'; i++) {
				MUST((signed char)s.ptr[i] > 0 && s.ptr[i] != '\r' && s.ptr[i] != '\n');
				if (s.ptr[i] == '\\')
					i++;
			}
			MUST(i < s.len);
			i++;
		} else if (c == '{') {
			size_t n = 0;

			for (; i < s.len && pb_is_digit((unsigned char)s.ptr[i]); i++)
				n = n * 10 + (size_t)(s.ptr[i] - '0');
			MUST(i + 3 <= s.len && !memcmp(s.ptr + i, "}\r\n", 3) && n <= s.len - i - 3);
			MUST(!n || !memchr(s.ptr + i + 3, '\0', n));
			i += 3 + n;
		}
	}
	MUST(depth == 0);
}

static uint32_t check_part(struct pb_str facts, uint32_t at, uint64_t from, uint64_t to)
{
	struct pb_part p;
	uint32_t next = at + 1;

	MUST(pb_facts_at(facts, at, &p));
	MUST(p.header_off >= from && p.header_off + p.header_len <= to);
	MUST(p.body_off == p.header_off + p.header_len && p.body_off + p.body_len <= to);
	MUST(p.lines <= p.body_len && p.type.len && p.subtype.len);
	MUST(p.kind == PB_PART_LEAF ? p.parts == 0 : p.parts > 0);
	for (uint32_t i = 0; i < p.parts; i++)
		next = check_part(facts, next, p.body_off, p.body_off + p.body_len);
	return next;
}

static void check_facts(struct pb_str message, struct pb_str facts)
{
	PB_AUTOBUF(body);
	uint64_t off, len;
	uint32_t count = pb_facts_count(facts), lines = 0;
	struct pb_field f;
	struct pb_str rest;

	MUST(pb_facts_valid(facts) && pb_facts_size(facts) == message.len);
	check_imap(pb_facts_envelope(facts));
	check_imap(pb_facts_bodystructure(facts));
	pb_facts_body(facts, &body);
	check_imap(pb_buf_str(&body));
	MUST(check_part(facts, 0, 0, message.len) == count);
	for (size_t i = 0; i < message.len; i++)
		lines += message.ptr[i] == '\n';
	MUST(pb_facts_lines(facts) == lines);
	MUST(pb_header_size(message) == pb_facts_header_size(facts));
	MUST(!pb_facts_section(facts, PB_STR(""), &off, &len) && off == 0 && len == message.len);
	MUST(!pb_facts_section(facts, PB_STR("TEXT"), &off, &len) && off + len == message.len);
	for (const char *s = "1\0001.MIME\0001.1\0002\0001.HEADER\0001.1.TEXT\0"; *s; s += strlen(s) + 1)
		if (!pb_facts_section(facts, pb_strz(s), &off, &len))
			MUST(off + len <= message.len);
	rest = pb_facts_fields(facts);
	while (pb_header_next(&rest, &f))
		MUST(f.name.len);
}

static void try_fields(struct pb_str message)
{
	struct pb_field f;
	struct pb_str rest = message;

	for (int n = 0; n < 50 && pb_header_next(&rest, &f); n++) {
		PB_AUTOBUF(text);
		int64_t moment;
		int zone;

		MUST(f.value.ptr >= f.raw.ptr && f.value.ptr + f.value.len <= f.raw.ptr + f.raw.len);
		pb_words_decode(&text, f.value);
		MUST(pb_utf8_valid(pb_buf_str(&text)));
		pb_buf_reset(&text);
		if (pb_value_param(f.value, PB_STR("filename"), &text))
			MUST(pb_utf8_valid(pb_buf_str(&text)));
		pb_buf_reset(&text);
		pb_unfold(&text, f.value);
		MUST(text.len <= f.value.len);
		pb_date_parse(f.value, &moment, &zone);
		pb_buf_reset(&text);
		pb_header_add(&text, "X-Test", f.value, false);
		for (size_t i = 0; i < text.len; i++)
			MUST((signed char)text.ptr[i] > 0);
	}
}

static void try_decoders(struct pb_str message)
{
	static const enum pb_encoding both[] = { PB_BASE64, PB_QUOTED_PRINTABLE };

	for (size_t k = 0; k < 2; k++) {
		PB_AUTOBUF(whole);
		PB_AUTOBUF(pieces);
		struct pb_decoder d = PB_DECODER(both[k]);
		struct pb_str rest = message;

		pb_transfer_decode(both[k], message, &whole);
		for (size_t n = 1; rest.len; n = n * 3 % 97 + 1) {
			pb_decode(&d, pb_str_head(rest, n), &pieces);
			rest = pb_str_skip(rest, n);
		}
		pb_decode_end(&d, &pieces);
		if (both[k] == PB_BASE64)	/* quoted-printable lines longer than what is held may end in blanks at a cut */
			MUST(pb_str_eq(pb_buf_str(&whole), pb_buf_str(&pieces)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pb_str message = pb_str((const char *)data, size);
	struct pb_needle needle = PB_NEEDLE;
	PB_AUTOBUF(facts);
	PB_AUTOBUF(again);

	pb_facts_make(message, &facts);
	check_facts(message, pb_buf_str(&facts));
	pb_facts_make(message, &again);
	MUST(pb_str_eq(pb_buf_str(&facts), pb_buf_str(&again)));
	try_fields(message);
	try_decoders(message);
	MUST(!pb_needle_set(&needle, PB_STR("Stra\xC3\x9F" "e")));
	pb_needle_in_message(&needle, pb_buf_str(&facts), message, true);
	MUST(!pb_needle_set(&needle, PB_STR("text")));
	pb_needle_in_message(&needle, pb_buf_str(&facts), message, true);
	pb_needle_free(&needle);
	return 0;
}
