/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The checker of described values, and the reading of postbus.json. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "kernel/config/config.h"
#include "kernel/config/schema.h"
#include "kernel/config/shape.h"

static const char fields_text[] = "{'name': {'type': 'string', 'required': true, 'max_length': 8},"
				  " 'size': {'type': 'bytes', 'default': '2K'}, 'wait': {'type': 'seconds', 'default': 90, 'max': 3600},"
				  " 'n': {'type': 'integer', 'min': 1, 'max': 5}, 'on': {'type': 'boolean', 'default': true}, 'kind': {'type': 'enum', 'enum': ['a', 'b']},"
				  " 'to': {'type': 'address'}, 'at': {'type': 'host'},"
				  " 'hosts': {'type': 'list', 'items': {'type': 'host'}, 'max_length': 2},"
				  " 'by': {'type': 'object', 'values': {'type': 'integer'}}, 'sub': {'type': 'object', 'properties': {'x': {'type': 'integer'}}}}";

static json_t *from(const char *text)
{
	char *copy = strdup(text);
	json_error_t e;
	json_t *v;

	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	v = json_loads(copy, JSON_DECODE_ANY, &e);
	if (!v)
		fail_msg("%s: %s", copy, e.text);
	free(copy);
	return v;
}

static void values_that_fit_are_taken_with_defaults_and_units(void **state)
{
	json_t *fields = from(fields_text), *value = from("{'name': 'x', 'wait': '15m', 'hosts': ['a.example', '192.0.2.1'], 'by': {'k': 3}, 'sub': {'x': 1}}"), *got;
	struct pb_error err;

	(void)state;
	assert_int_equal(schema_check(fields, value, "t", &got, &err), 0);
	assert_int_equal(json_integer_value(json_object_get(got, "size")), 2048);
	assert_int_equal(json_integer_value(json_object_get(got, "wait")), 900);
	assert_true(json_is_true(json_object_get(got, "on")));
	assert_null(json_object_get(got, "kind"));
	json_decref(got);
	json_decref(value);
	json_decref(fields);
}

static void what_needs_no_change_is_shared(void **state)
{
	static const struct {
		const char *fields, *value;
		bool shared;
	} cases[] = {
		{ "{'a': {'type': 'string', 'required': true}, 'b': {'type': 'string'}}", "{'a': 'x'}", true },
		{ "{'a': {'type': 'string', 'max_length': 1}}", "{'a': 'x'}", true },
		{ "{'a': {'type': 'string'}, 'b': {'type': 'string', 'default': 'y'}}", "{'a': 'x'}", false },
		{ "{'a': {'type': 'seconds'}}", "{'a': '15m'}", false },
		{ "{'a': {'type': 'string'}}", "{'a': null}", false },
		{ "{'a': {'type': 'seconds'}, 'b': {'type': 'bytes', 'max': 10}, 'c': {'type': 'number'}}", "{'a': 15, 'b': 10, 'c': 1.5}", true },
		{ "{'a': {'type': 'enum', 'enum': ['x', 'y']}}", "{'a': 'y'}", true },
		{ "{'a': {'type': 'list', 'items': {'type': 'string'}}}", "{'a': ['x', '']}", true },
		{ "{'a': {'type': 'list', 'items': {'type': 'seconds'}}}", "{'a': [1, '2m']}", false },
		{ "{'a': {'type': 'object', 'properties': {'k': {'type': 'integer'}}}}", "{'a': {'k': 1}}", true },
		{ "{'a': {'type': 'object', 'properties': {'k': {'type': 'integer', 'default': 2}}}}", "{'a': {}}", false },
		{ "{'a': {'type': 'object', 'values': {'type': 'address'}}}", "{'a': {'k': 'a@b.example'}}", true },
		{ "{'a': {'type': 'seconds', 'default': '2m'}, 'b': {'type': 'list', 'default': ['x']}}", "{}", false },
		{ "{'a': {'type': 'string', 'default': 'y'}}", "{'a': null}", false },
	};
	static const char *const bad[] = { "{}", "{'a': 1}", "{'a': 'xx'}", "{'a': 'x', 'c': 1}", "[]",
		"{'a': 'x', 'n': 4}", "{'a': 'x', 'n': -1}", "{'a': 'x', 'w': 'c'}", "{'a': 'x', 'w': 1}", "{'a': 'x', 'l': ['a', 'b', 'c']}", "{'a': 'x', 'l': ['-']}" };
	json_t *demands = from("{'a': {'type': 'string', 'required': true, 'max_length': 1}, 'n': {'type': 'seconds', 'max': 3}, 'w': {'type': 'enum', 'enum': ['a', 'b']}, "
			       "'l': {'type': 'list', 'max_length': 2, 'items': {'type': 'host'}}}");
	struct shape *strict = shape_new_strict(demands);
	json_t *got, *want;
	struct pb_error err;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		json_t *fields = from(cases[i].fields), *value = from(cases[i].value);

		struct shape *s = shape_new_strict(fields);

		assert_int_equal(shape_take(s, fields, value, "t", &got, &err), 0);
		assert_int_equal(schema_check(fields, value, "t", &want, &err), 0);
		assert_int_equal(got == value, cases[i].shared);
		assert_true(json_equal(got, want));
		json_decref(want);
		json_decref(got);
		shape_free(s);
		json_decref(value);
		json_decref(fields);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		json_t *value = from(bad[i]);

		assert_int_equal(shape_take(strict, demands, value, "t", &got, &err), PB_EINVALID);
		json_decref(value);
	}
	shape_free(strict);
	json_decref(demands);
}

