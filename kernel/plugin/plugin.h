/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of this room share: one plugin, the list of them. Nobody else includes it. */
#ifndef KERNEL_PLUGIN_PLUGIN_H
#define KERNEL_PLUGIN_PLUGIN_H

#include <ltdl.h>
#include <pthread.h>
#include <stdatomic.h>
#include "kernel/host.h"
#include "kernel/plugin/manifest.h"
#include "kernel/plugin/plugins.h"
#include "kernel/session/running.h"

enum plugin_state { PLUGIN_DISABLED, PLUGIN_FAILED, PLUGIN_READY, PLUGIN_RUNNING };

enum { LISTENERS_MAX = 32 };

struct plugin {
	struct pb_host host;		/* first in spirit: what the plugin holds */
	struct plugin *next;
	struct manifest *manifest;
	enum plugin_state state;
	char reason[240];		/* why FAILED */
	lt_dlhandle object;
	struct pb_plugin desc;		/* a copy: fields its SDK did not know are NULL */
	_Atomic(json_t *) config;	/* checked values */
	json_t *retired;		/* list of earlier configs: views into them stay valid until unload */
	json_t *listen;			/* postbus.json's "listen" of this plugin */
	struct listener *listeners[LISTENERS_MAX];
	json_t *bound;			/* list of { name, address, port } */
	size_t nlisteners;
	struct consumer *courier, *agent;
	struct attachment *attachment;
	struct repeat *tick;
	json_t *metrics;		/* name: the metric's address */
	struct running working;		/* pb_work jobs that wait or run */
	char *dir;			/* pb_plugin_dir, once asked for */
};

struct plugins {
	struct kernel *kernel;
	pthread_mutex_t lock;		/* one change of life at a time */
	struct plugin *first;		/* in dependency order after plugins_start */
	json_t *settings;
	bool offline, running;
};

struct plugin *plugin_find(struct plugins *all, const char *name);
/* Reads the manifests of the plugin directories that are not known yet. */
void plugins_search(struct plugins *all);

/* object.c: the shared object. */
int object_open(struct plugin *p, struct pb_error *err);
void object_close(struct plugin *p);

/* values.c: config of one plugin from manifest, file and settings. */
int values_compute(const struct plugin *p, const json_t *file_plugins, const json_t *settings, const char *path, json_t **ret, struct pb_error *err);
bool values_enabled(const struct plugin *p, const json_t *file_plugins, const json_t *settings);
json_t *values_show(const struct plugin *p, const json_t *file_plugins, const json_t *settings);
void values_install(struct plugin *p, json_t *values);		/* steals; the old ones retire */
/* "workers": 8 or "config:workers". */
int64_t values_number(const struct plugin *p, const json_t *number);
const json_t *values_refer(const struct plugin *p, const json_t *value);

/* life.c: start and stop of one plugin. */
int plugin_bind(struct plugins *all, struct plugin *p, struct pb_error *err);
void plugin_unbind(struct plugin *p);
int plugin_start(struct plugins *all, struct plugin *p, struct pb_error *err);
void plugin_stop(struct plugins *all, struct plugin *p, int64_t timeout);

#endif
