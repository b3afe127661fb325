/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Listeners: bound and kept; accepting only while somebody serves. Edge-triggered, so each event accepts all that wait. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "kernel/session/internal.h"

enum { BACKLOG = 1024, AT_ONCE = 64 };

/* ---- networks ---- */

static bool ip_parse(const char *text, struct in6_addr *ret, bool *ret_four)
{
	struct in_addr four;

	*ret_four = inet_pton(AF_INET, text, &four) == 1;
	if (*ret_four) {
		memset(ret, 0, sizeof *ret);
		ret->s6_addr[10] = ret->s6_addr[11] = 0xff;
		memcpy(ret->s6_addr + 12, &four, 4);
		return true;
	}
	return inet_pton(AF_INET6, text, ret) == 1;
}

bool network_parse(const char *text, struct network *ret)
{
	struct pb_str rest = pb_strz(text), address;
	char z[INET6_ADDRSTRLEN];
	uint64_t bits;
	bool four;

	if (!pb_str_cut(&rest, '/', &address) || address.len >= sizeof z)
		return false;
	memcpy(z, address.ptr, address.len);
	z[address.len] = '\0';
	if (!ip_parse(z, &ret->address, &four))
		return false;
	bits = four ? 32 : 128;
	if (rest.ptr && pb_str_u64(rest, bits, &bits) != 0)
		return false;
	ret->bits = (unsigned)bits + (four ? 96 : 0);
	return true;
}

bool network_is_valid(const char *text)
{
	struct network n;

	return network_parse(text, &n);
}

bool network_has(const struct network *n, size_t count, const struct in6_addr *address)
{
	for (; count; count--, n++) {
		unsigned bytes = n->bits / 8, rest = n->bits % 8;

		if (memcmp(n->address.s6_addr, address->s6_addr, bytes) == 0 &&
		    (!rest || (n->address.s6_addr[bytes] ^ address->s6_addr[bytes]) >> (8 - rest) == 0))
			return true;
	}
	return false;
}

/* ---- life ---- */

void listener_ref(struct listener *l)
{
	atomic_fetch_add(&l->refs, 1);
}

void listener_release(struct listener *l)
{
	if (atomic_fetch_sub(&l->refs, 1) != 1)
		return;
	pthread_mutex_destroy(&l->accepting);
	free(l->plugin);
	free(l->name);
	free(l->protocol);
	free(l->address);
	free(l->proxies);
	free(l);
}

static int bind_unix(const char *path, struct pb_error *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct stat st;
	int fd;

	if (strlen(path) >= sizeof sun.sun_path)
		return pb_fail(err, PB_EINVALID, "the socket's path '%s' is longer than %zu bytes", path, sizeof sun.sun_path - 1);
	memcpy(sun.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return pb_fail_errno(err, errno, "cannot make a socket");
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
		if (connect(fd, (struct sockaddr *)&sun, sizeof sun) == 0 || errno != ECONNREFUSED) {
			close(fd);
			return pb_fail(err, PB_EBUSY, "somebody listens on '%s'", path);
		}
		unlink(path);	/* left by one that is gone */
	}
	if (bind(fd, (struct sockaddr *)&sun, sizeof sun) != 0 || chmod(path, 0660) != 0 || listen(fd, BACKLOG) != 0) {
		int e = errno;

		close(fd);
		return pb_fail_errno(err, e, "cannot listen on '%s'", path);
	}
	return fd;
}

static int cannot_listen(const struct listener_options *o, int e, struct pb_error *err)
{
	if (e == EADDRINUSE)
		return pb_fail(err, PB_EBUSY, "cannot listen on %s port %u: %s", o->address, o->port, strerror(e));
	if (e == EACCES && o->port < IPPORT_RESERVED)
		return pb_fail(err, PB_EDENIED, "cannot listen on %s port %u: %s; ports below 1024 are opened at a start as root", o->address, o->port, strerror(e));
	return pb_fail_errno(err, e, "cannot listen on %s port %u", o->address, o->port);
}

static int listen_again(struct sessions *ss, const struct listener_options *o, int kept, uint16_t *ret_port, struct pb_error *err)
{
	if (listen(kept, BACKLOG) != 0) {
		int e = errno;

		low_port_keep(ss, o->address, o->port, kept);
		return cannot_listen(o, e, err);
	}
	*ret_port = o->port;
	return kept;
}

