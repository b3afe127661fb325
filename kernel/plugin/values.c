/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A plugin's config: the manifest's default, over it postbus.json, over it what the CLI set. Leaves telling the plugin to life.c and change.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kernel/config/config.h"
#include "kernel/config/schema.h"
#include "kernel/plugin/plugin.h"

static const json_t *file_config(const struct plugin *p, const json_t *file_plugins)
{
	return json_object_get(json_object_get(file_plugins, p->manifest->name), "config");
}

static const json_t *setting(const struct plugin *p, const json_t *settings, const char *key)
{
	char name[200];

	snprintf(name, sizeof name, "%s.config.%s", p->manifest->name, key);
	return json_object_get(settings, name);
}

/* Paths are relative to the home. */
static void make_paths_absolute(const struct plugin *p, json_t *values)
{
	const char *key;
	json_t *field;

	json_object_foreach (json_object_get(p->manifest->doc, "config"), key, field) {
		const char *type = json_string_value(json_object_get(field, "type")), *path = json_string_value(json_object_get(values, key));
		char *absolute;

		if (!type || strcmp(type, "path") || !path || !*path || *path == '/')
			continue;
		absolute = config_path(p->host.kernel->config, path);
		json_object_set_new(values, key, json_string(absolute));
		free(absolute);
	}
}

int values_compute(const struct plugin *p, const json_t *file_plugins, const json_t *settings, const char *path, json_t **ret, struct pb_error *err)
{
	const json_t *fields = json_object_get(p->manifest->doc, "config"), *from_file = file_config(p, file_plugins);
	json_t *wanted = from_file ? json_copy((json_t *)from_file) : json_object(), *field, *checked;
	const char *key;
	char where[300];
	int rc;

	json_object_foreach ((json_t *)fields, key, field) {
		const json_t *set = setting(p, settings, key);

		if (set)
			json_object_set(wanted, key, (json_t *)set);
	}
	snprintf(where, sizeof where, "%.200s: plugins.%s.config", path, p->manifest->name);
	rc = schema_check(fields, wanted, where, &checked, err);
	json_decref(wanted);
	if (rc)
		return rc;
	make_paths_absolute(p, checked);
	*ret = checked;
	return 0;
}

static const json_t *enabled(const struct plugin *p, const json_t *file_plugins, const json_t *settings, const char **ret_from)
{
	const json_t *in_file = json_object_get(json_object_get(file_plugins, p->manifest->name), "enabled"), *set;
	char name[200];

	snprintf(name, sizeof name, "%s.enabled", p->manifest->name);
	set = json_object_get(settings, name);
	*ret_from = set ? "set" : in_file ? "file" : "default";
	return set ? set : in_file ? in_file : json_object_get(p->manifest->doc, "enabled");
}

bool values_enabled(const struct plugin *p, const json_t *file_plugins, const json_t *settings)
{
	const char *from;

	return json_is_true(enabled(p, file_plugins, settings, &from));
}

static bool is_given(const json_t *value)
{
	return value && !json_is_null(value) && !(json_is_string(value) && !json_string_length(value));
}

json_t *values_show(const struct plugin *p, const json_t *file_plugins, const json_t *settings)
{
	json_t *list = json_array(), *field, *values = p->config;
	const char *key;

	json_object_foreach (json_object_get(p->manifest->doc, "config"), key, field) {
		const char *from = setting(p, settings, key) ? "set" : json_object_get(file_config(p, file_plugins), key) ? "file" : "default";
		bool secret = json_is_true(json_object_get(field, "secret"));
		json_t *value = json_object_get(values, key), *one = json_object();

		json_object_set_new(one, "plugin", json_string(p->manifest->name));
		json_object_set_new(one, "key", json_string(key));
		json_object_set_new(one, "value", secret ? json_string(is_given(value) ? "(set)" : "(unset)") : value ? json_incref(value) : json_null());
		json_object_set_new(one, "from", json_string(from));
		json_object_set_new(one, "doc", json_incref(json_object_get(field, "doc") ? json_object_get(field, "doc") : json_null()));
		if (secret)
			json_object_set_new(one, "secret", json_true());
		json_array_append_new(list, one);
	}
	return list;
}