static void parameters_have_the_limits_for_what_comes_from_outside(void **state)
{
	json_t *fields = from("{'s': {'type': 'string'}, 'l': {'type': 'list'}}"), *value = json_object(), *list = json_array(), *got;
	struct shape *s = shape_new_strict(fields);
	PB_AUTOBUF(text);
	struct pb_error err;

	(void)state;
	for (size_t i = 0; i < 65537; i++)
		pb_buf_addc(&text, 'x');
	json_object_set_new(value, "s", json_stringn(text.ptr, text.len - 1));
	assert_int_equal(shape_take(s, fields, value, "t", &got, &err), 0);
	assert_ptr_equal(got, value);
	json_decref(got);
	json_object_set_new(value, "s", json_stringn(text.ptr, text.len));
	assert_int_equal(shape_take(s, fields, value, "t", &got, &err), PB_EINVALID);
	json_object_del(value, "s");
	for (size_t i = 0; i < 100001; i++)
		json_array_append_new(list, json_true());
	json_object_set_new(value, "l", list);
	assert_int_equal(shape_take(s, fields, value, "t", &got, &err), PB_EINVALID);
	shape_free(s);
	json_decref(value);
	json_decref(fields);
}

static void values_that_do_not_fit_are_refused_by_name(void **state)
{
	static const struct {
		const char *value, *want;
	} cases[] = {
		{ "{}", "t: \"name\" is missing" },
		{ "{'name': 'x', 'nmae': 1}", "t: unknown key \"nmae\"; did you mean \"name\"?" },
		{ "{'name': 'x', 'zzzzzzz': 1}", "t: unknown key \"zzzzzzz\"" },
		{ "{'name': 'ninechars'}", "t.name: found \"ninechars\", allowed is a string of at most 8 bytes" },
		{ "{'name': 3}", "t.name: found 3, allowed is a string" },
		{ "{'name': 'x', 'n': 9}", "t.n: found 9, allowed is an integer from 1 to 5" },
		{ "{'name': 'x', 'wait': '2d'}", "t.wait: found \"2d\", allowed is a time like 90, \"90s\", \"15m\", \"2h\" or \"5d\" from 0 to 3600" },
		{ "{'name': 'x', 'size': '2Q'}", "t.size: found \"2Q\", allowed is a size like 1048576, \"64K\", \"10M\" or \"2G\"" },
		{ "{'name': 'x', 'on': 'yes'}", "t.on: found \"yes\", allowed is true or false" },
		{ "{'name': 'x', 'kind': 'c'}", "t.kind: found \"c\", allowed is \"a\", \"b\"" },
		{ "{'name': 'x', 'to': 'nobody'}", "t.to: found \"nobody\", allowed is a mail address like alice@example.org" },
		{ "{'name': 'x', 'at': '-a..b'}", "t.at: found \"-a..b\", allowed is a host name or address" },
		{ "{'name': 'x', 'hosts': ['a', 'b', 'c']}", "t.hosts: found a list of 3, allowed are at most 2" },
		{ "{'name': 'x', 'hosts': ['a', 'b c']}", "t.hosts[1]: found \"b c\", allowed is a host name or address" },
		{ "{'name': 'x', 'by': {'k': 'v'}}", "t.by.k: found \"v\", allowed is an integer" },
		{ "{'name': 'x', 'sub': {'y': 1}}", "t.sub: unknown key \"y\"; did you mean \"x\"?" },
		{ "[]", "t: found [], allowed is an object" },
	};
	json_t *fields = from(fields_text);

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pb_error err = { 0 };
		json_t *value = from(cases[i].value), *got = NULL;

		assert_int_equal(schema_check(fields, value, "t", &got, &err), PB_EINVALID);
		assert_string_equal(err.text, cases[i].want);
		json_decref(value);
	}
	json_decref(fields);
}

