/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Numbers and strings of byte code, written and read; reading never passes the end, and remembers that it had to stop. */
#ifndef SIEVE_READER_H
#define SIEVE_READER_H

#include "sieve/code.h"

struct reader {
	struct pb_str rest;
	bool failed;
};

static inline bool read_byte(struct reader *r, unsigned char *ret)
{
	if (!r->rest.len) {
		r->failed = true;
		return false;
	}
	*ret = (unsigned char)*r->rest.ptr;
	r->rest = pb_str(r->rest.ptr + 1, r->rest.len - 1);
	return true;
}

static inline bool read_number(struct reader *r, uint64_t *ret)
{
	uint64_t v = 0;
	unsigned char c;

	if (r->rest.len && (unsigned char)*r->rest.ptr < 128) {	/* most are small */
		*ret = (unsigned char)*r->rest.ptr;
		r->rest = pb_str(r->rest.ptr + 1, r->rest.len - 1);
		return true;
	}
	for (unsigned shift = 0; shift < 64 && read_byte(r, &c); shift += 7) {
		v |= (uint64_t)(c & 127) << shift;
		if (!(c & 128)) {
			*ret = v;
			return true;
		}
	}
	r->failed = true;
	return false;
}

static inline bool read_string(struct reader *r, struct pb_str *ret)
{
	uint64_t n;

	if (!read_number(r, &n) || n > r->rest.len) {
		r->failed = true;
		return false;
	}
	*ret = pb_str(r->rest.ptr, n);
	r->rest = pb_str(r->rest.ptr + n, r->rest.len - n);
	return true;
}

static inline void put_number(struct pb_buf *out, uint64_t v)
{
	for (; v >= 128; v >>= 7)
		pb_buf_addc(out, (char)(v | 128));
	pb_buf_addc(out, (char)v);
}

static inline void put_string(struct pb_buf *out, struct pb_str s)
{
	put_number(out, s.len);
	pb_buf_addstr(out, s);
}

/* Takes names and code over into one block. */
int program_make(const struct variable *variables, uint32_t n, struct pb_str code, struct sieve_program **ret);

#endif
