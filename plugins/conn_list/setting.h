/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What can be set for a list: one table with names, kinds, defaults and words (setting.c), which `list settings` shows, `list set` checks by, and all that asks goes by.
 */
#ifndef CONN_LIST_SETTING_H
#define CONN_LIST_SETTING_H

#include <jansson.h>
#include <postbus/str.h>

struct pb_error;

enum setting_kind {
	SETTING_FLAG,		/* yes, no */
	SETTING_NUMBER,		/* integer between min and max */
	SETTING_SECONDS,	/* 90, 15m, 12h, 7d */
	SETTING_BYTES,		/* 40000, 40k, 10m */
	SETTING_WORD,		/* one of words */
	SETTING_TEXT,		/* one line of UTF-8 */
	SETTING_BLOCK,		/* lines of UTF-8 */
	SETTING_SECRET,		/* kept as its hash; never shown */
	SETTING_ADDRESSES,	/* array of addresses, and *@domain where patterns says so */
	SETTING_TOPICS,		/* array of NAME=PATTERN */
	SETTING_ADDRESS,	/* one, or none */
	SETTING_URL		/* of a page, or none */
};

struct setting {
	const char *name;
	enum setting_kind kind;
	const char *def;	/* as it would be given to list set; empty texts and lists */
	const char *words;	/* SETTING_WORD: "open confirmed closed" */
	int64_t min, max;
	const char *doc;
};

extern const struct setting settings[];		/* name NULL at the end */

/* NULL: no such one. */
const struct setting *setting_find(struct pb_str name);
/* The name that one may have meant; NULL: none is near. */
const char *setting_nearest(struct pb_str name);
/* The value that words of a command line say; a new reference in *ret. PB_EINVALID says what is allowed. */
int setting_parse(const struct setting *s, const json_t *words, json_t **ret, struct pb_error *err);
const char *setting_kind_name(enum setting_kind kind);

/* Of a list's settings, or the default. A name that is not in the table ends the process: it is a bug. */
bool setting_flag(const json_t *set, const char *name);
int64_t setting_number(const json_t *set, const char *name);			/* NUMBER, SECONDS, BYTES */
struct pb_str setting_text(const json_t *set, const char *name);		/* TEXT, BLOCK, WORD, SECRET */
bool setting_is(const json_t *set, const char *name, const char *word);
const json_t *setting_list(const json_t *set, const char *name);		/* an array, or NULL: empty */

#endif
