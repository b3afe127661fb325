/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is shown before the flush: nothing. What a crash between two batches leaves: nothing doubled, nothing lost. */
#include "kernel/store/tests/mailfix.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kernel/store/folder.h"

static struct pb_error err;

static uint32_t shown(struct pb_folder *f)
{
	struct pb_folder_status st;

	assert_int_equal(host_folder_status(f, &st, &err), 0);
	return st.messages;
}

static uint32_t view_count(struct pb_folder *f)
{
	struct pb_view *v = mail_view(f);
	uint32_t n = host_view_count(v);

	host_view_release(v);
	return n;
}

static void nothing_is_shown_before_it_is_durable(void **state)
{
	struct mail *m = mail_new_on(slow_engine());
	struct pb_body *body = mail_body(m, "x");
	struct pb_view *v = mail_view(m->inbox);
	uint32_t vanished[4];
	size_t n = 9;

	(void)state;
	slow_hold(m->engine, false);
	mail_deliver(m, m->inbox, body, "");
	assert_true(host_folder_is_newer(m->inbox, v));
	assert_int_equal(view_count(m->inbox), 1);
	host_view_release(v);
	v = mail_view(m->inbox);
	slow_hold(m->engine, true);
	for (int i = 0; i < 300; i++)
		mail_deliver(m, m->inbox, body, "");
	assert_false(host_folder_is_newer(m->inbox, v));
	assert_int_equal(view_count(m->inbox), 1);
	assert_int_equal(shown(m->inbox), 1);
	assert_int_equal(host_folder_vanished(m->inbox, 1, 0, vanished, 4, &n, &err), 0);
	assert_int_equal(n, 0);
	slow_hold(m->engine, false);
	assert_true(host_folder_is_newer(m->inbox, v));
	assert_int_equal(view_count(m->inbox), 301);
	assert_int_equal(shown(m->inbox), 301);
	host_view_release(v);
	host_body_release(body);
	mail_verify(m);
	mail_close(m);
}

static void claiming_recent_tells_nobody(void **state)
{
	struct mail *m = mail_new_on(slow_engine());
	struct pb_view *v;
	uint32_t first;

	(void)state;
	mail_append(m, m->inbox, "x", 0);
	v = mail_view(m->inbox);
	assert_int_equal(host_folder_claim_recent(m->inbox, &first, &err), 0);
	assert_false(host_folder_is_newer(m->inbox, v));
	host_view_release(v);
	mail_close(m);
}

static void count_hint(void *arg)
{
	atomic_fetch_add((_Atomic unsigned *)arg, 1);
}

static void watchers_hear_after_the_flush(void **state)
{
	struct mail *m = mail_new_on(slow_engine());
	struct pb_body *body = mail_body(m, "x");
	_Atomic unsigned one = 0, two = 0;
	struct watcher *a = folder_watch(m->inbox, count_hint, &one), *b = folder_watch(m->inbox, count_hint, &two);

	(void)state;
	mail_deliver(m, m->inbox, body, "");
	assert_int_equal(atomic_load(&one), 1);
	slow_hold(m->engine, true);
	mail_deliver(m, m->inbox, body, "");
	mail_deliver(m, m->inbox, body, "");
	assert_int_equal(atomic_load(&one), 1);
	folder_unwatch(b);
	slow_hold(m->engine, false);
	assert_int_equal(atomic_load(&one), 2);
	assert_int_equal(atomic_load(&two), 1);
	folder_unwatch(a);
	mail_deliver(m, m->inbox, body, "");
	assert_int_equal(atomic_load(&one), 2);
	/* Who comes while a change is on its way hears of it. */
	slow_hold(m->engine, true);
	mail_deliver(m, m->inbox, body, "");
	a = folder_watch(m->inbox, count_hint, &one);
	slow_hold(m->engine, false);
	assert_int_equal(atomic_load(&one), 3);
	folder_unwatch(a);
	folder_unwatch(NULL);
	host_body_release(body);
	mail_close(m);
}

static void a_watcher_hears_that_its_folder_is_deleted(void **state)
{
	struct mail *m = mail_new_on(slow_engine());
	_Atomic unsigned heard = 0;
	struct pb_folder *f = mail_folder(m, "Junk");
	struct watcher *w = folder_watch(f, count_hint, &heard);

	(void)state;
	assert_int_equal(host_folder_delete(m->mb, PB_STR("Junk"), &err), 0);
	assert_int_equal(atomic_load(&heard), 1);
	assert_false(host_folder_exists(f));
	folder_unwatch(w);
	host_folder_close(f);
	mail_close(m);
}

