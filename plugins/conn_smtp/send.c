/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Mail transactions with a peer, pipelined where it can: every recipient stands as the server said. A message is never sent behind an answer
 * that does not ask for it, and a link that breaks behind the final dot leaves its recipients for a later attempt, since they may have got it.
 *
 * Where recipients are left for another transaction, its envelope follows the final dot in the same packet (RFC 2920 3.1: the content of a message may be the first
 * in a group of commands), so that each but the first takes one round trip.
 */
#include <stdio.h>
#include "courier.h"

struct batch {
	struct delivery *d;
	struct peer *p;
	struct job *jobs[1000];		/* batch_max is at most that */
	size_t n, accepted;
	bool ahead;			/* its envelope went out behind the message before it */
	struct batch *next;		/* the transaction behind this one, or room for it */
	struct outcome why;
};

/* ---- what is said ---- */

static void put_xtext(struct peer *p, const char *key, struct pb_str value)
{
	PB_AUTOBUF(text);

	pb_xtext_encode(&text, value);
	pb_link_putf(p->link, " %s=%s", key, pb_buf_z(&text));
}

static bool wants_utf8(const struct delivery *d, const struct batch *b)
{
	if ((d->env->smtputf8 && d->header_utf8 && !d->conversion) || !is_ascii(d->env->sender))
		return true;
	for (size_t i = 0; i < b->n; i++)
		if (!is_ascii(b->jobs[i]->rcpt->address))
			return true;
	return false;
}

static void put_mail(struct batch *b)
{
	struct delivery *d = b->d;
	struct peer *p = b->p;
	PB_AUTOBUF(path);
	PB_AUTOBUF(sender);

	pb_envelope_sender_for(d->env, b->jobs[0]->rcpt, &path);
	wire_address(&sender, pb_buf_str(&path), p);
	pb_link_putf(p->link, "MAIL FROM:<%s>", pb_buf_z(&sender));
	if (p->size)
		pb_link_putf(p->link, " SIZE=%llu", (unsigned long long)d->wire_size);
	if (p->eightbit && d->body_8bit && !(d->conversion & DOWN_BODY))
		pb_link_put(p->link, " BODY=8BITMIME", 14);
	if (p->smtputf8 && wants_utf8(d, b))
		pb_link_put(p->link, " SMTPUTF8", 9);
	if (p->dsn && d->env->ret_headers)
		pb_link_put(p->link, " RET=HDRS", 9);
	if (p->dsn && d->env->envid.len)
		put_xtext(p, "ENVID", d->env->envid);
	pb_link_put(p->link, "\r\n", 2);
}

static void put_notify(struct peer *p, unsigned notify)
{
	static const struct { unsigned bit; const char *word; } words[] = {
		{ PB_NOTIFY_NEVER, "NEVER" }, { PB_NOTIFY_SUCCESS, "SUCCESS" }, { PB_NOTIFY_FAILURE, "FAILURE" }, { PB_NOTIFY_DELAY, "DELAY" } };
	char separator = '=';

	pb_link_put(p->link, " NOTIFY", 7);
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (notify & words[i].bit) {
			pb_link_putf(p->link, "%c%s", separator, words[i].word);
			separator = ',';
		}
}

static void put_rcpt(struct batch *b, const struct pb_rcpt *rcpt)
{
	struct peer *p = b->p;
	struct pb_str type, address = rcpt->orcpt;
	unsigned notify = b->d->track ? rcpt->notify & ~(unsigned)PB_NOTIFY_SUCCESS : rcpt->notify;
	PB_AUTOBUF(to);

	wire_address(&to, rcpt->address, p);
	pb_link_put(p->link, "RCPT TO:<", 9);
	pb_link_put(p->link, to.ptr, to.len);
	pb_link_put(p->link, ">", 1);
	if (p->dsn && notify)
		put_notify(p, notify);
	if (p->dsn && rcpt->orcpt.len && is_ascii(rcpt->orcpt) && pb_str_cut(&address, ';', &type)) {
		PB_AUTOBUF(text);

		pb_xtext_encode(&text, address);
		pb_link_putf(p->link, " ORCPT=%.*s;%s", PB_FMT(type), pb_buf_z(&text));
	}
	pb_link_put(p->link, "\r\n", 2);
}

