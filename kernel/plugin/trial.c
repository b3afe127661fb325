/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Values on trial: what the manifest cannot say about them the plugin says itself, before anything is touched. */
#include <stdio.h>
#include "kernel/plugin/plugin.h"

/* Somebody like it, with other values. */
static struct plugin double_of(const struct plugin *p, json_t *values)
{
	struct plugin other = { .manifest = p->manifest, .object = p->object, .desc = p->desc, .copy = p->copy };

	other.host = (struct pb_host){ .handle = p->host.handle, .kernel = p->host.kernel, .name = p->host.name, .rights = p->host.rights, .calls = p->host.calls };
	atomic_init(&other.config, values);
	return other;
}

int plugin_try_values(struct plugin *p, json_t *values, const char *path, struct pb_error *err)
{
	struct plugin other = double_of(p, values);
	struct pb_error why;
	int rc = 0;

	if (!p->object && object_open(&other, &why))
		return 0;	/* what it is will be said when it is started */
	other.host.plugin = &other;
	if (other.desc.check && other.desc.check(&other.host, err))
		rc = pb_because(err, "%s: plugins.%s.config", path, p->manifest->name);
	if (!p->object)
		object_close(&other);
	return rc;
}
