/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * FETCH and UID FETCH: a plan carried out message after message. Structure comes from the facts, so that only sections of bodies open bodies.
 */
#include <postbus/date.h>
#include <postbus/message.h>
#include "event.h"
#include "fetch_plan.h"
#include "imap.h"
#include "view.h"

enum { COPY_MAX = 2048 };	/* pieces of a body up to here are copied, larger ones go by reference */

/* One FETCH at work; what belongs to the message at hand is filled when it is needed. */
struct fetch {
	struct pb_session *s;
	struct imap *im;
	const struct fetch_plan *plan;
	struct out out;
	struct flag_texts texts;
	struct told seen;		/* messages that this FETCH made \Seen */
	size_t seen_at;
	struct pb_error err;		/* the first failure; the command goes on with the other messages */

	uint32_t seq;
	char separator;
	struct pb_buf facts;
	bool have_facts;
	struct pb_body *body;
	struct pb_str head, rest;	/* of the body */
	struct pb_buf picked;
};

static void note_failure(struct fetch *f, const struct pb_error *err)
{
	if (!f->err.code)
		f->err = *err;
}

static bool need_body(struct fetch *f)
{
	struct pb_error err = { 0 };

	if (f->body)
		return true;
	if (pb_view_body(f->im->view, f->seq, &f->body, &err) == 0) {
		if (pb_body_parts(f->body, &f->head, &f->rest, &err) == 0)
			return true;
		pb_body_release(f->body);
		f->body = NULL;
	}
	note_failure(f, &err);
	return false;
}

static bool need_facts(struct fetch *f)
{
	if (f->have_facts)
		return true;
	pb_buf_reset(&f->facts);
	if (pb_view_facts(f->im->view, f->seq, &f->facts, NULL) != 0 || !pb_facts_valid(pb_buf_str(&f->facts))) {
		/* A cache that may be lost: made again. */
		if (!need_body(f))
			return false;
		pb_buf_reset(&f->facts);
		pb_facts_make(f->rest, &f->facts);
	}
	f->have_facts = true;
	return true;
}

static void forget_message(struct fetch *f)
{
	pb_body_release(f->body);
	f->body = NULL;
	f->have_facts = false;
}

/* Before every item of a message: the parenthesis first, blanks then. */
static void separate(struct fetch *f)
{
	out_bytes(&f->out, &f->separator, 1);
	f->separator = ' ';
}

/* ---- sections ---- */

static void put_label(struct fetch *f, const struct section *sec, uint64_t len)
{
	separate(f);
	out_str(&f->out, sec->label);
	out_need(&f->out, 32);
	if (len == 0) {
		out_lit(&f->out, " \"\"");
		return;
	}
	out_lit(&f->out, " {");
	out_u64(&f->out, len);
	out_lit(&f->out, "}\r\n");
}

static void put_missing(struct fetch *f, const struct section *sec)
{
	separate(f);
	out_str(&f->out, sec->label);
	out_lit(&f->out, " NIL");
}

static void cut(const struct section *sec, uint64_t *off, uint64_t *len)
{
	uint64_t skip;

	if (!sec->partial)
		return;
	skip = sec->off < *len ? sec->off : *len;
	*off += skip;
	*len -= skip;
	if (*len > sec->len)
		*len = sec->len;
}

/* off counts from the head. */
static void put_stretch(struct fetch *f, const struct section *sec, uint64_t off, uint64_t len)
{
	cut(sec, &off, &len);
	put_label(f, sec, len);
	if (len == 0)
		return;
	if (len > COPY_MAX) {
		out_end(&f->out);
		pb_put_body(f->s, f->body, off, len);
		return;
	}
	if (off < f->head.len) {
		uint64_t n = f->head.len - off < len ? f->head.len - off : len;

		out_bytes(&f->out, f->head.ptr + off, n);
		off += n;
		len -= n;
	}
	if (len)
		out_bytes(&f->out, f->rest.ptr + (off - f->head.len), len);
}