static int bind_ip(struct sessions *ss, const struct listener_options *o, uint16_t *ret_port, struct pb_error *err)
{
	struct sockaddr_storage sa = { 0 };
	struct sockaddr_in *four = (void *)&sa;
	struct sockaddr_in6 *six = (void *)&sa;
	socklen_t len = sizeof sa;
	int fd, on = 1, kept = low_port_take(ss, o->address, o->port);

	if (kept >= 0)
		return listen_again(ss, o, kept, ret_port, err);
	if (inet_pton(AF_INET, o->address, &four->sin_addr) == 1) {
		sa.ss_family = AF_INET;
		four->sin_port = htons(o->port);
	} else if (inet_pton(AF_INET6, o->address, &six->sin6_addr) == 1) {
		sa.ss_family = AF_INET6;
		six->sin6_port = htons(o->port);
	} else {
		return pb_fail(err, PB_EINVALID, "'%s' is no IP address to listen on", o->address);
	}
	fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return pb_fail_errno(err, errno, "cannot make a socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);	/* what it accepts inherits it */
	if (sa.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&sa, sa.ss_family == AF_INET ? sizeof *four : sizeof *six) != 0 || listen(fd, BACKLOG) != 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) != 0) {
		int e = errno;

		close(fd);
		return cannot_listen(o, e, err);
	}
	*ret_port = ntohs(sa.ss_family == AF_INET ? four->sin_port : six->sin6_port);
	return fd;
}

static void look_again(struct timer *t)
{
	struct listener *l = (struct listener *)(void *)((char *)t - offsetof(struct listener, retry));
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.u64 = (uint64_t)KEY_LISTENER << KEY_KIND_SHIFT | l->index };

	epoll_ctl(pool_epoll(l->ss->pool), EPOLL_CTL_MOD, l->fd, &ev);	/* a new edge if somebody waits; pausing does it again */
}

static int proxies(struct listener *l, const char *const *texts, struct pb_error *err)
{
	for (size_t i = 0; texts && texts[i]; i++) {
		l->proxies = pb_realloc(l->proxies, (i + 1) * sizeof *l->proxies);
		if (!network_parse(texts[i], &l->proxies[i]))
			return pb_fail(err, PB_EINVALID, "'%s' is no network like 192.0.2.0/24 or 2001:db8::/32", texts[i]);
		l->nproxies = i + 1;
	}
	return 0;
}

static int heir_socket(const struct listener *of, uint16_t *ret_port, struct pb_error *err)
{
	int fd = fcntl(of->fd, F_DUPFD_CLOEXEC, 0);

	*ret_port = of->port;
	return fd < 0 ? pb_fail_errno(err, errno, "cannot take over the socket") : fd;
}

/* ss->lock held. */
static void find_server(struct listener *l)
{
	for (struct attachment *at = l->ss->attachments; at; at = at->next)
		if (!atomic_load(&at->draining) && strcmp(at->host->name, l->plugin) == 0 && attachment_serves(at, l->protocol))
			listener_serve(l, at, attachment_serves(at, l->protocol));
}

static void enlist(struct listener *l)
{
	struct sessions *ss = l->ss;
	struct epoll_event ev = { .events = 0 };

	pthread_mutex_lock(&ss->lock);
	while (l->index < ss->nlisteners && ss->listeners[l->index])
		l->index++;
	if (l->index == ss->nlisteners)
		ss->listeners = pb_realloc(ss->listeners, ++ss->nlisteners * sizeof(struct listener *));
	ss->listeners[l->index] = l;
	ev.data.u64 = (uint64_t)KEY_LISTENER << KEY_KIND_SHIFT | l->index;
	epoll_ctl(pool_epoll(ss->pool), EPOLL_CTL_ADD, l->fd, &ev);
	find_server(l);
	pthread_mutex_unlock(&ss->lock);
}

int listener_bind(struct sessions *ss, const struct listener_options *o, struct listener **ret, struct pb_error *err)
{
	struct listener *l = pb_alloc(sizeof *l);

	*l = (struct listener){ .ss = ss, .tls = o->tls, .connections_max = o->connections_max, .retry = TIMER_INIT(look_again), .port = o->port, .refs = 1 };
	pthread_mutex_init(&l->accepting, NULL);
	l->plugin = pb_str_dup(pb_strz(o->plugin));
	l->name = pb_str_dup(pb_strz(o->name));
	l->protocol = pb_str_dup(pb_strz(o->protocol));
	l->address = pb_str_dup(pb_strz(o->address));
	l->wildcard = strcmp(o->address, "0.0.0.0") == 0 || strcmp(o->address, "::") == 0;
	l->waits = o->waits || o->heir_of;
	l->heir_of = o->heir_of;
	l->fd = proxies(l, o->proxies, err);
	if (l->fd == 0 && l->heir_of)
		l->fd = heir_socket(l->heir_of, &l->port, err);
	else if (l->fd == 0)
		l->fd = o->address[0] == '/' ? bind_unix(o->address, err) : bind_ip(ss, o, &l->port, err);
	if (l->fd < 0) {
		int code = l->fd;

		listener_release(l);
		return code;
	}
	enlist(l);
	*ret = l;
	return 0;
}

