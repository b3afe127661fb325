# agent_mta: routing and reports.
if PLUGIN_AGENT_MTA
plugin_LTLIBRARIES += agent_mta.la
agent_mta_la_CPPFLAGS = $(CPPFLAGS_PLUGIN)
agent_mta_la_CFLAGS = $(CFLAGS_PLUGIN)
agent_mta_la_LDFLAGS = $(LDFLAGS_PLUGIN)
agent_mta_la_LIBADD = $(LIBS_PLUGIN) $(UNISTRING_LIBS)
agent_mta_la_SOURCES = \
	%D%/dsn.c \
	%D%/dsn.h \
	%D%/dsn_short.c \
	%D%/dsn_text.c \
	%D%/mta.h \
	%D%/plugin.c \
	%D%/report.c \
	%D%/route.c
dist_plugin_DATA += %D%/agent_mta.json

check_PROGRAMS += test_dsn
TESTS += test_dsn
test_dsn_CPPFLAGS = $(CPPFLAGS_TEST)
test_dsn_CFLAGS = $(CFLAGS_TEST)
test_dsn_LDADD = libpostbus.la $(CMOCKA_LIBS) $(JANSSON_LIBS) $(UNISTRING_LIBS)
test_dsn_SOURCES = %D%/tests/test_dsn.c %D%/dsn.c %D%/dsn_short.c %D%/dsn_text.c
endif
EXTRA_DIST += %D%/README.md
