/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links: outgoing connections, blocking under deadlines. Right: net.connect.
 * Errors are sticky and asked for at reads and flushes; each names what was being done.
 */
#ifndef POSTBUS_LINK_H
#define POSTBUS_LINK_H

#include <postbus/plugin.h>
#include <postbus/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pb_link;

/* address: numeric, "192.0.2.1" or "2001:db8::1", or "/path" of a Unix socket. bind: local address or empty. timeout in microseconds, also the default of reads and writes. */
int pb_link_connect(struct pb_host *host, struct pb_str address, uint16_t port, struct pb_str bind, int64_t timeout, struct pb_link **ret, struct pb_error *err);
/* Would that be a connection to this plugin's own listeners? By address and port; who listens everywhere has every address of this machine. */
bool pb_link_is_own(struct pb_host *host, struct pb_str address, uint16_t port);
void pb_link_timeout(struct pb_link *l, int64_t timeout);

enum pb_tls_check { PB_TLS_ANY /* opportunistic: encrypt, do not check */, PB_TLS_PKIX /* chain and name */ };

/* Negotiates TLS as client; name: for SNI and the check. trust: PEM file of CAs, or empty for the system's. */
int pb_link_starttls(struct pb_link *l, struct pb_str name, enum pb_tls_check check, struct pb_str trust, struct pb_error *err);
struct pb_str pb_link_tls_info(struct pb_link *l);		/* empty in the clear */
/* What the other side showed: SHA-256 of its certificate, and of the key in it (SubjectPublicKeyInfo, as RFC 7469 2.4 and TLSA 1 1 1 mean it). For pins, compared
 * before anything is said. PB_ENOTFOUND: no TLS, or no certificate. */
#define PB_PIN_MAX 32
int pb_link_pins(struct pb_link *l, unsigned char *ret_certificate, unsigned char *ret_key, struct pb_error *err);

/* A line without its end (CRLF, or a bare LF), valid until the next read. PB_ETOOBIG over max. */
int pb_link_line(struct pb_link *l, size_t max, struct pb_str *ret_line, struct pb_error *err);
int pb_link_read(struct pb_link *l, void *ptr, size_t max, size_t *ret_n, struct pb_error *err);	/* at least one byte; PB_ECLOSED at the end */
void pb_link_put(struct pb_link *l, const void *ptr, size_t len);
void pb_link_putf(struct pb_link *l, const char *fmt, ...) PB_PRINTF(2, 3);
/* bytes in dot-stuffed form, bare line ends made CRLF, with the final dot. */
void pb_link_put_dot(struct pb_link *l, struct pb_str bytes);
int pb_link_flush(struct pb_link *l, struct pb_error *err);
/* Waits until one of these links has something to read, or is closed by the other side: *ret_at says which. PB_ETIMEOUT: none of them for so long (microseconds). */
int pb_links_wait(struct pb_host *host, struct pb_link *const *links, size_t n, int64_t timeout, size_t *ret_at, struct pb_error *err);
/* Is it open and silent (fit for reuse)? */
bool pb_link_is_idle(struct pb_link *l);
void pb_link_close(struct pb_link *l);				/* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
