/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sessions in the clear: framing, pipelining, parking and waking, limits, drains. */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "kernel/session/tests/toy.h"

static void a_conversation_reads_the_same_however_it_is_cut(void **state)
{
	static const char talk[] = "ECHO one\r\nDATA\r\n..x\r\nab\r\n.\r\nBYTES 5\r\n12\r\n3LINE\r\nfive\r\nLINE\r\nlonger than twenty bytes, surely\r\n"
				   "\r\nNOPE\r\nECHO a\0b\r\nECHO a\rb\r\nECHO x\nECHO y\r\nTWO\r\nSTATE 2\r\nTWO\r\nMINE\r\nLOGIN bob\r\nMINE\r\nSECRET\r\nQUIT\r\n";
	static const char want[] = "hello\r\none\r\ngo\r\nok 8 %x\r\n+\r\nok 5 %x\r\n+\r\nline five\r\n+\r\ntoo big\r\nrefused unknown\r\nrefused unknown\r\n"
				   "refused framing\r\nrefused framing\r\nrefused framing\r\nrefused state\r\nok\r\nok\r\nrefused user needed\r\nok\r\nok\r\n"
				   "refused tls needed\r\nbye\r\n";
	char text[600];

	(void)state;
	toy_open(NULL, NULL);
	toy.protocol.errors_max = 100;
	toy_reattach();
	snprintf(text, sizeof text, want, pb_crc32c(0, ".x\r\nab\r\n", 8), pb_crc32c(0, "12\r\n3", 5));
	for (size_t cut = 0; cut <= sizeof talk; cut++) {
		int fd = toy_talk(LISTENER_CLEAR);

		if (cut == 0) {
			for (size_t i = 0; i < sizeof talk - 1; i++)
				send_all(fd, talk + i, 1);
		} else {
			if (cut < sizeof talk - 1) {
				send_all(fd, talk, cut);
				toy_await_parked(0);
			}
			send_all(fd, talk + (cut < sizeof talk - 1 ? cut : 0), sizeof talk - 1 - (cut < sizeof talk - 1 ? cut : 0));
		}
		expect(fd, text);
		expect_eof(fd);
	}
	toy_close();
}

static void every_byte_may_come_alone(void **state)
{
	static const char talk[] = "ECHO one\r\nLINE\r\nxy\r\nQUIT\r\n";
	int fd;

	(void)state;
	toy_open(NULL, NULL);
	fd = toy_talk(LISTENER_CLEAR);
	expect(fd, "hello\r\n");
	for (size_t i = 0; i < sizeof talk - 1; i++) {
		if (i < 10)
			toy_await_parked(1);	/* it parks on every partial line */
		send_all(fd, talk + i, 1);
	}
	expect(fd, "one\r\n+\r\nline xy\r\nbye\r\n");
	expect_eof(fd);
	toy_close();
}

static void a_line_too_long_is_thrown_away_whole(void **state)
{
	char *big = pb_alloc(3000000);
	int fd;

	(void)state;
	toy_open(NULL, NULL);
	memset(big, 'a', 2999998);
	memcpy(big + 2999998, "\r\n", 2);
	fd = toy_talk(LISTENER_CLEAR);
	expect(fd, "hello\r\n");
	send_all(fd, big, 3000000);
	send_text(fd, "ECHO still here\r\n");
	expect(fd, "refused too long\r\nstill here\r\n");
	/* exactly at the limit of 100 bytes with its end, and one more */
	memcpy(big, "ECHO ", 5);
	memcpy(big + 98, "\r\n", 2);
	send_all(fd, big, 100);
	expect_bytes(fd, big + 5, 95);
	big[98] = 'b';
	memcpy(big + 99, "\r\n", 2);
	send_all(fd, big, 101);
	expect(fd, "refused too long\r\n");
	send_text(fd, "QUIT\r\n");
	expect(fd, "bye\r\n");
	expect_eof(fd);
	free(big);
	toy_close();
}

static void a_bare_lf_ends_a_line_only_where_allowed(void **state)
{
	int fd;

	(void)state;
	toy_open(NULL, NULL);
	fd = toy_talk(LISTENER_CLEAR);
	send_text(fd, "ECHO x\n");
	expect(fd, "hello\r\nrefused framing\r\n");	/* at once: the peer waits */
	send_text(fd, "QUIT\n\r\nECHO y\r\n");		/* what was behind it belongs to the bad line */
	expect(fd, "y\r\n");
	close(fd);
	toy.protocol.framing = PB_LF_OK;
	toy_reattach();
	fd = toy_talk(LISTENER_CLEAR);
	send_text(fd, "ECHO x\nECHO y\r\nECHO a\rb\n");
	expect(fd, "hello\r\nx\r\ny\r\nrefused framing\r\n");
	close(fd);
	toy_close();
}

static void errors_are_counted(void **state)
{
	int fd;

	(void)state;
	toy_open(NULL, NULL);
	fd = toy_talk(LISTENER_CLEAR);
	send_text(fd, "A\r\nB\r\nBAD\r\nC\r\nD\r\nE\r\n");
	expect(fd, "hello\r\nrefused unknown\r\nrefused unknown\r\nok\r\nrefused unknown\r\nrefused unknown\r\nbye errors\r\n");
	expect_eof(fd);
	toy_await_closed(1);
	toy_close();
}

