/* SPDX-License-Identifier: Apache-2.0 */
/* Dates: what mail writes, what it should not have written, and the calendar against the C library's. */
#include "tables.h"
#include <time.h>
#include <postbus/date.h>

static void headers_dates_are_read(void **state)
{
	static const struct { const char *name, *text; int64_t seconds; int zone, rc; } table[] = {
		{ "the usual form", "Mon, 23 Nov 2026 21:00:00 +0100", 1795464000, 60, 0 },
		{ "without weekday and seconds", "23 Nov 2026 21:00 +0100", 1795464000, 60, 0 },
		{ "comments and folding", "Mon (the day),\r\n 23 Nov 2026 21:00:00 (now) +0100 (CET)", 1795464000, 60, 0 },
		{ "nested comment with a quoted parenthesis", "(a (b\\) c) d) 23 Nov 2026 20:00 GMT", 1795464000, 0, 0 },
		{ "obsolete zone EST", "23 Nov 2026 15:00:00 EST", 1795464000, -300, 0 },
		{ "obsolete zone PDT", "23 Nov 2026 13:00:00 PDT", 1795464000, -420, 0 },
		{ "a military letter is UTC", "23 Nov 2026 20:00:00 A", 1795464000, 0, 0 },
		{ "no zone is UTC", "23 Nov 2026 20:00:00", 1795464000, 0, 0 },
		{ "an unknown zone is UTC", "23 Nov 2026 20:00:00 XYZT", 1795464000, 0, 0 },
		{ "two digits below 50", "23 Nov 26 20:00:00 +0000", 1795464000, 0, 0 },
		{ "two digits from 50", "Thu, 1 Jan 70 00:00:00 +0000", 0, 0, 0 },
		{ "three digits", "1 Jan 100 00:00:00 +0000", 946684800, 0, 0 },
		{ "west with minutes", "23 Nov 2026 16:30:00 -0330", 1795464000, -210, 0 },
		{ "zone with a colon", "23 Nov 2026 21:00:00 +01:00", 1795464000, 60, 0 },
		{ "asctime", "Mon Nov 23 20:00:00 2026", 1795464000, 0, 0 },
		{ "asctime with a zone before the year", "Mon Nov 23 21:00:00 CET 2026", 1795464000, 60, 0 },
		{ "a long month", "23 November 2026 20:00:00 +0000", 1795464000, 0, 0 },
		{ "hyphens", "23-Nov-2026 20:00:00 +0000", 1795464000, 0, 0 },
		{ "GMT with an offset behind it", "23 Nov 2026 21:00:00 GMT+0100", 1795464000, 60, 0 },
		{ "a leap second", "31 Dec 1998 23:59:60 +0000", 915148799, 0, 0 },
		{ "a leap day", "29 Feb 2024 00:00:00 +0000", 1709164800, 0, 0 },
		{ "no leap day", "29 Feb 2023 00:00:00 +0000", 0, 0, PB_EINVALID },
		{ "no leap day in 1900", "29 Feb 1900 00:00:00 +0000", 0, 0, PB_EINVALID },
		{ "hour 24", "23 Nov 2026 24:00:00 +0000", 0, 0, PB_EINVALID },
		{ "no such month", "23 Foo 2026 20:00:00 +0000", 0, 0, PB_EINVALID },
		{ "empty", "", 0, 0, PB_EINVALID },
		{ "words", "yesterday", 0, 0, PB_EINVALID },
		{ "an endless comment", "(((((((((", 0, 0, PB_EINVALID },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		int64_t moment = 0;
		int zone = 0;

		expect_int(table[i].name, pb_date_parse(pb_strz(table[i].text), &moment, &zone), table[i].rc);
		expect_int(table[i].name, moment, table[i].seconds * 1000000);
		expect_int(table[i].name, zone, table[i].zone);
	}
}

static void what_is_written_is_read_back(void **state)
{
	(void)state;
	for (int64_t seconds = -62167219200 + 86400 * 2; seconds < 253402300800 - 86400 * 2; seconds += 86400 * 97 + 3661) {
		static const int zones[] = { 0, 60, -300, 330, -210, 840, -720 };
		int zone = zones[(seconds / 7 % 7 + 7) % 7], back_zone;
		char text[PB_DATE_MAX];
		int64_t back;

		assert_true(pb_date_format(text, seconds * 1000000, zone) == strlen(text));
		if (seconds > -30000000000) {	/* years of four digits that RFC 5322 does not read as obsolete ones */
			assert_int_equal(pb_date_parse(pb_strz(text), &back, &back_zone), 0);
			assert_true(back == seconds * 1000000 && back_zone == zone);
		}
		assert_true(pb_datetime_format(text, seconds * 1000000, zone) == strlen(text));
		assert_int_equal(pb_datetime_parse(pb_str(text + 1, strlen(text) - 2), &back, &back_zone), 0);
		assert_true(back == seconds * 1000000 && back_zone == zone);
		assert_true(pb_date_iso(text, seconds * 1000000 + 5, true) == strlen(text));
		assert_int_equal(pb_date_iso_parse(pb_strz(text), &back), 0);
		assert_true(back == seconds * 1000000 + 5);
	}
}

