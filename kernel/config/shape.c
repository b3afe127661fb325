/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Forms of values, as small trees. Leaves units, the look inside strings and sentences to schema.c. */
#include <stdint.h>
#include <stdlib.h>
#include "kernel/config/schema.h"
#include "kernel/config/shape.h"

enum form { FORM_ANY, FORM_STRING, FORM_BOOLEAN, FORM_INTEGER, FORM_NUMBER, FORM_LIST, FORM_OBJECT, FORM_MAP, FORM_WORD, FORM_OTHER };

/* The most there may be of what comes from outside, where a field does not say it. */
enum { STRING_MOST = 65536, LIST_MOST = 100000 };

struct shape {
	enum form form;
	const char *key;		/* as a property */
	bool required;
	int64_t min, max;		/* integers */
	size_t longest;			/* strings, lists */
	const json_t *field;		/* others: for schema_check_value; words: "enum" */
	json_t *preset;			/* what stands for one that is missing, checked; NULL: nothing does */
	struct shape *inner;		/* properties; the one of items or values */
	size_t ninner;
	size_t nrequired, npresets;	/* of inner, as properties */
	bool strict;			/* the limits for what comes from outside hold, and null is no value */
};

static void properties(struct shape *s, const json_t *fields);
static void inside(struct shape *s, const json_t *field);

static enum form form_of(const json_t *field)
{
	static const struct {
		const char *type;
		enum form form;
	} forms[] = { { "any", FORM_ANY },	   { "string", FORM_STRING }, { "boolean", FORM_BOOLEAN }, { "integer", FORM_INTEGER }, { "seconds", FORM_INTEGER },
		      { "bytes", FORM_INTEGER }, { "number", FORM_NUMBER }, { "list", FORM_LIST },	   { "object", FORM_OBJECT },	{ "enum", FORM_WORD } };
	const char *type = json_string_value(json_object_get(field, "type"));

	for (size_t i = 0; type && i < sizeof forms / sizeof *forms; i++)
		if (!strcmp(type, forms[i].type))
			return forms[i].form;
	return type ? FORM_OTHER : FORM_ANY;
}

static void fill(struct shape *s, const json_t *field)
{
	const json_t *min = json_object_get(field, "min"), *max = json_object_get(field, "max"), *longest = json_object_get(field, "max_length");
	const char *type = json_string_value(json_object_get(field, "type"));
	bool units = type && (!strcmp(type, "seconds") || !strcmp(type, "bytes"));

	s->form = units && !s->strict ? FORM_OTHER : form_of(field);
	s->field = field;
	s->required = json_is_true(json_object_get(field, "required"));
	s->min = min ? json_integer_value(min) : units ? 0 : INT64_MIN;
	s->max = max ? json_integer_value(max) : INT64_MAX;
	s->longest = longest ? (size_t)json_integer_value(longest) : !s->strict ? SIZE_MAX : s->form == FORM_LIST ? LIST_MOST : STRING_MOST;
	inside(s, field);
}

/* Of lists and objects. */
static void inside(struct shape *s, const json_t *field)
{
	const json_t *all = json_object_get(field, "properties"), *each = json_object_get(field, s->form == FORM_LIST ? "items" : "values");

	if (s->form == FORM_OBJECT && all) {
		properties(s, all);
	} else if ((s->form == FORM_OBJECT || s->form == FORM_LIST) && each) {
		s->inner = pb_alloc(sizeof *s->inner);
		s->ninner = 1;
		s->inner->strict = s->strict;
		fill(s->inner, each);
	}
	if (s->form == FORM_OBJECT && !all)
		s->form = FORM_MAP;
}

static void properties(struct shape *s, const json_t *fields)
{
	const char *key;
	json_t *field;

	s->form = FORM_OBJECT;
	s->inner = pb_alloc((json_object_size(fields) + 1) * sizeof *s->inner);
	json_object_foreach ((json_t *)fields, key, field) {
		struct shape *one = &s->inner[s->ninner++];
		const json_t *preset = json_object_get(field, "default");

		one->key = key;
		one->strict = s->strict;
		fill(one, field);
		if (!s->strict || one->required || !preset || json_is_null(preset) || schema_check_value(field, preset, key, &one->preset, NULL))
			one->preset = NULL;
		s->nrequired += one->required;
		s->npresets += one->preset != NULL;
	}
}

struct shape *shape_new(const json_t *fields)
{
	struct shape *s = pb_alloc(sizeof *s);

	properties(s, fields);
	return s;
}

struct shape *shape_new_strict(const json_t *fields)
{
	struct shape *s = pb_alloc(sizeof *s);

