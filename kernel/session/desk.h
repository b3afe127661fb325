/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A worker's desk: the buffers and the arena that a session has while it runs. A parked session owns none of it, so ten thousand of them need
 * as many desks as there are workers. Leaves what is read and written to session.h.
 */
#ifndef KERNEL_SESSION_DESK_H
#define KERNEL_SESSION_DESK_H

#include <sys/uio.h>
#include <postbus/session.h>
#include "kernel/session/wire.h"

enum {
	DESK_IN = 64 * 1024,		/* read at once; grows for longer lines */
	DESK_OUT = 64 * 1024,		/* gathered before it is sent */
	DESK_PIECES = 32,		/* of output: runs of the buffer, and of bodies */
	DESK_ROOM = 16 * 1024		/* pb_put_room */
};

struct desk {
	struct pb_arena *arena;
	struct cipher cipher;

	char *in;			/* read, not yet used: in[in_at..in_end) */
	size_t in_at, in_end, in_cap;
	char *out;			/* written, not yet sent */
	size_t out_len, out_total;	/* total: with the bodies' pieces */
	struct iovec pieces[DESK_PIECES];
	unsigned npieces;
	struct pb_body *bodies[DESK_PIECES];
	unsigned nbodies;

	/* this command's waiting, in microseconds */
	int64_t waited, silent;
	uint64_t moved;			/* bytes of bodies that came or went */
	const char *doing;		/* "reading message data" */
	char verb[24];			/* of the command that runs, for the log */
};

struct desk *desk_new(void);
void desk_free(struct desk *d);
/* Between sessions and commands: what grew beyond the usual is given back. */
void desk_clear(struct desk *d);
void desk_release_bodies(struct desk *d);

#endif
