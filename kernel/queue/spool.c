/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Spools: bytes on their way in, small ones in memory, large ones in an unlinked file. Leaves durability to the engine. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <postbus/message.h>
#include "kernel/clock/clock.h"
#include "kernel/host.h"
#include "kernel/queue/private.h"
#include "kernel/store/spool.h"
#include "kernel/store/queue_id.h"

enum { MEMORY_MAX = 512 * 1024, FIRST = 8 * 1024, CHUNK = 64 * 1024 };

struct pb_spool {
	struct pb_handle handle;
	struct pb_host *host;
	char id[PB_ID_MAX];
	bool named;
	uint64_t limit, size;
	struct pb_buf bytes;		/* all of it, or what is not in the file yet */
	int fd;				/* -1: in memory */
	void *map;			/* of the file, of size bytes, or NULL */
	struct pb_error error;		/* the first; code 0: none */
};

struct pb_spool *host_spool_begin(struct pb_host *host, uint64_t limit, struct pb_error *err)
{
	struct kernel *k = host->kernel;
	struct pb_spool *s;

	if (!(host->rights & (RIGHT_QUEUE_ACCEPT | RIGHT_MAIL_WRITE)) && host_may(host, RIGHT_QUEUE_ACCEPT, err))
		return NULL;
	s = pb_alloc(sizeof *s);
	s->handle.ops = host->handle.ops;
	s->host = host;
	s->limit = limit;
	s->fd = -1;
	queue_id_make(s->id, clock_now(k->clock), k->queue ? queue_sequence(k->queue) : 0);
	pb_buf_reserve(&s->bytes, FIRST);
	return s;
}

const char *host_spool_id(const struct pb_spool *spool)
{
	return spool->id;
}

void host_spool_name(struct pb_spool *spool, struct pb_str token)
{
	queue_id_name(spool->id, token);
	spool->named = true;
}

bool spool_is_named(const struct pb_spool *spool)
{
	return spool->named;
}

/* A file without a name in the home's spool directory: nothing is left behind by a crash. */
static int open_file(struct pb_spool *s)
{
	char path[4096];
	int n = snprintf(path, sizeof path, "%s/spool", s->host->kernel->home ? s->host->kernel->home : ".");

	if (n < 0 || (size_t)n + 32 > sizeof path)
		return pb_fail(&s->error, PB_EINVALID, "the home's path is too long");
	if (mkdir(path, 0700) && errno != EEXIST)
		return pb_fail_errno(&s->error, errno, "cannot make %s", path);
	s->fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
		snprintf(path + n, sizeof path - (size_t)n, "/%s", s->id);
		s->fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (s->fd >= 0)
			unlink(path);
	}
	return s->fd < 0 ? pb_fail_errno(&s->error, errno, "cannot open a spool file in %s", path) : 0;
}

static void write_out(struct pb_spool *s)
{
	size_t done = 0;

	while (done < s->bytes.len && !s->error.code) {
		ssize_t n = write(s->fd, s->bytes.ptr + done, s->bytes.len - done);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			pb_fail_errno(&s->error, n ? errno : EIO, "cannot write the spool file of %s", s->id);
	}
	pb_buf_reset(&s->bytes);
}

static void forget_map(struct pb_spool *s)
{
	if (s->map)
		munmap(s->map, s->size);
	s->map = NULL;
}

void host_spool_write(struct pb_spool *s, const void *ptr, size_t len)
{
	if (s->error.code || len == 0)
		return;
	if (s->limit && (len > s->limit || s->size > s->limit - len)) {
		pb_fail(&s->error, PB_ETOOBIG, "message is larger than %llu bytes", (unsigned long long)s->limit);
		return;
	}
	forget_map(s);
	if (s->fd < 0 && s->size + len > MEMORY_MAX) {
		if (open_file(s))
			return;
		write_out(s);
		pb_buf_free(&s->bytes);
	}
	s->size += len;
	pb_buf_add(&s->bytes, ptr, len);
	if (s->fd >= 0 && s->bytes.len >= CHUNK)
		write_out(s);
}

uint64_t host_spool_size(const struct pb_spool *spool)
{
	return spool->size;
}

int host_spool_check(struct pb_spool *s, struct pb_error *err)
{
	if (s->error.code && err)
		*err = s->error;
	return s->error.code;
}

int host_spool_view(struct pb_spool *s, struct pb_str *ret_bytes, struct pb_error *err)
{
	if (s->fd >= 0 && !s->error.code)
		write_out(s);
	if (host_spool_check(s, err))
		return s->error.code;
	if (s->fd >= 0 && !s->map) {
		void *map = mmap(NULL, s->size, PROT_READ, MAP_SHARED, s->fd, 0);

		if (map == MAP_FAILED)
			return pb_fail_errno(err, errno, "cannot map the spool file of %s", s->id);
		s->map = map;
	}
	*ret_bytes = s->fd >= 0 ? pb_str(s->map, s->size) : pb_buf_str(&s->bytes);
	return 0;
}

void host_spool_discard(struct pb_spool *s)
{
	if (!s)
		return;
	forget_map(s);
	if (s->fd >= 0)
		close(s->fd);
	pb_buf_free(&s->bytes);
	free(s);
}

int spool_seal(struct pb_spool *s, struct engine *engine, struct body_id *ret, struct pb_error *err)
{
	PB_AUTOBUF(facts);
	struct pb_str bytes;
	int rc = host_spool_view(s, &bytes, err);

	if (!rc) {
		pb_facts_make(bytes, &facts);
		rc = s->fd >= 0 ? engine_body_write_fd(engine, s->fd, s->size, pb_buf_str(&facts), ret, err)
				: engine_body_write(engine, &bytes, 1, pb_buf_str(&facts), ret, err);
	}
	host_spool_discard(s);
	return rc;
}
