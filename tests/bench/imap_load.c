/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An IMAP client that does next to nothing, so that what is measured is the server: it reads until the tagged line and parses no more.
 * What to do comes line by line on standard input; what to compare, and with whom, is bench_imap.py's; logging in again and again is login_load.c's.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define KEEP 1024	/* of what came before: a tagged line is never longer */
#define ROOM (1 << 20)
#define MESSAGE 4096

struct client {
	int fd;
	unsigned tags;
	size_t got;	/* bytes of the last answer */
	char *room;
};

static void die(const char *what, const char *detail)
{
	fprintf(stderr, "imap_load: %s: %.300s\n", what, detail);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Reads until the last line begins with one of two words; that line stays in the room. */
static const char *answer(struct client *c, const char *good, const char *bad)
{
	size_t have = 0;

	c->got = 0;
	for (;;) {
		ssize_t n = recv(c->fd, c->room + have, ROOM, 0);

		if (n <= 0)
			die("the server closed while this was awaited", good);
		c->got += (size_t)n;
		have += (size_t)n;
		if (c->room[have - 1] == '\n') {
			char *before = memrchr(c->room, '\n', have - 1), *line = before ? before + 1 : c->room;

			c->room[have] = 0;
			if (!strncmp(line, good, strlen(good)))
				return line;
			if (!strncmp(line, bad, strlen(bad)))
				die("refused", line);
		}
		if (have > KEEP) {
			memmove(c->room, c->room + have - KEEP, KEEP);
			have = KEEP;
		}
	}
}

static void send_all(struct client *c, struct iovec *parts, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += parts[i].iov_len;
	if (writev(c->fd, parts, n) != (ssize_t)len)
		die("writing", "the server takes no more");
}

static void command(struct client *c, const char *text, const char *literal)
{
	char head[2000], good[20], bad[20];
	struct iovec parts[3];
	int len;

	c->tags++;
	len = snprintf(head, sizeof head, "Zt%u %s\r\n", c->tags, text);
	snprintf(good, sizeof good, "Zt%u OK", c->tags);
	snprintf(bad, sizeof bad, "Zt%u ", c->tags);
	parts[0] = (struct iovec){ head, (size_t)len };
	parts[1] = (struct iovec){ (char *)literal, literal ? MESSAGE : 0 };
	parts[2] = (struct iovec){ "\r\n", 2 };
	send_all(c, parts, literal ? 3 : 1);
	answer(c, good, bad);
}

static void open_client(struct client *c, int port, const char *greeting)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int on = 1;

	c->tags = 0;
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(c->fd, (struct sockaddr *)&to, sizeof to))
		die("connect", "no one listens");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	answer(c, greeting, "!");
}

/* Message n, always the same: every third has two parts, every tenth a word that the others do not have. */
static void message(char *buf, unsigned n)
{
	static const char *const words[] = { "meadow", "ledger", "harbour", "lantern", "copper", "winter", "garden", "orchard", "signal", "bridge", "paper", "thunder" };
	bool parts = n % 3 == 0;
	unsigned seed = n * 2654435761u + 1;
	int len = snprintf(buf, MESSAGE, "Return-Path: <sender%u@remote.example>\r\nReceived: from mx%u.remote.example ([192.0.2.%u])\r\n\tby mail.demo.example with ESMTPS id Q%08X;\r\n\tMon, 1 Jan 2024 10:%02u:%02u +0000\r\n"
			   "Message-ID: <%u.%08x@remote.example>\r\nDate: Mon, 1 Jan 2024 10:%02u:%02u +0000\r\nFrom: \"Sender Number %u\" <sender%u@remote.example>\r\n"
			   "To: Reader <reader@demo.example>, other%u@demo.example\r\nSubject: %s %s number %u\r\nMIME-Version: 1.0\r\nX-Mailer: load\r\nContent-Type: %s\r\n\r\n%s",
			   n % 97, n % 7, n % 250, seed, n / 60 % 60, n % 60, n, seed, n / 60 % 60, n % 60, n % 97, n % 97, n % 13, words[n % 12], words[n / 12 % 12], n,
			   parts ? "multipart/alternative; boundary=\"b-o-u-n-d\"" : "text/plain; charset=utf-8",
			   parts ? "--b-o-u-n-d\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" : "");
	const char *end = parts ? "\r\n--b-o-u-n-d\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>The same again.</p>\r\n--b-o-u-n-d--\r\n" : "\r\nThe end.\r\n";
	int stop = MESSAGE - (int)strlen(end), column = 0;

	if (n % 10 == 0)
		len += snprintf(buf + len, (size_t)(MESSAGE - len), "quicksilver ");
	while (len < stop) {
		const char *word = words[(seed = seed * 1103515245u + 12345) >> 16 & 7];

		if (column > 64 && len + 2 <= stop) {
			buf[len++] = '\r';
			buf[len++] = '\n';
			column = 0;
		}
		for (; *word && len < stop; column++)
			buf[len++] = *word++;
		if (len < stop)
			buf[len++] = ' ', column++;
	}
	memcpy(buf + len, end, strlen(end));
}

