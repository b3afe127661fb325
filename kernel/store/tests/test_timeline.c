/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The timeline: what was added is found by id, by sender, recipient and time, over days, and goes when its days are over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include "kernel/clock/clock.h"
#include "kernel/store/queue_id.h"
#include "kernel/store/timeline.h"

struct fixture {
	char dir[64];
	struct clock *clock;
	struct timeline *t;
	uint32_t n;
};

#define NOW INT64_C(1800000000000000)

static void open_it(struct fixture *f, unsigned keep)
{
	struct pb_error err = { 0 };

	strcpy(f->dir, "/tmp/postbus-timeline-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->clock = clock_manual(NOW);
	assert_int_equal(timeline_open(f->dir, f->clock, keep, &f->t, &err), 0);
	f->n = 0;
}

static void close_it(struct fixture *f)
{
	char command[128];

	timeline_close(f->t);
	clock_free(f->clock);
	snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
	assert_int_equal(system(command), 0);
}

static void new_id(struct fixture *f, char *id)
{
	queue_id_make(id, clock_now(f->clock), f->n++);
}

static json_t *find(struct fixture *f, const char *id, const char *from, const char *to, int64_t since, size_t limit)
{
	struct pb_error err = { 0 };
	json_t *found = NULL;

	assert_int_equal(timeline_find(f->t, pb_strz(id), pb_strz(from), pb_strz(to), since, limit, &found, &err), 0);
	return found;
}

static const char *event(json_t *found, size_t message, size_t n, const char *key)
{
	return json_string_value(json_object_get(json_array_get(json_object_get(json_array_get(found, message), "events"), n), key));
}

static void lines_come_back_in_order_byte_for_byte(void **state)
{
	static const char *const texts[] = { "", "plain", "two  blanks ", "a\nb\tc\\d\x7f\\x41", "caf\xc3\xa9", "<quoted> \"words\"" };
	char id[PB_ID_MAX], other[PB_ID_MAX];
	struct fixture f;
	json_t *found;

	(void)state;
	open_it(&f, 7);
	new_id(&f, id);
	new_id(&f, other);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		timeline_text(f.t, id, "conn_x", "note", texts[i]);
		timeline_text(f.t, other, "conn_y", "noise", "x");
		clock_advance(f.clock, 10);
	}
	found = find(&f, id, NULL, NULL, 0, 0);
	assert_int_equal(json_array_size(found), 1);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		assert_string_equal(event(found, 0, i, "text"), texts[i]);
		assert_string_equal(event(found, 0, i, "who"), "conn_x");
		assert_string_equal(event(found, 0, i, "what"), "note");
	}
	assert_null(event(found, 0, sizeof texts / sizeof *texts, "text"));
	json_decref(found);
	close_it(&f);
}

static void messages_are_found_by_sender_recipient_and_time(void **state)
{
	char id[4][PB_ID_MAX];
	struct fixture f;
	json_t *found;

	(void)state;
	open_it(&f, 7);
	for (int i = 0; i < 4; i++) {
		new_id(&f, id[i]);
		timeline_add(f.t, id[i], "conn_smtp", "accepted", "from=<%s@x.test> size=10 to=<r%d@y.test> to=<all@y.test>", i & 1 ? "odd" : "Even", i);
		clock_advance(f.clock, 10 * PB_HOUR);
		timeline_text(f.t, id[i], "agent_mta", "delivered", "later");
	}
	found = find(&f, NULL, "ODD@x.test", NULL, 0, 0);
	assert_int_equal(json_array_size(found), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(found, 0), "id")), id[1]);
	assert_string_equal(event(found, 1, 1, "text"), "later");
	json_decref(found);
	found = find(&f, NULL, NULL, "r2@y.test", 0, 0);
	assert_int_equal(json_array_size(found), 1);
	json_decref(found);
	found = find(&f, NULL, NULL, "2@y.test", 0, 0);	/* whole addresses only */
	assert_int_equal(json_array_size(found), 0);
	json_decref(found);
	found = find(&f, NULL, NULL, "all@y.test", NOW + 15 * PB_HOUR, 0);
	assert_int_equal(json_array_size(found), 2);
	json_decref(found);
	found = find(&f, NULL, NULL, "all@y.test", 0, 3);	/* the newest */
	assert_int_equal(json_array_size(found), 3);
	assert_string_equal(json_string_value(json_object_get(json_array_get(found, 2), "id")), id[3]);
	assert_string_equal(json_string_value(json_object_get(json_array_get(found, 0), "id")), id[1]);
	json_decref(found);
	found = find(&f, NULL, "odd@x.test", "r2@y.test", 0, 0);
	assert_int_equal(json_array_size(found), 0);
	json_decref(found);
	close_it(&f);
}

