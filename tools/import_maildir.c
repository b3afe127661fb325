/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Maildir and Maildir++: cur/ and new/, flags in file names, keywords by dovecot-keywords, subfolders as ".A.B" in modified UTF-7 or as directories.
 * tmp/ holds nothing that was delivered.
 */
#include <errno.h>
#include <iconv.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "tools/import.h"

enum { DEPTH_MAX = 16, KEYWORDS = 26 };

struct maildir {
	struct feed *feed;
	char root[PATH_MAX];		/* of the mailbox in hand, without links */
	char *keywords[KEYWORDS];
};

static bool is_maildir(const char *dir)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%.3900s/cur", dir);
	return is_directory(path);
}

/* ---- keywords and flags ---- */

static void forget_keywords(struct maildir *md)
{
	for (size_t i = 0; i < KEYWORDS; i++) {
		free(md->keywords[i]);
		md->keywords[i] = NULL;
	}
}

/* "3 $Label1": the fourth letter. */
static void read_keywords(struct maildir *md, const char *dir)
{
	char path[PATH_MAX];
	struct pb_str rest, line, number;
	struct file file;
	uint64_t n;

	snprintf(path, sizeof path, "%.3900s/dovecot-keywords", dir);
	if (file_open(path, md->root, &file, NULL))
		return;
	rest = file.bytes;
	while (rest.len && pb_str_cut(&rest, '\n', &line)) {
		line = pb_str_trim(line);
		if (!pb_str_word(&line, &number) || pb_str_u64(number, KEYWORDS - 1, &n) || !pb_str_trim(line).len)
			continue;
		free(md->keywords[n]);
		md->keywords[n] = pb_str_dup(pb_str_trim(line));
	}
	file_close(&file);
}

/* Behind ":2,"; file systems without a colon have another mark. */
static const char *flags_of(const char *name)
{
	for (const char *p = name; (p = strstr(p, "2,")) != NULL; p++)
		if (p > name && strchr(":;!-", p[-1]))
			return p + 2;
	return "";
}

static json_t *flag_list(const struct maildir *md, const char *letters)
{
	static const struct { char letter; const char *flag; } known[] = {
		{ 'R', "\\Answered" }, { 'S', "\\Seen" }, { 'T', "\\Deleted" }, { 'D', "\\Draft" }, { 'F', "\\Flagged" }, { 'P', "$Forwarded" } };
	json_t *list = json_array();

	for (const char *p = letters; *p && *p != ','; p++) {
		for (size_t i = 0; i < sizeof known / sizeof *known; i++)
			if (*p == known[i].letter)
				json_array_append_new(list, json_string(known[i].flag));
		if (*p >= 'a' && *p <= 'z' && md->keywords[*p - 'a'])
			json_array_append_new(list, json_string(md->keywords[*p - 'a']));
	}
	return list;
}

/* ---- messages ---- */

/* Names begin with the seconds at which they were delivered: that order is the order of arrival. */
static unsigned long long seconds_of(const char *name)
{
	return strtoull(name, NULL, 10);
}

struct entry {
	char *name;		/* "cur/..." or "new/..." */
};

static int by_arrival(const void *a, const void *b)
{
	const char *x = ((const struct entry *)a)->name + 4, *y = ((const struct entry *)b)->name + 4;
	unsigned long long sx = seconds_of(x), sy = seconds_of(y);

	return sx != sy ? (sx < sy ? -1 : 1) : strcmp(x, y);
}

static int64_t date_of(struct feed *f, const char *name, const struct file *file)
{
	unsigned long long seconds = seconds_of(name);

	if (f->options->date == DATE_HEADER)
		return header_date(file->bytes, file_date(file));
	if (f->options->date == DATE_NAME && seconds > 100000000 && seconds < 100000000000)
		return (int64_t)seconds * 1000000;
	return file_date(file);
}

static int take_file(struct maildir *md, const char *path, const char *name, bool fresh, struct pb_error *err)
{
	struct feed *f = md->feed;
	struct message m = { .path = path };
	struct pb_error why;
	struct file file;
	int rc;

	if (file_open(path, md->root, &file, &why)) {
		feed_problem(f, path, "%s", why.text);
		return 0;
	}
	if (pb_str_starts(file.bytes, PB_STR("\x1f\x8b")) || pb_str_starts(file.bytes, PB_STR("BZh"))) {
		feed_problem(f, path, "is compressed and was left out: unpack it in place");
		file_close(&file);
		return 0;
	}
	m.identity = pb_str(name, strcspn(name, ":;!"));
	m.body = file.bytes;
	m.date = date_of(f, name, &file);
	m.flags = flag_list(md, fresh ? "" : flags_of(name));
	rc = feed_message(f, &m, err);
	json_decref(m.flags);
	file_close(&file);
	return rc;
}

static int gather(const char *dir, const char *sub, struct entry **list, size_t *n, struct pb_error *err)
{
	char path[PATH_MAX];
	struct names names;

	snprintf(path, sizeof path, "%.3900s/%s", dir, sub);
	if (!is_directory(path))
		return 0;
	if (names_read(path, names_by_bytes, &names, err))
		return err->code;
	*list = pb_realloc(*list, (*n + names.n + 1) * sizeof **list);
	for (size_t i = 0; i < names.n; i++) {
		PB_AUTOBUF(name);

		if (names.list[i][0] == '.')
			continue;
		pb_buf_addf(&name, "%s/%s", sub, names.list[i]);
		(*list)[(*n)++].name = pb_str_dup(pb_buf_str(&name));
	}
	names_free(&names);
	return 0;
}

