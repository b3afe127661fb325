/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files and directories of mbox: one file a folder (with --mailbox) or one file a mailbox (with --domain). How messages lie in a file is mbox.c's. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "tools/import.h"
#include "tools/mbox.h"

enum { DEPTH_MAX = 16 };

/* How often a content came in one file: messages that are the same in all are told apart by their number, whatever else the file has. */
struct seen {
	struct {
		uint64_t hash;
		uint32_t n;
	} *slots;
	size_t room, used;
};

static unsigned *seen_slot(struct seen *seen, uint64_t hash)
{
	size_t i = (size_t)hash & (seen->room - 1);

	while (seen->slots[i].n && seen->slots[i].hash != hash)
		i = (i + 1) & (seen->room - 1);
	seen->slots[i].hash = hash;
	return &seen->slots[i].n;
}

static unsigned seen_count(struct seen *seen, uint64_t hash)
{
	unsigned *n;

	if (seen->used * 2 >= seen->room) {
		struct seen old = *seen;

		seen->room = old.room ? 2 * old.room : 1024;
		seen->slots = pb_alloc(seen->room * sizeof *seen->slots);
		for (size_t i = 0; i < old.room; i++)
			if (old.slots[i].n)
				*seen_slot(seen, old.slots[i].hash) = old.slots[i].n;
		free(old.slots);
	}
	n = seen_slot(seen, hash);
	seen->used += !*n;
	return ++*n;
}

static int64_t date_of(struct feed *f, const struct mbox_message *mm, const struct file *file)
{
	int64_t moment = file_date(file);

	if (f->options->date == DATE_FILE)
		return moment;
	if (f->options->date == DATE_HEADER || !mbox_date(mm->from, &moment))
		return header_date(mm->header, moment);
	return moment;
}

static int take_message(struct feed *f, const char *path, const struct mbox_message *mm, const struct file *file, struct seen *seen, struct pb_error *err)
{
	struct message m = { .path = path };
	PB_AUTOBUF(identity);
	PB_AUTOBUF(head);
	bool gone;
	int rc = 0;

	m.flags = mbox_flags(mm->header, &gone);
	mbox_header(mm->header, &head);
	m.head = pb_buf_str(&head);
	m.body = mm->body;
	m.unquote = mm->quoted && !f->options->keep_quotes;
	m.date = date_of(f, mm, file);
	pb_buf_addf(&identity, "%u", seen_count(seen, pb_str_hash(mm->body) ^ pb_str_hash(m.head) * 3));
	m.identity = pb_buf_str(&identity);
	if (!gone)
		rc = feed_message(f, &m, err);
	else
		json_object_set_new(f->folder, "left_out", json_integer(json_integer_value(json_object_get(f->folder, "left_out")) + 1));
	json_decref(m.flags);
	return rc;
}

/* A file into a folder. */
static int take_file(struct feed *f, const char *path, const char *root, const char *folder, struct pb_error *err)
{
	struct seen seen = { NULL, 0, 0 };
	struct mbox_message mm;
	struct pb_error why;
	struct file file;
	struct mbox box;
	bool there;
	int rc;

	if (file_open(path, root, &file, &why)) {
		feed_problem(f, path, "%s", why.text);
		return 0;
	}
	if (!mbox_begin(file.bytes, &box)) {
		feed_problem(f, path, "is no mbox: it does not begin with \"From \"");
		file_close(&file);
		return 0;
	}
	rc = feed_folder(f, folder, &there, err);
	while (!rc && there && mbox_next(&box, &mm))
		rc = take_message(f, path, &mm, &file, &seen, err);
	free(seen.slots);
	file_close(&file);
	return rc;
}

