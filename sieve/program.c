/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A program's bytes: magic, version, CRC-32C of what follows, variables, code. What the code means is the machine's. */
#include <stdlib.h>
#include "sieve/code.h"
#include "sieve/reader.h"

static const char magic[4] = { 'P', 'b', 'S', 'v' };
enum { HEADER = 12 };

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
	free(p->variables);
	pb_buf_free(&p->bytes);
	free(p);
}
