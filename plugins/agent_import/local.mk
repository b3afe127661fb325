# agent_import: what postbusctl import hands over.
if PLUGIN_AGENT_IMPORT
plugin_LTLIBRARIES += agent_import.la
agent_import_la_CPPFLAGS = $(CPPFLAGS_PLUGIN)
agent_import_la_CFLAGS = $(CFLAGS_PLUGIN)
agent_import_la_LDFLAGS = $(LDFLAGS_PLUGIN)
agent_import_la_LIBADD = $(LIBS_PLUGIN)
agent_import_la_SOURCES = %D%/plugin.c %D%/import.h %D%/keys.c %D%/methods.c %D%/upload.c
dist_plugin_DATA += %D%/agent_import.json
endif
EXTRA_DIST += %D%/README.md
TESTS += %D%/tests/test_methods.py
EXTRA_DIST += %D%/tests/test_methods.py