static void a_good_command_makes_up_for_bad_ones(void **state)
{
	int fd;

	(void)state;
	toy_open(NULL, NULL);
	fd = toy_talk(LISTENER_CLEAR);
	expect(fd, "hello\r\n");
	/* 5 in a row would end it, 100 in all do */
	for (int i = 0; i < 24; i++) {
		send_text(fd, "A\r\nB\r\nC\r\nBAD\r\nECHO x\r\n");
		expect(fd, "refused unknown\r\nrefused unknown\r\nrefused unknown\r\nok\r\nx\r\n");
	}
	send_text(fd, "A\r\nB\r\nC\r\nBAD\r\n");
	expect(fd, "refused unknown\r\nrefused unknown\r\nrefused unknown\r\nok\r\nbye errors\r\n");
	expect_eof(fd);
	fd = toy_talk(LISTENER_CLEAR);
	send_text(fd, "WORSE\r\nWORSE\r\nECHO x\r\nWORSE\r\nA\r\nWORSE\r\n");
	expect(fd, "hello\r\nworse\r\nworse\r\nx\r\nworse\r\nrefused unknown\r\nenough\r\n");
	close(fd);
	toy_close();
}

static void sessions_of_a_mailbox_are_ended(void **state)
{
	int idle, busy, waiting, other;

	(void)state;
	toy_open(NULL, NULL);
	idle = toy_talk(LISTENER_CLEAR);
	busy = toy_talk(LISTENER_CLEAR);
	waiting = toy_talk(LISTENER_CLEAR);
	other = toy_talk(LISTENER_CLEAR);
	send_text(idle, "LOGIN a@x\r\n");
	send_text(busy, "LOGIN a@x\r\n");
	send_text(waiting, "LOGIN a@x\r\nWAIT\r\n");
	expect(idle, "hello\r\nok\r\n");
	expect(busy, "hello\r\nok\r\n");
	expect(waiting, "hello\r\nok\r\n+ waiting\r\n");
	send_text(busy, "HOLD\r\nECHO never\r\n");
	sem_wait(&toy.holding);
	/* from another session, which has no login and goes on */
	send_text(other, "END m2\r\nEND m1\r\nECHO on\r\n");
	expect(other, "hello\r\non\r\n");
	expect(idle, "bye revoked\r\n");
	expect_eof(idle);
	expect(waiting, "bye revoked\r\n");
	expect_eof(waiting);
	sem_post(&toy.go);
	expect(busy, "held\r\nbye revoked\r\n");
	expect_eof(busy);
	/* revoked between the check of the password and the login; another mailbox's end is none of ours */
	send_text(other, "LATE a@x\r\n");
	expect(other, "ok\r\nbye revoked\r\n");
	expect_eof(other);
	other = toy_talk(LISTENER_CLEAR);
	send_text(other, "LOGIN a@x\r\nECHO here\r\n");
	expect(other, "hello\r\nok\r\nhere\r\n");
	toy.host.rights = 0;
	send_text(other, "END m1\r\n");
	expect(other, "denied\r\n");
	close(other);
	toy_close();
}

static void own_addresses_are_known(void **state)
{
	struct listener_options o = { .plugin = "toy", .name = "toy", .protocol = "toy", .address = "127.0.0.2", .tls = LISTENER_CLEAR };
	struct pb_error err;
	uint16_t one, all;

	(void)state;
	toy_open(NULL, NULL);
	assert_int_equal(listener_bind(toy.ss, &o, &toy.listener, &err), 0);
	one = listener_port(toy.listener);
	assert_true(host_link_is_own(&toy.host, PB_STR("127.0.0.2"), one));
	assert_true(host_link_is_own(&toy.host, PB_STR("::ffff:127.0.0.2"), one));
	assert_false(host_link_is_own(&toy.host, PB_STR("127.0.0.1"), one));
	assert_false(host_link_is_own(&toy.host, PB_STR("127.0.0.2"), (uint16_t)(one + 1)));
	assert_false(host_link_is_own(&toy.host, PB_STR("mail.example"), one));
	assert_false(host_link_is_own(&toy.host, PB_NOSTR, one));
	listener_close(toy.listener);
	o.address = "0.0.0.0";
	assert_int_equal(listener_bind(toy.ss, &o, &toy.listener, &err), 0);
	all = listener_port(toy.listener);
	assert_true(host_link_is_own(&toy.host, PB_STR("127.0.0.77"), all));
	assert_true(host_link_is_own(&toy.host, PB_STR("0.0.0.0"), all));
	assert_false(host_link_is_own(&toy.host, PB_STR("192.0.2.1"), all));
	toy.host.name = "another";
	assert_false(host_link_is_own(&toy.host, PB_STR("127.0.0.77"), all));
	toy.host.name = "toy";
	listener_close(toy.listener);
	toy.listener = NULL;
	toy_close();
}

static void a_command_that_must_be_last_is_refused_with_input_behind_it(void **state)
{
	int fd;

	(void)state;
	toy_open(NULL, NULL);
	fd = toy_talk(LISTENER_CLEAR);
	send_text(fd, "LAST\r\nECHO x\r\nLAST\r\n");
	expect(fd, "hello\r\nrefused not last\r\nx\r\nok\r\n");
	close(fd);
	toy_close();
}

