# What SMTP and LMTP say alike: a library that plugins link. Uses the SDK.
noinst_LTLIBRARIES += libmailproto.la
CPPFLAGS_MAILPROTO = -D_GNU_SOURCE -I$(top_srcdir) -I$(top_srcdir)/sdk/include
libmailproto_la_CPPFLAGS = $(CPPFLAGS_MAILPROTO)
libmailproto_la_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
libmailproto_la_LIBADD = libpostbus.la $(JANSSON_LIBS)
libmailproto_la_SOURCES = \
	%D%/header.c %D%/header.h \
	%D%/network.c %D%/network.h \
	%D%/params.c %D%/params.h \
	%D%/received.c %D%/received.h \
	%D%/replies.c %D%/replies.h
EXTRA_DIST += %D%/README.md docs/decisions/060-lmtp-and-what-it-shares.md
