/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sieve (RFC 5228 and its extensions): a compiler to byte code and a machine. Knows neither kernel nor plugins; what it asks of its surroundings goes
 * through struct sieve_world, and what a script wants done comes back as a list of actions, for the caller to carry out.
 *
 *	sieve_compile(script, &options, &program, &problems)	once; a program is one block of bytes that may be stored
 *	sieve_run(program, message, world, limits, &result)	for each message; bounded in steps, memory and actions
 *
 * Scripts and messages are strangers': nothing here fails on malformed mail, a run that meets a limit ends with an error and an implicit keep.
 */
#ifndef SIEVE_SIEVE_H
#define SIEVE_SIEVE_H

#include <postbus/str.h>

/* ---- compiling ---- */

struct sieve_problem {
	unsigned line, column;		/* from 1 */
	char text[200];
};

enum { SIEVE_PROBLEMS_MAX = 10 };

struct sieve_problems {
	size_t n;			/* the first SIEVE_PROBLEMS_MAX are kept */
	struct sieve_problem list[SIEVE_PROBLEMS_MAX];
	size_t nwarnings;		/* of a script that was compiled: what it says is hardly what is meant; the first SIEVE_PROBLEMS_MAX */
	struct sieve_problem warnings[SIEVE_PROBLEMS_MAX];
};

struct sieve_options {
	bool system;			/* an administrator's script: vnd.postbus.* extensions that users may not have */
	const char *without;		/* extensions that are not to be had: " vacation enotify ", or NULL */
	size_t script_max;		/* bytes; 0: 1 MiB */
};

struct sieve_program;

/* PB_EINVALID with problems; PB_ETOOBIG. *ret: free it with sieve_program_free. */
int sieve_compile(struct pb_str script, const struct sieve_options *options, struct sieve_program **ret, struct sieve_problems *problems);
void sieve_program_free(struct sieve_program *p);		/* NULL is fine */
/* Its bytes, valid as long as the program, and a program of such bytes. PB_ECORRUPT: not what this release writes (compile again). */
struct pb_str sieve_program_bytes(const struct sieve_program *p);
int sieve_program_load(struct pb_str bytes, struct sieve_program **ret, struct pb_error *err);
/* Is it a regular expression that :regex can use? */
bool sieve_regex_valid(struct pb_str text);
/* All extensions, as ManageSieve announces them: words with a blank between. */
const char *sieve_extensions(void);

/* ---- what a script wants done ---- */

enum sieve_action_kind {
	SIEVE_KEEP,			/* implicit or explicit; flags may be set */
	SIEVE_FILEINTO,
	SIEVE_REDIRECT,
	SIEVE_DISCARD,
	SIEVE_REJECT,			/* text is the reason; by a message to the sender */
	SIEVE_EREJECT,			/* preferably by the protocol */
	SIEVE_VACATION,
	SIEVE_NOTIFY,
	SIEVE_POSTBUS			/* an own action: name says which (quarantine, pipe, priority, ...) */
};

struct mail;

/* All strings live as long as the result; what was not given is empty. */
struct sieve_action {
	enum sieve_action_kind kind;
	struct pb_str target;		/* folder, address, method, or the own action's argument */
	struct pb_str text;		/* reason, body, message */
	struct pb_str name;		/* own action */
	struct pb_str *flags;		/* KEEP, FILEINTO: to set, each once */
	size_t nflags;
	bool has_flags;
	bool copy;			/* :copy: the implicit keep stays */
	bool create;			/* FILEINTO :create */
	bool list;			/* REDIRECT :list */
	struct pb_str special_use, mailbox_id;
	/* VACATION, NOTIFY */
	struct pb_str subject, from, handle, fcc;
	struct pb_str *addresses;	/* VACATION :addresses */
	size_t naddresses;
	struct pb_str *options;		/* NOTIFY :options */
	size_t noptions;
	int64_t seconds;		/* VACATION: period; -1: default */
	unsigned importance;		/* NOTIFY: 1..3 */
	bool mime;			/* VACATION: text has MIME headers */
	/* REDIRECT: RFC 6009 */
	struct pb_str notify, ret, by_time, by_mode;	/* by_time: seconds from now, or an ISO date */
	bool by_trace;
	unsigned version;		/* what the message was when the script came here (RFC 5293 6): 0 as it came, else for sieve_result_message */
	unsigned line;			/* of the script */
};

