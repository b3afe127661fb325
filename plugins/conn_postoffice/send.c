/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a delivery sends: the message itself to other addresses, answers, notifications. Everything goes out with the settling of the item, so that it goes once. */
#include <postbus/address.h>
#include <postbus/date.h>
#include "hours.h"
#include "postoffice.h"

/* Another message, where filters changed it: it has an id of its own, made from this one's, so that it enters once. */
static int inject_changed(struct delivery *d, struct pb_envelope *env, struct pb_str address, struct pb_error *err)
{
	struct pb_spool *spool;
	PB_AUTOBUF(token);
	struct pb_str bytes;
	int rc = pb_spool_view(d->changed, &bytes, err);

	if (rc)
		return rc;
	spool = pb_spool_begin(d->po->host, 0, err);
	if (!spool)
		return err->code;
	pb_buf_addf(&token, "redirect/%s/%.*s/%.*s", pb_item_id(d->item), PB_FMT(d->id), PB_FMT(address));
	pb_spool_name(spool, pb_buf_str(&token));
	pb_spool_write(spool, bytes.ptr, bytes.len);
	return pb_item_inject(d->item, env, spool, err);
}

/* RFC 6009: "never", or a list of success, failure, delay. */
static unsigned notify_of(struct pb_str words, unsigned was)
{
	static const struct { const char *name; unsigned bit; } all[] = {
		{ "never", PB_NOTIFY_NEVER }, { "success", PB_NOTIFY_SUCCESS }, { "failure", PB_NOTIFY_FAILURE }, { "delay", PB_NOTIFY_DELAY },
	};
	struct pb_str word;
	unsigned bits = 0;

	if (!words.len)
		return was;
	while (pb_str_cut(&words, ',', &word))
		for (size_t i = 0; i < 4; i++)
			if (pb_str_ieq(pb_str_trim(word), pb_strz(all[i].name)))
				bits |= all[i].bit;
	return bits ? bits : was;
}

static int send_redirect(struct delivery *d, const json_t *a, struct pb_error *err)
{
	struct pb_envelope *env = sent_on_envelope(d->item, d->id);
	struct pb_rcpt *rcpt = sent_on_rcpt(env, d->to, pb_text_of(a, "address"));
	int rc = rewrite_sender(d->po, d->to, json_object_get(d->mailbox, "policy"), pb_text_of(a, "address"), env, err);

	take_version(d, version_of(a));
	rcpt->notify = notify_of(pb_text_of(a, "notify"), rcpt->notify);
	if (pb_text_of(a, "ret").len)
		env->ret_headers = pb_str_ieq(pb_text_of(a, "ret"), PB_STR("HDRS"));
	if (json_is_true(json_object_get(a, "deliver_or_return")))	/* RFC 6009; conn_smtp keeps it */
		json_object_set(env->notes, "deliver_by", json_object_get(a, "deliver_by"));
	if (!rc)
		rc = d->changed ? inject_changed(d, env, pb_text_of(a, "address"), err) : pb_item_redirect(d->item, env, err);
	pb_envelope_free(env);
	pb_count(d->po->host, "redirected", 1);
	return rc;
}

static int send_redirect_all(struct delivery *d, const json_t *a, struct pb_error *err)
{
	pb_count(d->po->host, "redirected", 1);
	return send_on(d->po, d->item, d->to, d->id, json_object_get(d->mailbox, "policy"), json_object_get(a, "addresses"), err);
}

/* ---- answers ---- */

static bool is_his(struct delivery *d, struct pb_str address)
{
	json_t *ask = json_pack("{s:s%, s:s%}", "mailbox", d->id.ptr, d->id.len, "sender", address.ptr, address.len), *found = NULL;
	bool his = ask && address.len && pb_call(d->po->host, "directory.may_send", ask, &found, NULL) == 0 && json_is_true(json_object_get(found, "allowed"));

	json_decref(ask);
	json_decref(found);
	return his;
}

struct pb_str from_of(struct delivery *d, const json_t *action)
{
	struct pb_str from = pb_text_of(action, "from");
	struct pb_addrs list = PB_ADDRS(from);
	struct pb_addr one;
	bool his = false;

