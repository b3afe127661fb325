# agent_antivirus: viruses, by way of clamd.
if PLUGIN_AGENT_ANTIVIRUS
plugin_LTLIBRARIES += agent_antivirus.la
agent_antivirus_la_CPPFLAGS = $(CPPFLAGS_PLUGIN)
agent_antivirus_la_CFLAGS = $(CFLAGS_PLUGIN)
agent_antivirus_la_LDFLAGS = $(LDFLAGS_PLUGIN)
agent_antivirus_la_LIBADD = $(LIBS_PLUGIN)
agent_antivirus_la_SOURCES = %D%/plugin.c %D%/scan.c %D%/scan.h
dist_plugin_DATA += %D%/agent_antivirus.json
TESTS += %D%/tests/test_antivirus.py
endif
EXTRA_DIST += %D%/README.md %D%/tests/test_antivirus.py
EXTRA_DIST += %D%/tests/unavailable.talk
