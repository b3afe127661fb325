/* SPDX-License-Identifier: Apache-2.0 */
/* The message scanner: one pass that finds headers, parts and lines, whatever the input. Leaves what is said about them to facts.c. */
#include <stdlib.h>
#include "scan.h"

enum {
	BOUNDARY_MAX = 8192,	/* RFC 2046 says 70 */
	FIELDS_KEPT = 10000
};

/* Where a body ended: before a line that matches an open boundary, or at the end of the text. */
struct stop {
	int level;		/* index of the boundary, -1: the end */
	bool last;		/* "--boundary--" */
	size_t line, next;	/* where that line begins, and the one behind it */
	uint64_t lines;		/* line ends before it */
};

static const struct stop no_stop = { .level = -1 };

/* Behind boundary b at p ("--" and b are there): blanks up to the line's end, or, where that is not asked for, a blank and anything. */
static bool ends_well(const char *p, size_t n, size_t left, bool exact)
{
	if (!exact)
		return n < left && pb_is_blank(p[n]);
	while (n < left && (pb_is_blank(p[n]) || p[n] == '\r'))
		n++;
	return n >= left || p[n] == '\n';
}

/* Does the line at pos match an open boundary? The innermost counts: who leaves his end out is closed by who surrounds him. A boundary that begins like
 * another is not taken for it: more than the boundary is passed over only behind a blank, and only where no other matches in full. */
static bool match(struct scan *s, size_t pos, struct stop *ret)
{
	const char *p = s->text + pos;
	size_t left = s->len - pos;

	if (left < 3 || p[0] != '-' || p[1] != '-')
		return false;
	for (int exact = 1; exact >= 0; exact--) {
		bool close = false;	/* something began alike: worth a second look */

		for (int level = (int)s->open - 1; level >= 0; level--) {
			struct pb_str b = s->boundaries[level];
			size_t n = 2 + b.len;
			bool last;

			if (left < n || memcmp(p + 2, b.ptr, b.len))
				continue;
			close = true;
			last = left >= n + 2 && p[n] == '-' && p[n + 1] == '-';
			if (last)
				n += 2;
			if (!ends_well(p, n, left, exact))
				continue;
			*ret = (struct stop){ level, last, pos, pos + line_length(p, left), s->census.lines };
			return true;
		}
		if (!close)
			return false;
	}
	return false;
}

/* Move on to the next line that matches, counting; pos is the begin of a line. */
static struct stop find(struct scan *s)
{
	struct stop stop = no_stop;

	for (;;) {
		size_t n;

		if (s->open && match(s, s->pos, &stop))
			break;
		s->census.cr = false;
		n = census_take(&s->census, s->text + s->pos, s->len - s->pos, s->open > 0);
		s->pos += n;
		if (s->pos >= s->len) {
			stop.line = stop.next = s->len;
			stop.lines = s->census.lines;
			break;
		}
	}
	s->census.cr = false;
	census_take(&s->census, s->text + stop.line, stop.next - stop.line, false);
	s->pos = stop.next;
	return stop;
}

/* The body ends before the line end in front of a boundary, which is the boundary's; except where that is the blank line of the last header inside. */
static void close_body(struct scan *s, struct node *n, const struct stop *stop, uint64_t lines_before)
{
	const struct node *last = &s->nodes[s->count - 1];
	size_t end = stop->line, least = last == n ? n->body : last->body + last->body_len;

	n->lines = stop->lines - lines_before;
	if (stop->level >= 0 && end > least && s->text[end - 1] == '\n') {
		end--;
		n->lines--;
		if (end > least && s->text[end - 1] == '\r')
			end--;
	}
	n->body_len = end - n->body;
}

static struct node *node_at(struct scan *s, uint32_t i)
{
	return &s->nodes[i];
}

static uint32_t node_add(struct scan *s, unsigned depth, bool top, bool digest)
{
	if (s->count == s->cap) {
		s->cap = s->cap ? s->cap * 4 : 4;
		s->nodes = pb_realloc(s->nodes, s->cap * sizeof *s->nodes);
	}
	s->nodes[s->count] = (struct node){ .depth = depth, .top = top, .digest = digest };
	return s->count++;
}

/* ---- headers ---- */

enum pb_encoding encoding_of(struct pb_str raw_value)
{
	return raw_value.ptr ? pb_encoding_parse(token_take(&raw_value)) : PB_7BIT;
}

static void keep(struct node *n, int id, struct pb_str value)
{
	struct pb_str *const to[] = { &n->encoding, &n->id, &n->description, &n->disposition, &n->language, &n->location, &n->md5 };
	struct pb_str rest = pb_str_head(value, VALUE_MAX);

	if (id == F_CONTENT_TYPE) {
		if (!n->typed && media_take(&rest, &n->type, &n->subtype) && n->type.len < 128 && n->subtype.len < 128) {
			n->typed = true;
			n->params = rest;
		}
	} else if (id > F_CONTENT_TYPE && id < F_OTHERS && !to[id - F_CONTENT_ENCODING]->ptr) {
		*to[id - F_CONTENT_ENCODING] = value;
	}
}

