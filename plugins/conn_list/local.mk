# conn_list: mailing lists.
if PLUGIN_CONN_LIST
plugin_LTLIBRARIES += conn_list.la
conn_list_la_CPPFLAGS = $(CPPFLAGS_PLUGIN) -I$(top_srcdir)
conn_list_la_CFLAGS = $(CFLAGS_PLUGIN) $(GNUTLS_CFLAGS)
conn_list_la_LDFLAGS = $(LDFLAGS_PLUGIN)
conn_list_la_LIBADD = libbounces.la libnotices.la $(LIBS_PLUGIN) $(GNUTLS_LIBS) $(CRYPT_LIBS) -lpthread
conn_list_la_SOURCES = \
	%D%/approval.c \
	%D%/archive.c %D%/archive.h \
	%D%/audience.c \
	%D%/bounce.c %D%/bounce.h \
	%D%/bounce_count.c \
	%D%/bounce_letter.c \
	%D%/campaign.c %D%/campaign.h \
	%D%/cmd_bounces.c \
	%D%/cmd_hold.c \
	%D%/cmd_list.c \
	%D%/cmd_member.c \
	%D%/cmd_results.c \
	%D%/command.c %D%/command.h \
	%D%/csv.c %D%/csv.h \
	%D%/decide.c \
	%D%/digest.c %D%/digest.h \
	%D%/digest_text.c \
	%D%/distribute.c \
	%D%/door.c %D%/door.h \
	%D%/fields.c \
	%D%/folder.c \
	%D%/get.c \
	%D%/hold.c \
	%D%/judge.c \
	%D%/letters.c \
	%D%/list.h \
	%D%/member.c \
	%D%/mitigate.c \
	%D%/number.c \
	%D%/one_click.c %D%/one_click.h \
	%D%/plugin.c \
	%D%/post.c %D%/post.h \
	%D%/request.c \
	%D%/rows.c \
	%D%/script.c \
	%D%/serve.h \
	%D%/setting.c %D%/setting.h \
	%D%/setting_value.c \
	%D%/subject.c \
	%D%/subscribe.c \
	%D%/text.c \
	%D%/token.c \
	%D%/transfer.c \
	%D%/transform.c \
	%D%/web.c
dist_plugin_DATA += %D%/conn_list.json

# Asked in test_list_settings.py; -rpath makes a shared object of it though it is never installed.
check_LTLIBRARIES += list_source.la
list_source_la_CPPFLAGS = $(CPPFLAGS_PLUGIN)
list_source_la_CFLAGS = $(CFLAGS_PLUGIN)
list_source_la_LDFLAGS = $(LDFLAGS_PLUGIN) -rpath /nowhere
list_source_la_LIBADD = $(LIBS_PLUGIN)
list_source_la_SOURCES = %D%/tests/list_source.c
EXTRA_DIST += %D%/tests/list_source.json

