# Spools, lanes, leases, retry, hold, dead letters.
libkernel_la_SOURCES += \
	%D%/accept.c \
	%D%/admin.c %D%/admin.h %D%/admin_find.c %D%/admin_list.c \
	%D%/batch.c \
	%D%/dispatch.c \
	%D%/hop.c \
	%D%/inhand.c %D%/inhand.h \
	%D%/item.c \
	%D%/lane.c \
	%D%/load.c \
	%D%/private.h \
	%D%/queue.c %D%/queue.h \
	%D%/report.c \
	%D%/row.c \
	%D%/served.c \
	%D%/settle.c \
	%D%/shard.c \
	%D%/spool.c \
	%D%/suspect.c

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

check_PROGRAMS += test_spool
TESTS += test_spool
test_spool_SOURCES = %D%/tests/test_spool.c
test_spool_CPPFLAGS = $(CPPFLAGS_TEST)
test_spool_CFLAGS = $(CFLAGS_TEST)
test_spool_LDADD = libqueuerig.la $(LIBS_TEST)

check_PROGRAMS += test_timeline
TESTS += test_timeline
test_timeline_SOURCES = kernel/store/tests/test_timeline.c
test_timeline_CPPFLAGS = $(CPPFLAGS_TEST)
test_timeline_CFLAGS = $(CFLAGS_TEST)
test_timeline_LDADD = $(LIBS_TEST)

check_PROGRAMS += test_queue_admin
TESTS += test_queue_admin
test_queue_admin_SOURCES = %D%/tests/test_queue_admin.c
test_queue_admin_CPPFLAGS = $(CPPFLAGS_TEST)
test_queue_admin_CFLAGS = $(CFLAGS_TEST)
test_queue_admin_LDADD = libqueuerig.la $(LIBS_TEST)

check_PROGRAMS += test_queue_lanes
TESTS += test_queue_lanes
test_queue_lanes_SOURCES = %D%/tests/test_queue_lanes.c
test_queue_lanes_CPPFLAGS = $(CPPFLAGS_TEST)
test_queue_lanes_CFLAGS = $(CFLAGS_TEST)
test_queue_lanes_LDADD = libqueuerig.la $(LIBS_TEST)

check_PROGRAMS += test_queue_model
TESTS += test_queue_model
test_queue_model_SOURCES = %D%/tests/test_queue_model.c
test_queue_model_CPPFLAGS = $(CPPFLAGS_TEST)
test_queue_model_CFLAGS = $(CFLAGS_TEST)
test_queue_model_LDADD = libqueuerig.la $(LIBS_TEST)

check_PROGRAMS += test_queue_hop
TESTS += test_queue_hop
test_queue_hop_SOURCES = %D%/tests/test_queue_hop.c
test_queue_hop_CPPFLAGS = $(CPPFLAGS_TEST)
test_queue_hop_CFLAGS = $(CFLAGS_TEST)
test_queue_hop_LDADD = libqueuerig.la $(LIBS_TEST)

# Asked by test_poison.py; -rpath makes a shared object of it though it is never installed.
check_LTLIBRARIES += crash_probe.la
crash_probe_la_CPPFLAGS = $(CPPFLAGS_PLUGIN)
crash_probe_la_CFLAGS = $(CFLAGS_PLUGIN)
crash_probe_la_LDFLAGS = $(LDFLAGS_PLUGIN) -rpath /nowhere
crash_probe_la_LIBADD = $(LIBS_PLUGIN)
crash_probe_la_SOURCES = %D%/tests/crash_probe.c
EXTRA_DIST += %D%/tests/crash_probe.json
EXTRA_DIST += docs/decisions/086-bulk-behind-all-else.md docs/decisions/105-told-as-it-happens.md docs/decisions/106-envelopes-behind-the-dot.md docs/decisions/107-what-a-member-costs.md
