/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What postbus.json says about all sessions together: limits and certificates; and the question session.connect, which is asked for every connection.
 * Leaves keeping the limits to the sessions' room, and listeners to the plugins.
 */
#ifndef KERNEL_ENTRANCE_H
#define KERNEL_ENTRANCE_H

#include <postbus/error.h>
#include <stdbool.h>
#include "kernel/kernel.h"

/* Opens kernel->sessions with the limits and certificates of kernel->config. */
int entrance_open(struct kernel *kernel, struct pb_error *err);
/* The certificates of a config, for new connections; an error leaves those that were. */
int entrance_certificates(struct kernel *kernel, const struct config *c, struct pb_error *err);
/* Would those of a config be others than those in force: other files, or the same ones written anew? */
bool entrance_certificates_differ(struct kernel *kernel, const struct config *c);
/* The limits of a config, from now on. */
int entrance_limits(struct kernel *kernel, const struct config *c, struct pb_error *err);

#endif
