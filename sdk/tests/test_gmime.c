/* SPDX-License-Identifier: Apache-2.0 */
/* GMime as an oracle: random MIME trees, as strangers nest them, have the same structure for it and for the scanner. */
#include "tables.h"
#include <gmime/gmime.h>
#include <stdlib.h>
#include <postbus/message.h>

static unsigned seed;

static unsigned pick(unsigned n)
{
	return (unsigned)rand_r(&seed) % n;
}

/* A part with its header; boundaries are made unique by a count, and begin alike. */
static void put_part(struct pb_buf *out, const char *eol, int depth, int *count)
{
	static const char *const leaves[] = { "text/plain", "text/html; charset=utf-8", "image/gif; name=\"a b.gif\"", "application/pdf", "TEXT/Plain; charset=\"koi8-r\"" };
	unsigned what = depth > 4 ? 0 : pick(6);

	if (what == 5) {
		pb_buf_addf(out, "Content-Type: message/rfc822%s%sSubject: inner%s", eol, eol, eol);
		put_part(out, eol, depth + 1, count);
	} else if (what >= 3) {
		int id = (*count)++;
		unsigned parts = 1 + pick(4);

		pb_buf_addf(out, "Content-Type: multipart/mixed;%s boundary=\"=_%d\"%s%s", pick(2) ? eol : "", id, eol, eol);
		if (pick(2))
			pb_buf_addf(out, "preamble%s-- %s", eol, eol);
		for (unsigned i = 0; i < parts; i++) {
			pb_buf_addf(out, "--=_%d%s%s", id, pick(4) ? "" : " \t", eol);
			put_part(out, eol, depth + 1, count);
			pb_buf_addz(out, eol);
		}
		if (pick(5))
			pb_buf_addf(out, "--=_%d--%s%s", id, eol, pick(2) ? "" : "epilogue");
	} else {
		pb_buf_addf(out, "Content-Type: %s%s%s", leaves[pick(COUNT(leaves))], eol, eol);
		for (unsigned i = pick(5); i; i--)
			pb_buf_addf(out, "%s%s", pick(3) ? "a line of text" : pick(2) ? "--=_x" : "", eol);
		pb_buf_addz(out, "end");
	}
}

static void flatten_gmime(GMimeObject *o, struct pb_buf *out)
{
	GMimeContentType *t = g_mime_object_get_content_type(o);

	pb_buf_addf(out, "(%s/%s", g_mime_content_type_get_media_type(t), g_mime_content_type_get_media_subtype(t));
	if (GMIME_IS_MULTIPART(o)) {
		for (int i = 0; i < g_mime_multipart_get_count(GMIME_MULTIPART(o)); i++)
			flatten_gmime(g_mime_multipart_get_part(GMIME_MULTIPART(o), i), out);
	} else if (GMIME_IS_MESSAGE_PART(o)) {
		GMimeMessage *inner = g_mime_message_part_get_message(GMIME_MESSAGE_PART(o));

		if (inner)
			flatten_gmime(g_mime_message_get_mime_part(inner), out);
	}
	pb_buf_addc(out, ')');
}

static uint32_t flatten_facts(struct pb_str facts, uint32_t at, struct pb_buf *out)
{
	struct pb_part p;
	uint32_t next = at + 1;

	assert_true(pb_facts_at(facts, at, &p));
	pb_buf_addf(out, "(%.*s/%.*s", PB_FMT(p.type), PB_FMT(p.subtype));
	for (uint32_t i = 0; i < p.parts; i++)
		next = flatten_facts(facts, next, out);
	pb_buf_addc(out, ')');
	return next;
}

static void random_trees(void **state)
{
	(void)state;
	for (seed = 1; seed < 2000000000; seed = seed * 2 + 7) {
		for (int round = 0; round < 40; round++) {
			PB_AUTOBUF(message);
			PB_AUTOBUF(facts);
			PB_AUTOBUF(ours);
			PB_AUTOBUF(theirs);
			unsigned from = seed;
			int count = 0;
			GMimeStream *stream;
			GMimeParser *parser;
			GMimeMessage *m;

			pb_buf_addz(&message, "From: a@x\r\nSubject: tree\r\nMIME-Version: 1.0\r\n");
			put_part(&message, pick(4) ? "\r\n" : "\n", 0, &count);
			pb_facts_make(pb_buf_str(&message), &facts);
			flatten_facts(pb_buf_str(&facts), 0, &ours);
			stream = g_mime_stream_mem_new_with_buffer(message.ptr, message.len);
			parser = g_mime_parser_new_with_stream(stream);
			m = g_mime_parser_construct_message(parser, NULL);
			assert_non_null(m);
			flatten_gmime(g_mime_message_get_mime_part(m), &theirs);
			g_object_unref(m);
			g_object_unref(parser);
			g_object_unref(stream);
			if (!pb_str_ieq(pb_buf_str(&ours), pb_buf_str(&theirs)))
				fail_msg("seed %u:\n%s\nhave %s\nwant %s", from, message.ptr, ours.ptr, theirs.ptr);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(random_trees) };

	g_mime_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
