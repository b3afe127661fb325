/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Outgoing connections: blocking reads and writes under deadlines, sticky errors. TLS is link_tls.c's; what is said is the plugin's. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "kernel/session/link.h"

enum { LINK_IN = 16 * 1024, LINK_OUT = 64 * 1024, RATE_MIN = 64, STOP_POLL_MS = 500 };

int64_t link_ticks(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int link_stick(struct pb_link *l, struct pb_error *err, const struct pb_error *what)
{
	if (!l->error.code)
		l->error = *what;
	if (err)
		*err = l->error;
	return l->error.code;
}

int link_wait(struct pb_link *l, short events, int64_t deadline, struct pb_error *err)
{
	struct pollfd pfd = { .fd = l->wire.fd, .events = events };

	for (;;) {
		int64_t now = link_ticks(), left = deadline - now, ms = (left + 999) / 1000, until = atomic_load(&l->host->links_until);
		int n;

		if (left <= 0)
			return pb_fail(err, PB_ETIMEOUT, "no answer in time");
		/* Nobody waits minutes for another server while this one is to stop. */
		if (until && now >= until)
			return pb_fail(err, PB_ECLOSED, "given up, since the server is stopping");
		n = poll(&pfd, 1, ms > STOP_POLL_MS ? STOP_POLL_MS : (int)ms);
		if (n > 0) {
			l->cipher.dry = false;
			return 0;
		}
		if (n < 0 && errno != EINTR)
			return pb_fail_errno(err, errno, "cannot wait for the connection");
	}
}

/* ---- connecting ---- */

static int parse(struct pb_str text, uint16_t port, struct sockaddr_storage *ret, socklen_t *ret_len)
{
	struct sockaddr_in *four = (void *)ret;
	struct sockaddr_in6 *six = (void *)ret;
	struct sockaddr_un *sun = (void *)ret;
	char z[sizeof sun->sun_path];

	memset(ret, 0, sizeof *ret);
	if (text.len == 0 || text.len >= sizeof z || memchr(text.ptr, '\0', text.len))
		return PB_EINVALID;
	memcpy(z, text.ptr, text.len);
	z[text.len] = '\0';
	if (z[0] == '/') {
		sun->sun_family = AF_UNIX;
		memcpy(sun->sun_path, z, text.len + 1);
		*ret_len = sizeof *sun;
	} else if (inet_pton(AF_INET, z, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		*ret_len = sizeof *four;
	} else if (inet_pton(AF_INET6, z, &six->sin6_addr) == 1) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons(port);
		*ret_len = sizeof *six;
	} else {
		return PB_EINVALID;
	}
	return 0;
}

static int fold(int errnum, const char *peer, struct pb_error *err)
{
	int code = pb_fail_errno(err, errnum, "cannot connect to %s", peer);

	/* whatever the reason, it is the other side that cannot be had now */
	if (code != PB_EDENIED && code != PB_ETIMEOUT && err)
		err->code = PB_EUNAVAILABLE;
	return code == PB_EDENIED || code == PB_ETIMEOUT ? code : PB_EUNAVAILABLE;
}

static int dial(struct pb_link *l, const struct sockaddr_storage *sa, socklen_t len, int64_t timeout, struct pb_error *err)
{
	int e = 0;
	socklen_t size = sizeof e;

	if (connect(l->wire.fd, (const struct sockaddr *)sa, len) == 0)
		return 0;
	if (errno != EINPROGRESS && errno != EINTR)
		return fold(errno, l->peer, err);
	if (link_wait(l, POLLOUT, link_ticks() + timeout, err) != 0) {
		if (err && err->code == PB_ETIMEOUT)
			return pb_fail(err, PB_ETIMEOUT, "%s does not answer", l->peer);
		return PB_ETIMEOUT;
	}
	if (getsockopt(l->wire.fd, SOL_SOCKET, SO_ERROR, &e, &size) != 0)
		e = errno;
	return e ? fold(e, l->peer, err) : 0;
}

static int open_socket(struct pb_link *l, struct pb_str address, uint16_t port, struct pb_str local, int64_t timeout, struct pb_error *err)
{
	struct sockaddr_storage sa, from;
	socklen_t len, from_len;
	int on = 1;

	if (parse(address, port, &sa, &len) != 0)
		return pb_fail(err, PB_EINVALID, "'%.*s' is no address to connect to", PB_FMT(address));
	if (sa.ss_family == AF_UNIX)
		snprintf(l->peer, sizeof l->peer, "%.*s", PB_FMT(address));
	else
		snprintf(l->peer, sizeof l->peer, "%.*s port %u", PB_FMT(address), port);
	l->wire.fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->wire.fd < 0)
		return pb_fail_errno(err, errno, "cannot make a socket");
	setsockopt(l->wire.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (local.len && sa.ss_family != AF_UNIX) {
		if (parse(local, 0, &from, &from_len) != 0 || from.ss_family != sa.ss_family)
			return pb_fail(err, PB_EINVALID, "cannot connect to %s from '%.*s': not an address of the same kind", l->peer, PB_FMT(local));
		if (bind(l->wire.fd, (struct sockaddr *)&from, from_len) != 0)
			return pb_fail_errno(err, errno, "cannot connect from '%.*s'", PB_FMT(local));
	}
	return dial(l, &sa, len, timeout, err);
}

int host_link_connect(struct pb_host *host, struct pb_str address, uint16_t port, struct pb_str local, int64_t timeout, struct pb_link **ret, struct pb_error *err)
{
	struct pb_error own;
	struct pb_link *l;
	int rc;

	if (!err)
		err = &own;
	rc = host_may(host, RIGHT_NET_CONNECT, err);
	if (rc)
		return rc;
	l = pb_alloc(sizeof *l);
	l->handle.ops = host->handle.ops;
	l->host = host;
	l->wire.fd = -1;
	l->timeout = timeout;
	cipher_init(&l->cipher);
	l->wire.cipher = &l->cipher;
	rc = open_socket(l, address, port, local, timeout, err);
	if (rc) {
		host_link_close(l);
		return rc;
	}
	l->in_cap = LINK_IN;
	l->in = pb_realloc(NULL, l->in_cap);
	*ret = l;
	return 0;
}

void host_link_timeout(struct pb_link *l, int64_t timeout)
{
	l->timeout = timeout;
}

struct pb_str host_link_tls_info(struct pb_link *l)
{
	return pb_strz(l->tls_info);
}

/* ---- reading ---- */

static void make_room(struct pb_link *l, size_t want)
{
	size_t have = l->in_end - l->in_at;

	if (l->in_at) {
		memmove(l->in, l->in + l->in_at, have);
		l->in_at = 0;
		l->in_end = have;
	}
	if (l->in_cap < want) {
		l->in = pb_realloc(l->in, want);
		l->in_cap = want;
	}
}

/* At least one byte more, before the deadline. */
static int more(struct pb_link *l, int64_t deadline, struct pb_error *err)
{
	struct pb_error what = { 0 };
	size_t n;

	make_room(l, 1);
	for (;;) {
		if (wire_read(&l->wire, l->in + l->in_end, l->in_cap - l->in_end, &n, &what) != 0)
			break;
		l->in_end += n;
		if (n)
			return 0;
		if (link_wait(l, POLLIN, deadline, &what) != 0)
			break;
	}
	pb_because(&what, "%s", l->peer);
	return link_stick(l, err, &what);
}

int host_link_line(struct pb_link *l, size_t max, struct pb_str *ret_line, struct pb_error *err)
{
	int64_t deadline = link_ticks() + l->timeout;
	int rc = host_link_flush(l, err);

	if (rc)
		return rc;
	make_room(l, max + 2);
	for (size_t seen = 0;;) {
		size_t have = l->in_end - l->in_at, len;
		const char *p = l->in + l->in_at, *lf = have > seen ? memchr(p + seen, '\n', have - seen) : NULL;

		if (lf) {
			len = (size_t)(lf - p);
			l->in_at += len + 1;
			if (len && p[len - 1] == '\r')
				len--;
			if (len > max)
				return pb_fail(err, PB_ETOOBIG, "%s: a line of more than %zu bytes", l->peer, max);
			*ret_line = pb_str(p, len);
			return 0;
		}
		if (have > max + 1) {
			struct pb_error what;

			pb_fail(&what, PB_ETOOBIG, "%s: a line of more than %zu bytes", l->peer, max);
			return link_stick(l, err, &what);
		}
		seen = have;
		rc = more(l, deadline, err);
		if (rc)
			return rc;
	}
}

int host_link_read(struct pb_link *l, void *ptr, size_t max, size_t *ret_n, struct pb_error *err)
{
	int rc = host_link_flush(l, err);
	size_t n;

	if (rc)
		return rc;
	if (l->in_at == l->in_end) {
		rc = more(l, link_ticks() + l->timeout, err);
		if (rc)
			return rc;
	}
	n = l->in_end - l->in_at < max ? l->in_end - l->in_at : max;
	memcpy(ptr, l->in + l->in_at, n);
	l->in_at += n;
	*ret_n = n;
	return 0;
}

/* ---- writing ---- */

int host_link_flush(struct pb_link *l, struct pb_error *err)
{
	struct iovec iov = { l->out.ptr, l->out.len };
	int64_t deadline = link_ticks() + l->timeout;
	struct pb_error what = { 0 };
	int rc = 0;

	if (l->error.code)
		return link_stick(l, err, &l->error);
	while (iov.iov_len || wire_pending(&l->wire)) {
		size_t n = 0;

		if (wire_pending(&l->wire))
			rc = wire_push(&l->wire, &what);
		if (!rc && !wire_pending(&l->wire) && iov.iov_len)
			rc = wire_write(&l->wire, &iov, 1, &n, &what);
		if (rc)
			break;
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= n;
		/* who takes them slowly gets more time for many bytes than for few */
		deadline += (int64_t)n * 1000000 / RATE_MIN / 16;
		if (n)
			continue;
		if (!iov.iov_len && !wire_pending(&l->wire))
			break;
		rc = link_wait(l, POLLOUT, deadline, &what);
		if (rc)
			break;
	}
	pb_buf_reset(&l->out);
	if (!rc)
		return 0;
	pb_because(&what, "sending to %s", l->peer);
	return link_stick(l, err, &what);
}

void host_link_put(struct pb_link *l, const void *ptr, size_t len)
{
	if (l->error.code)
		return;
	pb_buf_add(&l->out, ptr, len);
	if (l->out.len >= LINK_OUT)
		host_link_flush(l, NULL);
}

/* A stretch that needs no change goes out in pieces that the buffer takes. */
static void put_all(struct pb_link *l, const char *ptr, size_t len)
{
	while (len && !l->error.code) {
		size_t some = len < LINK_OUT ? len : LINK_OUT;

		host_link_put(l, ptr, some);
		ptr += some;
		len -= some;
	}
}

void host_link_put_dot(struct pb_link *l, struct pb_str b)
{
	size_t from = 0, at = 0;
	bool line_start = true;

	while (at < b.len && !l->error.code) {
		const char *lf, *cr;
		size_t end;

		if (line_start && b.ptr[at] == '.') {
			put_all(l, b.ptr + from, at - from);
			host_link_put(l, ".", 1);
			from = at;
		}
		lf = memchr(b.ptr + at, '\n', b.len - at);
		end = lf ? (size_t)(lf - b.ptr) : b.len;
		cr = memchr(b.ptr + at, '\r', end - at);
		if (cr && lf && cr + 1 == lf) {
			at = end + 1;
			line_start = true;
			continue;
		}
		if (!cr && !lf) {
			at = b.len;
			line_start = false;
			break;
		}
		/* a bare CR or a bare LF: a line end that everybody understands instead */
		at = cr ? (size_t)(cr - b.ptr) : end;
		put_all(l, b.ptr + from, at - from);
		host_link_put(l, "\r\n", 2);
		from = ++at;
		line_start = true;
	}
	put_all(l, b.ptr + from, at - from);
	if (line_start)
		host_link_put(l, ".\r\n", 3);
	else
		host_link_put(l, "\r\n.\r\n", 5);
}

/* ---- many of them ---- */

/* Read but not used, or decrypted but not read: then there is nothing to wait for. */
static bool has_input(struct pb_link *l)
{
	return l->in_at < l->in_end || wire_has_more(&l->wire);
}

int host_links_wait(struct pb_host *host, struct pb_link *const *links, size_t n, int64_t timeout, size_t *ret_at, struct pb_error *err)
{
	int64_t deadline = link_ticks() + timeout;
	struct pollfd *fds = pb_alloc((n + 1) * sizeof *fds);
	int rc = PB_ETIMEOUT;

	for (size_t i = 0; i < n; i++) {
		fds[i] = (struct pollfd){ .fd = links[i]->wire.fd, .events = POLLIN | POLLRDHUP };
		if (rc == PB_ETIMEOUT && has_input(links[i])) {
			*ret_at = i;
			rc = 0;
		}
	}
	while (rc == PB_ETIMEOUT) {
		int64_t left = (deadline - link_ticks() + 999) / 1000;

		if (left <= 0 || atomic_load(&host->links_until) || poll(fds, n, left > STOP_POLL_MS ? STOP_POLL_MS : (int)left) < 0)
			break;
		for (size_t i = 0; i < n && rc; i++)
			if (fds[i].revents) {
				links[i]->cipher.dry = false;
				*ret_at = i;
				rc = 0;
			}
	}
	free(fds);
	return rc ? pb_fail(err, PB_ETIMEOUT, "none of %zu connections has said anything", n) : 0;
}

/* ---- the end ---- */

bool host_link_is_idle(struct pb_link *l)
{
	struct pollfd pfd = { .fd = l->wire.fd, .events = POLLIN | POLLRDHUP };
	size_t n = 0;

	if (l->error.code || l->in_at < l->in_end || l->out.len)
		return false;
	if (poll(&pfd, 1, 0) == 0)
		return true;
	if (!l->wire.tls || (pfd.revents & (POLLERR | POLLHUP | POLLRDHUP)))
		return false;
	/* session tickets come after the handshake and say nothing */
	make_room(l, 1);
	l->cipher.dry = false;
	if (wire_read(&l->wire, l->in, l->in_cap, &n, NULL) != 0)
		return false;
	l->in_end = n;
	return n == 0;
}

void host_link_close(struct pb_link *l)
{
	if (!l)
		return;
	link_tls_free(l);
	if (l->wire.fd >= 0)
		close(l->wire.fd);
	cipher_free(&l->cipher);
	pb_buf_free(&l->out);
	free(l->in);
	free(l->tls_info);
	free(l);
}
