/* SPDX-License-Identifier: Apache-2.0 */
/* Dates as mail and IMAP write them. Leaves the time itself to the host's clock; knows the calendar, no locale. */
#include <stdio.h>
#include <time.h>
#include <postbus/date.h>

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char weekdays[] = "SunMonTueWedThuFriSat";
static const int64_t second = 1000000, day_length = 86400;

/* ---- calendar: years begin in March, so that the leap day is the last of one; eras of 400 years ---- */

int64_t pb_day_from_civil(int year, int month, int day)
{
	int64_t y = month <= 2 ? (int64_t)year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void pb_day_to_civil(int64_t day, int *ret_year, int *ret_month, int *ret_day)
{
	int64_t z = day + 719468, era = (z >= 0 ? z : z - 146096) / 146097, of_era = z - era * 146097;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year + year / 4 - year / 100), m = (5 * of_year + 2) / 153;

	*ret_day = (int)(of_year - (153 * m + 2) / 5 + 1);
	*ret_month = (int)(m < 10 ? m + 3 : m - 9);
	*ret_year = (int)(year + era * 400 + (*ret_month <= 2));
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

int64_t pb_day_of(int64_t moment, int zone)
{
	return floor_div(floor_div(moment, second) + (int64_t)zone * 60, day_length);
}

/* A moment taken apart as a clock in some zone shows it. */
struct clock_face {
	int year, month, day, hour, minute, second, weekday;
};

static struct clock_face face_of(int64_t moment, int zone)
{
	int64_t seconds = floor_div(moment, second) + (int64_t)zone * 60;
	int64_t low = pb_day_from_civil(0, 1, 1), high = pb_day_from_civil(9999, 12, 31);
	int64_t day = floor_div(seconds, day_length), rest = seconds - day * day_length;
	struct clock_face f;

	if (day < low || day > high) {
		rest = day < low ? 0 : day_length - 1;
		day = day < low ? low : high;
	}
	pb_day_to_civil(day, &f.year, &f.month, &f.day);
	f.hour = (int)(rest / 3600);
	f.minute = (int)(rest / 60 % 60);
	f.second = (int)(rest % 60);
	f.weekday = (int)((day + 4) % 7 + 7) % 7;
	return f;
}

/* PB_EINVALID for what no calendar or clock shows; a leap second counts as the one before the next minute. */
static int moment_of(const struct clock_face *f, int zone, int64_t *ret)
{
	static const int length[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int64_t seconds;

	if (f->month < 1 || f->month > 12 || f->day < 1 || f->day > length[f->month - 1] || f->hour > 23 || f->minute > 59 || f->second > 60)
		return PB_EINVALID;
	if (f->month == 2 && f->day == 29 && (f->year % 4 || (f->year % 100 == 0 && f->year % 400)))
		return PB_EINVALID;
	seconds = pb_day_from_civil(f->year, f->month, f->day) * day_length + f->hour * 3600 + f->minute * 60 + (f->second == 60 ? 59 : f->second);
	*ret = (seconds - (int64_t)zone * 60) * second;
	return 0;
}

/* ---- small writers and readers ---- */

static char *put2(char *to, int n)
{
	*to++ = (char)('0' + n / 10);
	*to++ = (char)('0' + n % 10);
	return to;
}

static char *put_year(char *to, int year)
{
	return put2(put2(to, year / 100), year % 100);
}

static char *put_time(char *to, const struct clock_face *f)
{
	to = put2(to, f->hour);
	*to++ = ':';
	to = put2(to, f->minute);
	*to++ = ':';
	return put2(to, f->second);
}

static char *put_zone(char *to, int zone)
{
	*to++ = zone < 0 ? '-' : '+';
	if (zone < 0)
		zone = -zone;
	if (zone > 99 * 60 + 59)
		zone = 0;
	return put2(put2(to, zone / 60), zone % 60);
}

/* Digits at the front, at most max of them; the count of them, 0 where there is none. */
static size_t take_number(struct pb_str *s, size_t max, int *ret)
{
	size_t n = 0;
	int value = 0;

	while (n < max && n < s->len && pb_is_digit((unsigned char)s->ptr[n]))
		value = value * 10 + (s->ptr[n++] - '0');
	if (n) {
		*ret = value;
		*s = pb_str_skip(*s, n);
	}
	return n;
}

static bool take(struct pb_str *s, char c)
{
	if (!s->len || s->ptr[0] != c)
		return false;
	*s = pb_str_skip(*s, 1);
	return true;
}

static size_t letters(struct pb_str s)
{
	size_t n = 0;

	while (n < s.len && pb_is_alpha((unsigned char)s.ptr[n]))
		n++;
	return n;
}

/* The name's place (0...) in a string of three-letter names, by its first three letters; -1. */
static int name_index(struct pb_str word, const char *names)
{
	for (int i = 0; names[i * 3] && word.len >= 3; i++)
		if (pb_str_ieq(pb_str_head(word, 3), pb_str(names + i * 3, 3)))
			return i;
	return -1;
}

/* ---- RFC 5322 ---- */

static void skip_blank(struct pb_str *s)
{
	int depth = 0;

	while (s->len) {
		char c = s->ptr[0];

		if (c == '(')
			depth++;
		else if (c == ')' && depth)
			depth--;
		else if (c == '\\' && depth && s->len > 1)
			*s = pb_str_skip(*s, 1);
		else if (!depth && c != ' ' && c != '\t' && c != '\r' && c != '\n')
			return;
		*s = pb_str_skip(*s, 1);
	}
}

static bool is_sign(char c)
{
	return c == '+' || c == '-';
}

static int take_offset(struct pb_str *s)
{
	bool west = s->ptr[0] == '-';
	int value = 0;
	size_t n;

	*s = pb_str_skip(*s, 1);
	n = take_number(s, 4, &value);
	if (n == 2 && take(s, ':')) {	/* "+01:00", as some write */
		int minutes = 0;

		take_number(s, 2, &minutes);
		value = value * 100 + minutes;
	} else if (n <= 2) {
		value *= 100;
	}
	if (value % 100 > 59)
		return 0;
	value = value / 100 * 60 + value % 100;
	return west ? -value : value;
}

static int zone_by_name(struct pb_str name)
{
	static const struct { const char *name; int zone; } known[] = {
		{ "UT", 0 }, { "GMT", 0 }, { "UTC", 0 }, { "EST", -300 }, { "EDT", -240 }, { "CST", -360 }, { "CDT", -300 }, { "MST", -420 },
		{ "MDT", -360 }, { "PST", -480 }, { "PDT", -420 }, { "CET", 60 }, { "CEST", 120 }, { "MET", 60 }, { "MEST", 120 }, { "BST", 60 },
		{ "EET", 120 }, { "EEST", 180 }, { "WET", 0 }, { "WEST", 60 }, { "JST", 540 }, { "MSK", 180 },
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (pb_str_ieq(name, pb_strz(known[i].name)))
			return known[i].zone;
	return 0;	/* military letters and unknown names: RFC 5322 4.3 says -0000 */
}

static int take_zone(struct pb_str *s)
{
	int zone;
	size_t n;

	skip_blank(s);
	if (s->len && is_sign(s->ptr[0]))
		return take_offset(s);
	n = letters(*s);
	zone = zone_by_name(pb_str_head(*s, n));
	*s = pb_str_skip(*s, n);
	if (!zone && s->len && is_sign(s->ptr[0]) && n)	/* "GMT+0100" */
		return take_offset(s);
	return zone;
}

static int take_year(struct pb_str *s, int *ret)
{
	size_t n = take_number(s, 4, ret);

	if (!n)
		return PB_EINVALID;
	if (n == 2)	/* RFC 5322 4.3 */
		*ret += *ret < 50 ? 2000 : 1900;
	else if (n == 3)
		*ret += 1900;
	return 0;
}

static int take_clock(struct pb_str *s, struct clock_face *f)
{
	skip_blank(s);
	if (!take_number(s, 2, &f->hour))
		return PB_EINVALID;
	skip_blank(s);
	if (!take(s, ':') && !take(s, '.'))
		return PB_EINVALID;
	skip_blank(s);
	if (!take_number(s, 2, &f->minute))
		return PB_EINVALID;
	skip_blank(s);
	if (take(s, ':') || take(s, '.')) {
		skip_blank(s);
		if (!take_number(s, 2, &f->second))
			return PB_EINVALID;
	}
	return 0;
}

static int take_month(struct pb_str *s, int *ret)
{
	size_t n = letters(*s);

	*ret = name_index(pb_str_head(*s, n), months) + 1;
	*s = pb_str_skip(*s, n);
	return *ret ? 0 : PB_EINVALID;
}

/* "[Mon,] 23 Nov 2026 21:00[:00] [zone]"; and asctime's "Mon Nov 23 21:00:00 2026". */
int pb_date_parse(struct pb_str text, int64_t *ret_moment, int *ret_zone)
{
	struct clock_face f = { 0 };
	bool month_first = false;
	struct pb_str s = text;
	int zone;

	skip_blank(&s);
	if (letters(s) && name_index(s, weekdays) >= 0) {
		s = pb_str_skip(s, letters(s));
		skip_blank(&s);
		take(&s, ',');
		take(&s, '.');
		skip_blank(&s);
	}
	if (letters(s)) {
		month_first = true;
		if (take_month(&s, &f.month))
			return PB_EINVALID;
		skip_blank(&s);
	}
	if (!take_number(&s, 2, &f.day))
		return PB_EINVALID;
	skip_blank(&s);
	if (!month_first) {
		take(&s, '-');
		if (take_month(&s, &f.month))
			return PB_EINVALID;
		take(&s, '.');
		take(&s, '-');
		skip_blank(&s);
		if (take_year(&s, &f.year))
			return PB_EINVALID;
	}
	if (take_clock(&s, &f))
		return PB_EINVALID;
	if (month_first) {
		skip_blank(&s);
		zone = letters(s) ? take_zone(&s) : 0;
		skip_blank(&s);
		if (take_year(&s, &f.year))
			return PB_EINVALID;
	} else {
		zone = take_zone(&s);
	}
	if (moment_of(&f, zone, ret_moment))
		return PB_EINVALID;
	if (ret_zone)
		*ret_zone = zone;
	return 0;
}

size_t pb_date_format(char *out, int64_t moment, int zone)
{
	struct clock_face f = face_of(moment, zone);
	char *to = out;

	memcpy(to, weekdays + (size_t)f.weekday * 3, 3);
	memcpy(to + 3, ", ", 2);
	to = put2(to + 5, f.day);
	*to++ = ' ';
	memcpy(to, months + (size_t)(f.month - 1) * 3, 3);
	to[3] = ' ';
	to = put_year(to + 4, f.year);
	*to++ = ' ';
	to = put_time(to, &f);
	*to++ = ' ';
	to = put_zone(to, zone);
	*to = '\0';
	return (size_t)(to - out);
}

/* ---- RFC 3501 ---- */

static int take_imap_day(struct pb_str *s, struct clock_face *f)
{
	int month;

	if (!take_number(s, 2, &f->day) || !take(s, '-') || s->len < 3)
		return PB_EINVALID;
	month = name_index(*s, months);
	*s = pb_str_skip(*s, 3);
	if (month < 0 || !take(s, '-') || take_number(s, 4, &f->year) != 4)
		return PB_EINVALID;
	f->month = month + 1;
	return 0;
}

int pb_datetime_parse(struct pb_str text, int64_t *ret_moment, int *ret_zone)
{
	struct clock_face f = { 0 };
	struct pb_str s = text;
	int zone, value;
	bool west;

	take(&s, ' ');
	if (take_imap_day(&s, &f) || !take(&s, ' ') || take_number(&s, 2, &f.hour) != 2 || !take(&s, ':') || take_number(&s, 2, &f.minute) != 2 || !take(&s, ':') ||
	    take_number(&s, 2, &f.second) != 2 || !take(&s, ' ') || s.len != 5 || !is_sign(s.ptr[0]))
		return PB_EINVALID;
	west = s.ptr[0] == '-';
	s = pb_str_skip(s, 1);
	if (take_number(&s, 4, &value) != 4 || value % 100 > 59)
		return PB_EINVALID;
	zone = value / 100 * 60 + value % 100;
	if (west)
		zone = -zone;
	if (moment_of(&f, zone, ret_moment))
		return PB_EINVALID;
	if (ret_zone)
		*ret_zone = zone;
	return 0;
}

size_t pb_datetime_format(char *out, int64_t moment, int zone)
{
	struct clock_face f = face_of(moment, zone);
	char *to = out;

	*to++ = '"';
	to = put2(to, f.day);
	if (f.day < 10)
		to[-2] = ' ';
	*to++ = '-';
	memcpy(to, months + (size_t)(f.month - 1) * 3, 3);
	to[3] = '-';
	to = put_year(to + 4, f.year);
	*to++ = ' ';
	to = put_time(to, &f);
	*to++ = ' ';
	to = put_zone(to, zone);
	*to++ = '"';
	*to = '\0';
	return (size_t)(to - out);
}

int pb_day_parse(struct pb_str text, int64_t *ret_day)
{
	struct clock_face f = { 0 };
	struct pb_str s = text;
	int64_t moment;

	if (s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"')
		s = pb_str(s.ptr + 1, s.len - 2);
	if (take_imap_day(&s, &f) || s.len || moment_of(&f, 0, &moment))
		return PB_EINVALID;
	*ret_day = pb_day_from_civil(f.year, f.month, f.day);
	return 0;
}

/* ---- ISO 8601 ---- */

size_t pb_date_iso(char *out, int64_t moment, bool micro)
{
	struct clock_face f = face_of(moment, 0);
	char *to = put_year(out, f.year);

	*to++ = '-';
	to = put2(to, f.month);
	*to++ = '-';
	to = put2(to, f.day);
	*to++ = 'T';
	to = put_time(to, &f);
	if (micro) {
		int part = (int)(moment - floor_div(moment, second) * second);

		*to++ = '.';
		to = put2(put2(put2(to, part / 10000), part / 100 % 100), part % 100);
	}
	*to++ = 'Z';
	*to = '\0';
	return (size_t)(to - out);
}

static int take_fraction(struct pb_str *s, int *ret_micro)
{
	int scale = 100000;

	*ret_micro = 0;
	if (!take(s, '.'))
		return 0;
	if (!s->len || !pb_is_digit((unsigned char)s->ptr[0]))
		return PB_EINVALID;
	for (; s->len && pb_is_digit((unsigned char)s->ptr[0]); *s = pb_str_skip(*s, 1), scale /= 10)
		*ret_micro += (s->ptr[0] - '0') * scale;
	return 0;
}

int pb_date_iso_parse(struct pb_str text, int64_t *ret_moment)
{
	struct clock_face f = { 0 };
	struct pb_str s = pb_str_trim(text);
	int zone = 0, micro = 0;
	int64_t moment;

	if (take_number(&s, 4, &f.year) != 4 || !take(&s, '-') || take_number(&s, 2, &f.month) != 2 || !take(&s, '-') || take_number(&s, 2, &f.day) != 2)
		return PB_EINVALID;
	if (s.len && (take(&s, 'T') || take(&s, 't') || take(&s, ' '))) {
		if (take_number(&s, 2, &f.hour) != 2 || !take(&s, ':') || take_number(&s, 2, &f.minute) != 2)
			return PB_EINVALID;
		if (take(&s, ':') && (take_number(&s, 2, &f.second) != 2 || take_fraction(&s, &micro)))
			return PB_EINVALID;
		if (s.len && is_sign(s.ptr[0]))
			zone = take_offset(&s);
		else if (!take(&s, 'Z'))
			take(&s, 'z');
	}
	if (s.len || moment_of(&f, zone, &moment))
		return PB_EINVALID;
	*ret_moment = moment + micro;
	return 0;
}

/* ---- this machine's zone ---- */

int pb_zone_local(int64_t moment)
{
	static _Thread_local int64_t hour = INT64_MIN;
	static _Thread_local int zone;
	int64_t now = floor_div(moment, 3600 * second);

	if (now != hour) {
		time_t seconds = (time_t)floor_div(moment, second);
		struct tm tm;

		zone = localtime_r(&seconds, &tm) ? (int)(tm.tm_gmtoff / 60) : 0;
		hour = now;
	}
	return zone;
}
