/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzzes the reading of manifests: whatever a file says, it is refused with words or gives a manifest with all that its readers count on. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/plugin/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(what) do { if (!(what)) __builtin_trap(); } while (0)

static char dir[] = "/tmp/postbus-fuzz-XXXXXX", path[64];

static void clean(void)
{
	unlink(path);
	rmdir(dir);
}

static void prepare(void)
{
	if (*path)
		return;
	MUST(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/conn_x.json", dir);
	atexit(clean);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct manifest *m = NULL;
	struct pb_error err = { 0 };
	int fd;

	prepare();
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	close(fd);
	if (manifest_read(path, geteuid(), &m, &err)) {
		MUST(err.code && *err.text && !m);
		return 0;
	}
	MUST(m->name && *m->name && m->dir && json_is_object(m->doc) && json_is_object(m->calls));
	MUST(json_is_string(json_object_get(m->doc, "kind")) && json_is_string(json_object_get(m->doc, "sdk")));
	manifest_free(m);
	return 0;
}
