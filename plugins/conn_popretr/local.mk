# conn_popretr: mail fetched from other servers.
if PLUGIN_CONN_POPRETR
plugin_LTLIBRARIES += conn_popretr.la
conn_popretr_la_CPPFLAGS = $(CPPFLAGS_PLUGIN) -I$(top_srcdir)
conn_popretr_la_CFLAGS = $(CFLAGS_PLUGIN) $(GNUTLS_CFLAGS)
conn_popretr_la_LDFLAGS = $(LDFLAGS_PLUGIN)
conn_popretr_la_LIBADD = libmailproto.la $(LIBS_PLUGIN) $(GNUTLS_LIBS) -lpthread
conn_popretr_la_SOURCES = \
	%D%/accounts.c %D%/atrn.c %D%/channel.c %D%/channel.h %D%/cmd_add.c %D%/cmd_list.c %D%/cmd_run.c %D%/connect.c \
	%D%/etrn.c %D%/etrn.h %D%/failed.c %D%/fetch.h %D%/http.c %D%/http.h %D%/idle.c %D%/imap.c %D%/imap.h %D%/imap_login.c %D%/imap_read.c %D%/imap_text.c %D%/imap_text.h \
	%D%/multidrop.c %D%/multidrop.h %D%/oauth.c %D%/plan.c %D%/plugin.c %D%/pop3.c %D%/popretr.h \
	%D%/remote.c %D%/remote.h %D%/run.c %D%/sasl.c %D%/sasl.h %D%/schedule.c %D%/seen.c %D%/settle.c %D%/take.c %D%/vault.c
dist_plugin_DATA += %D%/conn_popretr.json

check_PROGRAMS += test_popretr_parsers
TESTS += test_popretr_parsers
test_popretr_parsers_CPPFLAGS = $(CPPFLAGS_TEST)
test_popretr_parsers_CFLAGS = $(CFLAGS_TEST) $(GNUTLS_CFLAGS)
test_popretr_parsers_LDADD = libpostbus.la $(CMOCKA_LIBS) $(JANSSON_LIBS) $(GNUTLS_LIBS)
test_popretr_parsers_SOURCES = %D%/tests/test_parsers.c %D%/channel.c %D%/http.c %D%/imap_text.c %D%/multidrop.c %D%/sasl.c
TESTS += %D%/tests/test_retrieve.py %D%/tests/test_remote.py %D%/tests/test_kills.py
endif
EXTRA_DIST += %D%/README.md %D%/tests/test_retrieve.py %D%/tests/test_remote.py %D%/tests/test_kills.py %D%/tests/soak_dovecot.py %D%/tests/pop3_peer.py

# A hundred times instead of a few; and with Dovecot as the other side (root).
soak-retrieve: all
	KILLS=100 $(AM_TESTS_ENVIRONMENT) $(PYTHON3) $(srcdir)/%D%/tests/test_kills.py
	KILLS=100 $(AM_TESTS_ENVIRONMENT) $(PYTHON3) $(srcdir)/%D%/tests/soak_dovecot.py
.PHONY: soak-retrieve