/* ---- what is answered ---- */

/* Everybody of this transaction who is not settled: the same reason. */
static void defer_all(struct batch *b, const struct outcome *why, enum standing standing)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->jobs[i]->standing == WAITING || b->jobs[i]->standing == ACCEPTED)
			job_defer(b->jobs[i], why, standing);
}

static void said(struct batch *b, const struct answer *a, int code)
{
	snprintf(b->why.remote, sizeof b->why.remote, "%s", b->p->name);
	b->why.permanent = false;
	answer_words(a, code, b->why.reply, sizeof b->why.reply);
}

/* An answer that ends the conversation. True: it did. */
static bool is_farewell(struct batch *b, const struct answer *a)
{
	if (a->code != 421)
		return false;
	said(b, a, 0);
	defer_all(b, &b->why, ELSEWHERE);
	return true;
}

/* An answer to MAIL, DATA or the dot that refuses all who were accepted (MAIL: all). */
static void refuse_all(struct batch *b, const struct answer *a, enum standing whom)
{
	bool permanent = a->code / 100 == 5;

	said(b, a, a->code < 400 ? 451 : 0);
	for (size_t i = 0; i < b->n; i++) {
		if (b->jobs[i]->standing != whom)
			continue;
		if (permanent)
			job_fail(b->d, b->jobs[i], b->why.remote, b->why.reply);
		else
			job_defer(b->jobs[i], &b->why, ELSEWHERE);
	}
}

/* RFC 5321 4.5.3.1.10: 452 (and 552 from old servers) behind accepted recipients means "not so many at once": they come in the next transaction. */
static void judge_rcpt(struct batch *b, struct job *job, const struct answer *a)
{
	if (a->code / 100 == 2) {
		job->standing = ACCEPTED;
		b->accepted++;
	} else if (b->accepted && (a->code == 452 || a->code == 552)) {
		said(b, a, a->code == 552 ? 452 : 0);
		job_defer(job, &b->why, WAITING);
	} else if (a->code / 100 == 5) {
		said(b, a, 0);
		job_fail(b->d, job, b->why.remote, b->why.reply);
	} else {
		said(b, a, a->code < 400 ? 451 : 0);
		job_defer(job, &b->why, LATER);
	}
}

/* ---- the stages ---- */

enum stage { GO_ON, STOP_OK, STOP_CLOSE, STOP_STALE };

/* The link broke. Before anything was said over it in this transaction, a link that was used before was simply too old. */
static enum stage lost(struct batch *b, bool first)
{
	if (first && b->p->used)
		return STOP_STALE;
	defer_all(b, &b->why, ELSEWHERE);
	return STOP_CLOSE;
}

static bool read_answer(struct batch *b, struct answer *a, const char *doing)
{
	struct pb_error err = { 0 };

	if (pb_link_flush(b->p->link, &err)) {
		b->why.permanent = false;
		b->why.remote[0] = '\0';		/* our own words */
		snprintf(b->why.reply, sizeof b->why.reply, "451 4.4.2 connection to %s [%s] failed while %s: %s", b->p->name, b->p->address, doing, err.text);
		return false;
	}
	return peer_answer(b->p, a, doing, &b->why);
}

static enum stage reset(struct batch *b)
{
	struct answer a;

	if (!b->p->dirty)
		return GO_ON;
	pb_link_put(b->p->link, "RSET\r\n", 6);
	if (!read_answer(b, &a, "waiting for the answer to RSET"))
		return lost(b, true);
	if (a.code / 100 != 2)
		return STOP_STALE;
	b->p->dirty = false;
	return GO_ON;
}

static enum stage answer_to_mail(struct batch *b, bool *ret_refused)
{
	struct answer a;

