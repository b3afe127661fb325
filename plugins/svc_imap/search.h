/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * SEARCH keys (RFC 3501 6.4.4) as a tree. Reading them is search_parse.c's, asking them of messages search_eval.c's.
 */
#ifndef SVC_IMAP_SEARCH_H
#define SVC_IMAP_SEARCH_H

#include <postbus/message.h>
#include "parse.h"
#include "set.h"

enum search_kind {
	/* by the row alone */
	SEARCH_ALL, SEARCH_SEQ, SEARCH_UID,
	SEARCH_FLAGS,		/* all of the bits in number; RECENT among them */
	SEARCH_KEYWORD,		/* text, until the folder is known; then FLAGS, or NONE */
	SEARCH_NONE,
	SEARCH_LARGER, SEARCH_SMALLER,
	SEARCH_BEFORE, SEARCH_ON, SEARCH_SINCE,
	SEARCH_EMAILID,		/* text (RFC 8474) */
	/* by the facts */
	SEARCH_SENTBEFORE, SEARCH_SENTON, SEARCH_SENTSINCE,
	SEARCH_HEADER,		/* field named name */
	/* by the body */
	SEARCH_BODY, SEARCH_TEXT,
	/* of others */
	SEARCH_NOT, SEARCH_OR, SEARCH_AND
};

struct search_key {
	enum search_kind kind;
	struct search_key *kids, *next;	/* NOT: one; OR: two; AND: any number */
	struct set set;
	uint64_t number;		/* flags, octets, day */
	struct pb_str name, text;	/* text in UTF-8 */
	struct pb_needle needle;	/* of text; made by search_ready */
};

enum { SEARCH_MIN = 1, SEARCH_MAX = 2, SEARCH_COUNT = 4, SEARCH_RETURN_ALL = 8 };	/* RFC 4731 */

struct search {
	struct search_key *key;		/* an AND */
	struct search_key **texts;	/* those with a needle */
	size_t ntexts;
	unsigned returns;		/* SEARCH_MIN...; 0: the plain answer */
	bool bad_charset;		/* NO [BADCHARSET], not BAD */
};

/* The whole of SEARCH's arguments; nesting: how deep lists, NOT and OR may go. */
bool parse_search(struct parse *p, unsigned nesting, struct search *ret);
/* Keys that cost little are asked first. */
void search_order(struct search_key *key);
unsigned search_cost(const struct search_key *key);
void search_free(struct search *search);

#endif
