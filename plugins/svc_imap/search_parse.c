/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The grammar of SEARCH. Texts are turned into UTF-8 here, so that nobody behind it knows charsets.
 */
#include <postbus/mailbox.h>
#include "search.h"
#include "view.h"

enum { TEXTS_MAX = 1000 };

struct reader {
	struct parse *p;
	struct search *search;
	struct pb_str charset;
	unsigned depth, nesting;
};

static struct search_key *new_key(struct reader *r, enum search_kind kind)
{
	struct search_key *key = pb_arena_alloc(r->p->arena, sizeof *key);

	key->kind = kind;
	return key;
}

static bool read_key(struct reader *r, struct search_key **ret);

/* UTF-8 of a text in the command's charset; what is none in that charset finds nothing anywhere, so it is malformed. */
static bool read_text(struct reader *r, struct search_key *key)
{
	PB_AUTOBUF(utf8);
	struct pb_str raw;

	if (!parse_astring(r->p, &raw))
		return false;
	if (pb_charset_decode(r->charset, raw, &utf8) != 0) {
		r->search->bad_charset = true;
		return parse_fail(r->p, "Unknown charset");
	}
	key->text = pb_arena_str(r->p->arena, pb_buf_str(&utf8));
	key->needle = (struct pb_needle)PB_NEEDLE;
	if (r->search->ntexts == TEXTS_MAX)
		return parse_fail(r->p, "Too many search texts");
	if (!r->search->texts)
		r->search->texts = pb_arena_alloc(r->p->arena, TEXTS_MAX * sizeof *r->search->texts);
	r->search->texts[r->search->ntexts++] = key;
	return pb_needle_set(&key->needle, key->text) == 0 || parse_fail(r->p, "Search text is not in its charset");
}

static bool read_list(struct reader *r, struct search_key *and, bool closed)
{
	struct search_key **tail = &and->kids;

	do {
		if (!read_key(r, tail))
			return false;
		tail = &(*tail)->next;
	} while (parse_take(r->p, ' ') && !(!closed && r->p->p == r->p->end));
	return !closed || parse_need(r->p, ')');
}

enum argument { ARG_NONE, ARG_FLAGS, ARG_NOT_FLAGS, ARG_TEXT, ARG_FIELD, ARG_DATE, ARG_SIZE, ARG_KEYWORD, ARG_NOT_KEYWORD, ARG_HEADER, ARG_ID };