static void data_ends_with_strict_crlf_dot_crlf_only(void **state)
{
	static const struct {
		const char *data, *want;
	} rows[] = {
		{ ".\r\n", "ok 0 0\r\n" },
		{ "a\n.\nb\r\n.\r\n", "bad\r\n" },
		{ "a\n.\r\nb\r\n.\r\n", "bad\r\n" },
		{ "a\r\n.\nb\r\n.\r\n", "bad\r\n" },
		{ "a\r\n.\rb\r\n.\r\n", "bad\r\n" },
		{ "a\r.\rb\r\n.\r\n", "bad\r\n" },
		{ "a\r\r\n.\r\n", "bad\r\n" },
		{ "a\r\n\r.\r\n\r\n.\r\n", "bad\r\n" },
	};

	(void)state;
	toy_open(NULL, NULL);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int fd = toy_talk(LISTENER_CLEAR);

		send_text(fd, "DATA\r\n");
		send_text(fd, rows[i].data);
		send_text(fd, "ECHO after\r\n");
		expect(fd, "hello\r\ngo\r\n");
		expect(fd, rows[i].want);
		expect(fd, "after\r\n");
		close(fd);
	}
	toy_close();
}

static void a_large_message_arrives_whole(void **state)
{
	size_t n = 3000000;
	char *mail = pb_alloc(n + 1), want[100];
	int fd;

	(void)state;
	toy_open(NULL, NULL);
	for (size_t i = 0; i < n; i++)
		mail[i] = i % 71 == 69 ? '\r' : i % 71 == 70 ? '\n' : (char)('a' + i % 26);
	n -= n % 71;
	fd = toy_talk(LISTENER_CLEAR);
	send_text(fd, "DATA\r\n");
	send_all(fd, mail, n);
	send_text(fd, ".\r\n");
	snprintf(want, sizeof want, "hello\r\ngo\r\nok %zu %x\r\n", n, pb_crc32c(0, mail, n));
	expect(fd, want);
	close(fd);
	free(mail);
	toy_close();
}

static void a_slow_sender_is_cut(void **state)
{
	struct sessions_options o = { .deadline = 50000 };
	int fd;

	(void)state;
	toy_open(&o, NULL);
	fd = toy_talk(LISTENER_CLEAR);
	send_text(fd, "DATA\r\nx");
	expect(fd, "hello\r\ngo\r\nbye slow\r\n");
	expect_eof(fd);
	toy_await_closed(1);
	assert_true(toy_logged("what=\"too slow\" while=\"reading message data of DATA\""));
	toy_close();
}

static void a_slow_reader_is_cut(void **state)
{
	struct sessions_options o = { .deadline = 50000 };
	int fd;

	(void)state;
	toy_open(&o, NULL);
	fd = toy_talk(LISTENER_CLEAR);
	send_text(fd, "BIG 50000000\r\n");
	toy_await_closed(1);
	assert_true(toy_logged("while=\"sending of BIG\""));
	close(fd);
	toy_close();
}

static void an_idle_session_is_sent_away_by_the_clock(void **state)
{
	struct clock *clock = clock_manual(1000000);
	int fd;

	(void)state;
	toy_open(NULL, clock);
	fd = toy_talk(LISTENER_CLEAR);
	expect(fd, "hello\r\n");
	toy_await_parked(1);
	clock_advance(clock, 200 * PB_SECOND);
	sessions_kick(toy.ss);
	send_text(fd, "ECHO x\r\n");
	expect(fd, "x\r\n");
	toy_await_parked(1);
	clock_advance(clock, 200 * PB_SECOND);	/* 400 since it came, 200 since it said something */
	sessions_kick(toy.ss);
	send_text(fd, "ECHO y\r\n");
	expect(fd, "y\r\n");
	toy_await_parked(1);
	clock_advance(clock, 301 * PB_SECOND);
	sessions_kick(toy.ss);
	expect(fd, "bye idle\r\n");
	expect_eof(fd);
	toy_close();
	clock_free(clock);
}

static void waiting_ends_by_line_notice_or_time(void **state)
{
	struct clock *clock = clock_manual(1000000);
	int fd;

	(void)state;
	toy_open(NULL, clock);
	fd = toy_talk(LISTENER_CLEAR);
	send_text(fd, "WAIT 5000\r\n");
	expect(fd, "hello\r\n+ waiting\r\n");
	toy_await_parked(1);
	toy_notice();
	expect(fd, "* notice\r\n");
	send_text(fd, "DONE\r\n");
	expect(fd, "woken DONE\r\n");
	send_text(fd, "WAIT 5000\r\n");
	expect(fd, "+ waiting\r\n");
	toy_await_parked(1);
	clock_advance(clock, 6 * PB_SECOND);
	sessions_kick(toy.ss);
	expect(fd, "* timeout\r\n");
	send_text(fd, "WAIT 5000\r\nDONE\r\nECHO x\r\n");
	expect(fd, "+ waiting\r\nwoken DONE\r\nx\r\n");
	send_text(fd, "DEAF\r\nECHO later\r\n");
	expect(fd, "+ deaf\r\n");
	toy_await_parked(1);
	toy_notice();
	expect(fd, "* notice\r\nlater\r\n");
	send_text(fd, "DEAF\r\n");
	expect(fd, "+ deaf\r\n");
	toy_await_parked(1);
	close(fd);	/* noticed even by one that reads nothing */
	toy_await_closed(1);
	assert_int_equal(toy_watchers(), 0);
	toy_close();
	clock_free(clock);
}

