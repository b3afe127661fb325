/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command loop: whole lines to commands, refusals, waking up, goodbyes. Framing is frame.c's, waiting is session.c's and input.c's. */
#include <errno.h>
#include "kernel/session/internal.h"

static bool is_dead(const struct pb_session *s)
{
	return s->lost || s->too_slow;
}

void session_bye(struct pb_session *s, enum pb_goodbye why)
{
	bool slow = s->too_slow;

	if (s->lost)
		return;
	if (!slow)
		output_flush(s);
	s->too_slow = false;
	s->leaving = true;	/* last words do not wait for anybody */
	if (s->protocol->goodbye)
		s->protocol->goodbye(s, why);
	s->wire.last = true;
	output_try(s);
	s->too_slow = slow;
}

/* ---- one line ---- */

static int refuse(struct pb_session *s, enum pb_refusal why, struct pb_str verb, struct pb_str args)
{
	host_session_error(s);
	return s->protocol->refuse(s, why, verb, args);
}

static const struct pb_command *find(const struct pb_protocol *p, struct pb_str verb)
{
	for (const struct pb_command *c = p->commands; c && c->name; c++)
		if (pb_str_ieq(pb_strz(c->name), verb))
			return c;
	return NULL;
}

static int command(struct pb_session *s, struct pb_str verb, struct pb_str args)
{
	const struct pb_command *c = find(s->protocol, verb);
	bool tls = s->wire.tls != NULL;

	if (!c)
		return refuse(s, PB_REFUSE_UNKNOWN, verb, args);
	if ((c->flags & PB_BEFORE_TLS) && tls)
		return refuse(s, PB_REFUSE_TLS_ON, verb, args);
	if ((c->flags & PB_NEEDS_TLS) && !tls)
		return refuse(s, PB_REFUSE_TLS_NEEDED, verb, args);
	if ((c->flags & PB_NEEDS_USER) && !s->user)
		return refuse(s, PB_REFUSE_USER_NEEDED, verb, args);
	if (!(c->allowed & s->state))
		return refuse(s, PB_REFUSE_STATE, verb, args);
	if ((c->flags & PB_ALONE) && host_session_has_input(s))
		return refuse(s, PB_REFUSE_NOT_LAST, verb, args);
	atomic_fetch_add_explicit(&s->commands, 1, memory_order_relaxed);
	return c->run(s, args);
}

static int line(struct pb_session *s, struct pb_str text)
{
	struct pb_str verb, args;
	long blank;

	if (s->protocol->split) {
		int rc = s->protocol->split(s, text, &verb, &args);

		if (rc != 0)
			return rc == PB_CLOSE ? PB_CLOSE : PB_NEXT;
	} else {
		blank = pb_str_find(text, ' ', 0);
		verb = blank < 0 ? text : pb_str_head(text, (size_t)blank);
		args = blank < 0 ? PB_NOSTR : pb_str_skip(text, (size_t)blank + 1);
	}
	session_begin_command(s, verb);
	if (s->protocol->before) {
		int rc = s->protocol->before(s, verb);

		if (rc != 0)
			return rc == PB_CLOSE ? PB_CLOSE : PB_NEXT;
	}
	return command(s, verb, args);
}

static enum step turn_to_tls(struct pb_session *s)
{
	struct desk *d = s->desk;
	PB_AUTOBUF(where);

	s->starttls = false;
	if (!output_flush(s))
		return STEP_CLOSE;
	if (d->in_at < d->in_end) {
		/* whoever put it there is not who will speak under TLS */
		session_where(s, &where);
		log_line(SS(s)->log, PB_WARNING, where.ptr, "starttls.plaintext", "bytes=%zu discarded=yes", d->in_end - d->in_at);
		d->in_at = d->in_end = 0;
	}
	s->phase = PHASE_TLS;
	s->active = clock_ticks(SS(s)->clock);
	return STEP_ON;
}

/* After a command, a greeting or a refusal. */
static enum step after(struct pb_session *s, int rc)
{
	struct desk *d = s->desk;

	pb_arena_reset(d->arena);
	if (s->too_slow) {
		if (d->doing && d->npieces == 0 && !wire_pending(&s->wire))
			session_bye(s, PB_BYE_SLOW);
		return STEP_CLOSE;
	}
	if (s->lost)
		return STEP_CLOSE;
	s->active = clock_ticks(SS(s)->clock);
	if (rc != PB_PARKED)
		s->woken = NULL;
	if (rc != PB_PARKED && !s->erred)
		s->errors = 0;
	s->erred = false;
	if (atomic_load(&s->revoked)) {
		session_bye(s, PB_BYE_REVOKED);
		return STEP_CLOSE;
	}
	if (rc == PB_CLOSE) {
		s->wire.last = true;
		output_flush(s);
		return STEP_CLOSE;
	}
	if (s->over_user) {
		session_bye(s, PB_BYE_OVERLOAD);
		return STEP_CLOSE;
	}
	if (s->starttls)
		return turn_to_tls(s);
	if (session_has_erred(s, s->protocol->errors_max ? s->protocol->errors_max : 10)) {
		s->too_many_errors = true;
		session_bye(s, PB_BYE_ERRORS);
		return STEP_CLOSE;
	}
	d->verb[0] = '\0';
	d->doing = NULL;
	return STEP_ON;
}

