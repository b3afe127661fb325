/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sockets in the clear and under TLS behind one pair of reads and writes. GnuTLS's codes and errno are folded here. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include "kernel/session/wire.h"

enum { RECORD = 16384 };

void cipher_init(struct cipher *c)
{
	*c = (struct cipher){ .out = PB_BUF };
}

void cipher_free(struct cipher *c)
{
	free(c->in);
	pb_buf_free(&c->out);
}

static int send_flags(const struct wire *w)
{
	return MSG_NOSIGNAL | MSG_DONTWAIT | (w->last ? MSG_MORE : 0);
}

static int fold(int errnum, struct pb_error *err)
{
	if (errnum == ECONNRESET || errnum == EPIPE || errnum == ENOTCONN || errnum == ESHUTDOWN)
		return pb_fail(err, PB_ECLOSED, "connection lost");
	return pb_fail_errno(err, errnum, "connection lost");
}

static int fold_tls(int rc, struct pb_error *err)
{
	if (rc == GNUTLS_E_PREMATURE_TERMINATION || rc == GNUTLS_E_PULL_ERROR || rc == GNUTLS_E_PUSH_ERROR || rc == GNUTLS_E_SESSION_EOF)
		return pb_fail(err, PB_ECLOSED, "connection lost");
	return pb_fail(err, PB_EINVALID, "TLS: %s", gnutls_strerror(rc));
}

static ssize_t pull(gnutls_transport_ptr_t ptr, void *to, size_t max)
{
	struct wire *w = ptr;
	struct cipher *c = w->cipher;
	size_t n;
	ssize_t got;

	if (c->in_at == c->in_end) {
		if (c->dry) {
			gnutls_transport_set_errno(w->tls, EAGAIN);
			return -1;
		}
		if (!c->in)
			c->in = pb_alloc(CIPHER_IN);
		got = recv(w->fd, c->in, CIPHER_IN, MSG_DONTWAIT);
		if (got <= 0) {
			gnutls_transport_set_errno(w->tls, got == 0 ? 0 : errno);
			return got;
		}
		c->in_at = 0;
		c->in_end = (size_t)got;
		c->dry = got < CIPHER_IN;
	}
	n = c->in_end - c->in_at < max ? c->in_end - c->in_at : max;
	memcpy(to, c->in + c->in_at, n);
	c->in_at += n;
	return (ssize_t)n;
}

static ssize_t push(gnutls_transport_ptr_t ptr, const giovec_t *iov, int n)
{
	struct wire *w = ptr;
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
	ssize_t sent = 0;

	if (w->direct) {
		sent = sendmsg(w->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0)
			gnutls_transport_set_errno(w->tls, errno);
		return sent;
	}
	for (int i = 0; i < n; i++) {
		pb_buf_add(&w->cipher->out, iov[i].iov_base, iov[i].iov_len);
		sent += (ssize_t)iov[i].iov_len;
	}
	return sent;
}

void wire_secure(struct wire *w, gnutls_session_t tls)
{
	w->tls = tls;
	gnutls_transport_set_ptr(tls, w);
	gnutls_transport_set_pull_function(tls, pull);
	gnutls_transport_set_vec_push_function(tls, push);
}

static int read_tls(struct wire *w, void *ptr, size_t max, size_t *ret_n, struct pb_error *err)
{
	for (;;) {
		size_t at = w->cipher->in_at, end = w->cipher->in_end;
		ssize_t n = gnutls_record_recv(w->tls, ptr, max);

		if (n > 0) {
			*ret_n = (size_t)n;
			return 0;
		}
		if (n == 0)
			return pb_fail(err, PB_ECLOSED, "connection closed");
		if (n == GNUTLS_E_AGAIN) {
			/* said after a session ticket or a key update as well, with records behind it */
			if (w->cipher->in_at < w->cipher->in_end && (w->cipher->in_at != at || w->cipher->in_end != end))
				continue;
			*ret_n = 0;
			return 0;
		}
		if (n == GNUTLS_E_REHANDSHAKE) {
			if (gnutls_alert_send(w->tls, GNUTLS_AL_WARNING, GNUTLS_A_NO_RENEGOTIATION) < 0)
				return pb_fail(err, PB_ECLOSED, "connection lost");
			continue;
		}
		if (n != GNUTLS_E_INTERRUPTED && n != GNUTLS_E_WARNING_ALERT_RECEIVED)
			return fold_tls((int)n, err);
	}
}

