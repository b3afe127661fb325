# conn_postoffice: local delivery.
if PLUGIN_CONN_POSTOFFICE
plugin_LTLIBRARIES += conn_postoffice.la
conn_postoffice_la_CPPFLAGS = $(CPPFLAGS_PLUGIN) -I$(top_srcdir)
conn_postoffice_la_CFLAGS = $(CFLAGS_PLUGIN) $(GNUTLS_CFLAGS)
conn_postoffice_la_LDFLAGS = $(LDFLAGS_PLUGIN)
conn_postoffice_la_LIBADD = libnotices.la $(LIBS_PLUGIN) $(GNUTLS_LIBS) -lpthread
conn_postoffice_la_SOURCES = \
	%D%/autoreply.c \
	%D%/event.c %D%/event.h \
	%D%/expand.c \
	%D%/filter.c \
	%D%/group.c \
	%D%/hours.c %D%/hours.h \
	%D%/inboxes.c \
	%D%/mailbox.c \
	%D%/notify.c \
	%D%/place.c \
	%D%/plugin.c \
	%D%/quota.c \
	%D%/receive.c \
	%D%/postoffice.h \
	%D%/redirect.c \
	%D%/send.c \
	%D%/senders.c \
	%D%/srs.c %D%/srs.h
dist_plugin_DATA += %D%/conn_postoffice.json

check_PROGRAMS += test_expand test_hours test_inboxes test_srs
TESTS += test_expand test_hours test_inboxes test_srs
test_expand_CPPFLAGS = $(CPPFLAGS_TEST)
test_expand_CFLAGS = $(CFLAGS_TEST)
test_expand_LDADD = libpostbus.la $(CMOCKA_LIBS) $(JANSSON_LIBS)
test_inboxes_CPPFLAGS = $(CPPFLAGS_TEST)
test_inboxes_CFLAGS = $(CFLAGS_TEST)
test_inboxes_LDADD = libpostbus.la $(CMOCKA_LIBS) $(JANSSON_LIBS) -lpthread
test_inboxes_SOURCES = %D%/tests/test_inboxes.c %D%/inboxes.c
test_hours_CPPFLAGS = $(CPPFLAGS_TEST)
test_hours_CFLAGS = $(CFLAGS_TEST)
test_hours_LDADD = libpostbus.la $(CMOCKA_LIBS)
test_hours_SOURCES = %D%/tests/test_hours.c %D%/hours.c
test_srs_CPPFLAGS = $(CPPFLAGS_TEST)
test_srs_CFLAGS = $(CFLAGS_TEST)
test_srs_LDADD = libpostbus.la $(CMOCKA_LIBS) $(GNUTLS_LIBS)
test_srs_SOURCES = %D%/tests/test_srs.c %D%/srs.c
test_expand_SOURCES = %D%/tests/test_expand.c %D%/expand.c
TESTS += %D%/tests/test_autoreply.py %D%/tests/test_event.py %D%/tests/test_filters.py
endif
EXTRA_DIST += %D%/README.md %D%/tests/test_autoreply.py %D%/tests/test_event.py %D%/tests/test_filters.py
EXTRA_DIST += %D%/tests/address_map.talk %D%/tests/archive.talk %D%/tests/autoreply.talk %D%/tests/autoreply_never.talk %D%/tests/event.talk %D%/tests/footer.talk \
	%D%/tests/footer_signed.talk %D%/tests/group.talk %D%/tests/group_senders.talk %D%/tests/junk_score.talk %D%/tests/quota_bounce.talk %D%/tests/quota_folder.talk \
	%D%/tests/quota_hold.talk %D%/tests/quota_notice.talk %D%/tests/quota_postmaster.talk %D%/tests/receive_from.talk %D%/tests/redirect.talk %D%/tests/send_to.talk \
	%D%/tests/services.talk %D%/tests/srs.talk %D%/tests/welcome.talk
