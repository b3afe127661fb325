/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How many recipients a login has sent to within an hour, in slots of five minutes: a row of a table for each login that has such a limit, so that a
 * restart forgets nothing. A row: "slot:count slot:count ...", oldest first.
 */
#include "rate.h"

enum { SLOT_SECONDS = 300, SLOTS = 12, TRIES = 16 };

static bool cut_slot(struct pb_str *rest, uint64_t *ret_slot, uint64_t *ret_count)
{
	struct pb_str word, slot;

	if (!pb_str_word(rest, &word) || !pb_str_cut(&word, ':', &slot))
		return false;
	return pb_str_u64(slot, INT64_MAX, ret_slot) == 0 && pb_str_u64(word, UINT32_MAX, ret_count) == 0;
}

uint64_t rate_slot(int64_t now)
{
	return (uint64_t)(now / (SLOT_SECONDS * PB_SECOND));
}

uint64_t rate_sum(struct pb_str row, uint64_t now)
{
	uint64_t slot, count, sum = 0;

	while (cut_slot(&row, &slot, &count))
		if (slot + SLOTS > now)
			sum += count;
	return sum;
}

void rate_add(struct pb_buf *out, struct pb_str row, uint64_t now, uint64_t n)
{
	uint64_t slot, count;

	while (cut_slot(&row, &slot, &count)) {
		if (slot >= now)	/* a clock that was set back counts here */
			n += count;
		else if (slot + SLOTS > now)
			pb_buf_addf(out, "%llu:%llu ", (unsigned long long)slot, (unsigned long long)count);
	}
	pb_buf_addf(out, "%llu:%llu", (unsigned long long)now, (unsigned long long)(n > UINT32_MAX ? UINT32_MAX : n));
}

int rate_look(struct pb_table *t, struct pb_str mailbox, int64_t now, uint64_t *ret_sum, struct pb_error *err)
{
	PB_AUTOBUF(row);
	int rc = pb_table_get(t, mailbox, &row, err);

	if (rc && rc != PB_ENOTFOUND)
		return rc;
	*ret_sum = rc ? 0 : rate_sum(pb_buf_str(&row), rate_slot(now));
	return 0;
}

int rate_take(struct pb_table *t, struct pb_str mailbox, int64_t now, uint64_t n, uint64_t limit, struct pb_error *err)
{
	for (int i = 0; i < TRIES; i++) {
		struct pb_change changes[2] = { { .kind = PB_EQUAL, .key = mailbox }, { .kind = PB_PUT, .key = mailbox } };
		PB_AUTOBUF(row);
		PB_AUTOBUF(fresh);
		int rc = pb_table_get(t, mailbox, &row, err);

		if (rc && rc != PB_ENOTFOUND)
			return rc;
		if (rc)
			changes[0].kind = PB_ABSENT;
		changes[0].value = pb_buf_str(&row);
		if (rate_sum(pb_buf_str(&row), rate_slot(now)) + n > limit)
			return pb_fail(err, PB_EQUOTA, "more recipients than within an hour are allowed");
		rate_add(&fresh, pb_buf_str(&row), rate_slot(now), n);
		changes[1].value = pb_buf_str(&fresh);
		rc = pb_table_apply(t, changes, 2, err);
		if (rc != PB_ECONFLICT)
			return rc;
	}
	return pb_fail(err, PB_EBUSY, "others are sending with the same login");
}

/* ---- old rows ---- */

struct old {
	struct pb_arena *arena;
	uint64_t now;
	struct pb_str keys[100], last;
	size_t n, seen;
};

static bool keep_old(void *arg, struct pb_str key, struct pb_str value)
{
	struct old *old = arg;

	old->last = pb_arena_str(old->arena, key);
	old->seen++;
	if (!rate_sum(value, old->now))
		old->keys[old->n++] = old->last;
	return old->n < 100;
}

int rate_forget(struct pb_table *t, int64_t now, struct pb_error *err)
{
	struct old old = { .arena = pb_arena_new(), .now = rate_slot(now) };
	PB_AUTOBUF(from);
	int rc = 0;

	do {
		struct pb_change changes[100];

		old.n = old.seen = 0;
		rc = pb_table_scan(t, pb_buf_str(&from), PB_NOSTR, 1000, keep_old, &old, err);
		for (size_t i = 0; i < old.n; i++)
			changes[i] = (struct pb_change){ .kind = PB_DELETE, .key = old.keys[i] };
		if (!rc && old.n)
			rc = pb_table_apply(t, changes, old.n, err);
		pb_buf_reset(&from);
		pb_buf_addstr(&from, old.last);
		pb_buf_addc(&from, 0);
	} while (!rc && old.seen);
	pb_arena_free(old.arena);
	return rc;
}