int wire_read(struct wire *w, void *ptr, size_t max, size_t *ret_n, struct pb_error *err)
{
	ssize_t n;

	if (w->tls)
		return read_tls(w, ptr, max, ret_n, err);
	do
		n = recv(w->fd, ptr, max, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return pb_fail(err, PB_ECLOSED, "connection closed");
	if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
		return fold(errno, err);
	*ret_n = n < 0 ? 0 : (size_t)n;
	return 0;
}

int wire_push(struct wire *w, struct pb_error *err)
{
	struct cipher *c = w->cipher;

	while (c && c->out_at < c->out.len) {
		ssize_t n = send(w->fd, c->out.ptr + c->out_at, c->out.len - c->out_at, send_flags(w));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 0;
		if (n < 0)
			return fold(errno, err);
		c->out_at += (size_t)n;
	}
	if (c) {
		c->out_at = 0;
		pb_buf_reset(&c->out);
	}
	return 0;
}

static int write_tls(struct wire *w, const struct iovec *iov, unsigned n, size_t *ret_n, struct pb_error *err)
{
	size_t taken = 0;
	int rc;

	for (unsigned i = 0; i < n; i++) {
		const char *ptr = iov[i].iov_base;

		for (size_t left = iov[i].iov_len; left;) {
			ssize_t sent;

			if (w->cipher->out.len >= CIPHER_OUT) {
				rc = wire_push(w, err);
				if (rc)
					return rc;
				if (wire_pending(w)) {
					*ret_n = taken;
					return 0;
				}
			}
			sent = gnutls_record_send(w->tls, ptr, left < RECORD ? left : RECORD);
			if (sent < 0 && sent != GNUTLS_E_INTERRUPTED && sent != GNUTLS_E_AGAIN)
				return fold_tls((int)sent, err);
			if (sent < 0)
				continue;	/* pushing into memory never says "again"; be safe */
			ptr += sent;
			left -= (size_t)sent;
			taken += (size_t)sent;
		}
	}
	*ret_n = taken;
	return wire_push(w, err);
}

int wire_write(struct wire *w, const struct iovec *iov, unsigned n, size_t *ret_n, struct pb_error *err)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = n };
	ssize_t sent;

	if (w->tls)
		return write_tls(w, iov, n, ret_n, err);
	do
		sent = sendmsg(w->fd, &msg, send_flags(w));
	while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
		return fold(errno, err);
	*ret_n = sent < 0 ? 0 : (size_t)sent;
	return 0;
}

bool wire_pending(const struct wire *w)
{
	return w->cipher && w->cipher->out_at < w->cipher->out.len;
}

bool wire_has_more(const struct wire *w)
{
	if (!w->tls)
		return false;
	return w->cipher->in_at < w->cipher->in_end || gnutls_record_check_pending(w->tls) > 0;
}

void wire_tls_info(gnutls_session_t tls, struct pb_buf *out)
{
	gnutls_group_t group = gnutls_group_get(tls);

	pb_buf_addz(out, gnutls_protocol_get_name(gnutls_protocol_get_version(tls)));
	pb_buf_addc(out, ' ');
	pb_buf_addz(out, gnutls_cipher_get_name(gnutls_cipher_get(tls)));
	pb_buf_addc(out, ' ');
	pb_buf_addz(out, group != GNUTLS_GROUP_INVALID ? gnutls_group_get_name(group) : gnutls_kx_get_name(gnutls_kx_get(tls)));
}

/* RFC 9266 4.2: below TLS 1.3 the exporter and "tls-unique" say which connection it is only with an extended master secret (RFC 7627). */
static bool is_unique(gnutls_session_t tls)
{
	return gnutls_protocol_get_version(tls) >= GNUTLS_TLS1_3 || gnutls_session_ext_master_secret_status(tls);
}

int wire_channel_binding(gnutls_session_t tls, struct pb_str type, struct pb_buf *out, struct pb_error *err)
{
	static const struct {
		const char *name;
		gnutls_channel_binding_t type;
	} types[] = {
		{ "tls-exporter", GNUTLS_CB_TLS_EXPORTER },
		{ "tls-server-end-point", GNUTLS_CB_TLS_SERVER_END_POINT },
		{ "tls-unique", GNUTLS_CB_TLS_UNIQUE },
	};
	gnutls_datum_t data = { NULL, 0 };
	int rc = GNUTLS_E_CHANNEL_BINDING_NOT_AVAILABLE;

	for (size_t i = 0; i < sizeof types / sizeof types[0] && tls; i++)
		if (pb_str_eq(type, pb_strz(types[i].name)) && (types[i].type == GNUTLS_CB_TLS_SERVER_END_POINT || is_unique(tls)))
			rc = gnutls_session_channel_binding(tls, types[i].type, &data);
	if (rc < 0 || !data.size)
		return pb_fail(err, PB_EUNAVAILABLE, "this connection has no channel binding '%.*s'", PB_FMT(pb_str_head(type, 40)));
	pb_buf_add(out, data.data, data.size);
	gnutls_free(data.data);
	return 0;
}
