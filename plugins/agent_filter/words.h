/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Rules in words, for people who write no Sieve: "subject contains lottery" is a condition, "move Junk" a deed. words_rule() makes one Sieve command of a rule's
 * conditions and deeds. The tables of what may be said are conditions.c's and deeds.c's; the admin guide shows them.
 */
#ifndef AGENT_FILTER_WORDS_H
#define AGENT_FILTER_WORDS_H

#include <jansson.h>
#include <postbus/str.h>

enum { SENTENCE_MAX = 1000, CONDITIONS_MAX = 50, DEEDS_MAX = 20, VALUES_MAX = 50 };

/* Whose rule it is says which words there are. */
enum rule_scope { RULE_OF_MAILBOX, RULE_OF_OFFICE, RULE_OF_SERVER };

/*
 * sieve: appended, one command with a block of its own. needs: a new list of the extensions that it takes, of which the caller makes one "require".
 * PB_EINVALID: a sentence is none; the text names the word and what is allowed there.
 */
int words_rule(const json_t *when, bool any, const json_t *deeds, enum rule_scope scope, struct pb_buf *sieve, json_t **ret_needs, struct pb_error *err);

/* ---- for the tables ---- */

enum need {
	NEED_BODY = 1, NEED_COPY = 2, NEED_DATE = 4, NEED_EDIT = 8, NEED_ENVELOPE = 16, NEED_FILEINTO = 32, NEED_LOOP = 64, NEED_FLAGS = 128, NEED_CREATE = 256,
	NEED_MIME = 512, NEED_REGEX = 1024, NEED_REJECT = 2048, NEED_RELATIONAL = 4096, NEED_REPLACE = 8192, NEED_VARIABLES = 1 << 14, NEED_VIRUS = 1 << 15,
	NEED_ITEM = 1 << 16, NEED_DO = 1 << 17, NEED_NUMERIC = 1 << 18, NEED_UNICODE = 1 << 19
};

/* A rule while it is written. */
struct writing {
	struct pb_arena *arena;
	struct pb_buf *out;
	enum rule_scope scope;
	unsigned needs;
	bool dollar;			/* a text has "${", which is written as "${dollar}{" */
};

/* A sentence, and what of it is not read yet. */
struct sentence {
	struct pb_str all, rest;
};

struct text {
	struct pb_str text;
	bool quoted;
};

/* The words of phrase stand here, in any case: go past them. */
bool sentence_take(struct sentence *s, const char *phrase);
bool sentence_word(struct sentence *s, struct pb_str *ret);
/* What is read of it already, for errors: views into the sentence. */
struct pb_str sentence_said(const struct sentence *s);
/* All that is left, as one text: as it stands, or in quotes with \" and \\ inside. */
int sentence_text(struct writing *w, struct sentence *s, struct text *ret, struct pb_error *err);
/* All that is left, as texts with the word "or" between. */
int sentence_texts(struct writing *w, struct sentence *s, struct text *list, size_t *ret_n, struct pb_error *err);
int sentence_end(const struct sentence *s, struct pb_error *err);

/* A phrase from the front of a table of them. unknown: for a first word that begins none; gives its index, or -1 with the error set. */
int phrase_find(struct sentence *s, const char *(*phrase)(size_t index), const char *unknown, struct pb_error *err);

void put_plain(struct writing *w, const char *sieve);
/* A quoted string. */
void put_text(struct writing *w, struct pb_str text);
/* One string, or a list of them. */
void put_texts(struct writing *w, const struct pb_str *list, size_t n);
bool field_name_valid(struct pb_str name);

/* conditions.c: one test. deeds.c: one action, of which flags stand first and "stop" last. */
int condition_write(struct writing *w, struct sentence *s, struct pb_error *err);

struct deeds {
	struct pb_buf first, middle;
	bool stops, keeps, refuses;
};
int deed_write(struct writing *w, struct sentence *s, struct deeds *d, struct pb_error *err);

/* moments.c: date, time, weekday. */
int date_write(struct writing *w, struct sentence *s, struct pb_error *err);
int time_write(struct writing *w, struct sentence *s, struct pb_error *err);
int weekday_write(struct writing *w, struct sentence *s, struct pb_error *err);

/* network.c: "192.0.2.0/24", "2001:db8::/32", or one address. */
bool network_valid(struct pb_str network);
bool network_has(struct pb_str network, struct pb_str address);
/* Append an address as DNS lists of addresses are asked for it. False: it is none. */
bool network_reversed(struct pb_str address, struct pb_buf *out);

#endif
