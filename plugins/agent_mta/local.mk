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
	%D%/dsn_text.c \
	%D%/mta.h \
	%D%/plugin.c \
	%D%/report.c \
	%D%/route.c
dist_plugin_DATA += %D%/agent_mta.json
endif
EXTRA_DIST += %D%/README.md
