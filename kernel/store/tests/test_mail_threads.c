/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Many at one folder: deliverers, sessions that store, expunge, move and look, evictions in between. Run it under TSan too. */
#include "kernel/store/tests/mailfix.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kernel/store/folder.h"

enum { DELIVERERS = 8, EACH = 150, LOOKERS = 3 };

struct party {
	struct mail *m;
	struct pb_body *body;
	struct pb_folder *archive;
	_Atomic int deliverers;		/* still at it */
	_Atomic unsigned hints;
};

struct one {
	struct party *party;
	int number;
};

static void *deliver(void *arg)
{
	struct one *one = arg;
	struct party *p = one->party;
	struct pb_error err;
	char token[48];

	for (int i = 0; i < EACH; i++) {
		struct pb_append how = { 0 };
		uint32_t first = 0, second = 0;

		/* Twice, and by two at once: the token counts once. */
		snprintf(token, sizeof token, "pair %d message %d", one->number / 2, i);
		how.token = pb_strz(token);
		if (host_folder_deliver(p->m->inbox, p->body, PB_STR("H: x\r\n"), &how, &first, &err) ||
		    host_folder_deliver(p->m->inbox, p->body, PB_STR("H: x\r\n"), &how, &second, &err) || first != second)
			abort();
	}
	atomic_fetch_sub(&p->deliverers, 1);
	return NULL;
}

/* Views hold together, go forward only, and a diff leads from one to the next. */
struct look {
	uint32_t count, last_gone;
};

static void on_gone(void *arg, uint32_t seq, uint32_t uid)
{
	struct look *l = arg;

	if (seq >= l->last_gone || !uid)
		abort();
	l->last_gone = seq;
	l->count--;
}

static void look_once(struct pb_folder *f, struct pb_view **view, uint32_t *uids)
{
	static const struct pb_view_change tell = { on_gone, NULL };
	struct pb_view *now;
	struct pb_error err;
	struct look l = { .last_gone = UINT32_MAX };
	uint32_t n, last = 0, fresh = 0;

	if (host_folder_view(f, &now, &err))
		abort();
	l.count = *view ? host_view_count(*view) : 0;
	if (*view) {
		host_view_diff(*view, now, &tell, &l);
		fresh = host_view_uidnext(*view);
		if (host_view_modseq(now) < host_view_modseq(*view))
			abort();
	}
	for (uint32_t seq = 1; seq <= host_view_count(now); seq += n) {
		const struct pb_row *rows = host_view_run(now, seq, &n);

		for (uint32_t i = 0; i < n; i++) {
			if (rows[i].uid <= last || rows[i].uid >= host_view_uidnext(now) || rows[i].modseq > host_view_modseq(now))
				abort();
			last = rows[i].uid;
			l.count += rows[i].uid >= fresh;
			if (uids)
				uids[seq - 1 + i] = last;
		}
	}
	if (l.count != host_view_count(now))
		abort();
	if (*view)
		host_view_release(*view);
	*view = now;
}

static void *look(void *arg)
{
	struct party *p = ((struct one *)arg)->party;
	struct pb_view *v = NULL;

	while (atomic_load(&p->deliverers)) {
		if (!v || host_folder_is_newer(p->m->inbox, v))
			look_once(p->m->inbox, &v, NULL);
	}
	if (v)
		host_view_release(v);
	return NULL;
}

static void hint(void *arg)
{
	atomic_fetch_add((_Atomic unsigned *)arg, 1);
}

/* A session that flags, expunges and moves what it sees. */
static void *change(void *arg)
{
	struct one *one = arg;
	struct party *p = one->party;
	static _Thread_local uint32_t uids[DELIVERERS * EACH];
	unsigned seed = (unsigned)one->number;
	struct pb_view *v = NULL;
	struct pb_error err;

	while (atomic_load(&p->deliverers)) {
		struct watcher *w = folder_watch(p->m->inbox, hint, &p->hints);
		size_t n, from;
		int rc = 0;

		look_once(p->m->inbox, &v, uids);
		n = host_view_count(v);
		from = n ? (size_t)rand_r(&seed) % n : 0;
		n = n - from > 5 ? 5 : n - from;
		switch (rand_r(&seed) % 4) {
		case 0:
			rc = host_folder_store(p->m->inbox, uids + from, n, PB_FLAGS_ADD, PB_SEEN, 0, NULL, NULL, &err);
			break;
		case 1:
			rc = host_folder_store(p->m->inbox, uids + from, n, PB_FLAGS_REMOVE, PB_SEEN, 0, NULL, NULL, &err);
			break;
		case 2:
			rc = host_folder_copy(p->m->inbox, uids + from, n, p->archive, true, NULL, NULL, &err);
			break;
		case 3:
			mailstore_trim(p->m->kernel.mailstore);
			break;
		}
		folder_unwatch(w);
		if (rc)
			abort();
	}
	if (v)
		host_view_release(v);
	return NULL;
}

