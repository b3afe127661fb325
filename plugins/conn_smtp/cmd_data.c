/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * DATA and BDAT: the message itself, and the one place where mail is acknowledged. "250" is said after pb_queue_accept gave 0 and never else
 * (a verdict to discard is a decision, not a delivery).
 */
#include "mailproto/header.h"
#include "mailproto/replies.h"
#include "smtp.h"

/* The data was read to its end; error is what that reading or the spool said. */
static int refuse_data(struct pb_session *s, int code, const struct pb_error *err)
{
	return code == PB_ETOOBIG || code == PB_EINVALID ? fault(s, data_reply(code)) : say_failure(s, err);
}

static void log_accepted(struct pb_session *s, struct conversation *c, const char *id, uint64_t size)
{
	pb_session_log(s, PB_INFO, "message.accepted", "id=%s sender=%s recipients=%zu size=%llu", id, pb_logq(c->env->sender), c->env->nrcpts, (unsigned long long)size);
	pb_count(pb_session_host(s), "messages_accepted", 1);
	pb_count(pb_session_host(s), "bytes_accepted", (int64_t)size);
}

/* Takes the spool over. */
static int queue_it(struct pb_session *s, struct pb_spool *spool)
{
	struct conversation *c = pb_session_data(s);
	uint64_t size = pb_spool_size(spool);
	struct pb_error err = { 0 };
	char id[PB_ID_MAX];

	if (c->notes)
		json_object_update_missing(c->env->notes, c->notes);
	if (pb_queue_accept(pb_session_host(s), c->env, spool, id, &err))
		return refuse_data(s, err.code == PB_ETOOBIG ? PB_ETOOBIG : PB_EINTERNAL, &err);
	c->messages++;
	pb_put(s, "250 2.0.0 queued as ", 20);
	say(s, id);
	log_accepted(s, c, id, size);
	return PB_NEXT;
}

/* The end of the data. Takes the spool over, ends the transaction. */
static int finish(struct pb_session *s, struct pb_spool *spool, int code)
{
	struct conversation *c = pb_session_data(s);
	struct pb_error err = { 0 };
	int rc, next;

	c->spool = NULL;
	rc = pb_spool_check(spool, &err);
	if (!code)
		code = rc;
	if (code) {
		next = refuse_data(s, code, &err);
	} else if (complete(s, &spool, &next) && allowed_message(s, &next)) {
		if (c->discard) {
			pb_session_log(s, PB_INFO, "message.discarded", "id=%s sender=%s", pb_spool_id(spool), pb_logq(c->env->sender));
			next = say(s, "250 2.0.0 ok");
		} else {
			next = queue_it(s, spool);
			spool = NULL;
		}
	}
	pb_spool_discard(spool);
	transaction_reset(s);
	return next;
}

int cmd_data(struct pb_session *s, struct pb_str args)
{
	struct conversation *c = pb_session_data(s);
	struct pb_error err = { 0 };
	struct pb_spool *spool;
	int rc;

	if (args.len)
		return fault(s, "501 5.5.4 DATA takes no argument");
	if (!c->env->nrcpts)
		return fault(s, "554 5.5.1 no valid recipients");
	if (spool_begin(s, &spool, &err)) {
		transaction_reset(s);
		return say_failure(s, &err);
	}
	SAY(s, "354 end data with <CR><LF>.<CR><LF>");
	rc = pb_read_dot(s, spool);
	if (rc == PB_ECLOSED || rc == PB_ETIMEOUT || pb_session_is_dead(s)) {
		pb_spool_discard(spool);
		return PB_CLOSE;
	}
	return finish(s, spool, rc);
}

/* The chunk is read whatever is wrong, since what follows it is the next command. */
static int drain(struct pb_session *s, uint64_t size, const char *line)
{
	struct conversation *c = pb_session_data(s);

	if (size / CHUNK_DRAIN_MAX > c->set->size_max || pb_read_spool(s, NULL, size)) {
		say(s, line);
		return PB_CLOSE;
	}
	return fault(s, line);
}

/* RFC 3030 2: why no chunk may come now, or NULL. */
static const char *no_chunk(struct pb_session *s, struct conversation *c, uint64_t size)
{
	if (!(pb_session_state(s) & (MAIL | CHUNKS)))
		return "503 5.5.1 say MAIL first";
	if (!c->env->nrcpts)
		return "554 5.5.1 no valid recipients";
	if (size > c->set->size_max || (c->spool && pb_spool_size(c->spool) + size > c->set->size_max + 4096))
		return "552 5.3.4 message too big";
	return NULL;
}

/* The last chunk is there: lines must be as DATA would have had them, so that no later hop reads them otherwise. */
static int finish_chunks(struct pb_session *s)
{
	struct conversation *c = pb_session_data(s);
	struct pb_error err = { 0 };
	struct pb_str view;

	if (pb_spool_view(c->spool, &view, &err) == 0) {
		if (!pb_str_ends(view, PB_STR("\r\n"))) {
			pb_spool_write(c->spool, "\r\n", 2);
			pb_spool_view(c->spool, &view, &err);
		}
		if (!err.code && text_is_broken(view))
			return finish(s, c->spool, PB_EINVALID);
	}
	return finish(s, c->spool, 0);
}

int cmd_bdat(struct pb_session *s, struct pb_str args)
{
	struct conversation *c = pb_session_data(s);
	struct pb_error err = { 0 };
	const char *wrong;
	uint64_t size;
	bool last;

	if (!bdat_args_parse(args, &size, &last)) {
		/* How much follows is unknown, so nothing that follows can be believed. */
		fault(s, "501 5.5.4 syntax: BDAT size [LAST]");
		return PB_CLOSE;
	}
	wrong = no_chunk(s, c, size);
	if (wrong) {
		int next = drain(s, size, wrong);

		if (pb_session_state(s) & (MAIL | CHUNKS))
			transaction_reset(s);
		return next;
	}
	if (!c->spool && spool_begin(s, &c->spool, &err)) {
		transaction_reset(s);
		return drain(s, size, trouble_reply(err.code));
	}
	pb_session_set_state(s, CHUNKS);
	if (pb_read_spool(s, c->spool, size) || pb_session_is_dead(s))
		return PB_CLOSE;
	if (last)
		return finish_chunks(s);
	if (pb_spool_check(c->spool, &err)) {
		transaction_reset(s);
		return refuse_data(s, err.code, &err);
	}
	pb_putf(s, "250 2.0.0 %llu octets received\r\n", (unsigned long long)size);
	return PB_NEXT;
}
