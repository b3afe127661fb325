# one room of the kernel
libkernel_la_SOURCES += \
	%D%/attach.c \
	%D%/commands.c \
	%D%/desk.c %D%/desk.h \
	%D%/enter.c \
	%D%/frame.c %D%/frame.h \
	%D%/host_session.c \
	%D%/input.c \
	%D%/internal.h \
	%D%/link.c %D%/link.h \
	%D%/link_tls.c \
	%D%/listener.c \
	%D%/low_port.c \
	%D%/output.c \
	%D%/own.c \
	%D%/pool.c %D%/pool.h \
	%D%/proxy.c \
	%D%/revoke.c \
	%D%/running.h \
	%D%/session.c \
	%D%/sessions.c %D%/sessions.h \
	%D%/slot.c \
	%D%/sources.c \
	%D%/timers.c %D%/timers.h \
	%D%/tls.c \
	%D%/wire.c %D%/wire.h

check_PROGRAMS += kernel/session/tests/test_session
TESTS += kernel/session/tests/test_session
kernel_session_tests_test_session_SOURCES = %D%/tests/test_session.c %D%/tests/toy.c %D%/tests/toy.h
kernel_session_tests_test_session_CPPFLAGS = $(CPPFLAGS_TEST)
kernel_session_tests_test_session_CFLAGS = $(CFLAGS_TEST)
kernel_session_tests_test_session_LDADD = $(LIBS_TEST)

check_PROGRAMS += kernel/session/tests/test_tls
TESTS += kernel/session/tests/test_tls
kernel_session_tests_test_tls_SOURCES = %D%/tests/test_tls.c %D%/tests/certs.c %D%/tests/toy.c %D%/tests/toy.h
kernel_session_tests_test_tls_CPPFLAGS = $(CPPFLAGS_TEST)
kernel_session_tests_test_tls_CFLAGS = $(CFLAGS_TEST)
kernel_session_tests_test_tls_LDADD = $(LIBS_TEST) $(GNUTLS_LIBS)

# fuzzing: with clang and --enable-fuzz libFuzzer's own main, else a short fixed run
FUZZERS += tests/fuzz/fuzz_framing
check_PROGRAMS += tests/fuzz/fuzz_framing
TESTS += tests/fuzz/fuzz_framing
tests_fuzz_fuzz_framing_SOURCES = tests/fuzz/fuzz_framing.c
tests_fuzz_fuzz_framing_CPPFLAGS = $(CPPFLAGS_TEST)
tests_fuzz_fuzz_framing_CFLAGS = $(CFLAGS_TEST)
tests_fuzz_fuzz_framing_LDADD = $(LIBS_TEST)
if FUZZ
tests_fuzz_fuzz_framing_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer,address,undefined
else
tests_fuzz_fuzz_framing_SOURCES += tests/fuzz/run.c
endif
EXTRA_DIST += docs/decisions/010-park-and-resume.md docs/decisions/011-workers-in-epoll.md

check_PROGRAMS += kernel/session/tests/test_session_parts
TESTS += kernel/session/tests/test_session_parts
kernel_session_tests_test_session_parts_SOURCES = %D%/tests/test_parts.c %D%/tests/toy.c %D%/tests/toy.h
kernel_session_tests_test_session_parts_CPPFLAGS = $(CPPFLAGS_TEST)
kernel_session_tests_test_session_parts_CFLAGS = $(CFLAGS_TEST)
kernel_session_tests_test_session_parts_LDADD = $(LIBS_TEST)
