/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who gets no automatic answer, and mailto: URIs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "notices/automatic.h"
#include "notices/mailto.h"

static void robots_lists_and_bounces_get_no_answer(void **state)
{
	static const struct { const char *sender, *header; bool answers; } cases[] = {
		{ "bob@x.example", "Subject: a\r\n\r\n", true },
		{ "bob@x.example", "Auto-Submitted: no\r\n\r\n", true },
		{ "bob@x.example", "Auto-Submitted: auto-generated; x=y\r\n\r\n", false },
		{ "bob@x.example", "Precedence: bulk\r\n\r\n", false },
		{ "bob@x.example", "Precedence: first-class\r\n\r\n", true },
		{ "bob@x.example", "LIST-ID: <a.b>\r\n\r\n", false },
		{ "bob@x.example", "Listing: a\r\n\r\n", true },
		{ "bob@x.example", "X-Auto-Response-Suppress: DR, OOF\r\n\r\n", false },
		{ "bob@x.example", "Content-Type: multipart/report; boundary=a\r\n\r\n", false },
		{ "bob@x.example", "X-Spam-Flag: YES\r\n\r\n", false },
		{ "", "Subject: a\r\n\r\n", false },
		{ "MAILER-DAEMON@x.example", "\r\n", false },
		{ "owner-list@x.example", "\r\n", false },
		{ "list-request@x.example", "\r\n", false },
		{ "list-bounces@x.example", "\r\n", false },
		{ "noreply@x.example", "\r\n", false },
		{ "bouncer@x.example", "\r\n", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (!automatic_why_not(pb_strz(cases[i].sender), pb_strz(cases[i].header)) != cases[i].answers)
			fail_msg("<%s> with %s", cases[i].sender, cases[i].header);
}

static void uris_are_decoded(void **state)
{
	static const struct { const char *uri, *to, *subject, *body; } cases[] = {
		{ "mailto:bob@x.example", "bob@x.example", "", "" },
		{ "MAILTO:a@x,b@y", "a@x,b@y", "", "" },
		{ "mailto:?to=a@x&cc=b@y&bcc=c@z", "a@x,b@y,c@z", "", "" },
		{ "mailto:a%40x?Subject=one%20two&body=three%0D%0Afour", "a@x", "one two", "three\r\nfour" },
		{ "mailto:a@x?subject=x%0ABcc:%20evil@y&other=z", "a@x", "xBcc: evil@y", "" },
		{ "mailto:a@x?subject=%zz%4", "a@x", "%zz%4", "" },
		{ "mailto:", "", "", "" },
	};
	struct pb_arena *arena = pb_arena_new();
	struct mailto m;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_true(mailto_parse(&m, pb_strz(cases[i].uri), arena));
		if (!pb_str_eq(m.to, pb_strz(cases[i].to)) || !pb_str_eq(m.subject, pb_strz(cases[i].subject)) || !pb_str_eq(m.body, pb_strz(cases[i].body)))
			fail_msg("%s: '%.*s' '%.*s' '%.*s'", cases[i].uri, PB_FMT(m.to), PB_FMT(m.subject), PB_FMT(m.body));
	}
	assert_false(mailto_parse(&m, PB_STR("http://x.example"), arena));
	pb_arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(robots_lists_and_bounces_get_no_answer),
		cmocka_unit_test(uris_are_decoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
