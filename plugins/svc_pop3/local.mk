# svc_pop3: the POP3 service.
if PLUGIN_SVC_POP3
plugin_LTLIBRARIES += svc_pop3.la
svc_pop3_la_CPPFLAGS = $(CPPFLAGS_PLUGIN)
svc_pop3_la_CFLAGS = $(CFLAGS_PLUGIN)
svc_pop3_la_LDFLAGS = $(LDFLAGS_PLUGIN)
svc_pop3_la_LIBADD = $(LIBS_PLUGIN)
svc_pop3_la_SOURCES = %D%/cmd_login.c %D%/cmd_mail.c %D%/plugin.c %D%/pop3.h
dist_plugin_DATA += %D%/svc_pop3.json
endif
EXTRA_DIST += %D%/README.md %D%/tests/clear.talk %D%/tests/session.talk %D%/tests/scram.talk
