/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An SMTP server that takes everything and keeps a count of each recipient. Those called m0@..., m1@... are members of a list; all others are personal mail.
 *
 * Prints its port, then answers lines of its standard input:
 *   expect N [HOLD]   forgets all counts; when N members have been served at least once each it says "served SECONDS DELIVERIES TRANSACTIONS CONNECTIONS" (SECONDS
 *                     on the monotonic clock); from the HOLDth delivery on ends of data are not answered until "go", whoever they are for except personal mail
 *   wait N [HELD]     says "reached DELIVERIES" when there were N deliveries to members, and HELD ends of data wait for an answer
 *   go                answers what is held
 *   cut               ends all connections, without a word; what is held is not taken
 *   tell              from now on says "personal SECONDS" at each personal delivery
 *   count             says "count DISTINCT DELIVERIES MOST PERSONAL AT": members served, deliveries to them, most to one, personal deliveries, and how many
 *                     deliveries to members came before the first personal one
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MEMBERS = 1000000, RCPTS = 10000, BUFFER = 65536 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static unsigned short times[MEMBERS];
static long expected, hold, held, cuts, wanted, wanted_held, distinct, deliveries, transactions, connections, personal, personal_at;

struct session {
	struct session *next;	/* of all that are open */
	int fd;
	long cuts;		/* that were made before it began */
	size_t have, at;
	char buf[BUFFER];
	char out[BUFFER];	/* answers, sent when no more commands wait */
	size_t nout;
	long members[RCPTS];	/* -1: personal */
	int n;
};

static struct session *open_sessions;
static bool telling;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool flush(struct session *s)
{
	size_t sent = 0;

	while (sent < s->nout) {
		ssize_t n = send(s->fd, s->out + sent, s->nout - sent, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		sent += (size_t)n;
	}
	s->nout = 0;
	return true;
}

static bool answer(struct session *s, const char *text)
{
	size_t n = strlen(text);

	if (s->nout + n > sizeof s->out && !flush(s))
		return false;
	memcpy(s->out + s->nout, text, n);
	s->nout += n;
	return true;
}

static bool more(struct session *s)
{
	int on = 1;
	ssize_t n;

	if (!flush(s))
		return false;
	memmove(s->buf, s->buf + s->at, s->have - s->at);
	s->have -= s->at;
	s->at = 0;
	if (s->have == sizeof s->buf)
		return false;
	n = recv(s->fd, s->buf + s->have, sizeof s->buf - s->have, 0);
	/* Who sends a message in small pieces shall not wait for a delayed ACK before each. */
	setsockopt(s->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
	if (n <= 0)
		return false;
	s->have += (size_t)n;
	return true;
}

/* A line without its end; NULL: the connection is over. */
static char *line_of(struct session *s)
{
	char *end;

	while ((end = memchr(s->buf + s->at, '\n', s->have - s->at)) == NULL)
		if (!more(s))
			return NULL;
	char *line = s->buf + s->at;

	s->at = (size_t)(end + 1 - s->buf);
	*end = 0;
	return line;
}

static bool skip_data(struct session *s)
{
	static const char dot[] = "\r\n.\r\n";
	char *end;

	while ((end = memmem(s->buf + s->at, s->have - s->at, dot, 5)) == NULL) {
		if (s->have - s->at > 4)
			s->at = s->have - 4;
		if (!more(s))
			return false;
	}
	s->at = (size_t)(end + 5 - s->buf);
	return true;
}

static void count(long member)
{
	if (member < 0) {
		if (!personal++)
			personal_at = deliveries;
		if (telling) {
			printf("personal %.6f\n", now());
			fflush(stdout);
		}
		return;
	}
	deliveries++;
	if (!times[member]++)
		distinct++;
	if (distinct == expected && times[member] == 1) {
		printf("served %.6f %ld %ld %ld\n", now(), deliveries, transactions, connections);
		fflush(stdout);
	}
}

static void look(void)
{
	if (!wanted || deliveries < wanted || held < wanted_held)
		return;
	printf("reached %ld\n", deliveries);
	fflush(stdout);
	wanted = 0;
}

/* False: the connection was cut meanwhile. */
static bool settle(struct session *s)
{
	bool is_personal = s->n && s->members[0] < 0, taken;

	pthread_mutex_lock(&lock);
	held++;
	while (hold && deliveries >= hold && !is_personal && s->cuts == cuts) {
		look();
		pthread_cond_wait(&moved, &lock);
	}
	held--;
	taken = s->cuts == cuts;
	if (taken) {
		transactions++;
		for (int i = 0; i < s->n; i++)
			count(s->members[i]);
		look();
	}
	pthread_mutex_unlock(&lock);
	return taken;
}

static bool rcpt(struct session *s, const char *line)
{
	const char *who = strchr(line, '<');
	char *end;
	long member = -1;

	if (!who || s->n == RCPTS)
		return answer(s, "452 4.5.3 No more\r\n");
	if (who[1] == 'm') {
		member = strtol(who + 2, &end, 10);
		if (end == who + 2 || *end != '@' || member < 0 || member >= MEMBERS)
			member = -1;
	}
	s->members[s->n++] = member;
	return answer(s, "250 2.1.5 Ok\r\n");
}

static bool command(struct session *s, const char *line)
{
	if (!strncasecmp(line, "EHLO", 4))
		return answer(s, "250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-XVERP\r\n250 ENHANCEDSTATUSCODES\r\n");
	if (!strncasecmp(line, "RCPT", 4))
		return rcpt(s, line);
	if (!strncasecmp(line, "DATA", 4)) {
		if (!s->n)
			return answer(s, "503 5.5.1 Recipients first\r\n");
		if (!answer(s, "354 Go on\r\n") || !skip_data(s))
			return false;
		if (!settle(s))
			return false;
		s->n = 0;
		return answer(s, "250 2.0.0 Taken\r\n");
	}
	if (!strncasecmp(line, "QUIT", 4)) {
		answer(s, "221 2.0.0 Bye\r\n");
		flush(s);
		return false;
	}
	s->n = 0;	/* MAIL, RSET, HELO */
	return answer(s, "250 2.0.0 Ok\r\n");
}

static void *serve(void *arg)
{
	struct session *s = arg, **at;
	char *line;
	bool on = answer(s, "220 sink.example ESMTP\r\n");

	while (on && (line = line_of(s)) != NULL)
		on = command(s, line);
	pthread_mutex_lock(&lock);
	for (at = &open_sessions; *at != s; at = &(*at)->next)
		;
	*at = s->next;
	pthread_mutex_unlock(&lock);
	close(s->fd);
	free(s);
	return NULL;
}

static void *accept_all(void *arg)
{
	int listener = *(int *)arg, on = 1;
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 256 << 10);
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		struct session *s;
		pthread_t thread;

		if (fd < 0)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		s = malloc(sizeof *s);
		s->fd = fd;
		s->have = s->at = s->nout = 0;
		s->n = 0;
		pthread_mutex_lock(&lock);
		connections++;
		s->cuts = cuts;
		s->next = open_sessions;
		open_sessions = s;
		pthread_mutex_unlock(&lock);
		if (pthread_create(&thread, &attr, serve, s))
			exit(1);
	}
	return NULL;
}

