/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The engine's front: tests the limits that engine.h promises, then hands each call to the engine behind it.
 * Also the pages that every engine fills. How anything is stored is the engines' own matter.
 */
#include "kernel/store/engine_ops.h"

#include <inttypes.h>
#include <stdlib.h>

enum { ENTITY_MAX = 64, KEY_MAX = 1024, VALUE_MAX = 1 << 20 };

static int check_entity(struct pb_str entity, struct pb_error *err)
{
	if (entity.len == 0 || entity.len > ENTITY_MAX)
		return pb_fail(err, PB_EINVALID, "an entity's name has 1 to %d bytes, not %zu", ENTITY_MAX, entity.len);
	return 0;
}

static int check_key(struct pb_str key, struct pb_error *err)
{
	return key.len <= KEY_MAX ? 0 : pb_fail(err, PB_ETOOBIG, "a key of %zu bytes is over the limit of %d", key.len, KEY_MAX);
}

static int check_rows(const struct engine_row *rows, size_t n, struct pb_error *err)
{
	for (size_t i = 0; i < n; i++) {
		if (check_key(rows[i].key, err))
			return PB_ETOOBIG;
		if (rows[i].value.len > VALUE_MAX)
			return pb_fail(err, PB_ETOOBIG, "a value of %zu bytes is over the limit of %d", rows[i].value.len, VALUE_MAX);
	}
	return 0;
}

static int check_keys(const struct pb_str *keys, size_t n, struct pb_error *err)
{
	for (size_t i = 0; i < n; i++)
		if (check_key(keys[i], err))
			return PB_ETOOBIG;
	return 0;
}

int engine_apply(struct engine *e, const struct engine_batch *b, uint64_t *ret_version, engine_ticket *ret_ticket, struct pb_error *err)
{
	int r = check_entity(b->entity, err);

	if (!r && b->header && b->header->len > VALUE_MAX)
		r = pb_fail(err, PB_ETOOBIG, "a header of %zu bytes is over the limit of %d", b->header->len, VALUE_MAX);
	if (!r)
		r = check_keys(b->absent, b->nabsent, err);
	if (!r)
		r = check_keys(b->remove, b->nremove, err);
	if (!r)
		r = check_rows(b->equal, b->nequal, err);
	if (!r)
		r = check_rows(b->put, b->nput, err);
	return r ? r : e->ops->apply(e, b, ret_version, ret_ticket, err);
}

int engine_wait(struct engine *e, engine_ticket ticket, struct pb_error *err)
{
	return ticket ? e->ops->wait(e, ticket, err) : 0;
}

engine_ticket engine_durable(struct engine *e)
{
	return e->ops->durable(e);
}

void engine_when_durable(struct engine *e, engine_ticket ticket, void (*then)(void *arg), void *arg)
{
	e->ops->when_durable(e, ticket, then, arg);
}

int engine_head(struct engine *e, struct pb_str entity, uint64_t *ret_version, struct pb_buf *header, struct pb_error *err)
{
	int r = check_entity(entity, err);

	return r ? r : e->ops->head(e, entity, ret_version, header, err);
}

int engine_get(struct engine *e, struct pb_str entity, struct pb_str key, struct pb_buf *value, struct pb_error *err)
{
	int r = check_entity(entity, err);

	if (!r)
		r = check_key(key, err);
	return r ? r : e->ops->get(e, entity, key, value, err);
}

int engine_scan(struct engine *e, struct pb_str entity, struct pb_str from, struct pb_str to, size_t limit, struct engine_page *page,
	struct pb_error *err)
{
	int r = check_entity(entity, err);

	/* A bound may be a key and the byte that makes it the next one. */
	if (!r && (from.len > KEY_MAX + 1 || to.len > KEY_MAX + 1))
		r = pb_fail(err, PB_ETOOBIG, "a key to scan from or to is over the limit of %d bytes", KEY_MAX);
	return r ? r : e->ops->scan(e, entity, from, to, limit, page, err);
}

static int check_facts(struct pb_str facts, struct pb_error *err)
{
	return facts.len <= UINT32_MAX / 4 ? 0 : pb_fail(err, PB_ETOOBIG, "facts of %zu bytes are over the limit", facts.len);
}