	if (!read_answer(b, &a, "waiting for the answer to MAIL"))
		return lost(b, true);
	if (a.code == 421 && b->p->used)
		return STOP_STALE;
	if (is_farewell(b, &a))
		return STOP_CLOSE;
	*ret_refused = a.code / 100 != 2;
	if (*ret_refused)
		refuse_all(b, &a, WAITING);
	return GO_ON;
}

static enum stage answer_to_rcpt(struct batch *b, struct job *job, bool refused)
{
	struct answer a;

	if (!read_answer(b, &a, "waiting for the answer to RCPT"))
		return lost(b, false);
	if (is_farewell(b, &a))
		return STOP_CLOSE;
	/* Behind a refused MAIL it says nothing about the recipient. */
	if (!refused)
		judge_rcpt(b, job, &a);
	return GO_ON;
}

/* The answer to the message itself. Whoever was accepted is settled by it, or left for a later attempt: he may have got it. */
static enum stage answer_to_dot(struct batch *b)
{
	struct answer a;

	pb_link_timeout(b->p->link, b->d->set->dot_timeout);
	if (!peer_answer(b->p, &a, "waiting for the answer to the message", &b->why)) {
		defer_all(b, &b->why, LATER);
		return STOP_CLOSE;
	}
	pb_link_timeout(b->p->link, b->d->set->command_timeout);
	if (a.code == 421 || a.code / 100 == 3) {
		said(b, &a, a.code == 421 ? 0 : 451);
		defer_all(b, &b->why, LATER);
		return STOP_CLOSE;
	}
	if (a.code / 100 == 2) {
		char reply[ANSWER_TEXT_MAX + 16];

		answer_words(&a, 0, reply, sizeof reply);
		for (size_t i = 0; i < b->n; i++)
			if (b->jobs[i]->standing == ACCEPTED)
				job_deliver(b->d, b->jobs[i], b->p, reply);
	} else {
		refuse_all(b, &a, ACCEPTED);
	}
	return STOP_OK;
}

struct stuffing {
	struct pb_link *link;
	bool inside;		/* of a line */
};

/* Dot-stuffing (RFC 5321 4.5.2) of pieces as they come. */
static void put_stuffed(void *arg, const char *ptr, size_t len)
{
	struct stuffing *s = arg;

	while (len) {
		const char *lf = memchr(ptr, '\n', len);
		size_t n = lf ? (size_t)(lf - ptr) + 1 : len;

		if (!s->inside && *ptr == '.')
			pb_link_put(s->link, ".", 1);
		pb_link_put(s->link, ptr, n);
		s->inside = !lf;
		ptr += n;
		len -= n;
	}
}

/* It can be done: check_limits has done it once, to know the size. */
static void send_converted(struct batch *b)
{
	struct stuffing s = { .link = b->p->link };

	downgrade(&(struct downgrade){ b->d->body, pb_buf_str(&b->d->facts), b->d->conversion, put_stuffed, &s });
	if (s.inside)
		pb_link_put(s.link, "\r\n", 2);
	pb_link_put(s.link, ".\r\n", 3);
}

static void choose(struct batch *b)
{
	size_t most = b->d->verp ? 1 : b->d->set->batch_max;

	b->n = b->accepted = 0;
	b->ahead = false;
	for (size_t i = 0; i < b->d->njobs && b->n < most; i++)
		if (b->d->jobs[i].standing == WAITING)
			b->jobs[b->n++] = &b->d->jobs[i];
}

static void put_envelope(struct batch *b)
{
	put_mail(b);
	for (size_t i = 0; i < b->n; i++)
		put_rcpt(b, b->jobs[i]->rcpt);
	pb_link_put(b->p->link, "DATA\r\n", 6);
}

static enum stage send_body(struct batch *b)
{
	struct pb_error err = { 0 };

