/* SPDX-License-Identifier: GPL-3.0-or-later */
/* retrieve add and retrieve set: what an account is. Everything is checked here, so that a run finds nothing but what it can use. */
#include <stdio.h>
#include <postbus/address.h>
#include "popretr.h"

static const char *const secrets[] = { "password", "token", "refresh_token", "client_secret" };

enum { SECRETS = sizeof secrets / sizeof *secrets };

static bool is_text(struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < 32 || s.ptr[i] == 127)
			return false;
	return true;
}

static bool is_id(struct pb_str id)
{
	for (size_t i = 0; i < id.len; i++)
		if (!pb_is_alnum(id.ptr[i]) && !strchr("._-", id.ptr[i]))
			return false;
	return id.len > 0 && id.len <= ID_MAX;
}

static bool is_protocol(const json_t *row, const char *name)
{
	return pb_str_eq(pb_text_of(row, "protocol"), pb_strz(name));
}

static bool is_polling(const json_t *row)
{
	return is_protocol(row, "etrn") || is_protocol(row, "atrn");
}

/* ---- checks ---- */

/* What goes into a line of a protocol must be one. */
static int check_texts(const json_t *row, struct pb_error *err)
{
	static const char *const keys[] = { "user", "host", "remote_folder", "folder", "client_id", "token_url", "pin", "prefix", "mailbox" };

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (!is_text(pb_text_of(row, keys[i])))
			return pb_fail(err, PB_EINVALID, "%s: control characters are no part of it", keys[i]);
	return 0;
}

static int check_pin(const json_t *row, struct pb_error *err)
{
	struct pb_str pin = pb_text_of(row, "pin");
	size_t digits = 0;

	for (; digits < pin.len && (pb_is_digit(pin.ptr[digits]) || (pb_lower(pin.ptr[digits]) >= 'a' && pb_lower(pin.ptr[digits]) <= 'f')); digits++)
		;
	if (pin.len && (pin.len != 64 || digits != 64))
		return pb_fail(err, PB_EINVALID, "pin: the SHA-256 of a certificate or of its key, 64 hexadecimal digits; `retrieve test` tells it");
	if (pin.len && pb_str_eq(pb_text_of(row, "tls"), PB_STR("none")))
		return pb_fail(err, PB_EINVALID, "pin: without TLS there is no certificate");
	return 0;
}

static int check_names(const json_t *row, struct pb_error *err)
{
	const json_t *list = json_object_get(row, "domains"), *one;
	size_t i;

	json_array_foreach(list, i, one)
		if (pb_domain_check(pb_str(json_string_value(one), json_string_length(one)), PB_PATH_UTF8, err))
			return pb_because(err, "domains");
	list = json_object_get(row, "envelope");
	json_array_foreach(list, i, one) {
		struct pb_str name = pb_str(json_string_value(one), json_string_length(one));

		for (size_t k = 0; k < name.len; k++)
			if (name.ptr[k] <= 32 || name.ptr[k] > 126 || name.ptr[k] == ':')
				return pb_fail(err, PB_EINVALID, "envelope: '%.*s' is no name of a field", PB_FMT(name));
	}
	return 0;
}

static int check_protocol(const json_t *row, struct pb_error *err)
{
	if (is_polling(row) && !json_array_size(json_object_get(row, "domains")))
		return pb_fail(err, PB_EINVALID, "domains: %.*s asks for the mail of a domain: say which", PB_FMT(pb_text_of(row, "protocol")));
	if (!is_polling(row) && !pb_text_of(row, "mailbox").len)
		return pb_fail(err, PB_EINVALID, "mailbox: whose mail is it?");
	if (is_set(row, "idle") && !is_protocol(row, "imap"))
		return pb_fail(err, PB_EINVALID, "idle: IMAP alone can tell of new mail");
	if (pb_str_eq(pb_text_of(row, "auth"), PB_STR("apop")) && !is_protocol(row, "pop3"))
		return pb_fail(err, PB_EINVALID, "auth: APOP belongs to POP3");
	if (pb_text_of(row, "refresh_token").len && (!pb_text_of(row, "token_url").len || !pb_text_of(row, "client_id").len))
		return pb_fail(err, PB_EINVALID, "refresh_token: token_url and client_id belong to it");
	if (pb_text_of(row, "token_url").len && !pb_str_starts(pb_text_of(row, "token_url"), PB_STR("https://")))
		return pb_fail(err, PB_EINVALID, "token_url: begins with https://");
	if (!is_protocol(row, "etrn") && !pb_text_of(row, "password").len && !pb_text_of(row, "token").len && !pb_text_of(row, "refresh_token").len)
		return pb_fail(err, PB_EINVALID, "nothing to log in with: --password-stdin, --token-stdin or --refresh-token-stdin");
	return 0;
}

