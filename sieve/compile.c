/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From the parsed script to byte code: control, tests that are combined, what is required. One pass; after a problem it goes on with the next
 * command, so that a script's author sees more than one.
 */
#include <stdlib.h>
#include <postbus/address.h>
#include "sieve/compile.h"

static bool block(struct emitter *e, const struct node *node, bool top);
static bool test(struct emitter *e, const struct node *node);

/* ---- extensions ---- */

bool is_required(const struct emitter *e, const char *extensions)
{
	struct pb_str rest = pb_strz(extensions), one;

	while (pb_str_cut(&rest, '|', &one))
		for (size_t i = 0; i < e->nrequired; i++)
			if (pb_str_eq(e->required[i], one))
				return true;
	return false;
}

static bool is_had(const struct emitter *e, struct pb_str name)
{
	const struct sieve_options *o = e->c.options;
	struct pb_str rest = pb_strz(o->without), one;

	while (o->without && pb_str_word(&rest, &one))
		if (pb_str_eq(one, name))
			return false;
	return extension_known(name, o->system);
}

static bool require_one(struct emitter *e, struct place at, struct pb_str name)
{
	if (!is_had(e, name))
		return complain(&e->c, at, "the extension \"%.*s\" is not known here", PB_FMT(pb_str_head(name, 100)));
	if (e->nrequired == REQUIRED_MAX)
		return complain(&e->c, at, "more than %d extensions", REQUIRED_MAX);
	e->required[e->nrequired++] = name;
	/* RFC 5235 2.1, RFC 6131 2: the larger ones bring the smaller ones. */
	if (pb_str_eq(name, PB_STR("spamtestplus")))
		return require_one(e, at, PB_STR("spamtest"));
	if (pb_str_eq(name, PB_STR("vacation-seconds")))
		return require_one(e, at, PB_STR("vacation"));
	return true;
}

static bool strings_of(struct emitter *e, const struct node *node, const struct argument **ret)
{
	const struct argument *a = node->arguments;

	if (!a || a->next || (a->kind != A_STRING && a->kind != A_LIST))
		return complain(&e->c, node->at, "'%.*s' wants a string or a list", PB_FMT(node->name));
	*ret = a;
	return true;
}

static bool require(struct emitter *e, const struct node *node)
{
	const struct argument *a;
	bool good = strings_of(e, node, &a);

	for (size_t i = 0; good && i < a->n; i++)
		good = require_one(e, a->at, a->strings[i]);
	return good;
}

/* ---- jumps ---- */

static size_t jump(struct emitter *e, enum op op)
{
	pb_buf_addc(&e->code, (char)op);
	pb_buf_add(&e->code, "\0\0\0\0", 4);
	return e->code.len - 4;
}

static void land(struct emitter *e, size_t at, size_t target)
{
	for (int i = 0; i < 4; i++)
		e->code.ptr[at + i] = (char)(target >> 8 * i);
}

/* ---- tests ---- */

/* RFC 5463 4: can it be decided now? 1, 0, or -1. "variables" and "encoded-character" change how strings are read, which is too late here. */
static int decided(struct emitter *e, const struct node *node, bool *ret_asks)
{
	const struct word *w = word_find(node->name, true);
	int all = 1, any = 0;

	if (!w)
		return -1;
	if (w->id == W_TRUE || w->id == W_FALSE)
		return w->id == W_TRUE;
	if (w->id == W_IHAVE && node->arguments) {
		*ret_asks = true;
		for (size_t i = 0; i < node->arguments->n; i++) {
			struct pb_str name = node->arguments->strings[i];

			if (!is_had(e, name) || pb_str_eq(name, PB_STR("variables")) || pb_str_eq(name, PB_STR("encoded-character")))
				return 0;
		}
		return 1;
	}
	if (w->id != W_NOT && w->id != W_ALLOF && w->id != W_ANYOF)
		return -1;
	for (const struct node *t = node->tests; t; t = t->next) {
		int one = decided(e, t, ret_asks);

		if (w->id == W_NOT)
			return one < 0 ? -1 : !one;
		all = one == 0 || all == 0 ? 0 : one < 0 ? -1 : all;
		any = one == 1 || any == 1 ? 1 : one < 0 ? -1 : any;
	}
	return w->id == W_ALLOF ? all : any;
}

