/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * SEARCH keys asked of messages: first what the row tells, then what the facts tell, and only then bodies. Texts are compared by postbus/message.h.
 */
#include <postbus/date.h>
#include "search_eval.h"
#include "view.h"

/* One SEARCH at work; facts and body of the message at hand are opened by the first key that needs them. */
struct asking {
	struct pb_session *s;
	struct imap *im;
	struct search_result *result;
	uint32_t seq;
	const struct pb_row *row;
	struct pb_buf facts;
	bool have_facts, failed;
	struct pb_body *body;
	struct pb_str head, rest;
};

static bool fail(struct asking *a, const struct pb_error *err)
{
	if (!a->result->err.code)
		a->result->err = *err;
	a->failed = true;
	return false;
}

static bool need_body(struct asking *a)
{
	struct pb_error err = { 0 };

	if (a->body)
		return true;
	if (a->failed)
		return false;
	if (pb_view_body(a->im->view, a->seq, &a->body, &err) != 0)
		return fail(a, &err);
	if (pb_body_parts(a->body, &a->head, &a->rest, &err) == 0)
		return true;
	pb_body_release(a->body);
	a->body = NULL;
	return fail(a, &err);
}

static bool need_facts(struct asking *a)
{
	if (a->have_facts)
		return true;
	pb_buf_reset(&a->facts);
	if (pb_view_facts(a->im->view, a->seq, &a->facts, NULL) != 0 || !pb_facts_valid(pb_buf_str(&a->facts))) {
		if (!need_body(a))
			return false;
		pb_buf_reset(&a->facts);
		pb_facts_make(a->rest, &a->facts);
	}
	a->have_facts = true;
	return true;
}

/* ---- header fields ---- */

static bool in_fields(const struct search_key *key, struct pb_str header)
{
	struct pb_field field;

	while (pb_header_next(&header, &field))
		if (pb_str_ieq(field.name, key->name) && pb_needle_in_value(&key->needle, field.value))
			return true;
	return false;
}

static bool put_at_delivery(struct pb_str name)
{
	return pb_str_ieq(name, PB_STR("Return-Path")) || pb_str_ieq(name, PB_STR("Delivered-To")) || pb_str_ieq(name, PB_STR("Received")) ||
	       pb_str_ieq(name, PB_STR("Authentication-Results")) || pb_str_istarts(name, PB_STR("X-"));
}

static bool ask_header(struct asking *a, const struct search_key *key)
{
	struct pb_str facts;

	if (!need_facts(a))
		return false;
	facts = pb_buf_str(&a->facts);
	if (!put_at_delivery(key->name) && pb_facts_covers(facts, key->name))
		return in_fields(key, pb_facts_fields(facts));
	return need_body(a) && (in_fields(key, a->head) || in_fields(key, pb_str_head(a->rest, pb_facts_header_size(facts))));
}

/* "RFC 2822 Date: header (disregarding time and timezone)": the day that stands there. A message without one was sent on no day. */
static bool ask_sent(struct asking *a, const struct search_key *key)
{
	int64_t moment, day;
	int zone = 0;

	if (!need_facts(a))
		return false;
	if (!pb_facts_sent(pb_buf_str(&a->facts), &moment, &zone))
		return false;
	day = pb_day_of(moment, zone);
	if (key->kind == SEARCH_SENTBEFORE)
		return day < (int64_t)key->number;
	return key->kind == SEARCH_SENTON ? day == (int64_t)key->number : day >= (int64_t)key->number;
}

static bool ask_text(struct asking *a, const struct search_key *key)
{
	bool header = key->kind == SEARCH_TEXT;

	if (!need_body(a))
		return false;
	if (header && a->head.len && pb_needle_in_header(&key->needle, a->head))
		return true;
	return need_facts(a) && pb_needle_in_message(&key->needle, pb_buf_str(&a->facts), a->rest, header);
}

static bool ask_id(struct asking *a, const struct search_key *key)
{
	PB_AUTOBUF(id);

	pb_view_email_id(a->im->view, a->seq, &id);
	return pb_str_eq(pb_buf_str(&id), key->text);
}

static uint64_t row_flags(const struct asking *a)
{
	return a->row->flags | (a->im->recent && view_is_recent(a->im, a->row->uid) ? IMAP_RECENT : 0);
}

static bool ask(struct asking *a, const struct search_key *key)
{
	switch (key->kind) {
	case SEARCH_ALL:
		return true;
	case SEARCH_NONE:
	case SEARCH_KEYWORD:
		return false;
	case SEARCH_SEQ:
		return set_has(&key->set, a->seq);
	case SEARCH_UID:
		return set_has(&key->set, a->row->uid);
	case SEARCH_FLAGS:
		return (row_flags(a) & key->number) == key->number;
	case SEARCH_LARGER:
		return a->row->size > key->number;
	case SEARCH_SMALLER:
		return a->row->size < key->number;
	case SEARCH_BEFORE:
		return pb_day_of(a->row->date, 0) < (int64_t)key->number;
	case SEARCH_ON:
		return pb_day_of(a->row->date, 0) == (int64_t)key->number;
	case SEARCH_SINCE:
		return pb_day_of(a->row->date, 0) >= (int64_t)key->number;
	case SEARCH_EMAILID:
		return ask_id(a, key);
	case SEARCH_SENTBEFORE:
	case SEARCH_SENTON:
	case SEARCH_SENTSINCE:
		return ask_sent(a, key);
	case SEARCH_HEADER:
		return ask_header(a, key);
	case SEARCH_BODY:
	case SEARCH_TEXT:
		return ask_text(a, key);
	case SEARCH_NOT:
		return !ask(a, key->kids);
	case SEARCH_OR:
		return ask(a, key->kids) || ask(a, key->kids->next);
	case SEARCH_AND:
		for (const struct search_key *kid = key->kids; kid; kid = kid->next)
			if (!ask(a, kid))
				return false;
		return true;
	}
	return false;
}