static const struct word {
	const char *word;
	enum argument argument;
	enum search_kind kind;
	uint64_t flags;
	const char *field;
} words[] = {
	{ "ALL", ARG_NONE, SEARCH_ALL, 0, NULL },
	{ "ANSWERED", ARG_FLAGS, SEARCH_FLAGS, PB_ANSWERED, NULL },
	{ "BCC", ARG_FIELD, SEARCH_HEADER, 0, "Bcc" },
	{ "BEFORE", ARG_DATE, SEARCH_BEFORE, 0, NULL },
	{ "BODY", ARG_TEXT, SEARCH_BODY, 0, NULL },
	{ "CC", ARG_FIELD, SEARCH_HEADER, 0, "Cc" },
	{ "DELETED", ARG_FLAGS, SEARCH_FLAGS, PB_DELETED, NULL },
	{ "DRAFT", ARG_FLAGS, SEARCH_FLAGS, PB_DRAFT, NULL },
	{ "EMAILID", ARG_ID, SEARCH_EMAILID, 0, NULL },
	{ "FLAGGED", ARG_FLAGS, SEARCH_FLAGS, PB_FLAGGED, NULL },
	{ "FROM", ARG_FIELD, SEARCH_HEADER, 0, "From" },
	{ "HEADER", ARG_HEADER, SEARCH_HEADER, 0, NULL },
	{ "KEYWORD", ARG_KEYWORD, SEARCH_KEYWORD, 0, NULL },
	{ "LARGER", ARG_SIZE, SEARCH_LARGER, 0, NULL },
	{ "OLD", ARG_NOT_FLAGS, SEARCH_FLAGS, IMAP_RECENT, NULL },
	{ "ON", ARG_DATE, SEARCH_ON, 0, NULL },
	{ "RECENT", ARG_FLAGS, SEARCH_FLAGS, IMAP_RECENT, NULL },
	{ "SEEN", ARG_FLAGS, SEARCH_FLAGS, PB_SEEN, NULL },
	{ "SENTBEFORE", ARG_DATE, SEARCH_SENTBEFORE, 0, NULL },
	{ "SENTON", ARG_DATE, SEARCH_SENTON, 0, NULL },
	{ "SENTSINCE", ARG_DATE, SEARCH_SENTSINCE, 0, NULL },
	{ "SINCE", ARG_DATE, SEARCH_SINCE, 0, NULL },
	{ "SMALLER", ARG_SIZE, SEARCH_SMALLER, 0, NULL },
	{ "SUBJECT", ARG_FIELD, SEARCH_HEADER, 0, "Subject" },
	{ "TEXT", ARG_TEXT, SEARCH_TEXT, 0, NULL },
	{ "THREADID", ARG_ID, SEARCH_NONE, 0, NULL },
	{ "TO", ARG_FIELD, SEARCH_HEADER, 0, "To" },
	{ "UNANSWERED", ARG_NOT_FLAGS, SEARCH_FLAGS, PB_ANSWERED, NULL },
	{ "UNDELETED", ARG_NOT_FLAGS, SEARCH_FLAGS, PB_DELETED, NULL },
	{ "UNDRAFT", ARG_NOT_FLAGS, SEARCH_FLAGS, PB_DRAFT, NULL },
	{ "UNFLAGGED", ARG_NOT_FLAGS, SEARCH_FLAGS, PB_FLAGGED, NULL },
	{ "UNKEYWORD", ARG_NOT_KEYWORD, SEARCH_KEYWORD, 0, NULL },
	{ "UNSEEN", ARG_NOT_FLAGS, SEARCH_FLAGS, PB_SEEN, NULL },
};

static struct search_key *negated(struct reader *r, struct search_key *key)
{
	struct search_key *not = new_key(r, SEARCH_NOT);

	not->kids = key;
	return not;
}

static bool read_word(struct reader *r, const struct word *w, struct search_key **ret)
{
	struct search_key *key = *ret = new_key(r, w->kind);
	struct parse *p = r->p;
	int32_t day;

	key->number = w->flags;
	key->name = pb_strz(w->field);
	if (w->argument == ARG_NOT_FLAGS)
		*ret = negated(r, key);
	if (w->argument == ARG_NONE || w->argument == ARG_FLAGS || w->argument == ARG_NOT_FLAGS)
		return true;
	if (!parse_space(p))
		return false;
	switch (w->argument) {
	case ARG_TEXT:
	case ARG_FIELD:
		return read_text(r, key);
	case ARG_HEADER:
		return parse_astring(p, &key->name) && parse_space(p) && read_text(r, key);
	case ARG_DATE:
		if (!parse_date(p, &day))
			return false;
		key->number = (uint64_t)(int64_t)day;
		return true;
	case ARG_SIZE:
		return parse_u64(p, &key->number);
	case ARG_NOT_KEYWORD:
		*ret = negated(r, key);
		return parse_atom(p, &key->text);
	case ARG_KEYWORD:
	case ARG_ID:
		return parse_atom(p, &key->text);
	default:
		return parse_fail(p, "Unknown search key");
	}
}

static bool read_nested(struct reader *r, struct search_key **ret)
{
	struct parse *p = r->p;

	if (parse_take(p, '(')) {
		*ret = new_key(r, SEARCH_AND);
		return read_list(r, *ret, true);
	}
	if (parse_word(p, "NOT")) {
		*ret = new_key(r, SEARCH_NOT);
		return parse_space(p) && read_key(r, &(*ret)->kids);
	}
	if (parse_word(p, "OR")) {
		*ret = new_key(r, SEARCH_OR);
		return parse_space(p) && read_key(r, &(*ret)->kids) && parse_space(p) && read_key(r, &(*ret)->kids->next);
	}
	if (parse_word(p, "UID")) {
		*ret = new_key(r, SEARCH_UID);
		return parse_space(p) && parse_set(p, &(*ret)->set);
	}
	if (parse_word(p, "NEW")) {
		struct search_key *recent = new_key(r, SEARCH_FLAGS), *seen = new_key(r, SEARCH_FLAGS);

		recent->number = IMAP_RECENT;
		seen->number = PB_SEEN;
		recent->next = negated(r, seen);
		*ret = new_key(r, SEARCH_AND);
		(*ret)->kids = recent;
		return true;
	}
	return parse_fail(p, "Unknown search key");
}

