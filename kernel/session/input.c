/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading: what is there now for the command loop, and what a command waits for, under deadline and minimum rate. Framing is frame.c's. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include "kernel/session/internal.h"

enum { GRACE_SECONDS = 10, POLL_MAX_MS = 60000 };

/* Waiting inside a command is the system's time even where tests turn the session's clock by hand. */
static int64_t ticks(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* How long it may still wait: lines in all, bodies between two pieces, and not slower than the minimum rate. */
static int64_t patience(const struct pb_session *s, bool body)
{
	const struct limits *limits = &SS(s)->limits;
	const struct desk *d = s->desk;
	int64_t by_rate, left;

	if (s->leaving)
		return 0;
	if (!body)
		return limits->deadline - d->waited;
	left = limits->deadline - d->silent;
	if (!d->moved || d->moved > INT64_MAX / PB_SECOND)
		return left;
	by_rate = GRACE_SECONDS * PB_SECOND + (int64_t)d->moved * PB_SECOND / limits->rate_min - d->waited;
	return by_rate < left ? by_rate : left;
}

int session_wait(struct pb_session *s, short events, bool body)
{
	struct pollfd pfd = { .fd = s->wire.fd, .events = events };
	struct desk *d = s->desk;

	for (;;) {
		int64_t left = patience(s, body), began = ticks(), ms = (left + 999) / 1000;
		int n;

		if (left <= 0) {
			s->too_slow = true;
			return PB_ETIMEOUT;
		}
		n = poll(&pfd, 1, ms > POLL_MAX_MS ? POLL_MAX_MS : (int)ms);
		began = ticks() - began;
		d->waited += began;
		d->silent += began;
		if (n > 0) {
			d->cipher.dry = false;
			return 0;
		}
		if (n < 0 && errno != EINTR) {
			s->lost = true;
			return PB_ECLOSED;
		}
	}
}

void session_begin_command(struct pb_session *s, struct pb_str verb)
{
	struct desk *d = s->desk;
	size_t n = verb.len < sizeof d->verb - 1 ? verb.len : sizeof d->verb - 1;

	d->waited = d->silent = 0;
	d->moved = 0;
	d->doing = "running";
	s->revocations = atomic_load(&SS(s)->revoked.count);
	for (size_t i = 0; i < n; i++)	/* for the log: nothing of a peer's bytes but these */
		d->verb[i] = pb_is_alnum(verb.ptr[i]) ? verb.ptr[i] : '?';
	d->verb[n] = '\0';
}

static bool is_dead(const struct pb_session *s)
{
	return s->lost || s->too_slow;
}

/* ---- the buffer ---- */

void input_save(struct pb_session *s)
{
	struct desk *d = s->desk;

	s->nsaved = (uint32_t)(d->in_end - d->in_at);
	if (s->nsaved) {
		s->saved = pb_realloc(NULL, s->nsaved);
		memcpy(s->saved, d->in + d->in_at, s->nsaved);
	}
	d->in_at = d->in_end = 0;
}

void input_restore(struct pb_session *s)
{
	struct desk *d = s->desk;

	if (!s->nsaved)
		return;
	input_make_room(s, s->nsaved);
	memcpy(d->in, s->saved, s->nsaved);
	d->in_end = s->nsaved;
	free(s->saved);
	s->saved = NULL;
	s->nsaved = 0;
}

/* So that want bytes from in_at on fit. */
void input_make_room(struct pb_session *s, size_t want)
{
	struct desk *d = s->desk;
	size_t have = d->in_end - d->in_at;

	if (d->in_at == d->in_end) {
		d->in_at = d->in_end = 0;
	} else if (d->in_at && (d->in_cap - d->in_at < want || d->in_end == d->in_cap)) {
		memmove(d->in, d->in + d->in_at, have);
		d->in_at = 0;
		d->in_end = have;
	}
	if (d->in_cap < want) {
		d->in = pb_realloc(d->in, want);
		d->in_cap = want;
	}
}

int input_fill(struct pb_session *s, size_t *ret_n)
{
	struct desk *d = s->desk;
	int rc;

	*ret_n = 0;
	if (is_dead(s))
		return PB_ECLOSED;
	input_make_room(s, 1);
	if (d->in_end == d->in_cap)
		return 0;
	rc = wire_read(&s->wire, d->in + d->in_end, d->in_cap - d->in_end, ret_n, NULL);
	if (rc) {
		output_try(s);	/* one that only stopped talking still listens */
		s->lost = true;
		return rc;
	}
	d->in_end += *ret_n;
	return 0;
}

/* At least one byte more, waiting for it. What was written goes out first: the peer may wait for it. */
static int more(struct pb_session *s, bool body)
{
	size_t n;
	int rc;

	for (bool first = true;; first = false) {
		/* where something was said, the peer hears it before it goes on: do not even look before */
		n = 0;
		rc = first && s->desk->npieces && !wire_has_more(&s->wire) ? 0 : input_fill(s, &n);
		if (rc)
			return rc;
		if (n) {
			s->desk->silent = 0;
			if (body)
				s->desk->moved += n;
			return 0;
		}
		if (!output_flush(s))
			return PB_ECLOSED;
		rc = session_wait(s, POLLIN, body);
		if (rc)
			return rc;
	}
}

static struct pb_str pending(const struct pb_session *s)
{
	const struct desk *d = s->desk;

	return pb_str(d->in + d->in_at, d->in_end - d->in_at);
}

/* ---- what commands call ---- */

/* The rest of a bad line, to its strict end. */
static int skip_line(struct pb_session *s)
{
	for (;;) {
		struct pb_str p = pending(s);
		size_t used;
		bool found = frame_skip(p.ptr, p.len, s->protocol->framing, &used);
		int rc;

		s->desk->in_at += used;
		if (found)
			return 0;
		rc = more(s, false);
		if (rc)
			return rc;
	}
}

int host_read_line(struct pb_session *s, size_t max, struct pb_str *ret_line)
{
	if (!s->desk)
		return PB_EINTERNAL;
	s->desk->doing = "reading a line";
	input_make_room(s, max);
	for (;;) {
		struct pb_str p = pending(s), line;
		size_t used;
		bool skip;
		enum frame f = frame_line(p.ptr, p.len, max, s->protocol->framing, &line, &used, &skip);
		int rc;

		s->desk->in_at += used;
		if (f == FRAME_LINE) {
			*ret_line = line;
			return 0;
		}
		rc = f == FRAME_MORE ? more(s, false) : skip ? skip_line(s) : 0;
		if (rc)
			return rc;
		if (f != FRAME_MORE)
			return f == FRAME_LONG ? PB_ETOOBIG : PB_EINVALID;
	}
}

static int take(struct pb_session *s, uint64_t n, void (*put)(void *arg, const char *ptr, size_t len), void *arg)
{
	while (n) {
		struct pb_str p = pending(s);
		int rc;

		if (!p.len) {
			rc = more(s, true);
			if (rc)
				return rc;
			continue;
		}
		if (p.len > n)
			p.len = (size_t)n;
		put(arg, p.ptr, p.len);
		s->desk->in_at += p.len;
		n -= p.len;
	}
	return 0;
}

static void put_buf(void *arg, const char *ptr, size_t len)
{
	pb_buf_add(arg, ptr, len);
}

static void put_spool(void *arg, const char *ptr, size_t len)
{
	if (arg)
		pb_spool_write(arg, ptr, len);
}

int host_read_buf(struct pb_session *s, struct pb_buf *buf, size_t n)
{
	if (!s->desk)
		return PB_EINTERNAL;
	s->desk->doing = "reading a literal";
	return take(s, n, put_buf, buf);
}

int host_read_spool(struct pb_session *s, struct pb_spool *spool, uint64_t n)
{
	if (!s->desk)
		return PB_EINTERNAL;
	s->desk->doing = "reading message data";
	return take(s, n, put_spool, spool);
}

int host_read_dot(struct pb_session *s, struct pb_spool *spool)
{
	struct dot dot = DOT_START;

	if (!s->desk)
		return PB_EINTERNAL;
	s->desk->doing = "reading message data";
	for (;;) {
		struct pb_str p = pending(s);
		int rc;

		s->desk->in_at += dot_scan(&dot, p.ptr, p.len, put_spool, spool);
		if (dot.done)
			return dot.bad ? PB_EINVALID : 0;
		rc = more(s, true);
		if (rc)
			return rc;
	}
}
