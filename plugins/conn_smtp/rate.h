/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Recipients of a login within the last hour, to within five minutes. Knows a table and the time it is told; limits are its callers'.
 */
#ifndef CONN_SMTP_RATE_H
#define CONN_SMTP_RATE_H

#include <postbus/plugin.h>
#include <postbus/table.h>

uint64_t rate_slot(int64_t now);
/* Of a row, at a slot; and the row with n more in it. What cannot be read counts nothing. */
uint64_t rate_sum(struct pb_str row, uint64_t now);
void rate_add(struct pb_buf *out, struct pb_str row, uint64_t now, uint64_t n);

int rate_look(struct pb_table *t, struct pb_str mailbox, int64_t now, uint64_t *ret_sum, struct pb_error *err);
/* Count n more, durably; PB_EQUOTA when they would be more than limit: then nothing is counted. */
int rate_take(struct pb_table *t, struct pb_str mailbox, int64_t now, uint64_t n, uint64_t limit, struct pb_error *err);
/* Remove rows of logins that have sent nothing for an hour. */
int rate_forget(struct pb_table *t, int64_t now, struct pb_error *err);

#endif
