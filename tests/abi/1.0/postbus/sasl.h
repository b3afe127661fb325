/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SASL, the server's side of the simple mechanisms: PLAIN (RFC 4616) and LOGIN (by custom). Decodes only; who may log in is auth.verify's business.
 * Passwords end in a struct pb_secret and the bytes that were decoded on the way are wiped.
 */
#ifndef POSTBUS_SASL_H
#define POSTBUS_SASL_H

#include <postbus/secret.h>
#include <postbus/str.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PB_SASL_MAX 12288	/* bytes of a base64 response at most (RFC 4954 4.3) */

struct pb_sasl {
	char *authzid;			/* whom to act as; empty where it is authcid's own name */
	char *authcid;			/* who logs in; UTF-8, no NUL, at most 255 bytes, not empty */
	struct pb_secret *password;	/* not empty, no NUL, at most 255 bytes */
};

#define PB_SASL { NULL, NULL, NULL }

/* A client's base64 response; "=" is an empty one (RFC 4954). Appends to out. "*" is PB_ECLOSED: the client gave up. PB_EINVALID, PB_ETOOBIG. */
int pb_sasl_response(struct pb_str line, struct pb_buf *out, struct pb_error *err);
/* PLAIN: base64 of authzid NUL authcid NUL password. Exactly two NULs. authzid equal to authcid is given as empty. */
int pb_sasl_plain(struct pb_str line, struct pb_sasl *ret, struct pb_error *err);
/* LOGIN: base64 of the name, and then of the password. The challenges are PB_SASL_LOGIN_USER and PB_SASL_LOGIN_PASS, in base64 already. */
int pb_sasl_login(struct pb_str user_line, struct pb_str password_line, struct pb_sasl *ret, struct pb_error *err);
#define PB_SASL_LOGIN_USER "VXNlcm5hbWU6"
#define PB_SASL_LOGIN_PASS "UGFzc3dvcmQ6"
/* What PLAIN and LOGIN ask of names and passwords, for protocols that carry them in the clear (IMAP LOGIN, POP3 USER and PASS). Copies. */
int pb_sasl_clear(struct pb_str user, struct pb_str password, struct pb_sasl *ret, struct pb_error *err);
void pb_sasl_free(struct pb_sasl *s);			/* wipes; back to PB_SASL */

#ifdef __cplusplus
}
#endif
#endif
