/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The kernel's rooms, held together: pointers only, so that this header depends on none of them.
 * Order of life is main.c's business; a room may use those above it in this list, never those below.
 */
#ifndef KERNEL_KERNEL_H
#define KERNEL_KERNEL_H

struct kernel {
	const char *home;		/* absolute; everything the daemon writes is below it */
	struct clock *clock;		/* clock/clock.h */
	struct log *log;		/* log/log.h: lines and metrics */
	struct config *config;		/* config/config.h: postbus.json and what the CLI changed */
	struct engine *engine;		/* store/engine.h */
	struct timeline *timeline;	/* store/timeline.h */
	struct mailstore *mailstore;	/* store/mailstore.h: mailboxes, folders, views, tables */
	struct queue *queue;		/* queue/queue.h */
	struct sessions *sessions;	/* session/sessions.h: workers, listeners, sessions */
	struct bus *bus;		/* bus/bus.h */
	struct plugins *plugins;	/* plugin/plugins.h */
	struct control *control;	/* control/control.h */
};

#endif
