/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the trace field on top of each message says (RFC 5321 4.4). Pure: values in, text out. */
#ifndef MAILPROTO_RECEIVED_H
#define MAILPROTO_RECEIVED_H

#include <postbus/str.h>

struct received {
	struct pb_str helo;		/* what the client called itself; hostile */
	struct pb_str client;		/* its address: "192.0.2.1", "2001:db8::1" */
	struct pb_str hostname;		/* ours */
	struct pb_str id;		/* queue id */
	struct pb_str tls;		/* "TLS1.3 AES-256-GCM", or empty */
	struct pb_str recipient;	/* the only one, or empty: nobody learns of the others */
	bool esmtp, lmtp, authenticated, utf8;
	int64_t now;			/* microseconds */
	int zone;			/* minutes east */
};

/* The whole field with its line end. */
void received_build(struct pb_buf *out, const struct received *r);

#endif
