# svc_lmtp: takes mail from a mail server in front.
if PLUGIN_SVC_LMTP
plugin_LTLIBRARIES += svc_lmtp.la
svc_lmtp_la_CPPFLAGS = $(CPPFLAGS_PLUGIN) -I$(top_srcdir)
svc_lmtp_la_CFLAGS = $(CFLAGS_PLUGIN)
svc_lmtp_la_LDFLAGS = $(LDFLAGS_PLUGIN)
svc_lmtp_la_LIBADD = libmailproto.la $(LIBS_PLUGIN)
svc_lmtp_la_SOURCES = %D%/plugin.c %D%/lmtp.h %D%/cmd_greet.c %D%/cmd_envelope.c %D%/cmd_data.c %D%/quota.c %D%/reply.c
dist_plugin_DATA += %D%/svc_lmtp.json
endif
EXTRA_DIST += %D%/README.md \
	%D%/tests/deliver.talk \
	%D%/tests/pipelining.talk \
	%D%/tests/quota.talk \
	%D%/tests/sequence.talk \
	%D%/tests/smuggling.talk \
	%D%/tests/starttls.talk
