/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the facts of a message as JSON, for tests that compare them with other programs' opinion. Not installed. */
#include <jansson.h>
#include <stdio.h>
#include <postbus/message.h>

static json_t *text(struct pb_str s)
{
	json_t *j = s.len ? json_stringn(s.ptr, s.len) : json_string("");

	if (!j) {	/* not UTF-8: byte by byte, as Latin-1 */
		PB_AUTOBUF(utf8);

		pb_charset_decode(PB_STR("iso-8859-1"), s, &utf8);
		j = json_stringn(utf8.ptr, utf8.len);
	}
	return j;
}

static json_t *part(struct pb_str facts, uint32_t *at)
{
	struct pb_part p;
	json_t *children = json_array(), *j;

	if (!pb_facts_at(facts, (*at)++, &p))
		return json_null();
	for (uint32_t i = 0; i < p.parts && p.kind != PB_PART_LEAF; i++)
		json_array_append_new(children, part(facts, at));
	j = json_pack("{s:s, s:i, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:i, s:b, s:o}", "kind",
		      p.kind == PB_PART_LEAF ? "leaf" : p.kind == PB_PART_MULTIPART ? "multipart" : "message", "encoding", (int)p.encoding, "type", text(p.type),
		      "subtype", text(p.subtype), "charset", text(p.charset), "header", (json_int_t)p.header_off, "header_len", (json_int_t)p.header_len, "body",
		      (json_int_t)p.body_off, "body_len", (json_int_t)p.body_len, "lines", (int)p.lines, "top", (int)p.top, "children", children);
	return j;
}

static void read_all(FILE *f, struct pb_buf *out)
{
	for (;;) {
		size_t n;

		pb_buf_reserve(out, 65536);
		n = fread(out->ptr + out->len, 1, 65536, f);
		out->len += n;
		if (!n)
			break;
	}
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		PB_AUTOBUF(message);
		PB_AUTOBUF(facts);
		PB_AUTOBUF(body);
		struct pb_str f;
		uint32_t at = 0;
		json_t *j;
		FILE *file = fopen(argv[i], "rb");

		if (!file) {
			perror(argv[i]);
			return 1;
		}
		read_all(file, &message);
		fclose(file);
		pb_facts_make(pb_buf_str(&message), &facts);
		f = pb_buf_str(&facts);
		if (!pb_facts_valid(f)) {
			fprintf(stderr, "%s: its facts are not valid\n", argv[i]);
			return 1;
		}
		pb_facts_body(f, &body);
		j = json_pack("{s:s, s:i, s:o, s:o, s:o, s:o}", "file", argv[i], "flags", (int)pb_facts_flags(f), "envelope", text(pb_facts_envelope(f)),
			      "bodystructure", text(pb_facts_bodystructure(f)), "body", text(pb_buf_str(&body)), "top", part(f, &at));
		json_dumpf(j, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(j);
	}
	return 0;
}
