/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * DATA: the message, and one reply for each recipient that RCPT accepted (RFC 2033 4.2). "250" is said after pb_queue_accept gave 0 and never else.
 * One message is one item with one body, whoever it is for: docs/decisions/060-lmtp-and-what-it-shares.md.
 */
#include <postbus/date.h>
#include "mailproto/header.h"
#include "mailproto/received.h"
#include "mailproto/replies.h"
#include "lmtp.h"

static void put_received(struct pb_session *s, struct pb_spool *spool)
{
	struct conversation *c = pb_session_data(s);
	int64_t now = pb_now(pb_session_host(s));
	struct received r = {
		.helo = pb_strz(c->helo), .client = client_address(s), .hostname = pb_hostname(pb_session_host(s)), .tls = pb_session_tls_info(s),
		.recipient = c->env->nrcpts == 1 ? c->env->rcpts[0]->address : PB_NOSTR,
		.lmtp = true, .utf8 = c->env->smtputf8, .now = now, .zone = pb_zone_local(now), .id = pb_strz(pb_spool_id(spool)),
	};
	PB_AUTOBUF(field);

	received_build(&field, &r);
	pb_spool_write(spool, field.ptr, field.len);
}

/* The same for every recipient. */
static void say_all(struct pb_session *s, const char *line)
{
	struct conversation *c = pb_session_data(s);

	for (size_t i = 0; i < c->ntargets; i++)
		say(s, line);
}

/* Why the message as a whole cannot be taken, or NULL. rc is what the reading said. */
static const char *judge(struct pb_session *s, struct pb_spool *spool, int rc)
{
	struct conversation *c = pb_session_data(s);
	size_t header_max = (size_t)pb_config_int(pb_session_host(s), "header_max");
	struct pb_error err = { 0 };
	struct pb_str view;
	struct header h;

	if (rc == 0)
		rc = pb_spool_check(spool, &err);
	if (rc == 0)
		rc = pb_spool_view(spool, &view, &err);
	if (rc == PB_ETOOBIG || rc == PB_EINVALID)
		pb_session_error(s);
	else if (rc)
		log_failure(s, &err);
	if (rc)
		return data_reply(rc);
	header_scan(view, header_max, &h);
	if (h.len > header_max)
		return "552 5.3.4 header section too big";
	if (h.received > (unsigned)pb_config_int(pb_session_host(s), "hops_max")) {
		pb_session_log(s, PB_WARNING, "lmtp.loop", "sender=%s received=%u", pb_logq(c->env->sender), h.received);
		return "554 5.4.6 too many hops: this message is in a loop";
	}
	return NULL;
}

/* Whose mailboxes have no room for it, now that its size is known? Gives for how many recipients it is taken. */
static size_t judge_quotas(struct pb_session *s, uint64_t size)
{
	struct conversation *c = pb_session_data(s);
	size_t n = 0;

	for (size_t i = 0; i < c->ntargets; i++) {
		struct target *t = &c->targets[i];

		t->full = t->first == i ? quota_is_full(s, t, size) : c->targets[t->first].full;
		n += !t->full;
	}
	return n;
}

/* The envelope without those who are full. */
static struct pb_envelope *envelope_for(const struct conversation *c)
{
	struct pb_envelope *env = pb_envelope_dup(c->env, false);

	for (size_t i = 0; i < c->ntargets; i++) {
		const struct pb_rcpt *from = c->env->rcpts[c->targets[i].rcpt];
		struct pb_rcpt *to;

		if (c->targets[i].full || c->targets[i].first != i)
			continue;
		to = pb_envelope_rcpt(env, from->address);
		to->notify = from->notify;
		to->orcpt = pb_envelope_copy(env, from->orcpt);
	}
	return env;
}

static void log_accepted(struct pb_session *s, const struct pb_envelope *env, const char *id, uint64_t size)
{
	pb_session_log(s, PB_INFO, "message.accepted", "id=%s sender=%s recipients=%zu size=%llu", id, pb_logq(env->sender), env->nrcpts, (unsigned long long)size);
	pb_count(pb_session_host(s), "messages_accepted", 1);
	pb_count(pb_session_host(s), "bytes_accepted", (int64_t)size);
}

/* Takes the spool over. */
static void queue_it(struct pb_session *s, struct pb_spool *spool)
{
	struct conversation *c = pb_session_data(s);
	uint64_t size = pb_spool_size(spool);
	struct pb_envelope *env = envelope_for(c);
	const char *trouble = NULL;
	struct pb_error err = { 0 };
	char id[PB_ID_MAX];

	if (pb_queue_accept(pb_session_host(s), env, spool, id, &err)) {
		log_failure(s, &err);
		trouble = err.code == PB_ETOOBIG ? data_reply(PB_ETOOBIG) : trouble_reply(err.code);
	} else {
		log_accepted(s, env, id, size);
	}
	for (size_t i = 0; i < c->ntargets; i++) {
		if (c->targets[i].full)
			SAY(s, "552 5.2.2 mailbox is full");
		else if (trouble)
			say(s, trouble);
		else
			pb_putf(s, "250 2.0.0 queued as %s\r\n", id);
	}
	pb_envelope_free(env);
}

/* Takes the spool over, ends the transaction. */
static int finish(struct pb_session *s, struct pb_spool *spool, int rc)
{
	const char *refusal = judge(s, spool, rc);

	if (!refusal && judge_quotas(s, pb_spool_size(spool))) {
		queue_it(s, spool);
	} else {
		say_all(s, refusal ? refusal : "552 5.2.2 mailbox is full");
		pb_spool_discard(spool);
	}
	transaction_reset(s);
	return PB_NEXT;
}

int cmd_data(struct pb_session *s, struct pb_str args)
{
	struct conversation *c = pb_session_data(s);
	struct pb_error err = { 0 };
	struct pb_spool *spool;
	int rc;

	if (args.len)
		return fault(s, "501 5.5.4 DATA takes no argument");
	if (!c->ntargets)
		return say(s, "503 5.5.1 no valid recipients");
	/* The Received field of our own does not count against the limit. */
	spool = pb_spool_begin(pb_session_host(s), (uint64_t)pb_config_int(pb_session_host(s), "size_max") + 4096, &err);
	if (!spool) {
		transaction_reset(s);
		return say_failure(s, &err);
	}
	put_received(s, spool);
	SAY(s, "354 end data with <CR><LF>.<CR><LF>");
	rc = pb_read_dot(s, spool);
	if (rc == PB_ECLOSED || rc == PB_ETIMEOUT || pb_session_is_dead(s)) {
		pb_spool_discard(spool);
		return PB_CLOSE;
	}
	return finish(s, spool, rc);
}
