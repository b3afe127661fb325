/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Comma-separated values (RFC 4180): rows of fields, quoted where they need it. Pure. */
#ifndef CONN_LIST_CSV_H
#define CONN_LIST_CSV_H

#include <postbus/str.h>

enum { CSV_FIELDS_MAX = 32 };

struct csv_row {
	struct pb_str fields[CSV_FIELDS_MAX];	/* views into text, or into the arena where quotes were doubled */
	size_t n;
	size_t line;				/* of the file, from 1 */
};

struct csv {
	struct pb_str rest;
	size_t line;
	struct pb_arena *arena;
};

#define CSV(text, keep) { (text), 1, (keep) }

/* The next row that is not empty: 1; 0 at the end; PB_EINVALID with line and column for quotes that do not close or stand where none may, and for too many fields. */
int csv_next(struct csv *c, struct csv_row *ret, struct pb_error *err);
/* Append a field, quoted if it needs to be. One that a spreadsheet would take for a formula is quoted and begins with an apostrophe. */
void csv_field(struct pb_buf *out, struct pb_str field);

#endif
