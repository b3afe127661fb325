/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The values of postbus.json that only the machine can judge. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "kernel/check.h"
#include "kernel/config/config.h"
#include "kernel/config/guard.h"
#include "kernel/session/sessions.h"

enum { CERTIFICATES_MAX = 64 };

int check_address(const char *text, const char *where, bool paths, struct pb_error *err)
{
	unsigned char bytes[16];

	if ((paths && *text == '/') || inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1)
		return 0;
	return pb_fail(err, PB_EINVALID, "%s: found \"%.80s\", allowed is an IP address like 192.0.2.1, ::1 or 0.0.0.0%s", where, text,
		       paths ? ", or the absolute path of a socket" : "");
}

static int check_listen(const struct config *c, struct pb_error *err)
{
	const json_t *one;
	char where[300];
	size_t i;

	json_array_foreach (json_object_get(c->doc, "listen"), i, one) {
		snprintf(where, sizeof where, "%.200s: listen[%zu]", c->path, i);
		if (check_address(json_string_value(one), where, false, err))
			return err->code;
	}
	return 0;
}

static int check_user(const struct config *c, struct pb_error *err)
{
	const char *name = json_string_value(json_object_get(c->doc, "user"));

	if (name && !getpwnam(name))
		return pb_fail(err, PB_EINVALID, "%s: user: found \"%s\", allowed is the name of a user of this system", c->path, name);
	return 0;
}

/* A private key is the daemon's, and at most a group's. */
static int check_key(const char *path, struct pb_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int rc;

	if (fd < 0)
		return pb_fail_errno(err, errno, "%s", path);
	rc = guard_file(fd, path, err);
	if (!rc && fstat(fd, &st) == 0 && (st.st_mode & S_IROTH))
		rc = pb_fail(err, PB_EDENIED, "%s: anybody may read this key (mode %04o); chmod 0600 helps", path, (unsigned)st.st_mode & 07777);
	close(fd);
	return rc;
}

static int check_pair(const struct config *c, const json_t *pair, struct pb_error *err)
{
	char *cert = config_path(c, json_string_value(json_object_get(pair, "cert"))), *key = config_path(c, json_string_value(json_object_get(pair, "key")));
	const struct certificate_files files = { cert, key };
	int rc;

	(void)((rc = guard_inside(c->home, cert, err)) || (rc = guard_inside(c->home, key, err)) || (rc = check_key(key, err)) || (rc = certificate_check(&files, err)));
	free(cert);
	free(key);
	return rc;
}

static int check_certificates(const struct config *c, struct pb_error *err)
{
	const json_t *list = json_object_get(c->doc, "certificates"), *one;
	size_t i;

	if (json_array_size(list) > CERTIFICATES_MAX)
		return pb_fail(err, PB_EINVALID, "%s: certificates: found %zu, allowed are at most %d", c->path, json_array_size(list), CERTIFICATES_MAX);
	json_array_foreach (list, i, one)
		if (check_pair(c, one, err))
			return pb_because(err, "%s: certificates[%zu]", c->path, i);
	return 0;
}

int check_config(const struct config *c, struct pb_error *err)
{
	int rc;

	(void)((rc = guard_directory(c->home, err)) || (rc = check_listen(c, err)) || (rc = check_user(c, err)) || (rc = check_certificates(c, err)));
	return rc;
}
