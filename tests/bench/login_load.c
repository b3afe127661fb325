/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Logging in again and again by IMAP or POP3, with a client that takes as little as a client can: one thread, all words ready before the first connection.
 * "nobody" is a server that takes as little: it answers every line with words that it has ready, and so tells what client, kernel and connection cost alone.
 * What to compare, and with whom, is bench_imap.py's.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { STEPS_MAX = 6, CLIENTS_MAX = 64, USERS_MAX = 100, ROOM = 16384, MESSAGE = 4096 };

/* An answer ends with a line that begins with these words. */
struct step {
	const char *good;
	char say[300];		/* then; empty: it was the last */
	size_t len;
};

static struct {
	struct step steps[USERS_MAX][STEPS_MAX];
	int port, total, begun, users, clients, epfd;
} load;

struct client {
	int fd, user, first, step;
	size_t have;
	char room[ROOM + 1];
};

static void die(const char *what, const char *detail)
{
	fprintf(stderr, "login_load: %s: %.300s\n", what, detail);
	exit(1);
}

static double seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What to say when the answer before it is there; "@" stands for the user's name, "*" for the password. */
static void prepare(bool imap, int user, const char *password)
{
	static const char *const imap_words[][2] = { { "* OK", "Zt1 LOGIN @ \"*\"\r\n" }, { "Zt1 OK", "Zt2 LOGOUT\r\n" }, { "Zt2 OK", "" } };
	static const char *const pop3_words[][2] = { { "+OK", "USER @\r\n" }, { "+OK", "PASS *\r\n" }, { "+OK", "STAT\r\n" }, { "+OK", "RETR 1\r\n" },
						     { ".\r\n", "QUIT\r\n" }, { "+OK", "" } };
	int n = imap ? 3 : 6;

	for (int i = 0; i < n; i++) {
		const char *const *words = imap ? imap_words[i] : pop3_words[i];
		struct step *s = &load.steps[user][i];

		s->good = words[0];
		for (const char *p = words[1]; *p && s->len < sizeof s->say - 100; p++) {
			if (*p == '@')
				s->len += (size_t)snprintf(s->say + s->len, 50, "u%d@demo.example", user);
			else if (*p == '*')
				s->len += (size_t)snprintf(s->say + s->len, 100, "%s", password);
			else
				s->say[s->len++] = *p;
		}
	}
}

/* False: there is nothing left to begin. */
static bool begin(struct client *c)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)load.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };

	if (load.begun == load.total)
		return false;
	load.begun++;
	c->step = 0;
	c->have = 0;
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(c->fd, (struct sockaddr *)&to, sizeof to))
		die("connect", "no one listens");
	if (load.clients > 1 && epoll_ctl(load.epfd, EPOLL_CTL_ADD, c->fd, &ev))
		die("epoll_ctl", "it cannot be waited for");
	return true;
}

/* What was received ends with the line that is waited for. */
static bool is_whole(struct client *c, const struct step *s)
{
	char *before, *line;

	if (!c->have || c->room[c->have - 1] != '\n')
		return false;
	before = memrchr(c->room, '\n', c->have - 1);
	line = before ? before + 1 : c->room;
	c->room[c->have] = 0;
	if (!strncmp(line, s->good, strlen(s->good)))
		return true;
	if (!strncmp(line, "-ERR", 4) || (line[0] == 'Z' && line[1] == 't'))
		die("refused", line);
	return false;
}

/* One piece of an answer. False when all is done. */
static bool advance(struct client *c)
{
	const struct step *s = &load.steps[c->user][c->step];
	ssize_t n = recv(c->fd, c->room + c->have, ROOM - c->have, 0);

	if (n <= 0)
		die("the server closed while this was awaited", s->good);
	c->have += (size_t)n;
	if (!is_whole(c, s))
		return true;
	c->have = 0;
	if (s->len) {
		if (send(c->fd, s->say, s->len, MSG_NOSIGNAL) != (ssize_t)s->len)
			die("writing", "the server takes no more");
		c->step++;
		return true;
	}
	close(c->fd);
	/* A client has users of its own: a maildrop is locked by whoever reads it. */
	c->user = c->user + load.clients < load.users ? c->user + load.clients : c->first;
	return begin(c);
}

