/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The message as a script sees it: its header with the changes made so far, its parts, what is to be put in their place. Changes become bytes only
 * when the run is over.
 */
#ifndef SIEVE_MAIL_H
#define SIEVE_MAIL_H

#include <postbus/message.h>
#include "sieve/sieve.h"

struct mail_field {
	struct pb_str name, value;	/* raw, without its last line end */
	struct pb_str raw;		/* as it stands in the message; empty: it was added */
};

struct replacement {
	struct replacement *next;
	uint32_t part;
	struct pb_str subject, from, text;
	bool mime;
};

struct enclosure {
	struct enclosure *next;
	struct pb_str subject, text;
	struct pb_str *headers;
	size_t nheaders;
};

struct mail {
	const struct sieve_message *message;
	struct pb_arena *arena;
	struct pb_buf facts_made;
	struct pb_str facts, header;
	uint32_t nparts;
	struct mail_field *fields;	/* of the top header, in order */
	size_t nfields, room;
	bool edited;
	struct replacement *replacements;
	struct enclosure *enclosures, **last_enclosure;
	struct { struct pb_str name; struct pb_str *values; size_t n; } cache[16];	/* decoded values of top fields; empty after an edit */
	unsigned ncached;
};

void mail_open(struct mail *m, const struct sieve_message *message, struct pb_arena *arena);
void mail_close(struct mail *m);
/* Is this a field's name? (RFC 5322 2.2) */
bool mail_name_valid(struct pb_str name);
/* The values of a part's fields of this name, in order; decoded: unfolded, trimmed, encoded words as UTF-8. The top part is 0. */
size_t mail_values(struct mail *m, uint32_t part, struct pb_str name, bool decoded, struct pb_str **ret);
bool mail_part(struct mail *m, uint32_t index, struct pb_part *ret);
/* The part behind the last one within this one: descendants lie between. */
uint32_t mail_part_end(struct mail *m, uint32_t index);
struct pb_str mail_part_body(struct mail *m, const struct pb_part *part);
/* A leaf's bytes without transfer encoding, as UTF-8 where it is text. */
struct pb_str mail_part_text(struct mail *m, const struct pb_part *part);
/* Without tags, for HTML. */
struct pb_str mail_html_text(struct mail *m, struct pb_str html);

void mail_add(struct mail *m, struct pb_str name, struct pb_str value, bool last);
/* Removes a field; index into fields. */
void mail_delete(struct mail *m, size_t index);
bool mail_changed(const struct mail *m);
/* The whole message as it is now. */
void mail_write(struct mail *m, struct pb_buf *out);

#endif
