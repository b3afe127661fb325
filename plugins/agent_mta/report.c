/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reports that are due become DSNs, which enter the queue under the null sender in the batch that settles the report.
 * No report is ever made about a message without a sender (RFC 5321 4.5.5): such a one ends here, or at the postmaster's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <postbus/address.h>
#include <postbus/message.h>
#include "dsn.h"
#include "mta.h"

/* Did this recipient's sender want to hear of it? RFC 3461 4.1: failure and delay, unless he said otherwise. */
static bool is_wanted(const struct pb_rcpt *rcpt, enum dsn_kind kind)
{
	static const unsigned bits[] = { [DSN_FAILED] = PB_NOTIFY_FAILURE, [DSN_DELAYED] = PB_NOTIFY_DELAY, [DSN_DELIVERED] = PB_NOTIFY_SUCCESS,
		[DSN_RELAYED] = PB_NOTIFY_SUCCESS };

	return (rcpt->notify ? rcpt->notify : PB_NOTIFY_FAILURE | PB_NOTIFY_DELAY) & bits[kind];
}

/* All recipients of the item that want it; free() them. The token names this report: the same words about the same recipients give the same one. */
static size_t gather(struct pb_item *item, enum dsn_kind kind, bool all, struct dsn_recipient **ret, struct pb_buf *token)
{
	struct pb_recipient *to;
	size_t n = 0;

	*ret = pb_alloc((pb_item_envelope(item)->nrcpts + 1) * sizeof **ret);
	pb_buf_addf(token, "report/%s/%s/%d", pb_item_lane(item), pb_item_id(item), (int)kind);
	while ((to = pb_item_next(item)) != NULL && n < pb_item_envelope(item)->nrcpts) {
		const struct pb_rcpt *rcpt = pb_recipient_rcpt(to);

		if (!all && !is_wanted(rcpt, kind))
			continue;
		(*ret)[n++] = (struct dsn_recipient){ rcpt->address, rcpt->orcpt, pb_recipient_reason(to), pb_recipient_remote(to), pb_recipient_tried(to) };
		pb_buf_addf(token, "/%.*s/%lld", PB_FMT(rcpt->address), (long long)pb_recipient_tried(to));
	}
	pb_item_rewind(item);
	return n;
}

static void settle_report(struct pb_item *item, const char *why)
{
	struct pb_recipient *to;

	while ((to = pb_item_next(item)) != NULL)
		pb_dropped(to, why);
}

/* A name at this host, or what the configuration says. */
void from_address(struct mta *mta, struct pb_buf *out)
{
	struct pb_str given = pb_config_str(mta->host, "from");

	if (given.len) {
		pb_buf_addstr(out, given);
		return;
	}
	pb_buf_addz(out, "MAILER-DAEMON@");
	pb_buf_addstr(out, pb_hostname(mta->host));
}

static int inject(struct mta *mta, struct pb_item *item, const struct dsn *d, struct pb_str token, struct pb_error *err)
{
	struct pb_spool *spool = pb_spool_begin(mta->host, 0, err);
	struct pb_envelope *env;
	PB_AUTOBUF(part);
	int rc;

	if (!spool)
		return err ? err->code : PB_EUNAVAILABLE;
	pb_spool_name(spool, token);
	dsn_begin(&part, d);
	pb_spool_write(spool, part.ptr, part.len);
	pb_spool_write(spool, dsn_original(d).ptr, dsn_original(d).len);
	pb_buf_reset(&part);
	dsn_end(&part, d);
	pb_spool_write(spool, part.ptr, part.len);
	rc = pb_spool_check(spool, err);
	if (rc) {
		pb_spool_discard(spool);
		return rc;
	}
	env = pb_envelope_new();
	pb_envelope_rcpt(env, d->to)->notify = PB_NOTIFY_NEVER;
	env->eightbit = dsn_is_8bit(d);
	env->smtputf8 = d->utf8;
	json_object_set_new(env->notes, "report", json_true());		/* so that it can be shortened: again() */
	pb_item_note(item, "report.sent", "to <%.*s> as %s", PB_FMT(d->to), pb_spool_id(spool));
	rc = pb_item_inject(item, env, spool, err);
	pb_envelope_free(env);
	return rc;
}

static bool is_utf8(struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] >= 0x80)
			return true;
	return false;
}

