/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the CLI changed: "enabled" and config values of plugins, kept in the store, over what postbus.json says. */
#ifndef KERNEL_PLUGIN_SETTINGS_H
#define KERNEL_PLUGIN_SETTINGS_H

#include <jansson.h>
#include "kernel/store/engine.h"

/* { "<plugin>.enabled": bool, "<plugin>.config.<key>": value }; a new reference. */
int settings_read(struct engine *e, json_t **ret, struct pb_error *err);
/* Durable when it returns. value NULL: forget. */
int settings_write(struct engine *e, const char *key, const json_t *value, struct pb_error *err);

#endif
