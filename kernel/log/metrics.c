/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Metrics: lock-free to count, a lock to declare and print. Leaves the socket that shows them to control. */
#include <stdatomic.h>
#include <stdlib.h>
#include "kernel/log/log.h"
#include "kernel/log/metrics.h"

enum { BUCKETS = 12 };	/* microseconds: 10, 30, 100, ... 1,000,000, 3,000,000; the last one is everything */

static const int64_t bounds[BUCKETS - 1] = { 10, 30, 100, 300, 1000, 3000, 10000, 30000, 100000, 1000000, 3000000 };

struct metric {
	struct metric *next;
	enum metric_kind kind;
	char *name, *labels, *help;
	atomic_llong value, count;
	atomic_llong buckets[BUCKETS];
};

void metrics_init(struct metrics *m)
{
	pthread_mutex_init(&m->lock, NULL);
	m->first = NULL;
}

void metrics_free(struct metrics *m)
{
	for (struct metric *next; m->first; m->first = next) {
		next = m->first->next;
		free(m->first->name);
		free(m->first->labels);
		free(m->first->help);
		free(m->first);
	}
	pthread_mutex_destroy(&m->lock);
}

struct metric *metric_declare(struct log *l, enum metric_kind kind, const char *name, const char *labels, const char *help)
{
	struct metrics *all = log_metrics(l);
	struct metric *m, **end = &all->first;

	labels = labels ? labels : "";
	pthread_mutex_lock(&all->lock);
	for (; (m = *end) != NULL; end = &m->next)
		if (!strcmp(m->name, name) && !strcmp(m->labels, labels))
			break;
	if (!m) {
		m = pb_alloc(sizeof *m);
		m->kind = kind;
		m->name = pb_str_dup(pb_strz(name));
		m->labels = pb_str_dup(pb_strz(labels));
		m->help = pb_str_dup(pb_strz(help ? help : ""));
		*end = m;
	}
	pthread_mutex_unlock(&all->lock);
	return m;
}

void metric_add(struct metric *m, int64_t n)
{
	int b = 0;

	atomic_fetch_add_explicit(&m->value, n, memory_order_relaxed);
	if (m->kind != METRIC_HISTOGRAM)
		return;
	atomic_fetch_add_explicit(&m->count, 1, memory_order_relaxed);
	while (b < BUCKETS - 1 && n > bounds[b])
		b++;
	atomic_fetch_add_explicit(&m->buckets[b], 1, memory_order_relaxed);
}

void metric_set(struct metric *m, int64_t n)
{
	atomic_store_explicit(&m->value, n, memory_order_relaxed);
}

static void print_histogram(const struct metric *m, struct pb_buf *out)
{
	const char *comma = *m->labels ? "," : "";
	long long sum = 0;

	for (int b = 0; b < BUCKETS; b++) {
		sum += atomic_load(&m->buckets[b]);
		pb_buf_addf(out, "postbus_%s_bucket{%s%sle=\"", m->name, m->labels, comma);
		if (b < BUCKETS - 1)
			pb_buf_addf(out, "%g", (double)bounds[b] / 1e6);
		else
			pb_buf_addz(out, "+Inf");
		pb_buf_addf(out, "\"} %lld\n", sum);
	}
	pb_buf_addf(out, "postbus_%s_sum{%s} %g\n", m->name, m->labels, (double)atomic_load(&m->value) / 1e6);
	pb_buf_addf(out, "postbus_%s_count{%s} %lld\n", m->name, m->labels, (long long)atomic_load(&m->count));
}

/* All of one name together, as the format wants it; the first declared of each name leads. */
static bool is_first_of_name(const struct metrics *all, const struct metric *m)
{
	for (const struct metric *x = all->first; x != m; x = x->next)
		if (!strcmp(x->name, m->name))
			return false;
	return true;
}

void metrics_print(struct log *l, struct pb_buf *out)
{
	static const char *const kinds[] = { "counter", "gauge", "histogram" };
	struct metrics *all = log_metrics(l);

	pthread_mutex_lock(&all->lock);
	for (const struct metric *m = all->first; m; m = m->next) {
		if (!is_first_of_name(all, m))
			continue;
		pb_buf_addf(out, "# HELP postbus_%s %s\n# TYPE postbus_%s %s\n", m->name, m->help, m->name, kinds[m->kind]);
		for (const struct metric *x = m; x; x = x->next) {
			if (strcmp(x->name, m->name))
				continue;
			if (x->kind == METRIC_HISTOGRAM)
				print_histogram(x, out);
			else
				pb_buf_addf(out, "postbus_%s%s%s%s %lld\n", x->name, *x->labels ? "{" : "", x->labels, *x->labels ? "}" : "",
					    (long long)atomic_load(&x->value));
		}
	}
	pthread_mutex_unlock(&all->lock);
}
