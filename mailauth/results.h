/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Authentication-Results (RFC 8601): written, read, and recognised as somebody's. Pure. */
#ifndef MAILAUTH_RESULTS_H
#define MAILAUTH_RESULTS_H

#include "mailauth/auth.h"

enum { RESULTS_MAX = 64, RESULT_PROPERTIES_MAX = 16, RESULTS_FIELD_MAX = 65536 };

/* ---- read; strings live in the arena, unquoted ---- */

struct result {
	struct pb_str method, result, reason;	/* result in lower case */
	struct { struct pb_str type, name, value; } properties[RESULT_PROPERTIES_MAX];
	size_t nproperties;
};

struct results {
	struct pb_str host;			/* authserv-id */
	struct result *list;
	size_t n;				/* 0: "none" */
};

/* PB_EINVALID: not the grammar of RFC 8601 2.2; PB_ETOOBIG: over the limits. */
int results_parse(struct pb_arena *arena, struct pb_str value, struct results *ret, struct pb_error *err);
/* Whose is it? The first word alone, however malformed the rest is. False: there is none. */
bool results_host(struct pb_arena *arena, struct pb_str value, struct pb_str *ret);

/* ---- written, without the authserv-id: "spf=pass smtp.mailfrom=bob@example.org; dkim=none" ---- */

/* Begins a result; comment: may be empty. */
void results_add(struct pb_buf *out, const char *method, enum auth_result r, const char *comment);
/* Adds a property to it; nothing for an empty value. */
void results_property(struct pb_buf *out, const char *type, const char *name, struct pb_str value);

#endif
