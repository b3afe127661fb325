/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What becomes of what is held. A decision is a change of its row, which one alone can make; what follows from it is done after that, by whoever finds the row so:
 * he who decided, or the next tick where a crash came between. What has been done stays for a while, to say so to those who decide later.
 */
#include <stdio.h>
#include <postbus/address.h>
#include <postbus/message.h>
#include "notices/automatic.h"
#include "command.h"
#include "serve.h"

enum { KEEP_DAYS = 7 };

const char *const decision_names[] = { "approve", "reject", "discard" };

/* ---- what follows ---- */

static struct pb_envelope *envelope_of(const json_t *row, struct pb_str token)
{
	const json_t *kept = json_object_get(row, "envelope");
	struct pb_envelope *env = pb_envelope_new();

	pb_envelope_sender(env, pb_text_of(kept, "sender"));
	env->client = pb_envelope_copy(env, pb_text_of(kept, "client"));
	env->helo = pb_envelope_copy(env, pb_text_of(kept, "helo"));
	env->user = pb_envelope_copy(env, pb_text_of(kept, "user"));
	env->mailbox = pb_envelope_copy(env, pb_text_of(kept, "mailbox"));
	env->eightbit = flag_of(kept, "eightbit");
	env->smtputf8 = flag_of(kept, "smtputf8");
	env->requiretls = flag_of(kept, "requiretls");
	json_object_update(env->notes, json_object_get(kept, "notes"));
	json_object_del(env->notes, "entered");
	json_object_set_new(env->notes, "filtered", json_true());
	json_object_set_new(env->notes, "list_approved", json_stringn(token.ptr, token.len));
	pb_envelope_rcpt(env, pb_text_of(kept, "recipient"))->notify = PB_NOTIFY_NEVER;
	return env;
}

/* The post comes to the list once more, with a note that no stranger can write. Its name in the queue lets it in once. */
static int send_on(struct lists *all, const struct list *l, struct pb_str token, const json_t *row, struct pb_error *err)
{
	struct pb_str head, rest;
	struct pb_envelope *env;
	struct pb_spool *spool;
	struct pb_body *body;
	char id[PB_ID_MAX];
	PB_AUTOBUF(name);
	int rc = held_body(all, l, row, &body, err);

	if (rc)
		return rc;
	rc = pb_body_parts(body, &head, &rest, err);
	spool = rc ? NULL : pb_spool_begin(all->host, 0, err);
	if (spool) {
		pb_spool_write(spool, rest.ptr, rest.len);
		pb_buf_addf(&name, "list-approved/%.*s/%.*s", PB_FMT(l->id), PB_FMT(token));
		pb_spool_name(spool, pb_buf_str(&name));
		env = envelope_of(row, token);
		rc = pb_queue_accept(all->host, env, spool, id, err);
		pb_envelope_free(env);
	} else if (!rc) {
		rc = err ? err->code : PB_EUNAVAILABLE;
	}
	pb_body_release(body);
	return rc;
}

static int tell_rejected(struct lists *all, const struct list *l, struct pb_str token, const json_t *row, struct pb_error *err)
{
	struct pb_str why = pb_text_of(row, "why"), head, rest = PB_NOSTR, poster = pb_text_of(row, "poster"), sender = pb_text_of(json_object_get(row, "envelope"), "sender");
	bool post = pb_str_eq(pb_text_of(row, "kind"), PB_STR("post"));
	struct pb_body *body = NULL;
	PB_AUTOBUF(subject);
	PB_AUTOBUF(text);
	int rc;

	if (post && !held_body(all, l, row, &body, NULL) && (pb_body_parts(body, &head, &rest, NULL) || rest.len > HELD_ATTACH_MOST))
		rest = PB_NOSTR;
	if (!poster.len || (post && automatic_why_not(sender, pb_str_head(rest, pb_header_size(rest))))) {
		pb_body_release(body);
		return 0;
	}
	pb_buf_addf(&subject, post ? "Your post to %.*s was not taken" : "Your request to join %.*s was turned down", PB_FMT(l->address));
	if (post)
		pb_buf_addf(&text, "Your post\n\n  %.*s\n\nto %.*s was not taken by its moderators.\n", PB_FMT(pb_text_of(row, "subject")), PB_FMT(l->address));
	else
		pb_buf_addf(&text, "Your request to become a member of %.*s was turned down by its moderators.\n", PB_FMT(l->address));
	if (why.len)
		pb_buf_addf(&text, "\nThey say:\n\n%.*s\n", PB_FMT(why));
	rc = letter_send(all, l, NULL, &(struct note_letter){ .to = poster, .to_name = pb_text_of(row, "poster_name"), .door = "owner", .subject = pb_buf_str(&subject),
							      .text = pb_buf_str(&text), .attached = rest, .submitted = "auto-replied", .name = token }, err);
	pb_body_release(body);
	return rc;
}

