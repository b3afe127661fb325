/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A queue to test: engine, manual clock, timeline and log in a directory of its own, and consumers that do what a test says. */
#ifndef KERNEL_QUEUE_TESTS_RIG_H
#define KERNEL_QUEUE_TESTS_RIG_H

#include "kernel/clock/clock.h"
#include "kernel/log/log.h"
#include "kernel/queue/private.h"
#include "kernel/store/spool.h"
#include "kernel/store/timeline.h"

struct rig {
	struct kernel kernel;
	char dir[64];
	bool bdb, keep;
	atomic_int warnings;			/* lines at warning and above */
};

/* The moment at which rigs begin. */
#define RIG_NOW INT64_C(1800000000000000)

struct rig *rig_new(bool bdb);
/* In a directory that is there already, and stays. */
struct rig *rig_new_at(bool bdb, const char *dir);
void rig_free(struct rig *r);
/* Close the queue and open it again; with bdb the engine too: as after a stop. */
void rig_restart(struct rig *r);
void rig_host(struct rig *r, struct pb_host *host, const char *name, void *self);
struct consumer *rig_attach(struct pb_host *host, const char *lane, int (*work)(void *self, struct pb_item *item, struct pb_error *err));
struct consumer *rig_attach_with(struct pb_host *host, const char *lane, int (*work)(void *self, struct pb_item *item, struct pb_error *err),
				 struct consumer_options o);
/* Until nothing is ready, in hand or due. */
void rig_settle(struct rig *r);
/* Until the timer has looked at everything some times more, for work that does not end. */
void rig_rounds(struct rig *r);
/* Turn the clock, then settle. */
void rig_pass(struct rig *r, int64_t by);
/* Accept a message of one line for recipients, NULL at the end; gives its id in a slot that the next call but seven overwrites. */
const char *rig_accept(struct pb_host *host, const char *sender, const char *const *rcpts, unsigned notify);
const char *rig_accept_one(struct pb_host *host, const char *sender, const char *rcpt);
/* How many stand in a lane's state ("ready", "deferred", ...). */
long rig_count(struct rig *r, const char *lane, const char *state);
long rig_total(struct rig *r);
/* Bodies that rows refer to; 0 with bdb, which counts those that were written. */
uint64_t rig_bodies(struct rig *r);
bool rig_trace_has(struct rig *r, const char *id, const char *what, const char *text);

#endif
