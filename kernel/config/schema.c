/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checks JSON values against described fields. Leaves reading files to config.c and to the manifest reader. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include "kernel/config/schema.h"

static const char *const type_names[] = { "string", "integer", "boolean", "seconds", "bytes",  "address", "host",
					   "path",   "enum",	"list",	   "object",  "any",	"number",  NULL };

static const char *json_kind(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "a list";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "an integer";
	case JSON_REAL:
		return "a fraction";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	default:
		return "null";
	}
}

/* What was found, short enough for a sentence. */
static void show(const json_t *v, char *text, size_t room)
{
	char *dump = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);

	snprintf(text, room, "%.60s%s", dump ? dump : json_kind(v), dump && strlen(dump) > 60 ? "..." : "");
	free(dump);
}

static int refuse(struct pb_error *err, const char *where, const json_t *found, const char *allowed)
{
	char text[80];

	show(found, text, sizeof text);
	return pb_fail(err, PB_EINVALID, "%s: found %s, allowed is %s", where, text, allowed);
}

int schema_refuse(struct pb_error *err, const char *where, const char *key, const json_t *found, const char *allowed)
{
	char here[300];

	snprintf(here, sizeof here, "%.200s: %s", where, key);
	return refuse(err, here, found, allowed);
}

/* ---- units ---- */

static int64_t unit_of(const char *suffix, bool seconds)
{
	static const struct {
		const char *suffix;
		bool seconds;
		int64_t unit;
	} units[] = {
		{ "s", true, 1 },	   { "m", true, 60 },	      { "h", true, 3600 },	{ "d", true, 86400 },	       { "w", true, 604800 },
		{ "B", false, 1 },	   { "K", false, 1 << 10 },   { "k", false, 1 << 10 },	{ "M", false, 1 << 20 },       { "G", false, 1 << 30 },
		{ "KiB", false, 1 << 10 }, { "MiB", false, 1 << 20 }, { "GiB", false, 1 << 30 }, { "T", false, INT64_C(1) << 40 },
	};

	if (!*suffix)
		return 1;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (units[i].seconds == seconds && !strcmp(units[i].suffix, suffix))
			return units[i].unit;
	return 0;
}

static bool parse_units(const char *text, bool seconds, json_int_t *ret)
{
	size_t digits = strspn(text, "0123456789");
	uint64_t n;
	int64_t unit = unit_of(text + digits, seconds);
	json_int_t value;

	if (!unit || pb_str_u64(pb_str(text, digits), INT64_MAX, &n) || __builtin_mul_overflow((json_int_t)n, unit, &value))
		return false;
	*ret = value;
	return true;
}

/* ---- scalars ---- */

static int check_integer(const json_t *field, const char *type, const json_t *value, const char *where, json_t **ret, struct pb_error *err)
{
	bool seconds = !strcmp(type, "seconds"), units = seconds || !strcmp(type, "bytes");
	const json_t *min = json_object_get(field, "min"), *max = json_object_get(field, "max");
	char allowed[120];
	json_int_t n;

	snprintf(allowed, sizeof allowed, "%s",
		 seconds ? "a time like 90, \"90s\", \"15m\", \"2h\" or \"5d\"" : units ? "a size like 1048576, \"64K\", \"10M\" or \"2G\"" : "an integer");
	if (json_is_integer(value))
		n = json_integer_value(value);
	else if (!units || !json_is_string(value) || !parse_units(json_string_value(value), seconds, &n))
		return refuse(err, where, value, allowed);
	if ((min && n < json_integer_value(min)) || (max && n > json_integer_value(max)) || (units && n < 0)) {
		size_t at = strlen(allowed);

		snprintf(allowed + at, sizeof allowed - at, " from %lld to %lld", min ? (long long)json_integer_value(min) : units ? 0 : INT64_MIN,
			 max ? (long long)json_integer_value(max) : INT64_MAX);
		return refuse(err, where, value, allowed);
	}
	*ret = json_integer(n);
	return 0;
}

static bool is_host(const char *text)
{
	size_t label = 0, all = strlen(text);

	if (!all || all > 253)
		return false;
	for (const char *p = text; *p; p++) {
		if (*p == '.') {
			if (!label || p[-1] == '-')
				return false;
			label = 0;
		} else if (pb_is_alnum((unsigned char)*p) || *p == '_' || (*p == '-' && label) || (unsigned char)*p >= 0x80) {
			if (++label > 63)
				return false;
		} else {
			return false;
		}
	}
	return label > 0;
}

