/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tokens, and the table of requests that wait until somebody sends his back. */
#include <gnutls/crypto.h>
#include <postbus/secret.h>
#include "serve.h"

enum { SECRET = 32, DIGEST = 32, KEEP_DAYS = 3 };

/* The server's own secret, made when it is first needed. */
static int secret(struct lists *all, struct pb_buf *out, struct pb_error *err)
{
	unsigned char random[SECRET];
	struct pb_str key = PB_STR("secret"), value = pb_str((char *)random, sizeof random);
	int rc = pb_table_get(all->pending, key, out, err);

	if (rc != PB_ENOTFOUND)
		return rc;
	pb_random(random, sizeof random);
	rc = pb_table_apply(all->pending, (struct pb_change[]){ { PB_ABSENT, key, PB_NOSTR }, { PB_PUT, key, value } }, 2, err);
	pb_wipe(random, sizeof random);
	return rc && rc != PB_ECONFLICT ? rc : pb_table_get(all->pending, key, out, err);
}

int token_make(struct lists *all, const struct pb_str *words, size_t n, struct pb_buf *out, struct pb_error *err)
{
	unsigned char digest[DIGEST];
	PB_AUTOBUF(key);
	PB_AUTOBUF(text);
	int rc = secret(all, &key, err);

	if (rc)
		return rc;
	for (size_t i = 0; i < n; i++) {	/* a length before each, so that words cannot run into each other */
		pb_buf_addf(&text, "%zu:", words[i].len);
		pb_buf_addstr(&text, words[i]);
	}
	if (gnutls_hmac_fast(GNUTLS_MAC_SHA256, key.ptr, key.len, text.ptr, text.len, digest))
		rc = pb_fail(err, PB_EINTERNAL, "no HMAC");
	else
		pb_hex_encode(out, pb_str((char *)digest, TOKEN_LEN / 2));
	pb_wipe(key.ptr, key.len);
	return rc;
}

bool token_is(struct pb_str word)
{
	for (size_t i = 0; i < word.len; i++)
		if (!pb_is_digit(word.ptr[i]) && (pb_lower(word.ptr[i]) < 'a' || pb_lower(word.ptr[i]) > 'f'))
			return false;
	return word.len == TOKEN_LEN;
}

/* ---- what waits ---- */

static void key_of(struct pb_buf *key, const struct list *l, struct pb_str token)
{
	pb_buf_addf(key, "t/%.*s/", PB_FMT(l->id));
	for (size_t i = 0; i < token.len && i < TOKEN_LEN; i++)
		pb_buf_addc(key, (char)pb_lower(token.ptr[i]));
}

static int put(struct lists *all, const struct list *l, struct pb_str token, const json_t *row, struct pb_error *err)
{
	char *text = json_dumps(row, JSON_COMPACT);
	PB_AUTOBUF(key);
	int rc;

	key_of(&key, l, token);
	rc = text ? pb_table_apply(all->pending, &(struct pb_change){ PB_PUT, pb_buf_str(&key), pb_strz(text) }, 1, err) : pb_fail(err, PB_EINVALID, "a request that is no JSON");
	free(text);
	return rc;
}

int pending_put(struct lists *all, const struct list *l, struct pb_str token, const json_t *row, struct pb_error *err)
{
	json_t *kept = json_deep_copy(row);
	int rc;

	json_object_set_new(kept, "expires", json_integer((json_int_t)(pb_now(all->host) + KEEP_DAYS * PB_DAY)));
	rc = put(all, l, token, kept, err);
	json_decref(kept);
	return rc;
}

int pending_get(struct lists *all, const struct list *l, struct pb_str token, json_t **ret_row, struct pb_error *err)
{
	PB_AUTOBUF(key);
	PB_AUTOBUF(value);
	int rc;

	if (!token_is(token))
		return pb_fail(err, PB_ENOTFOUND, "this is no token");
	key_of(&key, l, token);
	rc = pb_table_get(all->pending, pb_buf_str(&key), &value, err);
	if (rc)
		return rc;
	*ret_row = json_loadb(value.ptr, value.len, 0, NULL);
	if (*ret_row && number_of(*ret_row, "expires") > pb_now(all->host))
		return 0;
	json_decref(*ret_row);
	*ret_row = NULL;
	return pb_fail(err, PB_ENOTFOUND, "the time of this token is over");
}

int pending_done(struct lists *all, const struct list *l, struct pb_str token, json_t *row, struct pb_str by, struct pb_error *err)
{
	set_text(row, "done", by);
	return put(all, l, token, row, err);
}

/* ---- what is past ---- */

struct sweep {
	struct pb_arena *arena;
	struct pb_change changes[1000];
	size_t n, seen;
	int64_t now;
	struct pb_buf from;
};

static bool look(void *arg, struct pb_str key, struct pb_str value)
{
	struct sweep *s = arg;
	json_t *row = json_loadb(value.ptr, value.len, 0, NULL);

	s->seen++;
	if (number_of(row, "expires") <= s->now)
		s->changes[s->n++] = (struct pb_change){ PB_DELETE, pb_arena_str(s->arena, key), PB_NOSTR };
	json_decref(row);
	pb_buf_reset(&s->from);
	pb_buf_addstr(&s->from, key);
	pb_buf_addc(&s->from, '\0');
	return true;
}

int pending_tick(struct lists *all, struct pb_error *err)
{
	struct sweep *s = pb_alloc(sizeof *s);
	int rc;

	s->arena = pb_arena_new();
	s->now = pb_now(all->host);
	pb_buf_addz(&s->from, "t/");
	do {
		s->n = s->seen = 0;
		rc = pb_table_scan(all->pending, pb_buf_str(&s->from), PB_STR("t0"), 0, look, s, err);
		if (!rc && s->n)
			rc = pb_table_apply(all->pending, s->changes, s->n, err);
		pb_arena_reset(s->arena);
	} while (!rc && s->seen);
	pb_buf_free(&s->from);
	pb_arena_free(s->arena);
	free(s);
	return rc ? rc : pb_table_forget(all->counted, pb_now(all->host), err);
}
