/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a script says that is no fault, but hardly what its author meant: commands that are never reached, actions that cannot stand together. */
#include <stdarg.h>
#include <stdio.h>
#include "sieve/compile.h"

static void warn(struct compiler *c, struct place at, const char *fmt, ...) PB_PRINTF(3, 4);

static void warn(struct compiler *c, struct place at, const char *fmt, ...)
{
	struct sieve_problem *p;
	va_list ap;

	if (c->problems->nwarnings == SIEVE_PROBLEMS_MAX)
		return;
	p = &c->problems->warnings[c->problems->nwarnings++];
	p->line = at.line;
	p->column = at.column;
	va_start(ap, fmt);
	vsnprintf(p->text, sizeof p->text, fmt, ap);
	va_end(ap);
}

static bool is_one_of(const struct node *node, const char *names)
{
	struct pb_str rest = pb_strz(names), one;

	while (pb_str_word(&rest, &one))
		if (pb_str_ieq(node->name, one))
			return true;
	return false;
}

/* Commands of one block follow each other whatever the message is. */
void warnings_find(struct compiler *c, const struct node *node)
{
	const struct node *refuses = NULL, *keeps = NULL, *answers = NULL;

	for (; node; node = node->next) {
		const struct node *other = NULL;

		warnings_find(c, node->block);
		if (is_one_of(node, "reject ereject"))
			other = refuses ? refuses : keeps, refuses = node;
		else if (is_one_of(node, "keep fileinto redirect vacation"))
			other = refuses, keeps = node;
		if (other)
			warn(c, node->at, "'%.*s' behind '%.*s' of line %u ends the script with an error: a message is refused once, and then nothing else is done with it",
			     PB_FMT(pb_str_head(node->name, 20)), PB_FMT(pb_str_head(other->name, 20)), other->at.line);
		if (is_one_of(node, "vacation")) {
			if (answers)
				warn(c, node->at, "a second 'vacation' behind that of line %u ends the script with an error: one answers a message", answers->at.line);
			answers = node;
		}
		if (is_one_of(node, "stop return break") && node->next) {
			warn(c, node->next->at, "what stands behind '%.*s' is never done", PB_FMT(pb_str_head(node->name, 20)));
			return;
		}
	}
}
