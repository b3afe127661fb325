/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The message as a script sees it: its header with the changes made so far, its parts, what is to be put in their place. Changes become bytes only
 * when the run is over.
 */
#ifndef SIEVE_MAIL_H
#define SIEVE_MAIL_H

#include <postbus/address.h>
#include <postbus/message.h>
#include "sieve/sieve.h"

struct mail_field {
	struct pb_str name, value;	/* raw, without its last line end */
	struct pb_str raw;		/* as it stands in the message; empty: it was added */
	struct pb_str decoded;		/* once it was asked for */
	bool is_decoded;
};

struct replacement {
	struct replacement *next;
	uint32_t part;
	struct pb_str subject, from, text;
	bool mime;
};

struct enclosure {
	struct enclosure *next;
	struct pb_str subject, text;
	struct pb_str *headers;
	size_t nheaders;
};

/* What the message was at some moment: changes are made on copies, so that it stays as it was. */
struct version {
	struct mail_field *fields;	/* of the top header, in order */
	size_t nfields;
	struct replacement *replacements;
	size_t nenclosures;
};

struct mail {
	struct pb_str bytes;
	struct pb_arena *arena;
	struct pb_buf facts_made;
	struct pb_str facts, header;
	uint32_t nparts;
	struct mail_field *fields;	/* of the top header, in order */
	size_t nfields, room;
	bool shared;			/* fields are a version's: the next change makes a copy of them */
	struct replacement *replacements;
	struct enclosure *enclosures, **last_enclosure;
	size_t nenclosures;
	struct version versions[SIEVE_VERSIONS_MAX + 1];	/* 0: as it came */
	unsigned nversions;
	struct known **slots;		/* mail_known.c */
	size_t nslots, nknown;
};

/* In a header field; domain may be empty. */
struct mail_address {
	struct pb_str all, local, domain;
};

void mail_open(struct mail *m, const struct sieve_message *message, struct pb_arena *arena);
void mail_close(struct mail *m);
/* Is this a field's name? (RFC 5322 2.2) */
bool mail_name_valid(struct pb_str name);
/* The values of a part's fields of this name, in order; decoded: unfolded, trimmed, encoded words as UTF-8. The top part is 0. A name that is none has none. */
size_t mail_values(struct mail *m, uint32_t part, struct pb_str name, bool decoded, struct pb_str **ret);
/* All addresses in a part's fields of this name, in order. */
size_t mail_addresses(struct mail *m, uint32_t part, struct pb_str name, const struct mail_address **ret);
/* Those in one raw value. */
size_t mail_addresses_of(struct mail *m, struct pb_str raw, const struct mail_address **ret);
/* A parameter of a field's raw value, which mail_values gave. */
bool mail_param(struct mail *m, struct pb_str raw, struct pb_str name, struct pb_str *ret);
/* "local@domain", or local alone where there is no domain. */
struct pb_str mail_join(struct mail *m, struct pb_str local, struct pb_str domain);
/* The header has changed: look again. */
void mail_forget(struct mail *m);
/* The value of a field of the top header; index into fields. */
struct pb_str mail_decoded(struct mail *m, size_t index);
bool mail_part(const struct mail *m, uint32_t index, struct pb_part *ret);
/* The part behind the last one within this one: descendants lie between. */
uint32_t mail_part_end(const struct mail *m, uint32_t index);
struct pb_str mail_part_body(struct mail *m, const struct pb_part *part);
/* A leaf's bytes without transfer encoding, as UTF-8 where it is text. */
struct pb_str mail_part_text(struct mail *m, const struct pb_part *part);
/* Without tags, for HTML. */
struct pb_str mail_html_text(struct mail *m, struct pb_str html);

void mail_add(struct mail *m, struct pb_str name, struct pb_str value, bool last);
/* Removes a field; index into fields. */
void mail_delete(struct mail *m, size_t index);
void mail_replace(struct mail *m, struct replacement *r);
void mail_enclose(struct mail *m, struct enclosure *e);
/* The number of what the message is now; 0: as it came. False: there are too many. */
bool mail_version(struct mail *m, unsigned *ret);
/* The whole message as it was then. */
void mail_write(const struct mail *m, unsigned version, struct pb_buf *out);

#endif
