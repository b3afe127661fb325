# agent_mta: routing and reports.
if PLUGIN_AGENT_MTA
plugin_LTLIBRARIES += agent_mta.la
agent_mta_la_CPPFLAGS = $(CPPFLAGS_PLUGIN) -I$(top_srcdir)
agent_mta_la_CFLAGS = $(CFLAGS_PLUGIN)
agent_mta_la_LDFLAGS = $(LDFLAGS_PLUGIN)
agent_mta_la_LIBADD = libnotices.la $(LIBS_PLUGIN) $(UNISTRING_LIBS) -lpthread
agent_mta_la_SOURCES = \
	%D%/dsn.c \
	%D%/dsn.h \
	%D%/dsn_short.c \
	%D%/dsn_text.c \
	%D%/event.c \
	%D%/fields.c \
	%D%/filter.c \
	%D%/mta.h \
	%D%/notify.c \
	%D%/office.c \
	%D%/plugin.c \
	%D%/quarantine.c \
	%D%/quarantine.h \
	%D%/release.c \
	%D%/report.c \
	%D%/route.c \
	%D%/whose.c
dist_plugin_DATA += %D%/agent_mta.json

check_PROGRAMS += test_whose test_dsn
TESTS += test_whose test_dsn
test_whose_CPPFLAGS = $(CPPFLAGS_TEST)
test_whose_CFLAGS = $(CFLAGS_TEST)
test_whose_LDADD = libpostbus.la $(CMOCKA_LIBS) $(JANSSON_LIBS)
test_whose_SOURCES = %D%/tests/test_whose.c %D%/whose.c
test_dsn_CPPFLAGS = $(CPPFLAGS_TEST)
test_dsn_CFLAGS = $(CFLAGS_TEST)
test_dsn_LDADD = libpostbus.la $(CMOCKA_LIBS) $(JANSSON_LIBS) $(UNISTRING_LIBS)
test_dsn_SOURCES = %D%/tests/test_dsn.c %D%/dsn.c %D%/dsn_short.c %D%/dsn_text.c
TESTS += %D%/tests/test_global_filters.py %D%/tests/test_office.py %D%/tests/test_quarantine.py %D%/tests/test_event.py %D%/tests/test_bulk.py
endif
EXTRA_DIST += %D%/README.md %D%/tests/test_global_filters.py %D%/tests/test_office.py %D%/tests/test_quarantine.py %D%/tests/test_event.py %D%/tests/test_bulk.py
EXTRA_DIST += %D%/tests/bulk.talk %D%/tests/event.talk %D%/tests/filter_in.talk %D%/tests/filter_out.talk %D%/tests/guard_loop.talk %D%/tests/guard_size.talk \
	%D%/tests/quarantine.talk %D%/tests/reports.talk