int engine_body_write(struct engine *e, const struct pb_str *parts, size_t nparts, struct pb_str facts, struct body_id *ret, struct pb_error *err)
{
	uint64_t size = 0;

	for (size_t i = 0; i < nparts; i++)
		size += parts[i].len;
	if (size > UINT32_MAX)
		return pb_fail(err, PB_ETOOBIG, "a body of %" PRIu64 " bytes is over the limit of 4 GiB", size);
	int r = check_facts(facts, err);
	return r ? r : e->ops->body_write(e, parts, nparts, facts, ret, err);
}

int engine_body_write_fd(struct engine *e, int fd, uint64_t size, struct pb_str facts, struct body_id *ret, struct pb_error *err)
{
	if (size > UINT32_MAX)
		return pb_fail(err, PB_ETOOBIG, "a body of %" PRIu64 " bytes is over the limit of 4 GiB", size);
	int r = check_facts(facts, err);
	return r ? r : e->ops->body_write_fd(e, fd, size, facts, ret, err);
}

void engine_body_discard(struct engine *e, const struct body_id *id)
{
	e->ops->body_discard(e, id);
}

int engine_body_open(struct engine *e, const struct body_id *id, struct engine_body **ret, struct pb_error *err)
{
	return e->ops->body_open(e, id, ret, err);
}

struct pb_str engine_body_bytes(const struct engine_body *b)
{
	return b->bytes;
}

void engine_body_close(struct engine_body *b)
{
	if (b)
		b->ops->body_close(b);
}

int engine_body_facts(struct engine *e, const struct body_id *id, struct pb_buf *out, struct pb_error *err)
{
	return e->ops->body_facts(e, id, out, err);
}

int engine_drop(struct engine *e, struct pb_str entity, struct pb_error *err)
{
	int r = check_entity(entity, err);

	return r ? r : e->ops->drop(e, entity, err);
}

int engine_entities(struct engine *e, struct pb_str prefix, struct pb_str after, size_t limit, struct engine_page *page, struct pb_error *err)
{
	if (prefix.len > ENTITY_MAX || after.len > ENTITY_MAX)
		return pb_fail(err, PB_EINVALID, "an entity's name has at most %d bytes", ENTITY_MAX);
	return e->ops->entities(e, prefix, after, limit, page, err);
}

int engine_checkpoint(struct engine *e, struct pb_error *err)
{
	return e->ops->checkpoint(e, err);
}

int engine_backup(struct engine *e, const char *dir, struct pb_error *err)
{
	return e->ops->backup(e, dir, err);
}

int engine_verify(struct engine *e, void (*tell)(void *arg, const char *finding), void *arg, uint64_t *ret_records, uint64_t *ret_findings,
	struct pb_error *err)
{
	return e->ops->verify(e, tell, arg, ret_records, ret_findings, err);
}

int engine_compact(struct engine *e, bool *ret_more, struct pb_error *err)
{
	return e->ops->compact(e, ret_more, err);
}

void engine_stats(struct engine *e, struct engine_stats *ret)
{
	*ret = (struct engine_stats) { 0 };
	e->ops->stats(e, ret);
}

void engine_close(struct engine *e)
{
	if (e)
		e->ops->close(e);
}

/* ---- pages ---- */

void engine_page_begin(struct engine_page *page)
{
	page->n = 0;
	page->more = false;
	page->version = 0;
	pb_buf_reset(&page->bytes);
}

/* The buffer may still move, so until the end a row's key holds its offset instead of a pointer; the value follows it. */
bool engine_page_add(struct engine_page *page, struct pb_str key, struct pb_str value)
{
	if (page->n && page->bytes.len + key.len + value.len > ENGINE_PAGE_BYTES)
		return false;
	if (page->n == page->room) {
		page->room = page->room ? page->room * 2 : 16;
		page->rows = pb_realloc(page->rows, page->room * sizeof(*page->rows));
	}
	struct engine_row *row = &page->rows[page->n++];

	row->key = pb_str((const char *)(uintptr_t)page->bytes.len, key.len);
	row->value.len = value.len;
	if (key.len)
		pb_buf_add(&page->bytes, key.ptr, key.len);
	if (value.len)
		pb_buf_add(&page->bytes, value.ptr, value.len);
	return true;
}

void engine_page_end(struct engine_page *page)
{
	for (size_t i = 0; i < page->n; i++) {
		struct engine_row *row = &page->rows[i];

		row->key.ptr = page->bytes.ptr + (uintptr_t)row->key.ptr;
		row->value.ptr = row->key.ptr + row->key.len;
	}
}

void engine_page_free(struct engine_page *page)
{
	free(page->rows);
	pb_buf_free(&page->bytes);
	*page = (struct engine_page) ENGINE_PAGE;
}
