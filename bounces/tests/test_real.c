/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Real bounces with what two other readers of bounces found in them ($POSTBUS_SHARED, or ../shared beside the source: data/bounces; skipped without it).
 * At least 98 in 100 of the addresses are found, delays as delays; an address that neither of the two found is none of ours.
 */
#include <stdlib.h>
#include "bounces/tests/messages.h"

/* A line of expected.tsv. */
struct expected {
	struct pb_str file, delayed, failed, other;
};

static unsigned wanted, found_of_them, false_ones, wrong_kinds;

static bool lists(struct pb_str list, struct pb_str address)
{
	struct pb_str one;

	while (pb_str_cut(&list, ',', &one))
		if (pb_str_ieq(one, address))
			return true;
	return false;
}

static void count_wanted(const struct bounces *have, struct pb_str list, enum bounce_kind kind, const struct expected *e)
{
	struct pb_str address;

	while (pb_str_cut(&list, ',', &address)) {
		bool found = false;

		if (pb_str_find(address, '@', 0) < 0)		/* "c=us;a=": what the other reader made of an X.400 address */
			continue;
		wanted++;
		for (size_t i = 0; i < have->n; i++) {
			if (!pb_str_ieq(have->list[i].address, address) && !pb_str_ieq(have->list[i].alias, address))
				continue;
			found = true;
			if (have->list[i].kind != kind) {
				wrong_kinds++;
				printf("%.*s: the kind of %.*s\n", PB_FMT(e->file), PB_FMT(address));
			}
		}
		found_of_them += found;
		if (!found)
			printf("%.*s: not found: %.*s\n", PB_FMT(e->file), PB_FMT(address));
	}
}

static void compare(const struct bounces *have, const struct expected *e)
{
	bool nothing = !e->delayed.len && !e->failed.len;

	count_wanted(have, e->delayed, BOUNCE_DELAY, e);
	count_wanted(have, e->failed, BOUNCE_FAILURE, e);
	for (size_t i = 0; i < have->n; i++) {
		struct pb_str address = have->list[i].address;

		if (lists(e->delayed, address) || lists(e->failed, address) || (!nothing && lists(e->other, address)))
			continue;
		false_ones++;
		printf("%.*s: is not there: %.*s (%s)\n", PB_FMT(e->file), PB_FMT(address), have->list[i].form);
	}
}

static bool expected_next(struct pb_str *rest, struct expected *ret)
{
	struct pb_str line, agree;

	do
		if (!pb_str_cut(rest, '\n', &line))
			return false;
	while (!line.len || line.ptr[0] == '#');
	*ret = (struct expected){ 0 };
	pb_str_cut(&line, '\t', &ret->file);
	pb_str_cut(&line, '\t', &agree);
	pb_str_cut(&line, '\t', &ret->delayed);
	pb_str_cut(&line, '\t', &ret->failed);
	pb_str_cut(&line, '\t', &ret->other);
	return true;
}

int main(void)
{
	const char *shared = getenv("POSTBUS_SHARED");
	struct pb_arena *arena;
	struct pb_str rest;
	struct expected e;
	PB_AUTOBUF(folder);
	PB_AUTOBUF(path);
	PB_AUTOBUF(table);

	pb_buf_addf(&folder, "%s/data/bounces", shared ? shared : SRCDIR "/../shared");
	pb_buf_addf(&path, "%s/expected.tsv", pb_buf_z(&folder));
	if (!file_read(pb_buf_z(&path), &table)) {
		printf("SKIP: %s is not there\n", pb_buf_z(&path));
		return 77;
	}
	arena = pb_arena_new();
	for (rest = pb_buf_str(&table); expected_next(&rest, &e);) {
		struct bounces have;
		PB_AUTOBUF(message);

		pb_buf_reset(&path);
		pb_buf_addf(&path, "%s/%.*s", pb_buf_z(&folder), PB_FMT(e.file));
		if (!file_read(pb_buf_z(&path), &message)) {
			printf("FAIL: cannot read %s\n", pb_buf_z(&path));
			return 1;
		}
		look(&have, pb_buf_str(&message), arena);
		compare(&have, &e);
		pb_arena_reset(arena);
	}
	pb_arena_free(arena);
	printf("%u addresses, %u found, %u false, %u of the wrong kind\n", wanted, found_of_them, false_ones, wrong_kinds);
	return !wanted || found_of_them * 100 < wanted * 98 || false_ones || wrong_kinds;
}
