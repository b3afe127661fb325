/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Kinds, owners and modes of what the daemon obeys. Leaves opening to those who read. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <postbus/str.h>
#include "kernel/config/guard.h"

static const char *kind_of(mode_t mode)
{
	return S_ISDIR(mode) ? "directory" : S_ISFIFO(mode) ? "pipe" : S_ISSOCK(mode) ? "socket" : S_ISLNK(mode) ? "symbolic link" : S_ISREG(mode) ? "file" : "device";
}

/* A group may write if it is root's or the daemon's own: where every user has a group of his own, files are often made so. */
static int check_writers(const struct stat *st, const char *path, struct pb_error *err)
{
	bool others = st->st_mode & S_IWOTH, group = (st->st_mode & S_IWGRP) && st->st_gid != 0 && st->st_gid != getegid();

	if (others || group)
		return pb_fail(err, PB_EDENIED, "%s: %s may write to it (mode %04o); chmod %s helps", path, others ? "anybody" : "a group", (unsigned)st->st_mode & 07777,
			       others ? "o-w" : "g-w");
	return 0;
}

/* Who owns a file can change it, whatever its mode says today. */
static int check_owner(const struct stat *st, const char *path, uid_t own, struct pb_error *err)
{
	if (st->st_uid == 0 || st->st_uid == geteuid() || st->st_uid == own)
		return 0;
	return pb_fail(err, PB_EDENIED, "%s: belongs to user %u, who can change it; it must belong to root or to the daemon's user; chown root helps", path, (unsigned)st->st_uid);
}

int guard_file(int fd, const char *path, struct pb_error *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return pb_fail_errno(err, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return pb_fail(err, PB_EINVALID, "%s: is a %s; it must be a file", path, kind_of(st.st_mode));
	return check_writers(&st, path, err);
}

int guard_code(int fd, const char *path, uid_t own, struct pb_error *err)
{
	struct stat st;

	if (guard_file(fd, path, err))
		return err->code;
	if (fstat(fd, &st))
		return pb_fail_errno(err, errno, "%s", path);
	return check_owner(&st, path, own, err);
}

int guard_directory(const char *path, struct pb_error *err)
{
	struct stat st;

	if (stat(path, &st))
		return pb_fail_errno(err, errno, "%s", path);
	if (!S_ISDIR(st.st_mode))
		return pb_fail(err, PB_EINVALID, "%s: is a %s; it must be a directory", path, kind_of(st.st_mode));
	return check_writers(&st, path, err);
}

static int check_code_directory(const char *path, uid_t own, struct pb_error *err)
{
	struct stat st;

	if (guard_directory(path, err))
		return err->code;
	if (stat(path, &st))
		return pb_fail_errno(err, errno, "%s", path);
	return check_owner(&st, path, own, err);
}

int guard_code_directory(const char *home, const char *path, uid_t own, struct pb_error *err)
{
	char *at = pb_str_dup(pb_strz(path)), *slash = at;
	int rc;

	while (!(rc = check_code_directory(at, own, err)) && guard_is_in(home, at) && (slash = strrchr(at, '/')) != NULL && slash > at + strlen(home))
		*slash = '\0';
	free(at);
	return rc;
}

bool guard_is_in(const char *home, const char *path)
{
	size_t n = strlen(home);

	return !strncmp(path, home, n) && (path[n] == '/' || !path[n]);
}

int guard_inside(const char *home, const char *path, struct pb_error *err)
{
	char *real = guard_is_in(home, path) ? realpath(path, NULL) : NULL, *real_home = real ? realpath(home, NULL) : NULL;
	int rc = 0;

	if (real_home && !guard_is_in(real_home, real))
		rc = pb_fail(err, PB_EDENIED, "%s: a symbolic link leads out of the home to %s", path, real);
	free(real);
	free(real_home);
	return rc;
}
