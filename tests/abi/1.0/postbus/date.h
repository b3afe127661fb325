/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dates as mail writes them: RFC 5322 (headers), RFC 3501 (IMAP), ISO 8601 (logs). No locale, no allocation, no system calls except pb_zone_local.
 * A moment is microseconds since 1970 UTC; a zone is minutes east of UTC; a day is days since 1970-01-01, negative before.
 */
#ifndef POSTBUS_DATE_H
#define POSTBUS_DATE_H

#include <postbus/str.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PB_DATE_MAX 40		/* room that every format function needs, with its NUL */

/* RFC 5322 date-time with the obsolete forms: comments, folding, two and three digit years, zone names (military letters are UTC).
 * A missing or unknown zone counts as UTC; seconds may be missing. ret_zone may be NULL. PB_EINVALID. */
int pb_date_parse(struct pb_str text, int64_t *ret_moment, int *ret_zone);
/* "Mon, 23 Nov 2026 21:00:00 +0100"; gives the length. Years outside 0..9999 are clamped. */
size_t pb_date_format(char *out, int64_t moment, int zone);

/* RFC 3501 date-time, without its quotes: " 1-Feb-1994 21:52:25 -0800"; a one digit day without blank passes too. ret_zone may be NULL. PB_EINVALID. */
int pb_datetime_parse(struct pb_str text, int64_t *ret_moment, int *ret_zone);
/* With the quotes, ready to send: "\"23-Nov-2026 21:00:00 +0100\"". */
size_t pb_datetime_format(char *out, int64_t moment, int zone);
/* RFC 3501 date, with or without quotes: 1-Feb-1994. */
int pb_day_parse(struct pb_str text, int64_t *ret_day);
/* The day that a clock in this zone shows at this moment. */
int64_t pb_day_of(int64_t moment, int zone);

/* "2026-11-23T21:00:00Z", with ".123456" where micro is set. */
size_t pb_date_iso(char *out, int64_t moment, bool micro);
/* What pb_date_iso writes, and "2026-11-23", "2026-11-23 21:00", with or without zone ("Z", "+01:00"). PB_EINVALID. */
int pb_date_iso_parse(struct pb_str text, int64_t *ret_moment);

/* Proleptic Gregorian calendar: month 1..12, day 1..31. */
int64_t pb_day_from_civil(int year, int month, int day);
void pb_day_to_civil(int64_t day, int *ret_year, int *ret_month, int *ret_day);
/* The zone of this machine at this moment; looked up once an hour per thread. */
int pb_zone_local(int64_t moment);

#ifdef __cplusplus
}
#endif
#endif
