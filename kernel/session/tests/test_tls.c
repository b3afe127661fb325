/* SPDX-License-Identifier: GPL-3.0-or-later */
/* TLS from both ends: sessions as servers (STARTTLS, implicit, SNI, reload, injected plaintext) and links as clients (PKIX or not, idle, errors). */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "kernel/session/tests/toy.h"

static char dir[64];
static char ca_path[100];

static int make_certificates(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/postbus-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(ca_path, sizeof ca_path, "%s/ca.cert", dir);
	make_certificate(dir, "ca", "Test CA", true, NULL);
	make_certificate(dir, "stranger", "Another CA", true, NULL);
	make_certificate(dir, "one", "one.example", false, "ca");
	make_certificate(dir, "two", "two.example", false, "ca");
	make_certificate(dir, "wild", "*.wild.example", false, "ca");
	make_certificate(dir, "new", "one.example", false, "ca");
	return 0;
}

static int remove_certificates(void **state)
{
	static const char *const files[] = { "ca", "stranger", "one", "two", "wild", "new" };
	char path[200];

	(void)state;
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		snprintf(path, sizeof path, "%s/%s.cert", dir, files[i]);
		unlink(path);
		snprintf(path, sizeof path, "%s/%s.key", dir, files[i]);
		unlink(path);
	}
	return rmdir(dir);
}

static void use(const char *const *names, size_t n)
{
	struct certificate_files files[4];
	char paths[8][200];
	struct pb_error err;

	for (size_t i = 0; i < n; i++) {
		snprintf(paths[2 * i], sizeof paths[0], "%s/%s.cert", dir, names[i]);
		snprintf(paths[2 * i + 1], sizeof paths[0], "%s/%s.key", dir, names[i]);
		files[i] = (struct certificate_files){ paths[2 * i], paths[2 * i + 1] };
	}
	if (sessions_certificates(toy.ss, files, n, &err) != 0)
		fail_msg("%s", err.text);
}

static struct pb_link *dial(uint16_t port)
{
	struct pb_link *l;
	struct pb_error err;

	if (pb_link_connect(&toy.host, PB_STR("127.0.0.1"), port, PB_NOSTR, 20 * PB_SECOND, &l, &err) != 0)
		fail_msg("%s", err.text);
	return l;
}

static void hear(struct pb_link *l, const char *want)
{
	struct pb_str line;
	struct pb_error err;

	if (pb_link_line(l, 2000, &line, &err) != 0)
		fail_msg("%s instead of '%s'", err.text, want);
	if (!pb_str_eq(line, pb_strz(want)))
		fail_msg("'%.*s' instead of '%s'", PB_FMT(line), want);
}

static void secure(struct pb_link *l, const char *name)
{
	struct pb_error err;

	if (pb_link_starttls(l, pb_strz(name), PB_TLS_PKIX, pb_strz(ca_path), &err) != 0)
		fail_msg("%s", err.text);
}

static void starttls_then_everything_goes_through_tls(void **state)
{
	static const char *const names[] = { "one" };
	size_t n = 2000000;
	char *text = pb_alloc(n + 1), want[100];
	struct pb_link *l;
	struct pb_error err;

	(void)state;
	toy_open(NULL, NULL);
	use(names, 1);
	l = dial(toy_listen(LISTENER_STARTTLS, NULL, 0));
	hear(l, "hello");
	pb_link_putf(l, "SECRET\r\nSTARTTLS\r\n");
	hear(l, "refused tls needed");
	hear(l, "go tls");
	secure(l, "one.example");
	assert_true(pb_str_starts(pb_link_tls_info(l), PB_STR("TLS1.3 ")));
	pb_link_putf(l, "SECRET\r\nTLS\r\nSTARTTLS\r\n");
	hear(l, "ok");
	hear(l, "on");
	hear(l, "refused tls on");
	/* large both ways */
	for (size_t i = 0; i < n; i++)
		text[i] = i % 80 == 78 ? '\r' : i % 80 == 79 ? '\n' : (char)('a' + i % 26);
	pb_link_putf(l, "DATA\r\n");
	hear(l, "go");
	pb_link_put_dot(l, pb_str(text, n));
	snprintf(want, sizeof want, "ok %zu %x", n, pb_crc32c(0, text, n));
	hear(l, want);
	toy.body = pb_str(text, n);
	pb_link_putf(l, "BODY\r\n");
	assert_int_equal(pb_link_flush(l, &err), 0);
	for (size_t have = 0; have < n;) {
		char got[30000];
		size_t some;

		if (pb_link_read(l, got, n - have < sizeof got ? n - have : sizeof got, &some, &err) != 0)
			fail_msg("%s", err.text);
		assert_memory_equal(got, text + have, some);
		have += some;
	}
	hear(l, "ok");
	assert_true(pb_link_is_idle(l));
	pb_link_putf(l, "WAIT\r\n");
	hear(l, "+ waiting");
	toy_await_parked(1);
	toy_notice();
	hear(l, "* notice");
	pb_link_putf(l, "DONE\r\nQUIT\r\n");
	hear(l, "woken DONE");
	hear(l, "bye");
	pb_link_close(l);
	toy_close();
	free(text);
}

