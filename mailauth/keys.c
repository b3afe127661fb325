/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys of signatures, and what is said with them. Both kinds sign the SHA-256 of the data; Ed25519 takes that as its message (RFC 8463 3). */
#include "mailauth/keys.h"
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdlib.h>

struct public_key {
	enum key_kind kind;
	unsigned bits;
	gnutls_pubkey_t key;
};

struct private_key {
	enum key_kind kind;
	unsigned bits;
	gnutls_privkey_t key;
};

static const char *const kinds[] = { "rsa", "ed25519" };

bool key_kind_parse(struct pb_str word, enum key_kind *ret)
{
	for (size_t i = 0; i < 2; i++)
		if (pb_str_ieq(word, pb_strz(kinds[i]))) {
			*ret = (enum key_kind)i;
			return true;
		}
	return false;
}

const char *key_kind_name(enum key_kind kind)
{
	return kinds[kind];
}

static gnutls_datum_t datum(struct pb_str s)
{
	return (gnutls_datum_t){ (unsigned char *)(uintptr_t)s.ptr, (unsigned)s.len };
}

static int wrong(struct pb_error *err, const char *what, int code)
{
	return pb_fail(err, PB_EINVALID, "%s: %s", what, gnutls_strerror(code));
}

static void digest(struct pb_str data, unsigned char out[32])
{
	gnutls_hash_fast(GNUTLS_DIG_SHA256, data.ptr ? data.ptr : "", data.len, out);
}

/* ---- public ---- */

static size_t length_size(size_t len)
{
	return len < 128 ? 1 : len < 256 ? 2 : 3;
}

static void put_length(struct pb_buf *out, char tag, size_t len)
{
	pb_buf_addc(out, tag);
	if (len >= 128)
		pb_buf_addc(out, (char)(0x80 + length_size(len) - 1));
	if (len >= 256)
		pb_buf_addc(out, (char)(len >> 8));
	pb_buf_addc(out, (char)(len & 255));
}

/* RFC 6376 3.6.1 says RSAPublicKey, its erratum and the world SubjectPublicKeyInfo: the first is put into the second. */
static int import_rsa(gnutls_pubkey_t key, struct pb_str der)
{
	static const char algorithm[] = "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05";	/* and 00, the literal's end */
	gnutls_datum_t whole = datum(der);
	PB_AUTOBUF(spki);

	if (gnutls_pubkey_import(key, &whole, GNUTLS_X509_FMT_DER) == 0)
		return 0;
	put_length(&spki, 0x30, sizeof algorithm + 1 + length_size(1 + der.len) + 1 + der.len);
	pb_buf_add(&spki, algorithm, sizeof algorithm);
	put_length(&spki, 0x03, 1 + der.len);
	pb_buf_addc(&spki, 0);
	pb_buf_addstr(&spki, der);
	whole = datum(pb_buf_str(&spki));
	return gnutls_pubkey_import(key, &whole, GNUTLS_X509_FMT_DER);
}

static int import(struct public_key *k, struct pb_str der, struct pb_error *err)
{
	gnutls_datum_t x = datum(der);
	int rc;

	if (k->kind == KEY_ED25519) {
		if (der.len != 32)
			return pb_fail(err, PB_EINVALID, "a key for ed25519 has 32 octets, this one %zu", der.len);
		rc = gnutls_pubkey_import_ecc_raw(k->key, GNUTLS_ECC_CURVE_ED25519, &x, NULL);
	} else {
		rc = import_rsa(k->key, der);
		if (!rc && gnutls_pubkey_get_pk_algorithm(k->key, &k->bits) != GNUTLS_PK_RSA)
			return pb_fail(err, PB_EINVALID, "the key is not one for RSA");
	}
	return rc ? wrong(err, "the key cannot be read", rc) : 0;
}

int public_key_read(enum key_kind kind, struct pb_str der, struct public_key **ret, struct pb_error *err)
{
	struct public_key *k;

	if (der.len > KEY_RECORD_MAX)
		return pb_fail(err, PB_ETOOBIG, "the key has more than %d octets", KEY_RECORD_MAX);
	k = pb_alloc(sizeof *k);
	k->kind = kind;
	k->bits = 256;
	if (gnutls_pubkey_init(&k->key)) {
		free(k);
		return pb_fail(err, PB_EINTERNAL, "no key can be made");
	}
	if (import(k, der, err)) {
		public_key_free(k);
		return PB_EINVALID;
	}
	*ret = k;
	return 0;
}

unsigned public_key_bits(const struct public_key *k)
{
	return k->bits;
}

bool public_key_verify(const struct public_key *k, struct pb_str data, struct pb_str signature)
{
	unsigned char hash[32];
	gnutls_datum_t hashed = { hash, sizeof hash }, s = datum(signature);

	digest(data, hash);
	if (k->kind == KEY_ED25519)
		return signature.len == 64 && gnutls_pubkey_verify_data2(k->key, GNUTLS_SIGN_EDDSA_ED25519, 0, &hashed, &s) >= 0;
	return signature.len && gnutls_pubkey_verify_hash2(k->key, GNUTLS_SIGN_RSA_SHA256, 0, &hashed, &s) >= 0;
}

