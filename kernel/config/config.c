/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads and checks postbus.json. Leaves the plugins' own keys to their manifests. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "kernel/config/config.h"
#include "kernel/config/guard.h"
#include "kernel/config/schema.h"

enum { FILE_MAX = 4 << 20, DEPTH_MAX = 64 };

const json_t *builtin_json(struct builtin_json *b)
{
	json_t *doc = b->doc, *none = NULL;
	json_error_t e;

	if (doc)
		return doc;
	doc = json_loads(b->text, 0, &e);
	if (!doc) {
		fprintf(stderr, "postbus: built-in %s, line %d: %s\n", b->what, e.line, e.text);
		abort();
	}
	if (atomic_compare_exchange_strong(&b->doc, &none, doc))
		return doc;
	json_decref(doc);	/* another thread was first */
	return none;
}

const json_t *config_fields(void)
{
	static struct builtin_json fields = {
		.what = "fields",
		.text =
#include "kernel/config/fields_json.h"
	};

	return builtin_json(&fields);
}

static unsigned nesting(struct pb_str text)
{
	unsigned depth = 0, deepest = 0;
	bool quoted = false;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (quoted) {
			if (c == '\\')
				i++;
			else if (c == '"')
				quoted = false;
		} else if (c == '"') {
			quoted = true;
		} else if (c == '[' || c == '{') {
			if (++depth > deepest)
				deepest = depth;
		} else if ((c == ']' || c == '}') && depth) {
			depth--;
		}
	}
	return deepest;
}

int config_parse_json(struct pb_str text, unsigned depth, const char *what, json_t **ret, struct pb_error *err)
{
	json_error_t e;
	json_t *doc;

	if (nesting(text) > depth)
		return pb_fail(err, PB_ETOOBIG, "%s: nested deeper than %u", what, depth);
	doc = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &e);
	if (!doc)
		return pb_fail(err, PB_EINVALID, "%s: line %d, column %d: %s", what, e.line, e.column, e.text);
	*ret = doc;
	return 0;
}

/* A pipe without a writer would hold up everything. */
static int open_to_read(const char *path, int *ret, struct pb_error *err)
{
	*ret = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return *ret < 0 ? pb_fail_errno(err, errno, "%s", path) : 0;
}

/* Takes fd. */
static int read_json(int fd, const char *path, json_t **ret, struct pb_error *err)
{
	PB_AUTOBUF(text);
	ssize_t n;

	do {
		pb_buf_reserve(&text, 65536);
		n = read(fd, text.ptr + text.len, 65536);
		if (n > 0)
			text.len += (size_t)n;
	} while (n > 0 && text.len <= FILE_MAX);
	close(fd);
	if (n < 0)
		return pb_fail_errno(err, errno, "%s", path);
	if (text.len > FILE_MAX)
		return pb_fail(err, PB_ETOOBIG, "%s: larger than 4 MiB", path);
	return config_parse_json(pb_buf_str(&text), DEPTH_MAX, path, ret, err);
}

int config_read_json(const char *path, json_t **ret, struct pb_error *err)
{
	int fd;

	if (open_to_read(path, &fd, err))
		return err->code;
	if (guard_file(fd, path, err)) {
		close(fd);
		return err->code;
	}
	return read_json(fd, path, ret, err);
}

int config_read_manifest(const char *path, uid_t own, json_t **ret, struct pb_error *err)
{
	int fd;

	if (open_to_read(path, &fd, err))
		return err->code;
	if (guard_code(fd, path, own, err)) {
		close(fd);
		return err->code;
	}
	return read_json(fd, path, ret, err);
}

static int check_version(const json_t *doc, const char *path, struct pb_error *err)
{
	const json_t *version = json_object_get(doc, "version");

	if (!json_is_object(doc))
		return pb_fail(err, PB_EINVALID, "%s: the file must be one JSON object", path);
	if (!version)
		return pb_fail(err, PB_EINVALID, "%s: \"version\" is missing; this release reads version %d", path, CONFIG_VERSION);
	if (!json_is_integer(version))
		return schema_refuse(err, path, "version", version, "the integer 1");
	if (json_integer_value(version) != CONFIG_VERSION)
		return pb_fail(err, PB_EINVALID, "%s: version: found %lld, this release reads version %d", path, (long long)json_integer_value(version),
			       CONFIG_VERSION);
	return 0;
}

static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == path ? pb_str_dup(PB_STR("/")) : pb_str_dup(pb_str(path, (size_t)(slash - path)));
}

char *config_path(const struct config *c, const char *relative)
{
	PB_AUTOBUF(path);

	if (*relative != '/')
		pb_buf_addf(&path, "%s/", c->home);
	pb_buf_addz(&path, relative);
	return pb_str_dup(pb_buf_str(&path));
}

int config_read(const char *path, struct config **ret, struct pb_error *err)
{
	struct config *c = pb_alloc(sizeof *c);
	json_t *doc = NULL;
	const char *home;
	int rc;

	c->path = realpath(path, NULL);
	if (!c->path) {
		rc = pb_fail_errno(err, errno, "%s", path);
		goto fail;
	}
	c->home = directory_of(c->path);
	if ((rc = config_read_json(c->path, &c->raw, err)) || (rc = check_version(c->raw, path, err)) ||
	    (rc = schema_check(config_fields(), c->raw, path, &doc, err)))
		goto fail;
	atomic_init(&c->doc, doc);
	home = json_string_value(json_object_get(c->doc, "home"));
	if (home) {
		char *absolute = config_path(c, home);

		free(c->home);
		c->home = absolute;
	}
	*ret = c;
	return 0;
fail:
	config_free(c);
	return rc;
}

void config_exchange(struct config *c, struct config *other)
{
	json_t *raw = c->raw;

	other->doc = atomic_exchange(&c->doc, other->doc);
	c->raw = other->raw;
	other->raw = raw;
}

void config_keep(struct config *c, struct config *other)
{
	other->earlier = c->earlier;
	c->earlier = other;
}

void config_free(struct config *c)
{
	while (c) {
		struct config *earlier = c->earlier;

		json_decref(c->doc);
		json_decref(c->raw);
		free(c->path);
		free(c->home);
		free(c);
		c = earlier;
	}
}
