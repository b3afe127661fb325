/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a segment's bytes mean: headers, checks, the walk from record to record. Pure functions of bytes that may be anything; files are segment.c's.
 */
#include "kernel/store/segment.h"

#include <inttypes.h>

#define SEGMENT_MAGIC "PBSEGMNT"
#define RECORD_MAGIC 0x31726250u	/* "Pbr1" */

void segment_header_pack(unsigned char bytes[SEGMENT_HEADER], uint32_t number)
{
	memset(bytes, 0, SEGMENT_HEADER);
	memcpy(bytes, SEGMENT_MAGIC, 8);
	le32_put(bytes + 8, SEGMENT_FORMAT);
	le32_put(bytes + 12, number);
	le32_put(bytes + 60, pb_crc32c(0, bytes, 60));
}

int segment_header_unpack(const void *bytes, size_t len, uint32_t *ret_number, struct pb_error *err)
{
	const unsigned char *p = bytes;

	if (len < SEGMENT_HEADER || memcmp(p, SEGMENT_MAGIC, 8) != 0)
		return pb_fail(err, PB_ECORRUPT, "it does not begin like a segment");
	if (le32_get(p + 60) != pb_crc32c(0, p, 60))
		return pb_fail(err, PB_ECORRUPT, "its header fails its check");
	if (le32_get(p + 8) > SEGMENT_FORMAT)
		return pb_fail(err, PB_EINVALID, "its format is %" PRIu32 ", newer than this program's %d", le32_get(p + 8), SEGMENT_FORMAT);
	*ret_number = le32_get(p + 12);
	return 0;
}

void record_pack(unsigned char bytes[RECORD_HEADER], const struct record *r)
{
	le32_put(bytes, RECORD_MAGIC);
	le32_put(bytes + 4, 0);		/* coding: the body as it was received */
	le64_put(bytes + 8, r->size);
	le64_put(bytes + 16, r->offset);
	le32_put(bytes + 24, r->segment);
	le32_put(bytes + 28, r->random);
	le32_put(bytes + 32, r->body_crc);
	le32_put(bytes + 36, r->facts_offset);
	le32_put(bytes + 40, r->facts_len);
	le32_put(bytes + 44, pb_crc32c(0, bytes, 44));
}

bool record_at(const void *bytes, size_t len, uint32_t segment, uint64_t offset, struct record *ret)
{
	const unsigned char *p = bytes;

	if (offset % RECORD_ALIGN || offset < SEGMENT_HEADER || offset > len || len - offset < RECORD_HEADER)
		return false;
	p += offset;
	if (le32_get(p) != RECORD_MAGIC || le32_get(p + 4) != 0 || le32_get(p + 44) != pb_crc32c(0, p, 44))
		return false;
	struct record r = {
		.size = le64_get(p + 8), .offset = le64_get(p + 16), .segment = le32_get(p + 24), .random = le32_get(p + 28), .body_crc = le32_get(p + 32),
		.facts_offset = le32_get(p + 36), .facts_len = le32_get(p + 40),
	};
	/* A recycled file still holds records of the segment that it was before. */
	if (r.segment != segment || r.offset != offset || r.size > len - offset - RECORD_HEADER)
		return false;
	*ret = r;
	return true;
}

bool record_body_good(const void *bytes, const struct record *r)
{
	return pb_crc32c(0, (const char *)bytes + r->offset + RECORD_HEADER, r->size) == r->body_crc;
}

uint64_t record_room(uint64_t size)
{
	return (RECORD_HEADER + size + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
}

uint64_t segment_walk(const void *bytes, size_t len, uint32_t segment, uint64_t from, void (*each)(void *arg, const struct record *r), void *arg)
{
	struct record r;

	while (record_at(bytes, len, segment, from, &r)) {
		if (each)
			each(arg, &r);
		from += record_room(r.size);
	}
	return from;
}
