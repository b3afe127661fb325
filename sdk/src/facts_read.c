/* SPDX-License-Identifier: Apache-2.0 */
/* Facts, the reading side: no offset in a blob is trusted, a damaged one gives nothing. Writing is facts.c. */
#include "facts.h"
#include "mail.h"

static const uint8_t *bytes(struct pb_str facts)
{
	return (const uint8_t *)facts.ptr;
}

bool pb_facts_valid(struct pb_str facts)
{
	const uint8_t *p = bytes(facts);
	uint32_t count;

	if (facts.len < HEAD || memcmp(p, FACTS_MAGIC, 4) || get32(p + HEAD_TOTAL) != facts.len)
		return false;
	count = get32(p + HEAD_COUNT);
	return count && count <= (facts.len - HEAD) / RECORD;
}

static struct pb_str text_at(struct pb_str facts, unsigned where)
{
	uint32_t off, len;

	if (!pb_facts_valid(facts))
		return PB_NOSTR;
	off = get32(bytes(facts) + where);
	len = get32(bytes(facts) + where + 4);
	return off <= facts.len && len <= facts.len - off ? pb_str(facts.ptr + off, len) : PB_NOSTR;
}

static uint64_t number_at(struct pb_str facts, unsigned where)
{
	return pb_facts_valid(facts) ? get32(bytes(facts) + where) : 0;
}

unsigned pb_facts_flags(struct pb_str facts)
{
	return (unsigned)number_at(facts, HEAD_FLAGS);
}

uint64_t pb_facts_size(struct pb_str facts)
{
	return pb_facts_valid(facts) ? get64(bytes(facts) + HEAD_SIZE) : 0;
}

uint64_t pb_facts_lines(struct pb_str facts)
{
	return number_at(facts, HEAD_LINES);
}

uint64_t pb_facts_header_size(struct pb_str facts)
{
	return number_at(facts, HEAD + REC_HEADER_LEN);
}

bool pb_facts_sent(struct pb_str facts, int64_t *ret_moment, int *ret_zone)
{
	if (!pb_facts_valid(facts) || !bytes(facts)[HEAD_HAS_DATE])
		return false;
	*ret_moment = (int64_t)get64(bytes(facts) + HEAD_DATE);
	if (ret_zone)
		*ret_zone = (int32_t)get32(bytes(facts) + HEAD_ZONE);
	return true;
}

struct pb_str pb_facts_envelope(struct pb_str facts)
{
	return text_at(facts, HEAD_ENVELOPE);
}

struct pb_str pb_facts_bodystructure(struct pb_str facts)
{
	return text_at(facts, HEAD_STRUCTURE);
}

/* Extension data stands behind what is below a part, so in text order: that of ends, which is children before their parent. */
static void without_extensions(struct pb_str facts, struct pb_str text, uint32_t *at, uint32_t end, size_t *done, struct pb_buf *out)
{
	while (*at < end) {
		const uint8_t *r = bytes(facts) + HEAD + (size_t)*at * RECORD;
		uint32_t below = get32(r + REC_END), from = get32(r + REC_EXT), to = get32(r + REC_EXT_END);

		++*at;
		if (below > *at && below <= end)
			without_extensions(facts, text, at, below, done, out);
		if (from < *done || to < from || to > text.len)
			return;
		pb_buf_add(out, text.ptr + *done, from - *done);
		*done = to;
	}
}

void pb_facts_body(struct pb_str facts, struct pb_buf *out)
{
	struct pb_str text = pb_facts_bodystructure(facts);
	uint32_t at = 0;
	size_t done = 0;

	if (!text.len)
		return;
	without_extensions(facts, text, &at, pb_facts_count(facts), &done, out);
	pb_buf_add(out, text.ptr + done, text.len - done);
}

struct pb_str pb_facts_fields(struct pb_str facts)
{
	return text_at(facts, HEAD_FIELDS);
}

bool pb_facts_covers(struct pb_str facts, struct pb_str name)
{
	int id = field_id(name);

	return id >= 0 && pb_facts_valid(facts) && id < bytes(facts)[HEAD_NAMES] && !(get64(bytes(facts) + HEAD_UNCOVERED) >> id & 1);
}

