/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files share that a post goes through: read, judged, held, changed, distributed. */
#ifndef CONN_LIST_POST_H
#define CONN_LIST_POST_H

#include "list.h"

/* Fill p from p->item, and end it (post.c). */
int post_read(struct post *p, struct pb_error *err);
void post_end(struct post *p);
/* p->member as it is now: a command before may have changed it. */
int post_find_member(struct post *p, struct pb_error *err);
/* It goes on to the owners as it is; p->to is the caller's to settle. What bounces then comes to the list, not to whoever wrote it. */
int post_to_owners(struct post *p, struct pb_error *err);

/* ---- the password (approval.c) ---- */

/* Is this header field one that gives it? */
bool is_approval(struct pb_str name);
/* The post gives the right one, in its header or as the first line of its text. */
bool post_is_approved(const struct post *p);
/* What it gives in its text is to be seen somewhere even without that line: in what is signed, between tags. */
bool post_shows_password(const struct post *p);
/* Append the body without the lines that give it. */
void post_body(const struct post *p, struct pb_buf *out);

/* What the list's Sieve rule says (script.c). */
enum judgement post_ask_script(struct post *p, struct pb_buf *why);
/* It waits for a moderator (hold.c). Settles p->to. */
int post_hold(struct post *p, struct pb_str why, struct pb_error *err);

/* How From is changed (mitigate.c). PB_EUNAVAILABLE: the policy of its domain cannot be found out now. */
int post_mitigation(struct post *p, enum mitigation *ret, struct pb_error *err);

/* The header as members get it, without its blank line (fields.c). count: number of the post, 0 where nothing needs it. */
void post_fields(struct post *p, enum mitigation from, const json_t *personal, int64_t count, struct pb_buf *out);
/* The list's own address or the poster's, as the From of what the list sends for him: "Name via dev" <dev@...>. */
void post_from_list(struct post *p, struct pb_buf *out);
/* Date, of a post that has none: when it came. */
void post_date(struct post *p, struct pb_buf *out);
void post_reply_to(struct post *p, enum mitigation from, struct pb_buf *out);
/* A list's own address in a field of this name: it was there. Lists take out each other's List-Id, but not this, so two that are members of each other make no circle. */
#define POST_BEEN_THERE "X-BeenThere"
void post_list_fields(const struct list *l, const json_t *personal, struct pb_buf *out);
/* A subject with prefix and suffix, where they are not in it yet. Pure. */
void subject_dress(struct pb_buf *out, struct pb_str subject, struct pb_str prefix, struct pb_str suffix, int64_t count);

/* Its number goes into the note list_count, where the list needs one (number.c). */
int post_number(struct post *p, struct pb_error *err);

/* ---- who gets it (audience.c) ---- */

struct reader {
	struct pb_str key, address, name;
	struct pb_str domain;	/* of address; distribute.c's */
	enum delivery delivery;
};

/* In the order of keys, nobody twice. */
struct audience {
	struct pb_arena *arena;
	struct reader *readers;
	size_t n, room;
	size_t digests;		/* members who get it in a digest */
};

/* Who gets this post as it comes: members, of groups and of other sources, from <= key < to. End it with audience_end in every case. */
int audience_gather(struct post *p, struct pb_str from, struct pb_str to, struct audience *ret, struct pb_error *err);
void audience_end(struct audience *a);

#endif
