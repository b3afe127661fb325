/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Quotas: the limits of single folders, notices when a mailbox fills up, and what becomes of mail that does not fit. Limits are kept by the store, the
 * settings quota_* by the directory.
 */
#include <stdio.h>
#include <postbus/letter.h>
#include "postoffice.h"

static const json_t *setting(const json_t *mailbox, const char *key)
{
	return json_object_get(json_object_get(mailbox, "policy"), key);
}

static struct pb_str setting_text(const json_t *mailbox, const char *key)
{
	return pb_text_of(json_object_get(mailbox, "policy"), key);
}

/* "postmaster@" the mailbox's domain. */
static void postmaster_of(struct pb_buf *out, struct pb_str address)
{
	long at = pb_str_find(address, '@', 0);

	pb_buf_addz(out, "postmaster");
	pb_buf_addstr(out, pb_str_skip(address, at < 0 ? address.len : (size_t)at));
}

/* ---- folders ---- */

void quota_bind(const json_t *mailbox, struct pb_folder *folder, struct pb_str name)
{
	const json_t *limits = setting(mailbox, "quota_folders"), *limit = NULL;
	char key[256];

	if (json_object_size(limits) && name.len < sizeof key) {
		snprintf(key, sizeof key, "%.*s", PB_FMT(name));
		limit = json_object_get(limits, key);
	}
	pb_folder_limit(folder, (uint64_t)json_integer_value(limit));	/* none, too: an INBOX that stays open may have had one */
}

/* ---- notices ---- */

/* level percent of max, rounded up, without overflow. */
static uint64_t part_of(uint64_t max, uint64_t level)
{
	return max / 100 * level + (max % 100 * level + 99) / 100;
}

/* The highest level that lies between; 0: none. */
static int64_t level_passed(const json_t *levels, uint64_t max, uint64_t before, uint64_t after)
{
	const json_t *one;
	int64_t passed = 0;
	size_t i;

	if (!max)
		return 0;
	json_array_foreach(levels, i, one) {
		uint64_t mark = part_of(max, (uint64_t)json_integer_value(one));

		if (before < mark && after >= mark && json_integer_value(one) > passed)
			passed = json_integer_value(one);
	}
	return passed;
}

static void print_bytes(char *out, size_t room, uint64_t n)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
	double value = (double)n;
	size_t unit = 0;

	for (; value >= 1024 && unit < 4; unit++)
		value /= 1024;
	if (unit)
		snprintf(out, room, "%.1f %s", value, units[unit]);
	else
		snprintf(out, room, "%llu bytes", (unsigned long long)n);
}

static json_t *values_of(const json_t *mailbox, const struct quota_step *step, bool by_bytes)
{
	uint64_t max = (uint64_t)json_integer_value(json_object_get(mailbox, by_bytes ? "quota_bytes" : "quota_messages"));
	uint64_t now = by_bytes ? step->bytes : step->messages;
	json_t *values = json_object();
	char used[40], limit[40];

	if (by_bytes) {
		print_bytes(used, sizeof used, now);
		print_bytes(limit, sizeof limit, max);
	} else {
		snprintf(used, sizeof used, "%llu messages", (unsigned long long)now);
		snprintf(limit, sizeof limit, "%llu messages", (unsigned long long)max);
	}
	json_object_set(values, "address", json_object_get(mailbox, "address"));
	json_object_set(values, "name", json_object_get(mailbox, "name"));
	json_object_set(values, "postoffice", json_object_get(mailbox, "postoffice"));
	json_object_set_new(values, "percent", json_integer((json_int_t)((double)now * 100 / (double)max)));
	json_object_set_new(values, "used", json_string(used));
	json_object_set_new(values, "limit", json_string(limit));
	return values;
}

static int put_letter(struct postoffice *po, struct pb_str id, struct pb_str token, const struct pb_letter *letter, struct quota_step *ret_step, struct pb_error *err)
{
	struct pb_usage usage;
	struct pb_append how = { .over_quota = true, .token = token, .usage = &usage };
	struct pb_spool *spool = pb_spool_begin(po->host, 0, err);
	struct inbox *box;
	uint64_t size;
	int rc;

	if (!spool)
		return err->code;
	pb_letter_write(po->host, spool, letter);
	size = pb_spool_size(spool);
	rc = inboxes_get(po->inboxes, id, &box, err);
	if (rc) {
		pb_spool_discard(spool);
		return rc;
	}
	rc = pb_folder_append(inbox_folder(box), spool, &how, NULL, NULL, err);
	inboxes_put(po->inboxes, box);
	if (!rc)
		*ret_step = (struct quota_step){ usage.messages - 1, usage.bytes - size, usage.messages, usage.bytes, PB_NOSTR };
	return rc;
}

