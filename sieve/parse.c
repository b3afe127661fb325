/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The grammar of RFC 5228 section 8.2, by recursive descent with a limit. Which words there are, and what they take, is check.c's. */
#include <stdarg.h>
#include <stdio.h>
#include "sieve/ast.h"
#include "sieve/lex.h"

struct parser {
	struct compiler *c;
	struct lexer lexer;
	struct token now;
	unsigned depth;
};

bool complain(struct compiler *c, struct place at, const char *fmt, ...)
{
	struct sieve_problem *p;
	va_list ap;

	if (c->problems->n++ >= SIEVE_PROBLEMS_MAX)
		return false;
	p = &c->problems->list[c->problems->n - 1];
	p->line = at.line;
	p->column = at.column;
	va_start(ap, fmt);
	vsnprintf(p->text, sizeof p->text, fmt, ap);
	va_end(ap);
	return false;
}

static struct place here(const struct parser *p)
{
	return (struct place){ p->now.line, p->now.column };
}

static void advance(struct parser *p)
{
	lex_next(&p->lexer, &p->now);
}

static bool is(const struct parser *p, char c)
{
	return p->now.kind == T_PUNCTUATION && p->now.c == c;
}

static bool take(struct parser *p, char c)
{
	if (!is(p, c))
		return false;
	advance(p);
	return true;
}

static bool unexpected(struct parser *p, const char *wanted)
{
	switch (p->now.kind) {
	case T_BAD:
		return complain(p->c, here(p), "%.*s", PB_FMT(p->now.text));
	case T_END:
		return complain(p->c, here(p), "expected %s, found the end of the script", wanted);
	case T_PUNCTUATION:
		return complain(p->c, here(p), "expected %s, found '%c'", wanted, p->now.c);
	case T_NUMBER:
		return complain(p->c, here(p), "expected %s, found a number", wanted);
	case T_STRING:
		return complain(p->c, here(p), "expected %s, found a string", wanted);
	default:
		return complain(p->c, here(p), "expected %s, found '%s%.*s'", wanted, p->now.kind == T_TAG ? ":" : "", PB_FMT(pb_str_head(p->now.text, 80)));
	}
}

static bool need(struct parser *p, char c)
{
	char wanted[4] = { '\'', c, '\'', '\0' };

	return take(p, c) || unexpected(p, wanted);
}

/* "[" string *("," string) "]" */
static bool string_list(struct parser *p, struct argument *a)
{
	size_t room = 8;

	a->kind = A_LIST;
	a->strings = pb_arena_alloc(p->c->arena, room * sizeof a->strings[0]);
	advance(p);
	do {
		if (p->now.kind != T_STRING)
			return unexpected(p, "a string");
		if (a->n == LIST_MAX)
			return complain(p->c, here(p), "a list of more than %d strings", LIST_MAX);
		if (a->n == room) {
			struct pb_str *more = pb_arena_alloc(p->c->arena, 2 * room * sizeof a->strings[0]);

			memcpy(more, a->strings, room * sizeof a->strings[0]);
			a->strings = more;
			room *= 2;
		}
		a->strings[a->n++] = p->now.text;
		advance(p);
	} while (take(p, ','));
	return need(p, ']');
}

static bool one_argument(struct parser *p, struct argument *a)
{
	a->at = here(p);
	if (is(p, '['))
		return string_list(p, a);
	a->kind = p->now.kind == T_NUMBER ? A_NUMBER : p->now.kind == T_TAG ? A_TAG : A_STRING;
	a->number = p->now.number;
	a->strings = pb_arena_alloc(p->c->arena, sizeof a->strings[0]);
	a->strings[0] = p->now.text;
	a->n = 1;
	advance(p);
	return true;
}

static bool arguments(struct parser *p, struct node *node)
{
	struct argument **end = &node->arguments;

	for (unsigned n = 0; p->now.kind == T_NUMBER || p->now.kind == T_TAG || p->now.kind == T_STRING || is(p, '['); n++) {
		if (n == ARGUMENTS_MAX)
			return complain(p->c, here(p), "more than %d arguments", ARGUMENTS_MAX);
		*end = pb_arena_alloc(p->c->arena, sizeof **end);
		if (!one_argument(p, *end))
			return false;
		end = &(*end)->next;
	}
	return true;
}

static bool enter(struct parser *p)
{
	return ++p->depth <= NESTING_MAX || complain(p->c, here(p), "nested deeper than %d", NESTING_MAX);
}

static bool test(struct parser *p, struct node **ret);

/* A test, or "(" test *("," test) ")". */
static bool tests(struct parser *p, struct node *node)
{
	struct node **end = &node->tests;

	if (p->now.kind == T_WORD)
		return test(p, &node->tests);
	if (!take(p, '('))
		return true;
	node->has_list = true;
	do {
		if (!test(p, end))
			return false;
		end = &(*end)->next;
	} while (take(p, ','));
	return need(p, ')');
}

static bool begin(struct parser *p, struct node **ret)
{
	struct node *node = *ret = pb_arena_alloc(p->c->arena, sizeof *node);

	if (p->now.kind != T_WORD)
		return unexpected(p, "a command or a test");
	node->at = here(p);
	node->name = p->now.text;
	advance(p);
	return arguments(p, node) && tests(p, node);
}

static bool test(struct parser *p, struct node **ret)
{
	bool good = enter(p) && begin(p, ret);

	p->depth--;
	return good;
}

static bool commands(struct parser *p, struct node **ret, bool in_block);

static bool command(struct parser *p, struct node **ret)
{
	if (!begin(p, ret))
		return false;
	if (!take(p, '{'))
		return is(p, ';') ? (advance(p), true) : unexpected(p, "';'");
	(*ret)->has_block = true;
	return enter(p) && commands(p, &(*ret)->block, true) && (p->depth--, true);
}

static bool commands(struct parser *p, struct node **ret, bool in_block)
{
	for (; !(in_block ? is(p, '}') : p->now.kind == T_END); ret = &(*ret)->next)
		if (!command(p, ret))
			return false;
	return !in_block || take(p, '}');
}

bool parse_script(struct compiler *c, struct pb_str script, struct node **ret)
{
	struct parser p = { .c = c, .lexer = { .script = script, .line = 1, .arena = c->arena } };

	*ret = NULL;
	/* A byte order mark is no part of the script. */
	if (pb_str_starts(script, PB_STR("\xEF\xBB\xBF")))
		p.lexer.at = p.lexer.line_start = 3;
	advance(&p);
	return commands(&p, ret, false);
}