static void put_picked(struct fetch *f, const struct section *sec)
{
	uint64_t off = 0, len = f->picked.len;

	cut(sec, &off, &len);
	put_label(f, sec, len);
	if (len)
		out_bytes(&f->out, f->picked.ptr + off, len);
}

static bool is_named(const struct section *sec, const char *field, const char *end)
{
	const char *colon = memchr(field, ':', (size_t)(end - field));
	size_t len = colon ? (size_t)(colon - field) : 0;

	while (len && pb_is_blank(field[len - 1]))
		len--;
	for (size_t i = 0; i < sec->nnames; i++)
		if (sec->names[i].len == len && pb_lower(sec->names[i].ptr[0]) == pb_lower(field[0]) && pb_str_ieq(sec->names[i], pb_str(field, len)))
			return true;
	return false;
}

/* What the facts keep is nothing but whole fields, one behind the other: a line that begins with a blank belongs to the one before. */
static void pick_kept(struct pb_buf *out, const struct section *sec, struct pb_str fields)
{
	const char *p = fields.ptr, *end = p + fields.len, *field, *eol;

	pb_buf_reserve(out, fields.len + 2);
	while (p < end) {
		for (field = p; p == field || (p < end && pb_is_blank(*p)); p = eol + 1) {
			eol = memchr(p, '\n', (size_t)(end - p));
			if (!eol)
				eol = end - 1;
		}
		if (!is_named(sec, field, p))
			continue;
		memcpy(out->ptr + out->len, field, (size_t)(p - field));
		out->len += (size_t)(p - field);
	}
	pb_buf_add(out, "\r\n", 2);
}

/* Fields from the facts alone, if that is sure to be exact: all names kept, and a body behind the header, hence a blank line between them. */
static bool pick_from_facts(struct fetch *f, const struct section *sec)
{
	struct pb_str facts = pb_buf_str(&f->facts);

	if (!pb_facts_covers_all(facts, sec->kept) || pb_facts_size(facts) <= pb_facts_header_size(facts))
		return false;
	pick_kept(&f->picked, sec, pb_facts_fields(facts));
	return true;
}

static void put_fields(struct fetch *f, const struct section *sec)
{
	bool except = sec->kind == SECTION_FIELDS_NOT;
	uint64_t off, len;

	pb_buf_reset(&f->picked);
	if (!need_facts(f)) {
		put_missing(f, sec);
		return;
	}
	if (!pick_from_facts(f, sec)) {
		if (pb_facts_section(pb_buf_str(&f->facts), sec->spec, &off, &len) != 0 || !need_body(f) || off > f->rest.len || len > f->rest.len - off) {
			put_missing(f, sec);
			return;
		}
		if (sec->top)
			pb_header_pick(&f->picked, f->head, sec->names, sec->nnames, except);
		pb_header_pick(&f->picked, pb_str(f->rest.ptr + off, len), sec->names, sec->nnames, except);
	}
	put_picked(f, sec);
}

static void put_section(struct fetch *f, const struct section *sec)
{
	uint64_t off, len;

	if (sec->kind == SECTION_FIELDS || sec->kind == SECTION_FIELDS_NOT) {
		put_fields(f, sec);
		return;
	}
	if (!need_body(f)) {
		put_missing(f, sec);
		return;
	}
	if (sec->kind == SECTION_WHOLE) {
		put_stretch(f, sec, 0, (uint64_t)f->head.len + f->rest.len);
		return;
	}
	if (!need_facts(f) || pb_facts_section(pb_buf_str(&f->facts), sec->spec, &off, &len) != 0 || off > f->rest.len || len > f->rest.len - off) {
		put_missing(f, sec);
		return;
	}
	if (sec->top)
		put_stretch(f, sec, 0, f->head.len + len);
	else
		put_stretch(f, sec, f->head.len + off, len);
}

/* ---- one message ---- */

