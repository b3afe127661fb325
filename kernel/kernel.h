/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The kernel's rooms, held together: pointers only, so that this header depends on none of them.
 * Order of life is main.c's business; a room may use those above it in this list, never those below.
 */
#ifndef KERNEL_KERNEL_H
#define KERNEL_KERNEL_H

#include <sys/types.h>

struct kernel {
	const char *home;		/* absolute; everything the daemon writes is below it */
	uid_t user;			/* whom it runs as once it serves */
	struct clock *clock;		/* clock/clock.h */
	struct log *log;		/* log/log.h: lines and metrics */
	struct config *config;		/* config/config.h: postbus.json and what the CLI changed */
	struct engine *engine;		/* store/engine.h */
	struct timeline *timeline;	/* store/timeline.h */
	struct mailstore *mailstore;	/* store/mailstore.h: mailboxes, folders, views, tables */
	struct queue *queue;		/* queue/queue.h */
	struct sessions *sessions;	/* session/sessions.h: workers, listeners, sessions */
	char *certificates;		/* entrance.h: which files are in force */
	struct bus *bus;		/* bus/bus.h */
	struct plugins *plugins;	/* plugin/plugins.h */
	struct control *control;	/* control/control.h */
	int broker, broker_pid;		/* broker.h; 0: there is none */
	_Atomic int programs;		/* that run now; run.c */
};

#endif
