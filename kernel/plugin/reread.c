/* SPDX-License-Identifier: GPL-3.0-or-later */
/* postbus.json read again while running, all or nothing: checked, then ports bound, then certificates and plugins tried, and only then in force. */
#include <stdlib.h>
#include "kernel/check.h"
#include "kernel/config/config.h"
#include "kernel/entrance.h"
#include "kernel/log/log.h"
#include "kernel/plugin/plugin.h"

static json_t *plugins_in(const json_t *doc)
{
	return json_object_get(doc, "plugins");
}

/* ---- what would change ---- */

static bool counts_at_once(const char *key)
{
	static const char *const keys[] = { "hostname", "listen", "port_base", "certificates", "log", "limits" };

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (!strcmp(keys[i], key))
			return true;
	return false;
}

static void compare_fields(struct kernel *k, const struct config *fresh, json_t *changes)
{
	const char *key;
	json_t *field;

	json_object_foreach ((json_t *)config_fields(), key, field) {
		const json_t *a = json_object_get(k->config->doc, key), *b = json_object_get(fresh->doc, key);
		bool same = (!a && !b) || (a && b && json_equal((json_t *)a, (json_t *)b));

		if (same && !strcmp(key, "certificates") && k->sessions)	/* files of the same names may be others */
			same = !entrance_certificates_differ(k, fresh);
		if (!strcmp(key, "plugins") || same)
			continue;
		json_array_append_new(changes, json_sprintf("%s%s", key, counts_at_once(key) ? "" : ": counts from the next start on"));
	}
}

static int compare_listeners(struct plugins *all, struct plugin *p, const json_t *doc, json_t *changes, struct pb_error *err)
{
	json_t *wishes;
	int rc = all->offline || p->state != PLUGIN_RUNNING ? 0 : listen_wishes(p, doc, &wishes, err);

	if (rc || all->offline || p->state != PLUGIN_RUNNING)
		return rc;
	if (!json_equal(wishes, p->listening.wishes))
		json_array_append_new(changes, json_sprintf("%s: listeners", p->manifest->name));
	json_decref(wishes);
	return 0;
}

/* Everything that can be refused by looking is refused here, before anything is touched. */
static int check_values(struct plugins *all, const struct config *fresh, json_t *ret_values, json_t *changes, struct pb_error *err)
{
	json_t *listed = plugins_in(fresh->doc);

	if (check_config(fresh, err) || plugins_check_file(all, fresh, err))
		return err->code;
	compare_fields(all->kernel, fresh, changes);
	for (struct plugin *p = all->first; p; p = p->next) {
		bool wanted = values_enabled(p, listed, all->settings);
		json_t *values;

		if (values_compute(p, listed, all->settings, fresh->path, &values, err))
			return err->code;
		json_object_set_new(ret_values, p->manifest->name, values);
		if (wanted && !json_equal(values, p->config) && plugin_try_values(p, values, fresh->path, err))
			return err->code;
		if (!json_equal(values, p->config))
			json_array_append_new(changes, json_sprintf("%s: config", p->manifest->name));
		if (wanted != (p->state == PLUGIN_RUNNING))
			json_array_append_new(changes, json_sprintf("%s: %s", p->manifest->name, wanted ? "start" : "stop"));
		if (wanted && compare_listeners(all, p, fresh->doc, changes, err))
			return err->code;
	}
	return 0;
}

/* ---- taking it over ---- */

/* With the new file in place, which plugins may ask for the host's name. What has been taken over is noted in undo. */
static int take_over_all(struct plugins *all, const json_t *values, bool renamed, json_t *undo, struct pb_error *err)
{
	for (struct plugin *p = all->first; p; p = p->next) {
		json_object_set(undo, p->manifest->name, p->config);
		if (plugin_take_over(all, p, json_incref(json_object_get(values, p->manifest->name)), renamed, err))
			return err->code;
	}
	return 0;
}

static void put_back(struct plugins *all, const json_t *undo, bool renamed)
{
	struct pb_error second;

	for (struct plugin *p = all->first; p; p = p->next)
		if (json_object_get(undo, p->manifest->name))
			plugin_take_over(all, p, json_incref(json_object_get(undo, p->manifest->name)), renamed, &second);
}

