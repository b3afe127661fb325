/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The loop over byte code, calls with their arguments, includes, and what bounds a run. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "sieve/machine.h"

bool machine_fail(struct machine *m, unsigned line, int code, const char *fmt, ...)
{
	va_list ap;

	m->result->code = code;
	m->result->problem = (struct sieve_problem){ .line = line, .column = 1 };
	va_start(ap, fmt);
	vsnprintf(m->result->problem.text, sizeof m->result->problem.text, fmt, ap);
	va_end(ap);
	m->stopped = true;
	return false;
}

uint32_t machine_part(const struct machine *m)
{
	return m->nloops ? m->loops[m->nloops - 1].part : 0;
}

void machine_trace(struct machine *m, const struct call *c, const char *what, struct pb_str saw, bool outcome)
{
	if (m->world->trace)
		m->world->trace(m->world->arg, c->line, what, saw, outcome);
}

/* ---- calls ---- */

static bool read_list(struct machine *m, struct reader *r, struct list *ret)
{
	uint64_t n;

	if (!read_number(r, &n) || n > r->rest.len)
		return false;
	ret->n = n;
	if (n != 1)
		ret->items = pb_arena_alloc(m->arena, (n + 1) * sizeof ret->items[0]);
	for (uint64_t i = 0; i < n; i++)
		if (!read_text(m, r, &ret->items[i]))
			return false;
	return true;
}

static bool read_value(struct machine *m, struct reader *r, struct value *ret)
{
	unsigned char form = r->rest.len ? (unsigned char)*r->rest.ptr : 0;

	ret->there = true;
	ret->form = form;
	ret->list = (struct list){ &ret->one, 1 };
	if (form == F_NUMBER || form == F_LIST) {
		read_byte(r, &form);
		return form == F_NUMBER ? read_number(r, &ret->number) : read_list(m, r, &ret->list);
	}
	return read_text(m, r, &ret->one);
}

static bool read_call(struct machine *m, struct reader *r, struct call *c)
{
	unsigned char word, n, slot;
	uint64_t line;

	if (!read_byte(r, &word) || !read_number(r, &line) || !read_byte(r, &n))
		return false;
	c->word = word;
	c->line = (unsigned)line;
	while (c->nused)
		c->slots[c->used[--c->nused]].there = false;
	while (n--) {
		if (!read_byte(r, &slot) || slot >= SLOTS || c->slots[slot].there || !read_value(m, r, &c->slots[slot]))
			return false;
		c->used[c->nused++] = slot;
	}
	return true;
}

/* ---- include (RFC 6609) ---- */

static bool is_done(struct machine *m, struct pb_str name)
{
	struct once *o;

	for (o = m->once; o; o = o->next)
		if (pb_str_eq(o->name, name))
			return true;
	o = pb_arena_alloc(m->arena, sizeof *o);
	*o = (struct once){ m->once, name };
	m->once = o;
	return false;
}

static bool run_include(struct machine *m, const struct call *c)
{
	struct pb_str name = call_str(c, S_1);
	bool global = call_number(c, S_GLOBAL, 0);
	const struct sieve_program *p;
	bool good, before;

	before = is_done(m, pb_arena_str(m->arena, pb_strz(pb_arena_printf(m->arena, "%d/%.*s", global, PB_FMT(name)))));
	if (before && call_number(c, S_ONCE, 0))
		return true;
	p = m->world->include ? m->world->include(m->world->arg, name, global) : NULL;
	if (!p)
		return call_number(c, S_OPTIONAL, 0) || machine_fail(m, c->line, PB_ENOTFOUND, "there is no script \"%.*s\" to include", PB_FMT(pb_str_head(name, 100)));
	if (m->includes == INCLUDES_MAX || m->included == INCLUDES_RUN_MAX)
		return machine_fail(m, c->line, PB_ETOOBIG, "too many scripts include each other");
	m->includes++;
	m->included++;
	good = machine_run(m, p);
	m->includes--;
	return good;
}

/* ---- the loop ---- */

