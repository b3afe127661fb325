/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a bounce says: which recipients a message did not reach, or has not reached yet. Reads delivery reports (RFC 3464, RFC 6533) and the texts that mail
 * systems write instead of one. A message that is no bounce gives nothing: vacations and other automatic answers, receipts, mail of people who quote a bounce.
 *
 * The message is a stranger's. What it says about an address may be invented: ask whether that recipient was sent anything. Pure; linear in what is read.
 */
#ifndef BOUNCES_BOUNCES_H
#define BOUNCES_BOUNCES_H

#include <postbus/str.h>

#define BOUNCES_MAX 200			/* recipients of a bounce; those behind are left out */
#define BOUNCES_TEXT_MAX 65536		/* bytes of text, and of reports, that are read */
#define BOUNCES_DIAGNOSTIC_MAX 400

enum bounce_kind {
	BOUNCE_NONE,			/* not a bounce */
	BOUNCE_DELAY,			/* it is still being tried */
	BOUNCE_FAILURE			/* it was given up, whatever its status says about another time */
};

/* Views live in the arena. What is not said is empty. */
struct bounce {
	struct pb_str address;		/* the address that was sent to, as far as the report tells; domain in lower case */
	struct pb_str alias;		/* another address that the report gives for the same recipient: what it was rewritten to, or expanded from */
	enum bounce_kind kind;		/* delay or failure */
	struct pb_str status;		/* "5.1.1" (RFC 3463) */
	struct pb_str diagnostic;	/* one line of UTF-8 */
	const char *form;		/* what recognised it: "dsn", "exim", "qmail", ... */
};

struct bounces {
	enum bounce_kind kind;		/* of the whole: a failure where there is one */
	struct bounce *list;
	size_t n;
	bool capped;			/* there were more */
};

/* Read a message. facts are those of the whole message; message may be no more than its beginning. Never fails. */
void bounces_find(struct bounces *ret, struct pb_str message, struct pb_str facts, struct pb_arena *arena);

#endif
