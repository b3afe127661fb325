/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests and answers as JSON lines. Leaves their meaning to the daemon's manifests. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <postbus/secret.h>
#include "tools/client.h"

enum { START_WAIT_MS = 20000, START_STEP_MS = 50 };

struct client {
	FILE *in;
	int out;
	pid_t offline;
};

static bool has_socket(const char *home)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof path, "%.4000s/control.sock", home);
	return !stat(path, &st) && S_ISSOCK(st.st_mode);
}

int client_home(const char *config_file, char **ret, struct pb_error *err)
{
	json_error_t e;
	json_t *doc;
	char *path = realpath(config_file, NULL), *slash;
	const char *home;

	if (!path)
		return pb_fail_errno(err, errno, "%s", config_file);
	doc = json_load_file(path, JSON_REJECT_DUPLICATES, &e);
	slash = strrchr(path, '/');
	*slash = '\0';
	/* A daemon that runs here is reached all the same: it goes on with what it had read. */
	if (!doc && !has_socket(path)) {
		free(path);
		return pb_fail(err, PB_EINVALID, "%s: line %d, column %d: %s", config_file, e.line, e.column, e.text);
	}
	home = json_string_value(json_object_get(doc, "home"));
	if (home && *home == '/') {
		free(path);
		path = pb_str_dup(pb_strz(home));
	} else if (home) {
		PB_AUTOBUF(joined);

		pb_buf_addf(&joined, "%s/%s", path, home);
		free(path);
		path = pb_str_dup(pb_buf_str(&joined));
	}
	json_decref(doc);
	*ret = path;
	return 0;
}

const char *client_daemon(void)
{
	static char path[PATH_MAX];
	const char *named = getenv("POSTBUSD");
	ssize_t n;
	char *slash;

	if (named)
		return named;
	n = readlink("/proc/self/exe", path, sizeof path - 32);
	if (n > 0) {
		path[n] = '\0';
		slash = strrchr(path, '/');
		if (slash) {
			strncpy(slash, "/../sbin/postbusd", 32);
			if (!access(path, X_OK))
				return path;
			strncpy(slash, "/postbusd", 32);
			if (!access(path, X_OK))
				return path;
		}
	}
	return SBINDIR "/postbusd";
}

static int connect_socket(const char *config_file, int *ret, struct pb_error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char *home;
	int fd, n;

	if (client_home(config_file, &home, err))
		return err->code;
	n = snprintf(address.sun_path, sizeof address.sun_path, "%s/control.sock", home);
	free(home);
	if (n >= (int)sizeof address.sun_path)
		return pb_fail(err, PB_ETOOBIG, "the path of the home is too long for a socket");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return pb_fail_errno(err, errno, "socket");
	if (connect(fd, (struct sockaddr *)&address, sizeof address)) {
		int why = errno;

		close(fd);
		if (why == EACCES)
			return pb_fail(err, PB_EDENIED, "%s: only root and the user that postbusd runs as may use it", address.sun_path);
		return pb_fail(err, PB_EUNAVAILABLE, "postbusd does not run on this home (%s: %s)", address.sun_path, strerror(why));
	}
	*ret = fd;
	return 0;
}

static int spawn(const char *config_file, struct client *c, struct pb_error *err)
{
	int to[2], from[2];

	if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
		return pb_fail_errno(err, errno, "pipe");
	c->offline = fork();
	if (c->offline < 0)
		return pb_fail_errno(err, errno, "fork");
	if (c->offline == 0) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		execl(client_daemon(), "postbusd", "-c", config_file, "--offline", (char *)NULL);
		fprintf(stderr, "postbusctl: %s: %s\n", client_daemon(), strerror(errno));
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	c->out = to[1];
	c->in = fdopen(from[0], "r");
	return 0;
}

/* Does a postbusd hold this home, though its socket is not there: because it starts, or ends? */
static bool is_held(const char *config_file)
{
	char path[PATH_MAX], *home;
	struct pb_error ignored;
	bool held = false;
	int fd;

	if (client_home(config_file, &home, &ignored))
		return false;
	snprintf(path, sizeof path, "%.4000s/postbusd.lock", home);
	free(home);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0) {
		held = flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
		close(fd);
	}
	return held;
}

/* Waits for a daemon that is starting. */
static int connect_patiently(const char *config_file, int *ret, struct pb_error *err)
{
	int rc = connect_socket(config_file, ret, err);

	for (unsigned ms = 0; rc == PB_EUNAVAILABLE && ms < START_WAIT_MS && is_held(config_file); ms += START_STEP_MS) {
		poll(NULL, 0, START_STEP_MS);
		rc = connect_socket(config_file, ret, err);
	}
	return rc;
}

int client_open(const char *config_file, bool may_spawn, struct client **ret, struct pb_error *err)
{
	struct client *c = pb_alloc(sizeof *c);
	int fd = -1, rc = connect_patiently(config_file, &fd, err);

	signal(SIGPIPE, SIG_IGN);
	if (!rc) {
		c->in = fdopen(fd, "r");
		c->out = fd;
	} else if (rc == PB_EUNAVAILABLE && may_spawn) {
		rc = spawn(config_file, c, err);
	}
	if (rc)
		free(c);
	else
		*ret = c;
	return rc;
}

bool client_is_offline(const struct client *c)
{
	return c->offline > 0;
}

static int send_line(struct client *c, const char *text, struct pb_error *err)
{
	struct pb_str rest = pb_strz(text);

	while (rest.len) {
		ssize_t n = write(c->out, rest.ptr, rest.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return pb_fail(err, PB_ECLOSED, "postbusd ended; its log says why");
		rest = pb_str_skip(rest, (size_t)n);
	}
	return 0;
}

int client_call(struct client *c, const char *method, json_t *params, json_t **ret, struct pb_error *err)
{
	json_t *request = json_pack("{s:s s:o}", "method", method, "params", params ? json_incref(params) : json_object()), *reply, *error;
	char *text = json_dumps(request, JSON_COMPACT), *line = NULL;
	PB_AUTOBUF(bytes);
	size_t room = 0;
	int rc;

	pb_buf_addf(&bytes, "%s\n", text ? text : "");
	rc = text ? send_line(c, pb_buf_z(&bytes), err) : pb_fail(err, PB_EINVALID, "the arguments are not valid UTF-8");
	pb_wipe(bytes.ptr, bytes.len);
	if (text)
		pb_wipe(text, strlen(text));
	free(text);
	json_decref(request);
	/* Who is refused gets his answer without being read. */
	if (rc && rc != PB_ECLOSED)
		return rc;
	if (getline(&line, &room, c->in) <= 0) {
		free(line);
		return rc ? rc : pb_fail(err, PB_ECLOSED, "postbusd ended without an answer; its log says why");
	}
	reply = json_loads(line, 0, NULL);
	free(line);
	error = json_object_get(reply, "error");
	if (!reply || error)
		rc = pb_fail(err, pb_code_parse(error ? json_string_value(json_object_get(error, "code")) : ""), "%s",
			     error ? json_string_value(json_object_get(error, "text")) : "postbusd's answer cannot be read");
	else
		*ret = json_incref(json_object_get(reply, "result"));
	json_decref(reply);
	return rc;
}

void client_close(struct client *c)
{
	if (!c)
		return;
	if (c->offline > 0)
		close(c->out);
	if (c->in)
		fclose(c->in);
	if (c->offline > 0)
		waitpid(c->offline, NULL, 0);
	free(c);
}
