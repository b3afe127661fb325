/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The inside of an outgoing connection, shared by link.c and link_tls.c. */
#ifndef KERNEL_SESSION_LINK_H
#define KERNEL_SESSION_LINK_H

#include "kernel/host.h"
#include "kernel/session/wire.h"

struct pb_link {
	struct pb_handle handle;	/* first */
	struct pb_host *host;
	struct wire wire;
	struct cipher cipher;
	char *in;			/* in[in_at..in_end) is read and not used */
	size_t in_at, in_end, in_cap;
	struct pb_buf out;
	int64_t timeout;
	struct pb_error error;		/* the first one; code 0: none */
	char *tls_info;
	void *trust;			/* its credentials, held */
	char peer[96];			/* for errors: "192.0.2.1 port 25" */
};

/* Waits for events until a deadline in CLOCK_MONOTONIC microseconds. PB_ETIMEOUT. */
int link_wait(struct pb_link *l, short events, int64_t deadline, struct pb_error *err);
int64_t link_ticks(void);
/* Notes the first error and gives it back, as all later calls do. */
int link_stick(struct pb_link *l, struct pb_error *err, const struct pb_error *what);
void link_tls_free(struct pb_link *l);

#endif
