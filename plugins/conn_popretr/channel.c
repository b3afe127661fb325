/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading what a remote server says. What the lines mean is pop3.c's and imap.c's business. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "channel.h"

/* So much of a message that is too large anyway is read, to get at what stands behind it. */
#define SURPLUS (64u << 20)

void channel_init(struct channel *c)
{
	c->in = pb_realloc(NULL, CHANNEL_ROOM);
	c->at = c->end = 0;
}

void channel_free(struct channel *c)
{
	free(c->in);
	c->in = NULL;
}

void channel_putf(struct channel *c, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	if (n > 0)
		c->write(c->arg, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

static int more(struct channel *c, struct pb_error *err)
{
	size_t n;
	int rc;

	if (c->at) {
		memmove(c->in, c->in + c->at, c->end - c->at);
		c->end -= c->at;
		c->at = 0;
	}
	if (c->end == CHANNEL_ROOM)
		return pb_fail(err, PB_ETOOBIG, "a line of more than %d bytes", CHANNEL_ROOM - 2);
	rc = c->read(c->arg, c->in + c->end, CHANNEL_ROOM - c->end, &n, err);
	if (!rc)
		c->end += n;
	return rc;
}

int channel_line(struct channel *c, struct pb_str *ret, struct pb_error *err)
{
	size_t seen = 0;

	for (;;) {
		size_t have = c->end - c->at;
		const char *p = c->in + c->at, *lf = have > seen ? memchr(p + seen, '\n', have - seen) : NULL;
		int rc;

		if (lf) {
			size_t len = (size_t)(lf - p);

			c->at += len + 1;
			c->bare = !len || p[len - 1] != '\r';
			*ret = pb_str(p, c->bare ? len : len - 1);
			return 0;
		}
		seen = have;
		rc = more(c, err);
		if (rc)
			return rc;
	}
}

int channel_peek(struct channel *c, const char **ret, struct pb_error *err)
{
	int rc = c->at == c->end ? more(c, err) : 0;

	if (!rc)
		*ret = c->in + c->at;
	return rc;
}

/* ---- into the sink ---- */

static void pass(struct sink *s, const char *ptr, size_t len)
{
	if (!len)
		return;
	if (!s->max || (s->size <= s->max && len <= s->max - s->size))
		s->add(s->arg, ptr, len);
	s->size += len;
}

static int check_size(const struct sink *s, struct pb_error *err)
{
	if (s->max && s->size > s->max && s->size - s->max > SURPLUS)
		return pb_fail(err, PB_ETOOBIG, "a message that does not end: %llu bytes, and %llu are allowed", (unsigned long long)s->size, (unsigned long long)s->max);
	return 0;
}

/* The end of a line at p[lf], whose bytes from p on are passed: with the line end that it should have. had_cr: the byte before p was a CR that was passed. */
static void pass_line(struct sink *s, const char *p, size_t lf, bool had_cr)
{
	if (lf ? p[lf - 1] == '\r' : had_cr) {
		pass(s, p, lf + 1);
		return;
	}
	pass(s, p, lf);
	pass(s, "\r\n", 2);
}

/* At the start of a line that begins with a dot. 1: that was the end; 0: the dot is off, if there was one to take; below: an error. */
static int dot(struct channel *c, bool bare, bool after_bare, struct pb_error *err)
{
	int rc = 0;

	while (!rc && (c->end - c->at < 2 || (c->in[c->at + 1] == '\r' && c->end - c->at < 3)))
		rc = more(c, err);
	if (rc)
		return rc;
	if (c->in[c->at + 1] == '\r' && c->in[c->at + 2] == '\n') {
		c->at += 3;
		return 1;
	}
	if (c->in[c->at + 1] == '\n') {
		if (bare && after_bare) {
			c->at += 2;
			return 1;
		}
		return 0;	/* a line of a message whose lines end so: it is no end, and no dot was put before it */
	}
	c->at++;
	return 0;
}

int channel_dot(struct channel *c, struct sink *sink, struct pb_error *err)
{
	bool start = true, had_cr = false, after_bare = c->bare;
	const bool bare = c->bare;

	for (;;) {
		const char *p, *lf;
		size_t n;
		int rc = c->at == c->end ? more(c, err) : 0;

		if (!rc && start && c->in[c->at] == '.') {
			rc = dot(c, bare, after_bare, err);
			if (rc == 1)
				return 0;
		}
		if (!rc)
			rc = check_size(sink, err);
		if (rc)
			return rc;
		p = c->in + c->at;
		n = c->end - c->at;
		lf = memchr(p, '\n', n);
		if (!lf) {
			pass(sink, p, n);
			had_cr = n ? p[n - 1] == '\r' : had_cr;
			start = start && !n;
			c->at = c->end;
			continue;
		}
		n = (size_t)(lf - p);
		after_bare = !(n ? p[n - 1] == '\r' : had_cr);
		pass_line(sink, p, n, had_cr);
		c->at += n + 1;
		start = true;
		had_cr = false;
	}
}

int channel_bytes(struct channel *c, uint64_t n, struct sink *sink, struct pb_error *err)
{
	bool had_cr = false;

	while (n) {
		const char *p, *lf;
		size_t some;
		int rc = c->at == c->end ? more(c, err) : check_size(sink, err);

		if (rc)
			return rc;
		p = c->in + c->at;
		some = c->end - c->at < n ? c->end - c->at : (size_t)n;
		lf = memchr(p, '\n', some);
		if (lf) {
			some = (size_t)(lf - p) + 1;
			pass_line(sink, p, some - 1, had_cr);
			had_cr = false;
		} else {
			pass(sink, p, some);
			had_cr = p[some - 1] == '\r';
		}
		c->at += some;
		n -= some;
	}
	return 0;
}
