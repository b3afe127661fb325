/* SPDX-License-Identifier: GPL-3.0-or-later */
/* DMARC (RFC 7489): what the domain of a From asks for, and whether one of the other checks speaks for it. */
#ifndef MAILAUTH_DMARC_H
#define MAILAUTH_DMARC_H

#include "mailauth/auth.h"
#include "mailauth/signature.h"

enum dmarc_policy { DMARC_NONE, DMARC_QUARANTINE, DMARC_REJECT };

const char *dmarc_policy_name(enum dmarc_policy p);

/* Strings live in the arena. */
struct dmarc_record {
	bool published;
	struct pb_str domain, organizational;	/* asked about; the one that was registered (RFC 7489 3.2) */
	struct pb_str found_at;			/* of those two the one that has the record; empty: none has */
	enum dmarc_policy policy;		/* for this domain: sp= counts where the record is that of the other */
	enum dmarc_policy domain_policy, subdomain_policy;
	bool strict_dkim, strict_spf;
	unsigned percent;
	struct pb_str reports;			/* rua=, as it stands there */
};

/* Parse one record. False: it is none, or has no policy that can be understood and nowhere to report to (RFC 7489 6.6.3). */
bool dmarc_record_read(struct pb_arena *arena, struct pb_str text, struct dmarc_record *ret);

/* The public suffixes come with libpsl. domain: A-labels. The registered domain; domain itself where it is a suffix. */
struct pb_str dmarc_organizational(struct pb_arena *arena, struct pb_str domain);

/* 0; published tells whether there is a record. PB_EUNAVAILABLE: no answer now. */
int dmarc_find(struct pb_arena *arena, const struct auth_dns *dns, struct pb_str domain, struct dmarc_record *ret, struct pb_error *err);

/* Does name, that another check has proven, speak for the record's domain? */
bool dmarc_aligned(struct pb_arena *arena, const struct dmarc_record *r, struct pb_str name, bool strict);

#endif
