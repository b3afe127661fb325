/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts, the writing side: what the scanner found, laid out as one blob that needs no pointers. Reading it is facts_read.c.
 * All numbers are little-endian; lengths of the scanned message fit 32 bits.
 */
#include <postbus/date.h>
#include "facts.h"
#include "scan.h"

enum {
	ENVELOPE_MAX = 1 << 20,		/* a header of short addresses grows fifteenfold on its way into an envelope */
	STRUCTURE_MAX = 8 << 20,	/* beyond it parts are told without their parameters and envelopes */
	FIELDS_MAX = 64 << 10
};

struct writer {
	struct scan scan;
	struct pb_buf *out;
	size_t base;			/* of the blob in out */
	size_t structure;		/* of BODYSTRUCTURE in out */
	uint64_t uncovered;		/* names whose fields did not fit */
};

/* ---- BODYSTRUCTURE ---- */

static bool is_full(const struct writer *w)
{
	return w->out->len - w->structure > STRUCTURE_MAX;
}

static void put_params(struct writer *w, const struct params *p, uint8_t *record, bool text)
{
	struct pb_buf *out = w->out;
	bool charset = false, any = p->n && !is_full(w);
	size_t start;

	pb_buf_addc(out, any || text ? '(' : 'N');
	for (size_t i = 0; any && i < p->n; i++) {
		struct pb_str value = p->list[i].value;

		if (i)
			pb_buf_addc(out, ' ');
		imap_nstring(out, p->list[i].name);
		pb_buf_addc(out, ' ');
		start = out->len + 1;
		imap_nstring(out, value.ptr ? value : PB_STR(""));
		if (text && !charset && pb_str_ieq(p->list[i].name, PB_STR("charset"))) {
			charset = true;
			/* a view into this text: only where the value stands here as it is */
			if (record && value.len < 128 && out->len == start + value.len + 1 && pb_str_eq(pb_str(out->ptr + start, value.len), value)) {
				put32(record + REC_CHARSET, (uint32_t)(start - w->structure));
				record[REC_CHARSET_LEN] = (uint8_t)value.len;
			}
		}
	}
	if (text && !charset) {
		if (any)
			pb_buf_addc(out, ' ');
		pb_buf_addz(out, "\"charset\" \"us-ascii\"");
	}
	pb_buf_addz(out, any || text ? ")" : "IL");
}

static void put_disposition(struct writer *w, struct pb_str value)
{
	struct pb_str word, rest = pb_str_head(value, VALUE_MAX);
	struct params p;

	word = token_take(&rest);
	if (!value.ptr || !word.len) {
		pb_buf_addz(w->out, " NIL");
		return;
	}
	pb_buf_addz(w->out, " (");
	imap_nstring(w->out, word);
	pb_buf_addc(w->out, ' ');
	params_parse(&p, rest);
	put_params(w, &p, NULL, false);
	params_free(&p);
	pb_buf_addc(w->out, ')');
}

static void put_language(struct pb_buf *out, struct pb_str value)
{
	bool any = false;

	pb_buf_addc(out, ' ');
	value = pb_str_head(value, VALUE_MAX);
	while (value.len) {
		struct pb_str tag = token_take(&value);

		if (tag.len) {
			pb_buf_addc(out, any ? ' ' : '(');
			imap_nstring(out, tag);
			any = true;
		} else {
			value = pb_str_skip(value, 1);
		}
	}
	pb_buf_addz(out, any ? ")" : "NIL");
}

static void put_value(struct writer *w, struct pb_str value)
{
	pb_buf_addc(w->out, ' ');
	imap_nstring(w->out, is_full(w) || !value.ptr ? PB_NOSTR : pb_str_trim(value));
}

static void put_number(struct pb_buf *out, uint64_t n)
{
	pb_buf_addc(out, ' ');
	pb_buf_addu(out, n);
}

