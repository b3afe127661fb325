/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys of signatures: RSA (RFC 6376, 8301) and Ed25519 (RFC 8463), over SHA-256. GnuTLS does the work. */
#ifndef MAILAUTH_KEYS_H
#define MAILAUTH_KEYS_H

#include <postbus/str.h>

enum key_kind { KEY_RSA, KEY_ED25519 };

enum {
	KEY_BITS_MIN = 1024,	/* RFC 8301 3.2: below, a signature counts for nothing */
	KEY_BITS_MAX = 8192,	/* what a stranger's key may cost */
	KEY_RECORD_MAX = 4096	/* octets of a key in a record */
};

bool key_kind_parse(struct pb_str word, enum key_kind *ret);
const char *key_kind_name(enum key_kind kind);

/* ---- public ---- */

struct public_key;

/* der: the "p" of a key record, decoded. RSA: SubjectPublicKeyInfo, or RSAPublicKey alone. PB_EINVALID. */
int public_key_read(enum key_kind kind, struct pb_str der, struct public_key **ret, struct pb_error *err);
unsigned public_key_bits(const struct public_key *k);
/* Is this the signature of these data? */
bool public_key_verify(const struct public_key *k, struct pb_str data, struct pb_str signature);
void public_key_free(struct public_key *k);		/* NULL is fine */

/* ---- private ---- */

struct private_key;

/* bits: of RSA. */
int private_key_make(enum key_kind kind, unsigned bits, struct private_key **ret, struct pb_error *err);
int private_key_read(struct pb_str pem, struct private_key **ret, struct pb_error *err);
/* Append as PKCS #8 in PEM. The caller wipes it. */
int private_key_write(const struct private_key *k, struct pb_buf *out, struct pb_error *err);
enum key_kind private_key_kind(const struct private_key *k);
unsigned private_key_bits(const struct private_key *k);
/* Append the "p" of its record, in base64. */
int private_key_public(const struct private_key *k, struct pb_buf *out, struct pb_error *err);
/* Append the signature of data. */
int private_key_sign(const struct private_key *k, struct pb_str data, struct pb_buf *out, struct pb_error *err);
void private_key_free(struct private_key *k);		/* NULL is fine */

#endif
