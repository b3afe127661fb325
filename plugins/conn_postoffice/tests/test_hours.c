/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hours of the week: days, spans over midnight and over the end of the week. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "plugins/conn_postoffice/hours.h"

enum { MON, TUE, WED, THU, FRI, SAT, SUN };
#define AT(h, m) ((h) * 60 + (m))

static void hours_cover_what_they_say(void **state)
{
	static const struct { const char *hours; unsigned day, minute; bool want; } cases[] = {
		{ "", SUN, 0, true },
		{ "Mon-Fri 09:00-17:00", MON, AT(9, 0), true },
		{ "Mon-Fri 09:00-17:00", MON, AT(17, 0), false },
		{ "Mon-Fri 09:00-17:00", SAT, AT(12, 0), false },
		{ "Sat-Sun", SUN, AT(23, 59), true },
		{ "Sat-Sun", MON, 0, false },
		{ "Fri-Mon", SUN, AT(3, 0), true },
		{ "Fri-Mon", TUE, AT(3, 0), false },
		{ "Mon-Fri 18:00-08:00; Sat-Sun", FRI, AT(18, 0), true },
		{ "Mon-Fri 18:00-08:00", SAT, AT(7, 59), true },	/* Friday's night */
		{ "Mon-Fri 18:00-08:00", MON, AT(7, 59), false },	/* Sunday's is none */
		{ "Sun 22:00-02:00", MON, AT(1, 0), true },
		{ "12:00-13:00", WED, AT(12, 30), true },
		{ "12:00-13:00; Thu", WED, AT(13, 30), false },
		{ "wed", WED, AT(13, 30), true },
		{ "00:00-24:00", WED, AT(13, 30), true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (hours_cover(pb_strz(cases[i].hours), cases[i].day, cases[i].minute) != cases[i].want)
			fail_msg("'%s' on day %u at minute %u", cases[i].hours, cases[i].day, cases[i].minute);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(hours_cover_what_they_say) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
