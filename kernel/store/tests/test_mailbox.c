/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Mailboxes and their trees of folders, tables, and what a reopening keeps. */
#include "kernel/store/tests/mailfix.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pb_error err;

static void a_new_mailbox_has_the_standard_folders(void **state)
{
	struct mail *m = mail_new();

	(void)state;
	assert_string_equal(mail_tree(m->mb), "INBOX* Archive* Drafts* Junk* Sent* Trash*");
	assert_int_equal(host_mailbox_create(&m->host, PB_STR("anna"), &err), PB_EEXISTS);
	mail_reopen(m);
	assert_string_equal(mail_tree(m->mb), "INBOX* Archive* Drafts* Junk* Sent* Trash*");
	mail_verify(m);
	mail_close(m);
}

static void a_mailbox_that_was_never_made_is_not_found(void **state)
{
	static const char *const bad[] = { "", "a/b", "a b", "..", "0123456789012345678901234567890123456789012345678" };
	struct mail *m = mail_new();
	struct pb_mailbox *mb;

	(void)state;
	assert_int_equal(host_mailbox_open(&m->host, PB_STR("bert"), &mb, &err), PB_ENOTFOUND);
	assert_int_equal(host_mailbox_destroy(&m->host, PB_STR("bert"), &err), PB_ENOTFOUND);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(host_mailbox_open(&m->host, pb_strz(bad[i]), &mb, &err), PB_EINVALID);
	mail_close(m);
}

static void without_rights_nothing_opens(void **state)
{
	struct mail *m = mail_new();
	struct pb_append how = { 0 };
	struct pb_mailbox *mb;
	struct pb_table *t;
	struct pb_view *v;
	uint32_t uid = 1;

	(void)state;
	m->host.rights = 0;
	assert_int_equal(host_mailbox_open(&m->host, PB_STR("anna"), &mb, &err), PB_EDENIED);
	assert_int_equal(host_mailbox_create(&m->host, PB_STR("x"), &err), PB_EDENIED);
	assert_int_equal(host_mailbox_destroy(&m->host, PB_STR("anna"), &err), PB_EDENIED);
	assert_int_equal(host_table_open(&m->host, "t", &t, &err), PB_EDENIED);
	m->host.rights = RIGHT_MAIL_READ;
	assert_int_equal(host_folder_append(m->inbox, mail_spool(m, "x"), &how, NULL, NULL, &err), PB_EDENIED);
	assert_int_equal(host_folder_create(m->mb, PB_STR("x"), 0, &err), PB_EDENIED);
	assert_int_equal(host_folder_store(m->inbox, &uid, 1, PB_FLAGS_ADD, PB_SEEN, 0, NULL, NULL, &err), PB_EDENIED);
	assert_int_equal(host_folder_expunge(m->inbox, &uid, 1, false, &err), PB_EDENIED);
	assert_int_equal(host_folder_copy(m->inbox, &uid, 1, m->inbox, false, NULL, NULL, &err), PB_EDENIED);
	m->host.rights = RIGHT_MAIL_WRITE;
	assert_int_equal(host_folder_view(m->inbox, &v, &err), PB_EDENIED);
	m->host.rights = 63;
	mail_close(m);
}

