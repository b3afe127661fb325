/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The small operations of a plugin's host: names, clock, log, counters, background work. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "kernel/clock/clock.h"
#include "kernel/config/config.h"
#include "kernel/log/log.h"
#include "kernel/plugin/plugin.h"
#include "kernel/session/sessions.h"

enum { WORKING_MAX = 200 };

struct pb_str host_hostname(struct pb_host *host)
{
	const json_t *name = json_object_get(host->kernel->config->doc, "hostname");

	return pb_str(json_string_value(name), json_string_length(name));
}

struct pb_str host_plugin_dir(struct pb_host *host)
{
	struct plugin *p = host->plugin;
	char path[4096], *made, *dir = atomic_load(&p->dir);

	if (dir)
		return pb_strz(dir);
	snprintf(path, sizeof path, "%s/state", host->kernel->home);
	if (mkdir(path, 0700) && errno != EEXIST)
		log_line(host->kernel->log, PB_ERROR, NULL, "plugin.dir", "path=%s error=%s", path, pb_logq(pb_strz(strerror(errno))));
	snprintf(path, sizeof path, "%s/state/%s", host->kernel->home, host->name);
	if (mkdir(path, 0700) && errno != EEXIST)
		log_line(host->kernel->log, PB_ERROR, NULL, "plugin.dir", "path=%s error=%s", path, pb_logq(pb_strz(strerror(errno))));
	made = pb_str_dup(pb_strz(path));
	if (atomic_compare_exchange_strong(&p->dir, &dir, made))
		return pb_strz(made);
	free(made);	/* another thread was first */
	return pb_strz(dir);
}

void host_log_text(struct pb_host *host, enum pb_level level, const char *event, const char *text)
{
	char where[80];

	snprintf(where, sizeof where, "plugin=%s", host->name);
	log_line(host->kernel->log, level, where, event, "%s", text);
}

void host_count(struct pb_host *host, const char *metric, int64_t n)
{
	const json_t *at = host->plugin ? json_object_get(host->plugin->metrics, metric) : NULL;

	if (at)
		metric_add((struct metric *)(intptr_t)json_integer_value(at), n);
	else
		log_line(host->kernel->log, PB_WARNING, NULL, "metric.unknown", "plugin=%s metric=%s help=\"declare it in metrics of %s.json\"", host->name, metric, host->name);
}

int64_t host_now(struct pb_host *host)
{
	return clock_now(host->kernel->clock);
}

int64_t host_ticks(struct pb_host *host)
{
	return clock_ticks(host->kernel->clock);
}

struct job {
	struct pb_host *host;
	void (*run)(void *self, void *arg);
	void *arg;
};

static void run_job(void *arg)
{
	struct job *j = arg;

	j->run(j->host->self, j->arg);
	running_leave(&j->host->plugin->working);
	free(j);
}

int host_work(struct pb_host *host, void (*job)(void *self, void *arg), void *arg, struct pb_error *err)
{
	struct job *j;
	int rc;

	if (!running_enter(&host->plugin->working, WORKING_MAX))
		return pb_fail(err, PB_EBUSY, "%s has %d jobs waiting already", host->name, WORKING_MAX);
	j = pb_alloc(sizeof *j);
	*j = (struct job){ host, job, arg };
	rc = sessions_work(host->kernel->sessions, run_job, j, err);
	if (rc) {
		running_leave(&host->plugin->working);
		free(j);
	}
	return rc;
}
