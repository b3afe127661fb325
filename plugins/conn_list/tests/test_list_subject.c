/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Prefix and suffix of subjects: put once, renumbered, never doubled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "plugins/conn_list/post.h"

static void subjects_are_dressed_once(void **state)
{
	static const struct { const char *subject, *prefix, *suffix, *want; } cases[] = {
		{ "hello", "[dev]", "", "[dev] hello" },
		{ "hello", "[dev] ", "", "[dev] hello" },
		{ "", "[dev]", "", "[dev]" },
		{ "Re: [dev] hello", "[dev]", "", "Re: [dev] hello" },
		{ "Re: [DEV] hello", "[dev]", "", "Re: [DEV] hello" },
		{ "hello", "", "(dev)", "hello (dev)" },
		{ "hello (dev)", "[a]", "(dev)", "[a] hello (dev)" },
		{ "hello", "[dev {count}]", "", "[dev 7] hello" },
		{ "Re: [dev 6] hello", "[dev {count}]", "", "[dev 7] Re: hello" },
		{ "[dev x] hello", "[dev {count}]", "", "[dev 7] [dev x] hello" },
		{ "[dev 12", "[dev {count}]", "", "[dev 7] [dev 12" },
		{ "hello", "", "", "hello" },
		{ "\xc3\xa4h", "[\xc3\xb6]", "", "[\xc3\xb6] \xc3\xa4h" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		PB_AUTOBUF(out);

		subject_dress(&out, pb_strz(cases[i].subject), pb_strz(cases[i].prefix), pb_strz(cases[i].suffix), 7);
		assert_string_equal(pb_buf_z(&out), cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(subjects_are_dressed_once) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
