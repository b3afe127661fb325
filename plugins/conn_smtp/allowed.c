/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a login may send, by the settings send_*, and what a recipient takes from whom. Settings are the directory's; they are asked for at each MAIL, so that a
 * change counts for sessions that are there already. Each question says no by answering the client.
 */
#include <inttypes.h>
#include "rate.h"
#include "smtp.h"

static struct pb_table *table_of(struct pb_session *s)
{
	const struct smtp *smtp = pb_session_self(s);

	return smtp->sent;
}

static uint64_t limit_of(const struct conversation *c, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(c->policy, key));
}

static const char *word_of(const struct conversation *c, const char *key)
{
	const char *word = json_string_value(json_object_get(c->policy, key));

	return word ? word : "anyone";
}

static bool refused(struct pb_session *s, const char *line, int *ret_next)
{
	struct conversation *c = pb_session_data(s);

	pb_session_log(s, PB_INFO, "sending.refused", "sender=%s reply=%s", pb_logq(c->env->sender), pb_logq(pb_strz(line)));
	*ret_next = say(s, line);
	return false;
}

static bool failed(struct pb_session *s, const struct pb_error *err, int *ret_next)
{
	*ret_next = say_failure(s, err);
	return false;
}

/* ---- MAIL ---- */

int belongs_to_login(struct pb_session *s, struct pb_str address, struct pb_error *err)
{
	json_t *params = json_object(), *answer = NULL;
	bool allowed;
	int rc;

	json_object_set_new(params, "mailbox", json_stringn(pb_session_user(s)->mailbox.ptr, pb_session_user(s)->mailbox.len));
	json_object_set_new(params, "sender", json_stringn(address.ptr, address.len));
	rc = pb_call(pb_session_host(s), "directory.may_send", params, &answer, err);
	json_decref(params);
	allowed = rc == 0 && json_is_true(json_object_get(answer, "allowed"));
	json_decref(answer);
	if (rc == PB_ENOTFOUND || rc == PB_EINVALID || (!rc && !allowed))
		return pb_fail(err, PB_EDENIED, "the address does not belong to the login");
	return rc;
}

bool allowed_size(struct pb_session *s, uint64_t size, int *ret_next)
{
	struct conversation *c = pb_session_data(s);
	uint64_t max = limit_of(c, "send_max_size");

	if (!max || size <= max)
		return true;
	return refused(s, pb_arena_printf(pb_session_arena(s), "552 5.3.4 message too big: your login may send %" PRIu64 " bytes", max), ret_next);
}

bool allowed_mail(struct pb_session *s, uint64_t size, int *ret_next)
{
	struct conversation *c = pb_session_data(s);
	const struct pb_user *user = pb_session_user(s);
	struct pb_error err = { 0 };
	json_t *params, *mailbox = NULL;
	int rc;

	json_decref(c->policy);
	c->policy = NULL;
	if (!user)
		return true;
	params = json_pack("{s:s%}", "mailbox", user->mailbox.ptr, user->mailbox.len);
	rc = pb_call(pb_session_host(s), "directory.mailbox", params, &mailbox, &err);
	json_decref(params);
	if (rc)
		return failed(s, &err, ret_next);
	c->policy = json_incref(json_object_get(mailbox, "policy"));
	json_decref(mailbox);
	if (!strcmp(word_of(c, "send_to"), "nobody"))
		return refused(s, "550 5.7.1 your login may not send mail", ret_next);
	return allowed_size(s, size, ret_next);
}

/* ---- RCPT ---- */

static bool is_same_office(struct pb_session *s, struct pb_str address, bool *ret, int *ret_next)
{
	struct pb_error err = { 0 };
	json_t *params, *domain = NULL;
	struct pb_str local, name;
	int rc;

	*ret = false;
	if (!pb_address_split(address, &local, &name))
		return true;
	params = json_pack("{s:s%}", "domain", name.ptr, name.len);
	rc = pb_call(pb_session_host(s), "directory.domain", params, &domain, &err);
	json_decref(params);
	*ret = rc == 0 && pb_str_eq(pb_session_user(s)->postoffice, pb_strz(json_string_value(json_object_get(domain, "postoffice"))));
	json_decref(domain);
	return rc == 0 || rc == PB_ENOTFOUND || rc == PB_EINVALID || failed(s, &err, ret_next);
}