static void the_calendar_is_that_of_the_c_library(void **state)
{
	(void)state;
	for (int64_t day = -719162; day < 2932896; day += 53) {
		time_t seconds = (time_t)(day * 86400);
		struct tm tm;
		int y, m, d;

		assert_non_null(gmtime_r(&seconds, &tm));
		pb_day_to_civil(day, &y, &m, &d);
		assert_true(y == tm.tm_year + 1900 && m == tm.tm_mon + 1 && d == tm.tm_mday);
		assert_true(pb_day_from_civil(y, m, d) == day);
	}
}

static void imap_dates(void **state)
{
	static const struct { const char *name, *text; int64_t seconds; int rc; } table[] = {
		{ "two digits", "17-Jul-1996 02:44:25 -0700", 837596665, 0 },
		{ "a blank before one digit", " 7-Jul-1996 02:44:25 +0000", 836707465, 0 },
		{ "any case of the month", "17-jUL-1996 02:44:25 -0700", 837596665, 0 },
		{ "no seconds", "17-Jul-1996 02:44 -0700", 0, PB_EINVALID },
		{ "no zone", "17-Jul-1996 02:44:25", 0, PB_EINVALID },
		{ "a zone's name", "17-Jul-1996 02:44:25 GMT", 0, PB_EINVALID },
		{ "a month too long", "17-July-1996 02:44:25 +0000", 0, PB_EINVALID },
		{ "day 31 of June", "31-Jun-1996 02:44:25 +0000", 0, PB_EINVALID },
		{ "something behind it", "17-Jul-1996 02:44:25 +00000", 0, PB_EINVALID },
		{ "empty", "", 0, PB_EINVALID },
	};
	char text[PB_DATE_MAX];
	int64_t day;

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		int64_t moment = 0;

		expect_int(table[i].name, pb_datetime_parse(pb_strz(table[i].text), &moment, NULL), table[i].rc);
		expect_int(table[i].name, moment, table[i].seconds * 1000000);
	}
	pb_datetime_format(text, INT64_C(836707465000000), 0);
	assert_string_equal(text, "\" 7-Jul-1996 02:44:25 +0000\"");
	assert_int_equal(pb_day_parse(PB_STR("\"1-Feb-1994\""), &day), 0);
	assert_int_equal(day, pb_day_from_civil(1994, 2, 1));
	assert_int_equal(pb_day_parse(PB_STR("01-Feb-1994"), &day), 0);
	assert_int_equal(pb_day_parse(PB_STR("1-Feb-94"), &day), PB_EINVALID);
	assert_int_equal(pb_day_parse(PB_STR("30-Feb-1994"), &day), PB_EINVALID);
	assert_int_equal(pb_day_of(-1, 0), -1);
	assert_int_equal(pb_day_of(INT64_C(86400000000) - 1, 0), 0);
	assert_int_equal(pb_day_of(INT64_C(86400000000) - 1, 60), 1);
	assert_int_equal(pb_day_of(0, -60), -1);
}

static void iso_dates(void **state)
{
	static const struct { const char *text; int64_t micro; int rc; } table[] = {
		{ "2026-11-23T20:00:00Z", 1795464000000000, 0 },
		{ "2026-11-23T20:00:00.000123Z", 1795464000000123, 0 },
		{ "2026-11-23T20:00:00.5Z", 1795464000500000, 0 },
		{ "2026-11-23T21:00:00+01:00", 1795464000000000, 0 },
		{ "2026-11-23 20:00", 1795464000000000, 0 },
		{ "2026-11-23", 1795392000000000, 0 },
		{ "2026-11-23T20", 0, PB_EINVALID },
		{ "2026-13-23", 0, PB_EINVALID },
		{ "26-11-23", 0, PB_EINVALID },
		{ "2026-11-23T20:00:00Zebra", 0, PB_EINVALID },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		int64_t moment = 0;

		expect_int(table[i].text, pb_date_iso_parse(pb_strz(table[i].text), &moment), table[i].rc);
		expect_int(table[i].text, moment, table[i].micro);
	}
}

static void far_moments_do_not_overflow_what_is_written(void **state)
{
	char text[PB_DATE_MAX];

	(void)state;
	pb_date_format(text, INT64_MAX, 0);
	assert_string_equal(text, "Fri, 31 Dec 9999 23:59:59 +0000");
	pb_date_format(text, INT64_MIN, 100000);
	assert_string_equal(text, "Sat, 01 Jan 0000 00:00:00 +0000");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_dates_are_read),
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(the_calendar_is_that_of_the_c_library),
		cmocka_unit_test(imap_dates),
		cmocka_unit_test(iso_dates),
		cmocka_unit_test(far_moments_do_not_overflow_what_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
