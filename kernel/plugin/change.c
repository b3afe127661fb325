/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changes while running: enable, disable, reload, config set. One at a time; a change that fails leaves what was. The whole file again is reread.c's. */
#include <stdio.h>
#include <stdlib.h>
#include "kernel/config/config.h"
#include "kernel/config/schema.h"
#include "kernel/log/log.h"
#include "kernel/plugin/plugin.h"
#include "kernel/plugin/settings.h"

static const char *const states[] = { "disabled", "failed", "ready", "running", "stuck" };

/* Where no daemon serves, one that would run is ready. */
static const char *state_of(const struct plugins *all, const struct plugin *p)
{
	return states[all->offline && p->state == PLUGIN_RUNNING ? PLUGIN_READY : p->state];
}

static json_t *file_plugins(struct plugins *all)
{
	return json_object_get(all->kernel->config->doc, "plugins");
}

void plugins_discover(struct plugins *all)
{
	struct pb_error err;
	json_t *values;

	plugins_search(all);
	for (struct plugin *p = all->first; p; p = p->next) {
		if (p->config)
			continue;
		if (values_compute(p, file_plugins(all), all->settings, all->kernel->config->path, &values, &err) &&
		    values_compute(p, NULL, NULL, "defaults", &values, &err))
			values = json_object();
		values_install(p, values);
	}
}

/* Why the manifest of this name was left out by the last search; NULL: there is none. */
static const char *refused_manifest(const struct plugins *all, const char *name)
{
	const char *path;
	char file[80];
	json_t *reason;

	snprintf(file, sizeof file, "/%.70s.json", name);
	json_object_foreach (all->refused, path, reason) {
		size_t n = strlen(path), tail = strlen(file);

		if (n > tail && !strcmp(path + n - tail, file))
			return json_string_value(reason);
	}
	return NULL;
}

static int find(struct plugins *all, const char *name, struct plugin **ret, struct pb_error *err)
{
	struct plugin *p = plugin_find(all, name);
	json_t *known;
	const char *near;
	int rc;

	if (!p) {
		plugins_discover(all);
		p = plugin_find(all, name);
	}
	if (p) {
		*ret = p;
		return 0;
	}
	if (refused_manifest(all, name))
		return pb_fail(err, PB_EINVALID, "%s", refused_manifest(all, name));
	known = json_object();
	for (p = all->first; p; p = p->next)
		json_object_set_new(known, p->manifest->name, json_null());
	near = schema_nearest(known, name);
	rc = near ? pb_fail(err, PB_ENOTFOUND, "no plugin '%s'; did you mean '%s'?", name, near) : pb_fail(err, PB_ENOTFOUND, "no plugin '%s'", name);
	json_decref(known);
	return rc;
}

/* ---- showing ---- */

/* For whom shows only: with 0, lock is held and *ret stands. Nobody's change is waited for, but for a name that is not known yet. */
static int find_to_show(struct plugins *all, const char *name, struct plugin **ret, struct pb_error *err)
{
	int rc;

	pthread_mutex_lock(&all->lock);
	*ret = plugin_find(all, name);
	if (*ret)
		return 0;
	pthread_mutex_unlock(&all->lock);
	if (change_begin(all, "plugin show", name, err))
		return err->code;
	rc = find(all, name, ret, err);
	if (!rc)
		pthread_mutex_lock(&all->lock);
	change_end(all);
	return rc;
}

static json_t *brief(const struct plugins *all, const struct plugin *p)
{
	const json_t *doc = p->manifest->doc;
	json_t *one = json_pack("{s:s s:s s:s s:s s:s}", "name", p->manifest->name, "kind", json_string_value(json_object_get(doc, "kind")), "version",
				json_string_value(json_object_get(doc, "version")), "state", state_of(all, p), "summary", json_string_value(json_object_get(doc, "summary")));

	if (json_array_size(json_object_get(doc, "lanes")))
		json_object_set_new(one, "lanes", json_deep_copy(json_object_get(doc, "lanes")));
	if (p->state == PLUGIN_FAILED || p->state == PLUGIN_STUCK)
		json_object_set_new(one, "reason", json_string(p->reason));
	return one;
}

