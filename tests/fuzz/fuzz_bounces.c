/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzzes the reading of bounces, and checks that what is found can be kept and said on. */
#include "bounces/bounces.h"
#include <postbus/message.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(what) do { if (!(what)) __builtin_trap(); } while (0)

static void try_message(struct pb_str message, struct pb_arena *arena)
{
	struct bounces found;
	PB_AUTOBUF(facts);

	pb_facts_make(message, &facts);
	bounces_find(&found, message, pb_buf_str(&facts), arena);
	MUST(found.n <= BOUNCES_MAX && (found.n > 0) == (found.kind != BOUNCE_NONE));
	for (size_t i = 0; i < found.n; i++) {
		const struct bounce *b = &found.list[i];

		MUST(b->kind == BOUNCE_DELAY || b->kind == BOUNCE_FAILURE);
		MUST(b->form && b->address.len && pb_str_find(b->address, '@', 0) > 0 && pb_str_find(b->address, '\n', 0) < 0);
		MUST(pb_utf8_valid(b->address) && pb_utf8_valid(b->alias) && pb_utf8_valid(b->diagnostic) && pb_utf8_valid(b->status));
		MUST(pb_str_find(b->diagnostic, '\n', 0) < 0 && b->diagnostic.len <= BOUNCES_DIAGNOSTIC_MAX + 4);
		MUST(b->status.len <= 9);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char head[] = "From: MAILER-DAEMON@x.example\nTo: l@x.example\n\nThe following addresses failed:\n";
	struct pb_arena *arena = pb_arena_new();
	PB_AUTOBUF(text);

	try_message(pb_str((const char *)data, size), arena);
	pb_buf_addz(&text, head);
	pb_buf_add(&text, data, size);
	try_message(pb_buf_str(&text), arena);
	pb_arena_free(arena);
	return 0;
}
