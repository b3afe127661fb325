/* SPDX-License-Identifier: GPL-3.0-or-later */
/* retrieve list and retrieve show: what accounts are and how they fare. Secrets are in no answer; that there is one is. */
#include <stdlib.h>
#include "popretr.h"

static const char *state_of(const struct account *a)
{
	if (a->running)
		return "running";
	if (is_set(a->row, "paused"))
		return "paused";
	return number_of_key(a->state, "failures") ? "failing" : "waiting";
}

/* Seconds since 1970, as administrators get them. */
static json_t *seconds(int64_t moment)
{
	return json_integer(moment == INT64_MAX ? 0 : moment / PB_SECOND);
}

/* With the lock held. */
static json_t *summary(const struct account *a)
{
	static const char *const plain[] = { "mailbox", "protocol", "host", "user" }, *const counts[] = { "failures", "messages", "bytes", "last_messages" };
	json_t *o = json_pack("{s:s, s:s}", "id", a->id, "state", state_of(a));

	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
		json_object_set_new(o, plain[i], json_object_get(a->row, plain[i]) ? json_deep_copy(json_object_get(a->row, plain[i])) : json_string(""));
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		json_object_set_new(o, counts[i], json_integer(number_of_key(a->state, counts[i])));
	json_object_set_new(o, "last_run", seconds(number_of_key(a->state, "last_run")));
	json_object_set_new(o, "next_run", seconds(is_set(a->row, "paused") ? 0 : a->due));
	json_object_set_new(o, "error", json_stringn(pb_text_of(a->state, "error").len ? pb_text_of(a->state, "error").ptr : "", pb_text_of(a->state, "error").len));
	return o;
}

METHOD(retrieve_list)
{
	struct retr *r = self;
	struct pb_str mailbox = pb_text_of(params, "mailbox"), host = pb_text_of(params, "host");
	json_t *list = json_array();

	(void)who;
	(void)err;
	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->n; i++) {
		const struct account *a = r->list[i];

		if ((!mailbox.len || pb_str_ieq(pb_text_of(a->row, "mailbox"), mailbox)) && (!host.len || pb_str_ieq(pb_text_of(a->row, "host"), host)))
			json_array_append_new(list, summary(a));
	}
	pthread_mutex_unlock(&r->lock);
	*ret_result = json_pack("{s:o}", "accounts", list);
	return 0;
}

/* ---- one of them ---- */

static json_t *settings(const json_t *row)
{
	static const char *const secrets[] = { "password", "token", "refresh_token", "client_secret" };
	json_t *o = json_deep_copy(row);

	json_object_del(o, "serial");
	json_object_del(o, "id");
	for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
		if (json_object_get(o, secrets[i]))
			json_object_set_new(o, secrets[i], json_string("(set)"));
	return o;
}

static int add_failed(struct retr *r, const char *serial, json_t *o, struct pb_error *err)
{
	json_t *all = NULL, *list, *row;
	const char *key;
	int rc = failed_load(r, serial, &all, err);

	if (rc)
		return rc;
	list = json_array();
	json_object_foreach(all, key, row) {
		json_t *one = json_deep_copy(row);

		json_object_set_new(one, "time", seconds(number_of_key(row, "time")));
		json_array_append_new(list, one);
	}
	json_object_set_new(o, "undelivered", list);
	json_decref(all);
	return 0;
}

METHOD(retrieve_show)
{
	struct retr *r = self;
	char serial[SERIAL_LEN + 1];
	struct account *a;
	json_t *o = NULL;
	int rc;

	(void)who;
	pthread_mutex_lock(&r->lock);
	a = account_find(r, pb_text_of(params, "id"));
	if (a) {
		o = summary(a);
		json_object_set_new(o, "settings", settings(a->row));
		json_object_set_new(o, "last_success", seconds(number_of_key(a->state, "last_success")));
		json_object_set_new(o, "last_bytes", json_integer(number_of_key(a->state, "last_bytes")));
		json_object_set_new(o, "last_removed", json_integer(number_of_key(a->state, "last_removed")));
		memcpy(serial, a->serial, sizeof serial);
	}
	pthread_mutex_unlock(&r->lock);
	if (!o)
		return pb_fail(err, PB_ENOTFOUND, "no account '%.*s'", PB_FMT(pb_text_of(params, "id")));
	rc = add_failed(r, serial, o, err);
	if (rc) {
		json_decref(o);
		return rc;
	}
	*ret_result = o;
	return 0;
}
