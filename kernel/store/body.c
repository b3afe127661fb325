/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * host_body_*: a body as plugins hold it; opened when it is first read, shared by reference.
 * Leaves what bodies are made of to the engine, and who names them to rows and items.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <postbus/message.h>
#include "kernel/host.h"
#include "kernel/store/mailstore.h"

struct pb_body {
	struct pb_handle handle;
	_Atomic unsigned refs;
	struct engine *engine;
	struct body_id id;
	struct engine_body *_Atomic opened;
	pthread_mutex_t lock;		/* of what is made on first use */
	struct pb_buf joined;		/* head and body in one piece; NULL until asked for */
	struct pb_buf facts;
	size_t head_len;
	char head[];
};

struct pb_body *body_new(const struct pb_host_ops *ops, struct engine *engine, const struct body_id *id, struct pb_str head, struct pb_error *err)
{
	struct pb_body *b = pb_alloc(sizeof *b + head.len);

	(void)err;
	b->handle.ops = ops;
	atomic_init(&b->refs, 1);
	b->engine = engine;
	b->id = *id;
	pthread_mutex_init(&b->lock, NULL);
	b->head_len = head.len;
	if (head.len)
		memcpy(b->head, head.ptr, head.len);
	return b;
}

const struct body_id *body_id(const struct pb_body *b)
{
	return &b->id;
}

struct pb_body *host_body_ref(struct pb_body *b)
{
	atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
	return b;
}

void host_body_release(struct pb_body *b)
{
	if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
		return;
	engine_body_close(atomic_load_explicit(&b->opened, memory_order_relaxed));
	pb_buf_free(&b->joined);
	pb_buf_free(&b->facts);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

uint64_t host_body_size(const struct pb_body *b)
{
	return b->id.size + b->head_len;
}

static int open_once(struct pb_body *b, struct pb_str *ret, struct pb_error *err)
{
	struct engine_body *opened = atomic_load_explicit(&b->opened, memory_order_acquire);
	int rc = 0;

	if (!opened) {
		pthread_mutex_lock(&b->lock);
		opened = atomic_load_explicit(&b->opened, memory_order_relaxed);
		if (!opened) {
			rc = engine_body_open(b->engine, &b->id, &opened, err);
			if (!rc)
				atomic_store_explicit(&b->opened, opened, memory_order_release);
		}
		pthread_mutex_unlock(&b->lock);
	}
	if (!rc)
		*ret = engine_body_bytes(opened);
	return rc;
}

int host_body_parts(struct pb_body *b, struct pb_str *ret_head, struct pb_str *ret_rest, struct pb_error *err)
{
	struct pb_str rest;
	int rc = open_once(b, &rest, err);

	if (rc)
		return rc;
	*ret_head = pb_str(b->head, b->head_len);
	*ret_rest = rest;
	return 0;
}

int host_body_view(struct pb_body *b, struct pb_str *ret_bytes, struct pb_error *err)
{
	struct pb_str rest;
	int rc = open_once(b, &rest, err);

	if (rc)
		return rc;
	if (!b->head_len) {
		*ret_bytes = rest;
		return 0;
	}
	pthread_mutex_lock(&b->lock);
	if (!b->joined.ptr) {
		pb_buf_reserve(&b->joined, b->head_len + rest.len);
		pb_buf_add(&b->joined, b->head, b->head_len);
		pb_buf_addstr(&b->joined, rest);
	}
	*ret_bytes = pb_buf_str(&b->joined);
	pthread_mutex_unlock(&b->lock);
	return 0;
}

int host_body_facts(struct pb_body *b, struct pb_str *ret_facts, struct pb_error *err)
{
	struct pb_str rest;
	int rc = 0;

	pthread_mutex_lock(&b->lock);
	if (!b->facts.len && engine_body_facts(b->engine, &b->id, &b->facts, NULL))
		pb_buf_reset(&b->facts);
	if (b->facts.len)
		*ret_facts = pb_buf_str(&b->facts);
	pthread_mutex_unlock(&b->lock);
	if (b->facts.len)
		return 0;
	/* They were lost with a crash: they are made again. */
	rc = open_once(b, &rest, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&b->lock);
	if (!b->facts.len)
		pb_facts_make(rest, &b->facts);
	*ret_facts = pb_buf_str(&b->facts);
	pthread_mutex_unlock(&b->lock);
	return 0;
}
