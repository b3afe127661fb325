/* SPDX-License-Identifier: GPL-3.0-or-later */
/* DKIM (RFC 6376, 8301, 8463): the signatures of a message verified, and one made. */
#ifndef MAILAUTH_DKIM_H
#define MAILAUTH_DKIM_H

#include "mailauth/auth.h"
#include "mailauth/canon.h"
#include "mailauth/keys.h"
#include "mailauth/signature.h"

enum { DKIM_SIGNATURES_MAX = 16 };

struct dkim_options {
	int64_t now;			/* seconds since 1970 */
	unsigned signatures;		/* how many are looked at, from the top; at most DKIM_SIGNATURES_MAX */
	bool partial;			/* a signature that leaves octets of the body out (l=) counts too */
};

/* Strings live in the arena. */
struct dkim_verdict {
	struct finding finding;
	struct pb_str domain, selector, identity;	/* d=, s=, and i= where there is one; empty: could not be read */
	struct pb_str algorithm;			/* "rsa-sha256" */
	struct pb_str b;				/* the first characters of b= (RFC 6008) */
	bool testing;					/* the key says t=y */
	uint64_t unsigned_octets;			/* of the body, left out by l= */
};

/* At most DKIM_SIGNATURES_MAX verdicts, in the order of the message. */
void dkim_verify(
    struct pb_arena *arena, const struct auth_message *msg, const struct auth_dns *dns, const struct dkim_options *o, struct dkim_verdict *ret, size_t *ret_n);
/* One word for all: pass if one passes, else what is worst of the signer's doing. */
enum auth_result dkim_summary(const struct dkim_verdict *list, size_t n);

/* What is signed and how. Names: one a word, "X-*" is every field that begins so. */
struct dkim_signing {
	const struct private_key *key;
	struct pb_str domain, selector;
	struct pb_str identity;		/* i=, or empty */
	struct pb_str names;		/* signed where they are there, with a blank between */
	struct pb_str sealed;		/* signed once more than they are there, so that none can be added */
	enum canon header, body;
	int64_t now;			/* t=; below 0: none */
	int64_t lifetime;		/* seconds until x=; 0: none */
	bool has_length;		/* l= */
};

extern const char dkim_names[], dkim_sealed[];	/* what is usual (RFC 6376 5.4.1) */

/* Append the whole field with its line end. PB_EINVALID: the message has no From. */
int dkim_sign(const struct auth_message *msg, const struct dkim_signing *how, struct pb_buf *out, struct pb_error *err);

/* The h= of it: what is there of names, and the sealed ones once more. */
void dkim_choose(const struct auth_message *msg, struct pb_str names, struct pb_str sealed, struct pb_buf *out);

#endif
