/* SPDX-License-Identifier: Apache-2.0 */
/* The pass over body bytes: line ends counted, lines that may be boundaries found, unusual bytes noticed. Knows no MIME. */
#include "mail.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* One byte after the other: the tail, and other processors. */
static size_t take_bytes(struct census *c, const char *p, size_t from, size_t len, bool dashes)
{
	for (size_t i = from; i < len; i++) {
		char ch = p[i];

		if (ch == '\n') {
			c->lines++;
			if (!c->cr)
				c->flags |= PB_FACTS_BARE;
			c->cr = false;
			if (dashes && len - i > 2 && p[i + 1] == '-' && p[i + 2] == '-')
				return i + 1;
			continue;
		}
		if (c->cr)
			c->flags |= PB_FACTS_BARE;
		c->cr = ch == '\r';
		if (ch < 0)
			c->flags |= PB_FACTS_8BIT;
		else if (!ch)
			c->flags |= PB_FACTS_NUL;
	}
	return len;
}

#ifdef __SSE2__

/* What 16 bytes at a time gather; lines in bytes of a vector, emptied before one can overflow. */
struct gather {
	__m128i lines, high, nul;
	unsigned bare, cr;
	unsigned rounds;
	uint64_t total;
};

static inline void empty_lines(struct gather *g)
{
	__m128i sums = _mm_sad_epu8(g->lines, _mm_setzero_si128());

	g->total += (uint64_t)_mm_cvtsi128_si64(sums) + (uint64_t)_mm_cvtsi128_si64(_mm_srli_si128(sums, 8));
	g->lines = _mm_setzero_si128();
	g->rounds = 0;
}

static void finish(struct census *c, struct gather *g)
{
	empty_lines(g);
	c->lines += g->total;
	c->cr = g->cr;
	if (g->bare)
		c->flags |= PB_FACTS_BARE;
	if (_mm_movemask_epi8(g->high))
		c->flags |= PB_FACTS_8BIT;
	if (_mm_movemask_epi8(g->nul))
		c->flags |= PB_FACTS_NUL;
}

size_t census_take(struct census *c, const char *p, size_t len, bool dashes)
{
	const __m128i lf = _mm_set1_epi8('\n'), ret = _mm_set1_epi8('\r'), zero = _mm_setzero_si128();
	struct gather g = { zero, zero, zero, 0, c->cr, 0, 0 };
	size_t i = 0;

	/* two bytes behind a line end are looked at: they exist while a whole vector follows */
	for (; i + 32 <= len; i += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
		__m128i is_lf = _mm_cmpeq_epi8(v, lf);
		unsigned mask = (unsigned)_mm_movemask_epi8(is_lf), crs = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, ret));

		if (mask && dashes)
			for (unsigned m = mask; m; m &= m - 1) {
				size_t at = i + (unsigned)__builtin_ctz(m);

				if (p[at + 1] == '-' && p[at + 2] == '-') {
					finish(c, &g);
					return take_bytes(c, p, i, at + 3, true);
				}
			}
		g.bare |= ((crs << 1 | g.cr) ^ mask) & 0xFFFF;
		g.cr = crs >> 15;
		g.lines = _mm_sub_epi8(g.lines, is_lf);
		g.high = _mm_or_si128(g.high, v);
		g.nul = _mm_or_si128(g.nul, _mm_cmpeq_epi8(v, zero));
		if (++g.rounds == 255)
			empty_lines(&g);
	}
	finish(c, &g);
	return take_bytes(c, p, i, len, dashes);
}

#else

size_t census_take(struct census *c, const char *p, size_t len, bool dashes)
{
	return take_bytes(c, p, 0, len, dashes);
}

#endif
