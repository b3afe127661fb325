/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzzes the Sieve compiler with any text, and the machine with what it makes of it, on a message that is the text too; then the machine with damaged code. */
#include <stdlib.h>
#include "sieve/sieve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(what) do { if (!(what)) __builtin_trap(); } while (0)

static const char prelude[] = "require [\"fileinto\", \"variables\", \"envelope\", \"body\", \"regex\", \"mime\", \"foreverypart\", \"editheader\", \"imap4flags\","
	"\"relational\", \"date\", \"index\", \"copy\", \"include\", \"replace\", \"enclose\", \"extracttext\", \"encoded-character\", \"vacation\"];\n";

static void run(const struct sieve_program *p, struct pb_str message)
{
	const struct sieve_limits limits = { .steps = 20000, .memory = 4 << 20 };
	const struct sieve_message m = { .bytes = message, .from = PB_STR("a@x.example"), .to = PB_STR("b@y.example") };
	struct sieve_result r;
	int rc = sieve_run(p, &m, NULL, &limits, &r);

	MUST(rc == 0 || (r.implicit_keep && r.nactions == 0 && r.problem.text[0]));
	MUST(r.steps <= limits.steps && r.nactions <= 100);
	for (size_t i = 0; i < r.nactions; i++)
		MUST(r.actions[i].target.len <= 1 << 21 && r.actions[i].version <= SIEVE_VERSIONS_MAX);
	for (size_t i = 0; i <= r.nactions; i++) {
		PB_AUTOBUF(made);

		sieve_result_message(&r, i < r.nactions ? r.actions[i].version : r.keep.version, &made);
	}
	sieve_result_free(&r);
}

static void compile(struct pb_str script, struct pb_str message)
{
	struct sieve_program *p, *again;
	struct sieve_problems problems;

	if (sieve_compile(script, NULL, &p, &problems)) {
		MUST(problems.n > 0 && problems.list[0].line > 0 && problems.list[0].text[0]);
		return;
	}
	MUST(!sieve_program_load(sieve_program_bytes(p), &again, NULL));
	run(again, message);
	sieve_program_free(again);
	sieve_program_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pb_str text = pb_str((const char *)data, size);
	PB_AUTOBUF(with);

	compile(text, text);
	pb_buf_addz(&with, prelude);
	pb_buf_addstr(&with, text);
	compile(pb_buf_str(&with), text);
	return 0;
}
