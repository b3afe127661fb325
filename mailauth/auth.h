/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What all checks of a sender share: words of results (RFC 8601 2.7), the message as they read it, and how they ask the DNS. Opens nothing itself. */
#ifndef MAILAUTH_AUTH_H
#define MAILAUTH_AUTH_H

#include <postbus/message.h>
#include <postbus/str.h>

enum auth_result { AUTH_NONE, AUTH_PASS, AUTH_FAIL, AUTH_SOFTFAIL, AUTH_NEUTRAL, AUTH_POLICY, AUTH_TEMPERROR, AUTH_PERMERROR };

const char *auth_result_name(enum auth_result r);
bool auth_result_parse(struct pb_str word, enum auth_result *ret);

/* ---- the DNS ---- */

/* How it is asked. type: "TXT", "A", ... 0 with the records in presentation form (none: the name has none of this type), PB_ENOTFOUND: there is no such name,
 * anything else: no answer now. */
struct auth_dns {
	void *arg;
	int (*query)(void *arg, const char *type, struct pb_str name, struct pb_arena *arena, struct pb_str **ret, size_t *ret_n);
};

/* ---- the message ---- */

enum { AUTH_FIELDS_MAX = 2000, AUTH_HEADER_MAX = 1 << 20 };

struct auth_message {
	struct pb_field *fields;	/* top first */
	size_t n;
	struct pb_str body;
};

/* front: field lines that stand before bytes (may be empty). The views go on pointing into both. PB_ETOOBIG: more fields or octets in the header than the
 * limits. */
int auth_message_read(struct pb_arena *arena, struct pb_str front, struct pb_str bytes, struct auth_message *ret, struct pb_error *err);

/* Domain of the one author (RFC 7489 6.6.1) as A-labels, in the arena. False: no From, several, or no author that has a domain; several authors of one domain
 * are one. */
bool auth_from_domain(struct pb_arena *arena, const struct auth_message *msg, struct pb_str *ret);
/* Is name the domain, or one below it? */
bool auth_is_within(struct pb_str name, struct pb_str domain);

#endif