static void *notices(void *arg)
{
	atomic_bool *stop = arg;

	while (!atomic_load(stop))
		toy_notice();
	return NULL;
}

static void no_wake_is_lost_between_input_and_notices(void **state)
{
	enum { CLIENTS = 4, ROUNDS = 400 };
	atomic_bool stop = false;
	pthread_t threads[2];
	int fds[CLIENTS];
	char got[4096];

	(void)state;
	toy_open(NULL, NULL);
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = toy_talk(LISTENER_CLEAR);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, notices, &stop);
	for (int i = 0; i < CLIENTS; i++)
		expect(fds[i], "hello\r\n");
	for (int r = 0; r < ROUNDS; r++)
		for (int i = 0; i < CLIENTS; i++) {
			size_t have = 0;

			send_text(fds[i], r % 2 ? "WAIT\r\nDONE\r\n" : "WAIT\r\n");
			if (r % 2 == 0)
				send_text(fds[i], "DONE\r\n");
			/* any number of notices in between, but the answer has to come */
			for (;;) {
				ssize_t n = recv(fds[i], got + have, sizeof got - 1 - have, 0);

				assert_true(n > 0);
				have += (size_t)n;
				got[have] = '\0';
				if (have > 12 && strcmp(got + have - 12, "woken DONE\r\n") == 0)
					break;
				if (have > sizeof got / 2) {
					memmove(got, got + have - 20, 21);
					have = 20;
				}
			}
		}
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	/* a notice of its own is never lost either; the old session may still have one in hand */
	close(fds[0]);
	fds[0] = toy_talk(LISTENER_CLEAR);
	expect(fds[0], "hello\r\n");
	for (int r = 0; r < ROUNDS; r++) {
		send_text(fds[0], "WAIT\r\n");
		expect(fds[0], "+ waiting\r\n");
		toy_notice();
		expect(fds[0], "* notice\r\n");
		send_text(fds[0], "DONE\r\n");
		expect(fds[0], "woken DONE\r\n");
	}
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
	toy_close();
}

static void parked_sessions_are_small(void **state)
{
	enum { N = 2000 };
	struct sessions_options o = { .connections_max = 2 * N, .workers_min = 2, .workers_max = 2 };	/* desks come and go else */
	int *fds = pb_alloc(N * sizeof *fds);
	struct mallinfo2 before, after;

	(void)state;
	toy_open(&o, NULL);
	for (int i = 0; i < 10; i++)	/* desks, heaps and slots that are there once */
		fds[i] = toy_talk(LISTENER_CLEAR);
	toy_await_parked(10);
	log_tap(toy.kernel.log, NULL, NULL);	/* the test's own log would be counted */
	before = mallinfo2();
	for (int i = 10; i < N; i++) {
		fds[i] = toy_talk(LISTENER_CLEAR);
		expect(fds[i], "hello\r\n");
		send_text(fds[i], "WAIT\r\n");
		expect(fds[i], "+ waiting\r\n");
	}
	toy_await_parked(N);
	after = mallinfo2();
	print_message("a parked session: %zu bytes\n", (after.uordblks - before.uordblks) / (N - 10));
	/* with the faked watcher and the adopted connection's listener, which real ones share */
	assert_true((after.uordblks - before.uordblks) / (N - 10) < 1024);
	assert_true(sizeof(struct pb_session) <= 400);
	for (int i = 0; i < N; i++)
		close(fds[i]);
	toy_await_closed(N);
	assert_int_equal(atomic_load(&toy.closed), N);
	free(fds);
	toy_close();
}

static void *detach(void *arg)
{
	sessions_detach(toy.at, *(int64_t *)arg);
	return NULL;
}

static void a_drain_says_goodbye_and_lets_commands_finish(void **state)
{
	int64_t timeout = 20 * PB_SECOND;
	int idle, busy;
	pthread_t t;

	(void)state;
	toy_open(NULL, NULL);
	idle = toy_talk(LISTENER_CLEAR);
	busy = toy_talk(LISTENER_CLEAR);
	send_text(busy, "HOLD\r\nECHO never\r\n");
	while (sem_wait(&toy.holding) != 0)
		;
	expect(idle, "hello\r\n");
	toy_await_parked(1);
	pthread_create(&t, NULL, detach, &timeout);
	expect(idle, "bye shutdown\r\n");
	expect_eof(idle);
	sem_post(&toy.go);
	expect(busy, "hello\r\nheld\r\nbye shutdown\r\n");
	expect_eof(busy);
	pthread_join(t, NULL);
	assert_int_equal(atomic_load(&toy.closed), 2);
	toy_attach();
	toy_close();
}

static void a_drain_cuts_who_does_not_finish(void **state)
{
	int64_t timeout = 1000;
	pthread_t t;
	int fd;

	(void)state;
	toy_open(NULL, NULL);
	fd = toy_talk(LISTENER_CLEAR);
	send_text(fd, "DATA\r\nx");
	expect(fd, "hello\r\ngo\r\n");
	pthread_create(&t, NULL, detach, &timeout);
	expect_eof(fd);
	pthread_join(t, NULL);
	toy_attach();
	toy_close();
}

