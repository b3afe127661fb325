/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Conditions about the moment at which the filter runs, in the server's zone: "date between ...", "time after 18:00", "weekday is sat or sun". */
#include <postbus/date.h>
#include "words.h"

/* ---- relations ---- */

static void put_relation(struct writing *w, const char *relation, const char *part, struct pb_str key)
{
	w->needs |= NEED_DATE | NEED_RELATIONAL;
	put_plain(w, "currentdate :value \"");
	put_plain(w, relation);
	put_plain(w, "\" \"");
	put_plain(w, part);
	put_plain(w, "\" ");
	put_text(w, key);
}

/* What Sieve calls a part of the date, and how a value of it is read. */
struct part {
	const char *name, *form;
	bool (*read)(struct pb_str word, char out[16]);
	bool circular;			/* from 22:00 to 06:00 is over midnight; and the end is not within */
};

static int next_value(struct sentence *s, const struct part *p, char out[16], struct pb_error *err)
{
	struct pb_str word = PB_NOSTR;

	if (!sentence_word(s, &word))
		return pb_fail(err, PB_EINVALID, "'%.*s' wants a %s behind it, such as %s", PB_FMT(sentence_said(s)), p->name, p->form);
	return p->read(word, out) ? 0 : pb_fail(err, PB_EINVALID, "'%.*s' is no %s: %s is one", PB_FMT(pb_str_head(word, 40)), p->name, p->form);
}

static int write_between(struct writing *w, struct sentence *s, const struct part *p, struct pb_error *err)
{
	char from[16], to[16];

	if (next_value(s, p, from, err))
		return err->code;
	if (!sentence_take(s, "and"))
		return pb_fail(err, PB_EINVALID, "behind '%.*s' comes 'and' and another %s", PB_FMT(sentence_said(s)), p->name);
	if (next_value(s, p, to, err))
		return err->code;
	if (!p->circular && strcmp(from, to) > 0)
		return pb_fail(err, PB_EINVALID, "%s is later than %s", from, to);
	put_plain(w, p->circular && strcmp(from, to) > 0 ? "anyof (" : "allof (");
	put_relation(w, "ge", p->name, pb_strz(from));
	put_plain(w, ", ");
	put_relation(w, p->circular ? "lt" : "le", p->name, pb_strz(to));
	put_plain(w, ")");
	return sentence_end(s, err);
}

static int write_part(struct writing *w, struct sentence *s, const struct part *p, struct pb_error *err)
{
	static const struct { const char *word, *relation; } relations[] = { { "is", "eq" }, { "before", "lt" }, { "after", "gt" } };
	char value[16];

	if (sentence_take(s, "between"))
		return write_between(w, s, p, err);
	for (size_t i = p->circular; i < sizeof relations / sizeof *relations; i++) {
		if (!sentence_take(s, relations[i].word))
			continue;
		if (next_value(s, p, value, err))
			return err->code;
		/* "after 18:00" begins with 18:00:00. */
		put_relation(w, p->circular && i == 2 ? "ge" : relations[i].relation, p->name, pb_strz(value));
		return sentence_end(s, err);
	}
	return pb_fail(err, PB_EINVALID, "behind '%.*s' one of these is wanted: %sbefore, after, between", PB_FMT(sentence_said(s)), p->circular ? "" : "is, ");
}

/* ---- dates and times ---- */

/* Digits where the form has "0", the same bytes elsewhere. */
static bool has_form(struct pb_str s, const char *form)
{
	if (s.len != strlen(form))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (form[i] == '0' ? !pb_is_digit(s.ptr[i]) : s.ptr[i] != form[i])
			return false;
	return true;
}

static unsigned two_digits(struct pb_str s, size_t at)
{
	return (unsigned)(s.ptr[at] - '0') * 10 + (unsigned)(s.ptr[at + 1] - '0');
}

static bool read_date(struct pb_str word, char out[16])
{
	if (!has_form(word, "0000-00-00") || two_digits(word, 5) - 1 > 11 || two_digits(word, 8) - 1 > 30)
		return false;
	memcpy(out, word.ptr, word.len);
	out[word.len] = '\0';
	return true;
}

static bool read_time(struct pb_str word, char out[16])
{
	if (!has_form(word, "00:00") || two_digits(word, 0) > 23 || two_digits(word, 3) > 59)
		return false;
	memcpy(out, word.ptr, word.len);
	memcpy(out + word.len, ":00", 4);
	return true;
}

int date_write(struct writing *w, struct sentence *s, struct pb_error *err)
{
	static const struct part date = { "date", "2026-12-24", read_date, false };

	return write_part(w, s, &date, err);
}

int time_write(struct writing *w, struct sentence *s, struct pb_error *err)
{
	static const struct part time = { "time", "18:00", read_time, true };

	return write_part(w, s, &time, err);
}

/* ---- weekdays ---- */

static int next_day(struct sentence *s, int *ret, struct pb_error *err)
{
	static const char *const days[] = { "sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday" };
	struct pb_str word = PB_NOSTR;

	sentence_word(s, &word);
	for (int i = 0; i < 7; i++) {
		if (word.len >= 3 && pb_str_istarts(pb_strz(days[i]), word)) {
			*ret = i;
			return 0;
		}
	}
	return pb_fail(err, PB_EINVALID, "'%.*s' is no weekday: sun, mon, tue, wed, thu, fri, sat", PB_FMT(pb_str_head(word, 40)));
}

int weekday_write(struct writing *w, struct sentence *s, struct pb_error *err)
{
	static const char digits[] = "0123456";
	struct pb_str keys[7];
	bool wanted[7] = { false };
	size_t n = 0;
	int day, last;

	if (sentence_take(s, "between")) {
		if (next_day(s, &day, err))
			return err->code;
		if (!sentence_take(s, "and"))
			return pb_fail(err, PB_EINVALID, "behind '%.*s' comes 'and' and another weekday", PB_FMT(sentence_said(s)));
		if (next_day(s, &last, err))
			return err->code;
		for (wanted[day] = true; day != last; wanted[day] = true)
			day = (day + 1) % 7;
	} else if (sentence_take(s, "is")) {
		do {
			if (next_day(s, &day, err))
				return err->code;
			wanted[day] = true;
		} while (sentence_take(s, "or"));
	} else {
		return pb_fail(err, PB_EINVALID, "behind '%.*s' one of these is wanted: is, between", PB_FMT(sentence_said(s)));
	}
	for (int i = 0; i < 7; i++)
		if (wanted[i])
			keys[n++] = pb_str(digits + i, 1);
	w->needs |= NEED_DATE;
	put_plain(w, "currentdate \"weekday\" ");
	put_texts(w, keys, n);
	return sentence_end(s, err);
}
