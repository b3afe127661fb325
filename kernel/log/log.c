/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Log lines: logfmt, one event a line, one write each. Leaves rotation to whoever reads the stream. */
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "kernel/log/log.h"
#include "kernel/log/metrics.h"

struct log {
	int fd;
	_Atomic enum pb_level level;
	bool prefix_levels;
	void (*_Atomic tap)(void *arg, enum pb_level level, const char *line);
	void *tap_arg;			/* written before tap, and read behind it */
	struct metrics metrics;
};

static const char *const level_names[] = { "debug", "info", "warning", "error" };
static const char *const level_prefixes[] = { "<7>", "<6>", "<4>", "<3>" };

struct log *log_new(int fd, enum pb_level level, bool prefix_levels)
{
	struct log *l = pb_alloc(sizeof *l);

	l->fd = fd;
	l->level = level;
	l->prefix_levels = prefix_levels;
	metrics_init(&l->metrics);
	return l;
}

void log_set_level(struct log *l, enum pb_level level)
{
	l->level = level;
}

bool log_wants(struct log *l, enum pb_level level)
{
	return level >= l->level || l->tap;
}

void log_tap(struct log *l, void (*tap)(void *arg, enum pb_level level, const char *line), void *arg)
{
	if (tap)
		l->tap_arg = arg;
	l->tap = tap;
}

struct metrics *log_metrics(struct log *l)
{
	return &l->metrics;
}

static void stamp(struct pb_buf *line)
{
	struct timespec ts;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	pb_buf_addf(line, "time=%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		    ts.tv_nsec / 1000000);
}

void log_line(struct log *l, enum pb_level level, const char *where, const char *event, const char *fmt, ...)
{
	void (*tap)(void *arg, enum pb_level level, const char *line);
	PB_AUTOBUF(text);
	PB_AUTOBUF(line);
	va_list ap, again;
	int n;

	if (!log_wants(l, level))
		return;
	va_start(ap, fmt);
	va_copy(again, ap);
	pb_buf_reserve(&text, 256);
	n = vsnprintf(text.ptr, text.cap, fmt, ap);
	if (n >= 0 && (size_t)n >= text.cap) {
		pb_buf_reserve(&text, (size_t)n);
		vsnprintf(text.ptr, text.cap, fmt, again);
	}
	text.len = n < 0 ? 0 : (size_t)n;
	va_end(again);
	va_end(ap);

	if (l->prefix_levels)
		pb_buf_addz(&line, level_prefixes[level]);
	else
		stamp(&line);
	pb_buf_addf(&line, "level=%s event=%s", level_names[level], event);
	if (where && *where)
		pb_buf_addf(&line, " %s", where);
	if (text.len) {
		pb_buf_addc(&line, ' ');
		for (size_t i = 0; i < text.len; i++)	/* one line, whatever came in */
			pb_buf_addc(&line, (unsigned char)text.ptr[i] < ' ' ? ' ' : text.ptr[i]);
	}
	tap = l->tap;
	if (tap)
		tap(l->tap_arg, level, pb_buf_z(&line));
	if (level < l->level)
		return;
	pb_buf_addc(&line, '\n');
	if (write(l->fd, line.ptr, line.len) < 0)
		return;	/* nowhere to say so */
}

void log_free(struct log *l)
{
	if (!l)
		return;
	metrics_free(&l->metrics);
	free(l);
}