static void put_extension(struct writer *w, const struct node *n, size_t record)
{
	size_t start = w->out->len - w->structure;
	uint8_t *r;

	if (n->kind == PB_PART_MULTIPART) {
		struct params p;

		params_parse(&p, n->params);
		pb_buf_addc(w->out, ' ');
		put_params(w, &p, NULL, false);
		params_free(&p);
	} else {
		put_value(w, n->md5);
	}
	put_disposition(w, is_full(w) ? PB_NOSTR : n->disposition);
	put_language(w->out, is_full(w) ? PB_NOSTR : n->language);
	put_value(w, n->location);
	r = (uint8_t *)w->out->ptr + record;
	put32(r + REC_EXT, (uint32_t)start);
	put32(r + REC_EXT_END, (uint32_t)(w->out->len - w->structure));
}

static void put_type(struct writer *w, const struct node *n, size_t record)
{
	uint8_t *r = (uint8_t *)w->out->ptr + record;

	put32(r + REC_TYPE, (uint32_t)(w->out->len + 1 - w->structure));
	r[REC_TYPE_LEN] = (uint8_t)n->type.len;
	r[REC_SUBTYPE_LEN] = (uint8_t)n->subtype.len;
	imap_nstring(w->out, n->type);
	pb_buf_addc(w->out, ' ');
	imap_nstring(w->out, n->subtype);
}

/* A frame of its own: the parameters' array is large, and part() recurs. */
static __attribute__((noinline)) void put_leaf_params(struct writer *w, const struct node *n, size_t record, bool text)
{
	struct params p;
	struct pb_buf *out = w->out;
	uint8_t copy[RECORD];

	memcpy(copy, out->ptr + record, RECORD);
	params_parse(&p, n->params);
	pb_buf_addc(out, ' ');
	put_params(w, &p, copy, text);
	params_free(&p);
	memcpy(out->ptr + record, copy, RECORD);
}

/* Not inlined, as put_leaf_params. */
static __attribute__((noinline)) void put_inner_envelope(struct writer *w, const struct node *inner)
{
	struct envelope_fields e;

	envelope_gather(&e, is_full(w) ? PB_NOSTR : pb_str(w->scan.text + inner->header, inner->header_len));
	imap_envelope(w->out, &e, ENVELOPE_MAX);
}

static uint32_t part(struct writer *w, uint32_t at)
{
	const struct node *n = &w->scan.nodes[at];
	size_t record = w->base + HEAD + (size_t)at * RECORD;
	struct pb_buf *out = w->out;
	bool text = pb_str_ieq(n->type, PB_STR("text"));
	uint32_t next = at + 1;

	pb_buf_addc(out, '(');
	if (n->kind == PB_PART_MULTIPART) {
		while (next < n->end)
			next = part(w, next);
		pb_buf_addc(out, ' ');
		put32((uint8_t *)out->ptr + record + REC_TYPE, (uint32_t)(out->len + 1 - w->structure));
		out->ptr[record + REC_SUBTYPE_LEN] = (char)n->subtype.len;
		imap_nstring(out, n->subtype);
	} else {
		put_type(w, n, record);
		put_leaf_params(w, n, record, text);
		put_value(w, n->id);
		put_value(w, n->description);
		pb_buf_addc(out, ' ');
		if (n->encoding.ptr) {
			struct pb_str value = pb_str_head(n->encoding, VALUE_MAX), word = token_take(&value);

			imap_nstring(out, word.len ? word : PB_STR("7bit"));
		} else {
			pb_buf_addz(out, "\"7bit\"");
		}
		put_number(out, n->body_len);
		if (n->kind == PB_PART_MESSAGE) {
			pb_buf_addc(out, ' ');
			put_inner_envelope(w, &w->scan.nodes[next]);
			pb_buf_addc(out, ' ');
			next = part(w, next);
		}
		if (text || n->kind == PB_PART_MESSAGE)
			put_number(out, n->lines);
	}
	put_extension(w, n, record);
	pb_buf_addc(out, ')');
	return next;
}

/* ---- records, fields, head ---- */

