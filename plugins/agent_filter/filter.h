/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of agent_filter share. Filters are Sieve scripts that belong to an owner: the server, a post office, a mailbox. Each owner has named scripts,
 * one of which may be active, and rules that were built from words, which stand before it.
 *
 * Rows of the table "scripts", <owner> being "g", "p/<post office>" or "m/<mailbox id>":
 *	<owner> NUL s <name>	text of a script
 *	<owner> NUL a		name of the active one
 *	<owner> NUL r		the rules, as JSON (rules.c)
 *	<owner> NUL e		the fault that the owner was told of
 * The table "seen" remembers owner NUL key (RFC 7352), by the id of the message.
 */
#ifndef AGENT_FILTER_H
#define AGENT_FILTER_H

#include <pthread.h>
#include <stdatomic.h>
#include <postbus/bus.h>
#include <postbus/mailbox.h>
#include <postbus/plugin.h>
#include <postbus/queue.h>
#include <postbus/table.h>
#include "sieve/sieve.h"

enum { OWNER_MAX = 300, NAME_MAX_BYTES = 512, SCRIPTS_MAX = 999 };

struct programs;

struct filter {
	struct pb_host *host;
	struct pb_table *scripts, *seen;
	struct programs *programs;
	json_t *nothing;			/* the answer where there is nothing to run */
	pthread_mutex_t changes;		/* one change of scripts at a time */
	struct sieve_limits limits;
	size_t script_max, quota;		/* bytes of one; of all of an owner's */
	int64_t scripts_max, rules_max;
};

/* ---- owners (owner.c) ---- */

/* Whose scripts: "g", "p/demo" or "m/<id>". */
struct owner {
	char key[OWNER_MAX];
	size_t len;
};

static inline struct pb_str owner_str(const struct owner *o)
{
	return pb_str(o->key, o->len);
}
static inline bool owner_is_system(struct pb_str owner)
{
	return owner.len && owner.ptr[0] != 'm';
}

void owner_global(struct owner *o);
int owner_office(struct owner *o, struct pb_str postoffice, struct pb_error *err);
int owner_mailbox(struct owner *o, struct pb_str id, struct pb_error *err);
/* From a method's parameters "mailbox" and "postoffice", as far as the caller may: a user has his own mailbox alone, an administrator his post office and
 * its mailboxes. PB_EDENIED, PB_ENOTFOUND. */
int owner_of(struct filter *f, const struct pb_caller *who, const json_t *params, struct owner *ret, struct pb_error *err);
/* A key of the table: owner, kind, name. */
void owner_row(struct pb_buf *key, struct pb_str owner, char kind, struct pb_str name);

/* ---- scripts (scripts.c): the methods script.* ---- */

#define UNUSED __attribute__((unused))
#define METHOD(name) \
	int method_##name(void *self, UNUSED const struct pb_caller *who, const json_t *params, UNUSED json_t **ret_result, struct pb_error *err)
METHOD(script_put);
METHOD(script_get);
METHOD(script_list);
METHOD(script_delete);
METHOD(script_rename);
METHOD(script_activate);
METHOD(script_check);
METHOD(script_space);
METHOD(filter_run);
METHOD(filter_test);
METHOD(filter_add);
METHOD(filter_list);
METHOD(filter_show);
METHOD(filter_enable);
METHOD(filter_disable);
METHOD(filter_move);
METHOD(filter_delete);

/* RFC 5804 1.6, and what a table's key has room for. what: "script", "rule". */
int check_name(const char *what, struct pb_str name, struct pb_error *err);

/* PB_EINVALID with the first problem and its place in the text. ret may be NULL. */
int script_compile(struct filter *f, struct pb_str owner, struct pb_str text, struct sieve_program **ret, struct pb_error *err);
/* Everything of an owner goes. */
int scripts_forget(struct filter *f, struct pb_str owner, struct pb_error *err);
/* Write rows of an owner: what was compiled of his before, and the fault he was told of, is forgotten. With f->changes held. */
int scripts_apply(struct filter *f, struct pb_str owner, const struct pb_change *changes, size_t n, struct pb_error *err);

/* ---- rules (rules.c) ---- */

/* The script that an owner's rules are, from the row; empty where there is none that is enabled. All that they require stands at its head. */
int rules_script(struct pb_str row, struct pb_buf *out, struct pb_error *err);
int rules_parse(struct pb_str row, json_t **ret, struct pb_error *err);
/* The rules themselves, in order; an empty list where there are none. */
int rules_read(struct filter *f, struct pb_str owner, json_t **ret, struct pb_error *err);
/* Which of them has this line of their script? NULL: none. */
const char *rules_at(const json_t *rules, unsigned line);

/* ---- programs (programs.c) ---- */

/* What runs for an owner, shared by all who run it. Release it. */
struct compiled {
	atomic_int refs;
	size_t n;
	struct sieve_program *list[2];		/* the rules, the active script */
	bool rules;				/* the first of them is the rules */
	bool broken;
	char fault[300];			/* of what could not be compiled */
	struct compiled *next, *older;
	bool used;
	uint64_t hash;
	size_t key_len;
	char key[];				/* owner; or owner NUL name, for include */
};

struct programs *programs_new(size_t limit);
void programs_free(struct programs *all);
/* Never NULL where 0 is returned; n is 0 for an owner without scripts. */
int programs_get(struct filter *f, struct pb_str owner, struct compiled **ret, struct pb_error *err);
/* A script by its name, for include: n is 1, or 0 where there is none. */
int programs_named(struct filter *f, struct pb_str owner, struct pb_str name, struct compiled **ret, struct pb_error *err);
void compiled_release(struct compiled *c);
void programs_forget(struct filter *f, struct pb_str owner);

/* ---- a run (run.c, world.c, actions.c) ---- */

struct run {
	struct filter *f;
	const struct pb_subject *about;
	const json_t *params;
	struct pb_str owner;			/* of the script that runs */
	struct pb_str mailbox, postoffice, recipient;
	struct pb_mailbox *box;			/* opened when it is asked for */
	struct compiled *held[16];		/* included ones */
	size_t nheld;
	struct pb_str facts;			/* of the message as it came */
	struct pb_str header;
	json_t *trace;				/* array, or NULL */
	json_t *rules;				/* with a trace: those that run, or NULL */
};

void world_of(struct sieve_world *w, struct run *r);
/* items.c, for the world: arg is the run. */
bool item_text(void *arg, struct pb_str name, struct pb_buf *out);
int item_spam(void *arg, bool percent);
int item_virus(void *arg);
void run_end(struct run *r);
/* The address of the group that a list stands for; empty: it is no list of ours. */
struct pb_str list_group(struct pb_str list);
/* What a script wants done, as an object of the result's "actions". */
json_t *action_json(const struct sieve_action *a, unsigned version, struct pb_str owner, int64_t now);
void seen_remember(struct run *r, const struct sieve_seen *list, size_t n);

/* ---- telling (notice.c) ---- */

/* A fault of an owner's scripts: logged, and told to him once. */
void notice_fault(struct run *r, const char *fault);

/* Text that may be no UTF-8 as a JSON string: then it is taken as ISO 8859-1. */
json_t *json_text(struct pb_str s);

#endif
