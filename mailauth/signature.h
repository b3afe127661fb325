/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What DKIM-Signature and ARC-Message-Signature have in common: their tags, the data that is signed, the key's record (RFC 6376 3.5 to 3.7). */
#ifndef MAILAUTH_SIGNATURE_H
#define MAILAUTH_SIGNATURE_H

#include "mailauth/auth.h"
#include "mailauth/canon.h"
#include "mailauth/keys.h"
#include "mailauth/tags.h"

enum {
	SIGNATURE_MAX = 16384,		/* octets of a field */
	SIGNED_NAMES_MAX = 256,		/* names in h= */
	KEY_RECORDS_MAX = 4		/* tried where a name has several */
};

/* Strings live in the arena. */
struct signature {
	const struct pb_field *field;
	struct pb_str domain, selector;		/* A-labels, lower case; as written */
	struct pb_str names;			/* h= without white space */
	struct pb_str b, bh;			/* decoded */
	struct pb_str b_text;			/* without white space */
	enum key_kind kind;
	bool historic;				/* rsa-sha1 (RFC 8301 3.1) */
	enum canon header, body;
	bool has_length;
	uint64_t length;
	int64_t made, expires;			/* seconds since 1970; -1: not said */
};

/* The outcome of a check: what it says, and why in one line for people (may be empty). */
struct finding {
	enum auth_result result;
	char reason[160];
};
enum auth_result finding_set(struct finding *f, enum auth_result result, const char *fmt, ...) PB_PRINTF(3, 4);

/* a=, d=, s= and the lists; what only one of both fields has is its own reader's. False: *why says what is wrong (permerror). */
bool signature_read(struct pb_arena *arena, const struct pb_field *field, const struct tags *tags, struct signature *ret, struct finding *why);

/* Append the header fields that names lists, each name taking the next one from below (RFC 6376 5.4.2), and then the signature's own field without its b. */
void signature_data(const struct auth_message *msg, const struct signature *s, struct pb_buf *out);

/* The body's hash, made once for each form and length. */
struct body_hashes {
	struct body_hash {
		enum canon form;
		uint64_t limit, total;
		unsigned char digest[32];
	} list[8];
	size_t n;
};
const struct body_hash *body_hash_get(struct body_hashes *h, struct pb_str body, enum canon form, uint64_t limit);

/* What a key record allows. */
struct key_use {
	unsigned bits;
	bool testing;		/* t=y */
	bool strict;		/* t=s: the identity's domain is the signer's own */
};

/* Asks for the key and tries it on data. service: "email". */
enum auth_result signature_try(struct pb_arena *arena, const struct auth_dns *dns, struct pb_str domain, struct pb_str selector, enum key_kind kind,
    struct pb_str data, struct pb_str b, struct key_use *ret_use, struct finding *why);

/* Append name and value folded at these places: ";" of tags, ":" of lists, any place in base64. */
void signature_fold(struct pb_buf *out, size_t *column, const char *tag, struct pb_str value, bool anywhere);

#endif
