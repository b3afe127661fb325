/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A private copy in memory of a plugin's shared object, so that whoever overwrites the file changes no running code. Leaves loading it to object.c. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "kernel/config/guard.h"
#include "kernel/plugin/plugin.h"

enum { OBJECT_MAX = 256 << 20, HEADERS_MAX = 256 };

static int copy_bytes(int from, int to, const char *path, off_t *ret_size, struct pb_error *err)
{
	size_t room = 1 << 16;
	char *bytes = pb_alloc(room);
	off_t size = 0;
	ssize_t n;
	int rc = 0;

	while (!rc && (n = read(from, bytes, room)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = pb_fail_errno(err, errno, "%s", path);
		else if ((size += n) > OBJECT_MAX)
			rc = pb_fail(err, PB_ETOOBIG, "%s: larger than %d MiB", path, OBJECT_MAX >> 20);
		else if (write(to, bytes, (size_t)n) != n)
			rc = pb_fail_errno(err, errno, "%s: copying it into memory", path);
	}
	free(bytes);
	*ret_size = size;
	return rc;
}

/* The loader maps what the headers promise and trusts it: touching what a copy cut short does not have would end the process. */
static int check_whole(int fd, off_t size, const char *path, struct pb_error *err)
{
	ElfW(Ehdr) head;
	ElfW(Phdr) part;

	if (pread(fd, &head, sizeof head, 0) != sizeof head || memcmp(head.e_ident, ELFMAG, SELFMAG))
		return pb_fail(err, PB_EINVALID, "%s: is no shared object", path);
	if (head.e_phentsize != sizeof part || head.e_phnum > HEADERS_MAX)
		return pb_fail(err, PB_EINVALID, "%s: is no shared object of this machine", path);
	for (unsigned i = 0; i < head.e_phnum; i++) {
		if (pread(fd, &part, sizeof part, (off_t)(head.e_phoff + i * sizeof part)) != sizeof part ||
		    (part.p_type == PT_LOAD && (part.p_filesz > (uint64_t)size || part.p_offset > (uint64_t)size - part.p_filesz)))
			return pb_fail(err, PB_EINVALID, "%s: is cut short: %lld bytes are there, its headers speak of more", path, (long long)size);
	}
	return 0;
}

int object_copy(const char *path, const char *name, uid_t own, bool follow, struct pb_error *err)
{
	int from = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW)), to;
	char label[100];
	off_t size;

	if (from < 0 && errno == ELOOP)
		return pb_fail(err, PB_EDENIED, "%s: is a symbolic link; a plugin in the home is a file of its own", path);
	if (from < 0)
		return pb_fail_errno(err, errno, "%s", path);
	if (guard_code(from, path, own, err)) {
		close(from);
		return err->code;
	}
	snprintf(label, sizeof label, "%s.so", name);
	to = memfd_create(label, MFD_CLOEXEC);
	if (to < 0)
		pb_fail_errno(err, errno, "%s: no memory for a copy", path);
	if (to >= 0 && (copy_bytes(from, to, path, &size, err) || check_whole(to, size, path, err))) {
		close(to);
		to = -1;
	}
	close(from);
	return to < 0 ? err->code : to;
}
