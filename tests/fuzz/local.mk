# libFuzzer targets: ./configure --enable-fuzz CC=clang, then `make fuzz-short` or `make fuzz-long`. One block each.
CFLAGS_FUZZ = $(AM_CFLAGS) $(JANSSON_CFLAGS)
LDFLAGS_FUZZ = $(AM_LDFLAGS) -fsanitize=fuzzer,address,undefined

if FUZZ
FUZZERS += fuzz_address fuzz_message
EXTRA_PROGRAMS += $(FUZZERS)
fuzz_address_SOURCES = %D%/fuzz_address.c
fuzz_address_CPPFLAGS = $(CPPFLAGS_PLUGIN)
fuzz_address_CFLAGS = $(CFLAGS_FUZZ)
fuzz_address_LDFLAGS = $(LDFLAGS_FUZZ)
fuzz_address_LDADD = $(LIBS_PLUGIN)
fuzz_message_SOURCES = %D%/fuzz_message.c
fuzz_message_CPPFLAGS = $(CPPFLAGS_PLUGIN)
fuzz_message_CFLAGS = $(CFLAGS_FUZZ)
fuzz_message_LDFLAGS = $(LDFLAGS_FUZZ)
fuzz_message_LDADD = $(LIBS_PLUGIN)
FUZZERS += fuzz_smtp
fuzz_smtp_SOURCES = %D%/fuzz_smtp.c $(FUZZED_SMTP)
fuzz_smtp_CPPFLAGS = $(CPPFLAGS_PLUGIN) -I$(top_srcdir)
fuzz_smtp_CFLAGS = $(CFLAGS_FUZZ)
fuzz_smtp_LDFLAGS = $(LDFLAGS_FUZZ)
fuzz_smtp_LDADD = $(LIBS_PLUGIN)
FUZZERS += fuzz_imap
fuzz_imap_SOURCES = %D%/fuzz_imap.c $(FUZZED_IMAP)
fuzz_imap_CPPFLAGS = $(CPPFLAGS_PLUGIN) -I$(top_srcdir)
fuzz_imap_CFLAGS = $(CFLAGS_FUZZ)
fuzz_imap_LDFLAGS = $(LDFLAGS_FUZZ)
fuzz_imap_LDADD = $(LIBS_PLUGIN)
FUZZERS += fuzz_pop3
fuzz_pop3_SOURCES = %D%/fuzz_pop3.c $(FUZZED_POP3)
fuzz_pop3_CPPFLAGS = $(CPPFLAGS_PLUGIN) -I$(top_srcdir)
fuzz_pop3_CFLAGS = $(CFLAGS_FUZZ)
fuzz_pop3_LDFLAGS = $(LDFLAGS_FUZZ)
fuzz_pop3_LDADD = $(LIBS_PLUGIN)
FUZZERS += fuzz_managesieve
fuzz_managesieve_SOURCES = %D%/fuzz_managesieve.c $(FUZZED_MANAGESIEVE)
fuzz_managesieve_CPPFLAGS = $(CPPFLAGS_PLUGIN) -I$(top_srcdir)
fuzz_managesieve_CFLAGS = $(CFLAGS_FUZZ)
fuzz_managesieve_LDFLAGS = $(LDFLAGS_FUZZ)
fuzz_managesieve_LDADD = $(LIBS_PLUGIN)
FUZZERS += fuzz_lmtp
fuzz_lmtp_SOURCES = %D%/fuzz_lmtp.c $(FUZZED_LMTP)
fuzz_lmtp_CPPFLAGS = $(CPPFLAGS_PLUGIN) -I$(top_srcdir)
fuzz_lmtp_CFLAGS = $(CFLAGS_FUZZ)
fuzz_lmtp_LDFLAGS = $(LDFLAGS_FUZZ)
fuzz_lmtp_LDADD = $(LIBS_PLUGIN)
FUZZERS += fuzz_bounces
fuzz_bounces_SOURCES = %D%/fuzz_bounces.c $(FUZZED_BOUNCES)
fuzz_bounces_CPPFLAGS = $(CPPFLAGS_PLUGIN) -I$(top_srcdir)
fuzz_bounces_CFLAGS = $(CFLAGS_FUZZ)
fuzz_bounces_LDFLAGS = $(LDFLAGS_FUZZ)
fuzz_bounces_LDADD = $(LIBS_PLUGIN)
FUZZERS += fuzz_retrieve
fuzz_retrieve_SOURCES = %D%/fuzz_retrieve.c $(FUZZED_RETRIEVE)
fuzz_retrieve_CPPFLAGS = $(CPPFLAGS_PLUGIN) -I$(top_srcdir)
fuzz_retrieve_CFLAGS = $(CFLAGS_FUZZ) $(GNUTLS_CFLAGS)
fuzz_retrieve_LDFLAGS = $(LDFLAGS_FUZZ)
fuzz_retrieve_LDADD = $(LIBS_PLUGIN) $(GNUTLS_LIBS)
FUZZERS += fuzz_manifest
fuzz_manifest_SOURCES = %D%/fuzz_manifest.c
fuzz_manifest_CPPFLAGS = $(CPPFLAGS_KERNEL)
fuzz_manifest_CFLAGS = $(CFLAGS_FUZZ)
fuzz_manifest_LDFLAGS = $(LDFLAGS_FUZZ)
fuzz_manifest_LDADD = libkernel.la libpostbus.la $(JANSSON_LIBS)
endif