static bool run_test(struct machine *m, const struct call *c)
{
	switch (c->word) {
	case W_HEADER:
		return test_header(m, c, &m->outcome);
	case W_ADDRESS:
		return test_address(m, c, &m->outcome);
	case W_ENVELOPE:
		return test_envelope(m, c, &m->outcome);
	case W_EXISTS:
		return test_exists(m, c, &m->outcome);
	case W_BODY:
		return test_body(m, c, &m->outcome);
	case W_DATE:
	case W_CURRENTDATE:
		return test_date(m, c, &m->outcome);
	case W_HASFLAG:
		return test_flags(m, c, &m->outcome);
	default:
		return test_world(m, c, &m->outcome);
	}
}

static bool run_call(struct machine *m, const struct call *c)
{
	switch (c->word) {
	case W_INCLUDE:
		return run_include(m, c);
	case W_SET:
		return run_set(m, c);
	case W_SETFLAG:
	case W_ADDFLAG:
	case W_REMOVEFLAG:
		return run_flags(m, c);
	case W_ADDHEADER:
	case W_DELETEHEADER:
	case W_REPLACE:
	case W_ENCLOSE:
	case W_EXTRACTTEXT:
		return run_edit(m, c);
	case W_ERROR:
		return machine_fail(m, c->line, PB_EINVALID, "%.*s", PB_FMT(pb_str_head(call_str(c, S_1), 180)));
	default:
		return c->word >= W_ADDRESS ? run_test(m, c) : run_action(m, c);
	}
}

/* RFC 5703 3: all parts below the one at hand, or of the message; without a loop around, the message itself is the first. */
static void loop_begin(struct machine *m)
{
	uint32_t part = machine_part(m);
	struct loop_state *l = &m->loops[m->nloops++];

	*l = (struct loop_state){ .part = m->nloops > 1 ? part : 0, .end = mail_part_end(m->mail, part) };
}

static bool loop_next(struct machine *m)
{
	struct loop_state *l = &m->loops[m->nloops - 1];

	if (l->begun || m->nloops > 1)
		l->part++;
	l->begun = true;
	return l->part < l->end && l->part < m->mail->nparts;
}

static bool read_target(struct reader *r, size_t size, uint32_t *ret)
{
	const unsigned char *p = (const unsigned char *)r->rest.ptr;

	if (r->rest.len < 4)
		return false;
	*ret = p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
	r->rest = pb_str(r->rest.ptr + 4, r->rest.len - 4);
	return *ret <= size;
}

/* One instruction; *ret_end: this program is over. False: broken code, or the run ended. */
static bool step(struct machine *m, struct reader *r, struct pb_str code, struct call *c, bool *ret_end)
{
	unsigned char op = OP_END, n;
	uint32_t target;
	bool jumps;

	read_byte(r, &op);
	switch (op) {
	case OP_END:
	case OP_RETURN:
		*ret_end = true;
		return true;
	case OP_STOP:
		m->stopped = *ret_end = true;
		return true;
	case OP_CALL:
		if (pb_arena_used(m->arena) > m->limits.memory)
			return machine_fail(m, c->line, PB_ETOOBIG, "the script needs more memory than it may have");
		if (!read_call(m, r, c))
			return m->stopped ? false : machine_fail(m, 0, PB_ECORRUPT, "the compiled script is damaged");
		return run_call(m, c);
	case OP_NOT:
		m->outcome = !m->outcome;
		return true;
	case OP_TRUE:
	case OP_FALSE:
		m->outcome = op == OP_TRUE;
		return true;
	case OP_LOOP:
		if (m->nloops == LOOPS_MAX)
			return machine_fail(m, 0, PB_ETOOBIG, "too many loops in each other");
		loop_begin(m);
		return true;
	case OP_LEAVE:
		if (!read_byte(r, &n) || n > m->nloops)
			return machine_fail(m, 0, PB_ECORRUPT, "the compiled script is damaged");
		m->nloops -= n;
		return true;
	default:
		break;
	}
	if (op > OP_LEAVE || !read_target(r, code.len, &target) || (op == OP_NEXT_PART && !m->nloops))
		return machine_fail(m, 0, PB_ECORRUPT, "the compiled script is damaged");
	jumps = op == OP_JUMP || (op == OP_IF_FALSE && !m->outcome) || (op == OP_IF_TRUE && m->outcome);
	if (op == OP_NEXT_PART && !loop_next(m)) {
		m->nloops--;
		jumps = true;
	}
	if (jumps)
		r->rest = pb_str(code.ptr + target, code.len - target);
	return true;
}

