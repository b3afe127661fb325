/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a FETCH asks for, worked out once before the first message. Carrying it out is cmd_fetch.c's.
 */
#ifndef SVC_IMAP_FETCH_PLAN_H
#define SVC_IMAP_FETCH_PLAN_H

#include <postbus/message.h>
#include "parse.h"

enum {
	FETCH_UID = 1, FETCH_FLAGS = 2, FETCH_DATE = 4, FETCH_SIZE = 8, FETCH_ENVELOPE = 16, FETCH_STRUCTURE = 32, FETCH_BODY = 64,
	FETCH_EMAILID = 128, FETCH_THREADID = 256	/* RFC 8474 */
};

enum section_kind {
	SECTION_WHOLE,		/* BODY[]: no structure needed */
	SECTION_RANGE,		/* a stretch of the message: HEADER, TEXT, 1.2, 1.2.MIME */
	SECTION_FIELDS,
	SECTION_FIELDS_NOT
};

struct section {
	enum section_kind kind;
	struct pb_str label;	/* what the answer calls it: "BODY[1.HEADER.FIELDS (To)]<0>" */
	struct pb_str spec;	/* for pb_facts_section; of the header that FIELDS picks from */
	bool top;		/* the message's own header: what delivery put before it counts */
	uint64_t kept;		/* FIELDS: the names as pb_facts_names has them; 0: they must be looked for in the message */
	const struct pb_str *names;
	size_t nnames;
	bool partial;
	uint64_t off, len;	/* of <off.len> */
};

enum { SECTIONS_MAX = 256, FIELDS_MAX = 256 };

struct fetch_plan {
	unsigned items;
	struct section *sections;	/* in the arena */
	size_t nsections;
	bool sets_seen;
};

/* fetch-att, macro, or a list in parentheses, to the end of the command. */
bool parse_fetch(struct parse *p, struct fetch_plan *ret);

#endif
