# agent_directory: post offices, domains, mailboxes, groups, the address map, logins.
if PLUGIN_AGENT_DIRECTORY
plugin_LTLIBRARIES += agent_directory.la
agent_directory_la_CPPFLAGS = $(CPPFLAGS_PLUGIN)
agent_directory_la_CFLAGS = $(CFLAGS_PLUGIN) $(GNUTLS_CFLAGS) $(CRYPT_CFLAGS)
agent_directory_la_LDFLAGS = $(LDFLAGS_PLUGIN)
agent_directory_la_LIBADD = $(LIBS_PLUGIN) $(GNUTLS_LIBS) $(CRYPT_LIBS) $(UNISTRING_LIBS) -lpthread
agent_directory_la_SOURCES = \
	%D%/auth.c \
	%D%/cmd_domain.c \
	%D%/cmd_group.c \
	%D%/cmd_mailbox.c \
	%D%/cmd_map.c \
	%D%/cmd_postoffice.c \
	%D%/command.c \
	%D%/directory.h \
	%D%/hash.c \
	%D%/login.c \
	%D%/mailbox_fields.c \
	%D%/mailbox_fields.h \
	%D%/mailbox_store.c \
	%D%/name.c \
	%D%/plugin.c \
	%D%/resolve.c \
	%D%/rows.c
dist_plugin_DATA += %D%/agent_directory.json
endif
EXTRA_DIST += %D%/README.md
