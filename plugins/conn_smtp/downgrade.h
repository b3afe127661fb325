/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A message in the form that an older transport takes: 7 bits (RFC 6152 3), header fields of ASCII (RFC 5322), lines of at most 998 octets. Parts are
 * encoded as quoted-printable or base64, containers are relabelled, boundaries stay as they are; what each part decodes to stays the same. Pure.
 */
#ifndef CONN_SMTP_DOWNGRADE_H
#define CONN_SMTP_DOWNGRADE_H

#include <postbus/message.h>

#define LINE_OCTETS_MAX 998	/* RFC 5321 4.5.3.1.6, without the line end */

enum {
	DOWN_HEADER = 1,	/* the header fields of the message and of those in it are ASCII */
	DOWN_BODY = 2		/* so is all the rest; lines are shortened in any case */
};

enum down_result {
	DOWN_DONE,
	DOWN_NO_BODY,		/* a part cannot be encoded: no MIME part, or of a type that must not be */
	DOWN_NO_HEADER		/* a field of structure has bytes above 127 */
};

struct downgrade {
	struct pb_str message, facts;	/* facts: pb_facts_make of this message */
	unsigned what;
	void (*put)(void *arg, const char *ptr, size_t len);	/* takes the new message piece by piece */
	void *arg;
};

/* On any other result than DOWN_DONE what was put is of no use. */
enum down_result downgrade(const struct downgrade *d);
bool has_long_lines(struct pb_str text);

/* ---- the pieces (downgrade_part.c) ---- */

struct part_needs {
	bool eight, lines;	/* bytes above 127; lines over the limit */
	uint64_t coded;		/* bytes that quoted-printable writes as three */
};
void part_look(struct pb_str body, struct part_needs *ret);
/* The body as quoted-printable or base64, or what is so already put right. */
void part_put_qp(const struct downgrade *d, struct pb_str body);
void part_put_base64(const struct downgrade *d, struct pb_str body);
void part_mend_qp(const struct downgrade *d, struct pb_str body);
void part_mend_base64(const struct downgrade *d, struct pb_str body);
/* What stands between parts: nobody reads it, but it has to pass. */
void part_put_between(const struct downgrade *d, struct pb_str text);
/* Append a field; false: its bytes above 127 cannot be encoded. */
bool part_field(const struct downgrade *d, struct pb_buf *out, const struct pb_field *field);

#endif
