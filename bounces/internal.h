/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of this library share: the text of a bounce, addresses in it, and the list of what was found. */
#ifndef BOUNCES_INTERNAL_H
#define BOUNCES_INTERNAL_H

#include <postbus/message.h>
#include "bounces/bounces.h"

struct finding {
	struct bounces *found;
	struct pb_arena *arena;
	struct pb_str message, facts;
	struct pb_str self;		/* the address that the bounce came to: never one of those it is about */
	struct pb_str reporter;		/* domain of its sender */
	bool daemon;			/* its header is a mail system's, not only its subject */
	unsigned noted;			/* how often an address was noted, the known ones too */
};

/* ---- address.c ---- */

/* Does an address begin at this place? Lenient: there are recipients with two dots in a row. A domain of one label is none. Quotes and brackets around it
 * are the caller's business. */
bool bounce_address_at(struct pb_str text, size_t at, size_t *ret_end);
/* The first address in text, wherever it begins; false when there is none. */
bool bounce_address_in(struct pb_str text, struct pb_str *ret);
/* The form that is reported, in the arena. */
struct pb_str bounce_address_form(struct pb_arena *arena, struct pb_str address);
/* Note a recipient; one that is known keeps what is known, and learns what is not. NULL: there is no room, or nobody may be told of by this address. */
struct bounce *bounce_note(struct finding *f, struct pb_str address, enum bounce_kind kind, const char *form);
void bounce_explain(struct finding *f, struct bounce *b, struct pb_str diagnostic);
/* "5.1.1" somewhere in text; empty: none. */
struct pb_str bounce_status_in(struct pb_str text);

/* ---- text.c ---- */

/* What a person would read, without quoted lines and the copy of the original message. */
struct bounce_text {
	struct pb_buf text;		/* UTF-8, lines end with LF */
	struct pb_buf flat;		/* the same in lower case, white space as one blank */
	uint32_t *at;			/* where in text each byte of flat stands */
};
void bounce_text_add(struct bounce_text *t, struct pb_str text, bool html);
void bounce_text_end(struct bounce_text *t);
void bounce_text_free(struct bounce_text *t);

/* ---- the forms ---- */

/* Reports for machines: fields of message/delivery-status, or such fields in a text. */
void bounce_read_report(struct finding *f, struct pb_str fields, const char *form);
/* Texts for people. delayed: the header says that it is still being tried. */
void bounce_read_text(struct finding *f, struct bounce_text *t, bool delayed);

enum { BOUNCE_BARE = 1, BOUNCE_BRACKETS = 2, BOUNCE_BEFORE = 4, BOUNCE_TO = 8, BOUNCE_TRANSCRIPT = 16, BOUNCE_FAR = 32 };

/* One way in which mail systems announce recipients: in lower case, single blanks. The address follows, at once or on lines of their own. */
struct bounce_form {
	const char *name;
	const char *phrase;
	enum bounce_kind kind;		/* BOUNCE_NONE: as the rest of the text says */
	unsigned flags;
	const char *then;		/* one of these ("a|b") has to follow the address in the same sentence */
};
extern const struct bounce_form bounce_forms[], bounce_forms_general[], bounce_forms_last[];	/* each ends with a NULL name */
extern const char *const bounce_delay_words[], *const bounce_answer_words[], *const bounce_copy_words[];

#endif
