/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A source of members, as a directory elsewhere would be: the same two for every list; none now for lists whose name begins with "down". Built for a platform test, never installed. */
#include <postbus/bus.h>

static int members(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	const char *list = json_string_value(json_object_get(q->facts, "list"));

	(void)self, (void)err;
	if (list && !strncmp(list, "down", 4))
		pb_verdict_set(v, PB_DEFER, 0, NULL, "the directory does not answer");
	else
		pb_verdict_note(v, "list_source", json_pack("[s, {s:s, s:s}]", "bob@demo.example", "address", "carol@demo.example", "name", "Carol of elsewhere"));
	return 0;
}

static const struct pb_hook hooks[] = { { "list.members", members }, { 0 } };

PB_PLUGIN(list_source) = {
	PB_PLUGIN_HEAD("list_source"),
	.hooks = hooks,
};
