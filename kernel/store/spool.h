/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Spools, as the store sees them: a body while it is written. Small ones stay in memory, large ones go to an unlinked file in the spool directory.
 * Sealing scans the structure (postbus/message.h), writes the immutable body and gives its id.
 * The store says here what it needs; the queue provides it.
 */
#ifndef KERNEL_STORE_SPOOL_H
#define KERNEL_STORE_SPOOL_H

#include "kernel/store/engine.h"
#include <postbus/queue.h>

/* Write the body with its facts through the engine; the spool is gone afterwards in every case. */
int spool_seal(struct pb_spool *spool, struct engine *engine, struct body_id *ret, struct pb_error *err);

#endif