static void many_at_one_folder_lose_and_double_nothing(void **state)
{
	struct party p = { .deliverers = DELIVERERS };
	pthread_t threads[DELIVERERS + 2 * LOOKERS];
	struct one ones[DELIVERERS + 2 * LOOKERS];
	struct pb_view *v, *w;
	uint64_t messages, bytes;
	struct pb_error err;

	(void)state;
	p.m = mail_new();
	p.body = mail_body(p.m, "x");
	p.archive = mail_folder(p.m, "Archive");
	p.m->kernel.mailstore->budget = 1;
	for (int i = 0; i < DELIVERERS + 2 * LOOKERS; i++) {
		ones[i] = (struct one){ &p, i };
		assert_int_equal(pthread_create(&threads[i], NULL, i < DELIVERERS ? deliver : i < DELIVERERS + LOOKERS ? look : change, &ones[i]), 0);
	}
	for (int i = 0; i < DELIVERERS + 2 * LOOKERS; i++)
		pthread_join(threads[i], NULL);
	mail_settle(p.m);
	v = mail_view(p.m->inbox);
	w = mail_view(p.archive);
	assert_int_equal(host_view_count(v) + host_view_count(w), DELIVERERS / 2 * EACH);
	host_mailbox_usage(p.m->mb, &messages, &bytes, &err);
	assert_int_equal(messages, DELIVERERS / 2 * EACH);
	host_view_release(v);
	host_view_release(w);
	host_folder_close(p.archive);
	host_body_release(p.body);
	mail_verify(p.m);
	mail_reopen(p.m);
	host_mailbox_usage(p.m->mb, &messages, &bytes, &err);
	assert_int_equal(messages, DELIVERERS / 2 * EACH);
	mail_close(p.m);
}

/* ---- folders that come and go under deliveries ---- */

static void *deliver_anywhere(void *arg)
{
	struct party *p = ((struct one *)arg)->party;
	struct pb_mailbox *mb;
	struct pb_error err;

	if (host_mailbox_open(&p->m->host, PB_STR("anna"), &mb, &err))
		abort();
	for (int i = 0; i < EACH; i++) {
		struct pb_folder *f;
		int rc = host_folder_open(mb, i % 2 ? PB_STR("temp") : PB_STR("Sent"), &f, &err);

		if (rc == PB_ENOTFOUND)
			continue;
		if (rc)
			abort();
		rc = host_folder_deliver(f, p->body, PB_NOSTR, NULL, NULL, &err);
		if (rc && rc != PB_ENOTFOUND)
			abort();
		host_folder_close(f);
		mailstore_trim(p->m->kernel.mailstore);
	}
	host_mailbox_close(mb);
	atomic_fetch_sub(&p->deliverers, 1);
	return NULL;
}

static void folders_come_and_go_under_deliveries(void **state)
{
	struct party p = { .deliverers = 3 };
	struct pb_append how = { .over_quota = true };
	struct pb_error err;
	pthread_t threads[3];
	struct one one = { &p, 0 };

	(void)state;
	p.m = mail_new();
	p.body = mail_body(p.m, "x");
	/* A row of its own keeps the body while all others are deleted. */
	assert_int_equal(host_folder_deliver(p.m->inbox, p.body, PB_NOSTR, &how, NULL, &err), 0);
	p.m->kernel.mailstore->budget = 1;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, deliver_anywhere, &one), 0);
	while (atomic_load(&p.deliverers)) {
		assert_int_equal(host_folder_create(p.m->mb, PB_STR("temp"), 0, &err), 0);
		assert_int_equal(host_folder_delete(p.m->mb, PB_STR("temp"), &err), 0);
	}
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	host_body_release(p.body);
	mail_settle(p.m);
	mail_verify(p.m);
	mail_close(p.m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_at_one_folder_lose_and_double_nothing),
		cmocka_unit_test(folders_come_and_go_under_deliveries),
	};
	int failed = cmocka_run_group_tests_name("threads on memory", tests, NULL, NULL);

	mail_engine = "bdb";
	return failed + cmocka_run_group_tests_name("threads on bdb", tests, NULL, NULL);
}
