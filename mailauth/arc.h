/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ARC (RFC 8617): the chain of those who passed a message on, validated, and a link added to it. */
#ifndef MAILAUTH_ARC_H
#define MAILAUTH_ARC_H

#include "mailauth/auth.h"
#include "mailauth/keys.h"
#include "mailauth/signature.h"

enum { ARC_SETS_MAX = 50 };		/* RFC 8617 4.2.1 */

struct arc_verdict {
	struct finding finding;		/* none: there is no chain; pass; fail; temperror: the DNS gave no answer */
	unsigned instances;		/* sets; of a broken chain the highest number that stands there */
	struct pb_str sealer;		/* d= of the highest seal, in the arena */
	struct pb_str results;		/* text of its ARC-Authentication-Results behind "i=N;" */
};

void arc_validate(struct pb_arena *arena, const struct auth_message *msg, const struct auth_dns *dns, struct arc_verdict *ret);

struct arc_sealing {
	const struct private_key *key;
	struct pb_str domain, selector;
	struct pb_str host, results;	/* authserv-id, and what was found when the message came in: "spf=pass ...; dkim=none" */
	struct pb_str names;		/* signed where they are there, with a blank between; "X-*" too. ARC's own never */
	enum auth_result chain;		/* what the chain was when the message came in: none or pass */
	int64_t now;			/* seconds since 1970 */
};

extern const char arc_names[];		/* what is usual */

/* Append the three fields, the seal on top. ret_instance: their number; 0: nothing was added, since the chain is full, or broken, or is not what chain says. */
int arc_seal(const struct auth_message *msg, const struct arc_sealing *how, struct pb_buf *out, unsigned *ret_instance, struct pb_error *err);

#endif
