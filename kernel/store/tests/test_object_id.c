/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ids of folders and messages (RFC 8474): what keeps them, and what never has one that was another's. */
#include "kernel/store/tests/mailfix.h"
#include <stdio.h>
#include <string.h>

static struct pb_error err;

static const char *id_of(struct mail *m, const char *name, char room[200])
{
	struct pb_folder *f = mail_folder(m, name);
	PB_AUTOBUF(id);

	assert_int_equal(host_folder_id(f, &id, &err), 0);
	host_folder_close(f);
	snprintf(room, 200, "%s", pb_buf_z(&id));
	return room;
}

static const char *name_of(struct mail *m, const char *id, char room[200])
{
	PB_AUTOBUF(name);
	int rc = host_folder_by_id(m->mb, pb_strz(id), &name, &err);

	snprintf(room, 200, "%s", rc ? rc == PB_ENOTFOUND ? "none" : "error" : pb_buf_z(&name));
	return room;
}

static void a_folder_keeps_its_id_as_long_as_it_is_there(void **state)
{
	struct mail *m = mail_new();
	char one[200], two[200], later[200];

	(void)state;
	assert_int_equal(host_folder_create(m->mb, PB_STR("A/B"), 0, &err), 0);
	id_of(m, "A/B", one);
	assert_string_not_equal(one, id_of(m, "A", two));
	assert_string_equal(name_of(m, one, later), "A/B");
	assert_int_equal(host_folder_rename(m->mb, PB_STR("A"), PB_STR("C"), &err), 0);
	mail_reopen(m);
	assert_string_equal(id_of(m, "C/B", later), one);
	assert_string_equal(name_of(m, one, later), "C/B");
	assert_int_equal(host_folder_delete(m->mb, PB_STR("C/B"), &err), 0);
	assert_string_equal(name_of(m, one, later), "none");
	assert_int_equal(host_folder_create(m->mb, PB_STR("C/B"), 0, &err), 0);
	assert_string_not_equal(id_of(m, "C/B", later), one);
	assert_int_equal(host_folder_delete(m->mb, PB_STR("C"), &err), 0);	/* it has a child, so its name stays */
	assert_string_equal(name_of(m, two, later), "none");
	mail_close(m);
}

static void renaming_inbox_leaves_it_its_id(void **state)
{
	struct mail *m = mail_new();
	char inbox[200], later[200];

	(void)state;
	id_of(m, "INBOX", inbox);
	assert_int_equal(host_folder_rename(m->mb, PB_STR("INBOX"), PB_STR("Old"), &err), 0);
	assert_string_equal(id_of(m, "INBOX", later), inbox);
	assert_string_not_equal(id_of(m, "Old", later), inbox);
	mail_close(m);
}

static void what_is_no_id_names_no_folder(void **state)
{
	static const char *const wrong[] = { "", "F", "Fanna", "Fanna-", "Fanna-0", "Fanna-01", "Fanna-99", "Fanna-1x", "Fbob-1", "anna-1", "Fanna-4294967297" };
	struct mail *m = mail_new();
	char room[200];

	(void)state;
	assert_string_equal(name_of(m, "Fanna-1", room), "INBOX");
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		if (strcmp(name_of(m, wrong[i], room), "none"))
			fail_msg("\"%s\" names %s", wrong[i], room);
	mail_close(m);
}

static const char *email_of(struct pb_folder *f, uint32_t seq, char room[200])
{
	struct pb_view *v = mail_view(f);
	PB_AUTOBUF(id);

	host_view_email_id(v, seq, &id);
	host_view_release(v);
	snprintf(room, 200, "%s", pb_buf_z(&id));
	return room;
}

static void copies_have_the_id_of_their_message(void **state)
{
	struct mail *m = mail_new();
	struct pb_folder *other = mail_folder(m, "Archive");
	const uint32_t first = 1;
	uint32_t uid;
	char one[200], two[200], copy[200];

	(void)state;
	mail_append(m, m->inbox, "text", 0);
	mail_append(m, m->inbox, "text", 0);
	email_of(m->inbox, 1, one);
	assert_string_not_equal(one, email_of(m->inbox, 2, two));
	assert_int_equal(host_folder_copy(m->inbox, &first, 1, other, false, &uid, NULL, &err), 0);
	assert_int_equal(host_folder_copy(m->inbox, &first, 1, other, true, &uid, NULL, &err), 0);
	assert_string_equal(email_of(other, 1, copy), one);
	assert_string_equal(email_of(other, 2, copy), one);
	assert_string_equal(email_of(m->inbox, 1, copy), two);
	host_folder_close(other);
	mail_reopen(m);
	assert_string_equal(email_of(m->inbox, 1, copy), two);
	assert_string_equal(email_of(m->inbox, 2, copy), "");
	mail_close(m);
}

static void what_stands_before_a_body_belongs_to_the_message(void **state)
{
	struct mail *m = mail_new();
	struct pb_body *body = mail_body(m, "text");
	const struct pb_append how = { 0 };
	char one[200], two[200];

	(void)state;
	assert_int_equal(host_folder_deliver(m->inbox, body, PB_STR("Delivered-To: a\r\n"), &how, NULL, &err), 0);
	assert_int_equal(host_folder_deliver(m->inbox, body, PB_STR("Delivered-To: b\r\n"), &how, NULL, &err), 0);
	assert_string_not_equal(email_of(m->inbox, 1, one), email_of(m->inbox, 2, two));
	host_body_release(body);
	mail_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_folder_keeps_its_id_as_long_as_it_is_there),
		cmocka_unit_test(renaming_inbox_leaves_it_its_id),
		cmocka_unit_test(what_is_no_id_names_no_folder),
		cmocka_unit_test(copies_have_the_id_of_their_message),
		cmocka_unit_test(what_stands_before_a_body_belongs_to_the_message),
	};
	int failed = cmocka_run_group_tests_name("ids on memory", tests, NULL, NULL);

	mail_engine = "bdb";
	return failed + cmocka_run_group_tests_name("ids on bdb", tests, NULL, NULL);
}
