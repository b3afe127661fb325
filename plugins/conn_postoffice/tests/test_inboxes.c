/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Open INBOXes: bounded, shared, closed once and by the last who uses them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include "plugins/conn_postoffice/postoffice.h"
#include "sdk/src/host_ops.h"

struct pb_host {
	struct pb_handle handle;
};

struct pb_mailbox {
	struct pb_handle handle;
};

struct pb_folder {
	struct pb_handle handle;
	atomic_int used;		/* a closed one is freed: the sanitizers would tell */
};

static atomic_int open_folders, opened;

static int mailbox_open(struct pb_host *host, struct pb_str id, struct pb_mailbox **ret, struct pb_error *err)
{
	if (pb_str_eq(id, PB_STR("gone")))
		return pb_fail(err, PB_ENOTFOUND, "no mailbox");
	*ret = pb_alloc(sizeof **ret);
	(*ret)->handle = host->handle;
	return 0;
}

static void mailbox_close(struct pb_mailbox *mb)
{
	free(mb);
}

static int folder_open(struct pb_mailbox *mb, struct pb_str name, struct pb_folder **ret, struct pb_error *err)
{
	(void)err;
	assert_true(pb_str_eq(name, PB_STR("INBOX")));
	*ret = pb_alloc(sizeof **ret);
	(*ret)->handle = mb->handle;
	atomic_fetch_add(&open_folders, 1);
	atomic_fetch_add(&opened, 1);
	return 0;
}

static void folder_close(struct pb_folder *f)
{
	atomic_fetch_sub(&open_folders, 1);
	free(f);
}

static const struct pb_host_ops ops = { .mailbox_open = mailbox_open, .mailbox_close = mailbox_close, .folder_open = folder_open, .folder_close = folder_close };
static struct pb_host host = { { &ops } };

static struct inbox *take(struct inboxes *all, int n)
{
	struct inbox *box;
	struct pb_error err;
	char id[20];

	snprintf(id, sizeof id, "m%d", n);
	assert_int_equal(inboxes_get(all, pb_strz(id), &box, &err), 0);
	return box;
}

static int begin(void **state)
{
	(void)state;
	atomic_store(&open_folders, 0);
	atomic_store(&opened, 0);
	return 0;
}

static void the_same_mailbox_is_opened_once(void **state)
{
	struct inboxes *all = inboxes_new(&host, 1000);
	struct inbox *a = take(all, 1), *b = take(all, 1);
	struct pb_error err;

	(void)state;
	assert_ptr_equal(a, b);
	inboxes_put(all, a);
	inboxes_put(all, b);
	inboxes_put(all, take(all, 1));
	assert_int_equal(atomic_load(&opened), 1);
	assert_int_equal(inboxes_get(all, PB_STR("gone"), &a, &err), PB_ENOTFOUND);
	inboxes_free(all);
	assert_int_equal(atomic_load(&open_folders), 0);
}

static void no_more_than_the_limit_stay_open(void **state)
{
	struct inboxes *all = inboxes_new(&host, 160);
	struct inbox *held = take(all, 0);

	(void)state;
	for (int i = 1; i < 2000; i++)
		inboxes_put(all, take(all, i));
	assert_true(atomic_load(&open_folders) <= 160 + 16 + 1);
	assert_non_null(inbox_folder(held));
	atomic_fetch_add(&inbox_folder(held)->used, 1);
	inboxes_put(all, held);
	inboxes_free(all);
	assert_int_equal(atomic_load(&open_folders), 0);
}

static void a_dropped_one_is_opened_anew(void **state)
{
	struct inboxes *all = inboxes_new(&host, 160);
	struct inbox *old = take(all, 1), *other = take(all, 1), *fresh;

	(void)state;
	inboxes_drop(all, old);
	fresh = take(all, 1);
	assert_ptr_not_equal(fresh, other);
	inboxes_drop(all, other);	/* the second who found it gone: the fresh one stays */
	inboxes_put(all, fresh);
	inboxes_put(all, take(all, 1));
	assert_int_equal(atomic_load(&opened), 2);
	inboxes_free(all);
	assert_int_equal(atomic_load(&open_folders), 0);
}

static void *deliver_a_lot(void *arg)
{
	for (int i = 0; i < 3000; i++) {
		struct inbox *box = take(arg, i * 7 % 100);

		atomic_fetch_add(&inbox_folder(box)->used, 1);
		if (i % 50 == 0)
			inboxes_drop(arg, box);
		else
			inboxes_put(arg, box);
	}
	return NULL;
}

static void many_use_them_at_once(void **state)
{
	struct inboxes *all = inboxes_new(&host, 32);
	pthread_t threads[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, deliver_a_lot, all), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	inboxes_free(all);
	assert_int_equal(atomic_load(&open_folders), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_same_mailbox_is_opened_once, begin),
		cmocka_unit_test_setup(no_more_than_the_limit_stay_open, begin),
		cmocka_unit_test_setup(a_dropped_one_is_opened_anew, begin),
		cmocka_unit_test_setup(many_use_them_at_once, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