int plugins_list(struct plugins *all, json_t **ret)
{
	json_t *list = json_array();

	pthread_mutex_lock(&all->lock);
	for (struct plugin *p = all->first; p; p = p->next)
		json_array_append_new(list, brief(all, p));
	pthread_mutex_unlock(&all->lock);
	*ret = json_pack("{s:o}", "plugins", list);
	return 0;
}

int plugins_show(struct plugins *all, const char *name, json_t **ret, struct pb_error *err)
{
	struct plugin *p;
	json_t *one;
	int rc;

	rc = find_to_show(all, name, &p, err);
	if (!rc) {
		one = brief(all, p);
		json_object_set_new(one, "path", json_string(p->manifest->dir));
		json_object_set_new(one, "listeners", p->listening.bound ? json_deep_copy(p->listening.bound) : json_array());
		json_object_set_new(one, "config", values_show(p, file_plugins(all), all->settings));
		json_object_set_new(one, "manifest", json_deep_copy(p->manifest->doc));
		*ret = one;
		pthread_mutex_unlock(&all->lock);
	}
	return rc;
}

json_t *plugins_listeners(struct plugins *all)
{
	json_t *list = json_array();

	pthread_mutex_lock(&all->lock);
	for (struct plugin *p = all->first; p; p = p->next) {
		size_t i;
		json_t *one;

		json_array_foreach (p->listening.bound, i, one) {
			json_t *copy = json_deep_copy(one);

			json_object_set_new(copy, "plugin", json_string(p->manifest->name));
			json_array_append_new(list, copy);
		}
	}
	pthread_mutex_unlock(&all->lock);
	return list;
}

void plugins_ports(struct plugins *all, struct pb_buf *out)
{
	json_t *list = plugins_listeners(all), *one;
	size_t i;

	json_array_foreach (list, i, one) {
		const char *address = json_string_value(json_object_get(one, "address"));
		bool six = strchr(address, ':') != NULL;

		pb_buf_addf(out, "%s%s=%s%s%s:%lld", i ? " " : "", json_string_value(json_object_get(one, "name")), six ? "[" : "", address, six ? "]" : "",
			    (long long)json_integer_value(json_object_get(one, "port")));
	}
	json_decref(list);
}

/* ---- life ---- */

static int remember(struct plugins *all, const char *key, const json_t *value, struct pb_error *err)
{
	if (settings_write(all->kernel->engine, key, value, err))
		return err->code;
	pthread_mutex_lock(&all->lock);
	if (value)
		json_object_set(all->settings, key, (json_t *)value);
	else
		json_object_del(all->settings, key);
	pthread_mutex_unlock(&all->lock);
	return 0;
}

int plugin_ensure_running(struct plugins *all, struct plugin *p, struct pb_error *err)
{
	if (p->state == PLUGIN_RUNNING)
		return 0;
	if (p->state == PLUGIN_STUCK && plugin_stop(all, p, 0, err))
		return err->code;
	if ((!all->offline && !p->listening.n && !p->coming && plugin_bind(all, p, err)) || plugin_start(all, p, err)) {
		if (p->state != PLUGIN_STUCK)
			plugin_state_set(all, p, PLUGIN_FAILED, err->text);
		return err->code;
	}
	return 0;
}

/* One that is stuck serves nobody any more, which is what was asked for; its state and the log tell the rest. */
static void switch_off(struct plugins *all, struct plugin *p)
{
	struct pb_error stuck;
	int rc = plugin_stop(all, p, DRAIN_TIME, &stuck);

	plugin_unbind(all, p);
	if (!rc)
		plugin_state_set(all, p, PLUGIN_DISABLED, "");
}

