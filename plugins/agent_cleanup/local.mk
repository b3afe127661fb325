# agent_cleanup: folders emptied by age, deleted messages brought back.
if PLUGIN_AGENT_CLEANUP
plugin_LTLIBRARIES += agent_cleanup.la
agent_cleanup_la_CPPFLAGS = $(CPPFLAGS_PLUGIN)
agent_cleanup_la_CFLAGS = $(CFLAGS_PLUGIN)
agent_cleanup_la_LDFLAGS = $(LDFLAGS_PLUGIN)
agent_cleanup_la_LIBADD = $(LIBS_PLUGIN)
agent_cleanup_la_SOURCES = %D%/ages.c %D%/cleanup.h %D%/deleted.c %D%/plugin.c %D%/sweep.c
dist_plugin_DATA += %D%/agent_cleanup.json
TESTS += %D%/tests/test_cleanup.py
endif
EXTRA_DIST += %D%/README.md %D%/tests/test_cleanup.py
EXTRA_DIST += %D%/tests/deleted_folder.talk %D%/tests/undelete.talk
