/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads manifests and checks them against their own fields. Leaves the object beside them to the loader. */
#include <stdio.h>
#include <stdlib.h>
#include "kernel/config/config.h"
#include "kernel/config/schema.h"
#include "kernel/host.h"
#include "kernel/plugin/manifest.h"

const json_t *manifest_fields(void)
{
	static struct builtin_json fields = {
		.what = "manifest fields",
		.text =
#include "kernel/plugin/manifest_fields_json.h"
	};

	return builtin_json(&fields);
}

static const struct {
	const char *word;
	unsigned right;
} rights[] = {
	{ "queue.accept", RIGHT_QUEUE_ACCEPT }, { "net.connect", RIGHT_NET_CONNECT }, { "mail.read", RIGHT_MAIL_READ },
	{ "mail.write", RIGHT_MAIL_WRITE },	{ "table", RIGHT_TABLE },	      { "exec", RIGHT_EXEC },
	{ "session.end", RIGHT_SESSION_END },
};

unsigned manifest_right(const char *word)
{
	for (size_t i = 0; i < sizeof rights / sizeof *rights; i++)
		if (!strcmp(rights[i].word, word))
			return rights[i].right;
	return 0;
}

json_t *manifest_rights(void)
{
	json_t *all = json_object();

	for (size_t i = 0; i < sizeof rights / sizeof *rights; i++)
		json_object_set_new(all, rights[i].word, json_null());
	return all;
}

static bool is_name(const char *s)
{
	if (!(*s >= 'a' && *s <= 'z'))
		return false;
	for (; *s; s++)
		if (!(*s >= 'a' && *s <= 'z') && !pb_is_digit((unsigned char)*s) && *s != '_')
			return false;
	return true;
}

/* What the field checker cannot say: names, SDK version, nested field descriptions. */
static int check_rest(struct manifest *m, const char *path, struct pb_error *err)
{
	const char *sdk = json_string_value(json_object_get(m->doc, "sdk")), *base = strrchr(path, '/'), *method;
	json_t *spec, *methods = json_object_get(json_object_get(m->doc, "provides"), "methods");
	unsigned major, minor;
	char where[240], end;

	base = base ? base + 1 : path;
	if (!is_name(m->name))
		return pb_fail(err, PB_EINVALID, "%s: name: found \"%s\", allowed are small letters, digits and _", path, m->name);
	snprintf(where, sizeof where, "%s.json", m->name);
	if (strcmp(where, base))
		return pb_fail(err, PB_EINVALID, "%s: name: found \"%s\", but the file is called %s", path, m->name, base);
	if (sscanf(sdk, "%u.%u%c", &major, &minor, &end) != 2)
		return pb_fail(err, PB_EINVALID, "%s: sdk: found \"%s\", allowed is \"major.minor\"", path, sdk);
	if (major != PB_ABI_MAJOR || minor > PB_ABI_MINOR)
		return pb_fail(err, PB_EINVALID, "%s: sdk: it was written for SDK %u.%u, this release offers %d.%d", path, major, minor, PB_ABI_MAJOR, PB_ABI_MINOR);
	snprintf(where, sizeof where, "%s: config", path);
	if (schema_check_fields(json_object_get(m->doc, "config"), where, err))
		return PB_EINVALID;
	json_object_foreach (methods, method, spec) {
		snprintf(where, sizeof where, "%.150s: %.60s: params", path, method);
		if (schema_check_fields(json_object_get(spec, "params"), where, err))
			return PB_EINVALID;
	}
	return 0;
}

static void split_requires(struct manifest *m)
{
	const char *const lists[] = { "requires", "optional" };

	m->calls = json_object();
	for (size_t l = 0; l < 2; l++) {
		const json_t *word;
		size_t i;

		json_array_foreach (json_object_get(m->doc, lists[l]), i, word) {
			unsigned right = manifest_right(json_string_value(word));

			if (right)
				m->rights |= right;
			else
				json_object_set_new(m->calls, json_string_value(word), l ? json_false() : json_true());
		}
	}
}

int manifest_read(const char *path, uid_t own, struct manifest **ret, struct pb_error *err)
{
	struct manifest *m = pb_alloc(sizeof *m);
	json_t *raw = NULL;
	const char *slash = strrchr(path, '/');
	int rc;

	if ((rc = config_read_manifest(path, own, &raw, err)) || (rc = schema_check(manifest_fields(), raw, path, &m->doc, err)))
		goto done;
	m->name = json_string_value(json_object_get(m->doc, "name"));
	m->dir = slash ? pb_str_dup(pb_str(path, (size_t)(slash - path))) : pb_str_dup(PB_STR("."));
	split_requires(m);
	rc = check_rest(m, path, err);
done:
	json_decref(raw);
	if (rc)
		manifest_free(m);
	else
		*ret = m;
	return rc;
}

void manifest_free(struct manifest *m)
{
	if (!m)
		return;
	json_decref(m->doc);
	json_decref(m->calls);
	free(m->dir);
	free(m);
}
