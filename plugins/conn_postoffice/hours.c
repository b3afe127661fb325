/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hours of the week, as settings have them: "Mon-Fri 18:00-08:00; Sat-Sun; 12:00-13:00". What is after midnight belongs to the day on which it began. */
#include "hours.h"

enum { DAY = 24 * 60 };

static unsigned day_of(struct pb_str name)
{
	static const char *const days[] = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" };
	unsigned i = 0;

	while (i < 7 && !pb_str_ieq(name, pb_strz(days[i])))
		i++;
	return i;
}

static unsigned minute_of(struct pb_str clock)
{
	uint64_t hour = 0, minute = 0;

	pb_str_u64(pb_str_head(clock, 2), 24, &hour);
	pb_str_u64(pb_str_skip(clock, 3), 59, &minute);
	return (unsigned)(hour * 60 + minute);
}

/* The days of "Mon-Fri" or "Sat" as bits. */
static unsigned days_of(struct pb_str word)
{
	struct pb_str from = PB_NOSTR;
	unsigned first, last, bits = 0;

	pb_str_cut(&word, '-', &from);
	first = day_of(from);
	last = word.len ? day_of(word) : first;
	if (first > 6 || last > 6)
		return 0;
	for (unsigned day = first;; day = (day + 1) % 7) {
		bits |= 1u << day;
		if (day == last)
			return bits;
	}
}

static bool covers(unsigned days, unsigned from, unsigned until, unsigned day, unsigned minute)
{
	unsigned yesterday = (day + 6) % 7;

	if (from < until)
		return (days & 1u << day) && minute >= from && minute < until;
	return ((days & 1u << day) && minute >= from) || ((days & 1u << yesterday) && minute < until);
}

bool hours_cover(struct pb_str hours, unsigned day, unsigned minute)
{
	struct pb_str one, word, from;

	if (!pb_str_trim(hours).len)
		return true;
	while (pb_str_cut(&hours, ';', &one)) {
		unsigned days = 127, begin = 0, end = DAY;

		if (!pb_str_word(&one, &word))
			continue;
		if (!pb_is_digit((unsigned char)word.ptr[0])) {
			days = days_of(word);
			if (!pb_str_word(&one, &word))
				word = PB_NOSTR;
		}
		if (word.len && pb_str_cut(&word, '-', &from)) {
			begin = minute_of(from);
			end = minute_of(word);
		}
		if (covers(days, begin, end, day, minute))
			return true;
	}
	return false;
}
