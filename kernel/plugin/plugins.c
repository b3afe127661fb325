/* SPDX-License-Identifier: GPL-3.0-or-later */
/* All plugins: finding them, their order, the start and the end of the whole. Leaves changes while running to change.c. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "kernel/bus/bus.h"
#include "kernel/clock/clock.h"
#include "kernel/config/config.h"
#include "kernel/config/guard.h"
#include "kernel/config/schema.h"
#include "kernel/log/log.h"
#include "kernel/plugin/plugin.h"
#include "kernel/plugin/settings.h"

struct plugin *plugin_find(struct plugins *all, const char *name)
{
	struct plugin *p = all->first;

	while (p && strcmp(p->manifest->name, name))
		p = p->next;
	return p;
}

static json_t *file_plugins(struct plugins *all)
{
	return json_object_get(all->kernel->config->doc, "plugins");
}

/* ---- one change at a time ---- */

int change_begin(struct plugins *all, const char *what, const char *name, struct pb_error *err)
{
	struct timespec until;
	bool ended;
	int rc;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CHANGE_TIME_SECONDS;
	rc = pthread_mutex_timedlock(&all->changing, &until);
	pthread_mutex_lock(&all->lock);
	ended = rc == 0 && all->ended;
	if (rc)
		pb_fail(err, PB_EBUSY, "%s goes on for more than %d s already: one change at a time", all->doing, CHANGE_TIME_SECONDS);
	else
		snprintf(all->doing, sizeof all->doing, "%s%s%s", what, name ? " " : "", name ? name : "");
	pthread_mutex_unlock(&all->lock);
	if (ended) {
		pthread_mutex_unlock(&all->changing);
		return pb_fail(err, PB_EUNAVAILABLE, "the server is stopping");
	}
	return rc ? PB_EBUSY : 0;
}

void change_end(struct plugins *all)
{
	pthread_mutex_unlock(&all->changing);
}

void plugin_state_set(struct plugins *all, struct plugin *p, enum plugin_state state, const char *reason)
{
	char text[sizeof p->reason];

	snprintf(text, sizeof text, "%s", reason);	/* it may be the plugin's own */
	pthread_mutex_lock(&all->lock);
	p->state = state;
	memcpy(p->reason, text, sizeof text);
	pthread_mutex_unlock(&all->lock);
	bus_away(all->kernel->bus, &p->host, state == PLUGIN_RUNNING || state == PLUGIN_DISABLED ? NULL : plugin_hooks_kept(all, p),
		 all->ended ? AWAY_ENDING : state == PLUGIN_READY ? AWAY_SOON : AWAY_FAILED);
}

const json_t *plugin_hooks_kept(struct plugins *all, const struct plugin *p)
{
	return values_enabled(p, file_plugins(all), all->settings) ? json_object_get(p->manifest->doc, "hooks") : NULL;
}

void plugin_leave_out(struct plugins *all, struct plugin *p, const char *reason)
{
	if (p->state != PLUGIN_STUCK)
		plugin_state_set(all, p, PLUGIN_FAILED, reason);
	log_line(all->kernel->log, PB_ERROR, NULL, "plugin.left_out", "plugin=%s reason=%s", p->manifest->name, pb_logq(pb_strz(reason)));
}

/* ---- finding ---- */

static void plugin_free(struct plugin *p)
{
	manifest_free(p->manifest);
	json_decref(p->config);
	listening_free(&p->listening);
	free(p->dir);
	running_free(&p->working);
	free((char *)(uintptr_t)p->host.name);
	free(p);
}

static void refuse_path(struct plugins *all, const char *path, const char *reason)
{
	log_line(all->kernel->log, PB_ERROR, NULL, "plugin.left_out", "manifest=%s reason=%s", path, pb_logq(pb_strz(reason)));
	json_object_set_new(all->refused, path, json_string(reason));
}

static void found(struct plugins *all, const char *path)
{
	struct pb_error err;
	struct manifest *m;
	struct plugin *p, **end = &all->first;

	if (manifest_read(path, all->kernel->user, &m, &err)) {
		refuse_path(all, path, err.text);
		return;
	}
	if (plugin_find(all, m->name)) {	/* directories are searched in order: the first wins */
		manifest_free(m);
		return;
	}
	p = pb_alloc(sizeof *p);
	running_init(&p->working);
	p->manifest = m;
	p->host = (struct pb_host){ .handle = { &host_ops }, .kernel = all->kernel, .name = pb_str_dup(pb_strz(m->name)), .rights = m->rights, .calls = m->calls, .plugin = p };
	while (*end && (all->running || strcmp((*end)->manifest->name, m->name) < 0))	/* who comes later may need those before him */
		end = &(*end)->next;
	pthread_mutex_lock(&all->lock);
	p->next = *end;
	*end = p;
	pthread_mutex_unlock(&all->lock);
}