/* The mailbox has to be there now; that it may go later is a run's affair. */
static int check_mailbox(struct retr *r, json_t *row, struct pb_error *err)
{
	struct pb_str to = pb_text_of(row, "mailbox");
	json_t *params, *box = NULL;
	int rc;

	if (is_polling(row))
		return 0;
	params = json_pack("{s:s%}", "address", to.ptr, to.len);
	rc = pb_call(r->host, "directory.mailbox", params, &box, err);
	json_decref(params);
	if (rc)
		return pb_because(err, "mailbox");
	json_object_set(row, "mailbox", json_object_get(box, "address"));
	json_decref(box);
	return 0;
}

static int check(struct retr *r, json_t *row, struct pb_error *err)
{
	int rc = check_texts(row, err);

	if (!rc)
		rc = check_pin(row, err);
	if (!rc)
		rc = check_names(row, err);
	if (!rc)
		rc = check_protocol(row, err);
	return rc ? rc : check_mailbox(r, row, err);
}

/* ---- making ---- */

/* Secrets of params, sealed, into the row. */
static int seal_all(struct retr *r, json_t *row, const json_t *params, struct pb_error *err)
{
	for (size_t i = 0; i < SECRETS; i++) {
		struct pb_str secret = pb_text_of(params, secrets[i]);
		json_t *sealed;

		if (!secret.len)
			continue;
		if (!is_text(secret))
			return pb_fail(err, PB_EINVALID, "%s: control characters are no part of it", secrets[i]);
		sealed = vault_seal(r, pb_text_of(row, "serial"), secrets[i], secret, err);
		if (!sealed)
			return err->code;
		json_object_set_new(row, secrets[i], sealed);
	}
	return 0;
}

/* All that was said, but for secrets and the id. */
static void copy_plain(json_t *row, const json_t *params)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)params, key, value) {
		bool secret = !strcmp(key, "id");

		for (size_t i = 0; i < SECRETS; i++)
			secret |= !strcmp(key, secrets[i]);
		if (!secret)
			json_object_set_new(row, key, json_deep_copy(value));
	}
}

static void name_it(struct retr *r, json_t *row, const json_t *params)
{
	struct pb_str given = pb_text_of(params, "id");
	unsigned char random[SERIAL_LEN / 2];
	PB_AUTOBUF(serial);
	char id[ID_MAX + 1];

	pb_random(random, sizeof random);
	pb_hex_encode(&serial, pb_str((char *)random, sizeof random));
	json_object_set_new(row, "serial", json_string(pb_buf_z(&serial)));
	if (given.len) {
		json_object_set_new(row, "id", json_stringn(given.ptr, given.len));
		return;
	}
	pthread_mutex_lock(&r->lock);
	for (size_t n = r->n + 1;; n++) {
		snprintf(id, sizeof id, "account%zu", n);
		if (!account_find(r, pb_strz(id)))
			break;
	}
	pthread_mutex_unlock(&r->lock);
	json_object_set_new(row, "id", json_string(id));
}

METHOD(retrieve_add)
{
	struct retr *r = self;
	json_t *row = json_object();
	int rc;

	(void)who;
	copy_plain(row, params);
	name_it(r, row, params);
	if (!is_id(pb_text_of(row, "id")))
		rc = pb_fail(err, PB_EINVALID, "id: letters, digits, '.', '_' and '-', at most %d", ID_MAX);
	else
		rc = seal_all(r, row, params, err);
	if (!rc && !pb_text_of(row, "user").len)
		json_object_set(row, "user", json_object_get(row, "mailbox"));
	if (!rc)
		rc = check(r, row, err);
	if (rc) {
		json_decref(row);
		return rc;
	}
	*ret_result = json_pack("{s:O}", "id", json_object_get(row, "id"));
	rc = account_add(r, row, err);
	if (rc) {
		json_decref(*ret_result);
		*ret_result = NULL;
		return rc;
	}
	schedule_tick(r);
	return 0;
}

METHOD(retrieve_set)
{
	struct retr *r = self;
	struct account *a;
	json_t *row, *state;
	int rc;

	(void)who;
	pthread_mutex_lock(&r->lock);
	a = account_find(r, pb_text_of(params, "id"));
	if (a)
		a->refs++;
	pthread_mutex_unlock(&r->lock);
	if (!a)
		return pb_fail(err, PB_ENOTFOUND, "no account '%.*s'", PB_FMT(pb_text_of(params, "id")));
	pthread_mutex_lock(&r->change);
	account_copy(r, a, &row, &state);
	json_decref(state);
	copy_plain(row, params);
	rc = seal_all(r, row, params, err);
	if (!rc)
		rc = check(r, row, err);
	if (rc)
		json_decref(row);
	else
		rc = account_change(r, a, row, err);
	pthread_mutex_unlock(&r->change);
	if (!rc) {
		account_state(r, a, json_pack("{s:i, s:s, s:i}", "failures", 0, "access", "", "slow", 0));
		schedule_changed(r, a);
		*ret_result = json_pack("{s:O}", "id", json_object_get(params, "id"));
	}
	account_put(r, a);
	return rc;
}