	pb_link_timeout(b->p->link, b->d->set->block_timeout);
	if (b->d->converted) {
		send_converted(b);
	} else {
		pb_link_put(b->p->link, b->d->front.ptr, b->d->front.len);
		pb_link_put_dot(b->p->link, b->d->body);
	}
	choose(b->next);
	b->next->ahead = b->p->pipelining && b->next->n;
	if (b->next->ahead)
		put_envelope(b->next);
	if (pb_link_flush(b->p->link, &err)) {
		b->why.remote[0] = '\0';		/* our own words */
		snprintf(b->why.reply, sizeof b->why.reply, "451 4.4.2 connection to %s [%s] failed while sending the message: %s", b->p->name, b->p->address, err.text);
		b->why.permanent = false;
		/* The final dot may have gone out with the last block. */
		defer_all(b, &b->why, LATER);
		return STOP_CLOSE;
	}
	return answer_to_dot(b);
}

/* Pipelined DATA was taken though there is nobody to send to (RFC 2920 3.1): an empty message ends it, and whatever is answered counts for nobody. */
static enum stage send_nothing(struct batch *b)
{
	struct answer a;

	pb_link_put(b->p->link, ".\r\n", 3);
	return read_answer(b, &a, "ending an empty transaction") && a.code != 421 ? STOP_OK : STOP_CLOSE;
}

static enum stage answer_to_data(struct batch *b)
{
	struct answer a;

	pb_link_timeout(b->p->link, b->d->set->data_timeout);
	if (!read_answer(b, &a, "waiting for the answer to DATA"))
		return lost(b, false);
	pb_link_timeout(b->p->link, b->d->set->command_timeout);
	if (is_farewell(b, &a))
		return STOP_CLOSE;
	if (a.code == 354)
		return b->accepted ? send_body(b) : send_nothing(b);
	b->p->dirty = true;
	said(b, &a, a.code < 400 ? 451 : 0);
	refuse_all(b, &a, ACCEPTED);
	/* "250" to DATA: whoever speaks like that has lost the thread. */
	return a.code < 400 ? STOP_CLOSE : STOP_OK;
}

static enum stage converse_pipelined(struct batch *b)
{
	bool refused = false;
	enum stage stage;

	if (!b->ahead)
		put_envelope(b);
	stage = answer_to_mail(b, &refused);
	for (size_t i = 0; stage == GO_ON && i < b->n; i++)
		stage = answer_to_rcpt(b, b->jobs[i], refused);
	return stage == GO_ON ? answer_to_data(b) : stage;
}

static enum stage converse(struct batch *b)
{
	bool refused = false;
	enum stage stage;

	put_mail(b);
	stage = answer_to_mail(b, &refused);
	if (stage != GO_ON || refused)
		return stage == GO_ON ? STOP_OK : stage;
	for (size_t i = 0; stage == GO_ON && i < b->n; i++) {
		put_rcpt(b, b->jobs[i]->rcpt);
		stage = answer_to_rcpt(b, b->jobs[i], false);
	}
	if (stage != GO_ON)
		return stage;
	if (!b->accepted) {
		b->p->dirty = true;
		return STOP_OK;
	}
	pb_link_put(b->p->link, "DATA\r\n", 6);
	return answer_to_data(b);
}

static enum stage transact(struct batch *b)
{
	enum stage stage = b->ahead ? GO_ON : reset(b);

	b->next->ahead = false;
	if (stage == GO_ON)
		stage = b->p->pipelining ? converse_pipelined(b) : converse(b);
	if (stage != STOP_STALE)
		b->p->used++;
	return stage;
}

enum sent send_batch(struct delivery *d, struct peer *p)
{
	struct batch one = { .d = d, .p = p }, other = { .d = d, .p = p, .next = &one }, *b = &one;
	enum stage stage;

	one.next = &other;
	choose(b);
	while ((stage = transact(b)) == STOP_OK && b->next->ahead)
		b = b->next;
	if (stage == STOP_STALE)
		return SENT_STALE;
	if (stage == STOP_OK)
		return SENT_OK;
	for (size_t i = 0; i < d->njobs; i++)
		if (d->jobs[i].standing == WAITING)
			job_defer(&d->jobs[i], &b->why, ELSEWHERE);
	return SENT_CLOSE;
}
