/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Settings of a post office's life: one table of keys (policy_keys.c), the words that people write for them (policy_value.c), and what holds for
 * whom (policy.c). What a setting does is done by the plugins that ask for it.
 *
 * A setting is kept in the row of what it was set for, as the member "policy" of a post office's, a domain's, a mailbox's row, or of the row
 * "s/server"; the nearest one holds: mailbox, domain, post office, server, default. A setting goes with its row.
 */
#ifndef AGENT_DIRECTORY_POLICY_H
#define AGENT_DIRECTORY_POLICY_H

#include "directory.h"

enum policy_type {
	POLICY_INTEGER,
	POLICY_BOOLEAN,
	POLICY_SECONDS,		/* integer */
	POLICY_BYTES,		/* integer */
	POLICY_LINE,		/* string without line ends */
	POLICY_TEXT,		/* string */
	POLICY_ADDRESS,		/* string, may be empty */
	POLICY_PATH,		/* string, absolute, may be empty */
	POLICY_MOMENT,		/* string as it was written, may be empty */
	POLICY_HOURS,		/* string, may be empty */
	POLICY_ENUM,		/* string */
	POLICY_WORDS,		/* list of strings */
	POLICY_NUMBERS,		/* list of integers, ascending */
	POLICY_MAP,		/* object: a name to what its one field is */
	POLICY_OBJECT,		/* object of its fields; those not given are not there */
};

enum { POLICY_SERVER, POLICY_OFFICE, POLICY_DOMAIN, POLICY_MAILBOX, POLICY_LEVELS };
#define POLICY_AT(level) (1u << (level))

struct policy_key {
	const char *name;
	enum policy_type type;
	unsigned levels;			/* POLICY_AT, where it can be set */
	enum pb_role least;			/* USER: for his own mailbox; ADMIN: within his post office; SYSTEM */
	int64_t min, max;			/* of a number, of each in a list, of a string's bytes, of a map's entries (max) */
	const char *initial;			/* the default, as a word */
	const char *const *words;		/* ENUM, WORDS */
	const struct policy_key *fields;	/* MAP: one; OBJECT: up to one without a name */
	const char *doc;
};

/* ---- the table (policy_keys.c) ---- */

/* The keys in the order they are shown; NULL behind the last. */
const struct policy_key *policy_key(size_t i);
/* A field where name is "key.field", of which *ret_field is what stands behind the point; else an empty view. PB_EINVALID names what is near. */
int policy_find(struct pb_str name, const struct policy_key **ret, struct pb_str *ret_field, struct pb_error *err);
/* The field of an OBJECT, or what each entry of a MAP is. PB_EINVALID. */
int policy_field(const struct policy_key *k, struct pb_str field, const struct policy_key **ret, struct pb_error *err);
/* "integer", as policy.list shows it. */
const char *policy_type_name(enum policy_type type);
const char *policy_level_name(unsigned level);

/* ---- words (policy_value.c) ---- */

/* What may be written: "a size like 64K, 10M or 2G". */
void policy_allowed(struct pb_buf *out, const struct policy_key *k);
/* A new value. PB_EINVALID says what is allowed. name: what errors call it. */
int policy_parse(const struct policy_key *k, const char *name, struct pb_str word, json_t **ret, struct pb_error *err);

/* ---- what holds (policy.c) ---- */

/* Every key with its default. */
json_t *policy_defaults(void);
/* Every key with what holds in a domain, or for a mailbox by its row; shared with others, a new reference. */
int policy_of_domain(struct directory *d, struct pb_str domain, json_t **ret, struct pb_error *err);
int policy_of_mailbox(struct directory *d, const json_t *mailbox, json_t **ret, struct pb_error *err);
/* May the owner of this mailbox use this service? Names of services that no mailbox can be without are always allowed. */
int policy_has_service(struct directory *d, const json_t *mailbox, struct pb_str service, bool *ret, struct pb_error *err);

/* ---- who may send to a group (senders.c) ---- */

/* anyone, members, postoffice, server. */
bool senders_is_word(struct pb_str word);
/* A new list: one of the words, or addresses. PB_EINVALID. */
int senders_parse(const json_t *given, json_t **ret, struct pb_error *err);
/* Does the row of a group let everybody send? */
bool senders_are_all(const json_t *group);
/* Say "restricted" in the route to where not everybody may write: who wants to know asks directory.may_receive. */
int senders_restrict(struct directory *d, json_t *route, const struct found *f, struct pb_error *err);

/* The first message of a mailbox that is being made; its trouble is told to the log (welcome.c). mailbox: its fields. */
void welcome(struct directory *d, struct pb_str id, const json_t *mailbox);

METHOD(policy_set);
METHOD(policy_unset);
METHOD(policy_show);
METHOD(policy_list);

#endif