void listener_begin(struct listener *l)
{
	pthread_mutex_lock(&l->ss->lock);
	if (l->heir_of)
		l->heir_of->left_path = true;
	l->heir_of = NULL;
	l->waits = false;
	find_server(l);
	pthread_mutex_unlock(&l->ss->lock);
}

void listener_rest(struct listener *l)
{
	shutdown(l->fd, SHUT_RD);
}

void listener_resume(struct listener *l)
{
	listen(l->fd, BACKLOG);
}

uint16_t listener_port(const struct listener *l)
{
	return l->port;
}

void listener_close(struct listener *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->ss->lock);
	l->ss->listeners[l->index] = NULL;
	l->attachment = NULL;
	pthread_mutex_unlock(&l->ss->lock);
	if (l->address[0] == '/' && !l->heir_of && !l->left_path)
		unlink(l->address);
	pthread_mutex_lock(&l->accepting);	/* whoever accepts just now may set the timer again */
	timers_remove(&l->ss->timers, &l->retry);
	epoll_ctl(pool_epoll(l->ss->pool), EPOLL_CTL_DEL, l->fd, NULL);
	if (l->address[0] == '/' || l->heir_of || l->left_path)		/* not the only one with this socket */
		close(l->fd);
	else
		low_port_leave(l->ss, l->address, l->port, l->fd);
	l->fd = -1;
	pthread_mutex_unlock(&l->accepting);
	listener_release(l);
}

void listener_serve(struct listener *l, struct attachment *at, const struct pb_protocol *protocol)
{
	struct epoll_event ev = { .events = at ? EPOLLIN | EPOLLET : 0, .data.u64 = (uint64_t)KEY_LISTENER << KEY_KIND_SHIFT | l->index };

	if (l->waits)
		return;
	l->attachment = at;
	l->serves = protocol;
	epoll_ctl(pool_epoll(l->ss->pool), EPOLL_CTL_MOD, l->fd, &ev);
}

/* ---- accepting ---- */

/* The attachment that serves, held so that it cannot go away while a session is made for it. */
static struct attachment *hold(struct sessions *ss, size_t index, struct listener **ret, const struct pb_protocol **ret_protocol)
{
	struct attachment *at = NULL;
	struct listener *l;

	pthread_mutex_lock(&ss->lock);
	l = index < ss->nlisteners ? ss->listeners[index] : NULL;
	if (l)
		at = l->attachment;
	if (at) {
		pthread_mutex_lock(&at->lock);
		at->open++;
		pthread_mutex_unlock(&at->lock);
		listener_ref(l);
		*ret = l;
		*ret_protocol = l->serves;
	}
	pthread_mutex_unlock(&ss->lock);
	return at;
}

static void let_go(struct attachment *at, struct listener *l)
{
	listener_release(l);
	pthread_mutex_lock(&at->lock);
	at->open--;
	pthread_cond_broadcast(&at->gone);
	pthread_mutex_unlock(&at->lock);
}

static void no_more(struct listener *l, int errnum)
{
	if (errnum == EAGAIN || errnum == EWOULDBLOCK || errnum == EBADF || errnum == EINVAL)
		return;
	if (errnum == EMFILE || errnum == ENFILE || errnum == ENOBUFS || errnum == ENOMEM)
		log_line(l->ss->log, PB_WARNING, NULL, "accept.failed", "listener=%s reason=\"%s\"", l->name, strerror(errnum));
	timers_set(&l->ss->timers, &l->retry, clock_ticks(l->ss->clock) + PB_SECOND);
}

void listener_event(struct sessions *ss, size_t index, struct desk *desk)
{
	const struct pb_protocol *protocol;
	struct listener *l;
	struct attachment *at = hold(ss, index, &l, &protocol);
	struct sockaddr_storage peer, first_peer;
	int first = -1;

	if (!at)
		return;
	pthread_mutex_lock(&l->accepting);
	for (int n = 0;; n++) {
		socklen_t len = sizeof peer;
		int fd;

		if (n == AT_ONCE) {	/* let another worker go on with the rest */
			look_again(&l->retry);
			break;
		}
		memset(&peer, 0, sizeof peer);
		fd = accept4(l->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0) {
			no_more(l, errno);
			break;
		}
		if (first >= 0)
			session_open(l, at, protocol, fd, &peer, NULL, NULL);
		else {
			first = fd;
			first_peer = peer;
		}
	}
	pthread_mutex_unlock(&l->accepting);
	if (first >= 0)
		session_open(l, at, protocol, first, &first_peer, NULL, desk);
	let_go(at, l);
}
