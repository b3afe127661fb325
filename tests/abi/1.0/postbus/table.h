/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables: durable ordered key-value state of a plugin, private to it by name ("<plugin>.<table>"). Right: table.
 * Keys up to 1,000 bytes, values up to 1 MiB. One batch is atomic; batches on one table are serialised.
 */
#ifndef POSTBUS_TABLE_H
#define POSTBUS_TABLE_H

#include <postbus/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pb_table;

/* A table of this plugin's own; its name has letters, digits, _ and -. It needs not be made: without rows it is empty. Right: table. */
int pb_table_open(struct pb_host *host, const char *name, struct pb_table **ret, struct pb_error *err);
void pb_table_close(struct pb_table *t);				/* NULL is fine */

/* PB_ENOTFOUND: not there. Replaces what is in value. */
int pb_table_get(struct pb_table *t, struct pb_str key, struct pb_buf *value, struct pb_error *err);

/* Keys from <= key < to (to empty: no end) in byte order, at most limit (1,000 at most a call; 0: 1,000); visit gives false to stop.
 * The table may change between two calls; go on after the last key seen. Views live for the visit only; visit must not call the store. */
int pb_table_scan(struct pb_table *t, struct pb_str from, struct pb_str to, size_t limit,
		  bool (*visit)(void *arg, struct pb_str key, struct pb_str value), void *arg, struct pb_error *err);

enum pb_change_kind {
	PB_PUT,			/* write key and value */
	PB_DELETE,		/* remove key; not there is fine */
	PB_ABSENT,		/* guard: key must not be there */
	PB_EQUAL		/* guard: key must have exactly this value */
};

struct pb_change {
	enum pb_change_kind kind;
	struct pb_str key, value;
};

/* All or nothing, durable when it returns 0. PB_ECONFLICT: a guard did not hold, nothing was written. */
int pb_table_apply(struct pb_table *t, const struct pb_change *changes, size_t n, struct pb_error *err);

/* All rows with from <= key < to go (to empty: no end; both empty: all of the table), in batches: not all or nothing, but each is durable, and what an error or a
 * kill cut off is finished by another call. Rows that others write there meanwhile may go too. No rows is fine. Errors are those of pb_table_scan and pb_table_apply. */
int pb_table_clear(struct pb_table *t, struct pb_str from, struct pb_str to, struct pb_error *err);

/* ---- things remembered for a while: who had an answer, what was seen before. A table that is used so holds nothing else. ---- */

/* key: 1 byte to any length (kept as its SHA-256). until: microseconds since 1970. by: who remembers it, at most 200 bytes, may be empty. */
int pb_table_remember(struct pb_table *t, struct pb_str key, int64_t until, struct pb_str by, struct pb_error *err);
/* Is it remembered at this moment, by somebody else than not_by? So whoever does again what was cut off is not stopped by himself. */
bool pb_table_remembers(struct pb_table *t, struct pb_str key, int64_t now, struct pb_str not_by);
/* Away with what is past. For a tick now and then. */
int pb_table_forget(struct pb_table *t, int64_t now, struct pb_error *err);

#ifdef __cplusplus
}
#endif
#endif