/* Handles that the script has seen and asks to be remembered (RFC 7352): only once the actions are done. */
struct sieve_seen {
	struct pb_str key;
	int64_t seconds;
};

enum { SIEVE_VERSIONS_MAX = 32 };	/* messages that one run makes of one */

struct sieve_result {
	struct pb_arena *arena;
	struct sieve_action *actions;
	size_t nactions;
	bool implicit_keep;		/* nothing cancelled it: the caller keeps the message besides */
	struct sieve_action keep;	/* how the implicit keep is done: its flags, its version */
	bool edited;			/* editheader, replace, enclose: for some action at least, or in the end, the message is not what it came as */
	struct mail *mail;
	struct sieve_seen *seen;
	size_t nseen;
	int code;			/* 0, or why the run ended early; the actions are then none, implicit_keep is true */
	struct sieve_problem problem;
	uint64_t steps;
};

/* The whole message as it was for an action, while the message that was run is there. A version of 0 is what it came as. */
void sieve_result_message(const struct sieve_result *r, unsigned version, struct pb_buf *out);
void sieve_result_free(struct sieve_result *r);

/* ---- running ---- */

struct sieve_message {
	struct pb_str bytes;		/* as it is to be filtered */
	struct pb_str facts;		/* of bytes (message.h), or empty: then they are made */
	struct pb_str from, to;		/* envelope, without <> */
	const struct pb_str *more_to;	/* further recipients of the envelope, where the run is about several */
	size_t nmore_to;
	const struct pb_str *flags;	/* those it has already (RFC 6785): the internal variable of imap4flags begins with them */
	size_t nflags;
	struct pb_str orig_to, auth;	/* envelope "to" before rewriting, authenticated user */
};

struct sieve_limits {
	uint64_t steps;			/* 0: 1,000,000 */
	size_t memory;			/* bytes of variables and values; 0: 16 MiB */
	unsigned actions, redirects;	/* 0: 100, 10 */
};

/* What a script may ask. Each may be NULL: then the answer is "no" or empty. arg goes along. */
struct sieve_world {
	void *arg;
	int64_t (*now)(void *arg);					/* microseconds */
	bool (*environment)(void *arg, struct pb_str name, struct pb_buf *out);
	bool (*mailbox_exists)(void *arg, struct pb_str folder);
	bool (*mailbox_id_exists)(void *arg, struct pb_str id);
	bool (*special_use_exists)(void *arg, struct pb_str folder, struct pb_str use);	/* folder may be empty */
	bool (*metadata)(void *arg, struct pb_str folder, struct pb_str name, struct pb_buf *out);	/* folder empty: the server's */
	bool (*list_valid)(void *arg, struct pb_str list);
	bool (*list_has)(void *arg, struct pb_str list, struct pb_str value);
	bool (*seen)(void *arg, struct pb_str key, int64_t seconds, bool last);	/* RFC 7352: known within this time? */
	/* A script by name for include; a program that stays valid for the run. */
	const struct sieve_program *(*include)(void *arg, struct pb_str name, bool global);
	/* Spam score as RFC 5235 wants it (0: not tested, 1..10; percent: 0..100) and virus (0..5). */
	int (*spam)(void *arg, bool percent);
	int (*virus)(void *arg);
	/* An own test (vnd.postbus.*): value of an item such as "spf", as text; false: not known. "any_header" is not asked for: it is all fields' values. */
	bool (*item)(void *arg, struct pb_str name, struct pb_buf *out);
	/* Protected by the administrator: may this field be added, or deleted? NULL: all but those of RFC 5293. */
	bool (*may_edit)(void *arg, struct pb_str field, bool add);
	/* What each test saw and decided, for `filter test`. */
	void (*trace)(void *arg, unsigned line, const char *what, struct pb_str saw, bool outcome);
};

int sieve_run(const struct sieve_program *p, const struct sieve_message *m, const struct sieve_world *world, const struct sieve_limits *limits,
	      struct sieve_result *ret);

#endif