static int make_dsn(struct mta *mta, struct pb_item *item, enum dsn_kind kind, struct pb_str to, const struct dsn_recipient *list, size_t n, struct pb_str token,
		    struct pb_error *err)
{
	const struct pb_envelope *env = pb_item_envelope(item);
	unsigned char random[12];
	PB_AUTOBUF(from);
	PB_AUTOBUF(id);
	PB_AUTOBUF(boundary);
	struct pb_str head;
	struct dsn d = {
		.kind = kind, .host = pb_hostname(mta->host), .to = to, .envid = env->envid, .helo = env->helo, .now = pb_now(mta->host), .arrival = env->received,
		.retry_until = json_integer_value(json_object_get(env->notes, "expires")), .ret_headers = env->ret_headers, .utf8 = is_utf8(to), .recipients = list, .n = n,
		.return_max = (uint64_t)pb_config_int(mta->host, "return_max"),
	};

	/* A damaged body is no reason to stay silent about it. */
	if (pb_body_parts(pb_item_body(item), &head, &d.original, NULL))
		d.original = PB_NOSTR;
	from_address(mta, &from);
	d.from = pb_buf_str(&from);
	pb_message_id_make(&id, d.host, d.now);
	d.message_id = pb_buf_str(&id);
	pb_random(random, sizeof random);
	pb_buf_addz(&boundary, "report-");
	pb_hex_encode(&boundary, pb_str((char *)random, sizeof random));
	d.boundary = pb_buf_str(&boundary);
	return inject(mta, item, &d, token, err);
}

/* Who hears of it; empty: nobody. */
static struct pb_str reader_of(struct mta *mta, struct pb_item *item, enum dsn_kind kind)
{
	const struct pb_envelope *env = pb_item_envelope(item);
	struct pb_str postmaster = pb_config_str(mta->host, "double_bounce");

	if (env->sender.len)
		return env->sender;
	if (kind != DSN_FAILED || !postmaster.len)
		return PB_NOSTR;
	/* A report to the postmaster that fails itself is not reported to him again. */
	for (size_t i = 0; i < env->nrcpts; i++)
		if (pb_str_ieq(env->rcpts[i]->address, postmaster))
			return PB_NOSTR;
	return postmaster;
}

/* Was it the size or the form that a host did not take? */
static bool is_too_much(struct pb_str reason)
{
	char status[12];

	dsn_status(status, reason, DSN_FAILED);
	return pb_str_starts(reason, PB_STR("552")) || !strcmp(status, "5.3.4") || !strcmp(status, "5.2.3") || !strncmp(status, "5.6.", 4);
}

/* A report of ours that was refused as too large goes once more, without what it returned: its reader must hear of the failure. */
static int again(struct mta *mta, struct pb_item *item, struct pb_error *err)
{
	struct pb_envelope *env = pb_envelope_new();
	struct pb_recipient *to;
	struct pb_spool *spool;
	struct pb_str report;
	PB_AUTOBUF(shorter);
	PB_AUTOBUF(token);
	int rc = 0;

	pb_buf_addf(&token, "again/%s", pb_item_id(item));
	while ((to = pb_item_next(item)) != NULL)
		if (is_too_much(pb_recipient_reason(to)))
			pb_envelope_rcpt(env, pb_recipient_rcpt(to)->address)->notify = PB_NOTIFY_NEVER;
	pb_item_rewind(item);
	if (!env->nrcpts || pb_body_view(pb_item_body(item), &report, NULL) || !dsn_shorten(report, &shorter)) {
		pb_envelope_free(env);
		return PB_ENOTFOUND;
	}
	env->smtputf8 = pb_item_envelope(item)->smtputf8;
	env->eightbit = pb_item_envelope(item)->eightbit;
	spool = pb_spool_begin(mta->host, 0, err);
	if (!spool) {
		pb_envelope_free(env);
		return err->code;
	}
	pb_spool_name(spool, pb_buf_str(&token));
	pb_spool_write(spool, shorter.ptr, shorter.len);
	rc = pb_spool_check(spool, err);
	if (rc)
		pb_spool_discard(spool);
	else
		rc = pb_item_inject(item, env, spool, err);
	pb_envelope_free(env);
	if (!rc) {
		pb_item_note(item, "report.shortened", "sent again without what it returned");
		pb_count(mta->host, "reports_shortened", 1);
		settle_report(item, "sent again without what it returned");
	}
	return rc;
}

