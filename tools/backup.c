/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * postbusctl backup and restore: the daemon makes a consistent copy inside its home, this tool carries it. What the target has already is not copied again. What
 * plugins keep beside the store (state/, private keys above all) goes with it unless it is to be left out, and it is always said which.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <postbus/str.h>
#include "tools/client.h"
#include "tools/offline.h"

struct tally {
	uint64_t files, bytes, same;
};

static int copy_bytes(int from, int to, struct tally *t)
{
	char *block = pb_alloc(1 << 20);
	ssize_t n;

	while ((n = read(from, block, 1 << 20)) > 0) {
		for (ssize_t done = 0, w; done < n; done += w) {
			w = write(to, block + done, (size_t)(n - done));
			if (w <= 0) {
				free(block);
				return -1;
			}
		}
		t->bytes += (uint64_t)n;
	}
	free(block);
	return n < 0 ? -1 : 0;
}

/* Under another name first, so that a copy that was cut off never looks whole. */
static int copy_file(const char *from, const char *to, const struct stat *st, struct tally *t, struct pb_error *err)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };
	struct stat there;
	char part[PATH_MAX];
	int in, out, bad;

	if (!stat(to, &there) && there.st_size == st->st_size && there.st_mtim.tv_sec == st->st_mtim.tv_sec && there.st_mtim.tv_nsec == st->st_mtim.tv_nsec) {
		t->same++;
		return 0;
	}
	snprintf(part, sizeof part, "%.4000s.part", to);
	in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (in < 0)
		return pb_fail_errno(err, errno, "%s", from);
	out = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (out < 0) {
		close(in);
		return pb_fail_errno(err, errno, "%s", part);
	}
	bad = copy_bytes(in, out, t) || futimens(out, times) || fsync(out) ? errno : 0;
	close(in);
	close(out);
	if (!bad && rename(part, to))
		bad = errno;
	if (bad) {
		unlink(part);
		return pb_fail_errno(err, bad, "%s", to);
	}
	t->files++;
	return 0;
}

static int copy_tree(const char *from, const char *to, struct tally *t, struct pb_error *err);

static int copy_entry(const char *from, const char *to, const char *name, struct tally *t, struct pb_error *err)
{
	char a[PATH_MAX], b[PATH_MAX];
	struct stat st;

	snprintf(a, sizeof a, "%.3000s/%.255s", from, name);
	snprintf(b, sizeof b, "%.3000s/%.255s", to, name);
	if (lstat(a, &st))
		return pb_fail_errno(err, errno, "%s", a);
	if (S_ISDIR(st.st_mode))
		return copy_tree(a, b, t, err);
	return S_ISREG(st.st_mode) ? copy_file(a, b, &st, t, err) : 0;
}

