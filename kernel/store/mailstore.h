/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Mail semantics over any engine: mailboxes, folders, views, tables, bodies. What plugins see of it is postbus/mailbox.h and table.h.
 */
#ifndef KERNEL_STORE_MAILSTORE_H
#define KERNEL_STORE_MAILSTORE_H

#include "kernel/store/engine.h"
#include <postbus/mailbox.h>

struct clock;
struct log;
struct mailstore;

int mailstore_open(struct engine *engine, struct clock *clock, struct log *log, uint64_t cache_bytes, struct mailstore **ret, struct pb_error *err);
/* Reads every mailbox and folder and tells what does not fit: rows without bodies, counts, UIDs. */
int mailstore_verify(struct mailstore *m, void (*tell)(void *arg, const char *finding), void *arg, uint64_t *ret_findings, struct pb_error *err);
void mailstore_close(struct mailstore *m);

/* Sessions: call hint(arg) when the folder gets a newer durable view. One watcher handle each; cheap; unwatch waits for a running hint. */
struct watcher;
struct watcher *folder_watch(struct pb_folder *f, void (*hint)(void *arg), void *arg);
void folder_unwatch(struct watcher *w);

/* A body handle for plugins (struct pb_body) over an engine body. ops is the host table of whoever hands it out. head is copied. */
struct pb_body *body_new(const struct pb_host_ops *ops, struct engine *engine, const struct body_id *id, struct pb_str head, struct pb_error *err);
const struct body_id *body_id(const struct pb_body *b);

#endif
