/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Numbers in rows and keys: big-endian where order matters, little-endian elsewhere, varints where most are small. */
#ifndef KERNEL_STORE_PACK_H
#define KERNEL_STORE_PACK_H

#include <string.h>

#include <postbus/str.h>

#include "kernel/store/engine.h"

enum { VARINT_MAX = 10, ID_PACKED_MAX = 4 + 5 * VARINT_MAX };

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

/* At most VARINT_MAX bytes. */
static inline char *pack_var(char *p, uint64_t v)
{
	for (; v >= 128; v >>= 7)
		*p++ = (char)(v | 128);
	*p++ = (char)v;
	return p;
}

static inline void pack_varint(struct pb_buf *out, uint64_t v)
{
	char bytes[VARINT_MAX];

	pb_buf_add(out, bytes, (size_t)(pack_var(bytes, v) - bytes));
}

/* False at the end of the bytes or for more than 64 bits. Most are of one or two bytes, and thousands come after each other. */
static inline bool unpack_varint(struct pb_str *rest, uint64_t *ret)
{
	const unsigned char *p = (const unsigned char *)rest->ptr;
	size_t n = rest->len < VARINT_MAX ? rest->len : VARINT_MAX, i = 0;
	uint64_t v = 0;

	if (n >= 2 && !(p[0] & 128 & p[1])) {
		i = p[0] < 128 ? 1 : 2;
		*ret = i == 1 ? p[0] : (uint64_t)(p[0] & 127) | (uint64_t)p[1] << 7;
		*rest = (struct pb_str){ rest->ptr + i, rest->len - i };
		return true;
	}
	while (i < n) {
		v |= (uint64_t)(p[i] & 127) << (7 * i);
		if (p[i++] < 128) {
			*ret = v;
			*rest = (struct pb_str){ rest->ptr + i, rest->len - i };
			return true;
		}
	}
	return false;
}

/* A body's id in half its size: at most ID_PACKED_MAX bytes. */
static inline char *pack_id(char *p, const struct body_id *id)
{
	for (int i = 0; i < 4; i++)
		*p++ = (char)(id->random >> 8 * i);
	p = pack_var(p, id->segment);
	p = pack_var(p, id->offset);
	p = pack_var(p, id->facts_offset);
	p = pack_var(p, id->facts_len);
	return pack_var(p, id->size);
}

static inline bool unpack_id(struct pb_str *rest, struct body_id *ret)
{
	uint64_t segment, facts_offset, facts_len;

	if (rest->len < 4)
		return false;
	memset(ret, 0, sizeof *ret);
	for (int i = 0; i < 4; i++)
		ret->random |= (uint32_t)(unsigned char)rest->ptr[i] << 8 * i;
	*rest = pb_str_skip(*rest, 4);
	if (!unpack_varint(rest, &segment) || !unpack_varint(rest, &ret->offset) || !unpack_varint(rest, &facts_offset) || !unpack_varint(rest, &facts_len) ||
	    !unpack_varint(rest, &ret->size) || segment > UINT32_MAX || facts_offset > UINT32_MAX || facts_len > UINT32_MAX)
		return false;
	ret->segment = (uint32_t)segment;
	ret->facts_offset = (uint32_t)facts_offset;
	ret->facts_len = (uint32_t)facts_len;
	return true;
}

#endif
