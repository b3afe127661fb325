/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * auth.scram and auth.scram_verify: SCRAM-SHA-256 (RFC 5802, 7677) as far as keys are needed, which never leave the directory. Whoever cannot log in has a salt
 * too, always the same, and keys that no password has. The messages are postbus/sasl.h's.
 */
#include <stdlib.h>
#include <gnutls/crypto.h>
#include <postbus/secret.h>
#include "directory.h"

enum { SALT = 16, KEY = 32 };

#define SECRET_ROW "k/scram"

static void hmac(const void *key, struct pb_str text, unsigned char *out)
{
	if (gnutls_hmac_fast(GNUTLS_MAC_SHA256, key, KEY, text.ptr, text.len, out) < 0)
		abort();	/* SHA-256 cannot be missing */
}

/* Kept, for a salt that is another one after each restart would be nobody's. */
int scram_start(struct directory *d, struct pb_error *err)
{
	struct pb_change made[] = {
		{ PB_ABSENT, PB_STR(SECRET_ROW), PB_NOSTR },
		{ PB_PUT, PB_STR(SECRET_ROW), PB_NOSTR },
	};
	PB_AUTOBUF(value);
	int rc = pb_table_get(d->table, PB_STR(SECRET_ROW), &value, err);

	if (rc == PB_ENOTFOUND) {
		pb_random(d->scram_secret, sizeof d->scram_secret);
		made[1].value = pb_str((const char *)d->scram_secret, sizeof d->scram_secret);
		return pb_table_apply(d->table, made, 2, err);
	}
	if (!rc && value.len != sizeof d->scram_secret)
		rc = pb_fail(err, PB_ECORRUPT, "the row %s has %zu bytes, not %zu", SECRET_ROW, value.len, sizeof d->scram_secret);
	if (!rc)
		memcpy(d->scram_secret, value.ptr, value.len);
	pb_wipe(value.ptr, value.len);
	return rc;
}

void scram_nobody(const unsigned char *secret, struct pb_str login, unsigned char *ret)
{
	struct name n;

	/* One name in two spellings has one salt, as if it were somebody's. */
	hmac(secret, name_parse(&n, login, NULL) ? login : n.key, ret);
}

bool scram_proves(const unsigned char *stored, const unsigned char *server, struct pb_str message, struct pb_str proof, unsigned char *ret_signature)
{
	unsigned char client[KEY], hashed[KEY];
	bool same;

	hmac(stored, message, client);
	for (size_t i = 0; i < KEY; i++)
		client[i] ^= (unsigned char)proof.ptr[i];
	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, client, KEY, hashed) < 0)
		abort();
	same = pb_str_eq_secret(pb_str((char *)hashed, KEY), pb_str((const char *)stored, KEY));
	hmac(server, message, ret_signature);
	pb_wipe(client, sizeof client);
	return same;
}

METHOD(auth_scram)
{
	struct directory *d = self;
	unsigned char nobody[KEY];
	const json_t *keys;
	ROW(mailbox);
	ROW(stored);
	PB_AUTOBUF(full);
	PB_AUTOBUF(salt);
	int rc;

	(void)who;
	login_name(d, params, &full);
	rc = find_credential(d, pb_buf_str(&full), pb_text_of(params, "service"), &mailbox, &stored, err);
	if (rc)
		return rc;
	scram_nobody(d->scram_secret, pb_buf_str(&full), nobody);
	pb_base64_encode(&salt, pb_str((char *)nobody, SALT));
	keys = mailbox && stored->value ? json_object_get(stored->value, "scram_sha_256") : NULL;
	*ret_result = json_object();
	set_text(*ret_result, "salt", keys ? pb_text_of(keys, "salt") : pb_buf_str(&salt));
	set_number(*ret_result, "iterations", keys ? number_of(keys, "iterations") : pb_config_int(d->host, "scram_iterations"));
	return 0;
}

static bool read_key(const json_t *keys, const char *name, unsigned char *ret)
{
	PB_AUTOBUF(key);
	bool good = pb_base64_decode(&key, pb_text_of(keys, name)) == 0 && key.len == KEY;

	if (good)
		memcpy(ret, key.ptr, KEY);
	if (key.ptr)
		pb_wipe(key.ptr, key.len);
	return good;
}

METHOD(auth_scram_verify)
{
	struct directory *d = self;
	unsigned char stored_key[KEY], server_key[KEY], signature[KEY];
	bool right;
	ROW(mailbox);
	ROW(stored);
	PB_AUTOBUF(full);
	PB_AUTOBUF(text);
	PB_AUTOBUF(proof);
	int rc;

	(void)who;
	if (pb_base64_decode(&proof, pb_text_of(params, "proof")) || proof.len != KEY)
		return pb_fail(err, PB_EINVALID, "proof: %d bytes in base64 are expected", KEY);
	login_name(d, params, &full);
	rc = find_credential(d, pb_buf_str(&full), pb_text_of(params, "service"), &mailbox, &stored, err);
	if (rc)
		return rc;
	right = mailbox && stored->value && read_key(json_object_get(stored->value, "scram_sha_256"), "stored_key", stored_key) &&
		read_key(json_object_get(stored->value, "scram_sha_256"), "server_key", server_key);
	if (!right) {
		pb_random(stored_key, sizeof stored_key);
		memcpy(server_key, stored_key, sizeof server_key);
	}
	right = scram_proves(stored_key, server_key, pb_text_of(params, "message"), pb_buf_str(&proof), signature) && right;
	pb_wipe(stored_key, sizeof stored_key);
	pb_wipe(server_key, sizeof server_key);
	if (!right)
		return login_refused(d, params, err);
	if (!flag_of(params, "again"))
		pb_count(d->host, "logins", 1);
	pb_base64_encode(&text, pb_str((char *)signature, sizeof signature));
	*ret_result = login_answer(mailbox->value);
	set_text(*ret_result, "signature", pb_buf_str(&text));
	return 0;
}
