/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The archive of a list: a public folder of its post office (agent_public), which is the list's own: its right says "list:ADDRESS ID", and whoever wants to read there
 * is asked about here (method list.reader). A list of the same name that is made later has another id, so it gets a folder of its own.
 */
#ifndef CONN_LIST_ARCHIVE_H
#define CONN_LIST_ARCHIVE_H

#include <postbus/mailbox.h>
#include "post.h"

/* Make the folder that the settings say, where there is an archive. Without archive_folder it is the first of Lists/NAME, Lists/ADDRESS, Lists/ADDRESS-ID that is no
 * other list's; what is not the first becomes the setting. */
int archive_prepare(struct lists *all, struct list *l, struct pb_error *err);
/* Put the post there, once, however often this is done for it; durable when it returns 0. Nothing where there is no archive, or the post says that it wants none. */
int archive_keep(struct post *p, struct pb_error *err);

/* Is this address a reader's: a member's, whatever his delivery is, an owner's, a moderator's, one of a group or of another source? */
int archive_reader(struct lists *all, const struct list *l, struct pb_str address, bool *ret, struct pb_error *err);

/* The last posts of the archive (last 0: all) with from <= date < to (microseconds; to 0: no end), oldest first; visit gives false to stop. PB_ENOTFOUND: there is no
 * archive. */
struct archived {
	const struct pb_row *row;
	struct pb_view *view;
	uint32_t seq;
};
int archive_find(struct lists *all, const struct list *l, size_t last, int64_t from, int64_t to, bool (*visit)(void *arg, const struct archived *one), void *arg,
		 struct pb_error *err);

#endif