/* What lies in the home is a file there. */
static bool is_link(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

static void search(struct plugins *all, const char *dir)
{
	bool own = guard_is_in(all->kernel->home, dir);
	DIR *d = opendir(dir);
	struct pb_error err;
	struct dirent *e;

	if (!d)
		return;
	if (guard_inside(all->kernel->home, dir, &err) || guard_code_directory(all->kernel->home, dir, all->kernel->user, &err)) {
		refuse_path(all, dir, err.text);
		closedir(d);
		return;
	}
	while ((e = readdir(d)) != NULL) {
		size_t n = strlen(e->d_name);
		char path[4096];

		if (n < 6 || e->d_name[0] == '.' || strcmp(e->d_name + n - 5, ".json"))
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		if (own && is_link(path))
			refuse_path(all, path, "it is a symbolic link; a plugin in the home is a file of its own");
		else
			found(all, path);
	}
	closedir(d);
}

void plugins_search(struct plugins *all)
{
	const json_t *path = json_object_get(all->kernel->config->doc, "plugin_path"), *dir;
	const char *build_tree = secure_getenv("POSTBUS_PLUGIN_PATH");	/* tests run before anything is installed */
	char *own;
	size_t i;

	json_object_clear(all->refused);
	json_array_foreach (path, i, dir) {
		own = config_path(all->kernel->config, json_string_value(dir));
		search(all, own);
		free(own);
	}
	if (!path && build_tree) {
		search(all, build_tree);
	} else if (!path) {
		own = config_path(all->kernel->config, "plugins");
		search(all, own);
		free(own);
		search(all, PLUGINDIR);
	}
}

/* ---- the order of life ---- */

int plugins_check_file(struct plugins *all, const struct config *c, struct pb_error *err)
{
	json_t *listed = json_object_get(c->doc, "plugins"), *known = json_object(), *one;
	const char *name;
	int rc = 0;

	for (struct plugin *p = all->first; p; p = p->next)
		json_object_set_new(known, p->manifest->name, json_null());
	json_object_foreach (listed, name, one) {
		const char *near = schema_nearest(known, name);

		if (plugin_find(all, name))
			continue;
		if (json_is_false(json_object_get(one, "enabled"))) {	/* it may have been left out of this build */
			log_line(all->kernel->log, PB_WARNING, NULL, "plugin.unknown", "plugin=%s nearest=%s help=\"postbus.json disables a plugin that is not installed\"",
				 pb_logq(pb_strz(name)), near ? near : "");
			continue;
		}
		rc = pb_fail(err, PB_EINVALID, "%s: plugins.%s: no such plugin is installed%s%s%s", c->path, name, near ? "; did you mean \"" : "",
			     near ? near : "", near ? "\"?" : "");
		break;
	}
	json_decref(known);
	for (struct plugin *p = all->first; p && !rc; p = p->next)
		rc = listen_check(p, c->doc, c->path, err);
	return rc;
}

int plugins_open(struct kernel *kernel, struct plugins **ret, struct pb_error *err)
{
	struct plugins *all = pb_alloc(sizeof *all);
	pthread_mutexattr_t recursive;

	all->kernel = kernel;
	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&all->lock, &recursive);
	pthread_mutex_init(&all->changing, &recursive);
	pthread_mutexattr_destroy(&recursive);
	all->settings = json_object();
	all->refused = json_object();
	plugins_search(all);
	if (plugins_check_file(all, kernel->config, err))
		goto fail;
	for (struct plugin *p = all->first; p; p = p->next) {
		json_t *values;

		if (values_compute(p, file_plugins(all), NULL, kernel->config->path, &values, err))
			goto fail;
		values_install(p, values);
	}
	*ret = all;
	return 0;
fail:
	plugins_close(all);
	return err->code;
}

int plugins_bind(struct plugins *all, struct pb_error *err)
{
	for (struct plugin *p = all->first; p; p = p->next) {
		if (!values_enabled(p, file_plugins(all), NULL) || !plugin_bind(all, p, err))
			continue;
		if (json_is_true(json_object_get(p->manifest->doc, "required")))
			return pb_because(err, "the plugin %s is required", p->manifest->name);
		snprintf(p->reason, sizeof p->reason, "%s", err->text);		/* it is left out, unless the settings say that it is not enabled anyway */
	}
	return 0;
}

static int try_values(struct plugins *all, struct pb_error *err)
{
	for (struct plugin *p = all->first; p; p = p->next)
		if (!all->offline && p->state == PLUGIN_READY && plugin_try_values(p, p->config, all->kernel->config->path, err))
			return err->code;
	return 0;
}

int plugins_check_values(struct plugins *all, struct pb_error *err)
{
	for (struct plugin *p = all->first; p; p = p->next)
		p->state = values_enabled(p, file_plugins(all), NULL) ? PLUGIN_READY : PLUGIN_DISABLED;
	return try_values(all, err);
}