	if (!from.len || !pb_str_eq(pb_text_of(action, "scope"), PB_STR("mailbox")))
		return from;
	for (unsigned n = 0; n < 20 && (his || !n) && pb_addrs_next(&list, &one); n++) {
		PB_AUTOBUF(address);

		pb_buf_addf(&address, "%.*s@%.*s", PB_FMT(one.local), PB_FMT(one.domain));
		his = one.kind == PB_ADDR_MAILBOX && is_his(d, pb_buf_str(&address));
	}
	pb_addrs_free(&list);
	if (!his)
		pb_item_note(d->item, "from.refused", "%.*s is no address of this mailbox", PB_FMT(pb_str_head(from, 200)));
	return his ? from : PB_NOSTR;
}

enum { WEEK = 7 * 86400, YEAR = 365 * 86400 };

/* RFC 5230 4.7: without a handle the words make the difference. */
static void handle_of(struct pb_buf *out, const json_t *a)
{
	static const char *const parts[] = { "subject", "from", "text" };

	pb_buf_addz(out, pb_text_of(a, "handle").len ? "h" : "w");
	pb_buf_addstr(out, pb_text_of(a, "handle"));
	for (size_t i = 0; i < 3 && !pb_text_of(a, "handle").len; i++) {
		pb_buf_addc(out, '\0');
		pb_buf_addstr(out, pb_text_of(a, parts[i]));
	}
}

static int send_vacation(struct delivery *d, const json_t *a, struct pb_error *err)
{
	const json_t *seconds = json_object_get(a, "seconds");
	int64_t period = seconds ? json_integer_value(seconds) : WEEK;
	PB_AUTOBUF(handle);

	handle_of(&handle, a);
	const struct answer answer = {
		.subject = pb_text_of(a, "subject"),
		.from = from_of(d, a),
		.text = pb_text_of(a, "text"),
		.handle = pb_buf_str(&handle),
		.fcc = a,
		.is_entity = json_is_true(json_object_get(a, "mime")),
		.addresses = json_object_get(a, "addresses"),
		.seconds = period > YEAR ? YEAR : period,
	};
	return answer_sender(d, &answer, err);
}

static bool is_now(struct delivery *d, const json_t *o)
{
	int64_t now = pb_now(d->po->host), from, until;
	int zone = pb_zone_local(now);
	int64_t minutes = now / PB_MINUTE + zone;

	if (pb_text_of(o, "from").len && pb_date_iso_parse(pb_text_of(o, "from"), &from) == 0 && now < from)
		return false;
	if (pb_text_of(o, "until").len && pb_date_iso_parse(pb_text_of(o, "until"), &until) == 0 && now >= until)
		return false;
	return hours_cover(pb_text_of(o, "hours"), (unsigned)((pb_day_of(now, zone) + 3) % 7), (unsigned)(minutes % 1440));	/* 1970 began on a Thursday */
}

/* The mailbox's own setting: for what is kept, whatever filters did besides. */
static int send_autoreply(struct delivery *d, struct pb_error *err)
{
	const json_t *o = json_object_get(json_object_get(d->mailbox, "policy"), "autoreply"), *period = json_object_get(o, "period_seconds");

	if (!json_is_true(json_object_get(o, "enabled")) || !d->nplaces || !is_now(d, o))
		return 0;
	const struct answer answer = {
		.subject = pb_text_of(o, "subject"),
		.text = pb_text_of(o, "text"),
		.html = pb_text_of(o, "html"),
		.handle = PB_STR("autoreply"),
		.seconds = period ? json_integer_value(period) : WEEK,
	};
	return answer_sender(d, &answer, err);
}

static const struct {
	const char *name;
	int (*send)(struct delivery *d, const json_t *a, struct pb_error *err);
} senders[] = { { "redirect", send_redirect }, { "redirect_all", send_redirect_all }, { "vacation", send_vacation }, { "notify", send_notify } };

int send_all(struct delivery *d, struct pb_error *err)
{
	int rc = 0;

	for (size_t i = 0; i < d->nsends && !rc; i++)
		for (size_t k = 0; k < sizeof senders / sizeof *senders; k++)
			if (!strcmp(senders[k].name, json_string_value(json_object_get(d->sends[i], "do"))))
				rc = senders[k].send(d, d->sends[i], err);
	return rc ? rc : send_autoreply(d, err);
}
