# conn_postoffice: local delivery.
if PLUGIN_CONN_POSTOFFICE
plugin_LTLIBRARIES += conn_postoffice.la
conn_postoffice_la_CPPFLAGS = $(CPPFLAGS_PLUGIN)
conn_postoffice_la_CFLAGS = $(CFLAGS_PLUGIN)
conn_postoffice_la_LDFLAGS = $(LDFLAGS_PLUGIN)
conn_postoffice_la_LIBADD = $(LIBS_PLUGIN) -lpthread
conn_postoffice_la_SOURCES = \
	%D%/expand.c \
	%D%/group.c \
	%D%/inboxes.c \
	%D%/mailbox.c \
	%D%/plugin.c \
	%D%/postoffice.h \
	%D%/redirect.c
dist_plugin_DATA += %D%/conn_postoffice.json

check_PROGRAMS += test_expand test_inboxes
TESTS += test_expand test_inboxes
test_expand_CPPFLAGS = $(CPPFLAGS_TEST)
test_expand_CFLAGS = $(CFLAGS_TEST)
test_expand_LDADD = libpostbus.la $(CMOCKA_LIBS) $(JANSSON_LIBS)
test_inboxes_CPPFLAGS = $(CPPFLAGS_TEST)
test_inboxes_CFLAGS = $(CFLAGS_TEST)
test_inboxes_LDADD = libpostbus.la $(CMOCKA_LIBS) $(JANSSON_LIBS) -lpthread
test_inboxes_SOURCES = %D%/tests/test_inboxes.c %D%/inboxes.c
test_expand_SOURCES = %D%/tests/test_expand.c %D%/expand.c
endif
EXTRA_DIST += %D%/README.md