static void plaintext_behind_starttls_is_never_executed(void **state)
{
	static const char *const names[] = { "one" };
	struct pb_link *l;
	int fd;

	(void)state;
	toy_open(NULL, NULL);
	use(names, 1);
	fd = toy_connect(toy_listen(LISTENER_STARTTLS, NULL, 0));
	expect(fd, "hello\r\n");
	send_text(fd, "STARTTLS\r\nECHO injected\r\n");
	expect(fd, "refused not last\r\ninjected\r\n");	/* no TLS was begun: it is what it seems to be */
	close(fd);
	l = dial(listener_port(toy.listener));
	hear(l, "hello");
	pb_link_putf(l, "UPGRADE\r\nECHO injected\r\n");
	hear(l, "go tls");
	secure(l, "one.example");
	pb_link_putf(l, "ECHO mine\r\n");
	hear(l, "mine");
	assert_true(toy_logged("starttls.plaintext"));
	pb_link_close(l);
	toy_close();
}

static void the_name_chooses_the_certificate(void **state)
{
	static const char *const names[] = { "one", "two", "wild" };
	static const char *const good[] = { "one.example", "two.example", "TWO.example", "a.wild.example" };
	struct pb_error err;
	uint16_t port;

	(void)state;
	toy_open(NULL, NULL);
	use(names, 3);
	port = toy_listen(LISTENER_IMPLICIT, NULL, 0);
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct pb_link *l = dial(port);

		secure(l, good[i]);
		hear(l, "hello");
		pb_link_close(l);
	}
	{
		struct pb_link *l = dial(port);

		/* nobody's name: the first certificate, which does not fit */
		assert_int_equal(pb_link_starttls(l, PB_STR("b.a.wild.example"), PB_TLS_PKIX, pb_strz(ca_path), &err), PB_EDENIED);
		pb_link_close(l);
	}
	toy_close();
}

static void checks_fail_with_a_reason(void **state)
{
	static const char *const names[] = { "one" };
	char stranger[100];
	struct pb_error err;
	struct pb_str line;
	struct pb_link *l;
	uint16_t port;

	(void)state;
	toy_open(NULL, NULL);
	use(names, 1);
	port = toy_listen(LISTENER_IMPLICIT, NULL, 0);
	snprintf(stranger, sizeof stranger, "%s/stranger.cert", dir);
	l = dial(port);
	assert_int_equal(pb_link_starttls(l, PB_STR("one.example"), PB_TLS_PKIX, pb_strz(stranger), &err), PB_EDENIED);
	assert_non_null(strstr(err.text, "127.0.0.1 port"));
	assert_non_null(strstr(err.text, "issuer"));
	assert_int_equal(pb_link_line(l, 100, &line, &err), PB_EDENIED);	/* sticky */
	pb_link_close(l);
	l = dial(port);
	assert_int_equal(pb_link_starttls(l, PB_STR("one.example"), PB_TLS_PKIX, PB_STR("/nowhere/ca.pem"), &err), PB_EUNAVAILABLE);
	pb_link_close(l);
	l = dial(port);	/* opportunistic: whatever it shows */
	assert_int_equal(pb_link_starttls(l, PB_STR("other.example"), PB_TLS_ANY, PB_NOSTR, &err), 0);
	hear(l, "hello");
	pb_link_close(l);
	toy_await_closed(3);
	assert_true(toy_logged("tls.failed"));
	toy_close();
}

static void certificates_are_replaced_for_new_connections(void **state)
{
	static const char *const first[] = { "one" }, *const second[] = { "two" };
	struct certificate_files broken = { "/nowhere/cert.pem", "/nowhere/key.pem" };
	struct pb_link *old, *l;
	struct pb_error err;
	uint16_t port;

	(void)state;
	toy_open(NULL, NULL);
	use(first, 1);
	port = toy_listen(LISTENER_IMPLICIT, NULL, 0);
	old = dial(port);
	secure(old, "one.example");
	hear(old, "hello");
	use(second, 1);
	l = dial(port);
	secure(l, "two.example");
	hear(l, "hello");
	pb_link_close(l);
	assert_int_equal(sessions_certificates(toy.ss, &broken, 1, &err), PB_EINVALID);
	assert_non_null(strstr(err.text, "/nowhere/cert.pem"));
	l = dial(port);
	secure(l, "two.example");
	hear(l, "hello");
	pb_link_close(l);
	pb_link_putf(old, "ECHO still\r\n");
	hear(old, "still");
	pb_link_close(old);
	toy_close();
}