static void order(const char *line)
{
	int most = 0;

	pthread_mutex_lock(&lock);
	if (sscanf(line, "expect %ld %ld", &expected, &hold) >= 1) {
		memset(times, 0, sizeof times);
		distinct = deliveries = transactions = connections = personal = personal_at = wanted = 0;
		if (!strchr(line + 7, ' '))
			hold = 0;
	} else if (sscanf(line, "wait %ld %ld", &wanted, &wanted_held) >= 1) {
		if (!strchr(line + 5, ' '))
			wanted_held = 0;
		look();
	} else if (!strncmp(line, "tell", 4)) {
		telling = true;
	} else if (!strncmp(line, "cut", 3)) {
		cuts++;
		hold = 0;
		for (struct session *s = open_sessions; s; s = s->next)
			shutdown(s->fd, SHUT_RDWR);
		pthread_cond_broadcast(&moved);
	} else if (!strncmp(line, "go", 2)) {
		hold = 0;
		pthread_cond_broadcast(&moved);
	} else {
		for (int i = 0; i < MEMBERS; i++)
			most = times[i] > most ? times[i] : most;
		printf("count %ld %ld %d %ld %ld\n", distinct, deliveries, most, personal, personal_at);
	}
	fflush(stdout);
	pthread_mutex_unlock(&lock);
}

int main(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof at;
	pthread_t thread;
	char line[100];

	if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 1000) || getsockname(listener, (struct sockaddr *)&at, &len)) {
		perror("smtp_sink");
		return 1;
	}
	printf("port %d\n", ntohs(at.sin_port));
	fflush(stdout);
	pthread_create(&thread, NULL, accept_all, &listener);
	while (fgets(line, sizeof line, stdin))
		order(line);
	return 0;
}
