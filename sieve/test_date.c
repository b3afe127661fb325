/* SPDX-License-Identifier: GPL-3.0-or-later */
/* date and currentdate (RFC 5260): a moment, a zone to see it in, and one part of it as text. */
#include <postbus/date.h>
#include "sieve/machine.h"

/* "+0200" to minutes. */
static bool zone_parse(struct pb_str s, int *ret)
{
	uint64_t n;

	if (s.len != 5 || (s.ptr[0] != '+' && s.ptr[0] != '-') || pb_str_u64(pb_str_skip(s, 1), 9999, &n) || n % 100 > 59)
		return false;
	*ret = (int)(n / 100 * 60 + n % 100) * (s.ptr[0] == '-' ? -1 : 1);
	return true;
}

/* NULL: no such part. */
static const char *date_part(struct pb_arena *a, struct pb_str name, int64_t moment, int zone)
{
	int64_t local = moment + zone * INT64_C(60000000), day = pb_day_of(moment, zone), seconds = local / 1000000 - day * 86400;
	int year, month, mday, h, min, s, z = zone < 0 ? -zone : zone;
	char sign = zone < 0 ? '-' : '+', text[PB_DATE_MAX];

	if (local < 0 && local % 1000000)
		seconds--;
	pb_day_to_civil(day, &year, &month, &mday);
	h = (int)(seconds / 3600), min = (int)(seconds / 60 % 60), s = (int)(seconds % 60);
	if (pb_str_ieq(name, PB_STR("year")))
		return pb_arena_printf(a, "%04d", year);
	if (pb_str_ieq(name, PB_STR("month")))
		return pb_arena_printf(a, "%02d", month);
	if (pb_str_ieq(name, PB_STR("day")))
		return pb_arena_printf(a, "%02d", mday);
	if (pb_str_ieq(name, PB_STR("date")))
		return pb_arena_printf(a, "%04d-%02d-%02d", year, month, mday);
	if (pb_str_ieq(name, PB_STR("julian")))
		return pb_arena_printf(a, "%lld", (long long)day + 40587);
	if (pb_str_ieq(name, PB_STR("hour")))
		return pb_arena_printf(a, "%02d", h);
	if (pb_str_ieq(name, PB_STR("minute")))
		return pb_arena_printf(a, "%02d", min);
	if (pb_str_ieq(name, PB_STR("second")))
		return pb_arena_printf(a, "%02d", s);
	if (pb_str_ieq(name, PB_STR("time")))
		return pb_arena_printf(a, "%02d:%02d:%02d", h, min, s);
	if (pb_str_ieq(name, PB_STR("iso8601")))
		return pb_arena_printf(a, "%04d-%02d-%02dT%02d:%02d:%02d%c%02d:%02d", year, month, mday, h, min, s, sign, z / 60, z % 60);
	if (pb_str_ieq(name, PB_STR("zone")))
		return pb_arena_printf(a, "%c%02d%02d", sign, z / 60, z % 60);
	if (pb_str_ieq(name, PB_STR("weekday")))
		return pb_arena_printf(a, "%d", (int)(((day % 7) + 7 + 4) % 7));
	if (!pb_str_ieq(name, PB_STR("std11")))
		return NULL;
	pb_date_format(text, moment, zone);
	return pb_arena_printf(a, "%s", text);
}

/* The date-time of a field: what stands behind the last ";" (Received), or all of it. */
static struct pb_str date_text(struct pb_str value)
{
	for (size_t i = value.len; i > 0; i--)
		if (value.ptr[i - 1] == ';')
			return pb_str_trim(pb_str_skip(value, i));
	return pb_str_trim(value);
}

static bool give(struct matching *x, const struct call *c, enum slot part, int64_t moment, int zone)
{
	const char *text = date_part(x->m->arena, call_str(c, part), moment, zone);

	return !text || matching_value(x, pb_strz(text));
}

static bool zone_wanted(struct machine *m, const struct call *c, int64_t moment, int *ret)
{
	*ret = pb_zone_local(moment);
	if (!c->slots[S_ZONE].there || zone_parse(call_str(c, S_ZONE), ret))
		return true;
	return machine_fail(m, c->line, PB_EINVALID, "\"%.*s\" is no zone: \"+0200\" is one", PB_FMT(pb_str_head(call_str(c, S_ZONE), 40)));
}

static bool header_dates(struct matching *x, const struct call *c)
{
	struct pb_str *values, name = call_str(c, S_1);
	const struct list names = { .items = &name, .n = 1 };
	bool more = true;
	size_t n;

	if (c->slots[S_INDEX].there && !field_indexed(x, 0, &names, &name))
		return true;
	n = fields_chosen(x, 0, name, false, &values);
	for (size_t i = 0; i < n && more; i++) {
		int64_t moment;
		int zone, wanted;

		if (pb_date_parse(date_text(values[i]), &moment, &zone))
			continue;
		if (!zone_wanted(x->m, c, moment, &wanted))
			return false;
		more = give(x, c, S_2, moment, c->slots[S_ORIGINAL_ZONE].there ? zone : wanted);
	}
	return true;
}

bool test_date(struct machine *m, const struct call *c, bool *ret)
{
	struct matching x;
	int64_t now;
	int zone;

	matching_begin(&x, m, c, c->word == W_DATE ? S_3 : S_2);
	if (c->word == W_DATE)
		return header_dates(&x, c) && matching_end(&x, ret);
	now = m->world->now ? m->world->now(m->world->arg) : 0;
	if (!zone_wanted(m, c, now, &zone))
		return false;
	give(&x, c, S_1, now, zone);
	return matching_end(&x, ret);
}
