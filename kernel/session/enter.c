/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What comes before the greeting: the PROXY header, limits, the connect hook, TLS handshakes. None of it waits: a session parks in between. */
#include <errno.h>
#include <stdlib.h>
#include "kernel/session/internal.h"

enum { PROXY_SECONDS = 10, TLS_SECONDS = 30 };

int64_t enter_patience(const struct pb_session *s)
{
	return (s->phase == PHASE_PROXY ? PROXY_SECONDS : TLS_SECONDS) * PB_SECOND;
}

static enum step proxy_wrong(struct pb_session *s, const char *what)
{
	PB_AUTOBUF(where);

	session_where(s, &where);
	log_line(SS(s)->log, PB_WARNING, where.ptr, "proxy.invalid", "reason=\"%s\"", what);
	s->lost = true;
	return STEP_CLOSE;
}

static void adopt(struct pb_session *s, const struct proxy_header *h)
{
	char peer[INET6_ADDRSTRLEN], local[INET6_ADDRSTRLEN];

	if (!h->known)
		return;
	s->source = h->peer;
	s->peer_port = h->peer_port;
	address_text(&h->peer, peer, sizeof peer);
	address_text(&h->local, local, sizeof local);
	session_set_names(s, peer, local);
}

/* Looks first and takes only what belongs to the header: what follows may be for TLS. */
enum step enter_proxy(struct pb_session *s)
{
	struct desk *d = s->desk;
	struct proxy_header h;
	size_t have = d->in_end - d->in_at, take;
	ssize_t n;
	int len;

	s->desk->doing = "waiting for the PROXY header";
	n = recv(s->wire.fd, d->in + d->in_end, PROXY_MAX - have, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return STEP_PARK;
	if (n <= 0) {
		s->lost = true;
		return STEP_CLOSE;
	}
	len = proxy_parse(d->in + d->in_at, have + (size_t)n, &h);
	if (len < 0 || (len == 0 && have + (size_t)n >= PROXY_MAX))
		return proxy_wrong(s, "no valid PROXY header from a trusted proxy");
	take = len ? (size_t)len - have : (size_t)n;
	n = recv(s->wire.fd, d->in + d->in_end, take, MSG_DONTWAIT);
	if (n != (ssize_t)take)
		return proxy_wrong(s, "the header changed while it was read");
	if (len == 0) {
		d->in_end += take;
		return STEP_PARK;
	}
	d->in_at = d->in_end = 0;
	adopt(s, &h);
	return STEP_ON;
}

static enum step send_away(struct pb_session *s)
{
	metric_add(SS(s)->refused, 1);
	/* under implicit TLS there is nothing that it would understand without a handshake, which is too much for somebody unwelcome */
	if (s->listener->tls != LISTENER_IMPLICIT && s->protocol->goodbye) {
		s->protocol->goodbye(s, (enum pb_goodbye)(s->refuse - 1));
		output_try(s);
	}
	return STEP_CLOSE;
}

bool enter_from_loopback(const struct pb_session *s)
{
	return s->inward && (IN6_IS_ADDR_LOOPBACK(&s->source) || (IN6_IS_ADDR_V4MAPPED(&s->source) && s->source.s6_addr[12] == 127));
}

enum step enter_admit(struct pb_session *s)
{
	struct sessions *ss = SS(s);
	bool counts = s->inward && (ss->limits.count_loopback || !enter_from_loopback(s));
	PB_AUTOBUF(where);

	s->desk->doing = "connecting";
	if (!s->refuse && counts) {
		s->source_counted = source_enter(&ss->sources, &s->source, ss->limits.per_source_max);
		if (!s->source_counted)
			s->refuse = PB_BYE_OVERLOAD + 1;
	}
	if (!s->refuse && ss->connected && ss->connected(ss->connected_arg, s) != 0)
		s->refuse = PB_BYE_REFUSED + 1;
	if (s->refuse)
		return send_away(s);
	if (log_wants(ss->log, PB_DEBUG)) {
		session_where(s, &where);
		log_line(ss->log, PB_DEBUG, where.ptr, "session.opened", "local=%s", s->names + s->npeer + 1);
	}
	return STEP_ON;
}

static bool begin_tls(struct pb_session *s)
{
	gnutls_session_t tls;

	s->certificates = tls_certificates(SS(s));
	tls = tls_server(SS(s), s->certificates);
	if (!tls)
		return false;
	s->wire.direct = true;
	wire_secure(&s->wire, tls);
	return true;
}

static enum step tls_failed(struct pb_session *s, const char *why)
{
	PB_AUTOBUF(where);

	metric_add(SS(s)->handshakes_failed, 1);
	session_where(s, &where);
	log_line(SS(s)->log, PB_INFO, where.ptr, "tls.failed", "reason=%s", pb_logq(pb_strz(why)));
	s->lost = true;
	return STEP_CLOSE;
}

enum step enter_tls(struct pb_session *s)
{
	PB_AUTOBUF(info);
	int rc;

	s->desk->doing = "negotiating TLS";
	if (!s->wire.tls && !begin_tls(s))
		return tls_failed(s, "no certificate");
	s->wire.cipher->dry = false;
	do
		rc = gnutls_handshake(s->wire.tls);
	while (rc == GNUTLS_E_INTERRUPTED || (rc < 0 && rc != GNUTLS_E_AGAIN && !gnutls_error_is_fatal(rc)));
	if (rc == GNUTLS_E_AGAIN) {
		s->tls_want_write = gnutls_record_get_direction(s->wire.tls) == 1;
		return STEP_PARK;
	}
	s->tls_want_write = false;
	if (rc < 0) {
		gnutls_alert_send_appropriate(s->wire.tls, rc);
		return tls_failed(s, rc == GNUTLS_E_FATAL_ALERT_RECEIVED ? gnutls_alert_get_name(gnutls_alert_get(s->wire.tls)) : gnutls_strerror(rc));
	}
	s->wire.direct = false;
	wire_tls_info(s->wire.tls, &info);
	pthread_mutex_lock(&s->attachment->lock);
	s->tls_info = pb_str_dup(pb_buf_str(&info));
	pthread_mutex_unlock(&s->attachment->lock);
	return STEP_ON;
}