/* What ihave found is required from here on. */
static void enable(struct emitter *e, const struct node *node)
{
	if (pb_str_ieq(node->name, PB_STR("ihave")) && node->arguments)
		for (size_t i = 0; i < node->arguments->n; i++)
			if (is_had(e, node->arguments->strings[i]) && e->nrequired < REQUIRED_MAX)
				require_one(e, node->at, node->arguments->strings[i]);
	for (const struct node *t = node->tests; t; t = t->next)
		enable(e, t);
}

static bool several(struct emitter *e, const struct node *node, enum op leave)
{
	size_t exits[256], n = 0;

	if (!node->has_list)
		return complain(&e->c, node->at, "'%.*s' wants tests in parentheses", PB_FMT(node->name));
	for (const struct node *t = node->tests; t; t = t->next) {
		if (n == sizeof exits / sizeof exits[0])
			return complain(&e->c, t->at, "more than 256 tests");
		if (!test(e, t))
			return false;
		if (t->next)
			exits[n++] = jump(e, leave);
	}
	while (n)
		land(e, exits[--n], e->code.len);
	return true;
}

static bool test(struct emitter *e, const struct node *node)
{
	const struct word *w = word_find(node->name, true);
	bool asks = false;

	if (!w)
		return complain(&e->c, node->at, "unknown test '%.*s'", PB_FMT(pb_str_head(node->name, 100)));
	if (w->id != W_NOT && w->id != W_ALLOF && w->id != W_ANYOF && node->tests)
		return complain(&e->c, node->at, "'%s' takes no tests", w->name);
	switch (w->id) {
	case W_TRUE:
	case W_FALSE:
		pb_buf_addc(&e->code, w->id == W_TRUE ? OP_TRUE : OP_FALSE);
		return !node->arguments || complain(&e->c, node->at, "'%s' takes no arguments", w->name);
	case W_NOT:
		if (!node->tests || node->has_list)
			return complain(&e->c, node->at, "'not' wants one test");
		if (!test(e, node->tests))
			return false;
		pb_buf_addc(&e->code, OP_NOT);
		return true;
	case W_ALLOF:
		return several(e, node, OP_IF_FALSE);
	case W_ANYOF:
		return several(e, node, OP_IF_TRUE);
	case W_IHAVE:
		if (!is_required(e, "ihave"))
			return complain(&e->c, node->at, "'ihave' needs the extension \"ihave\", which is not required");
		pb_buf_addc(&e->code, decided(e, node, &asks) == 1 ? OP_TRUE : OP_FALSE);
		return true;
	default:
		return emit_call(e, w, node);
	}
}

/* ---- control ---- */

