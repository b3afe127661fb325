# Who sent a message: DKIM, ARC, SPF, DMARC and Authentication-Results, a library that plugins link. Uses the SDK, GnuTLS and libpsl.
noinst_LTLIBRARIES += libmailauth.la
CPPFLAGS_MAILAUTH = -D_GNU_SOURCE -I$(top_srcdir) -I$(top_srcdir)/sdk/include
libmailauth_la_CPPFLAGS = $(CPPFLAGS_MAILAUTH)
libmailauth_la_CFLAGS = $(AM_CFLAGS) $(GNUTLS_CFLAGS) $(PSL_CFLAGS)
LIBS_MAILAUTH = libmailauth.la libpostbus.la $(GNUTLS_LIBS) $(PSL_LIBS)
libmailauth_la_LIBADD = libpostbus.la $(GNUTLS_LIBS) $(PSL_LIBS)
libmailauth_la_SOURCES = \
	%D%/arc.h %D%/arc_seal.c %D%/arc_sets.c %D%/arc_sets.h %D%/arc_validate.c \
	%D%/auth.c %D%/auth.h \
	%D%/canon.c %D%/canon.h \
	%D%/dkim.h %D%/dkim_sign.c %D%/dkim_verify.c \
	%D%/dmarc.c %D%/dmarc.h \
	%D%/keys.c %D%/keys.h \
	%D%/results.c %D%/results.h \
	%D%/signature.c %D%/signature.h \
	%D%/spf.c %D%/spf.h %D%/spf_macro.c %D%/spf_record.c \
	%D%/tags.c %D%/tags.h
EXTRA_DIST += %D%/README.md docs/decisions/098-what-strangers-may-cost.md docs/decisions/099-chains.md

check_PROGRAMS += %D%/tests/test_mailauth %D%/tests/test_spf %D%/tests/try_mailauth
TESTS += %D%/tests/test_mailauth %D%/tests/test_spf %D%/tests/test_others.py
%C%_tests_test_mailauth_SOURCES = %D%/tests/test_mailauth.c %D%/tests/world.h
%C%_tests_test_mailauth_CPPFLAGS = $(CPPFLAGS_TEST)
%C%_tests_test_mailauth_CFLAGS = $(CFLAGS_TEST)
%C%_tests_test_mailauth_LDADD = $(LIBS_MAILAUTH) $(CMOCKA_LIBS)
%C%_tests_test_spf_SOURCES = %D%/tests/test_spf.c %D%/tests/world.h
%C%_tests_test_spf_CPPFLAGS = $(CPPFLAGS_TEST)
%C%_tests_test_spf_CFLAGS = $(CFLAGS_TEST)
%C%_tests_test_spf_LDADD = $(LIBS_MAILAUTH) $(CMOCKA_LIBS)
%C%_tests_try_mailauth_SOURCES = %D%/tests/try_mailauth.c
%C%_tests_try_mailauth_CPPFLAGS = $(CPPFLAGS_MAILAUTH)
%C%_tests_try_mailauth_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
%C%_tests_try_mailauth_LDADD = $(LIBS_MAILAUTH) $(JANSSON_LIBS)
EXTRA_DIST += %D%/tests/test_others.py

# fuzz_mailauth: what strangers write; try_fuzz_mailauth a fixed sequence of it in every make check.
if FUZZ
FUZZERS += fuzz_mailauth
fuzz_mailauth_SOURCES = tests/fuzz/fuzz_mailauth.c
fuzz_mailauth_CPPFLAGS = $(CPPFLAGS_MAILAUTH)
fuzz_mailauth_CFLAGS = $(CFLAGS_FUZZ)
fuzz_mailauth_LDFLAGS = $(LDFLAGS_FUZZ)
fuzz_mailauth_LDADD = $(LIBS_MAILAUTH)
endif
check_PROGRAMS += try_fuzz_mailauth
TESTS += try_fuzz_mailauth
try_fuzz_mailauth_SOURCES = tests/fuzz/fuzz_mailauth.c tests/fuzz/run.c
try_fuzz_mailauth_CPPFLAGS = $(CPPFLAGS_TEST)
try_fuzz_mailauth_CFLAGS = $(CFLAGS_TEST)
try_fuzz_mailauth_LDADD = $(LIBS_MAILAUTH)
EXTRA_DIST += tests/fuzz/fuzz_mailauth.c
