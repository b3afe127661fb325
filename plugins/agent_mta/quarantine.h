/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What quarantine.c gives to release.c: rows of the table, and the mailbox with the bodies. */
#ifndef AGENT_MTA_QUARANTINE_H
#define AGENT_MTA_QUARANTINE_H

#include <postbus/mailbox.h>
#include "mta.h"

int quarantine_folder(struct mta *mta, struct pb_folder **ret, struct pb_error *err);
int quarantine_get(struct mta *mta, struct pb_str id, json_t **ret, struct pb_error *err);
int quarantine_put(struct mta *mta, struct pb_str id, const json_t *row, struct pb_error *err);
/* Text that may be no UTF-8; then it is taken as ISO 8859-1. */
json_t *quarantine_text(struct pb_str s);

/* ---- whose a recipient is (whose.c) ---- */

/* The addresses of a row that this caller may do something with: the system all, an administrator those of his post office, a user his own. */
json_t *whose_addresses(const struct pb_caller *who, const json_t *row);
/* Is this recipient among them? And those of the row that are not. */
bool whose_has(const json_t *addresses, const json_t *rcpt);
json_t *whose_rest(const json_t *row, const json_t *addresses);

#endif