static void folders_come_go_and_keep_their_children(void **state)
{
	struct mail *m = mail_new();
	struct pb_folder *f;

	(void)state;
	assert_int_equal(host_folder_create(m->mb, PB_STR("work/2024/May"), 0, &err), 0);
	assert_int_equal(host_folder_create(m->mb, PB_STR("work"), 0, &err), PB_EEXISTS);
	assert_int_equal(host_folder_create(m->mb, PB_STR("work 2"), 0, &err), 0);
	assert_string_equal(mail_tree(m->mb), "INBOX* Archive* Drafts* Junk* Sent* Trash* work+ work/2024+ work/2024/May work 2");
	assert_int_equal(host_folder_delete(m->mb, PB_STR("work/2024"), &err), 0);
	assert_int_equal(host_folder_open(m->mb, PB_STR("work/2024"), &f, &err), PB_ENOTFOUND);
	assert_int_equal(host_folder_delete(m->mb, PB_STR("work/2024"), &err), PB_ENOTFOUND);
	assert_string_equal(mail_tree(m->mb), "INBOX* Archive* Drafts* Junk* Sent* Trash* work+ work/2024!+ work/2024/May work 2");
	mail_reopen(m);
	assert_string_equal(mail_tree(m->mb), "INBOX* Archive* Drafts* Junk* Sent* Trash* work+ work/2024!+ work/2024/May work 2");
	assert_int_equal(host_folder_create(m->mb, PB_STR("work/2024"), 0, &err), 0);
	assert_int_equal(host_folder_delete(m->mb, PB_STR("work 2"), &err), 0);
	assert_int_equal(host_folder_delete(m->mb, PB_STR("InBoX"), &err), PB_EDENIED);
	assert_int_equal(host_folder_delete(m->mb, PB_STR("nobody"), &err), PB_ENOTFOUND);
	assert_string_equal(mail_tree(m->mb), "INBOX* Archive* Drafts* Junk* Sent* Trash* work+ work/2024+ work/2024/May");
	mail_verify(m);
	mail_close(m);
}

static void bad_names_are_refused(void **state)
{
	static const char *const bad[] = { "", "/", "a/", "/a", "a//b", "a\nb", "a\x7f", "\xff", "\xc2\x85", "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z/1/2/3/4/5/6/7" };
	struct mail *m = mail_new();
	char name[1002];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(host_folder_create(m->mb, pb_strz(bad[i]), 0, &err), PB_EINVALID);
	memset(name, 'x', sizeof name);
	assert_int_equal(host_folder_create(m->mb, pb_str(name, 1001), 0, &err), PB_EINVALID);
	assert_int_equal(host_folder_create(m->mb, pb_str(name, 1000), 0, &err), 0);
	assert_int_equal(host_folder_subscribe(m->mb, pb_str(name, 1000), true, &err), 0);
	assert_int_equal(host_folder_create(m->mb, PB_STR("Gr\xc3\xbc\xc3\x9f" "e"), PB_FOLDER_ALL, &err), 0);
	assert_int_equal(host_folder_create(m->mb, PB_STR("z"), PB_FOLDER_NOSELECT, &err), PB_EINVALID);
	mail_close(m);
}

static void inbox_is_one_in_any_case(void **state)
{
	struct mail *m = mail_new();
	struct pb_folder *f = mail_folder(m, "iNbOx");

	(void)state;
	mail_append(m, f, "x", 0);
	assert_string_equal(mail_uids(m->inbox), "1");
	host_folder_close(f);
	assert_int_equal(host_folder_create(m->mb, PB_STR("inbox/lists"), 0, &err), 0);
	assert_int_equal(host_folder_create(m->mb, PB_STR("Inboxes"), 0, &err), 0);
	assert_string_equal(mail_tree(m->mb), "INBOX+* INBOX/lists Archive* Drafts* Inboxes Junk* Sent* Trash*");
	mail_close(m);
}

static void subscriptions_outlive_their_folders(void **state)
{
	struct mail *m = mail_new();

	(void)state;
	assert_int_equal(host_folder_subscribe(m->mb, PB_STR("later"), true, &err), 0);
	assert_int_equal(host_folder_subscribe(m->mb, PB_STR("later"), true, &err), 0);
	assert_int_equal(host_folder_subscribe(m->mb, PB_STR("Junk"), false, &err), 0);
	assert_int_equal(host_folder_subscribe(m->mb, PB_STR("Junk"), false, &err), 0);
	assert_int_equal(host_folder_delete(m->mb, PB_STR("Drafts"), &err), 0);
	assert_string_equal(mail_tree(m->mb), "INBOX* Archive* Drafts!*? Junk Sent* Trash* later!*?");
	mail_reopen(m);
	assert_string_equal(mail_tree(m->mb), "INBOX* Archive* Drafts!*? Junk Sent* Trash* later!*?");
	mail_close(m);
}