/* Others show what is in force. */
static void exchange(struct plugins *all, struct config *fresh)
{
	pthread_mutex_lock(&all->lock);
	config_exchange(all->kernel->config, fresh);
	pthread_mutex_unlock(&all->lock);
}

static int try_all(struct plugins *all, struct config *fresh, const json_t *values, struct pb_error *err)
{
	struct config *now = all->kernel->config;
	bool renamed = !json_equal(json_object_get(now->doc, "hostname"), json_object_get(fresh->doc, "hostname"));
	json_t *undo = json_object();
	struct pb_error second;
	int rc = entrance_certificates(all->kernel, fresh, err);

	if (!rc) {
		exchange(all, fresh);
		rc = take_over_all(all, values, renamed, undo, err);
		if (rc) {
			exchange(all, fresh);
			put_back(all, undo, renamed);
			entrance_certificates(all->kernel, now, &second);
		}
	}
	json_decref(undo);
	return rc;
}

/* Switched off, or to start. */
static void stop_unwanted(struct plugins *all)
{
	for (struct plugin *p = all->first; p; p = p->next) {
		struct pb_error stuck;

		if (values_enabled(p, plugins_in(all->kernel->config->doc), all->settings)) {
			if (p->state != PLUGIN_RUNNING && p->state != PLUGIN_STUCK)
				plugin_state_set(all, p, PLUGIN_READY, "");
			continue;
		}
		if (!plugin_stop(all, p, p->state == PLUGIN_STUCK ? 0 : DRAIN_TIME, &stuck))	/* else the log tells of it */
			plugin_state_set(all, p, PLUGIN_DISABLED, "");
		plugin_unbind(all, p);
	}
}

/* What was switched on or off, as at the start of the server. A plugin that does not start leaves the others what they are. */
static void start_and_stop(struct plugins *all)
{
	stop_unwanted(all);
	order_check(all);
	pthread_mutex_lock(&all->lock);
	order_sort(all);
	pthread_mutex_unlock(&all->lock);
	for (struct plugin *p = all->first; p; p = p->next) {
		bool wanted = p->state == PLUGIN_STUCK && values_enabled(p, plugins_in(all->kernel->config->doc), all->settings);
		struct pb_error one;

		if ((p->state == PLUGIN_READY || wanted) && plugin_ensure_running(all, p, &one))
			plugin_leave_out(all, p, one.text);
	}
}

/* Takes fresh. */
static int apply(struct plugins *all, struct config *fresh, const json_t *values, struct pb_error *err)
{
	struct config *now = all->kernel->config;
	const char *level;
	int rc = listen_prepare(all, fresh->doc, err);

	if (!rc) {
		rc = try_all(all, fresh, values, err);
		if (rc)
			listen_drop(all);
	}
	if (rc) {
		config_free(fresh);
		return rc;
	}
	config_keep(now, fresh);
	listen_commit(all);
	entrance_limits(all->kernel, now, err);
	level = json_string_value(json_object_get(json_object_get(now->doc, "log"), "level"));
	log_set_level(all->kernel->log, !strcmp(level, "debug") ? PB_DEBUG : !strcmp(level, "info") ? PB_INFO : !strcmp(level, "warning") ? PB_WARNING : PB_ERROR);
	start_and_stop(all);
	return 0;
}

int plugins_reread(struct plugins *all, bool check_only, json_t **ret, struct pb_error *err)
{
	struct config *fresh = NULL;
	json_t *values = json_object(), *changes = json_array();
	int rc;

	rc = change_begin(all, check_only ? "config check" : "config reload", NULL, err);
	if (rc)
		goto done;
	plugins_discover(all);
	rc = config_read(all->kernel->config->path, &fresh, err);
	if (!rc)
		rc = check_values(all, fresh, values, changes, err);
	if (rc || check_only)
		config_free(fresh);
	else
		rc = apply(all, fresh, values, err);
	change_end(all);
	if (!rc && ret)
		*ret = json_pack("{s:O}", "changes", changes);
done:
	json_decref(values);
	json_decref(changes);
	return rc;
}
