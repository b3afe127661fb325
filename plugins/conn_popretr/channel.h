/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a remote server says, read from a stream of bytes: lines, text up to its dot, counted bytes. Everything has a cap, since the other side may say
 * anything. Where the bytes come from is the maker's affair: a link, or a test.
 */
#ifndef CONN_POPRETR_CHANNEL_H
#define CONN_POPRETR_CHANNEL_H

#include <postbus/str.h>

enum { CHANNEL_ROOM = 64 * 1024 };

/* Takes what was read, piece by piece. Above max nothing is passed on, but counted. */
struct sink {
	void (*add)(void *arg, const char *ptr, size_t len);
	void *arg;
	uint64_t size, max;		/* max 0: no limit */
};

struct channel {
	int (*read)(void *arg, char *ptr, size_t max, size_t *ret_n, struct pb_error *err);	/* at least one byte; PB_ECLOSED at the end */
	void (*write)(void *arg, const void *ptr, size_t len);
	void *arg;
	char *in;			/* in[at..end) is read and not used */
	size_t at, end;
	bool bare;			/* the last line ended with LF alone */
};

void channel_init(struct channel *c);
void channel_free(struct channel *c);
static inline void channel_put(struct channel *c, struct pb_str s)
{
	c->write(c->arg, s.ptr, s.len);
}
/* A whole line, CRLF included, in fmt. */
void channel_putf(struct channel *c, const char *fmt, ...) PB_PRINTF(2, 3);
/* A line without its end, valid until the next read; at most CHANNEL_ROOM - 2 bytes: PB_ETOOBIG. */
int channel_line(struct channel *c, struct pb_str *ret, struct pb_error *err);
/* The next byte, which stays to be read. */
int channel_peek(struct channel *c, const char **ret, struct pb_error *err);
/* RFC 1939 3: lines up to ".", dots taken off, line ends made CRLF. A bare LF before or behind the dot is no end, unless this server ends all lines so.
 * What is over sink->max is read and counted; beyond that limit and SURPLUS more it is PB_ETOOBIG, and the stream is of no use any more. */
int channel_dot(struct channel *c, struct sink *sink, struct pb_error *err);
/* n bytes as they are, but for bare LF, which becomes CRLF. */
int channel_bytes(struct channel *c, uint64_t n, struct sink *sink, struct pb_error *err);
/* Is there anything that was read and not used? */
static inline bool channel_has_more(const struct channel *c)
{
	return c->at < c->end;
}

#endif