int plugins_enable(struct plugins *all, const char *name, bool on, json_t **ret, struct pb_error *err)
{
	struct plugin *p;
	char key[120];
	int rc;

	if (change_begin(all, on ? "plugin enable" : "plugin disable", name, err))
		return err->code;
	rc = find(all, name, &p, err);
	if (!rc && !on && json_is_true(json_object_get(p->manifest->doc, "required")))
		rc = pb_fail(err, PB_EDENIED, "%s is required and cannot be disabled", name);
	if (!rc) {
		snprintf(key, sizeof key, "%s.enabled", name);
		if (on)
			rc = p->state != PLUGIN_RUNNING && order_admit(all, p, err) ? err->code : plugin_ensure_running(all, p, err);
		if (!rc)
			rc = remember(all, key, on ? json_true() : json_false(), err);
		if (!rc && !on)		/* its hooks are nobody's concern from now on */
			switch_off(all, p);
	}
	if (!rc)
		*ret = brief(all, p);
	change_end(all);
	return rc;
}

/* All that can be refused while it still runs: what its next manifest requires, its values by that, its object. */
static int admit_as(struct plugins *all, struct plugin *p, struct manifest *fresh, json_t **ret_values, struct pb_error *err)
{
	struct manifest *now = p->manifest;
	int rc;

	if (object_check(p, err))
		return err->code;
	pthread_mutex_lock(&all->lock);
	p->manifest = fresh;
	rc = order_admit(all, p, err);
	rc = rc ? rc : values_compute(p, file_plugins(all), all->settings, all->kernel->config->path, ret_values, err);
	p->manifest = now;
	pthread_mutex_unlock(&all->lock);
	return rc;
}

/* The manifest is read again too: a new release of the plugin may have come. The listeners stay bound. */
static int reload(struct plugins *all, struct plugin *p, struct pb_error *err)
{
	struct manifest *fresh, *old = p->manifest;
	json_t *values = NULL;
	char path[4096];

	snprintf(path, sizeof path, "%s/%s.json", p->manifest->dir, p->manifest->name);
	if (manifest_read(path, all->kernel->user, &fresh, err))
		return err->code;
	if (admit_as(all, p, fresh, &values, err) || plugin_stop(all, p, DRAIN_TIME, err)) {
		json_decref(values);
		manifest_free(fresh);
		return err->code;
	}
	pthread_mutex_lock(&all->lock);
	p->manifest = fresh;
	p->host.rights = fresh->rights;
	p->host.calls = fresh->calls;
	manifest_free(old);
	pthread_mutex_unlock(&all->lock);
	values_install(p, values);
	return plugin_ensure_running(all, p, err);
}

int plugins_reload(struct plugins *all, const char *name, json_t **ret, struct pb_error *err)
{
	struct plugin *p;
	int rc;

	if (change_begin(all, "plugin reload", name, err))
		return err->code;
	rc = find(all, name, &p, err);
	if (!rc && p->state == PLUGIN_DISABLED && !values_enabled(p, file_plugins(all), all->settings))
		rc = pb_fail(err, PB_EINVALID, "%s is disabled", name);
	if (!rc)
		rc = reload(all, p, err);
	if (!rc)
		*ret = brief(all, p);
	change_end(all);
	return rc;
}

/* ---- config ---- */

/* The server's own values, under the name of the file; objects key by key. */
static void show_fields(const json_t *fields, const json_t *values, const json_t *raw, const char *before, json_t *list)
{
	const char *key;
	json_t *field;

	json_object_foreach ((json_t *)fields, key, field) {
		const json_t *inner = json_object_get(field, "properties");
		json_t *value = json_object_get(values, key), *doc = json_object_get(field, "doc");
		char name[200];

		snprintf(name, sizeof name, "%s%s", before, key);
		if (!*before && !strcmp(key, "plugins"))	/* each plugin shows its own */
			continue;
		if (inner) {
			snprintf(name, sizeof name, "%s%s.", before, key);
			show_fields(inner, value, json_object_get(raw, key), name, list);
			continue;
		}
		json_array_append_new(list, json_pack("{s:s s:s s:O? s:s s:O?}", "plugin", "postbus.json", "key", name, "value", value, "from",
						      json_object_get(raw, key) ? "file" : "default", "doc", doc));
	}
}

