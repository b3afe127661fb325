/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A wire: a non-blocking socket, in the clear or under TLS, for sessions and links alike. Reads and writes never wait.
 * Under TLS records are decrypted from, and gathered in, a cipher's buffers: one syscall for many records, and none to find that there is no more.
 * Leaves waiting, deadlines and handshakes to its callers.
 */
#ifndef KERNEL_SESSION_WIRE_H
#define KERNEL_SESSION_WIRE_H

#include <gnutls/gnutls.h>
#include <sys/uio.h>
#include <postbus/str.h>

/* Lent to a wire while it is read and written; empty whenever it is given back. */
struct cipher {
	char *in;
	size_t in_at, in_end;
	bool dry;		/* the socket had no more: set by a short read, cleared after waiting */
	struct pb_buf out;
	size_t out_at;
};

enum { CIPHER_IN = 32 * 1024, CIPHER_OUT = 64 * 1024 };

struct wire {
	int fd;
	bool direct;		/* handshake: records go straight to the socket and may say "again" */
	bool last;		/* the end follows at once: last words go out in one packet with it */
	gnutls_session_t tls;	/* NULL: in the clear */
	struct cipher *cipher;
};

/* Puts TLS on the wire: the session reads and writes through it from now on. */
void wire_secure(struct wire *w, gnutls_session_t tls);
/* *ret_n 0: nothing there now. PB_ECLOSED: the end, or a broken connection; PB_EINVALID: not TLS. */
int wire_read(struct wire *w, void *ptr, size_t max, size_t *ret_n, struct pb_error *err);
/* *ret_n: bytes taken over, maybe 0. Under TLS they may still be in the cipher: wire_pending. */
int wire_write(struct wire *w, const struct iovec *iov, unsigned n, size_t *ret_n, struct pb_error *err);
/* Sends what the cipher has; look at wire_pending afterwards. */
int wire_push(struct wire *w, struct pb_error *err);
bool wire_pending(const struct wire *w);
/* Bytes were received that wire_read would give, or decrypt, without asking the socket. */
bool wire_has_more(const struct wire *w);
void cipher_init(struct cipher *c);
void cipher_free(struct cipher *c);
/* "TLS1.3 AES-256-GCM X25519" */
void wire_tls_info(gnutls_session_t tls, struct pb_buf *out);
/* As pb_session_channel_binding; tls NULL: in the clear. */
int wire_channel_binding(gnutls_session_t tls, struct pb_str type, struct pb_buf *out, struct pb_error *err);

#endif