/* Each step may be done again. */
static int follow(struct lists *all, const struct list *l, struct pb_str token, json_t *row, struct pb_error *err)
{
	bool post = pb_str_eq(pb_text_of(row, "kind"), PB_STR("post"));
	struct pb_str what = pb_text_of(row, "decision");
	int rc = 0;

	if (pb_str_eq(what, PB_STR("approve")) && post)
		rc = send_on(all, l, token, row, err);
	else if (pb_str_eq(what, PB_STR("approve")))
		rc = member_joins(all, l, NULL, pb_text_of(row, "poster"), pb_text_of(row, "poster_name"), pb_text_of(row, "delivery"), token, err);
	else if (pb_str_eq(what, PB_STR("reject")))
		rc = tell_rejected(all, l, token, row, err);
	if (rc && rc != PB_ENOTFOUND && rc != PB_ECORRUPT)
		return rc;
	if (rc) {	/* its body is gone: nothing can follow */
		pb_log(all->host, PB_ERROR, "list.heldgone", "list=%.*s token=%.*s error=%s", PB_FMT(l->address), PB_FMT(token), pb_logq(pb_strz(err ? err->text : "")));
		json_object_set_new(row, "lost", json_true());
	}
	json_object_set_new(row, "state", json_string("done"));
	json_object_set_new(row, "expires", json_integer((json_int_t)(pb_now(all->host) + KEEP_DAYS * PB_DAY)));
	rc = held_put(all, l, token, row, err);
	return rc ? rc : held_drop_body(all, l, row, err);
}

/* ---- decided ---- */

static int record(struct lists *all, const struct list *l, struct pb_str token, enum decision d, struct pb_str by, struct pb_str why, json_t **ret_row, struct pb_error *err)
{
	bool held, same;
	int rc = held_get(all, l, token, ret_row, err);

	if (rc)
		return rc;
	held = pb_str_eq(pb_text_of(*ret_row, "state"), PB_STR("held"));
	same = pb_str_eq(pb_text_of(*ret_row, "decision"), pb_strz(decision_names[d])) && pb_str_eq(pb_text_of(*ret_row, "by"), by);
	if (held) {
		json_object_set_new(*ret_row, "state", json_string("decided"));
		json_object_set_new(*ret_row, "decision", json_string(decision_names[d]));
		json_object_set_new(*ret_row, "at", json_integer((json_int_t)pb_now(all->host)));
		set_text(*ret_row, "by", by);
		set_text(*ret_row, "why", why);
		rc = held_put(all, l, token, *ret_row, err);
	} else if (!same) {
		rc = pb_fail(err, PB_ECONFLICT, "that was decided already: %.*s by %.*s", PB_FMT(pb_text_of(*ret_row, "decision")), PB_FMT(pb_text_of(*ret_row, "by")));
	}
	if (rc)
		json_decref(*ret_row);
	return rc;
}

/* One after the other: what is written is what was read, with the change. */
int hold_decide(struct lists *all, const struct list *l, struct pb_str token, enum decision d, struct pb_str by, struct pb_str why, struct pb_error *err)
{
	json_t *row;
	int rc;

	pthread_mutex_lock(&all->deciding);
	rc = record(all, l, token, d, by, why, &row, err);
	if (!rc) {
		if (pb_str_eq(pb_text_of(row, "state"), PB_STR("decided"))) {
			rc = follow(all, l, token, row, err);
			pb_log(all->host, PB_INFO, "list.decided", "list=%.*s token=%.*s decision=%s by=%s", PB_FMT(l->address), PB_FMT(token), decision_names[d], pb_logq(by));
		}
		json_decref(row);
	}
	pthread_mutex_unlock(&all->deciding);
	return rc;
}

