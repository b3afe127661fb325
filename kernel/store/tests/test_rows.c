/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Row sets against an array: appending, changing, removing, old pictures that stay, flag blocks, UID runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include "kernel/store/rows.h"

enum { MAX = 3000 };

struct model {
	struct pb_row rows[MAX];
	uint32_t n;
};

static void add(struct row_set *s, struct model *m, uint32_t uid)
{
	struct body_id body = { .segment = 1, .offset = uid };
	struct pb_row row = { .uid = uid, .modseq = uid, .flags = 0, .size = uid * 2 };
	char head[16];
	size_t len = uid % 3 ? (size_t)(uid % 13) : 0;

	memset(head, (int)('a' + uid % 26), sizeof head);
	row_set_append(s, &row, &body, pb_str(head, len));
	m->rows[m->n++] = row;
}

static void same(const struct row_set *s, const struct model *m)
{
	assert_int_equal(s->n, m->n);
	for (uint32_t i = 0; i < m->n; i++) {
		const struct pb_row *row = row_set_row(s, i);
		const struct where *w = row_set_where(s, i);
		uint32_t many;

		assert_ptr_equal(row_set_run(s, i, &many), row);
		assert_in_range(many, 1, m->n - i);
		assert_ptr_equal(row_set_row(s, i + many - 1), row + many - 1);
		assert_memory_equal(row, &m->rows[i], sizeof *row);
		assert_int_equal(w->body.offset, row->uid);
		assert_int_equal(w->head_len, row->uid % 3 ? row->uid % 13 : 0);
		if (w->head_len)
			assert_int_equal(w->head[w->head_len - 1], 'a' + row->uid % 26);
		assert_int_equal(row_set_at_least(s, row->uid), i);
		assert_int_equal(row_set_at_least(s, row->uid + 1), i + 1);
	}
	assert_int_equal(row_set_at_least(s, UINT32_MAX), m->n);
}

static void appended_rows_are_found_and_old_pictures_stay(void **state)
{
	static struct model m, then;
	struct row_set s, old;

	(void)state;
	m.n = 0;
	row_set_init(&s);
	row_set_ref(&old, &s);
	then = m;
	assert_int_equal(row_set_at_least(&s, 1), 0);
	for (uint32_t uid = 3; uid < 1500; uid += 1 + uid % 2) {
		add(&s, &m, uid);
		if (m.n == 300) {
			row_set_release(&old);
			row_set_ref(&old, &s);
			then = m;
		}
	}
	same(&s, &m);
	same(&old, &then);
	row_set_release(&s);
	same(&old, &then);
	row_set_release(&old);
}

static void two_lines_of_pictures_do_not_write_over_each_other(void **state)
{
	static struct model ma, mb;
	struct row_set a, b;

	(void)state;
	ma.n = 0;
	row_set_init(&a);
	for (uint32_t uid = 1; uid <= 5; uid++)
		add(&a, &ma, uid);
	row_set_ref(&b, &a);
	mb = ma;
	for (uint32_t uid = 6; uid <= 400; uid++)
		add(&a, &ma, uid);
	for (uint32_t uid = 1006; uid <= 1400; uid++)
		add(&b, &mb, uid);
	same(&a, &ma);
	same(&b, &mb);
	row_set_release(&a);
	row_set_release(&b);
}

static void change_some(struct row_set *s, struct model *m, uint64_t flags, uint64_t modseq)
{
	struct row_edit e;

	row_edit_begin(&e, s);
	for (uint32_t i = (uint32_t)rand() % 50; i < m->n; i += 1 + (uint32_t)rand() % 400) {
		struct pb_row *row = row_edit_row(&e, i);

		row->flags = m->rows[i].flags = flags;
		row->modseq = m->rows[i].modseq = modseq;
	}
	row_set_release(s);
	*s = e.set;
}

static void remove_some(struct row_set *s, struct model *m)
{
	uint32_t indexes[MAX], n = 0, left = 0, step = 1 + (uint32_t)rand() % 200;
	struct row_set without;

	for (uint32_t i = 0; i < m->n; i++) {
		if ((uint32_t)rand() % step == 0)
			indexes[n++] = i;
		else
			m->rows[left++] = m->rows[i];
	}
	m->n = left;
	row_set_without(&without, s, indexes, n);
	row_set_release(s);
	*s = without;
}

