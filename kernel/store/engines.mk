# the engines and their tests
libkernel_la_SOURCES += \
	%D%/engine.h \
	%D%/engine_ops.h \
	%D%/engine.c \
	%D%/engine_memory.c \
	%D%/sorted.h \
	%D%/sorted.c
libkernel_la_SOURCES += \
	%D%/engine_bdb.h \
	%D%/engine_bdb.c \
	%D%/engine_bdb_apply.c \
	%D%/engine_bdb_backup.c \
	%D%/engine_bdb_bodies.c \
	%D%/engine_bdb_committer.c \
	%D%/engine_bdb_compact.c \
	%D%/engine_bdb_drop.c \
	%D%/engine_bdb_durable.c \
	%D%/engine_bdb_env.c \
	%D%/engine_bdb_heads.c \
	%D%/engine_bdb_journal.c \
	%D%/engine_bdb_recover.c \
	%D%/engine_bdb_scan.c \
	%D%/engine_bdb_verify.c \
	%D%/journal.h \
	%D%/journal.c \
	%D%/journal_direct.c \
	%D%/journal_pack.c \
	%D%/segment.h \
	%D%/segment.c \
	%D%/segment_facts.c \
	%D%/segment_flush.c \
	%D%/segment_record.c \
	%D%/segment_write.c

check_PROGRAMS += test_engine
TESTS += test_engine
test_engine_SOURCES = %D%/tests/test_engine.c %D%/tests/scratch.h
test_engine_CPPFLAGS = $(CPPFLAGS_TEST)
test_engine_CFLAGS = $(CFLAGS_TEST)
test_engine_LDADD = $(LIBS_TEST)

check_PROGRAMS += test_engine_crash
TESTS += test_engine_crash
test_engine_crash_SOURCES = %D%/tests/test_engine_crash.c %D%/tests/scratch.h
test_engine_crash_CPPFLAGS = $(CPPFLAGS_TEST)
test_engine_crash_CFLAGS = $(CFLAGS_TEST)
test_engine_crash_LDADD = $(LIBS_TEST)

# A disk that loses power, to be preloaded.
check_LTLIBRARIES += powercut_shim.la
powercut_shim_la_SOURCES = tests/crash/powercut_shim.c
powercut_shim_la_CFLAGS = $(AM_CFLAGS) -U_FORTIFY_SOURCE -fvisibility=default
powercut_shim_la_LDFLAGS = -module -avoid-version -shared -rpath /nowhere

check_PROGRAMS += test_engine_care
TESTS += test_engine_care
test_engine_care_SOURCES = %D%/tests/test_engine_care.c %D%/tests/scratch.h
test_engine_care_CPPFLAGS = $(CPPFLAGS_TEST)
test_engine_care_CFLAGS = $(CFLAGS_TEST)
test_engine_care_LDADD = $(LIBS_TEST) $(BDB_LIBS)

check_PROGRAMS += test_engine_bdb
TESTS += test_engine_bdb
test_engine_bdb_SOURCES = %D%/tests/test_engine_bdb.c %D%/tests/scratch.h
test_engine_bdb_CPPFLAGS = $(CPPFLAGS_TEST)
test_engine_bdb_CFLAGS = $(CFLAGS_TEST)
test_engine_bdb_LDADD = $(LIBS_TEST) $(BDB_LIBS)

check_PROGRAMS += test_engine_full
TESTS += test_engine_full
test_engine_full_SOURCES = %D%/tests/test_engine_full.c %D%/tests/scratch.h
test_engine_full_CPPFLAGS = $(CPPFLAGS_TEST)
test_engine_full_CFLAGS = $(CFLAGS_TEST)
test_engine_full_LDADD = $(LIBS_TEST)

# Recovery of segments: a fuzzer, and a fixed sequence of its inputs in every make check.
if FUZZ
FUZZERS += fuzz_segment
fuzz_segment_SOURCES = tests/fuzz/fuzz_segment.c %D%/segment_record.c
fuzz_segment_CPPFLAGS = $(CPPFLAGS_KERNEL)
fuzz_segment_CFLAGS = $(AM_CFLAGS)
fuzz_segment_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer,address,undefined
fuzz_segment_LDADD = libpostbus.la
endif
check_PROGRAMS += try_fuzz_segment
TESTS += try_fuzz_segment
try_fuzz_segment_SOURCES = tests/fuzz/fuzz_segment.c tests/fuzz/run.c %D%/segment_record.c
try_fuzz_segment_CPPFLAGS = $(CPPFLAGS_TEST)
try_fuzz_segment_CFLAGS = $(CFLAGS_TEST)
try_fuzz_segment_LDADD = libpostbus.la
EXTRA_DIST += tests/fuzz/fuzz_segment.c