/* A notice that cannot be written is told to the log and to nobody else: the mail that filled the mailbox is there. It fills the mailbox itself: where that
 * passes the next level, there is another one. */
static void notify(struct postoffice *po, const json_t *mailbox, const struct quota_step *step, bool by_bytes, int64_t level)
{
	json_t *values = values_of(mailbox, step, by_bytes);
	struct pb_str address = pb_text_of(mailbox, "address");
	struct pb_error err = { 0 };
	struct quota_step own;
	PB_AUTOBUF(subject);
	PB_AUTOBUF(text);
	PB_AUTOBUF(from);
	PB_AUTOBUF(token);
	struct pb_letter letter = { .from_name = PB_STR("Mail server"), .to = address, .to_name = pb_text_of(mailbox, "name"), .submitted = "auto-generated" };

	postmaster_of(&from, address);
	pb_letter_fill(&subject, setting_text(mailbox, "quota_notice_subject"), values);
	pb_letter_fill(&text, setting_text(mailbox, "quota_notice_text"), values);
	pb_buf_addf(&token, "quota/%d/%.*s", (int)level, PB_FMT(step->token));
	letter.from = pb_buf_str(&from);
	letter.subject = pb_buf_str(&subject);
	letter.text = pb_buf_str(&text);
	json_decref(values);
	if (put_letter(po, pb_text_of(mailbox, "mailbox"), pb_buf_str(&token), &letter, &own, &err)) {
		pb_log(po->host, PB_WARNING, "quota.silent", "mailbox=%s error=%s", pb_logq(address), pb_logq(pb_strz(err.text)));
		return;
	}
	pb_log(po->host, PB_INFO, "quota.warned", "mailbox=%s percent=%d of=%s", pb_logq(address), (int)level, by_bytes ? "bytes" : "messages");
	pb_count(po->host, "quota_notices", 1);
	own.token = pb_buf_str(&token);
	quota_stepped(po, mailbox, &own);
}

void quota_stepped(struct postoffice *po, const json_t *mailbox, const struct quota_step *step)
{
	const json_t *levels = setting(mailbox, "quota_warn");
	uint64_t max_bytes = (uint64_t)json_integer_value(json_object_get(mailbox, "quota_bytes"));
	uint64_t max_messages = (uint64_t)json_integer_value(json_object_get(mailbox, "quota_messages"));
	int64_t by_bytes = level_passed(levels, max_bytes, step->bytes_before, step->bytes);
	int64_t by_messages = level_passed(levels, max_messages, step->messages_before, step->messages);

	if (by_bytes || by_messages)
		notify(po, mailbox, step, by_bytes >= by_messages, by_bytes >= by_messages ? by_bytes : by_messages);
}

void quota_delivered(struct delivery *d, const struct pb_usage *usage, uint64_t bytes)
{
	struct quota_step step = { usage->messages - 1, usage->bytes - bytes, usage->messages, usage->bytes, pb_strz(pb_item_id(d->item)) };

	if (usage->max_messages || usage->max_bytes)
		quota_stepped(d->po, d->mailbox, &step);
}

/* ---- quota.notify: others make mailboxes grow too ---- */

static uint64_t number(const json_t *params, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(params, key));
}

int quota_notify(void *self, const struct pb_caller *who, const json_t *params, json_t **ret_result, struct pb_error *err)
{
	struct quota_step step = { number(params, "messages_before"), number(params, "bytes_before"), number(params, "messages"), number(params, "bytes"),
				   pb_text_of(params, "token") };
	struct postoffice *po = self;
	json_t *ask = json_object(), *mailbox = NULL;
	int rc;

	(void)who;
	(void)ret_result;
	json_object_set(ask, "mailbox", json_object_get(params, "mailbox"));
	rc = pb_call(po->host, "directory.mailbox", ask, &mailbox, err);
	json_decref(ask);
	if (!rc)
		quota_stepped(po, mailbox, &step);
	json_decref(mailbox);
	return rc;
}

/* ---- what does not fit ---- */

