/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Letters that a server writes by itself: notices, welcomes, answers. One text in UTF-8, another message attached where there is one.
 * What goes into the words is the plugin's affair, and so is what becomes of the spool: appended to a folder, accepted, or injected.
 */
#ifndef POSTBUS_LETTER_H
#define POSTBUS_LETTER_H

#include <postbus/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Append text with each {name} that values (an object of strings and integers) has as a member; others stay as they are. What is put in is not looked at again. */
void pb_letter_fill(struct pb_buf *out, struct pb_str text, const json_t *values);

struct pb_letter {
	struct pb_str from_name, from;	/* from: the address */
	struct pb_str to_name, to;
	struct pb_str subject;		/* one line of UTF-8 */
	struct pb_str text;		/* UTF-8; lines may end as they like */
	const char *submitted;		/* Auto-Submitted (RFC 3834 5): "auto-generated", "auto-replied"; NULL: no such field */
	struct pb_str references;	/* the id of a message that it answers, "<...>"; or empty */
	struct pb_str attached;		/* a whole message, or empty */
	struct pb_str html;		/* the text once more, as HTML: an alternative; or empty. text may be empty then. Not with attached */
	bool entity;			/* text is a MIME entity with fields of its own; alone */
	struct pb_str thread;		/* References with all ids that came before; empty: references alone */
	struct pb_str fields;		/* more fields, whole lines; or empty */
};

/* Write it into a spool, with Date, Message-ID and MIME fields; lines end with CRLF. Errors stick to the spool. */
void pb_letter_write(struct pb_host *host, struct pb_spool *spool, const struct pb_letter *l);
/* The same into a buffer, without what is attached and what comes behind that: at a moment, from a host of that name, with boundary between parts. */
void pb_letter_head(struct pb_buf *out, const struct pb_letter *l, struct pb_str host, int64_t moment, const char *boundary);

/* As pb_letter_write, into a buffer. */
void pb_letter_print(struct pb_host *host, struct pb_buf *out, const struct pb_letter *l);

#ifdef __cplusplus
}
#endif
#endif
