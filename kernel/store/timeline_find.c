/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The timeline's reader: which messages, then their lines. Day files are mapped and searched; their names and age are kept here too. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "kernel/clock/clock.h"
#include "kernel/store/queue_id.h"
#include "kernel/store/timeline_file.h"

enum { EVENTS_MAX = 10000, LIMIT_MAX = 10000 };

struct line {
	struct pb_str time, id, who, what, text;
};

/* ---- day files ---- */

void timeline_path(const struct timeline *t, int64_t day, char path[static TIMELINE_PATH])
{
	time_t seconds = (time_t)(day * 86400);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	snprintf(path, TIMELINE_PATH, "%s/%04d-%02d-%02d.log", t->dir, tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
}

static bool day_of_name(const char *name, int64_t *ret_day)
{
	struct tm tm = { 0 };
	int end = 0;

	if (sscanf(name, "%4d-%2d-%2d.log%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &end) != 3 || end != 14 || name[end])
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*ret_day = (int64_t)timegm(&tm) / 86400;
	return true;
}

static int compare_days(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

size_t timeline_days(const struct timeline *t, int64_t **ret_days)
{
	DIR *dir = opendir(t->dir);
	int64_t *days = NULL, day;
	size_t n = 0;

	for (struct dirent *d; dir && (d = readdir(dir)) != NULL;) {
		if (!day_of_name(d->d_name, &day))
			continue;
		days = pb_realloc(days, (n + 1) * sizeof *days);
		days[n++] = day;
	}
	if (dir)
		closedir(dir);
	if (n)
		qsort(days, n, sizeof *days, compare_days);
	*ret_days = days;
	return n;
}

void timeline_expire(const struct timeline *t, int64_t today)
{
	char path[TIMELINE_PATH];
	int64_t *days;
	size_t n = timeline_days(t, &days);

	for (size_t i = 0; i < n && days[i] <= today - (int64_t)t->keep_days; i++) {
		timeline_path(t, days[i], path);
		unlink(path);
	}
	free(days);
}

static struct pb_str map_day(const struct timeline *t, int64_t day)
{
	char path[TIMELINE_PATH];
	struct pb_str bytes = PB_NOSTR;
	struct stat st;
	int fd;

	timeline_path(t, day, path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0) {
		void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);

		if (map != MAP_FAILED)
			bytes = pb_str(map, (size_t)st.st_size);
	}
	if (fd >= 0)
		close(fd);
	return bytes;
}

static void unmap_day(struct pb_str bytes)
{
	if (bytes.ptr)
		munmap((void *)(uintptr_t)bytes.ptr, bytes.len);
}

/* ---- lines ---- */

static bool split_line(struct pb_str raw, struct line *ret)
{
	return pb_str_cut(&raw, ' ', &ret->time) && pb_str_cut(&raw, ' ', &ret->id) && pb_str_cut(&raw, ' ', &ret->who) &&
	       pb_str_cut(&raw, ' ', &ret->what) && (ret->text = raw, true);
}

static struct pb_str unescape(struct pb_buf *out, struct pb_str text)
{
	static const char hex[] = "0123456789abcdef";

	pb_buf_reset(out);
	for (size_t i = 0; i < text.len; i++) {
		const char *a, *b;

		if (text.ptr[i] != '\\' || i + 1 == text.len) {
			pb_buf_addc(out, text.ptr[i]);
		} else if (text.ptr[i + 1] == 'x' && i + 3 < text.len && (a = strchr(hex, text.ptr[i + 2])) && (b = strchr(hex, text.ptr[i + 3]))) {
			pb_buf_addc(out, (char)((a - hex) * 16 + (b - hex)));
			i += 3;
		} else {
			i++;
			pb_buf_addc(out, text.ptr[i] == 'n' ? '\n' : text.ptr[i]);
		}
	}
	return pb_buf_str(out);
}

/* JSON takes UTF-8 alone: what is not is shown with question marks. */
static json_t *text_json(struct pb_buf *room, struct pb_str text)
{
	unescape(room, text);
	if (!pb_utf8_valid(pb_buf_str(room)))
		for (size_t i = 0; i < room->len; i++)
			if ((unsigned char)room->ptr[i] > 126)
				room->ptr[i] = '?';
	return json_stringn(pb_buf_z(room), room->len);
}

static json_t *event_json(const struct line *l)
{
	PB_AUTOBUF(room);
	json_t *event = json_object();
	uint64_t time = 0;

	pb_str_u64(l->time, INT64_MAX, &time);
	json_object_set_new(event, "time", json_integer((json_int_t)time));
	json_object_set_new(event, "who", text_json(&room, l->who));
	json_object_set_new(event, "what", text_json(&room, l->what));
	json_object_set_new(event, "text", text_json(&room, l->text));
	return event;
}

/* The first line whose time is at least since: lines are in order but for moments. */
static size_t seek_time(struct pb_str bytes, int64_t since)
{
	size_t low = 0, high = bytes.len;

	while (low < high) {
		size_t mid = low + (high - low) / 2, start = mid;
		uint64_t time = 0;
		struct pb_str word, rest;
		const char *end;

		while (start > low && bytes.ptr[start - 1] != '\n')
			start--;
		end = memchr(bytes.ptr + start, '\n', bytes.len - start);
		rest = pb_str_skip(bytes, start);
		if (!end || !pb_str_cut(&rest, ' ', &word) || pb_str_u64(word, INT64_MAX, &time))
			break;
		if ((int64_t)time < since)
			low = (size_t)(end - bytes.ptr) + 1;
		else
			high = start;
	}
	return low;
}

/* Visit the lines of a day from since on that hold needle (empty: every line). */
static void each_line(struct pb_str bytes, int64_t since, struct pb_str needle, void (*visit)(void *arg, const struct line *l), void *arg)
{
	size_t at = since ? seek_time(bytes, since) : 0;

	while (at < bytes.len) {
		long hit = needle.len ? pb_str_search(bytes, needle, at) : (long)at;
		size_t start;
		const char *end;
		struct line l;

		if (hit < 0)
			return;
		for (start = (size_t)hit; start > at && bytes.ptr[start - 1] != '\n'; start--)
			;
		end = memchr(bytes.ptr + hit, '\n', bytes.len - (size_t)hit);
		if (!end)
			return;
		at = (size_t)(end - bytes.ptr) + 1;
		if (split_line(pb_str(bytes.ptr + start, (size_t)(end - bytes.ptr) - start), &l))
			visit(arg, &l);
	}
}

/* ---- which messages ---- */

struct search {
	struct pb_str from, to;
	int64_t since;
	size_t limit;
	json_t *found;			/* id: events, in the order of discovery; at most limit of them, the oldest go first */
};

static bool address_in(struct pb_str text, const char *key, struct pb_str address)
{
	PB_AUTOBUF(plain);
	PB_AUTOBUF(needle);

	pb_buf_addf(&needle, "%s=<%.*s>", key, PB_FMT(address));
	return pb_str_isearch(unescape(&plain, text), pb_buf_str(&needle), 0) >= 0;
}

static void consider(void *arg, const struct line *l)
{
	struct search *s = arg;
	uint64_t time = 0;
	char id[PB_ID_MAX];

	if (!pb_str_eq(l->what, PB_STR("accepted")) || l->id.len >= sizeof id || pb_str_u64(l->time, INT64_MAX, &time) || (int64_t)time < s->since)
		return;
	if ((s->from.len && !address_in(l->text, "from", s->from)) || (s->to.len && !address_in(l->text, "to", s->to)))
		return;
	memcpy(id, l->id.ptr, l->id.len);
	id[l->id.len] = '\0';
	if (!json_object_get(s->found, id))
		json_object_set_new(s->found, id, json_array());
	if (json_object_size(s->found) > s->limit)
		json_object_iter_next(s->found, json_object_iter(s->found)) ? json_object_del(s->found, json_object_iter_key(json_object_iter(s->found))) : 0;
}

static void collect(void *arg, const struct line *l)
{
	json_t *found = arg, *events;
	char id[PB_ID_MAX];

	if (l->id.len >= sizeof id)
		return;
	memcpy(id, l->id.ptr, l->id.len);
	id[l->id.len] = '\0';
	events = json_object_get(found, id);
	if (events && json_array_size(events) < EVENTS_MAX)
		json_array_append_new(events, event_json(l));
}

static void over_days(struct timeline *t, int64_t since, struct pb_str needle, void (*visit)(void *arg, const struct line *l), void *arg)
{
	int64_t *days;
	size_t n = timeline_days(t, &days);

	for (size_t i = 0; i < n; i++) {
		struct pb_str bytes;

		if (days[i] < since / PB_DAY)
			continue;
		bytes = map_day(t, days[i]);
		each_line(bytes, days[i] == since / PB_DAY ? since : 0, needle, visit, arg);
		unmap_day(bytes);
	}
	free(days);
}

int timeline_find(struct timeline *t, struct pb_str id, struct pb_str from, struct pb_str to, int64_t since, size_t limit, json_t **ret, struct pb_error *err)
{
	struct search s = { .from = from, .to = to, .since = since, .limit = limit && limit < LIMIT_MAX ? limit : LIMIT_MAX };
	PB_AUTOBUF(needle);
	json_t *result = json_array(), *events;
	int64_t first = INT64_MAX;
	const char *key;

	timeline_flush(t);
	s.found = json_object();
	if (id.len) {
		if (!queue_id_valid(id)) {
			json_decref(s.found);
			json_decref(result);
			return pb_fail(err, PB_EINVALID, "'%.*s' is no queue id", PB_FMT(pb_str_head(id, 64)));
		}
		json_object_setn_new(s.found, id.ptr, id.len, json_array());
		pb_buf_addf(&needle, " %.*s ", PB_FMT(id));
	} else {
		over_days(t, since, PB_STR(" accepted "), consider, &s);
	}
	json_object_foreach (s.found, key, events) {
		int64_t made = queue_id_time(pb_strz(key));

		if (made < first)
			first = made;
	}
	/* The clock may have been turned back a little between the id and its first line. */
	if (json_object_size(s.found))
		over_days(t, first > PB_MINUTE ? first - PB_MINUTE : 0, pb_buf_str(&needle), collect, s.found);
	json_object_foreach (s.found, key, events)
		if (json_array_size(events))
			json_array_append_new(result, json_pack("{s:s, s:O}", "id", key, "events", events));
	json_decref(s.found);
	*ret = result;
	return 0;
}
