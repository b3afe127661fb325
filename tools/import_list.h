/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A mailing list on its way to conn_list (import_list.c). Readers of other list servers' files fill it. */
#ifndef TOOLS_IMPORT_LIST_H
#define TOOLS_IMPORT_LIST_H

#include "tools/import.h"

struct list_import {
	struct feed *feed;
	const char *where;	/* for problems */
	char address[321];
	const char *delivery;	/* of those in the batch */
	json_t *batch;
	size_t added, known, left;
	bool bad;		/* it could not be made, and there was a problem */
};

/* As with the feed: an int other than 0 ends the import; what is wrong with one thing is a problem, and gives 0. */
int list_begin(struct list_import *l, struct feed *f, const char *address, const char *where, struct pb_error *err);
/* Takes values over. */
int list_set(struct list_import *l, const char *setting, json_t *values, struct pb_error *err);
int list_set_word(struct list_import *l, const char *setting, const char *value, struct pb_error *err);
/* delivery: each, mime, plain or none; a constant. */
int list_member(struct list_import *l, struct pb_str address, const char *delivery, struct pb_error *err);
/* What is left goes off, and the report has a line. rc: what the reader came to. */
int list_end(struct list_import *l, int rc, struct pb_error *err);

#endif