static void old_days_go(void **state)
{
	char id[PB_ID_MAX], late[PB_ID_MAX];
	struct fixture f;
	json_t *found;

	(void)state;
	open_it(&f, 3);
	new_id(&f, id);
	timeline_text(f.t, id, "a", "accepted", "from=<>");
	timeline_flush(f.t);
	for (int day = 0; day < 2; day++) {
		clock_advance(f.clock, PB_DAY);
		timeline_text(f.t, id, "a", "retry", "again");
		timeline_flush(f.t);
	}
	found = find(&f, id, NULL, NULL, 0, 0);
	assert_string_equal(event(found, 0, 2, "what"), "retry");
	json_decref(found);
	clock_advance(f.clock, PB_DAY);
	new_id(&f, late);
	timeline_text(f.t, late, "a", "accepted", "from=<>");
	timeline_flush(f.t);
	found = find(&f, id, NULL, NULL, 0, 0);
	assert_string_equal(event(found, 0, 0, "what"), "retry");
	json_decref(found);
	close_it(&f);
}

static void a_torn_line_and_a_strange_file_do_no_harm(void **state)
{
	char id[PB_ID_MAX], path[128];
	struct pb_error err = { 0 };
	struct fixture f;
	json_t *found;
	FILE *out;

	(void)state;
	open_it(&f, 3);
	new_id(&f, id);
	timeline_text(f.t, id, "a", "accepted", "from=<a@b> to=<c@d>");
	timeline_flush(f.t);
	snprintf(path, sizeof path, "%s/2027-01-15.log", f.dir);	/* the day of NOW */
	assert_int_equal(access(path, R_OK), 0);
	out = fopen(path, "a");
	fprintf(out, "\n\ngarbage\n18000 %s accepted\nxx %s a accepted from=<a@b>", id, id);
	fclose(out);
	snprintf(path, sizeof path, "%s/notes.txt", f.dir);
	fclose(fopen(path, "w"));
	found = find(&f, id, NULL, NULL, 0, 0);
	assert_int_equal(json_array_size(json_object_get(json_array_get(found, 0), "events")), 1);
	json_decref(found);
	found = find(&f, NULL, "a@b", NULL, 1, 0);
	assert_int_equal(json_array_size(found), 1);
	json_decref(found);
	/* The next writer ends the torn line before it begins its own. */
	timeline_close(f.t);
	assert_int_equal(timeline_open(f.dir, f.clock, 3, &f.t, &err), 0);
	timeline_text(f.t, id, "a", "delivered", "to=<c@d>");
	found = find(&f, id, NULL, NULL, 0, 0);
	assert_int_equal(json_array_size(json_object_get(json_array_get(found, 0), "events")), 2);
	json_decref(found);
	close_it(&f);
}

static void what_is_no_id_is_refused(void **state)
{
	struct pb_error err = { 0 };
	struct fixture f;
	json_t *found;

	(void)state;
	open_it(&f, 3);
	assert_int_equal(timeline_find(f.t, PB_STR("../etc"), PB_NOSTR, PB_NOSTR, 0, 0, &found, &err), PB_EINVALID);
	timeline_add(NULL, "id", "a", "b", "c");
	close_it(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_come_back_in_order_byte_for_byte),
		cmocka_unit_test(messages_are_found_by_sender_recipient_and_time),
		cmocka_unit_test(old_days_go),
		cmocka_unit_test(a_torn_line_and_a_strange_file_do_no_harm),
		cmocka_unit_test(what_is_no_id_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
