/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The toy protocol, its host table, a client. The store's side of notices is faked here; everything else is the real room. */
#include <errno.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "kernel/session/tests/toy.h"
#include "kernel/store/mailstore.h"

struct toy toy;

int host_may(struct pb_host *host, enum right right, struct pb_error *err)
{
	return host->rights & right ? 0 : pb_fail(err, PB_EDENIED, "no right");
}

/* ---- notices ---- */

struct watcher {
	struct watcher *next;
	void (*hint)(void *arg);
	void *arg;
};

static struct watcher *watchers;
static pthread_mutex_t watch_lock = PTHREAD_MUTEX_INITIALIZER;

struct watcher *folder_watch(struct pb_folder *f, void (*hint)(void *arg), void *arg)
{
	struct watcher *w = pb_alloc(sizeof *w);

	(void)f;
	*w = (struct watcher){ NULL, hint, arg };
	pthread_mutex_lock(&watch_lock);
	w->next = watchers;
	watchers = w;
	pthread_mutex_unlock(&watch_lock);
	return w;
}

void folder_unwatch(struct watcher *w)
{
	pthread_mutex_lock(&watch_lock);
	for (struct watcher **at = &watchers; *at; at = &(*at)->next)
		if (*at == w) {
			*at = w->next;
			break;
		}
	pthread_mutex_unlock(&watch_lock);
	free(w);
}

void toy_notice(void)
{
	pthread_mutex_lock(&watch_lock);
	for (struct watcher *w = watchers; w; w = w->next)
		w->hint(w->arg);
	pthread_mutex_unlock(&watch_lock);
}

unsigned toy_watchers(void)
{
	unsigned n = 0;

	pthread_mutex_lock(&watch_lock);
	for (struct watcher *w = watchers; w; w = w->next)
		n++;
	pthread_mutex_unlock(&watch_lock);
	return n;
}

/* ---- spools and bodies ---- */

static void spool_write(struct pb_spool *spool, const void *ptr, size_t len)
{
	(void)spool;
	pb_buf_add(&toy.spool, ptr, len);
}

static int body_parts(struct pb_body *body, struct pb_str *head, struct pb_str *rest, struct pb_error *err)
{
	(void)body;
	(void)err;
	*head = toy.body_head;
	*rest = toy.body;
	return 0;
}

static struct pb_body *body_ref(struct pb_body *body)
{
	atomic_fetch_add(&toy.body_refs, 1);
	return body;
}

static void body_release(struct pb_body *body)
{
	(void)body;
	atomic_fetch_sub(&toy.body_refs, 1);
}

#define O(name) .name = host_##name
static const struct pb_host_ops toy_ops = {
	O(session_data), O(session_self), O(session_host), O(session_arena), O(session_state), O(session_set_state), O(session_listener), O(session_peer),
	O(session_local), O(session_peer_port), O(session_is_tls), O(session_tls_info), O(session_can_tls), O(session_id), O(session_has_input), O(session_login),
	O(session_user), O(session_error), O(session_error_over), O(sessions_end), O(session_idle), O(session_log_text), O(put), O(put_room), O(put_done), O(put_body), O(put_body_dot), O(flush),
	O(session_is_dead), O(read_line), O(read_buf), O(read_spool), O(read_dot), O(park), O(session_watch), O(starttls), O(link_connect), O(link_timeout),
	O(link_starttls), O(link_tls_info), O(link_line), O(link_read), O(link_put), O(link_put_dot), O(link_flush), O(link_is_idle), O(link_close),
	.spool_write = spool_write, .body_parts = body_parts, .body_ref = body_ref, .body_release = body_release,
};

static struct pb_handle a_spool = { &toy_ops }, a_body = { &toy_ops };
#define SPOOL ((struct pb_spool *)(void *)&a_spool)
#define BODY ((struct pb_body *)(void *)&a_body)

/* ---- the protocol ---- */

struct data {
	int magic;
};

static int greet(struct pb_session *s)
{
	struct data *d = pb_session_data(s);

	d->magic = 42;
	atomic_fetch_add(&toy.opened, 1);
	pb_putz(s, "hello\r\n");
	return PB_NEXT;
}

