/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The timeline's writer: lines gather in memory and are appended to the day's file. Reading is timeline_find.c's business. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "kernel/clock/clock.h"
#include "kernel/store/timeline_file.h"

enum { FLUSH_BYTES = 64 * 1024, PENDING_MAX = 16 * 1024 * 1024, FLUSH_MS = 100 };

/* A line that a crash or a full disk cut off must not swallow the next one. */
static void end_line(int fd)
{
	struct stat st;
	char last = '\n';

	if (fd < 0 || fstat(fd, &st) || st.st_size == 0 || pread(fd, &last, 1, st.st_size - 1) != 1 || last == '\n')
		return;
	while (write(fd, "\n", 1) < 0 && errno == EINTR)
		;
}

static void write_all(struct timeline *t, int64_t day, const char *ptr, size_t len)
{
	if (t->fd < 0 || day != t->day) {
		char path[TIMELINE_PATH];

		if (t->fd >= 0)
			close(t->fd);
		timeline_path(t, day, path);
		t->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
		t->day = day;
		end_line(t->fd);
		timeline_expire(t, day);
	}
	while (t->fd >= 0 && len > 0) {
		ssize_t n = write(t->fd, ptr, len);

		if (n <= 0 && errno != EINTR) {		/* no room: an explanation is lost, nothing else */
			close(t->fd);
			t->fd = -1;
			return;
		}
		if (n > 0) {
			ptr += n;
			len -= (size_t)n;
		}
	}
}

/* Lines of two days may wait together: each part goes into its own file. */
static void write_out(struct timeline *t)
{
	struct pb_buf full;
	int64_t day;

	pthread_mutex_lock(&t->writing);
	pthread_mutex_lock(&t->lock);
	full = t->pending;
	t->pending = t->spare;
	t->spare = (struct pb_buf)PB_BUF;
	day = t->pending_day;
	pthread_mutex_unlock(&t->lock);
	if (full.len)
		write_all(t, day, full.ptr, full.len);
	pb_buf_reset(&full);
	pthread_mutex_lock(&t->lock);
	if (full.cap > 4 * FLUSH_BYTES || t->spare.ptr)
		pb_buf_free(&full);
	else
		t->spare = full;
	pthread_mutex_unlock(&t->lock);
	pthread_mutex_unlock(&t->writing);
}

