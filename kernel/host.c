/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table behind every handle that the kernel gives out. The operations themselves live in their rooms. */
#include "kernel/host.h"

const struct pb_host_ops host_ops = {
#define PB_OP(ret, name, params, args) .name = host_##name,
#define PB_OPV(name, params, args) .name = host_##name,
#define PB_OPN PB_OPV
#include "sdk/src/host_ops.def"
};
