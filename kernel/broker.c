/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A process for each request: it starts the program in a session of its own, reads what it says, and sees to its end. As the one that orphans come to
 * (PR_SET_CHILD_SUBREAPER) it finds everything that a program started, also what left its session.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <postbus/str.h>
#include "kernel/broker.h"
#include "kernel/config/config.h"
#include "kernel/sandbox.h"

enum { INPUT, ANSWER, PASSED };
enum { END_ROUNDS = 500, END_PAUSE_US = 2000, FILES_MAX = 256 };

/* What is wanted, in the process for it. */
struct job {
	struct broker_request head;
	char *words[BROKER_WORDS_MAX + 2];	/* argv, NULL, environment, NULL */
	char **env;
	int input, answer, output, errors, status;
	pid_t pid;
	int handle;				/* of the process */
	char *said[2];
	uint32_t nsaid[2];
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

/* ---- the request ---- */

static bool read_words(struct job *j, char *bytes, size_t len)
{
	uint64_t wanted = (uint64_t)j->head.argc + j->head.envc;
	size_t at = 0;

	if (!len || bytes[len - 1] || !j->head.argc || wanted > BROKER_WORDS_MAX || j->head.output_max > BROKER_OUTPUT_MAX)
		return false;
	for (uint32_t i = 0; i < wanted; i++) {
		if (at >= len)
			return false;
		j->words[i + (i >= j->head.argc)] = bytes + at;
		at += strlen(bytes + at) + 1;
	}
	j->env = j->words + j->head.argc + 1;
	return at == len;
}

/* ---- the program ---- */

static _Noreturn void become(struct job *j)
{
	static const int usual[] = { SIGPIPE, SIGCHLD, SIGHUP, SIGINT, SIGTERM };
	const struct rlimit none = { 0, 0 }, files = { FILES_MAX, FILES_MAX };
	sigset_t signals;
	int fds[3] = { j->input, j->output, j->errors }, status;

	setsid();
	sigemptyset(&signals);
	for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
		signal(usual[i], SIG_DFL);
	sigprocmask(SIG_SETMASK, &signals, NULL);
	setrlimit(RLIMIT_CORE, &none);
	setrlimit(RLIMIT_NOFILE, &files);
	status = fcntl(j->status, F_DUPFD_CLOEXEC, 10);
	for (int i = 0; i < 3; i++)
		fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 10);
	for (int i = 0; i < 3; i++)
		dup2(fds[i], i);
	if (status < 0 || fds[0] < 0 || fds[1] < 0 || fds[2] < 0 || chdir("/"))
		_exit(127);
	syscall(SYS_close_range, 3, ~0u, 4u);	/* CLOSE_RANGE_CLOEXEC: also what whoever started the daemon left open */
	execve(j->words[0], j->words, j->env);
	if (write(status, &errno, sizeof errno) < 0)
		_exit(126);
	_exit(127);
}

/* 0 or an errno. */
static int start(struct job *j)
{
	int output[2], errors[2], status[2], failed = 0;

	if (pipe2(output, O_CLOEXEC) || pipe2(errors, O_CLOEXEC) || pipe2(status, O_CLOEXEC))
		return errno;
	j->pid = fork();
	if (j->pid < 0)
		return errno;
	if (j->pid == 0) {
		j->output = output[1];
		j->errors = errors[1];
		j->status = status[1];
		become(j);
	}
	close(output[1]);
	close(errors[1]);
	close(status[1]);
	j->output = output[0];
	j->errors = errors[0];
	fcntl(j->output, F_SETFL, O_NONBLOCK);
	fcntl(j->errors, F_SETFL, O_NONBLOCK);
	j->handle = (int)syscall(SYS_pidfd_open, j->pid, 0);
	if (read(status[0], &failed, sizeof failed) != sizeof failed)
		failed = 0;
	close(status[0]);
	return failed ? failed : j->handle < 0 ? ENOSYS : 0;
}

/* ---- what it says ---- */

