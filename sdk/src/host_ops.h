/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door between libpostbus and whoever hosts plugins (the kernel): a table of operations, one for each public function that needs a host.
 * Every opaque handle begins with a struct pb_handle. Private: the kernel includes it, plugins cannot. The list is host_ops.def.
 */
#ifndef POSTBUS_HOST_OPS_H
#define POSTBUS_HOST_OPS_H

#include <stdarg.h>
#include <postbus/bus.h>
#include <postbus/link.h>
#include <postbus/mailbox.h>
#include <postbus/plugin.h>
#include <postbus/queue.h>
#include <postbus/run.h>
#include <postbus/session.h>
#include <postbus/table.h>

struct pb_host_ops {
#define PB_OP(ret, name, params, args) ret (*name) params;
#define PB_OPV(name, params, args) void (*name) params;
#define PB_OPN PB_OPV
#include "host_ops.def"
#undef PB_OP
#undef PB_OPV
#undef PB_OPN
};

/* The formatted half of the variadic functions (dispatch.c); not in the public headers. */
void pb_log_text(struct pb_host *host, enum pb_level level, const char *event, const char *text);
void pb_session_log_text(struct pb_session *s, enum pb_level level, const char *event, const char *text);
void pb_item_note_text(struct pb_item *item, const char *what, const char *text);
void pb_queue_note_text(struct pb_host *host, const char *id, const char *what, const char *text);

/* First member of every struct behind an opaque handle. */
struct pb_handle {
	const struct pb_host_ops *ops;
};

#endif