static void a_delivery_loads_no_rows_and_is_one_batch(void **state)
{
	struct mail *m = mail_new_on(slow_engine());
	struct pb_body *body = mail_body(m, "x");
	uint64_t before;

	(void)state;
	mail_deliver(m, m->inbox, body, "token 1");
	before = slow_applies(m->engine);
	for (int i = 0; i < 10; i++) {
		char token[24];

		snprintf(token, sizeof token, "other %d", i);
		mail_deliver(m, m->inbox, body, token);
	}
	assert_int_equal(slow_applies(m->engine) - before, 10);
	assert_null(m->inbox->f->newest->rows.table);
	assert_int_equal(view_count(m->inbox), 11);
	assert_non_null(m->inbox->f->newest->rows.table);
	host_body_release(body);
	mail_close(m);
}

static void a_batch_that_fails_changes_nothing(void **state)
{
	struct mail *m = mail_new_on(slow_engine());
	struct pb_folder *to = mail_folder(m, "Archive");
	struct pb_append how = { 0 };
	struct pb_view *v, *w;
	uint32_t uid = 1;
	uint64_t messages, bytes;
	unsigned bit;

	(void)state;
	mail_append(m, m->inbox, "x", 0);
	v = mail_view(m->inbox);
	slow_fail_after(m->engine, 0);
	assert_int_equal(host_folder_append(m->inbox, mail_spool(m, "y"), &how, NULL, NULL, &err), PB_EUNAVAILABLE);
	assert_int_equal(host_folder_store(m->inbox, &uid, 1, PB_FLAGS_ADD, PB_SEEN, 0, NULL, NULL, &err), PB_EUNAVAILABLE);
	assert_int_equal(host_folder_expunge(m->inbox, &uid, 1, false, &err), PB_EUNAVAILABLE);
	assert_int_equal(host_folder_copy(m->inbox, &uid, 1, to, true, NULL, NULL, &err), PB_EUNAVAILABLE);
	assert_int_equal(host_folder_keyword(m->inbox, PB_STR("k"), true, &bit, &err), PB_EUNAVAILABLE);
	assert_int_equal(host_folder_create(m->mb, PB_STR("new"), 0, &err), PB_EUNAVAILABLE);
	assert_int_equal(host_folder_delete(m->mb, PB_STR("Sent"), &err), PB_EUNAVAILABLE);
	assert_int_equal(host_folder_rename(m->mb, PB_STR("Sent"), PB_STR("a/b"), &err), PB_EUNAVAILABLE);
	assert_int_equal(host_folder_subscribe(m->mb, PB_STR("Sent"), false, &err), PB_EUNAVAILABLE);
	assert_int_equal(host_mailbox_set_quota(m->mb, 1, 1, &err), PB_EUNAVAILABLE);
	assert_int_equal(host_mailbox_destroy(&m->host, PB_STR("anna"), &err), PB_EUNAVAILABLE);
	slow_fail_after(m->engine, -1);
	w = mail_view(m->inbox);
	assert_ptr_equal(v, w);
	host_view_release(w);
	host_view_release(v);
	assert_string_equal(mail_tree(m->mb), "INBOX* Archive* Drafts* Junk* Sent* Trash*");
	host_mailbox_usage(m->mb, &messages, &bytes, &err);
	assert_int_equal(messages, 1);
	mail_append(m, m->inbox, "yyyy", 0);
	assert_string_equal(mail_uids(m->inbox), "1 2");
	host_folder_close(to);
	mail_verify(m);
	mail_close(m);
}

static void a_move_that_a_crash_cut_is_finished_and_not_doubled(void **state)
{
	struct mail *m = mail_new_on(slow_engine());
	struct pb_folder *to = mail_folder(m, "Archive");
	uint32_t uids[] = { 2, 3 };
	uint64_t messages, bytes;

	(void)state;
	for (int i = 0; i < 4; i++)
		mail_append(m, m->inbox, "x", 0);
	/* The destination's batch went through, the source's did not. */
	slow_fail_after(m->engine, 1);
	assert_int_equal(host_folder_copy(m->inbox, uids, 2, to, true, NULL, NULL, &err), PB_EUNAVAILABLE);
	slow_fail_after(m->engine, -1);
	host_folder_close(to);
	mail_reopen(m);
	assert_string_equal(mail_uids(m->inbox), "1 4");
	to = mail_folder(m, "Archive");
	assert_string_equal(mail_uids(to), "1 2");
	host_mailbox_usage(m->mb, &messages, &bytes, &err);
	assert_int_equal(messages, 4);
	/* It is finished once: what comes later under the same numbers of the source is not touched. */
	host_folder_close(to);
	mail_reopen(m);
	assert_string_equal(mail_uids(m->inbox), "1 4");
	mail_verify(m);
	mail_close(m);
}

