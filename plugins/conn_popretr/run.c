/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A run of one account, from its beginning to what is written down of it. */
#include <stdio.h>
#include <stdlib.h>
#include <postbus/mailbox.h>
#include "etrn.h"
#include "fetch.h"

enum { SESSIONS_MAX = 5 };

/* ---- is there room here ---- */

static int resolve(struct run *run, json_t **ret, struct pb_error *err)
{
	struct pb_str to = pb_text_of(run->row, "mailbox");
	json_t *params = json_pack("{s:s%}", "address", to.ptr, to.len);
	int rc = pb_call(run->r->host, "directory.mailbox", params, ret, err);

	json_decref(params);
	return rc ? pb_because(err, "the mailbox %.*s", PB_FMT(to)) : 0;
}

/* What cannot be delivered is not fetched: it stays where it is. */
static int look_at_mailbox(struct run *run, uint64_t *ret_room, struct pb_error *err)
{
	struct pb_str to = pb_text_of(run->row, "mailbox");
	uint64_t messages = 0, bytes = 0, quota, most;
	struct pb_mailbox *mb;
	json_t *box = NULL;
	int rc = resolve(run, &box, err);

	*ret_room = UINT64_MAX;
	if (rc)
		return rc;
	if (!is_set(box, "enabled"))
		rc = pb_fail(err, PB_EUNAVAILABLE, "the mailbox %.*s is disabled: its mail stays on the server", PB_FMT(to));
	if (!rc)
		rc = pb_mailbox_open(run->r->host, pb_text_of(box, "mailbox"), &mb, err);
	if (!rc) {
		rc = pb_mailbox_usage(mb, &messages, &bytes, err);
		pb_mailbox_close(mb);
	}
	quota = (uint64_t)number_of_key(box, "quota_bytes");
	most = (uint64_t)number_of_key(box, "quota_messages");
	json_decref(box);
	if (!rc && ((quota && bytes >= quota) || (most && messages >= most)))
		rc = pb_fail(err, PB_EQUOTA, "the mailbox %.*s is full: its mail stays on the server", PB_FMT(to));
	if (!rc && quota)
		*ret_room = quota - bytes;
	return rc;
}

/* ---- sessions ---- */

static bool wants_token(const struct run *run)
{
	return pb_text_of(run->row, "token_url").len || pb_text_of(run->row, "token").len;
}

/* A token that ended before its time is renewed once. */
static int log_in(struct run *run, struct pb_error *err)
{
	int rc = wants_token(run) ? oauth_token(run, false, err) : 0;

	if (!rc)
		rc = connect_remote(run, err);
	if (!rc)
		rc = connect_login(run, err);
	if (rc != PB_EDENIED || !pb_text_of(run->row, "token_url").len)
		return rc;
	connect_close(run);
	rc = oauth_token(run, true, err);
	if (!rc)
		rc = connect_remote(run, err);
	return rc ? rc : connect_login(run, err);
}

static bool is_polling(const struct run *run)
{
	struct pb_str protocol = pb_text_of(run->row, "protocol");

	return pb_str_eq(protocol, PB_STR("etrn")) || pb_str_eq(protocol, PB_STR("atrn"));
}

int run_test(struct run *run, struct listing *ret, struct pb_error *err)
{
	int rc;

	if (is_polling(run))
		return test_domain(run, err);
	rc = log_in(run, err);

	if (!rc)
		rc = run->remote->ops->list(run->remote, ret, err);
	return rc ? rc : run->remote->ops->close(run->remote, err);
}

static void tell_left(struct fetch *f)
{
	struct run *run = f->run;

	if (f->nbroken)
		snprintf(run->trouble, sizeof run->trouble, "%zu messages cannot be had from the server: %.150s", f->nbroken, run->why);
	else if (f->nbig)
		snprintf(run->trouble, sizeof run->trouble, "%zu messages are larger than the limit, and stay on the server", f->nbig);
	else if (f->nroom)
		snprintf(run->trouble, sizeof run->trouble, "the mailbox has no room for %zu messages: they stay on the server", f->nroom);
	else if (json_object_size(f->failed))
		snprintf(run->trouble, sizeof run->trouble, "%zu messages could not be delivered here, and stay on the server", json_object_size(f->failed));
}

/* Where nothing is to be removed nobody cares how a server says goodbye. */
static int goodbye(struct fetch *f, struct pb_error *err)
{
	struct remote *r = f->run->remote;
	struct pb_error why;
	int rc;

	if (is_set(f->run->row, "idle") && r->can_idle && watch_may(f->run->r, f->run) && !r->ops->idle(r, NULL)) {
		f->run->idling = true;
		f->run->removed += f->nremoved;
		return 0;
	}
	rc = r->ops->close(r, &why);

	if (!rc)
		f->run->removed += f->nremoved;
	if (!rc || !f->nremoved)
		return 0;
	*err = why;
	return pb_because(err, "nothing was removed there");
}

