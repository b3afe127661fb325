/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The difference of two views of one folder, by what differs: chunks that both share are passed over by pointer.
 * Leaves how a protocol words it to the protocol.
 */
#include <stdlib.h>
#include "kernel/store/folder.h"

/* A place in a row set: row index, and its slot. */
struct cursor {
	const struct row_set *set;
	uint32_t index, slot;
};

struct found {
	uint32_t *gone;			/* indexes into old */
	size_t ngone, room_gone;
	uint32_t *changed;		/* indexes into now */
	size_t nchanged, room_changed;
};

static void note(uint32_t **list, size_t *n, size_t *room, uint32_t index)
{
	if (*n == *room) {
		*room = *room ? *room * 2 : 32;
		*list = pb_realloc(*list, *room * sizeof **list);
	}
	(*list)[(*n)++] = index;
}

static const struct pb_row *row_at(const struct cursor *c)
{
	const struct slot *slot = &c->set->table->slots[c->slot];

	return &slot->rows->rows[c->index - slot->base];
}

static void forward(struct cursor *c, uint32_t rows)
{
	c->index += rows;
	while (c->slot + 1 < c->set->nslots && c->index >= c->set->table->slots[c->slot + 1].base)
		c->slot++;
}

/* How many rows both have from here on because they are the same chunk at the same place; 0 where they are not. */
static uint32_t shared(const struct cursor *a, const struct cursor *b)
{
	const struct slot *x = &a->set->table->slots[a->slot], *y = &b->set->table->slots[b->slot];
	uint32_t rest_a, rest_b;

	if (x->rows != y->rows || a->index - x->base != b->index - y->base)
		return 0;
	rest_a = slot_rows(a->set, a->slot) - (a->index - x->base);
	rest_b = slot_rows(b->set, b->slot) - (b->index - y->base);
	return rest_a < rest_b ? rest_a : rest_b;
}

static void compare(const struct row_set *old, const struct row_set *now, struct found *f)
{
	struct cursor a = { old, 0, 0 }, b = { now, 0, 0 };

	while (a.index < old->n && b.index < now->n) {
		const struct pb_row *x, *y;
		uint32_t same = shared(&a, &b);

		if (same) {
			forward(&a, same);
			forward(&b, same);
			continue;
		}
		x = row_at(&a);
		y = row_at(&b);
		if (x->uid < y->uid) {
			note(&f->gone, &f->ngone, &f->room_gone, a.index);
			forward(&a, 1);
		} else if (x->uid > y->uid) {
			forward(&b, 1);
		} else {
			if (x->modseq != y->modseq || x->flags != y->flags)
				note(&f->changed, &f->nchanged, &f->room_changed, b.index);
			forward(&a, 1);
			forward(&b, 1);
		}
	}
	for (; a.index < old->n; a.index++)
		note(&f->gone, &f->ngone, &f->room_gone, a.index);
}

static void tell_changed(const struct pb_view *now, const struct found *f, const struct pb_view_change *tell, void *arg)
{
	const struct pb_row *row = NULL;
	uint32_t many = 0;

	for (size_t i = 0; i < f->nchanged; i++, row++, many--) {
		if (!many || f->changed[i] != f->changed[i - 1] + 1)
			row = row_set_run(&now->rows, f->changed[i], &many);
		tell->flags(arg, f->changed[i] + 1, row);
	}
}

void host_view_diff(const struct pb_view *old, const struct pb_view *now, const struct pb_view_change *tell, void *arg)
{
	struct found f = { 0 };

	if (old == now || !old->rows.table || !now->rows.table)
		return;
	compare(&old->rows, &now->rows, &f);
	for (size_t i = f.ngone; tell->gone && i-- > 0;)
		tell->gone(arg, f.gone[i] + 1, row_set_row(&old->rows, f.gone[i])->uid);
	if (tell->flags)
		tell_changed(now, &f, tell, arg);
	free(f.gone);
	free(f.changed);
}
