/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Described fields (schema.h), taken apart once, for values that are looked at again and again: what plugins ask and answer each other. The sentence about what
 * does not fit is schema_check's.
 */
#ifndef KERNEL_CONFIG_SHAPE_H
#define KERNEL_CONFIG_SHAPE_H

#include <stdbool.h>
#include <jansson.h>
#include <postbus/str.h>

struct shape;

/* For answers. It is about form: sizes count where the fields name them, and the limits for what comes from outside do not. fields are borrowed until shape_free. */
struct shape *shape_new(const json_t *fields);
/* For parameters, with all that schema_check knows. */
struct shape *shape_new_strict(const json_t *fields);
void shape_free(struct shape *s);	/* NULL is fine */
/* value NULL: an empty object. Nothing is copied or filled in. */
bool shape_fits(const struct shape *s, const json_t *value);

/* As schema_check, for those who only read, with a strict shape of fields: *ret is value itself where nothing has to be filled in or turned. */
int shape_take(const struct shape *s, const json_t *fields, const json_t *value, const char *where, json_t **ret, struct pb_error *err);

#endif
