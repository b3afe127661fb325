/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rows: whatever goes in comes out, and damaged bytes do no harm. Keys: their order is that of lanes, times and ids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include "kernel/queue/private.h"

static uint64_t seed = 88172645463325252u;

static uint64_t random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static struct pb_str random_str(char *room, size_t max)
{
	size_t len = random64() % (max + 1);

	for (size_t i = 0; i < len; i++)
		room[i] = (char)random64();
	return pb_str(room, len);
}

static int64_t random_time(void)
{
	switch (random64() % 4) {
	case 0:
		return 0;
	case 1:
		return (int64_t)random64();
	default:
		return (int64_t)(random64() % INT64_C(4000000000000000));
	}
}

struct sample {
	struct row head;
	struct pb_envelope env;
	struct rcpt_state to[7];
	size_t n;
	char rooms[7 * 5 + 7][300];
};

static void make_sample(struct sample *s)
{
	char (*room)[300] = s->rooms;

	memset(s, 0, sizeof *s);
	s->head.kind = (enum pb_item_kind)(random64() % 4);
	s->head.destination_len = random_str(*room, 60).len;
	s->head.destination = *room++;
	for (size_t i = 0; i < sizeof s->head.body; i++)
		((char *)&s->head.body)[i] = (char)random64();
	s->head.attempts = (unsigned)random64();
	s->head.errors = (unsigned)(random64() % 300);
	s->env = (struct pb_envelope){ .sender = random_str(*room++, 250), .ret_headers = random64() & 1, .eightbit = random64() & 1,
		.smtputf8 = random64() & 1, .requiretls = random64() & 1, .received = random_time(), .priority = (int)(random64() % 19) - 9 };
	s->env.envid = random_str(*room++, 100);
	s->env.client = random_str(*room++, 40);
	s->env.helo = random_str(*room++, 200);
	s->env.user = random_str(*room++, 20);
	s->env.mailbox = random_str(*room++, 20);
	s->env.notes = json_object();
	for (unsigned i = (unsigned)(random64() % 3); i > 0; i--)
		json_object_set_new(s->env.notes, i == 1 ? "spam" : "hops", json_integer((json_int_t)(random64() % 1000)));
	s->n = random64() % 8;
	for (size_t i = 0; i < s->n; i++) {
		struct rcpt_state *to = &s->to[i];

		to->rcpt.address = random_str(*room++, 250);
		to->rcpt.orcpt = random_str(*room++, 100);
		to->rcpt.notify = (unsigned)(random64() % 16);
		to->rcpt.target = random_str(*room++, 100);
		to->noticed = random64() & 1;
		if (random64() & 1)
			continue;
		to->due = random_time();
		to->tried = random_time();
		to->attempts = (unsigned)(random64() % 1000);
		to->reason = random_str(*room++, 299);
		to->remote = random_str(*room++, 100);
	}
}

static void encode(struct pb_buf *out, const struct row *head, const struct pb_envelope *env, const struct rcpt_state *to, size_t n)
{
	row_begin(out, head, env);
	for (size_t i = 0; i < n; i++)
		row_rcpt_put(out, &to[i]);
	row_end(out, n);
}

static void assert_str(struct pb_str a, struct pb_str b)
{
	assert_int_equal(a.len, b.len);
	if (a.len)
		assert_memory_equal(a.ptr, b.ptr, a.len);
}

static void what_goes_in_comes_out(void **state)
{
	struct sample *s = malloc(sizeof *s);
	PB_AUTOBUF(bytes);
	PB_AUTOBUF(again);

	(void)state;
	for (int turn = 0; turn < 5000; turn++) {
		struct pb_error err = { 0 };
		struct rcpt_state to[7];
		struct row row;

		make_sample(s);
		encode(&bytes, &s->head, &s->env, s->to, s->n);
		assert_int_equal(item_decode(&row, pb_buf_str(&bytes), &err), 0);
		assert_int_equal(row.kind, s->head.kind);
		assert_str(pb_str(row.destination, row.destination_len), pb_str(s->head.destination, s->head.destination_len));
		assert_str(row_destination(pb_buf_str(&bytes)), pb_str(s->head.destination, s->head.destination_len));
		assert_int_equal(row.destination[row.destination_len], 0);
		assert_memory_equal(&row.body, &s->head.body, sizeof row.body);
		assert_int_equal(row.attempts, s->head.attempts);
		assert_true(row.env.received == s->env.received && row.env.priority == s->env.priority && row.env.requiretls == s->env.requiretls);
		assert_str(row.env.sender, s->env.sender);
		assert_str(row.env.mailbox, s->env.mailbox);
		assert_true(json_equal(row.env.notes, s->env.notes));
		assert_int_equal(row.nrcpts, s->n);
		for (size_t i = 0; i < s->n; i++) {
			assert_int_equal(row_rcpt_get(&row, &to[i], &err), 0);
			assert_str(to[i].rcpt.address, s->to[i].rcpt.address);
			assert_str(to[i].reason, s->to[i].reason);
			assert_true(to[i].due == s->to[i].due && to[i].tried == s->to[i].tried && to[i].noticed == s->to[i].noticed);
		}
		assert_int_equal(row.rest.len, 0);
		encode(&again, &row, &row.env, to, s->n);
		assert_str(pb_buf_str(&again), pb_buf_str(&bytes));
		row_free(&row);
		json_decref(s->env.notes);
	}
	free(s);
}

