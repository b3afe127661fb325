# conn_smtp
if PLUGIN_CONN_SMTP
plugin_LTLIBRARIES += conn_smtp.la
conn_smtp_la_CPPFLAGS = $(CPPFLAGS_PLUGIN)
conn_smtp_la_CFLAGS = $(CFLAGS_PLUGIN)
conn_smtp_la_LDFLAGS = $(LDFLAGS_PLUGIN)
conn_smtp_la_LIBADD = $(LIBS_PLUGIN)
conn_smtp_la_SOURCES = \
	%D%/plugin.c %D%/settings.c %D%/smtp.h \
	%D%/reply.c %D%/ask.c \
	%D%/cmd_greet.c %D%/cmd_auth.c %D%/cmd_mail.c %D%/cmd_rcpt.c %D%/cmd_data.c \
	%D%/submit.c \
	%D%/params.c %D%/params.h \
	%D%/received.c %D%/received.h \
	%D%/header.c %D%/header.h \
	%D%/network.c %D%/network.h \
	%D%/deliver.c %D%/courier.h \
	%D%/send.c %D%/limits.c \
	%D%/peer.c %D%/peer.h %D%/links.c \
	%D%/route.c %D%/route.h \
	%D%/answer.c %D%/answer.h
dist_plugin_DATA += %D%/conn_smtp.json
EXTRA_DIST += %D%/README.md
endif
