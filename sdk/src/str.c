/* SPDX-License-Identifier: Apache-2.0 */
/* Views: comparison, search, splitting, numbers. Bytes and ASCII only; leaves ownership to buffers and arenas. */
#include <stdlib.h>
#include <postbus/secret.h>
#include <postbus/str.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

int pb_str_cmp(struct pb_str a, struct pb_str b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int order = n ? memcmp(a.ptr, b.ptr, n) : 0;

	return order ? order : (a.len > b.len) - (a.len < b.len);
}

int pb_str_icmp(struct pb_str a, struct pb_str b)
{
	size_t n = a.len < b.len ? a.len : b.len;

	for (size_t i = 0; i < n; i++) {
		int order = pb_lower((unsigned char)a.ptr[i]) - pb_lower((unsigned char)b.ptr[i]);

		if (order)
			return order;
	}
	return (a.len > b.len) - (a.len < b.len);
}

bool pb_str_ieq(struct pb_str a, struct pb_str b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (a.ptr[i] != b.ptr[i] && pb_lower((unsigned char)a.ptr[i]) != pb_lower((unsigned char)b.ptr[i]))
			return false;
	return true;
}

bool pb_str_starts(struct pb_str s, struct pb_str prefix)
{
	return s.len >= prefix.len && pb_str_eq(pb_str(s.ptr, prefix.len), prefix);
}

bool pb_str_istarts(struct pb_str s, struct pb_str prefix)
{
	return s.len >= prefix.len && pb_str_ieq(pb_str(s.ptr, prefix.len), prefix);
}

bool pb_str_ends(struct pb_str s, struct pb_str suffix)
{
	return s.len >= suffix.len && pb_str_eq(pb_str(s.ptr + (s.len - suffix.len), suffix.len), suffix);
}

bool pb_str_iends(struct pb_str s, struct pb_str suffix)
{
	return s.len >= suffix.len && pb_str_ieq(pb_str(s.ptr + (s.len - suffix.len), suffix.len), suffix);
}

long pb_str_find(struct pb_str s, char c, size_t from)
{
	const char *hit = from < s.len ? memchr(s.ptr + from, c, s.len - from) : NULL;

	return hit ? (long)(hit - s.ptr) : -1;
}

long pb_str_search(struct pb_str s, struct pb_str needle, size_t from)
{
	const char *hit;

	if (!needle.len)
		return from <= s.len ? (long)from : -1;
	hit = from < s.len ? memmem(s.ptr + from, s.len - from, needle.ptr, needle.len) : NULL;
	return hit ? (long)(hit - s.ptr) : -1;
}

#ifdef __SSE2__
/* Candidates are where the first and the last byte fit, 16 places at a time: nothing that a text repeats can make it slow. */
static long isearch_blocks(const char *p, size_t len, struct pb_str needle, size_t *from)
{
	int first = pb_lower((unsigned char)needle.ptr[0]), last = pb_lower((unsigned char)needle.ptr[needle.len - 1]);
	const __m128i first_low = _mm_set1_epi8((char)first), first_up = _mm_set1_epi8((char)pb_upper(first));
	const __m128i last_low = _mm_set1_epi8((char)last), last_up = _mm_set1_epi8((char)pb_upper(last));
	size_t i = *from;

	for (; i + needle.len - 1 + 16 <= len; i += 16) {
		__m128i a = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
		__m128i b = _mm_loadu_si128((const __m128i *)(const void *)(p + i + needle.len - 1));
		__m128i hit = _mm_and_si128(_mm_or_si128(_mm_cmpeq_epi8(a, first_low), _mm_cmpeq_epi8(a, first_up)),
					    _mm_or_si128(_mm_cmpeq_epi8(b, last_low), _mm_cmpeq_epi8(b, last_up)));

		for (unsigned mask = (unsigned)_mm_movemask_epi8(hit); mask; mask &= mask - 1) {
			size_t at = i + (unsigned)__builtin_ctz(mask);

			if (pb_str_ieq(pb_str(p + at, needle.len), needle))
				return (long)at;
		}
	}
	*from = i;
	return -1;
}
#endif

