# agent_filter: Sieve scripts of server, post offices and mailboxes.
if PLUGIN_AGENT_FILTER
plugin_LTLIBRARIES += agent_filter.la
agent_filter_la_CPPFLAGS = $(CPPFLAGS_PLUGIN) -I$(top_srcdir) -DPOSTBUS_VERSION='"$(PACKAGE_VERSION)"'
agent_filter_la_CFLAGS = $(CFLAGS_PLUGIN)
agent_filter_la_LDFLAGS = $(LDFLAGS_PLUGIN)
agent_filter_la_LIBADD = libsieve.la $(LIBS_PLUGIN) $(PCRE2_LIBS)
agent_filter_la_SOURCES = \
	%D%/actions.c \
	%D%/cmd_test.c \
	%D%/conditions.c \
	%D%/deeds.c \
	%D%/filter.h \
	%D%/items.c \
	%D%/moments.c \
	%D%/network.c \
	%D%/notice.c \
	%D%/owner.c \
	%D%/plugin.c \
	%D%/programs.c \
	%D%/rules.c \
	%D%/rule_text.c \
	%D%/run.c %D%/run.h \
	%D%/scripts.c \
	%D%/words.c %D%/words.h \
	%D%/world.c
dist_plugin_DATA += %D%/agent_filter.json
TESTS += %D%/tests/test_scripts.py %D%/tests/test_rules.py %D%/tests/test_criteria.py

# Words: sentences to Sieve, and a program that makes scripts of many rules for measuring.
WORDS_SOURCES = %D%/conditions.c %D%/deeds.c %D%/moments.c %D%/network.c %D%/rule_text.c %D%/words.c
check_PROGRAMS += %D%/tests/test_words %D%/tests/try_words
TESTS += %D%/tests/test_words
%C%_tests_test_words_SOURCES = %D%/tests/test_words.c $(WORDS_SOURCES)
%C%_tests_test_words_CPPFLAGS = $(CPPFLAGS_TEST)
%C%_tests_test_words_CFLAGS = $(CFLAGS_TEST)
%C%_tests_test_words_LDADD = $(LIBS_SIEVE) $(CMOCKA_LIBS)
%C%_tests_try_words_SOURCES = %D%/tests/try_words.c $(WORDS_SOURCES)
%C%_tests_try_words_CPPFLAGS = $(CPPFLAGS_TEST)
%C%_tests_try_words_CFLAGS = $(CFLAGS_TEST)
%C%_tests_try_words_LDADD = $(LIBS_SIEVE)
endif
EXTRA_DIST += %D%/README.md %D%/tests/test_scripts.py %D%/tests/test_rules.py %D%/tests/test_criteria.py
EXTRA_DIST += %D%/tests/broken_script.talk %D%/tests/duplicate.talk %D%/tests/editheader.talk %D%/tests/fcc.talk %D%/tests/fileinto.talk %D%/tests/filter_test.talk \
	%D%/tests/imap_events.talk %D%/tests/include.talk %D%/tests/lists.talk %D%/tests/mailbox.talk %D%/tests/mime.talk %D%/tests/notify.talk %D%/tests/office.talk \
	%D%/tests/redirect.talk %D%/tests/reject.talk %D%/tests/vacation.talk %D%/tests/variables.talk %D%/tests/verdicts.talk %D%/tests/words_actions.talk \
	%D%/tests/words_all.talk %D%/tests/words_any.talk %D%/tests/words_criteria.talk %D%/tests/words_order.talk