static void listeners_wait_while_nobody_serves(void **state)
{
	uint16_t port;
	int fd, other;

	(void)state;
	toy_open(NULL, NULL);
	port = toy_listen(LISTENER_CLEAR, NULL, 0);
	fd = toy_connect(port);
	expect(fd, "hello\r\n");
	sessions_detach(toy.at, PB_SECOND);
	expect(fd, "bye shutdown\r\n");
	expect_eof(fd);
	fd = toy_connect(port);		/* the backlog takes them */
	other = toy_connect(port);
	send_text(fd, "PEER\r\n");
	toy_attach();
	expect(fd, "hello\r\n127.0.0.1 1 127.0.0.1\r\n");
	expect(other, "hello\r\n");
	close(fd);
	close(other);
	toy_close();
}

static void limits_are_told_instead_of_the_greeting(void **state)
{
	struct sessions_options o = { .per_source_max = 2, .count_loopback = true };
	int a, b, c;
	uint16_t port;

	(void)state;
	toy_open(&o, NULL);
	port = toy_listen(LISTENER_CLEAR, NULL, 0);
	a = toy_connect(port);
	expect(a, "hello\r\n");
	b = toy_connect(port);
	expect(b, "hello\r\n");
	c = toy_connect(port);
	expect(c, "bye overload\r\n");
	expect_eof(c);
	close(a);
	toy_await_closed(2);
	c = toy_connect(port);
	expect(c, "hello\r\n");
	close(b);
	close(c);
	toy_await_closed(4);
	toy_close();

	toy_open(NULL, NULL);
	port = toy_listen(LISTENER_CLEAR, NULL, 1);
	a = toy_connect(port);
	expect(a, "hello\r\n");
	b = toy_connect(port);
	expect(b, "bye overload\r\n");
	expect_eof(b);
	close(a);
	toy_close();

	toy_open(NULL, NULL);
	toy.refuse_all = true;
	a = toy_talk(LISTENER_CLEAR);
	expect(a, "bye refused\r\n");
	expect_eof(a);
	toy_close();
}

static void a_user_has_so_many_sessions_and_no_more(void **state)
{
	struct sessions_options o = { .per_user_max = 2 };
	int fds[4];

	(void)state;
	toy_open(&o, NULL);
	for (int i = 0; i < 4; i++) {
		fds[i] = toy_talk(LISTENER_CLEAR);
		send_text(fds[i], i == 2 ? "LOGIN ann\r\n" : "LOGIN bob\r\n");
		expect(fds[i], "hello\r\nok\r\n");
	}
	expect(fds[3], "bye overload\r\n");
	expect_eof(fds[3]);
	close(fds[0]);
	toy_await_closed(2);
	fds[0] = toy_talk(LISTENER_CLEAR);
	send_text(fds[0], "LOGIN bob\r\nLOGIN bob\r\nECHO x\r\n");
	expect(fds[0], "hello\r\nok\r\nok\r\nx\r\n");
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	toy_close();
}

