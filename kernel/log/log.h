/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Log lines (logfmt, one event a line, one write each) and metrics (counters and histograms, Prometheus text).
 */
#ifndef KERNEL_LOG_H
#define KERNEL_LOG_H

#include <postbus/plugin.h>

struct log;

/* fd: where lines go (2: stderr). journald levels "<6>" are put before lines when prefix_levels. */
struct log *log_new(int fd, enum pb_level level, bool prefix_levels);
void log_set_level(struct log *l, enum pb_level level);
bool log_wants(struct log *l, enum pb_level level);
/* where: "plugin=conn_smtp session=12 peer=192.0.2.1" or NULL; fmt: key=value words. */
void log_line(struct log *l, enum pb_level level, const char *where, const char *event, const char *fmt, ...) PB_PRINTF(5, 6);
/* Tests: every line goes to tap as well. */
void log_tap(struct log *l, void (*tap)(void *arg, enum pb_level level, const char *line), void *arg);
void log_free(struct log *l);

/* Metrics: declared once by name, then found by handle. */
struct metric;
enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
struct metric *metric_declare(struct log *l, enum metric_kind kind, const char *name, const char *labels, const char *help);
void metric_add(struct metric *m, int64_t n);		/* histogram: observe microseconds */
void metric_set(struct metric *m, int64_t n);
void metrics_print(struct log *l, struct pb_buf *out);	/* Prometheus text format */

#endif
