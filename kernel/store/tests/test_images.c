/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Images of a folder's rows: made when a large folder is read, gone with an expunge, never trusted when damaged. */
#include "kernel/store/tests/mailfix.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
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

	assert_int_equal(engine_scan(m->engine, folder_entity(m->inbox->f), PB_STR("i"), PB_STR("j"), 1000, &page, &err), 0);
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

/* Whoever asks for flags alone does not pay for what opens bodies. */
static void what_opens_bodies_is_unpacked_when_it_is_asked_for(void **state)
{
	struct mail *m = big_folder();
	PB_AUTOBUF(bytes);
	struct pb_view *v;
	uint64_t flags = 0;

	(void)state;
	mail_reopen(m);
	v = mail_view(m->inbox);
	for (uint32_t seq = 1; seq <= host_view_count(v); seq++)
		flags |= host_view_row(v, seq)->flags;
	assert_int_equal(flags, PB_FLAGGED | PB_SEEN);
	assert_null(atomic_load(&v->rows.table->slots[0].wheres->wheres));
	mail_bytes(v, 2, &bytes);
	assert_string_equal(pb_buf_z(&bytes), "Delivered-To: 0\r\nSubject: one\r\n\r\none\r\n");
	assert_non_null(atomic_load(&v->rows.table->slots[0].wheres->wheres));
	assert_null(atomic_load(&v->rows.table->slots[1].wheres->wheres));
	host_view_release(v);
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
	static const struct pb_str bad[] = { { "", 0 }, { "\3", 1 }, { "\2\1\0", 3 }, { "\2\0\0\0\0\0\377\377\377\377\377\377\377\377\377\377\1", 17 },
					     { "\2\1\0\0\0\0\0\0", 8 }, { "\2\2\0\0\0\0\0\1", 8 }, { "\2\20\0\0\0\0\0\1\0", 9 }, { "\2\1\0\0\0\0\0\200\10", 9 } };
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

static void an_image_of_an_earlier_form_is_made_anew(void **state)
{
	struct mail *m = big_folder();
	PB_AUTOBUF(want);

	(void)state;
	mail_reopen(m);
	picture(m, &want);
	damage(m, PB_STR("\1\1\0"));
	mail_verify(m);
	mail_reopen(m);
	agrees(m, &want);
	mail_settle(m);
	damage(m, PB_STR("\2\1\0"));		/* and is there again to be damaged */
	assert_int_equal(findings(m), 1);
	mail_close(m);
}

static void *ask_all(void *arg)
{
	const struct row_set *s = arg;

	for (uint32_t i = 0; i < s->n; i++)
		assert_non_null(row_set_where(s, i));
	return NULL;
}

/* What opens bodies, unpacked from an image of rows by two threads at once, and copied by an expunge. */
static void unpacked_says(const struct row_set *rows, struct pb_str image)
{
	struct image_source *source = image_source_new(image, 1);
	uint32_t gone[] = { 3, 300 }, n = rows->n;
	struct row_set set, copy;
	pthread_t other;

	row_set_init_for(&set, 5000);
	memcpy(row_set_append_source(&set, source, 0, 200, row_set_row(rows, 0)->uid), row_set_row(rows, 0), 200 * sizeof(struct pb_row));
	for (uint32_t at = 200, many = n - 200 < CHUNK_ROWS ? n - 200 : CHUNK_ROWS; many; at += many, many = n - at < CHUNK_ROWS ? n - at : CHUNK_ROWS) {
		struct pb_row *to = row_set_append_source(&set, source, at, many, row_set_row(rows, at)->uid);

		for (uint32_t i = 0; i < many; i++)
			to[i] = *row_set_row(rows, at + i);
	}
	image_source_release(source);
	assert_int_equal(set.n, n);
	assert_null(atomic_load(&set.table->slots[0].wheres->wheres));
	assert_int_equal(pthread_create(&other, NULL, ask_all, &set), 0);
	ask_all(&set);
	pthread_join(other, NULL);
	row_set_without(&copy, &set, gone, 2);
	for (uint32_t i = 0, k = 0; i < n; i++) {
		const struct where *want = row_set_where(rows, i), *w = row_set_where(&set, i);

		assert_memory_equal(&w->body, &want->body, sizeof w->body);
		assert_true(w->first_modseq == want->first_modseq && pb_str_eq(pb_str(w->head, w->head_len), pb_str(want->head, want->head_len)));
		if (i == gone[0] || i == gone[1])
			continue;
		assert_memory_equal(row_set_row(&copy, k), row_set_row(rows, i), sizeof(struct pb_row));
		assert_memory_equal(&row_set_where(&copy, k++)->body, &want->body, sizeof want->body);
	}
	row_set_release(&set);
	row_set_release(&copy);
}

/* Numbers that jump in every direction, some of them rarely: each is expected in some rows and not in others. */
static void an_image_says_what_the_rows_say(void **state)
{
	static struct image_row got[IMAGE_ROWS];
	struct row_set rows;
	struct pb_row row;
	struct body_id body = { .segment = 7, .size = 100, .offset = 64 };
	PB_AUTOBUF(image);
	size_t n;

	(void)state;
	row_set_init(&rows);
	for (uint32_t i = 0, uid = 512, seed = 1; uid < 1024; i++, uid += i % 50 ? 1 : 1 + i % 3) {
		struct pb_str head = i % 9 < 3 ? PB_NOSTR : i % 9 < 6 ? PB_STR("X-One: 1\r\n") : PB_STR("X-Two: 2\r\n");

		seed = seed * 1664525 + 1013904223;
		body.random = seed;
		body.offset = i % 5 ? (body.offset + 48 + body.size + 63) / 64 * 64 : (uint64_t)seed << (seed & 7);
		body.facts_offset = i % 7 ? body.facts_offset + body.facts_len + 16 : UINT32_MAX - seed % 2;
		body.size = i % 4 ? body.size : (uint64_t)seed << (seed & 15);
		body.facts_len = i % 3 ? body.facts_len : seed;
		body.segment = i % 11 ? body.segment : UINT32_MAX - body.segment;
		row_fill(&row, uid, &body, head.len, (int64_t)seed - (int64_t)i * 1000000, i % 6 ? i : UINT64_MAX - i, i % 8 ? 0 : seed);
		row_set_append(&rows, &row, &body, head);
	}
	image_encode(&rows, 1, &image);
	assert_int_equal(image_decode(pb_buf_str(&image), 1, got, &n, &err), 0);
	assert_int_equal(n, rows.n);
	for (uint32_t i = 0; i < n; i++) {
		const struct pb_row *want = row_set_row(&rows, i);
		const struct where *w = row_set_where(&rows, i);

		assert_int_equal(got[i].uid, want->uid);
		assert_true(got[i].flags == want->flags && got[i].modseq == want->modseq && got[i].date == want->date);
		assert_memory_equal(&got[i].body, &w->body, sizeof w->body);
		assert_true(pb_str_eq(got[i].head, pb_str(w->head, w->head_len)));
	}
	unpacked_says(&rows, pb_buf_str(&image));
	/* However it is cut, it is read to its end or refused. */
	for (size_t len = 0; len < image.len; len++)
		if (image_decode(pb_str(image.ptr, len), 1, got, &n, &err) == 0)
			assert_true(n < rows.n);
	row_set_release(&rows);
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

/* Changes a byte of each leaf page of the index that has the row of this message; says how many they were: a split leaves copies behind. */
static int damage_page_of(struct mail *m, uint32_t uid)
{
	unsigned char page[4096], key[5] = { 'u', (unsigned char)(uid >> 24), (unsigned char)(uid >> 16), (unsigned char)(uid >> 8), (unsigned char)uid };
	int damaged = 0, fd;
	char path[100];

	snprintf(path, sizeof path, "%s/db/rows.db", m->dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	for (off_t at = 0; pread(fd, page, sizeof page, at) == sizeof page; at += sizeof page) {
		unsigned char *found = memmem(page, sizeof page, key, sizeof key);

		if (page[25] != 5 || !found)	/* a leaf */
			continue;
		found[4] ^= 1;
		assert_int_equal(pwrite(fd, page, sizeof page, at), sizeof page);
		damaged++;
	}
	close(fd);
	return damaged;
}

/* Nor are their pages: nothing that lies behind the images is read along with them, but what fills the last buffer. */
static void the_pages_of_rows_are_not_read_where_there_is_an_image(void **state)
{
	struct mail *m;
	PB_AUTOBUF(want);

	(void)state;
	if (strcmp(mail_engine, "bdb"))
		skip();
	m = big_folder();
	picture(m, &want);
	mail_reopen(m);
	assert_true(damage_page_of(m, 500) > 0);
	mail_reopen(m);
	agrees(m, &want);
	mail_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_large_folder_is_read_from_images),
		cmocka_unit_test(what_opens_bodies_is_unpacked_when_it_is_asked_for),
		cmocka_unit_test(an_expunge_takes_the_image_of_its_block),
		cmocka_unit_test(a_damaged_image_is_made_again),
		cmocka_unit_test(an_image_of_an_earlier_form_is_made_anew),
		cmocka_unit_test(an_image_says_what_the_rows_say),
		cmocka_unit_test(rows_are_not_read_where_there_is_an_image),
		cmocka_unit_test(the_pages_of_rows_are_not_read_where_there_is_an_image),
	};

	int failed = cmocka_run_group_tests_name("images on memory", tests, NULL, NULL);

	mail_engine = "bdb";
	return failed + cmocka_run_group_tests_name("images on bdb", tests, NULL, NULL);
}