static void a_proxy_header_comes_before_tls(void **state)
{
	static const char *const names[] = { "one" }, *const trusted[] = { "127.0.0.1", NULL };
	struct pb_link *l;

	(void)state;
	toy_open(NULL, NULL);
	use(names, 1);
	l = dial(toy_listen(LISTENER_IMPLICIT, trusted, 0));
	pb_link_putf(l, "PROXY TCP4 198.51.100.7 192.0.2.1 4242 25\r\n");
	secure(l, "one.example");
	hear(l, "hello");
	pb_link_putf(l, "PEER\r\n");
	hear(l, "198.51.100.7 1 192.0.2.1");
	pb_link_close(l);
	toy_close();
}

static void handshakes_hold_no_worker(void **state)
{
	enum { N = 20 };
	static const char *const names[] = { "one" };
	struct sessions_options o = { .workers_min = 1, .workers_max = 1 };
	struct clock *clock = clock_manual(1000000);
	int fds[N];
	struct pb_link *l;
	uint16_t port;

	(void)state;
	toy_open(&o, clock);
	use(names, 1);
	port = toy_listen(LISTENER_IMPLICIT, NULL, 0);
	for (int i = 0; i < N; i++) {
		fds[i] = toy_connect(port);
		send_all(fds[i], "\x16\x03\x01\x02", 4);	/* the beginning of a hello, and no more */
	}
	l = dial(port);
	secure(l, "one.example");
	hear(l, "hello");
	pb_link_close(l);
	toy_await_parked(N);
	clock_advance(clock, 31 * PB_SECOND);
	sessions_kick(toy.ss);
	toy_await_closed(N + 1);
	for (int i = 0; i < N; i++)
		expect_eof(fds[i]);
	l = dial(port);		/* clear text to a TLS port */
	pb_link_putf(l, "ECHO hello there\r\n");
	{
		struct pb_error err;
		struct pb_str line;

		for (int rc = 0; rc == 0;)	/* perhaps an alert's bytes, then the end */
			rc = pb_link_line(l, 100, &line, &err);
	}
	pb_link_close(l);
	toy_close();
	clock_free(clock);
}

static void every_byte_of_tls_may_come_alone(void **state)
{
	static const char *const names[] = { "one" };
	struct pb_link *l;
	int pair[2], front;
	struct pb_error err;

	(void)state;
	toy_open(NULL, NULL);
	use(names, 1);
	/* a relay that hands on one byte at a time would need a thread: small receive buffers do the same to records */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	front = 1;
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &front, sizeof front);
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &front, sizeof front);
	assert_int_equal(sessions_adopt(toy.at, pair[1], "toys", LISTENER_IMPLICIT, "192.0.2.1", &err), 0);
	l = dial(toy_listen(LISTENER_CLEAR, NULL, 0));
	dup2(pair[0], l->wire.fd);
	close(pair[0]);
	secure(l, "one.example");
	hear(l, "hello");
	pb_link_putf(l, "BIG 200000\r\nECHO x\r\n");
	for (size_t n = 0; n < 200002;) {
		char got[1000];
		size_t some;

		assert_int_equal(pb_link_read(l, got, 200002 - n < sizeof got ? 200002 - n : sizeof got, &some, &err), 0);
		n += some;
	}
	hear(l, "x");
	pb_link_close(l);
	toy_close();
}

static void idle_sessions_under_tls_are_small(void **state)
{
	enum { N = 100 };
	static const char *const names[] = { "one" };
	struct sessions_options o = { .workers_min = 2, .workers_max = 2 };
	struct pb_link *links[N];
	struct mallinfo2 before, middle, after;
	size_t client, both;
	uint16_t port;

	(void)state;
#ifdef PB_SANITIZED
	skip();		/* their allocators do not count */
#endif
	toy_open(&o, NULL);
	use(names, 1);
	port = toy_listen(LISTENER_STARTTLS, NULL, 0);
	log_tap(toy.kernel.log, NULL, NULL);
	for (int i = 0; i < N; i++) {
		links[i] = dial(port);
		hear(links[i], "hello");
		pb_link_putf(links[i], "STARTTLS\r\n");
		hear(links[i], "go tls");
		if (i == 10)
			before = mallinfo2();
		secure(links[i], "one.example");
		pb_link_putf(links[i], "WAIT\r\n");
		hear(links[i], "+ waiting");
	}
	toy_await_parked(N);
	middle = mallinfo2();
	for (int i = 0; i < N; i++)
		gnutls_deinit(links[i]->wire.tls);
	after = mallinfo2();
	both = (middle.uordblks - before.uordblks) / (N - 10);
	client = (middle.uordblks - after.uordblks) / N;
	print_message("under TLS: %zu bytes with the client's %zu and its buffers\n", both, client);
	/* the client's buffers: what it read into, what it decrypted from, what it encrypted to */
	assert_true(both - client - sizeof(struct pb_link) - 16384 - CIPHER_IN < 24 * 1024);
	for (int i = 0; i < N; i++) {
		links[i]->wire.tls = NULL;
		pb_link_close(links[i]);
	}
	toy_close();
}