/* ---- by mail ---- */

static int answer_moderator(struct post *p, const char *what, struct pb_error *err)
{
	PB_AUTOBUF(subject);
	PB_AUTOBUF(text);
	PB_AUTOBUF(name);

	if (!letter_may(p->all, "answer", pb_buf_str(&p->from), pb_config_int(p->all->host, "answers"), pb_strz(pb_item_id(p->item))))
		return 0;
	pb_buf_addf(&subject, "%.*s: your decision", PB_FMT(p->list->local));
	pb_buf_addf(&text, "About what waited at %.*s: %s.\n", PB_FMT(p->list->address), what);
	pb_buf_addf(&name, "decision/%s", pb_item_id(p->item));
	return letter_send(p->all, p->list, p->item, &(struct note_letter){ .to = pb_buf_str(&p->from), .door = "owner", .subject = pb_buf_str(&subject), .text = pb_buf_str(&text),
									    .submitted = "auto-replied", .name = pb_buf_str(&name) }, err);
}

static int decide_by_mail(struct post *p, struct pb_str token, struct pb_error *err)
{
	struct pb_error why_not = { 0 };
	struct pb_str value = PB_NOSTR;
	enum moderation m;
	PB_AUTOBUF(subject);
	PB_AUTOBUF(text);
	PB_AUTOBUF(why);
	int rc;

	if (pb_header_find(p->header, PB_STR("Subject"), &value))
		pb_words_decode(&subject, value);
	post_text(p, &text);
	m = moderation_parse(pb_buf_str(&subject), pb_buf_str(&text), &why);
	if (m == MODERATE_NOTHING)
		return answer_moderator(p, "your letter has none of the words approve, reject, discard at its beginning", err);
	rc = hold_decide(p->all, p->list, token, (enum decision)(m - MODERATE_APPROVE), pb_buf_str(&p->from), pb_buf_str(&why), &why_not);
	if (!rc)
		return 0;
	if (rc == PB_ENOTFOUND || rc == PB_ECONFLICT)
		return answer_moderator(p, why_not.text, err);
	if (err)
		*err = why_not;
	return rc;
}

int moderate_deliver(struct post *p, struct pb_str token, struct pb_error *err)
{
	int rc = post_read(p, err);

	if (!rc && (!p->from.len || automatic_is(p->header) || !pb_item_envelope(p->item)->sender.len)) {
		pb_dropped(p->to, "a program's message decides nothing");
		post_end(p);
		return 0;
	}
	if (!rc)
		rc = decide_by_mail(p, token, err);
	if (!rc)
		pb_delivered(p->to, PB_NOSTR, "250 2.1.5 The list has read it");
	post_end(p);
	return rc;
}

/* ---- as time goes by ---- */

static int forget(struct lists *all, const struct list *l, struct pb_str token, struct pb_error *err)
{
	PB_AUTOBUF(key);

	pb_buf_addstr(&key, l->id);
	pb_buf_addc(&key, '\0');
	pb_buf_addstr(&key, token);
	return pb_table_apply(all->held, &(struct pb_change){ PB_DELETE, pb_buf_str(&key), PB_NOSTR }, 1, err);
}

/* A crash came between a decision and what follows from it. */
static void finish(struct lists *all, const struct list *l, struct pb_str token)
{
	struct pb_error err = { 0 };
	json_t *row;

	pthread_mutex_lock(&all->deciding);
	if (!held_get(all, l, token, &row, &err)) {
		if (pb_str_eq(pb_text_of(row, "state"), PB_STR("decided")) && follow(all, l, token, row, &err))
			pb_log(all->host, PB_WARNING, "list.fault", "id=- list=%.*s error=%s", PB_FMT(l->address), pb_logq(pb_strz(err.text)));
		json_decref(row);
	}
	pthread_mutex_unlock(&all->deciding);
}

/* Time lets posts through where the list says so, but makes nobody a member. */
static enum decision expired(const struct list *l, const json_t *row)
{
	if (setting_is(l->settings, "hold_expired", "accept") && !pb_str_eq(pb_text_of(row, "kind"), PB_STR("post")))
		return DECIDE_DISCARD;
	return setting_is(l->settings, "hold_expired", "accept") ? DECIDE_APPROVE : setting_is(l->settings, "hold_expired", "reject") ? DECIDE_REJECT : DECIDE_DISCARD;
}

