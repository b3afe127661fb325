/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Comma-separated values by RFC 4180, and what is wrong with others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <postbus/error.h>
#include "plugins/conn_list/csv.h"

/* All rows, fields with | between them, rows with / behind them; or what is wrong. */
static void shown(struct pb_buf *out, const char *text)
{
	struct pb_arena *arena = pb_arena_new();
	struct csv csv = CSV(pb_strz(text), arena);
	struct csv_row row;
	struct pb_error err = { 0 };
	int rc;

	while ((rc = csv_next(&csv, &row, &err)) == 1) {
		for (size_t i = 0; i < row.n; i++)
			pb_buf_addf(out, "%s%.*s", i ? "|" : "", PB_FMT(row.fields[i]));
		pb_buf_addf(out, "@%zu/", row.line);
	}
	if (rc)
		pb_buf_addf(out, "!%s", err.text);
	pb_arena_free(arena);
}

static void rows_are_read(void **state)
{
	static const struct { const char *text, *want; } cases[] = {
		{ "a,b\r\nc,d\r\n", "a|b@1/c|d@2/" },
		{ "a , b\n\n\nc", "a|b@1/c@4/" },
		{ "\"a,b\",\"c\"\"d\"\n", "a,b|c\"d@1/" },
		{ "\"two\nlines\",x\ny\n", "two\nlines|x@1/y@3/" },
		{ ",,\n", "||@1/" },
		{ "a,\"b", "!line 1, column 2: the quotes are not closed" },
		{ "x\n\"b\"c,d\n", "x@1/!line 2, column 1: something stands behind the closing quotes" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		PB_AUTOBUF(out);

		shown(&out, cases[i].text);
		assert_string_equal(pb_buf_z(&out), cases[i].want);
	}
}

static void fields_are_quoted_where_they_must_be(void **state)
{
	static const struct { const char *field, *want; } cases[] = { { "a b", "a b" }, { "a,b", "\"a,b\"" }, { "a\"b", "\"a\"\"b\"" }, { "=1+1", "\"'=1+1\"" }, { "", "" } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		PB_AUTOBUF(out);

		csv_field(&out, pb_strz(cases[i].field));
		assert_string_equal(pb_buf_z(&out), cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(rows_are_read), cmocka_unit_test(fields_are_quoted_where_they_must_be) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
