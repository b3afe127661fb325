/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The byte code: what the compiler writes and the machine reads. A program is a header, the names of its variables and the code.
 * Tests leave their outcome in one register, which jumps and OP_NOT look at. Jumps are absolute, four bytes, little-endian.
 */
#ifndef SIEVE_CODE_H
#define SIEVE_CODE_H

#include "sieve/match.h"
#include "sieve/sieve.h"
#include "sieve/words.h"

enum { CODE_VERSION = 1, VARIABLES_MAX = 1000, LOOPS_MAX = 8 };

enum op {
	OP_END, OP_CALL, OP_NOT, OP_TRUE, OP_FALSE, OP_JUMP, OP_IF_FALSE, OP_IF_TRUE, OP_STOP, OP_RETURN,
	OP_LOOP,			/* begin foreverypart */
	OP_NEXT_PART,			/* the next part, or out of the loop: jump */
	OP_LEAVE			/* so many loops (a byte) */
};

/* OP_CALL word line slots, then for each: slot, form, value. */
enum form {
	F_NUMBER,			/* varint */
	F_STRING,			/* varint length, bytes */
	F_TEMPLATE,			/* varint pieces; each a form (F_STRING, or below) */
	F_LIST,				/* varint n; each F_STRING or F_TEMPLATE */
	F_VARIABLE,			/* varint: in the program's table */
	F_MATCHED,			/* varint: match value */
	F_ENVIRONMENT			/* varint length, bytes: a name of another namespace */
};

struct variable {
	struct pb_str name;		/* lower case */
	bool global;
};

struct sieve_program {
	struct pb_buf bytes;
	struct variable *variables;
	uint32_t nvariables;
	struct pb_str code;
	struct constant_regex *regexes;
	size_t nregexes;
};

#endif
