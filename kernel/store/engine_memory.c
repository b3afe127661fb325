/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The engine that forgets: everything in this process's memory, under one lock. For the testkit and for tests of what stands above the engine.
 * It keeps each rule of engine.h but survival: a ticket is durable as soon as it is given.
 */
#include "kernel/store/engine_ops.h"
#include "kernel/store/sorted.h"

#include <inttypes.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

struct entity {
	uint64_t version;
	struct pb_buf header;
	struct sorted rows;
};

struct stored_body {
	struct body_id id;
	char *bytes;
	struct pb_str facts;
	uint32_t refs;		/* rows that name it */
	uint32_t opens;
	bool gone;		/* freed once it is closed */
};

struct memory {
	struct engine base;
	pthread_mutex_t lock;
	struct sorted entities;		/* name -> struct entity in data */
	struct stored_body **bodies;	/* by id.offset; NULL: gone */
	size_t nbodies, bodies_room;
	struct engine_stats stats;
	_Atomic uint64_t ticket;
};

struct memory_body {
	struct engine_body base;
	struct memory *memory;
	struct stored_body *body;
};

static struct memory *of(struct engine *e)
{
	return (struct memory *)e;
}

static struct entity *entity_find(struct memory *m, struct pb_str name)
{
	struct sorted_node *n = sorted_find(&m->entities, name);

	return n ? n->data : NULL;
}

static struct stored_body *body_find(struct memory *m, const struct body_id *id)
{
	struct stored_body *b = id->segment == 1 && id->offset < m->nbodies ? m->bodies[id->offset] : NULL;

	return b && b->id.random == id->random ? b : NULL;
}

static void body_free(struct memory *m, struct stored_body *b)
{
	if (!b->gone) {
		m->bodies[b->id.offset] = NULL;
		m->stats.bodies--;
		m->stats.body_bytes -= b->id.size;
		b->gone = true;
	}
	if (b->opens)
		return;
	free(b->bytes);
	free((void *)b->facts.ptr);
	free(b);
}

/* ---- apply ---- */

static int guards(struct memory *m, const struct entity *x, const struct engine_batch *b, struct pb_error *err)
{
	uint64_t version = x ? x->version : 0;

	if (b->expect != ENGINE_ANY && b->expect != version)
		return pb_fail(err, PB_ECONFLICT, "entity %.*s has version %" PRIu64 ", not %" PRIu64, PB_FMT(b->entity), version, b->expect);
	for (size_t i = 0; i < b->nabsent; i++)
		if (x && sorted_find(&x->rows, b->absent[i]))
			return pb_fail(err, PB_ECONFLICT, "a row that must not be in %.*s is there", PB_FMT(b->entity));
	for (size_t i = 0; i < b->nequal; i++) {
		struct sorted_node *n = x ? sorted_find(&x->rows, b->equal[i].key) : NULL;

		if (!n || !pb_str_eq(n->value, b->equal[i].value))
			return pb_fail(err, PB_ECONFLICT, "a row of %.*s is not as it was", PB_FMT(b->entity));
	}
	for (size_t i = 0; i < b->nref; i++)
		if (!body_find(m, &b->ref[i]))
			return pb_fail(err, PB_ENOTFOUND, "a body that a row is to name is not there (segment %" PRIu32 ", offset %" PRIu64 ")",
				b->ref[i].segment, b->ref[i].offset);
	return 0;
}

