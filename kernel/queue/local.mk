# Spools, lanes, leases, retry, hold, dead letters.
libkernel_la_SOURCES += \
	%D%/accept.c \
	%D%/admin.c %D%/admin.h %D%/admin_list.c \
	%D%/batch.c \
	%D%/dispatch.c \
	%D%/item.c \
	%D%/lane.c \
	%D%/load.c \
	%D%/private.h \
	%D%/queue.c %D%/queue.h \
	%D%/report.c \
	%D%/row.c \
	%D%/settle.c \
	%D%/shard.c \
	%D%/spool.c %D%/spool.h

check_LTLIBRARIES += libqueuerig.la
libqueuerig_la_CPPFLAGS = $(CPPFLAGS_TEST)
libqueuerig_la_CFLAGS = $(CFLAGS_TEST)
libqueuerig_la_SOURCES = %D%/tests/rig.c %D%/tests/rig.h

check_PROGRAMS += test_row test_queue
TESTS += test_row test_queue
test_row_SOURCES = %D%/tests/test_row.c
test_row_CPPFLAGS = $(CPPFLAGS_TEST)
test_row_CFLAGS = $(CFLAGS_TEST)
test_row_LDADD = $(LIBS_TEST)
test_queue_SOURCES = %D%/tests/test_queue.c
test_queue_CPPFLAGS = $(CPPFLAGS_TEST)
test_queue_CFLAGS = $(CFLAGS_TEST)
test_queue_LDADD = libqueuerig.la $(LIBS_TEST)

noinst_PROGRAMS += queue_bench
queue_bench_SOURCES = tests/bench/queue_bench.c
queue_bench_CPPFLAGS = $(CPPFLAGS_TEST)
queue_bench_CFLAGS = $(CFLAGS_TEST)
queue_bench_LDADD = $(LIBS_TEST)
