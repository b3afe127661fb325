/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SEARCH keys asked of the selected folder's messages. */
#ifndef SVC_IMAP_SEARCH_EVAL_H
#define SVC_IMAP_SEARCH_EVAL_H

#include "imap.h"
#include "search.h"

struct search_result {
	uint32_t *numbers;	/* sequence numbers or UIDs, ascending; in the arena */
	size_t n;
	struct pb_error err;	/* the first message that could not be asked; it is not among the numbers */
};

void search_run(struct pb_session *s, struct search *q, bool uid, struct search_result *ret);

#endif
