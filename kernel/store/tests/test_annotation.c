/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Annotations: what they are called, whom they follow, what they may not. */
#include "kernel/store/tests/mailfix.h"
#include <string.h>

static struct pb_error err;

static bool join_annotation(void *arg, const struct pb_annotation *one)
{
	pb_buf_addf(arg, "%.*s=%.*s ", PB_FMT(one->entry), PB_FMT(one->value));
	return true;
}

static const char *annotations(struct mail *m, const char *folder, struct pb_buf *out)
{
	pb_buf_reset(out);
	assert_int_equal(host_annotation_list(m->mb, pb_strz(folder), join_annotation, out, &err), 0);
	return pb_buf_z(out);
}

static int annotate(struct mail *m, const char *folder, const char *entry, const char *value)
{
	return host_annotation_set(m->mb, pb_strz(folder), &(struct pb_annotation){ pb_strz(entry), value ? pb_strz(value) : PB_NOSTR }, 1, &err);
}

static void annotations_follow_their_folder_and_survive(void **state)
{
	struct mail *m = mail_new();
	PB_AUTOBUF(text);

	(void)state;
	assert_int_equal(host_annotation_get(m->mb, PB_STR("INBOX"), PB_STR("/shared/comment"), &text, &err), PB_ENOTFOUND);
	assert_int_equal(annotate(m, "inbox", "/Shared/Comment", "one"), 0);
	assert_int_equal(annotate(m, "", "/private/comment", "mine"), 0);
	assert_int_equal(host_folder_create(m->mb, PB_STR("a/b"), 0, &err), 0);
	assert_int_equal(annotate(m, "a/b", "/shared/x", ""), 0);
	assert_int_equal(annotate(m, "a/b", "/shared/y", "why"), 0);
	assert_int_equal(host_folder_rename(m->mb, PB_STR("a"), PB_STR("c"), &err), 0);
	assert_string_equal(annotations(m, "c/b", &text), "/shared/x= /shared/y=why ");
	mail_reopen(m);
	assert_int_equal(host_annotations_count(m->mb), 4);
	assert_string_equal(annotations(m, "INBOX", &text), "/shared/comment=one ");
	assert_string_equal(annotations(m, "", &text), "/private/comment=mine ");
	assert_string_equal(annotations(m, "c", &text), "");
	assert_int_equal(host_annotation_get(m->mb, PB_STR("c/b"), PB_STR("/SHARED/y"), &text, &err), 0);
	assert_string_equal(pb_buf_z(&text), "why");
	assert_int_equal(annotate(m, "c/b", "/shared/y", NULL), 0);
	assert_int_equal(annotate(m, "c/b", "/shared/y", NULL), 0);
	assert_string_equal(annotations(m, "c/b", &text), "/shared/x= ");
	assert_int_equal(host_folder_delete(m->mb, PB_STR("c/b"), &err), 0);
	assert_int_equal(host_annotations_count(m->mb), 2);
	assert_int_equal(host_folder_create(m->mb, PB_STR("c/b"), 0, &err), 0);
	assert_string_equal(annotations(m, "c/b", &text), "");
	mail_verify(m);
	mail_close(m);
}

static void annotations_are_checked_and_all_or_nothing(void **state)
{
	static const char *const bad[] = { "", "/", "/shared/", "/shared", "/other/x", "shared/x", "/shared/a//b", "/shared/a/", "/shared/a*", "/shared/%", "/shared/a b", "/shared/\xc3\xa4" };
	struct mail *m = mail_new();
	struct pb_annotation many[1001], two[2] = { { PB_STR("/shared/a"), PB_STR("1") }, { PB_STR("/shared/A"), PB_STR("2") } };
	struct pb_arena *arena = pb_arena_new();
	char big[16385];
	PB_AUTOBUF(text);

	(void)state;
	memset(big, 'x', sizeof big);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(annotate(m, "INBOX", bad[i], "x"), PB_EINVALID);
	assert_int_equal(annotate(m, "nowhere", "/shared/a", "x"), PB_ENOTFOUND);
	assert_int_equal(host_annotation_set(m->mb, PB_STR("INBOX"), two, 2, &err), PB_EINVALID);
	two[1] = (struct pb_annotation){ PB_STR("/shared/b"), pb_str(big, sizeof big) };
	assert_int_equal(host_annotation_set(m->mb, PB_STR("INBOX"), two, 2, &err), PB_ETOOBIG);
	assert_string_equal(annotations(m, "INBOX", &text), "");
	for (int i = 0; i < 1001; i++)
		many[i] = (struct pb_annotation){ pb_strz(pb_arena_printf(arena, "/shared/%d", i)), PB_STR("x") };
	assert_int_equal(host_annotation_set(m->mb, PB_STR("INBOX"), many, 1001, &err), PB_EQUOTA);
	assert_int_equal(host_annotation_set(m->mb, PB_STR("INBOX"), many, 1000, &err), 0);
	assert_int_equal(annotate(m, "Sent", "/shared/a", "x"), PB_EQUOTA);
	assert_int_equal(annotate(m, "INBOX", "/shared/5", "other"), 0);
	mail_reopen(m);
	assert_int_equal(host_annotations_count(m->mb), 1000);
	m->host.rights = RIGHT_MAIL_READ;
	assert_int_equal(annotate(m, "INBOX", "/shared/5", NULL), PB_EDENIED);
	m->host.rights = 63;
	pb_arena_free(arena);
	mail_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(annotations_follow_their_folder_and_survive),
		cmocka_unit_test(annotations_are_checked_and_all_or_nothing),
	};

	int failed = cmocka_run_group_tests_name("annotations on memory", tests, NULL, NULL);

	mail_engine = "bdb";
	return failed + cmocka_run_group_tests_name("annotations on bdb", tests, NULL, NULL);
}
