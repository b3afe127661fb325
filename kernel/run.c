/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pb_run: a request to the process that runs programs (broker.h), the file with the message before it, and what became of that behind it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "kernel/broker.h"
#include "kernel/host.h"

enum { RUNS_MAX = 64, GRACE_MS = 10000, STEP_MS = 200 };

/* ---- the file ---- */

struct file {
	char path[4096];
	struct stat was;
	int input;			/* read only, or /dev/null */
};

static int file_make(struct pb_host *host, struct pb_str message, struct file *f, struct pb_error *err)
{
	PB_AUTOBUF(name);
	unsigned char random[8];
	int fd = -1;

	f->path[0] = '\0';
	if (!message.len) {
		f->input = open("/dev/null", O_RDONLY | O_CLOEXEC);
		return f->input < 0 ? pb_fail_errno(err, errno, "/dev/null") : 0;
	}
	pb_random(random, sizeof random);
	pb_hex_encode(&name, pb_str((char *)random, sizeof random));
	snprintf(f->path, sizeof f->path, "%s/spool", host->kernel->home);
	mkdir(f->path, 0700);
	snprintf(f->path, sizeof f->path, "%s/spool/run-%s.eml", host->kernel->home, pb_buf_z(&name));
	fd = open(f->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	for (struct pb_str rest = message; fd >= 0 && rest.len;) {
		ssize_t n = write(fd, rest.ptr, rest.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int why = errno;

			close(fd);
			unlink(f->path);
			return pb_fail_errno(err, why, "%s", f->path);
		}
		rest = pb_str_skip(rest, (size_t)n);
	}
	if (fd < 0 || fstat(fd, &f->was)) {
		if (fd >= 0)
			close(fd);
		return pb_fail_errno(err, errno, "%s", f->path);
	}
	close(fd);
	f->input = open(f->path, O_RDONLY | O_CLOEXEC);
	return f->input < 0 ? pb_fail_errno(err, errno, "%s", f->path) : 0;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Bare line ends become CRLF: programs write the one, mail has the other. */
static void add_lines(struct pb_buf *out, const char *ptr, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bool behind_cr = out->len && out->ptr[out->len - 1] == '\r';

		if (ptr[i] == '\n' && !behind_cr)
			pb_buf_addc(out, '\r');
		else if (ptr[i] != '\n' && behind_cr)
			pb_buf_addc(out, '\n');
		pb_buf_addc(out, ptr[i]);
	}
}

static int read_all(int fd, uint64_t max, struct pb_buf *out, struct pb_error *err)
{
	char room[65536];
	ssize_t n;

	while ((n = read(fd, room, sizeof room)) > 0) {
		if (out->len + (size_t)n > max)
			return pb_fail(err, PB_ETOOBIG, "it is larger than %llu bytes", (unsigned long long)max);
		add_lines(out, room, (size_t)n);
	}
	if (out->len && out->ptr[out->len - 1] == '\r')
		pb_buf_addc(out, '\n');
	return n < 0 ? pb_fail_errno(err, errno, "reading it") : 0;
}

static int file_changed(struct pb_host *host, const struct pb_run *run, const struct file *f, struct pb_ran *ret, struct pb_error *err)
{
	int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), rc = 0;
	PB_AUTOBUF(bytes);
	struct stat is;

	if (fd < 0 || fstat(fd, &is) || !S_ISREG(is.st_mode) || !is.st_size)
		rc = pb_fail(err, PB_EINVALID, "the file with the message is gone, empty, or no file");
	else if (!is_same(&is, &f->was))
		rc = read_all(fd, run->changed_max, &bytes, err);
	if (fd >= 0)
		close(fd);
	if (rc || !bytes.len || pb_str_eq(pb_buf_str(&bytes), run->message))
		return rc;
	ret->changed = pb_spool_begin(host, 0, err);
	if (!ret->changed)
		return err->code;
	pb_spool_write(ret->changed, bytes.ptr, bytes.len);
	return pb_spool_check(ret->changed, err);
}

/* ---- request and answer ---- */

static void add_word(struct pb_buf *out, const char *word, uint32_t *count)
{
	pb_buf_add(out, word, strlen(word) + 1);
	(*count)++;
}

static void write_request(struct pb_host *host, const struct pb_run *run, const struct file *f, struct pb_buf *out)
{
	struct broker_request head = { .output_max = (uint32_t)(run->output_max < BROKER_OUTPUT_MAX ? run->output_max : BROKER_OUTPUT_MAX), .timeout_ms = run->timeout / 1000 };
	PB_AUTOBUF(more);

	pb_buf_add(out, &head, sizeof head);
	for (const char *const *word = run->argv; *word; word++)
		add_word(out, strcmp(*word, PB_RUN_FILE) ? *word : f->path, &head.argc);
	add_word(out, "PATH=/usr/local/bin:/usr/bin:/bin", &head.envc);
	add_word(out, "LANG=C.UTF-8", &head.envc);
	pb_buf_addf(&more, "HOME=%s", host->kernel->home);
	add_word(out, pb_buf_z(&more), &head.envc);
	pb_buf_reset(&more);
	pb_buf_addf(&more, "POSTBUS_FILE=%s", f->path);
	if (f->path[0])
		add_word(out, pb_buf_z(&more), &head.envc);
	for (const char *const *word = run->env; word && *word; word++)
		add_word(out, *word, &head.envc);
	memcpy(out->ptr, &head, sizeof head);
}

