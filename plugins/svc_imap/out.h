/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Output of many small pieces straight into the stream's own buffer. Errors stick in the stream: when it is dead the bytes go to a scratch area and nowhere.
 */
#ifndef SVC_IMAP_OUT_H
#define SVC_IMAP_OUT_H

#include <postbus/session.h>

enum { OUT_ROOM = 4096 };	/* asked for at a time; out_need takes at most as much */

struct out {
	struct pb_session *s;
	char *start, *p, *end;
	char *scratch;
};

struct out out_start(struct pb_session *s);
void out_more(struct out *o);		/* at least OUT_ROOM bytes */
void out_end(struct out *o);		/* before anything else is put, and at the end */
void out_big(struct out *o, const char *ptr, size_t len);

static inline void out_need(struct out *o, size_t n)
{
	if ((size_t)(o->end - o->p) < n)
		out_more(o);
}

static inline void out_bytes(struct out *o, const char *ptr, size_t len)
{
	if ((size_t)(o->end - o->p) < len) {
		out_big(o, ptr, len);
		return;
	}
	if (len)
		memcpy(o->p, ptr, len);
	o->p += len;
}

#define out_lit(o, literal) out_bytes((o), "" literal, sizeof(literal) - 1)

static inline void out_str(struct out *o, struct pb_str v)
{
	out_bytes(o, v.ptr, v.len);
}

static inline void out_u64(struct out *o, uint64_t n)
{
	char digits[20];
	size_t i = sizeof digits;

	do {
		digits[--i] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	out_bytes(o, digits + i, sizeof digits - i);
}

/* Two digits at a time; the room is there (out_need). */
static inline char *out_digits(char *p, uint32_t n)
{
	static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657585960616263646566676869"
				    "707172737475767778798081828384858687888990919293949596979899";
	unsigned len = n < 10 ? 1 : n < 100 ? 2 : n < 1000 ? 3 : n < 10000 ? 4 : n < 100000 ? 5 : n < 1000000 ? 6 : n < 10000000 ? 7 : n < 100000000 ? 8 :
		       n < 1000000000 ? 9 : 10;
	char *q = p + len;

	while (n >= 100) {
		q -= 2;
		memcpy(q, pairs + n % 100 * 2, 2);
		n /= 100;
	}
	if (n >= 10)
		memcpy(q - 2, pairs + n * 2, 2);
	else
		q[-1] = (char)('0' + n);
	return p + len;
}

static inline void out_u32(struct out *o, uint32_t n)
{
	out_need(o, 10);
	o->p = out_digits(o->p, n);
}

#endif
