/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The admin socket and the offline pipe: framing, credentials, answers. Leaves what methods do to the bus. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "kernel/bus/bus.h"
#include "kernel/config/config.h"
#include "kernel/control/control.h"
#include "kernel/control/methods.h"
#include "kernel/log/log.h"
#include "kernel/session/running.h"
#include <postbus/secret.h>

enum { LINE_MAX_BYTES = 8 << 20, DEPTH_MAX = 32, CLIENTS_MAX = 32 };

struct control {
	struct kernel *kernel;
	struct pb_host *host;		/* the kernel's own */
	int listening, stop;
	pthread_t thread;
	bool serving;
	struct running clients;
	char path[108];
};

/* ---- one request ---- */

static json_t *error_object(const struct pb_error *err)
{
	return json_pack("{s:{s:s s:s}}", "error", "code", pb_code_name(err->code), "text", err->text);
}

static json_t *answer(struct control *c, struct pb_str line)
{
	const struct pb_caller who = { .role = PB_ROLE_SYSTEM, .plugin = PB_STR("control") };
	struct pb_error err = { PB_EINTERNAL, "" };
	json_t *request = NULL, *result = NULL, *reply;
	const char *method;

	if (!pb_utf8_valid(line)) {
		pb_fail(&err, PB_EINVALID, "request: not UTF-8");
		return error_object(&err);
	}
	if (config_parse_json(line, DEPTH_MAX, "request", &request, &err))
		return error_object(&err);
	method = json_string_value(json_object_get(request, "method"));
	if (!method) {
		pb_fail(&err, PB_EINVALID, "request: \"method\" is missing");
		reply = error_object(&err);
	} else if (bus_call_as(c->kernel->bus, &who, method, json_object_get(request, "params"), &result, &err)) {
		reply = error_object(&err);
	} else {
		reply = json_pack("{s:o}", "result", result);
	}
	json_decref(request);
	return reply;
}

static bool write_all(int fd, struct pb_str bytes)
{
	while (bytes.len) {
		ssize_t n = write(fd, bytes.ptr, bytes.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		bytes = pb_str_skip(bytes, (size_t)n);
	}
	return true;
}

static bool reply_to(struct control *c, int out, struct pb_str line)
{
	json_t *reply = answer(c, line);
	char *text = json_dumps(reply, JSON_COMPACT);
	PB_AUTOBUF(bytes);
	bool ok;

	pb_buf_addz(&bytes, text ? text : "{\"error\":{\"code\":\"internal error\",\"text\":\"the answer is not valid UTF-8\"}}");
	pb_buf_addc(&bytes, '\n');
	ok = write_all(out, pb_buf_str(&bytes));
	pb_wipe(bytes.ptr, bytes.len);
	free(text);
	json_decref(reply);
	return ok;
}

/* Lines may carry passwords: what was read is wiped. */
static void serve_lines(struct control *c, int in, int out)
{
	PB_AUTOBUF(input);
	bool open = true;

	while (open) {
		struct pollfd fds[2] = { { .fd = in, .events = POLLIN }, { .fd = c->stop, .events = POLLIN } };
		ssize_t n;
		long end;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents)
			break;
		if (!fds[0].revents)
			continue;
		pb_buf_reserve(&input, 65536);
		n = read(in, input.ptr + input.len, 65536);
		if (n <= 0)
			break;
		input.len += (size_t)n;
		while (open && (end = pb_str_find(pb_buf_str(&input), '\n', 0)) >= 0) {
			open = reply_to(c, out, pb_str(input.ptr, (size_t)end));
			pb_wipe(input.ptr, (size_t)end);
			pb_buf_cut(&input, (size_t)end + 1);
		}
		if (input.len > LINE_MAX_BYTES)
			break;
	}
}

void control_pipe(struct control *c, int in, int out)
{
	serve_lines(c, in, out);
}

/* ---- the socket ---- */

struct client {
	struct control *control;
	int fd;
};

static void *serve_client(void *arg)
{
	struct client *client = arg;
	struct control *c = client->control;

	serve_lines(c, client->fd, client->fd);
	close(client->fd);
	free(client);
	running_leave(&c->clients);
	return NULL;
}

static bool may_enter(struct control *c, int fd)
{
	struct ucred peer;
	socklen_t len = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		return false;
	if (peer.uid == 0 || peer.uid == geteuid())
		return true;
	log_line(c->kernel->log, PB_WARNING, NULL, "control.refused", "uid=%u pid=%d", (unsigned)peer.uid, (int)peer.pid);
	return false;
}

static void welcome(struct control *c, int fd)
{
	struct client *client;
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	if (!may_enter(c, fd) || !running_enter(&c->clients, CLIENTS_MAX)) {
		close(fd);
		return;
	}
	client = pb_alloc(sizeof *client);
	*client = (struct client){ c, fd };
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	rc = pthread_create(&thread, &attr, serve_client, client);
	pthread_attr_destroy(&attr);
	if (rc) {
		running_leave(&c->clients);
		close(fd);
		free(client);
	}
}

static void *serve_socket(void *arg)
{
	struct control *c = arg;

	for (;;) {
		struct pollfd fds[2] = { { .fd = c->listening, .events = POLLIN }, { .fd = c->stop, .events = POLLIN } };
		int fd;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents)
			break;
		if (!fds[0].revents)
			continue;
		fd = accept4(c->listening, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			welcome(c, fd);
	}
	return NULL;
}

int control_serve(struct control *c, struct pb_error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t mask;
	int rc;

	if (snprintf(address.sun_path, sizeof address.sun_path, "%s/control.sock", c->kernel->home) >= (int)sizeof address.sun_path)
		return pb_fail(err, PB_ETOOBIG, "%s/control.sock: a Unix socket's path has at most %zu bytes; choose a shorter home", c->kernel->home,
			       sizeof address.sun_path - 1);
	unlink(address.sun_path);
	c->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	mask = umask(0177);
	rc = bind(c->listening, (struct sockaddr *)&address, sizeof address);
	umask(mask);
	if (rc || listen(c->listening, 64))
		return pb_fail_errno(err, errno, "%s", address.sun_path);
	snprintf(c->path, sizeof c->path, "%s", address.sun_path);
	if (pthread_create(&c->thread, NULL, serve_socket, c))
		return pb_fail(err, PB_EUNAVAILABLE, "no thread for the control socket");
	c->serving = true;
	return 0;
}

int control_open(struct kernel *kernel, struct control **ret, struct pb_error *err)
{
	struct control *c = pb_alloc(sizeof *c);

	running_init(&c->clients);
	c->kernel = kernel;
	c->listening = -1;
	c->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->host = pb_alloc(sizeof *c->host);
	*c->host = (struct pb_host){ .handle = { &host_ops }, .kernel = kernel, .name = "kernel", .rights = ~0u, .self = kernel };
	if (methods_register(kernel, c->host, err)) {
		control_close(c);
		return err->code;
	}
	*ret = c;
	return 0;
}

void control_close(struct control *c)
{
	if (!c)
		return;
	eventfd_write(c->stop, 1);
	if (c->serving)
		pthread_join(c->thread, NULL);
	running_wait_none(&c->clients);
	while (bus_withdraw(c->kernel->bus, c->host, NULL, AWAY_SOON, PB_SECOND))	/* clients have gone, but plugins may call for a moment yet */
		;
	if (c->listening >= 0)
		close(c->listening);
	if (c->path[0])
		unlink(c->path);
	close(c->stop);
	free(c->host);
	running_free(&c->clients);
	free(c);
}