static void add_place(json_t *list, const struct plugin *p, const char *key, const json_t *value, const char *from, const json_t *field)
{
	json_array_append_new(list, json_pack("{s:s s:o s:O? s:s s:O?}", "plugin", "postbus.json", "key", json_sprintf("plugins.%s.%s", p->manifest->name, key), "value", value,
					      "from", from, "doc", json_object_get(field, "doc")));
}

/* raw: the listener as the file has it, without defaults. */
static void show_listener(const struct plugin *p, const json_t *spec, const json_t *raw, const json_t *addresses, const json_t *fields, json_t *list)
{
	const char *key, *name = json_string_value(json_object_get(spec, "name"));
	json_t *field;

	json_object_foreach ((json_t *)fields, key, field) {
		const json_t *value = json_object_get(raw, key), *fallback = json_object_get(spec, key);
		char place[200];

		if (!fallback)
			fallback = !strcmp(key, "address") ? addresses : json_object_get(field, "default");
		snprintf(place, sizeof place, "listen.%s.%s", name, key);
		add_place(list, p, place, value ? value : fallback, value ? "file" : "default", field);
	}
}

void values_show_place(const struct plugin *p, const struct config *c, const json_t *settings, json_t *list)
{
	const json_t *fields = json_object_get(json_object_get(json_object_get(config_fields(), "plugins"), "values"), "properties");
	const json_t *listener = json_object_get(json_object_get(json_object_get(fields, "listen"), "values"), "properties"), *spec;
	const json_t *raw = json_object_get(json_object_get(json_object_get(c->raw, "plugins"), p->manifest->name), "listen");
	const char *from;
	const json_t *value = enabled(p, json_object_get(c->doc, "plugins"), settings, &from);
	size_t i;

	add_place(list, p, "enabled", value, from, json_object_get(fields, "enabled"));
	json_array_foreach (json_object_get(p->manifest->doc, "listens"), i, spec)
		show_listener(p, spec, json_object_get(raw, json_string_value(json_object_get(spec, "name"))), json_object_get(c->doc, "listen"), listener, list);
}

void values_install(struct plugin *p, json_t *values)
{
	json_t *old = atomic_exchange(&p->config, values);

	if (old && !p->retired)
		p->retired = json_array();
	if (old)
		json_array_append_new(p->retired, old);
}

const json_t *values_refer(const struct plugin *p, const json_t *value)
{
	const char *text = json_string_value(value);

	return text && !strncmp(text, "config:", 7) ? json_object_get(p->config, text + 7) : value;
}

int64_t values_number(const struct plugin *p, const json_t *number)
{
	return json_integer_value(values_refer(p, number));
}

/* ---- what plugins read ---- */

static const json_t *value_of(struct pb_host *host, const char *key, const char *kind)
{
	const json_t *v = json_object_get(host->plugin->config, key);

	if (v || json_object_get(json_object_get(host->plugin->manifest->doc, "config"), key))
		return v;
	fprintf(stderr, "postbus: %s reads the config key \"%s\" (%s), which its manifest does not declare\n", host->name, key, kind);
	abort();
}

static _Noreturn void wrong_type(struct pb_host *host, const char *key, const char *kind)
{
	fprintf(stderr, "postbus: %s reads the config key \"%s\" as %s, which its manifest declares as something else\n", host->name, key, kind);
	abort();
}

struct pb_str host_config_str(struct pb_host *host, const char *key)
{
	const json_t *v = value_of(host, key, "string");

	if (v && !json_is_string(v))
		wrong_type(host, key, "a string");
	return v ? pb_str(json_string_value(v), json_string_length(v)) : PB_NOSTR;
}

int64_t host_config_int(struct pb_host *host, const char *key)
{
	const json_t *v = value_of(host, key, "integer");

	if (v && !json_is_integer(v))
		wrong_type(host, key, "an integer");
	return json_integer_value(v);
}

bool host_config_bool(struct pb_host *host, const char *key)
{
	const json_t *v = value_of(host, key, "boolean");

	if (v && !json_is_boolean(v))
		wrong_type(host, key, "a boolean");
	return json_is_true(v);
}

const json_t *host_config_json(struct pb_host *host, const char *key)
{
	return value_of(host, key, "any");
}