static int memory_apply(struct engine *e, const struct engine_batch *b, uint64_t *ret_version, engine_ticket *ret_ticket, struct pb_error *err)
{
	struct memory *m = of(e);

	pthread_mutex_lock(&m->lock);
	struct entity *x = entity_find(m, b->entity);
	int r = guards(m, x, b, err);
	if (r) {
		pthread_mutex_unlock(&m->lock);
		return r;
	}
	if (!x) {
		x = pb_alloc(sizeof(*x));
		sorted_put(&m->entities, b->entity, PB_NOSTR)->data = x;
	}
	x->version++;
	if (b->header) {
		pb_buf_reset(&x->header);
		pb_buf_addstr(&x->header, *b->header);
	}
	for (size_t i = 0; i < b->nremove; i++)
		sorted_remove(&x->rows, b->remove[i]);
	for (size_t i = 0; i < b->nput; i++)
		sorted_put(&x->rows, b->put[i].key, b->put[i].value);
	for (size_t i = 0; i < b->nref; i++)
		body_find(m, &b->ref[i])->refs++;
	for (size_t i = 0; i < b->nunref; i++) {
		struct stored_body *body = body_find(m, &b->unref[i]);

		if (body && body->refs && --body->refs == 0)
			body_free(m, body);
	}
	if (ret_version)
		*ret_version = x->version;
	engine_ticket ticket = atomic_fetch_add(&m->ticket, 1) + 1;
	if (ret_ticket)
		*ret_ticket = ticket;
	pthread_mutex_unlock(&m->lock);
	return 0;
}

static int memory_wait(struct engine *e, engine_ticket ticket, struct pb_error *err)
{
	return ticket <= atomic_load(&of(e)->ticket) ? 0 : pb_fail(err, PB_EINTERNAL, "ticket %" PRIu64 " was never given", ticket);
}

static engine_ticket memory_durable(struct engine *e)
{
	return atomic_load(&of(e)->ticket);
}

static void memory_when_durable(struct engine *e, engine_ticket ticket, void (*then)(void *arg), void *arg)
{
	(void)e;
	(void)ticket;
	then(arg);
}

/* ---- reading ---- */

static int memory_head(struct engine *e, struct pb_str entity, uint64_t *ret_version, struct pb_buf *header, struct pb_error *err)
{
	struct memory *m = of(e);

	(void)err;
	pthread_mutex_lock(&m->lock);
	struct entity *x = entity_find(m, entity);
	*ret_version = x ? x->version : 0;
	if (header) {
		pb_buf_reset(header);
		if (x)
			pb_buf_addstr(header, pb_buf_str(&x->header));
	}
	pthread_mutex_unlock(&m->lock);
	return 0;
}

static int memory_get(struct engine *e, struct pb_str entity, struct pb_str key, struct pb_buf *value, struct pb_error *err)
{
	struct memory *m = of(e);

	pthread_mutex_lock(&m->lock);
	struct entity *x = entity_find(m, entity);
	struct sorted_node *n = x ? sorted_find(&x->rows, key) : NULL;
	if (n) {
		pb_buf_reset(value);
		pb_buf_addstr(value, n->value);
	}
	pthread_mutex_unlock(&m->lock);
	return n ? 0 : pb_fail(err, PB_ENOTFOUND, "no such row in %.*s", PB_FMT(entity));
}

static void read_range(struct entity *x, struct pb_str from, struct pb_str to, size_t limit, struct engine_page *page)
{
	for (struct sorted_node *n = sorted_at(&x->rows, from); n; n = n->next[0]) {
		if (to.len && pb_str_cmp(n->key, to) >= 0)
			return;
		if (page->n >= limit || !engine_page_add(page, n->key, n->value)) {
			page->more = true;
			return;
		}
	}
}

static int memory_scan(struct engine *e, struct pb_str entity, struct pb_str from, struct pb_str to, size_t limit,
	struct engine_page *page, struct pb_error *err)
{
	struct memory *m = of(e);

	(void)err;
	engine_page_begin(page);
	pthread_mutex_lock(&m->lock);
	struct entity *x = entity_find(m, entity);
	if (x) {
		page->version = x->version;
		read_range(x, from, to, limit, page);
	}
	pthread_mutex_unlock(&m->lock);
	engine_page_end(page);
	return 0;
}

static int memory_entities(struct engine *e, struct pb_str prefix, struct pb_str after, size_t limit, struct engine_page *page, struct pb_error *err)
{
	struct memory *m = of(e);

	(void)err;
	engine_page_begin(page);
	pthread_mutex_lock(&m->lock);
	struct sorted_node *n = sorted_at(&m->entities, pb_str_cmp(prefix, after) > 0 ? prefix : after);
	for (; n && pb_str_starts(n->key, prefix); n = n->next[0]) {
		if (pb_str_eq(n->key, after))
			continue;
		if (page->n >= limit || !engine_page_add(page, n->key, PB_NOSTR)) {
			page->more = true;
			break;
		}
	}
	pthread_mutex_unlock(&m->lock);
	engine_page_end(page);
	return 0;
}

