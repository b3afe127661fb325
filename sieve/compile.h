/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The compiler's state, shared by control (compile.c), arguments (arguments.c) and strings (strings.c). */
#ifndef SIEVE_COMPILE_H
#define SIEVE_COMPILE_H

#include "sieve/ast.h"
#include "sieve/reader.h"

enum { REQUIRED_MAX = 100 };

struct loop {
	struct pb_str name;
	size_t exits[64];		/* jumps to be set to the end */
	size_t nexits;
};

struct emitter {
	struct compiler c;
	struct pb_buf code;
	struct pb_str required[REQUIRED_MAX];
	size_t nrequired;
	struct variable variables[VARIABLES_MAX];
	uint32_t nvariables;
	bool qualified[VARIABLES_MAX];	/* written "global.x": the script may have an x of its own */
	bool is_set[VARIABLES_MAX];	/* by what stands before */
	struct loop loops[LOOPS_MAX];
	unsigned nloops;
};

/* Of a script without faults (warn.c). */
void warnings_find(struct compiler *c, const struct node *node);
bool is_required(const struct emitter *e, const char *extensions);
/* One word with its arguments as OP_CALL. */
bool emit_call(struct emitter *e, const struct word *w, const struct node *node);
/* A string with its form in front: plain, or a template where it has variables. */
bool emit_string(struct emitter *e, struct place at, struct pb_str text);
/* The table's index of a variable, made on first use. False: too many, or no name. */
bool variable_index(struct emitter *e, struct place at, struct pb_str name, uint32_t *ret);
/* The same for what sets it: also "global.x" (RFC 6609 3.4.2). */
bool variable_to_set(struct emitter *e, struct place at, struct pb_str name, uint32_t *ret);
/* Text without variables, with encoded characters turned into bytes; in the arena. */
bool constant_string(struct emitter *e, struct place at, struct pb_str text, struct pb_str *ret);

#endif
