/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Heads in memory: what the last batch under each stripe wrote, so that the next one on the same entity need not read it. Nobody writes a head but with its
 * entity's stripe, and everything here is called with it. Leaves what is in a head to engine_bdb_apply.c.
 */
#include "kernel/store/engine_bdb.h"

/* A larger one is read each time. */
enum { HEAD_MOST = 1024 };

static struct head_kept *kept_of(struct bdb *b, struct pb_str entity)
{
	return &b->heads[bdb_stripe(b, entity) - b->stripes];
}

bool bdb_head_kept(struct bdb *b, struct pb_str entity, struct pb_buf *value)
{
	const struct head_kept *k = kept_of(b, entity);

	if (!k->value.len || !pb_str_eq(pb_str(k->entity, k->entity_len), entity))
		return false;
	pb_buf_reset(value);
	pb_buf_addstr(value, pb_buf_str(&k->value));
	return true;
}

void bdb_head_keep(struct bdb *b, struct pb_str entity, struct pb_str value)
{
	struct head_kept *k = kept_of(b, entity);

	pb_buf_reset(&k->value);
	if (entity.len > sizeof(k->entity) || value.len > HEAD_MOST)
		return;
	memcpy(k->entity, entity.ptr, entity.len);
	k->entity_len = entity.len;
	pb_buf_addstr(&k->value, value);
}

void bdb_head_forget(struct bdb *b, struct pb_str entity)
{
	pb_buf_reset(&kept_of(b, entity)->value);
}

void bdb_heads_free(struct bdb *b)
{
	for (int i = 0; i < STRIPES; i++)
		pb_buf_free(&b->heads[i].value);
}
