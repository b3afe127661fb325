/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an engine implements: one function for each engine_* of engine.h. And what every engine shares: filling pages.
 * engine.c tests the limits of what callers give before it dispatches, so engines need not.
 */
#ifndef KERNEL_STORE_ENGINE_OPS_H
#define KERNEL_STORE_ENGINE_OPS_H

#include "kernel/store/engine.h"

struct engine_ops {
	const char *name;
	int (*apply)(struct engine *e, const struct engine_batch *b, uint64_t *ret_version, engine_ticket *ret_ticket, struct pb_error *err);
	int (*wait)(struct engine *e, engine_ticket ticket, struct pb_error *err);
	engine_ticket (*durable)(struct engine *e);
	void (*when_durable)(struct engine *e, engine_ticket ticket, void (*then)(void *arg), void *arg);
	int (*head)(struct engine *e, struct pb_str entity, uint64_t *ret_version, struct pb_buf *header, struct pb_error *err);
	int (*get)(struct engine *e, struct pb_str entity, struct pb_str key, struct pb_buf *value, struct pb_error *err);
	int (*scan)(struct engine *e, struct pb_str entity, struct pb_str from, struct pb_str to, size_t limit,
		struct engine_page *page, struct pb_error *err);
	int (*body_write)(struct engine *e, const struct pb_str *parts, size_t nparts, struct pb_str facts, struct body_id *ret, struct pb_error *err);
	int (*body_write_fd)(struct engine *e, int fd, uint64_t size, struct pb_str facts, struct body_id *ret, struct pb_error *err);
	void (*body_discard)(struct engine *e, const struct body_id *id);
	int (*body_open)(struct engine *e, const struct body_id *id, struct engine_body **ret, struct pb_error *err);
	void (*body_close)(struct engine_body *b);
	int (*body_facts)(struct engine *e, const struct body_id *id, struct pb_buf *out, struct pb_error *err);
	int (*drop)(struct engine *e, struct pb_str entity, struct pb_error *err);
	int (*entities)(struct engine *e, struct pb_str prefix, struct pb_str after, size_t limit, struct engine_page *page, struct pb_error *err);
	int (*checkpoint)(struct engine *e, struct pb_error *err);
	int (*backup)(struct engine *e, const char *dir, struct pb_error *err);
	int (*verify)(struct engine *e, void (*tell)(void *arg, const char *finding), void *arg, uint64_t *ret_records, uint64_t *ret_findings,
		struct pb_error *err);
	int (*compact)(struct engine *e, bool *ret_more, struct pb_error *err);
	void (*stats)(struct engine *e, struct engine_stats *ret);
	void (*close)(struct engine *e);
};

/* The head of every engine's open body; the engine embeds it as the first member. */
struct engine_body {
	const struct engine_ops *ops;
	struct pb_str bytes;
};

#define ENGINE_PAGE_BYTES (1u << 20)

/* Fill a page: begin, add (false: the page is full, the row was not added), end. Until end the rows' views are not valid. A page takes one row at least. */
void engine_page_begin(struct engine_page *page);
bool engine_page_add(struct engine_page *page, struct pb_str key, struct pb_str value);
void engine_page_end(struct engine_page *page);

#endif