static int wake(struct pb_session *s, enum pb_wake why, struct pb_str text)
{
	int (*woken)(struct pb_session *s, enum pb_wake why, struct pb_str line) = s->woken;

	session_begin_command(s, PB_STR("waiting"));
	return woken(s, why, text);
}

/* Runs the next whole line, if there is one. STEP_PARK: there is none. */
static enum step next_line(struct pb_session *s)
{
	struct desk *d = s->desk;
	struct pb_str text;
	enum frame f;
	size_t used;
	bool skip;
	int rc;

	if (s->framing_skip) {
		s->framing_skip = !frame_skip(d->in + d->in_at, d->in_end - d->in_at, s->protocol->framing, &used);
		d->in_at += used;
		if (s->framing_skip)
			return STEP_PARK;
	}
	if (d->in_at == d->in_end)
		return STEP_PARK;
	f = frame_line(d->in + d->in_at, d->in_end - d->in_at, s->protocol->line_max, s->protocol->framing, &text, &used, &skip);
	d->in_at += used;
	s->framing_skip = skip;
	if (f == FRAME_MORE)
		return STEP_PARK;
	if (f == FRAME_LINE) {
		rc = s->woken ? wake(s, PB_WAKE_LINE, text) : line(s, text);
	} else {
		session_begin_command(s, PB_NOSTR);
		rc = refuse(s, f == FRAME_LONG ? PB_REFUSE_TOO_LONG : PB_REFUSE_FRAMING, PB_NOSTR, text);
		if (s->woken && rc == PB_NEXT)
			rc = PB_PARKED;
	}
	return after(s, rc);
}

/* ---- the loop ---- */

static enum step timed_out(struct pb_session *s)
{
	int64_t now = clock_ticks(SS(s)->clock);

	if (s->woken && s->wake_due) {
		if (now < s->wake_due)
			return STEP_PARK;
		return after(s, wake(s, PB_WAKE_TIMEOUT, PB_NOSTR));
	}
	if (!s->idle_seconds || now < s->active + s->idle_seconds * PB_SECOND)
		return STEP_PARK;
	s->desk->doing = "idle";
	session_bye(s, PB_BYE_IDLE);
	return STEP_CLOSE;
}

static bool wants_lines(const struct pb_session *s)
{
	return !s->woken || (s->wakes & PB_WAKE_LINE);
}

/* Reads what is there. Under TLS until nothing undecoded is left: no event would tell of it. */
static enum step fill(struct pb_session *s)
{
	size_t have = s->desk->in_end - s->desk->in_at, n;

	if (wants_lines(s)) {
		input_make_room(s, s->protocol->line_max);
	} else {
		/* only what was received already is taken along: more would have no end */
		input_make_room(s, have + 2 * CIPHER_IN);
		s->desk->cipher.dry = true;
	}
	return input_fill(s, &n) == 0 ? STEP_ON : STEP_CLOSE;
}

/* The peer hung up, or said its last word, while no line is waited for. */
static enum step hung_up(struct pb_session *s)
{
	ssize_t n;
	char c;

	s->half_closed = true;
	n = recv(s->wire.fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
	if (n > 0 || (n == 0 && s->wake_due) || (n < 0 && errno == EAGAIN))
		return STEP_PARK;	/* there is something to read, or to say, when the wait is over */
	s->lost = true;
	return STEP_CLOSE;
}

enum step session_serve(struct pb_session *s)
{
	struct slots *slots = &SS(s)->slots;
	uint32_t got = 0;
	bool said;

	for (;;) {
		enum step next;

		got |= slot_got(slots, s->key);
		if (got & GOT_NOTICE)
			s->noticed = true;
		if (got & GOT_BYE) {
			s->desk->doing = "waiting for a command";
			session_bye(s, atomic_load(&s->revoked) ? PB_BYE_REVOKED : PB_BYE_SHUTDOWN);
			return STEP_CLOSE;
		}
		if (is_dead(s))
			return after(s, PB_NEXT);
		if (s->woken && (s->wakes & PB_WAKE_NOTICE) && s->noticed) {
			s->noticed = false;
			got &= ~(uint32_t)GOT_NOTICE;
			next = after(s, wake(s, PB_WAKE_NOTICE, PB_NOSTR));
			if (next == STEP_CLOSE || s->phase != PHASE_COMMANDS)
				return next;
			continue;
		}
		got &= ~(uint32_t)GOT_NOTICE;
		next = wants_lines(s) ? next_line(s) : STEP_PARK;
		if (next == STEP_CLOSE || s->phase != PHASE_COMMANDS)
			return next;
		if (next == STEP_ON)
			continue;
		if ((wants_lines(s) && (got & GOT_INPUT)) || wire_has_more(&s->wire)) {
			got &= ~(uint32_t)GOT_INPUT;
			if (fill(s) == STEP_CLOSE)
				return STEP_CLOSE;
			continue;
		}
		if ((got & GOT_INPUT) && hung_up(s) == STEP_CLOSE)
			return STEP_CLOSE;
		if (got & GOT_TIMEOUT) {
			got &= ~(uint32_t)GOT_TIMEOUT;
			next = timed_out(s);
			if (next == STEP_CLOSE || s->phase != PHASE_COMMANDS)
				return next;
			if (next == STEP_ON)
				continue;
		}
		said = s->desk->npieces > 0;
		if (!output_flush(s))
			return after(s, PB_NEXT);
		if (!said || !wants_lines(s))
			return STEP_PARK;
		got = GOT_INPUT;
	}
}
