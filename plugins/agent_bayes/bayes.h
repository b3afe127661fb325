/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of agent_bayes share. The table "words": "<post office>" NUL <hash, 8 bytes> = spam, ham (4 bytes each); "<post office>" NUL alone: messages
 * learnt. The table "learnt": "<post office>" NUL <SHA-256 of a message's words> = "s" or "h", so that one is learnt once, and can change sides.
 */
#ifndef AGENT_BAYES_BAYES_H
#define AGENT_BAYES_BAYES_H

#include <pthread.h>
#include <postbus/bus.h>
#include <postbus/plugin.h>
#include <postbus/queue.h>
#include <postbus/table.h>
#include "classify.h"

struct bayes {
	struct pb_host *host;
	struct pb_table *words, *learnt;
	pthread_mutex_t learning;	/* one at a time */
	int64_t least;			/* messages of each kind before it says anything */
};

/* What is known of words (hashes, ascending) in a post office; ret has n. */
int words_read(struct bayes *b, struct pb_str office, const uint64_t *hashes, size_t n, struct counts *ret, struct counts *ret_all, struct pb_error *err);
/* Add to the counts of words and of messages: -1, 0 or 1 of each kind. */
int words_change(struct bayes *b, struct pb_str office, const uint64_t *hashes, size_t n, int spam, int ham, struct pb_error *err);
int words_totals(struct bayes *b, struct pb_str office, struct counts *ret, struct pb_error *err);
/* The rows of a post office, with learning held. */
int words_forget(struct bayes *b, struct pb_str office, struct pb_error *err);

enum learnt { LEARNT_NOTHING, LEARNT_SPAM, LEARNT_HAM };

/* Learn a message as one kind; one that was learnt as the other changes sides. ret_new: false where it was learnt so before. */
int learn(struct bayes *b, struct pb_str office, struct pb_str message, struct pb_str facts, enum learnt as, bool *ret_new, struct pb_error *err);
/* Away with all that a post office has learnt. */
int forget(struct bayes *b, struct pb_str office, struct pb_error *err);
/* The probability that it is spam. PB_ENOTFOUND, and 0.5: too little is learnt to judge by. */
int judge(struct bayes *b, struct pb_str office, struct pb_str message, struct pb_str facts, double *ret, struct pb_error *err);

#endif
