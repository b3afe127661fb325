/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The machine's state, shared by its loop (machine.c), tests (test_*.c) and actions (action*.c). */
#ifndef SIEVE_MACHINE_H
#define SIEVE_MACHINE_H

#include "sieve/mail.h"
#include "sieve/match.h"
#include "sieve/reader.h"

enum { STEPS = 1000000, MEMORY = 16 << 20, ACTIONS = 100, REDIRECTS = 10, VALUE_MAX = 65536, INCLUDES_MAX = 20, INCLUDES_RUN_MAX = 1000, PATHS_MAX = 8 };

struct list {
	struct pb_str *items;
	size_t n;
};

struct value {
	bool there;
	enum form form;			/* F_NUMBER, F_STRING (expanded), F_LIST (expanded) */
	uint64_t number;
	struct list list;		/* F_STRING: one */
	struct pb_str one;
};

/* One word at work. */
struct call {
	enum word_id word;
	unsigned line;
	struct value slots[SLOTS];	/* of those not there nothing else is set */
	unsigned char used[SLOTS], nused;
};

struct global {
	struct global *next;
	struct pb_str name, value;
};

/* A program and its variables; an included script has one of its own. */
struct frame {
	const struct sieve_program *program;
	struct pb_str *values;
};

struct loop_state {
	uint32_t part, end;		/* the part at hand, and where its container ends */
	bool begun;
};

/* An address of the envelope, taken apart. */
struct path {
	struct path *next;
	struct pb_str text;		/* as it was given */
	struct mail_address address;
	bool is_address;
};

struct once {
	struct once *next;
	struct pb_str name;
};

struct machine {
	const struct sieve_world *world;
	const struct sieve_message *message;
	struct sieve_limits limits;
	struct sieve_result *result;
	struct pb_arena *arena;
	struct mail *mail;		/* lives as long as the result */
	struct regexes *regexes;
	uint64_t steps;			/* left */
	struct frame *frame;
	struct global *globals;
	struct captures captured;	/* texts in the arena */
	struct list flags;		/* the internal variable of imap4flags */
	struct loop_state loops[LOOPS_MAX];
	unsigned nloops, includes, included;
	struct once *once;
	struct path *paths;
	unsigned npaths;
	size_t actions_room, redirects;
	bool stopped;
	bool outcome;			/* of the last test */
};

/* ---- machine.c ---- */

/* Ends the run with an error. Gives false. */
bool machine_fail(struct machine *m, unsigned line, int code, const char *fmt, ...) PB_PRINTF(4, 5);
bool machine_run(struct machine *m, const struct sieve_program *p);
/* The part of foreverypart at hand; 0: the whole message. */
uint32_t machine_part(const struct machine *m);
void machine_trace(struct machine *m, const struct call *c, const char *what, struct pb_str saw, bool outcome);

/* ---- variables.c ---- */

struct pb_str variable_get(struct machine *m, uint32_t index);
void variable_set(struct machine *m, uint32_t index, struct pb_str value);
bool read_template(struct machine *m, struct reader *r, struct pb_str *ret);
/* A string of the code, with its form in front, expanded. Most are constant. */
static inline bool read_text(struct machine *m, struct reader *r, struct pb_str *ret)
{
	if (!r->rest.len || *r->rest.ptr != F_STRING)
		return read_template(m, r, ret);
	r->rest = pb_str(r->rest.ptr + 1, r->rest.len - 1);
	return read_string(r, ret);
}
void captures_keep(struct machine *m, const struct captures *c);
bool run_set(struct machine *m, const struct call *c);
struct pb_str modified(struct machine *m, const struct call *c, struct pb_str value);

/* ---- tests: outcome in *ret; false: the run ended ---- */

/* One test's matching: values come one by one, or as a count. */
struct matching {
	struct machine *m;
	const struct call *c;
	struct matcher how;
	struct list keys;
	uint64_t count;
	size_t nth;			/* which field of its name is meant, from 1; 0: all of them */
	bool captures, matched, bad_regex;
};

void matching_begin(struct matching *x, struct machine *m, const struct call *c, enum slot keys);
/* False: no more values are needed. */
bool matching_value(struct matching *x, struct pb_str value);
bool matching_end(struct matching *x, bool *ret);

/* Which field :index and :last mean (RFC 5260 6): fields are counted through all names of the test, one name behind the other, in this part. Gives its name, and sets
 * nth. False: there is none. */
bool field_indexed(struct matching *x, uint32_t part, const struct list *names, struct pb_str *ret_name);
/* The values of a part's fields of this name, or that of the nth; none where it is no name. */
size_t fields_chosen(struct matching *x, uint32_t part, struct pb_str name, bool decoded, struct pb_str **ret);

bool test_header(struct machine *m, const struct call *c, bool *ret);
bool test_address(struct machine *m, const struct call *c, bool *ret);
bool test_envelope(struct machine *m, const struct call *c, bool *ret);
bool test_any_header(struct machine *m, const struct call *c, bool *ret);	/* vnd_postbus_item "any_header" */
bool test_exists(struct machine *m, const struct call *c, bool *ret);
bool test_body(struct machine *m, const struct call *c, bool *ret);
bool test_date(struct machine *m, const struct call *c, bool *ret);
bool test_world(struct machine *m, const struct call *c, bool *ret);	/* all that ask the surroundings */
bool test_flags(struct machine *m, const struct call *c, bool *ret);

/* ---- actions ---- */

bool run_action(struct machine *m, const struct call *c);
bool run_flags(struct machine *m, const struct call *c);
bool run_edit(struct machine *m, const struct call *c);
struct list flags_split(struct machine *m, struct list words);

/* ---- mailto.c: RFC 5436 ---- */

/* Is it a method that can be used: a mailto URI of good form? */
bool notify_method_valid(struct pb_str method);

static inline struct pb_str call_str(const struct call *c, enum slot s)
{
	return c->slots[s].there && c->slots[s].list.n ? c->slots[s].list.items[0] : PB_NOSTR;
}

static inline uint64_t call_number(const struct call *c, enum slot s, uint64_t otherwise)
{
	return c->slots[s].there ? c->slots[s].number : otherwise;
}

#endif