/* One folder. Its names are held, since the order of arrival becomes the order of UIDs; its messages one at a time. */
static int take_folder(struct maildir *md, const char *dir, const char *name, struct pb_error *err)
{
	struct entry *list = NULL;
	struct pb_error why;
	size_t n = 0;
	bool there;
	int rc = feed_folder(md->feed, name, &there, err);

	if (rc || !there)
		return rc;
	if (gather(dir, "new", &list, &n, &why) || gather(dir, "cur", &list, &n, &why))
		feed_problem(md->feed, dir, "%s", why.text);
	if (n)
		qsort(list, n, sizeof *list, by_arrival);
	read_keywords(md, dir);
	for (size_t i = 0; i < n && !rc; i++) {
		char path[PATH_MAX];

		snprintf(path, sizeof path, "%.3600s/%.400s", dir, list[i].name);
		rc = take_file(md, path, list[i].name + 4, list[i].name[0] == 'n', err);
	}
	forget_keywords(md);
	for (size_t i = 0; i < n; i++)
		free(list[i].name);
	free(list);
	return rc;
}

/* ---- folders ---- */

/* Modified UTF-7 (RFC 3501 5.1.3) to UTF-8; what is none stays as it is. A "/" inside a level would be another level. */
static void decode_level(struct pb_str level, struct pb_buf *out)
{
	iconv_t how = memchr(level.ptr, '&', level.len) ? iconv_open("UTF-8", "UTF-7-IMAP") : (iconv_t)-1;
	char text[1024], *in = (char *)(uintptr_t)level.ptr, *to = text;
	size_t left = level.len, room = sizeof text;
	bool done = how != (iconv_t)-1 && iconv(how, &in, &left, &to, &room) != (size_t)-1 && !left;
	size_t at = out->len;

	if (how != (iconv_t)-1)
		iconv_close(how);
	if (done)
		pb_buf_add(out, text, (size_t)(to - text));
	else
		pb_buf_addstr(out, level);
	for (size_t i = at; i < out->len; i++)
		if (out->ptr[i] == '/')
			out->ptr[i] = '_';
}

static void folder_name(const char *entry, const char *above, struct pb_buf *out)
{
	struct pb_str rest = pb_strz(entry[0] == '.' ? entry + 1 : entry), level;
	bool dots = entry[0] == '.';

	pb_buf_addz(out, above);
	while (rest.ptr) {
		if (!dots || !pb_str_cut(&rest, '.', &level)) {
			level = rest;
			rest = PB_NOSTR;
		}
		if (out->len)
			pb_buf_addc(out, '/');
		decode_level(level, out);
	}
	if (!strcasecmp(pb_buf_z(out), "INBOX")) {
		pb_buf_reset(out);
		pb_buf_addz(out, "INBOX");
	}
}

/* Folders below a directory: ".A.B" beside cur/, or directories with a cur/ of their own. */
static int take_subfolders(struct maildir *md, const char *dir, const char *above, unsigned depth, struct pb_error *err)
{
	struct pb_error why;
	struct names names;
	int rc = 0;

	if (names_read(dir, names_by_bytes, &names, &why)) {
		feed_problem(md->feed, dir, "%s", why.text);
		return 0;
	}
	for (size_t i = 0; i < names.n && !rc; i++) {
		const char *name = names.list[i];
		char path[PATH_MAX];
		PB_AUTOBUF(folder);

		snprintf(path, sizeof path, "%.3600s/%.400s", dir, name);
		if (!strcmp(name, "cur") || !strcmp(name, "new") || !strcmp(name, "tmp") || !is_maildir(path))
			continue;
		folder_name(name, above, &folder);
		rc = take_folder(md, path, pb_buf_z(&folder), err);
		if (!rc && name[0] != '.' && depth < DEPTH_MAX)
			rc = take_subfolders(md, path, pb_buf_z(&folder), depth + 1, err);
	}
	names_free(&names);
	return rc;
}

/* top: where all of it is. */
static int take_mailbox(struct maildir *md, const char *top, const char *dir, const char *address, struct pb_error *err)
{
	bool there;
	int rc = feed_mailbox(md->feed, address, &there, err);

	if (!rc && !realpath(top, md->root))
		rc = pb_fail_errno(err, errno, "%.200s", top);
	if (!rc && there && is_maildir(dir))
		rc = take_folder(md, dir, md->feed->options->folder ? md->feed->options->folder : "INBOX", err);
	if (!rc && there)
		rc = take_subfolders(md, dir, "", 0, err);
	return rc;
}

/* DIR/name or DIR/name/Maildir for each mailbox. */
static int take_domain(struct maildir *md, const char *dir, const char *domain, struct pb_error *err)
{
	struct names names;
	int rc = 0;

	if (names_read(dir, names_by_bytes, &names, err))
		return err->code;
	for (size_t i = 0; i < names.n && !rc; i++) {
		char path[PATH_MAX], inner[PATH_MAX];
		PB_AUTOBUF(address);

		snprintf(path, sizeof path, "%.3600s/%.300s", dir, names.list[i]);
		snprintf(inner, sizeof inner, "%.4000s/Maildir", path);
		if (names.list[i][0] == '.' || (!is_maildir(path) && !is_maildir(inner)))
			continue;
		pb_buf_addf(&address, "%s@%s", names.list[i], domain);
		rc = take_mailbox(md, path, is_maildir(path) ? path : inner, pb_buf_z(&address), err);
	}
	names_free(&names);
	return rc;
}

int import_maildir(struct feed *f, struct pb_error *err)
{
	struct maildir md = { .feed = f };
	const struct import_options *o = f->options;

	if (o->mailbox && !is_maildir(o->dir))
		return pb_fail(err, PB_EINVALID, "%s is no Maildir: it has no cur", o->dir);
	return o->mailbox ? take_mailbox(&md, o->dir, o->dir, o->mailbox, err) : take_domain(&md, o->dir, o->domain, err);
}
