/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Delivery status notifications as messages: RFC 3464 in RFC 6522's multipart/report, RFC 3461's rules for what is returned, RFC 6533 for UTF-8.
 * Pure: what is known about a message in, bytes out. Who gets one, and when, is report.c's.
 *
 *	dsn_begin(&out, &dsn);		up to the first byte of what is returned
 *	dsn_original(&dsn)		... those bytes, a view into the original; empty where dsn_begin had to encode them
 *	dsn_end(&out, &dsn);		what stands behind them
 */
#ifndef AGENT_MTA_DSN_H
#define AGENT_MTA_DSN_H

#include <postbus/str.h>

enum dsn_kind { DSN_FAILED, DSN_DELAYED, DSN_DELIVERED, DSN_RELAYED };

struct dsn_recipient {
	struct pb_str address, orcpt;	/* orcpt: "rfc822;bob@example.org" or empty */
	struct pb_str reason, remote;	/* "550 5.1.1 no such user"; who said so, or empty: we did */
	int64_t tried;			/* microseconds; 0: never */
};

struct dsn {
	enum dsn_kind kind;
	struct pb_str host;		/* this server's name */
	struct pb_str from;		/* address of the From field */
	struct pb_str to;		/* who gets the report */
	struct pb_str envid;
	struct pb_str helo;		/* of the client that brought the original, or empty */
	struct pb_str message_id;	/* of the report, with <> */
	struct pb_str boundary;		/* in no line of the original */
	struct pb_str original;		/* the message it is about; may be empty */
	int64_t now, arrival, retry_until;	/* microseconds; 0: not known */
	bool ret_headers;		/* RET=HDRS */
	bool utf8;			/* he can be reached by SMTPUTF8 alone; else the report has 7 bits */
	uint64_t return_max;		/* a larger original is returned as its header, as is one of 8 bits or long lines */
	const struct dsn_recipient *recipients;
	size_t n;
};

void dsn_begin(struct pb_buf *out, const struct dsn *d);
struct pb_str dsn_original(const struct dsn *d);
void dsn_end(struct pb_buf *out, const struct dsn *d);
/* Does it hold bytes above 127? Then its envelope says 8BITMIME. */
bool dsn_is_8bit(const struct dsn *d);

/* A report again, without what it returns (dsn_short.c). False: it returns nothing, or is no report. */
bool dsn_shorten(struct pb_str report, struct pb_buf *out);

/* ---- the pieces (dsn_text.c) ---- */

/* The words for people, CRLF lines, UTF-8. */
void dsn_text(struct pb_buf *out, const struct dsn *d);
/* The RFC 3463 status that a reply says, or the kind's general one; 12 bytes of room. */
void dsn_status(char *out, struct pb_str reason, enum dsn_kind kind);
/* Append text as one line of a report field: no control bytes; bytes above 127 as RFC 6533 "\x{E9}", unless utf8. */
void dsn_clean(struct pb_buf *out, struct pb_str text, bool utf8);

#endif
