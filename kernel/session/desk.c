/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Buffers that belong to a worker and are lent to the session it runs. */
#include <stdlib.h>
#include "kernel/session/desk.h"

struct desk *desk_new(void)
{
	struct desk *d = pb_alloc(sizeof *d);

	d->arena = pb_arena_new();
	d->in_cap = DESK_IN;
	d->in = pb_realloc(NULL, d->in_cap);
	d->out = pb_realloc(NULL, DESK_OUT);
	cipher_init(&d->cipher);
	return d;
}

void desk_release_bodies(struct desk *d)
{
	for (unsigned i = 0; i < d->nbodies; i++)
		pb_body_release(d->bodies[i]);
	d->nbodies = 0;
}

void desk_clear(struct desk *d)
{
	desk_release_bodies(d);
	pb_arena_reset(d->arena);
	d->in_at = d->in_end = 0;
	if (d->in_cap > DESK_IN) {
		d->in_cap = DESK_IN;
		d->in = pb_realloc(d->in, d->in_cap);
	}
	d->out_len = d->out_total = 0;
	d->npieces = 0;
	d->cipher.in_at = d->cipher.in_end = 0;
	d->cipher.dry = false;
	d->cipher.out_at = 0;
	if (d->cipher.out.cap > 2 * CIPHER_OUT)
		pb_buf_free(&d->cipher.out);
	pb_buf_reset(&d->cipher.out);
	d->waited = d->silent = 0;
	d->moved = 0;
	d->doing = NULL;
	d->verb[0] = '\0';
}

void desk_free(struct desk *d)
{
	if (!d)
		return;
	desk_release_bodies(d);
	pb_arena_free(d->arena);
	cipher_free(&d->cipher);
	free(d->in);
	free(d->out);
	free(d);
}
