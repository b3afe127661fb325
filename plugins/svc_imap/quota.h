/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Quotas of what a client adds: begin before the folder is written to, then tell what came of it.
 */
#ifndef SVC_IMAP_QUOTA_H
#define SVC_IMAP_QUOTA_H

#include <postbus/bus.h>
#include <postbus/session.h>

struct quota {
	bool limited;			/* the mailbox has a quota */
	uint64_t messages, bytes;	/* what it held */
};

/* The folder was opened by this name to be written to: what the setting quota_folders says about it holds for this handle. */
int quota_begin(struct pb_session *s, struct pb_folder *to, struct pb_str name, struct quota *q, struct pb_error *err);
/* One message of so many bytes was appended; usage is the append's. */
void quota_appended(struct pb_session *s, struct quota *q, const struct pb_usage *usage, uint64_t bytes);
/* Messages were copied. */
void quota_copied(struct pb_session *s, struct quota *q);

#endif
