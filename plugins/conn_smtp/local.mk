# conn_smtp
if PLUGIN_CONN_SMTP
plugin_LTLIBRARIES += conn_smtp.la
conn_smtp_la_CPPFLAGS = $(CPPFLAGS_PLUGIN) -I$(top_srcdir)
conn_smtp_la_CFLAGS = $(CFLAGS_PLUGIN)
conn_smtp_la_LDFLAGS = $(LDFLAGS_PLUGIN)
conn_smtp_la_LIBADD = libmailproto.la $(LIBS_PLUGIN)
conn_smtp_la_SOURCES = \
	%D%/plugin.c %D%/settings.c %D%/smtp.h \
	%D%/reply.c %D%/ask.c \
	%D%/cmd_greet.c %D%/cmd_auth.c %D%/cmd_mail.c %D%/cmd_rcpt.c %D%/cmd_data.c \
	%D%/submit.c \
	%D%/allowed.c \
	%D%/rate.c %D%/rate.h \
	%D%/authors.c %D%/authors.h \
	%D%/deliver.c %D%/courier.h \
	%D%/send.c %D%/limits.c \
	%D%/downgrade.c %D%/downgrade.h %D%/downgrade_part.c \
	%D%/peer.c %D%/peer.h %D%/links.c \
	%D%/route.c %D%/route.h \
	%D%/answer.c %D%/answer.h
dist_plugin_DATA += %D%/conn_smtp.json
EXTRA_DIST += %D%/README.md docs/decisions/050-seven-bits-and-long-lines.md \
	%D%/tests/behind_data.talk \
	%D%/tests/chunks.talk \
	%D%/tests/deliver.talk \
	%D%/tests/errors.talk \
	%D%/tests/errors_reset.talk \
	%D%/tests/greeting.talk \
	%D%/tests/injection.talk \
	%D%/tests/login.talk \
	%D%/tests/no_auth_here.talk \
	%D%/tests/pipelining.talk \
	%D%/tests/relay.talk \
	%D%/tests/scram.talk \
	%D%/tests/sequence.talk \
	%D%/tests/smuggling.talk \
	%D%/tests/starttls.talk \
	%D%/tests/submission_clear.talk \
	%D%/tests/syntax.talk \
	%D%/tests/utf8.talk

check_PROGRAMS += test_smtp_inbound test_smtp_outbound
TESTS += test_smtp_inbound test_smtp_outbound
test_smtp_inbound_CPPFLAGS = $(CPPFLAGS_TEST)
test_smtp_inbound_CFLAGS = $(CFLAGS_TEST)
test_smtp_inbound_LDADD = libmailproto.la libpostbus.la $(CMOCKA_LIBS) $(JANSSON_LIBS)
test_smtp_inbound_SOURCES = %D%/tests/test_inbound.c %D%/authors.c %D%/rate.c
test_smtp_outbound_CPPFLAGS = $(CPPFLAGS_TEST)
test_smtp_outbound_CFLAGS = $(CFLAGS_TEST)
test_smtp_outbound_LDADD = libmailproto.la libpostbus.la $(CMOCKA_LIBS) $(JANSSON_LIBS)
test_smtp_outbound_SOURCES = %D%/tests/test_outbound.c %D%/answer.c %D%/route.c %D%/peer.c %D%/limits.c %D%/deliver.c %D%/send.c %D%/links.c \
	%D%/downgrade.c %D%/downgrade_part.c %D%/settings.c

# Asked by test_downgrade.py.
check_PROGRAMS += downgrade_filter
downgrade_filter_CPPFLAGS = $(CPPFLAGS_TEST)
downgrade_filter_CFLAGS = $(CFLAGS_TEST)
downgrade_filter_LDADD = libpostbus.la $(JANSSON_LIBS)
downgrade_filter_SOURCES = %D%/tests/downgrade_filter.c %D%/downgrade.c %D%/downgrade_part.c

# Asked by test_smtp_hooks.py; -rpath makes a shared object of it though it is never installed.
check_LTLIBRARIES += hook_probe.la
hook_probe_la_CPPFLAGS = $(CPPFLAGS_PLUGIN)
hook_probe_la_CFLAGS = $(CFLAGS_PLUGIN)
hook_probe_la_LDFLAGS = $(LDFLAGS_PLUGIN) -rpath /nowhere
hook_probe_la_LIBADD = $(LIBS_PLUGIN)
hook_probe_la_SOURCES = %D%/tests/hook_probe.c
EXTRA_DIST += %D%/tests/hook_probe.json
endif