static int read_settings(struct plugins *all, struct pb_error *err)
{
	char reason[240];

	json_decref(all->settings);
	all->settings = NULL;
	if (settings_read(all->kernel->engine, &all->settings, err)) {
		all->settings = json_object();
		return err->code;
	}
	for (struct plugin *p = all->first; p; p = p->next) {
		json_t *values;

		if (values_compute(p, file_plugins(all), all->settings, "settings", &values, err) == 0)
			values_install(p, values);
		else	/* set by an earlier release of the plugin: the file's value is in force */
			log_line(all->kernel->log, PB_WARNING, NULL, "setting.ignored", "plugin=%s reason=%s", p->manifest->name, pb_logq(pb_strz(err->text)));
		p->state = values_enabled(p, file_plugins(all), all->settings) ? PLUGIN_READY : PLUGIN_DISABLED;
		if (p->state == PLUGIN_READY && p->reason[0]) {
			snprintf(reason, sizeof reason, "%s", p->reason);
			plugin_leave_out(all, p, reason);
		}
	}
	return 0;
}

static int check_required(const struct plugins *all, struct pb_error *err)
{
	for (const struct plugin *p = all->first; p; p = p->next)
		if ((p->state == PLUGIN_FAILED || p->state == PLUGIN_DISABLED || p->state == PLUGIN_STUCK) && json_is_true(json_object_get(p->manifest->doc, "required")))
			return pb_fail(err, PB_EUNAVAILABLE, "the plugin %s is required: %s", p->manifest->name, p->state == PLUGIN_DISABLED ? "it is disabled" : p->reason);
	return 0;
}

/* What is to run, and asked for its values before any of it does anything. */
static int open_all(struct plugins *all, struct pb_error *err)
{
	for (struct plugin *p = all->first; p; p = p->next)
		if (p->state == PLUGIN_READY && plugin_open(all, p, err))
			plugin_leave_out(all, p, err->text);
	return try_values(all, err);
}

int plugins_start(struct plugins *all, bool offline, struct pb_error *err)
{
	all->offline = offline;
	if (read_settings(all, err))
		return err->code;
	order_check(all);
	order_sort(all);
	if (open_all(all, err))
		return err->code;
	for (struct plugin *p = all->first; p; p = p->next)
		if (p->state == PLUGIN_READY)
			plugin_state_set(all, p, PLUGIN_READY, "");
	for (struct plugin *p = all->first; p; p = p->next)
		if (p->state == PLUGIN_READY && plugin_load(all, p, err))
			plugin_leave_out(all, p, err->text);
		else if (p->state != PLUGIN_READY && p->listening.n)
			plugin_unbind(all, p);
	if (check_required(all, err))
		return err->code;
	for (struct plugin *p = all->first; p; p = p->next)
		if (p->state == PLUGIN_READY && plugin_attach(all, p, err))
			plugin_leave_out(all, p, err->text);
	if (check_required(all, err))
		return err->code;
	all->running = true;
	return 0;
}

/* What is over takes a second of each that comes later: an answer that is under way may still get out. */
static int64_t share(struct plugins *all, int64_t until)
{
	int64_t now = clock_ticks(all->kernel->clock);

	return until > now + PB_SECOND ? until - now : PB_SECOND;
}

static void rest_backwards(struct plugins *all, struct plugin *p, int64_t until)
{
	if (!p)
		return;
	rest_backwards(all, p->next, until);
	plugin_rest(p, share(all, until));
}

static void stop_backwards(struct plugins *all, struct plugin *p, int64_t until, struct pb_error *ret_stuck)
{
	struct pb_error err;

	if (!p)
		return;
	stop_backwards(all, p->next, until, ret_stuck);
	if (plugin_stop(all, p, plugin_is_at_rest(p) ? share(all, until) : 0, &err))
		*ret_stuck = err;
	plugin_unbind(all, p);
}

/* None's hooks go while another still works on mail. */
int plugins_stop(struct plugins *all, int64_t timeout, struct pb_error *err)
{
	const int64_t until = clock_ticks(all->kernel->clock) + timeout;

	if (change_begin(all, "the end of the server", NULL, err))
		return err->code;
	all->ended = true;
	all->running = false;
	err->code = 0;
	rest_backwards(all, all->first, until);
	stop_backwards(all, all->first, until, err);
	change_end(all);
	return err->code;
}

void plugins_close(struct plugins *all)
{
	if (!all)
		return;
	for (struct plugin *p = all->first, *next; p; p = next) {
		next = p->next;
		json_decref(p->retired);
		plugin_free(p);
	}
	json_decref(all->settings);
	json_decref(all->refused);
	pthread_mutex_destroy(&all->lock);
	pthread_mutex_destroy(&all->changing);
	free(all);
}
