/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The timeline's inside: what its writer and its reader share. A day file holds lines
 *	<microseconds> <queue id> <who> <what> <text, escaped>
 */
#ifndef KERNEL_STORE_TIMELINE_FILE_H
#define KERNEL_STORE_TIMELINE_FILE_H

#include <pthread.h>
#include <postbus/plugin.h>
#include "kernel/store/timeline.h"

enum { TIMELINE_PATH = 4096, TIMELINE_TEXT_MAX = 2048 };

struct timeline {
	char *dir;
	struct clock *clock;
	unsigned keep_days;
	pthread_t thread;
	pthread_mutex_t lock;		/* pending, spare, closing, asleep */
	pthread_cond_t wake;
	struct pb_buf pending, spare;
	int64_t pending_day;		/* days since 1970 of all that is pending */
	bool closing, asleep;
	pthread_mutex_t writing;	/* fd, day; taken before lock */
	int fd;
	int64_t day;
};

void timeline_path(const struct timeline *t, int64_t day, char path[static TIMELINE_PATH]);
/* Day files of the directory, ascending days since 1970; free *ret_days. */
size_t timeline_days(const struct timeline *t, int64_t **ret_days);
void timeline_expire(const struct timeline *t, int64_t today);
void timeline_free(struct timeline *t);

#endif