static void a_trusted_proxy_tells_the_client(void **state)
{
	static const char *const trusted[] = { "10.0.0.0/8", "127.0.0.0/8", NULL };
	static const char v2[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x33\x64\x07\xc0\0\x02\x01\x10\x92\0\x19";
	struct sessions_options o = { .per_source_max = 1 };
	uint16_t port;
	int fd, other;

	(void)state;
	toy_open(&o, NULL);
	port = toy_listen(LISTENER_CLEAR, trusted, 0);
	fd = toy_connect(port);
	for (const char *p = "PROXY TCP4 198.51.100.7 192.0.2.1 4242 25\r\nPEER\r\n"; *p; p++)
		send_all(fd, p, 1);
	expect(fd, "hello\r\n198.51.100.7 1 192.0.2.1\r\n");
	other = toy_connect(port);
	send_all(other, v2, sizeof v2 - 1);
	expect(other, "bye overload\r\n");	/* limits count the client, not the proxy */
	expect_eof(other);
	close(fd);
	toy_await_closed(2);
	fd = toy_connect(port);
	for (size_t i = 0; i < sizeof v2 - 1; i++)
		send_all(fd, v2 + i, 1);
	send_text(fd, "PEER\r\n");
	expect(fd, "hello\r\n198.51.100.7 1 192.0.2.1\r\n");
	close(fd);
	fd = toy_connect(port);
	send_text(fd, "PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\nPEER\r\n");
	expect(fd, "hello\r\n2001:db8::1 1 2001:db8::2\r\n");
	close(fd);
	fd = toy_connect(port);
	send_text(fd, "PROXY UNKNOWN\r\nPEER\r\n");
	expect(fd, "hello\r\n127.0.0.1 1 127.0.0.1\r\n");
	close(fd);
	fd = toy_connect(port);
	send_text(fd, "ECHO without a header\r\n");
	expect_eof(fd);
	fd = toy_connect(port);
	send_text(fd, "PROXY TCP4 not.an.address 192.0.2.1 1 2\r\n");
	expect_eof(fd);
	toy_close();
}

static void a_proxy_header_from_a_stranger_is_no_header(void **state)
{
	static const char *const trusted[] = { "10.0.0.0/8", NULL };
	int fd;

	(void)state;
	toy_open(NULL, NULL);
	fd = toy_connect(toy_listen(LISTENER_CLEAR, trusted, 0));
	send_text(fd, "PROXY TCP4 198.51.100.7 192.0.2.1 4242 25\r\nPEER\r\n");
	expect(fd, "hello\r\nrefused unknown\r\n127.0.0.1 1 127.0.0.1\r\n");
	close(fd);
	toy_close();
}

static void bodies_go_out_exactly(void **state)
{
	size_t n = 700000;
	char *text = pb_alloc(n);
	int fd;

	(void)state;
	toy_open(NULL, NULL);
	for (size_t i = 0; i < n; i++)
		text[i] = (char)('a' + i % 26);
	toy.body_head = PB_STR("Return-Path: <>\r\n");
	toy.body = pb_str(text, n);
	fd = toy_talk(LISTENER_CLEAR);
	expect(fd, "hello\r\n");
	send_text(fd, "BODY\r\n");
	expect(fd, "Return-Path: <>\r\n");
	expect_bytes(fd, text, n);
	expect(fd, "ok\r\n");
	send_text(fd, "BODY 10 12\r\nBODY 17 3\r\nBODY 600000 50000\r\nBODY 700016\r\nBODY 800000 1\r\n");
	expect(fd, "h: <>\r\nabcdeok\r\nabcok\r\n");
	expect_bytes(fd, text + 600000 - 17, 50000);
	expect(fd, "ok\r\n");
	expect_bytes(fd, text + n - 1, 1);
	expect(fd, "ok\r\nok\r\n");
	close(fd);
	toy_close();
	free(text);
}

static void bodies_are_dot_stuffed(void **state)
{
	static const struct {
		const char *head, *body, *command, *want;
	} rows[] = {
		{ "", "", "DOT\r\n", ".\r\n" },
		{ "", "a\r\n", "DOT\r\n", "a\r\n.\r\n" },
		{ "", "a", "DOT\r\n", "a\r\n.\r\n" },
		{ "", ".\r\n..\r\n.a\r\nb.\r\n", "DOT\r\n", "..\r\n...\r\n..a\r\nb.\r\n.\r\n" },
		{ "A: b\r\n", ".x\r\n", "DOT\r\n", "A: b\r\n..x\r\n.\r\n" },
		{ "", "a\n.\nb\n", "DOT\r\n", "a\r\n..\r\nb\r\n.\r\n" },
		{ "H: 1\r\n", "I: 2\r\n\r\none\r\n.two\r\nthree\r\n", "DOT 2\r\n", "H: 1\r\nI: 2\r\n\r\none\r\n..two\r\n.\r\n" },
		{ "H: 1\r\n", "I: 2\r\n\r\none\r\n", "DOT 0\r\n", "H: 1\r\nI: 2\r\n\r\n.\r\n" },
		{ "", "I: 2\r\n\r\none\r\n", "DOT 9\r\n", "I: 2\r\n\r\none\r\n.\r\n" },
	};

	(void)state;
	toy_open(NULL, NULL);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int fd = toy_talk(LISTENER_CLEAR);

		toy.body_head = pb_strz(rows[i].head);
		toy.body = pb_strz(rows[i].body);
		send_text(fd, rows[i].command);
		send_text(fd, "QUIT\r\n");
		expect(fd, "hello\r\n");
		expect(fd, rows[i].want);
		expect(fd, "bye\r\n");
		expect_eof(fd);
	}
	toy_close();
}

static void a_unix_socket_listens(void **state)
{
	struct listener_options o = { .plugin = "toy", .name = "local", .protocol = "toy", .tls = LISTENER_CLEAR };
	char dir[] = "/tmp/postbus-XXXXXX", path[64];
	struct listener *l;
	struct pb_link *link;
	struct pb_str line;
	struct pb_error err;
	struct stat st;

	(void)state;
	toy_open(NULL, NULL);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/s", dir);
	o.address = path;
	assert_int_equal(listener_bind(toy.ss, &o, &l, &err), 0);
	assert_int_equal(listener_bind(toy.ss, &o, &toy.listener, &err), PB_EBUSY);
	assert_int_equal(pb_link_connect(&toy.host, pb_strz(path), 0, PB_NOSTR, 5 * PB_SECOND, &link, &err), 0);
	assert_int_equal(pb_link_line(link, 100, &line, &err), 0);
	assert_true(pb_str_eq(line, PB_STR("hello")));
	pb_link_putf(link, "PEER\r\n");
	assert_int_equal(pb_link_line(link, 100, &line, &err), 0);
	assert_true(pb_str_eq(line, PB_STR("unix 0 unix")));
	pb_link_close(link);
	listener_close(l);
	assert_int_not_equal(stat(path, &st), 0);
	rmdir(dir);
	toy_close();
}

static void greets(const char *path)
{
	struct pb_link *link;
	struct pb_str line;
	struct pb_error err;

	assert_int_equal(pb_link_connect(&toy.host, pb_strz(path), 0, PB_NOSTR, 5 * PB_SECOND, &link, &err), 0);
	assert_int_equal(pb_link_line(link, 100, &line, &err), 0);
	assert_true(pb_str_eq(line, PB_STR("hello")));
	pb_link_close(link);
}