/* ---- bodies ---- */

/* Takes bytes over. */
static void body_keep(struct memory *m, char *bytes, uint64_t size, struct pb_str facts, struct body_id *ret)
{
	struct stored_body *b = pb_alloc(sizeof(*b));

	b->bytes = bytes;
	b->facts = pb_str(pb_str_dup(facts), facts.len);
	b->id = (struct body_id) { .segment = 1, .facts_len = facts.len, .size = size };
	pb_random(&b->id.random, sizeof(b->id.random));
	pthread_mutex_lock(&m->lock);
	if (m->nbodies == m->bodies_room) {
		m->bodies_room = m->bodies_room ? m->bodies_room * 2 : 64;
		m->bodies = pb_realloc(m->bodies, m->bodies_room * sizeof(*m->bodies));
	}
	b->id.offset = m->nbodies;
	m->bodies[m->nbodies++] = b;
	m->stats.bodies++;
	m->stats.body_bytes += size;
	m->stats.bytes_written += size;
	*ret = b->id;
	pthread_mutex_unlock(&m->lock);
}

static int memory_body_write(struct engine *e, const struct pb_str *parts, size_t nparts, struct pb_str facts, struct body_id *ret, struct pb_error *err)
{
	uint64_t size = 0;

	(void)err;
	for (size_t i = 0; i < nparts; i++)
		size += parts[i].len;
	char *bytes = pb_alloc(size + 1), *to = bytes;
	for (size_t i = 0; i < nparts; i++) {
		if (parts[i].len)
			memcpy(to, parts[i].ptr, parts[i].len);
		to += parts[i].len;
	}
	body_keep(of(e), bytes, size, facts, ret);
	return 0;
}

static int memory_body_write_fd(struct engine *e, int fd, uint64_t size, struct pb_str facts, struct body_id *ret, struct pb_error *err)
{
	char *bytes = pb_alloc(size + 1);

	for (uint64_t have = 0; have < size;) {
		ssize_t n = pread(fd, bytes + have, size - have, have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int errnum = errno;

			free(bytes);
			return n ? pb_fail_errno(err, errnum, "reading a body") : pb_fail(err, PB_ECORRUPT, "a body ended after %" PRIu64 " bytes of %" PRIu64, have, size);
		}
		have += n;
	}
	body_keep(of(e), bytes, size, facts, ret);
	return 0;
}

static void memory_body_discard(struct engine *e, const struct body_id *id)
{
	struct memory *m = of(e);

	pthread_mutex_lock(&m->lock);
	struct stored_body *b = body_find(m, id);
	if (b && b->refs == 0)
		body_free(m, b);
	pthread_mutex_unlock(&m->lock);
}

static int no_body(const struct body_id *id, struct pb_error *err)
{
	return pb_fail(err, PB_ENOTFOUND, "no body at segment %" PRIu32 ", offset %" PRIu64, id->segment, id->offset);
}

static int memory_body_open(struct engine *e, const struct body_id *id, struct engine_body **ret, struct pb_error *err)
{
	struct memory *m = of(e);

	pthread_mutex_lock(&m->lock);
	struct stored_body *b = body_find(m, id);
	if (b)
		b->opens++;
	pthread_mutex_unlock(&m->lock);
	if (!b)
		return no_body(id, err);
	struct memory_body *open = pb_alloc(sizeof(*open));
	*open = (struct memory_body) { { e->ops, pb_str(b->bytes, b->id.size) }, m, b };
	*ret = &open->base;
	return 0;
}

static void memory_body_close(struct engine_body *b)
{
	struct memory_body *open = (struct memory_body *)b;
	struct memory *m = open->memory;

	pthread_mutex_lock(&m->lock);
	open->body->opens--;
	if (open->body->gone)
		body_free(m, open->body);
	pthread_mutex_unlock(&m->lock);
	free(open);
}