static int cmd_echo(struct pb_session *s, struct pb_str args)
{
	pb_putf(s, "%.*s\r\n", PB_FMT(args));
	return PB_NEXT;
}

static unsigned sum(struct pb_str b)
{
	return pb_crc32c(0, b.ptr, b.len);
}

static int cmd_data(struct pb_session *s, struct pb_str args)
{
	int rc;

	(void)args;
	pb_buf_reset(&toy.spool);
	pb_putz(s, "go\r\n");
	rc = pb_read_dot(s, SPOOL);
	if (rc == PB_EINVALID)
		pb_putz(s, "bad\r\n");
	else if (rc)
		return PB_CLOSE;
	else
		pb_putf(s, "ok %zu %x\r\n", toy.spool.len, sum(pb_buf_str(&toy.spool)));
	return PB_NEXT;
}

static int cmd_bytes(struct pb_session *s, struct pb_str args)
{
	PB_AUTOBUF(buf);
	uint64_t n;

	if (pb_str_u64(args, 1 << 20, &n) != 0)
		return PB_CLOSE;
	pb_putz(s, "+\r\n");
	if (pb_read_buf(s, &buf, n) != 0)
		return PB_CLOSE;
	pb_putf(s, "ok %zu %x\r\n", buf.len, sum(pb_buf_str(&buf)));
	return PB_NEXT;
}

static int cmd_line(struct pb_session *s, struct pb_str args)
{
	struct pb_str line;
	int rc;

	(void)args;
	pb_putz(s, "+\r\n");
	rc = pb_read_line(s, 20, &line);
	if (rc == PB_ETOOBIG || rc == PB_EINVALID)
		pb_putf(s, "%s\r\n", pb_code_name(rc));
	else if (rc)
		return PB_CLOSE;
	else
		pb_putf(s, "line %.*s\r\n", PB_FMT(line));
	return PB_NEXT;
}

static int woken(struct pb_session *s, enum pb_wake why, struct pb_str line)
{
	if (why == PB_WAKE_NOTICE) {
		pb_putz(s, "* notice\r\n");
		return pb_park(s, woken, PB_WAKE_LINE | PB_WAKE_NOTICE, 0);
	}
	if (why == PB_WAKE_TIMEOUT)
		pb_putz(s, "* timeout\r\n");
	else
		pb_putf(s, "woken %.*s\r\n", PB_FMT(line));
	pb_session_watch(s, NULL);
	return PB_NEXT;
}

static int cmd_wait(struct pb_session *s, struct pb_str args)
{
	uint64_t ms = 0;

	pb_str_u64(args, 1000000000, &ms);
	pb_session_watch(s, (struct pb_folder *)(void *)&toy);
	pb_putz(s, "+ waiting\r\n");
	return pb_park(s, woken, PB_WAKE_LINE | PB_WAKE_NOTICE, (int64_t)ms * 1000);
}

static int only_notice(struct pb_session *s, enum pb_wake why, struct pb_str line)
{
	(void)line;
	pb_putz(s, why == PB_WAKE_NOTICE ? "* notice\r\n" : "* other\r\n");
	pb_session_watch(s, NULL);
	return PB_NEXT;
}

static int cmd_deaf(struct pb_session *s, struct pb_str args)
{
	(void)args;
	pb_session_watch(s, (struct pb_folder *)(void *)&toy);
	pb_putz(s, "+ deaf\r\n");
	return pb_park(s, only_notice, PB_WAKE_NOTICE, 0);
}

static int cmd_pause(struct pb_session *s, struct pb_str args)
{
	uint64_t ms = 0;

	pb_str_u64(args, 1000000000, &ms);
	pb_putz(s, "+ pause\r\n");
	return pb_park(s, woken, 0, (int64_t)ms * 1000);
}

static int cmd_hold(struct pb_session *s, struct pb_str args)
{
	(void)args;
	sem_post(&toy.holding);
	while (sem_wait(&toy.go) != 0)
		;
	pb_putz(s, "held\r\n");
	return PB_NEXT;
}