check_PROGRAMS += test_list_door test_list_subject test_list_setting
check_PROGRAMS += test_list_csv
TESTS += test_list_csv
test_list_csv_CPPFLAGS = $(CPPFLAGS_TEST)
test_list_csv_CFLAGS = $(CFLAGS_TEST)
test_list_csv_LDADD = libpostbus.la $(CMOCKA_LIBS)
test_list_csv_SOURCES = %D%/tests/test_list_csv.c %D%/csv.c
TESTS += test_list_door test_list_subject test_list_setting
test_list_door_CPPFLAGS = $(CPPFLAGS_TEST)
test_list_door_CFLAGS = $(CFLAGS_TEST)
test_list_door_LDADD = libpostbus.la $(CMOCKA_LIBS)
test_list_door_SOURCES = %D%/tests/test_list_door.c %D%/door.c
test_list_subject_CPPFLAGS = $(CPPFLAGS_TEST)
test_list_subject_CFLAGS = $(CFLAGS_TEST)
test_list_subject_LDADD = libpostbus.la $(CMOCKA_LIBS)
test_list_subject_SOURCES = %D%/tests/test_list_subject.c %D%/subject.c
test_list_setting_CPPFLAGS = $(CPPFLAGS_TEST)
test_list_setting_CFLAGS = $(CFLAGS_TEST)
test_list_setting_LDADD = libpostbus.la $(CMOCKA_LIBS) $(JANSSON_LIBS) $(CRYPT_LIBS)
test_list_setting_SOURCES = %D%/tests/test_list_setting.c %D%/setting.c %D%/setting_value.c
check_PROGRAMS += test_list_command test_list_click try_fuzz_list
TESTS += test_list_command test_list_click try_fuzz_list
test_list_click_CPPFLAGS = $(CPPFLAGS_TEST)
test_list_click_CFLAGS = $(CFLAGS_TEST)
test_list_click_LDADD = libpostbus.la $(CMOCKA_LIBS)
test_list_click_SOURCES = %D%/tests/test_list_click.c %D%/one_click.c
test_list_command_CPPFLAGS = $(CPPFLAGS_TEST)
test_list_command_CFLAGS = $(CFLAGS_TEST)
test_list_command_LDADD = libpostbus.la $(CMOCKA_LIBS)
test_list_command_SOURCES = %D%/tests/test_list_command.c %D%/command.c
# fuzz_list: what strangers write to a list; try_fuzz_list a fixed sequence of it in every make check.
FUZZED_LIST = tests/fuzz/fuzz_list.c %D%/command.c %D%/door.c %D%/one_click.c
try_fuzz_list_SOURCES = $(FUZZED_LIST) tests/fuzz/run.c
try_fuzz_list_CPPFLAGS = $(CPPFLAGS_TEST)
try_fuzz_list_CFLAGS = $(CFLAGS_TEST)
try_fuzz_list_LDADD = libpostbus.la
if FUZZ
FUZZERS += fuzz_list
fuzz_list_SOURCES = $(FUZZED_LIST)
fuzz_list_CPPFLAGS = $(CPPFLAGS_TEST)
fuzz_list_CFLAGS = $(CFLAGS_FUZZ)
fuzz_list_LDFLAGS = $(LDFLAGS_FUZZ)
fuzz_list_LDADD = libpostbus.la
endif
TESTS += %D%/tests/test_moderate.py %D%/tests/test_one_click.py %D%/tests/test_subscribe.py
TESTS += %D%/tests/test_list.py %D%/tests/test_list_from.py %D%/tests/test_list_settings.py %D%/tests/test_list_life.py %D%/tests/test_verp.py %D%/tests/test_list_bounces.py %D%/tests/test_transfer.py %D%/tests/test_digest.py %D%/tests/test_archive.py %D%/tests/test_campaign.py
endif
EXTRA_DIST += %D%/tests/test_moderate.py %D%/tests/test_one_click.py %D%/tests/test_subscribe.py tests/fuzz/fuzz_list.c \
	docs/decisions/080-requests-to-lists.md docs/decisions/081-what-waits-for-moderators.md docs/decisions/082-one-click.md docs/decisions/085-archives-of-lists.md docs/decisions/100-a-bounce-finds-its-campaign.md
EXTRA_DIST += %D%/tests/addresses.talk %D%/tests/commands.talk %D%/tests/confirm.talk %D%/tests/get.talk %D%/tests/help.talk %D%/tests/moderate.talk %D%/tests/owner.talk %D%/tests/set.talk \
	%D%/tests/subscribe_closed.talk %D%/tests/subscribe_confirmed.talk %D%/tests/subscribe_moderated.talk %D%/tests/subscribe_words.talk %D%/tests/unsubscribe.talk %D%/tests/who.talk
EXTRA_DIST += %D%/README.md %D%/tests/test_list.py %D%/tests/test_list_from.py %D%/tests/test_list_settings.py %D%/tests/test_list_life.py %D%/tests/test_verp.py %D%/tests/test_list_bounces.py %D%/tests/test_transfer.py %D%/tests/test_digest.py %D%/tests/test_archive.py %D%/tests/test_campaign.py

# A post to so many members, and the daemon killed in the middle; a quick one in make check.
if PLUGIN_CONN_LIST
TESTS += %D%/tests/soak_list.py %D%/tests/test_import_lists.py
endif
soak-list: all tests/bench/smtp_sink
	SOAK_MEMBERS=$${SOAK_MEMBERS:-100000} SOAK_MAILBOXES=$${SOAK_MAILBOXES:-100} SOAK_KILLS=$${SOAK_KILLS:-5} SOAK_LETTERS=$${SOAK_LETTERS:-9} \
		$(BENCH_RUN) $(srcdir)/%D%/tests/soak_list.py
.PHONY: soak-list
EXTRA_DIST += %D%/tests/soak_list.py %D%/tests/test_import_lists.py
