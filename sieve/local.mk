# Sieve: compiler and machine, a library of their own that plugins link. Uses the SDK and PCRE2.
noinst_LTLIBRARIES += libsieve.la
CPPFLAGS_SIEVE = -D_GNU_SOURCE -I$(top_srcdir) -I$(top_srcdir)/sdk/include
libsieve_la_CPPFLAGS = $(CPPFLAGS_SIEVE)
libsieve_la_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(PCRE2_CFLAGS)
libsieve_la_LIBADD = libpostbus.la $(PCRE2_LIBS)
SIEVE_SOURCES = \
	%D%/actions.c \
	%D%/arguments.c \
	%D%/ast.h \
	%D%/code.h \
	%D%/compile.c %D%/compile.h \
	%D%/edit.c \
	%D%/flags.c \
	%D%/lex.c %D%/lex.h \
	%D%/machine.c %D%/machine.h \
	%D%/mail.c %D%/mail.h \
	%D%/mail_known.c \
	%D%/mail_write.c \
	%D%/mailto.c \
	%D%/match.c %D%/match.h \
	%D%/matching.c \
	%D%/parse.c \
	%D%/program.c \
	%D%/reader.h \
	%D%/regex.c \
	%D%/regex_literal.c \
	%D%/sieve.h \
	%D%/strings.c \
	%D%/test_date.c \
	%D%/test_mail.c \
	%D%/test_world.c \
	%D%/variables.c \
	%D%/warn.c \
	%D%/words.c %D%/words.h
libsieve_la_SOURCES = $(SIEVE_SOURCES)
LIBS_SIEVE = libsieve.la libpostbus.la $(PCRE2_LIBS) $(JANSSON_LIBS)

check_PROGRAMS += %D%/tests/test_sieve %D%/tests/try_sieve
TESTS += %D%/tests/test_sieve
%C%_tests_test_sieve_SOURCES = %D%/tests/test_sieve.c
%C%_tests_test_sieve_CPPFLAGS = $(CPPFLAGS_TEST)
%C%_tests_test_sieve_CFLAGS = $(CFLAGS_TEST)
%C%_tests_test_sieve_LDADD = $(LIBS_SIEVE) $(CMOCKA_LIBS)
%C%_tests_try_sieve_SOURCES = %D%/tests/try_sieve.c
%C%_tests_try_sieve_CPPFLAGS = $(CPPFLAGS_SIEVE)
%C%_tests_try_sieve_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
%C%_tests_try_sieve_LDADD = $(LIBS_SIEVE)

# Scripts that others wrote, and Pigeonhole beside it, where they are there.
SIEVE_PY = %D%/tests/test_cases.py
TESTS += $(SIEVE_PY)
EXTRA_DIST += $(SIEVE_PY) %D%/README.md

# fuzz_sieve: any script on any message; try_fuzz_sieve a fixed sequence of them in every make check.
if FUZZ
FUZZERS += fuzz_sieve
fuzz_sieve_SOURCES = tests/fuzz/fuzz_sieve.c
fuzz_sieve_CPPFLAGS = $(CPPFLAGS_SIEVE)
fuzz_sieve_CFLAGS = $(CFLAGS_FUZZ)
fuzz_sieve_LDFLAGS = $(LDFLAGS_FUZZ)
fuzz_sieve_LDADD = $(LIBS_SIEVE)
endif
check_PROGRAMS += try_fuzz_sieve
TESTS += try_fuzz_sieve
try_fuzz_sieve_SOURCES = tests/fuzz/fuzz_sieve.c tests/fuzz/run.c
try_fuzz_sieve_CPPFLAGS = $(CPPFLAGS_TEST)
try_fuzz_sieve_CFLAGS = $(CFLAGS_TEST)
try_fuzz_sieve_LDADD = $(LIBS_SIEVE)
EXTRA_DIST += tests/fuzz/fuzz_sieve.c