long pb_str_isearch(struct pb_str s, struct pb_str needle, size_t from)
{
	if (needle.len == 0)
		return from <= s.len ? (long)from : -1;
#ifdef __SSE2__
	if (needle.len <= s.len) {
		long at = isearch_blocks(s.ptr, s.len, needle, &from);

		if (at >= 0)
			return at;
	}
#endif
	for (; from < s.len && needle.len <= s.len - from; from++)
		if (pb_lower((unsigned char)s.ptr[from]) == pb_lower((unsigned char)needle.ptr[0]) && pb_str_ieq(pb_str(s.ptr + from, needle.len), needle))
			return (long)from;
	return -1;
}

struct pb_str pb_str_skip(struct pb_str s, size_t n)
{
	return n >= s.len ? pb_str(s.ptr ? s.ptr + s.len : NULL, 0) : pb_str(s.ptr + n, s.len - n);
}

struct pb_str pb_str_head(struct pb_str s, size_t n)
{
	return pb_str(s.ptr, n < s.len ? n : s.len);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct pb_str pb_str_trim(struct pb_str s)
{
	while (s.len && is_space(s.ptr[0]))
		s = pb_str_skip(s, 1);
	while (s.len && is_space(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

bool pb_str_cut(struct pb_str *rest, char sep, struct pb_str *ret_part)
{
	long at;

	if (!rest->ptr)
		return false;
	at = pb_str_find(*rest, sep, 0);
	if (at < 0) {
		*ret_part = *rest;
		*rest = PB_NOSTR;
	} else {
		*ret_part = pb_str_head(*rest, (size_t)at);
		*rest = pb_str(rest->ptr + at + 1, rest->len - (size_t)at - 1);
	}
	return true;
}

bool pb_str_word(struct pb_str *rest, struct pb_str *ret_word)
{
	size_t n = 0;

	while (rest->len && pb_is_blank(rest->ptr[0]))
		*rest = pb_str_skip(*rest, 1);
	if (!rest->len)
		return false;
	while (n < rest->len && !pb_is_blank(rest->ptr[n]))
		n++;
	*ret_word = pb_str_head(*rest, n);
	*rest = pb_str_skip(*rest, n);
	return true;
}

int pb_str_u64(struct pb_str s, uint64_t max, uint64_t *ret)
{
	uint64_t n = 0;

	if (!s.len)
		return PB_EINVALID;
	for (size_t i = 0; i < s.len; i++) {
		if (!pb_is_digit((unsigned char)s.ptr[i]))
			return PB_EINVALID;
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(s.ptr[i] - '0'), &n))
			n = UINT64_MAX;	/* go on: what is no digit is worse than what is too big */
	}
	if (n > max)
		return PB_ETOOBIG;
	*ret = n;
	return 0;
}

char *pb_str_dup(struct pb_str s)
{
	char *z = pb_alloc(s.len + 1);

	if (s.len)
		memcpy(z, s.ptr, s.len);
	return z;
}

bool pb_str_eq_secret(struct pb_str a, struct pb_str b)
{
	volatile unsigned char differs = a.len != b.len;

	for (size_t i = 0; i < a.len; i++)
		differs |= (unsigned char)(a.ptr[i] ^ (b.len ? b.ptr[i % b.len] : 1));
	return !differs;
}

bool pb_utf8_valid(struct pb_str s)
{
	const unsigned char *p = (const unsigned char *)s.ptr, *end = s.len ? p + s.len : p;

	while (p < end) {
		unsigned char low = 0x80, high = 0xBF;
		int more;

		if (*p < 0x80) {
			p++;
			continue;
		}
		if (*p >= 0xC2 && *p <= 0xDF)
			more = 1;
		else if (*p >= 0xE0 && *p <= 0xEF)
			more = 2;
		else if (*p >= 0xF0 && *p <= 0xF4)
			more = 3;
		else
			return false;
		if (end - p <= more)
			return false;
		switch (*p) {	/* the second byte: no overlong forms, no surrogates, nothing above U+10FFFF */
		case 0xE0:
			low = 0xA0;
			break;
		case 0xED:
			high = 0x9F;
			break;
		case 0xF0:
			low = 0x90;
			break;
		case 0xF4:
			high = 0x8F;
			break;
		}
		if (p[1] < low || p[1] > high)
			return false;
		for (int i = 2; i <= more; i++)
			if (p[i] < 0x80 || p[i] > 0xBF)
				return false;
		p += more + 1;
	}
	return true;
}