static int cmd_body(struct pb_session *s, struct pb_str args)
{
	struct pb_str off;
	uint64_t from = 0, n = UINT64_MAX;

	if (pb_str_word(&args, &off))
		pb_str_u64(off, UINT64_MAX, &from);
	if (pb_str_word(&args, &off))
		pb_str_u64(off, UINT64_MAX, &n);
	pb_put_body(s, BODY, from, n);
	pb_putz(s, "ok\r\n");
	return PB_NEXT;
}

static int cmd_dot(struct pb_session *s, struct pb_str args)
{
	uint64_t lines;

	pb_put_body_dot(s, BODY, pb_str_u64(args, 1000, &lines) == 0 ? (int64_t)lines : -1);
	return PB_NEXT;
}

static int cmd_starttls(struct pb_session *s, struct pb_str args)
{
	(void)args;
	if (!pb_session_can_tls(s)) {
		pb_putz(s, "no tls\r\n");
		return PB_NEXT;
	}
	pb_putz(s, "go tls\r\n");
	return pb_starttls(s);
}

static int cmd_peer(struct pb_session *s, struct pb_str args)
{
	(void)args;
	pb_putf(s, "%.*s %u %.*s\r\n", PB_FMT(pb_session_peer(s)), pb_session_peer_port(s) ? 1 : 0, PB_FMT(pb_session_local(s)));
	return PB_NEXT;
}

static int cmd_tls(struct pb_session *s, struct pb_str args)
{
	(void)args;
	pb_putf(s, "%s\r\n", pb_session_is_tls(s) && pb_session_tls_info(s).len ? "on" : "off");
	return PB_NEXT;
}

static int cmd_login(struct pb_session *s, struct pb_str args)
{
	struct pb_user user = { .address = args, .mailbox = PB_STR("m1"), .postoffice = PB_STR("p"), .role = PB_ROLE_USER };

	pb_session_login(s, &user);
	pb_putz(s, "ok\r\n");
	return PB_NEXT;
}

static int cmd_ok(struct pb_session *s, struct pb_str args)
{
	(void)args;
	pb_putz(s, "ok\r\n");
	return PB_NEXT;
}

static int cmd_state(struct pb_session *s, struct pb_str args)
{
	uint64_t n;

	if (pb_str_u64(args, 8, &n) == 0)
		pb_session_set_state(s, (unsigned)n);
	return cmd_ok(s, args);
}

static int cmd_bad(struct pb_session *s, struct pb_str args)
{
	pb_session_error(s);
	return cmd_ok(s, args);
}

static int cmd_worse(struct pb_session *s, struct pb_str args)
{
	(void)args;
	pb_putz(s, pb_session_error_over(s, 3) ? "enough\r\n" : "worse\r\n");
	return PB_NEXT;
}

/* END m1: from inside a session, as a login that is revoked while it is being made. */
static int cmd_end(struct pb_session *s, struct pb_str args)
{
	if (pb_sessions_end(pb_session_host(s), args, NULL))
		pb_putz(s, "denied\r\n");
	return PB_NEXT;
}

static int cmd_late(struct pb_session *s, struct pb_str args)
{
	cmd_end(s, PB_STR("m1"));
	return cmd_login(s, args);
}

static int cmd_big(struct pb_session *s, struct pb_str args)
{
	uint64_t n = 0;
	char *room;

	pb_str_u64(args, 1 << 28, &n);
	while (n) {
		size_t some = n < 10000 ? (size_t)n : 10000;

		room = pb_put_room(s, some);
		if (!room)
			return PB_CLOSE;
		memset(room, 'x', some);
		pb_put_done(s, some);
		n -= some;
	}
	pb_putz(s, "\r\n");
	return PB_NEXT;
}

static int cmd_quit(struct pb_session *s, struct pb_str args)
{
	(void)args;
	pb_putz(s, "bye\r\n");
	return PB_CLOSE;
}