static void a_deletion_that_a_crash_cut_is_finished(void **state)
{
	struct mail *m = mail_new_on(slow_engine());
	struct pb_folder *f = mail_folder(m, "Junk");
	struct engine_page page = ENGINE_PAGE;
	uint64_t messages, bytes;

	(void)state;
	mail_append(m, f, "x", 0);
	host_folder_close(f);
	slow_fail_after(m->engine, 1);
	assert_int_equal(host_folder_delete(m->mb, PB_STR("Junk"), &err), 0);
	slow_fail_after(m->engine, -1);
	mail_reopen(m);
	assert_string_equal(mail_tree(m->mb), "INBOX* Archive* Drafts* Junk!*? Sent* Trash*");
	host_mailbox_usage(m->mb, &messages, &bytes, &err);
	assert_int_equal(messages, 0);
	assert_int_equal(engine_entities(m->engine, PB_STR("f/anna/"), PB_NOSTR, 10, &page, &err), 0);
	assert_int_equal(page.n, 0);
	engine_page_free(&page);
	mail_verify(m);
	mail_close(m);
}

static void a_destruction_that_a_crash_cut_can_be_repeated(void **state)
{
	struct mail *m = mail_new_on(slow_engine());
	struct engine_page page = ENGINE_PAGE;
	struct pb_mailbox *mb;
	struct pb_folder *f;

	(void)state;
	assert_int_equal(host_mailbox_create(&m->host, PB_STR("bert"), &err), 0);
	assert_int_equal(host_mailbox_open(&m->host, PB_STR("bert"), &mb, &err), 0);
	assert_int_equal(host_folder_open(mb, PB_STR("INBOX"), &f, &err), 0);
	mail_append(m, f, "x", 0);
	host_folder_close(f);
	slow_fail_after(m->engine, 1);
	assert_int_equal(host_mailbox_destroy(&m->host, PB_STR("bert"), &err), PB_EUNAVAILABLE);
	slow_fail_after(m->engine, -1);
	host_mailbox_close(mb);
	mail_reopen(m);
	assert_int_equal(host_mailbox_open(&m->host, PB_STR("bert"), &mb, &err), PB_ENOTFOUND);
	assert_int_equal(host_mailbox_create(&m->host, PB_STR("bert"), &err), PB_EBUSY);
	assert_int_equal(host_mailbox_destroy(&m->host, PB_STR("bert"), &err), 0);
	assert_int_equal(engine_entities(m->engine, PB_STR("f/bert/"), PB_NOSTR, 10, &page, &err), 0);
	assert_int_equal(page.n, 0);
	engine_page_free(&page);
	assert_int_equal(host_mailbox_create(&m->host, PB_STR("bert"), &err), 0);
	mail_verify(m);
	mail_close(m);
}

static void memory_is_given_back_and_read_again(void **state)
{
	struct mail *m = mail_new();
	struct pb_body *body = mail_body(m, "x");
	struct pb_view *v, *w;

	(void)state;
	for (int i = 0; i < 500; i++)
		mail_deliver(m, m->inbox, body, "");
	v = mail_view(m->inbox);
	assert_int_equal(host_folder_store(m->inbox, (uint32_t[]){ 7, 300 }, 2, PB_FLAGS_ADD, PB_SEEN, 0, NULL, NULL, &err), 0);
	m->kernel.mailstore->budget = 1;
	mailstore_trim(m->kernel.mailstore);
	mailstore_trim(m->kernel.mailstore);
	assert_null(m->inbox->f->newest->rows.table);
	assert_true(host_folder_is_newer(m->inbox, v));
	mail_deliver(m, m->inbox, body, "");
	w = mail_view(m->inbox);
	assert_int_equal(host_view_count(w), 501);
	assert_int_equal(host_view_row(w, 300)->flags, PB_SEEN);
	assert_false(host_folder_is_newer(m->inbox, w));
	assert_int_equal(host_view_count(v), 500);
	assert_int_equal(host_view_row(v, 300)->flags, 0);
	host_view_release(v);
	host_view_release(w);
	host_body_release(body);
	mail_verify(m);
	mail_close(m);
}