static void *writer(void *arg)
{
	struct timeline *t = arg;
	struct timespec until;

	pthread_mutex_lock(&t->lock);
	while (!t->closing) {
		if (t->pending.len == 0) {
			t->asleep = true;
			pthread_cond_wait(&t->wake, &t->lock);
			t->asleep = false;
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += FLUSH_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		while (!t->closing && t->pending.len < FLUSH_BYTES && pthread_cond_timedwait(&t->wake, &t->lock, &until) == 0)
			;
		pthread_mutex_unlock(&t->lock);
		write_out(t);
		pthread_mutex_lock(&t->lock);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

static inline bool is_plain(unsigned char c)
{
	return c >= ' ' && c != '\\' && c != 127;
}

/* One line is one event: what would end it, and the escape itself, are written as \n, \\, \xHH. */
static void add_escaped(struct pb_buf *b, struct pb_str text)
{
	size_t from = 0;

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (is_plain(c))
			continue;
		pb_buf_add(b, text.ptr + from, i - from);
		from = i + 1;
		if (c == '\\')
			pb_buf_addz(b, "\\\\");
		else if (c == '\n')
			pb_buf_addz(b, "\\n");
		else
			pb_buf_addf(b, "\\x%02x", c);
	}
	if (from < text.len)
		pb_buf_add(b, text.ptr + from, text.len - from);
}

static char *put_word(char *at, const char *word, size_t most)
{
	size_t len = strnlen(word, most);

	memcpy(at, word, len);
	at[len] = ' ';
	return at + len + 1;
}

/* Each recipient of a message has lines: they are put together here, not word by word in the buffer. */
static void add_front(struct pb_buf *b, int64_t now, const char *id, const char *who, const char *what)
{
	enum { DIGITS = 20, WORD_MAX = 128 };
	char front[DIGITS + 1 + 3 * (WORD_MAX + 1)], *number = front + DIGITS, *at;
	uint64_t left = (uint64_t)now;

	do
		*--number = (char)('0' + left % 10);
	while (left /= 10);
	front[DIGITS] = ' ';
	at = put_word(put_word(put_word(front + DIGITS + 1, id, WORD_MAX), who, WORD_MAX), what, WORD_MAX);
	pb_buf_add(b, number, (size_t)(at - number));
}

void timeline_join(struct timeline *t, const char *id, const char *who, const char *what, const struct pb_str *parts, size_t n)
{
	size_t room = TIMELINE_TEXT_MAX;
	int64_t now;
	bool wake, other_day;

	if (!t)
		return;
again:
	now = clock_now(t->clock);
	pthread_mutex_lock(&t->lock);
	other_day = t->pending.len > 0 && now / PB_DAY != t->pending_day;
	if (other_day) {
		pthread_mutex_unlock(&t->lock);
		write_out(t);
		goto again;
	}
	if (t->pending.len > PENDING_MAX) {
		pthread_mutex_unlock(&t->lock);
		return;
	}
	t->pending_day = now / PB_DAY;
	wake = t->pending.len == 0 && t->asleep;
	add_front(&t->pending, now, id, who, what);
	for (size_t i = 0; i < n; i++) {
		struct pb_str part = pb_str_head(parts[i], room);

		add_escaped(&t->pending, part);
		room -= part.len;
	}
	pb_buf_addc(&t->pending, '\n');
	wake = wake || (t->pending.len >= FLUSH_BYTES && t->pending.len < FLUSH_BYTES + 512);
	pthread_mutex_unlock(&t->lock);
	if (wake)
		pthread_cond_signal(&t->wake);
}

void timeline_text(struct timeline *t, const char *id, const char *who, const char *what, const char *text)
{
	struct pb_str whole = pb_strz(text);

	timeline_join(t, id, who, what, &whole, 1);
}

void timeline_add(struct timeline *t, const char *id, const char *who, const char *what, const char *fmt, ...)
{
	char text[TIMELINE_TEXT_MAX];
	va_list ap;
	int n;

	if (!t)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	timeline_join(t, id, who, what, &(const struct pb_str){ text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1 }, 1);
}

void timeline_flush(struct timeline *t)
{
	if (t)
		write_out(t);
}

int timeline_open(const char *dir, struct clock *clock, unsigned keep_days, struct timeline **ret, struct pb_error *err)
{
	struct timeline *t;
	pthread_condattr_t attr;

	if (strlen(dir) + 32 > TIMELINE_PATH)
		return pb_fail(err, PB_EINVALID, "the timeline's path is too long");
	if (mkdir(dir, 0700) && errno != EEXIST)
		return pb_fail_errno(err, errno, "cannot make %s", dir);
	t = pb_alloc(sizeof *t);
	t->dir = pb_str_dup(pb_strz(dir));
	t->clock = clock;
	t->keep_days = keep_days ? keep_days : 30;
	t->fd = -1;
	pthread_mutex_init(&t->lock, NULL);
	pthread_mutex_init(&t->writing, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->wake, &attr);
	pthread_condattr_destroy(&attr);
	timeline_expire(t, clock_now(clock) / PB_DAY);
	if (pthread_create(&t->thread, NULL, writer, t)) {
		timeline_free(t);
		return pb_fail(err, PB_EUNAVAILABLE, "cannot start the timeline's thread");
	}
	*ret = t;
	return 0;
}

void timeline_free(struct timeline *t)
{
	if (t->fd >= 0)
		close(t->fd);
	pb_buf_free(&t->pending);
	pb_buf_free(&t->spare);
	pthread_cond_destroy(&t->wake);
	pthread_mutex_destroy(&t->writing);
	pthread_mutex_destroy(&t->lock);
	free(t->dir);
	free(t);
}

void timeline_close(struct timeline *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->closing = true;
	pthread_mutex_unlock(&t->lock);
	pthread_cond_signal(&t->wake);
	pthread_join(t->thread, NULL);
	write_out(t);
	timeline_free(t);
}
