/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One message to clamd and its word about it: INSTREAM of the clamd protocol (clamd(8)), over a Unix socket or TCP. */
#ifndef AGENT_ANTIVIRUS_SCAN_H
#define AGENT_ANTIVIRUS_SCAN_H

#include <stdatomic.h>
#include <postbus/plugin.h>

struct scanner {
	struct pb_host *host;
	struct pb_str address;		/* "/run/clamav/clamd.ctl", or numeric */
	uint16_t port;
	int64_t timeout;		/* microseconds */
	atomic_bool silent;		/* it let a scan wait in vain */
	atomic_bool probing;		/* a worker asks whether it is back */
};

enum scan_result { SCAN_CLEAN, SCAN_FOUND, SCAN_TOO_LARGE };

/* The message in pieces, as it is read back. found: the virus' name, at most 100 bytes of it. PB_EUNAVAILABLE: clamd does not answer; PB_EINTERNAL: it says an error. */
int scan(struct scanner *s, const struct pb_str *pieces, size_t n, enum scan_result *ret, struct pb_buf *found, struct pb_error *err);

#endif
