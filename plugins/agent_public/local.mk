# agent_public: public folders of post offices.
if PLUGIN_AGENT_PUBLIC
plugin_LTLIBRARIES += agent_public.la
agent_public_la_CPPFLAGS = $(CPPFLAGS_PLUGIN)
agent_public_la_CFLAGS = $(CFLAGS_PLUGIN)
agent_public_la_LDFLAGS = $(LDFLAGS_PLUGIN)
agent_public_la_LIBADD = $(LIBS_PLUGIN) -lpthread
agent_public_la_SOURCES = %D%/mailbox.c %D%/methods.c %D%/plugin.c %D%/public.h %D%/rights.c
dist_plugin_DATA += %D%/agent_public.json
TESTS += %D%/tests/test_public.py
endif
EXTRA_DIST += %D%/README.md %D%/tests/test_public.py
EXTRA_DIST += %D%/tests/folders.talk %D%/tests/rights.talk