bool machine_run(struct machine *m, const struct sieve_program *p)
{
	struct frame frame = { p, pb_arena_alloc(m->arena, (p->nvariables + 1) * sizeof(struct pb_str)) }, *outer = m->frame;
	struct call *c = pb_arena_alloc(m->arena, sizeof *c);
	struct reader r = { p->code, false };
	unsigned loops = m->nloops;
	bool end = false, good = true;

	m->frame = &frame;
	regexes_constant(m->regexes, p->regexes, p->nregexes);
	while (good && !end) {
		if (!m->steps)
			good = machine_fail(m, c->line, PB_ETIMEOUT, "the script takes more steps than it may");
		else
			m->steps--, good = step(m, &r, p->code, c, &end);
		if (m->stopped)
			break;
	}
	m->nloops = loops;
	m->frame = outer;
	if (outer)
		regexes_constant(m->regexes, outer->program->regexes, outer->program->nregexes);
	return good;
}

/* ---- life ---- */

static void clear_actions(struct sieve_result *r)
{
	r->nactions = r->nseen = 0;
	r->implicit_keep = true;
	r->edited = false;
	r->keep.version = 0;
}

int sieve_run(const struct sieve_program *p, const struct sieve_message *message, const struct sieve_world *world, const struct sieve_limits *limits,
	      struct sieve_result *ret)
{
	static const struct sieve_limits none;
	static const struct sieve_world nobody;
	struct machine m = { .world = world ? world : &nobody, .message = message, .limits = limits ? *limits : none, .result = ret };

	*ret = (struct sieve_result){ .arena = pb_arena_new(), .implicit_keep = true };
	m.limits.steps = m.limits.steps ? m.limits.steps : STEPS;
	m.limits.memory = m.limits.memory ? m.limits.memory : MEMORY;
	m.limits.actions = m.limits.actions ? m.limits.actions : ACTIONS;
	m.limits.redirects = m.limits.redirects ? m.limits.redirects : REDIRECTS;
	m.steps = m.limits.steps;
	m.arena = ret->arena;
	m.regexes = regexes_new();
	m.mail = ret->mail = pb_arena_alloc(m.arena, sizeof *m.mail);
	mail_open(m.mail, message, m.arena);
	m.flags = flags_split(&m, (struct list){ (struct pb_str *)message->flags, message->nflags });
	ret->keep = (struct sieve_action){ .kind = SIEVE_KEEP };
	machine_run(&m, p);
	ret->steps = m.limits.steps - m.steps;
	if (!ret->code && !mail_version(m.mail, &ret->keep.version) && ret->implicit_keep)
		machine_fail(&m, 0, PB_ETOOBIG, "more than %d different messages of one", SIEVE_VERSIONS_MAX);
	ret->edited = m.mail->nversions > 1;
	if (ret->code) {
		clear_actions(ret);
	} else {
		ret->keep.flags = m.flags.items;
		ret->keep.nflags = m.flags.n;
		ret->keep.has_flags = m.flags.n || message->nflags;
	}
	regexes_free(m.regexes);
	return ret->code;
}

void sieve_result_message(const struct sieve_result *r, unsigned version, struct pb_buf *out)
{
	mail_write(r->mail, version, out);
}

void sieve_result_free(struct sieve_result *r)
{
	if (r->mail)
		mail_close(r->mail);
	pb_arena_free(r->arena);
	*r = (struct sieve_result){ 0 };
}