static void a_rename_takes_children_messages_and_open_handles_along(void **state)
{
	struct mail *m = mail_new();
	struct pb_folder *f, *again;

	(void)state;
	assert_int_equal(host_folder_create(m->mb, PB_STR("a/b/c"), 0, &err), 0);
	assert_int_equal(host_folder_create(m->mb, PB_STR("ab"), 0, &err), 0);
	f = mail_folder(m, "a/b");
	mail_append(m, f, "x", 0);
	assert_int_equal(host_folder_rename(m->mb, PB_STR("a"), PB_STR("a/d"), &err), PB_EINVALID);
	assert_int_equal(host_folder_rename(m->mb, PB_STR("a"), PB_STR("ab"), &err), PB_EEXISTS);
	assert_int_equal(host_folder_rename(m->mb, PB_STR("none"), PB_STR("x"), &err), PB_ENOTFOUND);
	assert_int_equal(host_folder_rename(m->mb, PB_STR("a"), PB_STR("x/y"), &err), 0);
	assert_string_equal(mail_tree(m->mb), "INBOX* Archive* Drafts* Junk* Sent* Trash* ab x+ x/y+ x/y/b+ x/y/b/c");
	again = mail_folder(m, "x/y/b");
	mail_append(m, f, "y", 0);
	assert_string_equal(mail_uids(again), "1 2");
	host_folder_close(f);
	host_folder_close(again);
	mail_reopen(m);
	assert_string_equal(mail_tree(m->mb), "INBOX* Archive* Drafts* Junk* Sent* Trash* ab x+ x/y+ x/y/b+ x/y/b/c");
	again = mail_folder(m, "x/y/b");
	assert_string_equal(mail_uids(again), "1 2");
	host_folder_close(again);
	mail_verify(m);
	mail_close(m);
}

static void renaming_inbox_moves_its_messages_and_leaves_it(void **state)
{
	struct mail *m = mail_new();
	struct pb_folder *f;

	(void)state;
	assert_int_equal(host_folder_create(m->mb, PB_STR("INBOX/child"), 0, &err), 0);
	for (int i = 0; i < 5; i++)
		mail_append(m, m->inbox, "x", i % 2 ? PB_SEEN : 0);
	assert_int_equal(host_folder_rename(m->mb, PB_STR("INBOX"), PB_STR("old/mail"), &err), 0);
	assert_string_equal(mail_tree(m->mb), "INBOX+* INBOX/child Archive* Drafts* Junk* Sent* Trash* old+ old/mail");
	f = mail_folder(m, "old/mail");
	assert_string_equal(mail_uids(f), "1 2 3 4 5");
	assert_string_equal(mail_uids(m->inbox), "");
	assert_int_equal(mail_append(m, m->inbox, "x", 0), 6);
	host_folder_close(f);
	assert_int_equal(host_folder_rename(m->mb, PB_STR("INBOX"), PB_STR("old/mail"), &err), PB_EEXISTS);
	mail_verify(m);
	mail_close(m);
}

static uint32_t uidvalidity(struct pb_folder *f)
{
	struct pb_folder_status st;

	assert_int_equal(host_folder_status(f, &st, &err), 0);
	return st.uidvalidity;
}

static void uidvalidity_does_not_come_back_with_a_name(void **state)
{
	struct mail *m = mail_new();
	uint32_t last = 0;

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pb_folder *f;

		assert_int_equal(host_folder_create(m->mb, PB_STR("temp"), 0, &err), 0);
		f = mail_folder(m, "temp");
		assert_true(uidvalidity(f) > last);
		last = uidvalidity(f);
		mail_append(m, f, "x", 0);
		assert_true(host_folder_exists(f));
		assert_int_equal(host_folder_delete(m->mb, PB_STR("temp"), &err), 0);
		assert_false(host_folder_exists(f));
		host_folder_close(f);
		if (i == 1)
			mail_reopen(m);
	}
	mail_close(m);
}

