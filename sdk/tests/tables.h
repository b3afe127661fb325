/* SPDX-License-Identifier: Apache-2.0 */
/* For tests made of tables: every case has a sentence for its name, and a failing one says which it was. */
#ifndef TABLES_H
#define TABLES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <postbus/str.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* Compare bytes; both are printed where they differ. */
static inline void expect_str(const char *name, struct pb_str have, struct pb_str want)
{
	if (!pb_str_eq(have, want))
		fail_msg("%s:\nhave '%.*s'\nwant '%.*s'", name, PB_FMT(have), PB_FMT(want));
}

static inline void expect_int(const char *name, long long have, long long want)
{
	if (have != want)
		fail_msg("%s: have %lld, want %lld", name, have, want);
}

#endif
