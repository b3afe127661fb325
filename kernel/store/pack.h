/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Numbers in rows and keys: big-endian where order matters, little-endian elsewhere, varints where most are small. */
#ifndef KERNEL_STORE_PACK_H
#define KERNEL_STORE_PACK_H

#include <postbus/str.h>

static inline char *pack_be32(char *p, uint32_t v)
{
	for (int i = 3; i >= 0; i--)
		*p++ = (char)(v >> (8 * i));
	return p;
}

static inline char *pack_be64(char *p, uint64_t v)
{
	return pack_be32(pack_be32(p, (uint32_t)(v >> 32)), (uint32_t)v);
}

static inline uint32_t unpack_be32(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;

	return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

static inline uint64_t unpack_be64(const char *p)
{
	return (uint64_t)unpack_be32(p) << 32 | unpack_be32(p + 4);
}

static inline void pack_varint(struct pb_buf *out, uint64_t v)
{
	char bytes[10];
	size_t n = 0;

	for (; v >= 128; v >>= 7)
		bytes[n++] = (char)(v | 128);
	bytes[n++] = (char)v;
	pb_buf_add(out, bytes, n);
}

/* False at the end of the bytes or for more than 64 bits. */
static inline bool unpack_varint(struct pb_str *rest, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64 && rest->len; shift += 7) {
		unsigned char c = (unsigned char)*rest->ptr;

		*rest = pb_str(rest->ptr + 1, rest->len - 1);
		v |= (uint64_t)(c & 127) << shift;
		if (!(c & 128)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

#endif