int plugins_config_show(struct plugins *all, const char *name, json_t **ret, struct pb_error *err)
{
	json_t *list = json_array();
	struct plugin *only = NULL;
	int rc = 0;

	if (name && *name)
		rc = find_to_show(all, name, &only, err);
	else
		pthread_mutex_lock(&all->lock);
	if (!rc && !only)
		show_fields(config_fields(), all->kernel->config->doc, all->kernel->config->raw, "", list);
	for (struct plugin *p = all->first; !rc && p; p = p->next) {
		json_t *values;

		if (only && p != only)
			continue;
		values_show_place(p, all->kernel->config, all->settings, list);
		values = values_show(p, file_plugins(all), all->settings);
		json_array_extend(list, values);
		json_decref(values);
	}
	if (!rc)
		pthread_mutex_unlock(&all->lock);
	if (rc)
		json_decref(list);
	else
		*ret = json_pack("{s:o}", "config", list);
	return rc;
}

/* For a plugin that cannot take values over while it runs. They are installed already: settings and file do not have them yet. */
static int restart(struct plugins *all, struct plugin *p, struct pb_error *err)
{
	return plugin_stop(all, p, DRAIN_TIME, err) ? err->code : plugin_ensure_running(all, p, err);
}

int plugin_take_over(struct plugins *all, struct plugin *p, json_t *values, bool anyway, struct pb_error *err)
{
	json_t *old = p->config;

	if (json_equal(values, old) && !(anyway && p->state == PLUGIN_RUNNING && p->desc.reconfigure)) {
		json_decref(values);
		return 0;
	}
	json_incref(old);
	values_install(p, values);
	if (p->state == PLUGIN_RUNNING) {
		int rc = p->desc.reconfigure ? p->desc.reconfigure(p->host.self, err) : restart(all, p, err);

		if (rc) {
			struct pb_error second;

			values_install(p, old);
			if (p->state == PLUGIN_RUNNING && p->desc.reconfigure)
				p->desc.reconfigure(p->host.self, &second);
			else
				plugin_ensure_running(all, p, &second);
			return pb_because(err, "%s", p->manifest->name);
		}
		plugin_retune(all, p);
	}
	json_decref(old);
	return 0;
}

static int set_value(struct plugins *all, struct plugin *p, const char *key, const json_t *value, struct pb_error *err)
{
	const json_t *fields = json_object_get(p->manifest->doc, "config");
	json_t *settings, *values;
	char name[200];
	int rc;

	if (!json_object_get(fields, key)) {
		const char *near = schema_nearest(fields, key);

		return near ? pb_fail(err, PB_EINVALID, "%s has no key '%s'; did you mean '%s'?", p->manifest->name, key, near) :
			      pb_fail(err, PB_EINVALID, "%s has no key '%s'", p->manifest->name, key);
	}
	snprintf(name, sizeof name, "%s.config.%s", p->manifest->name, key);
	settings = json_copy(all->settings);
	if (value)
		json_object_set(settings, name, (json_t *)value);
	else
		json_object_del(settings, name);
	rc = values_compute(p, file_plugins(all), settings, "config set", &values, err);
	json_decref(settings);
	if (!rc && plugin_try_values(p, values, "config set", err)) {
		json_decref(values);
		return err->code;
	}
	if (!rc)
		rc = plugin_take_over(all, p, values, false, err);
	if (!rc)
		rc = remember(all, name, value, err);
	return rc;
}

int plugins_config_set(struct plugins *all, const char *name, const char *key, const json_t *value, json_t **ret, struct pb_error *err)
{
	struct plugin *p;
	int rc;

	if (change_begin(all, "config set", name, err))
		return err->code;
	rc = find(all, name, &p, err);
	if (!rc)
		rc = set_value(all, p, key, value, err);
	if (!rc) {
		json_t *list = values_show(p, file_plugins(all), all->settings), *one;
		size_t i;

		json_array_foreach (list, i, one)
			if (!strcmp(json_string_value(json_object_get(one, "key")), key))
				*ret = json_incref(one);
		json_decref(list);
	}
	change_end(all);
	return rc;
}