/* if, elsif, else: a chain of siblings. Gives the last of it. */
static bool chain(struct emitter *e, const struct node **at)
{
	size_t ends[256], n = 0, next = 0;
	bool good = true, open = false;

	for (const struct node *node = *at;; node = node->next) {
		bool is_else = pb_str_ieq(node->name, PB_STR("else")), asks = false;
		int known;

		*at = node;
		if (open)
			land(e, next, e->code.len);
		open = false;
		if (!node->has_block)
			return complain(&e->c, node->at, "'%.*s' wants a block", PB_FMT(node->name));
		if (is_else ? node->tests || node->arguments : !node->tests || node->has_list || node->arguments)
			return complain(&e->c, node->at, is_else ? "'else' takes nothing" : "'%.*s' wants one test", PB_FMT(node->name));
		known = is_else ? 1 : decided(e, node->tests, &asks);
		if (asks && known == 0) {
			/* RFC 5463 4: what is not there may not even be looked at. */
			next = jump(e, OP_JUMP);
			open = true;
		} else {
			if (asks && known == 1)
				enable(e, node->tests);
			if (!is_else) {
				good &= test(e, node->tests);
				next = jump(e, OP_IF_FALSE);
				open = true;
			}
			good &= block(e, node->block, false);
		}
		if (is_else || !node->next || !(pb_str_ieq(node->next->name, PB_STR("elsif")) || pb_str_ieq(node->next->name, PB_STR("else"))))
			break;
		if (n == sizeof ends / sizeof ends[0])
			return complain(&e->c, node->at, "more than 256 branches");
		ends[n++] = jump(e, OP_JUMP);
	}
	if (open)
		land(e, next, e->code.len);
	while (n)
		land(e, ends[--n], e->code.len);
	return good;
}

static bool loop_name(struct emitter *e, const struct node *node, struct pb_str *ret)
{
	const struct argument *a = node->arguments;

	*ret = PB_NOSTR;
	if (!a)
		return true;
	if (a->kind != A_TAG || !pb_str_ieq(a->strings[0], PB_STR("name")) || !a->next || a->next->kind != A_STRING || a->next->next)
		return complain(&e->c, a->at, "'%.*s' takes :name and a string", PB_FMT(node->name));
	return constant_string(e, a->at, a->next->strings[0], ret);
}

static bool foreverypart(struct emitter *e, const struct node *node)
{
	struct loop *l = &e->loops[e->nloops];
	size_t top, out;
	bool good;

	if (e->nloops == LOOPS_MAX)
		return complain(&e->c, node->at, "more than %d loops in each other", LOOPS_MAX);
	if (!node->has_block || node->tests)
		return complain(&e->c, node->at, "'foreverypart' wants a block");
	*l = (struct loop){ .nexits = 0 };
	if (!loop_name(e, node, &l->name))
		return false;
	e->nloops++;
	pb_buf_addc(&e->code, OP_LOOP);
	top = e->code.len;
	out = jump(e, OP_NEXT_PART);
	good = block(e, node->block, false);
	land(e, jump(e, OP_JUMP), top);
	land(e, out, e->code.len);
	for (size_t i = 0; i < l->nexits; i++)
		land(e, l->exits[i], e->code.len);
	e->nloops--;
	return good;
}

static bool leave(struct emitter *e, const struct node *node)
{
	unsigned up = e->nloops;
	struct pb_str name;
	struct loop *l;

	if (!loop_name(e, node, &name))
		return false;
	while (up && name.ptr && !pb_str_eq(e->loops[up - 1].name, name))
		up--;
	if (!up)
		return complain(&e->c, node->at, e->nloops ? "no loop around has this name" : "'break' outside of a loop");
	l = &e->loops[up - 1];
	if (l->nexits == sizeof l->exits / sizeof l->exits[0])
		return complain(&e->c, node->at, "more than 64 breaks of one loop");
	pb_buf_addc(&e->code, OP_LEAVE);
	pb_buf_addc(&e->code, (char)(e->nloops - up + 1));
	l->exits[l->nexits++] = jump(e, OP_JUMP);
	return true;
}

/* An address that is written out is looked at now; one with variables, or a list, when it is known. */
static bool check_redirect(struct emitter *e, const struct node *node)
{
	const struct argument *last = NULL;
	struct pb_error err;

	for (const struct argument *a = node->arguments; a; a = a->next) {
		if (a->kind == A_TAG && pb_str_ieq(a->strings[0], PB_STR("list")))
			return true;
		last = a;
	}
	if (!last || last->kind != A_STRING || pb_str_search(last->strings[0], PB_STR("${"), 0) >= 0 || pb_address_parse(last->strings[0], PB_PATH_UTF8, NULL, &err) == 0)
		return true;
	return complain(&e->c, last->at, "'redirect' to \"%.*s\": %s", PB_FMT(pb_str_head(last->strings[0], 80)), err.text);
}

