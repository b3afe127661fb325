# agent_auth: SPF, DKIM, DMARC and ARC of what comes in; signatures on what goes out.
if PLUGIN_AGENT_AUTH
plugin_LTLIBRARIES += agent_auth.la
agent_auth_la_CPPFLAGS = $(CPPFLAGS_PLUGIN) -I$(top_srcdir)
agent_auth_la_CFLAGS = $(CFLAGS_PLUGIN)
agent_auth_la_LDFLAGS = $(LDFLAGS_PLUGIN)
agent_auth_la_LIBADD = libmailauth.la libmailproto.la $(LIBS_PLUGIN) $(GNUTLS_LIBS) $(PSL_LIBS) -lpthread
agent_auth_la_SOURCES = \
	%D%/accepted.c \
	%D%/auth_agent.h \
	%D%/check.c \
	%D%/cmd_key.c \
	%D%/keyring.c \
	%D%/plugin.c \
	%D%/settings.c \
	%D%/sign.c \
	%D%/world.c
dist_plugin_DATA += %D%/agent_auth.json
TESTS += %D%/tests/test_auth.py
endif
EXTRA_DIST += %D%/README.md %D%/tests/test_auth.py docs/decisions/095-who-sent-it.md docs/decisions/096-signatures-in-front.md docs/decisions/097-keys-of-domains.md
