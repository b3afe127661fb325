# The testkit: conversations and the fake host; installed, third parties test with it.
testkitdir = $(pkgdatadir)/testkit
skeletondir = $(testkitdir)/skeleton
dist_testkit_DATA = %D%/talk.py
dist_skeleton_DATA = %D%/skeleton/plugin.json %D%/skeleton/plugin.c %D%/skeleton/Makefile %D%/skeleton/README.md %D%/skeleton/plugin.talk

testkit_LTLIBRARIES = fake_bus.la
fake_bus_la_CPPFLAGS = $(CPPFLAGS_PLUGIN)
fake_bus_la_CFLAGS = $(CFLAGS_PLUGIN)
fake_bus_la_LDFLAGS = $(LDFLAGS_PLUGIN)
fake_bus_la_LIBADD = $(LIBS_PLUGIN)
fake_bus_la_SOURCES = %D%/fake_bus.c
