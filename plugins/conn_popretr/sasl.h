/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * SASL, the client's side (RFC 4422): PLAIN (4616), SCRAM-SHA-1 and -SHA-256 (5802, 7677), OAUTHBEARER (7628), XOAUTH2 (by custom); and POP3's APOP (RFC 1939).
 * Text in, text out, base64 on both sides; the protocol's lines are the caller's.
 */
#ifndef CONN_POPRETR_SASL_H
#define CONN_POPRETR_SASL_H

#include "remote.h"

struct sasl;

/* mechanism: a literal; login has to live as long. */
struct sasl *sasl_new(const char *mechanism, const struct login *login);
void sasl_free(struct sasl *s);		/* NULL is fine */
/* Append the initial response, base64. */
int sasl_first(struct sasl *s, struct pb_buf *out, struct pb_error *err);
/* Append the answer to a challenge (base64 both). PB_EDENIED: what the server said of the credentials, or it cannot prove that it knows the password. */
int sasl_next(struct sasl *s, struct pb_str challenge, struct pb_buf *out, struct pb_error *err);
/* The server said that all is well: was everything said that has to be? */
int sasl_done(const struct sasl *s, struct pb_error *err);

/* RFC 1939 7: MD5 of stamp and password, 32 digits and NUL. */
void apop_digest(struct pb_str stamp, struct pb_str password, char *out);
/* For tests: SCRAM with this nonce. */
void sasl_nonce(struct sasl *s, const char *nonce);

#endif