static bool is_numeric_address(const char *text)
{
	unsigned char bytes[16];

	return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

static bool is_mail_address(const char *text)
{
	const char *at = strrchr(text, '@');

	return at && at > text && (is_host(at + 1) || at[1] == '[') && strlen(text) <= 320;
}

static int check_string(const json_t *field, const char *type, const json_t *value, const char *where, json_t **ret, struct pb_error *err)
{
	const json_t *max = json_object_get(field, "max_length");
	size_t limit = max ? (size_t)json_integer_value(max) : 65536;
	const char *text = json_string_value(value);
	char allowed[80];

	if (!text)
		return refuse(err, where, value, "a string");
	if (json_string_length(value) > limit) {
		snprintf(allowed, sizeof allowed, "a string of at most %zu bytes", limit);
		return refuse(err, where, value, allowed);
	}
	if (*text || json_is_true(json_object_get(field, "required"))) {
		if (!strcmp(type, "host") && !is_host(text) && !is_numeric_address(text))
			return refuse(err, where, value, "a host name or address");
		if (!strcmp(type, "address") && !is_mail_address(text))
			return refuse(err, where, value, "a mail address like alice@example.org");
		if (!strcmp(type, "path") && strlen(text) != json_string_length(value))
			return refuse(err, where, value, "a path without NUL");
	}
	*ret = json_incref((json_t *)value);
	return 0;
}

static int check_enum(const json_t *field, const json_t *value, const char *where, json_t **ret, struct pb_error *err)
{
	PB_AUTOBUF(allowed);
	const json_t *word;
	size_t i;

	json_array_foreach (json_object_get(field, "enum"), i, word) {
		if (json_equal((json_t *)word, (json_t *)value)) {
			*ret = json_incref((json_t *)value);
			return 0;
		}
		pb_buf_addf(&allowed, "%s\"%s\"", i ? ", " : "", json_string_value(word));
	}
	return refuse(err, where, value, pb_buf_z(&allowed));
}

/* ---- lists, objects ---- */

static int check_list(const json_t *field, const json_t *value, const char *where, json_t **ret, struct pb_error *err)
{
	const json_t *items = json_object_get(field, "items"), *max = json_object_get(field, "max_length"), *item;
	size_t limit = max ? (size_t)json_integer_value(max) : 100000, i;
	json_t *copy;

	if (!json_is_array(value))
		return refuse(err, where, value, "a list");
	if (json_array_size(value) > limit)
		return pb_fail(err, PB_EINVALID, "%s: found a list of %zu, allowed are at most %zu", where, json_array_size(value), limit);
	if (!items) {
		*ret = json_incref((json_t *)value);
		return 0;
	}
	copy = json_array();
	json_array_foreach (value, i, item) {
		char here[240];
		json_t *one;

		snprintf(here, sizeof here, "%.200s[%zu]", where, i);
		if (schema_check_value(items, item, here, &one, err)) {
			json_decref(copy);
			return PB_EINVALID;
		}
		json_array_append_new(copy, one);
	}
	*ret = copy;
	return 0;
}

/* "properties": known keys; "values": any key, each value as this field says; neither: any object. */
static int check_object(const json_t *field, const json_t *value, const char *where, json_t **ret, struct pb_error *err)
{
	const json_t *properties = json_object_get(field, "properties"), *values = json_object_get(field, "values"), *one;
	const char *key;
	json_t *copy;

	if (!json_is_object(value))
		return refuse(err, where, value, "an object");
	if (properties)
		return schema_check(properties, value, where, ret, err);
	if (!values) {
		*ret = json_incref((json_t *)value);
		return 0;
	}
	copy = json_object();
	json_object_foreach ((json_t *)value, key, one) {
		char here[240];
		json_t *checked;

		snprintf(here, sizeof here, "%.150s.%.80s", where, key);
		if (schema_check_value(values, one, here, &checked, err)) {
			json_decref(copy);
			return PB_EINVALID;
		}
		json_object_set_new(copy, key, checked);
	}
	*ret = copy;
	return 0;
}

static int check_type(const json_t *field, const char *type, const json_t *value, const char *where, json_t **ret, struct pb_error *err)
{
	if (!type || !strcmp(type, "any")) {
		*ret = json_incref((json_t *)value);
		return 0;
	}
	if (!strcmp(type, "integer") || !strcmp(type, "seconds") || !strcmp(type, "bytes"))
		return check_integer(field, type, value, where, ret, err);
	if (!strcmp(type, "boolean") || !strcmp(type, "number")) {
		if (!strcmp(type, "boolean") ? !json_is_boolean(value) : !json_is_number(value))
			return refuse(err, where, value, !strcmp(type, "boolean") ? "true or false" : "a number");
		*ret = json_incref((json_t *)value);
		return 0;
	}
	if (!strcmp(type, "enum"))
		return check_enum(field, value, where, ret, err);
	if (!strcmp(type, "list"))
		return check_list(field, value, where, ret, err);
	if (!strcmp(type, "object"))
		return check_object(field, value, where, ret, err);
	return check_string(field, type, value, where, ret, err);
}

/* What is secret stands in no message, and so in no log. */
static int refuse_secret(const json_t *field, const char *type, const char *where, struct pb_error *err)
{
	const json_t *max = json_object_get(field, "max_length");

	if (max)
		return pb_fail(err, PB_EINVALID, "%s: found a secret that does not fit, allowed is a %s of at most %lld bytes", where, type, (long long)json_integer_value(max));
	return pb_fail(err, PB_EINVALID, "%s: found a secret that does not fit, allowed is a %s", where, type);
}

int schema_check_value(const json_t *field, const json_t *value, const char *where, json_t **ret, struct pb_error *err)
{
	const char *type = json_string_value(json_object_get(field, "type"));
	int rc = check_type(field, type, value, where, ret, err);

	return rc && json_is_true(json_object_get(field, "secret")) ? refuse_secret(field, type, where, err) : rc;
}

/* ---- whole objects ---- */

static size_t distance(const char *a, const char *b)
{
	size_t n = strlen(b), row[64];

	if (n >= 63 || strlen(a) >= 63)
		return 63;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t before = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t change = before + (a[i - 1] != b[j - 1]);

			before = row[j];
			row[j] = row[j] + 1 < change ? row[j] + 1 : change;
			if (row[j - 1] + 1 < row[j])
				row[j] = row[j - 1] + 1;
		}
	}
	return row[n];
}