uint64_t pb_facts_names(const struct pb_str *names, size_t n)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < n; i++) {
		int id = field_id(names[i]);

		if (id < 0)
			return 0;
		bits |= UINT64_C(1) << id;
	}
	return bits;
}

bool pb_facts_covers_all(struct pb_str facts, uint64_t names)
{
	unsigned known;

	if (!names || !pb_facts_valid(facts))
		return false;
	known = bytes(facts)[HEAD_NAMES];
	return (known >= 64 || !(names >> known)) && !(names & get64(bytes(facts) + HEAD_UNCOVERED));
}

bool pb_facts_field(struct pb_str facts, struct pb_str name, struct pb_str *ret_value)
{
	return pb_header_find(pb_facts_fields(facts), name, ret_value);
}

/* ---- parts ---- */

uint32_t pb_facts_count(struct pb_str facts)
{
	return (uint32_t)number_at(facts, HEAD_COUNT);
}

static struct pb_str sub(struct pb_str text, size_t off, size_t len)
{
	return off <= text.len && len <= text.len - off ? pb_str(text.ptr + off, len) : PB_NOSTR;
}

/* A range inside the message, or nothing. */
static void range(uint64_t size, const uint8_t *r, uint64_t *ret_off, uint64_t *ret_len)
{
	*ret_off = get32(r);
	*ret_len = get32(r + 4);
	if (*ret_off > size || *ret_len > size - *ret_off)
		*ret_off = *ret_len = 0;
}

bool pb_facts_at(struct pb_str facts, uint32_t index, struct pb_part *ret)
{
	const uint8_t *r;
	struct pb_str text;
	unsigned bits;
	size_t type;

	if (index >= pb_facts_count(facts))
		return false;
	r = bytes(facts) + HEAD + (size_t)index * RECORD;
	text = pb_facts_bodystructure(facts);
	bits = r[REC_BITS];
	*ret = (struct pb_part){
		.kind = (bits & 3) < 3 ? (enum pb_part_kind)(bits & 3) : PB_PART_LEAF,
		.encoding = (bits >> 2 & 7) < PB_ENCODING_UNKNOWN ? (enum pb_encoding)(bits >> 2 & 7) : PB_ENCODING_UNKNOWN,
		.lines = get32(r + REC_LINES),
		.parts = get32(r + REC_CHILDREN),
		.depth = r[REC_DEPTH],
		.attached = bits >> 5 & 1,
		.top = bits >> 6 & 1,
	};
	range(pb_facts_size(facts), r + REC_HEADER, &ret->header_off, &ret->header_len);
	range(pb_facts_size(facts), r + REC_BODY, &ret->body_off, &ret->body_len);
	type = get32(r + REC_TYPE);
	if (ret->kind == PB_PART_MULTIPART) {
		ret->type = PB_STR("multipart");
		ret->subtype = sub(text, type, r[REC_SUBTYPE_LEN]);
	} else {
		ret->type = sub(text, type, r[REC_TYPE_LEN]);
		ret->subtype = sub(text, type + r[REC_TYPE_LEN] + 3, r[REC_SUBTYPE_LEN]);	/* behind the quotes and blank */
		if (r[REC_CHARSET_LEN])
			ret->charset = sub(text, get32(r + REC_CHARSET), r[REC_CHARSET_LEN]);
	}
	return true;
}

static uint32_t end_of(struct pb_str facts, uint32_t index)
{
	return get32(bytes(facts) + HEAD + (size_t)index * RECORD + REC_END);
}

/* The nth child (from 1) of the multipart at index. */
static bool child(struct pb_str facts, uint32_t index, uint32_t n, uint32_t *ret)
{
	uint32_t at = index + 1, end = end_of(facts, index), count = pb_facts_count(facts);

	if (end > count)
		end = count;
	while (at < end) {
		uint32_t next = end_of(facts, at);

		if (--n == 0) {
			*ret = at;
			return true;
		}
		if (next <= at)
			return false;
		at = next;
	}
	return false;
}

