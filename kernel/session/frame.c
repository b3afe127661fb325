/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lines and dot-terminated data: where they end, and what is wrong with them. Pure; leaves I/O to input.c. */
#include "kernel/session/frame.h"

enum frame frame_line(const char *p, size_t n, size_t max, unsigned framing, struct pb_str *ret_line, size_t *ret_used, bool *ret_skip)
{
	size_t seen = n < max ? n : max, len;
	const char *lf = seen ? memchr(p, '\n', seen) : NULL;

	*ret_used = 0;
	*ret_skip = false;
	if (!lf) {
		if (n < max)
			return FRAME_MORE;
		/* a CR in the last place may belong to the line end: skipping has to see it */
		*ret_used = max && p[max - 1] == '\r' ? max - 1 : max;
		*ret_line = pb_str(p, max);
		*ret_skip = true;
		return FRAME_LONG;
	}
	len = (size_t)(lf - p);
	*ret_used = len + 1;
	*ret_line = pb_str(p, len);
	if (len && p[len - 1] == '\r') {
		ret_line->len--;
	} else if (!(framing & PB_LF_OK)) {
		/* it ends nothing: answered once, and all up to the strict end belongs to the same bad line */
		*ret_skip = true;
		return FRAME_BAD;
	}
	if (memchr(p, '\r', ret_line->len) || (!(framing & PB_NUL_OK) && memchr(p, '\0', ret_line->len)))
		return FRAME_BAD;
	return FRAME_LINE;
}

bool frame_skip(const char *p, size_t n, unsigned framing, size_t *ret_used)
{
	size_t at = 0;

	while (at < n) {
		const char *lf = memchr(p + at, '\n', n - at);

		if (!lf)
			break;
		at = (size_t)(lf - p) + 1;
		if ((framing & PB_LF_OK) || (lf > p && lf[-1] == '\r')) {
			*ret_used = at;
			return true;
		}
	}
	*ret_used = n && p[n - 1] == '\r' ? n - 1 : n;
	return false;
}

static void give(struct dot *d, const char *p, size_t len, void (*put)(void *arg, const char *ptr, size_t len), void *arg)
{
	if (!len || d->bad)
		return;
	if (memchr(p, '\0', len))
		d->bad = true;
	else
		put(arg, p, len);
}

/* The end of the line at p[at..n): where the next one starts, or n; false when a CR in the last place has to wait. *lf is kept between
 * calls, so that data full of bare CRs is searched for LF once. */
static bool line_end(struct dot *d, const char *p, size_t n, size_t *at, size_t *lf)
{
	const char *cr, *found;

	if (*lf < *at || *lf > n) {
		found = memchr(p + *at, '\n', n - *at);
		*lf = found ? (size_t)(found - p) : n;
	}
	cr = memchr(p + *at, '\r', *lf - *at);
	if (!cr) {
		if (*lf < n) {
			d->bad = true;
			*at = *lf + 1;
		} else {
			*at = n;
		}
		return true;
	}
	*at = (size_t)(cr - p);
	if (*at + 1 == n)
		return false;
	if (*at + 1 == *lf) {
		d->line_start = true;
		*at = *lf + 1;
	} else {
		d->bad = true;
		*at += 1;
	}
	return true;
}

size_t dot_scan(struct dot *d, const char *p, size_t n, void (*put)(void *arg, const char *ptr, size_t len), void *arg)
{
	size_t at = 0, from = 0, lf = SIZE_MAX;

	while (at < n) {
		if (d->line_start && p[at] == '.') {
			size_t left = n - at;

			if (left < 2 || (left < 3 && p[at + 1] == '\r'))
				break;
			give(d, p + from, at - from, put, arg);
			if (p[at + 1] == '\r' && p[at + 2] == '\n') {
				d->done = true;
				return at + 3;
			}
			from = ++at;
		}
		d->line_start = false;
		if (!line_end(d, p, n, &at, &lf))
			break;
	}
	give(d, p + from, at - from, put, arg);
	return at;
}
