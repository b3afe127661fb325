/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * postbus.json: the administrator's file, only ever read. What the CLI changes lies in the store (plugin/settings.h) and goes over it.
 */
#ifndef KERNEL_CONFIG_CONFIG_H
#define KERNEL_CONFIG_CONFIG_H

#include <stdatomic.h>
#include <jansson.h>
#include <postbus/str.h>

#define CONFIG_VERSION 1

struct config {
	_Atomic(json_t *) doc;	/* checked, defaults filled in */
	json_t *raw;		/* as written: to tell defaults from the file's own values */
	char *path, *home;	/* absolute; home is the file's directory unless "home" says otherwise */
	struct config *earlier;	/* what was in force before */
};

/* The fields of the file; each has its doc. Borrowed. */
const json_t *config_fields(void);
/* PB_EINVALID: file, line or key, what was found, what is allowed. */
int config_read(const char *path, struct config **ret, struct pb_error *err);
/* A path of the file, made absolute against home; in a thread's arena-free way: caller frees. */
char *config_path(const struct config *c, const char *relative);
/* Another reading of the same file comes into force, and by a second exchange goes again. */
void config_exchange(struct config *c, struct config *other);
/* After an exchange: what was in force stays in memory to the end, since views into it are lent out. Takes other. */
void config_keep(struct config *c, struct config *other);
void config_free(struct config *c);		/* NULL is fine */

/* A JSON text that is built in; parsed when it is first asked for, and kept. What is wrong in it ends the process: it is a bug of the build. */
struct builtin_json {
	const char *what, *text;
	_Atomic(json_t *) doc;
};
const json_t *builtin_json(struct builtin_json *b);

/* Reads any JSON file with a size limit; the error names line and column. */
int config_read_json(const char *path, json_t **ret, struct pb_error *err);
/* The same of a file that says what code may do: guard_code. */
int config_read_manifest(const char *path, uid_t own, json_t **ret, struct pb_error *err);
/* Refuses texts nested deeper than limit before the recursive parser sees them; gives a new reference. what: for the error. */
int config_parse_json(struct pb_str text, unsigned depth, const char *what, json_t **ret, struct pb_error *err);

#endif
