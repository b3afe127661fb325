/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the kernel puts behind struct pb_host: one per plugin instance. Each room implements its operations as host_<op>(),
 * next to the room's own code; host.c gathers them into one table.
 */
#ifndef KERNEL_HOST_H
#define KERNEL_HOST_H

#include <stdatomic.h>
#include "sdk/src/host_ops.h"
#include "kernel/kernel.h"

/* Rights: words of a manifest's "requires" that are no methods. */
enum right {
	RIGHT_QUEUE_ACCEPT = 1,		/* queue.accept */
	RIGHT_NET_CONNECT = 2,		/* net.connect */
	RIGHT_MAIL_READ = 4,		/* mail.read */
	RIGHT_MAIL_WRITE = 8,		/* mail.write */
	RIGHT_TABLE = 16,		/* table */
	RIGHT_EXEC = 32,		/* exec */
	RIGHT_SESSION_END = 64		/* session.end */
};

struct pb_host {
	struct pb_handle handle;
	struct kernel *kernel;
	const char *name;		/* the plugin's */
	unsigned rights;
	const json_t *calls;		/* methods it may call, as keys; NULL: all (the kernel itself) */
	void *self;			/* what its load gave */
	struct plugin *plugin;		/* plugin/plugin.h; NULL for the kernel's own host */
	_Atomic int64_t links_until;	/* monotonic microseconds when its outgoing connections stop waiting, since it is being stopped; 0: never */
};

/* 0, or PB_EDENIED and a log line that names the missing line of the manifest. */
int host_may(struct pb_host *host, enum right right, struct pb_error *err);

extern const struct pb_host_ops host_ops;

#define PB_OP(ret, name, params, args) ret host_##name params;
#define PB_OPV(name, params, args) void host_##name params;
#define PB_OPN PB_OPV
#include "sdk/src/host_ops.def"
#undef PB_OP
#undef PB_OPV
#undef PB_OPN

#endif
