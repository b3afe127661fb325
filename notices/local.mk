# Messages that plugins write by themselves: a library that they link. Uses the SDK.
noinst_LTLIBRARIES += libnotices.la
CPPFLAGS_NOTICES = -D_GNU_SOURCE -I$(top_srcdir) -I$(top_srcdir)/sdk/include
libnotices_la_CPPFLAGS = $(CPPFLAGS_NOTICES)
libnotices_la_CFLAGS = $(AM_CFLAGS)
libnotices_la_LIBADD = libpostbus.la
libnotices_la_SOURCES = \
	%D%/automatic.c %D%/automatic.h \
	%D%/footer.c %D%/footer.h \
	%D%/mailto.c %D%/mailto.h
EXTRA_DIST += %D%/README.md

check_PROGRAMS += %D%/tests/test_notices %D%/tests/test_footer
TESTS += %D%/tests/test_notices %D%/tests/test_footer
%C%_tests_test_notices_SOURCES = %D%/tests/test_notices.c
%C%_tests_test_notices_CPPFLAGS = $(CPPFLAGS_TEST)
%C%_tests_test_notices_CFLAGS = $(CFLAGS_TEST)
%C%_tests_test_notices_LDADD = libnotices.la libpostbus.la $(CMOCKA_LIBS)
%C%_tests_test_footer_SOURCES = %D%/tests/test_footer.c
%C%_tests_test_footer_CPPFLAGS = $(CPPFLAGS_TEST)
%C%_tests_test_footer_CFLAGS = $(CFLAGS_TEST)
%C%_tests_test_footer_LDADD = libnotices.la libpostbus.la $(CMOCKA_LIBS)
