/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bounces of many mail systems, and messages that are none: each in tests/data says in its X-Want fields what has to be found. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "bounces/tests/messages.h"

#define DATA SRCDIR "/bounces/tests/data"

static void put_found(struct pb_buf *out, const struct bounces *found)
{
	for (size_t i = 0; i < found->n; i++) {
		const struct bounce *b = &found->list[i];

		pb_buf_addf(out, "%c %.*s%s%.*s %s%.*s %s\n", b->kind == BOUNCE_FAILURE ? 'F' : 'D', PB_FMT(b->address), b->alias.len ? ">" : "", PB_FMT(b->alias),
			    b->status.len ? "" : "-", PB_FMT(b->status), b->form);
	}
	if (!found->n)
		pb_buf_addz(out, "nothing\n");
}

static void put_wanted(struct pb_buf *out, struct pb_str message)
{
	struct pb_field field;

	while (pb_header_next(&message, &field))
		if (pb_str_ieq(field.name, PB_STR("X-Want")))
			pb_buf_addf(out, "%.*s\n", PB_FMT(pb_str_trim(field.value)));
}

static unsigned check(const char *name, struct pb_str message, struct pb_arena *arena)
{
	struct bounces found;
	PB_AUTOBUF(have);
	PB_AUTOBUF(want);

	look(&found, message, arena);
	put_found(&have, &found);
	put_wanted(&want, message);
	if (pb_str_eq(pb_buf_str(&have), pb_buf_str(&want)))
		return 0;
	print_error("%s:\nhave\n%swant\n%s", name, pb_buf_z(&have), pb_buf_z(&want));
	return 1;
}

static void every_message_says_what_it_should(void **state)
{
	DIR *dir = opendir(DATA);
	struct dirent *entry;
	struct pb_arena *arena = pb_arena_new();
	unsigned bad = 0, n = 0;

	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		PB_AUTOBUF(path);
		PB_AUTOBUF(lf);
		PB_AUTOBUF(crlf);

		if (!pb_str_ends(pb_strz(entry->d_name), PB_STR(".eml")))
			continue;
		pb_buf_addf(&path, "%s/%s", DATA, entry->d_name);
		assert_true(file_read(pb_buf_z(&path), &lf));
		for (size_t i = 0; i < lf.len; i++) {
			if (lf.ptr[i] == '\n')
				pb_buf_addc(&crlf, '\r');
			pb_buf_addc(&crlf, lf.ptr[i]);
		}
		bad += check(entry->d_name, pb_buf_str(&lf), arena);
		bad += check(entry->d_name, pb_buf_str(&crlf), arena);
		pb_arena_reset(arena);
		n++;
	}
	closedir(dir);
	pb_arena_free(arena);
	assert_true(n > 60);
	assert_int_equal(bad, 0);
}

#define HEAD "From: MAILER-DAEMON@mx.example.net\nSubject: failure notice\nTo: list-bounces@lists.example\n\n"

static void recipients_have_a_cap(void **state)
{
	struct pb_arena *arena = pb_arena_new();
	struct bounces found;
	PB_AUTOBUF(message);

	(void)state;
	pb_buf_addz(&message, HEAD "The following addresses failed:\n\n");
	for (int i = 0; i < 2 * BOUNCES_MAX; i++)
		pb_buf_addf(&message, "  user%d@example.org\n    unknown\n", i);
	look(&found, pb_buf_str(&message), arena);
	assert_int_equal(found.n, BOUNCES_MAX);
	assert_true(found.capped);
	assert_int_equal(found.kind, BOUNCE_FAILURE);
	pb_arena_free(arena);
}

static void diagnostics_are_one_short_line_of_utf8(void **state)
{
	struct pb_arena *arena = pb_arena_new();
	struct bounces found;
	PB_AUTOBUF(message);

	(void)state;
	pb_buf_addz(&message, HEAD "The following addresses failed:\n\n  bob@example.org\n    one\ttwo\x01\n    three 4.2.2 \n");
	look(&found, pb_buf_str(&message), arena);
	assert_int_equal(found.n, 1);
	assert_true(pb_str_eq(found.list[0].diagnostic, PB_STR("one two three 4.2.2")));
	assert_true(pb_str_eq(found.list[0].status, PB_STR("4.2.2")));

	pb_buf_reset(&message);
	pb_buf_addz(&message, "From: MAILER-DAEMON@mx.example.net\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n"
			      "Final-Recipient: rfc822;bob@example.org\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp;");
	for (int i = 0; i < 1000; i++)
		pb_buf_addz(&message, " \xC3\xB6");
	pb_buf_addz(&message, "\n--b--\n");
	look(&found, pb_buf_str(&message), arena);
	assert_int_equal(found.n, 1);
	assert_true(found.list[0].diagnostic.len > 300 && found.list[0].diagnostic.len <= BOUNCES_DIAGNOSTIC_MAX + 4);
	assert_true(pb_utf8_valid(found.list[0].diagnostic));
	pb_arena_free(arena);
}

/* What is cut, or made of one piece again and again, is read to its end and gives only addresses that are some. */
static void broken_messages_give_no_nonsense(void **state)
{
	static const char *const pieces[] = { "the following addresses failed:\n", "<@<@", "&lt;a@b.example&gt;<", "<!--", "undeliverable to a@", "\"", "c=smtp=", "- - -", "Final-Recipient: rfc822;\\x{\n",
		"(expanded from <a", "a.a.a.a.a@a.a.a.a", "rcpt to:<", "[192.0.2.1", "your message to a@b.example ", "To: To: ", "\n\n \n" };
	struct pb_arena *arena = pb_arena_new();

	(void)state;
	for (size_t i = 0; i < 2 * sizeof pieces / sizeof *pieces; i++) {
		struct bounces found;
		PB_AUTOBUF(message);

		pb_buf_addz(&message, i % 2 ? "Content-Type: text/html\n" HEAD : HEAD);
		while (message.len < 3 * BOUNCES_TEXT_MAX)
			pb_buf_addz(&message, pieces[i / 2]);
		look(&found, pb_buf_str(&message), arena);
		for (size_t j = 0; j < found.n; j++)
			assert_true(pb_str_find(found.list[j].address, '@', 0) > 0 && pb_utf8_valid(found.list[j].address));
		pb_arena_reset(arena);
	}
	pb_arena_free(arena);
}

static void a_message_may_be_cut(void **state)
{
	struct pb_arena *arena = pb_arena_new();
	struct bounces found;
	PB_AUTOBUF(message);
	PB_AUTOBUF(facts);

	(void)state;
	assert_true(file_read(DATA "/dsn-postfix.eml", &message));
	pb_facts_make(pb_buf_str(&message), &facts);
	for (size_t n = 0; n <= message.len; n++) {
		bounces_find(&found, pb_str(message.ptr, n), pb_buf_str(&facts), arena);
		assert_true(found.n <= 1);
		if ((n & 255) == 0)
			pb_arena_reset(arena);
	}
	assert_int_equal(found.n, 1);
	bounces_find(&found, pb_buf_str(&message), PB_NOSTR, arena);
	assert_int_equal(found.n, 0);
	pb_arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_says_what_it_should),
		cmocka_unit_test(recipients_have_a_cap),
		cmocka_unit_test(diagnostics_are_one_short_line_of_utf8),
		cmocka_unit_test(broken_messages_give_no_nonsense),
		cmocka_unit_test(a_message_may_be_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
