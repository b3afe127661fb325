/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Spools: what is written is what is read, in memory and in a file; limits stick; sealing gives a body with its facts. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <postbus/message.h>
#include "kernel/queue/tests/rig.h"

static unsigned files_in_spool(const struct rig *r)
{
	char path[128];
	unsigned n = 0;
	DIR *dir;

	snprintf(path, sizeof path, "%s/spool", r->dir);
	dir = opendir(path);
	for (struct dirent *d; dir && (d = readdir(dir));)
		n += d->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

/* Sizes around the border between memory and file, written in pieces of several sizes, viewed on the way. */
static void what_is_written_is_what_is_read(void **state)
{
	static const size_t sizes[] = { 0, 1, 8192, 512 * 1024 - 1, 512 * 1024, 512 * 1024 + 1, 3 * 1024 * 1024 + 7 };
	static const size_t pieces[] = { 1, 77, 65536, 1 << 20 };
	struct pb_error err = { 0 };
	struct rig *r = rig_new(false);
	struct pb_host host;
	char *bytes = malloc(4 << 20);

	(void)state;
	rig_host(r, &host, "conn_in", NULL);
	for (size_t i = 0; i < 4 << 20; i++)
		bytes[i] = (char)(i * 2654435761u >> 13);
	for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
		for (size_t p = sizes[s] > 8192; p < sizeof pieces / sizeof *pieces; p++) {
			struct pb_spool *spool = pb_spool_begin(&host, 0, &err);
			struct pb_str view;
			struct engine_body *body;
			struct body_id id;

			for (size_t done = 0; done < sizes[s];) {
				size_t n = sizes[s] - done < pieces[p] ? sizes[s] - done : pieces[p];

				pb_spool_write(spool, bytes + done, n);
				done += n;
				if (done > sizes[s] / 2 && done < sizes[s] / 2 + n) {
					assert_int_equal(pb_spool_view(spool, &view, &err), 0);
					assert_int_equal(view.len, done);
				}
			}
			assert_int_equal(pb_spool_size(spool), sizes[s]);
			assert_int_equal(pb_spool_check(spool, &err), 0);
			assert_int_equal(pb_spool_view(spool, &view, &err), 0);
			assert_int_equal(view.len, sizes[s]);
			if (view.len)
				assert_memory_equal(view.ptr, bytes, view.len);
			assert_int_equal(spool_seal(spool, r->kernel.engine, &id, &err), 0);
			assert_int_equal(id.size, sizes[s]);
			assert_int_equal(engine_body_open(r->kernel.engine, &id, &body, &err), 0);
			assert_true(pb_str_eq(engine_body_bytes(body), pb_str(bytes, sizes[s])));
			engine_body_close(body);
			engine_body_discard(r->kernel.engine, &id);
		}
	assert_int_equal(files_in_spool(r), 0);
	free(bytes);
	rig_free(r);
}

static void a_limit_sticks(void **state)
{
	struct pb_error err = { 0 };
	struct rig *r = rig_new(false);
	struct pb_host host;
	struct pb_spool *spool;
	struct body_id id;

	(void)state;
	rig_host(r, &host, "conn_in", NULL);
	spool = pb_spool_begin(&host, 10, &err);
	pb_spool_write(spool, "0123456789", 10);
	assert_int_equal(pb_spool_check(spool, &err), 0);
	pb_spool_write(spool, "x", 1);
	pb_spool_write(spool, "", 0);
	assert_int_equal(pb_spool_check(spool, &err), PB_ETOOBIG);
	assert_int_equal(pb_spool_size(spool), 10);
	assert_int_equal(spool_seal(spool, r->kernel.engine, &id, &err), PB_ETOOBIG);
	pb_spool_discard(NULL);
	pb_spool_discard(pb_spool_begin(&host, 10, &err));
	rig_free(r);
}

static void a_home_without_room_for_spools_says_so(void **state)
{
	struct pb_error err = { 0 };
	struct rig *r = rig_new(false);
	struct pb_host host;
	struct pb_spool *spool;
	char *much = calloc(1, 1 << 20);

	(void)state;
	rig_host(r, &host, "conn_in", NULL);
	r->kernel.home = "/nonexistent/home";
	spool = pb_spool_begin(&host, 0, &err);
	pb_spool_write(spool, much, 1 << 20);
	assert_int_equal(pb_spool_check(spool, &err), PB_ENOTFOUND);
	assert_non_null(strstr(err.text, "/nonexistent/home/spool"));
	pb_spool_discard(spool);
	free(much);
	rig_free(r);
}

static void sealing_makes_facts(void **state)
{
	struct pb_error err = { 0 };
	struct rig *r = rig_new(false);
	struct pb_host host;
	struct pb_spool *spool;
	struct body_id id;
	PB_AUTOBUF(facts);

	(void)state;
	rig_host(r, &host, "conn_in", NULL);
	spool = pb_spool_begin(&host, 0, &err);
	pb_spool_write(spool, "Subject: hi\r\n\r\nbody\r\n", 21);
	assert_int_equal(spool_seal(spool, r->kernel.engine, &id, &err), 0);
	assert_int_equal(engine_body_facts(r->kernel.engine, &id, &facts, &err), 0);
	assert_true(pb_facts_valid(pb_buf_str(&facts)));
	assert_int_equal(pb_facts_size(pb_buf_str(&facts)), 21);
	engine_body_discard(r->kernel.engine, &id);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_what_is_read),
		cmocka_unit_test(a_limit_sticks),
		cmocka_unit_test(a_home_without_room_for_spools_says_so),
		cmocka_unit_test(sealing_makes_facts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