static void put_structure(struct fetch *f)
{
	unsigned items = f->plan->items;

	if (!(items & (FETCH_ENVELOPE | FETCH_STRUCTURE | FETCH_BODY)) || !need_facts(f))
		return;
	if (items & FETCH_ENVELOPE) {
		separate(f);
		out_lit(&f->out, "ENVELOPE ");
		out_str(&f->out, pb_facts_envelope(pb_buf_str(&f->facts)));
	}
	if (items & FETCH_STRUCTURE) {
		separate(f);
		out_lit(&f->out, "BODYSTRUCTURE ");
		out_str(&f->out, pb_facts_bodystructure(pb_buf_str(&f->facts)));
	}
	if (items & FETCH_BODY) {
		pb_buf_reset(&f->picked);
		pb_facts_body(pb_buf_str(&f->facts), &f->picked);
		separate(f);
		out_lit(&f->out, "BODY ");
		out_str(&f->out, pb_buf_str(&f->picked));
	}
}

/* Messages come in ascending order, as the UIDs in seen do. */
static bool made_seen(struct fetch *f, uint32_t uid)
{
	while (f->seen_at < f->seen.n && f->seen.uids[f->seen_at] < uid)
		f->seen_at++;
	return f->seen_at < f->seen.n && f->seen.uids[f->seen_at] == uid;
}

/* RFC 8474 5.1 and 5.2: threads are not known here. */
static void put_ids(struct fetch *f)
{
	struct out *o = &f->out;
	PB_AUTOBUF(id);

	if (f->plan->items & FETCH_EMAILID) {
		pb_view_email_id(f->im->view, f->seq, &id);
		separate(f);
		out_lit(o, "EMAILID (");
		out_str(o, pb_buf_str(&id));
		out_lit(o, ")");
	}
	if (f->plan->items & FETCH_THREADID) {
		separate(f);
		out_lit(o, "THREADID NIL");
	}
}

static void put_row(struct fetch *f, const struct pb_row *row)
{
	bool now_seen = made_seen(f, row->uid);
	unsigned items = f->plan->items;
	struct out *o = &f->out;

	if (items & FETCH_UID) {
		separate(f);
		out_lit(o, "UID ");
		out_u32(o, row->uid);
	}
	if ((items & FETCH_FLAGS) || now_seen) {
		separate(f);
		out_lit(o, "FLAGS ");
		out_str(o, flag_text(&f->texts, row->flags | (now_seen ? PB_SEEN : 0) | (view_is_recent(f->im, row->uid) ? IMAP_RECENT : 0)));
	}
	if (items & FETCH_DATE) {
		separate(f);
		out_need(o, 64);
		out_lit(o, "INTERNALDATE ");
		o->p += pb_datetime_format(o->p, row->date, 0);
	}
	if (items & FETCH_SIZE) {
		separate(f);
		out_lit(o, "RFC822.SIZE ");
		out_u32(o, row->size);
	}
	if (items & (FETCH_EMAILID | FETCH_THREADID))
		put_ids(f);
}

static void fetch_message(struct fetch *f, const struct pb_row *row)
{
	struct out *o = &f->out;

	out_need(o, 64);
	out_lit(o, "* ");
	o->p = out_digits(o->p, f->seq);
	out_lit(o, " FETCH ");
	f->separator = '(';
	put_row(f, row);
	put_structure(f);
	for (size_t i = 0; i < f->plan->nsections; i++)
		put_section(f, &f->plan->sections[i]);
	if (f->separator == '(')
		separate(f);	/* all that was asked for could not be had */
	out_lit(o, ")\r\n");
	forget_message(f);
}

/* ---- all of them ---- */

/* FLAGS and UID alone, for many messages: the command that mail clients wait for. */
static void fetch_flags(struct fetch *f, const struct runs *runs)
{
	bool uid = f->plan->items & FETCH_UID, recent = f->im->recent != NULL;

	for (size_t i = 0; i < runs->n; i++) {
		for (uint32_t seq = runs->runs[i].from; seq <= runs->runs[i].to;) {
			uint32_t many;
			const struct pb_row *row = pb_view_run(f->im->view, seq, &many);

			for (; many && seq <= runs->runs[i].to; many--, seq++, row++)
				put_fetch_flags(&f->out, &f->texts, seq, row->uid,
						row->flags | (recent && view_is_recent(f->im, row->uid) ? IMAP_RECENT : 0), uid);
			if (f->out.scratch)
				return;
		}
	}
}