static void run(void)
{
	struct client *clients = calloc((size_t)load.clients, sizeof *clients);
	int busy = 0;

	load.epfd = epoll_create1(0);
	for (int i = 0; i < load.clients; i++) {
		clients[i].user = clients[i].first = i;
		busy += begin(&clients[i]);
	}
	if (load.clients == 1)
		while (busy && advance(&clients[0]))
			;
	while (load.clients > 1 && busy) {
		struct epoll_event ev[CLIENTS_MAX];
		int n = epoll_wait(load.epfd, ev, CLIENTS_MAX, -1);

		for (int i = 0; i < n; i++)
			busy -= !advance(ev[i].data.ptr);
	}
	free(clients);
}

/* ---- the server that does nothing ---- */

static char message[MESSAGE + 20];

static const char *answer_to(const char *line)
{
	if (line[0] == 'Z')
		return line[2] == '1' ? "Zt1 OK [CAPABILITY IMAP4rev1 LITERAL+ UIDPLUS UNSELECT NAMESPACE IDLE CHILDREN ENABLE ID MOVE SPECIAL-USE] Logged in\r\n" :
					"* BYE\r\nZt2 OK Done\r\n";
	return line[0] == 'R' ? message : "+OK\r\n";
}

static void say(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		close(fd);
}

static void serve(bool imap)
{
	const char *hello = imap ? "* OK [CAPABILITY IMAP4rev1 LITERAL+ AUTH=PLAIN AUTH=LOGIN SASL-IR ID ENABLE] mail.demo.example ready\r\n" : "+OK\r\n";
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof at;
	int listener = socket(AF_INET, SOCK_STREAM, 0), epfd = epoll_create1(0), on = 1;
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = listener };
	char line[300];

	memset(message, 'x', MESSAGE);
	memcpy(message, "+OK\r\n", 5);
	memcpy(message + MESSAGE, "\r\n.\r\n", 6);
	setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 1024) || getsockname(listener, (struct sockaddr *)&at, &len) ||
	    epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &ev))
		die("listen", "no port");
	printf("%d\n", ntohs(at.sin_port));
	fflush(stdout);
	while (epoll_wait(epfd, &ev, 1, -1) == 1) {
		int fd = ev.data.fd;

		if (fd == listener) {
			ev.data.fd = fd = accept(listener, NULL, NULL);
			say(fd, hello);
			epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev);
		} else if (recv(fd, line, sizeof line, 0) > 0) {
			say(fd, answer_to(line));
		} else {
			close(fd);
		}
	}
}

int main(int argc, char **argv)
{
	bool imap = argc > 1 && !strcmp(argv[argc == 3 ? 2 : 1], "imap");
	double wall, cpu;

	if (argc == 3 && !strcmp(argv[1], "nobody")) {
		serve(imap);
		return 1;
	}
	if (argc != 7)
		return fprintf(stderr, "usage: login_load imap|pop3 PORT PASSWORD LOGINS USERS CLIENTS | nobody imap|pop3\n"), 2;
	load.port = (int)strtol(argv[2], NULL, 10);
	load.total = (int)strtol(argv[4], NULL, 10);
	load.users = (int)strtol(argv[5], NULL, 10);
	load.clients = (int)strtol(argv[6], NULL, 10);
	if (load.users < 1 || load.users > USERS_MAX || load.clients < 1 || load.clients > CLIENTS_MAX || load.clients > load.users)
		die("so many users or clients are not possible", argv[5]);
	if (strlen(argv[3]) > 90)
		die("the password is too long", argv[3]);
	for (int i = 0; i < load.users; i++)
		prepare(imap, i, argv[3]);
	wall = seconds(CLOCK_MONOTONIC);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	run();
	/* what it took by the clock, and of this process's CPU */
	printf("%.6f %.6f\n", seconds(CLOCK_MONOTONIC) - wall, seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
	return 0;
}
