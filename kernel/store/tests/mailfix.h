/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the mail store's tests stand on: a store over an engine of choice, a host with all rights, spools from text, short ways to ask.
 * And an engine whose flushes the test decides, over the memory engine.
 */
#ifndef KERNEL_STORE_TESTS_MAILFIX_H
#define KERNEL_STORE_TESTS_MAILFIX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "kernel/host.h"
#include "kernel/clock/clock.h"
#include "kernel/store/mailstore.h"

struct mail {
	struct engine *engine;
	struct kernel kernel;
	struct pb_host host;
	char dir[64];			/* of the bdb engine; empty otherwise */
	struct pb_mailbox *mb;		/* "anna", made by mail_new */
	struct pb_folder *inbox;
};

/* "memory" or "bdb"; mail_new takes it. */
extern const char *mail_engine;

struct mail *mail_new(void);
struct mail *mail_new_on(struct engine *engine);
void mail_close(struct mail *m);			/* handles, store, engine */
/* Closes the store, and the engine where it keeps things; opens all again. Views and handles of before are gone. */
void mail_reopen(struct mail *m);
/* mailstore_verify finds nothing. */
void mail_verify(struct mail *m);

struct pb_spool *mail_spool(struct mail *m, const char *text);
struct pb_body *mail_body(struct mail *m, const char *text);	/* goes with the last row that names it */
uint32_t mail_append(struct mail *m, struct pb_folder *f, const char *text, uint64_t flags);
uint32_t mail_deliver(struct mail *m, struct pb_folder *f, struct pb_body *body, const char *token);
struct pb_folder *mail_folder(struct mail *m, const char *name);
struct pb_view *mail_view(struct pb_folder *f);
/* "1 2 3" */
const char *mail_uids(struct pb_folder *f);
/* "name..." of all folders; ! \Noselect, + children, * subscribed, ? not there */
const char *mail_tree(struct pb_mailbox *mb);
/* So many bodies live (where the engine counts them). */
void mail_bodies(struct mail *m, uint64_t want);
/* All that was applied is durable. */
void mail_settle(struct mail *m);
void mail_bytes(struct pb_view *v, uint32_t seq, struct pb_buf *out);

/* ---- an engine that is durable when the test says so ---- */

struct engine *slow_engine(void);
void slow_hold(struct engine *e, bool hold);		/* false: all that was applied becomes durable, and so on at once */
/* Lets the next n applies through, and then fails all with PB_EUNAVAILABLE; -1: never. */
void slow_fail_after(struct engine *e, int n);
uint64_t slow_applies(struct engine *e);

#endif
