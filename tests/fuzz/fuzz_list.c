/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzzes what strangers write to a mailing list's addresses: commands, a moderator's decision, requests to leave in one click. */
#include "plugins/conn_list/command.h"
#include "plugins/conn_list/door.h"
#include "plugins/conn_list/one_click.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(what) do { if (!(what)) __builtin_trap(); } while (0)

static bool within(struct pb_str inner, struct pb_str outer)
{
	return !inner.len || (inner.ptr >= outer.ptr && inner.ptr + inner.len <= outer.ptr + outer.len);
}

static void try_commands(struct pb_str text)
{
	struct pb_str rest = text, line;
	struct command c;

	while (line_next(&rest, &line)) {
		MUST(within(line, text) && pb_str_find(line, '\n', 0) < 0);
		command_parse(&c, line);
		MUST(c.n <= COMMAND_WORDS && within(c.line, line) && within(c.rest, line));
		for (size_t i = 0; i < c.n; i++)
			MUST(c.words[i].len && within(c.words[i], line));
	}
	MUST(within(subject_bare(text), text));
}

/* A request of the page for leaving: its parts one by one. What is read as a name is one that we would write. */
static void try_click(struct pb_str text)
{
	struct pb_str name, value, mac, rest = text, line;
	PB_AUTOBUF(list);
	PB_AUTOBUF(member);
	PB_AUTOBUF(again);
	PB_AUTOBUF(list2);
	PB_AUTOBUF(member2);

	if (click_target(text, &name))
		MUST(within(name, text));
	if (click_name_read(text, &list, &member, &mac)) {
		click_name(&again, pb_buf_str(&list), pb_buf_str(&member), mac);
		MUST(click_name_read(pb_buf_str(&again), &list2, &member2, &mac));
		MUST(pb_str_eq(pb_buf_str(&list), pb_buf_str(&list2)) && pb_str_eq(pb_buf_str(&member), pb_buf_str(&member2)));
	}
	if (!line_next(&rest, &line))
		return;
	if (click_field(line, &name, &value))
		MUST(within(name, line) && within(value, line));
	click_length(line);
	click_said(line, rest);
	click_said(PB_STR("multipart/form-data; boundary=b"), text);
	click_said(PB_STR("application/x-www-form-urlencoded"), text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pb_str text = pb_str((const char *)data, size), subject;
	struct door door;
	PB_AUTOBUF(why);

	try_commands(text);
	try_click(text);
	if (door_parse(&door, PB_STR("dev"), text))
		MUST(within(door.rest, text));
	if (!line_next(&text, &subject))
		return 0;
	if (moderation_parse(subject, text, &why) == MODERATE_NOTHING)
		MUST(!why.len);
	MUST(why.len <= size + 4000);
	return 0;
}
