/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A directory for one test, removed with all that is in it. For tests of the store.
 */
#ifndef KERNEL_STORE_TESTS_SCRATCH_H
#define KERNEL_STORE_TESTS_SCRATCH_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernel/store/engine.h"

struct scratch {
	char dir[256];
};

static inline void scratch_make(struct scratch *s)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(s->dir, sizeof(s->dir), "%s/postbus-store-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(s->dir))
		abort();
}

static inline int scratch_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void scratch_remove(struct scratch *s)
{
	nftw(s->dir, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
