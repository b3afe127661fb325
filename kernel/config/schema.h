/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One checker for everything that is described by a manifest: plugin config, method parameters, postbus.json, manifests themselves.
 * A field is { type, required, default, min, max, max_length, enum, items, properties, values, doc }; types are
 * string integer boolean seconds bytes address host path enum list object any.
 * seconds and bytes also take "90s 15m 2h 5d" and "10K 64M 2G" and come out as integers.
 */
#ifndef KERNEL_CONFIG_SCHEMA_H
#define KERNEL_CONFIG_SCHEMA_H

#include <jansson.h>
#include <postbus/str.h>

/* value: an object (NULL: empty) whose keys must be among fields. where: "postbus.json: plugins.conn_smtp.config", put before every complaint.
 * ret (may be NULL): a new reference to a copy with defaults filled in and units turned into integers.
 * PB_EINVALID names the key, what was found and what is allowed; an unknown key comes with the nearest known one. */
int schema_check(const json_t *fields, const json_t *value, const char *where, json_t **ret, struct pb_error *err);

/* One value against one field. *ret: new reference. */
int schema_check_value(const json_t *field, const json_t *value, const char *where, json_t **ret, struct pb_error *err);

/* Are the fields themselves well-formed? (Manifests.) */
int schema_check_fields(const json_t *fields, const char *where, struct pb_error *err);

/* The key of object that looks most like word, or NULL when none is near. */
const char *schema_nearest(const json_t *object, const char *word);

/* "WHERE: KEY: found FOUND, allowed is ALLOWED": as the checker says it, for what a field cannot say. PB_EINVALID. */
int schema_refuse(struct pb_error *err, const char *where, const char *key, const json_t *found, const char *allowed);

#endif