static enum dsn_kind kind_of(struct pb_item *item)
{
	const char *action = json_string_value(json_object_get(pb_item_envelope(item)->notes, "action"));

	if (pb_item_kind(item) == PB_ITEM_SUCCESS)
		return action && !strcmp(action, "relayed") ? DSN_RELAYED : DSN_DELIVERED;
	return pb_item_kind(item) == PB_ITEM_DELAY ? DSN_DELAYED : DSN_FAILED;
}

/* ---- who else wants to hear of it ---- */

static json_t *facts_of(struct pb_item *item, enum dsn_kind kind)
{
	static const char *const kinds[] = { [DSN_FAILED] = "failed", [DSN_DELAYED] = "delayed", [DSN_DELIVERED] = "delivered", [DSN_RELAYED] = "relayed" };
	struct pb_str sender = pb_item_envelope(item)->sender;
	json_t *list = json_array();
	struct pb_recipient *to;

	while ((to = pb_item_next(item)) != NULL) {
		struct pb_str address = pb_recipient_rcpt(to)->address, reason = pb_recipient_reason(to), remote = pb_recipient_remote(to);
		json_t *one = json_object();

		json_object_set_new(one, "address", json_stringn(address.len ? address.ptr : "", address.len));
		json_object_set_new(one, "reason", json_stringn(reason.len ? reason.ptr : "", reason.len));
		json_object_set_new(one, "remote", json_stringn(remote.len ? remote.ptr : "", remote.len));
		json_array_append_new(list, one);
	}
	pb_item_rewind(item);
	return json_pack("{s:s, s:s%, s:o}", "kind", kinds[kind], "sender", sender.len ? sender.ptr : "", sender.len, "recipients", list);
}

/* Did somebody take it up, so that no report needs to be written, or does somebody want to be asked again? */
static bool is_taken(struct mta *mta, struct pb_item *item, enum dsn_kind kind)
{
	struct pb_question q = { .point = "report.due", .id = pb_strz(pb_item_id(item)), .envelope = pb_item_envelope(item), .body = pb_item_body(item) };
	struct pb_verdict v = PB_VERDICT;
	json_t *facts;
	enum pb_decision decision;

	if (!pb_is_hooked(mta->host, q.point) || !(facts = facts_of(item, kind)))
		return false;
	q.facts = facts;
	pb_ask(mta->host, &q, &v);
	json_decref(facts);
	decision = v.decision;
	pb_verdict_clear(&v);
	if (decision == PB_DISCARD)
		settle_report(item, "taken up by a hook");
	else if (decision == PB_DEFER)
		settle_all(item, retry_one, "451 4.3.0 the report has to wait for a hook");
	return decision == PB_DISCARD || decision == PB_DEFER;
}

int send_report(struct mta *mta, struct pb_item *item, struct pb_error *err)
{
	enum dsn_kind kind = kind_of(item);
	struct pb_str to = reader_of(mta, item, kind);
	struct dsn_recipient *list;
	PB_AUTOBUF(token);
	size_t n;
	int rc = 0;

	if (is_taken(mta, item, kind))
		return 0;
	if (kind == DSN_FAILED && json_is_true(json_object_get(pb_item_envelope(item)->notes, "report"))) {
		rc = again(mta, item, err);
		if (rc != PB_ENOTFOUND)
			return rc;
		rc = 0;
	}
	if (!to.len) {
		pb_log(mta->host, PB_INFO, "report.dropped", "id=%s kind=%d reason=\"the message has no sender\"", pb_item_id(item), (int)kind);
		pb_count(mta->host, "reports_dropped", 1);
		settle_report(item, "no report: the message has no sender");
		return 0;
	}
	n = gather(item, kind, !pb_item_envelope(item)->sender.len, &list, &token);
	if (n)
		rc = make_dsn(mta, item, kind, to, list, n, pb_buf_str(&token), err);
	free(list);
	if (rc)
		return pb_because(err, "making a report to %.*s", PB_FMT(to));
	if (n)
		pb_count(mta->host, "reports", 1);
	settle_report(item, n ? "reported to the sender" : "no report was asked for");
	return 0;
}
