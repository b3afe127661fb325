/* SPDX-License-Identifier: Apache-2.0 */
/* The layout of a blob of facts: a head, a record for every part, then texts. Private; a change of it changes the magic's last byte. */
#ifndef POSTBUS_FACTS_H
#define POSTBUS_FACTS_H

#include <postbus/message.h>

#define FACTS_MAGIC "PBF\001"
_Static_assert(PB_FACTS_VERSION == 1, "the magic says so");

enum {	/* offsets in the head; what an offset points to counts from the start of the blob */
	HEAD_TOTAL = 4, HEAD_FLAGS = 8, HEAD_COUNT = 12, HEAD_SIZE = 16, HEAD_LINES = 24, HEAD_ZONE = 28, HEAD_DATE = 32, HEAD_UNCOVERED = 40,
	HEAD_FIELDS = 48, HEAD_FIELDS_LEN = 52, HEAD_ENVELOPE = 56, HEAD_ENVELOPE_LEN = 60, HEAD_STRUCTURE = 64, HEAD_STRUCTURE_LEN = 68,
	HEAD_NAMES = 72,	/* one byte: how many names of fields the maker knew */
	HEAD_HAS_DATE = 73,
	HEAD = 76
};

enum {	/* offsets in a record; texts count from the start of BODYSTRUCTURE */
	REC_HEADER = 0, REC_HEADER_LEN = 4, REC_BODY = 8, REC_BODY_LEN = 12, REC_LINES = 16, REC_END = 20, REC_CHILDREN = 24, REC_TYPE = 28,
	REC_CHARSET = 32, REC_EXT = 36, REC_EXT_END = 40, REC_TYPE_LEN = 44, REC_SUBTYPE_LEN = 45, REC_CHARSET_LEN = 46,
	REC_BITS = 47,		/* kind 2, encoding 3, attached 1, top 1 */
	REC_DEPTH = 48,
	RECORD = 52
};

static inline void put32(uint8_t *to, uint32_t n)
{
	to[0] = (uint8_t)n;
	to[1] = (uint8_t)(n >> 8);
	to[2] = (uint8_t)(n >> 16);
	to[3] = (uint8_t)(n >> 24);
}

static inline uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void put64(uint8_t *to, uint64_t n)
{
	put32(to, (uint32_t)n);
	put32(to + 4, (uint32_t)(n >> 32));
}

static inline uint64_t get64(const uint8_t *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

#endif
