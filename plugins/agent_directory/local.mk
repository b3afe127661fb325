# agent_directory: post offices, domains, mailboxes, groups, the address map, logins.
if PLUGIN_AGENT_DIRECTORY
plugin_LTLIBRARIES += agent_directory.la
agent_directory_la_CPPFLAGS = $(CPPFLAGS_PLUGIN)
agent_directory_la_CFLAGS = $(CFLAGS_PLUGIN) $(GNUTLS_CFLAGS) $(CRYPT_CFLAGS)
agent_directory_la_LDFLAGS = $(LDFLAGS_PLUGIN)
agent_directory_la_LIBADD = $(LIBS_PLUGIN) $(GNUTLS_LIBS) $(CRYPT_LIBS) $(UNISTRING_LIBS) -lpthread
agent_directory_sources = \
	%D%/answers.c \
	%D%/auth.c \
	%D%/cmd_domain.c \
	%D%/cmd_group.c \
	%D%/cmd_mailbox.c \
	%D%/cmd_map.c \
	%D%/cmd_policy.c \
	%D%/cmd_postoffice.c \
	%D%/command.c \
	%D%/directory.h \
	%D%/find.c \
	%D%/hash.c \
	%D%/login.c \
	%D%/mailbox_fields.c \
	%D%/mailbox_fields.h \
	%D%/mailbox_store.c \
	%D%/name.c \
	%D%/plugin.c \
	%D%/policy.c \
	%D%/policy.h \
	%D%/policy_keys.c \
	%D%/policy_value.c \
	%D%/postmaster.c \
	%D%/rows.c \
	%D%/scram.c \
	%D%/senders.c \
	%D%/welcome.c
agent_directory_la_SOURCES = $(agent_directory_sources)
dist_plugin_DATA += %D%/agent_directory.json

check_PROGRAMS += test_directory test_postmaster test_credentials test_policy
TESTS += test_directory test_postmaster test_credentials test_policy
test_directory_CPPFLAGS = $(CPPFLAGS_TEST)
test_directory_CFLAGS = $(CFLAGS_TEST) $(CRYPT_CFLAGS)
test_directory_LDADD = libpostbus.la $(CMOCKA_LIBS) $(JANSSON_LIBS) $(GNUTLS_LIBS) $(CRYPT_LIBS) $(UNISTRING_LIBS) -lpthread
test_directory_SOURCES = %D%/tests/test_directory.c %D%/tests/calls.h %D%/tests/fake.c %D%/tests/fake.h $(agent_directory_sources)
test_postmaster_CPPFLAGS = $(CPPFLAGS_TEST)
test_postmaster_CFLAGS = $(CFLAGS_TEST) $(CRYPT_CFLAGS)
test_postmaster_LDADD = $(test_directory_LDADD)
test_postmaster_SOURCES = %D%/tests/test_postmaster.c %D%/tests/calls.h %D%/tests/fake.c %D%/tests/fake.h $(agent_directory_sources)
test_policy_CPPFLAGS = $(CPPFLAGS_TEST)
test_policy_CFLAGS = $(CFLAGS_TEST) $(CRYPT_CFLAGS)
test_policy_LDADD = $(test_directory_LDADD)
test_policy_SOURCES = %D%/tests/test_policy.c %D%/tests/calls.h %D%/tests/fake.c %D%/tests/fake.h $(agent_directory_sources)
test_credentials_CPPFLAGS = $(CPPFLAGS_TEST)
test_credentials_CFLAGS = $(CFLAGS_TEST) $(CRYPT_CFLAGS)
test_credentials_LDADD = $(test_directory_LDADD)
test_credentials_SOURCES = %D%/tests/test_credentials.c $(agent_directory_sources)

# How long refused logins take, by kind: make bench-logins.
BENCHES += %D%/tests/login_times
%C%_tests_login_times_CPPFLAGS = $(CPPFLAGS_TEST)
%C%_tests_login_times_CFLAGS = $(CFLAGS_TEST) $(CRYPT_CFLAGS)
%C%_tests_login_times_LDADD = $(test_directory_LDADD)
%C%_tests_login_times_SOURCES = %D%/tests/login_times.c %D%/tests/fake.c %D%/tests/fake.h $(agent_directory_sources)
# What settings cost: make bench-policy.
BENCHES += %D%/tests/policy_times
%C%_tests_policy_times_CPPFLAGS = $(CPPFLAGS_TEST)
%C%_tests_policy_times_CFLAGS = $(CFLAGS_TEST) $(CRYPT_CFLAGS)
%C%_tests_policy_times_LDADD = $(test_directory_LDADD)
%C%_tests_policy_times_SOURCES = %D%/tests/policy_times.c %D%/tests/calls.h %D%/tests/fake.c %D%/tests/fake.h $(agent_directory_sources)
bench-policy: %D%/tests/policy_times
	%D%/tests/policy_times
bench-logins: %D%/tests/login_times
	%D%/tests/login_times 1000
endif
EXTRA_DIST += %D%/README.md