static void read_all(struct pb_str bytes)
{
	struct rcpt_state to;
	struct row row;

	if (item_decode(&row, bytes, NULL))
		return;
	for (size_t i = 0; i < row.nrcpts && row_rcpt_get(&row, &to, NULL) == 0; i++)
		assert_true(to.rcpt.address.len <= bytes.len);
	row_free(&row);
}

/* The copy has exactly the size, so that a sanitizer sees every byte read beyond it. */
static void damaged_rows_do_no_harm(void **state)
{
	struct sample *s = malloc(sizeof *s);
	PB_AUTOBUF(bytes);

	(void)state;
	for (int turn = 0; turn < 300; turn++) {
		make_sample(s);
		encode(&bytes, &s->head, &s->env, s->to, s->n);
		for (int cut = 0; cut < 20; cut++) {
			size_t len = random64() % (bytes.len + 1);
			char *copy = malloc(len ? len : 1);

			memcpy(copy, bytes.ptr, len);
			if (len && cut & 1)
				copy[random64() % len] = (char)random64();
			read_all(pb_str(copy, len));
			free(copy);
		}
		json_decref(s->env.notes);
	}
	free(s);
}

static void a_newer_row_is_named_as_such(void **state)
{
	struct pb_error err = { 0 };
	struct row row;

	(void)state;
	assert_int_equal(item_decode(&row, PB_STR("\x03whatever"), &err), PB_ECORRUPT);
	assert_non_null(strstr(err.text, "newer"));
}

static void keys_sort_by_lane_time_and_id(void **state)
{
	static const struct { enum state state; const char *lane; int64_t due; const char *id; uint64_t sub; } rows[] = {
		{ STATE_ACTIVE, "a", 5, "x", 1 }, { STATE_ACTIVE, "a", 5, "x", 2 }, { STATE_ACTIVE, "a", 5, "y", 0 }, { STATE_ACTIVE, "a", 300, "b", 0 },
		{ STATE_ACTIVE, "a", INT64_C(1) << 40, "a", 0 }, { STATE_ACTIVE, "a.b", 0, "a", 0 }, { STATE_ACTIVE, "b", 0, "a", 0 },
		{ STATE_HELD, "a", 0, "a", 0 }, { STATE_DEAD, "a", 0, "a", UINT64_MAX },
	};
	struct key last = { .len = 0 }, key;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char id[PB_ID_MAX];
		struct pb_str lane;
		enum state st;
		uint64_t sub;
		int64_t due;

		key_row(&key, rows[i].state, pb_strz(rows[i].lane), rows[i].due, rows[i].id, rows[i].sub);
		assert_true(pb_str_cmp(key_str(&last), key_str(&key)) < 0);
		assert_true(key_parse(key_str(&key), &st, &lane, &due, id, &sub));
		assert_true(st == rows[i].state && due == rows[i].due && sub == rows[i].sub);
		assert_string_equal(id, rows[i].id);
		assert_str(lane, pb_strz(rows[i].lane));
		last = key;
	}
	for (size_t len = 0; len < key.len; len++) {
		char id[PB_ID_MAX];
		struct pb_str lane;
		enum state st;
		uint64_t sub;
		int64_t due;

		key_parse(pb_str(key.bytes, len), &st, &lane, &due, id, &sub);
	}
}

static void ids_sort_by_time_and_are_unique(void **state)
{
	char a[PB_ID_MAX], b[PB_ID_MAX], n[PB_ID_MAX], m[PB_ID_MAX];
	int64_t now = INT64_C(1800000000000000);

	(void)state;
	for (uint32_t i = 0; i < 1000; i++) {
		queue_id_make(a, now + i, i);
		queue_id_make(b, now + i + 1, i);
		assert_true(strcmp(a, b) < 0);
		assert_true(queue_id_valid(pb_strz(a)));
		assert_int_equal(queue_id_time(pb_strz(a)), now + i);
		queue_id_make(b, now + i, i + 1);
		assert_string_not_equal(a, b);
	}
	queue_id_name(n, PB_STR("token"));
	queue_id_name(m, PB_STR("token"));
	assert_string_equal(n, m);
	queue_id_name(m, PB_STR("tokem"));
	assert_string_not_equal(n, m);
	assert_true(queue_id_valid(pb_strz(n)));
	assert_int_equal(queue_id_time(pb_strz(n)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_goes_in_comes_out),
		cmocka_unit_test(damaged_rows_do_no_harm),
		cmocka_unit_test(a_newer_row_is_named_as_such),
		cmocka_unit_test(keys_sort_by_lane_time_and_id),
		cmocka_unit_test(ids_sort_by_time_and_are_unique),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
