# Tests of libpostbus.
sdk_tests = sdk_test_address sdk_test_base sdk_test_date sdk_test_letter sdk_test_message sdk_test_scram sdk_test_table sdk_test_text
CPPFLAGS_SDKTEST = -D_GNU_SOURCE -I$(top_srcdir)/sdk/include -I$(top_srcdir)/sdk/tests
CFLAGS_SDKTEST = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(CMOCKA_CFLAGS)
LIBS_SDKTEST = libpostbus.la $(CMOCKA_LIBS) $(JANSSON_LIBS)

sdk_test_address_SOURCES = %D%/test_address.c %D%/tables.h
sdk_test_address_CPPFLAGS = $(CPPFLAGS_SDKTEST)
sdk_test_address_CFLAGS = $(CFLAGS_SDKTEST)
sdk_test_address_LDADD = $(LIBS_SDKTEST)
sdk_test_date_SOURCES = %D%/test_date.c %D%/tables.h
sdk_test_date_CPPFLAGS = $(CPPFLAGS_SDKTEST)
sdk_test_date_CFLAGS = $(CFLAGS_SDKTEST)
sdk_test_date_LDADD = $(LIBS_SDKTEST)
sdk_test_letter_SOURCES = %D%/test_letter.c
sdk_test_letter_CPPFLAGS = $(CPPFLAGS_SDKTEST)
sdk_test_letter_CFLAGS = $(CFLAGS_SDKTEST)
sdk_test_letter_LDADD = $(LIBS_SDKTEST)
sdk_test_message_SOURCES = %D%/test_message.c %D%/tables.h
sdk_test_message_CPPFLAGS = $(CPPFLAGS_SDKTEST)
sdk_test_message_CFLAGS = $(CFLAGS_SDKTEST)
sdk_test_message_LDADD = $(LIBS_SDKTEST)
sdk_test_scram_SOURCES = %D%/test_scram.c
sdk_test_scram_CPPFLAGS = $(CPPFLAGS_SDKTEST)
sdk_test_scram_CFLAGS = $(CFLAGS_SDKTEST)
sdk_test_scram_LDADD = $(LIBS_SDKTEST)
# With a host of its own: the table of operations is not among the public headers.
sdk_test_table_SOURCES = %D%/test_table.c
sdk_test_table_CPPFLAGS = $(CPPFLAGS_SDKTEST) -I$(top_srcdir)
sdk_test_table_CFLAGS = $(CFLAGS_SDKTEST)
sdk_test_table_LDADD = $(LIBS_SDKTEST)
sdk_test_base_SOURCES = %D%/test_base.c %D%/tables.h
sdk_test_base_CPPFLAGS = $(CPPFLAGS_SDKTEST)
sdk_test_base_CFLAGS = $(CFLAGS_SDKTEST)
sdk_test_base_LDADD = $(LIBS_SDKTEST)
sdk_test_text_SOURCES = %D%/test_text.c %D%/tables.h
sdk_test_text_CPPFLAGS = $(CPPFLAGS_SDKTEST)
sdk_test_text_CFLAGS = $(CFLAGS_SDKTEST)
sdk_test_text_LDADD = $(LIBS_SDKTEST)

check_PROGRAMS += $(sdk_tests) facts_dump
TESTS += $(sdk_tests)

facts_dump_SOURCES = %D%/facts_dump.c
facts_dump_CPPFLAGS = $(CPPFLAGS_SDKTEST)
facts_dump_CFLAGS = $(CFLAGS_SDKTEST)
facts_dump_LDADD = $(LIBS_SDKTEST)

sdk_scripts = %D%/headers.sh %D%/mime_corpus.py %D%/symbols.sh
dist_check_SCRIPTS += $(sdk_scripts)
TESTS += $(sdk_scripts)
EXTRA_DIST += sdk/symbols.txt

if HAVE_GMIME
check_PROGRAMS += sdk_test_gmime
TESTS += sdk_test_gmime
endif
sdk_test_gmime_SOURCES = %D%/test_gmime.c %D%/tables.h
sdk_test_gmime_CPPFLAGS = $(CPPFLAGS_SDKTEST)
sdk_test_gmime_CFLAGS = $(CFLAGS_SDKTEST) $(GMIME_CFLAGS)
sdk_test_gmime_LDADD = $(LIBS_SDKTEST) $(GMIME_LIBS)
