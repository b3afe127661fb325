/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SPF (RFC 7208): may this client speak for the sender's domain? */
#ifndef MAILAUTH_SPF_H
#define MAILAUTH_SPF_H

#include "mailauth/auth.h"
#include "mailauth/signature.h"

enum {
	SPF_LOOKUPS_MAX = 10,	/* RFC 7208 4.6.4: terms that ask the DNS */
	SPF_VOIDS_MAX = 2,	/* questions that find nothing */
	SPF_NAMES_MAX = 10,	/* hosts of an mx, names of a ptr */
	SPF_RECORD_MAX = 8192
};

struct spf_query {
	struct pb_str client;	/* numeric address */
	struct pb_str helo;
	struct pb_str sender;	/* reverse-path; empty: the null sender, postmaster at helo then */
	struct pb_str host;	/* who asks: macro r */
	int64_t now;		/* seconds since 1970: macro t */
};

/* Strings live in the arena. */
struct spf_verdict {
	struct finding finding;
	struct pb_str domain;		/* that was asked about */
	bool by_helo;			/* the null sender: it was that of helo */
	struct pb_str mechanism;	/* that decided, as it stands in the record */
	struct pb_str explanation;	/* of a fail: what its domain says about it, printable ASCII */
	unsigned lookups, voids;
};

void spf_check(struct pb_arena *arena, const struct auth_dns *dns, const struct spf_query *q, struct spf_verdict *ret);

/* ---- records ---- */

enum spf_kind { SPF_ALL, SPF_INCLUDE, SPF_A, SPF_MX, SPF_PTR, SPF_IP4, SPF_IP6, SPF_EXISTS };

struct spf_term {
	enum spf_kind kind;
	char qualifier;			/* + - ~ ? */
	struct pb_str domain;		/* domain-spec, or empty */
	unsigned bits4, bits6;		/* prefix lengths */
	unsigned char network[16];	/* ip4: the first four */
	struct pb_str text;
};

enum { SPF_TERMS_MAX = 256 };

struct spf_record {
	struct spf_term terms[SPF_TERMS_MAX];
	size_t n;
	struct pb_str redirect, explanation;	/* domain-specs, or empty */
};

bool spf_is_record(struct pb_str text);
/* Views into text. PB_EINVALID says what is wrong. */
int spf_record_read(struct pb_str text, struct spf_record *ret, struct pb_error *err);

/* ---- macros (RFC 7208 7) ---- */

/* What macros stand for. */
struct spf_values {
	struct pb_str sender, local, sender_domain, domain, helo, host, client;
	bool ip6;
	unsigned char address[16];
	int64_t now;
	/* The client's validated name, asked for where a macro wants it. */
	struct pb_str (*validated)(void *arg);
	void *arg;
};

/* explanation: c, r and t are allowed too, and blanks. */
bool spf_macro_valid(struct pb_str text, bool explanation);
void spf_macro_expand(struct pb_str text, const struct spf_values *v, struct pb_buf *out);

#endif