static int memory_body_facts(struct engine *e, const struct body_id *id, struct pb_buf *out, struct pb_error *err)
{
	struct memory *m = of(e);

	pthread_mutex_lock(&m->lock);
	struct stored_body *b = body_find(m, id);
	bool found = b && b->facts.len;
	if (found)
		pb_buf_addstr(out, b->facts);
	pthread_mutex_unlock(&m->lock);
	return found ? 0 : pb_fail(err, PB_ENOTFOUND, "the body has no facts");
}

/* ---- care ---- */

static void entity_free(struct entity *x)
{
	sorted_clear(&x->rows);
	pb_buf_free(&x->header);
	free(x);
}

static int memory_drop(struct engine *e, struct pb_str entity, struct pb_error *err)
{
	struct memory *m = of(e);

	(void)err;
	pthread_mutex_lock(&m->lock);
	struct entity *x = entity_find(m, entity);
	if (x) {
		sorted_remove(&m->entities, entity);
		entity_free(x);
	}
	pthread_mutex_unlock(&m->lock);
	return 0;
}

static int memory_checkpoint(struct engine *e, struct pb_error *err)
{
	(void)e;
	(void)err;
	return 0;
}

static int memory_backup(struct engine *e, const char *dir, struct pb_error *err)
{
	(void)e;
	return pb_fail(err, PB_EUNAVAILABLE, "the memory engine cannot be backed up to %s", dir);
}

static int memory_verify(struct engine *e, void (*tell)(void *arg, const char *finding), void *arg, uint64_t *ret_records, uint64_t *ret_findings,
	struct pb_error *err)
{
	struct memory *m = of(e);

	(void)tell;
	(void)arg;
	(void)err;
	pthread_mutex_lock(&m->lock);
	*ret_records = m->stats.bodies;
	for (struct sorted_node *n = m->entities.head[0]; n; n = n->next[0])
		*ret_records += 1 + ((struct entity *)n->data)->rows.n;
	pthread_mutex_unlock(&m->lock);
	*ret_findings = 0;
	return 0;
}

static int memory_compact(struct engine *e, bool *ret_more, struct pb_error *err)
{
	(void)e;
	(void)err;
	*ret_more = false;
	return 0;
}

static void memory_stats(struct engine *e, struct engine_stats *ret)
{
	struct memory *m = of(e);

	pthread_mutex_lock(&m->lock);
	*ret = m->stats;
	pthread_mutex_unlock(&m->lock);
	ret->tickets = atomic_load(&m->ticket);
}

static void memory_close(struct engine *e)
{
	struct memory *m = of(e);

	for (struct sorted_node *n = m->entities.head[0]; n; n = n->next[0])
		entity_free(n->data);
	sorted_clear(&m->entities);
	for (size_t i = 0; i < m->nbodies; i++)
		if (m->bodies[i])
			body_free(m, m->bodies[i]);
	free(m->bodies);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static const struct engine_ops memory_ops = {
	.name = "memory",
	.apply = memory_apply, .wait = memory_wait, .durable = memory_durable, .when_durable = memory_when_durable,
	.head = memory_head, .get = memory_get, .scan = memory_scan, .entities = memory_entities,
	.body_write = memory_body_write, .body_write_fd = memory_body_write_fd, .body_discard = memory_body_discard,
	.body_open = memory_body_open, .body_close = memory_body_close, .body_facts = memory_body_facts,
	.drop = memory_drop, .checkpoint = memory_checkpoint, .backup = memory_backup, .verify = memory_verify, .compact = memory_compact,
	.stats = memory_stats, .close = memory_close,
};

int engine_memory_open(const struct engine_options *o, struct engine **ret, struct pb_error *err)
{
	struct memory *m = pb_alloc(sizeof(*m));

	(void)o;
	(void)err;
	m->base.ops = &memory_ops;
	pthread_mutex_init(&m->lock, NULL);
	m->stats.segments = 1;
	*ret = &m->base;
	return 0;
}
