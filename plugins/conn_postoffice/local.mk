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
endif
EXTRA_DIST += %D%/README.md