static void a_deleted_folder_takes_nothing_and_frees_what_it_had(void **state)
{
	struct mail *m = mail_new();
	struct pb_append how = { 0 };
	struct pb_folder *f;
	uint64_t messages, bytes;
	struct pb_view *v;
	uint32_t uid = 1;

	(void)state;
	assert_int_equal(host_folder_create(m->mb, PB_STR("temp"), 0, &err), 0);
	f = mail_folder(m, "temp");
	mail_append(m, f, "12345", 0);
	v = mail_view(f);
	host_mailbox_usage(m->mb, &messages, &bytes, &err);
	assert_int_equal(messages, 1);
	assert_int_equal(bytes, 5);
	assert_int_equal(host_folder_delete(m->mb, PB_STR("temp"), &err), 0);
	host_mailbox_usage(m->mb, &messages, &bytes, &err);
	assert_int_equal(messages, 0);
	assert_int_equal(bytes, 0);
	assert_true(host_folder_is_newer(f, v));
	assert_int_equal(host_folder_append(f, mail_spool(m, "x"), &how, NULL, NULL, &err), PB_ENOTFOUND);
	assert_int_equal(host_folder_store(f, &uid, 1, PB_FLAGS_ADD, PB_SEEN, 0, NULL, NULL, &err), PB_ENOTFOUND);
	assert_int_equal(host_view_count(v), 1);
	host_view_release(v);
	host_folder_close(f);
	host_mailbox_usage(m->mb, &messages, &bytes, &err);
	assert_int_equal(messages, 0);
	mail_bodies(m, 0);
	mail_close(m);
}

static void a_destroyed_mailbox_is_gone_and_can_be_made_again(void **state)
{
	struct mail *m = mail_new();
	struct pb_mailbox *mb;
	struct pb_folder *f, *after;
	struct pb_append how = { 0 };
	uint32_t before;

	(void)state;
	assert_int_equal(host_mailbox_create(&m->host, PB_STR("bert"), &err), 0);
	assert_int_equal(host_mailbox_open(&m->host, PB_STR("bert"), &mb, &err), 0);
	assert_int_equal(host_folder_open(mb, PB_STR("INBOX"), &f, &err), 0);
	mail_append(m, f, "x", 0);
	before = uidvalidity(f);
	assert_int_equal(host_mailbox_destroy(&m->host, PB_STR("bert"), &err), 0);
	assert_int_equal(host_folder_append(f, mail_spool(m, "x"), &how, NULL, NULL, &err), PB_ENOTFOUND);
	assert_int_equal(host_folder_create(mb, PB_STR("x"), 0, &err), PB_ENOTFOUND);
	assert_int_equal(host_mailbox_destroy(&m->host, PB_STR("bert"), &err), PB_ENOTFOUND);
	mail_bodies(m, 0);
	assert_int_equal(host_mailbox_create(&m->host, PB_STR("bert"), &err), 0);
	assert_int_equal(host_folder_open(mb, PB_STR("INBOX"), &after, &err), 0);
	assert_true(uidvalidity(after) > before);
	assert_string_equal(mail_uids(after), "");
	host_folder_close(f);
	host_folder_close(after);
	host_mailbox_close(mb);
	mail_verify(m);
	mail_close(m);
}

static void one_holder_has_the_lock(void **state)
{
	struct mail *m = mail_new();
	struct pb_mailbox *other;

	(void)state;
	assert_int_equal(host_mailbox_open(&m->host, PB_STR("anna"), &other, &err), 0);
	assert_int_equal(host_mailbox_lock(m->mb, "pop3", &err), 0);
	assert_int_equal(host_mailbox_lock(m->mb, "pop3", &err), 0);
	assert_int_equal(host_mailbox_lock(other, "pop3", &err), PB_EBUSY);
	assert_int_equal(host_mailbox_lock(other, "else", &err), 0);
	host_mailbox_unlock(other, "pop3");
	assert_int_equal(host_mailbox_lock(other, "pop3", &err), PB_EBUSY);
	host_mailbox_unlock(m->mb, "pop3");
	assert_int_equal(host_mailbox_lock(other, "pop3", &err), 0);
	assert_int_equal(host_mailbox_lock(m->mb, "pop3", &err), PB_EBUSY);
	host_mailbox_close(other);
	assert_int_equal(host_mailbox_lock(m->mb, "pop3", &err), 0);
	mail_close(m);
}

