/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What became of a post for each of its recipients, where the list is tracked: the queue reports each success, failure and delay (report.due), and this keeps it.
 *
 * Return paths of such a post name it, dev-bounces+TOKEN@, so that a bounce that comes by mail later changes the result of the one that it is about.
 *
 * Table "campaigns": <list id> NUL <id of the post>, to { subject, at, until, recipients, post }; the same under <list id> CAMPAIGN_PATHS <token>. Table "results":
 * <list id> NUL <id of the post> NUL <address as compared>, to a letter for the state (d r f l: delivered, relayed, failed, delayed) and { address, reason, remote, at }.
 * All are removed after track_keep.
 */
#ifndef CONN_LIST_CAMPAIGN_H
#define CONN_LIST_CAMPAIGN_H

#include "post.h"

#define CAMPAIGN_PATHS "\1"	/* no other key begins so: behind a list's id stands NUL */

/* The post's own id: for a part of a personal one that of the whole. */
struct pb_str campaign_id(const struct post *p);
/* Append where its bounces come back to, for all of its recipients. */
int campaign_bounces(const struct post *p, struct pb_buf *out, struct pb_error *err);
/* It goes to so many; before it does. Nothing where the list is not tracked. */
int campaign_begin(struct post *p, size_t recipients, struct pb_error *err);
/* Mark what the post becomes, and say of what to hear about a recipient. */
void campaign_mark(const struct post *p, struct pb_envelope *env);
unsigned campaign_notify(const struct post *p);
/* A report of the queue about one of these. */
int campaign_take(struct lists *all, const struct list *l, const struct pb_question *q, struct pb_error *err);
/* A failure that came back by mail to a return path with this token, whatever that is. certain: the path named the recipient too; else he must have a result. */
int campaign_bounced(struct lists *all, const struct list *l, struct pb_str token, struct pb_str address, bool certain, struct pb_str reason, struct pb_error *err);
/* Away with what is past. */
int campaign_tick(struct lists *all, struct pb_error *err);

enum result { RESULT_DELIVERED, RESULT_RELAYED, RESULT_FAILED, RESULT_DELAYED, RESULTS };
extern const char *const result_names[RESULTS];
/* By the letter of a row; RESULTS: it is none. */
enum result result_of(struct pb_str value);

#endif
