/* SPDX-License-Identifier: GPL-3.0-or-later */
/* retrieve run, pause, test and delete. */
#include <stdio.h>
#include "popretr.h"

static struct account *find(struct retr *r, const json_t *params, struct pb_error *err)
{
	struct account *a;

	pthread_mutex_lock(&r->lock);
	a = account_find(r, pb_text_of(params, "id"));
	if (a)
		a->refs++;
	pthread_mutex_unlock(&r->lock);
	if (!a)
		pb_fail(err, PB_ENOTFOUND, "no account '%.*s'", PB_FMT(pb_text_of(params, "id")));
	return a;
}

/* What came since the question was asked: of the run that went on then, too. */
METHOD(retrieve_run)
{
	static const char *const sums[] = { "messages", "bytes", "removed" };
	struct retr *r = self;
	struct account *a = find(r, params, err);
	json_t *row, *before, *after;
	int rc;

	(void)who;
	if (!a)
		return err->code;
	account_copy(r, a, &row, &before);
	json_decref(row);
	rc = schedule_run(r, pb_text_of(params, "id"), number_of_key(params, "wait") * PB_SECOND, err);
	if (!rc && number_of_key(params, "wait")) {
		account_copy(r, a, &row, &after);
		*ret_result = json_pack("{s:s%}", "error", pb_text_of(after, "error").len ? pb_text_of(after, "error").ptr : "", pb_text_of(after, "error").len);
		for (size_t i = 0; i < 3; i++)
			json_object_set_new(*ret_result, sums[i], json_integer(number_of_key(after, sums[i]) - number_of_key(before, sums[i])));
		json_decref(row);
		json_decref(after);
	}
	json_decref(before);
	account_put(r, a);
	return rc;
}

static int set_paused(struct retr *r, const json_t *params, bool paused, struct pb_error *err)
{
	struct account *a = find(r, params, err);
	json_t *row, *state;
	int rc;

	if (!a)
		return err->code;
	pthread_mutex_lock(&r->change);
	account_copy(r, a, &row, &state);
	json_decref(state);
	json_object_set_new(row, "paused", json_boolean(paused));
	rc = account_change(r, a, row, err);
	pthread_mutex_unlock(&r->change);
	account_put(r, a);
	return rc;
}

METHOD(retrieve_pause)
{
	(void)who;
	(void)ret_result;
	return set_paused(self, params, true, err);
}

METHOD(retrieve_resume)
{
	(void)who;
	(void)ret_result;
	return set_paused(self, params, false, err);
}

/* Everything up to the list, and nothing is fetched. */
METHOD(retrieve_test)
{
	struct retr *r = self;
	struct run run = { .r = r, .a = find(r, params, err), .deadline = pb_ticks(r->host) + pb_config_int(r->host, "run_max") * PB_SECOND };
	struct listing listing = { 0 };
	struct testing testing;
	bool has_place = false;
	uint64_t bytes = 0;
	int rc;

	(void)who;
	if (!run.a)
		return err->code;
	account_copy(r, run.a, &run.row, &run.state);
	run.delta = json_object();
	rc = schedule_test_begin(r, &testing, pb_text_of(run.row, "host"), err);
	if (!rc) {
		rc = run_test(&run, &listing, err);
		has_place = true;
	}
	for (size_t i = 0; i < listing.n; i++)
		bytes += listing.list[i].size;
	if (!rc)
		*ret_result = json_pack("{s:s, s:s%, s:s, s:I, s:I, s:b, s:b, s:s, s:s}", "address", run.address, "tls", pb_link_tls_info(run.link).ptr ? pb_link_tls_info(run.link).ptr : "",
					pb_link_tls_info(run.link).len, "login", run.method, "messages", (json_int_t)listing.n, "bytes",
					(json_int_t)bytes, "ids", listing.has_uids, "pipelining", run.remote && run.remote->ahead > 1, "pin", run.pins[1], "certificate", run.pins[0]);
	connect_close(&run);
	if (has_place)
		schedule_test_end(r, &testing);
	listing_free(&listing);
	json_decref(run.delta);
	json_decref(run.row);
	json_decref(run.state);
	account_put(r, run.a);
	return rc;
}

METHOD(retrieve_delete)
{
	struct retr *r = self;

	(void)who;
	(void)ret_result;
	return account_delete(r, pb_text_of(params, "id"), err);
}
