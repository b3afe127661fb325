/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What filter.run and filter.test share (run.c): params, message, script, outcome, in this order; then run_end and outcome_free.
 */
#ifndef AGENT_FILTER_RUN_H
#define AGENT_FILTER_RUN_H

#include "filter.h"

/* Begins with keep true and an empty list of actions; all of it goes with outcome_free. */
struct outcome {
	json_t *actions, *flags;
	bool ran, keep, edited;
	bool held;				/* quarantined, or in a public folder instead: no more scripts; it is kept where that cannot be done */
	struct pb_spool *versions[PB_VERSIONS_MAX];	/* from 1; 0 is what it came as */
	unsigned nversions, version;		/* what it is now */
	char fault[300];
};

/* Mailbox, post office and recipient of a call, as views of params, which it keeps. */
void run_params(struct run *r, const json_t *params);
/* The message as scripts see it, of the bytes, the envelope, the run's facts and params. *arena is made for it, also to be freed when nothing was run. */
struct sieve_message run_message(struct run *r, struct pb_str bytes, struct pb_arena **arena);
/* A script's text as one of the owner's. Without a text: the scripts that the owner has, of a mailbox behind those of its post office. A fault of a script is in the
 * outcome; PB_EINVALID, PB_ETOOBIG: the text does not compile; PB_EUNAVAILABLE and others of the store. */
int run_script(struct run *r, struct pb_str owner, struct pb_str script, struct sieve_message *m, struct outcome *o, struct pb_error *err);
/* The result of the methods. */
json_t *outcome_json(struct outcome *o);
void outcome_free(struct outcome *o);

#endif