static void quota_holds_and_survives(void **state)
{
	struct mail *m = mail_new();
	struct pb_append how = { 0 };
	uint64_t messages, bytes;
	uint32_t uid = 1;

	(void)state;
	assert_int_equal(host_mailbox_set_quota(m->mb, 3, 10, &err), 0);
	mail_append(m, m->inbox, "12345", 0);
	mail_append(m, m->inbox, "12345", 0);
	assert_int_equal(host_folder_append(m->inbox, mail_spool(m, "1"), &how, NULL, NULL, &err), PB_EQUOTA);
	assert_int_equal(host_folder_copy(m->inbox, &uid, 1, m->inbox, false, NULL, NULL, &err), PB_EQUOTA);
	assert_int_equal(host_folder_copy(m->inbox, &uid, 1, m->inbox, true, NULL, NULL, &err), 0);
	mail_reopen(m);
	assert_int_equal(host_folder_append(m->inbox, mail_spool(m, "1"), &how, NULL, NULL, &err), PB_EQUOTA);
	how.over_quota = true;
	assert_int_equal(host_folder_append(m->inbox, mail_spool(m, "1"), &how, NULL, NULL, &err), 0);
	how.over_quota = false;
	host_mailbox_usage(m->mb, &messages, &bytes, &err);
	assert_int_equal(messages, 3);
	assert_int_equal(bytes, 11);
	uid = 2;
	assert_int_equal(host_folder_expunge(m->inbox, &uid, 1, false, &err), 0);
	assert_int_equal(host_folder_append(m->inbox, mail_spool(m, "1234"), &how, NULL, NULL, &err), 0);
	assert_int_equal(host_folder_append(m->inbox, mail_spool(m, ""), &how, NULL, NULL, &err), PB_EQUOTA);
	assert_int_equal(host_mailbox_set_quota(m->mb, 0, 0, &err), 0);
	mail_append(m, m->inbox, "12345678901234567890", 0);
	mail_verify(m);
	mail_close(m);
}

static void what_was_put_in_before_is_there_where_there_is_no_room(void **state)
{
	struct mail *m = mail_new();
	struct pb_usage u = { 0 };
	struct pb_append how = { .token = PB_STR("one"), .usage = &u };
	uint32_t first = 0, uid = 0;

	(void)state;
	assert_int_equal(host_mailbox_set_quota(m->mb, 1, 0, &err), 0);
	assert_int_equal(host_folder_append(m->inbox, mail_spool(m, "12345"), &how, &first, NULL, &err), 0);
	mail_reopen(m);
	assert_int_equal(host_folder_append(m->inbox, mail_spool(m, "12345"), &how, &uid, NULL, &err), 0);
	assert_int_equal(uid, first);
	assert_int_equal(u.messages, 1);
	assert_int_equal(u.bytes, 5);
	host_folder_limit(m->inbox, 5);
	assert_int_equal(host_folder_append(m->inbox, mail_spool(m, "12345"), &how, &uid, NULL, &err), 0);
	assert_int_equal(uid, first);
	how.token = PB_STR("two");
	assert_int_equal(host_folder_append(m->inbox, mail_spool(m, "12345"), &how, NULL, NULL, &err), PB_EQUOTA);
	mail_verify(m);
	mail_close(m);
}

