/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages in files, for tests: read, and looked into for bounces. */
#ifndef MESSAGES_H
#define MESSAGES_H

#include <stdio.h>
#include <postbus/message.h>
#include "bounces/bounces.h"

static inline bool file_read(const char *path, struct pb_buf *out)
{
	FILE *f = fopen(path, "rb");
	char piece[4096];
	size_t n;

	if (!f)
		return false;
	while ((n = fread(piece, 1, sizeof piece, f)) > 0)
		pb_buf_add(out, piece, n);
	fclose(f);
	return true;
}

static inline void look(struct bounces *ret, struct pb_str message, struct pb_arena *arena)
{
	PB_AUTOBUF(facts);

	pb_facts_make(message, &facts);
	bounces_find(ret, message, pb_buf_str(&facts), arena);
}

#endif