static void put_records(struct writer *w)
{
	const struct scan *s = &w->scan;

	pb_buf_reserve(w->out, (size_t)s->count * RECORD);
	for (uint32_t i = 0; i < s->count; i++) {
		const struct node *n = &s->nodes[i];
		uint8_t r[RECORD] = { 0 };

		put32(r + REC_HEADER, (uint32_t)n->header);
		put32(r + REC_HEADER_LEN, (uint32_t)n->header_len);
		put32(r + REC_BODY, (uint32_t)n->body);
		put32(r + REC_BODY_LEN, (uint32_t)n->body_len);
		put32(r + REC_LINES, (uint32_t)n->lines);
		put32(r + REC_END, n->end);
		put32(r + REC_CHILDREN, n->children);
		r[REC_BITS] = (uint8_t)((unsigned)n->kind | (unsigned)encoding_of(n->encoding) << 2 | (unsigned)n->attached << 5 | (unsigned)n->top << 6);
		r[REC_DEPTH] = (uint8_t)n->depth;
		pb_buf_add(w->out, r, RECORD);
	}
}

/* The fields of the top header that are kept, as they stand; and the date. */
static void put_fields(struct writer *w, uint8_t *head)
{
	size_t start = w->out->len;

	w->uncovered = w->scan.dropped;
	for (size_t i = 0; i < w->scan.nfields; i++) {
		const struct top_field *f = &w->scan.fields[i];
		int64_t moment;
		int zone;

		if (w->out->len - start + f->raw.len > FIELDS_MAX)
			w->uncovered |= UINT64_C(1) << f->id;
		else
			pb_buf_addstr(w->out, f->raw);
		if (f->id == F_DATE && !head[HEAD_HAS_DATE] && !pb_date_parse(pb_str_head(f->value, 1000), &moment, &zone)) {
			head[HEAD_HAS_DATE] = 1;
			put64(head + HEAD_DATE, (uint64_t)moment);
			put32(head + HEAD_ZONE, (uint32_t)zone);
		}
	}
	put32(head + HEAD_FIELDS, (uint32_t)(start - w->base));
	put32(head + HEAD_FIELDS_LEN, (uint32_t)(w->out->len - start));
}

static void put_envelope(struct writer *w)
{
	struct envelope_fields e;

	e.n = 0;
	for (size_t i = 0; i < w->scan.nfields; i++)
		envelope_add(&e, w->scan.fields[i].id, w->scan.fields[i].value);
	imap_envelope(w->out, &e, ENVELOPE_MAX);
}

void pb_facts_make(struct pb_str message, struct pb_buf *facts)
{
	struct writer w;
	uint8_t head[HEAD] = { 0 };
	size_t start;

	w.out = facts;
	w.base = facts->len;
	scan_message(&w.scan, message);
	pb_buf_reserve(facts, 2048 + (size_t)w.scan.count * (RECORD + 160));
	pb_buf_add(facts, head, HEAD);
	put_records(&w);
	put_fields(&w, head);
	start = facts->len;
	put_envelope(&w);
	put32(head + HEAD_ENVELOPE, (uint32_t)(start - w.base));
	put32(head + HEAD_ENVELOPE_LEN, (uint32_t)(facts->len - start));
	w.structure = facts->len;
	part(&w, 0);
	put32(head + HEAD_STRUCTURE, (uint32_t)(w.structure - w.base));
	put32(head + HEAD_STRUCTURE_LEN, (uint32_t)(facts->len - w.structure));
	if (w.uncovered || facts->len - w.structure > STRUCTURE_MAX || w.structure - start > ENVELOPE_MAX)
		w.scan.flags |= PB_FACTS_CAPPED;
	memcpy(head, FACTS_MAGIC, 4);
	put32(head + HEAD_TOTAL, (uint32_t)(facts->len - w.base));
	put32(head + HEAD_FLAGS, w.scan.flags);
	put64(head + HEAD_SIZE, message.len);
	put32(head + HEAD_LINES, (uint32_t)w.scan.census.lines);
	put32(head + HEAD_COUNT, w.scan.count);
	put64(head + HEAD_UNCOVERED, w.uncovered);
	head[HEAD_NAMES] = (uint8_t)fields_known;
	memcpy(facts->ptr + w.base, head, HEAD);
	scan_free(&w.scan);
}
