/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Images of a folder's rows: made when a large folder is read, gone with an expunge, never trusted when damaged. */
#include "kernel/store/tests/mailfix.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kernel/store/folder.h"

enum { MANY = 1500 };

static struct pb_error err;

static struct mail *big_folder(void)
{
	struct mail *m = mail_new();
	struct pb_body *body = mail_body(m, "Subject: one\r\n\r\none\r\n");
	uint32_t uids[300];

	for (uint32_t i = 0; i < MANY; i++) {
		struct pb_append how = { .flags = i % 7 ? 0 : PB_FLAGGED, .date = 1000000 * (int64_t)(i * i) };
		char head[64];
		int n = snprintf(head, sizeof head, "Delivered-To: %u\r\n", i / 3);

		assert_int_equal(host_folder_deliver(m->inbox, body, i % 5 ? pb_str(head, (size_t)n) : PB_NOSTR, &how, NULL, &err), 0);
	}
	host_body_release(body);
	for (uint32_t i = 0; i < 300; i++)
		uids[i] = 400 + i;
	assert_int_equal(host_folder_store(m->inbox, uids, 300, PB_FLAGS_ADD, PB_SEEN, 0, NULL, NULL, &err), 0);
	mail_settle(m);
	return m;
}

static size_t images(struct mail *m)
{
	struct engine_page page = ENGINE_PAGE;
	size_t n;

	assert_int_equal(engine_scan(m->engine, folder_entity(m->inbox->f), PB_STR("i"), PB_STR("j"), 1000, false, &page, &err), 0);
	n = page.n;
	engine_page_free(&page);
	return n;
}

/* All rows and the bytes of some bodies, as text that two loads must agree on. */
static void picture(struct mail *m, struct pb_buf *out)
{
	struct pb_view *v = mail_view(m->inbox);

	for (uint32_t seq = 1; seq <= host_view_count(v); seq++) {
		const struct pb_row *row = host_view_row(v, seq);

		pb_buf_addf(out, "%u %u %llx %llu %lld\n", row->uid, row->size, (unsigned long long)row->flags, (unsigned long long)row->modseq,
			    (long long)row->date);
		if (seq % 97 == 0)
			mail_bytes(v, seq, out);
	}
	host_view_release(v);
}

static void agrees(struct mail *m, const struct pb_buf *want)
{
	PB_AUTOBUF(got);

	picture(m, &got);
	assert_string_equal(pb_buf_z(&got), want->ptr);
}

static void a_large_folder_is_read_from_images(void **state)
{
	struct mail *m = big_folder();
	PB_AUTOBUF(want);

	(void)state;
	/* The STORE read the rows, and no block but the last was without an end. */
	assert_int_equal(images(m), MANY >> IMAGE_BITS);
	picture(m, &want);
	for (int i = 0; i < 2; i++) {
		mail_reopen(m);
		agrees(m, &want);
	}
	mail_verify(m);
	mail_close(m);
}

static void an_expunge_takes_the_image_of_its_block(void **state)
{
	struct mail *m = big_folder();
	uint32_t gone[] = { 1, 511, 700 };
	PB_AUTOBUF(want);

	(void)state;
	mail_reopen(m);
	picture(m, &want);
	assert_int_equal(images(m), 2);
	assert_int_equal(host_folder_expunge(m->inbox, gone, 2, false, &err), 0);
	assert_int_equal(images(m), 1);
	assert_int_equal(host_folder_expunge(m->inbox, gone + 2, 1, false, &err), 0);
	assert_int_equal(images(m), 0);
	pb_buf_reset(&want);
	picture(m, &want);
	for (int i = 0; i < 2; i++) {
		mail_reopen(m);
		agrees(m, &want);
		assert_int_equal(images(m), 2);
	}
	mail_verify(m);
	mail_close(m);
}

static uint64_t findings(struct mail *m)
{
	uint64_t n;

	assert_int_equal(mailstore_verify(m->kernel.mailstore, NULL, NULL, &n, &err), 0);
	return n;
}

static void damage(struct mail *m, struct pb_str value)
{
	struct engine_row row = { PB_STR("i\0\0\0\1"), value };
	struct engine_batch b = { .entity = folder_entity(m->inbox->f), .expect = m->inbox->f->version, .put = &row, .nput = 1 };

	assert_int_equal(engine_apply(m->engine, &b, &m->inbox->f->version, NULL, &err), 0);
	mail_settle(m);
}

static void a_damaged_image_is_made_again(void **state)
{
	static const struct pb_str bad[] = { { "", 0 }, { "\2", 1 }, { "\1\1\0", 3 }, { "\1\377\377\377\377\377\377\377\377\377\1", 11 }, { "\1\1\1\0\0\0\0\0\0\0\0\0\0\0\0", 15 } };
	struct mail *m = big_folder();
	PB_AUTOBUF(want);

	(void)state;
	mail_reopen(m);
	picture(m, &want);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		damage(m, bad[i]);
		assert_int_equal(findings(m), 1);
		mail_reopen(m);
		agrees(m, &want);
		assert_int_equal(images(m), 2);
		mail_verify(m);
	}
	mail_close(m);
}

/* What an image holds is used: rows that are gone without it would be missed. */
static void rows_are_not_read_where_there_is_an_image(void **state)
{
	struct mail *m = big_folder();
	struct pb_str key = PB_STR("u\0\0\2\130");
	struct engine_batch b = { .entity = folder_entity(m->inbox->f), .remove = &key, .nremove = 1 };
	PB_AUTOBUF(want);

	(void)state;
	mail_reopen(m);
	picture(m, &want);
	b.entity = folder_entity(m->inbox->f);
	b.expect = m->inbox->f->version;
	assert_int_equal(engine_apply(m->engine, &b, &m->inbox->f->version, NULL, &err), 0);
	mail_settle(m);
	assert_true(findings(m) > 0);
	mail_reopen(m);
	agrees(m, &want);
	mail_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_large_folder_is_read_from_images),
		cmocka_unit_test(an_expunge_takes_the_image_of_its_block),
		cmocka_unit_test(a_damaged_image_is_made_again),
		cmocka_unit_test(rows_are_not_read_where_there_is_an_image),
	};

	int failed = cmocka_run_group_tests_name("images on memory", tests, NULL, NULL);

	mail_engine = "bdb";
	return failed + cmocka_run_group_tests_name("images on bdb", tests, NULL, NULL);
}
