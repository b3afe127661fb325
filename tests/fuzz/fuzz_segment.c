/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzzes what a start reads of a segment: its header and the walk from record to record, over bytes as they come and over bytes whose checks are made right.
 * Every record that the walk gives lies whole inside the segment, behind the one before.
 */
#include <stdlib.h>

#include "kernel/store/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(what) do { if (!(what)) __builtin_trap(); } while (0)

struct seen {
	const unsigned char *bytes;
	size_t len, n;
	uint64_t end;
};

static void see(void *arg, const struct record *r)
{
	struct seen *s = arg;

	MUST(r->offset == s->end && r->offset % RECORD_ALIGN == 0);
	MUST(r->offset + RECORD_HEADER <= s->len && r->size <= s->len - r->offset - RECORD_HEADER);
	MUST(r->segment == 7);
	record_body_good(s->bytes, r);
	s->end = r->offset + record_room(r->size);
	s->n++;
}

static size_t walk(const unsigned char *bytes, size_t len, uint64_t from)
{
	struct seen s = { bytes, len, 0, from };
	struct record r;
	uint64_t end = segment_walk(bytes, len, 7, from, see, &s);

	MUST(end == s.end);
	MUST(!record_at(bytes, len, 7, end, &r));
	return s.n;
}

/* Puts records where the input says, some of them with a field changed after the check was made, or with a size that lies. */
static void build(const uint8_t *data, size_t size, unsigned char *bytes, size_t len)
{
	uint64_t at = SEGMENT_HEADER;

	memset(bytes, 0, len);
	segment_header_pack(bytes, 7);
	for (size_t i = 0; i + 6 <= size && at + RECORD_HEADER <= len; i += 6) {
		struct record r = { .size = data[i] | data[i + 1] << 8, .offset = at, .segment = 7, .random = data[i + 2], .body_crc = data[i + 3] };

		if (data[i + 4] & 1)
			r.size = UINT64_MAX - r.size;
		if (data[i + 4] & 2)
			r.offset += data[i + 5] * 64;
		if (data[i + 4] & 4)
			r.segment = data[i + 5];
		record_pack(bytes + at, &r);
		if (data[i + 4] & 8)
			bytes[at + data[i + 5] % RECORD_HEADER] ^= data[i + 3];
		at += record_room(data[i] | data[i + 1] << 8);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t number;
	unsigned char *bytes = calloc(1, size ? size : 1);

	if (!bytes)
		return 0;
	/* A copy of just that size, so that a byte too far is seen. */
	if (size)
		memcpy(bytes, data, size);
	segment_header_unpack(bytes, size, &number, NULL);
	walk(bytes, size, SEGMENT_HEADER);
	if (size)
		walk(bytes, size, data[0] * 64ull);
	free(bytes);

	size_t len = size > 1 ? SEGMENT_HEADER + data[0] * 256 + data[1] : SEGMENT_HEADER;
	bytes = malloc(len);
	if (!bytes)
		return 0;
	build(data, size, bytes, len);
	MUST(segment_header_unpack(bytes, len, &number, NULL) == 0 && number == 7);
	walk(bytes, len, SEGMENT_HEADER);
	/* One good record is found, with its body. */
	unsigned char one[SEGMENT_HEADER + 128] = { 0 };
	struct record r = { .size = size % 80, .offset = SEGMENT_HEADER, .segment = 7 };
	if (size)
		memcpy(one + SEGMENT_HEADER + RECORD_HEADER, data, r.size < size ? r.size : size);
	r.body_crc = pb_crc32c(0, one + SEGMENT_HEADER + RECORD_HEADER, r.size);
	record_pack(one + SEGMENT_HEADER, &r);
	struct record back;
	MUST(walk(one, sizeof(one), SEGMENT_HEADER) == 1);
	MUST(record_at(one, sizeof(one), 7, SEGMENT_HEADER, &back) && record_body_good(one, &back));
	free(bytes);
	return 0;
}
