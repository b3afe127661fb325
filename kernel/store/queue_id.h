/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Queue ids: letters and digits that sort by time, so that the timeline knows the day from an id alone.
 * Ten digits in base 36 are microseconds since 1970, the rest tells ids of one moment apart. Named ids begin with 'z' and know no time.
 */
#ifndef KERNEL_STORE_QUEUE_ID_H
#define KERNEL_STORE_QUEUE_ID_H

#include <postbus/queue.h>

/* sequence: different for ids that one process makes in one microsecond; out has room for PB_ID_MAX bytes. */
void queue_id_make(char *out, int64_t now, uint32_t sequence);
/* The id of a token: the same for the same token. */
void queue_id_name(char *out, struct pb_str token);
/* When it was made, in microseconds; 0 for named ids and for what is no id. */
int64_t queue_id_time(struct pb_str id);
/* Letters and digits, 1 to PB_ID_MAX - 1 of them. */
bool queue_id_valid(struct pb_str id);

#endif
