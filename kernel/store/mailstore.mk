# mailboxes, folders, views, tables and bodies, and their tests
libkernel_la_SOURCES += \
	%D%/account.c \
	%D%/annotation.c \
	%D%/body.c \
	%D%/flags.c \
	%D%/folder.c \
	%D%/folder.h \
	%D%/folder_copy.c \
	%D%/folder_image.c \
	%D%/folder_insert.c \
	%D%/folder_load.c \
	%D%/folder_remove.c \
	%D%/folder_store.c \
	%D%/host_folder.c \
	%D%/host_mailbox.c \
	%D%/host_tree.c \
	%D%/object_id.c \
	%D%/mailstore.c \
	%D%/mailstore_verify.c \
	%D%/name.c \
	%D%/pack.h \
	%D%/remember.c \
	%D%/rows.c \
	%D%/rows.h \
	%D%/spool.h \
	%D%/table.c \
	%D%/tokens.c \
	%D%/view.c \
	%D%/view_diff.c

MAILFIX = %D%/tests/mailfix.c %D%/tests/mailfix.h %D%/tests/slow_engine.c

check_PROGRAMS += %D%/tests/test_object_id %D%/tests/test_rows %D%/tests/test_annotation %D%/tests/test_mailbox %D%/tests/test_folder %D%/tests/test_durable %D%/tests/test_mail_threads
TESTS += %D%/tests/test_object_id %D%/tests/test_rows %D%/tests/test_annotation %D%/tests/test_mailbox %D%/tests/test_folder %D%/tests/test_durable %D%/tests/test_mail_threads
%C%_tests_test_rows_SOURCES = %D%/tests/test_rows.c
%C%_tests_test_rows_CPPFLAGS = $(CPPFLAGS_TEST)
%C%_tests_test_rows_CFLAGS = $(CFLAGS_TEST)
%C%_tests_test_rows_LDADD = $(LIBS_TEST)
%C%_tests_test_object_id_SOURCES = %D%/tests/test_object_id.c $(MAILFIX)
%C%_tests_test_object_id_CPPFLAGS = $(CPPFLAGS_TEST)
%C%_tests_test_object_id_CFLAGS = $(CFLAGS_TEST)
%C%_tests_test_object_id_LDADD = $(LIBS_TEST)
%C%_tests_test_annotation_SOURCES = %D%/tests/test_annotation.c $(MAILFIX)
%C%_tests_test_annotation_CPPFLAGS = $(CPPFLAGS_TEST)
%C%_tests_test_annotation_CFLAGS = $(CFLAGS_TEST)
%C%_tests_test_annotation_LDADD = $(LIBS_TEST)
%C%_tests_test_mailbox_SOURCES = %D%/tests/test_mailbox.c $(MAILFIX)
%C%_tests_test_mailbox_CPPFLAGS = $(CPPFLAGS_TEST)
%C%_tests_test_mailbox_CFLAGS = $(CFLAGS_TEST)
%C%_tests_test_mailbox_LDADD = $(LIBS_TEST)
%C%_tests_test_folder_SOURCES = %D%/tests/test_folder.c $(MAILFIX)
%C%_tests_test_folder_CPPFLAGS = $(CPPFLAGS_TEST)
%C%_tests_test_folder_CFLAGS = $(CFLAGS_TEST)
%C%_tests_test_folder_LDADD = $(LIBS_TEST)
%C%_tests_test_durable_SOURCES = %D%/tests/test_durable.c $(MAILFIX)
%C%_tests_test_durable_CPPFLAGS = $(CPPFLAGS_TEST)
%C%_tests_test_durable_CFLAGS = $(CFLAGS_TEST)
%C%_tests_test_durable_LDADD = $(LIBS_TEST)
%C%_tests_test_mail_threads_SOURCES = %D%/tests/test_mail_threads.c $(MAILFIX)
%C%_tests_test_mail_threads_CPPFLAGS = $(CPPFLAGS_TEST)
%C%_tests_test_mail_threads_CFLAGS = $(CFLAGS_TEST)
%C%_tests_test_mail_threads_LDADD = $(LIBS_TEST)

check_PROGRAMS += %D%/tests/test_images
TESTS += %D%/tests/test_images
%C%_tests_test_images_SOURCES = %D%/tests/test_images.c $(MAILFIX)
%C%_tests_test_images_CPPFLAGS = $(CPPFLAGS_TEST)
%C%_tests_test_images_CFLAGS = $(CFLAGS_TEST)
%C%_tests_test_images_LDADD = $(LIBS_TEST)

noinst_PROGRAMS += mailstore_bench
mailstore_bench_SOURCES = tests/bench/mailstore_bench.c
mailstore_bench_CPPFLAGS = $(CPPFLAGS_TEST)
mailstore_bench_CFLAGS = $(CFLAGS_TEST)
mailstore_bench_LDADD = $(LIBS_TEST)