static void descriptions_are_checked_themselves(void **state)
{
	static const struct {
		const char *fields, *want;
	} cases[] = {
		{ "{'a': {}}", "t.a: \"type\" is missing" },
		{ "{'a': {'type': 'enum'}}", "t.a: an enum needs a list \"enum\"" },
		{ "{'a': {'type': 'integer', 'default': 'x'}}", "default: t.a: found \"x\", allowed is an integer" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pb_error err = { 0 };
		json_t *fields = from(cases[i].fields);

		assert_int_equal(schema_check_fields(fields, "t", &err), PB_EINVALID);
		assert_string_equal(err.text, cases[i].want);
		json_decref(fields);
	}
	assert_int_equal(schema_check_fields(config_fields(), "postbus.json", NULL), 0);
}

static void deep_json_never_reaches_the_recursive_parser(void **state)
{
	PB_AUTOBUF(text);
	struct pb_error err;
	json_t *got;

	(void)state;
	for (int i = 0; i < 100000; i++)
		pb_buf_addc(&text, '[');
	assert_int_equal(config_parse_json(pb_buf_str(&text), 32, "request", &got, &err), PB_ETOOBIG);
	assert_string_equal(err.text, "request: nested deeper than 32");
	assert_int_equal(config_parse_json(PB_STR("{\"a\": \"[[[[\\\"[[[[\"}"), 2, "request", &got, &err), 0);
	json_decref(got);
	assert_int_equal(config_parse_json(PB_STR("{\"a\": 1, \"a\": 2}"), 2, "request", &got, &err), PB_EINVALID);
}

static void read_text(const char *text, struct config **ret, struct pb_error *err)
{
	char path[] = "/tmp/postbus-config-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	if (config_read(path, ret, err))
		*ret = NULL;
	unlink(path);
}

static void postbus_json_is_read_or_refused_with_a_place(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "{\"version\": 1, \"hostname\": \"a\",\n \"x\" }", "line 2, column 6" },
		{ "{\"hostname\": \"a\"}", "\"version\" is missing; this release reads version 1" },
		{ "{\"version\": 2, \"hostname\": \"a\"}", "version: found 2, this release reads version 1" },
		{ "{\"version\": \"1\", \"hostname\": \"a\"}", "version: found \"1\", allowed is the integer 1" },
		{ "{\"version\": 1}", "\"hostname\" is missing" },
		{ "{\"version\": 1, \"hostname\": \"a\", \"lisen\": []}", "unknown key \"lisen\"; did you mean \"listen\"?" },
		{ "{\"version\": 1, \"hostname\": \"a\", \"plugins\": {\"p\": {\"enabled\": 3}}}", "plugins.p.enabled: found 3, allowed is true or false" },
		{ "[]", "must be one JSON object" },
	};
	struct config *c;
	struct pb_error err;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		read_text(cases[i].text, &c, &err);
		assert_null(c);
		if (!strstr(err.text, cases[i].want))
			fail_msg("'%s' says '%s', not '%s'", cases[i].text, err.text, cases[i].want);
	}
	read_text("{\"version\": 1, \"hostname\": \"mail.example.org\", \"home\": \"sub\"}", &c, &err);
	assert_non_null(c);
	assert_string_equal(c->home, "/tmp/sub");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(c->doc, "limits"), "command_time")), 300);
	config_free(c);
}

