/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Access tokens (RFC 6749 6): the refresh token gives one, which is kept, sealed, until it is over. A server that gives another refresh token with it has made the
 * old one worthless: the new one is durable before the access token is used.
 */
#include <stdio.h>
#include <stdlib.h>
#include "http.h"
#include "popretr.h"

/* So many seconds before its end a token is not begun with any more. */
enum { MARGIN = 60, LIFE = 3600 };

static int unseal(struct run *run, const char *field, struct pb_buf *out, struct pb_error *err)
{
	struct pb_str sealed = pb_text_of(run->row, field);

	return sealed.len ? vault_unseal(run->r, pb_strz(run->a->serial), field, sealed, out, err) : 0;
}

static void wipe(struct pb_buf *b)
{
	pb_wipe(b->ptr, b->len);
	pb_buf_free(b);
}

static int make_form(struct run *run, struct pb_buf *form, struct pb_error *err)
{
	struct pb_buf refresh = PB_BUF, secret = PB_BUF;
	int rc = unseal(run, "refresh_token", &refresh, err);

	if (!rc)
		rc = unseal(run, "client_secret", &secret, err);
	if (!rc && !refresh.len)
		rc = pb_fail(err, PB_EDENIED, "there is no refresh token, and the access token is over");
	if (!rc) {
		http_form(form, "grant_type", PB_STR("refresh_token"));
		http_form(form, "refresh_token", pb_buf_str(&refresh));
		http_form(form, "client_id", pb_text_of(run->row, "client_id"));
		if (secret.len)
			http_form(form, "client_secret", pb_buf_str(&secret));
	}
	wipe(&refresh);
	wipe(&secret);
	return rc;
}

/* ---- the question ---- */

static int read_link(void *arg, char *ptr, size_t max, size_t *ret_n, struct pb_error *err)
{
	return pb_link_read(arg, ptr, max, ret_n, err);
}

static void write_link(void *arg, const void *ptr, size_t len)
{
	pb_link_put(arg, ptr, len);
}

/* The endpoint has a name and a certificate of its own: the pin of the mail server is not its. */
static int post(struct run *run, struct pb_str form, unsigned *ret_status, struct pb_buf *answer, struct pb_error *err)
{
	struct channel c = { .read = read_link, .write = write_link };
	struct http_url url;
	int rc = http_url_parse(pb_text_of(run->row, "token_url"), &url, err);

	if (!rc)
		rc = connect_link(run, url.host, url.port, false, err);
	if (!rc)
		rc = pb_link_starttls(run->link, url.host, PB_TLS_PKIX, pb_text_of(run->row, "token_ca"), err);
	if (!rc) {
		channel_init(&c);
		c.arg = run->link;
		rc = http_post(&c, &url, form, ret_status, answer, err);
		channel_free(&c);
	}
	pb_link_close(run->link);
	run->link = NULL;
	return rc;
}

/* ---- the answer ---- */

static int keep_refresh(struct run *run, struct pb_str refresh, struct pb_error *err)
{
	json_t *sealed = vault_seal(run->r, pb_strz(run->a->serial), "refresh_token", refresh, err), *row, *state;
	int rc;

	if (!sealed)
		return err->code;
	json_object_set(run->row, "refresh_token", sealed);
	pthread_mutex_lock(&run->r->change);
	account_copy(run->r, run->a, &row, &state);
	json_decref(state);
	json_object_set_new(row, "refresh_token", sealed);
	rc = account_change(run->r, run->a, row, err);
	pthread_mutex_unlock(&run->r->change);
	return rc;
}

static int take_answer(struct run *run, const json_t *answer, struct pb_error *err)
{
	struct pb_str access = pb_text_of(answer, "access_token"), refresh = pb_text_of(answer, "refresh_token");
	int64_t life = json_is_integer(json_object_get(answer, "expires_in")) ? number_of_key(answer, "expires_in") : LIFE;
	json_t *sealed;
	int rc;

	if (!access.len)
		return pb_fail(err, PB_EINVALID, "there is no access_token in the answer");
	rc = refresh.len ? keep_refresh(run, refresh, err) : 0;
	if (rc)
		return rc;
	sealed = vault_seal(run->r, pb_strz(run->a->serial), "access", access, NULL);
	account_state(run->r, run->a, json_pack("{s:o, s:I}", "access", sealed ? sealed : json_string(""), "access_until",
						(json_int_t)(pb_now(run->r->host) / PB_SECOND + (life < 0 || life > 86400 * 365 ? LIFE : life))));
	pb_buf_addstr(&run->token, access);
	return 0;
}

static int refresh(struct run *run, struct pb_error *err)
{
	struct pb_buf form = PB_BUF, body = PB_BUF;
	json_t *answer = NULL;
	unsigned status = 0;
	char said[80];
	int rc = make_form(run, &form, err);

	if (!rc)
		rc = post(run, pb_buf_str(&form), &status, &body, err);
	if (!rc) {
		answer = json_loadb(body.ptr ? body.ptr : "", body.len, 0, NULL);
		keep_words(said, sizeof said, pb_text_of(answer, "error"));
		if (status >= 500 || status == 429)
			rc = pb_fail(err, PB_EUNAVAILABLE, "the answer is %u", status);
		else if (status != 200)
			rc = pb_fail(err, PB_EDENIED, "the answer is %u %s", status, said);
		else
			rc = take_answer(run, answer, err);
	}
	json_decref(answer);
	wipe(&form);
	wipe(&body);
	return rc ? pb_because(err, "a token from %.*s", PB_FMT(pb_str_head(pb_text_of(run->row, "token_url"), 80))) : 0;
}

int oauth_token(struct run *run, bool fresh, struct pb_error *err)
{
	struct pb_str kept = pb_text_of(run->state, "access");

	if (!pb_text_of(run->row, "token_url").len)
		return unseal(run, "token", &run->token, err);
	if (!fresh && kept.len && number_of_key(run->state, "access_until") > pb_now(run->r->host) / PB_SECOND + MARGIN &&
	    !vault_unseal(run->r, pb_strz(run->a->serial), "access", kept, &run->token, NULL))
		return 0;
	pb_buf_reset(&run->token);
	return refresh(run, err);
}
