/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kernel's own methods, described in kernel.json: plugins, config, queue, trace, store, status. */
#ifndef KERNEL_CONTROL_METHODS_H
#define KERNEL_CONTROL_METHODS_H

#include "kernel/host.h"

int methods_register(struct kernel *kernel, struct pb_host *host, struct pb_error *err);

#endif
