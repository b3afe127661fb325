/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One mailbox of MailEnable: a tree of folders, a message a file (*.MAI), flags in _index.xml. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "tools/import.h"
#include "tools/mailenable.h"

enum { DEPTH_MAX = 16 };

/* Folders that every mailbox has under another name there. */
static const char *our_name(const char *name)
{
	static const struct { const char *theirs, *ours; } known[] = {
		{ "Inbox", "INBOX" }, { "Sent Items", "Sent" }, { "Deleted Items", "Trash" }, { "Junk E-mail", "Junk" }, { "Drafts", "Drafts" } };

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (!strcasecmp(name, known[i].theirs))
			return known[i].ours;
	return name;
}

static bool has_end(const char *name, const char *end)
{
	size_t n = strlen(name), k = strlen(end);

	return n > k && !strcasecmp(name + n - k, end);
}

static json_t *read_index(const char *dir)
{
	char path[PATH_MAX];
	struct file file;
	json_t *flags;

	if (!find_entry(dir, "_index.xml", path, sizeof path) || file_open(path, NULL, &file, NULL))
		return json_object();
	flags = index_flags(file.bytes);
	file_close(&file);
	return flags;
}

static int take_file(struct feed *f, const char *path, const char *name, const json_t *index, struct pb_error *err)
{
	struct message m = { .path = path, .identity = pb_strz(name) };
	struct pb_error why;
	struct file file;
	char key[256];
	size_t n = 0;
	int rc;

	if (file_open(path, NULL, &file, &why)) {
		feed_problem(f, path, "%s", why.text);
		return 0;
	}
	for (; name[n] && n < sizeof key - 1; n++)
		key[n] = (char)pb_lower((unsigned char)name[n]);
	key[n] = 0;
	m.body = file.bytes;
	m.flags = json_object_get(index, key);
	m.date = f->options->date == DATE_HEADER ? header_date(file.bytes, file_date(&file)) : file_date(&file);
	rc = feed_message(f, &m, err);
	file_close(&file);
	return rc;
}

/* Names are random: the files' times tell the order of arrival. */
struct arrival {
	struct timespec when;
	const char *name;
};

static int by_arrival(const void *a, const void *b)
{
	const struct arrival *x = a, *y = b;

	if (x->when.tv_sec != y->when.tv_sec)
		return x->when.tv_sec < y->when.tv_sec ? -1 : 1;
	if (x->when.tv_nsec != y->when.tv_nsec)
		return x->when.tv_nsec < y->when.tv_nsec ? -1 : 1;
	return strcmp(x->name, y->name);
}

static size_t arrivals(const char *dir, const struct names *names, struct arrival *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < names->n; i++) {
		char path[PATH_MAX];
		struct stat st;

		snprintf(path, sizeof path, "%.3600s/%.300s", dir, names->list[i]);
		if (has_end(names->list[i], ".mai") && !stat(path, &st))
			ret[n++] = (struct arrival){ st.st_mtim, names->list[i] };
	}
	if (n)
		qsort(ret, n, sizeof *ret, by_arrival);
	return n;
}

static size_t count_others(const struct names *names)
{
	size_t n = 0;

	for (size_t i = 0; i < names->n; i++)
		n += has_end(names->list[i], ".vcf") || has_end(names->list[i], ".cal") || has_end(names->list[i], ".tsk") || has_end(names->list[i], ".ics");
	return n;
}

/* The folder itself is made where it has messages or nothing: one of an address book is none here. */
static int take_messages(struct feed *f, const char *dir, const char *folder, const struct names *names, struct pb_error *err)
{
	struct arrival *list = pb_alloc((names->n + 1) * sizeof *list);
	size_t n = arrivals(dir, names, list), others = count_others(names);
	json_t *index = read_index(dir);
	bool there = n || !others;
	int rc = there ? feed_folder(f, folder, &there, err) : 0;

	for (size_t i = 0; i < n && there && !rc; i++) {
		char path[PATH_MAX];

		snprintf(path, sizeof path, "%.3600s/%.300s", dir, list[i].name);
		rc = take_file(f, path, list[i].name, index, err);
	}
	if (others)
		feed_note(f, "not_imported", "%s: %zu entries of an address book, a calendar or tasks", dir, others);
	json_decref(index);
	free(list);
	return rc;
}

static int take_folder(struct feed *f, const char *dir, const char *folder, unsigned depth, struct pb_error *err);

static int take_subfolders(struct feed *f, const char *dir, const char *above, const struct names *names, unsigned depth, struct pb_error *err)
{
	int rc = 0;

	for (size_t i = 0; i < names->n && !rc; i++) {
		char path[PATH_MAX];
		PB_AUTOBUF(folder);

		snprintf(path, sizeof path, "%.3600s/%.300s", dir, names->list[i]);
		if (!is_directory(path) || depth >= DEPTH_MAX)
			continue;
		pb_buf_addf(&folder, "%s%s%s", above, *above ? "/" : "", *above ? names->list[i] : our_name(names->list[i]));
		rc = take_folder(f, path, pb_buf_z(&folder), depth + 1, err);
	}
	return rc;
}

static int take_folder(struct feed *f, const char *dir, const char *folder, unsigned depth, struct pb_error *err)
{
	struct pb_error why;
	struct names names;
	int rc = 0;

	if (names_read(dir, names_by_bytes, &names, &why)) {
		feed_problem(f, dir, "%s", why.text);
		return 0;
	}
	if (*folder)
		rc = take_messages(f, dir, folder, &names, err);
	if (!rc)
		rc = take_subfolders(f, dir, folder, &names, depth, err);
	names_free(&names);
	return rc;
}

int import_mai(struct feed *f, const char *dir, struct pb_error *err)
{
	return take_folder(f, dir, "", 0, err);
}
