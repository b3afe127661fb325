/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Digests: posts are kept in the folder Digest of the list's mailbox until there are enough of them, or the oldest has waited for long enough; then two messages go
 * out, one for members who want MIME (RFC 2046 5.1.5) and one for those who want plain text (RFC 1153).
 *
 * Row in table "counts", key <list id> NUL "digest": issue (of the last one), upto (UID of its last post), sending (true until its messages are in the queue and its posts
 * are gone). An issue that was cut off is made again from the same posts under the same names, so nobody gets it twice.
 */
#ifndef CONN_LIST_DIGEST_H
#define CONN_LIST_DIGEST_H

#include "post.h"

/* Keep a post, as members got it, for the next issue. Doing it again for the same post adds nothing. */
int digest_keep(struct post *p, struct pb_str message, struct pb_error *err);
/* Send what is due (now: whatever there is). ret_posts: how many went out. */
int digest_send(struct lists *all, const struct list *l, bool now, size_t *ret_posts, struct pb_error *err);
void digest_tick(struct lists *all);
METHOD(list_digest);

/* ---- how an issue looks (digest_text.c). Pure ---- */

struct issue {
	struct pb_str list, description, owner, unsubscribe, host;
	int64_t number, moment;
	const struct pb_str *posts;	/* whole messages */
	size_t n;
	struct pb_str fields;		/* List-Id and so on */
};

void issue_mime(struct pb_buf *out, const struct issue *i, const char *boundary);
void issue_plain(struct pb_buf *out, const struct issue *i);

#endif