# A fixed sequence of inputs in every make check.
FUZZED_SMTP = plugins/agent_dns/records.c plugins/conn_smtp/answer.c plugins/conn_smtp/authors.c \
	plugins/conn_smtp/downgrade.c plugins/conn_smtp/downgrade_part.c mailproto/header.c mailproto/params.c mailproto/received.c
check_PROGRAMS += try_fuzz_smtp
TESTS += try_fuzz_smtp
try_fuzz_smtp_SOURCES = %D%/fuzz_smtp.c %D%/run.c $(FUZZED_SMTP)
try_fuzz_smtp_CPPFLAGS = $(CPPFLAGS_TEST)
try_fuzz_smtp_CFLAGS = $(CFLAGS_TEST)
try_fuzz_smtp_LDADD = libpostbus.la $(JANSSON_LIBS)
FUZZED_BOUNCES = bounces/address.c bounces/bounces.c bounces/forms.c bounces/match.c bounces/report.c bounces/text.c
check_PROGRAMS += try_fuzz_bounces
TESTS += try_fuzz_bounces
try_fuzz_bounces_SOURCES = %D%/fuzz_bounces.c %D%/run.c $(FUZZED_BOUNCES)
try_fuzz_bounces_CPPFLAGS = $(CPPFLAGS_TEST)
try_fuzz_bounces_CFLAGS = $(CFLAGS_TEST)
try_fuzz_bounces_LDADD = libpostbus.la $(JANSSON_LIBS)
FUZZED_RETRIEVE = plugins/conn_popretr/channel.c plugins/conn_popretr/http.c plugins/conn_popretr/imap.c \
	plugins/conn_popretr/imap_login.c plugins/conn_popretr/imap_read.c plugins/conn_popretr/imap_text.c \
	plugins/conn_popretr/multidrop.c plugins/conn_popretr/pop3.c plugins/conn_popretr/remote.c plugins/conn_popretr/sasl.c
check_PROGRAMS += try_fuzz_retrieve
TESTS += try_fuzz_retrieve
try_fuzz_retrieve_SOURCES = %D%/fuzz_retrieve.c %D%/run.c $(FUZZED_RETRIEVE)
try_fuzz_retrieve_CPPFLAGS = $(CPPFLAGS_TEST)
try_fuzz_retrieve_CFLAGS = $(CFLAGS_TEST) $(GNUTLS_CFLAGS)
try_fuzz_retrieve_LDADD = libpostbus.la $(JANSSON_LIBS) $(GNUTLS_LIBS)
FUZZED_IMAP = plugins/svc_imap/fetch_plan.c plugins/svc_imap/list.c plugins/svc_imap/parse.c plugins/svc_imap/search_parse.c plugins/svc_imap/set.c \
	plugins/svc_imap/utf7.c