/* A path of the file system is the visible part: whoever gives the inheritance up leaves it, whoever takes it removes it at his own end. */
static void a_listener_hands_its_socket_on(void **state)
{
	struct listener_options o = { .plugin = "toy", .name = "local", .protocol = "toy", .tls = LISTENER_CLEAR };
	char dir[] = "/tmp/postbus-XXXXXX", path[64];
	struct listener *old, *heir;
	struct pb_error err;
	struct stat st;

	(void)state;
	toy_open(NULL, NULL);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/s", dir);
	o.address = path;
	assert_int_equal(listener_bind(toy.ss, &o, &old, &err), 0);
	o.heir_of = old;
	assert_int_equal(listener_bind(toy.ss, &o, &heir, &err), 0);
	listener_close(heir);
	greets(path);
	assert_int_equal(listener_bind(toy.ss, &o, &heir, &err), 0);
	listener_begin(heir);
	listener_close(old);
	greets(path);
	toy_reattach();
	greets(path);
	listener_close(heir);
	assert_int_not_equal(stat(path, &st), 0);
	rmdir(dir);
	toy_close();
}

static void a_port_rests_for_another_and_resumes(void **state)
{
	struct listener_options o = { .plugin = "toy", .name = "toys", .protocol = "toy", .tls = LISTENER_CLEAR };
	struct listener *one;
	struct pb_error err;
	int fd;

	(void)state;
	toy_open(NULL, NULL);
	o.port = toy_listen(LISTENER_CLEAR, NULL, 0);
	listener_close(toy.listener);
	o.address = "127.0.0.1";
	o.waits = false;
	assert_int_equal(listener_bind(toy.ss, &o, &toy.listener, &err), 0);
	o.address = "0.0.0.0";
	o.waits = true;
	assert_int_equal(listener_bind(toy.ss, &o, &one, &err), PB_EBUSY);
	listener_rest(toy.listener);
	assert_int_equal(listener_bind(toy.ss, &o, &one, &err), 0);
	listener_close(one);
	listener_resume(toy.listener);
	fd = toy_connect(o.port);
	expect(fd, "hello\r\n");
	close(fd);
	toy_close();
}

static bool is_refused(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool refused = connect(fd, (struct sockaddr *)&to, sizeof to) != 0 && errno == ECONNREFUSED;

	close(fd);
	return refused;
}

/* Ports from it on are anybody's. */
static int first_free_port(void)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "r");
	int port = 1024;

	if (f && fscanf(f, "%d", &port) != 1)
		port = 1024;
	if (f)
		fclose(f);
	return port;
}