static void links_say_what_went_wrong(void **state)
{
	struct pb_host powerless;
	struct pb_error err;
	struct pb_link *l;
	struct pb_str line;
	uint16_t port;
	char *big = pb_alloc(200000);

	(void)state;
	toy_open(NULL, NULL);
	powerless = toy.host;
	powerless.rights = 0;
	assert_int_equal(pb_link_connect(&powerless, PB_STR("127.0.0.1"), 1, PB_NOSTR, PB_SECOND, &l, &err), PB_EDENIED);
	assert_int_equal(pb_link_connect(&toy.host, PB_STR("localhost"), 1, PB_NOSTR, PB_SECOND, &l, &err), PB_EINVALID);
	port = toy_listen(LISTENER_CLEAR, NULL, 0);
	assert_int_equal(pb_link_connect(&toy.host, PB_STR("127.0.0.1"), port, PB_STR("::1"), PB_SECOND, &l, &err), PB_EINVALID);
	assert_int_equal(pb_link_connect(&toy.host, PB_STR("127.0.0.1"), port, PB_STR("127.0.0.5"), PB_SECOND, &l, &err), 0);
	hear(l, "hello");
	pb_link_putf(l, "PEER\r\n");
	hear(l, "127.0.0.5 1 127.0.0.1");
	assert_true(pb_link_is_idle(l));
	pb_link_timeout(l, 20000);
	assert_int_equal(pb_link_line(l, 100, &line, &err), PB_ETIMEOUT);
	assert_non_null(strstr(err.text, "127.0.0.1 port"));
	pb_link_close(l);
	l = dial(port);
	hear(l, "hello");
	pb_link_putf(l, "BIG 5000\r\n");
	assert_int_equal(pb_link_line(l, 1000, &line, &err), PB_ETOOBIG);
	pb_link_close(l);
	l = dial(port);
	hear(l, "hello");
	pb_link_putf(l, "QUIT\r\n");
	hear(l, "bye");
	assert_int_equal(pb_link_line(l, 1000, &line, &err), PB_ECLOSED);
	assert_false(pb_link_is_idle(l));
	pb_link_close(l);
	/* line ends of all kinds leave as CRLF, dots are stuffed */
	l = dial(port);
	hear(l, "hello");
	pb_link_putf(l, "DATA\r\n");
	hear(l, "go");
	pb_link_put_dot(l, PB_STR("a\nb\rc\r\n.d\n.\n..\r\r\n\n.e"));
	{
		static const char want[] = "a\r\nb\r\nc\r\n.d\r\n.\r\n..\r\n\r\n\r\n.e\r\n";
		char text[64];

		snprintf(text, sizeof text, "ok %zu %x", sizeof want - 1, pb_crc32c(0, want, sizeof want - 1));
		hear(l, text);
		assert_memory_equal(toy.spool.ptr, want, sizeof want - 1);
	}
	pb_link_close(l);
	listener_close(toy.listener);
	toy.listener = NULL;
	assert_int_equal(pb_link_connect(&toy.host, PB_STR("127.0.0.1"), port, PB_NOSTR, PB_SECOND, &l, &err), PB_EUNAVAILABLE);
	free(big);
	toy_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starttls_then_everything_goes_through_tls),
		cmocka_unit_test(plaintext_behind_starttls_is_never_executed),
		cmocka_unit_test(the_name_chooses_the_certificate),
		cmocka_unit_test(checks_fail_with_a_reason),
		cmocka_unit_test(certificates_are_replaced_for_new_connections),
		cmocka_unit_test(a_proxy_header_comes_before_tls),
		cmocka_unit_test(handshakes_hold_no_worker),
		cmocka_unit_test(every_byte_of_tls_may_come_alone),
		cmocka_unit_test(idle_sessions_under_tls_are_small),
		cmocka_unit_test(links_say_what_went_wrong),
	};

	return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