/* Indexes, locks and notes of mail clients beside their folders. */
static bool is_beside(const char *name)
{
	static const char *const ends[] = { ".msf", ".lock", ".idx", ".index", ".dat", ".cmeta", ".ev-summary", ".ibex.index", ".ibex.index.data", "~" };
	size_t n = strlen(name);

	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
		if (n > strlen(ends[i]) && !strcasecmp(name + n - strlen(ends[i]), ends[i]))
			return true;
	return name[0] == '.';
}

static void folder_name(const char *name, const char *above, struct pb_buf *out)
{
	if (!*above && (!strcasecmp(name, "inbox") || !strcasecmp(name, "mbox"))) {
		pb_buf_addz(out, "INBOX");
		return;
	}
	pb_buf_addf(out, "%s%s%s", above, *above ? "/" : "", name);
}

/* A directory of folders; "Work" beside "Work.sbd/" is Thunderbird's way to have folders below a folder. */
static int take_directory(struct feed *f, const char *dir, const char *root, const char *above, unsigned depth, struct pb_error *err)
{
	struct pb_error why;
	struct names names;
	int rc = 0;

	if (names_read(dir, names_by_bytes, &names, &why)) {
		feed_problem(f, dir, "%s", why.text);
		return 0;
	}
	for (size_t i = 0; i < names.n && !rc; i++) {
		struct pb_str name = pb_strz(names.list[i]);
		char path[PATH_MAX];
		PB_AUTOBUF(level);
		PB_AUTOBUF(folder);

		if (is_beside(names.list[i]))
			continue;
		snprintf(path, sizeof path, "%.3600s/%.300s", dir, names.list[i]);
		pb_buf_addstr(&level, is_directory(path) && pb_str_ends(name, PB_STR(".sbd")) ? pb_str_head(name, name.len - 4) : name);
		folder_name(pb_buf_z(&level), above, &folder);
		if (is_directory(path) && depth < DEPTH_MAX)
			rc = take_directory(f, path, root, pb_buf_z(&folder), depth + 1, err);
		else if (is_file(path))
			rc = take_file(f, path, root, pb_buf_z(&folder), err);
	}
	names_free(&names);
	return rc;
}

static int take_mailbox(struct feed *f, struct pb_error *err)
{
	const struct import_options *o = f->options;
	char root[PATH_MAX];
	bool there;
	int rc = feed_mailbox(f, o->mailbox, &there, err);

	if (rc || !there)
		return rc;
	if (!realpath(o->dir, root)) {
		feed_problem(f, o->dir, "is not there");
		return 0;
	}
	return is_file(o->dir) ? take_file(f, o->dir, root, o->folder ? o->folder : "INBOX", err) : take_directory(f, o->dir, root, o->folder ? o->folder : "", 0, err);
}

/* /var/mail: each file is somebody's INBOX, and nobody's who has a link there. */
static int take_domain(struct feed *f, struct pb_error *err)
{
	char real[PATH_MAX];
	struct names names;
	int rc = 0;

	if (!realpath(f->options->dir, real))
		return pb_fail_errno(err, errno, "%.200s", f->options->dir);
	if (names_read(f->options->dir, names_by_bytes, &names, err))
		return err->code;
	for (size_t i = 0; i < names.n && !rc; i++) {
		char path[PATH_MAX], root[PATH_MAX];
		PB_AUTOBUF(address);
		bool there;

		snprintf(root, sizeof root, "%.3600s/%.300s", real, names.list[i]);
		snprintf(path, sizeof path, "%.3600s/%.300s", f->options->dir, names.list[i]);
		if (is_beside(names.list[i]) || !is_file(path))
			continue;
		pb_buf_addf(&address, "%s@%s", names.list[i], f->options->domain);
		rc = feed_mailbox(f, pb_buf_z(&address), &there, err);
		if (!rc && there)
			rc = take_file(f, path, root, "INBOX", err);
	}
	names_free(&names);
	return rc;
}

int import_mbox(struct feed *f, struct pb_error *err)
{
	return f->options->mailbox ? take_mailbox(f, err) : take_domain(f, err);
}