static void bounce(struct delivery *d)
{
	char reply[400];

	snprintf(reply, sizeof reply, "552 5.2.2 The mailbox %.*s is full: the message does not fit into its quota", PB_FMT(d->address));
	pb_failed(d->to, PB_NOSTR, reply);
}

/* Is there a postmaster, and is he somebody else? */
static int has_postmaster(struct delivery *d, struct pb_str postmaster, bool *ret, struct pb_error *err)
{
	json_t *params = json_pack("{s:s%}", "address", postmaster.ptr, postmaster.len), *route = NULL;
	int rc = pb_call(d->po->host, "directory.resolve", params, &route, err);

	*ret = !rc && !pb_str_eq(pb_text_of(route, "mailbox"), d->id);
	json_decref(params);
	json_decref(route);
	return rc == PB_ENOTFOUND || rc == PB_EDENIED || rc == PB_EINVALID ? 0 : rc;
}

/* Another message with this one in it, from the same sender, so that it comes back to him where the postmaster has no room either. */
static int write_to_postmaster(struct delivery *d, struct pb_str postmaster, struct pb_error *err)
{
	struct pb_envelope *env;
	struct pb_letter letter = { .from_name = PB_STR("Mail server"), .from = postmaster, .to = postmaster, .submitted = "auto-generated" };
	struct pb_spool *spool = pb_spool_begin(d->po->host, 0, err);
	PB_AUTOBUF(token);
	PB_AUTOBUF(subject);
	PB_AUTOBUF(text);
	int rc;

	if (!spool)
		return err->code;
	rc = d->changed ? pb_spool_view(d->changed, &letter.attached, err) : pb_body_view(pb_item_body(d->item), &letter.attached, err);
	if (rc) {
		pb_spool_discard(spool);
		return rc;
	}
	pb_buf_addf(&token, "full/%s/%.*s", pb_item_id(d->item), PB_FMT(d->id));
	pb_spool_name(spool, pb_buf_str(&token));
	pb_buf_addf(&subject, "The mailbox %.*s is full: a message for it", PB_FMT(d->address));
	pb_buf_addf(&text, "The message below, from <%.*s> for <%.*s>, does not fit into the mailbox %.*s, which is full.\n"
			   "It was not delivered there and its sender was not told; by the settings of the post office it comes to you.\n\n"
			   "Give the mailbox a larger quota, or have its owner delete messages, and send the message on.\n",
		    PB_FMT(pb_item_envelope(d->item)->sender), PB_FMT(pb_recipient_rcpt(d->to)->address), PB_FMT(d->address));
	letter.subject = pb_buf_str(&subject);
	letter.text = pb_buf_str(&text);
	pb_letter_write(d->po->host, spool, &letter);
	env = sent_on_envelope(d->item, d->id);
	sent_on_rcpt(env, d->to, postmaster);
	json_object_set_new(env->notes, "full", json_true());
	rc = pb_item_inject(d->item, env, spool, err);
	pb_envelope_free(env);
	return rc;
}

static void hand_to_postmaster(struct delivery *d)
{
	struct pb_error err = { 0 };
	PB_AUTOBUF(postmaster);
	char why[400];
	bool there;
	int rc;

	postmaster_of(&postmaster, d->address);
	rc = has_postmaster(d, pb_buf_str(&postmaster), &there, &err);
	if (!rc && (!there || json_is_true(json_object_get(pb_item_envelope(d->item)->notes, "full")))) {
		bounce(d);
		return;
	}
	if (!rc)
		rc = write_to_postmaster(d, pb_buf_str(&postmaster), &err);
	if (rc) {
		settle_fault(d->po, d->to, "handing it to the postmaster", &err);
		return;
	}
	snprintf(why, sizeof why, "the mailbox %.*s is full: handed to %s", PB_FMT(d->address), pb_buf_z(&postmaster));
	pb_dropped(d->to, why);
}

void settle_full(struct delivery *d)
{
	struct pb_str what = setting_text(d->mailbox, "quota_full");
	char reply[400];

	pb_count(d->po->host, "over_quota", 1);
	if (pb_str_eq(what, PB_STR("postmaster"))) {
		hand_to_postmaster(d);
	} else if (pb_str_eq(what, PB_STR("hold")) && !d->nsends) {	/* what was sent on would be sent on again */
		snprintf(reply, sizeof reply, "452 4.2.2 The mailbox %.*s is full now: the message does not fit into its quota", PB_FMT(d->address));
		pb_retry(d->to, 0, PB_NOSTR, reply);
	} else {
		bounce(d);
	}
}