static void a_folder_keeps_to_the_limit_of_the_handle(void **state)
{
	struct mail *m = mail_new();
	struct pb_append how = { 0 };
	struct pb_folder *trash;
	uint32_t uid = 1;

	(void)state;
	assert_int_equal(host_folder_open(m->mb, PB_STR("Trash"), &trash, &err), 0);
	host_folder_limit(trash, 10);
	mail_append(m, m->inbox, "123456", 0);
	mail_append(m, trash, "12345", 0);
	assert_int_equal(host_folder_append(trash, mail_spool(m, "123456"), &how, NULL, NULL, &err), PB_EQUOTA);
	assert_int_equal(host_folder_copy(m->inbox, &uid, 1, trash, false, NULL, NULL, &err), PB_EQUOTA);
	assert_int_equal(host_folder_copy(m->inbox, &uid, 1, trash, true, NULL, NULL, &err), PB_EQUOTA);
	assert_int_equal(host_folder_copy(trash, &uid, 1, trash, true, NULL, NULL, &err), 0);
	mail_append(m, trash, "12345", 0);
	how.over_quota = true;
	assert_int_equal(host_folder_append(trash, mail_spool(m, "123456"), &how, NULL, NULL, &err), 0);
	host_folder_limit(trash, 0);
	mail_append(m, trash, "12345", 0);
	host_folder_close(trash);
	mail_verify(m);
	mail_close(m);
}

static void an_append_tells_what_the_mailbox_holds_with_it(void **state)
{
	struct mail *m = mail_new();
	struct pb_usage u = { 0 };
	struct pb_append how = { .usage = &u, .token = PB_STR("one") };

	(void)state;
	assert_int_equal(host_mailbox_set_quota(m->mb, 3, 100, &err), 0);
	mail_append(m, m->inbox, "12345", 0);
	for (int i = 0; i < 2; i++) {	/* known the second time */
		assert_int_equal(host_folder_append(m->inbox, mail_spool(m, "1234567"), &how, NULL, NULL, &err), 0);
		assert_int_equal(u.messages, 2);
		assert_int_equal(u.bytes, 12);
		assert_int_equal(u.max_messages, 3);
		assert_int_equal(u.max_bytes, 100);
	}
	mail_close(m);
}

/* ---- tables ---- */

static bool add_row(void *arg, struct pb_str key, struct pb_str value)
{
	pb_buf_addf(arg, "%.*s=%.*s ", PB_FMT(key), PB_FMT(value));
	return ((struct pb_buf *)arg)->len < 1000;
}

static void tables_are_guarded_ordered_and_private(void **state)
{
	struct mail *m = mail_new();
	struct pb_host other = m->host;
	struct pb_table *t, *same, *foreign;
	PB_AUTOBUF(value);
	PB_AUTOBUF(rows);
	struct pb_change put[] = { { PB_PUT, PB_STR("b"), PB_STR("2") }, { PB_PUT, PB_STR("a"), PB_STR("1") }, { PB_PUT, PB_STR("c"), PB_STR("3") } };
	struct pb_change guarded[] = { { PB_ABSENT, PB_STR("d"), PB_NOSTR }, { PB_EQUAL, PB_STR("a"), PB_STR("1") }, { PB_DELETE, PB_STR("b"), PB_NOSTR },
				       { PB_DELETE, PB_STR("zz"), PB_NOSTR }, { PB_PUT, PB_STR("a"), PB_STR("9") } };

	(void)state;
	other.name = "other";
	assert_int_equal(host_table_open(&m->host, "things", &t, &err), 0);
	assert_int_equal(host_table_open(&m->host, "test.things", &same, &err), 0);
	assert_int_equal(host_table_open(&other, "things", &foreign, &err), 0);
	assert_int_equal(host_table_apply(t, put, 3, &err), 0);
	assert_int_equal(host_table_apply(t, guarded, 5, &err), 0);
	assert_int_equal(host_table_apply(t, guarded, 5, &err), PB_ECONFLICT);
	assert_int_equal(host_table_get(same, PB_STR("a"), &value, &err), 0);
	assert_string_equal(pb_buf_z(&value), "9");
	assert_int_equal(host_table_get(t, PB_STR("b"), &value, &err), PB_ENOTFOUND);
	assert_int_equal(host_table_get(foreign, PB_STR("a"), &value, &err), PB_ENOTFOUND);
	assert_int_equal(host_table_scan(t, PB_NOSTR, PB_NOSTR, 0, add_row, &rows, &err), 0);
	assert_string_equal(pb_buf_z(&rows), "a=9 c=3 ");
	pb_buf_reset(&rows);
	assert_int_equal(host_table_scan(t, PB_STR("a"), PB_STR("c"), 0, add_row, &rows, &err), 0);
	assert_string_equal(pb_buf_z(&rows), "a=9 ");
	host_table_close(t);
	host_table_close(same);
	host_table_close(foreign);
	mail_close(m);
}

