/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Framing as pure functions over bytes: command lines, dot-terminated data, PROXY headers. Where a line or a message ends is decided here
 * and nowhere else, because a disagreement about it is how mail is smuggled. Leaves reading, waiting and answering to its callers.
 */
#ifndef KERNEL_SESSION_FRAME_H
#define KERNEL_SESSION_FRAME_H

#include <netinet/in.h>
#include <postbus/session.h>

/* ---- lines ---- */

enum frame {
	FRAME_MORE,	/* no end yet, and none of the defects */
	FRAME_LINE,	/* a line */
	FRAME_BAD,	/* bare CR, bare LF or NUL in it */
	FRAME_LONG	/* no end within max bytes */
};

/*
 * The next line of p[0..n). max counts the line end. LINE: *ret_line is the line without its end. BAD, LONG: it is the line's beginning.
 * *ret_used: bytes that are done with (0 for MORE). *ret_skip: the rest of the line, up to its strict end, has still to be thrown away with frame_skip.
 * The answer depends on the bytes only, never on how they were cut into pieces.
 */
enum frame frame_line(const char *p, size_t n, size_t max, unsigned framing, struct pb_str *ret_line, size_t *ret_used, bool *ret_skip);
/* Throws away up to the line's end: true when it was found. *ret_used < n where a CR at the end has to be seen again with what follows. */
bool frame_skip(const char *p, size_t n, unsigned framing, size_t *ret_used);

/* ---- dot-terminated data (RFC 5321 4.5.2) ---- */

struct dot {
	bool line_start;	/* at the beginning of a line; start with true */
	bool bad;		/* a bare CR, a bare LF or a NUL came: nothing is put from then on */
	bool done;		/* the final dot was seen */
};

#define DOT_START { .line_start = true }

/* Gives unstuffed data to put in pieces as large as possible. Gives the bytes consumed: fewer than n when done, or when the last one or two decide
 * nothing without what follows. */
size_t dot_scan(struct dot *d, const char *p, size_t n, void (*put)(void *arg, const char *ptr, size_t len), void *arg);

/* ---- PROXY protocol, version 1 and 2 ---- */

enum { PROXY_MAX = 16 + 2048, PROXY_V1_MAX = 107 };

struct proxy_header {
	bool known;			/* false: LOCAL, UNKNOWN or a family without addresses; the socket's own hold */
	struct in6_addr peer, local;	/* IPv4 as mapped */
	uint16_t peer_port, local_port;
};

/* Length of the header at p, or 0: more is needed, or PB_EINVALID. */
int proxy_parse(const char *p, size_t n, struct proxy_header *ret);

#endif
