/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A load of SMTP messages: so many senders, each with a connection of its own, one message after the other. Prints messages and seconds. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static int port, senders, total, size, mailboxes, per_connection;
static bool pipelined;
static atomic_int next_message, failed;
static char *body;

static int connect_to(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (connect(fd, (struct sockaddr *)&to, sizeof to)) {
		perror("connect");
		exit(1);
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return fd;
}

/* Reads one whole reply; its code. */
static int reply(int fd, char *buf, size_t *len)
{
	for (;;) {
		char *line = buf, *end;

		while ((end = memchr(line, '\n', *len - (size_t)(line - buf))) != NULL) {
			if (end - line >= 4 && line[3] != '-') {
				int code = atoi(line);
				size_t used = (size_t)(end + 1 - buf);

				memmove(buf, end + 1, *len - used);
				*len -= used;
				return code;
			}
			line = end + 1;
		}
		ssize_t n = recv(fd, buf + *len, 8192 - *len, 0);

		if (n <= 0)
			return -1;
		*len += (size_t)n;
	}
}

static int say(int fd, const char *text, char *buf, size_t *len)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		return -1;
	return reply(fd, buf, len);
}

static int one(int fd, int n, char *buf, size_t *len)
{
	char head[400], to[80];
	struct iovec parts[2];
	int h;

	if (pipelined) {	/* as servers send to each other (RFC 2920) */
		h = snprintf(head, sizeof head, "MAIL FROM:<sender@remote.example>\r\nRCPT TO:<u%d@demo.example>\r\nDATA\r\n", n % mailboxes);
		if (send(fd, head, (size_t)h, MSG_NOSIGNAL) != h || reply(fd, buf, len) != 250 || reply(fd, buf, len) != 250 || reply(fd, buf, len) != 354)
			return -1;
	} else {
		snprintf(to, sizeof to, "RCPT TO:<u%d@demo.example>\r\n", n % mailboxes);
		if (say(fd, "MAIL FROM:<sender@remote.example>\r\n", buf, len) != 250 || say(fd, to, buf, len) != 250 || say(fd, "DATA\r\n", buf, len) != 354)
			return -1;
	}
	h = snprintf(head, sizeof head, "From: <sender@remote.example>\r\nTo: <u%d@demo.example>\r\nSubject: load %d\r\n"
		     "Message-ID: <%d.%d@remote.example>\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\n",
		     n % mailboxes, n, n, (int)getpid());
	parts[0] = (struct iovec){ head, (size_t)h };
	parts[1] = (struct iovec){ body, (size_t)size };
	if (writev(fd, parts, 2) != h + size)
		return -1;	/* sizes here fit the socket's buffer, or the call blocks until all is taken */
	return reply(fd, buf, len) == 250 ? 0 : -1;
}

/* The alphabet over and over; with BODY=base64 what attachments look like, of which nothing repeats. */
static char letter(int i)
{
	static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static unsigned x = 1;

	x = x * 1664525 + 1013904223;
	return getenv("BODY") ? base64[x >> 26] : (char)('a' + i % 23);
}

static void *sender(void *arg)
{
	char buf[8192];
	int n, fd = -1, sent = 0;
	size_t len = 0;

	(void)arg;
	while ((n = atomic_fetch_add(&next_message, 1)) < total) {
		if (fd < 0) {
			fd = connect_to();
			len = 0;
			sent = 0;
			if (reply(fd, buf, &len) != 220 || say(fd, "EHLO load.example\r\n", buf, &len) != 250) {
				atomic_fetch_add(&failed, 1);
				break;
			}
		}
		if (one(fd, n, buf, &len)) {
			atomic_fetch_add(&failed, 1);
			break;
		}
		if (++sent == per_connection) {
			say(fd, "QUIT\r\n", buf, &len);
			close(fd);
			fd = -1;
		}
	}
	if (fd >= 0) {
		say(fd, "QUIT\r\n", buf, &len);
		close(fd);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct timespec a, b;
	pthread_t threads[256];

	if (argc < 7 || argc > 8 || (argc == 8 && strcmp(argv[7], "pipelined"))) {
		fprintf(stderr, "usage: smtp_load PORT SENDERS MESSAGES SIZE MAILBOXES PER_CONNECTION [pipelined]\n");
		return 2;
	}
	port = atoi(argv[1]);
	senders = atoi(argv[2]) > 256 ? 256 : atoi(argv[2]);
	total = atoi(argv[3]);
	size = atoi(argv[4]);
	mailboxes = atoi(argv[5]);
	per_connection = atoi(argv[6]);
	pipelined = argc == 8;
	body = malloc((size_t)size + 8);
	for (int i = 0; i < size; i++)
		body[i] = i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n' : letter(i);
	memcpy(body + size - 7, "z\r\n.\r\n", 7);	/* the NUL is not sent: size counts to the last line end */
	body[size - 7] = 'z';
	memcpy(body + size - 5 - 2, "\r\n.\r\n", 5);
	size -= 2;
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (int i = 0; i < senders; i++)
		pthread_create(&threads[i], NULL, sender, NULL);
	for (int i = 0; i < senders; i++)
		pthread_join(threads[i], NULL);
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("%d %.6f %d\n", total, (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9, atomic_load(&failed));
	return atomic_load(&failed) ? 1 : 0;
}