static bool globals(struct emitter *e, const struct node *node)
{
	const struct argument *a;

	if (!strings_of(e, node, &a))
		return false;
	for (size_t i = 0; i < a->n; i++) {
		struct pb_str name;
		uint32_t index;

		if (!constant_string(e, a->at, a->strings[i], &name) || !variable_index(e, a->at, name, &index))
			return false;
		if (e->is_set[index] && !e->variables[index].global)	/* RFC 6609 3.4.1 */
			return complain(&e->c, a->at, "'global' \"%.*s\" stands behind a 'set' of that variable", PB_FMT(pb_str_head(name, 60)));
		e->variables[index].global = true;
	}
	return true;
}

static bool command(struct emitter *e, const struct node **at, bool may_require)
{
	const struct node *node = *at;
	const struct word *w = word_find(node->name, false);

	if (!w)
		return complain(&e->c, node->at, "unknown command '%.*s'", PB_FMT(pb_str_head(node->name, 100)));
	if (w->id == W_IF)
		return chain(e, at);
	if (w->id == W_ELSIF || w->id == W_ELSE)
		return complain(&e->c, node->at, "'%s' without an 'if' before it", w->name);
	if (w->extension && !is_required(e, w->extension))
		return complain(&e->c, node->at, "'%s' needs the extension \"%s\", which is not required", w->name, w->extension);
	if (w->id == W_FOREVERYPART)
		return foreverypart(e, node);
	if (node->has_block || node->tests)
		return complain(&e->c, node->at, "'%s' takes %s", w->name, node->has_block ? "no block" : "no test");
	switch (w->id) {
	case W_REQUIRE:
		return may_require ? require(e, node) : complain(&e->c, node->at, "'require' stands before all other commands");
	case W_STOP:
	case W_RETURN:
		pb_buf_addc(&e->code, w->id == W_STOP ? OP_STOP : OP_RETURN);
		return !node->arguments || complain(&e->c, node->at, "'%s' takes no arguments", w->name);
	case W_BREAK:
		return leave(e, node);
	case W_GLOBAL:
		return globals(e, node);
	case W_REDIRECT:
		return check_redirect(e, node) && emit_call(e, w, node);
	default:
		return emit_call(e, w, node);
	}
}

static bool block(struct emitter *e, const struct node *node, bool top)
{
	bool good = true, may_require = top;

	for (; node; node = node->next) {
		may_require = may_require && pb_str_ieq(node->name, PB_STR("require"));
		good &= command(e, &node, may_require);
	}
	return good;
}

int sieve_compile(struct pb_str script, const struct sieve_options *options, struct sieve_program **ret, struct sieve_problems *problems)
{
	static const struct sieve_options plain;
	struct sieve_problems own;
	struct emitter *e = pb_alloc(sizeof *e);
	struct node *tree;
	int rc = PB_EINVALID;

	problems = problems ? problems : &own;
	problems->n = problems->nwarnings = 0;
	e->c = (struct compiler){ pb_arena_new(), options ? options : &plain, problems };
	if (script.len > (e->c.options->script_max ? e->c.options->script_max : 1 << 20)) {
		complain(&e->c, (struct place){ 1, 1 }, "a script of %zu bytes is too large", script.len);
		rc = PB_ETOOBIG;
	} else if (parse_script(&e->c, script, &tree) && block(e, tree, true) && !problems->n) {
		pb_buf_addc(&e->code, OP_END);
		warnings_find(&e->c, tree);
		rc = program_make(e->variables, e->nvariables, pb_buf_str(&e->code), ret);
	}
	pb_buf_free(&e->code);
	pb_arena_free(e->c.arena);
	free(e);
	return rc;
}
