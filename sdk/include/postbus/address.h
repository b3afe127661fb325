/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses: paths and parameters of SMTP (RFC 5321, 6531), domains (RFC 5890), address lists of headers (RFC 5322).
 * Paths are strict, since what is accepted there has to be delivered; header lists are tolerant, since what stands there has to be shown.
 */
#ifndef POSTBUS_ADDRESS_H
#define POSTBUS_ADDRESS_H

#include <postbus/str.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PB_LOCAL_MAX 64		/* octets of a local part, quotes included (RFC 5321 4.5.3.1) */
#define PB_DOMAIN_MAX 255
#define PB_ADDRESS_MAX 254	/* local part, "@" and domain */

/* ---- paths ---- */

/* Views into what was parsed. */
struct pb_path {
	struct pb_str address;		/* local@domain as written, without <> and source route; empty: the null path, or postmaster alone is "postmaster" */
	struct pb_str local;		/* with its quotes, if it has any */
	struct pb_str domain;		/* as written; "[192.0.2.1]" for literals; empty for postmaster alone and the null path */
	bool quoted;			/* local is a quoted string */
	bool literal;			/* domain is an address literal */
	bool utf8;			/* something in it is not ASCII */
};

enum {
	PB_PATH_UTF8 = 1,		/* SMTPUTF8 was asked for: UTF-8 local parts and U-labels pass */
	PB_PATH_NULL = 2,		/* "<>" passes (MAIL) */
	PB_PATH_POSTMASTER = 4,		/* "<postmaster>" without a domain passes (RCPT) */
	PB_PATH_BARE = 8		/* without <> passes too ("MAIL FROM:bob@example.org", as old clients say) */
};

/* Take a path from the front of *rest ("<bob@example.org> SIZE=12": leaves " SIZE=12"). Leading blanks are skipped; source routes are stripped.
 * PB_EINVALID and PB_ETOOBIG with a text for the reply; *rest is then untouched. */
int pb_path_parse(struct pb_str *rest, unsigned allow, struct pb_path *ret, struct pb_error *err);
/* The next parameter of MAIL or RCPT: 1 with key and value (value.ptr NULL when there is no "="), 0 at the end, PB_EINVALID when it is malformed. */
int pb_param_next(struct pb_str *rest, struct pb_str *ret_key, struct pb_str *ret_value, struct pb_error *err);

/* RFC 3461 xtext. PB_EINVALID; out is then as it was. Decoded control bytes are refused. */
int pb_xtext_decode(struct pb_buf *out, struct pb_str in);
void pb_xtext_encode(struct pb_buf *out, struct pb_str in);

/* ---- addresses ---- */

/* A whole address without <>: "bob@example.org". allow: PB_PATH_UTF8. PB_EINVALID, PB_ETOOBIG. ret may be NULL. */
int pb_address_parse(struct pb_str text, unsigned allow, struct pb_path *ret, struct pb_error *err);
/* Split at the last "@" outside quotes, without any check. False when there is none. */
bool pb_address_split(struct pb_str address, struct pb_str *ret_local, struct pb_str *ret_domain);
/* Append the form that is kept and sent: domain in lower case (U-labels in NFC), quotes of the local part only where it needs them; its case stays. */
int pb_address_normal(struct pb_buf *out, struct pb_str address, struct pb_error *err);
/* Append the form that is compared: local part case-folded and NFC, unquoted where possible; domain as A-labels in lower case. */
int pb_address_key(struct pb_buf *out, struct pb_str address, struct pb_error *err);

/* ---- return paths that name the recipient (VERP) ---- */

/* Append the address that bounces of one recipient come back to: "list-bounces@lists.example" and "bob@example.org" give
 * "list-bounces+bob=example.org@lists.example". What is no letter, digit, "-", "_" or "." in the local part becomes "=" and two hexadecimal digits, in the
 * domain (address literals, U-labels, underscores) "_" and two digits: the result is ASCII where bounces is, and pb_verp_find gives exactly what went in.
 * PB_EINVALID: one of them is malformed, or bounces has quotes. PB_ETOOBIG: hosts need not take so long a local part (RFC 5321 4.5.3.1.1), so say who the
 * recipient is in another way. out is then as it was. */
int pb_verp_make(struct pb_buf *out, struct pb_str bounces, struct pb_str recipient, struct pb_error *err);
/* The way back: the address for bounces and the recipient. False where address names none; both are then as they were. Hexadecimal digits may have come
 * back in either case. The address may be a stranger's invention: ask whether that recipient is one of yours. */
bool pb_verp_find(struct pb_str address, struct pb_buf *ret_bounces, struct pb_buf *ret_recipient);

/* ---- domains ---- */

/* Syntax and lengths of a domain name (no literal); labels of letters, digits, hyphens (and underscores inside, as the world has them). */
int pb_domain_check(struct pb_str domain, unsigned allow, struct pb_error *err);
/* Append as A-labels in lower case: what DNS is asked for, and what is compared. A final dot is dropped. PB_EINVALID. */
int pb_domain_ascii(struct pb_buf *out, struct pb_str domain, struct pb_error *err);
/* Append as U-labels in lower case: what people see. */
int pb_domain_unicode(struct pb_buf *out, struct pb_str domain, struct pb_error *err);
bool pb_domain_eq(struct pb_str a, struct pb_str b);
/* "[192.0.2.1]" or "[IPv6:2001:db8::1]": gives the numeric address inside. PB_EINVALID. */
int pb_literal_parse(struct pb_str literal, struct pb_str *ret_address);

/* ---- address lists of headers ---- */

enum pb_addr_kind {
	PB_ADDR_MAILBOX,
	PB_ADDR_GROUP,			/* "name:" begins; name is set */
	PB_ADDR_GROUP_END		/* ";" */
};

/* Views live until the next call on the same list. What is not there is empty. */
struct pb_addr {
	enum pb_addr_kind kind;
	struct pb_str name;		/* display name (or the comment behind the address), unquoted, unfolded; encoded words are left as they are */
	struct pb_str route;		/* obsolete source route: "@a,@b" */
	struct pb_str local;		/* unquoted */
	struct pb_str domain;		/* empty: there is none */
};

struct pb_addrs {
	struct pb_str rest;		/* what is not parsed yet: the raw value of the field */
	bool in_group;
	struct pb_buf scratch;
};

#define PB_ADDRS(text) { (text), false, PB_BUF }

/* The next one; false at the end. Never fails: what cannot be understood becomes a local part or is passed over. */
bool pb_addrs_next(struct pb_addrs *list, struct pb_addr *ret);
void pb_addrs_free(struct pb_addrs *list);

#ifdef __cplusplus
}
#endif
#endif
