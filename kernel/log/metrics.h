/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Counters, gauges and histograms of one daemon; log.h is the door to them. */
#ifndef KERNEL_LOG_METRICS_H
#define KERNEL_LOG_METRICS_H

#include <pthread.h>

struct metric;
struct log;

struct metrics {
	pthread_mutex_t lock;
	struct metric *first;
};

struct metrics *log_metrics(struct log *l);
void metrics_init(struct metrics *m);
void metrics_free(struct metrics *m);

#endif