static void random_changes_give_what_an_array_gives(void **state)
{
	static struct model m, then;

	(void)state;
	for (unsigned seed = 1; seed <= 20; seed++) {
		struct row_set s, old;
		uint32_t uid = 1;

		srand(seed);
		m.n = 0;
		row_set_init(&s);
		row_set_ref(&old, &s);
		then = m;
		for (unsigned step = 0; step < 60; step++) {
			for (unsigned n = (unsigned)rand() % 90; n && m.n < MAX; n--)
				add(&s, &m, uid += 1 + (unsigned)rand() % 3);
			if (step % 3 == 0)
				change_some(&s, &m, step, 100000 + step);
			if (step % 4 == 0)
				remove_some(&s, &m);
			same(&s, &m);
			same(&old, &then);
			if (step % 7 == 0) {
				row_set_release(&old);
				row_set_ref(&old, &s);
				then = m;
			}
		}
		row_set_release(&s);
		row_set_release(&old);
	}
}

static void flag_blocks_come_back_as_they_were(void **state)
{
	static struct model m;
	struct row_set s, fresh;
	struct pb_error err;

	(void)state;
	srand(7);
	m.n = 0;
	row_set_init(&s);
	row_set_init(&fresh);
	for (uint32_t uid = 1; m.n < 1000; uid += 1 + (unsigned)rand() % 3) {
		add(&s, &m, uid);
		m.n--;
		add(&fresh, &m, uid);
	}
	for (unsigned i = 0; i < 30; i++)
		change_some(&s, &m, i % 5 | (uint64_t)i << 40, 5000 + i);
	for (uint32_t block = 0; block <= flag_block_of(m.rows[m.n - 1].uid); block++) {
		PB_AUTOBUF(value);

		flag_block_encode(&s, block, &value);
		if (value.len)
			assert_int_equal(flag_block_decode(&fresh, block, pb_buf_str(&value), &err), 0);
	}
	same(&fresh, &m);
	row_set_release(&s);
	row_set_release(&fresh);
}

static void a_damaged_flag_block_is_refused(void **state)
{
	static const struct pb_str bad[] = { { "", 0 }, { "\2", 1 }, { "\1\5", 2 }, { "\1\5\1\5", 4 }, { "\1\177\1\5\5", 5 }, { "\1\5\1\200\200", 5 } };
	static struct model m;
	struct pb_error err;
	struct row_set s;

	(void)state;
	m.n = 0;
	row_set_init(&s);
	add(&s, &m, 5);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(flag_block_decode(&s, 0, bad[i], &err), PB_ECORRUPT);
	same(&s, &m);
	row_set_release(&s);
}

struct list {
	uint32_t uids[64];
	size_t n;
};

static bool take(void *arg, uint32_t uid)
{
	struct list *l = arg;

	l->uids[l->n++] = uid;
	return l->n < 64;
}

static void uid_runs_come_back_as_they_were(void **state)
{
	static const uint32_t uids[] = { 1, 2, 3, 7, 100, 101, 5000, 4294967294u, 4294967295u };
	struct list l = { .n = 0 };
	struct pb_error err;
	PB_AUTOBUF(runs);

	(void)state;
	uid_runs_encode(uids, 9, &runs);
	assert_int_equal(uid_runs_decode(pb_buf_str(&runs), take, &l, &err), 0);
	assert_int_equal(l.n, 9);
	assert_memory_equal(l.uids, uids, sizeof uids);
	assert_int_equal(uid_runs_decode(PB_STR("\377\377\377\377\177\1"), take, &l, &err), PB_ECORRUPT);
	assert_int_equal(uid_runs_decode(pb_str("\5\0", 2), take, &l, &err), PB_ECORRUPT);
	assert_int_equal(uid_runs_decode(PB_STR("\5"), take, &l, &err), PB_ECORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appended_rows_are_found_and_old_pictures_stay),
		cmocka_unit_test(two_lines_of_pictures_do_not_write_over_each_other),
		cmocka_unit_test(random_changes_give_what_an_array_gives),
		cmocka_unit_test(flag_blocks_come_back_as_they_were),
		cmocka_unit_test(a_damaged_flag_block_is_refused),
		cmocka_unit_test(uid_runs_come_back_as_they_were),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