static void remember(struct scan *s, int id, const struct pb_field *f)
{
	if (s->nfields == FIELDS_KEPT) {
		s->dropped |= UINT64_C(1) << id;
		return;
	}
	if (s->nfields == s->fields_cap) {
		s->fields_cap = s->fields_cap ? s->fields_cap * 4 : 32;
		s->fields = pb_realloc(s->fields, s->fields_cap * sizeof *s->fields);
	}
	s->fields[s->nfields++] = (struct top_field){ id, f->value, f->raw };
}

/* Read the header at pos. True when a boundary came where a blank line should have been. */
static bool header(struct scan *s, uint32_t at, struct stop *ret)
{
	struct pb_str rest = pb_str(s->text + s->pos, s->len - s->pos);
	struct node *n = node_at(s, at);
	struct census census = { 0 };
	bool cut = false;
	struct pb_field f;
	enum take what;

	n->header = s->pos;
	do {
		if (s->open && rest.len > 2 && rest.ptr[0] == '-' && rest.ptr[1] == '-' && match(s, s->len - rest.len, ret)) {
			cut = true;
			break;
		}
		what = field_take(&rest, &f);
		if (what == TAKE_FIELD) {
			int id = field_id(f.name);

			if (id >= F_CONTENT_TYPE && id < F_OTHERS)
				keep(n, id, f.value);
			if (!at && id >= 0)
				remember(s, id, &f);
		}
	} while (what == TAKE_FIELD || what == TAKE_JUNK);
	n->header_len = s->len - rest.len - n->header;
	census_take(&census, s->text + n->header, n->header_len, false);
	n->body = s->pos = n->header + n->header_len;
	if (cut && n->header_len && s->text[n->body - 1] == '\n') {	/* the line end before a boundary is the boundary's */
		n->header_len -= n->header_len > 1 && s->text[n->body - 2] == '\r' ? 2 : 1;
		n->body = n->header + n->header_len;
	}
	s->census.lines += census.lines;
	s->census.flags |= census.flags;
	if (census.flags & PB_FACTS_8BIT)
		s->flags |= PB_FACTS_HEADER_8BIT;
	if (cut) {
		ret->lines = s->census.lines;
		census_take(&s->census, s->text + ret->line, ret->next - ret->line, false);
		s->pos = ret->next;
	}
	if (!n->typed) {
		n->type = n->digest ? PB_STR("message") : PB_STR("text");
		n->subtype = n->digest ? PB_STR("rfc822") : PB_STR("plain");
		n->params = PB_NOSTR;
	}
	return cut;
}

/* Not inlined, for the sake of entity()'s frame, which recurs. The boundary parameter of a multipart: where it lies in the text, or (it
 * was folded or had backslashes) a copy. */
static __attribute__((noinline)) bool boundary(struct scan *s, const struct node *n, struct pb_str *ret)
{
	struct params p;
	bool found = false;

	params_parse(&p, n->params);
	for (size_t i = 0; i < p.n && !found; i++) {
		struct pb_str value = p.list[i].value;

		if (!pb_str_ieq(p.list[i].name, PB_STR("boundary")))
			continue;
		while (value.len && pb_is_blank(value.ptr[value.len - 1]))
			value.len--;
		if (!value.len || value.len > BOUNDARY_MAX)
			break;
		found = true;
		if (value.ptr < s->text || value.ptr >= s->text + s->len) {
			if (!s->boundary_bytes.cap)	/* once, so that none of them moves; who needs more than this gets no parts */
				pb_buf_reserve(&s->boundary_bytes, 8 * BOUNDARY_MAX);
			if (value.len > s->boundary_bytes.cap - s->boundary_bytes.len - 1) {
				s->flags |= PB_FACTS_CAPPED;
				found = false;
				break;
			}
			pb_buf_add(&s->boundary_bytes, value.ptr, value.len);
			value = pb_str(s->boundary_bytes.ptr + s->boundary_bytes.len - value.len, value.len);
		}
		*ret = value;
	}
	params_free(&p);
	return found;
}

static __attribute__((noinline)) void mark_attached(struct scan *s, struct node *n)
{
	struct pb_str rest = n->disposition, word;
	struct params p;

	if (n->kind == PB_PART_MULTIPART)
		return;
	if (rest.ptr) {
		word = token_take(&rest);
		n->attached = pb_str_ieq(word, PB_STR("attachment"));
	}
	if (!n->attached && n->kind == PB_PART_LEAF && !pb_str_ieq(n->type, PB_STR("text"))) {
		params_parse(&p, rest);
		for (size_t i = 0; i < p.n; i++)
			n->attached |= pb_str_istarts(p.list[i].name, PB_STR("filename"));
		params_free(&p);
		params_parse(&p, n->params);
		for (size_t i = 0; i < p.n; i++)
			n->attached |= pb_str_istarts(p.list[i].name, PB_STR("name"));
		params_free(&p);
	}
	if (n->attached)
		s->flags |= PB_FACTS_ATTACHED;
}

