/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bounces: failures are counted for members, by day. Who has too many points is asked by a letter of its own (a probe); if that bounces too he gets no more posts,
 * is warned some times, and is removed. What a bounce says is a stranger's word, so it counts for members only, once a day at most, and the probe's return path
 * holds a token that nobody can guess.
 *
 * A member's row has "bounces": score, day (days since 1970 of the last one counted), last (microseconds), reason, probed (microseconds; absent: not), warned (letters
 * since he was stopped), next (microseconds of the next one). Table "probes": token, to { list: address, member: address, until }.
 */
#ifndef CONN_LIST_BOUNCE_H
#define CONN_LIST_BOUNCE_H

#include "post.h"

/* Mail to NAME-bounces, with whom it names or without. Settles p->to. */
int bounce_deliver(struct post *p, struct pb_error *err);
/* Mail to NAME-probe+TOKEN. Settles p->to. */
int probe_deliver(struct post *p, struct pb_error *err);
/* At agent_mta's point report.due: what the queue itself could not deliver. */
int bounce_hook(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err);
/* Warnings and removals that are due; probes that came to nothing are forgotten. */
void bounce_tick(struct lists *all);

/* ---- what a bounce does to a member (bounce_count.c) ---- */

enum bounce_weight { BOUNCE_SOFT, BOUNCE_HARD };
/* By the reply or status that a failure has: "550 5.1.1 no such user" is hard; what is wrong with the message, not with the member (5.6.x, 5.7.x, too large), is soft. */
enum bounce_weight bounce_weigh(struct pb_str reply, struct pb_str status);
/* Count it. PB_ENOTFOUND: nobody of that address. */
int bounce_count(struct lists *all, const struct list *l, struct pb_str address, enum bounce_weight weight, struct pb_str reason, struct pb_error *err);
/* The probe bounced. */
int bounce_stop(struct lists *all, const struct list *l, struct pb_str address, struct pb_str reason, struct pb_error *err);

/* ---- letters (bounce_letter.c) ---- */

int bounce_probe(struct lists *all, const struct list *l, struct pb_str member, struct pb_error *err);
int bounce_warn(struct lists *all, const struct list *l, const json_t *row, struct pb_error *err);
/* To the owners, where they want to hear of it. */
int bounce_tell(struct lists *all, const struct list *l, struct pb_str subject, struct pb_str text, struct pb_error *err);

#endif