static void a_damaged_row_hides_one_message_and_is_found(void **state)
{
	struct mail *m = mail_new();
	struct engine_row bad = { pb_str("u\0\0\0\2", 5), PB_STR("\77 nonsense") };
	struct engine_batch b = { .entity = PB_STR("f/anna/1"), .expect = ENGINE_ANY, .put = &bad, .nput = 1 };
	struct pb_folder_status st;
	uint64_t findings = 0;

	(void)state;
	for (int i = 0; i < 3; i++)
		mail_append(m, m->inbox, "x", 0);
	assert_int_equal(engine_apply(m->engine, &b, NULL, NULL, &err), 0);
	mail_reopen(m);
	assert_int_equal(mailstore_verify(m->kernel.mailstore, NULL, NULL, &findings, &err), 0);
	assert_true(findings >= 1);
	assert_string_equal(mail_uids(m->inbox), "1 3");
	assert_int_equal(host_folder_status(m->inbox, &st, &err), 0);
	assert_int_equal(st.messages, 2);
	assert_int_equal(mail_append(m, m->inbox, "x", 0), 4);
	mail_close(m);
}

static void a_damaged_header_closes_one_folder_only(void **state)
{
	struct mail *m = mail_new();
	struct pb_str header = PB_STR("\77");
	struct engine_batch b = { .entity = PB_STR("f/anna/2"), .expect = ENGINE_ANY, .header = &header };
	struct pb_folder *f;
	uint64_t findings = 0;

	(void)state;
	mail_append(m, m->inbox, "x", 0);
	assert_int_equal(engine_apply(m->engine, &b, NULL, NULL, &err), 0);
	mail_reopen(m);
	assert_string_equal(mail_uids(m->inbox), "1");
	assert_int_equal(host_folder_open(m->mb, PB_STR("Archive"), &f, &err), PB_ECORRUPT);
	assert_int_equal(mail_append(m, m->inbox, "x", 0), 2);
	assert_int_equal(mailstore_verify(m->kernel.mailstore, NULL, NULL, &findings, &err), 0);
	assert_int_equal(findings, 1);
	mail_close(m);
}

static void a_body_that_is_missing_is_found(void **state)
{
	struct mail *m = mail_new();
	struct pb_body *body, *read;
	struct body_id id;
	struct engine_batch b = { .entity = PB_STR("elsewhere"), .expect = ENGINE_ANY, .unref = &id, .nunref = 1 };
	uint64_t findings = 0;
	struct pb_view *v;

	(void)state;
	body = mail_body(m, "x");
	id = *body_id(body);
	mail_deliver(m, m->inbox, body, "");
	mail_append(m, m->inbox, "y", 0);
	host_body_release(body);
	assert_int_equal(engine_apply(m->engine, &b, NULL, NULL, &err), 0);
	assert_int_equal(mailstore_verify(m->kernel.mailstore, NULL, NULL, &findings, &err), 0);
	assert_int_equal(findings, 1);
	v = mail_view(m->inbox);
	assert_int_equal(host_view_body(v, 1, &read, &err), PB_ENOTFOUND);
	assert_int_equal(host_view_body(v, 2, &read, &err), 0);
	host_body_release(read);
	host_view_release(v);
	mail_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_shown_before_it_is_durable),
		cmocka_unit_test(claiming_recent_tells_nobody),
		cmocka_unit_test(watchers_hear_after_the_flush),
		cmocka_unit_test(a_watcher_hears_that_its_folder_is_deleted),
		cmocka_unit_test(a_delivery_loads_no_rows_and_is_one_batch),
		cmocka_unit_test(a_batch_that_fails_changes_nothing),
		cmocka_unit_test(a_move_that_a_crash_cut_is_finished_and_not_doubled),
		cmocka_unit_test(a_deletion_that_a_crash_cut_is_finished),
		cmocka_unit_test(a_destruction_that_a_crash_cut_can_be_repeated),
		cmocka_unit_test(memory_is_given_back_and_read_again),
		cmocka_unit_test(a_damaged_row_hides_one_message_and_is_found),
		cmocka_unit_test(a_damaged_header_closes_one_folder_only),
		cmocka_unit_test(a_body_that_is_missing_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
