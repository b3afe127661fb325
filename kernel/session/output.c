/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing: gathered on the desk, sent in one go; bodies go out from where they are mapped. Slow readers are cut like slow senders. */
#include <poll.h>
#include "kernel/session/internal.h"

enum { BY_REFERENCE = 4096 };	/* smaller pieces of a body are cheaper to copy than to carry along */

static bool is_dead(const struct pb_session *s)
{
	return s->lost || s->too_slow;
}

static void drop(struct desk *d)
{
	d->npieces = 0;
	d->out_len = d->out_total = 0;
	desk_release_bodies(d);
}

/* Forget n bytes that were sent. */
static void advance(struct desk *d, unsigned *at, size_t n)
{
	while (n) {
		struct iovec *piece = &d->pieces[*at];
		size_t some = n < piece->iov_len ? n : piece->iov_len;

		piece->iov_base = (char *)piece->iov_base + some;
		piece->iov_len -= some;
		n -= some;
		if (!piece->iov_len)
			++*at;
	}
}

/* Sends the pieces and what the cipher holds. wait: as long as patience lasts. */
static void send_out(struct pb_session *s, bool wait)
{
	struct desk *d = s->desk;
	unsigned at = 0;

	while (!is_dead(s) && (at < d->npieces || wire_pending(&s->wire))) {
		size_t n = 0;
		int rc = 0;

		if (wire_pending(&s->wire))
			rc = wire_push(&s->wire, NULL);
		if (!rc && !wire_pending(&s->wire) && at < d->npieces)
			rc = wire_write(&s->wire, d->pieces + at, d->npieces - at, &n, NULL);
		if (rc) {
			s->lost = true;
			break;
		}
		advance(d, &at, n);
		if (n) {
			d->moved += n;
			d->silent = 0;
			continue;
		}
		if (at == d->npieces && !wire_pending(&s->wire))
			break;
		if (!wait)
			break;
		if (session_wait(s, POLLOUT, true) != 0) {
			d->doing = "sending";
			break;
		}
	}
	drop(d);
}

bool output_flush(struct pb_session *s)
{
	if (s->desk->npieces || wire_pending(&s->wire))
		send_out(s, true);
	return !is_dead(s);
}

void output_try(struct pb_session *s)
{
	if (!s->lost)
		send_out(s, false);
	drop(s->desk);
}

/* ---- gathering ---- */

static bool piece(struct pb_session *s, const void *ptr, size_t len)
{
	struct desk *d = s->desk;
	struct iovec *last = d->npieces ? &d->pieces[d->npieces - 1] : NULL;

	if (last && (const char *)last->iov_base + last->iov_len == ptr && (const char *)ptr >= d->out && (const char *)ptr < d->out + DESK_OUT)
		last->iov_len += len;
	else
		d->pieces[d->npieces++] = (struct iovec){ (void *)(uintptr_t)ptr, len };
	d->out_total += len;
	return true;
}

char *host_put_room(struct pb_session *s, size_t n)
{
	struct desk *d = s->desk;

	if (!d || is_dead(s) || n > DESK_ROOM)
		return NULL;
	if (DESK_OUT - d->out_len < n || d->npieces >= DESK_PIECES - 1)
		output_flush(s);
	return is_dead(s) ? NULL : d->out + d->out_len;
}

void host_put_done(struct pb_session *s, size_t used)
{
	struct desk *d = s->desk;

	if (!d || is_dead(s) || !used)
		return;
	piece(s, d->out + d->out_len, used);
	d->out_len += used;
}

void host_put(struct pb_session *s, const void *ptr, size_t len)
{
	struct desk *d = s->desk;

	if (!d || is_dead(s) || !len)
		return;
	if (DESK_OUT - d->out_len < len || d->npieces >= DESK_PIECES - 1) {
		if (len > DESK_ROOM && d->npieces < DESK_PIECES) {
			piece(s, ptr, len);	/* with what is gathered, in one go */
			output_flush(s);
			return;
		}
		if (!output_flush(s))
			return;
	}
	memcpy(d->out + d->out_len, ptr, len);
	piece(s, d->out + d->out_len, len);
	d->out_len += len;
}