static void things_are_remembered_for_a_while(void **state)
{
	struct mail *m = mail_new();
	struct pb_table *t;
	char key[20];

	(void)state;
	assert_int_equal(host_table_open(&m->host, "seen", &t, &err), 0);
	assert_false(host_table_remembers(t, PB_STR("a"), 0, PB_NOSTR));
	assert_int_equal(host_table_remember(t, PB_STR("a"), 100, PB_STR("one"), &err), 0);
	assert_true(host_table_remembers(t, PB_STR("a"), 99, PB_NOSTR));
	assert_true(host_table_remembers(t, PB_STR("a"), 99, PB_STR("two")));
	assert_false(host_table_remembers(t, PB_STR("a"), 99, PB_STR("one")));
	assert_false(host_table_remembers(t, PB_STR("a"), 100, PB_NOSTR));
	assert_int_equal(host_table_remember(t, PB_NOSTR, 100, PB_NOSTR, &err), PB_EINVALID);
	for (int i = 0; i < 2500; i++)	/* more than two pages */
		assert_int_equal(host_table_remember(t, pb_str(key, (size_t)snprintf(key, sizeof key, "k%d", i)), i % 2 ? 50 : 200, PB_NOSTR, &err), 0);
	assert_int_equal(host_table_forget(t, 100, &err), 0);
	for (int i = 0; i < 2500; i++)
		assert_int_equal(host_table_remembers(t, pb_str(key, (size_t)snprintf(key, sizeof key, "k%d", i)), 0, PB_NOSTR), !(i % 2));
	assert_false(host_table_remembers(t, PB_STR("a"), 0, PB_NOSTR));
	host_table_close(t);
	mail_close(m);
}

static bool count_all(void *arg, struct pb_str key, struct pb_str value)
{
	(void)key;
	(void)value;
	++*(unsigned *)arg;
	return true;
}

static size_t rows_from(struct pb_table *t, struct pb_str from, struct pb_str to)
{
	unsigned n = 0;

	assert_int_equal(host_table_scan(t, from, to, 0, count_all, &n, &err), 0);
	return n;
}

static void a_range_of_a_table_is_cleared_and_nothing_beside_it(void **state)
{
	struct mail *m = mail_new();
	struct pb_table *t;
	char key[20];

	(void)state;
	assert_int_equal(host_table_open(&m->host, "many", &t, &err), 0);
	for (int i = 0; i < 2100; i++)	/* more than two pages */
		assert_int_equal(host_table_apply(t, &(struct pb_change){ PB_PUT, pb_str(key, (size_t)snprintf(key, sizeof key, "b/%04d", i)), PB_STR("x") }, 1, &err), 0);
	assert_int_equal(host_table_apply(t, (struct pb_change[]){ { PB_PUT, PB_STR("b."), PB_STR("x") }, { PB_PUT, PB_STR("b0"), PB_STR("x") } }, 2, &err), 0);
	assert_int_equal(pb_table_clear(t, PB_STR("b/"), PB_STR("b0"), &err), 0);
	assert_int_equal(rows_from(t, PB_STR("b/"), PB_STR("b0")), 0);
	assert_int_equal(rows_from(t, PB_NOSTR, PB_NOSTR), 2);
	assert_int_equal(pb_table_clear(t, PB_NOSTR, PB_NOSTR, &err), 0);
	assert_int_equal(rows_from(t, PB_NOSTR, PB_NOSTR), 0);
	host_table_close(t);
	mail_close(m);
}