static const struct pb_command commands[] = {
	{ "ECHO", cmd_echo, ~0u, 0 },
	{ "DATA", cmd_data, ~0u, 0 },
	{ "BYTES", cmd_bytes, ~0u, 0 },
	{ "LINE", cmd_line, ~0u, 0 },
	{ "WAIT", cmd_wait, ~0u, 0 },
	{ "DEAF", cmd_deaf, ~0u, 0 },
	{ "PAUSE", cmd_pause, ~0u, 0 },
	{ "HOLD", cmd_hold, ~0u, 0 },
	{ "BODY", cmd_body, ~0u, 0 },
	{ "DOT", cmd_dot, ~0u, 0 },
	{ "STARTTLS", cmd_starttls, ~0u, PB_BEFORE_TLS | PB_ALONE },
	{ "UPGRADE", cmd_starttls, ~0u, PB_BEFORE_TLS },
	{ "PEER", cmd_peer, ~0u, 0 },
	{ "TLS", cmd_tls, ~0u, 0 },
	{ "LOGIN", cmd_login, ~0u, 0 },
	{ "STATE", cmd_state, ~0u, 0 },
	{ "TWO", cmd_ok, 2, 0 },
	{ "SECRET", cmd_ok, ~0u, PB_NEEDS_TLS },
	{ "MINE", cmd_ok, ~0u, PB_NEEDS_USER },
	{ "LAST", cmd_ok, ~0u, PB_ALONE },
	{ "BAD", cmd_bad, ~0u, 0 },
	{ "WORSE", cmd_worse, ~0u, 0 },
	{ "END", cmd_end, ~0u, 0 },
	{ "LATE", cmd_late, ~0u, 0 },
	{ "BIG", cmd_big, ~0u, 0 },
	{ "QUIT", cmd_quit, ~0u, 0 },
	{ NULL, NULL, 0, 0 }
};

static int refuse(struct pb_session *s, enum pb_refusal why, struct pb_str verb, struct pb_str args)
{
	static const char *const words[] = { "unknown", "state", "tls needed", "tls on", "user needed", "not last", "too long", "framing" };

	(void)verb;
	(void)args;
	pb_putf(s, "refused %s\r\n", words[why]);
	return PB_NEXT;
}

static void goodbye(struct pb_session *s, enum pb_goodbye why)
{
	static const char *const words[] = { "shutdown", "idle", "slow", "errors", "overload", "refused", "revoked" };

	atomic_fetch_add(&toy.byes[why], 1);
	pb_putf(s, "bye %s\r\n", words[why]);
}

static void secured(struct pb_session *s)
{
	(void)s;
}

static void on_closed(struct pb_session *s)
{
	pb_session_watch(s, NULL);
	atomic_fetch_add(&toy.closed, 1);
}

static int connected(void *arg, struct pb_session *s)
{
	(void)arg;
	(void)s;
	return toy.refuse_all ? PB_EDENIED : 0;
}

/* ---- set-up ---- */

static void tap(void *arg, enum pb_level level, const char *line)
{
	(void)arg;
	(void)level;
	pthread_mutex_lock(&toy.lock);
	pb_buf_addf(&toy.log, "%s\n", line);
	pthread_mutex_unlock(&toy.lock);
}

bool toy_logged(const char *text)
{
	bool found;

	pthread_mutex_lock(&toy.lock);
	found = strstr(pb_buf_z(&toy.log), text) != NULL;
	pthread_mutex_unlock(&toy.lock);
	return found;
}

void toy_open(const struct sessions_options *o, struct clock *clock)
{
	struct sessions_options own = o ? *o : (struct sessions_options){ 0 };
	struct pb_error err;

	memset(&toy, 0, sizeof toy);
	pthread_mutex_init(&toy.lock, NULL);
	sem_init(&toy.go, 0, 0);
	sem_init(&toy.holding, 0, 0);
	toy.kernel.clock = clock ? clock : clock_system();
	toy.kernel.log = log_new(-1, PB_ERROR, false);
	log_tap(toy.kernel.log, tap, NULL);
	own.connected = connected;
	assert_int_equal(sessions_open(&toy.kernel, &own, &toy.ss, &err), 0);
	toy.kernel.sessions = toy.ss;
	toy.host = (struct pb_host){ .handle = { &toy_ops }, .kernel = &toy.kernel, .name = "toy", .rights = RIGHT_NET_CONNECT | RIGHT_SESSION_END };
	toy.protocol = (struct pb_protocol){ .size = sizeof toy.protocol, .name = "toy", .commands = commands, .session_size = sizeof(struct data), .first_state = 1,
					     .line_max = 100, .idle_seconds = 300, .errors_max = 5, .greet = greet, .refuse = refuse, .goodbye = goodbye,
					     .secured = secured, .closed = on_closed };
	toy.protocols[0] = &toy.protocol;
	toy_attach();
}