/* False at its end. What is too much is read, so that it never waits for us. */
static bool listen_to(struct job *j, int fd, int which)
{
	char room[16384];
	ssize_t n;

	while ((n = read(fd, room, sizeof room)) > 0) {
		size_t keep = j->head.output_max - j->nsaid[which] < (size_t)n ? j->head.output_max - j->nsaid[which] : (size_t)n;

		memcpy(j->said[which] + j->nsaid[which], room, keep);
		j->nsaid[which] += (uint32_t)keep;
		if (n < (ssize_t)sizeof room)
			return true;
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Until the program ends. True: its time was over, or nobody wants to know any more. */
static bool watch(struct job *j)
{
	int64_t until = now_ms() + j->head.timeout_ms;
	struct pollfd fds[] = { { j->output, POLLIN, 0 }, { j->errors, POLLIN, 0 }, { j->handle, POLLIN, 0 }, { j->answer, POLLRDHUP, 0 } };

	for (;;) {
		int64_t left = until - now_ms();

		if (left <= 0 || (poll(fds, 4, left > 60000 ? 60000 : (int)left) < 0 && errno != EINTR) || fds[3].revents)
			return true;
		for (int i = 0; i < 2; i++)
			if (fds[i].revents && !listen_to(j, fds[i].fd, i))
				fds[i].fd = -1;
		if (fds[2].revents)
			break;
	}
	for (int i = 0; i < 2; i++)
		if (fds[i].fd >= 0)
			listen_to(j, fds[i].fd, i);
	return false;
}

/* ---- its end ---- */

/* Kill all children of this process: the program, and the orphans of what was killed before. */
static void kill_children(void)
{
	char path[64], list[65536];
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, list, sizeof list - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return;
	list[n] = '\0';
	for (char *at = list, *next;; at = next) {
		long pid = strtol(at, &next, 10);

		if (next == at)
			return;
		if (pid > 1)
			kill((pid_t)pid, SIGKILL);
	}
}

static void end_all(struct job *j, struct broker_answer *answer)
{
	int status;
	pid_t pid;

	if (j->pid > 0)
		kill(-j->pid, SIGKILL);		/* nobody else can have this number before it is waited for */
	for (int round = 0; round < END_ROUNDS; round++) {
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			if (pid == j->pid)
				answer->code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		if (pid < 0)
			return;
		kill_children();
		usleep(END_PAUSE_US);
	}
}

static void send_all(int fd, const void *ptr, size_t len)
{
	const char *at = ptr;

	while (len) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		at += n;
		len -= (size_t)n;
	}
}

static _Noreturn void do_job(struct job *j)
{
	struct broker_answer answer = { 0 };

	signal(SIGCHLD, SIG_DFL);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	for (int i = 0; i < 2; i++)
		j->said[i] = pb_alloc(j->head.output_max + 1);
	answer.failed = start(j);
	if (!answer.failed)
		answer.timed_out = watch(j);
	end_all(j, &answer);
	answer.noutput = j->nsaid[0];
	answer.nerrors = j->nsaid[1];
	send_all(j->answer, &answer, sizeof answer);
	for (int i = 0; i < 2; i++)
		send_all(j->answer, j->said[i], j->nsaid[i]);
	_exit(0);
}

/* ---- the process ---- */

/* False: the daemon is gone. */
static bool take(int fd, char *room, struct job *j, size_t *ret_len)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(PASSED * sizeof(int))];
	} control;
	struct iovec part = { room, BROKER_REQUEST_MAX };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	int fds[PASSED] = { -1, -1 };

	if (n <= 0)
		return n < 0 && errno == EINTR;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof fds))
		memcpy(fds, CMSG_DATA(c), sizeof fds);
	j->input = fds[INPUT];
	j->answer = fds[ANSWER];
	*ret_len = (size_t)n;
	return true;
}

static _Noreturn void serve(int fd)
{
	char *room = pb_alloc(BROKER_REQUEST_MAX);

	signal(SIGCHLD, SIG_IGN);	/* nobody waits for those who do the jobs */
	prctl(PR_SET_NAME, "postbusd-run", 0, 0, 0);
	for (;;) {
		struct job *j = pb_alloc(sizeof *j);
		size_t len = 0;

		j->input = j->answer = -1;
		if (!take(fd, room, j, &len))
			_exit(0);
		if (len > sizeof j->head && j->answer >= 0) {
			memcpy(&j->head, room, sizeof j->head);
			if (read_words(j, room + sizeof j->head, len - sizeof j->head) && fork() == 0) {
				close(fd);
				do_job(j);
			}
		}
		if (j->input >= 0)
			close(j->input);
		if (j->answer >= 0)
			close(j->answer);
		free(j);
	}
}

int broker_start(const struct config *c, int *ret_fd, int *ret_pid, struct pb_error *err)
{
	int pair[2], nothing, root;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return pb_fail_errno(err, errno, "a socket pair");
	pid = fork();
	if (pid < 0)
		return pb_fail_errno(err, errno, "a process");
	if (pid == 0) {
		close(pair[0]);
		if (sandbox_drop_privileges(c, &root, err))
			_exit(1);	/* the daemon finds the same, and says so */
		nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
		for (int i = 0; i < 3 && nothing >= 0; i++)
			dup2(nothing, i);
		serve(pair[1]);
	}
	close(pair[1]);
	*ret_fd = pair[0];
	*ret_pid = pid;
	return 0;
}

void broker_end(int fd, int pid)
{
	if (!pid)
		return;
	close(fd);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}