/* The first number of *path, with the dot behind it; 0 when there is none. */
static uint32_t number_take(struct pb_str *path)
{
	uint64_t n;
	size_t len = 0;

	while (len < path->len && pb_is_digit((unsigned char)path->ptr[len]))
		len++;
	if (!len || path->ptr[0] == '0' || pb_str_u64(pb_str_head(*path, len), UINT32_MAX, &n))
		return 0;
	if (len < path->len && path->ptr[len] == '.')
		len++;
	*path = pb_str_skip(*path, len);
	return (uint32_t)n;
}

/* Follow the numbers at the front of *path (RFC 3501 6.4.5); leaves what is no number. A message that is no multipart has one part, 1: its own body. */
static int follow(struct pb_str facts, struct pb_str *path, uint32_t *ret_index, bool *ret_numbered)
{
	uint32_t at = 0, n;
	bool as_part = false;	/* "1" of a message that is no multipart was taken: the next number goes below it */
	struct pb_part p;

	*ret_numbered = false;
	if (!pb_facts_at(facts, 0, &p))
		return PB_ENOTFOUND;
	while (path->len && pb_is_digit((unsigned char)path->ptr[0])) {
		n = number_take(path);
		if (!n)
			return PB_EINVALID;
		if (p.kind == PB_PART_MESSAGE && (as_part || !p.top)) {
			if (!pb_facts_at(facts, ++at, &p))
				return PB_ENOTFOUND;
			as_part = false;
		}
		if (p.kind == PB_PART_MULTIPART) {
			if (!child(facts, at, n, &at) || !pb_facts_at(facts, at, &p))
				return PB_ENOTFOUND;
			as_part = false;
		} else if (p.top && !as_part && n == 1) {
			as_part = true;
		} else {
			return PB_ENOTFOUND;
		}
		*ret_numbered = true;
	}
	*ret_index = at;
	return 0;
}

int pb_facts_part(struct pb_str facts, struct pb_str path, struct pb_part *ret)
{
	uint32_t index;
	bool numbered;
	int rc;

	if (path.len && !pb_is_digit((unsigned char)path.ptr[path.len - 1]))
		return PB_EINVALID;
	rc = follow(facts, &path, &index, &numbered);
	if (rc || path.len)
		return rc ? rc : PB_EINVALID;
	return pb_facts_at(facts, index, ret) ? 0 : PB_ENOTFOUND;
}

static int give(uint64_t off, uint64_t len, uint64_t *ret_off, uint64_t *ret_len)
{
	*ret_off = off;
	*ret_len = len;
	return 0;
}

/* The syntax alone, so that what is no section is told from one that this message does not have. */
static bool is_section(struct pb_str s)
{
	bool numbered = false;

	while (s.len && pb_is_digit((unsigned char)s.ptr[0])) {
		const char *before = s.ptr;

		if (!number_take(&s))
			return false;
		numbered = true;
		if (!s.len)
			return s.ptr[-1] != '.';
		if (s.ptr[-1] != '.' || s.ptr == before)
			return false;
	}
	if (numbered && pb_str_ieq(s, PB_STR("MIME")))
		return true;
	return !s.len || pb_str_ieq(s, PB_STR("HEADER")) || pb_str_ieq(s, PB_STR("TEXT"));
}

int pb_facts_section(struct pb_str facts, struct pb_str section, uint64_t *ret_off, uint64_t *ret_len)
{
	struct pb_part p;
	uint32_t index;
	bool numbered;
	int rc;

	if (!is_section(section))
		return PB_EINVALID;
	rc = follow(facts, &section, &index, &numbered);
	if (rc)
		return rc;
	if (!pb_facts_at(facts, index, &p))
		return PB_ENOTFOUND;
	if (!section.len)
		return numbered ? give(p.body_off, p.body_len, ret_off, ret_len) : give(0, pb_facts_size(facts), ret_off, ret_len);
	if (pb_str_ieq(section, PB_STR("MIME")))
		return give(p.header_off, p.header_len, ret_off, ret_len);
	if (numbered) {	/* HEADER and TEXT of a part are those of the message in it */
		if (p.kind != PB_PART_MESSAGE || !pb_facts_at(facts, index + 1, &p))
			return PB_ENOTFOUND;
	}
	if (pb_str_ieq(section, PB_STR("HEADER")))
		return give(p.header_off, p.header_len, ret_off, ret_len);
	return give(p.body_off, p.body_len, ret_off, ret_len);
}
