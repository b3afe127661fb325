/* SPDX-License-Identifier: GPL-3.0-or-later */
/* LIST patterns against names; both UTF-8. */
#ifndef SVC_IMAP_LIST_H
#define SVC_IMAP_LIST_H

#include <postbus/str.h>

#define LIST_PATTERN_MAX 1000

/* "*" is anything, "%" anything without "/". INBOX as the first component is matched in any case. Time is the product of the lengths at most. */
bool list_match(struct pb_str pattern, struct pb_str name);

#endif