const char *schema_nearest(const json_t *object, const char *word)
{
	const char *key, *best = NULL;
	size_t least = strlen(word) / 2 + 2;
	json_t *v;

	json_object_foreach ((json_t *)object, key, v) {
		size_t d = distance(word, key);

		if (d < least) {
			least = d;
			best = key;
		}
	}
	return best;
}

static int check_keys(const json_t *fields, const json_t *value, const char *where, struct pb_error *err)
{
	const char *key;
	json_t *one;

	if (value && !json_is_object(value))
		return refuse(err, where, value, "an object");
	json_object_foreach ((json_t *)value, key, one) {
		const char *near;

		if (json_object_get(fields, key))
			continue;
		near = schema_nearest(fields, key);
		return near ? pb_fail(err, PB_EINVALID, "%s: unknown key \"%s\"; did you mean \"%s\"?", where, key, near) :
			      pb_fail(err, PB_EINVALID, "%s: unknown key \"%s\"", where, key);
	}
	return 0;
}

int schema_check(const json_t *fields, const json_t *value, const char *where, json_t **ret, struct pb_error *err)
{
	json_t *copy, *field, *one;
	const char *key;
	int rc = check_keys(fields, value, where, err);

	if (rc)
		return rc;
	copy = json_object();
	json_object_foreach ((json_t *)fields, key, field) {
		char here[240];
		json_t *checked;

		one = json_object_get(value, key);
		snprintf(here, sizeof here, "%.150s.%.80s", where, key);
		if (!one && json_is_true(json_object_get(field, "required"))) {
			json_decref(copy);
			return pb_fail(err, PB_EINVALID, "%s: \"%s\" is missing", where, key);
		}
		if (!one)
			one = json_object_get(field, "default");
		if (!one || json_is_null(one))
			continue;
		if (schema_check_value(field, one, here, &checked, err)) {
			json_decref(copy);
			return PB_EINVALID;
		}
		json_object_set_new(copy, key, checked);
	}
	if (ret)
		*ret = copy;
	else
		json_decref(copy);
	return 0;
}

int schema_check_fields(const json_t *fields, const char *where, struct pb_error *err)
{
	const char *key;
	json_t *field;

	if (!json_is_object(fields))
		return refuse(err, where, fields, "an object of fields");
	json_object_foreach ((json_t *)fields, key, field) {
		const char *type = json_string_value(json_object_get(field, "type"));
		const json_t *preset = json_object_get(field, "default");
		char here[240];
		json_t *checked;
		size_t i = 0;

		snprintf(here, sizeof here, "%.150s.%.80s", where, key);
		if (!type)
			return pb_fail(err, PB_EINVALID, "%s: \"type\" is missing", here);
		while (type_names[i] && strcmp(type_names[i], type))
			i++;
		if (!type_names[i])
			return pb_fail(err, PB_EINVALID, "%s: found type \"%s\", allowed are string, integer, boolean, seconds, bytes, address, host, path, enum, list, object, any",
				       here, type);
		if (!strcmp(type, "enum") && !json_array_size(json_object_get(field, "enum")))
			return pb_fail(err, PB_EINVALID, "%s: an enum needs a list \"enum\"", here);
		if (preset && !json_is_null(preset)) {
			if (schema_check_value(field, preset, here, &checked, err))
				return pb_because(err, "default");
			json_decref(checked);
		}
	}
	return 0;
}
