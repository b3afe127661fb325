# svc_imap: the IMAP service. Tokens, sets, names, plans and searches are a library of their own, so that unit tests need no host.
if PLUGIN_SVC_IMAP
plugin_LTLIBRARIES += svc_imap.la
svc_imap_la_CPPFLAGS = $(CPPFLAGS_PLUGIN)
svc_imap_la_CFLAGS = $(CFLAGS_PLUGIN)
svc_imap_la_LDFLAGS = $(LDFLAGS_PLUGIN)
svc_imap_la_LIBADD = $(LIBS_PLUGIN)
svc_imap_la_SOURCES = \
	%D%/annotations.c \
	%D%/cmd_any.c \
	%D%/cmd_append.c \
	%D%/cmd_copy.c \
	%D%/cmd_fetch.c \
	%D%/cmd_folder.c \
	%D%/cmd_idle.c \
	%D%/cmd_list.c \
	%D%/cmd_login.c \
	%D%/cmd_metadata.c \
	%D%/cmd_search.c \
	%D%/cmd_select.c \
	%D%/cmd_store.c \
	%D%/command.c \
	%D%/event.c %D%/event.h %D%/event_rows.c %D%/event_run.c \
	%D%/fetch_plan.c %D%/fetch_plan.h \
	%D%/filed.c \
	%D%/imap.h \
	%D%/list.c %D%/list.h \
	%D%/out.c %D%/out.h \
	%D%/parse.c %D%/parse.h \
	%D%/plugin.c \
	%D%/public.c %D%/public.h \
	%D%/quota.c %D%/quota.h \
	%D%/reply.c \
	%D%/search.h \
	%D%/search_eval.c %D%/search_eval.h \
	%D%/search_parse.c \
	%D%/set.c %D%/set.h \
	%D%/status.h \
	%D%/utf7.c %D%/utf7.h \
	%D%/view.c %D%/view.h
dist_plugin_DATA += %D%/svc_imap.json

check_PROGRAMS += %D%/tests/test_parse %D%/tests/test_fetch_plan %D%/tests/test_search
TESTS += %D%/tests/test_parse %D%/tests/test_fetch_plan %D%/tests/test_search
%C%_tests_test_parse_CPPFLAGS = $(CPPFLAGS_TEST)
%C%_tests_test_parse_CFLAGS = $(CFLAGS_TEST)
%C%_tests_test_parse_LDADD = $(LIBS_TEST)
%C%_tests_test_parse_SOURCES = %D%/tests/test_parse.c %D%/list.c %D%/parse.c %D%/set.c %D%/utf7.c
%C%_tests_test_fetch_plan_CPPFLAGS = $(CPPFLAGS_TEST)
%C%_tests_test_fetch_plan_CFLAGS = $(CFLAGS_TEST)
%C%_tests_test_fetch_plan_LDADD = $(LIBS_TEST)
%C%_tests_test_fetch_plan_SOURCES = %D%/tests/test_fetch_plan.c %D%/fetch_plan.c %D%/parse.c %D%/utf7.c
%C%_tests_test_search_CPPFLAGS = $(CPPFLAGS_TEST)
%C%_tests_test_search_CFLAGS = $(CFLAGS_TEST)
%C%_tests_test_search_LDADD = $(LIBS_TEST)
%C%_tests_test_search_SOURCES = %D%/tests/test_search.c %D%/search_parse.c %D%/parse.c %D%/set.c %D%/utf7.c
endif
EXTRA_DIST += %D%/README.md %D%/tests/clear.talk %D%/tests/fetch.talk %D%/tests/idle.talk %D%/tests/literals.talk %D%/tests/login.talk %D%/tests/metadata.talk %D%/tests/scram.talk
