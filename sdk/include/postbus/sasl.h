/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SASL, the messages of the server's side: PLAIN (RFC 4616), LOGIN (by custom) and SCRAM (RFC 5802; with SHA-256: RFC 7677). Reads and writes them only;
 * who may log in is the business of auth.verify and auth.scram. Services go through the exchange of postbus/login.h.
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

/* ---- SCRAM: three messages, in text (no base64). Keys are not needed here: what is signed, and the proof, go to whoever has them (auth.scram_verify) ---- */

enum { PB_SCRAM_PROOF = 32, PB_SCRAM_MAX = 2048 /* bytes of a client's message */ };

struct pb_scram {
	char *authzid, *authcid;	/* as of struct pb_sasl */
	char *binding;			/* type of channel binding that the client uses ("tls-exporter"); NULL: none */
	bool could_bind;		/* the client could, and believes that it is not offered here ("y"): where it is, somebody stands between */
	struct pb_buf header;		/* the GS2 header as it came: "n,,"; the final message repeats it */
	struct pb_buf nonce;		/* of the client; from pb_scram_challenge on of both */
	struct pb_buf message;		/* client-first-message-bare, and from pb_scram_final on all that both sides sign (AuthMessage) */
	unsigned char proof[PB_SCRAM_PROOF];
};

#define PB_SCRAM { .header = PB_BUF, .nonce = PB_BUF, .message = PB_BUF }

/* client-first-message, into a fresh PB_SCRAM. PB_EINVALID, PB_ETOOBIG. */
int pb_scram_first(struct pb_scram *x, struct pb_str text, struct pb_error *err);
/* Appends server-first-message to out. nonce: the server's part, printable without commas; salt: base64. */
void pb_scram_challenge(struct pb_scram *x, struct pb_str nonce, struct pb_str salt, uint64_t iterations, struct pb_buf *out);
/* client-final-message. channel: what pb_session_channel_binding gives for binding, or empty. PB_EINVALID; PB_EDENIED: another channel, or another nonce. */
int pb_scram_final(struct pb_scram *x, struct pb_str text, struct pb_str channel, struct pb_error *err);
void pb_scram_free(struct pb_scram *x);			/* wipes; back to PB_SCRAM */

#ifdef __cplusplus
}
#endif
#endif
