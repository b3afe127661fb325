/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What was in hand when the daemon ended without a goodbye, and what follows from it. inhand.c keeps the record while it runs, in a mapped file; suspect.c
 * remembers over starts which items ended the daemon how often, lets them run one at a time with growing pauses, and puts one aside that does it again and again;
 * served.c which recipients were served, so that nobody is again.
 */
#ifndef KERNEL_QUEUE_INHAND_H
#define KERNEL_QUEUE_INHAND_H

#include "kernel/queue/private.h"

/* An item and the stage at which it was: rows come and go with a crash, these stay. */
struct hand_key {
	char lane[LANE_MAX + 1];
	char id[PB_ID_MAX];
	uint32_t destination;		/* its CRC */
};

struct suspect {
	struct hand_key key;
	char plugin[64];
	unsigned crashes;		/* attempts in a row that the daemon did not survive */
	int64_t last, until;		/* when the daemon was started after the last one; not before */
};

struct inhand {
	struct inhand_file *file;
	bool mapped;			/* from a file; else it is memory of this process */
	unsigned limit;			/* crashes */
	int64_t pause;			/* before the second attempt, microseconds */
	struct metric *crashes, *poison;
	pthread_mutex_t lock;		/* all that follows */
	struct suspect *suspects;
	atomic_size_t n;
	bool busy;			/* one of them is in hand */
	struct served *served;		/* served.c */
	atomic_size_t nserved;
};

/* inhand.c: what was in hand when the daemon ended, at most max of them: those that are to blame, if that is known, else all. */
size_t inhand_left(struct inhand *h, struct suspect *list, size_t max);
enum { HANDS = 512 };
/* Each recipient that was served when the daemon ended, as a fact; facts of one key come one after the other. */
void inhand_served(struct inhand *h, void (*found)(void *arg, const struct hand_key *key, uint64_t fact), void *arg);

/* suspect.c */
int suspects_open(struct queue *q, struct pb_error *err);	/* with what inhand_left gives */
bool suspect_is(struct inhand *h, const char *id);
/* May it be worked on now? False: it was put off, or put aside for good; its lease has ended. */
bool suspect_begin(struct queue *q, struct entry *e, const struct hand_key *key);
void suspect_end(struct queue *q, const struct hand_key *key);	/* the daemon survived it */
void suspects_close(struct inhand *h);

/* served.c. A fact: 62 bits that stand for the recipient, and in the last two what came of it: enum outcome; 0: nothing yet. */
enum { FACT_OUTCOME = 3 };
uint64_t fact_of(const struct pb_rcpt *rcpt);		/* 0: there is none */
int served_open(struct queue *q, struct pb_error *err);		/* with what inhand_served gives */
void served_close(struct inhand *h);

#endif