/* What a session that was cut off leaves is not lost: what was taken is known, what was to be removed is removed the next time. */
static int session(struct fetch *f, bool *ret_broken, struct pb_error *err)
{
	struct run *run = f->run;
	int rc = log_in(run, err);

	if (!rc)
		rc = run->remote->ops->list(run->remote, &f->listing, err);
	if (!rc)
		rc = plan_make(f, err);
	if (!rc)
		rc = take_all(f, ret_broken, err);
	if (!rc)
		rc = settle_all(f, err);
	if (!rc)
		rc = goodbye(f, err);
	if (!rc && !f->listing.is_rest)
		rc = seen_compact(&f->seen, err);
	tell_left(f);
	return rc;
}

static void fetch_free(struct fetch *f)
{
	listing_free(&f->listing);
	seen_free(&f->seen);
	json_decref(f->failed);
	free(f->mails);
	free(f->gone);
}

/* Nothing came of several questions at once: maybe the server cannot bear them, whatever it says. Then it is asked one by one, and if that goes well, for days. */
static bool is_overtaxed(const struct fetch *f, int rc)
{
	const struct remote *r = f->run->remote;

	return (rc == PB_EINVALID || rc == PB_ECLOSED || rc == PB_ETIMEOUT) && r && r->ahead > 1 && !r->slow && !f->run->messages && !f->run->r->draining;
}

int run_mailbox(struct run *run, struct pb_error *err)
{
	bool broken = true, slow = false;
	int rc = 0;

	for (unsigned n = 0; n < SESSIONS_MAX && broken; n++) {
		struct fetch f = { .run = run, .began = pb_now(run->r->host) };

		broken = false;
		rc = look_at_mailbox(run, &f.room, err);
		if (!rc)
			rc = seen_load(run->r, run->a->serial, &f.seen, err);
		if (!rc)
			rc = failed_load(run->r, run->a->serial, &f.failed, err);
		if (!rc)
			rc = session(&f, &broken, err);
		if (is_overtaxed(&f, rc)) {
			json_object_set_new(run->state, "slow", json_integer(pb_now(run->r->host)));
			broken = slow = true;
		} else if (slow && !rc) {
			json_object_set(run->delta, "slow", json_object_get(run->state, "slow"));
		}
		if (!run->idling)
			connect_close(run);
		fetch_free(&f);
	}
	return rc;
}

/* ---- what is written down ---- */

static void write_down(struct run *run, int rc, const struct pb_error *err, int64_t *ret_due)
{
	int64_t failures = rc ? number_of_key(run->state, "failures") + 1 : 0, now = pb_now(run->r->host);
	json_t *d = run->delta;

	*ret_due = schedule_next(run->r, run->a, (unsigned)failures, (enum pb_code)rc);
	json_object_set_new(d, "last_run", json_integer(now));
	if (!rc)
		json_object_set_new(d, "last_success", json_integer(now));
	json_object_set_new(d, "next", json_integer(*ret_due));
	json_object_set_new(d, "failures", json_integer(failures));
	json_object_set_new(d, "error", json_string(rc ? err->text : run->trouble));
	json_object_set_new(d, "last_messages", json_integer((json_int_t)run->messages));
	json_object_set_new(d, "last_bytes", json_integer((json_int_t)run->bytes));
	json_object_set_new(d, "last_removed", json_integer((json_int_t)run->removed));
	json_object_set_new(d, "messages", json_integer(number_of_key(run->state, "messages") + (json_int_t)run->messages));
	json_object_set_new(d, "removed", json_integer(number_of_key(run->state, "removed") + (json_int_t)run->removed));
	json_object_set_new(d, "bytes", json_integer(number_of_key(run->state, "bytes") + (json_int_t)run->bytes));
	if (rc)
		pb_log(run->r->host, PB_WARNING, "retrieve.failed", "account=%s host=%s failures=%lld error=%s", run->a->id, pb_logq(pb_text_of(run->row, "host")),
		       (long long)failures, pb_logq(pb_strz(err->text)));
	else if (run->messages || run->removed)
		pb_log(run->r->host, PB_INFO, "retrieve.done", "account=%s messages=%llu bytes=%llu removed=%zu", run->a->id, (unsigned long long)run->messages,
		       (unsigned long long)run->bytes, run->removed);
	pb_count(run->r->host, rc ? "runs_failed" : "runs", 1);
	account_state(run->r, run->a, d);
}

void run_free(struct run *run)
{
	connect_close(run);
	json_decref(run->row);
	json_decref(run->state);
	if (run->holds)
		account_put(run->r, run->a);
	free(run);
}

void run_account(void *self, void *arg)
{
	struct retr *r = self;
	struct run *run = pb_alloc(sizeof *run);
	struct account *a = arg;
	struct pb_error err = { 0 };
	struct run *idling;
	bool brought;
	int64_t due;
	int rc;

	*run = (struct run){ .r = r, .a = a, .delta = json_object(), .deadline = pb_ticks(r->host) + pb_config_int(r->host, "run_max") * PB_SECOND };
	account_copy(r, a, &run->row, &run->state);
	rc = is_polling(run) ? run_domain(run, &err) : run_mailbox(run, &err);
	write_down(run, rc, &err, &due);
	brought = run->messages > 0;
	idling = run->idling ? run : NULL;
	if (!idling)
		run_free(run);
	schedule_ended(r, a, due, brought, idling);
}
