/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * postbusctl import: reading the files of another mail server and handing them to agent_import. The feed is what readers fill: it knows what is
 * there already, counts, and writes nothing in a dry run. Readers know one format each.
 */
#ifndef TOOLS_IMPORT_H
#define TOOLS_IMPORT_H

#include <jansson.h>
#include <postbus/str.h>
#include <stdio.h>
#include <sys/stat.h>
#include "tools/client.h"

enum import_date { DATE_DEFAULT, DATE_FILE, DATE_NAME, DATE_HEADER };

struct import_options {
	const char *dir;
	const char *mailbox, *domain, *folder, *postoffice;	/* NULL: not said */
	enum import_date date;
	bool dry_run, create, over_quota, keep_quotes, again, json;
};

/* ---- feed (import_feed.c) ---- */

struct feed {
	struct client *client;
	const struct import_options *options;
	json_t *mailboxes;		/* of the report: what became of each */
	json_t *mailbox, *folder;	/* the ones in hand; borrowed */
	char id[201];			/* mailbox id; empty: it would be made */
	char name[1001];		/* folder */
	json_t *problems;		/* lines: the first of them */
	json_t *more;			/* what else a format has to report: key to list of lines */
	size_t nproblems;
	bool makes;			/* the reader makes mailboxes before it fills them */
	struct pb_buf piece;		/* of a message on its way */
	json_int_t upload;
};

struct message {
	const char *path;		/* for problems */
	struct pb_str identity;		/* what it is called where it comes from, without what changes there */
	struct pb_str head, body;	/* one behind the other */
	bool unquote;			/* ">From " of the body loses a ">" */
	json_t *flags;			/* list; borrowed */
	int64_t date;			/* microseconds */
};

/* All functions that return int: an error ends the import (the daemon went away); what is wrong with one message or folder is a problem, and gives 0. */
/* The mailbox that what follows goes to. *ret_there: false, and a problem, when there is none. */
int feed_mailbox(struct feed *f, const char *address, bool *ret_there, struct pb_error *err);
/* The folder; *ret_there as above. */
int feed_folder(struct feed *f, const char *name, bool *ret_there, struct pb_error *err);
int feed_message(struct feed *f, const struct message *m, struct pb_error *err);
void feed_problem(struct feed *f, const char *where, const char *fmt, ...) PB_PRINTF(3, 4);
/* A line of the report under this key: "needs_password". */
void feed_note(struct feed *f, const char *key, const char *fmt, ...) PB_PRINTF(3, 4);
/* Calls a method, also in a dry run. Takes params over. ret may be NULL; else *ret is a new reference, set where 0 is returned. */
int feed_call(struct feed *f, const char *method, json_t *params, json_t **ret, struct pb_error *err);
/* Calls a method for its effect; not in a dry run. PB_EEXISTS is fine: *ret_made says whether it was made. */
int feed_make(struct feed *f, const char *method, json_t *params, bool *ret_made, struct pb_error *err);

/* ---- files (import_file.c) ---- */

/*
 * A whole file, mapped. PB_E...: a text for a problem. root: what it must be, or lie within; NULL: anywhere. Whose mail it is, could have put links there that lead to
 * what he may not read, and whoever imports may.
 */
struct file {
	struct pb_str bytes;
	struct stat st;
};

int file_open(const char *path, const char *root, struct file *ret, struct pb_error *err);
void file_close(struct file *file);
bool is_directory(const char *path);
bool is_file(const char *path);
/* An entry of a directory in any case of letters: gives its path, or false. */
bool find_entry(const char *dir, const char *name, char *ret, size_t room);
/* Names of a directory without "." and "..", sorted by compare; free with names_free. */
struct names {
	char **list;
	size_t n;
};
int names_read(const char *dir, int (*compare)(const void *, const void *), struct names *ret, struct pb_error *err);
int names_by_bytes(const void *a, const void *b);
void names_free(struct names *names);
int64_t file_date(const struct file *file);
/* The Date field, else otherwise. */
int64_t header_date(struct pb_str message, int64_t otherwise);

/* ---- readers ---- */

int import_maildir(struct feed *f, struct pb_error *err);
int import_mbox(struct feed *f, struct pb_error *err);
int import_mailenable(struct feed *f, struct pb_error *err);
int import_mlmmj(struct feed *f, struct pb_error *err);
int import_mailman(struct feed *f, struct pb_error *err);
/* One mailbox's tree of MailEnable: folders with *.MAI (import_mai.c). */
int import_mai(struct feed *f, const char *dir, struct pb_error *err);

int import_command(const char *config_file, int argc, char **argv, bool json);

#endif
