/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The client's side of SASL mechanisms. */
#include <stdio.h>
#include <stdlib.h>
#include <gnutls/crypto.h>
#include "sasl.h"

enum { NONCE_BYTES = 18, ITERATIONS_MAX = 1000000, HASH_MAX = 32 };

struct sasl {
	const char *mechanism;
	const struct login *login;
	gnutls_mac_algorithm_t mac;	/* SCRAM */
	size_t hash_len;
	char nonce[64];
	unsigned step;
	bool proved;			/* the server has shown that it knows the password */
	struct pb_buf first_bare;	/* client-first-message-bare */
	unsigned char server_signature[HASH_MAX];
};

struct sasl *sasl_new(const char *mechanism, const struct login *login)
{
	struct sasl *s = pb_alloc(sizeof *s);
	unsigned char bytes[NONCE_BYTES];
	PB_AUTOBUF(nonce);

	s->mechanism = mechanism;
	s->login = login;
	s->mac = strcmp(mechanism, "SCRAM-SHA-1") ? GNUTLS_MAC_SHA256 : GNUTLS_MAC_SHA1;
	s->hash_len = gnutls_hmac_get_len(s->mac);
	pb_random(bytes, sizeof bytes);
	pb_base64_encode(&nonce, pb_str((char *)bytes, sizeof bytes));
	snprintf(s->nonce, sizeof s->nonce, "%s", pb_buf_z(&nonce));
	return s;
}

void sasl_nonce(struct sasl *s, const char *nonce)
{
	snprintf(s->nonce, sizeof s->nonce, "%s", nonce);
}

void sasl_free(struct sasl *s)
{
	if (!s)
		return;
	pb_buf_free(&s->first_bare);
	pb_wipe(s, sizeof *s);
	free(s);
}

static bool is_scram(const struct sasl *s)
{
	return pb_str_starts(pb_strz(s->mechanism), PB_STR("SCRAM-"));
}

static void encode(struct pb_buf *out, struct pb_buf *plain)
{
	pb_base64_encode(out, pb_buf_str(plain));
	pb_wipe(plain->ptr, plain->len);
}

/* RFC 5801 4: saslname. */
static void add_name(struct pb_buf *out, struct pb_str name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] == ',' || name.ptr[i] == '=')
			pb_buf_addz(out, name.ptr[i] == ',' ? "=2C" : "=3D");
		else
			pb_buf_addc(out, name.ptr[i]);
}

/* ---- tokens ---- */

static void bearer(const struct sasl *s, struct pb_buf *plain)
{
	const struct login *l = s->login;

	if (!strcmp(s->mechanism, "XOAUTH2")) {
		pb_buf_addf(plain, "user=%.*s\001auth=Bearer ", PB_FMT(l->user));
	} else {
		pb_buf_addz(plain, "n,a=");
		add_name(plain, l->user);
		pb_buf_addf(plain, ",\001host=%.*s\001port=%u\001auth=Bearer ", PB_FMT(l->host), l->port);
	}
	pb_buf_addstr(plain, l->token);
	pb_buf_add(plain, "\001\001", 2);
}

/* RFC 7628 3.2.3: a challenge is a failure in JSON; it is acknowledged, and then the server fails. */
static int bearer_failed(struct sasl *s, struct pb_str challenge, struct pb_buf *out, struct pb_error *err)
{
	PB_AUTOBUF(json);

	if (s->step++)
		return pb_fail(err, PB_EDENIED, "the token is not taken");
	pb_base64_decode(&json, challenge);
	if (!strcmp(s->mechanism, "OAUTHBEARER"))
		pb_base64_encode(out, PB_STR("\001"));
	return 0;
}

/* ---- SCRAM ---- */

static bool attribute(struct pb_str *rest, char name, struct pb_str *ret)
{
	struct pb_str part;

	if (!pb_str_cut(rest, ',', &part) || part.len < 2 || part.ptr[0] != name || part.ptr[1] != '=')
		return false;
	*ret = pb_str_skip(part, 2);
	return true;
}

static void keyed(const struct sasl *s, const void *key, struct pb_str text, unsigned char *out)
{
	if (gnutls_hmac_fast(s->mac, key, s->hash_len, text.ptr, text.len, out) < 0)
		pb_random(out, s->hash_len);	/* then nothing will match */
}

/* RFC 5802 3. */
static void prove(struct sasl *s, const unsigned char *salted, struct pb_str auth_message, unsigned char *proof)
{
	unsigned char client_key[HASH_MAX], stored[HASH_MAX], signature[HASH_MAX], server_key[HASH_MAX];

	keyed(s, salted, PB_STR("Client Key"), client_key);
	if (gnutls_hash_fast((gnutls_digest_algorithm_t)s->mac, client_key, s->hash_len, stored) < 0)
		pb_random(stored, s->hash_len);
	keyed(s, stored, auth_message, signature);
	for (size_t i = 0; i < s->hash_len; i++)
		proof[i] = client_key[i] ^ signature[i];
	keyed(s, salted, PB_STR("Server Key"), server_key);
	keyed(s, server_key, auth_message, s->server_signature);
	pb_wipe(client_key, sizeof client_key);
}

static int salted_password(const struct sasl *s, struct pb_str salt, uint64_t iterations, unsigned char *out, struct pb_error *err)
{
	gnutls_datum_t key = { (unsigned char *)(uintptr_t)s->login->password.ptr, (unsigned)s->login->password.len };
	gnutls_datum_t salt_datum = { (unsigned char *)(uintptr_t)salt.ptr, (unsigned)salt.len };

	if (gnutls_pbkdf2(s->mac, &key, &salt_datum, (unsigned)iterations, out, s->hash_len) < 0)
		return pb_fail(err, PB_EINTERNAL, "the key cannot be derived");
	return 0;
}