static void a_shape_says_what_the_checker_says(void **state)
{
	static const struct {
		const char *fields, *value;
		bool fits;
	} cases[] = {
		{ "{}", "{}", true },
		{ "{}", "{'a': 1}", false },
		{ "{'a': {'type': 'string', 'max_length': 3}}", "{'a': 'abc'}", true },
		{ "{'a': {'type': 'string', 'max_length': 3}}", "{'a': 'abcd'}", false },
		{ "{'a': {'type': 'string'}}", "{'a': null}", true },
		{ "{'a': {'type': 'string'}}", "{'a': 1}", false },
		{ "{'a': {'type': 'string', 'required': true}}", "{}", false },
		{ "{'a': {'type': 'string', 'default': 'x'}}", "{}", true },
		{ "{'a': {'type': 'boolean'}}", "{'a': false}", true },
		{ "{'a': {'type': 'boolean'}}", "{'a': 0}", false },
		{ "{'a': {'type': 'integer', 'min': 2, 'max': 4}}", "{'a': 4}", true },
		{ "{'a': {'type': 'integer', 'min': 2, 'max': 4}}", "{'a': 1}", false },
		{ "{'a': {'type': 'integer', 'min': 2, 'max': 4}}", "{'a': 5}", false },
		{ "{'a': {'type': 'integer'}}", "{'a': 1.5}", false },
		{ "{'a': {'type': 'number'}}", "{'a': 1.5}", true },
		{ "{'a': {'type': 'number'}}", "{'a': 'x'}", false },
		{ "{'a': {'type': 'seconds'}}", "{'a': 60}", true },
		{ "{'a': {'type': 'enum', 'enum': ['x', 'y']}}", "{'a': 'y'}", true },
		{ "{'a': {'type': 'enum', 'enum': ['x', 'y']}}", "{'a': 'z'}", false },
		{ "{'a': {'type': 'any'}}", "{'a': [1, {}]}", true },
		{ "{'a': {'type': 'list'}}", "{'a': [1, 'x']}", true },
		{ "{'a': {'type': 'list'}}", "{'a': {}}", false },
		{ "{'a': {'type': 'list', 'max_length': 1}}", "{'a': [1, 2]}", false },
		{ "{'a': {'type': 'list', 'items': {'type': 'string'}}}", "{'a': ['x', 'y']}", true },
		{ "{'a': {'type': 'list', 'items': {'type': 'string'}}}", "{'a': ['x', 2]}", false },
		{ "{'a': {'type': 'list', 'items': {'type': 'object', 'properties': {'b': {'type': 'integer'}}}}}", "{'a': [{'b': 1}, {}]}", true },
		{ "{'a': {'type': 'list', 'items': {'type': 'object', 'properties': {'b': {'type': 'integer'}}}}}", "{'a': [{'b': 1}, {'c': 1}]}", false },
		{ "{'a': {'type': 'object'}}", "{'a': {'x': 1}}", true },
		{ "{'a': {'type': 'object'}}", "{'a': 'x'}", false },
		{ "{'a': {'type': 'object', 'values': {'type': 'integer'}}}", "{'a': {'x': 1, 'y': 2}}", true },
		{ "{'a': {'type': 'object', 'values': {'type': 'integer'}}}", "{'a': {'x': 1, 'y': 'z'}}", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		json_t *fields = from(cases[i].fields), *value = from(cases[i].value);
		struct shape *s = shape_new(fields);
		struct pb_error err;

		if (shape_fits(s, value) != cases[i].fits || (schema_check(fields, value, "it", NULL, &err) == 0) != cases[i].fits)
			fail_msg("%s in %s", cases[i].value, cases[i].fields);
		shape_free(s);
		json_decref(fields);
		json_decref(value);
	}
}

/* What comes from outside is limited where nothing is said; what plugins say to each other is as long as it is. */
static void a_shape_has_the_limits_that_are_named(void **state)
{
	json_t *fields = from("{'a': {'type': 'string'}, 'b': {'type': 'list', 'items': {'type': 'integer'}}}"), *value = json_object(), *list = json_array();
	struct shape *s = shape_new(fields);
	char *text = pb_alloc(100001);

	(void)state;
	memset(text, 'x', 100000);
	json_object_set_new(value, "a", json_string(text));
	json_object_set_new(value, "b", list);
	for (int i = 0; i < 100001; i++)
		json_array_append_new(list, json_integer(i));
	assert_true(shape_fits(s, value));
	assert_true(shape_fits(s, NULL));
	free(text);
	shape_free(s);
	json_decref(fields);
	json_decref(value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_that_fit_are_taken_with_defaults_and_units),
		cmocka_unit_test(what_needs_no_change_is_shared),
		cmocka_unit_test(parameters_have_the_limits_for_what_comes_from_outside),
		cmocka_unit_test(values_that_do_not_fit_are_refused_by_name),
		cmocka_unit_test(a_shape_says_what_the_checker_says),
		cmocka_unit_test(a_shape_has_the_limits_that_are_named),
		cmocka_unit_test(descriptions_are_checked_themselves),
		cmocka_unit_test(deep_json_never_reaches_the_recursive_parser),
		cmocka_unit_test(postbus_json_is_read_or_refused_with_a_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