/* Its links decide, not an answer to it, which could be about any of them: so it comes from the owners' address. */
static int held_remind(struct lists *all, const struct list *l, struct pb_str subject, struct pb_str text, struct pb_error *err)
{
	const json_t *readers = setting_list(l->settings, "moderators");
	PB_AUTOBUF(to);

	if (!json_array_size(readers))
		readers = setting_list(l->settings, "owners");
	if (!json_array_size(readers))
		return 0;
	list_door(&to, l, "owner");
	return letter_send(all, l, NULL, &(struct note_letter){ .to_name = PB_STR("Moderators"), .to = pb_buf_str(&to), .readers = readers, .door = "owner", .subject = subject,
								.text = text }, err);
}

static int remind(struct lists *all, const struct list *l, json_t *rows, struct pb_error *err)
{
	int64_t every = setting_number(l->settings, "hold_remind") * PB_SECOND, now = pb_now(all->host), due = 0;
	json_t *one;
	size_t i, n = 0;
	PB_AUTOBUF(subject);
	PB_AUTOBUF(text);
	int rc;

	json_array_foreach (rows, i, one)
		due += every && now - number_of(one, "reminded") >= every;
	if (!due)
		return 0;
	pb_buf_addf(&text, "This waits for a decision at %.*s:\n", PB_FMT(l->address));
	json_array_foreach (rows, i, one) {
		if (++n > 50)
			break;
		pb_buf_addf(&text, "\n%.*s: %.*s\n  (%.*s)\n", PB_FMT(pb_text_of(one, "poster")), PB_FMT(pb_text_of(one, "subject")), PB_FMT(pb_text_of(one, "reason")));
		held_links(&text, l, pb_text_of(one, "token"));
	}
	pb_buf_addf(&subject, "%.*s: %zu %s for a decision", PB_FMT(l->local), json_array_size(rows), json_array_size(rows) == 1 ? "waits" : "wait");
	rc = held_remind(all, l, pb_buf_str(&subject), pb_buf_str(&text), err);
	json_array_foreach (rows, i, one) {
		json_t *row;

		pthread_mutex_lock(&all->deciding);
		if (!rc && !held_get(all, l, pb_text_of(one, "token"), &row, NULL)) {
			json_object_set_new(row, "reminded", json_integer((json_int_t)now));
			if (pb_str_eq(pb_text_of(row, "state"), PB_STR("held")))
				rc = held_put(all, l, pb_text_of(one, "token"), row, err);
			json_decref(row);
		}
		pthread_mutex_unlock(&all->deciding);
	}
	return rc;
}

struct round {
	struct lists *all;
	struct pb_error *err;
	int rc;
};

/* Finishes what was cut off, ends what is too old, reminds of the rest. */
static bool tick_list(void *arg, struct list *l)
{
	struct round *r = arg;
	int64_t most = setting_number(l->settings, "hold_expire") * PB_SECOND, now = pb_now(r->all->host);
	json_t *rows, *one;
	size_t i;

	r->rc = held_all(r->all, l, false, &rows, r->err);
	if (r->rc)
		return false;
	for (i = json_array_size(rows); i-- > 0;) {
		struct pb_str state, token;
		bool held;

		one = json_array_get(rows, i);
		state = pb_text_of(one, "state");
		token = pb_text_of(one, "token");
		held = pb_str_eq(state, PB_STR("held"));
		if (held && most && now - number_of(one, "since") >= most)
			hold_decide(r->all, l, token, expired(l, one), PB_STR("time"), PB_STR("nobody decided about it in time"), NULL);
		else if (pb_str_eq(state, PB_STR("decided")))
			finish(r->all, l, token);
		else if (!held && now >= number_of(one, "expires"))
			forget(r->all, l, token, NULL);
		else if (held)
			continue;
		json_array_remove(rows, i);
	}
	r->rc = remind(r->all, l, rows, r->err);
	json_decref(rows);
	return true;
}

int hold_tick(struct lists *all, struct pb_error *err)
{
	struct round r = { .all = all, .err = err };
	int rc = lists_each(all, PB_NOSTR, tick_list, &r, err);

	return rc ? rc : r.rc;
}
