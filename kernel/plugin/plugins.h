/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Plugins: found by their manifests, checked, loaded, started in dependency order, enabled, disabled and reloaded one by one while the others serve.
 * One that cannot load is left out with one clear sentence; the server starts unless its manifest says "required".
 */
#ifndef KERNEL_PLUGIN_PLUGINS_H
#define KERNEL_PLUGIN_PLUGINS_H

#include <jansson.h>
#include "kernel/kernel.h"
#include <postbus/plugin.h>

struct plugins;

/* Finds and checks manifests; config of every plugin is checked against its manifest. PB_EINVALID: the file's config is wrong (file, key, found, allowed). */
int plugins_open(struct kernel *kernel, struct plugins **ret, struct pb_error *err);
/* What a plugin's own check says about the file's values, which runs its code: after privileges are dropped. For --check; a start does it by itself. */
int plugins_check_values(struct plugins *p, struct pb_error *err);
/* Before privileges go: every listener of enabled plugins. One that cannot have its ports is left out, unless it is required. */
int plugins_bind(struct plugins *p, struct pb_error *err);
/* After the store is open: settings are read, then all are loaded and started in dependency order. offline: no listeners, no lanes: methods only. */
int plugins_start(struct plugins *p, bool offline, struct pb_error *err);
/* Drain, detach, unload all, in the reverse order. timeout: microseconds that sessions, items and calls in hand may take together. PB_EBUSY: the code of one
 * still runs, and so the process cannot be taken apart; all others are stopped. No change is begun afterwards. */
int plugins_stop(struct plugins *p, int64_t timeout, struct pb_error *err);
void plugins_close(struct plugins *p);

/* Methods of the kernel; JSON as kernel.json describes. */
int plugins_list(struct plugins *p, json_t **ret);
int plugins_show(struct plugins *p, const char *name, json_t **ret, struct pb_error *err);
int plugins_enable(struct plugins *p, const char *name, bool on, json_t **ret, struct pb_error *err);
int plugins_reload(struct plugins *p, const char *name, json_t **ret, struct pb_error *err);
int plugins_config_show(struct plugins *p, const char *name, json_t **ret, struct pb_error *err);
/* value NULL: back to what the file or the manifest says. */
int plugins_config_set(struct plugins *p, const char *name, const char *key, const json_t *value, json_t **ret, struct pb_error *err);
/* The file again: all or nothing. check_only: say what would happen. */
int plugins_reread(struct plugins *p, bool check_only, json_t **ret, struct pb_error *err);
/* One line that names every listening port: "smtp=127.0.0.1:2025 ...". */
void plugins_ports(struct plugins *p, struct pb_buf *out);
json_t *plugins_listeners(struct plugins *p);

#endif