check_PROGRAMS += try_fuzz_imap
TESTS += try_fuzz_imap
try_fuzz_imap_SOURCES = %D%/fuzz_imap.c %D%/run.c $(FUZZED_IMAP)
try_fuzz_imap_CPPFLAGS = $(CPPFLAGS_TEST)
try_fuzz_imap_CFLAGS = $(CFLAGS_TEST)
try_fuzz_imap_LDADD = libpostbus.la $(JANSSON_LIBS)
FUZZED_LMTP = plugins/svc_lmtp/cmd_data.c plugins/svc_lmtp/cmd_envelope.c plugins/svc_lmtp/cmd_greet.c plugins/svc_lmtp/plugin.c plugins/svc_lmtp/quota.c \
	plugins/svc_lmtp/reply.c mailproto/header.c mailproto/network.c mailproto/params.c mailproto/received.c mailproto/replies.c
check_PROGRAMS += try_fuzz_lmtp
TESTS += try_fuzz_lmtp
try_fuzz_lmtp_SOURCES = %D%/fuzz_lmtp.c %D%/run.c $(FUZZED_LMTP)
try_fuzz_lmtp_CPPFLAGS = $(CPPFLAGS_TEST)
try_fuzz_lmtp_CFLAGS = $(CFLAGS_TEST)
try_fuzz_lmtp_LDADD = libpostbus.la $(JANSSON_LIBS)
FUZZED_POP3 = plugins/svc_pop3/cmd_login.c plugins/svc_pop3/cmd_mail.c plugins/svc_pop3/plugin.c
check_PROGRAMS += try_fuzz_pop3
TESTS += try_fuzz_pop3
try_fuzz_pop3_SOURCES = %D%/fuzz_pop3.c %D%/run.c $(FUZZED_POP3)
try_fuzz_pop3_CPPFLAGS = $(CPPFLAGS_TEST)
try_fuzz_pop3_CFLAGS = $(CFLAGS_TEST)
try_fuzz_pop3_LDADD = libpostbus.la $(JANSSON_LIBS)
FUZZED_MANAGESIEVE = plugins/svc_managesieve/cmd_login.c plugins/svc_managesieve/cmd_script.c plugins/svc_managesieve/command.c plugins/svc_managesieve/parse.c \
	plugins/svc_managesieve/plugin.c plugins/svc_managesieve/reply.c
check_PROGRAMS += try_fuzz_managesieve
TESTS += try_fuzz_managesieve
try_fuzz_managesieve_SOURCES = %D%/fuzz_managesieve.c %D%/run.c $(FUZZED_MANAGESIEVE)
try_fuzz_managesieve_CPPFLAGS = $(CPPFLAGS_TEST)
try_fuzz_managesieve_CFLAGS = $(CFLAGS_TEST)
try_fuzz_managesieve_LDADD = libpostbus.la $(JANSSON_LIBS)

fuzzers: $(BUILT_SOURCES)
	$(MAKE) $(AM_MAKEFLAGS) $(FUZZERS)
# Each target from its seeds: for seconds, or for as long as FUZZ_SECONDS says.
FUZZ_RUN = srcdir='$(abs_top_srcdir)' builddir='$(abs_top_builddir)' $(PYTHON3) $(srcdir)/%D%/fuzz.py
FUZZ_SECONDS = 1800
fuzz-short: fuzzers
	$(FUZZ_RUN) 6 $(FUZZERS)
fuzz-long: fuzzers
	$(FUZZ_RUN) $(FUZZ_SECONDS) $(FUZZERS)
.PHONY: fuzzers fuzz-short fuzz-long
EXTRA_DIST += %D%/fuzz.py %D%/login.h %D%/corpus %D%/fuzz_manifest.c %D%/fuzz_pop3.c %D%/fuzz_retrieve.c %D%/fuzz_managesieve.c
EXTRA_DIST += %D%/fuzz_imap.c %D%/fuzz_lmtp.c %D%/fuzz_smtp.c %D%/fuzz_address.c %D%/fuzz_message.c %D%/fuzz_bounces.c