/* All in one command (RFC 3502), to fill a mailbox of those who have it. */
static double multiappend(struct client *c, unsigned first, unsigned last, const char *folder)
{
	char *room = malloc((size_t)(last - first + 1) * (MESSAGE + 20) + 300), good[20], bad[20];
	double begin = now();
	struct iovec part = { room, 0 };

	c->tags++;
	part.iov_len = (size_t)snprintf(room, 300, "Zt%u APPEND %.100s", c->tags, folder);
	for (unsigned n = first; n <= last; n++) {
		char body[MESSAGE + 200];

		message(body, n);
		part.iov_len += (size_t)snprintf(room + part.iov_len, 20, " {%d+}\r\n", MESSAGE);
		memcpy(room + part.iov_len, body, MESSAGE);
		part.iov_len += MESSAGE;
	}
	memcpy(room + part.iov_len, "\r\n", 2);
	part.iov_len += 2;
	send_all(c, &part, 1);
	snprintf(good, sizeof good, "Zt%u OK", c->tags);
	snprintf(bad, sizeof bad, "Zt%u ", c->tags);
	answer(c, good, bad);
	free(room);
	return now() - begin;
}

/* multiappend FIRST LAST FOLDER | run COMMAND | each FIRST LAST COMMAND with %u | append FIRST LAST FOLDER: answers "seconds bytes". */
static void serve(struct client *c)
{
	char line[1500], text[1600], body[MESSAGE + 200];
	unsigned first, last;
	int at;

	while (fgets(line, sizeof line, stdin)) {
		double begin = 0, spent = 0;
		size_t bytes = 0;

		line[strcspn(line, "\n")] = 0;
		if (!strncmp(line, "run ", 4)) {
			begin = now();
			command(c, line + 4, NULL);
			spent = now() - begin;
			bytes = c->got;
		} else if (sscanf(line, "each %u %u %n", &first, &last, &at) == 2) {
			const char *hole = strstr(line + at, "%u");

			if (!hole)
				die("no %u in", line);
			begin = now();
			for (unsigned n = first; n <= last; n++) {
				snprintf(text, sizeof text, "%.*s%u%s", (int)(hole - line - at), line + at, n, hole + 2);
				command(c, text, NULL);
				bytes += c->got;
			}
			spent = now() - begin;
		} else if (sscanf(line, "append %u %u %n", &first, &last, &at) == 2) {
			snprintf(text, sizeof text, "APPEND %s {%d+}", line + at, MESSAGE);
			begin = now();
			for (unsigned n = first; n <= last; n++) {
				message(body, n);
				command(c, text, body);
			}
			spent = now() - begin;
		} else if (sscanf(line, "multiappend %u %u %n", &first, &last, &at) == 2) {
			spent = multiappend(c, first, last, line + at);
		} else {
			die("what is", line);
		}
		printf("%.6f %zu\n", spent, bytes);
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	struct client c = { .room = malloc(KEEP + ROOM + 1) };
	char text[300];

	if (argc != 5 || strcmp(argv[1], "session"))
		return fprintf(stderr, "usage: imap_load session PORT USER PASSWORD\n"), 2;
	open_client(&c, (int)strtol(argv[2], NULL, 10), "* OK");
	snprintf(text, sizeof text, "LOGIN %s \"%s\"", argv[3], argv[4]);
	command(&c, text, NULL);
	serve(&c);
	free(c.room);
	return 0;
}