static void fetch_all(struct fetch *f, const struct runs *runs)
{
	for (size_t i = 0; i < runs->n; i++) {
		for (uint32_t seq = runs->runs[i].from; seq <= runs->runs[i].to; seq++) {
			f->seq = seq;
			fetch_message(f, pb_view_row(f->im->view, seq));
			if (f->out.scratch || (f->plan->nsections && pb_session_is_dead(f->s)))
				return;
		}
	}
}

/* One store for all messages that become \Seen by being read, before the first byte of them goes out. A failure to do so hinders no reading. */
static void set_seen(struct fetch *f, const struct runs *runs)
{
	struct pb_error err;
	uint32_t *uids;
	size_t n = 0;

	if (!f->plan->sets_seen || f->im->readonly)
		return;
	uids = pb_arena_alloc(pb_session_arena(f->s), ((size_t)runs->count + 1) * sizeof *uids);
	for (size_t i = 0; i < runs->n; i++) {
		for (uint32_t seq = runs->runs[i].from; seq <= runs->runs[i].to; seq++) {
			const struct pb_row *row = pb_view_row(f->im->view, seq);

			if (!(row->flags & PB_SEEN))
				uids[n++] = row->uid;
		}
	}
	if (!n)
		return;
	if (pb_folder_store(f->im->folder, uids, n, PB_FLAGS_ADD, PB_SEEN, 0, NULL, NULL, &err) != 0) {
		imap_warn(f->s, "FETCH", &err);
		return;
	}
	event_flags(f->s, uids, n, PB_FLAGS_ADD, PB_SEEN);
	f->seen = (struct told){ .uids = uids, .n = n, .mode = PB_FLAGS_ADD, .flags = PB_SEEN };
}

static int fetch(struct pb_session *s, const struct fetch_plan *plan, struct set *set, bool uid)
{
	struct fetch f = { .s = s, .im = imap_of(s), .plan = plan };
	struct runs runs;

	if (!view_runs(s, set, uid, &runs))
		return imap_bad(s, "No such message number");
	set_seen(&f, &runs);
	f.out = out_start(s);
	flag_texts_init(&f.texts, f.im->view, pb_session_arena(s));
	if ((plan->items & FETCH_FLAGS) && !(plan->items & ~(unsigned)(FETCH_UID | FETCH_FLAGS)) && !plan->nsections)
		fetch_flags(&f, &runs);
	else
		fetch_all(&f, &runs);
	out_end(&f.out);
	pb_buf_free(&f.facts);
	pb_buf_free(&f.picked);
	if (!view_sync(s, uid, &f.seen)) {
		pb_putz(s, "* BYE The selected mailbox was deleted\r\n");
		return PB_CLOSE;
	}
	if (!f.err.code)
		return imap_ok(s, uid ? "UID FETCH completed" : "FETCH completed");
	if (f.err.code == PB_ENOTFOUND)
		return imap_no(s, "[EXPUNGEISSUED] Some of the messages are gone");	/* RFC 5530 */
	return imap_failed(s, "FETCH", &f.err);
}

int imap_run_fetch(struct pb_session *s, struct pb_str args, bool uid)
{
	struct fetch_plan plan = { .items = uid ? FETCH_UID : 0 };
	struct pb_str text;
	struct parse p;
	struct set set;
	int result;

	if (imap_gather(s, args, &text, &result) != 0)
		return result;
	p = parse_start(text, pb_session_arena(s));
	if (!parse_set(&p, &set) || !parse_space(&p) || !parse_fetch(&p, &plan))
		return imap_bad(s, p.error);
	return fetch(s, &plan, &set, uid);
}

int imap_fetch(struct pb_session *s, struct pb_str args)
{
	return imap_run_fetch(s, args, false);
}
