/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzz target: line framing, dot-terminated data and PROXY headers, each against a slow and obvious twin, and cut into pieces at random.
 * The first four bytes choose framing and cuts; the rest is what the network says.
 */
#include <stdio.h>
#include <stdlib.h>
#include "kernel/session/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(what) do { if (!(what)) { fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what); abort(); } } while (0)

static uint32_t seed;

static size_t next_cut(size_t left)
{
	seed = seed * 1664525 + 1013904223;
	return 1 + (seed >> 16) % (left < 7 ? left : 7);
}

/* ---- dots ---- */

struct sink {
	struct pb_buf bytes;
	bool done, bad;
	size_t used;
};

static void put(void *arg, const char *ptr, size_t len)
{
	struct sink *s = arg;

	pb_buf_add(&s->bytes, ptr, len);
}

/* One byte at a time over whole lines, as RFC 5321 4.5.2 reads. */
static void plain_dot(const char *p, size_t n, struct sink *s)
{
	for (size_t at = 0; at < n;) {
		size_t end = at;
		bool whole = false;

		while (end < n && !whole) {
			whole = p[end] == '\r' && end + 1 < n && p[end + 1] == '\n';
			end += whole ? 2 : 1;
		}
		if (whole && end - at == 3 && p[at] == '.') {
			s->done = true;
			s->used = end;
			return;
		}
		for (size_t i = at; i < (whole ? end - 2 : end); i++) {
			bool last = i + 1 == n;

			if (p[i] == '\0' || p[i] == '\n' || (p[i] == '\r' && !last))
				s->bad = true;
		}
		if (p[at] == '.')
			at++;
		pb_buf_add(&s->bytes, p + at, end - at);
		at = end;
	}
}

static void cut_dot(const char *p, size_t n, struct sink *s)
{
	struct dot d = DOT_START;
	size_t at = 0, seen = 0;

	while (!d.done && seen < n) {
		size_t used;

		seen += next_cut(n - seen);
		used = dot_scan(&d, p + at, seen - at, put, s);
		MUST(used <= seen - at);
		at += used;
		MUST(d.done || seen - at <= 2);	/* never keeps more than it has to */
	}
	s->done = d.done;
	s->bad = d.bad;
	s->used = at;
}

static void dots(const char *p, size_t n)
{
	struct sink want = { .bytes = PB_BUF }, got = { .bytes = PB_BUF };

	plain_dot(p, n, &want);
	cut_dot(p, n, &got);
	MUST(want.done == got.done);
	if (want.done) {
		MUST(want.used == got.used);
		MUST(want.bad == got.bad);
		if (!want.bad)
			MUST(pb_str_eq(pb_buf_str(&want.bytes), pb_buf_str(&got.bytes)));
	}
	pb_buf_free(&want.bytes);
	pb_buf_free(&got.bytes);
}

/* ---- lines: what is said about them must not depend on the cuts ---- */

static void tell(struct pb_buf *out, enum frame f, struct pb_str line)
{
	pb_buf_addf(out, "%d:", (int)f);
	pb_buf_add(out, line.ptr, line.len);
	pb_buf_addc(out, '|');
}

static void read_lines(const char *p, size_t n, size_t max, unsigned framing, bool cut, struct pb_buf *out)
{
	size_t at = 0, seen = cut ? 0 : n;
	bool skipping = false;

	for (;;) {
		struct pb_str line = PB_NOSTR;
		size_t used = 0;
		enum frame f = FRAME_MORE;

		if (skipping)
			skipping = !frame_skip(p + at, seen - at, framing, &used);
		at += used;
		if (!skipping) {
			f = frame_line(p + at, seen - at, max, framing, &line, &used, &skipping);
			MUST(used <= seen - at);
			MUST((f == FRAME_MORE) == (used == 0));
			at += used;
			MUST(line.len <= max);
		}
		if (f != FRAME_MORE) {
			tell(out, f, f == FRAME_BAD ? PB_NOSTR : line);
			continue;
		}
		if (seen == n)
			return;
		seen += next_cut(n - seen);
	}
}

static void lines(const char *p, size_t n, size_t max, unsigned framing)
{
	struct pb_buf whole = PB_BUF, cut = PB_BUF;

	read_lines(p, n, max, framing, false, &whole);
	read_lines(p, n, max, framing, true, &cut);
	MUST(pb_str_eq(pb_buf_str(&whole), pb_buf_str(&cut)));
	pb_buf_free(&whole);
	pb_buf_free(&cut);
}

/* ---- PROXY: more bytes never change what fewer decided ---- */

static void proxies(const char *p, size_t n)
{
	struct proxy_header h;
	int decided = 0;

	for (size_t seen = 0; seen <= n && seen <= PROXY_MAX + 10; seen++) {
		int len = proxy_parse(p, seen, &h);

		MUST(len <= (int)seen);
		if (decided)
			MUST(len == decided);
		else
			decided = len;
		MUST(seen < PROXY_MAX || len != 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy;	/* of exact size, so that reading past the end is seen */
	size_t n;

	if (size < 4 || size > 65536)
		return 0;
	seed = (uint32_t)data[2] << 8 | data[3];
	n = size - 4;
	copy = pb_alloc(n);
	memcpy(copy, data + 4, n);
	dots(copy, n);
	lines(copy, n, 16 + data[1], data[0] & 3);
	proxies(copy, n);
	free(copy);
	return 0;
}