void public_key_free(struct public_key *k)
{
	if (!k)
		return;
	gnutls_pubkey_deinit(k->key);
	free(k);
}

/* ---- private ---- */

static int private_key_new(struct private_key **ret, struct pb_error *err)
{
	struct private_key *k = pb_alloc(sizeof *k);

	if (gnutls_privkey_init(&k->key)) {
		free(k);
		return pb_fail(err, PB_EINTERNAL, "no key can be made");
	}
	*ret = k;
	return 0;
}

static int look_at(struct private_key *k, struct pb_error *err)
{
	int algorithm = gnutls_privkey_get_pk_algorithm(k->key, &k->bits);

	if (algorithm != GNUTLS_PK_RSA && algorithm != GNUTLS_PK_EDDSA_ED25519)
		return pb_fail(err, PB_EINVALID, "the key is neither one for RSA nor one for ed25519");
	k->kind = algorithm == GNUTLS_PK_RSA ? KEY_RSA : KEY_ED25519;
	if (k->kind == KEY_RSA && (k->bits < KEY_BITS_MIN || k->bits > KEY_BITS_MAX))
		return pb_fail(err, PB_EINVALID, "the key has %u bits, allowed are %d to %d", k->bits, KEY_BITS_MIN, KEY_BITS_MAX);
	return 0;
}

int private_key_make(enum key_kind kind, unsigned bits, struct private_key **ret, struct pb_error *err)
{
	struct private_key *k = NULL;
	int rc = private_key_new(&k, err);

	if (rc)
		return rc;
	rc = kind == KEY_RSA ? gnutls_privkey_generate(k->key, GNUTLS_PK_RSA, bits, 0) :
			       gnutls_privkey_generate(k->key, GNUTLS_PK_EDDSA_ED25519, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_ED25519), 0);
	rc = rc ? wrong(err, "no key can be made", rc) : look_at(k, err);
	if (rc) {
		private_key_free(k);
		return rc;
	}
	*ret = k;
	return 0;
}

int private_key_read(struct pb_str pem, struct private_key **ret, struct pb_error *err)
{
	gnutls_datum_t text = datum(pem);
	struct private_key *k = NULL;
	int rc = private_key_new(&k, err);

	if (rc)
		return rc;
	rc = gnutls_privkey_import_x509_raw(k->key, &text, GNUTLS_X509_FMT_PEM, NULL, 0);
	rc = rc ? wrong(err, "the private key cannot be read", rc) : look_at(k, err);
	if (rc) {
		private_key_free(k);
		return rc;
	}
	*ret = k;
	return 0;
}

int private_key_write(const struct private_key *k, struct pb_buf *out, struct pb_error *err)
{
	gnutls_x509_privkey_t x509;
	gnutls_datum_t pem = { 0 };
	int rc = gnutls_privkey_export_x509(k->key, &x509);

	if (rc)
		return wrong(err, "the private key cannot be written", rc);
	rc = gnutls_x509_privkey_export2_pkcs8(x509, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &pem);
	gnutls_x509_privkey_deinit(x509);
	if (rc)
		return wrong(err, "the private key cannot be written", rc);
	pb_buf_add(out, pem.data, pem.size);
	gnutls_memset(pem.data, 0, pem.size);
	gnutls_free(pem.data);
	return 0;
}

enum key_kind private_key_kind(const struct private_key *k)
{
	return k->kind;
}

unsigned private_key_bits(const struct private_key *k)
{
	return k->bits;
}

int private_key_public(const struct private_key *k, struct pb_buf *out, struct pb_error *err)
{
	gnutls_datum_t found = { 0 };
	gnutls_pubkey_t public;
	int rc = gnutls_pubkey_init(&public);

	if (rc)
		return wrong(err, "the public key cannot be had", rc);
	rc = gnutls_pubkey_import_privkey(public, k->key, 0, 0);
	if (!rc && k->kind == KEY_ED25519)
		rc = gnutls_pubkey_export_ecc_raw2(public, NULL, &found, NULL, 0);
	else if (!rc)
		rc = gnutls_pubkey_export2(public, GNUTLS_X509_FMT_DER, &found);
	if (!rc)
		pb_base64_encode(out, pb_str((const char *)found.data, found.size));
	gnutls_free(found.data);
	gnutls_pubkey_deinit(public);
	return rc ? wrong(err, "the public key cannot be had", rc) : 0;
}

int private_key_sign(const struct private_key *k, struct pb_str data, struct pb_buf *out, struct pb_error *err)
{
	unsigned char hash[32];
	gnutls_datum_t hashed = { hash, sizeof hash }, signature = { 0 };
	int rc;

	digest(data, hash);
	if (k->kind == KEY_ED25519)
		rc = gnutls_privkey_sign_data2(k->key, GNUTLS_SIGN_EDDSA_ED25519, 0, &hashed, &signature);
	else
		rc = gnutls_privkey_sign_hash2(k->key, GNUTLS_SIGN_RSA_SHA256, 0, &hashed, &signature);
	if (rc)
		return wrong(err, "signing", rc);
	pb_buf_add(out, signature.data, signature.size);
	gnutls_free(signature.data);
	return 0;
}

void private_key_free(struct private_key *k)
{
	if (!k)
		return;
	gnutls_privkey_deinit(k->key);
	free(k);
}
