/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opens a plugin's shared object with libltdl and checks its descriptor. Leaves running it to life.c. */
#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
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

/* The loader's reason begins with the copy's name, which says nothing to anybody. */
static const char *reason_after(const char *why, const char *copy)
{
	size_t n = strlen(copy);

	if (!why)
		return "no reason is given";
	return !strncmp(why, copy, n) && why[n] == ':' ? why + n + 1 + strspn(why + n + 1, " ") : why;
}

/* libltdl binds lazily, so that a missing symbol would end the process at its first use, and its reasons are poor: the loader itself goes first. */
static int load_copy(struct plugin *p, const char *copy, const char *path, struct pb_error *err)
{
	lt_dladvise advise;
	void *bound;
	int rc = 0;

	dlerror();
	bound = dlopen(copy, RTLD_NOW | RTLD_LOCAL);
	if (!bound)
		return pb_fail(err, PB_EUNAVAILABLE, "%s: %s", path, reason_after(dlerror(), copy));
	lt_dladvise_init(&advise);
	lt_dladvise_local(&advise);
#ifdef PB_SANITIZED
	lt_dladvise_resident(&advise);	/* leak reports keep their symbols */
#endif
	p->object = lt_dlopenadvise(copy, advise);
	if (!p->object)
		rc = pb_fail(err, PB_EUNAVAILABLE, "%s: %s", path, lt_dlerror());
	lt_dladvise_destroy(&advise);
	dlclose(bound);
	return rc;
}

/* The copy is loaded under a name by which debuggers and leak reports find it, from other processes too, as long as its descriptor is open. */
static void name_copy(const struct plugin *p, char *copy, size_t room)
{
	snprintf(copy, room, "/proc/%d/fd/%d", (int)getpid(), p->copy);
}

static int copy_object(const struct plugin *p, char *path, size_t room, struct pb_error *err)
{
	const char *home = p->host.kernel->home;
	bool own;

	snprintf(path, room, "%s/%s.so", p->manifest->dir, p->manifest->name);
	own = home && !strncmp(path, home, strlen(home)) && path[strlen(home)] == '/';
	return object_copy(path, p->manifest->name, p->host.kernel->user, !own, err);
}

int object_check(const struct plugin *p, struct pb_error *err)
{
	char path[4096];
	int copy = copy_object(p, path, sizeof path, err);

	if (copy < 0)
		return err->code;
	close(copy);
	return 0;
}

int object_open(struct plugin *p, struct pb_error *err)
{
	char path[4096], symbol[120], copy[60];
	int rc;

	snprintf(symbol, sizeof symbol, "%s_LTX_pb_plugin", p->manifest->name);
	p->copy = copy_object(p, path, sizeof path, err);
	if (p->copy < 0)
		return err->code;
	name_copy(p, copy, sizeof copy);
	pthread_mutex_lock(&ltdl_lock);
	if (ltdl_users++ == 0)
		lt_dlinit();
	rc = load_copy(p, copy, path, err);
	if (!rc)
		rc = check_descriptor(p, lt_dlsym(p->object, symbol), path, err);
	pthread_mutex_unlock(&ltdl_lock);
	if (rc)
		object_close(p);
	return rc;
}

/* What the loader keeps (under sanitizers all that was loaded, else what asked for it) keeps its name too: another copy must not get it. */
static bool is_kept(const struct plugin *p, bool loaded)
{
#ifdef PB_SANITIZED
	(void)p;
	return loaded;
#else
	char copy[60];
	void *kept;

	(void)loaded;
	name_copy(p, copy, sizeof copy);
	kept = dlopen(copy, RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD);
	if (kept)
		dlclose(kept);
	return kept;
#endif
}

void object_close(struct plugin *p)
{
	bool loaded = p->object;

	pthread_mutex_lock(&ltdl_lock);
	if (loaded)
		lt_dlclose(p->object);
	p->object = NULL;
	if (!is_kept(p, loaded))
		close(p->copy);
	ltdl_users--;
#ifndef PB_SANITIZED	/* what is resident stays in its list */
	if (ltdl_users == 0)
		lt_dlexit();
#endif
	pthread_mutex_unlock(&ltdl_lock);
}