static bool count_row(void *arg, struct pb_str key, struct pb_str value)
{
	(void)key;
	(void)value;
	return ++*(unsigned *)arg < 7;
}

static void tables_have_limits(void **state)
{
	struct mail *m = mail_new();
	struct pb_table *t;
	static char big[(1 << 20) + 1];
	char key[1001];
	struct pb_change c = { PB_PUT, PB_STR("k"), pb_str(big, sizeof big) };
	unsigned n = 0;

	(void)state;
	memset(key, 'k', sizeof key);
	assert_int_equal(host_table_open(&m->host, "", &t, &err), PB_EINVALID);
	assert_int_equal(host_table_open(&m->host, "a/b", &t, &err), PB_EINVALID);
	assert_int_equal(host_table_open(&m->host, "a0123456789012345678901234567890123456789012345678901234567890123", &t, &err), PB_ETOOBIG);
	assert_int_equal(host_table_open(&m->host, "t", &t, &err), 0);
	assert_int_equal(host_table_apply(t, &c, 1, &err), PB_ETOOBIG);
	c.value.len--;
	assert_int_equal(host_table_apply(t, &c, 1, &err), 0);
	c.key = pb_str(key, 1001);
	assert_int_equal(host_table_apply(t, &c, 1, &err), PB_EINVALID);
	c.key.len = 0;
	assert_int_equal(host_table_apply(t, &c, 1, &err), PB_EINVALID);
	/* Ten rows of 300 KiB are more than one page. */
	for (int i = 0; i < 10; i++) {
		key[0] = (char)('0' + i);
		c.key = pb_str(key, 2);
		c.value.len = 300 << 10;
		assert_int_equal(host_table_apply(t, &c, 1, &err), 0);
	}
	assert_int_equal(host_table_scan(t, PB_NOSTR, PB_NOSTR, 5, count_row, &n, &err), 0);
	assert_int_equal(n, 5);
	n = 0;
	assert_int_equal(host_table_scan(t, PB_NOSTR, PB_NOSTR, 0, count_row, &n, &err), 0);
	assert_int_equal(n, 7);
	host_table_close(t);
	mail_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_mailbox_has_the_standard_folders),
		cmocka_unit_test(a_mailbox_that_was_never_made_is_not_found),
		cmocka_unit_test(without_rights_nothing_opens),
		cmocka_unit_test(folders_come_go_and_keep_their_children),
		cmocka_unit_test(bad_names_are_refused),
		cmocka_unit_test(inbox_is_one_in_any_case),
		cmocka_unit_test(subscriptions_outlive_their_folders),
		cmocka_unit_test(a_rename_takes_children_messages_and_open_handles_along),
		cmocka_unit_test(renaming_inbox_moves_its_messages_and_leaves_it),
		cmocka_unit_test(uidvalidity_does_not_come_back_with_a_name),
		cmocka_unit_test(a_deleted_folder_takes_nothing_and_frees_what_it_had),
		cmocka_unit_test(a_destroyed_mailbox_is_gone_and_can_be_made_again),
		cmocka_unit_test(one_holder_has_the_lock),
		cmocka_unit_test(quota_holds_and_survives),
		cmocka_unit_test(what_was_put_in_before_is_there_where_there_is_no_room),
		cmocka_unit_test(a_folder_keeps_to_the_limit_of_the_handle),
		cmocka_unit_test(an_append_tells_what_the_mailbox_holds_with_it),
		cmocka_unit_test(tables_are_guarded_ordered_and_private),
		cmocka_unit_test(things_are_remembered_for_a_while),
		cmocka_unit_test(a_range_of_a_table_is_cleared_and_nothing_beside_it),
		cmocka_unit_test(tables_have_limits),
	};

	int failed = cmocka_run_group_tests_name("mailboxs on memory", tests, NULL, NULL);

	mail_engine = "bdb";
	return failed + cmocka_run_group_tests_name("mailboxs on bdb", tests, NULL, NULL);
}
