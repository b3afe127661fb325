/* SPDX-License-Identifier: Apache-2.0 */
/* Verdicts of hooks, and values made safe for log lines. Leaves asking to the bus and writing to the log. */
#include <stdarg.h>
#include <stdio.h>
#include <postbus/bus.h>
#include <postbus/plugin.h>
#include <postbus/queue.h>

/* Cut at a character's border, one line. */
static void tidy(char *text)
{
	size_t len = strlen(text), cut = len;

	while (cut && len - cut < 4 && ((unsigned char)text[cut - 1] & 0xC0) == 0x80)
		cut--;
	if (cut && (unsigned char)text[cut - 1] >= 0xC0 && !pb_utf8_valid(pb_str(text + cut - 1, len - cut + 1)))
		text[cut - 1] = '\0';
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			*text = ' ';
}

void pb_verdict_set(struct pb_verdict *v, enum pb_decision d, int code, const char *enhanced, const char *fmt, ...)
{
	v->decision = d;
	v->code = code;
	snprintf(v->enhanced, sizeof v->enhanced, "%s", enhanced ? enhanced : "");
	v->text[0] = '\0';
	if (fmt) {
		va_list ap;

		va_start(ap, fmt);
		vsnprintf(v->text, sizeof v->text, fmt, ap);
		va_end(ap);
	}
	tidy(v->text);
}

/* A header is put into mail as it is: line ends in it would let its maker write others. */
void pb_verdict_header(struct pb_verdict *v, struct pb_str name, struct pb_str value)
{
	PB_AUTOBUF(line);

	pb_buf_addf(&line, "%.*s: %.*s", PB_FMT(name), PB_FMT(value));
	for (size_t i = 0; i < line.len; i++)
		if (line.ptr[i] == '\r' || line.ptr[i] == '\n' || line.ptr[i] == '\0')
			line.ptr[i] = ' ';
	if (!v->headers)
		v->headers = json_array();
	json_array_append_new(v->headers, pb_utf8_valid(pb_buf_str(&line)) ? json_stringn(line.ptr, line.len) : json_string("X-Invalid: header was not UTF-8"));
}

void pb_verdict_note(struct pb_verdict *v, const char *key, json_t *value)
{
	if (!v->notes)
		v->notes = json_object();
	json_object_set_new(v->notes, key, value);
}

void pb_subject_clear(struct pb_subject *subject)
{
	for (unsigned i = 0; i < subject->nversions; i++)
		pb_spool_discard(subject->versions[i]);
	subject->nversions = 0;
}

void pb_verdict_clear(struct pb_verdict *v)
{
	json_decref(v->headers);
	json_decref(v->notes);
	*v = (struct pb_verdict)PB_VERDICT;
}

/* ---- log values ---- */

enum { SLOTS = 8, SLOT = 512 };

static size_t escape(char *to, unsigned char c)
{
	static const char digits[] = "0123456789abcdef";

	switch (c) {
	case '"':
	case '\\':
		to[0] = '\\';
		to[1] = (char)c;
		return 2;
	case '\n':
	case '\r':
	case '\t':
		to[0] = '\\';
		to[1] = c == '\n' ? 'n' : c == '\r' ? 'r' : 't';
		return 2;
	}
	if (c >= ' ' && c != 127) {
		to[0] = (char)c;
		return 1;
	}
	to[0] = '\\';
	to[1] = 'x';
	to[2] = digits[c >> 4];
	to[3] = digits[c & 15];
	return 4;
}

static bool is_plain(struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 127)
			return false;
	}
	return s.len && s.len < SLOT;
}

const char *pb_logq(struct pb_str value)
{
	static _Thread_local char slots[SLOTS][SLOT];
	static _Thread_local unsigned next;
	char *slot = slots[next++ % SLOTS], *to = slot;
	bool utf8;

	if (is_plain(value)) {
		memcpy(slot, value.ptr, value.len);
		slot[value.len] = '\0';
		return slot;
	}
	utf8 = pb_utf8_valid(value);
	*to++ = '"';
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.ptr[i];

		if (to - slot > SLOT - 16 && (!utf8 || (c & 0xC0) != 0x80)) {
			memcpy(to, "...", 3);
			to += 3;
			break;
		}
		to += !utf8 && c >= 128 ? (size_t)snprintf(to, 5, "\\x%02x", c) : escape(to, c);
	}
	*to++ = '"';
	*to = '\0';
	return slot;
}