static bool allowed_scope(struct pb_session *s, struct pb_str address, bool local, int *ret_next)
{
	struct conversation *c = pb_session_data(s);
	const char *scope = word_of(c, "send_to");
	bool same;

	if (!strcmp(scope, "anyone") || (local && !strcmp(scope, "server")))
		return true;
	if (!strcmp(scope, "postoffice")) {
		if (!is_same_office(s, address, &same, ret_next))
			return false;
		return same || refused(s, "550 5.7.1 your login may send to addresses of its own post office only", ret_next);
	}
	return refused(s, "550 5.7.1 your login may send to addresses of this server only", ret_next);
}

static bool allowed_count(struct pb_session *s, int *ret_next)
{
	struct conversation *c = pb_session_data(s);
	uint64_t max = limit_of(c, "send_max_recipients"), hourly = limit_of(c, "send_per_hour"), sent;
	struct pb_error err = { 0 };

	if (max && c->env->nrcpts >= max)
		return refused(s, pb_arena_printf(pb_session_arena(s), "452 4.5.3 too many recipients: your login may name %" PRIu64 " in a message", max), ret_next);
	if (!hourly)
		return true;
	if (rate_look(table_of(s), pb_session_user(s)->mailbox, pb_now(pb_session_host(s)), &sent, &err))
		return failed(s, &err, ret_next);
	if (sent + c->env->nrcpts < hourly)
		return true;
	return refused(s, pb_arena_printf(pb_session_arena(s), "452 4.7.1 your login may send to %" PRIu64 " recipients within an hour, try again later", hourly), ret_next);
}

bool allowed_rcpt(struct pb_session *s, struct pb_str address, bool local, int *ret_next)
{
	struct conversation *c = pb_session_data(s);

	return !c->policy || (allowed_scope(s, address, local, ret_next) && allowed_count(s, ret_next));
}

bool is_taken_from(struct pb_session *s, const json_t *route, bool *ret, int *ret_next)
{
	struct conversation *c = pb_session_data(s);
	struct pb_str mailbox = pb_session_user(s) ? pb_session_user(s)->mailbox : PB_NOSTR;
	struct pb_error err = { 0 };
	json_t *params, *answer = NULL;
	int rc;

	*ret = true;
	if (!json_is_true(json_object_get(route, "restricted")))
		return true;
	params = json_pack("{s:O, s:s%, s:s%}", "target", json_object_get(route, "target"), "sender", c->env->sender.len ? c->env->sender.ptr : "", c->env->sender.len,
			   "mailbox", mailbox.len ? mailbox.ptr : "", mailbox.len);
	rc = pb_call(pb_session_host(s), "directory.may_receive", params, &answer, &err);
	json_decref(params);
	*ret = rc == 0 && json_is_true(json_object_get(answer, "allowed"));
	json_decref(answer);
	return rc == 0 || failed(s, &err, ret_next);
}

/* ---- the end of the data ---- */

bool allowed_message(struct pb_session *s, int *ret_next)
{
	struct conversation *c = pb_session_data(s);
	uint64_t hourly = limit_of(c, "send_per_hour");
	struct pb_error err = { 0 };
	int rc;

	if (!hourly)
		return true;
	rc = rate_take(table_of(s), pb_session_user(s)->mailbox, pb_now(pb_session_host(s)), c->env->nrcpts, hourly, &err);
	if (rc == PB_EQUOTA)
		return refused(s, pb_arena_printf(pb_session_arena(s), "452 4.7.1 your login may send to %" PRIu64 " recipients within an hour, try again later", hourly),
			       ret_next);
	return rc == 0 || failed(s, &err, ret_next);
}
