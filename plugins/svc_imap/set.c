/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sequence sets: read, put in order, asked, printed. Knows nothing of folders.
 */
#include <stdlib.h>
#include "set.h"

/* seq-number: nz-number or "*", which is 0 here. */
static bool seq_number(struct parse *p, uint32_t *ret)
{
	if (parse_take(p, '*')) {
		*ret = 0;
		return true;
	}
	if (!parse_u32(p, ret) || *ret == 0)
		return parse_fail(p, "Invalid message set");
	return true;
}

bool parse_set(struct parse *p, struct set *ret)
{
	const char *q = p->p;
	size_t room = 1;

	for (; q < p->end && (pb_is_digit(*q) || *q == ':' || *q == ',' || *q == '*'); q++)
		room += *q == ',';
	*ret = (struct set){ .ranges = pb_arena_alloc(p->arena, room * sizeof(struct range)) };
	do {
		struct range r;

		if (!seq_number(p, &r.from))
			return false;
		r.to = r.from;
		if (parse_take(p, ':') && !seq_number(p, &r.to))
			return false;
		ret->ranges[ret->n++] = r;
	} while (parse_take(p, ','));
	return true;
}

static int by_from(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

void set_resolve(struct set *s, uint32_t star)
{
	size_t n = 0;
	bool sorted = true;

	for (size_t i = 0; i < s->n; i++) {
		struct range r = s->ranges[i];

		if ((!r.from || !r.to) && !star)
			continue;
		r.from = r.from ? r.from : star;
		r.to = r.to ? r.to : star;
		if (r.from > r.to) {
			uint32_t swap = r.from;

			r.from = r.to;
			r.to = swap;
		}
		sorted = sorted && (n == 0 || s->ranges[n - 1].from <= r.from);
		s->ranges[n++] = r;
	}
	s->n = n;
	if (!sorted)
		qsort(s->ranges, n, sizeof *s->ranges, by_from);
	n = 0;
	for (size_t i = 0; i < s->n; i++) {
		struct range r = s->ranges[i];

		if (n && (uint64_t)r.from <= (uint64_t)s->ranges[n - 1].to + 1) {
			if (r.to > s->ranges[n - 1].to)
				s->ranges[n - 1].to = r.to;
		} else {
			s->ranges[n++] = r;
		}
	}
	s->n = n;
}

bool set_has(const struct set *s, uint32_t number)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (number > s->ranges[mid].to)
			low = mid + 1;
		else
			high = mid;
	}
	return low < s->n && number >= s->ranges[low].from;
}

uint64_t set_count(const struct set *s)
{
	uint64_t count = 0;

	for (size_t i = 0; i < s->n; i++)
		count += (uint64_t)s->ranges[i].to - s->ranges[i].from + 1;
	return count;
}

void set_print(struct pb_buf *out, const uint32_t *numbers, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t last = i;

		while (last + 1 < n && numbers[last + 1] == numbers[last] + 1)
			last++;
		if (i)
			pb_buf_addc(out, ',');
		pb_buf_addu(out, numbers[i]);
		if (last > i) {
			pb_buf_addc(out, ':');
			pb_buf_addu(out, numbers[last]);
		}
		i = last + 1;
	}
}
