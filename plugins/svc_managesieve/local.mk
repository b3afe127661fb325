# svc_managesieve: the ManageSieve service.
if PLUGIN_SVC_MANAGESIEVE
plugin_LTLIBRARIES += svc_managesieve.la
svc_managesieve_la_CPPFLAGS = $(CPPFLAGS_PLUGIN)
svc_managesieve_la_CFLAGS = $(CFLAGS_PLUGIN)
svc_managesieve_la_LDFLAGS = $(LDFLAGS_PLUGIN)
svc_managesieve_la_LIBADD = $(LIBS_PLUGIN)
svc_managesieve_la_SOURCES = %D%/cmd_login.c %D%/cmd_script.c %D%/command.c %D%/managesieve.h %D%/parse.c %D%/parse.h %D%/plugin.c %D%/reply.c
dist_plugin_DATA += %D%/svc_managesieve.json
endif
EXTRA_DIST += %D%/README.md %D%/tests/clear.talk %D%/tests/injection.talk %D%/tests/literals.talk %D%/tests/login.talk %D%/tests/scripts.talk %D%/tests/scram.talk