/* ---- before the first message ---- */

static void make_ready(const struct pb_view *v, struct search_key *key)
{
	uint32_t count = pb_view_count(v);

	switch (key->kind) {
	case SEARCH_SEQ:
		set_resolve(&key->set, count);
		break;
	case SEARCH_UID:
		set_resolve(&key->set, count ? pb_view_row(v, count)->uid : 0);
		break;
	case SEARCH_KEYWORD:
		key->kind = SEARCH_NONE;
		for (unsigned bit = PB_KEYWORD_FIRST; bit < 64; bit++) {
			if (!pb_str_ieq(pb_view_keyword(v, bit), key->text))
				continue;
			key->kind = SEARCH_FLAGS;
			key->number = UINT64_C(1) << bit;
			break;
		}
		break;
	default:
		for (struct search_key *kid = key->kids; kid; kid = kid->next)
			make_ready(v, kid);
	}
}

/* What the top keys say about sequence numbers narrows the walk: UID 5000 in a folder of a million asks one message. */
static void narrow(const struct search_key *key, const struct pb_view *v, uint32_t *from, uint32_t *to)
{
	for (const struct search_key *kid = key->kids; kid; kid = kid->next) {
		uint32_t low, high;

		if (kid->kind != SEARCH_SEQ && kid->kind != SEARCH_UID)
			continue;
		if (!kid->set.n) {
			*to = 0;
			return;
		}
		low = kid->set.ranges[0].from;
		high = kid->set.ranges[kid->set.n - 1].to;
		if (kid->kind == SEARCH_UID) {
			low = pb_view_at_least(v, low);
			high = high == UINT32_MAX ? 0 : pb_view_at_least(v, high + 1);
			high = high ? high - 1 : pb_view_count(v);
			if (!low)
				high = 0;
		}
		if (low > *from)
			*from = low;
		if (high < *to)
			*to = high;
	}
}

/* What the top keys say about a row's flags: no message without set and with clear matches. all: they say no more, so that the others do. */
struct flags_asked {
	uint64_t set, clear;
	bool all;
};

static void flags_asked(const struct search_key *key, struct flags_asked *ret)
{
	for (const struct search_key *kid = key->kids; kid; kid = kid->next) {
		/* \Recent is the session's, not the row's. NOT of several bits asks for none in particular. */
		uint64_t bits = kid->kind == SEARCH_NOT ? kid->kids->number : kid->number;

		if (kid->kind == SEARCH_AND) {
			flags_asked(kid, ret);
		} else if (kid->kind == SEARCH_FLAGS && !(bits & IMAP_RECENT)) {
			ret->set |= bits;
		} else if (kid->kind == SEARCH_NOT && kid->kids->kind == SEARCH_FLAGS && !(bits & IMAP_RECENT) && bits && !(bits & (bits - 1))) {
			ret->clear |= bits;
		} else if (kid->kind != SEARCH_ALL) {
			ret->all = false;
		}
	}
	if (ret->set & ret->clear)
		ret->all = false;
}

static void next_message(struct asking *a)
{
	if (a->body)
		pb_body_release(a->body);
	a->body = NULL;
	a->have_facts = a->failed = false;
}

void search_run(struct pb_session *s, struct search *q, bool uid, struct search_result *ret)
{
	struct asking a = { .s = s, .im = imap_of(s), .result = ret };
	uint32_t from = 1, to = pb_view_count(a.im->view), many = 0;
	struct flags_asked flags = { .all = true };

	make_ready(a.im->view, q->key);
	search_order(q->key);
	narrow(q->key, a.im->view, &from, &to);
	flags_asked(q->key, &flags);
	ret->numbers = pb_arena_alloc(pb_session_arena(s), (to >= from ? to - from + 1 : 1) * sizeof *ret->numbers);
	for (a.seq = from; a.seq <= to; a.seq++, a.row++, many--) {
		if (!many)
			a.row = pb_view_run(a.im->view, a.seq, &many);
		if ((a.row->flags & (flags.set | flags.clear)) != flags.set)
			continue;
		if (flags.all || (ask(&a, q->key) && !a.failed))
			ret->numbers[ret->n++] = uid ? a.row->uid : a.seq;
		if (a.body || a.have_facts || a.failed) {
			next_message(&a);
			if (a.seq % 64 == 0 && pb_session_is_dead(s))
				break;
		}
	}
	pb_buf_free(&a.facts);
}