/* Another program's, that takes the port while nobody listens. */
static int other_listens(uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void a_low_port_is_opened_again_by_who_may_not(void **state)
{
	struct listener_options o = { .plugin = "toy", .name = "toys", .protocol = "toy", .tls = LISTENER_CLEAR, .address = "127.0.0.1" };
	struct pb_error err;
	int fd, other, rc = PB_EBUSY;

	(void)state;
	if (geteuid() != 0 || first_free_port() < 1024)
		skip();
	toy_open(NULL, NULL);
	toy_listen(LISTENER_CLEAR, NULL, 0);
	listener_close(toy.listener);
	for (o.port = 1023; rc == PB_EBUSY && o.port > 600; o.port--)
		rc = listener_bind(toy.ss, &o, &toy.listener, &err);
	assert_int_equal(rc, 0);
	o.port++;
	assert_int_equal(seteuid(65534), 0);
	for (int i = 0; i < 2; i++) {
		listener_close(toy.listener);
		assert_true(is_refused(o.port));
		assert_int_equal(listener_bind(toy.ss, &o, &toy.listener, &err), 0);
		fd = toy_connect(o.port);
		expect(fd, "hello\r\n");
		close(fd);
	}
	listener_close(toy.listener);
	o.address = "127.0.0.2";
	assert_int_equal(listener_bind(toy.ss, &o, &toy.listener, &err), PB_EDENIED);
	o.address = "127.0.0.1";
	assert_int_equal(seteuid(0), 0);
	other = other_listens(o.port);
	assert_int_equal(seteuid(65534), 0);
	assert_int_equal(listener_bind(toy.ss, &o, &toy.listener, &err), PB_EBUSY);
	close(other);
	assert_int_equal(listener_bind(toy.ss, &o, &toy.listener, &err), 0);
	assert_int_equal(seteuid(0), 0);
	toy_close();
}

static int be_root_again(void **state)
{
	(void)state;
	return getuid() == 0 && seteuid(0) != 0;
}

static atomic_int ran;

static void count(void *arg)
{
	(void)arg;
	atomic_fetch_add(&ran, 1);
}

static void block(void *arg)
{
	(void)arg;
	sem_post(&toy.holding);
	while (sem_wait(&toy.go) != 0)
		;
}

static void other_work_runs_beside_and_is_limited(void **state)
{
	struct sessions_options o = { .workers_min = 2, .workers_max = 2 };
	struct clock *clock = clock_manual(0);
	struct pb_error err;
	struct repeat *r;
	int taken = 0;

	(void)state;
	toy_open(&o, clock);
	atomic_store(&ran, 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(sessions_work(toy.ss, block, NULL, &err), 0);
		while (sem_wait(&toy.holding) != 0)
			;
	}
	while (sessions_work(toy.ss, count, NULL, &err) == 0)
		taken++;
	assert_int_equal(err.code, PB_EBUSY);
	assert_int_equal(taken, 1000);
	sem_post(&toy.go);
	sem_post(&toy.go);
	while (atomic_load(&ran) < 1000)
		usleep(1000);
	r = sessions_repeat(toy.ss, PB_SECOND, count, NULL);
	for (int i = 1; i <= 3; i++) {
		while (atomic_load(&ran) < 1000 + i) {
			clock_advance(clock, PB_SECOND);
			sessions_kick(toy.ss);
			usleep(1000);
		}
	}
	assert_int_equal(sessions_repeat_cancel(r, 60 * PB_SECOND), 0);
	taken = atomic_load(&ran);
	clock_advance(clock, 10 * PB_SECOND);
	sessions_kick(toy.ss);
	toy_close();
	assert_int_equal(atomic_load(&ran), taken);
	clock_free(clock);
}

static void the_pool_grows_while_commands_block(void **state)
{
	enum { N = 12 };
	int fds[N], fd;

	(void)state;
	toy_open(NULL, NULL);
	for (int i = 0; i < N; i++) {
		fds[i] = toy_talk(LISTENER_CLEAR);
		send_text(fds[i], "HOLD\r\n");
		while (sem_wait(&toy.holding) != 0)
			;
	}
	fd = toy_talk(LISTENER_CLEAR);	/* there is always one left that waits */
	send_text(fd, "ECHO x\r\n");
	expect(fd, "hello\r\nx\r\n");
	for (int i = 0; i < N; i++)
		sem_post(&toy.go);
	for (int i = 0; i < N; i++) {
		expect(fds[i], "hello\r\nheld\r\n");
		close(fds[i]);
	}
	close(fd);
	toy_close();
}

static void who_stops_talking_still_hears_the_answers(void **state)
{
	struct clock *clock = clock_manual(1000000);
	int fd;

	(void)state;
	toy_open(NULL, clock);
	fd = toy_talk(LISTENER_CLEAR);
	send_text(fd, "ECHO a\r\nECHO b\r\n");
	shutdown(fd, SHUT_WR);
	expect(fd, "hello\r\na\r\nb\r\n");
	expect_eof(fd);
	/* one that waits without reading, and is half closed: it is neither cut nor run in circles */
	fd = toy_talk(LISTENER_CLEAR);
	send_text(fd, "PAUSE 5000\r\nECHO c\r\n");
	shutdown(fd, SHUT_WR);
	expect(fd, "hello\r\n+ pause\r\n");
	toy_await_parked(1);
	clock_advance(clock, 6 * PB_SECOND);
	sessions_kick(toy.ss);
	expect(fd, "* timeout\r\nc\r\n");
	expect_eof(fd);
	toy_close();
	clock_free(clock);
}

static void sessions_are_listed(void **state)
{
	json_t *list;
	int fd;

	(void)state;
	toy_open(NULL, NULL);
	fd = toy_talk(LISTENER_CLEAR);
	send_text(fd, "LOGIN bob@example.org\r\n");
	expect(fd, "hello\r\nok\r\n");
	toy_await_parked(1);
	sessions_list(toy.ss, &list);
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "peer")), "192.0.2.1");
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "user")), "bob@example.org");
	assert_true(json_is_true(json_object_get(json_array_get(list, 0), "idle")));
	json_decref(list);
	close(fd);
	toy_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_conversation_reads_the_same_however_it_is_cut),
		cmocka_unit_test(every_byte_may_come_alone),
		cmocka_unit_test(a_line_too_long_is_thrown_away_whole),
		cmocka_unit_test(a_bare_lf_ends_a_line_only_where_allowed),
		cmocka_unit_test(errors_are_counted),
		cmocka_unit_test(a_good_command_makes_up_for_bad_ones),
		cmocka_unit_test(sessions_of_a_mailbox_are_ended),
		cmocka_unit_test(own_addresses_are_known),
		cmocka_unit_test(a_command_that_must_be_last_is_refused_with_input_behind_it),
		cmocka_unit_test(data_ends_with_strict_crlf_dot_crlf_only),
		cmocka_unit_test(a_large_message_arrives_whole),
		cmocka_unit_test(a_slow_sender_is_cut),
		cmocka_unit_test(a_slow_reader_is_cut),
		cmocka_unit_test(an_idle_session_is_sent_away_by_the_clock),
		cmocka_unit_test(waiting_ends_by_line_notice_or_time),
		cmocka_unit_test(no_wake_is_lost_between_input_and_notices),
		cmocka_unit_test(parked_sessions_are_small),
		cmocka_unit_test(a_drain_says_goodbye_and_lets_commands_finish),
		cmocka_unit_test(a_drain_cuts_who_does_not_finish),
		cmocka_unit_test(listeners_wait_while_nobody_serves),
		cmocka_unit_test(limits_are_told_instead_of_the_greeting),
		cmocka_unit_test(a_user_has_so_many_sessions_and_no_more),
		cmocka_unit_test(a_trusted_proxy_tells_the_client),
		cmocka_unit_test(a_proxy_header_from_a_stranger_is_no_header),
		cmocka_unit_test(bodies_go_out_exactly),
		cmocka_unit_test(bodies_are_dot_stuffed),
		cmocka_unit_test(a_unix_socket_listens),
		cmocka_unit_test(a_listener_hands_its_socket_on),
		cmocka_unit_test(a_port_rests_for_another_and_resumes),
		cmocka_unit_test_teardown(a_low_port_is_opened_again_by_who_may_not, be_root_again),
		cmocka_unit_test(other_work_runs_beside_and_is_limited),
		cmocka_unit_test(the_pool_grows_while_commands_block),
		cmocka_unit_test(who_stops_talking_still_hears_the_answers),
		cmocka_unit_test(sessions_are_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