void host_flush(struct pb_session *s)
{
	if (s->desk)
		output_flush(s);
}

bool host_session_is_dead(struct pb_session *s)
{
	return is_dead(s) || atomic_load(&s->revoked);
}

/* ---- bodies ---- */

/* A piece of a mapped body; it holds a reference until it was sent. */
static void put_mapped(struct pb_session *s, struct pb_body *body, const char *ptr, size_t len)
{
	struct desk *d = s->desk;

	if (len < BY_REFERENCE) {
		host_put(s, ptr, len);
		return;
	}
	if (d->npieces >= DESK_PIECES - 1 && !output_flush(s))
		return;
	if (is_dead(s))
		return;
	if (!d->nbodies || d->bodies[d->nbodies - 1] != body)
		d->bodies[d->nbodies++] = pb_body_ref(body);
	piece(s, ptr, len);
	if (d->out_total >= 2 * DESK_OUT)
		output_flush(s);
}

static bool parts(struct pb_session *s, struct pb_body *body, struct pb_str *head, struct pb_str *rest)
{
	struct pb_error err;
	PB_AUTOBUF(where);

	if (pb_body_parts(body, head, rest, &err) == 0)
		return true;
	/* the size was announced already: there is no way to say it inside the protocol */
	session_where(s, &where);
	log_line(SS(s)->log, PB_ERROR, where.ptr, "body.unreadable", "reason=%s", pb_logq(pb_strz(err.text)));
	s->lost = true;
	return false;
}

void host_put_body(struct pb_session *s, struct pb_body *body, uint64_t off, uint64_t len)
{
	struct pb_str head, rest;
	uint64_t n;

	if (!s->desk || is_dead(s) || !parts(s, body, &head, &rest))
		return;
	if (off < head.len) {
		n = len < head.len - off ? len : head.len - off;
		host_put(s, head.ptr + off, n);
		off += n;
		len -= n;
	}
	off -= head.len < off ? head.len : off;
	if (off < rest.len && len)
		put_mapped(s, body, rest.ptr + off, len < rest.len - off ? len : rest.len - off);
}

/* Dot-stuffing of one part. line_start and body_lines go from part to part; lines < 0: all of them. */
struct stuffing {
	bool line_start, in_text, full;
	int64_t lines;
};

static void stuff(struct pb_session *s, struct pb_body *body, struct stuffing *st, struct pb_str p)
{
	size_t from = 0, at = 0;

	while (at < p.len && !st->full && !is_dead(s)) {
		const char *lf;
		size_t end;

		if (st->line_start && st->in_text && st->lines == 0) {
			st->full = true;
			break;
		}
		if (st->line_start && p.ptr[at] == '.') {
			put_mapped(s, body, p.ptr + from, at - from);
			host_put(s, ".", 1);
			from = at;
		}
		lf = memchr(p.ptr + at, '\n', p.len - at);
		st->line_start = lf != NULL;
		end = lf ? (size_t)(lf - p.ptr) + 1 : p.len;
		if (lf && (end < 2 || lf[-1] != '\r')) {	/* a bare LF would end a line for some clients and not for others */
			put_mapped(s, body, p.ptr + from, end - 1 - from);
			host_put(s, "\r\n", 2);
			from = end;
		}
		if (st->lines >= 0 && lf) {
			if (st->in_text)
				st->lines--;
			else if (end - at == 1 || (end - at == 2 && p.ptr[at] == '\r'))
				st->in_text = true;
		}
		at = end;
	}
	put_mapped(s, body, p.ptr + from, at - from);
}

void host_put_body_dot(struct pb_session *s, struct pb_body *body, int64_t lines)
{
	struct stuffing st = { .line_start = true, .lines = lines };
	struct pb_str head, rest;

	if (!s->desk || is_dead(s) || !parts(s, body, &head, &rest))
		return;
	stuff(s, body, &st, head);
	stuff(s, body, &st, rest);
	if (st.line_start)
		host_put(s, ".\r\n", 3);
	else
		host_put(s, "\r\n.\r\n", 5);
}