void toy_attach(void)
{
	struct pb_error err;

	assert_int_equal(sessions_attach(toy.ss, &toy.host, toy.protocols, &toy.at, &err), 0);
}

void toy_reattach(void)
{
	sessions_detach(toy.at, 5 * PB_SECOND);
	toy_attach();
}

void toy_close(void)
{
	sessions_detach(toy.at, 5 * PB_SECOND);
	toy.at = NULL;
	listener_close(toy.listener);
	sessions_close(toy.ss);
	assert_int_equal(toy.body_refs, 0);
	log_free(toy.kernel.log);
	pb_buf_free(&toy.spool);
	pb_buf_free(&toy.log);
}

uint16_t toy_listen(enum listener_tls tls, const char *const *proxies, unsigned max)
{
	struct listener_options o = { .plugin = "toy", .name = "toys", .protocol = "toy", .address = "127.0.0.1", .tls = tls, .proxies = proxies,
				      .connections_max = max };
	struct pb_error err;

	if (listener_bind(toy.ss, &o, &toy.listener, &err) != 0)
		fail_msg("%s", err.text);
	return listener_port(toy.listener);
}

int toy_talk(enum listener_tls tls)
{
	struct pb_error err;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(sessions_adopt(toy.at, pair[1], "toys", tls, "192.0.2.1", &err), 0);
	return pair[0];
}

int toy_connect(uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof sin), 0);
	return fd;
}

/* Waits without sleeping for a fixed time: the condition or 20 seconds. */
static void until(bool (*holds)(unsigned n), unsigned n)
{
	for (int i = 0; !holds(n); i++) {
		if (i == 20000)
			fail_msg("it did not happen");
		usleep(1000);
	}
}

/* Closed, and gone to the last: what a session counted for in limits is given back, and its log line written, only after the protocol has heard of its end. */
static bool closed_are(unsigned n)
{
	unsigned open;

	pthread_mutex_lock(&toy.at->lock);
	open = toy.at->open;
	pthread_mutex_unlock(&toy.at->lock);
	return (unsigned)atomic_load(&toy.closed) >= n && atomic_load(&toy.ss->last_id) >= (uint64_t)open + n;
}

static bool parked_are(unsigned n)
{
	unsigned parked = 0;

	pthread_mutex_lock(&toy.at->lock);
	for (struct pb_session *s = toy.at->sessions; s; s = s->next)
		parked += slot_is_parked(&toy.ss->slots, s->key);
	pthread_mutex_unlock(&toy.at->lock);
	return parked >= n;
}

void toy_await_closed(int n)
{
	until(closed_are, (unsigned)n);
}

void toy_await_parked(unsigned n)
{
	until(parked_are, n);
}

/* ---- the client ---- */

void send_all(int fd, const void *ptr, size_t len)
{
	const char *p = ptr;

	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0)
			fail_msg("send: %s", strerror(errno));
		p += n;
		len -= (size_t)n;
	}
}

void send_text(int fd, const char *text)
{
	send_all(fd, text, strlen(text));
}

static ssize_t read_some(int fd, void *ptr, size_t max)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	if (poll(&pfd, 1, 20000) != 1)
		fail_msg("nothing came");
	return recv(fd, ptr, max, 0);
}

void expect_bytes(int fd, const void *ptr, size_t len)
{
	char *got = pb_alloc(len + 1);
	size_t have = 0;

	while (have < len) {
		ssize_t n = read_some(fd, got + have, len - have);

		if (n <= 0)
			fail_msg("the end came after '%s'", got);
		have += (size_t)n;
		if (memcmp(got, ptr, have) != 0)
			fail_msg("got '%s', not '%.*s'", got, (int)len, (const char *)ptr);
	}
	free(got);
}

void expect(int fd, const char *text)
{
	expect_bytes(fd, text, strlen(text));
}

void expect_eof(int fd)
{
	char c;
	ssize_t n = read_some(fd, &c, 1);

	if (n > 0)
		fail_msg("more came: '%c'", c);
	close(fd);
}