static int copy_tree(const char *from, const char *to, struct tally *t, struct pb_error *err)
{
	DIR *d = opendir(from);
	struct dirent *e;
	int rc = 0;

	if (!d)
		return pb_fail_errno(err, errno, "%s", from);
	if (mkdir(to, 0700) && errno != EEXIST)
		rc = pb_fail_errno(err, errno, "%s", to);
	while (!rc && (e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			rc = copy_entry(from, to, e->d_name, t, err);
	closedir(d);
	return rc;
}

/* What the source has no more (old logs, removed segments) must not be in the copy. */
static void prune(const char *from, const char *to)
{
	DIR *d = opendir(to);
	struct dirent *e;

	while (d && (e = readdir(d)) != NULL) {
		char a[PATH_MAX], b[PATH_MAX];
		struct stat st;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(a, sizeof a, "%.3000s/%.255s", from, e->d_name);
		snprintf(b, sizeof b, "%.3000s/%.255s", to, e->d_name);
		if (lstat(b, &st))
			continue;
		if (S_ISDIR(st.st_mode))
			prune(a, b);
		if (access(a, F_OK))
			remove(b);
	}
	if (d)
		closedir(d);
}

/* keys: a line about state/, for people. */
static int show(const struct tally *t, const char *what, const char *dir, bool has_state, const char *keys, bool json)
{
	if (json)
		printf("{\"%s\":\"%s\",\"files\":%llu,\"bytes\":%llu,\"unchanged\":%llu,\"state\":%s}\n", what, dir, (unsigned long long)t->files,
		       (unsigned long long)t->bytes, (unsigned long long)t->same, has_state ? "true" : "false");
	else
		printf("%s %s: %llu files, %llu bytes; %llu files were there already\n%s\n", what, dir, (unsigned long long)t->files, (unsigned long long)t->bytes,
		       (unsigned long long)t->same, keys);
	return 0;
}

static bool is_dir(const char *home, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof path, "%.3000s/%.255s", home, name);
	return !lstat(path, &st) && S_ISDIR(st.st_mode);
}

/* What the home has no more leaves the copy too; of what is left out nothing stays there. */
static int copy_part(const char *home, const char *dir, const char *name, bool leave_out, struct tally *t, struct pb_error *err)
{
	char from[PATH_MAX], to[PATH_MAX];
	int rc = !leave_out && is_dir(home, name) ? copy_entry(home, dir, name, t, err) : 0;

	snprintf(from, sizeof from, "%.3000s/%s", leave_out ? "/nonexistent" : home, name);
	snprintf(to, sizeof to, "%.3000s/%s", dir, name);
	if (!rc)
		prune(from, to);
	if (leave_out)
		rmdir(to);
	return rc;
}

/* What lies beside the store, which is copied first: so the timeline knows of every message in it, and every key that it names is there. */
static int copy_home_files(const char *home, const char *dir, bool no_keys, struct tally *t, struct pb_error *err)
{
	int rc = copy_entry(home, dir, "postbus.json", t, err);

	if (!rc && is_dir(home, "tls"))
		rc = copy_entry(home, dir, "tls", t, err);
	if (!rc)
		rc = copy_part(home, dir, "state", no_keys, t, err);
	return rc ? rc : copy_part(home, dir, "timeline", false, t, err);
}

/* Is a below b, or the same? Both without links. */
static bool is_within(const char *a, const char *b)
{
	size_t n = strlen(b);

	return !strncmp(a, b, n) && (!a[n] || a[n] == '/' || !strcmp(b, "/"));
}

/* Makes DIR where it is not there. A copy of the home into itself would be read back as the store at the next start. */
static int make_target(const char *dir, const char *home, struct pb_error *err)
{
	bool made = mkdir(dir, 0700) == 0;
	char *to, *from;
	int rc = 0;

	if (!made && errno != EEXIST)
		return pb_fail_errno(err, errno, "%s", dir);
	to = realpath(dir, NULL);
	from = realpath(home, NULL);
	if (!to || !from)
		rc = pb_fail_errno(err, errno, "%s", to ? home : dir);
	else if (is_within(to, from) || is_within(from, to))
		rc = pb_fail(err, PB_EINVALID, "%s: a backup belongs outside the home %s, and not around it", dir, from);
	if (rc && made)
		rmdir(dir);
	free(to);
	free(from);
	return rc;
}

int backup_command(const char *config_file, int argc, char **argv, bool json)
{
	struct pb_error err = { 0 };
	struct client *c = NULL;
	struct tally t = { 0 };
	json_t *result = NULL;
	bool no_keys = argc == 3 && !strcmp(argv[1], "--without-keys"), has_state;
	char *home = NULL, store[PATH_MAX];
	const char *from, *dir = argv[argc - 1];
	int rc;

	if ((argc != 2 && !no_keys) || !strncmp(dir, "--", 2))
		return wrong_usage("Usage: postbusctl backup [--without-keys] DIR\n", argc < 2 ? "backup: the directory is missing" : "backup takes one directory, and --without-keys", json);
	umask(077);
	snprintf(store, sizeof store, "%.3000s/store", dir);
	if (client_home(config_file, &home, &err) || make_target(dir, home, &err) || client_open(config_file, true, &c, &err) ||
	    client_call(c, "backup.prepare", NULL, &result, &err)) {
		rc = report(&err, json);
		goto done;
	}
	from = json_string_value(json_object_get(result, "dir"));
	if (copy_tree(from, store, &t, &err) || copy_home_files(home, dir, no_keys, &t, &err)) {
		rc = report(&err, json);
	} else {
		prune(from, store);
		has_state = !no_keys && is_dir(home, "state");
		rc = show(&t, "backup", dir, has_state,
			  has_state ? "Private keys are in it (state/, tls/): keep it as you keep the server."
				    : "Keys of plugins (state/) are not in it: DKIM keys, and the key of passwords for `retrieve`, have to be kept in another way.",
			  json);
	}
	json_decref(result);
	result = NULL;
	if (client_call(c, "backup.release", NULL, &result, &err) && !rc)
		rc = report(&err, json);
done:
	json_decref(result);
	client_close(c);
	free(home);
	return rc;
}

bool is_empty(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	bool empty = true;

	while (d && empty && (e = readdir(d)) != NULL)
		empty = !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..");
	if (d)
		closedir(d);
	return empty;
}

static int verify(const char *config_file, bool *ret_ok, struct pb_error *err)
{
	json_t *result = NULL;
	struct client *c;
	int rc;

	if (client_open(config_file, true, &c, err))
		return err->code;
	rc = client_call(c, "store.verify", NULL, &result, err);
	*ret_ok = !rc && json_is_true(json_object_get(result, "ok"));
	json_decref(result);
	client_close(c);
	return rc;
}

/* ---- restore ---- */

/* Files belong to whom the daemon runs as: where root restores, to the "user" of postbus.json. */
static int find_owner(const char *config_file, const struct passwd **ret, struct pb_error *err)
{
	json_t *doc = json_load_file(config_file, 0, NULL);
	const char *name = json_string_value(json_object_get(doc, "user"));
	int rc = 0;

	*ret = geteuid() == 0 && name ? getpwnam(name) : NULL;
	if (geteuid() == 0 && name && !*ret)
		rc = pb_fail(err, PB_EINVALID, "%s: user: there is no user \"%s\"", config_file, name);
	json_decref(doc);
	return rc;
}

static int give_tree(const char *path, const struct passwd *user, struct pb_error *err)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int rc = lchown(path, user->pw_uid, user->pw_gid) ? pb_fail_errno(err, errno, "giving %s to user %s", path, user->pw_name) : 0;

	while (!rc && d && (e = readdir(d)) != NULL) {
		char one[PATH_MAX];

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(one, sizeof one, "%.3000s/%.255s", path, e->d_name);
		rc = give_tree(one, user, err);
	}
	if (d)
		closedir(d);
	return rc;
}