static int ask(int fd, struct pb_str request, int input, int answer, struct pb_error *err)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(2 * sizeof(int))];
	} control = { 0 };
	struct iovec part = { (void *)(uintptr_t)request.ptr, request.len };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	int fds[2] = { input, answer };

	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof fds);
	memcpy(CMSG_DATA(&control.head), fds, sizeof fds);
	if (request.len > BROKER_REQUEST_MAX)
		return pb_fail(err, PB_ETOOBIG, "arguments and environment have more than %d bytes", BROKER_REQUEST_MAX);
	while (sendmsg(fd, &m, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return pb_fail(err, PB_EUNAVAILABLE, "the process that runs programs is gone: %s", strerror(errno));
	return 0;
}

/* Its connections have a time when the plugin is being stopped, and so have its programs. */
static bool is_over(struct pb_host *host)
{
	int64_t until = atomic_load(&host->links_until);
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return until && t.tv_sec * PB_SECOND + t.tv_nsec / 1000 >= until;
}

/* All of it, or false. */
static bool read_part(struct pb_host *host, int fd, void *ptr, size_t len, int64_t *left_ms)
{
	char *at = ptr;

	while (len) {
		struct pollfd p = { fd, POLLIN, 0 };
		int step = *left_ms > STEP_MS ? STEP_MS : (int)*left_ms, got = poll(&p, 1, step);
		ssize_t n;

		if (got == 0)
			*left_ms -= step;
		if (*left_ms <= 0 || (got == 0 && is_over(host)))
			return false;
		if (got <= 0)
			continue;
		n = read(fd, at, len);
		if (n == 0 || (n < 0 && errno != EINTR))
			return false;
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
	return true;
}

static int hear(struct pb_host *host, int fd, const struct pb_run *run, struct pb_ran *ret, struct pb_error *err)
{
	struct broker_answer answer;
	int64_t left = run->timeout / 1000 + GRACE_MS;

	if (!read_part(host, fd, &answer, sizeof answer, &left) || answer.noutput > BROKER_OUTPUT_MAX || answer.nerrors > BROKER_OUTPUT_MAX)
		return is_over(host) ? pb_fail(err, PB_ECLOSED, "given up, since the server is stopping") : pb_fail(err, PB_EUNAVAILABLE, "nothing was heard of the program");
	if (answer.failed)
		return pb_fail_errno(err, answer.failed, "%s", run->argv[0]);
	ret->code = answer.code;
	ret->timed_out = answer.timed_out;
	pb_buf_reserve(&ret->output, answer.noutput);
	pb_buf_reserve(&ret->errors, answer.nerrors);
	if (!read_part(host, fd, ret->output.ptr, answer.noutput, &left) || !read_part(host, fd, ret->errors.ptr, answer.nerrors, &left))
		return pb_fail(err, PB_EUNAVAILABLE, "what the program wrote was cut off");
	ret->output.len = answer.noutput;
	ret->errors.len = answer.nerrors;
	return 0;
}

static int run_with(struct pb_host *host, const struct pb_run *run, const struct file *f, struct pb_ran *ret, struct pb_error *err)
{
	PB_AUTOBUF(request);
	int pair[2], rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return pb_fail_errno(err, errno, "a socket pair");
	write_request(host, run, f, &request);
	rc = ask(host->kernel->broker, pb_buf_str(&request), f->input, pair[1], err);
	close(pair[1]);
	if (!rc)
		rc = hear(host, pair[0], run, ret, err);
	close(pair[0]);
	return rc;
}

int host_run(struct pb_host *host, const struct pb_run *run, struct pb_ran *ret, struct pb_error *err)
{
	struct file f;
	int rc = host_may(host, RIGHT_EXEC, err);

	if (rc)
		return rc;
	if (!host->kernel->broker_pid)
		return pb_fail(err, PB_EUNAVAILABLE, "no programs are run here");
	if (is_over(host))
		return pb_fail(err, PB_ECLOSED, "no program is started, since the server is stopping");
	if (!run->argv[0] || run->argv[0][0] != '/')
		return pb_fail(err, PB_EINVALID, "a program is named by its whole path");
	if (atomic_fetch_add(&host->kernel->programs, 1) >= RUNS_MAX)
		rc = pb_fail(err, PB_EBUSY, "%d programs run already", RUNS_MAX);
	if (!rc)
		rc = file_make(host, run->message, &f, err);
	if (!rc) {
		rc = run_with(host, run, &f, ret, err);
		close(f.input);
		if (!rc && f.path[0] && run->changed_max)
			rc = file_changed(host, run, &f, ret, err);
		if (f.path[0] && unlink(f.path))
			rmdir(f.path);		/* what it made of it */
	}
	atomic_fetch_sub(&host->kernel->programs, 1);
	return rc;
}

void run_sweep(const char *home)
{
	char path[4096];
	struct dirent *one;
	DIR *all;

	snprintf(path, sizeof path, "%s/spool", home);
	all = opendir(path);
	while (all && (one = readdir(all)) != NULL)
		if (!strncmp(one->d_name, "run-", 4) && unlinkat(dirfd(all), one->d_name, 0))
			unlinkat(dirfd(all), one->d_name, AT_REMOVEDIR);
	if (all)
		closedir(all);
}
