# What bounces say: a library that plugins link. Uses the SDK.
noinst_LTLIBRARIES += libbounces.la
CPPFLAGS_BOUNCES = -D_GNU_SOURCE -I$(top_srcdir) -I$(top_srcdir)/sdk/include
libbounces_la_CPPFLAGS = $(CPPFLAGS_BOUNCES)
libbounces_la_CFLAGS = $(AM_CFLAGS)
libbounces_la_LIBADD = libpostbus.la
libbounces_la_SOURCES = \
	%D%/address.c %D%/bounces.c %D%/forms.c %D%/match.c %D%/report.c %D%/text.c \
	%D%/bounces.h %D%/internal.h
EXTRA_DIST += %D%/README.md

check_PROGRAMS += %D%/tests/test_bounces %D%/tests/test_real
TESTS += %D%/tests/test_bounces %D%/tests/test_real
EXTRA_DIST += %D%/tests/data
%C%_tests_test_bounces_SOURCES = %D%/tests/test_bounces.c %D%/tests/messages.h
%C%_tests_test_bounces_CPPFLAGS = $(CPPFLAGS_TEST)
%C%_tests_test_bounces_CFLAGS = $(CFLAGS_TEST)
%C%_tests_test_bounces_LDADD = libbounces.la libpostbus.la $(CMOCKA_LIBS)
%C%_tests_test_real_SOURCES = %D%/tests/test_real.c %D%/tests/messages.h
%C%_tests_test_real_CPPFLAGS = $(CPPFLAGS_TEST)
%C%_tests_test_real_CFLAGS = $(CFLAGS_TEST)
%C%_tests_test_real_LDADD = libbounces.la libpostbus.la
