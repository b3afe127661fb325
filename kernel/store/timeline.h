/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The timeline: what happened to each message, in order. Day files of lines, appended without flushes, read by postbusctl trace.
 * An explanation, not a truth: after a crash the last moments may be missing.
 */
#ifndef KERNEL_STORE_TIMELINE_H
#define KERNEL_STORE_TIMELINE_H

#include <jansson.h>
#include <postbus/str.h>

struct clock;
struct timeline;

int timeline_open(const char *dir, struct clock *clock, unsigned keep_days, struct timeline **ret, struct pb_error *err);
/* id: queue id; who: plugin or "kernel"; what: stable word ("accepted", "verdict", "routed", "attempt", "delivered", "retry", "failed", "held"). Cheap, thread-safe. */
void timeline_add(struct timeline *t, const char *id, const char *who, const char *what, const char *fmt, ...) PB_PRINTF(5, 6);
/* The same with a text that needs no formatting, whole or as parts that follow each other; t may be NULL (nothing is written) in all three. */
void timeline_join(struct timeline *t, const char *id, const char *who, const char *what, const struct pb_str *parts, size_t n);
void timeline_text(struct timeline *t, const char *id, const char *who, const char *what, const char *text);
void timeline_flush(struct timeline *t);
/* ids, or sender/recipient/since (each may be NULL/empty/0); messages that match, newest last; at most limit messages. A new reference: array of
 * { id, events: [ { time, who, what, text } ] }, time in microseconds since 1970. */
int timeline_find(struct timeline *t, struct pb_str id, struct pb_str from, struct pb_str to, int64_t since, size_t limit, json_t **ret, struct pb_error *err);
void timeline_close(struct timeline *t);

#endif