/* One directory of the backup into the home; what is there is set aside first. A backup of an earlier release has no timeline: then the home's stays. */
static int restore_part(const char *dir, const char *home, const char *name, const struct passwd *owner, struct tally *t, struct pb_error *err)
{
	char from[PATH_MAX], to[PATH_MAX], aside[PATH_MAX];

	snprintf(from, sizeof from, "%.3000s/%s", dir, name);
	snprintf(to, sizeof to, "%.3000s/%s", home, name);
	snprintf(aside, sizeof aside, "%.3000s/%s.before-restore", home, name);
	for (unsigned n = 2; !access(aside, F_OK) && n < 10000; n++)
		snprintf(aside, sizeof aside, "%.3000s/%s.before-restore.%u", home, name, n);
	if (!is_dir(dir, name))
		return 0;
	if (!is_empty(to) && rename(to, aside))
		return pb_fail_errno(err, errno, "%s cannot be put aside as %s", to, aside);
	return copy_tree(from, to, t, err) || (owner && give_tree(to, owner, err)) ? err->code : 0;
}

static int show_restored(const struct tally *t, const char *dir, bool json)
{
	bool has_state = is_dir(dir, "state");

	return show(t, "restore", dir, has_state,
		    has_state ? "Keys of plugins (state/) are back too."
			      : "The backup has no keys of plugins (state/). Put the old home's state/ beside the store before the start; what is missing then is named in the log:\n"
				"DKIM keys are made anew with `dkim key create`, passwords for `retrieve` are given anew with `retrieve set`.",
		    json);
}

int restore_command(const char *config_file, int argc, char **argv, bool json)
{
	struct pb_error err = { 0 };
	struct client *c = NULL;
	struct tally t = { 0 };
	const struct passwd *owner = NULL;
	char *home = NULL, store[PATH_MAX], from[PATH_MAX];
	bool force = argc == 3 && !strcmp(argv[1], "--force"), ok = false;
	int rc = 1;

	if ((argc != 2 && !force) || !strncmp(argv[argc - 1], "--", 2))
		return wrong_usage("Usage: postbusctl restore [--force] DIR\n", argc < 2 ? "restore: the directory is missing" : "restore takes one directory, and --force", json);
	umask(077);
	snprintf(from, sizeof from, "%.3000s/store", argv[argc - 1]);
	if (client_home(config_file, &home, &err))
		return report(&err, json);
	snprintf(store, sizeof store, "%.3000s/store", home);
	if (!client_open(config_file, false, &c, &err)) {
		client_close(c);
		pb_fail(&err, PB_EBUSY, "postbusd runs on %s: stop it first", home);
	} else if (access(from, R_OK)) {
		pb_fail_errno(&err, errno, "%s is no backup: %s", argv[argc - 1], from);
	} else if (!is_empty(store) && !force) {
		pb_fail(&err, PB_EEXISTS, "%s is not empty; with --force it is kept as store.before-restore", store);
	} else if (!find_owner(config_file, &owner, &err)) {
		rc = restore_part(argv[argc - 1], home, "store", owner, &t, &err) || restore_part(argv[argc - 1], home, "state", owner, &t, &err) ||
		     restore_part(argv[argc - 1], home, "timeline", owner, &t, &err) || verify(config_file, &ok, &err);
		if (!rc && !ok)
			rc = pb_fail(&err, PB_ECORRUPT, "the restored store does not verify; run postbusctl store verify");
	}
	free(home);
	rc = rc ? report(&err, json) : show_restored(&t, argv[argc - 1], json);
	return rc;
}