	s->strict = true;
	properties(s, fields);
	return s;
}

static void empty(struct shape *s)
{
	for (size_t i = 0; i < s->ninner; i++)
		empty(&s->inner[i]);
	json_decref(s->preset);
	free(s->inner);
}

void shape_free(struct shape *s)
{
	if (s)
		empty(s);
	free(s);
}

/* ---- looking ---- */

static bool fits(const struct shape *s, const json_t *value);

/* Values come mostly in the order of their description: so the search goes on behind the last one found, and begins once more at the first. */
static const struct shape *field_of(const struct shape *s, const char *key, size_t *at)
{
	for (size_t n = s->ninner; n > 0; n--) {
		const struct shape *p = &s->inner[*at];

		*at = *at + 1 < s->ninner ? *at + 1 : 0;
		if (!strcmp(p->key, key))
			return p;
	}
	return NULL;
}

/* ret_presets: how many stand there that have one. */
static bool keys_fit(const struct shape *s, const json_t *value, size_t *ret_presets)
{
	size_t required = 0, presets = 0, at = 0;
	const char *key;
	json_t *one;

	if (value && !json_is_object(value))
		return false;
	json_object_foreach ((json_t *)value, key, one) {
		const struct shape *p = field_of(s, key, &at);

		if (!p || !(json_is_null(one) ? !s->strict : fits(p, one)))
			return false;
		required += p->required;
		presets += p->preset != NULL;
	}
	*ret_presets = presets;
	return required == s->nrequired;
}

static bool object_fits(const struct shape *s, const json_t *value)
{
	size_t presets;

	return keys_fit(s, value, &presets) && presets == s->npresets;
}

static bool list_fits(const struct shape *s, const json_t *value)
{
	const json_t *one;
	size_t i;

	if (!json_is_array(value) || json_array_size(value) > s->longest)
		return false;
	if (s->ninner)
		json_array_foreach (value, i, one)
			if (!fits(s->inner, one))
				return false;
	return true;
}

static bool map_fits(const struct shape *s, const json_t *value)
{
	const char *key;
	json_t *one;

	if (!json_is_object(value))
		return false;
	if (s->ninner)
		json_object_foreach ((json_t *)value, key, one)
			if (!fits(s->inner, one))
				return false;
	return true;
}

static bool word_fits(const struct shape *s, const json_t *value)
{
	const json_t *word;
	size_t i;

	json_array_foreach (json_object_get(s->field, "enum"), i, word)
		if (json_is_string(word) && json_is_string(value) ? !strcmp(json_string_value(word), json_string_value(value)) : json_equal((json_t *)word, (json_t *)value))
			return true;
	return false;
}

static bool other_fits(const struct shape *s, const json_t *value)
{
	struct pb_error err;
	json_t *same;

	if (schema_check_value(s->field, value, "", &same, &err))
		return false;
	json_decref(same);
	return true;
}

static bool fits(const struct shape *s, const json_t *value)
{
	switch (s->form) {
	case FORM_ANY:
		return true;
	case FORM_STRING:
		return json_is_string(value) && json_string_length(value) <= s->longest;
	case FORM_BOOLEAN:
		return json_is_boolean(value);
	case FORM_INTEGER:
		return json_is_integer(value) && json_integer_value(value) >= s->min && json_integer_value(value) <= s->max;
	case FORM_NUMBER:
		return json_is_number(value);
	case FORM_LIST:
		return list_fits(s, value);
	case FORM_OBJECT:
		return object_fits(s, value);
	case FORM_MAP:
		return map_fits(s, value);
	case FORM_WORD:
		return word_fits(s, value);
	case FORM_OTHER:
		break;
	}
	return other_fits(s, value);
}

bool shape_fits(const struct shape *s, const json_t *value)
{
	return object_fits(s, value);
}

/* What is missing is added to a copy that has the values themselves. */
static json_t *with_presets(const struct shape *s, const json_t *value)
{
	json_t *copy = value ? json_copy((json_t *)value) : json_object();

	for (size_t i = 0; i < s->ninner; i++)
		if (s->inner[i].preset && !json_object_get(copy, s->inner[i].key))
			json_object_set(copy, s->inner[i].key, s->inner[i].preset);
	return copy;
}

int shape_take(const struct shape *s, const json_t *fields, const json_t *value, const char *where, json_t **ret, struct pb_error *err)
{
	size_t presets;

	if (!keys_fit(s, value, &presets))
		return schema_check(fields, value, where, ret, err);
	*ret = value && presets == s->npresets ? json_incref((json_t *)value) : with_presets(s, value);
	return 0;
}
