/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A program's bytes: magic, version, CRC-32C of what follows, variables, code. What the code means is the machine's. */
#include <stdlib.h>
#include "sieve/code.h"
#include "sieve/reader.h"

static const char magic[4] = { 'P', 'b', 'S', 'v' };
enum { HEADER = 12, REGEXES_MAX = 200 };

static bool read_variables(struct sieve_program *p, struct reader *r)
{
	uint64_t n;

	if (!read_number(r, &n) || n > VARIABLES_MAX)
		return false;
	p->variables = pb_alloc((n + 1) * sizeof p->variables[0]);
	for (p->nvariables = 0; p->nvariables < n; p->nvariables++) {
		struct variable *v = &p->variables[p->nvariables];
		unsigned char global;

		if (!read_byte(r, &global) || !read_string(r, &v->name))
			return false;
		v->global = global;
	}
	p->code = r->rest;
	return true;
}

/* ---- regular expressions that stand in the code ---- */

static bool skip_text(struct reader *r, struct pb_str *ret_constant)
{
	unsigned char form = 0, piece = 0;
	uint64_t n = 0, number;
	struct pb_str text;

	*ret_constant = PB_NOSTR;
	if (!read_byte(r, &form))
		return false;
	if (form == F_STRING)
		return read_string(r, ret_constant);
	if (form != F_TEMPLATE || !read_number(r, &n))
		return false;
	while (n--)
		if (!read_byte(r, &piece) || !(piece == F_STRING || piece == F_ENVIRONMENT ? read_string(r, &text) : read_number(r, &number)))
			return false;
	return true;
}

static void add_regex(struct sieve_program *p, struct pb_str text, bool casemap)
{
	if (p->nregexes == REGEXES_MAX)
		return;
	if (!p->regexes)
		p->regexes = pb_alloc(REGEXES_MAX * sizeof p->regexes[0]);
	p->regexes[p->nregexes++] = regex_constant(text, casemap);
}

/* Goes past a value; with p, each constant text in it is a regular expression. */
static bool walk_value(struct reader *r, uint64_t *ret_number, struct sieve_program *p, bool casemap)
{
	unsigned char form = r->rest.len ? (unsigned char)*r->rest.ptr : 0;
	struct pb_str text;
	uint64_t n = 1;

	*ret_number = 0;
	if (form == F_NUMBER || form == F_LIST) {
		read_byte(r, &form);
		if (!read_number(r, &n))
			return false;
	}
	if (form == F_NUMBER) {
		*ret_number = n;
		return true;
	}
	while (n--) {
		if (!skip_text(r, &text))
			return false;
		if (p && text.len)
			add_regex(p, text, casemap);
	}
	return true;
}

/* The keys stand in the last place without a tag. */
static bool walk_call(struct sieve_program *p, struct reader *r)
{
	uint64_t number, line, match = IS, comparator = ASCII_CASEMAP;
	struct reader keys = { PB_NOSTR, false };
	unsigned char word, n, slot;

	if (!read_byte(r, &word) || !read_number(r, &line) || !read_byte(r, &n))
		return false;
	while (n--) {
		if (!read_byte(r, &slot))
			return false;
		if (slot <= S_4)
			keys = *r;
		if (!walk_value(r, &number, NULL, false))
			return false;
		match = slot == S_MATCH ? number : match;
		comparator = slot == S_COMPARATOR ? number : comparator;
	}
	return match != REGEX || walk_value(&keys, &number, p, comparator != OCTET);
}

/* What is damaged ends it: the machine says so when it comes there. */
static void walk(struct sieve_program *p)
{
	struct reader r = { p->code, false };
	unsigned char op, loops;

	while (read_byte(&r, &op)) {
		bool jumps = op == OP_JUMP || op == OP_IF_FALSE || op == OP_IF_TRUE || op == OP_NEXT_PART;

		if ((op == OP_CALL && !walk_call(p, &r)) || (op == OP_LEAVE && !read_byte(&r, &loops)))
			return;
		if (jumps)
			r.rest = pb_str_skip(r.rest, 4);
	}
}

int sieve_program_load(struct pb_str bytes, struct sieve_program **ret, struct pb_error *err)
{
	struct sieve_program *p = pb_alloc(sizeof *p);
	struct reader r;
	uint32_t crc;

	pb_buf_addstr(&p->bytes, bytes);
	r = (struct reader){ pb_str_skip(pb_buf_str(&p->bytes), HEADER), false };
	if (bytes.len >= HEADER && !memcmp(bytes.ptr, magic, 4) && bytes.ptr[4] == CODE_VERSION) {
		crc = pb_crc32c(0, r.rest.ptr, r.rest.len);
		if (!memcmp(&crc, bytes.ptr + 8, 4) && read_variables(p, &r)) {
			walk(p);
			*ret = p;
			return 0;
		}
	}
	sieve_program_free(p);
	return pb_fail(err, PB_ECORRUPT, "a compiled script has an unknown form");
}

int program_make(const struct variable *variables, uint32_t n, struct pb_str code, struct sieve_program **ret)
{
	PB_AUTOBUF(out);
	uint32_t crc;

	pb_buf_add(&out, magic, 4);
	pb_buf_add(&out, "\0\0\0\0\0\0\0", HEADER - 4);
	out.ptr[4] = CODE_VERSION;
	put_number(&out, n);
	for (uint32_t i = 0; i < n; i++) {
		pb_buf_addc(&out, variables[i].global);
		put_string(&out, variables[i].name);
	}
	pb_buf_addstr(&out, code);
	crc = pb_crc32c(0, out.ptr + HEADER, out.len - HEADER);
	memcpy(out.ptr + 8, &crc, 4);
	return sieve_program_load(pb_buf_str(&out), ret, NULL);
}

struct pb_str sieve_program_bytes(const struct sieve_program *p)
{
	return pb_buf_str(&p->bytes);
}

void sieve_program_free(struct sieve_program *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->nregexes; i++)
		regex_constant_end(&p->regexes[i]);
	free(p->regexes);
	free(p->variables);
	pb_buf_free(&p->bytes);
	free(p);
}
