/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opens a plugin's shared object with libltdl and checks its descriptor. Leaves running it to life.c. */
#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include "kernel/plugin/plugin.h"

/* libltdl is not thread-safe: callers hold the plugins' lock, but a process may have several hosts (tests). */
static pthread_mutex_t ltdl_lock = PTHREAD_MUTEX_INITIALIZER;
static int ltdl_users;

static int check_descriptor(struct plugin *p, const struct pb_plugin *d, const char *path, struct pb_error *err)
{
	if (!d)
		return pb_fail(err, PB_EINVALID, "%s: exports no %s_LTX_pb_plugin", path, p->manifest->name);
	if (d->size < offsetof(struct pb_plugin, load) || d->abi_major != PB_ABI_MAJOR || d->abi_minor > PB_ABI_MINOR)
		return pb_fail(err, PB_EINVALID, "%s: built for plugin ABI %u.%u, this release offers %d.%d", path, d->abi_major, d->abi_minor, PB_ABI_MAJOR, PB_ABI_MINOR);
	if (!d->name || strcmp(d->name, p->manifest->name))
		return pb_fail(err, PB_EINVALID, "%s: its descriptor is called \"%s\"", path, d->name ? d->name : "");
	memset(&p->desc, 0, sizeof p->desc);
	memcpy(&p->desc, d, d->size < sizeof p->desc ? d->size : sizeof p->desc);
	return 0;
}

int object_open(struct plugin *p, struct pb_error *err)
{
	char path[4096], symbol[120];
	lt_dladvise advise;
	void *bound;
	int rc;

	snprintf(path, sizeof path, "%s/%s.so", p->manifest->dir, p->manifest->name);
	snprintf(symbol, sizeof symbol, "%s_LTX_pb_plugin", p->manifest->name);
	pthread_mutex_lock(&ltdl_lock);
	if (ltdl_users++ == 0)
		lt_dlinit();
	lt_dladvise_init(&advise);
	lt_dladvise_local(&advise);
#ifdef PB_SANITIZED
	lt_dladvise_resident(&advise);	/* leak reports keep their symbols */
#endif
	/* libltdl binds lazily, so that a missing symbol would end the process at its first use, and its reasons are poor: the loader itself goes first. */
	dlerror();
	bound = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!bound)
		rc = pb_fail(err, PB_EUNAVAILABLE, "%s", dlerror());
	else if ((p->object = lt_dlopenadvise(path, advise)) == NULL)
		rc = pb_fail(err, PB_EUNAVAILABLE, "%s: %s", path, lt_dlerror());
	else
		rc = check_descriptor(p, lt_dlsym(p->object, symbol), path, err);
	if (bound)
		dlclose(bound);
	lt_dladvise_destroy(&advise);
	pthread_mutex_unlock(&ltdl_lock);
	if (rc)
		object_close(p);
	return rc;
}

void object_close(struct plugin *p)
{
	pthread_mutex_lock(&ltdl_lock);
	if (p->object)
		lt_dlclose(p->object);
	p->object = NULL;
	ltdl_users--;
#ifndef PB_SANITIZED	/* what is resident stays in its list */
	if (ltdl_users == 0)
		lt_dlexit();
#endif
	pthread_mutex_unlock(&ltdl_lock);
}
