/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files and directories of another mail server: mapped, listed in order, never written. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>
#include <postbus/date.h>
#include <postbus/message.h>
#include "tools/import.h"

/* Where the file really is that was opened, whatever is renamed meanwhile. */
static int check_within(int fd, const char *root, struct pb_error *err)
{
	char link[40], real[PATH_MAX];
	size_t n = strlen(root);
	ssize_t len;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	len = readlink(link, real, sizeof real - 1);
	if (len < 0)
		return pb_fail_errno(err, errno, "cannot be looked at");
	real[len] = '\0';
	if (strncmp(real, root, n) || (real[n] && real[n] != '/' && root[n - 1] != '/'))
		return pb_fail(err, PB_EDENIED, "is a link that leads elsewhere and was left out");
	return 0;
}

int file_open(const char *path, const char *root, struct file *ret, struct pb_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = 0;
	void *map = NULL;

	if (fd < 0)
		return pb_fail_errno(err, errno, "cannot be opened");
	if (root)
		rc = check_within(fd, root, err);
	if (rc) {
		close(fd);
		return rc;
	}
	if (fstat(fd, &ret->st))
		rc = pb_fail_errno(err, errno, "cannot be looked at");
	else if (!S_ISREG(ret->st.st_mode))
		rc = pb_fail(err, PB_EINVALID, "is no file");
	else if (ret->st.st_size)
		map = mmap(NULL, (size_t)ret->st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		rc = pb_fail_errno(err, errno, "cannot be read");
	close(fd);
	if (rc)
		return rc;
	ret->bytes = pb_str(map, (size_t)ret->st.st_size);
	if (map)
		madvise(map, ret->bytes.len, MADV_SEQUENTIAL);
	return 0;
}

void file_close(struct file *file)
{
	if (file->bytes.ptr)
		munmap((void *)(uintptr_t)file->bytes.ptr, file->bytes.len);
	file->bytes = PB_NOSTR;
}

bool is_directory(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

bool is_file(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode);
}

int names_by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int names_read(const char *dir, int (*compare)(const void *, const void *), struct names *ret, struct pb_error *err)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	size_t room = 0;

	*ret = (struct names){ NULL, 0 };
	if (!d)
		return pb_fail_errno(err, errno, "%.200s cannot be read", dir);
	while ((e = readdir(d)) != NULL) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (ret->n == room) {
			room = room ? 2 * room : 64;
			ret->list = pb_realloc(ret->list, room * sizeof *ret->list);
		}
		ret->list[ret->n++] = pb_str_dup(pb_strz(e->d_name));
	}
	closedir(d);
	if (ret->n)
		qsort(ret->list, ret->n, sizeof *ret->list, compare);
	return 0;
}

void names_free(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->list[i]);
	free(names->list);
	*names = (struct names){ NULL, 0 };
}

bool find_entry(const char *dir, const char *name, char *ret, size_t room)
{
	struct names names;
	bool found = false;

	if (names_read(dir, names_by_bytes, &names, NULL))
		return false;
	for (size_t i = 0; i < names.n && !found; i++) {
		found = !strcasecmp(names.list[i], name);
		if (found)
			snprintf(ret, room, "%s/%s", dir, names.list[i]);
	}
	names_free(&names);
	return found;
}

int64_t file_date(const struct file *file)
{
	return (int64_t)file->st.st_mtim.tv_sec * 1000000;
}

int64_t header_date(struct pb_str message, int64_t otherwise)
{
	struct pb_str value;
	int64_t moment;

	if (!pb_header_find(pb_str_head(message, pb_header_size(message)), PB_STR("Date"), &value) || pb_date_parse(value, &moment, NULL))
		return otherwise;
	return moment;
}