static bool read_key(struct reader *r, struct search_key **ret)
{
	struct parse *p = r->p;
	bool ok;

	if (p->p < p->end && (pb_is_digit(*p->p) || *p->p == '*')) {
		*ret = new_key(r, SEARCH_SEQ);
		return parse_set(p, &(*ret)->set);
	}
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (parse_word(p, words[i].word))
			return read_word(r, &words[i], ret);
	if (++r->depth > r->nesting)
		return parse_fail(p, "Search keys are nested too deeply");
	ok = read_nested(r, ret);
	r->depth--;
	return ok;
}

/* RFC 4731 3.1: "RETURN (" [MIN MAX ALL COUNT] ")"; an empty list is ALL. */
static bool read_returns(struct parse *p, struct search *search)
{
	if (!parse_space(p) || !parse_need(p, '('))
		return false;
	for (unsigned n = 0; !parse_take(p, ')'); n++) {
		if (n > 0 && !parse_space(p))
			return false;
		if (parse_word(p, "MIN"))
			search->returns |= SEARCH_MIN;
		else if (parse_word(p, "MAX"))
			search->returns |= SEARCH_MAX;
		else if (parse_word(p, "COUNT"))
			search->returns |= SEARCH_COUNT;
		else if (parse_word(p, "ALL"))
			search->returns |= SEARCH_RETURN_ALL;
		else
			return parse_fail(p, "Unknown SEARCH return option");
	}
	if (!search->returns)
		search->returns = SEARCH_RETURN_ALL;
	return parse_space(p);
}

bool parse_search(struct parse *p, unsigned nesting, struct search *ret)
{
	struct reader r = { .p = p, .search = ret, .charset = PB_STR("UTF-8"), .nesting = nesting };

	*ret = (struct search){ 0 };
	if (parse_word(p, "RETURN") && !read_returns(p, ret))
		return false;
	if (parse_word(p, "CHARSET")) {
		if (!parse_space(p) || !parse_astring(p, &r.charset) || !parse_space(p))
			return false;
		if (!pb_charset_known(r.charset)) {
			ret->bad_charset = true;
			return parse_fail(p, "Unknown charset");
		}
	}
	ret->key = new_key(&r, SEARCH_AND);
	return read_list(&r, ret->key, false) && parse_end(p);
}

void search_free(struct search *search)
{
	for (size_t i = 0; i < search->ntexts; i++)
		pb_needle_free(&search->texts[i]->needle);
	search->ntexts = 0;
}

/* ---- what is cheap comes first ---- */

unsigned search_cost(const struct search_key *key)
{
	unsigned cost = 0, of_kid;

	if (key->kind < SEARCH_SENTBEFORE)
		return 0;
	if (key->kind < SEARCH_BODY)
		return 1;
	if (key->kind < SEARCH_NOT)
		return 2;
	for (const struct search_key *kid = key->kids; kid; kid = kid->next) {
		of_kid = search_cost(kid);
		cost = of_kid > cost ? of_kid : cost;
	}
	return cost;
}

void search_order(struct search_key *key)
{
	struct search_key *by_cost[3] = { NULL }, **tails[3], *kid, *next, **tail;

	if (key->kind < SEARCH_NOT)
		return;
	for (unsigned i = 0; i < 3; i++)
		tails[i] = &by_cost[i];
	for (kid = key->kids; kid; kid = next) {
		unsigned cost = search_cost(kid);

		next = kid->next;
		search_order(kid);
		*tails[cost] = kid;
		kid->next = NULL;
		tails[cost] = &kid->next;
	}
	tail = &key->kids;
	for (unsigned i = 0; i < 3; i++) {
		*tail = by_cost[i];
		if (by_cost[i])
			tail = tails[i];
	}
}