static int scram_answer(struct sasl *s, struct pb_str server_first, struct pb_buf *plain, struct pb_error *err)
{
	struct pb_str rest = server_first, nonce, salt64, count;
	unsigned char salted[HASH_MAX], proof[HASH_MAX];
	uint64_t iterations;
	PB_AUTOBUF(salt);
	PB_AUTOBUF(message);
	int rc;

	if (!attribute(&rest, 'r', &nonce) || !attribute(&rest, 's', &salt64) || !attribute(&rest, 'i', &count) || pb_base64_decode(&salt, salt64) ||
	    pb_str_u64(count, ITERATIONS_MAX, &iterations) || !iterations || !salt.len)
		return pb_fail(err, PB_EINVALID, "the server's challenge is no SCRAM challenge");
	if (nonce.len <= strlen(s->nonce) || !pb_str_starts(nonce, pb_strz(s->nonce)))
		return pb_fail(err, PB_EDENIED, "the server's challenge is not for us");
	rc = salted_password(s, pb_buf_str(&salt), iterations, salted, err);
	if (rc)
		return rc;
	pb_buf_addf(plain, "c=biws,r=%.*s", PB_FMT(nonce));
	pb_buf_addstr(&message, pb_buf_str(&s->first_bare));
	pb_buf_addc(&message, ',');
	pb_buf_addstr(&message, server_first);
	pb_buf_addc(&message, ',');
	pb_buf_addstr(&message, pb_buf_str(plain));
	prove(s, salted, pb_buf_str(&message), proof);
	pb_wipe(salted, sizeof salted);
	pb_buf_addz(plain, ",p=");
	pb_base64_encode(plain, pb_str((char *)proof, s->hash_len));
	return 0;
}

static int scram_check(struct sasl *s, struct pb_str server_final, struct pb_error *err)
{
	struct pb_str rest = server_final, verifier;
	PB_AUTOBUF(signature);

	if (pb_str_starts(server_final, PB_STR("e=")))
		return pb_fail(err, PB_EDENIED, "the server says: %.*s", PB_FMT(pb_str_head(server_final, 80)));
	if (!attribute(&rest, 'v', &verifier) || pb_base64_decode(&signature, verifier) ||
	    !pb_str_eq_secret(pb_buf_str(&signature), pb_str((char *)s->server_signature, s->hash_len)))
		return pb_fail(err, PB_EDENIED, "the server cannot prove that it knows the password");
	s->proved = true;
	return 0;
}

static int scram_next(struct sasl *s, struct pb_str challenge, struct pb_buf *out, struct pb_error *err)
{
	PB_AUTOBUF(text);
	PB_AUTOBUF(plain);
	int rc;

	if (pb_base64_decode(&text, challenge))
		return pb_fail(err, PB_EINVALID, "the server's challenge is no base64");
	switch (s->step++) {
	case 0:
		rc = scram_answer(s, pb_buf_str(&text), &plain, err);
		break;
	case 1:
		rc = scram_check(s, pb_buf_str(&text), err);
		break;
	default:
		return pb_fail(err, PB_EINVALID, "the server asks once more than SCRAM has questions");
	}
	if (!rc)
		encode(out, &plain);
	return rc;
}

/* ---- all of them ---- */

int sasl_first(struct sasl *s, struct pb_buf *out, struct pb_error *err)
{
	const struct login *l = s->login;
	PB_AUTOBUF(plain);

	if (!strcmp(s->mechanism, "PLAIN")) {
		pb_buf_addc(&plain, '\0');
		pb_buf_addstr(&plain, l->user);
		pb_buf_addc(&plain, '\0');
		pb_buf_addstr(&plain, l->password);
	} else if (is_scram(s)) {
		pb_buf_addz(&s->first_bare, "n=");
		add_name(&s->first_bare, l->user);
		pb_buf_addf(&s->first_bare, ",r=%s", s->nonce);
		pb_buf_addz(&plain, "n,,");
		pb_buf_addstr(&plain, pb_buf_str(&s->first_bare));
	} else if (!l->token.len) {
		return pb_fail(err, PB_EDENIED, "there is no token for %s", s->mechanism);
	} else {
		bearer(s, &plain);
	}
	encode(out, &plain);
	return 0;
}

int sasl_next(struct sasl *s, struct pb_str challenge, struct pb_buf *out, struct pb_error *err)
{
	if (is_scram(s))
		return scram_next(s, challenge, out, err);
	if (!strcmp(s->mechanism, "PLAIN"))
		return pb_fail(err, PB_EINVALID, "the server asks for more than PLAIN has");
	return bearer_failed(s, challenge, out, err);
}

int sasl_done(const struct sasl *s, struct pb_error *err)
{
	if (is_scram(s) && !s->proved)
		return pb_fail(err, PB_EDENIED, "the server lets us in without a proof that it knows the password");
	return 0;
}

void apop_digest(struct pb_str stamp, struct pb_str password, char *out)
{
	unsigned char md5[16] = { 0 };
	PB_AUTOBUF(both);
	PB_AUTOBUF(hex);

	pb_buf_addstr(&both, stamp);
	pb_buf_addstr(&both, password);
	gnutls_hash_fast(GNUTLS_DIG_MD5, both.ptr, both.len, md5);
	pb_wipe(both.ptr, both.len);
	pb_hex_encode(&hex, pb_str((char *)md5, sizeof md5));
	memcpy(out, pb_buf_z(&hex), 33);
}
