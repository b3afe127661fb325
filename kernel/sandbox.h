/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Confinement of the process: the user it runs as, Landlock for files, seccomp for system calls, the home's own directories.
 * Landlock holds for threads made later, so it comes before any thread; seccomp comes last, when every plugin is loaded, and for all threads.
 */
#ifndef KERNEL_SANDBOX_H
#define KERNEL_SANDBOX_H

#include <jansson.h>
#include <sys/types.h>
#include <postbus/error.h>

struct config;

/* One daemon a home; the lock lives as long as the process. PB_EBUSY: at once where a daemon has it, after half a minute where a tool's question
 * (offline) has it. Checks that what the daemon writes to are directories of the home, not symlinks.
 * own: whose the lock is once it is made, also by root: whom the daemon runs as may use postbusctl without a daemon, too. */
int sandbox_lock_home(const char *home, uid_t own, bool offline, struct pb_error *err);
/* Root becomes the configured user, without capabilities; others keep what they are. *ret_root: still root afterwards. */
int sandbox_drop_privileges(const struct config *c, int *ret_root, struct pb_error *err);
/* Files: read where programs and certificates lie, write inside the home only. *ret_on: whether the running kernel can. */
int sandbox_confine_files(const struct config *c, const char *plugindir, int *ret_on, struct pb_error *err);
/* System calls that a mail server never needs fail with EPERM from now on; starting programs is one of them. */
int sandbox_confine_calls(struct pb_error *err);

/* For systemd (sd_notify's datagram) when NOTIFY_SOCKET is set: "READY=1", "STOPPING=1". */
void sandbox_notify(const char *state);

#endif