/* ---- bodies ---- */

static struct stop entity(struct scan *s, unsigned depth, bool top, bool digest);

/* What cannot be opened any more is bytes. */
static void seal(struct scan *s, uint32_t at)
{
	struct node *n = node_at(s, at);

	s->flags |= PB_FACTS_CAPPED;
	n->type = PB_STR("application");
	n->subtype = PB_STR("octet-stream");
	n->params = PB_NOSTR;
	n->kind = PB_PART_LEAF;
}

/* A multipart without parts is given one that is its whole body, so that it can be read, and since IMAP knows none without parts. A message/rfc822
 * part whose header runs into a boundary is given an empty message. */
static void stand_in(struct scan *s, uint32_t at, unsigned depth, uint64_t lines_before, const struct stop *stop)
{
	bool top = node_at(s, at)->kind == PB_PART_MESSAGE;
	uint32_t child = node_add(s, depth + 1, top, false);
	struct node *n = node_at(s, child), *parent = node_at(s, at);

	n->header = n->body = parent->body;
	n->type = PB_STR("text");
	n->subtype = PB_STR("plain");
	close_body(s, n, stop, lines_before);
	n->end = s->count;
	parent->children = 1;
}

static struct stop multipart(struct scan *s, uint32_t at, unsigned depth, struct pb_str line)
{
	int level = (int)s->open;
	bool digest = pb_str_ieq(node_at(s, at)->subtype, PB_STR("digest"));
	uint64_t lines = s->census.lines;
	struct stop stop;

	s->boundaries[s->open++] = line;
	stop = find(s);
	while (stop.level == level && !stop.last) {
		if (s->count >= PB_PARTS_MAX) {
			s->flags |= PB_FACTS_CAPPED;
			stop = find(s);
			if (stop.level != level)
				break;
			continue;
		}
		node_at(s, at)->children++;
		stop = entity(s, depth + 1, false, digest);
	}
	s->open = (unsigned)level;
	if (stop.level == level)	/* its last boundary: what follows is epilogue */
		stop = find(s);
	if (!node_at(s, at)->children)
		stand_in(s, at, depth, lines, &stop);
	return stop;
}

static enum pb_part_kind kind_of(const struct node *n)
{
	if (pb_str_ieq(n->type, PB_STR("multipart")))
		return PB_PART_MULTIPART;
	return pb_str_ieq(n->type, PB_STR("message")) && pb_str_ieq(n->subtype, PB_STR("rfc822")) ? PB_PART_MESSAGE : PB_PART_LEAF;
}

/* The body of node at, which begins at pos. */
static struct stop body(struct scan *s, uint32_t at, unsigned depth)
{
	struct node *n = node_at(s, at);
	uint64_t lines = s->census.lines;
	size_t copies = s->boundary_bytes.len;
	struct pb_str line;
	struct stop stop;

	if (n->kind == PB_PART_MULTIPART && boundary(s, n, &line)) {
		stop = multipart(s, at, depth, line);
		s->boundary_bytes.len = copies;
		return stop;
	}
	if (n->kind == PB_PART_MESSAGE) {
		n->children = 1;
		return entity(s, depth + 1, true, false);
	}
	stop = find(s);
	if (n->kind == PB_PART_MULTIPART)
		stand_in(s, at, depth, lines, &stop);
	return stop;
}

/* One header and its body; pos is behind it at the end. */
static struct stop entity(struct scan *s, unsigned depth, bool top, bool digest)
{
	uint32_t at = node_add(s, depth, top, digest);
	struct stop stop = no_stop;
	bool cut = header(s, at, &stop);
	struct node *n = node_at(s, at);
	uint64_t lines = cut ? stop.lines - (n->body < stop.line) : s->census.lines;

	n->kind = kind_of(n);
	if (n->kind != PB_PART_LEAF && (depth + 2 >= PB_DEPTH_MAX || s->count >= PB_PARTS_MAX))
		seal(s, at);
	if (!cut)
		stop = body(s, at, depth);
	else if (n->kind != PB_PART_LEAF)
		stand_in(s, at, depth, lines, &stop);
	n = node_at(s, at);
	close_body(s, n, &stop, lines);
	n->end = s->count;
	mark_attached(s, n);
	return stop;
}

void scan_message(struct scan *s, struct pb_str message)
{
	memset(s, 0, offsetof(struct scan, boundaries));
	s->text = message.ptr ? message.ptr : "";
	s->len = message.len < UINT32_MAX ? message.len : UINT32_MAX;
	entity(s, 0, true, false);
	s->flags |= s->census.flags;
}

void scan_free(struct scan *s)
{
	free(s->nodes);
	free(s->fields);
	pb_buf_free(&s->boundary_bytes);
}
